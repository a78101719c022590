"""Pictures: from a folder of class folders to uint8 arrays, and from those to the network's rows.

Pictures stay uint8 in memory, a quarter of what float32 takes; `ImageSchema.transform` turns one
batch at a time into float32.
"""

import os
import reprlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.decode import (
    MAX_SIZE,
    decode,
    no_warnings,
    read_image,
    require_size,
    shown,
    unusable,
)
from plainnet.errors import DataError, ModelFileError

__all__ = [
    "ImageSchema",
    "Pictures",
    "Progress",
    "find_images",
    "picture_files",
    "read_files",
    "read_image",
    "read_images",
]

_SYSTEM_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_PARTS_OF_A_DATA_SET = frozenset(
    {"train", "training", "training_set", "test", "testing", "test_set"}
    | {"val", "valid", "validation"}
)
_BUFFER = 131_072  # floats that a block of rows may hold: 512 KiB
_BLOCK = 256  # files handed to the threads at once: bounds what a long read queues up
Progress = Callable[[int, int], None]
"""Called in the reading thread with (files done, files in all) after each file."""


@final
@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of a folder, read and brought to one size."""

    X: NDArray[np.uint8]  # red, green and blue from 0 to 255
    y: NDArray[np.int64]  # for each picture the index of its class in `classes`
    classes: tuple[str, ...]  # the names of the class folders, sorted
    files: list[Path]  # where each picture came from
    skipped: list[tuple[Path, str]]  # the files that were left out, each with the reason


def find_images(folder: str | os.PathLike[str]) -> tuple[tuple[str, ...], list[Path]]:
    """Find the classes of a picture folder and the files of each.

    Each visible folder directly in `folder` is a class. All visible files in it belong to the
    class, those in nested subfolders too. Names that begin with a dot, and those that systems
    leave behind (`__MACOSX`, `Thumbs.db`, `desktop.ini`), are ignored. Links to pictures and to
    class folders are followed, links to folders further down are not. Files are not opened.
    """
    by_class = _files_by_class(Path(folder))
    if len(by_class) < 2:
        raise DataError(
            f"the folder {shown(folder)} holds one class folder, {shown(next(iter(by_class)))!r}:"
            " at least 2 are needed, one for each class, such as 'bears' and 'pandas'"
        )
    return tuple(by_class), [file for files in by_class.values() for file in files]


def picture_files(path: str | os.PathLike[str]) -> list[Path]:
    """List what may be pictures at a path, for a prediction that needs no classes."""
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"there is no file or folder {shown(path)}: check its name")
    files = _files_below(path)
    if not files:
        raise DataError(f"the folder {shown(path)} holds no visible file: put pictures into it")
    return files


def read_images(
    folder: str | os.PathLike[str],
    size: int,
    strict: bool = False,
    progress: Progress | None = None,
    classes: Sequence[str] | None = None,
) -> Pictures:
    """Read a folder of class folders.

    A file that cannot be used is skipped and listed with the reason, and so is a file that lies
    beside the class folders. What a usable picture is, and what is done to it, `read_image` says.
    """
    folder = Path(folder)
    if classes is None:
        classes, files = find_images(folder)
    else:
        by_class = _files_by_class(folder)
        _require_known(folder, by_class, classes)
        files = [file for paths in by_class.values() for file in paths]
    stray = [(file, "lies beside the class folders, so has no class") for file in _list(folder)[1]]
    if strict and stray:
        raise unusable(*stray[0])
    X, kept, skipped = read_files(files, size, strict, progress)
    named = [file.relative_to(folder).parts[0] for file in kept]
    for name in dict.fromkeys(file.relative_to(folder).parts[0] for file in files):
        if name not in named:
            first, reason = next(s for s in skipped if s[0].relative_to(folder).parts[0] == name)
            raise DataError(
                f"no picture of the class {name!r} can be used; the first, {shown(first)}: {reason}"
            )
    number = {name: i for i, name in enumerate(classes)}
    y = np.array([number[name] for name in named], dtype=np.int64)
    return Pictures(X, y, tuple(classes), kept, stray + skipped)


def read_files(
    files: Sequence[str | os.PathLike[str]],
    size: int,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[NDArray[np.uint8], list[Path], list[tuple[Path, str]]]:
    """Read pictures, several at a time."""
    require_size(size)
    paths = [Path(file) for file in files]
    try:
        X = np.empty((len(paths), size, size, 3), dtype=np.uint8)
    except MemoryError:
        raise DataError(
            f"{len(paths):,} pictures of {size} x {size} pixels do not fit into memory: ask for a"
            " smaller size"
        ) from None

    def read(i: int) -> str | None:
        try:
            X[i] = decode(paths[i], size)
        except DataError as error:
            return str(error)
        return None

    kept: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    with no_warnings(), _threads() as pool:
        for start in range(0, len(paths), _BLOCK):
            block = range(start, min(start + _BLOCK, len(paths)))
            for i, reason in zip(block, pool.map(read, block), strict=True):
                if reason is None:
                    X[len(kept)] = X[i]  # closes the gaps that skipped files leave
                    kept.append(paths[i])
                elif strict:
                    raise unusable(paths[i], reason)
                else:
                    skipped.append((paths[i], reason))
                if progress is not None:
                    progress(i + 1, len(paths))
    if not kept:
        first = f"; the first, {shown(skipped[0][0])}: {skipped[0][1]}" if skipped else ""
        raise DataError(f"none of {len(paths):,} files is a picture that can be used{first}")
    return X[: len(kept)], kept, skipped


@final
@dataclass(frozen=True)
class ImageSchema:
    """What turns pictures into the rows a network reads, fitted on the training pictures.

    Attributes
    ----------
    size : int
        The side of the pictures in pixels.
    mean, std : tuple of 3 floats
        Of red, green and blue over all pixels of the training pictures, on the scale 0 to 255. A
        channel that never varies has the standard deviation 1, so that it becomes 0. Of pixels that
        are taken as they are, 0 and 1.

    Examples
    --------
    >>> X = np.zeros((2, 4, 4, 3), np.uint8)
    >>> X[1] = 100
    >>> schema = ImageSchema.fit(X)
    >>> schema.mean, schema.std
    ((50.0, 50.0, 50.0), (50.0, 50.0, 50.0))
    >>> rows = schema.transform(X)
    >>> rows.shape, rows.dtype, rows[:, 0]
    ((2, 48), dtype('float32'), array([-1.,  1.], dtype=float32))
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def fit(cls, X: NDArray[np.uint8], standardize: bool = True) -> Self:
        """Measure the channels of the training pictures, exactly and in little memory.

        Parameters
        ----------
        X : ndarray of uint8, shape (m, size, size, 3)
        standardize : bool, default True
            Whether pixels are standardized, or enter the network as they are, from 0 to 255.

        Returns
        -------
        ImageSchema

        Raises
        ------
        DataError
            Where `X` is not such an array or holds no picture.

        Examples
        --------
        >>> ImageSchema.fit(np.full((5, 2, 2, 3), 7, np.uint8)).std
        (1.0, 1.0, 1.0)
        """
        _require_pictures(X, X.shape[1] if X.ndim == 4 else 0)
        if not X.size:
            raise DataError("an image schema needs at least one training picture, got none")
        if not standardize:
            return cls(X.shape[1], (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        counts = np.zeros((3, 256), dtype=np.int64)
        for picture in X:  # a picture at a time: counting needs eight bytes a pixel
            for channel in range(3):
                counts[channel] += np.bincount(picture[..., channel].ravel(), minlength=256)
        moments = [_moments(channel) for channel in counts]
        (m0, s0), (m1, s1), (m2, s2) = moments
        return cls(X.shape[1], (m0, m1, m2), (s0, s1, s2))

    @property
    def unscaled(self) -> bool:
        """Whether pixels enter the network as they are.

        Examples
        --------
        >>> ImageSchema.fit(np.zeros((1, 2, 2, 3), np.uint8), "none").unscaled
        True
        """
        return (self.mean, self.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    @property
    def n_features(self) -> int:
        """The length of a row: size * size * 3.

        Examples
        --------
        >>> ImageSchema(64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).n_features
        12288
        """
        return self.size * self.size * 3

    def transform(
        self, X: NDArray[np.uint8], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Turn pictures into standardized rows: (X - mean) / std for each channel.

        Parameters
        ----------
        X : ndarray of uint8, shape (m, size, size, 3)
        out : ndarray of float32, shape (m, size * size * 3), default None
            Where to write the rows; None makes a new array.

        Returns
        -------
        ndarray of float32, shape (m, size * size * 3)
            Row by row, pixel by pixel, red, green, blue.

        Raises
        ------
        DataError
            Where `X` or `out` has another shape or dtype.

        Examples
        --------
        >>> schema = ImageSchema(1, (10.0, 20.0, 30.0), (1.0, 2.0, 3.0))
        >>> schema.transform(np.array([[[[11, 22, 33]]]], np.uint8))
        array([[1., 1., 1.]], dtype=float32)
        """
        _require_pictures(X, self.size)
        shape = (len(X), self.n_features)
        if out is None:
            out = np.empty(shape, dtype=np.float32)
        elif out.shape != shape or out.dtype != np.float32:
            raise DataError(f"out must be float32 {shape}, got {out.dtype} {out.shape}")
        pixels = self.size * self.size
        mean = np.tile(np.asarray(self.mean, np.float32), pixels)
        scale = np.tile(np.float32(1) / np.asarray(self.std, np.float32), pixels)
        flat = X.reshape(shape)
        n_rows = max(1, _BUFFER // self.n_features)
        for start in range(0, len(X), n_rows):  # three passes while the rows are in the cache
            rows = out[start : start + n_rows]
            rows[...] = flat[start : start + n_rows]
            rows -= mean
            rows *= scale
        return out

    def to_json(self) -> dict[str, object]:
        """Give what a model file stores.

        Returns
        -------
        dict
            With kind "image", size, mean and std.

        Examples
        --------
        >>> ImageSchema(64, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)).to_json()
        {'kind': 'image', 'size': 64, 'mean': [1.0, 2.0, 3.0], 'std': [4.0, 5.0, 6.0]}
        """
        return {
            "kind": "image",
            "size": self.size,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """Build the schema from what a model file stored, believing none of it.

        Parameters
        ----------
        stored : object
            What `to_json` gave, after a trip through a file that anyone may have edited.

        Returns
        -------
        ImageSchema

        Raises
        ------
        ModelFileError
            Where a name, a type or a range is not that of `to_json`.

        Examples
        --------
        >>> stored = {"kind": "image", "size": 64, "mean": [1, 2, 3], "std": [1, 1, 0]}
        >>> ImageSchema.from_json(stored)
        Traceback (most recent call last):
        plainnet.errors.ModelFileError: the model file's image schema is damaged: 'std' must be
        3 numbers from 0.000001 to 128, got [1, 1, 0]
        """
        names = {"kind", "size", "mean", "std"}
        if not isinstance(stored, dict) or set(stored) != names:
            raise _damaged("it", "hold kind, mean, size and std", stored)
        if stored["kind"] != "image":
            raise _damaged("'kind'", "be 'image'", stored["kind"])
        size = stored["size"]
        if type(size) is not int or not 1 <= size <= MAX_SIZE:
            raise _damaged("'size'", f"be a whole number from 1 to {MAX_SIZE}", size)
        mean, std = _three(stored["mean"]), _three(stored["std"])
        if mean is None or min(mean) < 0 or max(mean) > 255:
            raise _damaged("'mean'", "be 3 numbers from 0 to 255", stored["mean"])
        if std is None or min(std) < 1e-6 or max(std) > 128:
            raise _damaged("'std'", "be 3 numbers from 0.000001 to 128", stored["std"])
        return cls(size, mean, std)


def _files_by_class(folder: Path) -> dict[str, list[Path]]:
    """List the files of each class folder; at least one class folder, and none empty."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"the picture folder {shown(folder)} {what}: name a folder")
    folders, files = _list(folder)
    if not folders:
        raise DataError(
            f"the folder {shown(folder)} holds no class folder (and {len(files):,} files): put the"
            " pictures of each class into a folder of its own, such as 'bears' and 'pandas'"
        )
    for name in (path.name for path in folders):
        if name.casefold() in _PARTS_OF_A_DATA_SET:
            raise DataError(
                f"the folder {shown(folder)} holds {name!r}, a part of a data set rather than a"
                f" class: name the folder that holds the classes, such as {shown(folder / name)}"
            )
        if shown(name) != name:
            raise DataError(f"the name of the class folder {shown(folder / name)} is not UTF-8")
    by_class = {path.name: _files_below(path) for path in folders}
    for path in folders:
        if not by_class[path.name]:
            raise DataError(
                f"the class folder {shown(path)} is empty: put pictures into it or remove it"
            )
    return by_class


def _files_below(folder: Path) -> list[Path]:
    """List the visible files at any depth, sorted by their path."""
    files: list[Path] = []
    waiting = [folder]
    while waiting:
        folders, here = _list(waiting.pop())
        files += here
        waiting += [path for path in folders if not path.is_symlink()]  # a link may run in circles
    return sorted(files, key=lambda file: file.parts)


def _list(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the visible folders and files directly in a folder, each sorted by name."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"the folder {shown(folder)} cannot be read: {error.strerror}") from None
    visible = [p for p in entries if not p.name.startswith(".") and p.name not in _SYSTEM_NAMES]
    return [p for p in visible if p.is_dir()], [p for p in visible if not p.is_dir()]


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Give threads to read with (Pillow decodes without the lock); drop the queue at the end."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def constant_numbers(X: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which numbers of a row are the same in all pictures, shape (size * size * 3,)."""
    return np.ravel(X.min(axis=0) == X.max(axis=0))


def _require_pictures(X: NDArray[np.uint8], size: int) -> None:
    if X.shape[1:] != (size, size, 3) or X.dtype != np.uint8:
        side = size or "size"
        raise DataError(
            f"pictures must be uint8 (m, {side}, {side}, 3), got {X.dtype} {X.shape}: read them"
            " with read_images"
        )


def _require_known(folder: Path, names: Collection[str], classes: Sequence[str]) -> None:
    for name in names:
        if name not in classes:
            raise DataError(
                f"the folder {shown(folder)} holds the class {name!r}, which is not one of"
                f" {', '.join(classes)}: rename or remove it"
            )


def _moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Take mean and standard deviation from how often each of 0..255 occurs, in whole numbers."""
    n = int(counts.sum())
    total = sum(level * int(count) for level, count in enumerate(counts))
    squares = sum(level * level * int(count) for level, count in enumerate(counts))
    variance = n * squares - total * total  # times n * n
    return total / n, variance**0.5 / n if variance else 1.0


def _three(stored: object) -> tuple[float, float, float] | None:
    """Read three finite numbers; None where there is anything else."""
    if not isinstance(stored, list) or len(stored) != 3:
        return None
    if not all(type(value) in (int, float) and abs(value) <= 255 for value in stored):
        return None  # NaN, infinity and whole numbers too large for a float end here too
    a, b, c = map(float, stored)
    return a, b, c


def _damaged(what: str, expected: str, got: object) -> ModelFileError:
    return ModelFileError(
        f"the model file's image schema is damaged: {what} must {expected}, got {reprlib.repr(got)}"
    )
