"""Read the bytes of a table file, decompressed and within limits."""

import bz2
import gzip
import lzma
import mmap
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plainnet import limits
from plainnet.errors import DataError

PARQUET_SUFFIXES = (".parquet", ".pq")
TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".txt", ".data")
_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error,
            lzma.LZMAError, zipfile.BadZipFile)  # fmt: skip
_OPEN: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_FEED, _RETURN = b"\n\r"
_PART = 2**20  # bytes read at a time, so that a limit is met before the memory is taken
_LARGE = 2**23  # bytes of a file for which large pages of memory pay
_LONG = 2**24  # bytes of a file that takes as long to read as a library to import

Bytes: TypeAlias = bytearray | mmap.mmap
Consumed: TypeAlias = Callable[[], int]


def read_bytes(path: Path, label: str) -> tuple[PurePosixPath, Bytes, int]:
    """Return the name without a compression suffix, the decompressed bytes, and their lines."""
    with opened(path, label) as (name, file, consumed):
        return name, *_collected(file, consumed, name, label)


def is_text(path: Path) -> bool:
    """Return whether the name is that of a text, which may be compressed, but not in an archive."""
    return path.suffix.lower() != ".zip" and unpacked(path).suffix.lower() in TEXT_SUFFIXES


def takes_long(path: Path) -> bool:
    """Return whether a file is so large that other work should be done while it is read."""
    return path.is_file() and path.stat().st_size > _LONG


def is_packed(path: Path) -> bool:
    """Return whether the name ends in a compression suffix."""
    return path.suffix.lower() in (*_OPEN, ".zip")


def unpacked(path: Path) -> PurePosixPath:
    """Return the name without a compression suffix."""
    name = PurePosixPath(path.name)
    if not is_packed(path):
        return name
    # `survey.gz` does not name its format, and is read as text.
    return PurePosixPath(name.stem if name.with_suffix("").suffix else name.stem + ".csv")


@contextmanager
def opened(path: Path, label: str) -> Iterator[tuple[PurePosixPath, IO[bytes], Consumed | None]]:
    """Open a table: its name without a compression suffix, and its decompressed bytes.

    Of a compressed file, a function counts the compressed bytes that were read.
    """
    check_file(path, label)
    name, packing = unpacked(path), path.suffix.lower()
    try:
        if packing == ".zip":
            with _only_member(path, label) as member:
                yield member
                return
        _check_suffix(name, label, packed=packing in _OPEN)
        with open(path, "rb") as raw:
            if packing not in _OPEN:
                yield name, raw, None
                return
            with _OPEN[packing](raw, "rb") as file:
                yield name, file, raw.tell
    except DataError:
        raise
    except MemoryError:  # as the header of an .xz file may ask for gigabytes
        raise DataError(f"{label} does not fit into memory; decompress it first.") from None
    except _DAMAGED as error:
        reason = error.strerror if isinstance(error, OSError) and error.filename else error
        raise DataError(f"{label} cannot be read: {reason!s:.200}.") from error


def check_file(path: Path, label: str) -> None:
    """Refuse what is not a regular file."""
    if path.is_dir():
        raise DataError(f"{label} is a folder; give the file of a table.")
    if not path.exists():
        raise DataError(f"{label} does not exist; check the path.")
    if not path.is_file():
        raise DataError(f"{label} is not a regular file; save the table as a file.")


