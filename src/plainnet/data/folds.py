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
    """A data set whose training rows are also dealt into folds.

    Attributes
    ----------
    data : Dataset
        As `plainnet.data.dataset.split` gives it: its test rows are in no fold.
    k : int
        How many folds.
    fold : callable
        ``fold(i)``, from 0 on, gives a `Dataset` to train on the other folds and to test on this
        one. Its schema and target are fitted on the others alone, so that nothing of the rows that
        judge leaks into what is judged.

    Examples
    --------
    >>> import pandas as pd
    >>> from plainnet.data.dataset import TableSource
    >>> source = TableSource(pd.DataFrame({"x": range(20), "y": ["a", "b"] * 10}))
    >>> folds = fold(source, 4, np.random.default_rng(0), np.random.default_rng(1), test_fraction=0.2)
    >>> len(folds.data.test.X), [len(folds.fold(i).test.X) for i in range(folds.k)]
    (4, [4, 4, 4, 4])
    """

    data: Dataset
    k: int
    fold: Callable[[int], Dataset]


def fold(
    source: Source,
    k: int,
    rng: np.random.Generator,
    folds_rng: np.random.Generator,
    *,
    test_fraction: float = 0.2,
) -> Folds:
    """Hold out the test rows, then deal the others into folds.

    Parameters
    ----------
    source : Source
        Samples; their groups stay together in folds too.
    k : int
        How many folds, at least 2.
    rng : numpy.random.Generator
        Draws the test rows: the same ones as in `plainnet.data.dataset.split` without validation
        rows.
    folds_rng : numpy.random.Generator
        Deals the others.
    test_fraction : float, default 0.2
        Share of all rows; 0 for none.

    Returns
    -------
    Folds

    Raises
    ------
    DataError
        If there are too few rows, of a class or in all.
    """
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
