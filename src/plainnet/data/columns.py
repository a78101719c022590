"""The cells of a column as text or as numbers, each distinct value once."""

import datetime
import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Self, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plainnet.data.read_table import MISSING
from plainnet.errors import DataError
from plainnet.storage.json_reader import shortened

YES_NO_PAIRS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"))
MANY = 20  # distinct values; more are many, in every rule that infers a kind or a task

_YES_NO = {text: float(i) for pair in (*YES_NO_PAIRS, ("0", "1")) for i, text in enumerate(pair)}
_LEADING_ZERO = re.compile(r"\0[+-]?0[0-9]")
_MOSTLY = 0.9  # share of numbers from which the other values of a column count as mistakes
_DIGITS = 400  # more than any float has before its decimal point
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_SWAP_POINT = str.maketrans(".,", ",.")


def number_from_text(text: str, decimal: str = ".") -> float:
    """Read ``5``, ``-1.5``, ``1e3`` or ``1,234``, with a decimal comma ``1.234,5``; else NaN."""
    if decimal == ",":
        text = text.translate(_SWAP_POINT)
    try:
        return np.nan if "_" in text else float(text)
    except ValueError:
        return float(text.replace(",", "")) if _GROUPED.fullmatch(text) else np.nan


def text_from_number(value: float) -> str:
    """Write a number with the fewest digits that read back as the same float, as JavaScript does.

    Whole numbers have no fraction, and numbers from 1e-6 to 1e21 no exponent.
    """
    value = float(value) + 0.0  # -0 becomes 0
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return np.format_float_positional(value, trim="-")
    return np.format_float_scientific(value, trim="-", exp_digits=1)


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """The distinct values of a column, and which of them each row holds."""

    name: str
    codes: NDArray[np.int64]  # for each row its index in `distinct`; -1 for a missing cell
    distinct: NDArray[Any]
    rows: NDArray[np.int64]  # the number of each row in messages

    @classmethod
    def read(cls, column: pd.Series) -> Self:
        """Read a DataFrame's column, typed or text, with missing cells in any spelling.

        A row's number is its index label + 1 where labels are integers, so that it survives a
        selection of rows, and otherwise its position, from 1.
        """
        index = column.index
        numbered = pd.api.types.is_integer_dtype(index.dtype)
        rows = (index.to_numpy() if numbered else np.arange(len(index))) + 1
        codes, distinct = _factorize(column, rows)
        if distinct.dtype.kind == "O":
            raw = list(distinct)
            texts = [text.strip() for text in raw]
            if texts != raw or not MISSING.isdisjoint(texts):
                again, distinct = pd.factorize(
                    _objects([None if text in MISSING else text for text in texts])
                )
                codes = np.append(again, -1)[codes]  # a missing cell has code -1: the last value
        return cls(str(column.name), codes.astype(np.int64), distinct, rows.astype(np.int64))

    @property
    def missing(self) -> int:
        """How many cells are missing."""
        return int(np.count_nonzero(self.codes < 0))

    def counts(self) -> NDArray[np.int64]:
        """Count the rows that hold each distinct value, shape (k,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.distinct))

    def texts(self) -> list[str]:
        """Return the distinct values as text."""
        kind = self.distinct.dtype.kind
        if kind == "O":
            return list(self.distinct)
        write = text_from_number if kind == "f" else str
        return [write(value) for value in self.distinct.tolist()]

    def numbers(self, decimal: str = ".") -> NDArray[np.float64]:
        """Return the distinct values as numbers, shape (k,); NaN where one is not a number."""
        return self._with_comma if decimal == "," else self._with_point

    @cached_property
    def _joined(self) -> str:
        """All text, a zero byte before each value, so that one search covers all values."""
        return "\0" + "\0".join(self.distinct) if self.distinct.dtype.kind == "O" else ""

    @cached_property
    def _with_point(self) -> NDArray[np.float64]:
        if "_" not in self._joined:
            try:
                return self.distinct.astype(np.float64)  # several times faster than one by one
            except ValueError:
                pass
        return np.array([number_from_text(text) for text in self.distinct], np.float64)

    @cached_property
    def _with_comma(self) -> NDArray[np.float64]:
        if self.distinct.dtype.kind != "O":
            return self._with_point
        return np.array([number_from_text(text, ",") for text in self.distinct], np.float64)

    def decimal(self) -> str:
        """Return the comma if every value is a number with it and not with the point."""
        comma = np.isnan(self._with_point).any() and "," in self._joined
        return "," if comma and not np.isnan(self._with_comma).any() else "."

    def standardized(self, decimal: str, mean: float, scale: float) -> NDArray[np.float64]:
        """Return (number - mean) / scale of the distinct values, shape (k,), within float32."""
        numbers = self.finite(decimal)
        with np.errstate(over="ignore"):
            Z = (numbers - mean) / scale
        too_far = ~(np.abs(Z) <= np.finfo(np.float32).max)
        self.refuse(too_far, f"is too far from the training rows' mean {mean:g}")
        return Z

    def finite(self, decimal: str) -> NDArray[np.float64]:
        """Return the distinct values as finite numbers, shape (k,); `DataError` for any other."""
        numbers = self.numbers(decimal)
        self.refuse(
            np.isnan(numbers),
            "is not a number, as this column needs; correct the cell, or leave it empty",
        )
        self.refuse(np.isinf(numbers), "is infinite; give a finite number, or leave the cell empty")
        return numbers

    def answers(self) -> NDArray[np.float64]:
        """Return 1 for Yes, 0 for No (`YES_NO_PAIRS` and 0/1), NaN otherwise, shape (k,)."""
        return np.array([_YES_NO.get(t.casefold(), np.nan) for t in self.texts()], np.float64)

    def only_answers(self) -> NDArray[np.float64]:
        """Return 1 for Yes and 0 for No, shape (k,); `DataError` for any other value."""
        answers = self.answers()
        self.refuse(np.isnan(answers), "is neither Yes nor No, 1 nor 0, as this column needs")
        return answers

    def are_yes_no(self) -> bool:
        """Return whether all values are in one of `YES_NO_PAIRS`."""
        if not 0 < len(self.distinct) <= MANY:
            return False
        answers = {text.casefold() for text in self.texts()}
        return any(answers <= set(pair) for pair in YES_NO_PAIRS)

    def are_numbers(self) -> bool:
        """Return whether all values are numbers without leading zeros; refuse a few mistakes."""
        if _LEADING_ZERO.search(self._joined):
            return False
        invalid = np.isnan(self.numbers(self.decimal()))
        share = 1.0 - np.count_nonzero(invalid) / max(1, len(invalid))
        if len(invalid) > MANY and _MOSTLY <= share < 1.0:
            self.refuse(
                invalid,
                f"is not a number, but {100 * share:.3g} % of the column's values are; correct the "
                "cell, leave it empty, or set the column's kind",
            )
        return bool(share == 1.0)

    def are_integers(self) -> bool:
        """Return whether all values, which are numbers, have no fraction."""
        numbers = self.numbers(self.decimal())
        return bool(np.all(numbers == np.round(numbers)))

    def location(self, code: int) -> str:
        """Name the first cell that holds the value with this code (-1: a missing cell)."""
        row = self.rows[int(np.argmax(self.codes == code))]
        return f"Data row {row}, column {shortened(self.name)}"

    def refuse(self, invalid: NDArray[np.bool_], problem: str) -> None:
        """Raise a `DataError` for the first invalid value, if there is one; shape (k,)."""
        if invalid.any():
            code = int(invalid.argmax())
            raise DataError(f"{self.location(code)}: {shortened(self.texts()[code])} {problem}.")


def _objects(values: list[str | None]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _factorize(column: pd.Series, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return codes and distinct values: integers exact, floats as float64, all else as text."""
    types = pd.api.types
    if types.is_integer_dtype(column.dtype):
        codes, integers = pd.factorize(column)  # exact even beside missing cells
        unsigned = types.is_unsigned_integer_dtype(column.dtype)
        return codes, np.asarray(integers.to_numpy(np.uint64 if unsigned else np.int64))
    if types.is_float_dtype(column.dtype):
        return _distinct(column.to_numpy(np.float64, na_value=np.nan))
    values = _values(column)
    if types.infer_dtype(values, skipna=True) == "string":
        return _distinct(values)
    texts = [_cell_text(value, column.name, row) for value, row in zip(values, rows, strict=True)]
    fractions = any(text is not None and "." in text for text in texts)
    if fractions and all(map(_is_number, values, texts)):
        # As text, 1.234 would be read as 1234 in a column with decimal commas.
        return _distinct(np.array([text or "nan" for text in texts], np.float64))
    return _distinct(_objects(texts))


