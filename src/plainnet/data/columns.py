"""One column of a table: what kind it is, and how its cells become numbers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Literal, Self, final, get_args

import numpy as np
from numpy.typing import NDArray

from plainnet.data.cells import Cells
from plainnet.errors import DataError, ModelFileError
from plainnet.storage.json_reader import JsonReader, shortened

Kind = Literal["number", "category", "yesno", "indicator", "identifier", "constant"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_LEVELS = 100
"""A category keeps this many levels, the most frequent ones; the rest count as unknown."""

_SHOWN = 5


@dataclass(frozen=True)
class Column(ABC):
    """One column of a fitted table; its statistics come from the training rows alone."""

    name: str
    missing: int

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What the column holds."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """The names of the features that the column becomes; none if it is left out."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """What the training rows held, for people."""

    @property
    @abstractmethod
    def encoding(self) -> str:
        """What becomes of a cell, for people."""

    @abstractmethod
    def to_json(self) -> dict[str, object]:
        """Return the column as an object for JSON."""


@dataclass(frozen=True)
class FeatureColumn(Column):
    """A column that becomes features, after what its training rows held."""

    @property
    @abstractmethod
    def varies(self) -> bool:
        """Whether training rows held more than one value: else nothing is learned from it."""

    @abstractmethod
    def fit(self, cells: Cells) -> "FeatureColumn":
        """Return this column with the statistics of other training rows, some of them present."""

    @abstractmethod
    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write the features of `cells` into `out` (m, len(features)), which holds zeros.

        What had to be assumed (a missing cell where training rows had none, an unknown category)
        is appended to `notes`.
        """

    def _with_indicator(self, *names: str) -> tuple[str, ...]:
        return (*names, f"{self.name}: missing") if self.missing else names

    def _mark_missing(
        self,
        cells: Cells,
        absent: NDArray[np.bool_],
        fill: str,
        out: NDArray[np.float32],
        notes: list[str] | None,
    ) -> None:
        """Fill the indicator feature, or note that there is none."""
        if self.missing:
            out[:, -1] = absent
        elif cells.missing and notes is not None:
            notes.append(
                f"{cells.place(-1)}: the cell is missing, as in no training row; it is filled "
                f"with {fill} ({rows_text(cells.missing)})."
            )


def rows_text(n: int) -> str:
    """Return how many rows there are, in words."""
    return f"{n} row" if n == 1 else f"{n:,} rows"


def _note_values(cells: Cells, strange: NDArray[np.bool_], what: str, notes: list[str]) -> None:
    """Note the distinct values that are `strange`, each once, and the many in one line."""
    codes = np.flatnonzero(strange)
    texts, counts = cells.texts(), cells.counts()
    notes += [
        f"{cells.place(code)}: {shortened(texts[code])} {what} ({rows_text(int(counts[code]))})."
        for code in codes[:_SHOWN]
    ]
    if len(codes) > _SHOWN:
        others = (
            f"{len(codes) - _SHOWN:,} more values ({rows_text(int(counts[codes[_SHOWN:]].sum()))})"
        )
        notes.append(f"Column {shortened(cells.name)}: the same for {others}.")


