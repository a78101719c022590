"""The whole model at a glance: what it relies on, where it is surely wrong, what it looks for."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from plainnet.evaluate.membership import Share, trained_share
from plainnet.evaluate.per_example import NamedExamples, row_scores
from plainnet.explain.images import Pixels, first_weights
from plainnet.explain.importance import Importance, importance
from plainnet.explain.mistakes import Mistake, worst
from plainnet.model import Model
from plainnet.nn.layers import Dense


@final
@dataclass(frozen=True, eq=False)
class Overview:
    """What a model relies on, and where it fails, by rows whose targets are known."""

    rows: int  # how many samples it was judged by
    wrong: int | None  # how many of them it gets wrong, in a label at least; None for a regression
    importances: tuple[Importance, ...]  # the most important column, or tile of a picture, first
    mistakes: tuple[Mistake, ...]  # the most confident first
    gallery: Pixels | None  # the pictures of the mistakes as the network saw them; None for tables
    weights: Pixels | None  # the weights of the first layer as pictures; None for tables
    trained_on: Share | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON can hold them; of pictures their number alone."""
        return {
            "rows": self.rows,
            "wrong": self.wrong,
            "trained_on": None if self.trained_on is None else self.trained_on._asdict(),
            "importance": [one.to_json() for one in self.importances],
            "mistakes": [one.to_json() for one in self.mistakes],
            "first_layer_pictures": 0 if self.weights is None else len(self.weights),
        }


def overview(
    model: Model, rows: NamedExamples, *, repeats: int = 20, seed: int = 0, n: int = 10
) -> Overview:
    """Look at a whole model by rows whose targets are known."""
    wrong = None
    if model.target.task != "regression":
        Z = model.forward(rows.X)
        y = model.loss.encode(rows.y, model.net.n_out, np.float64)
        wrong = int(np.count_nonzero(row_scores(model, Z, y) < 1))
    mistakes = worst(model, rows, n)
    pictures = model.transform is not None
    return Overview(
        len(rows.X),
        wrong,
        tuple(importance(model, rows, repeats=repeats, seed=seed)),
        tuple(mistakes),
        rows.X[[one.row for one in mistakes]] if pictures and mistakes else None,
        first_weights(model) if pictures and isinstance(model.net.layers[0], Dense) else None,
        trained_share(model, rows.X),
    )
