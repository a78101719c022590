"""The cells of one column, read as text or as numbers, each distinct value once."""

import datetime
import re
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

__all__ = ["MANY", "YES_NO_PAIRS", "Cells", "number_from_text", "text_from_number"]

YES_NO_PAIRS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"))
"""The words that make a column Yes/No if all its cells are of one pair, in any letter case."""

MANY = 20
"""More different values than this are many, in every rule about what cells look like."""

_WORDS = {word: float(i) for pair in (*YES_NO_PAIRS, ("0", "1")) for i, word in enumerate(pair)}
_LEADING_ZERO = re.compile(r"\0[+-]?0[0-9]")
_MOSTLY = 0.9
_DIGITS = 400  # more than any float has before its point
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_SWAP_POINT = str.maketrans(".,", ",.")


def number_from_text(text: str, decimal: str = ".") -> float:
    """Read a number as people write it.

    Plain and scientific notation, and commas between groups of three digits: ``5``, ``-1.5``,
    ``1e3``, ``1,234``. With ``decimal=","`` comma and point change places: ``1.234,5``. Signs of
    money and per cent are no part of a number.
    """
    if decimal == ",":
        text = text.translate(_SWAP_POINT)
    try:
        return np.nan if "_" in text else float(text)
    except ValueError:
        return float(text.replace(",", "")) if _GROUPED.fullmatch(text) else np.nan


def text_from_number(value: float) -> str:
    """Write a number with as few digits as read back as the same float.

    Whole numbers have no fraction, and numbers from 1e-6 to 1e21 no exponent. This is how
    JavaScript writes a number, so that the exported page gives the same text.
    """
    value = float(value) + 0.0  # -0 becomes 0
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return np.format_float_positional(value, trim="-")
    return np.format_float_scientific(value, trim="-", exp_digits=1)


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one column: its distinct values, and which of them each row holds.

    Everything costly (reading numbers, looking up levels) happens once for each distinct value.
    """

    name: str
    codes: NDArray[np.int64]
    distinct: NDArray[Any]
    rows: NDArray[np.int64]

    @classmethod
    def read(cls, column: pd.Series) -> Self:
        """Take the cells of a DataFrame's column, typed or text, missing ones in any spelling.

        Rows are called by their index label + 1 where labels are whole numbers (as `read_frame`
        gives them, and they survive a selection of rows), and otherwise by position, from 1.
        """
        name, index = str(column.name), column.index
        whole = pd.api.types.is_integer_dtype(index.dtype)
        rows = (index.to_numpy() if whole else np.arange(len(index))) + 1
        codes, distinct = _factorized(column, rows)
        if distinct.dtype.kind == "O":
            raw = list(distinct)
            texts = [text.strip() for text in raw]
            if texts != raw or not MISSING.isdisjoint(texts):
                again, distinct = pd.factorize(
                    _objects([None if text in MISSING else text for text in texts])
                )
                # A missing cell has code -1: the last value, that of missing ones again.
                codes = np.append(again, -1)[codes]
        return cls(name, codes.astype(np.int64), distinct, rows.astype(np.int64))

    @property
    def missing(self) -> int:
        """How many cells are missing."""
        return int(np.count_nonzero(self.codes < 0))

    def counts(self) -> NDArray[np.int64]:
        """Return how many rows hold each distinct value, shape (k,)."""
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
        """All text, a zero byte before each: one search finds what any of the values holds."""
        return "\0" + "\0".join(self.distinct) if self.distinct.dtype.kind == "O" else ""

    @cached_property
    def _with_point(self) -> NDArray[np.float64]:
        if "_" in self._joined:
            return np.array([number_from_text(text) for text in self.distinct], np.float64)
        try:
            return self.distinct.astype(np.float64)  # several times faster than one by one
        except ValueError:
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
        far = np.flatnonzero(~(np.abs(Z) <= np.finfo(np.float32).max))
        if len(far):
            raise self.error(far[0], f"is too far from the training rows' mean {mean:g}")
        return Z

    def finite(self, decimal: str) -> NDArray[np.float64]:
        """Return the distinct values as numbers, shape (k,)."""
        numbers = self.numbers(decimal)
        strange = np.flatnonzero(~np.isfinite(numbers))
        if len(strange) == 0:
            return numbers
        if np.isnan(numbers[strange[0]]):
            what = "is not a number, which this column holds; correct the cell, or leave it empty"
        else:
            what = "is infinite; give a finite number, or leave the cell empty"
        raise self.error(strange[0], what)

    def yes(self) -> NDArray[np.float64]:
        """Return 1 for Yes, 0 for No (`YES_NO_PAIRS` and 0/1), NaN otherwise, shape (k,)."""
        return np.array([_WORDS.get(t.casefold(), np.nan) for t in self.texts()], np.float64)

    def looks_yes_no(self) -> bool:
        """Say whether all values are words of one of `YES_NO_PAIRS`."""
        if not 0 < len(self.distinct) <= MANY:
            return False
        words = {text.casefold() for text in self.texts()}
        return any(words <= set(pair) for pair in YES_NO_PAIRS)

    def looks_numeric(self) -> bool:
        """Say whether all values are numbers, none with a needless zero in front."""
        if _LEADING_ZERO.search(self._joined):
            return False
        strange = np.isnan(self.numbers(self.decimal()))
        share = 1.0 - np.count_nonzero(strange) / max(1, len(strange))
        if len(strange) > MANY and _MOSTLY <= share < 1.0:
            raise self.error(
                int(np.argmax(strange)),
                f"is not a number, as {100 * share:.3g} % of the column's values are; correct the "
                "cell, leave it empty, or say what kind of column it is",
            )
        return bool(share == 1.0)

    def place(self, code: int) -> str:
        """Say where the value with this code (-1: a missing cell) comes first."""
        row = self.rows[int(np.argmax(self.codes == code))]
        return f"Data row {row}, column {shortened(self.name)}"

    def error(self, code: int, what: str) -> DataError:
        """Return the error that the value with this code `what`, with its place."""
        return DataError(f"{self.place(code)}: {shortened(self.texts()[code])} {what}.")


def _objects(values: list[str | None]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _factorized(column: pd.Series, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return codes and distinct values: integers exact, floats as float64, all else as text."""
    types = pd.api.types
    if types.is_integer_dtype(column.dtype):
        codes, integers = pd.factorize(column)  # which stay exact beside missing cells
        unsigned = types.is_unsigned_integer_dtype(column.dtype)
        return codes, np.asarray(integers.to_numpy(np.uint64 if unsigned else np.int64))
    if types.is_float_dtype(column.dtype):
        values = np.asarray(column.to_numpy(np.float64, na_value=np.nan))
        return _distinct(values)
    values = _values(column)
    if types.infer_dtype(values, skipna=True) == "string":
        return _distinct(values)
    cells = list(zip(values, rows, strict=True))
    texts = [_cell_text(value, str(column.name), row) for value, row in cells]
    fractions = any(text is not None and "." in text for text in texts)
    if fractions and all(map(_is_number, values, texts)):
        # As text, 1.234 would be read as 1234 in a column with decimal commas.
        return _distinct(np.array([text or "nan" for text in texts], np.float64))
    return _distinct(_objects(texts))


