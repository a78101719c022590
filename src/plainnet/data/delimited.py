"""Delimited text: columns read by Arrow, after rewriting text that Arrow reads in another way."""

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow

from plainnet import limits
from plainnet.data.columns import MISSING, clean_text, each_column, may_hold_spaces
from plainnet.errors import DataError

_BLOCK = 2**22  # bytes that are parsed at a time,
_WIDE = 2**10  # and at least so many for each column
_QUOTE, _BREAKS = ord('"'), (ord("\n"), ord("\r"))


@final
@dataclass(frozen=True)
class DelimitedText:
    """Records of cells in the bytes of a text file."""

    data: bytes | bytearray
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

    def columns(self, width: int, header_end: int) -> list[Any]:
        """Return each column below the header in chunks of text, null where a cell is missing."""
        breaks = self._breaks_in_quotes(header_end)
        if breaks is not None:
            with suppress(pa.ArrowInvalid):
                text = memoryview(self.data)[header_end:]
                block = max(_BLOCK, width * _WIDE)
                columns = _parsed(text, width, block, self.delimiter, breaks)
                longest = (compute.max(compute.binary_length(c)).as_py() or 0 for c in columns)
                if max(longest) <= limits.MAX_CELL:
                    return columns
        rows = self._rewritten(width, header_end)
        # One block, for records of any length.
        return _parsed(rows, width, rows.nbytes + 1, ",", True)

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
        quoted = self.data.find(_QUOTE, start) >= 0
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


def _parsed(text: memoryview, width: int, block: int, delimiter: str, breaks: bool) -> list[Any]:
    """Return the columns of regular text, whose lines may break in quotes."""
    names = [str(i) for i in range(width)]
    table = arrow.read_csv(
        pa.BufferReader(text if text.nbytes else b"\n"),
        arrow.ReadOptions(column_names=names, block_size=block),
        arrow.ParseOptions(delimiter=delimiter, newlines_in_values=breaks),
        arrow.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=sorted(MISSING),
            strings_can_be_null=True,
        ),
    )
    return list(table.columns)


def joined(columns: list[Any]) -> list[Any]:
    """Join the chunks of each column, and drop spaces around its cells; empties the list."""

    def clean(i: int) -> Any:
        text, columns[i] = columns[i].combine_chunks(), None  # frees the chunks
        return clean_text(text) if may_hold_spaces(text) else text

    return each_column(clean, range(len(columns)), len(columns[0]))
