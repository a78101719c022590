"""The kinds of columns: how the cells of each kind become features, fitted on training rows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Self, final, get_args

import numpy as np
from numpy.typing import NDArray

from plainnet.data.columns import Cells
from plainnet.errors import DataError
from plainnet.formatting import count
from plainnet.storage.json_reader import JsonReader, damaged, listed, shortened

ColumnKind = Literal["number", "category", "yesno", "indicator", "identifier", "constant"]
KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
MAX_LEVELS = 100  # of a category, the most frequent ones; the others count as unknown

_LISTED = 5  # values that a text lists before it counts the others


@dataclass(frozen=True)
class Column(ABC):
    """One column of a fitted table."""

    name: str
    missing: int  # training rows without the cell
    kind: ColumnKind = field(init=False)

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Return the names of the features; none if the column is left out."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """Describe the values of the training rows."""

    @property
    @abstractmethod
    def encoding(self) -> str:
        """Describe how a cell becomes features."""

    def to_json(self) -> dict[str, object]:
        """Return the column as an object for JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


@dataclass(frozen=True)
class FeatureColumn(Column):
    """A column that becomes features."""

    @property
    @abstractmethod
    def varies(self) -> bool:
        """Whether training rows held more than one value."""

    @abstractmethod
    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write the features of `cells` into `out` (m, len(features)), which holds zeros.

        Assumptions, such as the value of a missing cell, are appended to `notes`.
        """

    def _with_indicator(self, *names: str) -> tuple[str, ...]:
        return (*names, f"{self.name}: missing") if self.missing else names

    def _filled(self, fill: str) -> str:
        return f"missing = {fill}, marked; " if self.missing else ""

    def _mark_missing(
        self,
        cells: Cells,
        absent: NDArray[np.bool_],
        fill: str,
        out: NDArray[np.float32],
        notes: list[str] | None,
    ) -> None:
        """Write the indicator feature, or note that there is none."""
        if self.missing:
            out[:, -1] = absent
        elif cells.missing and notes is not None:
            where, rows = cells.location(cells.absent), count(cells.missing, "row")
            notes.append(
                f"{where}: the cell is missing, as in no training row; it is filled with {fill} "
                f"({rows})."
            )


def summarize_values(cells: Cells) -> str:
    """Describe the values of the training rows: their number, or the only one."""
    if len(cells.distinct) == 0:
        return "always missing"
    if len(cells.distinct) == 1:
        return f"always {shortened(cells.texts()[0], 20)}"
    return f"{len(cells.distinct):,} different in {count(len(cells.rows), 'row')}"


def _note_values(cells: Cells, noted: NDArray[np.bool_], remark: str, notes: list[str]) -> None:
    """Note some of the distinct values, the first ones each in a separate line."""
    codes = np.flatnonzero(noted)
    texts, counts = cells.texts(), cells.counts()
    for code in codes[:_LISTED]:
        rows = count(int(counts[code]), "row")
        notes.append(
            f"{cells.location(cells.codes == code)}: {shortened(texts[code])} {remark} ({rows})."
        )
    if len(others := codes[_LISTED:]):
        rows = count(int(counts[others].sum()), "row")
        notes.append(
            f"Column {shortened(cells.name)}: the same for {len(others):,} more values ({rows})."
        )


def spellings(levels: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of levels that differ only in spelling, as indices: (first, other)."""
    first: dict[str, int] = {}
    texts = [" ".join(level.split()).casefold() for level in levels]
    pairs = [(first.setdefault(text, i), i) for i, text in enumerate(texts)]
    return [(i, j) for i, j in pairs if i != j]


def _median(values: NDArray[np.float64]) -> float:
    """Return what `np.median` does, without its fixed cost for each column."""
    middle = len(values) // 2
    halves = np.partition(values, middle)  # with two places, it takes four times as long
    below = halves[middle] if len(values) % 2 else halves[:middle].max()
    return float((below + halves[middle]) / 2)


