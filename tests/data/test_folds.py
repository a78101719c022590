"""Folds: they exclude held-out rows, and no fold leaks into the others."""

import numpy as np
import pandas as pd
import pytest

from plainnet.data import ImageSource, TableSource, split
from plainnet.data.splits import Folds, fold
from plainnet.evaluate.duplicates import near_duplicate_groups

M, K = 50, 4


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def frame() -> pd.DataFrame:
    generator = rng(5)
    return pd.DataFrame(
        {
            "x": generator.normal(3, 2, M),
            "color": generator.choice(["red", "green", "blue"], M),
            "y": ["no", "yes"] * (M // 2),
        }
    )


def folds(table: pd.DataFrame, test_fraction: float = 0.2) -> Folds:
    return fold(TableSource(table), K, rng(1), rng(2), test_fraction=test_fraction)


def pictures() -> ImageSource:
    X = rng(3).integers(0, 255, (M, 4, 4, 3), np.uint8)
    return ImageSource(X, np.arange(M) % 2, ["bear", "panda"])


def test_held_out_rows_are_in_no_fold() -> None:
    dealt = folds(frame())
    alone = split(TableSource(frame()), rng(1), test_fraction=0.2)
    np.testing.assert_array_equal(dealt.data.test_rows, alone.test_rows)
    np.testing.assert_array_equal(dealt.data.train.X, alone.train.X)
    own = [dealt.fold(i).test_rows for i in range(K)]
    assert sorted(np.concatenate([*own, alone.test_rows])) == list(range(M))
    assert [len(rows) for rows in own] == [10] * K
    assert [np.bincount(dealt.fold(i).test.y.astype(int)).tolist() for i in range(K)] == [
        [5, 5]
    ] * K


def test_without_held_out_rows_all_rows_are_in_folds() -> None:
    dealt = folds(frame(), test_fraction=0)
    assert dealt.data.test is None
    assert sorted(np.concatenate([dealt.fold(i).test_rows for i in range(K)])) == list(range(M))


def test_features_are_standardized_by_the_other_folds() -> None:
    table = frame()
    dealt = folds(table)
    for i in range(K):
        part = dealt.fold(i)
        outside = [*part.test_rows, *dealt.data.test_rows]
        known = table["x"].drop(index=outside).to_numpy()
        wanted = (table["x"].to_numpy()[part.test_rows] - known.mean()) / known.std()
        np.testing.assert_allclose(part.test.X[:, 0], wanted, rtol=2e-5, atol=1e-6)
        assert part.validation is None


def test_fold_content_does_not_affect_other_folds() -> None:
    table = frame()
    before = folds(table).fold(0)
    changed = table.copy()
    changed.loc[before.test_rows, "x"] = 1e6
    changed.loc[before.test_rows, "color"] = "violet"
    after = folds(changed).fold(0)
    np.testing.assert_array_equal(after.test_rows, before.test_rows)
    np.testing.assert_array_equal(after.train.X, before.train.X)
    assert after.test.X[:, 0].min() > 1e5


def test_regression_target_is_standardized_by_the_other_folds() -> None:
    table = frame().drop(columns="y").assign(z=rng(7).normal(50, 9, M))
    part = folds(table).fold(1)
    assert part.train.y.mean() == pytest.approx(0, abs=1e-6)
    assert part.train.y.std() == pytest.approx(1, abs=1e-6)
    assert abs(part.test.y.mean()) > 1e-3


def test_group_duplicates_keeps_equal_rows_in_one_fold() -> None:
    table = pd.concat([frame()] * 2, ignore_index=True)
    dealt = fold(TableSource(table, group=near_duplicate_groups), K, rng(1), rng(2))
    for i in range(K):
        rows = set(dealt.fold(i).test_rows)
        assert {(row + M) % (2 * M) for row in rows} == rows  # each with its double


def test_pictures_stay_uint8_and_use_statistics_of_the_other_folds() -> None:
    dealt = fold(pictures(), K, rng(1), rng(2))
    parts = [dealt.fold(i) for i in range(K)]
    assert sorted(np.concatenate([*(p.test_rows for p in parts), dealt.data.test_rows])) == list(
        range(M)
    )
    for part in parts:
        assert part.train.X.dtype == np.uint8
        assert (len(part.train.X), len(part.test.X)) == (30, 10)
        means = part.train.X.mean(axis=(0, 1, 2))
        np.testing.assert_allclose(part.schema.mean, means, rtol=1e-6)


def test_folds_are_deterministic() -> None:
    first, again = folds(frame()), folds(frame())
    for i in (2, 0, 2):
        np.testing.assert_array_equal(first.fold(i).train.X, again.fold(i).train.X)
