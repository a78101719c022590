"""Images: read a folder of class folders as uint8 arrays, and standardize them.

Pictures stay uint8 in memory, a quarter of the size of float32; `ImageSchema.transform` turns one
batch at a time into float32.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.decode import MAX_SIZE, decode, printable, require_size, unusable
from plainnet.errors import DataError
from plainnet.storage.json_reader import JsonReader

_SYSTEM_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_PARTS_OF_A_DATASET = frozenset(
    {"train", "training", "training_set", "test", "testing", "test_set"}
    | {"val", "valid", "validation"}
)
_BUFFER = 131_072  # floats in a block of rows: 512 KiB
_BLOCK = 256  # files queued for the threads at a time

Progress = Callable[[int, int], None]  # called with files done and files in all after each file
Skipped = list[tuple[Path, str]]  # files that were left out, each with the reason


@final
@dataclass(frozen=True, eq=False)
class Images:
    """The pictures of a folder, resized to one size."""

    X: NDArray[np.uint8]  # red, green and blue from 0 to 255, or gray alone
    y: NDArray[np.int64]  # for each picture the index of its class in `classes`
    classes: tuple[str, ...]  # the names of the class folders, sorted
    files: list[Path]  # the file of each picture
    skipped: Skipped


def image_files(path: str | os.PathLike[str]) -> list[Path]:
    """List the files at a path that may be pictures, for a prediction without classes."""
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"there is no file or folder {printable(path)}: check its name")
    files = _files_below(path)
    if not files:
        raise DataError(f"the folder {printable(path)} holds no visible file: put pictures into it")
    return files


def read_images(
    folder: str | os.PathLike[str],
    size: int,
    strict: bool = False,
    progress: Progress | None = None,
    classes: Sequence[str] | None = None,
    channels: int | None = None,
) -> Images:
    """Read a folder of class folders.

    Each visible folder directly in `folder` is a class, and all visible files below it belong to
    it. Names that begin with a dot, and files of the operating system, are ignored. Links to
    pictures and to class folders are followed, links to folders further down are not.

    Parameters
    ----------
    folder : path
        The folder that holds the class folders.
    size : int
        Pictures are resized to ``size`` x ``size`` pixels, 1 to 1,024.
    strict : bool, default False
        Whether a file that cannot be used is an error; by default it is skipped.
    progress : callable, optional
        Called with the number of files done and of all files, after each file.
    classes : sequence of str, optional
        The classes of a trained model; the folder must hold no others. By default its own.
    channels : {1, 3}, optional
        1 makes pictures gray. By default 1 if all of them are gray, else 3.

    Returns
    -------
    Images
        With uint8 pictures ``X`` (m, size, size, channels), class numbers ``y`` (m,), ``classes``,
        ``files``, and ``skipped`` files with reasons.

    Raises
    ------
    DataError
        If the folder has fewer than two class folders, or a class without a usable picture.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("bears", "pandas"):
    ...         Path(folder, name).mkdir()
    ...         Image.new("RGB", (20, 10), "white").save(f"{folder}/{name}/1.png")
    ...     images = read_images(folder, 8)
    >>> images.X.shape, images.y, images.classes
    ((2, 8, 8, 1), array([0, 1]), ('bears', 'pandas'))
    """
    folder = Path(folder)
    by_class = _files_by_class(folder)
    if classes is None:
        if len(by_class) < 2:
            raise DataError(
                f"the folder {printable(folder)} holds one class folder,"
                f" {printable(next(iter(by_class)))!r}: at least 2 are needed, one for each class,"
                " such as 'bears' and 'pandas'"
            )
        classes = tuple(by_class)
    if unknown := by_class.keys() - set(classes):
        raise DataError(
            f"the folder {printable(folder)} holds the class {min(unknown)!r}, which is not one of"
            f" {', '.join(classes)}: rename or remove it"
        )
    stray = [(file, "lies beside the class folders, so has no class") for file in _list(folder)[1]]
    if strict and stray:
        raise unusable(*stray[0])
    files = [file for paths in by_class.values() for file in paths]
    X, kept, skipped = read_files(files, size, strict, progress, channels or 3)
    if channels is None and all(np.array_equal(X[..., 0], X[..., i]) for i in (1, 2)):
        X = X[..., :1].copy()
    names = [file.relative_to(folder).parts[0] for file in kept]
    if empty := by_class.keys() - set(names):
        name = min(empty)
        reason = dict(skipped)[first := by_class[name][0]]
        raise DataError(
            f"no picture of the class {name!r} can be used; the first, {printable(first)}: {reason}"
        )
    number = {name: i for i, name in enumerate(classes)}
    y = np.array([number[name] for name in names], dtype=np.int64)
    return Images(X, y, tuple(classes), kept, stray + skipped)


def read_files(
    files: Sequence[str | os.PathLike[str]],
    size: int,
    strict: bool = False,
    progress: Progress | None = None,
    channels: int = 3,
) -> tuple[NDArray[np.uint8], list[Path], Skipped]:
    """Read pictures with several threads; return them, their files, and skipped files."""
    require_size(size)
    paths = [Path(file) for file in files]
    try:
        X = np.empty((len(paths), size, size, channels), dtype=np.uint8)
    except MemoryError:
        raise DataError(
            f"{len(paths):,} pictures of {size} x {size} pixels do not fit into memory: ask for a"
            " smaller size"
        ) from None

    def read(i: int) -> str | None:
        try:
            pixels = decode(paths[i], size)
            X[i] = pixels if channels == 3 else to_gray(pixels)
        except DataError as error:
            return str(error)
        return None

    kept: list[Path] = []
    skipped: Skipped = []
    # Real problems become the reason to skip a file.
    with warnings.catch_warnings(action="ignore"), _threads() as pool:
        for start in range(0, len(paths), _BLOCK):
            block = range(start, min(start + _BLOCK, len(paths)))
            for i, reason in zip(block, pool.map(read, block), strict=True):
                if reason is None:
                    X[len(kept)] = X[i]  # close the gaps that skipped files leave
                    kept.append(paths[i])
                elif strict:
                    raise unusable(paths[i], reason)
                else:
                    skipped.append((paths[i], reason))
                if progress is not None:
                    progress(i + 1, len(paths))
    if not kept:
        first = f"; the first, {printable(skipped[0][0])}: {skipped[0][1]}" if skipped else ""
        raise DataError(f"none of {len(paths):,} files is a picture that can be used{first}")
    return X[: len(kept)], kept, skipped


@final
@dataclass(frozen=True)
class ImageSchema:
    """The size and color statistics of pictures, which turn them into the network's rows.

    Attributes
    ----------
    size : int
        The side of the pictures in pixels.
    mean, std : tuple of 3 floats, or 1 for gray pictures
        Of red, green and blue, or gray, over all pixels of the training pictures, on the scale 0 to
        255; 0 and 1 for unscaled pixels. The deviation of a constant channel is 1, so that it
        becomes 0.

    Examples
    --------
    >>> X = np.zeros((2, 4, 4, 3), np.uint8)
    >>> X[1] = 100
    >>> schema = ImageSchema.fit(X)
    >>> schema.mean, schema.std, schema.n_features
    ((50.0, 50.0, 50.0), (50.0, 50.0, 50.0), 48)
    >>> rows = schema.transform(X)
    >>> rows.shape, rows.dtype, rows[:, 0]
    ((2, 48), dtype('float32'), array([-1.,  1.], dtype=float32))
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(cls, X: NDArray[np.uint8], standardize: bool = True) -> Self:
        """Compute the statistics of the training pictures, exactly and in little memory.

        Parameters
        ----------
        X : ndarray of uint8, shape (m, size, size, 3), or (m, size, size, 1) of gray
            The training pictures.
        standardize : bool, default True
            Whether pixels are standardized, or enter the network unscaled, from 0 to 255.

        Returns
        -------
        ImageSchema

        Raises
        ------
        DataError
            If `X` has another shape or dtype, or holds no picture.
        """
        check_images(X)
        if not X.size:
            raise DataError("an image schema needs at least one training picture, got none")
        channels = X.shape[3]
        if not standardize:
            return cls(X.shape[1], (0.0,) * channels, (1.0,) * channels)
        counts = np.zeros((channels, 256), dtype=np.int64)
        for image in X:  # one at a time: counting needs eight bytes for each pixel
            for channel in range(channels):
                counts[channel] += np.bincount(image[..., channel].ravel(), minlength=256)
        return cls(X.shape[1], *zip(*map(_moments, counts), strict=True))

    @property
    def unscaled(self) -> bool:
        """Whether pixels enter the network unscaled."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    @property
    def channels(self) -> int:
        """3 for color, 1 for gray."""
        return len(self.mean)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a picture: (size, size, channels)."""
        return self.size, self.size, self.channels

    @property
    def n_features(self) -> int:
        """The length of a row: size * size * channels."""
        return math.prod(self.shape)

    def transform(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn pictures into standardized rows: (X - mean) / std for each channel.

        Parameters
        ----------
        X : ndarray of uint8, shape (m, *shape)
            Pictures of the schema's shape.

        Returns
        -------
        ndarray of float32, shape (m, n_features)
            Row by row, pixel by pixel, red, green, blue.

        Raises
        ------
        DataError
            If `X` has another shape or dtype.
        """
        check_images(X, self.size, self.channels)
        out = np.empty((len(X), self.n_features), dtype=np.float32)
        pixels = self.size * self.size
        mean = np.tile(np.asarray(self.mean, np.float32), pixels)
        scale = np.tile(np.float32(1) / np.asarray(self.std, np.float32), pixels)
        flat = X.reshape(out.shape)
        n_rows = max(1, _BUFFER // self.n_features)
        for start in range(0, len(X), n_rows):  # three passes while the rows are in the cache
            rows = out[start : start + n_rows]
            rows[...] = flat[start : start + n_rows]
            rows -= mean
            rows *= scale
        return out

    def to_json(self) -> dict[str, object]:
        """Return the schema as an object for JSON."""
        mean, std = list(self.mean), list(self.std)
        return {"kind": "image", "size": self.size, "mean": mean, "std": std}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a schema from a model file; `ModelFileError` if anything in it is wrong."""
        stored = JsonReader(value, "the image schema")
        stored.only("kind", "size", "mean", "std")
        stored.text("kind", ("image",))
        size = stored.whole("size", 1, MAX_SIZE)
        mean = _levels(stored, "mean", (1, 3), 0, 255)
        return cls(size, mean, _levels(stored, "std", (len(mean),), 1e-6, 128))


def _files_by_class(folder: Path) -> dict[str, list[Path]]:
    """List the files of each class folder; there is at least one, and none is empty."""
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"the picture folder {printable(folder)} {problem}: name a folder")
    folders, files = _list(folder)
    if not folders:
        raise DataError(
            f"the folder {printable(folder)} holds no class folder (and {len(files):,} files): put"
            " the pictures of each class into its folder, such as 'bears' and 'pandas'"
        )
    for name in (path.name for path in folders):
        if name.casefold() in _PARTS_OF_A_DATASET:
            raise DataError(
                f"the folder {printable(folder)} holds {name!r}, a part of a dataset rather than a"
                " class: name the folder that holds the classes, such as"
                f" {printable(folder / name)}"
            )
        if printable(name) != name:
            raise DataError(f"the name of the class folder {printable(folder / name)} is not UTF-8")
    by_class = {path.name: _files_below(path) for path in folders}
    for path in folders:
        if not by_class[path.name]:
            raise DataError(
                f"the class folder {printable(path)} is empty: put pictures into it or remove it"
            )
    return by_class


