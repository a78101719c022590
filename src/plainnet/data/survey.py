"""Survey: the first pass over a table that is larger than memory.

It computes statistics of the training rows and draws a sample of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.column_kinds import ColumnKind
from plainnet.data.column_statistics import COUNTED, ColumnStatistics
from plainnet.data.columns import in_threads
from plainnet.data.images import Progress
from plainnet.data.privacy import DEFAULT_PRIVACY, Privacy
from plainnet.data.row_sample import RowSample, uniform, uniform_by_content
from plainnet.data.table import Table, absent_column
from plainnet.data.table_schema import TableSchema, infer_columns
from plainnet.data.table_stream import TableStream
from plainnet.data.targets import Target, Task
from plainnet.errors import DataError
from plainnet.formatting import count

MOST_ROWS = 100_000  # of a part that is kept in memory: a sample, rows to validate with or to test
WINDOW = 2**26  # bytes of the rows that are shuffled together, or an eighth of a smaller bound
TRAIN, VALIDATION, TEST = range(3)
_SPLIT, _SAMPLED = range(2)  # uses of the random numbers of rows


@final
@dataclass(frozen=True)
class StreamOptions:
    """How rows are read and split; cached rows are used again only with equal options."""

    target: tuple[str, ...]
    task: Task | None
    kinds: Mapping[str, ColumnKind]
    header: bool
    standardize: bool
    privacy: Privacy
    test_fraction: float
    validation_fraction: float
    seed: int
    group: bool  # whether rows of equal features are in one part
    memory: int | None  # bytes; by default half of what is free

    @property
    def window(self) -> int:
        """The bytes of a window."""
        return window_bytes(self.memory)


def window_bytes(memory: int | None) -> int:
    """Return the bytes of a window, which are the same on all machines unless memory is given."""
    return WINDOW if memory is None else min(WINDOW, max(1, memory // 8))


def most_rows(n: int, window: int = WINDOW) -> int:
    """Return how many rows of n numbers a part in memory has at most."""
    return max(1_000, min(MOST_ROWS, window // (4 * n)))


def rows_of(table: Table, target: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows that have a target."""
    for name in target:
        if name not in table.columns:
            raise absent_column(name, list(table.columns), "the target")
    absent = np.any([table[name].absent for name in target], axis=0)
    return np.flatnonzero(~absent)


def sample_stream(
    path: Path, options: StreamOptions, progress: Progress | None = None
) -> tuple[Table, int]:
    """Draw rows of those that `read_stream` trains on; return also how many these are."""
    stream = TableStream(path, options.header)
    survey = survey_of(stream, options, progress, stream.estimated_size()[1])
    return survey.sample, int(survey.sizes[TRAIN])


def survey_of(
    stream: TableStream, options: StreamOptions, progress: Progress | None, total: int
) -> "Survey":
    """Make the first pass; the total is that of all passes."""
    survey = Survey(options)
    for table in stream:
        survey.add(table)
        if progress is not None:
            progress(min(survey.m, total), total)
    return survey


def draw_parts(
    options: StreamOptions, target: Sequence[str], first: int, table: Table
) -> NDArray[np.int8]:
    """Draw the part of each row, by the seed and the number of the row, or its features."""
    seed, m = [options.seed, _SPLIT], len(table)
    if options.group:
        draws = uniform_by_content(seed, table.without(target))
    else:
        draws = uniform(seed, first, m)
    parts = np.full(m, TRAIN, np.int8)
    parts[draws < options.test_fraction + options.validation_fraction] = VALIDATION
    parts[draws < options.test_fraction] = TEST
    return parts


@final
class Survey:
    """The first pass: statistics of the training rows, a sample of them, and the parts' sizes."""

    def __init__(self, options: StreamOptions) -> None:
        self.options, self.names = options, options.target
        self.m, self.unlabeled, self.sizes = 0, 0, np.zeros(3, np.int64)
        self.columns: dict[str, ColumnStatistics] = {}
        self.classes: dict[str, ColumnStatistics] = {}  # of the target in all rows
        self._categorical: set[str] = set()
        self._sample: RowSample | None = None

    def add(self, table: Table) -> None:
        """Take account of some rows."""
        options = self.options
        if self._sample is None:
            self.names = options.target or (list(table.columns)[-1],)
            self._sample = RowSample(most_rows(len(table.columns), options.window))
            self.columns = {name: ColumnStatistics(name) for name in table.columns}
            self.classes = {name: ColumnStatistics(name, COUNTED) for name in self.names}
        self._categorical |= set(filter(table.is_categorical, table.columns))
        labeled, m = rows_of(table, self.names), len(table)
        parts = draw_parts(options, self.names, self.m, table)[labeled]
        keys = np.full(m, np.inf)
        train = labeled[parts == TRAIN]
        keys[train] = uniform([options.seed, _SAMPLED], self.m, m)[train]
        self._add_columns(table, train, self.columns, keys)
        self._add_columns(table, labeled, self.classes, keys)
        self._sample.add(table, keys)
        self.m += m
        self.unlabeled += m - len(labeled)
        self.sizes += np.bincount(parts, minlength=3)

    @staticmethod
    def _add_columns(
        table: Table,
        rows: NDArray[np.int64],
        columns: Mapping[str, ColumnStatistics],
        keys: NDArray[np.float64],
    ) -> None:
        """Add some rows to the statistics; rows that the sample must have get the key -1."""
        if len(rows):
            some = table.take(rows)
            shown = in_threads(lambda c: c.add(some[c.name]), columns.values(), len(rows))
            keys[rows[np.concatenate(shown)]] = -1

    @property
    def sample(self) -> Table:
        """The sample of the training rows."""
        train, _, _ = self.sizes.tolist()
        if self._sample is None or not train:
            raise DataError(
                f"No row is left to train on: of {count(self.m, 'row')}, {self.unlabeled:,} have "
                "no target, and the others are held out."
            )
        return self._sample.table(self._categorical, self.options.header)

    def schema(self) -> TableSchema:
        """Return the schema of the sample with the statistics of all training rows."""
        options, table = self.options, self.sample
        exact = options.privacy == DEFAULT_PRIVACY
        columns = infer_columns(table, self.names, options.kinds)
        schema = TableSchema.fitted(columns, table, options.standardize, options.privacy)
        refined = tuple(self.columns[c.name].refine(c, exact) for c in schema.columns)
        return replace(schema, columns=refined, rows=int(self.sizes[TRAIN]))

    def target(self) -> Target:
        """Return the target of the sample, a regression with the statistics of all rows."""
        target = Target.infer(self.sample, self.names, self.options.task)
        if target.task != "regression":
            return target
        means, scales = zip(*(self.columns[name].scale(0.0) for name in self.names), strict=True)
        return replace(target, mean=means, scale=scales)
