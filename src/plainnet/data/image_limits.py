"""Limits on pictures, checked before decoding: pixels, scans and memory."""

import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, final

from plainnet import limits
from plainnet.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_MIN_SIDE = 2  # pixels
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)  # of a JPEG; in data, 255 precedes zero
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_START_OF_SCAN, _END = 0xDA, 0xD9


@final
class Memory:
    """A memory budget for decoding, which all threads share."""

    def __init__(self) -> None:
        self.free()

    def free(self) -> None:
        """Release everything: a forked process lacks the threads that hold shares."""
        self._shares: list[float] = []
        self._changed = Condition()

    @contextmanager
    def taken(self, share: float) -> Iterator[None]:
        """Wait until this share of the budget (1.0) is free, and hold it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shares or sum(self._shares) + share <= 1.0)
            self._shares.append(share)
        try:
            yield
        finally:
            with self._changed:
                self._shares.remove(share)
                self._changed.notify_all()


MEMORY = Memory()  # the budget of this process

if os.name == "posix":  # elsewhere processes do not fork
    os.register_at_fork(after_in_child=MEMORY.free)


def check_file(path: Path) -> int:
    """Return the size in bytes of a picture file that is safe to open."""
    if not path.is_file():
        raise DataError("not a regular file" if path.exists() else "there is no such file")
    n = path.stat().st_size
    if n == 0:
        raise DataError("the file is empty (0 bytes)")
    if n > limits.MAX_PICTURE_BYTES:
        raise DataError(
            f"the file has {n:,} bytes: at most {limits.MAX_PICTURE_BYTES:,} are read, so make the"
            " picture smaller"
        )
    return n


def kind_of(image: "PillowImage", path: Path) -> str:
    """Return the key of `limits.MAX_PIXELS` for an open picture."""
    if image.format not in ("JPEG", "MPO"):
        return str(image.format)
    # With several scans, the coefficients of all pixels are kept in memory.
    several = _count_scans(path) > 1 or "progressive" in image.info
    return "progressive JPEG" if several else "JPEG"


def check_extent(width: int, height: int, kind: str, n_bytes: int) -> None:
    """Refuse a picture that is too small, too large, or far larger than its file."""
    extent = f"{width:,} x {height:,} pixels"
    if min(width, height) < _MIN_SIDE:
        raise DataError(f"{extent} is too small: at least {_MIN_SIDE} a side are needed")
    pixels, most = width * height, limits.MAX_PIXELS[kind]
    if max(width, height) > limits.MAX_SIDE or pixels > most:
        raise DataError(
            f"{extent} is too large: at most {limits.MAX_SIDE:,} a side and {most:,} in all are"
            f" read of a {kind}, so make it smaller"
        )
    if pixels > limits.FREE_PIXELS + limits.MAX_PIXELS_PER_BYTE * n_bytes:
        raise DataError(
            f"{extent} in {n_bytes:,} bytes is too much for a real picture: make it smaller"
        )


def _count_scans(path: Path) -> int:
    """Count the scans of a JPEG: each decodes all pixels again."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        scans = at = 0
        while match := _MARKER.search(data, at):
            marker, at = match[1][0], match.end()
            if marker == _END:
                break
            if marker in _ALONE:
                continue
            scans += marker == _START_OF_SCAN
            if scans > limits.MAX_SCANS:
                raise DataError(
                    f"it has more than {limits.MAX_SCANS} scans, which make it slow: save it again"
                )
            at += int.from_bytes(data[at : at + 2], "big")
    return scans
