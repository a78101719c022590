"""Curves over all thresholds, and the calibration of probabilities."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.errors import DataError

Floats = NDArray[np.float64]


class Bin(NamedTuple):
    """One bin of a reliability table: the rows with a probability from low to high."""

    low: float
    high: float
    rows: int
    predicted: float  # the mean probability
    observed: float  # the share of positives


class Thresholds(NamedTuple):
    """The true and false positives at each threshold, from no positive prediction to all."""

    true: Floats
    false: Floats
    threshold: Floats  # descending from infinity

    @classmethod
    def of(cls, y_true: ArrayLike, score: ArrayLike) -> "Thresholds":
        """Count over all thresholds."""
        y, s = np.asarray(y_true).astype(bool), np.asarray(score, np.float64)
        if y.shape != s.shape or y.ndim != 1:
            raise DataError(f"labels and scores must be (m,) each, got {y.shape} and {s.shape}")
        if y.all() or not y.any():
            raise DataError(
                "a curve over thresholds needs both positives and negatives among its rows"
            )
        order = np.argsort(-s)
        y, s = y[order], s[order]
        ends = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)
        true, false = (np.append(0.0, np.cumsum(some)[ends]) for some in (y, ~y))
        return cls(true, false, np.append(np.inf, s[ends]))

    def roc_curve(self) -> tuple[Floats, Floats]:
        """Return false and true positive rates over all thresholds."""
        return self.false / self.false[-1], self.true / self.true[-1]

    def pr_curve(self) -> tuple[Floats, Floats]:
        """Return recall and precision over all thresholds but infinity."""
        true = self.true[1:]
        return true / true[-1], true / (true + self.false[1:])

    def average_precision(self) -> float:
        """Return the sum of precision times gain of recall: the area below steps of `pr_curve`."""
        recall, precision = self.pr_curve()
        return float(np.sum(precision * np.diff(recall, prepend=0.0)))

    def best_f1(self) -> tuple[float, float]:
        """Return the threshold with the highest F1 on these rows, and that F1."""
        f1 = 2 * self.true / (self.true + self.false + self.true[-1])
        i = int(f1.argmax())
        return _shortest(self.threshold, i), float(f1[i])

    def cheapest(self, false_positive: float, false_negative: float) -> tuple[float, float]:
        """Return the threshold with the lowest cost of mistakes, and the cost per row."""
        if not (0 <= false_positive < np.inf and 0 <= false_negative < np.inf):
            raise DataError(
                f"costs of mistakes are finite and at least 0, got {false_positive} of a false "
                f"positive and {false_negative} of a false negative"
            )
        missed = self.true[-1] - self.true
        cost = self.false * false_positive + missed * false_negative
        i = int(cost.argmin())
        return _shortest(self.threshold, i), float(cost[i] / (self.true[-1] + self.false[-1]))


def brier(y_true: ArrayLike, A: ArrayLike) -> float:
    """Return the mean squared error of probabilities (G. W. Brier, 1950)."""
    y, P = np.asarray(y_true), np.asarray(A, np.float64)
    if P.ndim == 1:
        return float(np.mean((P - y) ** 2))
    p = P[np.arange(len(P)), y.astype(np.int64)]  # (p - 1)^2 = p^2 - 2 p + 1 for the class
    return float(np.mean(np.sum(P**2, axis=1) - 2 * p + 1))


def reliability(y_true: ArrayLike, probability: ArrayLike) -> list[Bin]:
    """Return the share of positives for each tenth of the probabilities."""
    y, p = np.asarray(y_true, np.float64), np.asarray(probability, np.float64)
    index = np.clip((p * 10).astype(np.int64), 0, 9)
    table = []
    for i in range(10):
        inside = index == i
        if inside.any():
            means = float(p[inside].mean()), float(y[inside].mean())
            table.append(Bin(i / 10, (i + 1) / 10, int(inside.sum()), *means))
    return table


def calibration_error(table: list[Bin]) -> float:
    """Return the expected calibration error (Guo, Pleiss, Sun and Weinberger, ICML 2017)."""
    rows = sum(line.rows for line in table)
    return sum(line.rows * abs(line.predicted - line.observed) for line in table) / rows


def thinned(x: Floats, y: Floats, points: int = 100) -> list[tuple[float, float]]:
    """Return at most `points` points of a curve, with both ends, but none within straight lines."""
    bends = np.ones(len(x), np.bool_)
    for column in (x, y):
        bends[1:-1] &= (column[1:-1] != column[:-2]) | (column[1:-1] != column[2:])
    x, y = x[bends], y[bends]
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), points)).round().astype(int))
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(x[some], y[some], strict=True)]


def _shortest(scores: Floats, i: int) -> float:
    """Return the shortest number above score i + 1 and up to score i, of descending scores.

    A threshold of few digits reveals no score.
    """
    high = float(scores[i])
    if np.isinf(high) or high == 0:
        return high
    low = float(scores[i + 1]) if i + 1 < len(scores) else (0.0 if high > 0 else high - 1)
    for digits in range(1, 17):
        number = float(f"{(low + high) / 2:.{digits}g}")
        if low < number <= high:
            return number
    return high
