"""Columns whose values have no effect: constants, identifiers, indicators of missing cells."""

from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.cells import Cells
from plainnet.data.columns import Column, FeatureColumn, Kind, rows_text
from plainnet.errors import ModelFileError
from plainnet.storage.json_reader import JsonReader, shortened


def values_held(cells: Cells) -> str:
    """Describe the values of the training rows: how many, or which one."""
    if len(cells.distinct) == 0:
        return "always missing"
    if len(cells.distinct) == 1:
        return f"always {shortened(cells.texts()[0], 20)}"
    return f"{len(cells.distinct):,} different in {rows_text(len(cells.codes))}"


@final
@dataclass(frozen=True)
class IndicatorColumn(FeatureColumn):
    """Whether the cell is missing and nothing more, for training rows held only one value."""

    shown_as: str

    @classmethod
    def fitted(cls, cells: Cells) -> Self:
        """Count the training cells that are missing."""
        return cls(cells.name, cells.missing, values_held(cells))

    @classmethod
    def from_json(cls, fields: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        fields.only("name", "kind", "missing", "shown")
        if missing == 0:
            raise ModelFileError(
                f"The model file is damaged or was edited: {fields.where} should miss some cells."
            )
        return cls(name, missing, fields.text("shown"))

    @property
    def kind(self) -> Kind:
        """What the column holds."""
        return "indicator"

    @property
    def varies(self) -> bool:
        """Whether some training rows miss the cell."""
        return self.missing > 0

    @property
    def features(self) -> tuple[str, ...]:
        """Whether the cell was missing."""
        return (f"{self.name}: missing",)

    @property
    def shown(self) -> str:
        """What the training rows held."""
        return self.shown_as

    @property
    def encoding(self) -> str:
        """What becomes of a cell."""
        return "missing = 1, any value = 0"

    def fit(self, cells: Cells) -> "IndicatorColumn":
        """Return this column with the number of other training rows that miss the cell."""
        return IndicatorColumn.fitted(cells)

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write 1 where the cell is missing."""
        out[:, 0] = cells.codes < 0

    def to_json(self) -> dict[str, object]:
        """Return the column as an object for JSON."""
        return _with_shown(self)


@final
@dataclass(frozen=True)
class LeftOutColumn(Column):
    """A column without effect: an identifier, or the same (or empty) in every training row.

    Its cells are not kept, so that a model file holds no names of people.
    """

    reason: Kind
    shown_as: str

    @classmethod
    def from_json(cls, fields: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        fields.only("name", "kind", "missing", "shown")
        reason: Kind = "constant" if fields.text("kind") == "constant" else "identifier"
        return cls(name, missing, reason, fields.text("shown"))

    @property
    def kind(self) -> Kind:
        """What the column holds."""
        return self.reason

    @property
    def features(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def shown(self) -> str:
        """How many values there were."""
        return self.shown_as

    @property
    def encoding(self) -> str:
        """What becomes of a cell."""
        return "left out, no effect"

    def to_json(self) -> dict[str, object]:
        """Return the column as an object for JSON."""
        return _with_shown(self)


def _with_shown(column: IndicatorColumn | LeftOutColumn) -> dict[str, object]:
    """Return the JSON object of a column that stores only a description."""
    names = {"kind": column.kind, "name": column.name}
    return {**names, "missing": column.missing, "shown": column.shown}
