"""Atomic file writing: every file that plainnet writes is complete or unchanged.

docs/security.md states the guarantees for folders shared with other users.
"""

import errno
import glob
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_MAX_LINKS = 40  # in a path, as in Linux
_POSIX = os.name == "posix"
_UMASK = threading.Lock()  # reading the umask sets it for a moment


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a complete file, or leave the old one unchanged."""
    write_parts(path, [content])


def write_parts(path: str | Path, parts: Iterable[bytes]) -> None:
    """Write a complete file of parts that are made meanwhile, or leave the old one unchanged."""
    path = writable(path)
    try:
        temporary, file = _temporary(path)
        try:
            with file:
                file.writelines(parts)
                file.flush()
                _set_mode(file.fileno(), path)
                os.fsync(file.fileno())
                if not _POSIX:  # Windows does not rename an open file
                    file.close()
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:  # without a name, or with the temporary one
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    _remove_leftovers(path)


def make_folder(path: str | Path) -> None:
    """Create a folder unless it exists, without following another user's link."""
    resolve(path).mkdir(exist_ok=True)


def writable(path: str | Path) -> Path:
    """Return the file to which a path leads, or raise OSError if it must not be replaced."""
    target = resolve(path)
    try:
        old = target.lstat()
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(old.st_mode):  # such as /dev/null
        raise OSError(errno.EINVAL, "not an ordinary file", str(path))
    if not old.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise PermissionError(
            errno.EACCES, "write-protected: change its mode, or give another name", str(path)
        )
    if target.parent.stat().st_mode & stat.S_ISVTX and not _is_trusted(old):
        raise PermissionError(
            errno.EACCES, "it belongs to another user: give another name", str(path)
        )
    return target


def resolve(path: str | Path) -> Path:
    """Follow the links of a path, or raise OSError at one that belongs to another user."""
    left = list(reversed(Path(path).absolute().parts))
    done, links = Path(left.pop()), 0
    while left:
        part = left.pop()
        step = done.parent if part == ".." else done / part
        try:
            status = step.lstat()
        except FileNotFoundError:  # so it is no link
            status = None
        if status is None or not stat.S_ISLNK(status.st_mode):
            done = step
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if not _is_trusted(status):
            raise PermissionError(
                errno.EACCES,
                f"{str(step)!r} is a link of another user and is not followed: give another name",
                str(path),
            )
        target = step.readlink()
        if target.is_absolute():
            done = Path(target.anchor)
        left += reversed(target.parts[target.is_absolute() :])
    return done


def _is_trusted(status: os.stat_result) -> bool:
    """Whether a file or link belongs to this user or to root."""
    return not _POSIX or status.st_uid in (0, os.geteuid())


def _temporary(path: Path) -> tuple[Path, BinaryIO]:
    """Create and lock a file in the same folder, for this user only."""
    while True:
        name = path.parent / f".{path.name[:50]}.{secrets.token_hex(4)}.tmp"
        file = open(name, "xb", opener=_private)  # noqa: SIM115 - its writer closes it
        _lock(file, wait=True)
        if not _POSIX or os.fstat(file.fileno()).st_nlink:
            return name, file
        file.close()  # another writer removed it as a leftover before it was locked


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _lock(file: BinaryIO, wait: bool) -> bool:
    """Lock a file until it is closed or its process ends; False if that is impossible."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):  # another writer has it, or this system has no locks
        return False
    return True


def _set_mode(descriptor: int, path: Path) -> None:
    """Give a new file the owner and mode of the file it replaces, or the default mode."""
    if not _POSIX:
        return
    try:
        old = path.lstat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o666 & ~_umask())
        return
    mode = stat.S_IMODE(old.st_mode) & 0o777
    try:
        os.fchown(descriptor, old.st_uid if os.geteuid() == 0 else -1, old.st_gid)
    except PermissionError:  # the group would be another one
        mode &= 0o707
    os.fchmod(descriptor, mode)


def _umask() -> int:
    with _UMASK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of this file whose writers were killed."""
    name = f".{glob.escape(path.name[:50])}.{'[0-9a-f]' * 8}.tmp"
    with suppress(OSError):
        for leftover in path.parent.glob(name):
            status = leftover.lstat()
            if stat.S_ISREG(status.st_mode) and _POSIX and status.st_uid == os.geteuid():
                with open(leftover, "rb+") as file:
                    if _lock(file, wait=False):
                        leftover.unlink(missing_ok=True)
