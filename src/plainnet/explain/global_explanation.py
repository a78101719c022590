"""The global explanation of a model: the importance of each column, and confident mistakes."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from plainnet.evaluate.membership import Share, trained_share
from plainnet.evaluate.per_example import NamedExamples, row_scores
from plainnet.explain.class_examples import ClassExamples, class_examples
from plainnet.explain.excerpt import as_json, numbered
from plainnet.explain.images import Pixels, first_weights
from plainnet.explain.importance import Importance, importance
from plainnet.explain.mistakes import Mistake, confident_mistakes
from plainnet.model import Model
from plainnet.nn.parameters import Array


@final
@dataclass(frozen=True, eq=False)
class GlobalExplanation:
    """The importance of each column and the mistakes of a model, on rows with known targets."""

    rows: int
    wrong: int | None  # rows with a wrong label; None for a regression
    importances: tuple[Importance, ...]  # of columns or picture tiles, the most important first
    mistakes: tuple[Mistake, ...]  # the most confident first
    numbers: Array | None  # of the rows, as ``--row`` counts them
    gallery: Pixels | None  # the pictures of the mistakes; None for tables
    classes: tuple[ClassExamples, ...]  # the pictures of each class; empty for tables
    weights: Pixels | None  # the weights of the first layer as pictures; None for tables
    trained_on: Share | None  # the share of the rows that the model was trained on, where known

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values; of pictures only their number."""
        return {
            "rows": self.rows,
            "wrong": self.wrong,
            "trained_on": None if self.trained_on is None else self.trained_on._asdict(),
            "importance": as_json(self.importances, 0),
            "mistakes": numbered(self.mistakes, self.numbers),
            "first_layer_pictures": 0 if self.weights is None else len(self.weights),
        }


def explain_model(
    model: Model, rows: NamedExamples, *, repeats: int = 20, seed: int = 0, n: int = 10
) -> GlobalExplanation:
    """Explain a model on rows with known targets: importances and the n worst mistakes."""
    wrong, classes = None, list[ClassExamples]()
    if model.target.task != "regression":
        y = model.loss.encode(rows.y, model.net.n_out, np.float64)
        Z = model.forward(rows.X)
        wrong = int(np.count_nonzero(row_scores(model, Z, y) < 1))
        if model.transform is not None and model.target.task != "multilabel":
            A = model.loss.predictions(Z)
            classes = class_examples(model.target, rows.X, rows.y, A, rows.numbers)
    mistakes = confident_mistakes(model, rows, n)
    images = model.transform is not None
    return GlobalExplanation(
        len(rows.X),
        wrong,
        tuple(importance(model, rows, repeats=repeats, seed=seed)),
        tuple(mistakes),
        rows.numbers,
        rows.X[[one.row for one in mistakes]] if images and mistakes else None,
        tuple(classes),
        first_weights(model),
        trained_share(model, rows.X),
    )
