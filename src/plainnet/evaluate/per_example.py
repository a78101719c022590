"""Row by row: the samples of a file with their names, and the loss and score of each."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.errors import DataError
from plainnet.model import Model, are_moderate
from plainnet.nn.losses import is_positive
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Examples
    from plainnet.data.images import Progress

Floats = NDArray[np.float64]
_NAMED = 5  # samples that are named before the rest is only counted


class NamedExamples(NamedTuple):
    """Samples with known targets: their names, inputs as the model takes them, and targets.

    A row of a table is named by its number in the file, counted from 1; a picture by its file.
    """

    names: tuple[str, ...]
    X: Array
    y: Array

    @property
    def rows(self) -> "Examples":
        """The samples without their names."""
        from plainnet.data.dataset import Examples

        return Examples(self.X, self.y)


def read_rows(
    model: Model,
    path: Any,
    *,
    strict: bool = False,
    progress: "Progress | None" = None,
    notes: list[str] | None = None,
) -> NamedExamples:
    """Read samples whose targets are known, each with its name."""
    from plainnet.data.dataset import left_out
    from plainnet.data.decode import printable
    from plainnet.data.images import ImageSchema, read_images
    from plainnet.data.read_table import read_frame
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import drop_unlabeled

    notes = [] if notes is None else notes
    schema, target = model.schema, model.target
    if isinstance(schema, TableSchema):
        frame = read_frame(path)
        frame = drop_unlabeled(frame.set_axis(range(len(frame))), target.columns, notes)
        X = schema.transform(frame.drop(columns=list(target.columns)), notes)
        return NamedExamples(tuple(str(i + 1) for i in frame.index), X, target.encode(frame))
    assert isinstance(schema, ImageSchema)
    found = read_images(path, schema.size, strict, progress, target.classes)
    notes += left_out(found.skipped, path)
    names = tuple(printable(file.relative_to(Path(path))) for file in found.files)
    y = found.y.astype(np.float32 if target.task == "binary" else np.int64)
    return NamedExamples(names, found.X, y)


def usable(model: Model, found: NamedExamples, notes: list[str]) -> NamedExamples:
    """Leave out samples whose values or outputs are too large to evaluate, such as fill values."""
    sound = are_moderate(model.forward(found.X, check=False))
    if model.transform is None:
        sound &= are_moderate(found.X)
    if model.target.task == "regression":
        sound &= are_moderate(found.y)
    if sound.all():
        return found
    notes.append(_left_out(model, found, np.flatnonzero(~sound)))
    kept = np.flatnonzero(sound)
    return NamedExamples(tuple(found.names[i] for i in kept), found.X[kept], found.y[kept])


def _left_out(model: Model, found: NamedExamples, far: NDArray[np.int64]) -> str:
    """Describe the samples left out, with the column that is the likely cause."""
    from plainnet.evaluate.one_rule import feature_spans

    names = ", ".join(found.names[i] for i in far[:_NAMED])
    more = f" and {len(far) - _NAMED:,} more" if len(far) > _NAMED else ""
    their = "its" if len(far) == 1 else "their"
    text = f"{their} values or predictions are too large to evaluate"
    if model.transform is not None:
        return f"left out {names}{more}: {text}"
    x, y = np.abs(found.X[far[0]]), np.abs(np.ravel(found.y[far[0]]))
    name = next(p.name for p in feature_spans(model.schema) if p.start <= x.argmax() < p.stop)
    if model.target.task == "regression" and not y.max() <= x.max():
        name = model.target.columns[int(y.argmax())]
    rows = "row" if len(far) == 1 else "rows"
    first = "" if len(far) == 1 else f" in row {found.names[far[0]]}"
    return (
        f"left out {rows} {names}{more}: {text} (the most extreme value{first} is in column "
        f"{name!r})"
    )


def read_usable(
    model: Model,
    path: Any,
    notes: list[str],
    *,
    strict: bool = False,
    progress: "Progress | None" = None,
) -> NamedExamples:
    """Read samples as `read_rows` does, and leave out what `usable` does."""
    found = read_rows(model, path, strict=strict, progress=progress, notes=notes)
    kept = usable(model, found, notes)
    if not kept.names:
        model.forward(found.X)  # refuses it with the row and its output
        raise DataError(f"no row is left: {notes[-1]}")
    return kept


def without_far(model: Model, data: "Dataset", part: Literal["validation", "test"]) -> "Dataset":
    """Apply `usable` to one part of a data set."""
    rows, numbers, notes = getattr(data, part), getattr(data, f"{part}_rows"), list(data.notes)
    if rows is None:
        return data
    numbers = numbers if len(numbers) else np.arange(len(rows.X))
    named = NamedExamples(tuple(str(i + 1) for i in numbers), *rows)
    found = usable(model, named, notes)
    if found is named:
        return data
    index = np.array([int(name) - 1 for name in found.names], np.int64)
    less: dict[str, Any] = {part: found.rows if found.names else None, f"{part}_rows": index}
    return replace(data, notes=notes, **less)


def row_scores(model: Model, Z: Array, y: Array) -> Floats:
    """Compute the score of each row: 1 where the answer is right, or the error of a number."""
    task = model.target.task
    if task == "regression":
        return np.asarray((np.abs(Z - y) * np.asarray(model.target.scale)).mean(axis=1))
    if task == "multiclass":
        return np.asarray(Z.argmax(axis=1) == y, np.float64)
    return np.asarray((is_positive(model.loss.predictions(Z)) == (y > 0.5)).mean(axis=1))
