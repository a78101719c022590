"""Outcomes: the tables of an evaluation, for a page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from plainnet.formatting import NAMES, number, percent, points, score
from plainnet.metrics.scores import filled
from plainnet.report.html import Table

if TYPE_CHECKING:
    from plainnet.data.targets import Target

_COLUMNS = {"accuracy": NAMES["accuracy"], "interval": "95 % interval", **NAMES}
_MATRIX = 12  # classes whose confusion matrix is still read at a glance
_SHADES = 4


def compared(target: "Target", found: Mapping[str, Any], caption: str) -> Table:
    """Put the network's figures above those of the simple answers, a row each."""
    keys = [key for key in _COLUMNS if found.get(key) is not None]
    positive = f" of {target.classes[-1]}" if target.task == "binary" else ""
    whose = dict.fromkeys(("precision", "recall", "f1"), positive)
    head = ["predictor", *(_COLUMNS[key] + whose.get(key, "") for key in keys)]
    several = [("network", found), *((one["words"], one) for one in found.get("baselines", ()))]
    rows = [[name, *(_cell(key, some.get(key)) for key in keys)] for name, some in several]
    return Table(caption, head, rows, range(1, len(head)))


def interval(ends: Sequence[float]) -> str:
    """Write an interval of a share."""
    return f"{points(ends[0])} to {points(ends[1])} %"


def _cell(key: str, value: Any) -> str:
    if key == "interval" and value is not None:
        return interval(value)
    return score(key, value)


def differences(target: "Target", found: Mapping[str, Any]) -> Table | None:
    """Say how much better the network is than each simple answer, and how sure that is."""
    rivals = found.get("baselines")
    if target.task == "regression" or not rivals:
        return None
    rows = []
    for one in rivals:
        value, low, high, p = (one["difference"][key] for key in ("value", "low", "high", "p"))
        ends = "-" if low is None or high is None else f"{100 * low:+.1f} to {100 * high:+.1f}"
        rows.append([one["words"], f"{100 * value:+.1f}", ends, _chance(p)])
    head = ("than", "points better", "95 % interval", "p")
    return Table("How much better the network is", head, rows, (1, 2, 3))


def _chance(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def calibrated(found: Mapping[str, Any]) -> Table | None:
    """Return the reliability table of an evaluation."""
    lines = found.get("reliability")
    if not lines:
        return None
    rows = [
        [f"{100 * low:.0f} to {100 * high:.0f} %", f"{n:,}", percent(said), percent(came)]
        for low, high, n, said, came in lines
    ]
    head = ("probability", "rows", "said on average", "came true")
    return Table("Do the probabilities mean what they say?", head, rows, (1, 2, 3))


def questions(target: "Target", found: Mapping[str, Any]) -> Table | None:
    """Return how good the probabilities of each class or label are, and its best threshold."""
    unit = "label" if target.task == "multilabel" else "class"
    every = found.get({"label": "labels", "class": "classes"}[unit])
    if not every:
        return None
    keys = ("average_precision", "brier", "calibration_error")
    rows = []
    for name, one in zip(target.classes, every, strict=True):
        best = one.get("best_f1", (None, None))
        rows.append([name, *(number(one.get(key)) for key in keys), *map(number, best)])
    head = (unit, "average precision", "Brier", "calibration error", "best threshold", "its F1")
    return Table(f"The probability of each {unit}", head, rows, range(1, 6))


def detailed(target: "Target", figures: Mapping[str, Any]) -> list[Table]:
    """Return what there is for each class, label or target, and what was taken for what."""
    tables = []
    names = target.columns if target.task == "regression" else target.classes
    for unit in ("class", "label", "target"):
        end = f"_per_{unit}"
        each = {key: figures[key + end] for key in NAMES if key + end in figures}
        if each:
            head = [unit, *(NAMES[key] for key in each)]
            rows = [[name, *(number(each[key][i]) for key in each)] for i, name in enumerate(names)]
            tables.append(Table(f"For each {unit}", head, rows, range(1, len(head))))
    counts, cells = figures.get("confusion_matrix"), figures.get("confusions")
    if counts is not None and target.task == "multilabel":
        tables.append(_labels(names, counts))
    elif cells is not None and len(names) > _MATRIX:
        tables.append(_confusions(names, cells))
    elif counts is not None or cells is not None:
        tables.append(_matrix(names, counts or filled(cells or (), len(names))))
    return tables


def _matrix(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    rows = [[name, *(f"{n:,}" for n in row)] for name, row in zip(names, counts, strict=True)]
    colors = [
        [_shade("h" if i == j else "w", n, sum(row)) for j, n in enumerate(row)]
        for i, row in enumerate(counts)
    ]
    head = ["true \\ predicted", *names]
    return Table("Confusion matrix", head, rows, range(1, len(head)), colors)


def _shade(kind: str, part: int, whole: int) -> str:
    """The class of a cell: h right and w wrong, darker for a larger share of its row."""
    return f"{kind}{int(np.ceil(_SHADES * part / whole))}" if part else ""


def _confusions(names: Sequence[str], cells: Sequence[Sequence[int]]) -> Table:
    wrong = [(n, i, j) for i, j, n in cells if i != j]
    rows = [[names[i], names[j], f"{n:,}"] for n, i, j in sorted(wrong, key=lambda one: -one[0])]
    return Table("Most frequent confusions", ("true", "predicted", "rows"), rows, (2,))


def _labels(names: Sequence[str], counts: Sequence[Sequence[Sequence[int]]]) -> Table:
    head = ("label", "rightly yes", "wrongly yes", "wrongly no", "rightly no")
    rows = [
        [name, *(f"{n:,}" for n in (yes[1], no[1], yes[0], no[0]))]
        for name, (no, yes) in zip(names, counts, strict=True)
    ]
    return Table("Labels, right and wrong", head, rows, range(1, len(head)))