def _files_below(folder: Path) -> list[Path]:
    """List the visible files at any depth, sorted by their path."""
    files: list[Path] = []
    waiting = [folder]
    while waiting:
        folders, directly = _list(waiting.pop())
        files += directly
        waiting += [path for path in folders if not path.is_symlink()]  # a link may run in circles
    return sorted(files, key=lambda file: file.parts)


def _list(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the visible folders and files directly in a folder, each sorted by name."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(
            f"the folder {printable(folder)} cannot be read: {error.strerror}"
        ) from None
    visible = [p for p in entries if not p.name.startswith(".") and p.name not in _SYSTEM_NAMES]
    return [p for p in visible if p.is_dir()], [p for p in visible if not p.is_dir()]


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Yield threads (Pillow decodes without the interpreter lock); drop the queue at the end."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def constant_numbers(X: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which numbers of a row are equal in all pictures, shape (n_features,)."""
    return np.ravel(X.min(axis=0) == X.max(axis=0))


def to_gray(X: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the brightness of pixels as a last axis of 1, as Pillow computes it."""
    levels = X @ np.array([19_595, 38_470, 7_471], np.uint32)
    return ((levels + 32_768) >> 16).astype(np.uint8)[..., np.newaxis]


def check_images(X: NDArray[Any], size: int | None = None, channels: int | None = None) -> None:
    """Refuse arrays other than uint8 (m, size, size, 3 or 1), of any size by default."""
    n = X.shape[1] if size is None and X.ndim == 4 else size
    last = channels or (1 if X.shape[-1:] == (1,) else 3)
    if X.shape[1:] != (n, n, last) or X.dtype != np.uint8:
        side = "size" if size is None else size
        raise DataError(
            f"pictures must be uint8 (m, {side}, {side}, {last}), got {X.dtype} {X.shape}: read "
            "them with read_images"
        )


def _moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Compute mean and standard deviation from the counts of 0..255, in whole numbers."""
    n = int(counts.sum())
    total = sum(level * int(count) for level, count in enumerate(counts))
    squares = sum(level * level * int(count) for level, count in enumerate(counts))
    variance = n * squares - total * total  # times n * n
    return total / n, variance**0.5 / n if variance else 1.0


def _levels(
    stored: JsonReader, key: str, lengths: tuple[int, ...], low: float, high: float
) -> tuple[float, ...]:
    """Read a number for each channel, from `low` to `high`."""
    values = stored.numbers(key)
    if len(values) not in lengths or min(values) < low or max(values) > high:
        expected = " or ".join(map(str, lengths))
        raise stored.wrong(key, f"{expected} numbers from {low:g} to {high:g}", list(values))
    return tuple(values)
