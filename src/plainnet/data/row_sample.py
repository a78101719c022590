"""Random numbers of rows by position or content, and a random sample of rows read in parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plainnet.data.columns import Cells
from plainnet.data.table import Table

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 2**16  # rows whose numbers are drawn at a time


def uniform(seed: Sequence[int], first: int, m: int) -> NDArray[np.float64]:
    """Return a random number below 1 of each of m rows, which depends on seed and position only."""
    blocks = range(first // _BLOCK, (first + m - 1) // _BLOCK + 1)
    drawn = [np.random.default_rng([*seed, block]).random(_BLOCK) for block in blocks]
    start = first % _BLOCK
    return np.concatenate(drawn)[start : start + m]


def uniform_by_content(seed: Sequence[int], table: Table) -> NDArray[np.float64]:
    """Return a random number below 1 of each row, the same for rows of equal cells."""
    from pandas.util import hash_array

    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    hashes = np.repeat(start, len(table))
    for name in table.columns:
        hashes = hash_array(hashes + _hashes(table[name]))
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _hashes(cells: Cells) -> NDArray[np.uint64]:
    """Return a hash of each cell; it depends on the spelling of text."""
    from pandas.util import hash_array

    entries = cells.entries
    if isinstance(entries, np.ndarray):
        values = entries.astype(np.float64) + 0.0  # -0 becomes 0
    else:
        values = entries.to_numpy(zero_copy_only=False)
    hashes = hash_array(values, categorize=False)
    if cells.index is not None:
        hashes = np.append(hashes, np.uint64(0))[cells.index]
    return np.where(cells.absent, np.uint64(0), hashes)


@final
class RowSample:
    """The rows with the smallest keys so far, and all rows that have to be in the sample."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._keys: list[NDArray[np.float64]] = []  # -1 of a row that has to be in it
        self._parts: list[dict[str, Any]] = []
        self._limit = np.inf

    def add(self, table: Table, keys: NDArray[np.float64]) -> None:
        """Add those rows of a table that are in the sample."""
        rows = np.flatnonzero(keys < self._limit)
        if len(rows):
            self._keys.append(keys[rows])
            self._parts.append({name: _values(table[name], rows) for name in table.columns})
        if sum(map(len, self._keys)) > 2 * self.most:
            self._shrink()

    def _shrink(self) -> None:
        keys = np.concatenate(self._keys)
        keys = keys[keys >= 0]
        if len(keys) <= self.most:
            return
        self._limit = float(np.partition(keys, self.most)[self.most])
        kept = [np.flatnonzero(keys < self._limit) for keys in self._keys]
        self._parts = [
            {name: _take(values, rows) for name, values in part.items()}
            for part, rows in zip(self._parts, kept, strict=True)
        ]
        self._keys = [keys[rows] for keys, rows in zip(self._keys, kept, strict=True)]

    def table(self, categorical: set[str], header: bool) -> Table:
        """Return the sample; columns with some names are categories whatever their cells hold."""
        self._shrink()
        m = sum(map(len, self._keys))
        columns = {
            name: _column(name, [part[name] for part in self._parts], name in categorical)
            for name in self._parts[0]
        }
        return Table(columns, m, None, header)


def _values(cells: Cells, rows: NDArray[np.int64]) -> Any:
    """Return the cells of some rows alone: floats, integers, or Arrow text."""
    import pandas as pd

    entries = cells.entries
    if cells.index is None:
        return entries[rows] if isinstance(entries, np.ndarray) else entries.take(pa.array(rows))
    index = cells.index[rows]
    if isinstance(entries, np.ndarray):
        values = np.append(entries, entries.dtype.type(0))[index]
        return pd.arrays.IntegerArray(values, index < 0) if values.dtype.kind in "iu" else values
    return entries.take(pa.array(index, mask=index < 0))


def _take(values: Any, rows: NDArray[np.int64]) -> Any:
    return values.take(pa.array(rows) if isinstance(values, pa.Array) else rows)


def _column(name: str, parts: list[Any], categorical: bool) -> "pd.Series | Cells":
    """Join the cells of a column."""
    import pandas as pd

    if all(isinstance(part, pa.Array) for part in parts):
        text = pa.concat_arrays([part.cast(pa.large_string()) for part in parts])
        if not categorical:
            return Cells.of_array(name, np.arange(1, len(text) + 1), text)
        return pd.Series(text.to_pandas(), name=name, dtype="category")
    return pd.concat([pd.Series(part, name=name) for part in parts], ignore_index=True)
