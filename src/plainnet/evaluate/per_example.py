"""Single examples: their names, their scores, and the removal of extreme examples."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.errors import DataError
from plainnet.model import Model, are_moderate
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Examples
    from plainnet.data.images import Progress

Floats = NDArray[np.float64]
_NAMED = 5  # examples that are named; the others are counted


class NamedExamples(NamedTuple):
    """Examples with known targets, named by the number of the row (from 1) or the picture file."""

    names: Sequence[Any] | Array
    X: Array
    y: Array
    numbers: Array | None = None  # of rows or picture files as read, from 1; those left out count
    all_rows: Mapping[str, float] | None = None  # number and scores of those that these are some of

    @property
    def rows(self) -> "Examples":
        """The examples without their names."""
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
    """Read examples with known targets."""
    from plainnet.data.dataset import left_out
    from plainnet.data.decode import printable
    from plainnet.data.image_folder import image_files
    from plainnet.data.images import ImageSchema, read_images
    from plainnet.data.read_table import read_table
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import drop_unlabeled

    notes = [] if notes is None else notes
    schema, target = model.schema, model.target
    if isinstance(schema, TableSchema):
        text = {*schema.text_columns, *target.columns} if schema.header else None
        table = read_table(path, header=schema.header, text=text)
        table = drop_unlabeled(table, target.columns, notes)
        X = schema.transform(table.without(target.columns), notes)
        numbers = table.positions(np.arange(len(table))) + 1
        return NamedExamples(numbers, X, target.encode(table), numbers)
    assert isinstance(schema, ImageSchema)
    images = read_images(path, schema.size, strict, progress, target.classes, schema.channels)
    notes += left_out(images.skipped, path)
    names = tuple(printable(file.relative_to(Path(path))) for file in images.files)
    y = images.y.astype(np.float32 if target.task == "binary" else np.int64)
    all_files = {file: i for i, file in enumerate(image_files(path), 1)}
    numbers = np.array([all_files[file] for file in images.files], np.int64)
    return NamedExamples(names, images.X, y, numbers)


def drop_extremes(model: Model, rows: NamedExamples, notes: list[str]) -> NamedExamples:
    """Drop examples with values or outputs too large to evaluate, such as fill values."""
    usable = are_usable(model, rows.X, rows.y, model.forward(rows.X, check=False))
    if usable.all():
        return rows
    notes.append(_describe_dropped(model, rows, np.flatnonzero(~usable)))
    kept = np.flatnonzero(usable)
    names = np.asarray(rows.names)[kept]
    numbers = None if rows.numbers is None else rows.numbers[kept]
    return NamedExamples(names, rows.X[kept], rows.y[kept], numbers)


def are_usable(model: Model, X: Array, y: Array, Z: Array) -> NDArray[np.bool_]:
    """Return which examples have no value, output or target too large to evaluate."""
    usable = are_moderate(Z)
    if model.transform is None:
        usable &= are_moderate(X)
    if model.target.task == "regression":
        usable &= are_moderate(y)
    return usable


def _describe_dropped(model: Model, rows: NamedExamples, dropped: NDArray[np.int64]) -> str:
    """Name the examples that are dropped, and the column that is the likely cause."""
    from plainnet.evaluate.feature_spans import feature_spans

    one, first = len(dropped) == 1, dropped[0]
    names = ", ".join(str(rows.names[i]) for i in dropped[:_NAMED])
    if len(dropped) > _NAMED:
        names += f" and {len(dropped) - _NAMED:,} more"
    reason = f"{'its' if one else 'their'} values or predictions are too large to evaluate"
    if model.transform is not None:
        return f"left out {names}: {reason}"
    x, y = np.abs(rows.X[first]), np.abs(np.ravel(rows.y[first]))
    spans = feature_spans(model.schema)
    column = next(span.name for span in spans if span.start <= x.argmax() < span.stop)
    if model.target.task == "regression" and not y.max() <= x.max():
        column = model.target.columns[int(y.argmax())]
    where = "" if one else f" in row {rows.names[first]}"
    return (
        f"left out {'row' if one else 'rows'} {names}: {reason} (the most extreme value{where} is "
        f"in column {column!r})"
    )


def read_usable(
    model: Model,
    path: Any,
    notes: list[str],
    *,
    strict: bool = False,
    progress: "Progress | None" = None,
) -> NamedExamples:
    """Read examples with known targets, without those that `drop_extremes` drops."""
    rows = read_rows(model, path, strict=strict, progress=progress, notes=notes)
    kept = drop_extremes(model, rows, notes)
    if not len(kept.X):
        model.forward(rows.X)  # raises an error that names the extreme number
        raise DataError(f"no row is left: {notes[-1]}")
    return kept


def drop_extreme_rows(
    model: Model, data: "Dataset", part: Literal["validation", "test"]
) -> "Dataset":
    """Drop the extreme rows of one part of a data set."""
    rows, numbers, notes = getattr(data, part), getattr(data, f"{part}_rows"), list(data.notes)
    if rows is None:
        return data
    numbers = numbers if len(numbers) else np.arange(len(rows.X))
    named = NamedExamples(numbers + 1, *rows)
    kept = drop_extremes(model, named, notes)
    if kept is named:
        return data
    index = np.asarray(kept.names) - 1
    fewer: dict[str, Any] = {part: kept.rows if len(index) else None, f"{part}_rows": index}
    return replace(data, notes=notes, **fewer)


def row_scores(model: Model, Z: Array, y: Array) -> Floats:
    """Return the share of right labels of each row, or the mean absolute error in the unit of y."""
    if model.target.task == "regression":
        return np.asarray((np.abs(Z - y) * np.asarray(model.target.scale)).mean(axis=1))
    right = np.asarray(model.loss.metric_values(Z, y), np.float64)
    return right if right.ndim == 1 else np.asarray(right.mean(axis=1))
