"""The number of BLAS threads for a network."""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from plainnet.nn.network import Sequential

# Waking the threads costs about as much as this many multiplications and additions (measured by
# benchmarks/threads.py), and OpenBLAS never shares products below NEVER_SHARED.
WORTH_A_THREAD = 1_200_000
NEVER_SHARED = 2**18


def product_sizes(net: Sequential, batch: int, train: bool = True) -> list[int]:
    """Count the multiplications of each matrix product of a step."""
    counts: list[int] = []
    for layer in net.layers:
        for spec in layer.specs:
            if spec.kind == "weight":
                repeats = 1 if not train else 2 if not counts else 3
                positions = math.prod(layer.out_shape[:-1])  # pixels of a convolution
                counts += [batch * positions * math.prod(spec.shape)] * repeats
    return counts


def blas_threads(net: Sequential, batch: int, train: bool = True) -> int:
    """Choose how many threads the matrix products of a network should use.

    Threads slow small products down, up to eleven times, because waking them takes longer than the
    work. With k threads a product of p multiplications saves p (1 - 1/k) and loses the waking; the
    sum over one step decides between one thread and all.
    """
    available = available_threads()
    counts = [count for count in product_sizes(net, batch, train) if count > NEVER_SHARED]
    saved = sum(counts) * (1 - 1 / available)
    return available if saved > len(counts) * WORTH_A_THREAD / 2 else 1


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Let BLAS use at most n threads inside the block, and as many as before after it.

    BLAS has one setting per process: when several Python threads run such blocks, the smallest n
    applies to all of them.
    """
    block = threading.get_ident(), n
    _change(_blocks.append, block)
    try:
        yield
    finally:
        _change(_blocks.remove, block)


def available_threads() -> int:
    """Return the number of threads that BLAS may use in this Python thread."""
    with _lock:
        limits = [n for thread, n in _blocks if thread == threading.get_ident()]
        return min([max(_free if _blocks else _now(), default=1), *limits])


Block = tuple[int, int]  # the thread of Python, and its limit
_lock = threading.Lock()
_blocks: list[Block] = []  # running
_free: list[int] = []  # threads of each BLAS library before the blocks


def _change(change: Callable[[Block], None], block: Block) -> None:
    with _lock:
        if not _blocks:
            _free[:] = _now()
        change(block)
        _apply()


def _apply() -> None:
    """Give each BLAS library as many threads as all blocks allow."""
    for library, free in zip(blas_libraries(), _free, strict=True):
        library.set_num_threads(min([free, *(n for _, n in _blocks)]))


def _now() -> list[int]:
    return [library.get_num_threads() for library in blas_libraries()]


@cache
def blas_libraries() -> list[Any]:
    """Return the BLAS libraries; finding them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _after_fork() -> None:
    """Remove the limits of threads that exist only in the parent."""
    global _lock
    _lock = threading.Lock()
    if others := [block for block in _blocks if block[0] != threading.get_ident()]:
        _blocks[:] = [block for block in _blocks if block not in others]
        _apply()


if os.name == "posix":  # elsewhere processes do not fork
    os.register_at_fork(after_in_child=_after_fork)
