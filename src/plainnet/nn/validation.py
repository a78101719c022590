"""Argument checks: as_array, positive_int, check_range."""

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.errors import PlainnetError


def as_array(values: ArrayLike) -> NDArray[Any]:
    """Return values as an array; an array of another type (CuPy) stays what it is."""
    marks = (getattr(values, name, None) for name in ("__array_function__", "shape"))
    if isinstance(values, np.ndarray) or None in marks:
        return np.asarray(values)
    return values  # type: ignore[return-value]


def positive_int(owner: str, option: str, value: int) -> int:
    """Check a count of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise PlainnetError(
            f"{owner}: {option} must be a whole number of at least 1, got {value!r}"
        )
    return int(value)


def check_range(owner: str, option: str, value: float, interval: str) -> float:
    """Check a finite number against an interval such as "[0, 1)" or "(0, inf)"."""
    low, high = map(float, interval[1:-1].split(", "))
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer too large for a float
            number = float(value)
    above = low <= number if interval[0] == "[" else low < number
    below = number <= high if interval[-1] == "]" else number < high
    if not (above and below and math.isfinite(number)):
        raise PlainnetError(f"{owner}: {option} must be a number in {interval}, got {value!r}")
    return number
