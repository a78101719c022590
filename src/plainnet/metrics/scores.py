"""Metrics of predictions, from true labels and predicted probabilities or numbers.

`compute_metrics` returns all metrics of a task. An undefined metric, such as the precision of
a class that was never predicted, is None, never NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.errors import DataError
from plainnet.nn.losses import is_positive

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scores = list[float | None]

_LARGEST = 1e300  # accepted number; sums and differences of accepted numbers are finite
TASKS = ("binary", "multiclass", "multilabel", "regression")


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the share of right labels."""
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean(true == predicted))


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, n_classes: int) -> Ints:
    """Count how often each true class (row) was predicted as each class (column)."""
    true, predicted = _pair(y_true, y_pred)
    pairs = true.astype(np.int64) * n_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def precision_recall_f1(actual: Ints, called: Ints, right: Ints) -> dict[str, Scores]:
    """Return TP / (TP + FP), TP / (TP + FN) and their harmonic mean for each class, from counts."""
    return {
        "precision": _ratios(right, called),
        "recall": _ratios(right, actual),
        "f1": _ratios(2 * right, called + actual),
    }


def roc_auc(y_true: ArrayLike, score: ArrayLike) -> float | None:
    """Return the probability that a positive sample scores above a negative one, ties half.

    This is the area under the ROC curve, computed from the ranks of the scores (Mann and Whitney):
    AUC = (R - p (p + 1) / 2) / (p n) for p positives with rank sum R, and n negatives.
    """
    labels, scores = _pair(y_true, score)
    positive = labels.astype(bool)
    p = int(positive.sum())
    n = positive.size - p
    if p == 0 or n == 0:
        return None
    return float((ranks(scores)[positive].sum() - p * (p + 1) / 2) / (p * n))


def ranks(values: ArrayLike) -> Floats:
    """Return the ranks of numbers, from 1; equal numbers share their mean rank."""
    _, which, count = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[which])


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's rank correlation; 0 where all numbers are equal."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the root of the mean squared error, in the unit of y."""
    error = _error(y_true, y_pred)
    squares, exponent = _sum_of_squares(error)
    return float(np.ldexp(np.sqrt(squares / error.size), exponent))


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean absolute error, in the unit of y."""
    return float(np.mean(np.abs(_error(y_true, y_pred))))


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float | None:
    """Return R2 = 1 - sum((y_pred - y)^2) / sum((y - mean(y))^2)."""
    y = np.asarray(y_true, np.float64)
    if y.min() == y.max():
        return None
    left, high = _sum_of_squares(_error(y_true, y_pred))
    total, low = _sum_of_squares(y - y.mean())
    with np.errstate(over="ignore"):
        share = float(1 - np.ldexp(left / total, 2 * (high - low)))
    return share if np.isfinite(share) else None


def compute_metrics(task: str, y_true: ArrayLike, A: ArrayLike) -> dict[str, Any]:
    """Return every metric of a task by name."""
    y, P = _checked(task, np.asarray(y_true), np.asarray(A, np.float64))
    if task == "binary":
        return _binary(y, P[:, 0])
    if task == "multiclass":
        return _multiclass(y, P)
    return _multilabel(y, P) if task == "multilabel" else _regression(y, P)


def _binary(y: Ints, A: Floats) -> dict[str, Any]:
    predicted = is_positive(A).astype(np.int64)
    confusion = confusion_matrix(y, predicted, 2)
    scores = precision_recall_f1(confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal())
    return {
        "accuracy": accuracy(y, predicted),
        **{name: values[1] for name, values in scores.items()},
        "roc_auc": roc_auc(y, A),
        "confusion_matrix": confusion.tolist(),
    }


def _multiclass(y: Ints, A: Floats) -> dict[str, Any]:
    n_classes = A.shape[1]
    predicted = A.argmax(axis=1)
    actual, called, right = (
        np.bincount(some, minlength=n_classes) for some in (y, predicted, y[y == predicted])
    )
    per_class = precision_recall_f1(actual, called, right)
    per_class["roc_auc"] = [roc_auc(y == c, A[:, c]) for c in range(n_classes)]
    return {
        "accuracy": accuracy(y, predicted),
        **_averages(per_class),
        **{f"{name}_per_class": scores for name, scores in per_class.items()},
        "confusions": _confusion_cells(y, predicted),
    }


def _confusion_cells(y: Ints, predicted: Ints) -> list[list[int]]:
    """List the nonzero cells of the confusion matrix: true class, predicted class, rows."""
    cells, rows = np.unique(np.column_stack([y, predicted]), axis=0, return_counts=True)
    return [[int(i), int(j), int(n)] for (i, j), n in zip(cells, rows, strict=True)]


def dense_confusion(cells: Sequence[Sequence[int]], n_classes: int) -> list[list[int]]:
    """Return the confusion matrix with the given nonzero cells."""
    matrix = [[0] * n_classes for _ in range(n_classes)]
    for i, j, n in cells:
        matrix[i][j] = n
    return matrix


def _multilabel(y: Ints, A: Floats) -> dict[str, Any]:
    predicted = is_positive(A).astype(np.int64)
    labels = [_binary(y[:, k], A[:, k]) for k in range(A.shape[1])]
    per_label = {
        n: [label[n] for label in labels] for n in ("precision", "recall", "f1", "roc_auc")
    }
    return {
        "accuracy": accuracy(y, predicted),
        "exact_match": float(np.mean((y == predicted).all(axis=1))),
        **_averages(per_label),
        **{f"{name}_per_label": scores for name, scores in per_label.items()},
        "confusion_matrix": [label["confusion_matrix"] for label in labels],
    }


def _regression(y: Floats, A: Floats) -> dict[str, Any]:
    columns = range(A.shape[1])
    per_target: dict[str, Scores] = {
        "rmse": [rmse(y[:, k], A[:, k]) for k in columns],
        "mae": [mae(y[:, k], A[:, k]) for k in columns],
        "r2": [r2(y[:, k], A[:, k]) for k in columns],
    }
    means: dict[str, Any] = {name: _mean(scores) for name, scores in per_target.items()}
    if len(columns) == 1:
        return means
    return means | {f"{name}_per_target": scores for name, scores in per_target.items()}


def _averages(per_class: dict[str, Scores]) -> dict[str, float | None]:
    """Average over the classes that occur; F1 is None for the others."""
    occurring = [score is not None for score in per_class["f1"]]
    means = {}
    for name in ("precision", "recall", "f1"):
        scores = [s or 0.0 for s, occurs in zip(per_class[name], occurring, strict=True) if occurs]
        means[name] = _mean(scores)
    return {**means, "roc_auc": _mean(per_class["roc_auc"])}


def _mean(scores: Sequence[float | None]) -> float | None:
    """Average the defined scores; return None where no score is defined."""
    defined = [score for score in scores if score is not None]
    return float(np.mean(defined)) if defined else None


def _ratios(parts: Ints, totals: Ints) -> Scores:
    """Divide; None where the total is zero."""
    return [float(a / b) if b else None for a, b in zip(parts, totals, strict=True)]


def _error(y_true: ArrayLike, y_pred: ArrayLike) -> Floats:
    true, predicted = _pair(y_true, y_pred)
    return predicted.astype(np.float64) - true.astype(np.float64)


def _sum_of_squares(values: Floats) -> tuple[float, int]:
    """Return s and e of the sum s * 4**e, which neither overflows nor underflows."""
    exponent = int(np.frexp(np.abs(values).max())[1])
    return float(np.square(np.ldexp(values, -exponent)).sum()), exponent


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Convert both to arrays; refuse different shapes, which would broadcast."""
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.shape != predicted.shape or true.size == 0:
        raise DataError(
            "true and predicted values must have one shape, with at least one row, "
            f"got {true.shape} and {predicted.shape}"
        )
    return true, predicted


