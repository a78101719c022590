"""Predict with a model: the rows of a table, a picture, or the pictures of a folder.

plainnet predict survey.safetensors new.csv --out predictions.csv

Without --out the predictions are shown, or written as CSV if the output is piped.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from plainnet.cli.console import errors, output, print_line, print_notes, rich_table
from plainnet.cli.paths import require_images, require_output
from plainnet.cli.progress import reading
from plainnet.config import size_in_bytes
from plainnet.data.decode import printable
from plainnet.data.image_folder import image_files
from plainnet.data.images import ImageSchema, decode_files
from plainnet.data.memory import is_streamed
from plainnet.data.table_schema import TableSchema
from plainnet.data.table_stream import TableStream
from plainnet.data.targets import Target
from plainnet.explain.example import prediction_columns
from plainnet.export.csv_cell import csv_cell
from plainnet.formatting import percent
from plainnet.model import Model
from plainnet.nn.parameters import Array
from plainnet.report.html import Table
from plainnet.storage.atomic import write_parts

_SHOWN = 20  # predictions that are shown on a terminal


def predict(
    model: Path,
    path: Path,
    /,
    *,
    out: Path | None = None,
    strict: bool = False,
    raw: bool = False,
    memory: str | None = None,
) -> None:
    """Predict with a trained model.

    Parameters
    ----------
    model
        A model file.
    path
        A table, a folder of tables, a picture, or a folder of pictures.
    out
        A CSV file to write the predictions to.
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    raw
        Write unchanged text to CSV, which spreadsheets may run as a formula.
    memory
        Memory for the rows of a table, such as 2GB; a larger one is predicted some rows at a time,
        as pictures always are. [default: half of what is free]
    """
    if out is not None:
        require_output(out, model, path)
    trained = Model.load(model)
    notes: list[str] = []
    header = getattr(trained.schema, "header", None)
    bound = None if memory is None else size_in_bytes(memory)
    require_images(trained, strict)
    streamed = header is not None and is_streamed(path, header, bound)
    if streamed:
        parts = _streamed(trained, path, notes)
    else:
        parts = iter([_predict(trained, path, strict, notes)])
        print_notes(notes)
    if out is None and output().is_terminal:
        _show(next(parts), streamed)
    else:
        _write(parts, out, raw)
    if streamed:
        print_notes(list(dict.fromkeys(notes)))


class Predictions(NamedTuple):
    """The predictions of a model for rows or files."""

    target: Target
    unit: str  # row or file
    names: Sequence[str]  # the number of each row, or the name of each file
    A: Array  # probabilities, or standardized numbers

    def csv(self, raw: bool = False, *, headings: bool = True) -> str:
        """Return all predictions and probabilities as CSV; `raw` keeps text unchanged."""
        cell = str if raw else lru_cache(csv_cell)  # of few different labels
        classes = self.target.classes
        named = classes[-1:] if self.target.task == "binary" else classes
        head = [self.unit, *self._headings(), *(f"probability of {name}" for name in named)]
        predicted = prediction_columns(self.target, self.A)
        columns = [
            self.names if self.unit == "row" else map(cell, self.names),
            *(predicted if self.target.task == "regression" else [map(cell, predicted[0])]),
            *(map("{:.6g}".format, share) for share in self.A.T[: len(named)].tolist()),
        ]
        content = io.StringIO()
        rows = csv.writer(content, lineterminator="\n")
        if headings:
            rows.writerow(map(cell, head))
        rows.writerows(zip(*columns, strict=True))
        return content.getvalue()

    def table(self, n: int) -> Table:
        """Return the first n predictions with their probabilities."""
        task, A, classes = self.target.task, self.A[:n], self.target.classes
        head, shares = [self.unit, *self._headings()], [""] * len(A)
        if task == "binary":
            shares = [percent(float(max(p, 1 - p))) for p in A[:, 0]]
        elif task == "multiclass":
            shares = [percent(float(row.max())) for row in A]
        elif task == "multilabel":
            pairs = [zip(classes, row, strict=True) for row in A]
            shares = [", ".join(f"{name} {percent(float(p))}" for name, p in row) for row in pairs]
        columns = [self.names, *prediction_columns(self.target, A)]
        if task != "regression":
            head.append("probability")
            columns.append(shares)
        rows = [list(row) for row in zip(*columns, strict=False)]
        right = {"regression": range(1, len(head)), "multilabel": ()}.get(task, (2,))
        return Table(f"{len(self.names):,} predictions", head, rows, right)

    def _headings(self) -> list[str]:
        if self.target.task != "regression" or len(self.target.columns) == 1:
            return ["prediction"]
        return [f"prediction of {name}" for name in self.target.columns]


def _show(first: Predictions, streamed: bool) -> None:
    """Show the first predictions on a terminal."""
    console, more = output(), len(first.names) - _SHOWN
    console.print(rich_table(first.table(_SHOWN)))
    if streamed:
        print_line(console, "and more, as the table does not fit in memory: --out FILE writes all")
    elif more > 0:
        print_line(console, f"and {more:,} more: --out FILE writes all")


def _write(parts: Iterator[Predictions], out: Path | None, raw: bool) -> None:
    """Write predictions as CSV as they come, to a file or to stdout."""
    console, m = output(), 0

    def texts() -> Iterator[bytes]:
        nonlocal m
        for predictions in parts:
            text = predictions.csv(raw, headings=m == 0)
            m += len(predictions.names)
            yield text.encode("utf-8", "backslashreplace")

    if out is not None:
        write_parts(out, texts())
        print_line(console, f"Saved: {m:,} predictions in {out}", wrap=False)
    else:
        for text in texts():
            console.file.write(text.decode())


def _streamed(trained: Model, path: Path, notes: list[str]) -> Iterator[Predictions]:
    """Yield the predictions of some rows after each other."""
    assert isinstance(trained.schema, TableSchema)  # for the type checker
    schema, first = trained.schema, 1
    for table in TableStream(path, schema.header, schema.text_columns if schema.header else None):
        # Many notes say the same, and take time.
        logits = trained.predict_logits(table, notes if len(notes) < _SHOWN else None)
        names = [str(i) for i in range(first, first + len(table))]
        first += len(table)
        yield Predictions(trained.target, "row", names, trained.loss.predictions(logits))


def _predict(trained: Model, path: Path, strict: bool, notes: list[str]) -> Predictions:
    from plainnet.data.dataset import left_out

    if not isinstance(trained.schema, ImageSchema):
        A = trained.loss.predictions(trained.predict_logits(path, notes))
        return Predictions(trained.target, "row", [str(i) for i in range(1, len(A) + 1)], A)
    size, channels, inside = trained.schema.size, trained.schema.channels, path.is_dir()
    names: list[str] = []
    parts: list[Array] = []
    with reading(errors()) as progress:
        for X, kept, skipped in decode_files(image_files(path), size, strict, progress, channels):
            notes += left_out(skipped, path if inside else path.parent)
            names += [printable(file.relative_to(path) if inside else file) for file in kept]
            if kept:
                parts.append(trained.predictions(X))
    return Predictions(trained.target, "file", names, np.concatenate(parts))
