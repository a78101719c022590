"""Read a table in any common format; cells of text files stay text."""

import codecs
import os
import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from plainnet import limits
from plainnet.data.columns import Cells
from plainnet.data.delimited import DelimitedText, joined
from plainnet.data.header import is_data
from plainnet.data.parquet import read_parquet
from plainnet.data.table import Table, check_names, named
from plainnet.data.table_file import PARQUET_SUFFIXES, Bytes, free, read_bytes
from plainnet.errors import DataError
from plainnet.storage.json_reader import listed

if TYPE_CHECKING:
    import pandas as pd

_Read: TypeAlias = "pd.DataFrame | dict[str, Any]"

_DELIMITERS = (",", "\t", ";", "|")
_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
_SNIFFED_RECORDS = 100
_NUMBER = re.compile(r"[+-]?[.,]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?")
_SEP_LINE = re.compile(r"sep=(.)(?=[\r\n])", re.IGNORECASE)


def read_frame(
    source: "str | os.PathLike[str] | pd.DataFrame",
    delimiter: str | None = None,
    *,
    header: bool = True,
    empty: bool = False,
) -> "pd.DataFrame":
    r"""Read a table from a file, or check one in memory.

    Cells of a text file stay text, so that `00042` keeps its zeros; `TableSchema` infers the kinds
    of columns later. Spaces around cells are dropped. Byte order marks, quotes, line breaks in
    quotes, blank lines, any line ending and a first line ``sep=;`` are understood. A column without
    a name is called ``Unnamed: 0`` by its position, as in pandas, and dropped if it is empty.

    Parameters
    ----------
    source : path, DataFrame, or array of shape (m, n)
        CSV, TSV or other delimited text, also compressed (.gz .bz2 .xz .zip), or Parquet.
    delimiter : str, optional
        One character, or ``tab``; by default it is detected.
    header : bool, default True
        Whether the first line of text names the columns; without one they are ``x0``, ``x1``, ...
    empty : bool, default False
        Whether a table without rows is accepted.

    Returns
    -------
    pandas.DataFrame
        Missing cells (empty, ``NA``, ``NaN``, ``null``, ``None``, ``?``, ...) are None; rows are
        numbered from 0.

    Raises
    ------
    DataError
        If the file is missing, damaged, too large, or not a table; the message names the line.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.csv")
    ...     _ = path.write_text("id;name\n007; Ann\n008;NA\n")
    ...     read_frame(path).to_numpy().tolist()
    [['007', 'Ann'], ['008', None]]
    """
    import pandas as pd

    read = _read(source, delimiter, header, empty, None)
    if isinstance(read, pd.DataFrame):
        return read
    cells = {name: text.to_numpy(zero_copy_only=False) for name, text in read.items()}
    return pd.DataFrame(cells, dtype=object)


def read_table(
    source: Any,
    *,
    header: bool = True,
    empty: bool = False,
    text: Collection[str] | None = None,
) -> Table:
    """Read a table as `read_frame` does, without a Python object for each cell.

    Numbers of a long file may be read as floats, which is faster, but not those of the columns
    `text` (by default all) and of the last column.
    """
    if isinstance(source, Table):
        return source
    read = _read(source, None, header, empty, text)
    if not isinstance(read, dict):
        return Table.of(read)
    m = len(next(iter(read.values())))
    rows = np.arange(1, m + 1)
    cells = {name: Cells.of_array(name, rows, array) for name, array in read.items()}
    return Table(cells, m, None, header)


def _read(
    source: Any, delimiter: str | None, header: bool, empty: bool, text: Collection[str] | None
) -> _Read:
    if not isinstance(source, str | os.PathLike):
        import pandas as pd

        if isinstance(source, np.ndarray) and source.ndim == 2:
            source = pd.DataFrame(source, columns=[f"x{i}" for i in range(source.shape[1])])
        if isinstance(source, pd.DataFrame):
            _refuse_delimiter(delimiter, "a DataFrame")
            return _checked(source, "The DataFrame", empty)
    path = Path(source)
    label = f"File {str(path)!r}"
    name, data, lines = read_bytes(path, label)
    if name.suffix.lower() in PARQUET_SUFFIXES:
        _refuse_delimiter(delimiter, "a Parquet file")
        return _checked(read_parquet(data, label), label, empty)
    columns = read_text(data, lines, delimiter, header, label, text)
    if not empty and not len(next(iter(columns.values()))):
        raise DataError(f"{label} has column names but no rows below them.")
    return columns


def _refuse_delimiter(delimiter: str | None, source: str) -> None:
    if delimiter is not None:
        raise DataError(
            f"A delimiter ({delimiter!r}) was given for {source}, which has none; leave it out."
        )


def _checked(frame: "pd.DataFrame", label: str, empty: bool) -> "pd.DataFrame":
    """Check a table in memory, and number its rows from 0."""
    if len(frame.columns) == 0 or (len(frame) == 0 and not empty):
        raise DataError(
            f"{label} is a table of {len(frame)} x {len(frame.columns)} cells; "
            "at least one row and one column are needed."
        )
    return named(frame, label).reset_index(drop=True)


