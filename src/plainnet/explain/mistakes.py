"""Mistakes: the examples on which a model is wrong and most confident."""

from typing import NamedTuple

import numpy as np

from plainnet.evaluate.per_example import NamedExamples, row_scores
from plainnet.explain.example import describe_prediction, describe_target
from plainnet.model import Model
from plainnet.nn.losses import is_positive


class Mistake(NamedTuple):
    """An example that a model gets wrong."""

    row: int  # its index among the given rows
    name: str
    predicted: str
    true: str
    confidence: float | None  # of the prediction, or of the worst label; None for a regression
    error: float  # share of wrong labels, or absolute error in the unit of the table
    loss: float


def confident_mistakes(model: Model, rows: NamedExamples, n: int = 10) -> list[Mistake]:
    """List the n most confident mistakes, or the n largest errors of a regression."""
    target = model.target
    Z = model.forward(rows.X)
    y = model.loss.encode(rows.y, model.net.n_out, np.float64)
    A = model.loss.predictions(Z).astype(np.float64)
    scores, losses = row_scores(model, Z, y), model.loss.per_example(Z.astype(np.float64), y)
    errors = scores if target.task == "regression" else 1 - scores
    if target.task == "regression":
        rank = errors
    elif target.task == "multiclass":
        rank = A.max(axis=1)
    else:
        rank = np.where(is_positive(A) != (y > 0.5), np.maximum(A, 1 - A), 0).max(axis=1)
    order = np.lexsort((-losses, -rank))
    return [
        Mistake(
            int(i),
            str(rows.names[i]),
            describe_prediction(target, A[i]),
            describe_target(target, rows.y[i : i + 1]),
            None if target.task == "regression" else float(rank[i]),
            float(errors[i]),
            float(losses[i]),
        )
        for i in order[errors[order] > 0][:n]
    ]
