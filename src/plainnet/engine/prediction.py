"""predict_logits: a network's output for many rows, on all processors."""

from contextvars import copy_context

import numpy as np
from numpy.typing import ArrayLike

from plainnet.engine.blas_threads import available_threads, blas_threads, limited_threads
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array

BATCHES = 2  # smallest number of batches per thread


def predict_logits(net: Sequential, X: ArrayLike, transform: Transform | None = None) -> Array:
    """Compute the result of `Sequential.predict_logits` on all processors.

    Each thread takes a share of the rows and a copy of the network, and its products run on one
    thread. So the activations run in parallel too. There are as many threads as BLAS may use.

    Parameters
    ----------
    net : Sequential
        The network.
    X : array of shape (m, *in_shape)
        The rows; with ``transform``, its input.
    transform : callable, optional
        Turns a batch of rows into numbers, so that pictures may stay uint8 in memory.

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
    size, threads = net.batch_rows, available_threads()
    threads = min(threads, len(rows) // (size * BATCHES))
    if threads < 2:
        with limited_threads(blas_threads(net, min(size, len(rows)), train=False)):
            return net.predict_logits(rows, transform=transform)
    share = size * -(-len(rows) // (size * threads))  # full batches, the same as without threads
    shares = [rows[start : start + share] for start in range(0, len(rows), share)]
    nets = [net.astype(net.dtype) for _ in shares]
    from concurrent.futures import ThreadPoolExecutor  # slow to import

    with limited_threads(1), ThreadPoolExecutor(len(shares)) as pool:
        # a copied context, for NumPy's handling of overflow
        calls = zip(nets, shares, strict=True)
        parts = [
            pool.submit(copy_context().run, n.predict_logits, s, None, transform) for n, s in calls
        ]
        return np.concatenate([part.result() for part in parts])
