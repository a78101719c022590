"""Privacy options keep values of few rows out of model files and exports."""

import numpy as np
import pandas as pd
import pytest

from plainnet import DataError, Model, PlainnetError, TrainConfig
from plainnet.data.privacy import Privacy
from plainnet.data.synthetic import pandas_and_bears
from plainnet.data.table_schema import TableSchema
from plainnet.export.html import to_html
from plainnet.export.python import to_python
from plainnet.training import train


def table(m=400):
    """Incomes with one outlier, and towns of which two are rare."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"income": rng.normal(40_000, 9_000, m).round(2)})
    frame["town"] = rng.choice(["Bergen", "Oslo"], m)
    frame["town"] = frame["town"].mask(frame.index < 5, "Voss").mask(frame.index == 7, "Geilo")
    frame.loc[3, "income"] = 123_456.78
    frame["height"] = rng.normal(170, 10, m).round(1)
    return frame.assign(y=np.where(rng.random(m) < 0.5, "no", "yes"))


def fitted(frame, *privacy):
    inputs = frame.drop(columns="y", errors="ignore")
    return TableSchema.infer(inputs).fit(inputs, "standard", Privacy(*privacy))


@pytest.mark.parametrize(
    ("least", "levels"),
    [
        (1, ("Bergen", "Geilo", "Oslo", "Voss")),
        (2, ("Bergen", "Oslo", "Voss")),
        (5, ("Bergen", "Oslo", "Voss")),
        (6, ("Bergen", "Oslo")),
    ],
)
def test_rare_levels_are_unknown(least, levels):
    schema = fitted(table(), least)
    assert schema.columns[1].levels == levels
    new = pd.DataFrame({"income": 1, "height": 1, "town": ["Geilo", "Voss", "Nowhere"]})
    rare = schema.transform(new)
    unknown = [name not in levels for name in ("Geilo", "Voss", "Nowhere")]
    assert [bool((row == rare[2]).all()) for row in rare] == unknown


def test_column_of_only_rare_levels_is_dropped():
    frame = table().assign(code=[str(i % 50) + "x" for i in range(400)])
    schema = fitted(frame, 9)
    assert [column.kind for column in schema.columns] == [
        "number",
        "category",
        "number",
        "identifier",
    ]
    assert schema.columns[3].summary == "50 different, none of them in 9 rows"
    assert fitted(frame, 8).columns[3].kind == "category"
    with pytest.raises(DataError) as error:
        fitted(frame[["town"]], 401)
    assert str(error.value) == (
        "No column is left to learn from: 'town' is left out as identifier (4 different, none of "
        "them in 401 rows); give the table more columns, or set the kind of one of them."
    )


def test_ranges_end_at_rounded_quantiles():
    frame = table()
    plain, private = fitted(frame).columns[0], fitted(frame, 10, True).columns[0]
    assert (plain.high, private.high) == (123_456.78, 54_300)
    values = frame["income"]
    for end, inside in ((private.low, values > private.low), (private.high, values < private.high)):
        assert end % 100 == 0
        assert 0.03 * 400 < (~inside).sum() < 0.07 * 400
    assert private.median == round(plain.median, -2)
    assert (private.mean, private.scale) == (plain.mean, plain.scale)


@pytest.mark.parametrize(("m", "one"), [(12, True), (19, True), (20, False), (60, False)])
def test_minimum_rows_beyond_range_ends(m, one):
    frame = pd.DataFrame({"x": np.arange(1.0, m + 1)})
    (column,) = fitted(frame, 10, True).columns
    assert (column.low == column.high == column.median) == one
    if not one:
        assert min((frame["x"] <= column.low).sum(), (frame["x"] >= column.high).sum()) >= 10


def test_private_model_file_reveals_no_single_row(tmp_path):
    frame = table()
    frame.loc[11, "y"] = None
    frame.to_csv(tmp_path / "people.csv", index=False)
    texts = {}
    for private in (False, True):
        config = TrainConfig(epochs=2, private=private, hidden=(4,))
        model = train(tmp_path / "people.csv", config).model
        model.save(tmp_path / "m.safetensors")
        again = Model.load(tmp_path / "m.safetensors")
        content = (tmp_path / "m.safetensors").read_bytes().decode("latin-1")
        texts[private] = [content, to_html(again), to_python(again)]
        assert any(name.startswith("rows.") for name in again.extras) != private
        assert again.record["config"]["private"] == private
        assert (again.predict(frame) == model.predict(frame)).all()
    for secret in ("Geilo", "123456.78"):
        assert all(secret in text for text in texts[False][:2])
        assert not any(secret in text for text in texts[True])
    assert "data row 12" in texts[False][0]
    assert "data row 12" not in texts[True][0]


def test_explicit_min_level_count_overrides_private():
    levels = {
        least: train(
            table(), TrainConfig(epochs=1, test_fraction=0, private=True, min_level_count=least)
        )
        .model.schema.columns[1]
        .levels
        for least in (None, 1, 3)
    }
    assert levels == {
        None: ("Bergen", "Oslo"),
        1: ("Bergen", "Geilo", "Oslo", "Voss"),
        3: ("Bergen", "Oslo", "Voss"),
    }


def test_private_picture_model_has_no_fingerprints():
    X, y, classes = pandas_and_bears(150, size=8)
    found = [
        set(train((X, y, classes), TrainConfig(epochs=1, hidden=(), private=private)).model.extras)
        for private in (False, True)
    ]
    assert found[0] - found[1] == {"rows.bits", "rows.part"}


def test_min_level_count_below_one_raises():
    with pytest.raises(PlainnetError) as error:
        train(table(), TrainConfig(min_level_count=0))
    assert (
        str(error.value)
        == "TrainConfig: min_level_count must be a whole number of at least 1, got 0"
    )
