"""Evaluate a model on data with known answers.

plainnet evaluate survey.safetensors held-out.csv
plainnet evaluate pictures.safetensors folder/ --json
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console

from plainnet.cli.console import errors, output, print_json, print_line, print_table
from plainnet.cli.paths import require_images, require_output
from plainnet.cli.progress import read_examples
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluate import evaluate as evaluate_model
from plainnet.evaluate.evaluation import Evaluation
from plainnet.evaluate.finding import Finding
from plainnet.formatting import count, score
from plainnet.model import Model
from plainnet.report import tables
from plainnet.report.html import Table
from plainnet.training import Repeats

if TYPE_CHECKING:
    from plainnet.data.targets import Target

_MATRIX = 8  # classes whose confusion matrix fits a terminal
_NAME = 24  # characters of a baseline's name, so that its scores fit
_STYLES = {"problem": "bold red", "warning": "yellow", "note": ""}
_COLUMNS = {
    "binary": ("accuracy", "interval", "loss", "f1", "roc_auc"),
    "multiclass": ("accuracy", "interval", "loss", "f1", "roc_auc"),
    "multilabel": ("accuracy", "interval", "exact_match", "f1", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}


def evaluate(
    model: Path,
    path: Path,
    /,
    *,
    json: bool = False,
    detail: bool = False,
    costs: tuple[float, float] | None = None,
    strict: bool = False,
    report: Path | None = None,
    memory: str | None = None,
) -> None:
    """Evaluate a trained model on data with known answers.

    Parameters
    ----------
    model
        A model file.
    path
        A table with the target column, a folder of tables, or a folder with a folder of pictures
        for each class.
    json
        Print one JSON object instead: loss, accuracy, precision, recall, f1, roc_auc, ...; of a
        table larger than memory they are those of a sample, and all_rows has those of the table.
    detail
        Show all scores: each class, calibration, thresholds, differences from each baseline.
    costs
        The costs of a false positive and of a false negative, for the cheapest threshold.
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    report
        An HTML file to write a report to.
    memory
        Memory for rows or pictures, such as 2GB; more are scored some at a time, and all else is
        that of a sample. [default: half of what is free]
    """
    if report is not None:
        require_output(report, model, path, option="--report")
    trained = Model.load(model)
    require_images(trained, strict)
    if costs is not None and trained.target.task != "binary":
        raise PlainnetError(
            f"--costs needs a model of two classes, and this is a {trained.target.task} task"
        )
    examples, notes = read_examples(trained, path, strict=strict, memory=memory)
    evaluation = evaluate_model(trained, examples.rows, costs=costs)
    console = output()
    if json:
        whole = {} if examples.all_rows is None else {"all_rows": dict(examples.all_rows)}
        print_json(evaluation.to_json() | whole)
        console = errors()  # stdout holds nothing but the JSON
    else:
        show_evaluation(console, trained.target, evaluation, matrix=True, detail=detail)
    if report is not None:
        from plainnet.cli.commands.report import write_report

        write_report(console, report, trained, model.name, examples, path, evaluation, notes)


def show_evaluation(
    console: Console,
    target: "Target",
    evaluation: Evaluation,
    held_out: str = "",
    *,
    matrix: bool = False,
    detail: bool = False,
) -> None:
    """Show the scores of network and baselines, the verdict and warnings; in detail, all tables."""
    title = f"On {count(evaluation.scores.rows, held_out + 'row')}"
    compared = tables.comparison(target, evaluation, title, _COLUMNS[target.task])
    rows = [[_shortened(name), *cells] for name, *cells in compared.rows]
    print_table(console, compared._replace(rows=rows))
    console.print()
    print_line(console, evaluation.verdict, "bold")
    show_findings(console, evaluation.findings, detail=detail)
    if detail:
        facts = tables.score_facts(target, evaluation.scores)
        facts += tables.probability_facts(evaluation)
        print_table(console, Table("All scores", ("", "network"), facts, (1,)))
        for table in tables.evaluation_tables(target, evaluation, _MATRIX):
            print_table(console, table)
        return
    if matrix and target.task in ("binary", "multiclass"):
        counts = tables.confusion(target, evaluation.scores, _MATRIX)
        if counts is not None:
            print_table(console, counts)
    for name, value in tables.cheapest_fact(evaluation):
        print_line(console, f"{name}: {value}")


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def show_findings(
    console: Console,
    findings: Sequence[Finding],
    *,
    detail: bool = False,
    commands: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Show problems and warnings, in detail the notes too, and the command of each by its name."""
    for finding in findings:
        if detail or finding.level != "note":
            level = finding.level
            print_line(console, f"{level.capitalize()}: {finding.message}", _STYLES[level])
            print_line(console, f"  {finding.evidence}. {finding.cause}")
            print_line(console, f"  Try: {finding.advice}")
            if finding.name in commands:
                print_line(console, f"  Run: {commands[finding.name]}", wrap=False)


def show_repeats(console: Console, repeats: Repeats) -> None:
    """Show how much the result depends on the seed."""
    name, (low, high) = repeats.metric, repeats.spread
    print_table(console, tables.repeats(repeats.to_json()), most=len(repeats.seeds))
    console.print()
    print_line(
        console,
        f"Mean {score(name, repeats.mean)}, standard deviation {score(name, repeats.deviation)}, "
        f"from {score(name, low)} to {score(name, high)}. Better than the best baseline in "
        f"{repeats.better} of {len(repeats.seeds)}.",
        "bold",
    )
