"""Targets: inferred tasks, and conversion from cells to `y` and back."""

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plainnet.data.read_table import read_frame
from plainnet.data.targets import Target, drop_unlabeled
from plainnet.errors import DataError, ModelFileError


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})


def infer(values: list[Any], task: str | None = None) -> Target:
    return Target.infer(frame(y=values), ["y"], task)


def refusal(values: list[Any], task: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        infer(values, task)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["Yes", "No", "Yes"], "binary", ("No", "Yes")),
        (["yes", "no"], "binary", ("no", "yes")),
        (["1", "0"], "binary", ("0", "1")),
        (["1.0", "0.0"], "binary", ("0", "1")),
        ([True, False], "binary", ("False", "True")),
        (["on", "off"], "binary", ("off", "on")),
        (["10", "9"], "binary", ("9", "10")),
        (["Introvert", "Extrovert"], "binary", ("Extrovert", "Introvert")),
        (["a", "c", "b", "a"], "multiclass", ("a", "b", "c")),
        (["10", "9", "11", "9"], "multiclass", ("9", "10", "11")),
        ([0, 1, 2], "multiclass", ("0", "1", "2")),
        ([float(i % 3) for i in range(30)], "multiclass", ("0", "1", "2")),
        (["01", "02", "03"], "multiclass", ("01", "02", "03")),
        ([str(i % 10) for i in range(100)], "multiclass", tuple("0123456789")),
        ([str(i % 11) for i in range(100)], "regression", ()),
        ([str(i % 18 + 3 * (i % 18 > 15)) for i in range(100)], "regression", ()),
        ([str(5 * (i % 11)) for i in range(100)], "regression", ()),
        (
            [str(100 + (i % 12) ** 3) for i in range(100)],
            "multiclass",
            tuple(str(100 + i**3) for i in range(12)),
        ),
        (
            [str(4012888888881881 + i % 12 * (i % 12 + 99)) for i in range(100)],
            "multiclass",
            tuple(str(4012888888881881 + i * (i + 99)) for i in range(12)),
        ),
        ([str(i % 21) for i in range(100)], "regression", ()),
        ([str(i) for i in range(12)], "regression", ()),
        (["0.5", "1.5", "2.5"], "regression", ()),
        (["1,5", "2,5", "3,5"], "regression", ()),
        (["a;b", "b", ";"], "multilabel", ("a", "b")),
        (["a; b", "c"], "multilabel", ("a", "b", "c")),
    ],
)
def test_task_inference(values: list[Any], task: str, classes: tuple[str, ...]) -> None:
    target = infer(values)
    assert (target.task, target.classes) == (task, classes)


@pytest.mark.parametrize(
    ("values", "task", "n_out"),
    [
        (["0", "1"], "regression", 1),
        (["0", "1"], "multiclass", 2),
        (["0.5", "1.5", "2.5"], "multiclass", 3),
        (["a", "b"], "multilabel", 2),
        ([f"t{i}" for i in range(30)], "multiclass", 30),
    ],
)
def test_explicit_task(values: list[Any], task: str, n_out: int) -> None:
    target = infer(values, task)
    assert (target.task, target.n_out) == (task, n_out)


def test_task_inference_on_real_tables(shared_data: Path) -> None:
    output = {
        "abalone": ("rings", "regression"),
        "adult": ("income", "binary"),
        "german": ("risk", "binary"),
        "glass": ("type", "multiclass"),
        "mpg": ("mpg", "regression"),
        "oil-spill": ("spill", "binary"),
        "phoneme": ("nasal", "binary"),
        "titanic": ("survived", "binary"),
        "wine-red": ("quality", "multiclass"),
    }
    for name, (column, task) in output.items():
        rows = drop_unlabeled(read_frame(shared_data / "tables" / f"{name}.csv"), [column])
        assert Target.infer(rows, [column]).task == task, name
    cars = drop_unlabeled(read_frame(shared_data / "tables" / "mpg.csv"), ["model_year"])
    assert Target.infer(cars, ["model_year"]).task == "regression"
    assert Target.infer(cars, ["cylinders"]).task == "multiclass"