@final
@dataclass(frozen=True)
class NumberColumn(FeatureColumn):
    """Numbers: missing ones become the median, then all are standardized."""

    decimal: str
    low: float
    median: float
    high: float
    mean: float
    scale: float

    @classmethod
    def fitted(cls, cells: Cells, decimal: str) -> Self:
        """Take the statistics of training cells; `DataError` if one is not a finite number."""
        values = cells.finite(decimal)[cells.codes[cells.codes >= 0]]
        low, high = float(np.min(values)), float(np.max(values))
        with np.errstate(over="ignore", invalid="ignore"):
            median = float(np.median(values))
            filled = np.append(values, np.full(cells.missing, median))
            mean, scale = float(np.mean(filled)), float(np.std(filled))
        if not np.isfinite(scale):  # and so if the median or the mean is not
            raise DataError(
                f"Column {shortened(cells.name)} holds numbers too large to standardize (up to "
                f"{max(-low, high):g}); give them in another unit."
            )
        if low == high:
            scale = 0.0  # and not the rounding error of a mean
        elif scale == 0.0:  # of differences too small to be squared
            mean, scale = low, high - low
        return cls(cells.name, cells.missing, decimal, low, median, high, mean, scale)

    @classmethod
    def from_json(cls, fields: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        fields.only("name", "kind", "missing", "decimal", "low", "median", "high", "mean", "scale")
        column = cls(
            name,
            missing,
            fields.text("decimal", (".", ",")),
            fields.number("low"),
            fields.number("median"),
            fields.number("high"),
            fields.number("mean"),
            fields.number("scale", positive=True),
        )
        # What the training rows held has to become finite features, the median above all.
        ends = [abs((end - column.mean) / column.scale) for end in (column.low, column.high)]
        largest = float(np.finfo(np.float32).max)
        if not column.low <= column.median <= column.high or max(ends) > largest:
            raise ModelFileError(
                "The model file is damaged or was edited: low, median, high, mean and scale of "
                f"{fields.where} do not fit each other."
            )
        return column

    @property
    def kind(self) -> Kind:
        """What the column holds."""
        return "number"

    @property
    def varies(self) -> bool:
        """Whether training rows held numbers that differ."""
        return self.scale > 0

    @property
    def features(self) -> tuple[str, ...]:
        """The number, and whether it was missing."""
        return self._with_indicator(self.name)

    @property
    def shown(self) -> str:
        """The range."""
        return f"{self.low:g} to {self.high:g}, median {self.median:g}"

    @property
    def encoding(self) -> str:
        """What becomes of a cell."""
        filled = f"missing = {self.median:g}, marked; " if self.missing else ""
        if self.unscaled:
            return f"{filled}as it is"
        return f"{filled}standardized (mean {self.mean:.4g}, deviation {self.scale:.4g})"

    @property
    def unscaled(self) -> bool:
        """Whether the numbers enter the network as they are."""
        return (self.mean, self.scale) == (0.0, 1.0)

    def without_scaling(self) -> "NumberColumn":
        """Return this column without its scaling."""
        return replace(self, mean=0.0, scale=1.0)

    def fit(self, cells: Cells) -> "NumberColumn":
        """Return this column with the statistics of other training rows."""
        return NumberColumn.fitted(cells, self.decimal)

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write the standardized numbers."""
        Z = cells.standardized(self.decimal, self.mean, self.scale)
        # A missing cell has code -1: the last value, which is that of the median.
        Z = np.append(Z, (self.median - self.mean) / self.scale)
        out[:, 0] = Z[cells.codes]
        self._mark_missing(cells, cells.codes < 0, f"the median {self.median:g}", out, notes)

    def to_json(self) -> dict[str, object]:
        """Return the column as an object for JSON."""
        return {"kind": self.kind, **self.__dict__}


@final
@dataclass(frozen=True)
class YesNoColumn(FeatureColumn):
    """Yes (1) or No (0), in any of the usual words; missing ones the more frequent."""

    yes: int
    no: int

    @classmethod
    def fitted(cls, cells: Cells) -> Self:
        """Take the statistics of training cells; `DataError` if one is neither Yes nor No."""
        values = cells.yes()
        strange = np.flatnonzero(np.isnan(values))
        if len(strange):
            raise cells.error(strange[0], "is neither Yes nor No, which this column holds")
        yes = int(cells.counts()[values == 1.0].sum())
        return cls(cells.name, cells.missing, yes, len(cells.codes) - cells.missing - yes)

    @classmethod
    def from_json(cls, fields: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        fields.only("name", "kind", "missing", "yes", "no")
        return cls(name, missing, fields.whole("yes"), fields.whole("no"))

    @property
    def kind(self) -> Kind:
        """What the column holds."""
        return "yesno"

    @property
    def varies(self) -> bool:
        """Whether training rows held both."""
        return self.yes > 0 and self.no > 0

    @property
    def features(self) -> tuple[str, ...]:
        """One feature, and whether the cell was missing."""
        return self._with_indicator(self.name)

    @property
    def shown(self) -> str:
        """How many say what."""
        return f"{self.no:,} No, {self.yes:,} Yes"

    @property
    def encoding(self) -> str:
        """What becomes of a cell."""
        filled = f"missing = {self.fill}, marked; " if self.missing else ""
        return f"{filled}No = 0, Yes = 1"

    @property
    def fill(self) -> str:
        """What a missing cell becomes: the more frequent word."""
        return "Yes" if self.yes > self.no else "No"

    def fit(self, cells: Cells) -> "YesNoColumn":
        """Return this column with the statistics of other training rows."""
        return YesNoColumn.fitted(cells)

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write 1 for Yes and 0 for No; another word counts as a missing cell, and is noted."""
        values = cells.yes()
        strange = np.isnan(values)
        if strange.any() and notes is not None:
            what = f"is neither Yes nor No; it is read as missing, that is, as {self.fill}"
            _note_values(cells, strange, what, notes)
        # A missing cell has code -1: the last value.
        absent = np.append(strange, True)[cells.codes]
        fill = 1.0 if self.fill == "Yes" else 0.0
        out[:, 0] = np.where(absent, fill, np.append(values, fill)[cells.codes])
        self._mark_missing(cells, absent, self.fill, out, notes)

    def to_json(self) -> dict[str, object]:
        """Return the column as an object for JSON."""
        return {"kind": self.kind, **self.__dict__}


@final
@dataclass(frozen=True)
class CategoryColumn(FeatureColumn):
    """One of several levels, one-hot; any other level is unknown, and 0 in all features."""

    levels: tuple[str, ...]
    fill: str

    @classmethod
    def fitted(cls, cells: Cells) -> Self:
        """Take the levels of training cells."""
        # Frequent ones first; among equals the text decides, so that row order does not.
        ranked = sorted(zip(-cells.counts(), cells.texts(), strict=True))[:MAX_LEVELS]
        levels = tuple(sorted(text for _, text in ranked))
        return cls(cells.name, cells.missing, levels, ranked[0][1])

    @classmethod
    def from_json(cls, fields: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        fields.only("name", "kind", "missing", "levels", "fill")
        levels = fields.texts("levels")
        return cls(name, missing, levels, fields.text("fill", levels))

    @property
    def kind(self) -> Kind:
        """What the column holds."""
        return "category"

    @property
    def varies(self) -> bool:
        """Whether training rows held more than one level."""
        return len(self.levels) > 1

    @property
    def features(self) -> tuple[str, ...]:
        """One feature for each level, and whether the cell was missing."""
        return self._with_indicator(*(f"{self.name}={level}" for level in self.levels))

    @property
    def shown(self) -> str:
        """The first levels."""
        first = ", ".join(shortened(level, 20) for level in self.levels[:_SHOWN])
        more = f", ... ({len(self.levels)} levels)" if len(self.levels) > _SHOWN else ""
        return first + more

    @property
    def encoding(self) -> str:
        """What becomes of a cell."""
        filled = f"missing = {shortened(self.fill, 20)}, marked; " if self.missing else ""
        return f"{filled}one-hot, {len(self.levels)} levels; unknown = all 0"

    def spellings(self) -> list[tuple[int, int]]:
        """Return the places of levels that are others in another spelling: (first, other)."""
        first: dict[str, int] = {}
        words = [" ".join(level.split()).casefold() for level in self.levels]
        places = [(first.setdefault(word, i), i) for i, word in enumerate(words)]
        return [(one, other) for one, other in places if one != other]

    def fit(self, cells: Cells) -> "CategoryColumn":
        """Return this column with the levels of other training rows."""
        return CategoryColumn.fitted(cells)

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write 1 into the feature of each row's level, if it is known."""
        place = {level: i for i, level in enumerate(self.levels)}
        unknown = len(self.levels)
        # A missing cell has code -1: the last place, which is that of the most frequent level.
        hot = np.array([place.get(t, unknown) for t in cells.texts()] + [place[self.fill]])
        if notes is not None:
            what = "is not among the categories that the model knows; it is read as unknown"
            _note_values(cells, hot[:-1] == unknown, what, notes)
        level = hot[cells.codes]
        known = np.flatnonzero(level < unknown)
        out[known, level[known]] = 1.0
        self._mark_missing(cells, cells.codes < 0, shortened(self.fill), out, notes)

    def to_json(self) -> dict[str, object]:
        """Return the column as an object for JSON."""
        return {"kind": self.kind, **self.__dict__, "levels": list(self.levels)}
