"""Print text, tables, data and networks on the terminal."""

from collections.abc import Sequence
from json import dumps
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from plainnet.config import Config
from plainnet.data.images import ImageSchema
from plainnet.formatting import percent
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.report import tables
from plainnet.report.html import Table

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target

_NOTES = 20  # notes that are printed; further notes are only counted
_LISTED = 30  # rows of a table that are printed; further rows are only counted
_WIDE = 110  # characters of a terminal on which the full table of columns fits


def output() -> Console:
    """Return the console of results, on stdout."""
    return Console(highlight=False)


def errors() -> Console:
    """Return the console of notes and errors, on stderr."""
    return Console(stderr=True, highlight=False)


def clean(text: object) -> str:
    r"""Escape control characters, which could change a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def rich_table(table: Table) -> RichTable:
    """Convert a table to plain text for the terminal, without markup."""
    result = RichTable(
        title=Text(clean(table.caption), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for i, name in enumerate(table.head):
        justify: JustifyMethod = "right" if i in table.right else "left"
        result.add_column(Text(clean(name)), justify=justify, overflow="fold")
    for row in table.rows:
        result.add_row(*(Text(clean(cell)) for cell in row))
    return result


def print_table(console: Console, table: Table, *, most: int = _LISTED) -> None:
    """Print an empty line, the first rows of a table, and the number of further rows."""
    console.print()
    console.print(rich_table(table._replace(rows=table.rows[:most])))
    if len(table.rows) > most:
        print_line(console, f"and {len(table.rows) - most:,} more")


def print_line(console: Console, text: str, style: str = "", *, wrap: bool = True) -> None:
    """Print a line, and wrap it on a terminal."""
    soft_wrap = not wrap or not console.is_terminal
    console.print(Text(clean(text), style=style), soft_wrap=soft_wrap)


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    output().file.write(dumps(value) + "\n")


def print_notes(sentences: Sequence[str], console: Console | None = None) -> None:
    """Print the first notes, and the number of further ones."""
    console = errors() if console is None else console
    for sentence in sentences[:_NOTES]:
        print_line(console, f"Note: {sentence}", "yellow")
    if len(sentences) > _NOTES:
        print_line(console, f"Note: and {len(sentences) - _NOTES:,} more notes.", "yellow")


def show_data(console: Console, name: str, data: "Dataset") -> None:
    """Show rows, splits, classes, columns and notes of a dataset."""
    parts = {"to train": data.train, "to validate": data.validation, "held out": data.test}
    sizes = {use: len(rows.y) for use, rows in parts.items() if rows is not None}
    sizes["to train"] = data.m
    noun = "pictures" if isinstance(data.schema, ImageSchema) else "rows"
    splits = ", ".join(f"{n:,} {use}" for use, n in sizes.items())
    print_line(console, f"{name}: {sum(sizes.values()):,} {noun}, {splits}", "bold")
    if data.stream is not None:
        how = "used again, as nothing changed" if data.stream.reused else "written once"
        folder = data.stream.rows.path.parent
        print_line(console, f"Larger than memory: encoded {noun} in {folder}, {how}", wrap=False)
    y = np.concatenate([rows.y for rows in parts.values() if rows is not None])
    show_schema(console, data.schema, data.target, y)
    print_notes(data.notes, console)


def show_schema(
    console: Console,
    schema: "TableSchema | ImageSchema",
    target: "Target",
    y: "Array | None" = None,
) -> None:
    """Show inputs and target, with the counts of classes where y is given."""
    if isinstance(schema, ImageSchema):
        print_line(console, f"Input: {tables.pixels(schema)}")
    print_line(console, f"Target: {target.describe()}")
    if target.task != "regression":
        _show_classes(console, target, y)
    if not isinstance(schema, ImageSchema):
        _show_columns(console, schema)


def _show_columns(console: Console, schema: "TableSchema") -> None:
    """Show a line for each column, on a narrow terminal in two tables."""
    table = tables.columns(schema)
    if console.width >= _WIDE:
        print_table(console, table)
    else:
        rows, encodings = zip(*((row[:-1], (row[0], row[-1])) for row in table.rows), strict=True)
        print_table(console, table._replace(head=table.head[:-1], rows=rows))
        print_table(console, Table("Encoding of columns", ("column", "encoding"), encodings))


def _show_classes(console: Console, target: "Target", y: "Array | None") -> None:
    multilabel = target.task == "multilabel"
    head = ["output", "label" if multilabel else "class"]
    rows = [[str(i), name] for i, name in enumerate(target.classes)]
    if y is not None:
        head += ["rows", "share"]
        counts = y.sum(axis=0) if multilabel else np.bincount(y.astype(int), minlength=len(rows))
        for row, n in zip(rows, counts, strict=True):
            row += [f"{int(n):,}", percent(float(n) / len(y))]
    print_table(console, Table("Classes", head, rows, right=(0, 2, 3)))


def show_network(console: Console, net: Sequential) -> None:
    """Show the layers with their output shapes and numbers of parameters."""
    table = tables.network(net)
    print_table(console, table, most=len(table.rows))


def training_text(config: Config, m: int, pictures: bool = False) -> str:
    """Describe the options of a training in one line."""

    def options(*names: str) -> list[str]:
        return [f"{name.replace('_', ' ')} {v:g}" for name in names if (v := getattr(config, name))]

    config = config.resolved(images=pictures)
    size, unit = config.rows_in_batch, "pictures" if pictures else "rows"
    rows = f"all {m:,} {unit} at once"
    if size is not None and size < m:
        rows = f"{m:,} {unit} in batches of {size}"
    rule = options("momentum", "weight_decay") + ["Nesterov"] * config.nesterov
    schedule = "" if config.schedule == "constant" else f" ({config.schedule})"
    tabular = config.network == "tabular"
    parts = [
        *[f"{config.members} networks, each without one fold of the rows"] * tabular,
        f"{config.epochs:,} epochs of {rows}",
        config.optimizer + (f" ({', '.join(rule)})" if rule else ""),
        f"learning rate {config.learning_rate:g}{schedule}",
    ]
    if config.warmup:
        parts.append(f"warm-up of {config.warmup:,} epochs")
    parts += options("dropout") * tabular + options(
        "l2", "clip_norm", "label_smoothing", "patience"
    )
    parts += ["balanced classes"] if config.class_weight else []
    return ", ".join([*parts, f"seed {config.seed}"])
