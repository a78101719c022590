"""Reports: one HTML file about a model, its training and what it is worth."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from plainnet.errors import ModelFileError
from plainnet.evaluate.evaluation import Evaluation, stored_evaluation
from plainnet.evaluate.finding import LEVELS, Finding
from plainnet.evaluate.training_record import FOREIGN, recorded_history
from plainnet.formatting import NAMES, count, score
from plainnet.report.charts import class_charts, regression_charts, training_charts
from plainnet.report.gallery import gallery
from plainnet.report.html import LISTED, Table, page
from plainnet.report.tables import comparison, evaluation_tables, interval, probability_facts
from plainnet.storage.json_reader import JsonReader
from plainnet.train.history import History

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples
    from plainnet.data.targets import Target
    from plainnet.model import Model

Array = NDArray[Any]
_FIRST = ("accuracy", "roc_auc", "rmse", "r2")
_MATRIX = 12  # classes whose confusion matrix is still read at a glance
_CONTENTS = {
    "verdict": "In short",
    "findings": "Findings",
    "evaluation": "Evaluation",
    "gallery": "Pictures",
    "training": "Training",
    "data": "Data",
    "again": "To do it again",
}


def report(
    model: "Model",
    *,
    name: str,
    rows: "Examples | None" = None,
    source: str = "",
    evaluation: Evaluation | None = None,
    findings: Sequence[Finding] | None = None,
    notes: Sequence[str] = (),
    command: str = "",
) -> str:
    """Write a report on a model as one HTML file.

    It needs nothing but itself, runs no script, and holds no date: the same input gives the same
    text. Everything that comes from data is escaped.
    """
    judged = _judged(model, rows, source, evaluation)
    parts: dict[str, Any] = {
        "verdict": judged.get("verdict"),
        "findings": _findings(model, judged.get("findings"), findings),
        "evaluation": judged.get("evaluation"),
        "gallery": judged.get("gallery"),
        "training": _training(model),
        "data": _data(model, notes),
        "again": _again(model, command),
    }
    contents = [(key, title) for key, title in _CONTENTS.items() if parts[key] is not None]
    return page(
        "report.html",
        title=name,
        subtitle=f"Report on a model. Target: {model.target.describe()}",
        contents=contents,
        headings=_CONTENTS,
        **parts,
    )


def _judged(
    model: "Model", rows: "Examples | None", source: str, given: Evaluation | None
) -> dict[str, Any]:
    """What is the model worth: on rows, or by its own record if that was written by plainnet."""
    from plainnet.evaluate.evaluate import evaluate

    unit = "row" if model.transform is None else "picture"
    if rows is not None:
        found = evaluate(model, rows) if given is None else given
        where = " ".join((count(len(rows.y), unit), source)).strip()
        return _worth(model, found, where, rows)
    try:
        stored = stored_evaluation(model)
    except ModelFileError:
        return {}
    if stored is None:
        return {}
    return _worth(model, stored, f"{count(stored.scores.rows, unit)} held out in training", None)


def _worth(
    model: "Model", found: Evaluation, where: str, rows: "Examples | None"
) -> dict[str, Any]:
    A = None if rows is None else model.predictions(rows.X)
    return {
        "verdict": _verdict(model.target, found, where),
        "evaluation": _evaluation(model.target, found, where, rows, A),
        "gallery": _gallery(model, rows, A),
        "findings": found.findings,
    }


def _verdict(target: "Target", found: Evaluation, where: str) -> dict[str, Any]:
    """What is read first: the verdict and the scores that matter most."""
    scores, best, tiles = found.scores, found.best_baseline, []
    for key in _FIRST:
        if scores.metrics.get(key) is not None:
            small = ""
            if key == "accuracy" and scores.interval is not None:
                small = "95 % interval " + interval(scores.interval)
            title = NAMES[key][0].upper() + NAMES[key][1:]
            tiles.append((title, score(key, scores.metrics[key]), small))
    if best is not None:
        key = "rmse" if target.task == "regression" else "accuracy"
        value = score(key, best.scores.main)
        tiles.append((f"Best baseline: {NAMES[key]}", value, best.description))
    level = "good" if best is not None and best.difference.low > 0 else "warning"
    return {"sentence": found.verdict, "level": level, "tiles": tiles, "where": where}


def _evaluation(
    target: "Target", found: Evaluation, where: str, rows: "Examples | None", A: Array | None
) -> dict[str, Any]:
    tables = [
        comparison(target, found, f"On {where}"),
        *evaluation_tables(target, found, largest=_MATRIX),
    ]
    if target.task != "regression":
        charts = class_charts(target, found)
    elif rows is not None and A is not None:
        charts = regression_charts(target, target.decode(rows.y), target.decode(A))
    else:  # an evaluation holds no predictions
        charts = []
    return {"facts": probability_facts(found), "tables": tables, "charts": charts}


def _findings(
    model: "Model", judged: Sequence[Finding] | None, given: Sequence[Finding] | None
) -> list[Finding] | None:
    """What doctor and evaluation have to say, problems first, each thing once; None if neither."""
    try:
        kept = [Finding.from_json(one) for one in model.record["findings"]]
        given = [*kept, *(given or ())]
    except FOREIGN:
        pass
    if given is None and not judged:
        return None
    once = {one.name: one for one in (*(given or ()), *(judged or ()))}
    return sorted(once.values(), key=lambda one: LEVELS.index(one.level))


def _gallery(model: "Model", rows: "Examples | None", A: Array | None) -> dict[str, Any] | None:
    if model.transform is None:
        return None
    if rows is None or A is None:
        return {"shown": (), "mistakes": 0}
    shown = gallery(model.target, rows.X, rows.y, A)
    return {"shown": shown, "mistakes": sum(not one.correct for one in shown)}


def _training(model: "Model") -> dict[str, Any] | None:
    """The course of the training; nothing for a record that plainnet did not write."""
    history, repeats = recorded_history(model.record), model.record.get("repeats")
    if history is None:
        return None
    try:
        facts, tables = _course(history), []
        if repeats is not None:
            more, table = _repeats(repeats)
            facts, tables = [*facts, *more], [table]
        metric = model.loss.metric_name
        if model.target.task == "regression":
            metric += " of standardized numbers"
        charts = training_charts(history.record(), metric)
    except FOREIGN:
        return None
    return {"charts": charts, "facts": facts, "tables": tables}


def _course(history: History) -> list[tuple[str, str]]:
    facts = [("Epochs", f"{len(history):,}")]
    stopped = history.stopped
    facts.append(("Ended by", "all epochs were done" if stopped == "epochs" else stopped))
    if history.best_epoch is not None:
        facts.append(("Weights kept", f"those of epoch {history.best_epoch:,}, the best"))
    if history.rowspace is not None:
        facts.append(("Trained in", f"dot products of {history.rowspace:,} rows"))
    return facts


def _repeats(found: Mapping[str, Any]) -> tuple[list[tuple[str, str]], Table]:
    """How far chance alone moves the result, where the training was repeated."""
    name, k = found["metric"], len(found["seeds"])
    low, high = (score(name, end) for end in found["spread"])
    facts = [
        (f"Mean {NAMES[name]} of {k} seeds", score(name, found["mean"])),
        ("Standard deviation", score(name, found["deviation"])),
        ("Lowest and highest", f"{low} and {high}"),
        ("Better than the best baseline", f"{found['better']} of {k}"),
    ]
    each = zip(found["seeds"], found["network"], found["baseline"], strict=True)
    rows = [(f"seed {seed}", score(name, own), score(name, other)) for seed, own, other in each]
    head = ("training", NAMES[name], "best baseline")
    return facts, Table(f"{k} trainings, each with its own seed", head, rows, (1, 2))


def _data(model: "Model", notes: Sequence[str]) -> dict[str, Any]:
    from plainnet.data.table_schema import TableSchema

    record, target = model.record, model.target
    facts = [("Target", target.describe())]
    shares = _shares(record)
    if shares:
        facts.insert(0, ("Rows", ", ".join(shares)))
    tables = []
    if isinstance(model.schema, TableSchema):
        head = ("column", "kind", "values", "missing", "what is done")
        tables.append(Table("Columns", head, model.schema.describe()))
    else:
        side = model.schema.size
        raw = ", as they are (0 to 255)" if model.schema.unscaled else ""
        numbers = f"{model.schema.n_features:,} numbers{raw}"
        facts.insert(1, ("Pictures", f"{side} x {side} pixels, {numbers}"))
    kept = record.get("notes")
    said = [*map(str, kept if isinstance(kept, list) else ()), *notes]
    return {
        "facts": facts,
        "tables": tables,
        "notes": said[:LISTED],
        "more_notes": len(said) - LISTED,
    }


def _shares(record: Mapping[str, Any]) -> list[str]:
    """How many rows were used for what; nothing for a record that plainnet did not write."""
    used = {"train": "to train", "validation": "to validate", "test": "held out"}
    try:
        sizes = JsonReader(record.get("rows"), "the numbers of rows")
        return [f"{sizes.whole(key):,} {what}" for key, what in used.items() if sizes.whole(key)]
    except ModelFileError:
        return []


def _again(model: "Model", command: str) -> dict[str, Any]:
    record = model.record
    config = record.get("config")
    layers = [
        (row.name, row.kind, " x ".join(map(str, row.out_shape)), f"{row.n_params:,}")
        for row in model.net.summary()
    ]
    layers.append(("total", "", "", f"{model.net.params.grad.size:,}"))
    tables = [
        Table("Network", ("layer", "kind", "output", "parameters"), layers, (2, 3)),
        Table("Versions", ("software", "version"), sorted(_written(record.get("versions")))),
    ]
    return {
        "command": command,
        "seed": config.get("seed") if isinstance(config, dict) else None,
        "config": sorted([("loss", type(model.loss).__name__), *_written(config, but="loss")]),
        "tables": [table for table in tables if table.rows],
    }


def _written(some: object, but: str = "") -> list[tuple[str, str]]:
    """Names and values of a part of the record, which anybody may have edited."""
    if not isinstance(some, dict):
        return []
    return [
        (str(key).replace("_", " "), _value(value)) for key, value in some.items() if key != but
    ]


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not set"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
