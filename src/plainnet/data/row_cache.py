"""Row caches: a folder of encoded rows or pictures beside the data, written once, used again."""

import errno
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from plainnet._version import __version__
from plainnet.errors import DataError, PlainnetError
from plainnet.storage.atomic import make_folder, write_bytes
from plainnet.storage.json_reader import JsonReader
from plainnet.storage.locks import lock_folder
from plainnet.train.row_file import RowFile, RowLayout, checksum

T = TypeVar("T")
_ENDS = 2**16  # bytes at both ends of a file that its fingerprint covers
_FORMAT = 2
_ABOUT = "rows.json"


def fingerprint(files: list[Path]) -> list[list[Any]]:
    """Return name, size, time of change and a hash of both ends of each file."""
    result = []
    for path in files:
        status = path.stat()
        with open(path, "rb") as file:
            ends = file.read(_ENDS)
            file.seek(max(0, status.st_size - _ENDS))
            ends += file.read(_ENDS)
        digest = hashlib.sha256(ends).hexdigest()
        result.append([path.name, status.st_size, status.st_mtime_ns, digest])
    return result


@final
class RowCache:
    """The folder of the encoded rows of some files, with some options.

    ``rows.json`` says of which files, options and version the rows are. It is removed before rows
    are written and written last, so that an interruption leaves no folder that looks complete.
    """

    def __init__(self, data: Path, folder: Path | None, made_of: Mapping[str, Any]) -> None:
        self.folder = (data.parent if folder is None else folder) / f"{data.name}.rows"
        self._made_of = json.loads(json.dumps({**made_of, "plainnet": __version__}))

    def load(self, read: Callable[[JsonReader], T]) -> tuple[T, dict[str, RowFile]] | None:
        """Return their description and the rows by part, if made of the same and complete."""
        try:
            about = JsonReader(json.loads((self.folder / _ABOUT).read_bytes()), "the cache")
            if about.whole("format") != _FORMAT or about.part("made_of").values != self._made_of:
                return None
            found = about.part("layout")
            dtype = found.text("dtype", ("float32", "uint8"))
            sizes = found.whole("n_y"), found.whole("block", 1)
            layout, parts = RowLayout(found.wholes("shape", 1), dtype, *sizes), {}
            for name in about.part("parts"):
                part, path = about.part("parts").part(name), self.folder / f"{name}.rows"
                checksums = _checksums(path, layout, part.whole("rows"))
                if checksums is None or zlib.crc32(checksums.data) != part.whole("checksum"):
                    return None
                parts[name] = RowFile(path, layout, part.whole("rows"), checksums)
            return read(about.part("content")), parts
        except (OSError, LookupError, ValueError, RecursionError, PlainnetError):
            return None

    def load_written(self, read: Callable[[JsonReader], T]) -> tuple[T, dict[str, RowFile]]:
        """Return what was just written."""
        loaded = self.load(read)
        if loaded is None:
            raise DataError(
                f"The cache {str(self.folder)!r} changed while it was written: train again, or "
                "give another folder with --cache-dir."
            )
        return loaded

    @contextmanager
    def writing(
        self, layout: RowLayout, rows: int, names: Sequence[str]
    ) -> Iterator[dict[str, "RowWriter"]]:
        """Yield a writer for each part; if anything fails, nothing is left of them."""
        writers: dict[str, RowWriter] = {}
        needed = rows * layout.row_bytes
        lock = None
        try:
            make_folder(self.folder.parent)
            make_folder(self.folder)
            lock = lock_folder(self.folder)
            (self.folder / _ABOUT).unlink(missing_ok=True)
            for name in names:  # which frees their space
                (self.folder / f"{name}.rows").unlink(missing_ok=True)
            if shutil.disk_usage(self.folder).free < needed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for name in names:
                writers[name] = RowWriter(self.folder / f".{name}.rows.tmp", layout)
            yield writers
        except OSError as error:
            remedy = "make space, or " if error.errno == errno.ENOSPC else ""
            raise DataError(
                f"The cache {str(self.folder)!r} needs {needed / 1e9:,.2f} GB and cannot be "
                f"written ({error.strerror}): {remedy}give another folder with --cache-dir."
            ) from error
        finally:
            for writer in writers.values():
                writer.close()
                writer.path.unlink(missing_ok=True)
            if lock is not None:
                lock.remove()

    def finish(self, writers: Mapping[str, "RowWriter"], content: Mapping[str, Any]) -> None:
        """Complete the files, and describe them."""
        parts = {}
        for name, writer in writers.items():
            parts[name] = {"rows": writer.m, "checksum": writer.finish()}
            layout = writer.layout._asdict()
        for name, writer in writers.items():
            os.replace(writer.path, self.folder / f"{name}.rows")
        about = {"format": _FORMAT, "made_of": self._made_of, "layout": layout}
        about |= {"parts": parts, "content": content}
        write_bytes(self.folder / _ABOUT, json.dumps(about).encode())


@final
class RowWriter:
    """Writes rows in blocks with checksums, which follow the last block."""

    def __init__(self, path: Path, layout: RowLayout) -> None:
        self.path, self.layout, self.m = path, layout, 0
        self._file = open(path, "wb")  # noqa: SIM115 - `close` does
        self._checksums: list[int] = []
        self._rest = layout.empty(0)

    def add(self, X: NDArray[Any], y: NDArray[np.float32]) -> None:
        """Append rows."""
        self.m += len(X)
        X, y = (np.concatenate(pair) for pair in zip(self._rest, (X, y), strict=True))
        block = self.layout.block
        end = len(X) // block * block
        for start in range(0, end, block):
            self._write(X[start : start + block], y[start : start + block])
        self._rest = X[end:].copy(), y[end:].copy()

    def _write(self, X: NDArray[Any], y: NDArray[np.float32]) -> None:
        self._file.write(X.data)
        self._file.write(y.data)
        self._checksums.append(checksum(X, y))

    def finish(self) -> int:
        """Write what is left, and return the checksum of all checksums."""
        if len(self._rest[0]):
            self._write(*self._rest)
        checksums = np.array(self._checksums, np.uint64)
        self._file.write(checksums.data)
        self._file.flush()
        os.fsync(self._file.fileno())
        return zlib.crc32(checksums.data)

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # a full disk, which an earlier error has told
            self._file.close()


def _checksums(path: Path, layout: RowLayout, m: int) -> NDArray[np.uint64] | None:
    """Return the checksums at the end of a file; None if it has not the size of m rows."""
    n, size = -(-m // layout.block), m * layout.row_bytes
    if path.stat().st_size != size + 8 * n:
        return None
    return np.fromfile(path, np.uint64, offset=size)
