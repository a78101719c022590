"""Splits: rows to train on, to validate with and to test on, or folds for cross-validation."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.data.class_labels import ClassLabels
from plainnet.errors import DataError

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Source

Indices = NDArray[np.int64]

_ATTEMPTS = 50  # orders to try where groups that hold several classes make a split hard


@final
@dataclass(frozen=True)
class Folds:
    """Examples of which some are held out for a test, and the others are dealt into folds."""

    data: "Dataset"  # the test part is in no fold
    k: int  # number of folds
    make: "Callable[[int], Dataset]"  # encodes the rows of a fold anew
    kept: int  # folds to keep encoded
    sampled: bool = False  # from data that do not fit in memory

    @cached_property
    def fold(self) -> "Callable[[int], Dataset]":
        """The data set that trains on the other folds and tests on this one."""
        return lru_cache(self.kept)(self.make)


def split(
    source: "Source",
    rng: np.random.Generator,
    *,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
) -> "Dataset":
    """Split examples into parts to train on, to validate with and to test on.

    Parameters
    ----------
    source : TableSource or ImageSource
        The examples.
    rng : numpy.random.Generator
        Draws the split, which keeps the share of each class.
    test_fraction, validation_fraction : float, default 0.2 and 0.0
        Shares of all examples; 0 for none.

    Returns
    -------
    Dataset
        With a schema fitted on the training part.

    Raises
    ------
    DataError
        If the shares leave nothing to train on, or a class has too few rows for all parts.

    Examples
    --------
    >>> from plainnet.data import TableSource, introverts
    >>> data = split(TableSource(introverts(100)), np.random.default_rng(0))
    >>> len(data.train.X), data.validation, len(data.test.X)
    (80, None, 20)
    """
    return source.dataset(*_parts(source, rng, test_fraction, validation_fraction))


def fold(
    source: "Source",
    k: int,
    rng: np.random.Generator,
    folds_rng: np.random.Generator,
    *,
    test_fraction: float = 0.2,
) -> Folds:
    """Hold out the test rows, then deal the others into folds."""
    from plainnet.data.dataset import TableSource

    require_classes(source.labels, 3 if test_fraction else 2)
    train, _, held_out = _parts(source, rng, test_fraction, 0.0)
    groups = None if source.groups is None else source.groups[train]
    dealt = stratified_folds(source.labels.take(train), k, folds_rng, groups)
    # Encoded tables are small but slow to encode; of pictures one copy at a time is enough.
    kept = k if isinstance(source, TableSource) else 1
    make = partial(_make_fold, source, train, dealt)
    return Folds(source.dataset(train, None, held_out), k, make, kept)


def _make_fold(
    source: "Source", train: Indices, dealt: list[tuple[Indices, Indices]], i: int
) -> "Dataset":
    others, tested = dealt[i]
    return source.dataset(train[others], None, train[tested])


def _parts(
    source: "Source", rng: np.random.Generator, test: float, validation: float
) -> tuple[Indices, Indices | None, Indices | None]:
    """Draw the row numbers to train on, to validate with and to test on."""
    if test + validation >= 1:
        raise DataError(
            f"a test share of {test} and a validation share of {validation} leave nothing to "
            "train on: their sum must be below 1"
        )
    if sides := bool(test) + bool(validation):
        require_classes(source.labels, 1 + sides)
    train = np.arange(source.m)
    held_out: dict[str, Indices | None] = {"test": None, "validation": None}
    taken = 0.0
    for name, share in (("test", test), ("validation", validation)):
        if share:
            groups = None if source.groups is None else source.groups[train]
            kept, out = stratified_split(
                source.labels.take(train), share / (1 - taken), rng, groups
            )
            train, held_out[name] = train[kept], train[out]
            taken += share
    return train, held_out["validation"], held_out["test"]


def stratified_split(
    y: ArrayLike | ClassLabels,
    fraction: float,
    rng: np.random.Generator,
    groups: Sequence[int] | NDArray[np.integer[Any]] | None = None,
) -> tuple[Indices, Indices]:
    """Split rows at random so that each class has about the same share on both sides."""
    if not 0 < fraction < 1:
        raise DataError(f"the test fraction must lie between 0 and 1, got {fraction}")
    classes, names = require_classes(y)
    if groups is None:
        in_test = _by_rows(classes, np.bincount(classes), fraction, rng)
    else:
        shares = np.array([1 - fraction, fraction])
        in_test = _by_groups(classes, shares, rng, np.asarray(groups), names) == 1
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def stratified_folds(
    y: ArrayLike | ClassLabels,
    k: int,
    rng: np.random.Generator,
    groups: Sequence[int] | NDArray[np.integer[Any]] | None = None,
) -> list[tuple[Indices, Indices]]:
    """Deal rows at random into folds for cross-validation, each class in equal shares.

    Folds differ by at most one row, in each class and in all; with groups, as nearly as whole
    groups allow. Each class is in at least two folds.
    """
    if k < 2:
        raise DataError(f"cross-validation needs at least 2 folds, got {k}")
    classes, names = require_classes(y)
    several = len(classes) if groups is None else len(np.unique(np.asarray(groups)))
    if several < k:
        noun = "rows" if groups is None else "groups of rows that stay together"
        raise DataError(f"{k} folds need at least {k} {noun}, got {several:,}: take fewer folds")
    if groups is None:
        order = rng.permutation(len(classes))
        order = order[np.argsort(classes[order], kind="stable")]  # class by class
        fold = np.empty(len(classes), np.int64)
        fold[order] = np.arange(len(classes)) % k
    else:
        fold = _by_groups(classes, np.full(k, 1 / k), rng, np.asarray(groups), names)
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def require_classes(y: ArrayLike | ClassLabels, sides: int = 2) -> tuple[Indices, list[Any]]:
    """Number the class of each row; refuse classes with fewer rows than sides."""
    split = "a split" if sides == 2 else f"a split in {sides}"
    if isinstance(y, ClassLabels):
        order = np.zeros(len(y.names), np.int64)
        present = np.flatnonzero(np.bincount(y.numbers))
        unique, order[present] = np.unique(np.array(y.names)[present], return_inverse=True)
        classes = order[y.numbers]
    elif (labels := np.asarray(y)).dtype.kind == "O":
        import pandas as pd

        codes, values = pd.factorize(labels, use_na_sentinel=False)
        unique, order = np.unique(values.astype(str), return_inverse=True)
        classes = order[codes]
    else:
        unique, classes = np.unique(labels, return_inverse=True)
    names, m = unique.tolist(), len(classes)
    if m < 2 * sides:
        raise DataError(
            f"{split} needs at least {2 * sides} rows, got {m}: add rows or hold fewer parts out"
        )
    for name, count in zip(names, np.bincount(classes), strict=True):
        if count < sides:
            raise DataError(
                f"the class {name!r} has {count} row{'s' if count > 1 else ''}, but {split} needs "
                f"at least {sides} of each class, one for each side: add rows of it or drop it"
                f"{_if_numbers(names)}"
            )
    return classes, names


def _if_numbers(names: list[Any]) -> str:
    """Suggest a regression where the classes are whole numbers."""
    if len(names) < 3 or not all(re.fullmatch(r"[+-]?[0-9]+", str(name)) for name in names):
        return ""
    return ", or choose --task regression if these are numbers to predict"


def _by_rows(
    classes: Indices, counts: Indices, fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose the test rows: the share of each class, rounded so that the total fits too."""
    share = counts * fraction
    quota = np.clip(np.floor(share), 1, counts - 1).astype(np.int64)
    for k in np.argsort(quota - share, kind="stable"):  # largest rounding error first
        if quota.sum() < round(len(classes) * fraction) and quota[k] < counts[k] - 1:
            quota[k] += 1
    in_test = np.zeros(len(classes), dtype=np.bool_)
    for k, number in enumerate(quota):
        in_test[rng.permutation(np.flatnonzero(classes == k))[:number]] = True
    return in_test


