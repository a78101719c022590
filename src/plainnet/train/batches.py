"""Batches: the training rows in mini-batches, in a random order."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from collections.abc import Iterator
from typing import Any, final

import numpy as np

from plainnet.nn.network import Transform
from plainnet.nn.parameters import Array
from plainnet.nn.validation import as_array
from plainnet.train.augment import Augmentation

Batch = tuple[Array, Array, Array | None]


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
    ) -> None:
        self.m = len(X)
        self.batch_size = self.m if batch_size is None else min(batch_size, self.m)
        self.full = batch_size is None
        self.transform, self.augment = transform, augment
        self.dtype = np.dtype(dtype)
        if augment is None and (
            self.full or transform is None
        ):  # convert once rather than at every batch
            X = prepare(X, transform, self.dtype)
            self.transform = None
        self.X, self.y, self.weight = X, y, weight
        joins = self.m > self.batch_size > 1 and self.m % self.batch_size == 1
        self._n = -(-(self.m - joins) // self.batch_size)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self._n

    def epoch(self, rng: np.random.Generator, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        if self.full and self.augment is None:
            yield self.X, self.y, self.weight
            return
        order = rng.permutation(self.m) if not self.full else np.arange(self.m)
        order = np.asarray(order, like=self.X)
        seeds: Any = [] if self.augment is None else rng.integers(2**63, size=self._n)
        for i in range(done, self._n):
            stop = (i + 1) * self.batch_size if i + 1 < self._n else self.m
            rows = order[i * self.batch_size : stop]
            X, y = self.X.take(rows, axis=0), self.y.take(rows, axis=0)
            if self.augment is not None:  # a generator per batch, so that any batch can be resumed
                X = self.augment(X, np.random.default_rng(seeds[i]))
            weight = None if self.weight is None else self.weight[rows]
            yield prepare(X, self.transform, self.dtype), y, weight


def prepare(X: Array, transform: Transform | None, dtype: Any) -> Array:
    """Return rows transformed, contiguous and in a dtype."""
    rows = as_array(X if transform is None else transform(X))
    return np.ascontiguousarray(rows, dtype, like=rows)
