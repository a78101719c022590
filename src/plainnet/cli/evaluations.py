"""Evaluations on a console: a table, the verdict, warnings; and with detail all the rest."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from plainnet.cli.console import clean, line, number, percent, score, scores, section, table
from plainnet.formatting import NAMES, points
from plainnet.metrics.scores import filled
from plainnet.report.tables import questions

if TYPE_CHECKING:
    from plainnet.data.targets import Target
    from plainnet.training import Repeats

_LISTED = 30  # classes and confusions that are shown before the rest is only counted
_MATRIX = 8  # classes whose confusion matrix still fits a terminal
_NAME = 25  # characters of a baseline's name that leave room for its figures
_STYLES = {"problem": "bold red", "warning": "yellow", "note": ""}
_COLUMNS = {
    "binary": ("accuracy", "interval", "loss", "f1", "roc_auc"),
    "multiclass": ("accuracy", "interval", "loss", "f1", "roc_auc"),
    "multilabel": ("accuracy", "interval", "exact_match", "f1", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}
_HEADS = {
    "accuracy": "accuracy",
    "interval": "95 % interval",
    "loss": "loss",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "exact_match": "all right",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}


def show_results(
    console: Console, target: "Target", results: Mapping[str, Any], *, detail: bool = False
) -> None:
    """Show what a network gets right on held-out rows, beside what simpler answers would."""
    if results:
        show_evaluation(console, target, results["evaluation"], "held-out ", detail=detail)


def show_evaluation(
    console: Console,
    target: "Target",
    found: Mapping[str, Any],
    held: str = "",
    *,
    matrix: bool = False,
    detail: bool = False,
) -> None:
    """Show an evaluation."""
    title = f"On {found['rows']:,} {held}{'row' if found['rows'] == 1 else 'rows'}"
    columns = _COLUMNS[target.task]
    heads = [_HEADS[key] for key in columns]
    rivals = [(_short(one["words"]), one) for one in reversed(found["baselines"])]
    every = [("network", found), *rivals]
    rows = [[name, *(_cell(key, one.get(key)) for key in columns)] for name, one in every]
    section(console, table(title, ["", *heads], rows, right=range(1, len(columns) + 1)))
    console.print()
    line(console, clean(found["verdict"]), "bold")
    show_findings(console, found["findings"], detail=detail)
    if detail:
        _show_network(console, target, found)
        _show_differences(console, found)
    if (matrix or detail) and target.task in ("binary", "multiclass"):
        _show_confusion(console, target.classes, found)
    if detail:
        _show_curves(console, target, found)


def show_findings(
    console: Console, findings: Sequence[Mapping[str, Any]], *, detail: bool = False
) -> None:
    """Show problems and warnings, and with detail what is only to be known."""
    for one in findings:
        if detail or one["level"] != "note":
            opening = f"{one['level'].capitalize()}: {one['says']}"
            line(console, clean(opening), _STYLES[one["level"]])
            line(console, clean(f"  {one['number']}. {one['cause']}"))
            line(console, clean(f"  Try: {one['advice']}"))


def show_repeats(console: Console, repeats: "Repeats") -> None:
    """Show how far chance alone moves the result."""
    name, k = repeats.metric, len(repeats.seeds)
    head = ["", _HEADS[name], "best baseline"]
    each = zip(repeats.seeds, repeats.network, repeats.baseline, strict=True)
    rows = [[f"seed {seed}", score(name, own), score(name, base)] for seed, own, base in each]
    low, high = repeats.spread
    title = f"{k} trainings"
    section(console, table(title, head, rows, right=(1, 2)))
    console.print()
    line(
        console,
        f"Mean {score(name, repeats.mean)}, standard deviation {score(name, repeats.deviation)}, "
        f"from {score(name, low)} to {score(name, high)}. Better than the best baseline in "
        f"{repeats.better} of {k}.",
        "bold",
    )


def _short(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def _cell(name: str, value: Any) -> str:
    if name == "interval":
        return f"{points(value[0])} - {points(value[1])}"
    return score(name, value)


def _show_network(console: Console, target: "Target", found: Mapping[str, Any]) -> None:
    """Show the network's own figures, in all and for each class, label or target."""
    positive = target.classes[-1] if target.task == "binary" else None
    section(console, scores([("network", dict(found))], "All figures", positive))
    names = target.columns if target.task == "regression" else target.classes
    for unit in ("class", "label", "target"):
        end = f"_per_{unit}"
        each = {key.removesuffix(end): found[key] for key in found if key.endswith(end)}
        if each:
            rows = [[name, *(number(each[k][i]) for k in each)] for i, name in enumerate(names)]
            head = [unit, *(NAMES.get(name, name) for name in each)]
            right = range(1, len(head))
            section(console, table(f"For each {unit}", head, rows[:_LISTED], right=right))
            _say_more(console, len(rows), "of them")