@final
@dataclass(frozen=True)
class NumberColumn(FeatureColumn):
    """Numbers: missing ones become the median, then all are standardized."""

    kind: ColumnKind = field(init=False, default="number")
    decimal: str
    low: float
    median: float
    high: float
    mean: float
    scale: float

    @classmethod
    def fit(cls, cells: Cells, decimal: str | None = None) -> Self:
        """Compute the statistics of training cells; `DataError` if one is not a finite number."""
        decimal = cells.decimal if decimal is None else decimal
        values = cells.finite(decimal)
        values = values[~cells.absent] if cells.missing else values
        low, high = float(values.min()), float(values.max())
        with np.errstate(over="ignore", invalid="ignore"):
            median = _median(values)
            filled = np.append(values, np.full(cells.missing, median)) if cells.missing else values
            mean = float(filled.mean())
            scale = float(np.sqrt(np.square(filled - mean).mean()))
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
    def from_json(cls, stored: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        decimal, scale = stored.text("decimal", (".", ",")), stored.number("scale", positive=True)
        low, median, high, mean = map(stored.number, ("low", "median", "high", "mean"))
        column = cls(name, missing, decimal, low, median, high, mean, scale)
        # The values of the training rows have to become finite features.
        ends = [abs((end - column.mean) / column.scale) for end in (column.low, column.high)]
        largest = float(np.finfo(np.float32).max)
        if not column.low <= column.median <= column.high or max(ends) > largest:
            raise damaged(
                f"low, median, high, mean and scale of {stored.where} do not fit each other"
            )
        return column

    @property
    def varies(self) -> bool:
        """Whether training rows held numbers that differ."""
        return self.scale > 0

    @property
    def features(self) -> tuple[str, ...]:
        """Return the number, and whether it was missing."""
        return self._with_indicator(self.name)

    @property
    def summary(self) -> str:
        """Describe the range."""
        return f"{self.low:g} to {self.high:g}, median {self.median:g}"

    @property
    def encoding(self) -> str:
        """Describe how a cell becomes features."""
        filled = self._filled(f"{self.median:g}")
        if self.unscaled:
            return f"{filled}unscaled"
        return f"{filled}standardized (mean {self.mean:.4g}, deviation {self.scale:.4g})"

    @property
    def unscaled(self) -> bool:
        """Whether the numbers enter the network unscaled."""
        return (self.mean, self.scale) == (0.0, 1.0)

    def without_scaling(self) -> "NumberColumn":
        """Return this column without its scaling."""
        return replace(self, mean=0.0, scale=1.0)

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write the standardized numbers."""
        out[:, 0] = cells.standardized(self.decimal, self.mean, self.scale)
        if cells.missing:
            out[cells.absent, 0] = (self.median - self.mean) / self.scale
        self._mark_missing(cells, cells.absent, f"the median {self.median:g}", out, notes)


@final
@dataclass(frozen=True)
class YesNoColumn(FeatureColumn):
    """Yes (1) or No (0) in the usual spellings; missing cells become the more frequent answer."""

    kind: ColumnKind = field(init=False, default="yesno")
    yes: int
    no: int

    @classmethod
    def fit(cls, cells: Cells) -> Self:
        """Count training cells; `DataError` if one is neither Yes nor No."""
        yes = int(cells.counts()[cells.only_answers() == 1.0].sum())
        return cls(cells.name, cells.missing, yes, len(cells.rows) - cells.missing - yes)

    @classmethod
    def from_json(cls, stored: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        return cls(name, missing, stored.whole("yes"), stored.whole("no"))

    @property
    def varies(self) -> bool:
        """Whether training rows held both."""
        return self.yes > 0 and self.no > 0

    @property
    def features(self) -> tuple[str, ...]:
        """Return one feature, and whether the cell was missing."""
        return self._with_indicator(self.name)

    @property
    def summary(self) -> str:
        """Count each answer."""
        return f"{self.no:,} No, {self.yes:,} Yes"

    @property
    def encoding(self) -> str:
        """Describe how a cell becomes features."""
        return f"{self._filled(self.fill)}No = 0, Yes = 1"

    @property
    def fill(self) -> str:
        """Return the value of a missing cell: the more frequent answer."""
        return "Yes" if self.yes > self.no else "No"

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write 1 for Yes and 0 for No; note any other value and treat it as a missing cell."""
        values = cells.answers()
        unknown = np.isnan(values)
        if notes is not None:
            remark = f"is neither Yes nor No; it is read as missing, that is, as {self.fill}"
            _note_values(cells, unknown, remark, notes)
        absent = np.append(unknown, True)[cells.codes]  # a missing cell has code -1
        fill = 1.0 if self.fill == "Yes" else 0.0
        out[:, 0] = np.where(absent, fill, np.append(values, fill)[cells.codes])
        self._mark_missing(cells, absent, self.fill, out, notes)


@final
@dataclass(frozen=True)
class CategoryColumn(FeatureColumn):
    """One of several levels, one-hot; any other level is unknown, and 0 in all features."""

    kind: ColumnKind = field(init=False, default="category")
    levels: tuple[str, ...]
    fill: str

    @classmethod
    def fit(cls, cells: Cells) -> Self:
        """Return the column with the most frequent levels of training cells."""
        # Of equally frequent levels the text decides, so that the order of rows does not.
        ranked = sorted(zip(-cells.counts(), cells.texts(), strict=True))[:MAX_LEVELS]
        levels = tuple(sorted(text for _, text in ranked))
        return cls(cells.name, cells.missing, levels, ranked[0][1])

    @classmethod
    def from_json(cls, stored: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        levels = stored.texts("levels")
        return cls(name, missing, levels, stored.text("fill", levels))

    @property
    def varies(self) -> bool:
        """Whether training rows held more than one level."""
        return len(self.levels) > 1

    @property
    def features(self) -> tuple[str, ...]:
        """Return one feature for each level, and whether the cell was missing."""
        return self._with_indicator(*(f"{self.name}={level}" for level in self.levels))

    @property
    def summary(self) -> str:
        """List the first levels."""
        return listed(self.levels, _LISTED, 20)

    @property
    def encoding(self) -> str:
        """Describe how a cell becomes features."""
        filled = self._filled(shortened(self.fill, 20))
        return f"{filled}one-hot, {len(self.levels)} levels; unknown = all 0"

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write 1 into the feature of each row's level, if it is known."""
        index = {level: i for i, level in enumerate(self.levels)}
        unknown = len(self.levels)
        # A missing cell has code -1: the last index, that of the most frequent level.
        hot = np.array([index.get(t, unknown) for t in cells.texts()] + [index[self.fill]])
        if notes is not None:
            remark = "is not among the categories that the model knows; it is read as unknown"
            _note_values(cells, hot[:-1] == unknown, remark, notes)
        level = hot[cells.codes]
        known = np.flatnonzero(level < unknown)
        out[known, level[known]] = 1.0
        self._mark_missing(cells, cells.absent, shortened(self.fill), out, notes)


@final
@dataclass(frozen=True)
class IndicatorColumn(FeatureColumn):
    """Whether the cell is missing, for a column with only one value in the training rows."""

    kind: ColumnKind = field(init=False, default="indicator")
    values: str  # description of the training rows

    @classmethod
    def fit(cls, cells: Cells) -> Self:
        """Count the training cells that are missing."""
        return cls(cells.name, cells.missing, summarize_values(cells))

    @classmethod
    def from_json(cls, stored: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        if missing == 0:
            raise damaged(f"{stored.where} should miss some cells")
        return cls(name, missing, stored.text("values"))

    @property
    def varies(self) -> bool:
        """Whether some training rows miss the cell."""
        return self.missing > 0

    @property
    def features(self) -> tuple[str, ...]:
        """Return whether the cell was missing."""
        return self._with_indicator()

    @property
    def summary(self) -> str:
        """Describe the values of the training rows."""
        return self.values

    @property
    def encoding(self) -> str:
        """Describe how a cell becomes features."""
        return "missing = 1, any value = 0"

    def encode(self, cells: Cells, out: NDArray[np.float32], notes: list[str] | None) -> None:
        """Write 1 where the cell is missing."""
        out[:, 0] = cells.absent


@final
@dataclass(frozen=True)
class LeftOutColumn(Column):
    """A column without effect: an identifier, or one that is constant in the training rows.

    Its cells are not kept, so that a model file holds no names of people.
    """

    kind: ColumnKind
    values: str  # description of the training rows

    @classmethod
    def from_json(cls, stored: JsonReader, name: str, missing: int) -> Self:
        """Read the column from a model file; `ModelFileError` if a field is wrong."""
        return cls(name, missing, stored.typed("kind", ColumnKind), stored.text("values"))

    @property
    def features(self) -> tuple[str, ...]:
        """Return no features."""
        return ()

    @property
    def summary(self) -> str:
        """Describe the values of the training rows."""
        return self.values

    @property
    def encoding(self) -> str:
        """Describe how a cell becomes features."""
        return "left out, no effect"


FEATURE_COLUMNS: Mapping[
    ColumnKind, type[NumberColumn | YesNoColumn | CategoryColumn | IndicatorColumn]
] = {
    "number": NumberColumn,
    "yesno": YesNoColumn,
    "category": CategoryColumn,
    "indicator": IndicatorColumn,
}


def column_from_json(stored: JsonReader, rows: int) -> Column:
    """Read a column from a model file; `ModelFileError` if a field is wrong."""
    column = FEATURE_COLUMNS.get(stored.typed("kind", ColumnKind), LeftOutColumn)
    stored.only(*(each.name for each in fields(column)))
    return column.from_json(stored, stored.text("name"), stored.whole("missing", high=rows))
