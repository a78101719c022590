"""Column kinds: statistics by hand, features, and notes about unusual cells."""

import numpy as np
import pandas as pd
import pytest

from plainnet.data.column_kinds import (
    MAX_LEVELS,
    CategoryColumn,
    Column,
    IndicatorColumn,
    LeftOutColumn,
    NumberColumn,
    YesNoColumn,
)
from plainnet.data.columns import Cells
from plainnet.data.series import read_series
from plainnet.errors import DataError


def cells(*values: object) -> Cells:
    return read_series(pd.Series(list(values), name="x", dtype=object))


def encoded(column: Column, *values: object) -> tuple[list[list[float]], list[str]]:
    notes: list[str] = []
    out = np.zeros((len(values), len(column.features)), np.float32)
    column.encode(cells(*values), out, notes)
    assert np.isfinite(out).all()
    return out.tolist(), notes


def test_numbers_are_filled_with_the_median_and_standardized() -> None:
    column = NumberColumn.fit(cells("1", "2", "9", None), ".")
    # Filled: 1, 2, 9, 2; mean 3.5; squared distances 6.25, 2.25, 30.25, 2.25, on average 10.25.
    assert (column.low, column.median, column.high, column.missing) == (1, 2, 9, 1)
    assert column.mean == 3.5
    assert column.scale == pytest.approx(10.25**0.5)
    assert column.features == ("x", "x: missing")
    X, notes = encoded(column, "3.5", None)
    assert X[0] == [0, 0]
    assert X[1] == [pytest.approx(-1.5 / 10.25**0.5), 1]
    assert notes == []


def test_new_missing_number_is_filled_with_a_note() -> None:
    column = NumberColumn.fit(cells("0", "2"), ".")
    assert column.features == ("x",)
    X, notes = encoded(column, "2", "?", None)
    assert X == [[1], [0], [0]]
    assert notes == [
        "Data row 2, column 'x': the cell is missing, as in no training row; it is filled with "
        "the median 1 (2 rows)."
    ]


def test_nearly_constant_number_stays_finite() -> None:
    column = NumberColumn.fit(cells("1e-320", "2e-320"), ".")
    assert column.varies
    assert encoded(column, "1e-320", "2e-320")[0] == [[0], [1]]


@pytest.mark.parametrize("value", ["0.1", "yes", "x"])
@pytest.mark.parametrize("values", [("",) * 3, ("?", "")])
def test_single_value_is_constant(value: str, values: tuple[str, ...]) -> None:
    one = cells(*(word or value for word in values))  # 30 times 0.1 have a deviation above 0
    kinds = {
        "0.1": lambda: NumberColumn.fit(cells(*["0.1"] * 30, *values), "."),
        "yes": lambda: YesNoColumn.fit(one),
        "x": lambda: CategoryColumn.fit(one),
    }
    assert not kinds[value]().varies


def test_missing_indicator() -> None:
    column = IndicatorColumn.fit(cells("x", None, "x"))
    assert (column.varies, column.features, column.missing) == (True, ("x: missing",), 1)
    assert encoded(column, "x", None, "y") == ([[0], [1], [0]], [])
    assert IndicatorColumn.fit(cells("x", "x")).varies is False


def test_invalid_numbers_raise_in_fit() -> None:
    with pytest.raises(DataError) as caught:
        NumberColumn.fit(cells("1e308", "-1e308", "1e308"), ".")
    assert str(caught.value) == (
        "Column 'x' holds numbers too large to standardize (up to 1e+308); "
        "give them in another unit."
    )


def test_decimal_comma_is_used_in_prediction() -> None:
    column = NumberColumn.fit(cells("1,5", "2,5"), ",")
    assert encoded(column, "2,5", "1.002", 2.0)[0] == [[1], [2000], [0]]
    out = np.zeros((1, 1), np.float32)
    column.encode(read_series(pd.Series([2.5], name="x")), out, None)
    assert out == 1
    with pytest.raises(DataError, match=r"Data row 1, column 'x': '2\.5' is not a number"):
        encoded(column, "2.5")