def _is_number(value: object, text: str | None) -> bool:
    """Say whether a cell is a number or missing."""
    return text is None or (isinstance(value, Real | Decimal) and not isinstance(value, bool))


def _distinct(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    codes, distinct = pd.factorize(values)
    return codes, np.asarray(distinct)


def _decimal_text(value: Decimal) -> str:
    """Write a whole number with all its digits, and any other as a float."""
    whole = value.adjusted() < _DIGITS and value == value.to_integral_value()
    return str(int(value)) if whole else text_from_number(float(value))


def _duration_text(span: datetime.timedelta) -> str:
    """Write a duration as pandas does: 2 days, -1 days +05:00:00, 0 days 00:00:01.500000."""
    seconds, nanoseconds = span.seconds, getattr(span, "nanoseconds", 0)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if span.microseconds or nanoseconds:
        text += f".{span.microseconds:06}" + (f"{nanoseconds:03}" if nanoseconds else "")
    elif not seconds:
        return f"{span.days} days"
    return f"{span.days} days {'+' if span.days < 0 else ''}{text}"


def _values(column: pd.Series) -> NDArray[Any]:
    """Return the cells as objects; pandas turns integer categories with gaps into floats."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.to_numpy(dtype=object))
    levels = _objects([*column.cat.categories, None])
    return np.asarray(levels[column.cat.codes.to_numpy()])


def _cell_text(value: object, name: str, row: int) -> str | None:
    """Return one cell as text; None where it is missing."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = value.astype(f"{value.dtype.kind}8[us]").item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, Decimal):
        return None if value.is_nan() else _decimal_text(value)
    if isinstance(value, bool | np.bool_ | Integral):
        return str(value)
    if isinstance(value, Real):
        return None if np.isnan(float(value)) else text_from_number(float(value))
    if isinstance(value, datetime.timedelta):
        return _duration_text(value)
    if isinstance(value, datetime.date | datetime.time):
        return str(value).removesuffix(" 00:00:00")
    raise DataError(
        f"Data row {row}, column {shortened(name)}: the cell holds a {type(value).__name__} where "
        "text, a number, true or false, or a date is expected; turn it into one of these."
    )
