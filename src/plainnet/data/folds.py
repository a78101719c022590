"""Folds: cross-validation on the rows that are not held out to judge by."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from plainnet.data.dataset import Dataset, PictureSource, Source, parts
from plainnet.data.splits import checked_classes, stratified_folds


@final
@dataclass(frozen=True)
class Folds:
    """A data set whose training rows are also dealt into folds."""

    data: Dataset  # as `plainnet.data.dataset.split` gives it: its test rows are in no fold
    k: int  # how many folds
    fold: Callable[[int], Dataset]


def fold(
    source: Source,
    k: int,
    rng: np.random.Generator,
    folds_rng: np.random.Generator,
    *,
    test_fraction: float = 0.2,
) -> Folds:
    """Hold out the test rows, then deal the others into folds."""
    checked_classes(source.labels, source.m, source.groups, 3 if test_fraction else 2)
    train, _, held_out = parts(source, rng, test_fraction, 0.0)
    labels = None if source.labels is None else source.labels[train]
    groups = None if source.groups is None else source.groups[train]
    dealt = stratified_folds(labels, k, folds_rng, groups, len(train))

    def one(i: int) -> Dataset:
        others, own = dealt[i]
        return source.dataset(train[others], None, train[own])

    # Tables are small once encoded, and slow to encode; of pictures a copy at a time is enough.
    kept = 1 if isinstance(source, PictureSource) else k
    return Folds(source.dataset(train, None, held_out), k, lru_cache(kept)(one))
