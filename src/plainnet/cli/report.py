"""The parts of a report: data, network, training and results, each for a console."""

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from plainnet.cli.console import clean, line, notes, percent, section, table
from plainnet.config import TrainConfig
from plainnet.data.images import ImageSchema
from plainnet.nn.network import Sequential

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target
    from plainnet.nn.parameters import Array

_LISTED = 30  # columns, classes and confusions that are shown before the rest is only counted
_WIDE = 110  # characters of a terminal on which the whole table of columns fits


def show_data(console: Console, name: str, data: "Dataset") -> None:
    """Show what was read and how it is split: rows, classes, columns and notes."""
    parts = {"to train": data.train, "to validate": data.validation, "held out": data.test}
    sizes = {what: len(rows.y) for what, rows in parts.items() if rows is not None}
    noun = "pictures" if isinstance(data.schema, ImageSchema) else "rows"
    shares = ", ".join(f"{n:,} {what}" for what, n in sizes.items())
    line(console, f"{clean(name)}: {sum(sizes.values()):,} {noun}, {shares}", "bold")
    y = np.concatenate([rows.y for rows in parts.values() if rows is not None])
    show_meaning(console, data.schema, data.target, y)
    notes(data.notes, console)


def show_meaning(
    console: Console,
    schema: "TableSchema | ImageSchema",
    target: "Target",
    y: "Array | None" = None,
) -> None:
    """Show what a network reads and what it says, with the counts of classes where y is given."""
    if isinstance(schema, ImageSchema):
        side = schema.size
        raw = ", as they are (0 to 255)" if schema.unscaled else ""
        line(console, f"Input: {side} x {side} pixels, {schema.n_features:,} numbers in all{raw}")
    line(console, f"Target: {clean(target.describe())}")
    if target.task != "regression":
        _show_classes(console, target, y)
    if not isinstance(schema, ImageSchema):
        _show_columns(console, schema)


def _show_columns(console: Console, schema: "TableSchema") -> None:
    """Show a line for each column, or where the terminal is narrow two tables with a line each."""
    columns = schema.describe()
    rows = columns[:_LISTED]
    head = ["column", "kind", "values", "missing", "what is done"]
    if console.width >= _WIDE:
        section(console, table("Columns", head, rows))
    else:
        section(console, table("Columns", head[:-1], [row[:-1] for row in rows]))
        done = [(row.column, row.encoding) for row in rows]
        section(console, table("What is done with them", [head[0], head[-1]], done))
    _say_more(console, len(columns), "columns")


def _show_classes(console: Console, target: "Target", y: "Array | None") -> None:
    head, rows = ["output", "class"], [[str(i), name] for i, name in enumerate(target.classes)]
    if target.task == "multilabel":
        head[1] = "label"
    if y is not None:
        head += ["rows", "share"]
        many = target.task == "multilabel"
        counts = y.sum(axis=0) if many else np.bincount(y.astype(np.int64), minlength=len(rows))
        for row, count in zip(rows, counts, strict=True):
            row += [f"{int(count):,}", percent(float(count) / len(y))]
    section(console, table("Classes", head, rows[:_LISTED], right=(0, 2, 3)))
    _say_more(console, len(rows), "classes")


def _say_more(console: Console, n: int, noun: str) -> None:
    if n > _LISTED:
        line(console, f"and {n - _LISTED:,} more {noun}")


def show_network(console: Console, net: Sequential) -> None:
    """Show the layers, their output shapes and numbers of parameters."""
    shape = " x ".join(map(str, net.in_shape))
    rows = [
        (row.name, row.kind, " x ".join(map(str, row.out_shape)), f"{row.n_params:,}")
        for row in net.summary()
    ]
    section(
        console,
        table(
            "Network",
            ["layer", "kind", "output", "parameters"],
            [("input", "", shape, ""), *rows, ("total", "", "", f"{net.params.grad.size:,}")],
            right=(2, 3),
        ),
    )


def training_text(config: TrainConfig, m: int, pictures: bool = False) -> str:
    """Say in one line how a network is trained."""
    size = config.batch_size
    what = "pictures" if pictures else "rows"
    rows = (
        f"{m:,} {what} in batches of {size}"
        if size is not None and size < m
        else f"all {m:,} {what} at once"
    )
    own = [
        f"{name.replace('_', ' ')} {getattr(config, name):g}"
        for name in ("momentum", "weight_decay")
        if getattr(config, name)
    ]
    own += ["Nesterov"] if config.nesterov else []
    rule = config.optimizer + (f" ({', '.join(own)})" if own else "")
    parts = [f"{config.epochs:,} epochs of {rows}", rule]
    parts.append(f"learning rate {config.learning_rate:g}")
    if config.schedule != "constant":
        parts[-1] += f" ({config.schedule})"
    if config.warmup:
        parts.append(f"warm-up of {config.warmup:,} epochs")
    for name in ("l2", "clip_norm", "label_smoothing", "patience"):
        if getattr(config, name):
            parts.append(f"{name.replace('_', ' ')} {getattr(config, name):g}")
    parts += ["balanced classes"] if config.class_weight else []
    return ", ".join([*parts, f"seed {config.seed}"])