@contextmanager
def _only_member(path: Path, label: str) -> Iterator[tuple[PurePosixPath, IO[bytes], Consumed]]:
    with zipfile.ZipFile(path) as archive:
        # macOS adds other files to each archive.
        members = [
            each
            for each in archive.infolist()
            if not each.filename.endswith("/") and not each.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise DataError(f"{label} holds {len(members)} files; give an archive of one table.")
        name, size = PurePosixPath(members[0].filename), members[0].compress_size
        _check_suffix(name, label, packed=True)
        with archive.open(members[0]) as file:
            yield name, file, lambda: min(size, path.stat().st_size)


def _check_suffix(name: PurePosixPath, label: str, packed: bool) -> None:
    suffix = name.suffix.lower()
    if packed and suffix in PARQUET_SUFFIXES:
        raise DataError(f"{label} is a compressed Parquet file; decompress it first.")
    known = (*TEXT_SUFFIXES, *PARQUET_SUFFIXES)
    if suffix not in known:
        kind = f"ends in {name.suffix!r}" if suffix else "has no ending"
        raise DataError(
            f"{label} {kind}, which is not a table format; give one of {' '.join(known)}, "
            "or a text file compressed as .gz .bz2 .xz .zip."
        )


def _collected(
    file: IO[bytes], consumed: Consumed | None, name: PurePosixPath, label: str
) -> tuple[Bytes, int]:
    """Read a file to its end, within limits, and count the complete lines of a text.

    `consumed` counts compressed bytes.
    """
    most, text = limits.MAX_TABLE_BYTES + 1, name.suffix.lower() not in PARQUET_SUFFIXES
    data = _memory(0 if consumed else min(os.fstat(file.fileno()).st_size, most))
    most = len(data) or most
    lines = length = end = 0  # complete lines, bytes of the incomplete one, and all bytes
    while len(part := _next_part(file, data, end, most)):
        start, end = end, end + len(part)
        if end > limits.MAX_TABLE_BYTES:
            raise _excess(label, f"{limits.MAX_TABLE_BYTES:,} bytes")
        check_expansion(end, consumed, label)
        if not text:
            continue
        if data.find(b"\0", start, end) >= 0:  # not text: the caller refuses it
            break
        breaks = [find(b, start, end) for b in (b"\n", b"\r") for find in (data.find, data.rfind)]
        last, first = max(breaks), min((at for at in breaks if at >= 0), default=end)
        if length + first - start > limits.MAX_LINE:
            raise _excess(label, f"{limits.MAX_LINE:,} bytes in one line")
        length = length + len(part) if last < 0 else end - last - 1
        lines += _line_breaks(part, has_returns=breaks[-1] >= 0)
        if lines > limits.MAX_LINES:
            raise _excess(label, f"{limits.MAX_LINES:,} lines")
    return data if end == len(data) else bytearray(data[:end]), lines


def _next_part(file: Any, data: Bytes, end: int, most: int) -> NDArray[np.uint8]:
    """Read some more bytes of a file to the end of those in memory, and return them."""
    if isinstance(data, bytearray):
        read: bytes = file.read(min(_PART, most - end))
        data += read
        return np.frombuffer(read, np.uint8)
    part = np.frombuffer(data, np.uint8, min(_PART, most - end), end)
    return part[: file.readinto(part)]


def _line_breaks(part: NDArray[np.uint8], has_returns: bool) -> int:
    """Count the line breaks, of which one may be two characters."""
    feeds = part == _FEED
    n = np.count_nonzero(feeds)
    if has_returns:
        returns = part == _RETURN
        n += np.count_nonzero(returns) - np.count_nonzero(returns[:-1] & feeds[1:])
    return int(n)


def check_expansion(size: int, consumed: Consumed | None, label: str) -> None:
    """Refuse a file whose compressed bytes unfold into far more."""
    if consumed and size > limits.MAX_EXPANSION * consumed() + limits.FREE_EXPANSION:
        raise DataError(
            f"{label} decompresses to more than {limits.MAX_EXPANSION} times its size; "
            "decompress it and give the resulting file."
        )


def _memory(size: int) -> Bytes:
    """Return memory for a file: on Linux in large pages, which the system gives out faster."""
    if size < _LARGE or sys.platform != "linux":
        return bytearray()
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a system without large pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def free(data: Bytes) -> None:
    """Give the memory back, unless something still refers to it."""
    with suppress(BufferError):
        if isinstance(data, bytearray):
            data.clear()
        else:
            data.close()


def _excess(label: str, limit: str) -> DataError:
    return DataError(f"{label} holds more than {limit}, the limit; split it.")
