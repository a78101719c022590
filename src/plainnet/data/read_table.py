"""Read a table in any common format as a DataFrame; cells of text files stay text."""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from plainnet import limits
from plainnet.data.header import is_data
from plainnet.data.parquet import read_parquet
from plainnet.data.table_file import PARQUET_SUFFIXES, read_bytes
from plainnet.errors import DataError
from plainnet.storage.json_reader import listed, shortened

MISSING = frozenset(  # spellings of a missing cell, without spaces around it
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN"}
    | {"NULL", "null", "None", "?"}
)

_DELIMITERS = (",", "\t", ";", "|")
_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
_BLOCK = 4096  # rows that are transposed to columns at a time
_KNOWN = 100_000  # distinct cells that share memory
_SNIFFED_RECORDS = 100
_NUMBER = re.compile(r"[+-]?[.,]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?")
_SEP_LINE = re.compile(r"sep=(.)(?=[\r\n])", re.IGNORECASE)


def read_frame(
    source: str | os.PathLike[str] | pd.DataFrame,
    delimiter: str | None = None,
    *,
    empty: bool = False,
) -> pd.DataFrame:
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
    if isinstance(source, np.ndarray) and source.ndim == 2:
        source = pd.DataFrame(source, columns=[f"x{i}" for i in range(source.shape[1])])
    if isinstance(source, pd.DataFrame):
        _refuse_delimiter(delimiter, "a DataFrame")
        return _checked(source, "The DataFrame", empty)
    path = Path(source)
    label = f"File {str(path)!r}"
    name, data = read_bytes(path, label)
    if name.suffix.lower() in PARQUET_SUFFIXES:
        _refuse_delimiter(delimiter, "a Parquet file")
        return _checked(read_parquet(data, label), label, empty)
    return _read_text(_decoded(data, label), delimiter, label, empty)


