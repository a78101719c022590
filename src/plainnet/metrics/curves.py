"""Curves over all thresholds, and whether probabilities mean what they say."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.errors import DataError

Floats = NDArray[np.float64]


class Bin(NamedTuple):
    """One line of a reliability table: rows whose probability lies from low to high.

    Attributes
    ----------
    low, high : float
        The bounds; the lower one belongs to the bin, and to the last bin the upper one too.
    rows : int
        How many rows; bins without any are left out.
    said, came : float
        The mean probability, and how often it came true.
    """

    low: float
    high: float
    rows: int
    said: float
    came: float


class Threshold(NamedTuple):
    """A threshold and the metric reached with it: rows that score at least as much are positive.

    It has as few digits as tell the scores below from those above, so it is no row's score.
    """

    threshold: float
    value: float


def roc_curve(y_true: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return how often negatives and positives are called positive, over all thresholds.

    Parameters
    ----------
    y_true : array (m,)
        0 or 1; both occur.
    score : float array (m,)
        Larger for those taken to be positive.

    Returns
    -------
    false_positive_rate, true_positive_rate, threshold : float64 arrays (k,)
        From (0, 0), where the threshold is above all scores (infinite), to (1, 1); a point for each
        different score.

    Raises
    ------
    DataError
        If shapes differ, or there are no positives or no negatives.

    Examples
    --------
    >>> roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])[:2]
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    """
    true, false, threshold = _counts(y_true, score)
    return false / false[-1], true / true[-1], threshold


