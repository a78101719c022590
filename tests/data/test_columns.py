"""Cells of a column: text and typed values, each distinct value once."""

import datetime
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.data.columns import Cells, number_from_text, text_from_number
from plainnet.data.series import read_series
from plainnet.errors import DataError


def read(*values: object, dtype: object = object) -> Cells:
    return read_series(pd.Series(list(values), name="x", dtype=dtype))


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("5", 5, 5),
        ("-1.5", -1.5, None),
        ("+.5", 0.5, None),
        ("1e3", 1000, 1000),
        ("1E-3", 0.001, 0.001),
        ("1,234", 1234, 1.234),
        ("-12,345,678.5", -12345678.5, None),
        ("1.234", 1.234, 1234),
        ("1.234,5", None, 1234.5),
        ("1,5", None, 1.5),
        ("0,123", None, 0.123),
        ("1,23,456", None, None),
        ("1234,567", None, 1234.567),
        ("inf", math.inf, math.inf),
        ("-Infinity", -math.inf, -math.inf),
        ("1e999", math.inf, math.inf),
        ("1_000", None, None),
        ("0x10", None, None),
        ("5 %", None, None),
        ("$5", None, None),
        ("1 000", None, None),
        ("2020-01-01", None, None),
        ("five", None, None),
        ("-", None, None),
    ],
)
def test_number_spellings(text: str, point: float | None, comma: float | None) -> None:
    for decimal, expected in ((".", point), (",", comma)):
        number = number_from_text(text, decimal)
        assert math.isnan(number) if expected is None else number == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.6e9, "1600000000"),
        (1700000000.5, "1700000000.5"),
        (0.1, "0.1"),
        (-0.0, "0"),
        (1e-6, "0.000001"),
        (1.25e-7, "1.25e-7"),
        (2.0**53, "9007199254740992"),
        (1e20, "100000000000000000000"),
        (1.5e21, "1.5e+21"),
    ],
)
def test_number_formatting(value: float, text: str) -> None:
    assert text_from_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_text_round_trip(value: float) -> None:
    assert number_from_text(text_from_number(value)) == value


@pytest.mark.parametrize(
    ("values", "dtype", "texts"),
    [
        ((3, 1, 3), "int64", ["3", "1"]),
        ((3, 1), "uint8", ["3", "1"]),
        ((2**63 + 1,), "uint64", ["9223372036854775809"]),
        ((3, None, 1), "Int64", ["3", "1"]),
        ((3, 1), "Int64", ["3", "1"]),
        ((2**62 + 1, None, 2**62 + 3), "Int64", ["4611686018427387905", "4611686018427387907"]),
        ((2**63 + 1, None), "UInt64", ["9223372036854775809"]),
        ((2**62 + 1, None), "int64[pyarrow]", ["4611686018427387905"]),
        ((2**62 + 1, 3), "category", ["3", "4611686018427387905"]),
        ((4012888888881881.0, 0.5), "float64", ["4012888888881881", "0.5"]),
        ((Decimal(10**29 + 1), Decimal("sNaN")), object, ["100000000000000000000000000001"]),
        (
            (datetime.timedelta(1), datetime.timedelta(-1, 5)),
            object,
            ["1 days", "-1 days +00:00:05"],
        ),
        (("1 days", None), "timedelta64[ns]", ["1 days"]),
        ((np.datetime64("2020-01-02"), np.timedelta64("NaT"), "a"), object, ["2020-01-02", "a"]),
        ((3.0, np.nan, 0.5), "float64", ["3", "0.5"]),
        ((0.5, 2.0), "float16", ["0.5", "2"]),
        ((0.5, None), "Float64", ["0.5"]),
        ((True, False, True), "bool", ["True", "False"]),
        ((True, None), "boolean", ["True"]),
        (("a", "b", None), "string", ["a", "b"]),
        ((" a", "a ", "b"), "category", ["a", "b"]),
        ((2, 1, 2), "category", ["1", "2"]),
        (("2020-01-02", None), "datetime64[ns]", ["2020-01-02"]),
        (("2020-01-02 10:30",), "datetime64[ns]", ["2020-01-02 10:30:00"]),
        ((datetime.date(2020, 1, 2), datetime.time(9)), object, ["2020-01-02", "09:00:00"]),
        ((Decimal("1.50"), Decimal("NaN"), Decimal(2)), object, ["1.5", "2"]),
        ((True, 1, 0.5, "z", None, pd.NA, pd.NaT, float("nan")), object, ["True", "1", "0.5", "z"]),
    ],
)
def test_typed_values_as_text(values: tuple[object, ...], dtype: object, texts: list[str]) -> None:
    assert read(*values, dtype=dtype).texts() == texts


