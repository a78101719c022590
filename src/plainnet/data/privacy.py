"""Privacy: leave levels and values of few rows out of a schema."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from plainnet.data.column_kinds import (
    CategoryColumn,
    Column,
    IndicatorColumn,
    LeftOutColumn,
    NumberColumn,
)
from plainnet.data.columns import Cells

TAIL = 0.05  # share of the rows at or beyond each end of a range of quantiles


class Privacy(NamedTuple):
    """Limits on the values of single training rows in a schema."""

    min_level_count: int = 1  # training rows that a level needs
    quantiles: bool = False  # whether ranges end at quantiles, not at extremes


DEFAULT_PRIVACY = Privacy()


def coarsened(column: Column, cells: Cells, privacy: Privacy) -> Column:
    """Return a fitted column without the levels and values of few rows."""
    if isinstance(column, CategoryColumn):
        return _without_rare_levels(column, cells, privacy.min_level_count)
    if isinstance(column, NumberColumn) and privacy.quantiles:
        return _without_ends(column, cells, privacy.min_level_count)
    if isinstance(column, IndicatorColumn) and int(cells.counts().sum()) < privacy.min_level_count:
        return replace(column, values="a value that few rows hold")
    return column


def _without_rare_levels(column: CategoryColumn, cells: Cells, least: int) -> Column:
    counts = dict(zip(cells.texts(), cells.counts().tolist(), strict=True))
    levels = tuple(level for level in column.levels if counts[level] >= least)
    if not levels:  # not even the most frequent one
        listed = f"{len(counts):,} different, none of them in {least:,} rows"
        return LeftOutColumn(column.name, column.missing, "identifier", listed)
    return replace(column, levels=levels)


def _without_ends(column: NumberColumn, cells: Cells, least: int) -> NumberColumn:
    values = np.sort(cells.finite(column.decimal)[~cells.absent])
    beyond = max(math.ceil(TAIL * len(values)), least)
    ends = (column.median, column.median)
    if 2 * beyond <= len(values):
        ends = (float(values[beyond - 1]), float(values[-beyond]))
    digits = 1 - math.floor(math.log10(column.scale))
    low, median, high = (round(value, digits) for value in (ends[0], column.median, ends[1]))
    return replace(column, low=low, median=median, high=high)
