"""Datasets: rows to train on, to validate with and to test on, and what they mean."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from plainnet.data.columns import Kind
from plainnet.data.decode import shown
from plainnet.data.images import ImageSchema, Progress, constant_numbers, read_images
from plainnet.data.privacy import DEFAULT_PRIVACY, Privacy
from plainnet.data.read_table import read_frame
from plainnet.data.splits import checked_classes, stratified_split
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target, Task, drop_unlabeled
from plainnet.errors import DataError

Array = NDArray[Any]
Grouping = Callable[[Array], NDArray[np.int64]]


class Examples(NamedTuple):
    """Some of the samples: inputs (table rows float32, pictures uint8) and encoded targets."""

    X: Array
    y: Array


@final
@dataclass
class Dataset:
    """Samples split in three, with what turns raw input into numbers fitted on the first part.

    Attributes
    ----------
    schema : TableSchema or ImageSchema
        Fitted on the training rows.
    target : Target
        What is to be predicted.
    train : Examples
        To learn from.
    validation, test : Examples or None
        To choose by, and to judge by.
    notes : list of str
        What a person should know: rows and files left out, the target that was taken.
    validation_rows, test_rows : array of int
        Which of all rows or pictures, counted from 0, are in ``validation`` and ``test``.
    """

    schema: TableSchema | ImageSchema
    target: Target
    train: Examples
    validation: Examples | None
    test: Examples | None
    notes: list[str] = field(default_factory=list)
    validation_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    test_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


class Source(ABC):
    """Samples that are read and understood, but not yet split."""

    m: int  # how many samples
    labels: Array | None  # the class of each, where there is one of several
    groups: NDArray[np.int64] | None  # samples of one number stay on one side of a split

    @abstractmethod
    def dataset(self, train: Array, validation: Array | None, test: Array | None) -> Dataset:
        """Make a data set from row numbers; schemas are fitted on `train` alone."""


@final
class TableSource(Source):
    """The rows of a table; the arguments are those of `table_dataset`."""

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        target: Sequence[str] = (),
        task: Task | None = None,
        kinds: Mapping[str, Kind] | None = None,
        group: Grouping | None = None,
        standardize: bool = True,
        privacy: Privacy = DEFAULT_PRIVACY,
    ) -> None:
        self._notes: list[str] = []
        self._standardize, self._privacy = standardize, privacy
        frame = read_frame(frame)
        if not target:
            target = (str(frame.columns[-1]),)
            self._notes.append(f"no target was named: taking the last column, {target[0]!r}")
        frame = drop_unlabeled(frame, target, self._notes)
        self._frame, self._target = frame, Target.infer(frame, target, task)
        if task is None:
            self._notes.append(f"no task was named: taking {self._target.task}; --task changes it")
        self._schema = TableSchema.infer(frame, exclude=target, kinds=kinds)
        known = kinds or {}
        if clash := [name for name in target if name in known]:
            raise DataError(
                f"{clash[0]!r} is the target, whose kind the task decides: give no kind for it"
            )
        named = self._target.task in ("binary", "multiclass")
        self.m, what = len(frame), self._target
        self.labels = _class_names(what.encode(frame), what.classes) if named else None
        self.groups = None
        if group is not None:
            self.groups = group(self._schema.normalize_spelling(self._schema.transform(frame)))

    def dataset(self, train: Array, validation: Array | None, test: Array | None) -> Dataset:
        """Fit schema and target on the rows to train on, and turn all into numbers."""
        rows = self._frame.iloc[train]
        schema, what = (
            self._schema.fit(rows, self._standardize, self._privacy),
            self._target.fit(rows),
        )

        def encoded(index: Array) -> Examples:
            part = self._frame.iloc[index]
            return Examples(schema.transform(part), what.encode(part))

        second, third = (None if i is None else encoded(i) for i in (validation, test))
        numbers = (_numbers(self._frame.index, part) for part in (validation, test))
        notes = [*self._notes, *schema.remarks()]
        return Dataset(schema, what, encoded(train), second, third, notes, *numbers)


@final
class PictureSource(Source):
    """Pictures; the arguments are those of `image_dataset`, and `skipped` files with reasons."""

    def __init__(
        self,
        X: Array,
        y: Array,
        classes: Sequence[str],
        *,
        group: Grouping | None = None,
        standardize: bool = True,
        skipped: Sequence[tuple[Path, str]] = (),
    ) -> None:
        binary = len(classes) == 2
        self._target = Target("binary" if binary else "multiclass", ("class",), tuple(classes))
        self._X, self._y, self.m = X, _class_numbers(y, self._target.task), len(X)
        self._notes, self._standardize = left_out(skipped), standardize
        self.labels = _class_names(y, classes)
        self.groups = None if group is None else group(X)

    def dataset(self, train: Array, validation: Array | None, test: Array | None) -> Dataset:
        """Copy the pictures of each part, and measure those to train on."""
        first = Examples(self._X[train], self._y[train])
        second, third = (
            None if i is None else Examples(self._X[i], self._y[i]) for i in (validation, test)
        )
        schema = ImageSchema.fit(first.X, self._standardize)
        numbers = (_numbers(np.arange(self.m), part) for part in (validation, test))
        notes = list(self._notes)
        if constant := np.count_nonzero(constant_numbers(first.X)):
            notes.append(
                f"{constant:,} of the {schema.n_features:,} numbers of a picture are the same in "
                f"all {len(first.X):,} training pictures, so they have no effect"
            )
        return Dataset(schema, self._target, first, second, third, notes, *numbers)


def read_source(
    path: str | Path,
    *,
    target: Sequence[str] = (),
    task: Task | None = None,
    kinds: Mapping[str, Kind] | None = None,
    size: int = 64,
    strict: bool = False,
    group: Grouping | None = None,
    standardize: bool = True,
    privacy: Privacy = DEFAULT_PRIVACY,
    progress: Progress | None = None,
) -> Source:
    """Read a table or a folder of class folders."""
    if not Path(path).is_dir():
        frame = read_frame(path)
        return TableSource(
            frame,
            target=target,
            task=task,
            kinds=kinds,
            group=group,
            standardize=standardize,
            privacy=privacy,
        )
    if target or kinds or task:
        raise DataError(
            f"{str(path)!r} is a folder of pictures, whose classes are its folders: "
            "a target, a task or column kinds make sense for tables only"
        )
    pictures = read_images(path, size, strict, progress)
    X, y, classes = pictures.X, pictures.y, pictures.classes
    skipped = [(file.relative_to(path), reason) for file, reason in pictures.skipped]
    return PictureSource(X, y, classes, group=group, standardize=standardize, skipped=skipped)


def split(
    source: Source,
    rng: np.random.Generator,
    *,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
) -> Dataset:
    r"""Split what was read in three."""
    return source.dataset(*parts(source, rng, test_fraction, validation_fraction))


def table_dataset(
    frame: pd.DataFrame,
    rng: np.random.Generator,
    *,
    target: Sequence[str] = (),
    task: Task | None = None,
    kinds: Mapping[str, Kind] | None = None,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
    group: Grouping | None = None,
    standardize: bool = True,
    privacy: Privacy = DEFAULT_PRIVACY,
) -> Dataset:
    """Split a table and turn it into numbers.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row a sample; rows that miss the target are left out with a note.
    rng : numpy.random.Generator
        Draws the split, which keeps the share of each class.
    target : sequence of str, default the last column
        What to predict; several columns make a multi-label task or several numbers.
    task : {"binary", "multiclass", "multilabel", "regression"}, optional
        Inferred from the target if not given.
    kinds : mapping of column to kind, optional
        What columns hold, where the inferred kind is wrong.
    test_fraction, validation_fraction : float, default 0.2 and 0.0
        Shares of all rows; 0 for none.
    group : callable, optional
        Numbers rows (features or pictures); rows of one number stay on one side of the split.
    standardize : bool, default True
        Whether numbers and pixels are standardized, or enter the network as they are.
    privacy : Privacy, optional
        Which levels and values of single rows the schema leaves out; by default none.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the table cannot be used.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": range(20), "y": ["a", "b"] * 10})
    >>> data = table_dataset(frame, np.random.default_rng(0), target=["y"], test_fraction=0.5)
    >>> data.train.X.dtype, data.notes
    (dtype('float32'), ['no task was named: taking binary; --task changes it'])
    """
    source = TableSource(
        frame,
        target=target,
        task=task,
        kinds=kinds,
        group=group,
        standardize=standardize,
        privacy=privacy,
    )
    return split(source, rng, test_fraction=test_fraction, validation_fraction=validation_fraction)


def image_dataset(
    X: Array,
    y: Array,
    classes: Sequence[str],
    rng: np.random.Generator,
    *,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
    group: Grouping | None = None,
    standardize: bool = True,
) -> Dataset:
    """Split pictures; they stay uint8.

    Parameters
    ----------
    X : array of uint8, shape (m, size, size, 3)
        The pictures.
    y : array of int, shape (m,)
        Class numbers.
    classes : sequence of str
        Their names.
    rng : numpy.random.Generator
        Draws the split, which keeps the share of each class.
    test_fraction, validation_fraction : float, default 0.2 and 0.0
        Shares of all rows; 0 for none.
    group : callable, optional
        Numbers rows (features or pictures); rows of one number stay on one side of the split.
    standardize : bool, default True
        Whether numbers and pixels are standardized, or enter the network as they are.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If a class has too few pictures to be on every side.

    Examples
    --------
    >>> X, y = np.zeros((10, 4, 4, 3), np.uint8), np.arange(10) % 2
    >>> data = image_dataset(X, y, ("bear", "panda"), np.random.default_rng(0))
    >>> data.train.X.shape, data.test.X.shape, data.target.task
    ((8, 4, 4, 3), (2, 4, 4, 3), 'binary')
    """
    source = PictureSource(X, y, classes, group=group, standardize=standardize)
    return split(source, rng, test_fraction=test_fraction, validation_fraction=validation_fraction)


def read_labeled(
    path: str | Path,
    schema: TableSchema | ImageSchema,
    target: Target,
    *,
    strict: bool = False,
    progress: Progress | None = None,
    notes: list[str] | None = None,
) -> Examples:
    r"""Read rows whose targets are known, as a trained model understands them."""
    notes = [] if notes is None else notes
    if isinstance(schema, TableSchema):
        frame = drop_unlabeled(read_frame(path), target.columns, notes)
        y = target.encode(frame)
        inputs = frame.drop(columns=list(target.columns))  # which are no columns too many
        return Examples(schema.transform(inputs, notes), y)
    pictures = read_images(path, schema.size, strict, progress, target.classes)
    notes += left_out(pictures.skipped, path)
    return Examples(pictures.X, _class_numbers(pictures.y, target.task))


def _class_numbers(y: Array, task: Task) -> Array:
    """Return class numbers in the form that the task's loss takes."""
    return y.astype(np.float32 if task == "binary" else np.int64)


