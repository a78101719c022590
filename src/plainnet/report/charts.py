"""Charts: which drawings a training and an evaluation get, and what is said about them."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plainnet.formatting import number
from plainnet.metrics.curves import pr_curve, reliability, roc_curve
from plainnet.report.svg import SERIES, Drawing, Line, bars, cloud, lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plainnet.data.targets import Target
    from plainnet.evaluate.evaluation import Evaluation

_DECADES = 30.0  # how often the largest cost holds the smallest before the axis is logarithmic
_TARGETS = 3  # numbers of a regression with a drawing each


def training_charts(history: "Mapping[str, Any]", metric: str) -> list[Drawing]:
    """Draw cost, metric and learning rate over the epochs."""
    losses, rates = history["loss"], history["lr"]
    if not losses:
        return []
    mark = history.get("best_epoch")
    kept = f" The dashed line is epoch {mark:,}, whose weights were kept." if mark else ""
    charts = []
    for name, title, key in (("cost", "Cost", "loss"), ("metric", metric, "metric")):
        both = _course(history, key)
        if not both:
            continue
        values = np.concatenate([np.asarray(line.y, np.float64) for line in both])
        log = key == "loss" and 0 < _DECADES * values.min() < values.max()
        title = f"{title[0].upper()}{title[1:]}{', logarithmic' if log else ''}"
        says = "; ".join(f"{one.label} {_from_to(np.asarray(one.y))}" for one in both)
        says = f"In {len(losses):,} {'epoch' if len(losses) == 1 else 'epochs'}: {says}.{kept}"
        axes = ("epoch", "cost" if key == "loss" else metric)
        charts.append(lines(name, title, says, both, axes, log=log, mark=mark))
    says = (
        f"{_from_to(np.asarray(rates))}."
        if len(set(rates)) > 1
        else f"{number(rates[0])} throughout."
    )
    rate = [Line("learning rate", np.arange(1, len(rates) + 1), rates)]
    charts.append(
        lines("rate", "Learning rate", says, rate, ("epoch", "learning rate"), from_zero=True)
    )
    return charts


def _course(history: "Mapping[str, Any]", key: str) -> list[Line]:
    lists = [("training", history[key]), ("validation", history[f"val_{key}"])]
    return [Line(name, np.arange(1, len(some) + 1), some) for name, some in lists if some]


def _from_to(values: NDArray[Any]) -> str:
    return f"{number(float(values[0]))} to {number(float(values[-1]))}"


def regression_charts(target: "Target", y: NDArray[Any], predicted: NDArray[Any]) -> list[Drawing]:
    """Draw predictions beside the truth, and how the errors are spread, for each target."""
    true, said = y.reshape(len(y), -1), predicted.reshape(len(predicted), -1)
    charts = []
    for k, name in enumerate(target.columns[:_TARGETS]):
        of = f" of {name}" if len(target.columns) > 1 else ""
        error = said[:, k] - true[:, k]
        low, high = np.quantile(error, [0.05, 0.95])
        fit = "Each point is a row; on the dashed line a prediction is exact."
        spread = f"Predicted minus true: nine rows in ten lie from {number(low)} to {number(high)}."
        heights, edges = np.histogram(error, bins=25)
        axes = ("true", "predicted")
        charts.append(cloud(f"fit-{k + 1}", f"Predictions{of}", fit, true[:, k], said[:, k], axes))
        axes = ("error", "rows")
        charts.append(bars(f"errors-{k + 1}", f"Errors{of}", spread, edges, heights, axes))
    return charts


def class_charts(target: "Target", y: NDArray[Any], A: NDArray[Any]) -> list[Drawing]:
    """Draw ROC, precision and recall, and calibration."""
    roc, precision, calibration = [], [], []
    for name, true, p in _one_by_one(target, y, A)[:SERIES]:
        if true.all() or not true.any():
            continue
        roc.append(Line(name, *roc_curve(true, p)[:2]))
        values, found, _ = pr_curve(true, p)
        precision.append(Line(name, np.append(0.0, found), np.append(values[0], values)))
        table = reliability(true, p)
        calibration.append(Line(name, [one.said for one in table], [one.came for one in table]))
    return _class_charts(roc, precision, calibration)


def stored_charts(target: "Target", evaluation: "Evaluation") -> list[Drawing]:
    """Draw the same from an evaluation without its rows."""
    every = evaluation.per_class or (evaluation.probabilities,)
    names = target.classes[len(target.classes) - len(every) :]
    roc, precision, calibration = [], [], []
    for name, one in list(zip(names, every, strict=True))[:SERIES]:
        if one is None or not one.roc or not one.pr:
            continue
        roc.append(Line(name, *zip(*one.roc, strict=True)))
        recalled, precise = zip(*one.pr, strict=True)
        precision.append(Line(name, [0.0, *recalled], [precise[0], *precise]))
        said, came = zip(*((line.said, line.came) for line in one.reliability), strict=True)
        calibration.append(Line(name, said, came))
    return _class_charts(roc, precision, calibration)


def _class_charts(roc: list[Line], precision: list[Line], calibration: list[Line]) -> list[Drawing]:
    if not roc:
        return []
    of = f" of {roc[0].label!r}" if len(roc) == 1 else ""
    return [
        lines(
            "roc",
            f"ROC curve{of}",
            "The nearer to the upper left corner the better; on the dotted line it is guessed.",
            roc,
            ("false positive rate", "true positive rate"),
            square=True,
            diagonal=True,
        ),
        lines(
            "precision",
            f"Precision and recall{of}",
            "What share of those called so are so, beside what share of them is found.",
            precision,
            ("recall", "precision"),
            square=True,
        ),
        lines(
            "calibration",
            f"Calibration{of}",
            "How often what was said with a probability came true; on the dotted line, as often.",
            calibration,
            ("probability said", "share that came true"),
            square=True,
            diagonal=True,
            dots=True,
        ),
    ]


def _one_by_one(
    target: "Target", y: NDArray[Any], A: NDArray[Any]
) -> list[tuple[str, NDArray[np.bool_], NDArray[Any]]]:
    """Each class or label as a question of yes or no: its name, the truth, its probability."""
    if target.task == "binary":
        return [(target.classes[-1], y.reshape(-1) == 1, A[:, 0])]
    if target.task == "multiclass":
        return [(name, y == k, A[:, k]) for k, name in enumerate(target.classes)]
    return [(name, y[:, k] == 1, A[:, k]) for k, name in enumerate(target.classes)]
