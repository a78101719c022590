"""Evaluation: all that is known of how good a model is on some rows, beside the simple answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from plainnet.evaluate.baselines import Baseline, Column, fit_baselines, stored
from plainnet.evaluate.duplicates import copies, found_in
from plainnet.evaluate.finding import Finding
from plainnet.evaluate.membership import Share, trained_share
from plainnet.evaluate.one_rule import feature_spans
from plainnet.evaluate.verdict import (
    BaselineResult,
    Comparison,
    contradicted,
    copied,
    leaked,
    repeated,
    trained_on,
    unknown,
    verdict,
)
from plainnet.metrics.curves import (
    Bin,
    average_precision,
    best_f1,
    brier,
    calibration_error,
    cheapest,
    pr_curve,
    reliability,
    roc_curve,
    thinned,
)
from plainnet.metrics.intervals import paired_means, paired_shares, wilson
from plainnet.metrics.scores import evaluate
from plainnet.model import Model
from plainnet.nn.losses import is_positive

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples
    from plainnet.data.targets import Target

Array = NDArray[Any]


class Costs(NamedTuple):
    """What mistakes cost: to call a negative positive, and a positive negative."""

    false_positive: float
    false_negative: float


@final
@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a model is on some rows, in numbers and in words."""

    figures: dict[str, Any]
    rivals: tuple[BaselineResult, ...]
    best: str | None  # the name of the best of them
    verdict: str
    findings: tuple[Finding, ...]
    trained_on: Share | None
    curves: dict[str, Any] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON can hold it: the figures first, under their own names."""
        return {
            **self.figures,
            "verdict": self.verdict,
            "best_baseline": self.best,
            "baselines": [rival.to_json() for rival in self.rivals],
            "findings": [finding.to_json() for finding in self.findings],
            "trained_on": None if self.trained_on is None else self.trained_on._asdict(),
            **self.curves,
        }


def evaluation(
    model: Model,
    rows: "Examples",
    *,
    train: Array | None = None,
    costs: Costs | None = None,
    baselines: Sequence[Baseline] | None = None,
) -> Evaluation:
    """Judge a model by rows whose targets are known."""
    task = model.target.task
    Z = model.forward(rows.X)
    A = model.loss.predictions(Z)
    figures = score_outputs(model, Z, A, rows.y)
    own = _points(task, A, rows.y)
    answers = stored(model) if baselines is None else baselines
    rivals = tuple(_rival(model, one, rows, own) for one in answers)
    pictures, where = model.transform is not None, feature_spans(model.schema)
    share = trained_share(model, rows.X) if train is None else None
    case = Comparison(model.target, figures, rivals, train is not None, pictures, share, where)
    findings = leaked(case, answers, *rows)
    if train is not None:
        findings += repeated(case, *found_in(train, rows.X, model.schema), own)
    else:
        findings += unknown(case) if share is None else trained_on(case, share)
    findings += copied(pictures, copies(rows.X, model.schema), len(rows.X))
    if task != "regression":
        findings += contradicted(case, rows.X, rows.y)
    return Evaluation(
        figures,
        rivals,
        case.best.name if case.best is not None else None,
        verdict(case),
        tuple(findings),
        share,
        _curves(model.target, rows.y, A, costs),
    )


def score_outputs(model: Model, Z: Array, A: Array, y: Array) -> dict[str, Any]:
    """Return rows, loss, what `evaluate` gives, and the interval of the accuracy."""
    loss = model.loss(Z, model.loss.encode(y, model.net.n_out, model.net.dtype))[0]
    if model.target.task == "regression":
        y, A = model.target.decode(y), model.target.decode(A)
    figures = {"rows": len(y), "loss": loss, **evaluate(model.target.task, y, A)}
    if "accuracy" in figures:
        # of several labels, those of a row go together: as many trials as rows
        figures["interval"] = list(wilson(figures["accuracy"] * len(y), len(y)))
    return figures


def score_answer(model: Model, answer: Baseline, rows: "Examples") -> tuple[Array, dict[str, Any]]:
    """Return what a simple answer says, and what `score_outputs` gives for it."""
    A = answer.outputs(rows.X)
    Z = _logits(model.target.task, A).astype(model.net.dtype)
    return A, score_outputs(model, Z, A, rows.y)


def _rival(model: Model, answer: Baseline, rows: "Examples", own: Array) -> BaselineResult:
    target = model.target
    A, figures = score_answer(model, answer, rows)
    other = _points(target.task, A, rows.y)
    shares = target.task in ("binary", "multiclass")
    difference = paired_shares(own, other) if shares else paired_means(own, other)
    words = answer.words(target)
    what = words
    if isinstance(answer, Column):
        what = answer.what()
    elif answer.name == "colors":
        what = "seven numbers of color with logistic regression"
    return BaselineResult(answer.name, words, what, figures, difference)


def _points(task: str, A: Array, y: Array) -> Array:
    """What each row counts for a predictor, the more the better."""
    if task == "binary":
        return np.asarray(is_positive(A[:, 0]) == (y > 0.5))
    if task == "multiclass":
        return np.asarray(A.argmax(axis=1) == y)
    if task == "multilabel":
        return np.asarray((is_positive(A) == (y > 0.5)).mean(axis=1))
    error = A.astype(np.float64) - y.reshape(A.shape)
    return np.asarray(-np.square(error).mean(axis=1))


def _logits(task: str, A: Array) -> Array:
    """What a network would have to say for these probabilities; of 0 and 1, nearly so."""
    if task == "regression":
        return A
    p = np.clip(A.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(p) if task == "multiclass" else np.log(p / (1 - p)))


def _curves(target: "Target", y: Array, A: Array, costs: Costs | None) -> dict[str, Any]:
    P = A.astype(np.float64)
    if target.task == "regression":
        return {}
    if target.task == "binary":
        return of_question(y > 0.5, P[:, 0], costs)
    if target.task == "multilabel":
        every = zip(target.classes, y.T > 0.5, P.T, strict=True)
        return {"labels": [{"label": name, **of_question(came, p)} for name, came, p in every]}
    table = reliability(P.argmax(axis=1) == y, P.max(axis=1))
    return {
        "brier": brier(y, P),
        "calibration_error": calibration_error(table),
        "reliability": _lines(table),
        "classes": [
            {"class": name, **of_question(y == k, P[:, k])} for k, name in enumerate(target.classes)
        ],
    }


def of_question(came: Array, p: Array, costs: Costs | None = None) -> dict[str, Any]:
    """Return what there is over all thresholds of one question of yes or no."""
    table = reliability(came, p)
    found: dict[str, Any] = {
        "brier": brier(came, p),
        "calibration_error": calibration_error(table),
        "reliability": _lines(table),
    }
    if came.all() or not came.any():
        return found
    false, true, _ = roc_curve(came, p)
    precision, recall, _ = pr_curve(came, p)
    found |= {
        "roc": thinned(false, true),
        "pr": thinned(recall, precision),
        "average_precision": average_precision(came, p),
        "best_f1": list(best_f1(came, p)),
    }
    if costs is not None:
        threshold, cost = cheapest(came, p, *costs)
        # above all scores: to call none positive is cheapest
        found["cheapest"] = [threshold if math.isfinite(threshold) else None, cost]
    return found


def _lines(table: list[Bin]) -> list[list[float]]:
    """Return a reliability table with means of three digits: a line may stand for a single row."""
    return [[*line[:3], round(line.said, 3), line.came] for line in table]


def learn_baselines(model: Model, train: "Examples") -> None:
    """Fit the simple answers on training rows and store them with the model."""
    from plainnet.evaluate.baselines import store

    store(fit_baselines(model.schema, model.target, train), model)