def pr_curve(y_true: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return precision and recall over all thresholds.

    Parameters
    ----------
    y_true, score
        See `roc_curve`.

    Returns
    -------
    precision, recall, threshold : float64 arrays (k,)
        From the highest score, which few rows reach, to the lowest, which all do.

    Examples
    --------
    >>> precision, recall, _ = pr_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> recall
    array([0.5, 0.5, 1. , 1. ])
    """
    true, false, threshold = _counts(y_true, score)
    return true[1:] / (true[1:] + false[1:]), true[1:] / true[-1], threshold[1:]


def average_precision(y_true: ArrayLike, score: ArrayLike) -> float:
    """Return the sum of precision times gain of recall: the area below the steps of `pr_curve`.

    Parameters
    ----------
    y_true, score
        See `roc_curve`.

    Returns
    -------
    float
        The share of positives for scores that know nothing, 1 for those that know all.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    precision, recall, _ = pr_curve(y_true, score)
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def best_f1(y_true: ArrayLike, score: ArrayLike) -> Threshold:
    """Return the threshold with the highest F1 on these rows, and that F1.

    On other rows it will be lower: it was chosen on these.

    Parameters
    ----------
    y_true, score
        See `roc_curve`.

    Examples
    --------
    >>> best_f1([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    Threshold(threshold=0.2, value=0.8)
    """
    true, false, threshold = _counts(y_true, score)
    f1 = 2 * true / (true + false + true[-1])
    i = int(f1.argmax())
    return Threshold(_shortest(threshold, i), float(f1[i]))


def cheapest(
    y_true: ArrayLike, score: ArrayLike, false_positive: float, false_negative: float
) -> Threshold:
    """Return the threshold with the lowest cost of mistakes on these rows, and that cost a row.

    Parameters
    ----------
    y_true, score
        See `roc_curve`.
    false_positive, false_negative : float
        What it costs to call a negative positive, and a positive negative; at least 0.

    Returns
    -------
    Threshold
        Infinite where it is cheapest to call none positive.

    Raises
    ------
    DataError
        If a cost is below 0 or not finite.

    Examples
    --------
    >>> cheapest([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], false_positive=1, false_negative=10)
    Threshold(threshold=0.2, value=0.25)
    """
    if not (0 <= false_positive < np.inf and 0 <= false_negative < np.inf):
        raise DataError(
            f"costs of mistakes are finite and at least 0, got {false_positive} of a false "
            f"positive and {false_negative} of a false negative"
        )
    true, false, threshold = _counts(y_true, score)
    cost = (false * false_positive + (true[-1] - true) * false_negative) / (true[-1] + false[-1])
    i = int(cost.argmin())
    return Threshold(_shortest(threshold, i), float(cost[i]))


def brier(y_true: ArrayLike, A: ArrayLike) -> float:
    """Return the mean squared distance of probabilities from what came (G. W. Brier, 1950).

    Parameters
    ----------
    y_true : array (m,)
        0 or 1; with several columns of probabilities the numbers of the classes.
    A : float array (m,) or (m, k)
        The probability of 1, or those of all classes, whose squares are then summed.

    Returns
    -------
    float
        0 where every row was foreseen with certainty.

    Examples
    --------
    >>> round(brier([1, 0], [0.8, 0.4]), 4)  # (0.2^2 + 0.4^2) / 2
    0.1
    """
    y, P = np.asarray(y_true), np.asarray(A, np.float64)
    if P.ndim == 1:
        return float(np.mean((P - y) ** 2))
    said = P[np.arange(len(P)), y.astype(np.int64)]  # (p - 1)^2 = p^2 - 2 p + 1 for the class
    return float(np.mean(np.sum(P**2, axis=1) - 2 * said + 1))


def reliability(came: ArrayLike, said: ArrayLike, bins: int = 10) -> list[Bin]:
    """Return how often what was said with which probability came true.

    Parameters
    ----------
    came : array (m,)
        0 or 1: whether it did. Of several classes: whether the most probable one is right.
    said : float array (m,)
        Its probability.
    bins : int, default 10
        Equal parts of the probabilities from 0 to 1.

    Returns
    -------
    list of Bin

    Examples
    --------
    >>> for line in reliability([0, 1, 1, 1], [0.2, 0.8, 0.8, 0.9], bins=2):
    ...     print(line)
    Bin(low=0.0, high=0.5, rows=1, said=0.2, came=0.0)
    Bin(low=0.5, high=1.0, rows=3, said=0.8333333333333334, came=1.0)
    """
    y, p = np.asarray(came, np.float64), np.asarray(said, np.float64)
    place = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    table = []
    for i in range(bins):
        here = place == i
        if here.any():
            means = float(p[here].mean()), float(y[here].mean())
            table.append(Bin(i / bins, (i + 1) / bins, int(here.sum()), *means))
    return table


def calibration_error(table: list[Bin]) -> float:
    """Return the expected calibration error: the mean distance of said and came, row by row.

    As of Guo, Pleiss, Sun and Weinberger (ICML 2017).

    Parameters
    ----------
    table : list of Bin
        From `reliability`.

    Examples
    --------
    >>> round(calibration_error(reliability([0, 1, 1, 1], [0.2, 0.8, 0.8, 0.9], bins=2)), 4)
    0.175
    """
    rows = sum(line.rows for line in table)
    return sum(line.rows * abs(line.said - line.came) for line in table) / rows


def thinned(*columns: NDArray[Any], points: int = 100) -> list[list[float]]:
    """Return at most so many points of a curve, its ends among them, for a file or a figure.

    Points within a level or upright line are left out first: they show nothing.

    Parameters
    ----------
    *columns : float arrays (k,)
        The coordinates.
    points : int, default 100
        At most.

    Returns
    -------
    list of list of float
        Each coordinate, with six digits.

    Examples
    --------
    >>> thinned(np.arange(5.0), points=3)
    [[0.0, 2.0, 4.0]]
    """
    bends = np.ones(len(columns[0]), np.bool_)
    for column in columns if len(columns) > 1 else ():
        bends[1:-1] &= (column[1:-1] != column[:-2]) | (column[1:-1] != column[2:])
    columns = tuple(column[bends] for column in columns)
    n = len(columns[0])
    some = np.unique(np.linspace(0, n - 1, min(n, points)).round().astype(int))
    return [[round(float(v), 6) for v in column[some]] for column in columns]


def _shortest(scores: Floats, i: int) -> float:
    """Return a number of few digits above the next score and up to score i, of descending ones."""
    high = float(scores[i])
    if np.isinf(high):
        return high
    low = float(scores[i + 1]) if i + 1 < len(scores) else min(0.0, high - 1)
    for digits in range(1, 17):
        number = float(f"{(low + high) / 2:.{digits}g}")
        if low < number <= high:
            return number
    return high


def _counts(y_true: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return true and false positives and the threshold, from none called positive to all."""
    y, s = np.asarray(y_true).astype(bool), np.asarray(score, np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise DataError(f"labels and scores must be (m,) each, got {y.shape} and {s.shape}")
    if y.all() or not y.any():
        raise DataError("a curve over thresholds needs both positives and negatives among its rows")
    order = np.argsort(-s, kind="stable")
    y, s = y[order], s[order]
    ends = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)
    true = np.append(0.0, np.cumsum(y)[ends])
    false = np.append(0.0, np.cumsum(~y)[ends])
    return true, false, np.append(np.inf, s[ends])