def test_yes_and_no() -> None:
    column = YesNoColumn.fit(cells("Yes", "No", "yes", None))
    assert (column.yes, column.no, column.missing) == (2, 1, 1)
    X, notes = encoded(column, "no", True, None, "maybe", "1")
    assert X == [[0, 0], [1, 0], [1, 1], [1, 1], [1, 0]]
    assert notes == [
        "Data row 4, column 'x': 'maybe' is neither Yes nor No; it is read as missing, that is, "
        "as Yes (1 row)."
    ]


def test_yes_and_no_without_missing_cells() -> None:
    column = YesNoColumn.fit(cells("y", "n"))
    X, notes = encoded(column, None, "y")
    assert X == [[0], [1]]
    assert notes == [
        "Data row 1, column 'x': the cell is missing, as in no training row; it is filled with "
        "No (1 row)."
    ]
    with pytest.raises(DataError) as caught:
        YesNoColumn.fit(cells("y", "perhaps"))
    assert str(caught.value) == (
        "Data row 2, column 'x': 'perhaps' is neither Yes nor No, 1 nor 0, as this column needs."
    )


def test_category_is_one_hot_with_unknown() -> None:
    column = CategoryColumn.fit(cells("b", "a", "b", None))
    assert column.features == ("x=a", "x=b", "x: missing")
    X, notes = encoded(column, "a", "b", "c", None, "c")
    assert X == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert notes == [
        "Data row 3, column 'x': 'c' is not among the categories that the model knows; it is read "
        "as unknown (2 rows)."
    ]


def test_notes_about_unknown_categories_are_limited() -> None:
    column = CategoryColumn.fit(cells("a", "b"))
    _, notes = encoded(column, *(f"new {i}" for i in range(2000)), "new 1999")
    assert len(notes) == 6
    assert notes[-1] == "Column 'x': the same for 1,995 more values (1,996 rows)."


def test_most_frequent_levels_are_kept() -> None:
    frequent = [f"f{i:03}" for i in range(MAX_LEVELS)]
    column = CategoryColumn.fit(cells(*frequent, *frequent, "rare", "f000"))
    assert column.levels == tuple(frequent)
    assert column.fill == "f000"
    assert encoded(column, "rare")[0] == [[0] * MAX_LEVELS]


def test_row_order_has_no_effect() -> None:
    values = ["b", "a", "c", "a", "b", None]
    assert CategoryColumn.fit(cells(*values)) == CategoryColumn.fit(cells(*values[::-1]))
    assert CategoryColumn.fit(cells(*values)).fill == "a"


@pytest.mark.parametrize(
    ("column", "summary", "encoding"),
    [
        (
            NumberColumn.fit(cells("1", "3"), "."),
            "1 to 3, median 2",
            "standardized (mean 2, deviation 1)",
        ),
        (
            NumberColumn.fit(cells("1", "3", None), "."),
            "1 to 3, median 2",
            "missing = 2, marked; standardized (mean 2, deviation 0.8165)",
        ),
        (YesNoColumn("x", 2, 1000, 5), "5 No, 1,000 Yes", "missing = Yes, marked; No = 0, Yes = 1"),
        (CategoryColumn("x", 0, ("a", "b"), "a"), "'a', 'b'", "one-hot, 2 levels; unknown = all 0"),
        (
            CategoryColumn("x", 1, tuple("abcdef"), "a"),
            "'a', 'b', 'c', 'd', 'e' and 1 more",
            "missing = 'a', marked; one-hot, 6 levels; unknown = all 0",
        ),
        (LeftOutColumn("x", 0, "constant", "always 'a'"), "always 'a'", "left out, no effect"),
        (IndicatorColumn("x", 1, "always 'a'"), "always 'a'", "missing = 1, any value = 0"),
    ],
)
def test_summary_text(column: Column, summary: str, encoding: str) -> None:
    assert column.summary == summary
    assert column.encoding == encoding