def _distinct(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    codes, distinct = pd.factorize(values)
    return codes, np.asarray(distinct)


def _is_number(value: object, text: str | None) -> bool:
    """Return whether a cell is a number or missing."""
    return text is None or (isinstance(value, Real | Decimal) and not isinstance(value, bool))


def _values(column: pd.Series) -> NDArray[Any]:
    """Return the cells as objects; pandas would turn integer categories with gaps into floats."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.to_numpy(dtype=object))
    levels = _objects([*column.cat.categories, None])
    return np.asarray(levels[column.cat.codes.to_numpy()])


def _cell_text(value: object, name: object, row: int) -> str | None:
    """Return one cell as text; None where it is missing."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = value.astype(f"{value.dtype.kind}8[us]").item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_ | Integral):
        return str(value)
    if isinstance(value, Decimal):
        if value.is_nan():
            return None
        if value.adjusted() < _DIGITS and value == value.to_integral_value():
            return str(int(value))  # with all its digits
    if isinstance(value, Real | Decimal):
        return None if np.isnan(float(value)) else text_from_number(float(value))
    if isinstance(value, datetime.timedelta):
        with suppress(pd.errors.OutOfBoundsTimedelta):
            return re.sub(r" \+?00:00:00$", "", str(pd.Timedelta(value)))
    if isinstance(value, datetime.date | datetime.time):
        return str(value).removesuffix(" 00:00:00")
    raise DataError(
        f"Data row {row}, column {shortened(str(name))}: the cell holds a {type(value).__name__} "
        "instead of text, a number, true or false, or a date; convert it to one of these."
    )
