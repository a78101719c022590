"""Pieces of a batch of pictures, which layers compute one after another, or threads at once."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
Run = Callable[[Callable[[slice], Any], Sequence[slice]], list[Any]]
SMALL, LARGE = 2**17, 2**20  # numbers of a piece: from half a MB, worth a thread, to 4 MB
PIECES = 8  # of a batch, unless they would be smaller or larger

# Calls a function with each piece; the engine replaces it by one that has threads.
run: ContextVar[Run] = ContextVar("run", default=lambda f, pieces: [f(rows) for rows in pieces])


def by_pieces(f: Callable[[slice], T], m: int, numbers: int) -> list[T]:
    """Call f with slices of m rows, each of so many numbers, and return its results in order.

    The slices do not depend on the threads, so sums of the results do not either.
    """
    size = max(1, min(max(-(-m // PIECES), SMALL // numbers), LARGE // numbers))
    return run.get()(f, [slice(start, start + size) for start in range(0, m, size)])
