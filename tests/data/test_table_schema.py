"""Table schema: inference, summary, overrides, fitting, storage and strict prediction."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import plainnet.data.table_schema as tables
from plainnet.data.column_kinds import CategoryColumn
from plainnet.data.read_table import read_frame
from plainnet.data.table_schema import TableSchema
from plainnet.errors import DataError, ModelFileError, PlainnetError

TRAINING = pd.DataFrame(
    {
        "age": ["20", "40", None, "60"],
        "city": ["Oslo", "Bo", "Bo", "Rome"],
        "happy": ["Yes", "No", "no", None],
        "unit": ["cm"] * 4,
    }
)


def kinds(**columns: list[Any]) -> dict[str, str]:
    # One column that is always used, so that the others may be left out.
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    schema = TableSchema.infer(frame.assign(used=range(len(frame))))
    return {column.name: column.kind for column in schema.columns if column.name != "used"}


TEN = range(10)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "1e3"], "number"),
        (["1,234", "5"], "number"),
        ([" 5 ", "6", ""], "number"),
        (["0", "1", "1"], "number"),
        (["-3", "4"], "number"),
        ([1, 2.5, None], "number"),
        (["00042", "00043", "00042"], "category"),
        (["00042", "5", "00042"], "category"),
        (["1", "2", "3+"], "category"),
        (["red", "blue", "red"], "category"),
        (["2020-01-02", "2020-01-03", "2020-01-02"], "category"),
        (["12 %", "13 %", "12 %"], "category"),
        (["Yes", "no", "YES"], "yesno"),
        (["y", "n", None], "yesno"),
        ([True, False, None], "yesno"),
        (["yes", None, None], "indicator"),
        (["x", None, None], "indicator"),
        ([None, "NA", ""], "constant"),
        (["5", "5", None], "indicator"),
        (["5", "5", "5"], "constant"),
        (["x", "x", "x"], "constant"),
        ([f"name {i}" for i in TEN], "identifier"),
        ([f"{i:05}" for i in TEN], "identifier"),
        ([f"name {i}" for i in range(9)], "category"),
        ([f"name {i // 2}" for i in range(60)], "category"),
        ([f"name {max(i, 20)}" for i in range(60)], "identifier"),
        ([f"2020-01-{i:02}" for i in range(1, 31)], "identifier"),
        ([str(i) for i in TEN], "number"),
    ],
)
def test_column_kind_inference(values: list[Any], kind: str) -> None:
    assert kinds(x=values) == {"x": kind}


@pytest.mark.parametrize(
    "name", ["id", "ID", "PassengerId", "customerID", "user_id", "row id", "index", "Unnamed: 0"]
)
def test_identifier_names(name: str) -> None:
    assert kinds(**{name: [str(7 * i) for i in TEN]}) == {name: "identifier"}
    assert kinds(**{name: [str(i % 5) for i in TEN]}) == {name: "number"}
    assert kinds(**{name: [str(i + 0.5) for i in TEN]}) == {name: "number"}


@pytest.mark.parametrize("name", ["x", "paid", "humid", "width", "year", "acidity"])
def test_whole_numbers_under_other_names_are_numbers(name: str) -> None:
    assert kinds(**{name: [str(i) for i in TEN]}) == {name: "number"}


def test_pandas_categorical_is_never_a_number() -> None:
    frame = pd.DataFrame({"x": pd.Categorical([1, 2, 1])})
    assert TableSchema.infer(frame).feature_names == ("x=1", "x=2")


def test_features_by_hand() -> None:
    schema = TableSchema.infer(TRAINING)
    assert schema.feature_names == (
        *("age", "age: missing"),
        *("city=Bo", "city=Oslo", "city=Rome"),
        *("happy", "happy: missing"),
    )
    assert schema.n_features == 7
    X = schema.transform(TRAINING)
    assert (X.dtype, X.shape, X.flags.c_contiguous) == (np.float32, (4, 7), True)
    # 20, 40, 40, 60: mean 40, variance 200.
    s = 20 / 200**0.5
    expected = [
        [-s, 0, 0, 1, 0, 1, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [s, 0, 0, 0, 1, 0, 1],
    ]
    np.testing.assert_allclose(X, expected, rtol=1e-6)


def test_statistics_use_only_training_rows() -> None:
    schema = TableSchema.infer(TRAINING).fit(TRAINING.iloc[[0, 1]])
    assert schema.rows == 2
    assert schema.feature_names == ("age", "city=Bo", "city=Oslo", "happy")
    notes: list[str] = []
    # 20 and 40: mean 30, deviation 10.
    assert schema.transform(TRAINING, notes)[:, 0].tolist() == [-1, 1, 0, 3]
    assert notes == [
        "Data row 3, column 'age': the cell is missing, as in no training row; it is filled with "
        "the median 30 (1 row).",
        "Data row 4, column 'city': 'Rome' is not among the categories that the model knows; it is "
        "read as unknown (1 row).",
        "Data row 4, column 'happy': the cell is missing, as in no training row; it is filled with "
        "No (1 row).",
    ]


def test_text_and_typed_cells_give_the_same_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    typed = pd.DataFrame(
        {
            "f": rng.normal(size=50),
            "i": pd.array(rng.integers(0, 9, 50), "Int64"),
            "b": rng.random(50) < 0.5,
            "s": rng.choice(["a", "b", None], 50),
        }
    )
    typed.loc[[3, 7], ["f", "i"]] = None
    typed.to_csv(tmp_path / "t.csv", index=False)
    typed.to_parquet(tmp_path / "t.parquet")
    csv, parquet = read_frame(tmp_path / "t.csv"), read_frame(tmp_path / "t.parquet")
    schema = TableSchema.infer(csv)
    assert schema == TableSchema.infer(parquet) == TableSchema.infer(typed)
    for frame in (parquet, typed):
        np.testing.assert_array_equal(schema.transform(csv), schema.transform(frame))


def test_kinds_can_be_overridden() -> None:
    frame = pd.DataFrame({"zip": ["00042", "00043"], "n": ["1", "0"], "m": ["5", "6"]})
    schema = TableSchema.infer(frame, kinds={"zip": "number", "n": "yesno", "m": "category"})
    assert [c.kind for c in schema.columns] == ["number", "yesno", "category"]
    assert schema.transform(frame)[0].tolist() == [-1, 1, 1, 0]
    given = {"zip": "indicator", "n": "indicator"}
    shown = pd.DataFrame({"zip": ["00042", None], "n": ["1", "0"], "m": ["5", "6"]})
    schema = TableSchema.infer(shown, kinds=given)
    assert [c.kind for c in schema.columns] == ["indicator", "constant", "number"]
    assert schema.transform(shown).tolist() == [[0, -1], [1, 1]]
    left_out = TableSchema.infer(frame, kinds={"zip": "identifier", "m": "constant"})
    assert left_out.feature_names == ("n",)
    shown = ("zip", "identifier", "2 different in 2 rows", "none", "left out, no effect")
    assert left_out.describe()[0] == shown
    # A column left out may be missing in all rows.
    empty = TableSchema.infer(frame.assign(e=None), kinds={"e": "identifier", "zip": "category"})
    assert empty.describe()[-1].missing == "2 of 2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"exclude": ["Age"]},
            "The table has no column 'Age' (to be left out); did you mean 'age'?",
        ),
        (
            {"kinds": {"citi": "category"}},
            "The table has no column 'citi' (to be read as category); did you mean 'city'?",
        ),
        (
            {"kinds": {"age": "int"}},
            "Column 'age' cannot be of kind 'int'; the kinds are number, category, yesno, "
            "indicator, identifier, constant.",
        ),
        (
            {"kinds": {"city": "number"}},
            "Data row 1, column 'city': 'Oslo' is not a number, as this column needs; correct "
            "the cell, or leave it empty.",
        ),
        (
            {"exclude": ["age", "city", "happy"]},
            "No column is left to learn from: 'unit' is left out as constant (always 'cm'); give "
            "the table more columns, or set the kind of one of them.",
        ),
        (
            {"exclude": ["age", "city", "happy", "unit"]},
            "No column is left to learn from: all are excluded; give the table "
            "more columns, or set the kind of one of them.",
        ),
    ],
)
def test_invalid_options_raise(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        TableSchema.infer(TRAINING, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            ["1", "inf"],
            "Data row 2, column 'x': 'inf' is infinite; give a finite number, or leave the cell "
            "empty.",
        ),
        (
            [-np.inf, 1.0],
            "Data row 1, column 'x': '-inf' is infinite; give a finite number, or leave the cell "
            "empty.",
        ),
    ],
)
def test_invalid_columns_raise(column: list[Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        TableSchema.infer(pd.DataFrame({"x": column, "y": ["1", "2"]}))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"age": ["5", "thirty"]},
            "Data row 2, column 'age': 'thirty' is not a number, as this column needs; correct "
            "the cell, or leave it empty.",
        ),
        (
            {"age": ["5", "inf"]},
            "Data row 2, column 'age': 'inf' is infinite; give a finite number, or leave the cell "
            "empty.",
        ),
        (
            {"age": [5.0, np.inf]},
            "Data row 2, column 'age': 'inf' is infinite; give a finite number, or leave the cell "
            "empty.",
        ),
        (
            {"age": ["1e300", "5"]},
            "Data row 1, column 'age': '1e300' is too far from the training rows' mean 40.",
        ),
        (
            {"age": ["5", "x" * 100]},
            "Data row 2, column 'age': '" + "x" * 58 + "… is not a number, as this column "
            "needs; correct the cell, or leave it empty.",
        ),
    ],
)
def test_invalid_cells_in_prediction_raise(change: dict[str, Any], message: str) -> None:
    schema = TableSchema.infer(TRAINING)
    frame = pd.DataFrame({"city": ["Bo", "Bo"], "happy": ["Yes", "No"]} | change)
    with pytest.raises(DataError) as caught:
        schema.transform(frame)
    assert str(caught.value) == message


def test_missing_and_additional_columns() -> None:
    schema = TableSchema.infer(TRAINING)
    with pytest.raises(DataError) as caught:
        schema.transform(TRAINING.rename(columns={"city": "City"}))
    assert str(caught.value) == (
        "The table has no column 'city' (which the model was trained with); did you mean 'City'?"
    )
    notes: list[str] = []
    # A column that was left out may be absent; the order of columns does not matter.
    frame = TRAINING.drop(columns="unit").assign(extra="?")[["extra", "happy", "city", "age"]]
    np.testing.assert_array_equal(schema.transform(frame, notes), schema.transform(TRAINING))
    assert notes == ["Column 'extra' is unknown to the model and ignored."]


def test_every_column_is_looked_up_once() -> None:
    """In a list of 40,000 names, all the lookups took 12 seconds."""

    class Name(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    frame = pd.DataFrame({f"c{i}": [0, 1] for i in range(300)})
    schema = TableSchema.infer(frame)
    columns = tuple(replace(column, name=Name(column.name)) for column in schema.columns)
    TableSchema(columns, schema.rows).transform(frame)
    assert Name.compared < 20 * 300


def test_empty_dataframe() -> None:
    schema, before = TableSchema.infer(TRAINING), TRAINING.copy()
    assert schema.transform(TRAINING.iloc[:0]).shape == (0, 7)
    schema.transform(TRAINING)
    pd.testing.assert_frame_equal(TRAINING, before)


def attempt(make: Callable[[Any], TableSchema], value: object) -> TableSchema | str:
    """What `make` returns, or says."""
    try:
        return make(value)
    except PlainnetError as error:
        return str(error)


CELL = st.one_of(
    st.none(),
    st.sampled_from(["Yes", "no", "a", "b", "00042", "1,5", "NA", "[red]", "ä\n"]),
    st.floats(-1e9, 1e9).map(repr),
    st.integers(-5, 5).map(str),
)


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=2, max_size=30))
def test_schema_json_round_trip(rows: list[list[str | None]]) -> None:
    frame = pd.DataFrame(rows, columns=["p", "q", "r"], dtype=object)
    schema = attempt(TableSchema.infer, frame)
    if isinstance(schema, str):
        assert schema.endswith(".")
        return
    text = json.dumps(schema.to_json())
    back = TableSchema.from_json(json.loads(text))
    assert back == schema
    assert json.dumps(back.to_json()) == text == json.dumps(TableSchema.infer(frame).to_json())
    X = schema.transform(frame)
    assert X.shape == (len(rows), back.n_features) == (len(rows), len(back.feature_names))
    assert np.isfinite(X).all()
    np.testing.assert_array_equal(back.transform(frame), X)
    # One by one gives what all together do.
    np.testing.assert_array_equal(back.transform(frame.iloc[[0]]), X[:1])


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list)
        else ()
    )  # fmt: skip
    return [path, *(p for key, item in items for p in paths(item, (*path, key)))]


GOOD = TableSchema.infer(TRAINING).to_json()


def replaced(path: tuple[Any, ...], value: object) -> object:
    if not path:
        return value
    whole: Any = copy.deepcopy(GOOD)
    part = whole
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return whole


@pytest.mark.parametrize("path", paths(GOOD))
@pytest.mark.parametrize("value", [None, True, -1, 1e400, "zzz", [], [None], {}, {"kind": []}])
def test_edited_schema_raises_or_works(path: tuple[Any, ...], value: object) -> None:
    edited = replaced(path, value)
    schema = attempt(TableSchema.from_json, edited)
    if isinstance(schema, TableSchema):
        # What is accepted has to be of the right type: a text for a text, a number for a number.
        assert schema.to_json() == edited
    else:
        assert schema.startswith("The model file is damaged or was edited: ")
        assert schema.endswith(".")


@pytest.mark.parametrize("path", [path for path in paths(GOOD) if path])
def test_incomplete_schema_raises(path: tuple[Any, ...]) -> None:
    edited: Any = copy.deepcopy(GOOD)
    part = edited
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    if isinstance(path[-1], int):  # a column, or a level, fewer: a smaller schema
        return
    with pytest.raises(ModelFileError, match=r"is absent\.$"):
        TableSchema.from_json(edited)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("kind",), "image", "field 'kind' of the table's schema should be one of 'table', but is"),
        (("rows",), 0, "field 'rows' of the table's schema should be a whole number from 1 to"),
        (("more",), 1, "the table's schema has the unknown field 'more'"),
        (("columns", 0, "more"), 1, "column 1 has the unknown field 'more'"),
        (
            ("columns", 0, "missing"),
            5,
            "'missing' of column 1 should be a whole number from 0 to 4",
        ),
        (("columns", 0, "scale"), 0.0, "'scale' of column 1 should be a finite number above zero"),
        (
            ("columns", 1, "fill"),
            "Pisa",
            "'fill' of column 2 should be one of 'Bo', 'Oslo', 'Rome'",
        ),
        (("columns", 0, "low"), 1e9, "low, median, high, mean and scale of column 1 do not fit"),
        (("columns", 0, "scale"), 5e-324, "and scale of column 1 do not fit each other"),
        (("columns", 1, "levels"), [], "'fill' of column 2 should be one of"),
        (("columns", 1, "name"), "age", "the columns of the table's schema should have different"),
        (("columns",), [], "the columns of the table's schema should have different names and at"),
        (
            ("columns", 3),
            {"kind": "indicator", "name": "note", "missing": 0, "values": "always 'x'"},
            "column 4 should miss some cells.",
        ),
        (("columns",), [GOOD["columns"][3]], "different names and at least one feature"),  # type: ignore[index]
    ],
)
def test_edited_schema_messages(path: tuple[Any, ...], value: object, message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        TableSchema.from_json(replaced(path, value))
    assert message in str(caught.value)


def test_real_survey(shared_data: Path) -> None:
    frame = read_frame(shared_data / "introverts.csv")
    schema = TableSchema.infer(frame, exclude=["Personality"])
    assert [column.kind for column in schema.columns] == [
        *("number", "yesno", "number", "number", "yesno", "number", "number")
    ]
    assert [column.missing for column in schema.columns] == [48, 56, 51, 57, 44, 65, 52]
    X = schema.transform(frame)
    assert X.shape == (2320, 14)
    numbers = X[:, [0, 4, 6, 10, 12]].astype(float)
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(numbers.std(axis=0), 1, rtol=1e-6)
    typed = pd.read_csv(shared_data / "introverts.csv")
    np.testing.assert_array_equal(schema.transform(typed), X)


# --- many rows of many features ------------------------------------------------------------------


def many_levels(n):
    levels = tuple(sorted(f"level {i}" for i in range(n)))
    return TableSchema((CategoryColumn("c", 0, levels, levels[0]),), n)


def test_blocks_equal_the_whole_table(monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 64)
    frame = pd.DataFrame(
        {
            "city": ["Oslo", "Bo", "Rome", None] * 25,
            "n": [*range(99), None],
            "sure": ["yes", "no", "?", "perhaps"] * 25,
        }
    )
    schema = TableSchema.infer(frame[:50], kinds={"sure": "category"})
    new = pd.concat([frame, frame.assign(city="Paris")])[["sure", "n", "city"]].assign(more=1)
    whole, parts = [], []
    X = schema.transform(new, whole)
    blocks = list(schema.blocks(new, parts))
    assert len(blocks) > 10
    assert np.array_equal(np.concatenate(blocks), X)
    assert whole == parts
    assert len(whole) >= 3
    assert [len(block) for block in schema.blocks(new[:0])] == [0]


def test_invalid_cell_raises_before_the_first_block(monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 8)
    frame = pd.DataFrame({"n": [*range(60)]})
    schema = TableSchema.infer(frame)
    with pytest.raises(DataError) as error:
        next(schema.blocks(frame.astype(str).replace("58", "many")))
    assert str(error.value) == (
        "Data row 59, column 'n': 'many' is not a number, as this column needs; correct the "
        "cell, or leave it empty."
    )


def test_table_beyond_memory_raises():
    schema = many_levels(20_000)
    frame = pd.DataFrame({"c": ["level 7"] * 60_000})
    with pytest.raises(DataError) as error:
        schema.transform(frame)
    assert str(error.value) == (
        "The 60,000 rows become 20,000 numbers each, which would take 4.8 GB of memory, more than "
        "0.5 GB; give fewer rows, or leave out columns of many levels."
    )
    assert schema.transform(frame[:10]).sum() == 10


def test_large_numeric_table_is_accepted(monkeypatch):
    monkeypatch.setattr(tables, "MAX_FEATURES", 100)
    frame = pd.DataFrame(np.arange(600.0).reshape(100, 6), columns=list("abcdef"))
    assert TableSchema.infer(frame).transform(frame).shape == (100, 6)


def test_long_table_is_encoded_like_its_parts() -> None:
    rng = np.random.default_rng(0)
    numbers = [f"{x:.4g}" for x in rng.normal(0, 100, 60_000)]
    numbers[7], numbers[40_000], numbers[50_000] = "1,234.5", "NA", " +3"
    frame = pd.DataFrame({"n": numbers, "comma": [x.replace(".", ",") for x in numbers]})
    frame["comma"] = frame["comma"].replace("1,234,5", "1.234,5")
    frame["level"] = rng.choice(["a", "b", None], 60_000)
    schema = TableSchema.infer(frame)
    assert [column.kind for column in schema.columns] == ["number", "number", "category"]
    X = schema.transform(frame)
    assert (
        X[7, 0]
        == X[7, 2]
        == np.float32((1234.5 - schema.columns[0].mean) / schema.columns[0].scale)
    )
    parts = [schema.transform(frame.iloc[i : i + 20_000]) for i in range(0, 60_000, 20_000)]
    np.testing.assert_array_equal(X, np.concatenate(parts))
    new, notes, few = frame.assign(level="z", other="?", n="5"), [], []
    schema.transform(new, notes)
    schema.transform(new.iloc[:10], few)
    assert [note.replace("60,000", "10") for note in notes] == few
