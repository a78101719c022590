"""Parquet files: read flat columns within a memory budget."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from plainnet import limits
from plainnet.data.table_file import Bytes
from plainnet.errors import DataError
from plainnet.storage.json_reader import shortened

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 65_536  # read at a time
_BATCH = 2**26  # bytes of these rows
_BUFFER = 2**18  # bytes that a column is read at a time, instead of a whole row group
_PAGE = 4_096  # bytes that each page is assumed to need
_DELTAS = (6, 7)  # text encodings without a dictionary, whose cells may fill a page


def read_parquet(data: Bytes, label: str) -> "pd.DataFrame":
    """Read the bytes of a Parquet file; `label` begins the message of a DataError."""
    import pyarrow as pa

    before, batches = pa.total_allocated_bytes(), []
    with _readable(label):
        # From memory: Arrow would read a Python file in its own threads.
        file, rows, budget = _opened(lambda: pa.BufferReader(data), memoryview(data), label)
        for batch in file.iter_batches(batch_size=rows, use_threads=False):
            batches.append(batch)
            _check_budget(pa.total_allocated_bytes() - before, budget, label)
        return _checked(pa.Table.from_batches(batches, schema=file.schema_arrow), label)


def parquet_frames(path: Path, label: str, most: int) -> "Iterator[pd.DataFrame]":
    """Yield the rows of a Parquet file, at most so many at a time."""
    import pyarrow as pa

    with _readable(label):
        file, rows, _ = _opened(lambda: pa.OSFile(str(path)), FileBytes(path), label, _BUFFER)
        for batch in file.iter_batches(batch_size=min(rows, most), use_threads=False):
            yield _checked(pa.Table.from_batches([batch]), label)


def parquet_rows(path: Path, label: str) -> int:
    """Return how many rows a Parquet file says that it holds."""
    import pyarrow.parquet as pq

    with _readable(label):
        return int(pq.read_metadata(path).num_rows)


@final
class FileBytes:
    """The bytes of a file, read when they are needed."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb", buffering=_PAGE)  # noqa: SIM115 - open as long as the object
        self._size = path.stat().st_size
        self._start, self._part = 0, b""

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: int) -> int:
        if not self._start <= at < self._start + len(self._part):
            self._file.seek(at)
            self._start, self._part = at, self._file.read(_PAGE)
        return self._part[at - self._start]

    def __del__(self) -> None:
        self._file.close()


