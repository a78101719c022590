"""Statistics of columns that are read some rows at a time, and the schema that they refine."""

from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.column_kinds import (
    MAX_LEVELS,
    CategoryColumn,
    Column,
    NumberColumn,
    YesNoColumn,
)
from plainnet.data.columns import ANSWERS, MANY, Cells
from plainnet.errors import DataError

COUNTED = 10_000  # different texts of a column that are counted exactly,
COUNTED_NUMBERS = 1_000  # and different numbers
_RARE = 0.5  # share of the counted texts that are forgotten when there are more


@final
class ColumnStatistics:
    """The statistics of a column's cells so far; all are exact except counts of many levels."""

    def __init__(self, name: str, shown: int = MANY + 2) -> None:
        self.name, self.shown = name, shown  # values, each with a row for the sample
        self.missing, self.error = 0, 0
        self.n, self.mean, self.squares = 0, 0.0, 0.0  # of numbers, their mean and deviations
        self.low, self.high = np.inf, -np.inf
        self.levels: dict[str, int] | None = {}  # rows of each text; None if they are not counted
        self.problem: DataError | None = None  # of the first cell that is no number
        self._decimal: str | None = None

    def add(self, cells: Cells) -> NDArray[np.int64]:
        """Count the cells of some rows; return rows that show a few first values for a sample."""
        first = np.flatnonzero(cells.absent)[: int(not self.missing)]
        self.missing += cells.missing
        self._add_numbers(cells)
        return np.array([*first, *self._add_levels(cells)], np.int64)

    def _add_numbers(self, cells: Cells) -> None:
        if self.problem is not None or cells.missing == len(cells.rows):
            return
        self._decimal = cells.decimal if self._decimal is None else self._decimal
        try:
            values = cells.finite(self._decimal)
        except DataError as error:
            self.problem = error
            return
        values = values[~cells.absent] if cells.missing else values
        n, mean = len(values), float(values.mean())
        squares = float(np.square(values - mean).sum())
        step, total = mean - self.mean, self.n + n  # Chan, Golub and LeVeque (1983)
        self.squares += squares + step * step * self.n * n / total
        self.mean += step * n / total
        self.n = total
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    def _add_levels(self, cells: Cells) -> list[int]:
        if self.levels is None:
            return []
        present, n = len(cells.rows) - cells.missing, len(cells.distinct)
        numbers = isinstance(cells.distinct, np.ndarray) or self.problem is None
        identifier = not self.levels and n > max(COUNTED_NUMBERS, present / 2)
        if identifier or (numbers and max(n, len(self.levels)) > COUNTED_NUMBERS):
            self.levels = None
            return []
        few, levels = len(self.levels) < self.shown, self.levels
        texts = cells.texts()
        new = [i for i, text in enumerate(texts) if text not in levels]
        for text, count in zip(texts, cells.counts().tolist(), strict=True):
            levels[text] = levels.get(text, 0) + count
        if len(levels) > COUNTED:
            self._forget()
        return [int((cells.codes == i).argmax()) for i in new[: self.shown]] if few else []

    def _forget(self) -> None:
        """Forget the rarest levels: the others may have been counted late by so many rows."""
        assert self.levels is not None
        ranked = sorted(self.levels.items(), key=lambda item: (-item[1], item[0]))
        kept = round(_RARE * COUNTED)
        self.error += ranked[kept][1]
        self.levels = dict(ranked[:kept])

    def scale(self, median: float) -> tuple[float, float]:
        """Return mean and standard deviation with missing cells replaced by the median."""
        m = self.n + self.missing
        step = median - self.mean
        squares = self.squares + step * step * self.n * self.missing / m
        return self.mean + step * self.missing / m, float(np.sqrt(squares / m))

    def refine(self, column: Column, ends: bool) -> Column:
        """Return a column of a sample with these statistics; with `ends`, single values too."""
        changes: dict[str, Any] = {"missing": self.missing}
        if isinstance(column, NumberColumn):
            if self.problem is not None:
                raise self.problem
            mean, scale = self.scale(column.median)
            if not column.unscaled and np.isfinite(scale):
                changes |= {"mean": mean, "scale": scale}
            if ends:
                changes |= {"low": self.low, "high": self.high}
        elif isinstance(column, YesNoColumn) and self.levels is not None:
            yes = sum(n for text, n in self.levels.items() if ANSWERS.get(text.casefold()) == 1)
            changes |= {"yes": yes, "no": sum(self.levels.values()) - yes}
        elif isinstance(column, CategoryColumn) and self.levels and ends:
            ranked = sorted(self.levels.items(), key=lambda item: (-item[1], item[0]))[:MAX_LEVELS]
            changes |= {"levels": tuple(sorted(text for text, _ in ranked)), "fill": ranked[0][0]}
        return replace(column, **changes)