def _checked(task: str, y: NDArray[Any], A: Floats) -> tuple[NDArray[Any], Floats]:
    """Convert y to integers (floats for regression) and A to (m, k); refuse all other values."""
    if task not in TASKS:
        raise DataError(f"compute_metrics knows the tasks {', '.join(TASKS)}, got {task!r}")
    if A.ndim == 1 and task in ("binary", "regression"):
        A = A[:, None]
    if A.ndim != 2 or (task == "binary" and A.shape[1] != 1):
        expected = "(m, 1)" if task == "binary" else "(m, k)"
        raise DataError(f"a {task} evaluation expects predictions {expected}, got {A.shape}")
    if len(A) == 0:
        raise DataError("there are no rows to evaluate: give at least one")
    wanted = A.shape[:1] if task in ("binary", "multiclass") else A.shape
    accepted = [(len(A),), (len(A), 1)] if A.shape[1] == 1 else [wanted]
    if y.shape not in accepted:
        raise DataError(
            f"a {task} evaluation of predictions {A.shape} expects true values {wanted}, "
            f"got {y.shape}"
        )
    y = y.reshape(wanted)
    _check_values(task, y, A)
    return y.astype(np.float64 if task == "regression" else np.int64), A


def _check_values(task: str, y: NDArray[Any], A: Floats) -> None:
    numbers = f"numbers of at most {_LARGEST:g} in size"
    bad = ~(np.abs(A) <= _LARGEST) if task == "regression" else ~((A >= 0) & (A <= 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        wanted = numbers if task == "regression" else "probabilities from 0 to 1"
        raise DataError(
            f"the predictions to evaluate must be {wanted}, got {A[row, column]:g} in row {row}"
        )
    if task == "regression":
        bad, wanted = ~(np.abs(y.astype(np.float64)) <= _LARGEST), numbers
    else:
        highest = A.shape[1] - 1 if task == "multiclass" else 1
        bad = ~((y >= 0) & (y <= highest) & (y == np.floor(y)))
        wanted = f"whole numbers from 0 to {highest}"
    if bad.any():
        where = tuple(np.argwhere(bad)[0])
        raise DataError(f"the true values must be {wanted}, got {y[where]} in row {where[0]}")
