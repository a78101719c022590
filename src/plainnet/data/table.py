"""Tables: named columns of cells, each read when it is first used."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from plainnet import limits
from plainnet.data.arrow import text_array
from plainnet.data.columns import Cells, cached, clean_text
from plainnet.errors import DataError
from plainnet.storage.json_reader import listed, shortened

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a table, or some rows of them."""

    columns: "dict[str, pd.Series | Cells]"
    m: int  # rows in all
    index: NDArray[np.int64] | None = None  # the rows that are chosen; by default all
    header: bool = True  # whether the columns have names of their own

    @classmethod
    def of(cls, data: "pd.DataFrame | Table") -> "Table":
        """Return a DataFrame's columns, with text as their names; a table unchanged."""
        if isinstance(data, Table):
            return data
        frame = named(data)
        return cls(dict(frame.items()), len(frame))

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> "Table":
        """Return a table of one row."""
        row = np.array([1])
        cells = {n: Cells.of_array(n, row, clean_text(text_array([t]))) for n, t in texts.items()}
        return cls(cells, 1)

    def __len__(self) -> int:
        return self.m if self.index is None else len(self.index)

    def __getitem__(self, name: str) -> Cells:
        cells = self.columns[name]
        if not isinstance(cells, Cells):
            from plainnet.data.series import read_series

            cells = self.columns[name] = read_series(cells)
        return cells if self.index is None else cells.take(self.index, self._numbers)

    @cached
    def _numbers(self) -> NDArray[np.int64]:
        """The number of each chosen row, which is the same in each column."""
        return replace(self, index=None)[next(iter(self.columns))].rows[self.index]

    def is_categorical(self, name: str) -> bool:
        """Return whether a column that was not read yet is one of pandas' categories."""
        return getattr(getattr(self.columns[name], "dtype", None), "name", None) == "category"

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """Return some rows."""
        return replace(self, index=self.positions(rows))

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where rows stand in the whole table, from 0."""
        return rows if self.index is None else self.index[rows]

    def without(self, names: Collection[str]) -> "Table":
        """Return the other columns."""
        columns = {name: cells for name, cells in self.columns.items() if name not in names}
        return replace(self, columns=columns)

    def renamed(self, names: Sequence[str]) -> "Table":
        """Return the columns, in their order, under other names."""
        columns = zip(names, self.columns, strict=True)
        return replace(self, columns={to: replace(self[name], name=to) for to, name in columns})

    def compact(self, name: str, decimal: str | None) -> None:
        """Free the text of a column: keep its numbers, or without a decimal sign its codes."""
        cells = replace(self, index=None)[name]
        self.columns[name] = cells.as_codes() if decimal is None else cells.as_numbers(decimal)


def named(frame: "pd.DataFrame", label: str = "The table") -> "pd.DataFrame":
    """Return `frame` with distinct texts as column names."""
    if frame.columns.nlevels > 1:
        raise DataError(
            f"{label} has column names of {frame.columns.nlevels} levels; "
            "give each column one name."
        )
    names = [str(name).strip() for name in frame.columns]
    check_names(names, label)
    return frame.set_axis(names, axis=1)


def check_names(names: list[str], label: str) -> None:
    """Refuse a name that several columns have."""
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise DataError(
            f"{label} uses a column name more than once: {listed(repeated)}; "
            "give each column its own name."
        )


def absent_column(name: str, present: list[str], reason: str) -> DataError:
    """Return the error for a missing column, with a similar name if there is one."""
    spelled = {p.casefold(): p for p in present[: limits.MAX_CANDIDATES]}
    # Comparing long names would take hours.
    short = [p for p in spelled if len(p) <= limits.MAX_SUGGESTED]
    likely = len(name) <= limits.MAX_SUGGESTED
    near = get_close_matches(name.casefold(), short, n=1) if likely else []
    if near:
        hint = f"did you mean {shortened(spelled[near[0]])}?"
    else:
        hint = f"it has {listed(present, 8)}."
    return DataError(f"The table has no column {shortened(name)} ({reason}); {hint}")