def _class_names(y: Array, classes: Sequence[str]) -> Array:
    """Return the name of each row's class, for messages to name it."""
    return np.array(classes, object)[y.astype(np.intp)]


def left_out(skipped: Sequence[tuple[Path, str]], folder: str | Path = ".") -> list[str]:
    """Name the files left out and why, without the folders above them."""
    return [f"left out {shown(file.relative_to(folder))}: {reason}" for file, reason in skipped]


def _numbers(of_all: ArrayLike, index: Array | None) -> NDArray[np.int64]:
    """Return which of all rows a part holds."""
    return np.asarray(of_all, np.int64)[[] if index is None else index]


def parts(
    source: Source, rng: np.random.Generator, test: float, validation: float
) -> tuple[Array, Array | None, Array | None]:
    """Draw row numbers to train on, to validate with and to test on; see `split`."""
    if test + validation >= 1:
        raise DataError(
            f"a test share of {test} and a validation share of {validation} leave nothing to "
            "train on: their sum must be below 1"
        )
    labels, groups = source.labels, source.groups
    if sides := bool(test) + bool(validation):
        checked_classes(labels, source.m, groups, 1 + sides)
    train: Array = np.arange(source.m)
    held_out: dict[str, Array | None] = {"test": None, "validation": None}
    taken = 0.0
    for name, share in (("test", test), ("validation", validation)):
        if share:
            part = None if labels is None else labels[train]
            some = None if groups is None else groups[train]
            kept, out = stratified_split(part, share / (1 - taken), rng, some, len(train))
            train, held_out[name] = train[kept], train[out]
            taken += share
    return train, held_out["validation"], held_out["test"]
