"""Row files: encoded rows or pictures with targets on disk, read in shuffled windows of blocks."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.errors import DataError
from plainnet.nn.network import Transform
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import Ranks
from plainnet.train.augment import Augmentation
from plainnet.train.batches import BatchSource, Window

# Returns targets and weights from the targets in a file, and a function for the rows' numbers.
Targets = Callable[[Array, Callable[[], Array]], tuple[Array, Array | None]]


class RowLayout(NamedTuple):
    """How rows lie in a file: blocks of rows, each first all X, then all y as float32."""

    shape: tuple[int, ...]  # of a row of X
    dtype: str  # of X: float32, or uint8 for pictures
    n_y: int  # targets of a row
    block: int  # rows in a block; the last may have fewer

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape) + 4 * self.n_y

    def empty(self, m: int) -> tuple[Array, Array]:
        """Return arrays for X and y of m rows."""
        return np.empty((m, *self.shape), self.dtype), np.empty((m, self.n_y), np.float32)


def checksum(*parts: Array) -> int:
    """Return the sum of arrays as whole numbers of 64 bits, which is faster than a CRC."""
    total = 0
    for part in parts:
        content = part.reshape(-1).view(np.uint8)
        end = len(content) // 8 * 8
        total += int(content[:end].view(np.uint64).sum()) + int(content[end:].sum())
    return total % 2**64


@final
class RowFile:
    """The rows of a file, which has a checksum for each block, or some of them.

    They are read and not mapped: the pages of a mapped file count as memory of the process.
    """

    def __init__(
        self,
        path: Path,
        layout: RowLayout,
        stored: int,
        checksums: Array,
        selected: Array | None = None,
    ) -> None:
        self.path, self.layout, self.stored, self.checksums = path, layout, stored, checksums
        self.selected = selected  # the numbers of the rows in ascending order; None for all
        self.m = stored if selected is None else len(selected)
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - open as long as the object
        self._checked = np.zeros(len(checksums), np.bool_)
        n, block = len(checksums), layout.block
        self._sizes = np.minimum(block, stored - np.arange(n) * block)  # of the blocks
        self.lengths = self._sizes  # rows of each block that belong to this object
        if selected is not None:
            self.lengths = np.bincount(selected // block, minlength=n)

    def __reduce__(self) -> tuple[Any, ...]:
        return RowFile, (self.path, self.layout, self.stored, self.checksums, self.selected)

    def __del__(self) -> None:
        if "_file" in vars(self):
            self._file.close()

    def select(self, rows: Array | None) -> RowFile:
        """Return some rows of the file, by their numbers in ascending order, or all."""
        part = RowFile(self.path, self.layout, self.stored, self.checksums, rows)
        part._checked = self._checked
        return part

    def all(self) -> tuple[Array, Array]:
        """Return all rows."""
        return self.gather(np.arange(len(self.checksums)), 0, self.m)

    def parts(self, size: int) -> Iterator[tuple[Array, Array]]:
        """Yield all rows in order, some at a time."""
        blocks = np.arange(len(self.checksums))
        for start in range(0, self.m, size):
            yield self.gather(blocks, start, min(start + size, self.m))

    def gather(self, blocks: Array, start: int, stop: int) -> tuple[Array, Array]:
        """Return X and y of the rows from `start` to `stop` of all blocks in some order."""
        X, y = self.layout.empty(stop - start)
        ends, span = self._span(blocks, start, stop)
        for i in span:
            block = int(blocks[i])
            m = int(self.lengths[block])
            first = int(ends[i]) - m
            low, high = max(start, first), min(stop, first + m)
            if low >= high:
                continue
            to, size = slice(low - start, high - start), int(self._sizes[block])
            if high - low == size:
                self._read(block, X[to], y[to])
            else:
                whole = self.layout.empty(size)
                self._read(block, *whole)
                rows = self._rows(block)[low - first : high - first]
                X[to], y[to] = whole[0][rows], whole[1][rows]
        return X, y

    def prepare(self, blocks: Array, start: int, stop: int) -> None:
        """Let the system read the blocks of some rows meanwhile, where it can."""
        if sys.platform == "linux":
            size = self.layout.block * self.layout.row_bytes
            for i in self._span(blocks, start, min(stop, self.m))[1]:
                place = int(blocks[i]) * size
                os.posix_fadvise(self._file.fileno(), place, size, os.POSIX_FADV_WILLNEED)

    def _span(self, blocks: Array, start: int, stop: int) -> tuple[Array, range]:
        """Return where blocks in some order end, and which of them hold rows from start to stop."""
        ends = np.cumsum(self.lengths[blocks])
        if start >= stop:
            return ends, range(0)
        first, last = np.searchsorted(ends, [start, stop - 1], "right").tolist()
        return ends, range(first, last + 1)

    def _rows(self, block: int) -> Array:
        """Return which rows of a block belong to this object."""
        first = block * self.layout.block
        if self.selected is None:
            return np.arange(self._sizes[block])
        low, high = np.searchsorted(self.selected, [first, first + self.layout.block])
        return self.selected[low:high] - first

    def numbers(self, blocks: Array, start: int, stop: int) -> Array:
        """Return the numbers in the file of the rows from `start` to `stop` of some blocks."""
        lengths, rows = self.lengths[blocks], np.arange(start, stop)
        ends = np.cumsum(lengths)
        shift = blocks * self.layout.block - (ends - lengths)
        return np.asarray(rows + shift[np.searchsorted(ends, rows, "right")])

    def _read(self, block: int, X: Array, y: Array) -> None:
        """Read a block, and check it the first time."""
        self._file.seek(block * self.layout.block * self.layout.row_bytes)
        for part in (X, y):
            if self._file.readinto(part.data) < part.nbytes:
                raise self._damaged("was cut")
        if not self._checked[block]:
            if checksum(X, y) != self.checksums[block]:
                raise self._damaged("was altered")
            self._checked[block] = True

    def _damaged(self, how: str) -> DataError:
        return DataError(
            f"The cache {str(self.path)!r} cannot be used: the file {how} after it was written; "
            "remove its folder and train again, or resume from a checkpoint."
        )


class RowStream(NamedTuple):
    """Rows to train on that stay in a file, as `fit` takes them instead of X."""

    rows: RowFile
    window: int  # rows in memory at a time
    class_counts: tuple[int, ...]  # rows of each class; empty for other tasks
    sample: Array  # numbers of the rows of a sample that is in memory
    reused: bool = False  # whether an earlier training wrote them


class _Part(NamedTuple):
    """Rows of a window, and where each row of the window is among them, -1 for those of others."""

    X: Array
    y: Array
    positions: Array  # empty if all are this rank's
    numbers: Callable[[], Array]


@final
class StreamedBatches(BatchSource):
    """The rows of a file in batches.

    Each epoch takes the blocks of the file in a random order. A window is read at a time, while the
    network trains on the last, and its rows are shuffled. Ranks deal the blocks among themselves,
    and each reads its own: a batch has rows of all blocks, and so about as many of every rank.
    """

    def __init__(
        self,
        stream: RowStream,
        batch_size: int,
        targets: Targets,
        transform: Transform | None,
        dtype: Any,
        augment: Augmentation | None,
        ranks: Ranks,
    ) -> None:
        rows, window, *_ = stream
        super().__init__(rows.m, batch_size, transform, dtype, augment, ranks)
        self.rows = rows.select(rows.selected)  # with a file of its own, which a thread reads
        self._targets = targets
        self._in_window = max(1, window // self.batch_size)  # batches
        self._use(self._gather(np.arange(len(rows.checksums)), 0, 1))  # a row for its shape

    def windows(self, rng: np.random.Generator, done: int = 0) -> Iterator[Window]:
        """Yield the windows of one epoch from the one that holds batch `done`."""
        from concurrent.futures import ThreadPoolExecutor  # slow to import

        seed = int(rng.integers(2**63))
        blocks = np.random.default_rng(seed).permutation(len(self.rows.checksums))
        size = self._in_window

        def read(first: int) -> _Part:
            start, stop = self.bounds[[first, min(first + size, len(self))]].tolist()
            return self._read(blocks, start, stop)

        def begin(first: int) -> Callable[[], _Part]:
            try:
                return thread.submit(read, first).result
            except RuntimeError:  # a thread cannot start
                return partial(read, first)

        with ThreadPoolExecutor(1) as thread:
            following = begin(done // size * size)
            for first in range(done // size * size, len(self), size):
                self._use(following())
                if first + size < len(self):
                    following = begin(first + size)
                bounds = self.bounds[first : first + size + 1]
                window = np.random.default_rng([seed, first])
                order = window.permutation(int(bounds[-1] - bounds[0]))
                self.seed = int(window.integers(2**63))
                yield Window(order, bounds - bounds[0], first)

    def own(self, rows: Array) -> tuple[slice | Array, slice | Array]:
        """Return the rows of a batch that are in this rank's blocks."""
        if self.ranks.size == 1:
            return slice(None), rows
        index = self._index[rows]
        own = np.flatnonzero(index >= 0)
        return own, index[own]

    def _read(self, blocks: Array, start: int, stop: int) -> _Part:
        """Read this rank's rows of a window."""
        rank, size = self.ranks.rank, self.ranks.size
        lengths = self.rows.lengths[blocks]
        ends = np.cumsum(lengths)

        def before(row: int) -> int:
            """Count the rows of this rank before a row."""
            return int(np.clip(row - ends + lengths, 0, lengths)[rank::size].sum())

        part = self._gather(blocks[rank::size], before(start), before(stop))
        if size > 1:
            owns = np.searchsorted(ends, np.arange(start, stop), "right") % size == rank
            part = part._replace(positions=np.where(owns, np.cumsum(owns) - 1, -1))
        return part

    def _gather(self, blocks: Array, start: int, stop: int) -> _Part:
        """Read the rows from `start` to `stop` of some blocks."""
        self.rows.prepare(blocks, start, stop)
        X, y = self.rows.gather(blocks, start, stop)
        return _Part(X, y, np.empty(0, np.intp), partial(self.rows.numbers, blocks, start, stop))

    def _use(self, part: _Part) -> None:
        """Take the next window."""
        self.X, y, self._index, numbers = part
        self.y, self.weight = self._targets(y, numbers)
