"""Splits: every row once, every class on both sides, groups kept together."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plainnet.data.splits import stratified_folds, stratified_split
from plainnet.errors import DataError

FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def check_partition(m: int, train: np.ndarray, test: np.ndarray) -> None:
    assert train.dtype == test.dtype == np.int64
    assert sorted([*train, *test]) == list(range(m))
    assert len(train)
    assert len(test)
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), FRACTIONS, SEEDS)
def test_split_is_stratified(counts: list[int], fraction: float, seed: int) -> None:
    assume(sum(counts) >= 4)
    y = rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    train, test = stratified_split(y, fraction, rng(seed))
    check_partition(len(y), train, test)
    in_test = np.bincount(y[test], minlength=len(counts))
    for got, count in zip(in_test, counts, strict=True):
        assert 1 <= got <= count - 1
        assert abs(got - np.clip(count * fraction, 1, count - 1)) < 1
    # The total is the rounded share too, unless a class needs its one row.
    wanted = round(len(y) * fraction)
    assert len(test) == wanted or (in_test == 1).any() or (in_test == np.array(counts) - 1).any()


@given(st.integers(4, 60), FRACTIONS, SEEDS)
def test_split_without_classes(m: int, fraction: float, seed: int) -> None:
    train, test = stratified_split(np.zeros(m), fraction, rng(seed))
    check_partition(m, train, test)
    assert len(test) == np.clip(round(m * fraction), 1, m - 1)


@pytest.mark.parametrize(
    "y",
    [
        ["no"] * 90 + ["yes"] * 10,
        np.array([False] * 90 + [True] * 10),
        np.array([0.0] * 90 + [1.0] * 10, np.float32),
        np.array([3] * 90 + [7] * 10, np.uint8),
        np.array(["no"] * 90 + [None] * 10, object),
        pd.Series(["no"] * 90 + ["yes"] * 10),
    ],
    ids=["list", "bool", "binary", "integers", "objects", "series"],
)
def test_classes_of_every_type_are_stratified(y: object) -> None:
    _, test = stratified_split(y, 0.2, rng())  # type: ignore[arg-type]
    assert len(test) == 20
    assert (test >= 90).sum() == 2


def test_seed_determines_the_split() -> None:
    y = np.arange(200) % 3
    first, again, other = (stratified_split(y, 0.25, rng(seed))[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_split_is_uniform_over_rows() -> None:
    y = np.arange(12) % 2
    times = np.zeros(12)
    generator = rng()
    for _ in range(2000):
        times[stratified_split(y, 1 / 3, generator)[1]] += 1
    assert np.abs(times / 2000 - 1 / 3).max() < 0.05  # nearly five standard deviations


@given(
    st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=8), min_size=1, max_size=4),
    FRACTIONS,
    SEEDS,
)
def test_single_class_groups_stay_whole(sizes: list[list[int]], fraction: float, seed: int) -> None:
    y = np.concatenate([np.full(sum(groups), k) for k, groups in enumerate(sizes)])
    every = [size for groups in sizes for size in groups]
    assume(len(y) >= 4)
    groups = 7 * np.repeat(np.arange(len(every)), every) - 3
    order = rng(seed).permutation(len(y))
    y, groups = y[order], groups[order]
    train, test = stratified_split(y, fraction, rng(seed), groups)
    check_partition(len(y), train, test)
    assert not set(groups[train]) & set(groups[test])
    assert set(y[train]) == set(y[test]) == set(y)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=4, max_size=14),
    FRACTIONS,
    SEEDS,
)
def test_mixed_class_groups_are_split_if_possible(
    rows: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    y, groups = np.array(rows).T
    possible = any(
        set(y[np.isin(groups, chosen)]) == set(y[~np.isin(groups, chosen)])
        for n in range(1, 6)
        for chosen in itertools.combinations(range(6), n)
    )
    try:
        train, test = stratified_split(y, fraction, rng(seed), groups)
    except DataError:
        assert not possible
        return
    assert possible
    check_partition(len(y), train, test)
    assert not set(groups[train]) & set(groups[test])
    assert set(y[train]) == set(y[test])


def test_failed_assignment_is_retried() -> None:
    """Groups in each other's way: dealt by the shares alone, a class is often left out."""
    y, groups = np.array([2, 1, 0, 2, 2, 2, 0, 1]), np.array([0, 1, 2, 0, 5, 2, 1, 0])
    for seed in range(40):
        train, test = stratified_split(y, 0.8, rng(seed), groups)
        assert set(y[train]) == set(y[test]) == {0, 1, 2}


def test_groups_without_labels_match_the_fraction() -> None:
    groups = np.repeat(np.arange(100), 3)
    train, test = stratified_split(np.zeros(300), 0.2, rng(), groups)
    check_partition(300, train, test)
    assert len(test) == 60