def test_binary_round_trip() -> None:
    target = infer(["No", "Yes", "Yes"])
    y = target.encode(frame(y=["Yes", " No "]))
    assert (y.dtype, y.tolist()) == (np.float32, [1, 0])
    assert target.n_out == 1
    for A in ([[0.51], [0.5]], [0.9, 0.1]):
        assert target.decode(A).tolist() == ["Yes", "No"]


def test_multiclass_round_trip() -> None:
    target = infer(["a", "b", "c"])
    y = target.encode(frame(y=["c", "a"]))
    assert (y.dtype, y.tolist()) == (np.int64, [2, 0])
    assert target.decode([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]]).tolist() == ["c", "a"]


def test_numeric_classes_in_any_spelling() -> None:
    target = infer(["1", "2", "3"])
    assert target.encode(frame(y=["1.0", " 2", "3e0"])).tolist() == [0, 1, 2]
    assert target.encode(pd.DataFrame({"y": [3.0, 1.0]})).tolist() == [2, 0]
    assert infer(["01", "1", "2"]).encode(frame(y=["01", "1"])).tolist() == [0, 1]


CARDS = ["4012888888881881", "1234567890123456789", "1234567890123456801"]
LONG = ["123456789012345678901234567890", "123456789012345678901234567891", "-5"]


@pytest.mark.parametrize("source", ["frame", "csv", "parquet"])
@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (pd.Series([*CARDS, None], dtype=object), CARDS),
        (pd.Series(CARDS).astype("int64"), CARDS),
        (pd.Series([*map(int, CARDS), None], dtype="Int64"), CARDS),
        (pd.Series([2.0**53 - 1, 1e15, None, 3]), ["3", "1000000000000000", "9007199254740991"]),
        (pd.Series(LONG), ["-5", *LONG[:2]]),
        (pd.Series(map(Decimal, LONG)), ["-5", *LONG[:2]]),
        (pd.Series(["007", "7", "008"]), ["007", "008", "7"]),
        (pd.Series([7, None, 8, 9], dtype="category"), ["7", "8", "9"]),
    ],
    ids=["text", "int64", "Int64", "float64", "30 digits", "decimal", "zeros", "category"],
)
def test_whole_number_classes_stay_as_written(
    values: "pd.Series[Any]", classes: list[str], source: str, tmp_path: Path
) -> None:
    rows = pd.DataFrame({"y": values})
    if source == "csv":
        rows.to_csv(tmp_path / "rows.csv", index=False)
        rows = read_frame(tmp_path / "rows.csv")
    elif source == "parquet":
        rows.to_parquet(tmp_path / "rows.parquet")
        rows = read_frame(tmp_path / "rows.parquet")
    rows = drop_unlabeled(rows, ["y"])
    target = Target.infer(rows, ["y"], "multiclass")
    assert sorted(target.classes) == sorted(classes)
    numeric = classes[0] != "007"
    assert list(target.classes) == (sorted(classes, key=int) if numeric else classes)
    written = [target.classes[i] for i in target.encode(rows)]
    assert [int(name) for name in written] == [int(float(v)) if source == "float64" else int(v)
                                               for v in values.dropna()]  # fmt: skip


def test_integer_classes_as_floats_raise() -> None:
    with pytest.raises(DataError) as caught:
        Target.infer(pd.DataFrame({"y": [1.0, 4e18, 5e18]}), ["y"], "multiclass")
    assert str(caught.value) == (
        "Data row 2, column 'y': '4000000000000000000' is a class in a column of floats, which may "
        "have lost its last digits; give the column as text or as integers (in pandas, as Int64 "
        "where cells are missing)."
    )


def test_equal_numeric_classes_raise() -> None:
    assert refusal(["1.1", "1.10", "1.2"], "multiclass") == (
        "The target 'y' holds '1.1' and '1.10', which are the same number; write them alike."
    )
    assert infer(["1", "1.0", "2.00", "3."], "multiclass").classes == ("1", "2", "3")


def test_multilabel_round_trip_in_one_column() -> None:
    target = infer(["red;round", "red", ";"])
    y = target.encode(frame(y=["round; red", ";", "round"]))
    assert (y.dtype, y.tolist()) == (np.float32, [[1, 1], [0, 0], [0, 1]])
    assert target.decode([[0.51, 0.5]]).tolist() == [[True, False]]