def _check_text(data: Bytes, label: str) -> None:
    """Refuse bytes that are not UTF-8 text."""
    zero = data.find(b"\0")
    part = data if zero < 0 else bytearray(data[:zero])
    ends = pa.py_buffer(np.array([0, len(part)]))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(part)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        raise _not_utf8(bytes(part), label) from None
    if zero >= 0:
        line = data[:zero].count(b"\n") + 1
        raise DataError(f"{label} is no text: line {line} holds a zero byte; give a CSV file.")


def _not_utf8(data: bytes, label: str) -> DataError:
    """Return the error that names the first byte which is not UTF-8."""
    try:
        start = len(data.decode())
    except UnicodeDecodeError as error:
        start = error.start
    line = data.count(b"\n", 0, start) + 1
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    return DataError(
        f"{label} is not UTF-8{' but UTF-16' if utf16 else ''}: byte 0x{data[start]:02x} at offset "
        f"{start} (line {line}); save it again as UTF-8."
    )


def read_text(
    data: Bytes,
    lines: int,
    delimiter: str | None,
    header: bool,
    label: str,
    as_text: Collection[str] | None,
) -> dict[str, Any]:
    """Return the columns of a text."""
    _check_text(data, label)
    start, delimiter = text_start(data, delimiter)
    text = DelimitedText(data, start, delimiter, label)
    first, end = text.first()
    if not first:
        raise DataError(f"{label} is empty; a table needs a line of column names and rows below.")
    if len(first) > limits.MAX_COLUMNS:
        raise DataError(
            f"{label} has {len(first):,} columns; at most {limits.MAX_COLUMNS:,} are read."
        )
    n_cells = len(first) * lines
    if n_cells > limits.MAX_CELLS:
        raise DataError(
            f"{label} holds {n_cells:,} cells; at most {limits.MAX_CELLS:,} are read, so split it."
        )
    names = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(first)]
    names = names if header else [f"x{i}" for i in range(len(first))]
    kept = [i for i, name in enumerate(names) if as_text is None or name in as_text]
    chunks = text.columns(len(first), end if header else start, {*kept, len(first) - 1})
    free(data)
    columns = joined(chunks)
    pa.default_memory_pool().release_unused()
    if not header:
        return dict(zip(names, columns, strict=True))
    if is_data(first, columns):
        raise DataError(
            f"{label} has no line of column names: its first row ({listed(first, 5, 20)}) "
            "resembles the rows below; put a line of names above it, give --no-header, or put "
            "letters into these if they are names."
        )
    read = [
        (name, column)
        for name, given, column in zip(names, first, columns, strict=True)
        if given.strip() or isinstance(column, np.ndarray) or column.null_count < len(column)
    ]
    check_names([name for name, _ in read], label)
    return dict(read)


def text_start(data: Bytes, delimiter: str | None) -> tuple[int, str]:
    """Return where the first line of a text begins, and its delimiter, detected by default."""
    start = len(codecs.BOM_UTF8) if data[: len(codecs.BOM_UTF8)] == codecs.BOM_UTF8 else 0
    beginning = data[start : start + limits.SNIFFED].decode(errors="ignore")
    if hint := _SEP_LINE.match(beginning):  # a line that Excel writes
        delimiter = hint[1] if delimiter is None else delimiter
        # The line break stays, so that line numbers stay right.
        start, beginning = start + len(hint[0].encode()), beginning[hint.end() :]
    delimiter = _sniffed(beginning) if delimiter is None else _checked_delimiter(delimiter)
    return start, delimiter


def _checked_delimiter(delimiter: str) -> str:
    delimiter = _DELIMITER_NAMES.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise DataError(
            f"The delimiter {delimiter!r} is not one character that can separate cells; "
            "give one such as ',' ';' '|' or 'tab'."
        )
    return delimiter


def _sniffed(text: str) -> str:
    """Return the delimiter that splits the first records evenly, and into the most cells.

    Of several, it is the one that gives the most numbers: `1,5;2` is two numbers with a semicolon.
    """
    data = text.encode()

    def rank(delimiter: str) -> tuple[bool, int, bool, int]:
        records = DelimitedText(data, 0, delimiter, "").records()
        cells = (r for _, _, r in records if len(r) > 1 or r[0].strip())
        read: list[list[str]] = []
        try:
            read.extend(islice(cells, _SNIFFED_RECORDS))
            alike = len(set(map(len, read))) == 1
        except DataError:  # an open quote, which is reported when the table is read
            alike = False
        width = len(read[0]) if read else 0
        numbers = sum(bool(_NUMBER.fullmatch(cell.strip())) for row in read[1:] for cell in row)
        return alike and width > 1, width, alike, numbers

    return max(_DELIMITERS, key=rank)
