"""Batches: the training rows in mini-batches, in a random order."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.nn.network import Transform
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.nn.validation import as_array
from plainnet.train.augment import Augmentation


class Batch(NamedTuple):
    """The rows of a batch that belong to this rank."""

    X: Array
    y: Array
    weight: Array | None
    m: int  # rows of all ranks
    own: slice | Array  # which of them these are


class Window(NamedTuple):
    """The batches of an epoch that consist of the rows in memory."""

    order: Array  # of the rows
    bounds: Array  # of the batches in this order
    first: int  # number of the first batch in its epoch


def batch_bounds(m: int, batch_size: int) -> Array:
    """Return where the batches of m rows begin and end; a single last row joins the others."""
    joins = m > batch_size > 1 and m % batch_size == 1
    n = -(-(m - joins) // batch_size)
    bounds = np.minimum(np.arange(n + 1) * batch_size, m)
    bounds[-1] = m
    return bounds


class BatchSource(ABC):
    """The training rows in batches; each epoch has every row once, in a new random order."""

    X: Array  # the rows in memory, their targets and their weights
    y: Array
    weight: Array | None
    seed = 0  # of the augmentation of these rows

    def __init__(
        self,
        m: int,
        batch_size: int | None,
        transform: Transform | None,
        dtype: Any,
        augment: Augmentation | None,
        ranks: Ranks,
    ) -> None:
        self.ranks, self.m = ranks, m
        self.batch_size = m if batch_size is None else min(batch_size, m)
        self.full = batch_size is None
        self.transform, self.augment = transform, augment
        self.dtype = np.dtype(dtype)
        self.bounds = batch_bounds(m, self.batch_size)

    @abstractmethod
    def windows(self, rng: np.random.Generator, done: int = 0) -> Iterator[Window]:
        """Yield the windows of one epoch from the one that holds batch `done`."""

    @abstractmethod
    def own(self, rows: Array) -> tuple[slice | Array, slice | Array]:
        """Return which rows of a batch belong to this rank, and where they are in memory."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.bounds) - 1

    def epoch(self, rng: np.random.Generator, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        for window in self.windows(rng, done):
            order, bounds = np.asarray(window.order, like=self.X), window.bounds
            for i in range(max(0, done - window.first), len(bounds) - 1):
                yield self.batch(order[bounds[i] : bounds[i + 1]])

    def batch(self, rows: Array) -> Batch:
        """Return the batch of those rows of the window that have some numbers."""
        m, (own, index) = len(rows), self.own(rows)
        X, y = _take(self.X, index), _take(self.y, index)
        weight = None if self.weight is None else _take(self.weight, index)
        if self.augment is not None:
            if self.ranks.size > 1:  # it draws for the rows of all ranks
                whole = np.zeros_like(X, shape=(m, *X.shape[1:]))
                whole[own], X = X, whole
            # a generator for each batch, so that any can be resumed
            X = self.augment(X, np.random.default_rng([self.seed, int(rows[0])]))[own]
        return Batch(prepare(X, self.transform, self.dtype), y, weight, m, own)


@final
class Batches(BatchSource):
    """Training rows in memory in batches; the full batch keeps the order of the data."""

    def __init__(
        self,
        X: Array,
        y: Array,
        weight: Array | None,
        batch_size: int | None,
        transform: Transform | None,
        dtype: Any,
        augment: Augmentation | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(len(X), batch_size, transform, dtype, augment, ranks)
        if augment is None and (self.full or transform is None):  # convert once
            X = prepare(X, transform, self.dtype)
            self.transform = None
        self.X, self.y, self.weight = X, y, weight
        self._all = np.arange(self.m if self.full else 0)

    def windows(self, rng: np.random.Generator, done: int = 0) -> Iterator[Window]:
        """Yield all rows as the one window of an epoch."""
        yield Window(self.order(rng), self.bounds, 0)

    def own(self, rows: Array) -> tuple[slice | Array, slice | Array]:
        """Return equal shares in the order of the ranks."""
        own = self.ranks.share(len(rows))
        return own, own if self.full else rows[own]  # the full batch is not copied

    def order(self, rng: np.random.Generator) -> Array:
        """Return the order of the rows in an epoch, and draw the seed of its augmentation."""
        if self.augment is not None:
            self.seed = int(rng.integers(2**63))
        return self._all if self.full else rng.permutation(self.m)


def _take(array: Array, index: Array | slice) -> Array:
    return array[index] if isinstance(index, slice) else array.take(index, axis=0)


def prepare(X: Array, transform: Transform | None, dtype: Any) -> Array:
    """Return rows transformed, contiguous and in a dtype."""
    rows = as_array(X if transform is None else transform(X))
    return np.ascontiguousarray(rows, dtype, like=rows)