def test_multilabel_in_several_columns() -> None:
    rows = frame(red=["Yes", "No", "Yes"], round=["1", "0", "0"])
    target = Target.infer(rows, ["red", "round"])
    assert (target.task, target.classes, target.n_out) == ("multilabel", ("red", "round"), 2)
    assert target.encode(rows).tolist() == [[1, 1], [0, 0], [1, 0]]
    with pytest.raises(DataError) as caught:
        target.encode(rows.assign(round="2"))
    assert str(caught.value) == (
        "Data row 1, column 'round': '2' is neither Yes nor No, 1 nor 0, as this column needs."
    )


def test_regression_round_trip_with_training_statistics() -> None:
    rows = frame(y=["1.5", "3.5", "1,000.5"], z=["2", "2.5", "3"])
    target = Target.infer(rows, ["y", "z"])
    assert (target.task, target.n_out) == ("regression", 2)
    target = target.fit(rows.iloc[:2])
    # 1.5 and 3.5: mean 2.5, deviation 1; 2 and 2.5: mean 2.25, deviation 0.25.
    assert (target.mean, target.scale) == ((2.5, 2.25), (1.0, 0.25))
    y = target.encode(rows)
    assert (y.dtype, y.tolist()) == (np.float32, [[-1, -1], [1, 1], [998, 3]])
    assert target.decode(y).tolist() == [[1.5, 2], [3.5, 2.5], [1000.5, 3]]


def test_target_with_decimal_comma() -> None:
    target = infer(["1,5", "2,5", "3,5"])
    assert target.fit(frame(y=["1", "3"])).encode(frame(y=["2", "1.003"])).tolist() == [[0], [1001]]


def test_only_regression_targets_are_fitted() -> None:
    target = infer(["a", "b", "c"])
    assert target.fit(frame(y=["a"])) is target


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (
            ["a", "a"],
            None,
            "A binary target needs exactly 2 classes, and 'y' has 1 ('a'); "
            "choose another target or task.",
        ),
        (
            [],
            "binary",
            "A binary target needs exactly 2 classes, and 'y' has 0 (no rows); "
            "choose another target or task.",
        ),
        (
            ["a", "b", "c"],
            "binary",
            "A binary target needs exactly 2 classes, and 'y' has 3 ('a', 'b', 'c'); "
            "choose another target or task.",
        ),
        (
            ["Yes", "yes", "No"],
            None,
            "The target 'y' holds 'Yes' and 'yes', which differ in letter case alone; "
            "write them alike.",
        ),
        (
            ["5", "5"],
            "regression",
            "The target 'y' is 5 in every row; there is nothing to learn, choose another target.",
        ),
        (
            ["1.5", "x"],
            "regression",
            "Data row 2, column 'y': 'x' is not a number, as this column needs; correct the "
            "cell, or leave it empty.",
        ),
        (
            ["1", "inf", "2"],
            None,
            "Data row 2, column 'y': 'inf' is infinite; give a finite number, or leave the cell "
            "empty.",
        ),
        (
            ["a", None, "b", "NA"],
            None,
            "Data row 2, column 'y': the target is missing (so it is in 2 of 4 rows); fill these "
            "cells, or leave the rows out.",
        ),
        (
            [f"name {i}" for i in range(30)],
            None,
            "The target 'y' holds 30 different texts in 30 rows, too many to be classes; choose "
            "another target, or set the task.",
        ),
        ([";", ";"], None, "The target 'y' holds no label in any row; choose another."),
        (
            ["a", "b"],
            "clustering",
            "There is no task 'clustering'; choose one of binary, multiclass, multilabel, "
            "regression.",
        ),
    ],
)
def test_invalid_targets_raise(values: list[Any], task: str | None, message: str) -> None:
    assert refusal(values, task) == message


