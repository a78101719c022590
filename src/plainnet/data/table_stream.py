"""Table streams: the rows of a file or of a folder of files, some at a time."""

import sys
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa

from plainnet import limits
from plainnet.data.columns import Cells
from plainnet.data.delimited import DelimitedText
from plainnet.data.parquet import parquet_frames, parquet_rows
from plainnet.data.read_table import read_text, text_start
from plainnet.data.table import Table, named
from plainnet.data.table_file import (
    PARQUET_SUFFIXES,
    check_expansion,
    check_file,
    is_packed,
    is_text,
    opened,
)
from plainnet.errors import DataError
from plainnet.storage.json_reader import listed, shortened

_CELLS = 2**21  # of a Parquet file that are read at a time
_TEXT = 2**23  # bytes of a text file that are read at a time
_SAMPLE = 2**22  # bytes from which sizes are estimated


def is_table_folder(path: Path) -> bool:
    """Return whether a folder holds tables and no other folder, as a folder of pictures does."""
    return path.is_dir() and bool(_tables(path)) and not any(p.is_dir() for p in _visible(path))


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "_")))


def _tables(folder: Path) -> list[Path]:
    return [
        p
        for p in _visible(folder)
        if (is_text(p) or p.suffix.lower() in PARQUET_SUFFIXES) and not p.is_dir()
    ]


@final
class TableStream:
    """The rows of a table that are read some at a time, in the order of the files by name.

    Parameters
    ----------
    path : path
        A Parquet or text file, which may be compressed (.gz .bz2 .xz), or a folder of such files
        with equal columns.
    header : bool, default True
        Whether the first line of a text names the columns.
    text : collection of str, optional
        Columns of text files that are kept as text; by default all.
    """

    def __init__(
        self, path: Path, header: bool = True, text: Collection[str] | None = None
    ) -> None:
        self.files = _tables(path) if path.is_dir() else [path]
        self.header, self.text = header, text
        for file in self.files:
            check_file(file, _label(file))
        self._names: list[str] | None = None

    def estimated_size(self) -> tuple[int, int]:
        """Return about how many bytes and rows there are; for Parquet exactly so many."""
        sizes = [_estimated_size(file) for file in self.files]
        return sum(size for size, _ in sizes), sum(rows for _, rows in sizes)

    def __iter__(self) -> Iterator[Table]:
        """Yield tables of some rows, whose messages count the rows of all files."""
        first = 0
        for file in self.files:
            parquet = file.suffix.lower() in PARQUET_SUFFIXES
            for table in (self._parquet if parquet else self._text)(file):
                names = list(table)
                self._names = names if self._names is None else self._names
                if names != self._names:
                    raise _other_columns(file, self._names, names)
                rows = np.arange(first + 1, first + 1 + len(next(iter(table.values()))))
                columns = {name: _cells(name, rows, column) for name, column in table.items()}
                first += len(rows)
                yield Table(columns, len(rows), None, self.header)

    def _parquet(self, file: Path) -> Iterator[dict[str, Any]]:
        most = _CELLS
        if self._names is not None:
            most = max(1, _CELLS // len(self._names))
        for frame in parquet_frames(file, _label(file), min(most, 2**16)):
            yield dict(named(frame, _label(file)).items())

    def _text(self, file: Path) -> Iterator[dict[str, Any]]:
        label, line, names = _label(file), 0, None
        head, delimiter = b"", None
        parts = _whole_lines(file, label)
        for part in parts:
            if delimiter is None:
                start, delimiter = text_start(part, None)
                if self.header:
                    head = bytes(part[: DelimitedText(part, start, delimiter, label).first()[1]])
            else:
                part[:0] = head
            lines = part.count(b"\n")
            where = label if line == 0 else f"{label}, after line {line:,}"
            line += lines
            try:
                columns = read_text(part, lines, delimiter, self.header, where, self.text)
            except DataError:
                if is_packed(file):  # the end of an archive tells of damage
                    deque(parts, maxlen=0)
                raise
            names = list(columns) if names is None else names
            m = len(next(iter(columns.values()), ()))
            # A column without a name is only read where some cell of a part is not empty.
            columns = {n: columns[n] if n in columns else pa.nulls(m, pa.string()) for n in names}
            if m:
                yield columns


def _label(file: Path) -> str:
    return f"File {str(file)!r}"


def _cells(name: str, rows: Any, column: Any) -> Any:
    if isinstance(column, np.ndarray | pa.Array):
        return Cells.of_array(name, rows, column)
    return column.set_axis(rows - 1)  # a Series, whose cells are read when they are used


def _estimated_size(file: Path) -> tuple[int, int]:
    """Return about how many bytes, decompressed, and rows a file has."""
    size = file.stat().st_size
    if file.suffix.lower() in PARQUET_SUFFIXES:
        return size, parquet_rows(file, _label(file))
    with opened(file, _label(file)) as (_, text, consumed):
        sample = text.read(_SAMPLE)
        if consumed:  # some bytes after those of the sample too
            size = round(len(sample) * max(1.0, size / max(1, consumed())))
    return size, round(max(1, sample.count(b"\n")) / max(1, len(sample)) * size)


def _whole_lines(file: Path, label: str) -> Iterator[bytearray]:
    """Yield parts of a text that end at the end of a line outside of quotes."""
    with opened(file, label) as (_, text, consumed):
        # of a file that grows, the old lines
        most, size = sys.maxsize if consumed else file.stat().st_size, 0
        part = bytearray()
        while more := text.read(min(_TEXT, most - size)):
            part += more
            size += len(more)
            check_expansion(size, consumed, label)
            end = _last_line_end(part)
            if end == 0 and len(part) > _TEXT + limits.MAX_LINE:
                raise DataError(
                    f"{label} holds more than {limits.MAX_LINE:,} bytes in one line; close each "
                    "quote, or split the line."
                )
            if end:
                rest = part[end:]
                del part[end:]
                yield part
                part = rest
        if part:
            yield part


def _last_line_end(part: bytearray) -> int:
    """Return one after the last line break that an even number of quotes precedes, or 0."""
    end = len(part)
    characters = np.frombuffer(part, np.uint8)
    quotes = np.flatnonzero(characters == ord('"'))
    mark = b"\n" if b"\n" in part else b"\r"
    while (end := part.rfind(mark, 0, end)) >= 0:
        if np.searchsorted(quotes, end) % 2 == 0:
            return end + 1
    return 0


def _other_columns(file: Path, names: Sequence[str], others: Sequence[str]) -> DataError:
    absent = [name for name in names if name not in others]
    added = [name for name in others if name not in names]
    if absent or added:
        parts = [f"lacks {listed(absent, 5)}"] * bool(absent)
        parts += [f"adds {listed(added, 5)}"] * bool(added)
        difference = " and ".join(parts)
    else:
        difference = "has them in another order"
    return DataError(
        f"File {shortened(file.name)} has other columns than the files before it: it {difference}; "
        "give files of equal columns."
    )