@contextmanager
def _readable(label: str) -> Iterator[None]:
    """Turn the errors of a reader into a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # readers raise almost anything on damaged bytes
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else "it is damaged"
        if isinstance(error, KeyError):
            reason = f"its description lacks {reason}"
        raise DataError(f"{label} is not a readable Parquet file: {reason:.200}.") from error


def _opened(
    source: Callable[[], Any], data: memoryview | FileBytes, label: str, buffer: int = 0
) -> tuple[Any, int, int]:
    """Open a checked file; return it, the rows to read at a time, and the budget in bytes."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source(), buffer_size=buffer, pre_buffer=False)
    schema, budget = file.schema_arrow, limits.MAX_PARQUET * len(data) + limits.FREE_PARQUET
    _check_columns(schema, label)
    width = sum(_width(field.type) for field in schema)
    _check_budget(file.metadata.num_rows * width, budget, label)
    delta = _check_pages(file.metadata, data, budget, label)
    # With a dictionary, a repeated text takes memory once.
    texts = [f.name for f, size in zip(schema, delta, strict=True) if _is_text(f.type) and not size]
    file = pq.ParquetFile(source(), read_dictionary=texts, buffer_size=buffer, pre_buffer=False)
    return file, max(1, min(_ROWS, _BATCH // (width + sum(delta)))), budget


def _checked(table: Any, label: str) -> "pd.DataFrame":
    """Return an Arrow table as a DataFrame."""
    table.validate(full=True)  # before its offsets are used
    _check_cells(table, label)
    return _with_exact_integers(table)


def _with_exact_integers(table: Any) -> "pd.DataFrame":
    """Return an Arrow table as a DataFrame; integers stay exact beside missing cells."""
    import pandas as pd
    from pyarrow import types

    frame = table.to_pandas(use_threads=False)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if types.is_integer(column.type) and column.null_count and name in frame:
            unsigned = types.is_unsigned_integer(column.type)
            frame[name] = (pd.UInt64Dtype() if unsigned else pd.Int64Dtype()).__from_arrow__(column)
    return frame


def _check_columns(schema: Any, label: str) -> None:
    import pyarrow as pa

    if len(schema) > limits.MAX_COLUMNS:
        raise DataError(
            f"{label} has {len(schema):,} columns; at most {limits.MAX_COLUMNS:,} are read."
        )
    for field in schema:
        if pa.types.is_nested(_plain(field.type)):
            raise DataError(
                f"{label}, column {shortened(field.name)}: each cell holds a "
                f"{field.type!s:.60}; write a column for each of its values, or leave it out."
            )


def _plain(kind: Any) -> Any:
    """Return the type of the values of a dictionary or an extension type."""
    import pyarrow as pa

    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind):
            kind = kind.value_type
        else:
            return kind


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kinds = [types.is_string, types.is_large_string, types.is_string_view]
    kinds += [types.is_binary, types.is_large_binary, types.is_binary_view]
    return any(is_one(kind) for is_one in kinds)


def _width(kind: Any) -> int:
    """Return the bytes that a cell needs in Arrow or pandas, without its text."""
    from pyarrow import types

    if types.is_decimal(kind) or types.is_date(kind) or types.is_time(kind):
        return 128  # a Python object
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 16


def _check_pages(metadata: Any, data: memoryview | FileBytes, budget: int, label: str) -> list[int]:
    """Check the decompressed size of all pages; return a bound for cells encoded by deltas."""
    used, largest = 0, [0] * metadata.num_columns
    deltas = [False] * metadata.num_columns
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        for j in range(group.num_columns):
            for size, encoding in _pages(group.column(j), data):
                used += max(size, _PAGE)
                _check_budget(used, budget, label)
                largest[j] = max(largest[j], size)
                deltas[j] |= encoding in _DELTAS
    return [size if delta else 0 for size, delta in zip(largest, deltas, strict=True)]


def _pages(chunk: Any, data: memoryview | FileBytes) -> Iterator[tuple[int, int]]:
    """Yield the decompressed size and the encoding of each page from its header."""
    offsets = (chunk.dictionary_page_offset, chunk.data_page_offset)
    at = min(offset for offset in offsets if offset and offset > 0)
    end = at + chunk.total_compressed_size
    while at < end:
        header, at = _struct(data, at)
        size, compressed = header[2], header[3]
        if size < 0 or compressed < 0:
            raise ValueError("a page has a negative size")
        yield size, header[5][2] if 5 in header else header[8][4] if 8 in header else -1
        at += compressed


def _struct(data: memoryview | FileBytes, at: int) -> tuple[dict[int, Any], int]:
    """Read a struct of Thrift's compact protocol, with the types of page headers."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at, kind = at + 1, head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        if kind in (1, 2):  # true and false
            fields[number] = kind == 1
        elif kind in (4, 5, 6):
            fields[number], at = _integer(data, at)
        elif kind == 8:  # bytes
            length, at = _varint(data, at)
            at += length
        elif kind == 12:
            fields[number], at = _struct(data, at)
        else:
            raise ValueError("the header of a page is damaged")
    return fields, at + 1


def _integer(data: memoryview | FileBytes, at: int) -> tuple[int, int]:
    n, at = _varint(data, at)
    return (n >> 1) ^ -(n & 1), at


def _varint(data: memoryview | FileBytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while True:
        n |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return n, at
        if shift > 63:
            raise ValueError("a number in the header of a page is too long")


def _check_budget(used: int, budget: int, label: str) -> None:
    if used > budget:
        raise DataError(
            f"{label} takes more than {limits.MAX_PARQUET} times its size in memory; "
            "write it as CSV instead."
        )


def _check_cells(table: Any, label: str) -> None:
    import pyarrow as pa
    from pyarrow import compute

    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks:
            texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
            if not _is_text(texts.type):
                break
            longest = compute.max(compute.binary_length(texts)).as_py() or 0
            if longest > limits.MAX_CELL:
                raise DataError(
                    f"{label}, column {shortened(name)}, has a cell of {longest:,} bytes; "
                    f"at most {limits.MAX_CELL:,} are read."
                )
