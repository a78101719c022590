"""The number of BLAS threads for a network."""

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import cache
from typing import Any, TypeVar, final

from plainnet.nn import pieces
from plainnet.nn.convolution import Conv2D
from plainnet.nn.network import Sequential

T = TypeVar("T")
# Two threads do not compute smaller products faster than one (measured on an idle machine). Where
# other programs run, threads wait for each other, and a step takes up to fifty times as long.
WORTH_A_THREAD = 12_000_000  # multiplications
NEVER_SHARED = 2**18  # OpenBLAS computes smaller products on one thread


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


def engine_threads(
    net: Sequential, threads: int, engine: str = "numpy"
) -> AbstractContextManager[None]:
    """Let an engine use so many threads for a network inside the block.

    The products of convolutions are many and small: with NumPy, threads share the pictures instead.
    """
    convolves = any(isinstance(layer, Conv2D) for layer in net.layers)
    shares = convolves and threads > 1 and engine == "numpy"
    return shared_pieces(threads) if shares else limited_threads(threads)


@final
class Team:
    """Threads that run functions together; the caller is one of them, the others are kept."""

    def __init__(self) -> None:
        self._pool: Any = None

    def run(
        self, calls: Sequence[Callable[[], T]], end: Callable[[], Any] = lambda: None
    ) -> list[T]:
        """Run each function in a thread of its own, whose products use that thread only.

        After an error, call ``end``, which has the others return; it is a RuntimeError where a
        thread cannot start.
        """
        from concurrent.futures import ThreadPoolExecutor  # slow to import

        # Before the threads: BLAS takes up to ten times as long when it is set during a product.
        # They copy the context for the limit, and for NumPy's handling of overflow.
        with limited_threads(1):
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max(1, len(calls) - 1))
            try:
                parts = [self._pool.submit(copy_context().run, f) for f in calls[1:]]
                return [calls[0](), *(part.result() for part in parts)]
            except BaseException:
                end()
                self._pool.shutdown()
                self._pool = None
                raise


@contextmanager
def shared_pieces(threads: int) -> Iterator[None]:
    """Share the pieces of batches among threads inside the block; their products use one each."""
    team, process = Team(), os.getpid()

    def run(f: Callable[[slice], Any], rows: Sequence[slice]) -> list[Any]:
        results, left = [None] * len(rows), enumerate(rows)

        def take() -> None:
            for i, part in left:  # other threads take some
                results[i] = f(part)

        if len(rows) > 1 and os.getpid() == process:  # a forked process has no threads
            with suppress(RuntimeError):  # a thread cannot start
                team.run([take] * threads)
                return results
        return [f(part) for part in rows]

    token = pieces.run.set(run)
    try:
        with limited_threads(1):
            yield
    finally:
        pieces.run.reset(token)


@contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Let BLAS use at most n threads inside the block, and as many as before after it.

    BLAS has one setting per process: when several Python threads run such blocks, the smallest n
    applies to all of them.
    """
    token = _limits.set((*_limits.get(), n))
    _change(_running.append, n)
    try:
        yield
    finally:
        _change(_running.remove, n)
        _limits.reset(token)


def available_threads() -> int:
    """Return the number of threads that BLAS may use in this context."""
    with _lock:
        return min([max(_free if _running else _now(), default=1), *_limits.get()])


_lock = threading.Lock()
_limits: ContextVar[tuple[int, ...]] = ContextVar("limits", default=())  # of this context
_running: list[int] = []  # limits of all blocks that run
_free: list[int] = []  # threads of each BLAS library before the blocks


def _change(change: Callable[[int], None], n: int) -> None:
    with _lock:
        if not _running:
            _free[:] = _now()
        change(n)
        _apply()


def _apply() -> None:
    """Give each BLAS library as many threads as all blocks allow."""
    for library, free, now in zip(blas_libraries(), _free, _now(), strict=True):
        allowed = min([free, *_running])
        if allowed != now:  # products that run meanwhile suffer
            library.set_num_threads(allowed)


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
    if _running:
        _running[:] = _limits.get()
        _apply()


if os.name == "posix":  # elsewhere processes do not fork
    os.register_at_fork(after_in_child=_after_fork)
