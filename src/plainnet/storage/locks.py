"""Folder locks: one process at a time, released when it ends."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import final
from weakref import WeakValueDictionary

from plainnet.errors import PlainnetError

NAME = ".lock"
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # a link could lead anywhere


@final
class FolderLock:
    """A lock on a folder, held as long as the object exists; made by `lock_folder`.

    The operating system releases it when the process ends, also after a kill or a power cut; the
    file alone locks nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = os.open(path, _FLAGS, 0o666)
        try:
            _lock(self._descriptor)
        except OSError:
            self.close()
            raise

    @property
    def exists(self) -> bool:
        """Whether the lock file still exists; another process may have removed it."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except OSError:
            return False

    def close(self) -> None:
        """Release the lock and keep its file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Remove the file and release the lock."""
        try:
            self.path.unlink(missing_ok=True)
        except PermissionError:  # Windows does not remove an open file
            self.close()
            self.path.unlink(missing_ok=True)
        self.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # if the file could not be opened
            self.close()


_held: WeakValueDictionary[Path, FolderLock] = WeakValueDictionary()  # by this process


def lock_folder(folder: Path) -> FolderLock | None:
    """Lock a folder for this process."""
    folder = folder.resolve()
    lock = _held.get(folder)
    try:
        while lock is None or not lock.exists:
            lock = FolderLock(folder / NAME)
    except (BlockingIOError, PermissionError) as error:
        if isinstance(error, PermissionError) and error.filename is not None:
            return None  # the file could not be opened
        raise PlainnetError(
            f"another process is training in {str(folder)!r}: wait until it has ended, or give "
            "this training another folder"
        ) from None
    except OSError:
        return None
    _held[folder] = lock
    return lock


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        """Lock or raise PermissionError."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        """Lock or raise BlockingIOError."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
