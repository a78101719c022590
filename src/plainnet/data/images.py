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
from typing import Any, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.decode import MAX_SIZE, decode, printable, require_size, unusable
from plainnet.data.image_folder import ImageFolder, Skipped
from plainnet.errors import DataError
from plainnet.storage.json_reader import JsonReader

_BUFFER = 131_072  # floats in a block of rows: 512 KiB
_BLOCK = 256  # files queued for the threads at a time, at most
_BYTES = 2**24  # of the pictures that are decoded at a time

Progress = Callable[[int, int], None]  # called with files done and files in all after each file


class Images(NamedTuple):
    """The pictures of a folder, resized to one size."""

    X: NDArray[np.uint8]  # red, green and blue from 0 to 255, or gray alone
    y: NDArray[np.int64]  # for each picture the index of its class in `classes`
    classes: tuple[str, ...]  # the names of the class folders, sorted
    files: list[Path]  # the file of each picture
    skipped: Skipped


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
    images = ImageFolder.of(Path(folder), classes, strict)
    X, kept, skipped = read_files(images.files, size, strict, progress, channels or 3)
    if channels is None and are_gray(X):
        X = X[..., :1].copy()
    y = images.numbers(kept)
    images.require_all_classes(y, skipped)
    return Images(X, y, images.classes, kept, images.stray + skipped)


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

    kept: list[Path] = []
    skipped: Skipped = []
    for pixels, decoded, left_out in decode_files(paths, size, strict, progress, channels):
        X[len(kept) : len(kept) + len(decoded)] = pixels
        kept += decoded
        skipped += left_out
    return X[: len(kept)], kept, skipped


def decode_files(
    paths: Sequence[Path],
    size: int,
    strict: bool = False,
    progress: Progress | None = None,
    channels: int = 3,
) -> Iterator[tuple[NDArray[np.uint8], list[Path], Skipped]]:
    """Decode pictures with several threads; yield some of them, their files, and skipped files."""
    require_size(size)

    def read(path: Path) -> NDArray[np.uint8] | str:
        try:
            pixels = decode(path, size)
        except DataError as error:
            return str(error)
        return pixels if channels == 3 else to_gray(pixels)

    n_kept, first, most = 0, "", max(8, min(_BLOCK, _BYTES // (3 * size * size)))
    with _threads() as pool:
        for start in range(0, len(paths), most):
            block = paths[start : start + most]
            X = np.empty((len(block), size, size, channels), np.uint8)
            kept: list[Path] = []
            skipped: Skipped = []
            with warnings.catch_warnings(action="ignore"):  # real problems are reasons to skip
                for i, (path, found) in enumerate(zip(block, pool.map(read, block), strict=True)):
                    if not isinstance(found, str):
                        X[len(kept)] = found
                        kept.append(path)
                    elif strict:
                        raise unusable(path, found)
                    else:
                        skipped.append((path, found))
                        first = first or f"; the first, {printable(path)}: {found}"
                    if progress is not None:
                        progress(start + i + 1, len(paths))
            n_kept += len(kept)
            yield X[: len(kept)], kept, skipped
    if not n_kept:
        raise DataError(f"none of {len(paths):,} files is a picture that can be used{first}")


def are_gray(X: NDArray[np.uint8]) -> bool:
    """Whether red, green and blue of all pictures are equal."""
    return all(np.array_equal(X[..., 0], X[..., i]) for i in (1, 2))


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
        return cls.of_levels(X.shape[1], count_levels(X), standardize)

    @classmethod
    def of_levels(cls, size: int, counts: NDArray[np.int64], standardize: bool = True) -> Self:
        """Return the schema of training pictures whose levels `count_levels` has counted."""
        if not standardize:
            return cls(size, (0.0,) * len(counts), (1.0,) * len(counts))
        return cls(size, *zip(*map(_moments, counts), strict=True))

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


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Yield threads (Pillow decodes without the interpreter lock); drop the queue at the end."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def count_levels(X: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the pixels of each level in each channel, shape (channels, 256)."""
    counts = np.zeros((X.shape[3], 256), dtype=np.int64)
    for image in X:  # one at a time: counting needs eight bytes for each pixel
        for channel, levels in enumerate(counts):
            levels += np.bincount(image[..., channel].ravel(), minlength=256)
    return counts


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
