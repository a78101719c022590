"""Row caches: a folder of encoded rows beside the data, written once and used again."""

import errno
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from plainnet._version import __version__
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.errors import DataError, PlainnetError
from plainnet.storage.atomic import make_folder, write_bytes
from plainnet.storage.json_reader import JsonReader
from plainnet.storage.locks import lock_folder
from plainnet.train.row_file import RowFile, RowLayout, checksum

PARTS = ("train", "sample", "validation", "test")  # the sample is one of the training rows
_ENDS = 2**16  # bytes at both ends of a file that its fingerprint covers
_FORMAT = 1
_ABOUT = "rows.json"


class CachedRows(NamedTuple):
    """The rows of all parts, and what they mean."""

    schema: TableSchema
    target: Target
    parts: dict[str, RowFile]
    class_counts: tuple[int, ...]  # of the training rows
    notes: list[str]


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

    def load(self) -> CachedRows | None:
        """Return the rows if they were made of the same files and options, and are complete."""
        try:
            about = JsonReader(json.loads((self.folder / _ABOUT).read_bytes()), "the cache")
            if about.whole("format") != _FORMAT or about.part("made_of").values != self._made_of:
                return None
            schema = TableSchema.from_json(dict(about.part("schema").values))
            target = Target.from_json(dict(about.part("target").values))
            return self._rows(about, schema, target)
        except (OSError, ValueError, RecursionError, PlainnetError):
            return None

    def _rows(self, about: JsonReader, schema: TableSchema, target: Target) -> CachedRows | None:
        layout, parts = RowLayout(schema.n_features, n_targets(target), about.whole("block", 1)), {}
        for name in PARTS:
            part = about.part("parts").part(name)
            m, checksum = part.whole("rows"), part.whole("checksum")
            checksums = _checksums(self.folder / f"{name}.rows", layout, m)
            if checksums is None or zlib.crc32(checksums.data) != checksum:
                return None
            parts[name] = RowFile(self.folder / f"{name}.rows", layout, m, checksums)
        counts, notes = about.wholes("class_counts"), about.texts("notes", distinct=False)
        return CachedRows(schema, target, parts, counts, list(notes))

    @contextmanager
    def writing(self, layout: RowLayout, rows: int) -> Iterator[dict[str, "RowWriter"]]:
        """Yield a writer for each part; if anything fails, nothing is left of them."""
        writers: dict[str, RowWriter] = {}
        needed = rows * layout.row_bytes
        lock = None
        try:
            make_folder(self.folder)
            lock = lock_folder(self.folder)
            (self.folder / _ABOUT).unlink(missing_ok=True)
            for name in PARTS:  # which frees their space
                (self.folder / f"{name}.rows").unlink(missing_ok=True)
            if shutil.disk_usage(self.folder).free < needed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for name in PARTS:
                writers[name] = RowWriter(self.folder / f".{name}.rows.tmp", layout)
            yield writers
        except OSError as error:
            raise DataError(
                f"The encoded rows need {needed / 1e9:,.2f} GB in {str(self.folder)!r}, and they "
                f"cannot be written there ({error.strerror}): make space, or give another folder "
                "with --cache-dir."
            ) from error
        finally:
            for writer in writers.values():
                writer.close()
                writer.path.unlink(missing_ok=True)
            if lock is not None:
                lock.remove()

    def finish(
        self,
        writers: Mapping[str, "RowWriter"],
        schema: TableSchema,
        target: Target,
        class_counts: Sequence[int],
        notes: Sequence[str],
    ) -> None:
        """Complete the files, and describe them."""
        parts = {}
        for name, writer in writers.items():
            parts[name] = {"rows": writer.m, "checksum": writer.finish()}
        for name, writer in writers.items():
            os.replace(writer.path, self.folder / f"{name}.rows")
        about = {"format": _FORMAT, "made_of": self._made_of, "parts": parts}
        about |= {"schema": schema.to_json(), "target": target.to_json(), "notes": list(notes)}
        about |= {"block": writers["train"].layout.block, "class_counts": list(class_counts)}
        write_bytes(self.folder / _ABOUT, json.dumps(about).encode())


@final
class RowWriter:
    """Writes rows in blocks with checksums, which follow the last block."""

    def __init__(self, path: Path, layout: RowLayout) -> None:
        self.path, self.layout, self.m = path, layout, 0
        self._file = open(path, "wb")  # noqa: SIM115 - `close` does
        self._checksums: list[int] = []
        self._rest = np.empty((0, layout.n_in), np.float32), np.empty((0, layout.n_y), np.float32)

    def add(self, X: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        """Append rows."""
        self.m += len(X)
        X, y = (np.concatenate(pair) for pair in zip(self._rest, (X, y), strict=True))
        block = self.layout.block
        end = len(X) // block * block
        for start in range(0, end, block):
            self._write(X[start : start + block], y[start : start + block])
        self._rest = X[end:].copy(), y[end:].copy()

    def _write(self, X: NDArray[np.float32], y: NDArray[np.float32]) -> None:
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


def n_targets(target: Target) -> int:
    """Return the number of targets of a row."""
    return 1 if target.task in ("binary", "multiclass") else target.n_out


def _checksums(path: Path, layout: RowLayout, m: int) -> NDArray[np.uint64] | None:
    """Return the checksums at the end of a file; None if it has not the size of m rows."""
    n, size = -(-m // layout.block), m * layout.row_bytes
    if path.stat().st_size != size + 8 * n:
        return None
    return np.fromfile(path, np.uint64, offset=size)
