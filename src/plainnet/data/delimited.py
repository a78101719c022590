"""Delimited text: columns read by Arrow, after rewriting text that Arrow reads in another way."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow

from plainnet import limits
from plainnet.data.arrow import to_numpy
from plainnet.data.columns import MANY, MISSING, clean_text, in_threads, may_hold_spaces
from plainnet.data.table_file import Bytes
from plainnet.errors import DataError

_BLOCK = 2**22  # bytes that are parsed at a time,
_WIDE = 2**12  # and at least so many for each column
_SAMPLE = 2**20  # bytes of the first rows, which show the type of each column
_CACHED = 2**18  # bytes of a part that the processor's cache holds
_QUOTE, _BREAKS = ord('"'), (ord("\n"), ord("\r"))
_ZERO, _SIGNS = ord("0"), (ord("+"), ord("-"))
_CODES = pa.dictionary(pa.int32(), pa.string())
_OFTEN = 50  # times that each text of a column occurs in the first cells, for it to become codes
_HYPHEN = ord("-")  # the last character that may precede a leading zero, except some delimiters


class DelimitedText(NamedTuple):
    """Records of cells in the bytes of a text file."""

    data: bytes | Bytes
    start: int  # where the first line begins
    delimiter: str
    label: str  # begins the message of a DataError

    def records(self) -> Iterator[tuple[int, int, list[str]]]:
        """Yield each record that is not empty: the number of its last line, its end, its cells."""
        end = self.start

        def lines() -> Iterator[str]:
            nonlocal end
            buffer = pa.BufferReader(memoryview(self.data)[self.start :])
            for line in io.TextIOWrapper(buffer, "utf-8", newline=""):
                end += len(line.encode())
                yield line

        # A quote counts after spaces too, as in `1, "x, y"`.
        spaces = self.delimiter != " "
        reader = csv.reader(lines(), delimiter=self.delimiter, skipinitialspace=spaces, strict=True)
        try:
            for record in reader:
                if record:
                    yield reader.line_num, end, record
        except csv.Error as error:
            if "field limit" in str(error):
                raise DataError(
                    f"{self.label}, line {reader.line_num}, has a cell of more than "
                    f"{limits.MAX_CELL:,} characters; close each quote, or shorten the cell."
                ) from None
            raise DataError(
                f"{self.label}, line {reader.line_num}, has quotes that do not match ({error}); "
                "close each quote and double those inside a cell."
            ) from None

    def first(self) -> tuple[list[str], int]:
        """Return the first record with text in it, and its end."""
        for _, end, record in self.records():
            if any(map(str.strip, record)):
                return record, end
        return [], self.start

    def columns(self, width: int, header_end: int, text: Collection[int]) -> list[Any]:
        """Return each column below the header in chunks, null where a cell is missing.

        They hold text, but of a long file codes where texts recur, and floats where a column not in
        `text` holds many numbers.
        """
        breaks = self._breaks_in_quotes(header_end)
        if breaks is not None:
            rows, block = memoryview(self.data)[header_end:], max(_BLOCK, width * _WIDE)
            parse = partial(_parsed, rows, width, block, self.delimiter, breaks)
            types = self._types(header_end, width, block, text) if len(rows) > block else {}
            for some in (types, {}) if types else ({},):
                with suppress(pa.ArrowInvalid):
                    columns = parse(some)
                    if all(map(_is_usable, columns)):
                        return columns
        rows = self._rewritten(width, header_end)
        # One block, for records of any length.
        return _parsed(rows, width, rows.nbytes + 1, ",", True)

    def _types(self, start: int, width: int, size: int, text: Collection[int]) -> dict[int, Any]:
        """Return the types other than text that fit the first cells of each column.

        Columns not in `text` are floats if these are many numbers and no cell is like 007.
        """
        end = self.data.rfind(b"\n", start, start + max(_SAMPLE, size // 8))
        if end < 0:
            return {}
        rows = memoryview(self.data)[start:end]
        try:
            sample = _parsed(rows, width, len(rows), self.delimiter, True)
        except pa.ArrowInvalid:
            return {}
        types, numbers = {}, []
        for i, column in enumerate(sample):
            n = len(column.unique())
            if n * _OFTEN <= len(column):
                types[i] = _CODES
            elif n > MANY + 1 and i not in text and _are_numbers(column):
                numbers.append(i)  # a missing cell counts as one of many
        if numbers and not self._has_leading_zeros(start):
            types |= dict.fromkeys(numbers, pa.float64())
        return types

    def _has_leading_zeros(self, start: int) -> bool:
        """Return whether some cell begins as 007, +007 or -007 do."""
        characters, highest = np.frombuffer(self.data, np.uint8), max(_HYPHEN, ord(self.delimiter))
        ends = [_QUOTE, ord(self.delimiter), *_BREAKS, *b" \t"]
        if re.match(rb"[+-]?0[0-9]", self.data[start : start + 3]):
            return True
        for begin in range(start, len(characters) - 2, _CACHED):
            block = characters[begin : begin + _CACHED + 2]
            found = block[1:-1] == _ZERO
            found &= block[2:] - _ZERO < 10
            found &= block[:-2] <= highest
            if found.any():
                before = begin + np.flatnonzero(found)
                before -= np.isin(characters[before], _SIGNS)
                if np.isin(characters[before], ends).any():
                    return True
        return False

    def _breaks_in_quotes(self, start: int) -> bool | None:
        """Return whether lines from `start` break in quotes; None for text to rewrite.

        Each first quote of a pair follows a delimiter, a line break or a quote, and each second one
        precedes one.
        """
        if not self.delimiter.isascii():
            return None
        characters = np.frombuffer(self.data, np.uint8)[start:]
        beside = np.zeros(256, np.bool_)
        beside[[_QUOTE, ord(self.delimiter), *_BREAKS]] = True
        n, breaks = 0, False
        quoted = self.data.find(b'"', start) >= 0
        for begin in range(0, len(characters), _BLOCK) if quoted else ():
            block = characters[begin : begin + _BLOCK]
            at = np.flatnonzero(block == _QUOTE)
            first, second = begin + at[n % 2 :: 2], begin + at[1 - n % 2 :: 2]
            before, after = first[first > 0] - 1, second[second + 1 < len(characters)] + 1
            if not (beside[characters[before]].all() and beside[characters[after]].all()):
                return None
            lines = np.flatnonzero((block == _BREAKS[0]) | (block == _BREAKS[1]))
            breaks |= bool(((n + np.searchsorted(at, lines)) % 2).any())
            n += len(at)
        return breaks if n % 2 == 0 else None

    def _rewritten(self, width: int, header_end: int) -> memoryview:
        """Return the rows below the header as Arrow reads them; refuse those that do not fit."""
        bytes_out = io.BytesIO()
        out = io.TextIOWrapper(bytes_out, "utf-8", newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows(self._rows(width, header_end))
        out.flush()
        return bytes_out.getbuffer()

    def _rows(self, width: int, header_end: int) -> Iterator[list[str]]:
        row = 0
        for line, end, record in self.records():
            # A line of spaces is not a row, except in a table of one column.
            if end > header_end and (len(record) > 1 or width == 1 or record[0].strip()):
                row += 1
                if len(record) < width or any(cell.strip() for cell in record[width:]):
                    raise DataError(
                        f"{self.label}, data row {row} (line {line}): {len(record)} where the "
                        f"header has {width} cells; put quotes around a cell that holds the "
                        "delimiter, or correct the row."
                    )
                yield record[:width]


def _parsed(
    text: memoryview,
    width: int,
    block: int,
    delimiter: str,
    breaks: bool,
    types: Mapping[int, Any] = MappingProxyType({}),
) -> list[Any]:
    """Return the columns of regular text, whose lines may break in quotes; some in other types."""
    names = [str(i) for i in range(width)]
    table = arrow.read_csv(
        pa.BufferReader(text if text.nbytes else b"\n"),
        arrow.ReadOptions(column_names=names, block_size=block),
        arrow.ParseOptions(delimiter=delimiter, newlines_in_values=breaks),
        arrow.ConvertOptions(
            column_types={name: types.get(i, pa.string()) for i, name in enumerate(names)},
            null_values=sorted(MISSING),
            strings_can_be_null=True,
        ),
    )
    return list(table.columns)


def _are_numbers(text: Any) -> bool:
    try:
        text.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _is_usable(column: Any) -> bool:
    """Return whether a column is finite numbers, or text whose cells are not too long."""
    if pa.types.is_floating(column.type):
        return bool(compute.all(compute.is_finite(column)).as_py())
    if pa.types.is_dictionary(column.type):
        return all(_is_usable(chunk.dictionary) for chunk in column.chunks)
    return (compute.max(compute.binary_length(column)).as_py() or 0) <= limits.MAX_CELL


def joined(columns: list[Any]) -> list[Any]:
    """Join the chunks of each column, and drop spaces around its cells; empties the list."""

    def join(i: int) -> Any:
        column, columns[i] = columns[i], None  # frees the chunks
        if pa.types.is_floating(column.type):
            return to_numpy(column, np.nan)
        if pa.types.is_dictionary(column.type):
            coded = column.unify_dictionaries().combine_chunks()
            clean = clean_text(coded.dictionary).dictionary_encode()
            codes = clean.indices.take(coded.indices)
            return pa.DictionaryArray.from_arrays(codes, clean.dictionary)
        text = column.combine_chunks()
        return clean_text(text) if may_hold_spaces(text) else text

    return in_threads(join, range(len(columns)), len(columns[0]))
