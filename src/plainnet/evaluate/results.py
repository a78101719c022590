"""Results: a trained model judged on held-out rows, beside simple baselines."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import evaluation, learn_baselines, score_outputs
from plainnet.evaluate.membership import remember
from plainnet.evaluate.per_example import without_far
from plainnet.evaluate.training_record import finite
from plainnet.model import Model

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Examples


def judge(model: Model, data: "Dataset", fingerprints: bool) -> "tuple[Dataset, bool]":
    """Add baselines, results and fingerprints to a trained model; return whether Ctrl-C came.

    Whatever happens, the model stays; the notes say what is missing.
    """
    model.record["results"] = {}
    try:
        try:
            learn_baselines(model, data.train)
            data = without_far(model, data, "test")
            model.record["results"] = finite(results(model, data))
        except (PlainnetError, MemoryError) as error:
            data = replace(data, notes=[*data.notes, f"the evaluation is left out: {error}"])
        if fingerprints:
            model.extras |= remember(data.train.X, data.schema)
    except KeyboardInterrupt:
        note = "interrupted after the training: what was not yet found is left out"
        return replace(data, notes=[*data.notes, note]), True
    return data, False


def results(model: Model, data: "Dataset") -> dict[str, Any]:
    """Evaluate a model on the test rows beside the baselines; empty without test rows."""
    if "baselines" not in model.record:
        learn_baselines(model, data.train)
    if data.test is None:
        return {}
    return {"evaluation": evaluation(model, data.test, train=data.train.X).to_json()}


def score(model: Model, rows: "Examples") -> dict[str, Any]:
    """Score a model on rows whose targets are known, without baselines.

    The figures are those of `plainnet.metrics.scores.evaluate`, with ``rows``, ``loss`` and
    ``interval``, the 95 % interval of the accuracy.
    """
    Z = model.forward(rows.X)
    return score_outputs(model, Z, model.loss.predictions(Z), rows.y)
