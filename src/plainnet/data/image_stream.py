"""Picture folders larger than memory: decoded once to a cache, from which `fit` reads them."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.class_labels import ClassLabels
from plainnet.data.dataset import (
    Dataset,
    Examples,
    Source,
    class_numbers,
    image_target,
    left_out,
    note_constant,
    part_index,
)
from plainnet.data.decode import printable, require_size
from plainnet.data.image_folder import ImageFolder, Skipped
from plainnet.data.images import ImageSchema, Progress, are_gray, count_levels, decode_files
from plainnet.data.row_cache import RowCache
from plainnet.data.stream import note_absent, note_parts
from plainnet.data.survey import window_bytes
from plainnet.errors import DataError
from plainnet.storage.json_reader import JsonReader
from plainnet.train.row_file import RowFile, RowLayout, RowStream

_BLOCK = 2**16  # bytes of a block, at most or of one picture
_COUNTED = 2**22  # bytes of the pictures whose levels are counted at a time
_MEMORY = 2**30  # bytes that pictures may take, unless a bound is given
_FEWEST = 100  # pictures of a part in memory
_PART = "pictures"  # the one file of a cache

Indices = NDArray[np.int64]


class Decoded(NamedTuple):
    """The description of decoded pictures."""

    unusable: tuple[int, ...]  # numbers of the files that are left out
    notes: tuple[str, ...]

    @classmethod
    def from_json(cls, about: JsonReader) -> "Decoded":
        """Read the description."""
        return cls(about.wholes("unusable"), about.texts("notes", distinct=False))


def most_images(image_bytes: int, memory: int | None, share: int) -> int:
    """Return how many pictures take one part of so many of the memory."""
    return max(_FEWEST, (_MEMORY if memory is None else memory) // share // image_bytes)


@final
class StreamedImages(Source):
    """The pictures of a folder in a cache, of which only some are in memory.

    The cache lies in `folder`, by default beside the pictures.
    """

    def __init__(
        self,
        path: Path,
        size: int,
        strict: bool,
        standardize: bool,
        memory: int | None,
        folder: Path | None,
        progress: Progress | None,
    ) -> None:
        require_size(size)
        images = ImageFolder.of(path, strict=strict)
        source, order = _fingerprint(images), _stored_order(len(images.files))
        cache = RowCache(path, folder, {"pictures": source, "size": size})
        cached = cache.load(Decoded.from_json)
        self._reused = cached is not None and not (strict and cached[0].notes)
        if cached is None or not self._reused:
            _decode(images, source, order, cache, size, strict, progress)
            cached = cache.load_written(Decoded.from_json)
        decoded, parts = cached
        self._rows, self._notes = parts[_PART], decoded.notes
        self._standardize, self._memory = standardize, memory
        usable = np.ones(len(order), np.bool_)
        usable[list(decoded.unusable)] = False
        self._picture = (np.cumsum(usable) - 1)[order[usable[order]]]  # the number of each row
        self._row = np.argsort(self._picture)
        self._y = images.numbers(images.files)[usable]
        self._target = image_target(images.classes)
        self.m, self.groups = len(self._y), None
        self.labels = ClassLabels(self._y.astype(np.int64), tuple(images.classes))

    def dataset(self, train: Indices, validation: Indices | None, test: Indices | None) -> Dataset:
        """Fit the schema on all pictures to train on; read some of them, and the others."""
        rows, layout = self._rows.select(np.sort(self._row[train])), self._rows.layout
        levels, constant = _statistics(rows)
        schema = ImageSchema.of_levels(layout.shape[0], levels, self._standardize)
        few, many = (most_images(layout.row_bytes, self._memory, share) for share in (8, 4))
        some, second, third = part_index(train), part_index(validation), part_index(test)
        notes = [*self._notes, *note_constant(constant, rows.m)]
        notes += note_parts("pictures", (len(second), len(third)), many)
        some, second, third = (
            self._some(some, few),
            self._some(second, many),
            self._some(third, many),
        )
        if len(some) < rows.m:
            notes.append(
                "baselines, copies and the doctor's findings are those of a sample of "
                f"{len(some):,} of the {rows.m:,} training pictures"
            )
        held_out = [self._read(part) if len(part) else None for part in (second, third)]
        counts = np.bincount(self._y[train], minlength=len(self._target.classes)).tolist()
        notes += note_absent("picture", self._target, counts, *held_out)
        window = max(1, window_bytes(self._memory) // layout.row_bytes)
        return Dataset(
            schema,
            self._target,
            self._read(some),
            held_out[0],
            held_out[1],
            notes,
            second,
            third,
            RowStream(rows, window, tuple(counts), self._row[some], self._reused),
            constant,
        )

    def _some(self, pictures: Indices, most: int) -> Indices:
        """Return pictures, or so many of them that are evenly spread, as they are stored."""
        if len(pictures) > most:
            pictures = pictures[np.linspace(0, len(pictures) - 1, most).astype(np.int64)]
        return self._picture[np.sort(self._row[pictures])]

    def _read(self, pictures: Indices) -> Examples:
        X, y = self._rows.select(self._row[pictures]).all()[0], self._y[pictures]
        return Examples(X, class_numbers(y, self._target.task))


def _fingerprint(images: ImageFolder) -> list[Any]:
    """Return the number of files and a hash of their names, sizes and times of change."""
    sha, files = hashlib.sha256(), images.files + [file for file, _ in images.stray]
    for file in files:
        try:
            status = file.stat()
            facts = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # such as a link that leads nowhere
            facts = ""
        sha.update(f"{printable(file.relative_to(images.path))}\0{facts}\0".encode())
    return [len(files), sha.hexdigest()]


def _stored_order(n: int) -> Indices:
    """Return the random order in which n files are stored, so that each block has all classes."""
    return np.random.default_rng(0).permutation(n)


def _decode(
    images: ImageFolder,
    source: list[Any],
    order: Indices,
    cache: RowCache,
    size: int,
    strict: bool,
    progress: Progress | None,
) -> None:
    """Write all pictures to a cache: one channel as long as all are gray, else from the start."""
    files = images.files
    number = {file: i for i, file in enumerate(files)}
    for channels in (1, 3):
        shape = size, size, channels
        layout = RowLayout(shape, "uint8", 1, max(1, _BLOCK // (size * size * channels)))
        skipped: Skipped = []
        with cache.writing(layout, len(files), (_PART,)) as writers:
            stored = [files[i] for i in order]
            for X, kept, unusable in decode_files(stored, size, strict, progress):
                if channels == 1 and not are_gray(X):
                    break
                targets = images.numbers(kept)[:, None].astype(np.float32)
                writers[_PART].add(X[..., :channels].copy(), targets)
                skipped += unusable
            else:
                skipped.sort(key=lambda each: number[each[0]])
                numbers = [number[file] for file, _ in skipped]
                y = np.delete(images.numbers(files), numbers)
                images.require_all_classes(y, skipped)
                if _fingerprint(ImageFolder.of(images.path)) != source:
                    raise DataError(
                        f"the pictures in {printable(images.path)} changed while they were read: "
                        "wait until the folder is complete, and train again"
                    )
                notes = left_out(images.stray + skipped, images.path)
                cache.finish(writers, Decoded(tuple(numbers), tuple(notes))._asdict())
                return


def _statistics(rows: RowFile) -> tuple[Indices, NDArray[np.bool_]]:
    """Count the levels of pictures, and find the numbers that are equal in all of them."""
    shape = rows.layout.shape
    counts, low = np.zeros((shape[-1], 256), np.int64), np.full(shape, 255, np.uint8)
    high = np.zeros(shape, np.uint8)
    for X, _ in rows.parts(max(1, _COUNTED // rows.layout.row_bytes)):
        counts += count_levels(X)
        low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
    return counts, np.ravel(low == high)
