"""Datasets: training, validation and test rows from a table or pictures."""

import numpy as np
import pandas as pd
import pytest

from plainnet import DataError, TrainConfig
from plainnet.data import ImageSource, TableSource, split
from plainnet.data.splits import fold
from plainnet.training import train


def rng():
    return np.random.default_rng(0)


def table(m=40):
    return pd.DataFrame({"x": np.arange(m, dtype=float), "y": ["yes", "no"] * (m // 2)})


def split_table(frame, test_fraction=0.2, validation_fraction=0.0, **options):
    source = TableSource(frame, **options)
    return split(
        source, rng(), test_fraction=test_fraction, validation_fraction=validation_fraction
    )


@pytest.mark.parametrize(("test", "validation"), [(0.25, 0.0), (0.25, 0.25), (0.0, 0.5), (0.5, 0)])
def test_split_fractions_cover_all_rows(test, validation):
    data = split_table(table(), test_fraction=test, validation_fraction=validation)
    sizes = [0 if part is None else len(part.y) for part in (data.validation, data.test)]
    assert sizes == [40 * validation, 40 * test]
    assert len(data.train.y) + sum(sizes) == 40


def test_schema_uses_only_training_rows():
    data = split_table(table(), test_fraction=0.5)
    assert data.train.X.mean() == pytest.approx(0, abs=1e-6)
    assert data.test.X.mean() != pytest.approx(0, abs=1e-6)


def test_constant_training_columns_have_no_feature():
    held_out = split_table(table(), test_fraction=0.25).test_rows
    frame = table().assign(pool=0.0, sauna=None, attic=["oak"] * 20 + [None] * 20, kind="hut")
    frame.loc[held_out[0], ["pool", "sauna", "attic", "kind"]] = [32.0, 4.0, "elm", "villa"]
    data = split_table(frame, target=["y"], test_fraction=0.25)
    assert data.test_rows.tolist() == held_out.tolist()
    assert data.schema.feature_names == ("x", "attic: missing")
    assert [line.kind for line in data.schema.describe()] == [
        *("number", "constant", "constant", "indicator", "constant")
    ]
    assert [line.values for line in data.schema.describe()][1:] == [
        *("always '0'", "always missing", "always 'oak'", "always 'hut'")
    ]
    assert data.notes == [
        "no task was named: taking binary; --task changes it",
        "columns without effect (the same in all 30 training rows): 'pool', 'kind'",
        "columns without effect (empty in all 30 training rows): 'sauna'",
    ]
    assert np.ptp(data.train.X, axis=0).min() > 0


def test_table_of_constant_columns_raises():
    held_out = split_table(table(), test_fraction=0.25).test_rows
    frame = table().assign(x=0)
    frame.loc[held_out[0], "x"] = 1
    with pytest.raises(DataError) as error:
        split_table(frame, test_fraction=0.25)
    assert str(error.value) == (
        "No column is left to learn from: 'x' is left out as constant (always '0'); give the table "
        "more columns, or set the kind of one of them."
    )


def test_constant_pixels_have_no_effect():
    rng_ = np.random.default_rng(1)
    X = rng_.integers(0, 256, (24, 4, 4, 3)).astype(np.uint8)
    X[:, 0] = 40
    y = np.arange(24) % 2
    other = X.copy()
    other[:, 0] = 255
    for config in (
        {},
        {"optimizer": "sgd", "batch_size": "full", "l2": 0.1},
        {"standardize": False},
    ):
        model, _, data = train((X, y, ["a", "b"]), TrainConfig(hidden=(3,), epochs=3, **config))
        assert data.notes == [
            "12 of the 48 numbers of a picture are the same in all 19 training pictures, so they "
            "have no effect"
        ]
        np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(X))


def test_single_row_class_is_named_in_the_error():
    frame = table().assign(y=["0", "1", "2", "1"] * 9 + ["0", "1", "2", "9"])
    with pytest.raises(DataError, match="the class '9' has 1 row"):
        split_table(frame)
    X, y = np.zeros((5, 2, 2, 3), np.uint8), np.array([0, 0, 0, 0, 1])
    source = ImageSource(X, y, ["a", "rare"])
    with pytest.raises(DataError, match="the class 'rare' has 1 row"):
        split(source, rng())


@pytest.mark.parametrize(("test", "validation", "sides"), [(0.2, 0, 2), (0, 0.2, 2), (0.2, 0.2, 3)])
def test_too_few_rows_raise(test, validation, sides):
    frame = pd.DataFrame({"x": range(2 * sides), "y": np.arange(2 * sides) / 3})
    split_table(frame, test_fraction=test, validation_fraction=validation)
    name = "a split" if sides == 2 else "a split in 3"
    with pytest.raises(DataError) as error:
        split_table(frame[1:], test_fraction=test, validation_fraction=validation)
    assert str(error.value) == (
        f"{name} needs at least {2 * sides} rows, got {2 * sides - 1}: "
        "add rows or hold fewer parts out"
    )


def test_two_row_class_is_checked_before_splitting():
    frame = table().assign(y=["a"] * 38 + ["b"] * 2)
    split_table(frame)
    with pytest.raises(DataError) as error:
        split_table(frame, validation_fraction=0.2)
    assert str(error.value) == (
        "the class 'b' has 2 rows, but a split in 3 needs at least 3 of each class, one for each "
        "side: add rows of it or drop it"
    )
    with pytest.raises(DataError) as of_folds:
        fold(TableSource(frame), 3, rng(), rng())
    assert str(of_folds.value) == str(error.value)
    fold(TableSource(frame), 3, rng(), rng(), test_fraction=0)


def test_kind_of_the_target_raises():
    with pytest.raises(DataError) as error:
        split_table(table(), target=["y"], kinds={"y": "number"})
    assert str(error.value) == (
        "'y' is the target, whose kind the task decides: give no kind for it"
    )
