"""Evaluate a model: its scores, the baselines on the same rows, the verdict and the findings."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines.baseline import (
    Baseline,
    fit_baselines,
    store_baselines,
    stored_baselines,
)
from plainnet.evaluate.baselines.boosting import fit_boosting
from plainnet.evaluate.checks import (
    contradictory_labels,
    leaked_columns,
    on_sample,
    repeated_rows,
    rows_trained_on,
    sampled_rows,
    split_duplicates,
)
from plainnet.evaluate.duplicates import MOST_ROWS, count_copies, match_rows, sample_rows
from plainnet.evaluate.evaluation import (
    UNITS,
    BaselineResult,
    Evaluation,
    ProbabilityScores,
    Scores,
)
from plainnet.evaluate.feature_spans import feature_spans
from plainnet.evaluate.membership import membership_filter, trained_share
from plainnet.evaluate.per_example import drop_extreme_rows
from plainnet.evaluate.threads import submit
from plainnet.evaluate.verdict import Comparison, verdict
from plainnet.metrics import curves
from plainnet.metrics.intervals import paired_means, paired_shares, wilson
from plainnet.metrics.scores import compute_metrics
from plainnet.model import Model
from plainnet.nn.losses import is_positive, with_smoothing
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Examples


def evaluate(
    model: Model,
    rows: "Examples",
    *,
    train: Array | None = None,
    costs: tuple[float, float] | None = None,
    boosting: Callable[[], Baseline | None] = lambda: None,
) -> Evaluation:
    """Evaluate a model on rows with known targets.

    `train` are the training rows, where available; `costs` those of a false positive and of a false
    negative; `boosting` waits for one more baseline, which no model file holds.
    """
    task, schema = model.target.task, model.schema
    [some] = sample_rows(rows.X)
    X, y = rows.X[some], rows.y[some]
    with ThreadPoolExecutor(1) as pool:  # looks for copies while the model is scored
        repeated = submit(pool, count_copies, X, schema)
        matches = None if train is None else submit(pool, match_rows, train, rows.X, schema)
        Z = model.forward(rows.X)
        A = model.loss.predictions(Z)
        scores = _score(model, Z, A, rows.y)
        points = score_rows(task, A, rows.y)
        fitted: list[Baseline] = [*stored_baselines(model)]
        results = tuple(_compare(model, one, rows, points) for one in fitted)
        if (trees := boosting()) is not None:
            fitted.append(trees)
            results += (_compare(model, trees, rows, points),)
        images, spans = model.transform is not None, feature_spans(schema)
        share = trained_share(model, rows.X) if train is None else None
        case = Comparison(model.target, scores, results, train is not None, images, share, spans)
        probabilities = _probabilities(model, rows.y, A.astype(np.float64), costs)
        findings = leaked_columns(case, fitted, *rows)
        if matches is None:
            findings += rows_trained_on(case, share)
        else:
            findings += split_duplicates(case, matches.result(), points)
        findings += repeated_rows(images, repeated.result(), len(rows.X))
    if task != "regression":
        findings += contradictory_labels(case, X, y)
    findings += sampled_rows(images, len(rows.X) + (0 if train is None else len(train)))
    return Evaluation(scores, results, verdict(case), tuple(findings), share, *probabilities)


def evaluate_held_out(model: Model, data: "Dataset", fingerprints: bool) -> "tuple[Dataset, bool]":
    """Add baselines, evaluation and fingerprints to a trained model; return True on Ctrl-C.

    The model stays usable in any case; notes name the missing parts.
    """
    model.record["evaluation"] = None
    train = data.train.X
    pool = ThreadPoolExecutor(2)
    try:
        trained_on = submit(pool, membership_filter, train, data.schema) if fingerprints else None
        boosting = data.test and submit(pool, fit_boosting, data.target, data.train)
        try:
            store_baselines(fit_baselines(model.schema, model.target, data.train), model)
            data = drop_extreme_rows(model, data, "test")
            if data.test and boosting:
                evaluation = evaluate(model, data.test, train=train, boosting=boosting.result)
                model.record["evaluation"] = evaluation.to_json()
        except (PlainnetError, MemoryError) as error:
            data = replace(data, notes=[*data.notes, f"the evaluation is left out: {error}"])
        m, n = len(train), 0 if data.test is None else len(data.test.X)
        if m + n > MOST_ROWS:
            what = "baselines were fitted and copies" if m > MOST_ROWS else "copies were"
            sample = on_sample("picture" if train.ndim == 4 else "row")
            data = replace(data, notes=[*data.notes, f"{what} looked for{sample}"])
        if trained_on is not None:
            model.extras |= trained_on.result()
    except KeyboardInterrupt:
        note = "interrupted after the training: the rest of the evaluation is left out"
        return replace(data, notes=[*data.notes, note]), True
    finally:
        pool.shutdown()
    return data, False


def score_model(model: Model, rows: "Examples") -> Scores:
    """Score a model on rows with known targets, without baselines."""
    Z = model.forward(rows.X)
    return _score(model, Z, model.loss.predictions(Z), rows.y)


def score_baseline(model: Model, baseline: Baseline, rows: "Examples") -> tuple[Array, Scores]:
    """Return the predictions of a baseline and their scores, by the loss of a model."""
    A = baseline.predict(rows.X)
    return A, _score(model, logits_of(model.target.task, A).astype(model.net.dtype), A, rows.y)


def _score(model: Model, Z: Array, A: Array, y: Array) -> Scores:
    task, m = model.target.task, len(y)
    exact = with_smoothing(model.loss, 0.0)  # smoothing would favor cautious probabilities
    loss = exact(Z, exact.encode(y, model.net.n_out, model.net.dtype))[0]
    if task == "regression":
        y, A = model.target.decode(y), model.target.decode(A)
    metrics = compute_metrics(task, y, A)
    confusion = metrics.pop("confusions", metrics.pop("confusion_matrix", None))
    ending = f"_per_{UNITS.get(task)}"
    per_unit = {
        key.removesuffix(ending): metrics.pop(key) for key in list(metrics) if key.endswith(ending)
    }
    # The labels of one row are not independent, so there are as many trials as rows.
    interval = wilson(metrics["accuracy"] * m, m) if "accuracy" in metrics else None
    return Scores(task, m, loss, metrics, interval, per_unit, confusion)


def _compare(model: Model, baseline: Baseline, rows: "Examples", points: Array) -> BaselineResult:
    task = model.target.task
    A, scores = score_baseline(model, baseline, rows)
    paired = paired_shares if task in ("binary", "multiclass") else paired_means
    difference = paired(points, score_rows(task, A, rows.y))
    names = baseline.describe(model.target)
    return BaselineResult(baseline.name, *names, scores, difference)


def score_rows(task: str, A: Array, y: Array) -> Array:
    """Return per row whether it is right, its share of right labels, or minus its squared error."""
    if task == "multilabel":
        return np.asarray((is_positive(A) == (y > 0.5)).mean(axis=1))
    if task == "regression":
        error = A.astype(np.float64) - y.reshape(A.shape)
        return np.asarray(-np.square(error).mean(axis=1))
    return np.asarray(predicted_classes(A) == true_classes(y))


def predicted_classes(A: Array) -> Array:
    """Return the class number that each row of probabilities predicts."""
    return A.argmax(axis=1) if A.shape[1] > 1 else is_positive(A[:, 0]).astype(np.int64)


def true_classes(y: Array) -> Array:
    """Return the class number of each target of a classification, encoded or not."""
    if y.ndim == 1:
        return y
    return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.int64)


def logits_of(task: str, A: Array) -> Array:
    """Return the logits of probabilities, clipped slightly away from 0 and 1."""
    if task == "regression":
        return A
    p = np.clip(A.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(p) if task == "multiclass" else np.log(p / (1 - p)))


def _probabilities(
    model: Model, y: Array, P: Array, costs: tuple[float, float] | None
) -> tuple[ProbabilityScores | None, tuple[ProbabilityScores, ...]]:
    """Score the probabilities of all classes together, and of each class or label."""
    task, names = model.target.task, model.target.classes
    if task == "regression":
        return None, ()
    if task == "binary":
        return _score_question(y > 0.5, P[:, 0], costs=costs), ()
    if task == "multilabel":
        every = zip(names, y.T > 0.5, P.T, strict=True)
        return None, tuple(_score_question(true, p, name) for name, true, p in every)
    bins = curves.reliability(P.argmax(axis=1) == y, P.max(axis=1))
    return (
        ProbabilityScores(curves.brier(y, P), curves.calibration_error(bins), _rounded(bins)),
        tuple(_score_question(y == k, P[:, k], name) for k, name in enumerate(names)),
    )


def _score_question(
    true: Array,
    p: Array,
    name: str | None = None,
    costs: tuple[float, float] | None = None,
) -> ProbabilityScores:
    """Score the probabilities of one yes/no question over all thresholds."""
    bins = curves.reliability(true, p)
    first = (curves.brier(true, p), curves.calibration_error(bins), _rounded(bins), name)
    if true.all() or not true.any():
        return ProbabilityScores(*first)
    thresholds = curves.Thresholds.of(true, p)
    cheapest = None
    if costs is not None:
        threshold, cost = thresholds.cheapest(*costs)
        # an infinite threshold: calling no row positive costs least
        cheapest = (threshold if math.isfinite(threshold) else None, cost)
    return ProbabilityScores(
        *first,
        curves.thinned(*thresholds.roc_curve()),
        curves.thinned(*thresholds.pr_curve()),
        thresholds.average_precision(),
        thresholds.best_f1(),
        cheapest,
    )


def _rounded(bins: list[curves.Bin]) -> tuple[curves.Bin, ...]:
    """Round the mean probabilities to three digits: a bin may hold a single row."""
    return tuple(one._replace(predicted=round(one.predicted, 3)) for one in bins)
