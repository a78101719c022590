"""Datasets: examples to train on, to validate with and to test on, and their sources."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from plainnet.data.class_labels import ClassLabels
from plainnet.data.column_kinds import ColumnKind
from plainnet.data.decode import printable
from plainnet.data.images import ImageSchema, Progress, constant_numbers, read_images
from plainnet.data.privacy import DEFAULT_PRIVACY, Privacy
from plainnet.data.read_table import read_table
from plainnet.data.table import Table
from plainnet.data.table_schema import TableSchema, infer_columns
from plainnet.data.targets import Target, Task, drop_unlabeled
from plainnet.errors import DataError
from plainnet.nn.parameters import Array
from plainnet.train.row_file import RowStream

if TYPE_CHECKING:
    import pandas as pd

Grouping = Callable[[Array], NDArray[np.int64]]


class Examples(NamedTuple):
    """Inputs (table rows float32, pictures uint8) and encoded targets."""

    X: Array
    y: Array


@final
@dataclass
class Dataset:
    """Examples split in three, with a schema and a target fitted on the training part.

    Attributes
    ----------
    schema : TableSchema or ImageSchema
        Turns raw input into numbers; fitted on the training rows.
    target : Target
        The task, and the meaning of outputs.
    train : Examples
        To learn from.
    validation, test : Examples or None
        To choose by, and to evaluate on.
    notes : list of str
        Remarks for a person: rows and files left out, the target that was inferred.
    validation_rows, test_rows : array of int
        Numbers of the rows or pictures in ``validation`` and ``test``, counted from 0.
    stream : RowStream, optional
        All rows to learn from where they do not fit in memory; ``train`` is a sample of them.
    constant : array of bool, optional
        Which numbers of a picture are the same in all pictures to learn from.

    Examples
    --------
    >>> import pandas as pd
    >>> from plainnet.data import TableSource, split
    >>> frame = pd.DataFrame({"x": range(20), "y": ["a", "b"] * 10})
    >>> data = split(TableSource(frame, target=["y"]), np.random.default_rng(0), test_fraction=0.5)
    >>> data.train.X.dtype, data.test_rows.shape, data.notes
    (dtype('float32'), (10,), ['no task was named: taking binary; --task changes it'])
    """

    schema: TableSchema | ImageSchema
    target: Target
    train: Examples
    validation: Examples | None
    test: Examples | None
    notes: list[str] = field(default_factory=list)
    validation_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    test_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    stream: RowStream | None = None
    constant: NDArray[np.bool_] | None = None

    @property
    def m(self) -> int:
        """The number of rows to learn from."""
        return len(self.train.X) if self.stream is None else self.stream.rows.m


class Source(ABC):
    """Examples that are read but not yet split."""

    m: int  # number of examples
    labels: ClassLabels  # the class of each for a stratified split, or one name for all
    groups: NDArray[np.int64] | None  # examples of one number stay on one side of a split

    @abstractmethod
    def dataset(self, train: Array, validation: Array | None, test: Array | None) -> Dataset:
        """Make a dataset from row numbers; schema and target are fitted on `train` alone."""


@final
class TableSource(Source):
    """The rows of a table.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row for each example; rows without a target are left out with a note.
    target : sequence of str, default the last column
        The columns to predict; several make a multi-label task or several numbers.
    task : {"binary", "multiclass", "multilabel", "regression"}, optional
        Inferred from the target if not given.
    kinds : mapping of column to kind, optional
        Kinds of columns where the inferred ones are wrong.
    group : callable, optional
        Numbers rows by their features; rows of one number stay on one side of a split.
    standardize : bool, default True
        Whether numbers are standardized, or enter the network unscaled.
    privacy : Privacy, optional
        Which levels and values of single rows the schema leaves out; by default none.

    Raises
    ------
    DataError
        If the table cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> source = TableSource(pd.DataFrame({"x": range(20), "y": ["a", "b"] * 10}))
    >>> source.m, source.labels.names
    (20, ('a', 'b'))
    """

    def __init__(
        self,
        frame: "pd.DataFrame | Table",
        *,
        target: Sequence[str] = (),
        task: Task | None = None,
        kinds: Mapping[str, ColumnKind] | None = None,
        group: Grouping | None = None,
        standardize: bool = True,
        privacy: Privacy = DEFAULT_PRIVACY,
    ) -> None:
        self._notes: list[str] = []
        self._standardize, self._privacy = standardize, privacy
        table = read_table(frame)
        if not target:
            target = (list(table.columns)[-1],)
            self._notes.append(f"no target was named: taking the last column, {target[0]!r}")
        table = drop_unlabeled(table, target, self._notes)
        self._table, self._target = table, Target.infer(table, target, task)
        for name in target:
            table.compact(name, self._target.decimal if self._target.mean else None)
        if task is None:
            self._notes.append(f"no task was named: taking {self._target.task}; --task changes it")
        self._columns = infer_columns(table, target, kinds or {})
        if clash := [name for name in target if name in (kinds or {})]:
            raise DataError(
                f"{clash[0]!r} is the target, whose kind the task decides: give no kind for it"
            )
        self.m, self.groups = len(table), None
        self.labels = ClassLabels(np.zeros(self.m, np.int64), ("all rows",))
        if self._target.task in ("binary", "multiclass"):
            numbers = self._target.encode(table).astype(np.int64)
            self.labels = ClassLabels(numbers, self._target.classes)
        if group is not None:
            schema = TableSchema.fitted(self._columns, table)
            self.groups = group(schema.normalize_spelling(schema.transform(table)))

    def dataset(self, train: Array, validation: Array | None, test: Array | None) -> Dataset:
        """Fit schema and target on the rows to train on, and turn all rows into numbers."""
        rows = self._table.take(train)
        schema = TableSchema.fitted(self._columns, rows, self._standardize, self._privacy)
        target = self._target.fit(rows)

        def examples(index: Array) -> Examples:
            part = self._table.take(index)
            return Examples(schema.transform(part), target.encode(part))

        second, third = (None if i is None else examples(i) for i in (validation, test))
        numbers = [self._table.positions(part_index(i)) for i in (validation, test)]
        notes = [*self._notes, *schema.remarks()]
        parts = examples(train), second, third
        return Dataset(schema, target, *parts, notes, numbers[0], numbers[1])


@final
class ImageSource(Source):
    """Pictures in memory, which stay uint8.

    Parameters
    ----------
    X : array of uint8, shape (m, size, size, 3)
        The pictures.
    y : array of int, shape (m,)
        Class numbers.
    classes : sequence of str
        The names of the classes.
    group : callable, optional
        Numbers pictures; pictures of one number stay on one side of a split.
    standardize : bool, default True
        Whether pixels are standardized, or enter the network unscaled.
    skipped : sequence of (path, reason), default ()
        Files that could not be read, for the notes.

    Examples
    --------
    >>> from plainnet.data import split
    >>> X, y = np.zeros((10, 4, 4, 3), np.uint8), np.arange(10) % 2
    >>> data = split(ImageSource(X, y, ("bear", "panda")), np.random.default_rng(0))
    >>> data.train.X.shape, data.test.X.shape, data.target.task
    ((8, 4, 4, 3), (2, 4, 4, 3), 'binary')
    """

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
        self._target = image_target(classes)
        self._X, self._y, self.m = X, class_numbers(y, self._target.task), len(X)
        self._notes, self._standardize = left_out(skipped), standardize
        self.labels = ClassLabels(y.astype(np.int64), tuple(classes))
        self.groups = None if group is None else group(X)

    def dataset(self, train: Array, validation: Array | None, test: Array | None) -> Dataset:
        """Copy the pictures of each part, and fit the schema on those to train on."""
        first, second, third = (
            None if index is None else Examples(self._X[index], self._y[index])
            for index in (train, validation, test)
        )
        assert first is not None
        schema, constant = ImageSchema.fit(first.X, self._standardize), constant_numbers(first.X)
        notes = [*self._notes, *note_constant(constant, len(first.X))]
        numbers = (part_index(validation), part_index(test))
        parts = first, second, third
        return Dataset(schema, self._target, *parts, notes, *numbers, constant=constant)


def read_source(
    path: str | Path,
    *,
    size: int = 64,
    strict: bool = False,
    header: bool = True,
    progress: Progress | None = None,
    **options: Any,
) -> Source:
    """Read a table or a folder of class folders; further options as for `TableSource`."""
    if not Path(path).is_dir():
        text = [*options.get("target", ()), *(options.get("kinds") or ())]
        return TableSource(read_table(path, header=header, text=text), **options)
    options = image_options(options)
    images = read_images(path, size, strict, progress)
    skipped = [(file.relative_to(path), reason) for file, reason in images.skipped]
    return ImageSource(images.X, images.y, images.classes, skipped=skipped, **options)


def image_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for pictures among those of `TableSource`; refuse those for tables."""
    if any(options.get(name) for name in ("target", "kinds", "task")):
        raise DataError("target, task and kind are for tables only: leave them out for pictures")
    return {name: options[name] for name in ("group", "standardize") if name in options}


def image_target(classes: Sequence[str]) -> Target:
    """Return the target of pictures."""
    return Target("binary" if len(classes) == 2 else "multiclass", ("class",), tuple(classes))


def note_constant(constant: NDArray[np.bool_], m: int) -> list[str]:
    """Note that some numbers are the same in all of m training pictures."""
    if not constant.any():
        return []
    return [
        f"{np.count_nonzero(constant):,} of the {len(constant):,} numbers of a picture are the "
        f"same in all {m:,} training pictures, so they have no effect"
    ]


def class_numbers(y: Array, task: Task) -> Array:
    """Return class numbers in the form that the task's loss takes."""
    return y.astype(np.float32 if task == "binary" else np.int64)


def left_out(skipped: Sequence[tuple[Path, str]], folder: str | Path = ".") -> list[str]:
    """Name the files left out and why, without the folders above them."""
    return [f"left out {printable(file.relative_to(folder))}: {reason}" for file, reason in skipped]


def part_index(part: Array | None) -> NDArray[np.int64]:
    """Return row numbers; none where there is no such part."""
    return np.zeros(0, np.int64) if part is None else part.astype(np.int64)
