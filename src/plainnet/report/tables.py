"""The tables of an evaluation, for the terminal and for the page."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from plainnet.data.images import ImageSchema
from plainnet.evaluate.evaluation import UNITS, Evaluation, Scores
from plainnet.formatting import NAMES, number, percent, points, score
from plainnet.metrics.scores import dense_confusion
from plainnet.nn.network import Sequential
from plainnet.report.html import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target

_SHADES = 4


def comparison(
    target: "Target", evaluation: Evaluation, caption: str, keys: Sequence[str] = ()
) -> Table:
    """Compare the scores of network and baselines, the most complex first; all scores or `keys`."""
    rows = [("network", evaluation.scores)]
    rows += [(each.description, each.scores) for each in reversed(evaluation.baselines)]
    names = NAMES if keys else _metric_names(target)
    names = {"accuracy": names["accuracy"], "interval": "95 % interval", **names}
    keys = [key for key in keys or names if _cell(key, evaluation.scores) != "-"]
    head = ["predictor", *(names[key] for key in keys)]
    cells = [[name, *(_cell(key, scores) for key in keys)] for name, scores in rows]
    return Table(caption, head, cells, range(1, len(head)))


def _metric_names(target: "Target") -> dict[str, str]:
    """Name the metrics, those of one class with that class."""
    of = f" of {target.classes[-1]}" if target.task == "binary" else ""
    return {key: name + of * (key in ("precision", "recall", "f1")) for key, name in NAMES.items()}


def _cell(key: str, scores: Scores) -> str:
    if key == "interval":
        return "-" if scores.interval is None else " to ".join(map(points, scores.interval))
    return score(key, scores.loss if key == "loss" else scores.metrics.get(key))


def interval(ends: Sequence[float]) -> str:
    """Write an interval of a share."""
    return f"{points(ends[0])} to {points(ends[1])} %"


def evaluation_tables(target: "Target", evaluation: Evaluation, largest: int) -> list[Table]:
    """Return all further tables; confusion matrices of more than `largest` classes become lists."""
    tables = [
        differences(target, evaluation),
        per_class(target, evaluation.scores),
        confusion(target, evaluation.scores, largest),
        probabilities(target, evaluation),
        calibration(target, evaluation),
    ]
    return [table for table in tables if table is not None]


def differences(target: "Target", evaluation: Evaluation) -> Table | None:
    """Compare the network with each baseline, with intervals."""
    if not evaluation.baselines:
        return None
    regression, rows = target.task == "regression", []
    times, form = (1, "+.4f") if regression else (100, "+.1f")
    for baseline in reversed(evaluation.baselines):
        d = baseline.difference
        ends = f"{times * d.low:{form}} to {times * d.high:{form}}" if np.isfinite(d.low) else "-"
        p = "below 0.001" if d.p < 0.001 else f"{d.p:.3f}"
        rows.append([baseline.description, f"{times * d.value:{form}}", ends, p])
    unit = "squared error falls by" if regression else "points better"
    head = ("network compared with", unit, "95 % interval", "p")
    return Table("How much better the network is", head, rows, (1, 2, 3))


def per_class(target: "Target", scores: Scores) -> Table | None:
    """Return the scores of each class, label or target."""
    if not scores.per_unit:
        return None
    unit = UNITS[target.task]
    head = [unit, *(NAMES[key] for key in scores.per_unit)]
    names = target.columns if unit == "target" else target.classes
    columns = zip(*scores.per_unit.values(), strict=True)
    rows = [[name, *map(number, row)] for name, row in zip(names, columns, strict=True)]
    return Table(f"For each {unit}", head, rows, range(1, len(head)))


def confusion(target: "Target", scores: Scores, largest: int) -> Table | None:
    """Return the confusion matrix, or of many classes the most frequent confusions."""
    names, counts = target.classes, scores.confusion
    if counts is None:
        return None
    if target.task == "multilabel":
        head = ["label", "true positives", "false positives", "false negatives", "true negatives"]
        rows = [
            [name, *(f"{n:,}" for n in (yes[1], no[1], yes[0], no[0]))]
            for name, (no, yes) in zip(names, counts, strict=True)
        ]
        return Table("Right and wrong labels", head, rows, range(1, len(head)))
    if len(names) > largest:
        wrong = sorted((n, i, j) for i, j, n in counts if i != j)[::-1]
        rows = [[names[i], names[j], f"{n:,}"] for n, i, j in wrong]
        return Table("Most frequent confusions", ("true", "predicted", "rows"), rows, (2,))
    if target.task == "multiclass":
        counts = dense_confusion(counts, len(names))
    rows = [[name, *(f"{n:,}" for n in row)] for name, row in zip(names, counts, strict=True)]
    colors = [
        [_shade("h" if i == j else "w", n, sum(row)) for j, n in enumerate(row)]
        for i, row in enumerate(counts)
    ]
    head = ["true \\ predicted", *names]
    return Table("Confusion matrix", head, rows, range(1, len(head)), colors)


def _shade(kind: str, part: int, total: int) -> str:
    """Return the CSS class of a cell: h right, w wrong, darker for a larger share of its row."""
    return f"{kind}{int(np.ceil(_SHADES * part / total))}" if part else ""


def probabilities(target: "Target", evaluation: Evaluation) -> Table | None:
    """Return the scores of the probabilities of each class or label, and the best thresholds."""
    if not evaluation.per_class:
        return None
    rows = []
    for name, quality in zip(target.classes, evaluation.per_class, strict=True):
        values = (quality.average_precision, quality.brier, quality.calibration_error)
        rows.append([name, *map(number, (*values, *(quality.best_f1 or (None, None))))])
    unit = UNITS[target.task]
    head = (unit, "average precision", "Brier", "calibration error", "best threshold", "its F1")
    return Table(f"The probability of each {unit}", head, rows, range(1, 6))


def calibration(target: "Target", evaluation: Evaluation) -> Table | None:
    """Return mean probabilities and shares of positives, in bins of the probability."""
    if evaluation.probabilities is None:
        return None
    of = target.classes[-1] if target.task == "binary" else "the prediction"
    rows = [
        (
            f"{100 * bin_.low:.0f} to {100 * bin_.high:.0f} %",
            f"{bin_.rows:,}",
            percent(bin_.predicted),
            percent(bin_.observed),
        )
        for bin_ in evaluation.probabilities.reliability
    ]
    head = (f"probability of {of}", "rows", "mean", "observed share")
    return Table("Calibration", head, rows, (1, 2, 3))


def columns(schema: "TableSchema") -> Table:
    """Return a row for each column of a table."""
    return Table("Columns", ("column", "kind", "values", "missing", "encoding"), schema.describe())


def pixels(schema: ImageSchema) -> str:
    """Describe the numbers of a picture."""
    unscaled = ", unscaled (0 to 255)" if schema.unscaled else ""
    return f"{schema.size} x {schema.size} pixels, {schema.n_features:,} numbers in all{unscaled}"


def network(net: Sequential) -> Table:
    """Return the layers of a network: output shapes, parameters, multiplications for one row."""
    rows, total = [("input", "", " x ".join(map(str, net.in_shape)), "", "")], 0
    for layer, line in zip(net.layers, net.summary(), strict=True):
        weights = sum(math.prod(spec.shape) for spec in layer.specs if spec.kind == "weight")
        products = weights * math.prod(layer.out_shape[:-1])  # for each pixel of a picture
        total += products
        shape = " x ".join(map(str, line.out_shape))
        rows.append((line.name, line.kind, shape, f"{line.n_params:,}", f"{products:,}"))
    rows.append(("total", "", "", f"{net.params.grad.size:,}", f"{total:,}"))
    head = ("layer", "kind", "output", "parameters", "multiplications")
    return Table("Network", head, rows, (2, 3, 4))


def repeats(record: "Mapping[str, Any]") -> Table:
    """Return the scores of trainings with different seeds."""
    name = record["metric"]
    scores = zip(record["seeds"], record["network"], record["baseline"], strict=True)
    rows = [(f"seed {seed}", score(name, own), score(name, other)) for seed, own, other in scores]
    head = ("training", NAMES[name], "best baseline")
    return Table(f"{len(rows)} trainings with different seeds", head, rows, (1, 2))


def score_facts(target: "Target", scores: Scores) -> list[tuple[str, str]]:
    """Return the scores of the network by name."""
    names = _metric_names(target)
    return [(name, _cell(key, scores)) for key, name in names.items() if _cell(key, scores) != "-"]


def probability_facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the scores of all probabilities together, and the best threshold on these rows."""
    p = evaluation.probabilities
    if p is None:
        return []
    facts = [("Brier score", number(p.brier))]
    facts.append(("Expected calibration error", percent(p.calibration_error)))
    if p.average_precision is not None:
        facts.append(("Average precision", number(p.average_precision)))
    if p.best_f1 is not None:
        threshold, f1 = p.best_f1
        facts.append(("Threshold with the best F1", f"{threshold:.3g}, F1 {number(f1)}"))
    return facts + cheapest_fact(evaluation)


def cheapest_fact(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the threshold with the lowest cost of mistakes, where costs were given."""
    p = evaluation.probabilities
    if p is None or p.cheapest is None:
        return []
    threshold, cost = p.cheapest
    text = "above all probabilities" if threshold is None else f"{threshold:.3g}"
    return [("Cheapest threshold", f"{text}, cost per row {number(cost)}")]
