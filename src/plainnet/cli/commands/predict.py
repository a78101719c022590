"""``plainnet predict``: the predictions of a trained model, as a table or as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from rich.table import Table

from plainnet.cli.console import errors, line, notes, output, table
from plainnet.cli.paths import require_output, require_pictures
from plainnet.cli.progress import reading
from plainnet.data.columns import text_from_number
from plainnet.data.decode import printable
from plainnet.data.images import ImageSchema, image_files, read_files
from plainnet.data.targets import Target
from plainnet.export.csv_cell import csv_cell
from plainnet.formatting import percent
from plainnet.model import Model
from plainnet.nn.parameters import Array
from plainnet.storage.atomic import write_bytes

_SHOWN = 20  # predictions that are shown on a terminal


def predict(
    model: Path,
    path: Path,
    /,
    *,
    out: Path | None = None,
    strict: bool = False,
    raw: bool = False,
) -> None:
    """Predict with a trained model.

    Parameters
    ----------
    model
        A model file.
    path
        A table, a picture, or a folder of pictures.
    out
        A CSV file to write the predictions to.
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    raw
        Write text to CSV as it is: spreadsheets may run it as a formula.
    """
    if out is not None:
        require_output(out, model, path)
    trained = Model.load(model)
    remarks: list[str] = []
    unit, names, A = _outputs(trained, path, strict, remarks)
    said = Predictions(trained.target, unit, names, A)
    notes(remarks)
    console = output()
    if out is not None:
        write_bytes(out, said.csv(raw).encode("utf-8", "backslashreplace"))
        line(console, f"Saved: {len(names):,} predictions in {out}", whole=True)
    elif console.is_terminal:
        console.print(said.table(_SHOWN))
        if len(names) > _SHOWN:
            line(console, f"and {len(names) - _SHOWN:,} more: --out FILE writes them all")
    else:
        console.file.write(said.csv(raw))


@final
@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said."""

    target: Target  # what was predicted
    unit: str  # what was predicted for: row or file
    names: Sequence[str]  # each one's number or name
    A: Array  # probabilities, or standardized numbers

    def csv(self, raw: bool = False) -> str:
        """Return all predictions and probabilities as CSV; `raw` keeps text as it is."""
        cell = str if raw else csv_cell
        classes = self.target.classes
        named = classes[-1:] if self.target.task == "binary" else classes
        head = [self.unit, *self._headings(), *(f"probability of {name}" for name in named)]
        shares = self.A[:, : len(named)]  # none of a regression, which has no classes
        content = io.StringIO()
        rows = csv.writer(content, lineterminator="\n")
        rows.writerow(map(cell, head))
        rows.writerows(
            [*map(cell, (name, *said)), *(f"{share:.6g}" for share in row)]
            for name, said, row in zip(self.names, self._answers(self.A), shares, strict=True)
        )
        return content.getvalue()

    def table(self, n: int) -> Table:
        """Return the first n predictions, each with how probable it is."""
        head, rows = [self.unit, *self._headings()], []
        task, A = self.target.task, self.A[:n]
        for name, said, row in zip(self.names, self._answers(A), A, strict=False):
            rows.append([name, *said])
            if task == "binary":
                rows[-1].append(percent(max(float(row[0]), 1 - float(row[0]))))
            elif task == "multiclass":
                rows[-1].append(percent(float(row.max())))
            elif task == "multilabel":
                shares = zip(self.target.classes, row, strict=True)
                rows[-1].append(", ".join(f"{label} {percent(float(p))}" for label, p in shares))
        if task != "regression":
            head.append("probability")
        right = {"regression": range(1, len(head)), "multilabel": ()}.get(task, (2,))
        return table(f"{len(self.names):,} predictions", head, rows, right)

    def _headings(self) -> list[str]:
        if self.target.task != "regression" or len(self.target.columns) == 1:
            return ["prediction"]
        return [f"prediction of {name}" for name in self.target.columns]

    def _answers(self, A: Array) -> list[list[str]]:
        said = self.target.decode(A)
        if self.target.task == "regression":
            return [list(map(text_from_number, row)) for row in said]
        if self.target.task == "multilabel":
            labels = np.array(self.target.classes, dtype=object)
            return [[";".join(labels[row])] for row in said]
        return [[str(name)] for name in said]


def _outputs(
    trained: Model, path: Path, strict: bool, remarks: list[str]
) -> "tuple[str, Sequence[str], Array]":
    """Predict rows or pictures: what they are called, the number or name of each, and outputs."""
    from plainnet.data.dataset import left_out

    require_pictures(trained, strict)
    if not isinstance(trained.schema, ImageSchema):
        A = trained.loss.predictions(trained.predict_logits(path, remarks))
        return "row", [str(i) for i in range(1, len(A) + 1)], A
    with reading(errors()) as progress:
        X, kept, skipped = read_files(image_files(path), trained.schema.size, strict, progress)
    inside = path.is_dir()
    remarks += left_out(skipped, path if inside else path.parent)
    names = [printable(file.relative_to(path) if inside else file) for file in kept]
    return "file", names, trained.predictions(X)
