"""Mistakes: the samples of which a model is most confident, and wrong."""

from typing import Any, NamedTuple

import numpy as np

from plainnet.evaluate.per_example import NamedExamples, row_scores
from plainnet.explain.example import answer, truth
from plainnet.model import Model
from plainnet.nn.losses import is_positive


class Mistake(NamedTuple):
    """A sample that a model gets wrong.

    ``row`` is its place among the rows that were given, from 0; ``said`` and ``true`` are in
    words. ``confidence`` is the probability of what was said; of several labels, that of the
    wrong one held for surest; of a regression None, where ``error`` counts: the absolute error in
    the table's own unit (elsewhere the share of labels that are wrong). ``loss`` is the sample's.
    """

    row: int
    name: str
    said: str
    true: str
    confidence: float | None
    error: float
    loss: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name, the place counted from 0."""
        return self._asdict()


def worst(model: Model, rows: NamedExamples, n: int = 10) -> list[Mistake]:
    """List the samples of which a model is most confident, and wrong."""
    target, net = model.target, model.net
    Z = model.forward(rows.X)
    y = model.loss.encode(rows.y, net.n_out, np.float64)
    A = model.loss.predictions(Z).astype(np.float64)
    scores, losses = row_scores(model, Z, y), model.loss.per_example(Z.astype(np.float64), y)
    if target.task == "regression":
        errors, rank = scores, scores
    else:
        errors = 1 - scores
        sure = np.maximum(A, 1 - A)
        if target.task == "multiclass":
            rank = A.max(axis=1)
        else:
            rank = np.where(is_positive(A) != (y > 0.5), sure, 0).max(axis=1)
    order = np.lexsort((-losses, -rank))
    found = []
    for i in order[errors[order] > 0][:n]:
        confidence = None if target.task == "regression" else float(rank[i])
        said, true = answer(target, A[i]), truth(target, rows.y[i : i + 1])
        figures = (confidence, float(errors[i]), float(losses[i]))
        found.append(Mistake(int(i), rows.names[i], said, true, *figures))
    return found