def _show_differences(console: Console, found: Mapping[str, Any]) -> None:
    """Show how much better the network is than each baseline, and how sure that is."""
    rows = []
    for one in found["baselines"]:
        d = one["difference"]
        ends = "-" if d["low"] is None else f"{d['low']:+.4f} to {d['high']:+.4f}"
        rows.append([_short(one["words"]), f"{d['value']:+.4f}", ends, f"{d['p']:.3g}"])
    if rows:
        head = ["network minus", "difference", "95 % interval", "p"]
        title = "Compared by squared error, standardized"
        title = title if "rmse" in found else "Compared on the same rows"
        section(console, table(title, head, rows, right=(1, 2, 3)))


def _show_curves(console: Console, target: "Target", found: Mapping[str, Any]) -> None:
    """Show whether probabilities mean what they say, and which thresholds are best."""
    each = questions(target, found)
    if each is not None:
        shown = each.rows[:_LISTED]
        section(console, table(each.caption, each.head, shown, right=range(1, 6)))
        _say_more(console, len(each.rows), "of them")
    if "reliability" not in found:
        return
    whose = f"of {target.classes[-1]}" if target.task == "binary" else "of the answer"
    rows = [
        [f"{percent(low)} - {percent(high)}", f"{n:,}", percent(said), percent(came)]
        for low, high, n, said, came in found["reliability"]
    ]
    head = [f"probability {whose}", "rows", "said", "came"]
    section(console, table("Calibration", head, rows, right=(1, 2, 3)))
    console.print()
    error = percent(found["calibration_error"])
    line(console, f"Expected calibration error {error}, Brier score {number(found['brier'])}")
    if "best_f1" in found:
        line(console, f"Average precision {number(found['average_precision'])}")
        threshold, f1 = found["best_f1"]
        line(console, f"Best threshold for F1 on these rows: {threshold:.3g}, F1 {number(f1)}")
    if "cheapest" in found:
        show_cheapest(console, found)


def show_cheapest(console: Console, found: Mapping[str, Any]) -> None:
    """Show the threshold at which mistakes cost least, where costs were given."""
    if "cheapest" in found:
        threshold, cost = found["cheapest"]
        at = "call none positive" if threshold is None else f"threshold {threshold:.3g}"
        line(console, f"Cheapest on these rows: {at}, cost a row {number(cost)}")


def _say_more(console: Console, n: int, noun: str) -> None:
    if n > _LISTED:
        line(console, f"and {n - _LISTED:,} more {noun}")


def _show_confusion(console: Console, classes: Sequence[str], found: Mapping[str, Any]) -> None:
    """Show the confusion matrix, or, of many classes, what was taken for what most often."""
    if len(classes) <= _MATRIX:
        counts = found.get("confusion_matrix") or filled(found["confusions"], len(classes))
        head = ["true \\ predicted", *classes]
        rows = [[name, *(f"{n:,}" for n in row)] for name, row in zip(classes, counts, strict=True)]
        section(console, table("Confusion matrix", head, rows, right=range(1, len(head))))
        return
    wrong = [(n, classes[i], classes[j]) for i, j, n in found["confusions"] if i != j]
    worst = sorted(wrong, key=lambda one: -one[0])
    rows = [[true, said, f"{n:,}"] for n, true, said in worst[:_LISTED]]
    section(
        console, table("Most frequent confusions", ["true", "predicted", "rows"], rows, right=(2,))
    )
    _say_more(console, len(wrong), "confusions")
