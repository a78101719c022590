"""Confidence intervals of shares and of paired differences."""

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.errors import DataError

LEVEL = 0.95


class Difference(NamedTuple):
    """The difference of two predictors on the same rows, with its 95 % interval."""

    value: float  # above 0 where the first is better
    low: float
    high: float
    p: float  # probability of such a difference or a larger one between equally good predictors


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (E. B. Wilson, JASA 22, 1927).

    It holds all shares p that a test would not reject: (share - p)^2 <= z^2 p (1 - p) / n. It stays
    within 0 and 1 and is valid for 0 or n successes.
    """
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"a share needs successes from 0 to n and n >= 1, got {successes} of {n}")
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    center = successes + z * z / 2
    half = z * math.sqrt(successes * (n - successes) / n + z * z / 4)
    low, high = (center - half) / (n + z * z), (center + half) / (n + z * z)
    return (low if successes else 0.0), (high if successes < n else 1.0)


def mcnemar(first_only: int, second_only: int) -> float:
    """Return the exact p-value of McNemar's test (Psychometrika 12, 1947).

    If two predictors are equally good, each row that only one gets right is a fair coin toss.
    """
    n, fewer = first_only + second_only, min(first_only, second_only)
    if n > 1000:  # normal approximation with continuity correction
        z = max(abs(first_only - second_only) - 1, 0) / math.sqrt(n)
        return math.erfc(z / math.sqrt(2))
    return min(1.0, float(2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n))


def paired_shares(first: ArrayLike, second: ArrayLike) -> Difference:
    """Compare how often two predictors are right on the same rows.

    The interval is R. G. Newcombe's method 10 for paired proportions (Statistics in Medicine 17,
    2635-2650, 1998): the Wilson intervals of both shares, joined with their correlation. The
    p-value is that of `mcnemar`.
    """
    right, other = np.asarray(first, bool), np.asarray(second, bool)
    if right.shape != other.shape or right.ndim != 1 or not len(right):
        raise DataError(
            f"two predictors are compared on the same rows, got {right.shape} and {other.shape}"
        )
    a, b = int((right & other).sum()), int((right & ~other).sum())
    c, d = int((~right & other).sum()), int((~right & ~other).sum())
    n = len(right)
    p1, p2 = (a + b) / n, (a + c) / n
    (low1, high1), (low2, high2) = wilson(a + b, n), wilson(a + c, n)
    phi = _correlation(a, b, c, d)
    down = _joined(p1 - low1, high2 - p2, phi)
    up = _joined(high1 - p1, p2 - low2, phi)
    return Difference((b - c) / n, (b - c) / n - down, (b - c) / n + up, mcnemar(b, c))


def _correlation(a: int, b: int, c: int, d: int) -> float:
    """Phi of a 2 x 2 table; a positive phi is corrected for continuity, as in method 10."""
    size = (a + b) * (c + d) * (a + c) * (b + d)
    if not size:
        return 0.0
    top: float = a * d - b * c
    return (max(top - (a + b + c + d) / 2, 0.0) if top > 0 else top) / math.sqrt(size)


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))


def paired_means(first: ArrayLike, second: ArrayLike) -> Difference:
    """Compare two predictors by a score of each row; larger is better.

    Student's paired t interval (Biometrika 6, 1908) of the mean of first - second.
    """
    d: NDArray[Any] = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    mean = float(d.mean())
    if len(d) < 2:
        return Difference(mean, -math.inf, math.inf, 1.0)
    error = float(d.std(ddof=1)) / math.sqrt(len(d))
    half = student(len(d) - 1) * error
    if not error:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    return Difference(mean, mean - half, mean + half, _student_p(abs(mean) / error, len(d) - 1))


def student(df: int) -> float:
    """Return the quantile of Student's t for a two-sided 95 % interval."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_p(middle, df) > 1 - LEVEL else (low, middle)
    return (low + high) / 2


def _student_p(t: float, df: int) -> float:
    """P(|T| > t), by the sums of cosines (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    if df > 1000:
        return math.erfc(t / math.sqrt(2) * (1 - 1 / (4 * df)) / math.sqrt(1 + t * t / (2 * df)))
    theta = math.atan(t / math.sqrt(df))
    term, total = (math.cos(theta) if df % 2 else 1.0), 0.0
    for k in range(2 + df % 2, df + 1, 2):
        total += term
        term *= math.cos(theta) ** 2 * (k - 1) / k
    within = math.sin(theta) * total
    if df % 2:
        within = 2 / math.pi * (theta + within)
    return max(1 - within, 0.0)  # rounding may give less
