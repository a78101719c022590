"""Report on a model, its evaluation, training and data as one HTML file."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from plainnet.errors import ModelFileError
from plainnet.evaluate.evaluate import evaluate
from plainnet.evaluate.evaluation import Evaluation, stored_evaluation
from plainnet.evaluate.finding import LEVELS, Finding
from plainnet.evaluate.training_record import FOREIGN, recorded_history
from plainnet.explain.class_examples import class_examples
from plainnet.explain.images import first_weights, png_uris
from plainnet.formatting import NAMES, count, score
from plainnet.model import Model
from plainnet.nn.parameters import Array
from plainnet.report.charts import class_charts, regression_charts, training_charts
from plainnet.report.html import LISTED, Table, page
from plainnet.report.tables import (
    columns,
    comparison,
    evaluation_tables,
    interval,
    network,
    pixels,
    probability_facts,
    repeats,
)
from plainnet.storage.json_reader import JsonReader

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples
    from plainnet.data.targets import Target

_TILES = ("accuracy", "roc_auc", "rmse", "r2")
_MATRIX = 12  # classes of a confusion matrix; else only the most frequent confusions are shown
_HEADINGS = {
    "verdict": "Summary",
    "findings": "Findings",
    "evaluation": "Evaluation",
    "gallery": "Pictures",
    "training": "Training",
    "data": "Data",
    "again": "Reproduce",
}


def report(
    model: Model,
    *,
    name: str,
    rows: "Examples | None" = None,
    numbers: Array | None = None,
    source: str = "",
    evaluation: Evaluation | None = None,
    findings: Sequence[Finding] | None = None,
    notes: Sequence[str] = (),
    command: str = "",
) -> str:
    """Write a report on a model as one HTML file.

    The file is self-contained, runs no script and holds no date: equal inputs give equal files.
    Everything that comes from data is escaped.
    """
    evaluation, caption, A = _evaluated(model, rows, source, evaluation)
    parts: dict[str, Any] = {
        "verdict": evaluation and _verdict(model.target, evaluation, caption),
        "findings": _findings(model, evaluation, findings),
        "evaluation": evaluation and _evaluation(model.target, evaluation, caption, rows, A),
        "gallery": evaluation and _gallery(model, rows, A, numbers),
        "training": _training(model),
        "data": _data(model, notes),
        "again": _again(model, command),
    }
    return page(
        "report.html",
        title=name,
        subtitle=f"Report on a model. Target: {model.target.describe()}",
        contents=[(key, title) for key, title in _HEADINGS.items() if parts[key] is not None],
        headings=_HEADINGS,
        **parts,
    )


def _evaluated(
    model: Model, rows: "Examples | None", source: str, evaluation: Evaluation | None
) -> tuple[Evaluation | None, str, Array | None]:
    """Return an evaluation, of the rows or recorded, a caption for it, and predictions."""
    unit, A = "row" if model.transform is None else "picture", None
    if rows is not None:
        A, n = model.predictions(rows.X), len(rows.y)
        evaluation = evaluate(model, rows) if evaluation is None else evaluation
    else:
        source = "held out in training"
        with suppress(ModelFileError):  # the record was not written by plainnet
            evaluation = stored_evaluation(model)
        n = 0 if evaluation is None else evaluation.scores.rows
    return evaluation, f"On {count(n, unit)} {source}".strip(), A


def _verdict(target: "Target", evaluation: Evaluation, caption: str) -> dict[str, Any]:
    scores, best, tiles = evaluation.scores, evaluation.best_baseline, []
    for key in _TILES:
        if scores.metrics.get(key) is not None:
            details = ""
            if key == "accuracy" and scores.interval is not None:
                details = "95 % interval " + interval(scores.interval)
            title = NAMES[key][0].upper() + NAMES[key][1:]
            tiles.append((title, score(key, scores.metrics[key]), details))
    if best is not None:
        key = "rmse" if target.task == "regression" else "accuracy"
        value = score(key, best.scores.main)
        tiles.append((f"Best baseline: {NAMES[key]}", value, best.description))
    level = "good" if best is not None and best.difference.low > 0 else "warning"
    return {"sentence": evaluation.verdict, "level": level, "tiles": tiles, "caption": caption}


def _evaluation(
    target: "Target", evaluation: Evaluation, caption: str, rows: "Examples | None", A: Array | None
) -> dict[str, Any]:
    tables = [
        comparison(target, evaluation, caption),
        *evaluation_tables(target, evaluation, largest=_MATRIX),
    ]
    if target.task != "regression":
        charts = class_charts(target, evaluation)
    elif rows is not None and A is not None:
        charts = regression_charts(target, target.decode(rows.y), target.decode(A))
    else:  # an evaluation holds no predictions
        charts = []
    return {"facts": probability_facts(evaluation), "tables": tables, "charts": charts}


def _findings(
    model: Model, evaluation: Evaluation | None, given: Sequence[Finding] | None
) -> list[Finding] | None:
    """Return all findings, the most serious first, or None if nothing was checked."""
    with suppress(*FOREIGN):
        given = [*map(Finding.from_json, model.record["findings"]), *(given or ())]
    evaluated = () if evaluation is None else evaluation.findings
    if given is None and not evaluated:
        return None
    by_name = {finding.name: finding for finding in (*(given or ()), *evaluated)}
    return sorted(by_name.values(), key=lambda finding: LEVELS.index(finding.level))


def _gallery(
    model: Model, rows: "Examples | None", A: Array | None, numbers: Array | None
) -> dict[str, Any] | None:
    """Return the first layer's weights, and examples of each class if there are rows."""
    if model.transform is None:
        return None
    classes = []
    if rows is not None and A is not None:
        classes = class_examples(model.target, rows.X, rows.y, A, numbers)
    return {"classes": classes, "weights": png_uris(first_weights(model))}


