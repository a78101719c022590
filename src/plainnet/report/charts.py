"""The charts of a training and of an evaluation, and their descriptions."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plainnet.evaluate.evaluation import Evaluation
from plainnet.formatting import count, number
from plainnet.report.svg import SERIES, Caption, Chart, Line, histogram, line_chart, scatter_plot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plainnet.data.targets import Target

_LOG_RATIO = 30.0  # ratio of the largest to the smallest cost for a logarithmic axis
_TARGETS = 3  # targets of a regression that are drawn


def training_charts(history: "Mapping[str, Any]", metric: str) -> list[Chart]:
    """Draw cost, metric and learning rate over the epochs."""
    epochs = len(history["loss"])
    if not epochs:
        return []
    best = history.get("best_epoch")
    kept = f" By epoch {best:,}, the dashed line, the weights kept were found." if best else ""
    x = np.arange(1, epochs + 1)
    charts = []
    for name, label, key in (("cost", "cost", "loss"), ("metric", metric, "metric")):
        parts = (("training", history[key]), ("validation", history[f"val_{key}"]))
        series = [Line(part, x, values) for part, values in parts if values]
        if not series:
            continue
        costs = np.concatenate([np.asarray(line.y, np.float64) for line in series])
        log = key == "loss" and 0 < _LOG_RATIO * costs.min() < costs.max()
        title = f"{label[0].upper()}{label[1:]}{', logarithmic' if log else ''}"
        ends = "; ".join(f"{line.label} {_ends(np.asarray(line.y))}" for line in series)
        text = f"In {count(epochs, 'epoch')}: {ends}.{kept}"
        caption = Caption(name, title, text, "epoch", label)
        charts.append(line_chart(caption, series, log=log, mark=best))
    rates = np.asarray(history["lr"])
    text = f"{number(rates[0])} throughout." if (rates == rates[0]).all() else f"{_ends(rates)}."
    caption = Caption("rate", "Learning rate", text, "epoch", "learning rate")
    charts.append(line_chart(caption, [Line("learning rate", x, rates)], from_zero=True))
    return charts


def _ends(values: NDArray[Any]) -> str:
    return f"{number(float(values[0]))} to {number(float(values[-1]))}"


def regression_charts(target: "Target", y: NDArray[Any], predicted: NDArray[Any]) -> list[Chart]:
    """Draw predictions against true values, and the distribution of the errors, per target."""
    charts = []
    columns = (values.reshape(len(values), -1).T for values in (y, predicted))
    per_target = zip(target.columns, *columns, strict=True)
    for k, (name, true, prediction) in enumerate(list(per_target)[:_TARGETS]):
        of = f" of {name}" if len(target.columns) > 1 else ""
        error = prediction - true
        low, high = map(number, np.quantile(error, [0.05, 0.95]))
        text = "Each point is a row; on the dashed line a prediction is exact."
        caption = Caption(f"fit-{k + 1}", f"Predictions{of}", text, "true", "predicted")
        charts.append(scatter_plot(caption, true, prediction))
        heights, edges = np.histogram(error, bins=25)
        text = f"Predicted minus true: 90 % of the rows lie from {low} to {high}."
        caption = Caption(f"errors-{k + 1}", f"Errors{of}", text, "error", "rows")
        charts.append(histogram(caption, edges, heights))
    return charts


def class_charts(target: "Target", evaluation: Evaluation) -> list[Chart]:
    """Draw ROC, precision and recall, and calibration from an evaluation."""
    per_class = evaluation.per_class or (evaluation.probabilities,)
    names = target.classes[len(target.classes) - len(per_class) :]
    roc, precision, calibration = [], [], []
    for name, quality in list(zip(names, per_class, strict=True))[:SERIES]:
        if quality is None or not quality.roc or not quality.pr:  # the rows hold only one class
            continue
        roc.append(Line(name, *zip(*quality.roc, strict=True)))
        recalls, precisions = zip(*quality.pr, strict=True)
        precision.append(Line(name, [0.0, *recalls], [precisions[0], *precisions]))
        predicted = [line.predicted for line in quality.reliability]
        calibration.append(Line(name, predicted, [line.observed for line in quality.reliability]))
    if not roc:
        return []
    of = f" of {roc[0].label!r}" if len(roc) == 1 else ""
    captions = (
        Caption(
            "roc",
            f"ROC curve{of}",
            "The closer to the upper left corner the better; the dotted line is chance.",
            "false positive rate",
            "true positive rate",
        ),
        Caption(
            "precision",
            f"Precision and recall{of}",
            "Precision: the share of predicted positives that are positive. "
            "Recall: the share of positives that are found.",
            "recall",
            "precision",
        ),
        Caption(
            "calibration",
            f"Calibration{of}",
            "Predicted probabilities against observed shares; the dotted line is ideal.",
            "predicted probability",
            "share that is positive",
        ),
    )
    return [
        line_chart(captions[0], roc, unit_square=True, diagonal=True),
        line_chart(captions[1], precision, unit_square=True),
        line_chart(captions[2], calibration, unit_square=True, diagonal=True, dots=True),
    ]
