"""predict_logits: a network's output for many rows, on all processors."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from plainnet.engine.blas_threads import (
    Team,
    available_threads,
    blas_threads,
    engine_threads,
)
from plainnet.engine.choice import compiled
from plainnet.engine.compiled import CompiledForward
from plainnet.engine.instructions import ROWS
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array

BATCHES = 2  # smallest number of batches per thread
PICTURES = 2 * ROWS  # in a batch of compiled code, as many as a tile of sums
Forward = Callable[..., Array]


def predict_logits(
    net: Sequential, X: ArrayLike, transform: Transform | None = None, engine: str = "auto"
) -> Array:
    """Compute the result of `Sequential.predict_logits` on all processors.

    Each thread takes a share of the rows, and its products run on one thread. So the activations
    run in parallel too. There are as many threads as BLAS may use.

    Parameters
    ----------
    net : Sequential
        The network.
    X : array of shape (m, *in_shape)
        The rows; with ``transform``, its input.
    transform : callable, optional
        Turns a batch of rows into numbers, so that pictures may stay uint8 in memory.
    engine : str, default "auto"
        ``numpy`` computes with NumPy, ``compiled`` with compiled code, ``auto`` with compiled code
        where it knows every layer and saves time. The numbers agree to rounding errors.

    Returns
    -------
    array of shape (m, *out_shape)
        Logits: a loss's ``predictions`` turns them into probabilities.

    Raises
    ------
    PlainnetError
        If the rows have another shape or are not numbers.

    Examples
    --------
    >>> from plainnet.nn import mlp
    >>> net, X = mlp(30, (64, 64)), np.ones((50_000, 30), np.float32)
    >>> np.allclose(predict_logits(net, X), net.predict_logits(X))
    True
    """
    rows = net.validate_input(X) if transform is None else np.atleast_1d(X)
    forward = forward_of(engine, net, len(rows))
    engine, size = "numpy", net.batch_rows
    if isinstance(forward, CompiledForward):
        engine, size = "compiled", forward.size
    threads = min(available_threads(), len(rows) // (size * BATCHES))
    if threads < 2:
        n = blas_threads(net, min(size, len(rows)), train=False)
        with engine_threads(net, n, engine):
            return forward(rows, transform=transform)
    share = size * -(-len(rows) // (size * threads))  # full batches, the same as without threads
    shares = [rows[start : start + share] for start in range(0, len(rows), share)]
    forwards = [forward, *(forward_of(engine, net, len(rows)) for _ in shares[1:])]
    parts = [
        partial(f, part, transform=transform) for f, part in zip(forwards, shares, strict=True)
    ]
    return np.concatenate(Team().run(parts))


def forward_of(engine: str, net: Sequential, m: int = 2**20) -> Forward:
    """Return a function of one thread that computes the output of rows, m in all."""
    size = PICTURES if len(net.in_shape) == 3 else net.batch_rows
    runner = compiled(engine, net, max(1, min(size, m)), -(-m // size))
    return net.predict_logits if runner is None else CompiledForward(runner)