def test_typed_number_in_a_column_with_decimal_commas() -> None:
    for values in ((1.234, None), (1.234, 5), (Decimal("1.234"), None)):
        assert read(*values).numbers(",")[0] == 1.234


@given(st.timedeltas())
def test_durations_match_pandas(span: datetime.timedelta) -> None:
    try:
        expected = str(pd.Timedelta(span))
    except pd.errors.OutOfBoundsTimedelta:
        return
    for clock in (" 00:00:00", " +00:00:00"):  # which a CSV of whole days does not have either
        expected = expected.removesuffix(clock)
    assert read(span, "a").texts()[0] == expected


def test_text_and_typed_values_give_the_same_codes() -> None:
    text, typed = read(" 3", "NA", "1 ", "3"), read(3.0, None, 1.0, 3.0, dtype=float)
    assert text.codes.tolist() == typed.codes.tolist() == [0, -1, 1, 0]
    for cells in (text, typed):
        np.testing.assert_array_equal(cells.numbers(), [3.0, np.nan, 1.0, 3.0])
    assert text.counts().tolist() == typed.counts().tolist() == [2, 1]
    assert text.missing == typed.missing == 1


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1], "list"),
        (b"x", "bytes"),
        ({}, "dict"),
        (1j, "complex"),
    ],
)
def test_invalid_cells_raise(value: object, kind: str) -> None:
    with pytest.raises(DataError) as caught:
        read("a", value)
    assert str(caught.value) == (
        f"Data row 2, column 'x': the cell holds a {kind} instead of text, a number, true or "
        "false, or a date; convert it to one of these."
    )


def test_row_labels_name_their_file() -> None:
    frame = pd.DataFrame({"x": ["a", "b", "c"]})
    assert read_series(frame.iloc[[2, 0]]["x"]).rows.tolist() == [3, 1]
    named = pd.DataFrame({"x": ["a", "b"]}, index=["p", "q"])
    assert read_series(named["x"]).rows.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "decimal"),
    [
        (("1", "2.5"), "."),
        (("1,234", "5"), "."),
        (("1,5", "2"), ","),
        (("1.234,5", "1,5"), ","),
        (("1.5", "1,5"), "."),
        (("a", "1,5"), "."),
    ],
)
def test_decimal_comma_requires_all_cells(values: tuple[str, ...], decimal: str) -> None:
    assert read(*values).decimal == decimal


@pytest.mark.parametrize(
    ("values", "numeric", "yes_no"),
    [
        (("1", "2.5"), True, False),
        (("00042", "1"), False, False),
        (("1", "-007"), False, False),
        (("0", "0.5"), True, False),
        (("a", "1"), False, False),
        (("Yes", "no", "YES"), False, True),
        (("y", "N"), False, True),
        (("TRUE", "false"), False, True),
        (("N", "F"), False, False),
        (("yes", "n"), False, False),
        (("1_000", "2"), False, False),
        (("yes",), False, True),
        ((), True, False),
    ],
)
def test_cell_inspection(values: tuple[str, ...], numeric: bool, yes_no: bool) -> None:
    assert read(*values).are_numbers() is numeric
    assert read(*values).are_yes_no() is yes_no


def test_one_word_among_many_numbers_raises() -> None:
    values = [str(i) for i in range(39)]
    with pytest.raises(DataError) as caught:
        read(*values, "abc").are_numbers()
    assert str(caught.value) == (
        "Data row 40, column 'x': 'abc' is not a number, but 97.5 % of the column's values are; "
        "correct the cell, leave it empty, or set the column's kind."
    )
    assert not read(*values[:19], "abc").are_numbers()
    assert not read(*values, *"abcdefg").are_numbers()


def test_yes_no_spellings() -> None:
    answers = read("Yes", "n", "T", "false", "ON", "0", "1", "maybe").answers()
    assert answers[:-1].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert math.isnan(answers[-1])


def test_invalid_numbers_raise() -> None:
    for value, what in (
        ("x", "is not a number, as this column needs; correct the cell, or leave it empty"),
        ("-inf", "is infinite; give a finite number, or leave the cell empty"),
    ):
        with pytest.raises(DataError) as caught:
            read("1", value).finite(".")
        assert str(caught.value) == f"Data row 2, column 'x': {value!r} {what}."
    with pytest.raises(DataError, match=r"'1e300' is too far from the training rows' mean 0\."):
        read("1", "1e300").standardized(".", 0.0, 1.0)