def _by_groups(
    classes: Indices,
    shares: NDArray[np.float64],
    rng: np.random.Generator,
    groups: NDArray[Any],
    names: list[Any],
) -> Indices:
    """Choose a side for each row, group by group: the side that needs its classes most."""
    if groups.shape != classes.shape:
        raise DataError(f"there are {len(classes):,} rows, but {len(groups):,} group numbers")
    _, number = np.unique(groups, return_inverse=True)
    pairs, rows = np.unique(np.column_stack([number, classes]), axis=0, return_counts=True)
    spread = np.bincount(pairs[:, 1])  # in how many groups a class occurs
    for name, n_groups in zip(names, spread, strict=True):
        if n_groups < 2:
            raise DataError(
                f"all rows of the class {name!r} are in one group, which stays on one side, so the"
                f" class cannot be on both: add other rows of it or drop the groups"
                f"{_if_numbers(names)}"
            )
    members: list[list[tuple[int, int]]] = [[] for _ in range(int(number.max()) + 1)]
    for (group, k), n in zip(pairs.tolist(), rows.tolist(), strict=True):
        members[group].append((k, n))
    counts, sizes = np.bincount(classes), np.bincount(number)
    rarity = np.array([min(int(spread[k]) for k, _ in held) for held in members])
    for attempt in range(_ATTEMPTS):
        # First in the order of the rarest class and the largest group.
        order = np.lexsort((rng.random(len(members)), -sizes, rarity))
        side = _deal(order.tolist(), members, counts.tolist(), shares.tolist())[number]
        of_side = np.zeros((len(shares), len(counts)), np.bool_)
        of_side[side, classes] = True
        if (of_side.sum(axis=0) > 1).all() and of_side.any(axis=1).all():
            return side
        # Then in a random order, with shares closer to equal, which allow more splits.
        sizes = np.ones_like(sizes)
        rarity = sizes
        shares = shares + (1 / len(shares) - shares) * attempt / _ATTEMPTS
    raise DataError(
        "no split was found that keeps each group on one side and each class on both: the groups"
        " hold too many classes at once, so drop the groups or the rarest classes"
    )


def _deal(
    order: list[int],
    members: list[list[tuple[int, int]]],
    counts: list[int],
    shares: list[float],
) -> Indices:
    """Deal groups to the sides; return the side of each group."""
    wanted = [[n * share for n in counts] for share in shares]
    unmet = [[1.0] * len(counts) for _ in shares]  # share of `wanted`
    free = [0] * len(shares)
    sides = np.zeros(len(members), np.int64)
    for group in order:
        need = [sum(n / counts[k] * left[k] for k, n in members[group]) for left in unmet]
        # Of equal needs the largest side takes the group, and of equal sides the emptiest.
        priorities = list(zip(need, shares, free, strict=True))
        side = priorities.index(max(priorities))
        sides[group] = side
        for k, n in members[group]:
            unmet[side][k] -= n / wanted[side][k]
            free[side] -= n
    return sides
