"""Argument checks: positive_int, check_range."""

import contextlib
import math

import numpy as np

from plainnet.errors import PlainnetError


def positive_int(owner: str, option: str, value: int) -> int:
    """Check a count of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise PlainnetError(
            f"{owner}: {option} must be a whole number of at least 1, got {value!r}"
        )
    return int(value)


def check_range(
    owner: str,
    option: str,
    value: float,
    low: float,
    high: float,
    *,
    ends: bool,
    low_end: bool = False,
) -> float:
    """Check a number against a range."""
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # a whole number that no float holds
            number = float(value)
    inside = low < number < high or (ends and number == high) or (low_end and number == low)
    if not inside or not math.isfinite(number):
        interval = f"{'[' if low_end else '('}{low}, {high}{']' if ends else ')'}"
        raise PlainnetError(f"{owner}: {option} must be a number in {interval}, got {value!r}")
    return number
