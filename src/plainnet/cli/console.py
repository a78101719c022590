"""Print text, tables, data and networks on the terminal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from plainnet.config import TrainConfig
from plainnet.data.images import ImageSchema
from plainnet.formatting import percent
from plainnet.nn.network import Sequential

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target
    from plainnet.nn.parameters import Array

_NOTES = 20  # further ones are only counted
_LISTED = 30  # columns and classes; further ones are only counted
_WIDE = 110  # characters of a terminal on which the whole table of columns fits


def output() -> Console:
    """Return the console of results, on stdout."""
    return Console(highlight=False)


def errors() -> Console:
    """Return the console of notes and errors, on stderr."""
    return Console(stderr=True, highlight=False)


def clean(text: object) -> str:
    r"""Escape control characters, which could change a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def table(
    title: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    right: Sequence[int] = (),
) -> Table:
    """Make a table of plain text, without markup."""
    shown = Table(
        title=Text(clean(title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for i, name in enumerate(head):
        justify = "right" if i in right else "left"
        shown.add_column(Text(clean(name)), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        shown.add_row(*(Text(clean(cell)) for cell in row))
    return shown


def section(console: Console, shown: Table) -> None:
    """Print a table after an empty line."""
    console.print()
    console.print(shown)


def line(console: Console, text: str, style: str = "", *, whole: bool = False) -> None:
    """Print a line; wrap it between words on a terminal, unless it must stay whole."""
    console.print(Text(clean(text), style=style), soft_wrap=whole or not console.is_terminal)


def notes(sentences: Sequence[str], console: Console | None = None) -> None:
    """Print the first notes, and the number of further ones."""
    console = errors() if console is None else console
    for sentence in sentences[:_NOTES]:
        line(console, f"Note: {clean(sentence)}", "yellow")
    if len(sentences) > _NOTES:
        line(console, f"Note: and {len(sentences) - _NOTES:,} more like these.", "yellow")


def show_data(console: Console, name: str, data: "Dataset") -> None:
    """Show rows, splits, classes, columns and notes of a dataset."""
    parts = {"to train": data.train, "to validate": data.validation, "held out": data.test}
    sizes = {use: len(rows.y) for use, rows in parts.items() if rows is not None}
    noun = "pictures" if isinstance(data.schema, ImageSchema) else "rows"
    splits = ", ".join(f"{n:,} {use}" for use, n in sizes.items())
    line(console, f"{clean(name)}: {sum(sizes.values()):,} {noun}, {splits}", "bold")
    y = np.concatenate([rows.y for rows in parts.values() if rows is not None])
    show_schema(console, data.schema, data.target, y)
    notes(data.notes, console)


def show_schema(
    console: Console,
    schema: "TableSchema | ImageSchema",
    target: "Target",
    y: "Array | None" = None,
) -> None:
    """Show inputs and target, with the counts of classes where y is given."""
    if isinstance(schema, ImageSchema):
        raw = ", unscaled (0 to 255)" if schema.unscaled else ""
        side, n = schema.size, schema.n_features
        line(console, f"Input: {side} x {side} pixels, {n:,} numbers in all{raw}")
    line(console, f"Target: {clean(target.describe())}")
    if target.task != "regression":
        _show_classes(console, target, y)
    if not isinstance(schema, ImageSchema):
        _show_columns(console, schema)


def _show_columns(console: Console, schema: "TableSchema") -> None:
    """Show a line for each column, on a narrow terminal in two tables."""
    columns = schema.describe()
    rows, head = columns[:_LISTED], ["column", "kind", "values", "missing", "what is done"]
    if console.width >= _WIDE:
        section(console, table("Columns", head, rows))
    else:
        section(console, table("Columns", head[:-1], [row[:-1] for row in rows]))
        done = [(row.column, row.encoding) for row in rows]
        section(console, table("What is done with them", [head[0], head[-1]], done))
    _show_more(console, len(columns), "columns")


def _show_classes(console: Console, target: "Target", y: "Array | None") -> None:
    multilabel = target.task == "multilabel"
    head = ["output", "label" if multilabel else "class"]
    rows = [[str(i), name] for i, name in enumerate(target.classes)]
    if y is not None:
        head += ["rows", "share"]
        counts = y.sum(axis=0) if multilabel else np.bincount(y.astype(int), minlength=len(rows))
        for row, n in zip(rows, counts, strict=True):
            row += [f"{int(n):,}", percent(float(n) / len(y))]
    section(console, table("Classes", head, rows[:_LISTED], right=(0, 2, 3)))
    _show_more(console, len(rows), "classes")


def _show_more(console: Console, n: int, noun: str) -> None:
    if n > _LISTED:
        line(console, f"and {n - _LISTED:,} more {noun}")


def show_network(console: Console, net: Sequential) -> None:
    """Show the layers with their output shapes and numbers of parameters."""
    rows = [
        (row.name, row.kind, " x ".join(map(str, row.out_shape)), f"{row.n_params:,}")
        for row in net.summary()
    ]
    rows.insert(0, ("input", "", " x ".join(map(str, net.in_shape)), ""))
    rows.append(("total", "", "", f"{net.params.grad.size:,}"))
    head = ["layer", "kind", "output", "parameters"]
    section(console, table("Network", head, rows, right=(2, 3)))


def training_text(config: TrainConfig, m: int, pictures: bool = False) -> str:
    """Describe the options of a training in one line."""
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