def named(frame: pd.DataFrame, label: str = "The table") -> pd.DataFrame:
    """Return `frame` with distinct texts as column names."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            f"{label} has column names of {frame.columns.nlevels} levels; "
            "give each column one name."
        )
    names = [str(name).strip() for name in frame.columns]
    _check_names(names, label)
    return frame.set_axis(names, axis=1)


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


def _refuse_delimiter(delimiter: str | None, source: str) -> None:
    if delimiter is not None:
        raise DataError(
            f"A delimiter ({delimiter!r}) was given for {source}, which has none; leave it out."
        )


def _checked(frame: pd.DataFrame, label: str, empty: bool) -> pd.DataFrame:
    """Check a table in memory, and number its rows from 0."""
    if len(frame.columns) == 0 or (len(frame) == 0 and not empty):
        raise DataError(
            f"{label} is a table of {len(frame)} x {len(frame.columns)} cells; "
            "at least one row and one column are needed."
        )
    return named(frame, label).reset_index(drop=True)


def _check_names(names: list[str], label: str) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise DataError(
            f"{label} uses a column name more than once: {listed(repeated)}; "
            "give each column its own name."
        )


def _decoded(data: bytearray, label: str) -> str:
    zero = data.find(0)
    try:
        text = (data if zero < 0 else data[:zero]).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = bytes(data[:2]) in (b"\xff\xfe", b"\xfe\xff")
        raise DataError(
            f"{label} is not UTF-8{' but UTF-16' if utf16 else ''}: byte "
            f"0x{data[error.start]:02x} at offset {error.start} (line {line}); "
            "save it again as UTF-8."
        ) from None
    if zero >= 0:
        line = text.count("\n") + 1
        raise DataError(f"{label} is no text: line {line} holds a zero byte; give a CSV file.")
    return text


def _read_text(text: str, delimiter: str | None, label: str, empty: bool) -> pd.DataFrame:
    hint = _SEP_LINE.match(text)  # a line that Excel writes
    if hint:
        delimiter = hint[1] if delimiter is None else delimiter
        text = text[hint.end() :]  # but not the line break, so that line numbers stay right
    if delimiter is None:
        delimiter = _sniffed(text[: limits.SNIFFED])
    else:
        delimiter = _checked_delimiter(delimiter)
    n_cells = text.count(delimiter) + text.count("\n")
    if n_cells > limits.MAX_CELLS:
        raise DataError(
            f"{label} holds {n_cells:,} cells; at most {limits.MAX_CELLS:,} are read, so split it."
        )
    records = _records(text, delimiter, label)
    header = next((record for _, record in records if any(map(str.strip, record))), [])
    if not header:
        raise DataError(f"{label} is empty; a table needs a line of column names and rows below.")
    if len(header) > limits.MAX_COLUMNS:
        raise DataError(
            f"{label} has {len(header):,} columns; at most {limits.MAX_COLUMNS:,} are read."
        )
    # A line of spaces is not a row, except in a table of one column.
    kept = ((n, r) for n, r in records if len(r) > 1 or len(header) == 1 or r[0].strip())
    rows = (
        record if len(record) == len(header) else _fitted(record, len(header), row, line, label)
        for row, (line, record) in enumerate(kept, start=1)
    )
    columns: list[list[str]] = [[] for _ in header]
    shared: dict[str, str] = {}  # one text for equal cells
    while block := list(islice(rows, _BLOCK)):  # lists of all rows would take twice the memory
        same = shared.setdefault if len(shared) < _KNOWN else shared.get
        for column, cells in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(map(same, cells, cells))
    if not columns[0] and not empty:
        raise DataError(f"{label} has column names but no rows below them.")
    if is_data(header, columns, MISSING.__contains__):
        raise DataError(
            f"{label} has no line of column names: its first row ({listed(header, 5, 20)}) "
            "resembles the rows below; put a line of names above it, or letters into these if they "
            "are names."
        )
    return _frame(header, columns, label)


def _frame(header: list[str], read: list[list[str]], label: str) -> pd.DataFrame:
    table = np.empty((len(header), len(read[0])), dtype=object)
    names: list[str] = []
    for i in range(len(header)):
        cells, read[i] = read[i], []  # free the memory column by column
        values = [None if (t := cell.strip()) in MISSING else t for cell in cells]
        name = header[i].strip()
        if not name and all(value is None for value in values):
            continue
        table[len(names)] = values
        names.append(name or f"Unnamed: {i}")
    _check_names(names, label)
    return pd.DataFrame(table[: len(names)].T, columns=names, dtype=object, copy=False)


def _fitted(record: list[str], width: int, row: int, line: int, label: str) -> list[str]:
    """Return a record as wide as the header; refuse one with missing or extra cells."""
    if len(record) > width and not any(cell.strip() for cell in record[width:]):
        return record[:width]
    raise DataError(
        f"{label}, data row {row} (line {line}): {len(record)} where the header has {width} "
        f"cells; put quotes around a cell that holds the delimiter, or correct the row."
    )


def _checked_delimiter(delimiter: str) -> str:
    delimiter = _DELIMITER_NAMES.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise DataError(
            f"The delimiter {delimiter!r} is not one character that can separate cells; "
            "give one such as ',' ';' '|' or 'tab'."
        )
    return delimiter


def _records(text: str, delimiter: str, label: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not empty, with the number of its last line."""
    reader = csv.reader(
        # StringIO would take four bytes for each character.
        io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline=""),
        delimiter=delimiter,
        # A quote counts after spaces too, as in `1, "x, y"`.
        skipinitialspace=delimiter != " ",
        strict=True,
    )
    try:
        yield from ((reader.line_num, record) for record in reader if record)
    except csv.Error as error:
        if "field limit" in str(error):
            raise DataError(
                f"{label}, line {reader.line_num}, has a cell of more than "
                f"{csv.field_size_limit():,} characters; close each quote, or shorten the cell."
            ) from None
        raise DataError(
            f"{label}, line {reader.line_num}, has quotes that do not match ({error}); "
            "close each quote and double those inside a cell."
        ) from None


def _sniffed(text: str) -> str:
    """Return the delimiter that splits the first records evenly, and into the most cells.

    Of several, it is the one that gives the most numbers: `1,5;2` is two numbers with a semicolon.
    """

    def rank(delimiter: str) -> tuple[bool, int, bool, int]:
        records = (r for _, r in _records(text, delimiter, "") if len(r) > 1 or r[0].strip())
        read: list[list[str]] = []
        try:
            read.extend(islice(records, _SNIFFED_RECORDS))
            alike = len(set(map(len, read))) == 1
        except DataError:  # an open quote, which is reported when the table is read
            alike = False
        width = len(read[0]) if read else 0
        numbers = sum(bool(_NUMBER.fullmatch(cell.strip())) for row in read[1:] for cell in row)
        return alike and width > 1, width, alike, numbers

    return max(_DELIMITERS, key=rank)
