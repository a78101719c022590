"""The header of a text file: detect a first row that holds data, not column names."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from plainnet.data.columns import MISSING

_COMPARED = 1000  # rows that the first one is compared with


def is_data(first: Sequence[str], columns: Sequence[Any]) -> bool:
    """Return whether the first row of a file looks like the rows below it.

    Columns are Arrow text or floats. It does if it holds a number of similar size in each column of
    numbers, and, where there are columns of text, repeats a text in one of them. Numbers in equal
    steps (0 1 2 3, or 2020 2025) are names.
    """
    numbers: list[float] = []
    repeated: list[bool] = []
    for name, column in zip(first, columns, strict=True):
        if isinstance(column, np.ndarray):
            values = cells = column[:_COMPARED][~np.isnan(column[:_COMPARED])]
        else:
            cells = column.slice(0, _COMPARED).drop_null().to_pylist()
            values = np.array([_number(text) for text in cells])
        if name.strip() in MISSING or not len(cells):
            continue
        if np.isfinite(values).all():
            numbers.append(_number(name))
            middle, reach = (values.max() + values.min()) / 2, 1.5 * np.ptp(values)
            if not abs(numbers[-1] - middle) <= reach:  # also for NaN
                return False
        else:
            repeated.append(name.strip() in cells)
    return bool(numbers) and any(repeated or [True]) and not _are_steps(numbers)


def _number(text: str) -> float:
    """Read a number with a decimal point or comma; NaN for other text."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return np.nan


def _are_steps(numbers: list[float]) -> bool:
    """Return whether numbers follow each other in equal steps; of two, in a step of 1."""
    steps = np.diff(numbers)
    if len(steps) == 1:
        return bool(steps[0] == 1)
    return len(steps) > 1 and steps[0] != 0 and bool((steps == steps[0]).all())
