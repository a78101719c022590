"""The columns of a DataFrame as cells: integers exact, floats as float64, all else as text."""

import datetime
import re
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from plainnet.data.columns import Cells, clean_text, text_from_number
from plainnet.errors import DataError
from plainnet.storage.json_reader import shortened

_DIGITS = 400  # more than any float has before its decimal point


def read_series(column: pd.Series) -> Cells:
    """Read a column, typed or text, with missing cells in any spelling.

    A row's number is its index label + 1 where labels are integers, so that it survives a selection
    of rows, and otherwise its position, from 1.
    """
    labels = column.index
    numbered = pd.api.types.is_integer_dtype(labels.dtype)
    rows = (labels.to_numpy() if numbered else np.arange(len(labels))) + 1
    return Cells(str(column.name), rows.astype(np.int64), *_read(column, rows))


def _read(column: pd.Series, rows: NDArray[Any]) -> tuple[Any, NDArray[np.int64] | None]:
    """Return entries and index."""
    kind = column.dtype.kind
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = read_series(pd.Series(column.cat.categories, name=column.name))
        codes = np.append(levels.codes, -1)[column.cat.codes.to_numpy()]
        return levels.distinct, codes
    if kind in "iu":
        codes, integers = pd.factorize(column)  # exact even beside missing cells
        return integers.to_numpy(np.uint64 if kind == "u" else np.int64), codes
    if kind == "f":
        return column.to_numpy(np.float64, na_value=np.nan), None
    if isinstance(column.dtype, pd.StringDtype):
        return clean_text(_arrow(column.array)), None
    values = np.asarray(column.to_numpy(dtype=object))
    if pd.api.types.infer_dtype(values, skipna=True) == "string":
        return clean_text(_arrow(values)), None
    texts = [_cell_text(value, column.name, row) for value, row in zip(values, rows, strict=True)]
    fractions = any(text is not None and "." in text for text in texts)
    if fractions and all(map(_is_number, values, texts)):
        # As text, 1.234 would be read as 1234 in a column with decimal commas.
        return np.array([text or "nan" for text in texts], np.float64), None
    return clean_text(_arrow(texts)), None


def _arrow(texts: Any) -> Any:
    """Return text as one Arrow array."""
    array = pa.array(texts, pa.large_string(), from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _is_number(value: object, text: str | None) -> bool:
    """Return whether a cell is a number or missing."""
    return text is None or (isinstance(value, Real | Decimal) and not isinstance(value, bool))


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
