"""Picture folders: the files of each class, and those beside the classes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from plainnet.data.decode import printable, unusable
from plainnet.errors import DataError

_SYSTEM_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_PARTS_OF_A_DATASET = frozenset(
    {"train", "training", "training_set", "test", "testing", "test_set"}
    | {"val", "valid", "validation"}
)

Skipped = list[tuple[Path, str]]  # files that were left out, each with the reason


class ImageFolder(NamedTuple):
    """A folder that holds a folder of pictures for each class."""

    path: Path
    by_class: dict[str, list[Path]]
    classes: tuple[str, ...]
    stray: Skipped  # files beside the class folders

    @classmethod
    def of(cls, path: Path, classes: Sequence[str] | None = None, strict: bool = False) -> Self:
        """List a folder; refuse others than the classes of a model, or fewer than two."""
        by_class = _files_by_class(path)
        if classes is None:
            if len(by_class) < 2:
                raise DataError(
                    f"the folder {printable(path)} holds one class folder,"
                    f" {printable(next(iter(by_class)))!r}: at least 2 are needed, one for each"
                    " class, such as 'bears' and 'pandas'"
                )
            classes = tuple(by_class)
        if unknown := by_class.keys() - set(classes):
            raise DataError(
                f"the folder {printable(path)} holds the class {min(unknown)!r}, which is not one"
                f" of {', '.join(classes)}: rename or remove it"
            )
        reason = "lies beside the class folders, so has no class"
        stray = [(file, reason) for file in _list(path)[1]]
        if strict and stray:
            raise unusable(*stray[0])
        return cls(path, by_class, tuple(classes), stray)

    @property
    def files(self) -> list[Path]:
        """The files of all classes, class by class."""
        return [file for paths in self.by_class.values() for file in paths]

    def numbers(self, files: Sequence[Path]) -> NDArray[np.int64]:
        """Return the class numbers of some files."""
        number, place = {name: i for i, name in enumerate(self.classes)}, len(self.path.parts)
        return np.array([number[file.parts[place]] for file in files], np.int64)

    def require_all_classes(self, y: NDArray[np.int64], skipped: Skipped) -> None:
        """Refuse a class folder without a file that can be used."""
        present = {self.classes[k] for k in np.unique(y)}
        if empty := self.by_class.keys() - present:
            name = min(empty)
            first = self.by_class[name][0]
            raise DataError(
                f"no picture of the class {name!r} can be used; the first, {printable(first)}: "
                f"{dict(skipped)[first]}"
            )


def image_files(path: str | os.PathLike[str]) -> list[Path]:
    """List the files at a path that may be pictures, for a prediction without classes."""
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"there is no file or folder {printable(path)}: check its name")
    files = files_below(path)
    if not files:
        raise DataError(f"the folder {printable(path)} holds no visible file: put pictures into it")
    return files


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
    by_class = {path.name: files_below(path) for path in folders}
    for path in folders:
        if not by_class[path.name]:
            raise DataError(
                f"the class folder {printable(path)} is empty: put pictures into it or remove it"
            )
    return by_class


def files_below(folder: Path) -> list[Path]:
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