@pytest.mark.parametrize(
    ("columns", "task", "message"),
    [
        (["Y"], None, "The table has no column 'Y' (the target); did you mean 'y'?"),
        ([], None, "The target is given as []; name at least one column, and each once."),
        (["y", "y"], None, "The target is given as ['y', 'y']; name at least one column, and"),
        (["y", "z"], None, "The targets 'y', 'z' are neither all Yes/No nor all numbers; name"),
        (["y", "z"], "binary", "A binary target is one column, not 2; give one, or choose"),
    ],
)
def test_invalid_columns_raise(columns: list[str], task: str | None, message: str) -> None:
    with pytest.raises(DataError) as caught:
        Target.infer(frame(y=["a", "b"], z=["1", "2"]), columns, task)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("values", "new", "message"),
    [
        (["a", "b"], "c", "'c' is not among the binary classes 'a', 'b'."),
        (
            list("abcdef"),
            "z",
            "'z' is not among the multiclass classes 'a', 'b', 'c', 'd', 'e' and 1 more.",
        ),
        (["a;b", "a"], "b;c", "'b;c' is not among the multilabel classes 'a', 'b'."),
    ],
)
def test_unknown_classes_raise(values: list[Any], new: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        infer(values).encode(frame(y=[values[0], new]))
    assert str(caught.value).startswith(f"Data row 2, column 'y': {message}")


@pytest.mark.parametrize("shape", [(3, 2), (3,), (), (3, 3, 1)])
def test_predictions_of_wrong_shape_raise(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        infer(["a", "b", "c"]).decode(np.zeros(shape))
    assert str(caught.value) == (
        f"The multiclass target expects predictions of shape (m, 3), got {shape}."
    )


def test_rows_without_a_target_are_dropped_with_a_note() -> None:
    rows = frame(x=list(range(14)), y=["a", "?", *[None] * 10, "b", "c"])
    notes: list[str] = []
    kept = drop_unlabeled(rows, ["y"], notes)
    assert kept.index.tolist() == [0, 12, 13]
    assert notes == [
        "Left out without the target 'y': 11 data rows: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1 more."
    ]
    assert drop_unlabeled(kept, ["y"], notes) is kept
    assert len(notes) == 1
    with pytest.raises(DataError) as caught:
        drop_unlabeled(rows.iloc[1:4], ["y"])
    assert str(caught.value) == "All 3 rows miss the target 'y'; choose another target."


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["Yes", "No"], "binary: 'y' is 'No' (0) or 'Yes' (1)"),
        (["a", "b", "c"], "multiclass: 'y' has 3 classes: 'a', 'b', 'c'"),
        (["a;b"], "multilabel: 'y' has 2 labels: 'a', 'b'"),
        (["0.5", "1", "2"], "regression: 'y'"),
    ],
)
def test_summary_text(values: list[Any], text: str) -> None:
    assert infer(values).describe() == text


TARGETS = {
    "binary": infer(["a", "b"]),
    "multiclass": infer(["a", "b", "c"]),
    "multilabel": infer(["a;b", "c"]),
    "labels": Target.infer(frame(y=["1", "0"], z=["0", "1"]), ["y", "z"]),
    "regression": infer(["0.1", "0.7", "1e-9"]),
}


@pytest.mark.parametrize("name", TARGETS)
def test_target_json_round_trip(name: str) -> None:
    target = TARGETS[name]
    text = json.dumps(target.to_json())
    assert Target.from_json(json.loads(text)) == target
    assert json.dumps(Target.from_json(json.loads(text)).to_json()) == text


def loaded(value: object) -> Target | str:
    try:
        return Target.from_json(value)
    except ModelFileError as error:
        return str(error)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("key", ["task", "columns", "classes", "mean", "scale", "decimal", "more"])
@pytest.mark.parametrize(
    "value",
    [None, True, 1, "x", "binary", {}, [], ["a"], ["a", "b"], ["a", "a"], [0.0], [1e400], [None]],
)
def test_edited_target_raises_or_works(name: str, key: str, value: object) -> None:
    edited = copy.deepcopy(TARGETS[name].to_json())
    edited[key] = value
    target = loaded(edited)
    if isinstance(target, Target):
        assert target.to_json() == edited
        # Whatever is accepted can decode.
        assert len(target.decode(np.zeros((2, target.n_out)))) == 2
    else:
        assert target.startswith("The model file is damaged or was edited: ")
    del edited[key]
    if key != "more":
        with pytest.raises(ModelFileError, match="is absent"):
            Target.from_json(edited)


def test_inconsistent_target_fields_raise() -> None:
    edited = TARGETS["binary"].to_json() | {"classes": ["a", "b", "c"]}
    with pytest.raises(ModelFileError) as caught:
        Target.from_json(edited)
    assert str(caught.value) == (
        "The model file is damaged or was edited: the target's columns, classes, mean and scale do "
        "not fit its task, binary."
    )
