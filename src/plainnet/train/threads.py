"""Threads: how many BLAS threads this network deserves."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from plainnet.nn.sequential import Sequential

# Waking the threads costs about as much as this many multiplications and additions, so a product
# must be larger to gain; measured by benchmarks/threads.py. OpenBLAS leaves the smallest to one.
WORTH_A_THREAD = 1_200_000
NEVER_SHARED = 2**18


def products(net: Sequential, batch: int, train: bool = True) -> list[int]:
    """Count the multiplications of each matrix product of a step.

    Parameters
    ----------
    net : Sequential
        The network.
    batch : int
        Rows in a batch.
    train : bool, default True
        Whether the backward pass counts too: one product more for the first dense layer, two for
        the others.

    Returns
    -------
    list of int

    Examples
    --------
    >>> from plainnet.nn import mlp
    >>> products(mlp(10, (5,), 1), batch=100)
    [5000, 5000, 500, 500, 500]
    """
    counts: list[int] = []
    for variable in net.params.variables:
        if variable.kind == "weight":
            repeats = 1 if not train else 2 if not counts else 3
            counts += [batch * math.prod(variable.shape)] * repeats
    return counts


def blas_threads(net: Sequential, batch: int, train: bool = True) -> int:
    """Choose how many threads the matrix products of a network should use.

    Small products are slowed down by threads, up to eleven times, because handing the work over
    takes longer than the work. With k threads a product of p multiplications saves p (1 - 1/k)
    and loses the hand-over; the sum over one step decides between one thread and all that BLAS
    is allowed.

    Parameters
    ----------
    net : Sequential
        The network.
    batch : int
        Rows in a batch.
    train : bool, default True
        Whether the backward pass counts too.

    Returns
    -------
    int
        1, or the number of threads that BLAS has now.

    Examples
    --------
    >>> from plainnet.nn import mlp
    >>> blas_threads(mlp(7, (16,), 1), batch=64)
    1
    """
    available = available_threads()
    counts = [count for count in products(net, batch, train) if count > NEVER_SHARED]
    saved = sum(counts) * (1 - 1 / available)
    return available if saved > len(counts) * WORTH_A_THREAD / 2 else 1


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Let BLAS use at most n threads inside the block, and as many as before after it.

    Parameters
    ----------
    n : int
        At least 1; more than BLAS has now changes nothing.

    Yields
    ------
    None

    Examples
    --------
    >>> with limited_threads(1):
    ...     print(available_threads())
    1
    """
    if n >= available_threads():
        yield
        return
    with _controller().limit(limits=n, user_api="blas"):
        yield


def available_threads() -> int:
    """How many threads BLAS may use now.

    Returns
    -------
    int

    Examples
    --------
    >>> with limited_threads(1):
    ...     available_threads()
    1
    """
    return max((int(lib["num_threads"]) for lib in _controller().info()), default=1)


@cache
def _controller() -> Any:
    """Return the handle on the BLAS libraries, which takes milliseconds to find them."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
