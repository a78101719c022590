"""Memory: decide whether a table or a folder of pictures is too large to be read at once."""

import os
from pathlib import Path

import numpy as np

from plainnet import limits
from plainnet.data.image_folder import files_below
from plainnet.data.table import Table
from plainnet.data.table_file import PARQUET_SUFFIXES, is_packed, is_text
from plainnet.data.table_schema import TableSchema, infer_columns
from plainnet.data.table_stream import TableStream, is_table_folder
from plainnet.errors import DataError

_MOST = 48  # bytes of memory for each byte of a file, more than tables need
_CELL, _FEATURE = 12, 4  # bytes for each cell and feature of a table that is read at once
_COPIES = 2  # of pictures that are read at once: all of them, and the parts of their split


def free_memory() -> int:
    """Return about how many bytes of memory are free."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":") for line in file)
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, LookupError, ValueError):  # another system
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return free


def memory_bound(memory: int | None, processes: int = 1) -> int:
    """Return the bytes for rows: by default half of what is free, shared by processes."""
    return free_memory() // 2 // processes if memory is None else memory


def is_streamed(path: Path, header: bool, memory: int | None, processes: int = 1) -> bool:
    """Return whether to stream a table: a folder, or one that needs more memory than the bound.

    By default each of the processes that read it on this machine has its share of the free half.
    """
    if path.is_dir():
        return is_table_folder(path)
    text = is_text(path)
    if not path.is_file() or not (text or path.suffix.lower() in PARQUET_SUFFIXES):
        return False
    bound, size = memory_bound(memory, processes), path.stat().st_size
    most = size * limits.MAX_EXPANSION if is_packed(path) else size
    if most * _MOST < bound and most <= limits.MAX_TABLE_BYTES:  # for certain
        return False
    stream = TableStream(path, header)
    size, rows = stream.estimated_size()
    if size > limits.MAX_TABLE_BYTES:
        return True
    first = next(iter(stream), None)
    if first is None:
        return False
    features, cells = _features(first), rows * len(first.columns)
    too_long = text and (rows > limits.MAX_LINES or cells > limits.MAX_CELLS)
    return too_long or size + _CELL * cells + _FEATURE * rows * features > bound


def are_images_streamed(folder: Path, size: int, memory: int | None, processes: int = 1) -> bool:
    """Return whether the pictures of a folder need more memory than the bound."""
    needed = _COPIES * 3 * size * size * len(files_below(folder))
    return needed > memory_bound(memory, processes)


def _features(table: Table) -> int:
    """Return how many features the rows of a table have, from its first ones."""
    rows = table.take(np.arange(min(len(table), 1000)))
    try:
        return TableSchema.fitted(infer_columns(rows, (), {}), rows).n_features
    except DataError:  # which reading will tell
        return len(table.columns)
