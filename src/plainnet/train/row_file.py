"""Row files: encoded rows with targets on disk, read in shuffled windows of shuffled blocks."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, final

import numpy as np

from plainnet.errors import DataError
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import Ranks
from plainnet.train.batches import Batch, Window, batch_bounds

# Returns targets and weights from the targets in a file, and a function for the rows' numbers.
Targets = Callable[[Array, Callable[[], Array]], tuple[Array, Array | None]]


class RowLayout(NamedTuple):
    """How rows lie in a file: blocks of rows, each first all X, then all y, as float32."""

    n_in: int
    n_y: int  # targets of a row
    block: int  # rows in a block; the last may have fewer

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        return 4 * (self.n_in + self.n_y)


def checksum(*parts: Array) -> int:
    """Return the sum of arrays of float32 as whole numbers of 64 bits, faster than a CRC."""
    total = 0
    for part in parts:
        numbers = part.reshape(-1).view(np.uint32)
        pairs = numbers[: len(numbers) // 2 * 2].view(np.uint64)
        total += int(pairs.sum()) + int(numbers[2 * len(pairs) :].sum())
    return total % 2**64


@final
class RowFile:
    """The rows of a file, which has a checksum for each block.

    They are read and not mapped: the pages of a mapped file count as memory of the process.
    """

    def __init__(self, path: Path, layout: RowLayout, m: int, checksums: Array) -> None:
        self.path, self.layout, self.m, self.checksums = path, layout, m, checksums
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - open as long as the object
        self._checked = np.zeros(len(checksums), np.bool_)

    def __del__(self) -> None:
        if "_file" in vars(self):
            self._file.close()

    @property
    def lengths(self) -> Array:
        """The number of rows in each block."""
        block = self.layout.block
        return np.minimum(block, self.m - np.arange(len(self.checksums)) * block)

    def all(self) -> tuple[Array, Array]:
        """Return all rows."""
        return self.gather(np.arange(len(self.checksums)), 0, self.m)

    def gather(self, blocks: Array, start: int, stop: int) -> tuple[Array, Array]:
        """Return X and y of the rows from `start` to `stop` of all blocks in some order."""
        lengths = self.lengths[blocks]
        ends = np.cumsum(lengths)
        X = np.empty((stop - start, self.layout.n_in), np.float32)
        y = np.empty((stop - start, self.layout.n_y), np.float32)
        if start == stop:
            return X, y
        near, last = np.searchsorted(ends, [start, stop - 1], "right").tolist()
        for i in range(near, last + 1):
            first, m = int(ends[i] - lengths[i]), int(lengths[i])
            low, high = max(start, first), min(stop, first + m)
            if high - low == m:
                self._read(int(blocks[i]), X[low - start : high - start], y[low - start :][:m])
            else:
                whole = np.empty((m, X.shape[1]), np.float32), np.empty((m, y.shape[1]), np.float32)
                self._read(int(blocks[i]), *whole)
                for part, rows in zip((X, y), whole, strict=True):
                    part[low - start : high - start] = rows[low - first : high - first]
        return X, y

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

    def prepare(self, blocks: Array) -> None:
        """Let the system read some blocks meanwhile, where it can."""
        if sys.platform == "linux":
            size = self.layout.block * self.layout.row_bytes
            for block in blocks.tolist():
                os.posix_fadvise(self._file.fileno(), block * size, size, os.POSIX_FADV_WILLNEED)

    def _damaged(self, how: str) -> DataError:
        return DataError(
            f"The encoded rows in {str(self.path)!r} cannot be used: the file {how} after it was "
            "written; remove its folder and train again, or resume from a checkpoint."
        )


class RowStream(NamedTuple):
    """Rows to train on that stay in a file, as `fit` takes them instead of X."""

    rows: RowFile
    window: int  # rows in memory at a time
    class_counts: tuple[int, ...]  # rows of each class; empty for other tasks
    sample: Array  # numbers of the rows of a sample that is in memory
    reused: bool = False  # whether an earlier training wrote them


@final
class StreamedBatches:
    """The rows of a file in batches, as `Batches` gives those in memory.

    Each epoch takes the blocks of the file in a random order. A window is read at a time, and its
    rows are shuffled. The batches of a window have rows of all its blocks, so every rank reads all.
    """

    def __init__(self, stream: RowStream, batch_size: int, targets: Targets, ranks: Ranks) -> None:
        rows, window, *_ = stream
        self.rows, self._targets = rows, targets
        self.m, self.batch_size = rows.m, min(batch_size, rows.m)
        self.full, self.transform, self.augment, self.ranks = False, None, None, ranks
        self.bounds = batch_bounds(self.m, self.batch_size)
        self._in_window = max(1, window // self.batch_size)  # batches
        blocks = np.arange(len(rows.checksums))
        self.X, self.y, self.weight = self._rows(blocks, 0, 1)  # a row for its shape

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.bounds) - 1

    def epoch(self, rng: np.random.Generator, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        for window in self.windows(rng, done):
            for i in range(max(0, done - window.first), len(window.bounds) - 1):
                rows = window.order[window.bounds[i] : window.bounds[i + 1]]
                weight = None if window.weight is None else window.weight[rows]
                total = len(rows) if weight is None else float(weight.sum())
                own = self.ranks.share(len(rows))
                weight = None if weight is None else weight[own]
                yield Batch(window.X[rows[own]], window.y[rows[own]], weight, len(rows), total)

    def windows(self, rng: np.random.Generator, done: int = 0) -> Iterator[Window]:
        """Yield the windows of one epoch from the one that holds batch `done`."""
        seed = int(rng.integers(2**63))
        blocks = np.random.default_rng(seed).permutation(len(self.rows.checksums))
        size, block = self._in_window, self.rows.layout.block
        for first in range(done // size * size, len(self), size):
            bounds = self.bounds[first : first + size + 1]
            start, stop = int(bounds[0]), int(bounds[-1])
            rows = self._rows(blocks, start, stop)
            self.rows.prepare(blocks[stop // block : (2 * stop - start) // block])  # the next one
            order = np.random.default_rng([seed, first]).permutation(stop - start)
            yield Window(*rows, order, bounds - start, first)

    def _rows(self, blocks: Array, start: int, stop: int) -> tuple[Array, Array, Array | None]:
        """Return X, targets and weights of the rows from `start` to `stop` of some blocks."""
        X, y = self.rows.gather(blocks, start, stop)
        return X, *self._targets(y, partial(self.rows.numbers, blocks, start, stop))