def _training(model: Model) -> dict[str, Any] | None:
    """Return charts and facts of the training, or None if plainnet did not write its record."""
    history, repeated = recorded_history(model.record), model.record.get("repeats")
    if history is None:
        return None
    ended = "all epochs" if history.stopped == "epochs" else history.stopped
    facts = [("Epochs", f"{len(history):,}"), ("Ended by", ended)]
    if history.best_epoch is not None:
        facts.append(("Weights kept", f"the best, found by epoch {history.best_epoch:,}"))
    if history.row_space is not None:
        facts.append(("Trained in", f"dot products of {history.row_space:,} rows"))
    standardized = " of standardized numbers" if model.target.task == "regression" else ""
    try:
        more, tables = ([], []) if repeated is None else _repeats(repeated)
        charts = training_charts(history.record(), f"{model.loss.metric_name}{standardized}")
    except FOREIGN:
        return None
    return {"charts": charts, "facts": facts + more, "tables": tables}


def _repeats(record: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[Table]]:
    """Return facts and a table about repeated trainings with different seeds."""
    name, k = record["metric"], len(record["seeds"])
    low, high = (score(name, end) for end in record["spread"])
    facts = [
        (f"Mean {NAMES[name]} of {k} seeds", score(name, record["mean"])),
        ("Standard deviation", score(name, record["deviation"])),
        ("Lowest and highest", f"{low} and {high}"),
        ("Better than the best baseline", f"{record['better']} of {k}"),
    ]
    return facts, [repeats(record)]


def _data(model: Model, notes: Sequence[str]) -> dict[str, Any]:
    from plainnet.data.table_schema import TableSchema

    record, schema, facts, tables = model.record, model.schema, [], []
    uses = {"train": "to train", "validation": "to validate", "test": "held out"}
    with suppress(ModelFileError):  # the record may be foreign
        sizes = JsonReader(record.get("rows"), "the numbers of rows")
        splits = [f"{sizes.whole(key):,} {use}" for key, use in uses.items() if sizes.whole(key)]
        facts.append(("Rows", ", ".join(splits)))
    facts.append(("Target", model.target.describe()))
    if isinstance(schema, TableSchema):
        tables.append(columns(schema))
    else:
        facts.append(("Pictures", pixels(schema)))
    recorded = record.get("notes")
    notes = [*map(str, recorded if isinstance(recorded, list) else ()), *notes]
    more = len(notes) - LISTED
    return {"facts": facts, "tables": tables, "notes": notes[:LISTED], "more_notes": more}


def _again(model: Model, command: str) -> dict[str, Any]:
    config = model.record.get("config")
    versions = _texts(model.record.get("versions"))
    tables = [
        network(model.net),
        Table("Versions", ("software", "version"), sorted(versions.items())),
    ]
    return {
        "command": command,
        "seed": config.get("seed") if isinstance(config, dict) else None,
        "config": sorted({**_texts(config), "loss": type(model.loss).__name__}.items()),
        "tables": [table for table in tables if table.rows],
    }


def _texts(record: object) -> dict[str, str]:
    """Return names and values of a part of the record, which may be foreign."""
    if not isinstance(record, dict):
        return {}
    return {str(key).replace("_", " "): _text(value) for key, value in record.items()}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not set"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
