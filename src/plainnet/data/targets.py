"""Targets: the task, its classes or units; encode target cells, decode predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self, final, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.data.column_kinds import NumberColumn
from plainnet.data.columns import MANY, Cells
from plainnet.data.labels import are_numbers, label_number, refuse_rounded, written_label
from plainnet.data.table import Table, absent_column
from plainnet.errors import DataError
from plainnet.nn.losses import is_positive
from plainnet.storage.json_reader import JsonReader, damaged, listed, shortened

if TYPE_CHECKING:
    import pandas as pd

Task = Literal["binary", "multiclass", "multilabel", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)

_LARGEST = 1e100  # mean and scale of a number: squares of predictions stay finite
_FEW_ROWS = 10  # in fewer, values that all differ are usual
_DIGITS = 10  # distinct integers that may still be class labels
_SEPARATOR = ";"


def drop_unlabeled(table: Table, columns: Sequence[str], notes: list[str] | None = None) -> Table:
    """Leave out the rows without a target, with a note."""
    cells = _read(table, columns)
    missing = np.any([c.absent for c in cells], axis=0)
    n = int(np.count_nonzero(missing))
    if n == len(table):
        raise DataError(f"All {n:,} rows miss the target {listed(columns)}; choose another target.")
    if n and notes is not None:
        rows = listed(cells[0].rows[missing].tolist(), 10)
        noun = "data row" if n == 1 else f"{n:,} data rows:"
        notes.append(f"Left out without the target {listed(columns)}: {noun} {rows}.")
    return table.take(np.flatnonzero(~missing)) if n else table


@final
@dataclass(frozen=True)
class Target:
    """The target of a prediction: encodes target cells as `y`, and decodes outputs to labels.

    Parameters
    ----------
    task : {"binary", "multiclass", "multilabel", "regression"}
        The kind of prediction.
    columns : tuple of str
        The target columns.
    classes : tuple of str
        The classes, the positive one last if there are two; the labels of a multilabel task; empty
        for regression.
    mean, scale : tuple of float
        Of each target of a regression, from the training rows, in its own unit; empty otherwise.
    decimal : {".", ","}, default "."
        The decimal sign in the text of a regression target.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"happy": ["No", "Yes", "Yes"]})
    >>> target = Target.infer(frame, ["happy"])
    >>> target.task, target.classes, target.encode(frame)
    ('binary', ('No', 'Yes'), array([0., 1., 1.], dtype=float32))
    >>> target.decode(np.array([[0.9], [0.2]]))
    array(['Yes', 'No'], dtype=object)
    """

    task: Task
    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    decimal: str = "."

    @classmethod
    def infer(
        cls, frame: "pd.DataFrame | Table", columns: Sequence[str], task: str | None = None
    ) -> Self:
        """Infer task and classes from the target columns, unless `task` is given.

        One column: cells with semicolons are lists of labels, multilabel. Two distinct values are
        binary. Numbers with a fraction, more than 20 distinct ones, or more than half as many as
        rows (from 10 rows on) are regression; so are more than 10 whole numbers most of which
        follow each other in equal steps, such as counts, ages or marks. Ten digits, codes with gaps
        and text are multiclass. Several columns are multilabel if all hold Yes/No or 0/1, and
        regression if all hold numbers. Classes are sorted, as numbers where they are numbers; of
        two, the last one (yes, true, 1) is the positive one.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            Cells as text or typed, none of the target columns missing (see `drop_unlabeled`).
        columns : sequence of str
            At least one.
        task : {"binary", "multiclass", "multilabel", "regression"}, optional
            Replaces the inferred task.

        Returns
        -------
        Target
            For regression with the statistics of all rows; call `fit` with the training rows.

        Raises
        ------
        DataError
            If a column or task is unknown, a cell is missing, there is only one class, or the cells
            do not fit the task.
        """
        cells = _complete(frame, columns)
        if task is not None and task not in TASKS:
            raise DataError(
                f"There is no task {shortened(task)}; choose one of {', '.join(TASKS)}."
            )
        chosen: Task = _task(cells) if task is None else task
        if chosen in ("binary", "multiclass") and len(cells) > 1:
            raise DataError(
                f"A {chosen} target is one column, not {len(cells)}; give one, or choose "
                "multilabel or regression."
            )
        if chosen == "regression":
            point = not any(np.isnan(c.numbers()).any() for c in cells)
            comma = not point and not any(np.isnan(c.numbers(",")).any() for c in cells)
            return cls(chosen, tuple(columns), decimal="," if comma else ".").fit(frame)
        if chosen == "multilabel":
            return cls(chosen, tuple(columns), _labels(cells))
        return cls(chosen, tuple(columns), _classes(cells[0], chosen))

    def fit(self, frame: "pd.DataFrame | Table") -> Self:
        """Return a regression target with mean and scale of the training rows; others unchanged.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            The training rows.

        Returns
        -------
        Target

        Raises
        ------
        DataError
            If a cell is missing or not a finite number, or if a target is the same in all rows.
        """
        if self.task != "regression":
            return self
        cells = _complete(frame, self.columns)
        numbers = [NumberColumn.fit(c, self.decimal) for c in cells]
        for column in numbers:
            if column.low == column.high:
                raise DataError(
                    f"The target {shortened(column.name)} is {column.low:g} in every row; "
                    "there is nothing to learn, choose another target."
                )
            if max(abs(column.mean), column.scale) > _LARGEST:
                raise DataError(
                    f"The target {shortened(column.name)} holds numbers beyond {_LARGEST:g}; "
                    "give them in another unit."
                )
        return replace(
            self,
            mean=tuple(c.mean for c in numbers),
            scale=tuple(c.scale for c in numbers),
        )

    @property
    def n_out(self) -> int:
        """Number of outputs: 1 for binary, otherwise one for each class, label or number."""
        if self.task == "binary":
            return 1
        return len(self.columns) if self.task == "regression" else len(self.classes)

    def describe(self) -> str:
        """Return one line for people, such as ``binary: 'happy' is 'No' (0) or 'Yes' (1)``."""
        names = listed(self.columns, 10)
        if self.task == "regression":
            return f"regression: {names}"
        if self.task == "binary":
            negative, positive = map(shortened, self.classes)
            return f"binary: {names} is {negative} (0) or {positive} (1)"
        noun = "classes" if self.task == "multiclass" else "labels"
        return f"{self.task}: {names} has {len(self.classes)} {noun}: {listed(self.classes, 10)}"

    def encode(self, frame: "pd.DataFrame | Table") -> NDArray[Any]:
        """Encode the target cells for the loss.

        Parameters
        ----------
        frame : pandas.DataFrame, m rows
            With the target columns, no cell of them missing.

        Returns
        -------
        ndarray
            Binary: float32 (m,), 0 or 1. Multiclass: int64 (m,), indices of `classes`. Multilabel:
            float32 (m, n_out), 0 or 1. Regression: float32 (m, n_out), standardized.

        Raises
        ------
        DataError
            If a column is absent, or a cell is missing, holds an unknown class or label, or is not
            a finite number; the message names row, column and value.
        """
        cells = _complete(frame, self.columns)
        if self.task == "regression":
            units = zip(cells, self.mean, self.scale, strict=True)
            with np.errstate(over="ignore"):  # such cells are refused
                z = [c.standardized(self.decimal, mean, scale) for c, mean, scale in units]
            return np.stack(z, axis=1).astype(np.float32)
        if self.task == "multilabel" and len(cells) > 1:
            answers = [c.only_answers()[c.codes] for c in cells]
            return np.stack(answers, axis=1).astype(np.float32)
        if self.task == "multilabel":
            index = {name: i for i, name in enumerate(self.classes)}
            labels = [_split(text) for text in cells[0].texts()]
            unknown = [not each <= index.keys() for each in labels]
            self._refuse_unknown(cells[0], np.array(unknown, np.bool_))
            hot = np.zeros((len(labels), len(index)), np.float32)
            for row, each in zip(hot, labels, strict=True):
                row[[index[label] for label in each]] = 1.0
            return hot[cells[0].codes]
        y = self._class_indices(cells[0])[cells[0].codes]
        return y.astype(np.float32) if self.task == "binary" else y

    def decode(self, A: ArrayLike) -> NDArray[Any]:
        """Decode predictions of the loss to labels, or numbers in their own unit.

        Parameters
        ----------
        A : array_like, shape (m, n_out), or (m,) where n_out is 1
            Probabilities, or standardized numbers for regression.

        Returns
        -------
        ndarray
            Binary (positive above 0.5) and multiclass (the most probable, the first of equals):
            names of classes, dtype object, shape (m,). Multilabel (above 0.5): bool, (m, n_out).
            Regression: float64, (m, n_out), in the unit of the table.

        Raises
        ------
        DataError
            If `A` has another shape.
        """
        A = np.asarray(A)
        if A.ndim == 1 and self.n_out == 1:
            A = A[:, np.newaxis]
        if A.ndim != 2 or A.shape[1] != self.n_out:
            raise DataError(
                f"The {self.task} target expects predictions of shape (m, {self.n_out}), "
                f"got {A.shape}."
            )
        if self.task == "regression":
            return np.asarray(A.astype(np.float64) * self.scale + self.mean)
        if self.task == "multilabel":
            return is_positive(A)
        names = np.array(self.classes, dtype=object)
        return np.asarray(
            names[is_positive(A[:, 0]).astype(np.int64) if self.n_out == 1 else A.argmax(axis=1)]
        )

    def to_json(self) -> dict[str, object]:
        """Return the target as an object for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in self.__dict__.items()
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a target from a model file; `ModelFileError` if anything in it is wrong."""
        fields = JsonReader(value, "the target")
        fields.only("task", "columns", "classes", "mean", "scale", "decimal")
        target = cls(
            fields.typed("task", Task),
            fields.texts("columns"),
            fields.texts("classes"),
            fields.numbers("mean"),
            fields.numbers("scale", positive=True),
            fields.text("decimal", (".", ",")),
        )
        if not target._is_possible():
            raise damaged(
                f"the target's columns, classes, mean and scale do not fit its task, {target.task}"
            )
        return target

    def _is_possible(self) -> bool:
        """Return whether the fields fit each other."""
        n, k = len(self.columns), len(self.classes)
        if self.task == "regression":
            fits = n >= 1 and k == 0 and len(self.mean) == len(self.scale) == n
            return fits and max(map(abs, (*self.mean, *self.scale))) <= _LARGEST
        if self.mean or self.scale:
            return False
        if self.task == "multilabel":
            return k >= 1 and (n == 1 or (n > 1 and self.columns == self.classes))
        return n == 1 and (k == 2 if self.task == "binary" else k >= 2)

    def _class_indices(self, cells: Cells) -> NDArray[np.int64]:
        """Return the class of each distinct value: as written, or as a number."""
        index = {name: i for i, name in enumerate(self.classes)}
        numbers = {label_number(n): i for n, i in index.items()} if are_numbers(index) else {}
        indices = np.array(
            [index.get(text, numbers.get(label_number(text), -1)) for text in cells.texts()],
            np.int64,
        )
        self._refuse_unknown(cells, indices < 0)
        return indices

    def _refuse_unknown(self, cells: Cells, unknown: NDArray[np.bool_]) -> None:
        cells.refuse_values(unknown, f"is not among the {self.task} classes {listed(self.classes)}")


def _read(frame: "pd.DataFrame | Table", columns: Sequence[str]) -> list[Cells]:
    """Return the cells of the target columns."""
    table = Table.of(frame)
    if len(columns) == 0 or len(set(columns)) < len(columns):
        raise DataError(
            f"The target is given as {shortened(list(columns))}; name at least one column, "
            "and each once."
        )
    for name in columns:
        if name not in table.columns:
            raise absent_column(name, list(table.columns), "the target")
    return [table[name] for name in columns]


def _complete(frame: "pd.DataFrame | Table", columns: Sequence[str]) -> list[Cells]:
    """Return the cells of the target columns, of which none may be missing."""
    cells = _read(frame, columns)
    for c in cells:
        if c.missing:
            raise DataError(
                f"{c.location(c.absent)}: the target is missing (so it is in {c.missing:,} of "
                f"{len(c.rows):,} rows); fill these cells, or leave the rows out."
            )
    return cells


def _task(cells: list[Cells]) -> Task:
    """Infer the task from the cells; see `Target.infer`."""
    if len(cells) > 1:
        if not any(np.isnan(c.answers()).any() for c in cells):
            return "multilabel"
        if all(c.are_numbers() for c in cells):
            return "regression"
        raise DataError(
            f"The targets {listed([c.name for c in cells])} are neither all Yes/No nor all "
            "numbers; name one column, or columns of the same kind."
        )
    (c,) = cells
    if c.contain(_SEPARATOR):
        return "multilabel"
    m = len(c.rows)
    if c.many and c.are_numbers():
        return "regression"
    n = len(c.distinct)
    if n <= 2:
        return "binary"
    if c.are_numbers():
        many = (n > m / 2 and m >= _FEW_ROWS) or _are_steps(c.numbers(c.decimal))
        return "multiclass" if c.are_integers() and not many else "regression"
    if n > max(MANY, m / 2):
        raise DataError(
            f"The target {shortened(c.name)} holds {n:,} different texts in {m:,} rows, too many "
            "to be classes; choose another target, or set the task."
        )
    return "multiclass"


def _are_steps(numbers: NDArray[np.float64]) -> bool:
    """Return whether numbers are many, and most of them one equal step apart."""
    steps = np.diff(np.unique(numbers))
    return len(steps) >= _DIGITS and bool(np.mean(steps == steps.min()) > 0.5)


def _classes(cells: Cells, task: Task) -> tuple[str, ...]:
    """Return the sorted classes; refuse two that are written differently but mean the same."""
    if not np.isnan(cells.numbers()).any() and cells.are_numbers():
        refuse_rounded(cells)
        classes = tuple(sorted({written_label(text) for text in cells.texts()}, key=label_number))
        alike = [a for a in pairwise(classes) if label_number(a[0]) == label_number(a[1])]
        difference = "are the same number"
    else:
        classes = tuple(sorted(cells.texts(), key=lambda text: (text.casefold(), text)))
        alike = [a for a in pairwise(classes) if a[0].casefold() == a[1].casefold()]
        difference = "differ in letter case alone"
    if alike:
        pair = " and ".join(map(shortened, sorted(alike[0])))
        raise DataError(
            f"The target {shortened(cells.name)} holds {pair}, "
            f"which {difference}; write them alike."
        )
    if len(classes) < 2 or (task == "binary" and len(classes) > 2):
        wanted = "exactly 2" if task == "binary" else "at least 2"
        raise DataError(
            f"A {task} target needs {wanted} classes, and {shortened(cells.name)} has "
            f"{len(classes)} ({listed(classes) or 'no rows'}); choose another target or task."
        )
    return classes


def _labels(cells: list[Cells]) -> tuple[str, ...]:
    """Return the labels of a multilabel target."""
    if len(cells) > 1:
        for c in cells:
            c.only_answers()
        return tuple(c.name for c in cells)
    labels = sorted(set().union(*(_split(text) for text in cells[0].texts())))
    if not labels:
        raise DataError(
            f"The target {shortened(cells[0].name)} holds no label in any row; choose another."
        )
    return tuple(labels)


def _split(text: str) -> set[str]:
    """Return the labels in one cell."""
    return {label.strip() for label in text.split(_SEPARATOR)} - {""}