BAD = [
    (
        (["0"] * 3 + ["1"] * 3 + ["19"], 0.5),
        {},
        "the class '19' has 1 row, but a split needs at least 2 of each class, one for each side: "
        "add rows of it or drop it, or choose --task regression if these are numbers to predict",
    ),
    (
        ([0, 0, 1, 1, 19, 19], 0.5),
        {"groups": [1, 2, 3, 4, 5, 5]},
        "all rows of the class 19 are in one group, which stays on one side, so the class cannot "
        "be on both: add other rows of it or drop the groups, or choose --task regression if "
        "these are numbers to predict",
    ),
    ((["a"] * 5, 0.0), {}, "the test fraction must lie between 0 and 1, got 0.0"),
    ((["a"] * 5, 1.0), {}, "the test fraction must lie between 0 and 1, got 1.0"),
    ((["a"] * 5, float("nan")), {}, "the test fraction must lie between 0 and 1, got nan"),
    ((["a"], 0.5), {}, "a split needs at least 4 rows, got 1: add rows or hold fewer parts out"),
    (([], 0.5), {}, "a split needs at least 4 rows, got 0: add rows or hold fewer parts out"),
    ((["a"] * 5, 0.5), {"groups": [1, 2]}, "there are 5 rows, but 2 group numbers"),
    (
        (["a", "a", "a", "b"], 0.5),
        {},
        "the class 'b' has 1 row, but a split needs at least 2 of each class, one for each side:"
        " add rows of it or drop it",
    ),
    (
        ([0, 0, 1, 1], 0.5),
        {"groups": [1, 2, 3, 3]},
        "all rows of the class 1 are in one group, which stays on one side, so the class cannot be"
        " on both: add other rows of it or drop the groups",
    ),
    (
        # Three groups, and each two of them are the only ones of a class.
        ([0, 1, 0, 2, 1, 2], 0.5),
        {"groups": [1, 1, 2, 2, 3, 3]},
        "no split was found that keeps each group on one side and each class on both: the groups"
        " hold too many classes at once, so drop the groups or the rarest classes",
    ),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_impossible_split_raises_with_the_reason(
    arguments: tuple[object, float], options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        stratified_split(*arguments, rng(), **options)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_groups_stay_on_one_side() -> None:
    X = rng().integers(0, 12, (400, 2))
    y = np.arange(400) % 2
    train, test = stratified_split(y, 0.25, rng(), groups=X[:, 0] * 12 + X[:, 1])
    assert not {tuple(row) for row in X[train]} & {tuple(row) for row in X[test]}
    assert 60 <= len(test) <= 140


def check_folds(m: int, dealt: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Every row is in one fold, and the others are all the rest."""
    assert sorted(np.concatenate([fold for _, fold in dealt])) == list(range(m))
    for others, fold in dealt:
        check_partition(m, others, fold)


@given(st.lists(st.integers(2, 30), min_size=1, max_size=5), st.integers(2, 7), SEEDS)
def test_folds_are_a_stratified_partition(counts: list[int], k: int, seed: int) -> None:
    y = rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    assume(len(y) >= max(k, 4))
    dealt = stratified_folds(y, k, rng(seed))
    check_folds(len(y), dealt)
    sizes = [len(fold) for _, fold in dealt]
    assert max(sizes) - min(sizes) <= 1
    for c in range(len(counts)):
        of_class = [(y[fold] == c).sum() for _, fold in dealt]
        assert max(of_class) - min(of_class) <= 1
        assert all((y[others] == c).any() for others, _ in dealt)


@given(st.integers(4, 40), st.integers(2, 6), SEEDS)
def test_folds_without_classes_have_equal_sizes(m: int, k: int, seed: int) -> None:
    assume(m >= k)
    dealt = stratified_folds(np.zeros(m), k, rng(seed))
    check_folds(m, dealt)
    assert {len(fold) for _, fold in dealt} <= {m // k, m // k + 1}


@given(
    st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=8), min_size=1, max_size=4),
    st.integers(2, 5),
    SEEDS,
)
def test_groups_are_in_one_fold_and_classes_in_several(
    sizes: list[list[int]], k: int, seed: int
) -> None:
    y = np.concatenate([np.full(sum(groups), c) for c, groups in enumerate(sizes)])
    every = [size for groups in sizes for size in groups]
    assume(len(every) >= k and len(y) >= 4)
    groups = np.repeat(np.arange(len(every)), every)
    order = rng(seed).permutation(len(y))
    y, groups = y[order], groups[order]
    dealt = stratified_folds(y, k, rng(seed), groups)
    check_folds(len(y), dealt)
    for others, fold in dealt:
        assert not set(groups[others]) & set(groups[fold])
        assert set(y[others]) == set(y)


def test_equal_groups_give_equal_folds() -> None:
    y, groups = np.repeat([0, 1], 30), np.arange(60) // 3  # ten groups of three of each class
    for _, fold in stratified_folds(y, 5, rng(), groups):
        assert np.bincount(y[fold]).tolist() == [6, 6]


def test_seed_determines_the_folds() -> None:
    y = np.arange(60) % 2
    first, again, other = (stratified_folds(y, 3, rng(s))[0][1].tolist() for s in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("y", "k", "groups", "message"),
    [
        ([0, 1] * 5, 1, None, "cross-validation needs at least 2 folds, got 1"),
        ([0, 1] * 2, 5, None, "5 folds need at least 5 rows, got 4: take fewer folds"),
        (
            [0, 1] * 4,
            3,
            [0, 0, 0, 0, 1, 1, 1, 1],
            "3 folds need at least 3 groups of rows that stay together, got 2: take fewer folds",
        ),
        (
            ["a"] * 5 + ["b"],
            2,
            None,
            "the class 'b' has 1 row, but a split needs at least 2 of each class, one for each "
            "side: add rows of it or drop it",
        ),
    ],
)
def test_impossible_folds_raise(
    y: list[object], k: int, groups: list[int] | None, message: str
) -> None:
    with pytest.raises(DataError) as error:
        stratified_folds(y, k, rng(), groups)
    assert str(error.value) == message
