"""Ranks: the processes that train one network together, each on its share of every batch."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array

T = TypeVar("T")


class Ranks(ABC):
    """The processes that train one network together.

    All of them take the same steps in the same order. ``rank`` is the number of this process,
    ``size`` that of all; ``local_rank`` and ``local_size`` count those of this machine; ``m``
    counts the rows of the current batch on all ranks, and ``own`` says which are of this one.
    """

    rank, size = 0, 1
    local_rank, local_size = 0, 1
    m = 0
    own: slice | Array = slice(0)

    @abstractmethod
    def all_reduce(self, array: Array) -> None:
        """Replace an array by its sum over all ranks."""

    @abstractmethod
    def reduce_scatter(self, array: Array, out: Array) -> None:
        """Write this rank's share of the sum of an array over all ranks."""

    @abstractmethod
    def all_gather(self, array: Array) -> None:
        """Copy the share of each rank in an array to all others."""

    @abstractmethod
    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks."""

    @abstractmethod
    def barrier(self) -> None:
        """Wait until all ranks have called this, and leave the processor to others meanwhile."""

    @abstractmethod
    def share_memory(self, array: Array) -> Array:
        """Return a copy that the ranks of one machine read, or the array itself."""

    @abstractmethod
    def release_memory(self) -> None:
        """Give back the memory of such copies."""

    @final
    def in_turn(self, function: Callable[[], T]) -> T:
        """Call a function on rank 0, then on the first of other machines, then on the others."""
        own = min(self.rank, 1) + min(self.local_rank, 1)
        for turn in range(3):
            if turn == own:
                result = function()
            self.barrier()
        return result

    @final
    def share(self, m: int) -> slice:
        """Return which of m rows belong to this rank."""
        return slice(m * self.rank // self.size, m * (self.rank + 1) // self.size)

    @final
    def collect(self, rows: Array, m: int) -> Array:
        """Return the m rows of which each rank has its share."""
        if self.size == 1:
            return rows
        everything = np.empty_like(rows, shape=(m, *rows.shape[1:]))
        everything[self.share(m)] = rows
        self.all_gather(everything)
        return everything

    @final
    def require_same(self, facts: Mapping[str, object]) -> None:
        """Raise PlainnetError unless all ranks have equal facts."""
        first, *others = self.gather(dict(facts))
        for rank, other in enumerate(others, start=1):
            for name, value in first.items():
                if other[name] != value:
                    difference = _difference(other[name], value)
                    raise PlainnetError(
                        f"rank {rank} has other {name} than rank 0: {difference}; start all ranks "
                        "with the same program, options and data"
                    )

    @final
    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Draw numbers in [0, 1) for the rows of this rank: each row's own, whatever the ranks."""
        if self.size == 1:
            return rng.random(shape, dtype=dtype)
        return rng.random((self.m, *shape[1:]), dtype=dtype)[self.own]

    @final
    def count(self, X: Array) -> int:
        """Return how many numbers each feature, or channel, has in the batch of all ranks."""
        return (len(X) if self.size == 1 else self.m) * math.prod(X.shape[1:-1])

    @final
    def mean(self, X: Array) -> Array:
        """Return the mean of each feature, or channel, over the batch of all ranks."""
        means = feature_sums(X) / self.count(X)
        self.all_reduce(means)
        return means


def feature_sums(A: Array) -> Array:
    """Sum each feature over rows and pixels; first over rows of pixels, which are long."""
    sums: Array = A if A.ndim == 2 else A.reshape(-1, *A.shape[-2:]).sum(axis=0)
    return sums.sum(axis=0)


def _difference(one: object, other: object) -> str:
    """Show two texts from a little before their first difference."""
    a, b = str(one), str(other)
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    start = max(0, a.rfind(" ", 0, start) + 1)
    return f"{a[start : start + 40]!r}, not {b[start : start + 40]!r}"


@final
class OneRank(Ranks):
    """A process that trains alone."""

    def all_reduce(self, array: Array) -> None:
        """Leave the array unchanged."""

    def reduce_scatter(self, array: Array, out: Array) -> None:
        """Copy the array."""
        out[...] = array

    def all_gather(self, array: Array) -> None:
        """Leave the array unchanged."""

    def gather(self, value: T) -> list[T]:
        """Return the value."""
        return [value]

    def barrier(self) -> None:
        """Return at once."""

    def share_memory(self, array: Array) -> Array:
        """Return the array."""
        return array

    def release_memory(self) -> None:
        """Return at once."""


ALONE = OneRank()
