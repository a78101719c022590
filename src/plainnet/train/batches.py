"""Batches: the training rows in mini-batches, in a random order."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from collections.abc import Iterator
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.nn.network import Transform
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.nn.validation import as_array
from plainnet.train.augment import Augmentation


class Batch(NamedTuple):
    """The rows of a batch that belong to this rank; the rows and the weight of all ranks."""

    X: Array
    y: Array
    weight: Array | None
    m: int
    total: float


class Window(NamedTuple):
    """Rows in memory, and the batches of an epoch that consist of them."""

    X: Array
    y: Array
    weight: Array | None
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


@final
class Batches:
    """The training rows in batches; each epoch has every row once, in a new random order.

    The full batch keeps the order of the data.
    """

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
        self.ranks, self.m = ranks, len(X)
        self.batch_size = self.m if batch_size is None else min(batch_size, self.m)
        self.full = batch_size is None
        self.transform, self.augment = transform, augment
        self.dtype = np.dtype(dtype)
        if augment is None and (self.full or transform is None):  # convert once
            X = prepare(X, transform, self.dtype)
            self.transform = None
        self.X, self.y, self.weight = X, y, weight
        self.bounds = batch_bounds(self.m, self.batch_size)
        self._all = np.arange(self.m if self.full else 0)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.bounds) - 1

    def epoch(self, rng: np.random.Generator, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        if self.full and self.augment is None:
            own = self.ranks.share(self.m)
            yield self._batch(self.X[own], self.y[own], self.weight, self.m)
            return
        order = np.asarray(self.order(rng), like=self.X)
        for i in range(done, len(self)):
            yield self.batch(order[self.bounds[i] : self.bounds[i + 1]])

    def windows(self, rng: np.random.Generator, done: int = 0) -> Iterator[Window]:
        """Yield all rows as the one window of an epoch."""
        yield Window(self.X, self.y, self.weight, self.order(rng), self.bounds, 0)

    def order(self, rng: np.random.Generator) -> Array:
        """Return the order of the rows in an epoch, and draw the seed of its augmentation."""
        if self.augment is not None:
            self._seed = int(rng.integers(2**63))
        return self._all if self.full else rng.permutation(self.m)

    def batch(self, rows: Array) -> Batch:
        """Return the rows with some numbers."""
        own = self.ranks.share(len(rows))
        if self.augment is None:
            X = self.X.take(rows[own], axis=0)
        else:  # a generator for each batch, so that any can be resumed; it draws for all ranks
            X = self.X.take(rows, axis=0)
            X = self.augment(X, np.random.default_rng([self._seed, int(rows[0])]))[own]
        X, y = prepare(X, self.transform, self.dtype), self.y.take(rows[own], axis=0)
        return self._batch(X, y, None if self.weight is None else self.weight[rows], len(rows))

    def _batch(self, X: Array, y: Array, weight: Array | None, m: int) -> Batch:
        """Return this rank's rows of a batch with their part of the weights of all m rows."""
        if weight is None:
            return Batch(X, y, None, m, m)
        return Batch(X, y, weight[self.ranks.share(m)], m, float(weight.sum()))


def prepare(X: Array, transform: Transform | None, dtype: Any) -> Array:
    """Return rows transformed, contiguous and in a dtype."""
    rows = as_array(X if transform is None else transform(X))
    return np.ascontiguousarray(rows, dtype, like=rows)
