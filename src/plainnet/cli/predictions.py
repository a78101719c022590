"""Predictions: what a model said of each row or picture, as a table for people and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from rich.table import Table

from plainnet.cli.console import percent, table
from plainnet.data.columns import text_from_number
from plainnet.data.targets import Target
from plainnet.export.csv_cell import csv_cell
from plainnet.nn.parameters import Array


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
