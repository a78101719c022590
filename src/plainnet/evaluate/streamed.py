"""Data larger than memory in an evaluation: scores of all rows, and a sample for all else."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from plainnet.errors import DataError
from plainnet.evaluate.per_example import NamedExamples, are_usable, row_scores
from plainnet.formatting import number, percent
from plainnet.model import Model
from plainnet.nn.losses import with_smoothing
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema, Progress
    from plainnet.data.table_schema import TableSchema

_SAMPLED = 2  # a use of the random numbers of rows


def table_parts(model: Model, schema: "TableSchema", path: Path) -> Iterator[NamedExamples]:
    """Yield the rows of a table that have a target, some at a time."""
    from plainnet.data.survey import rows_of
    from plainnet.data.table_stream import TableStream

    target, m = model.target, 0
    text = {*schema.text_columns, *target.columns} if schema.header else None
    for table in TableStream(path, schema.header, text):
        rows = rows_of(table, target.columns)
        part, numbers = table.take(rows), rows + m + 1
        m += len(table)
        X, y = schema.transform(part.without(target.columns)), target.encode(part)
        yield NamedExamples(numbers, X, y, numbers)


def image_parts(
    model: Model,
    schema: "ImageSchema",
    path: Path,
    strict: bool,
    progress: "Progress | None",
    notes: list[str],
) -> Iterator[NamedExamples]:
    """Yield the pictures of a folder, some at a time, and note those that are left out."""
    from plainnet.data.dataset import class_numbers, left_out
    from plainnet.data.decode import printable
    from plainnet.data.image_folder import ImageFolder, Skipped, image_files
    from plainnet.data.images import decode_files

    target, images = model.target, ImageFolder.of(path, model.target.classes, strict)
    number = {file: i for i, file in enumerate(image_files(path), 1)}
    present, skipped = np.zeros(len(images.classes), np.bool_), Skipped()
    size, channels = schema.size, schema.channels
    for X, kept, unusable in decode_files(images.files, size, strict, progress, channels):
        y = images.numbers(kept)
        present[y] = True
        skipped += unusable
        names = np.array([printable(file.relative_to(path)) for file in kept], np.str_)
        numbers = np.array([number[file] for file in kept], np.int64)
        yield NamedExamples(names, X, class_numbers(y, target.task), numbers)
    images.require_all_classes(np.flatnonzero(present), skipped)
    notes += left_out(images.stray + skipped, path)


def sample_and_score(
    model: Model, name: str, parts: Iterable[NamedExamples], most: int, notes: list[str]
) -> NamedExamples:
    """Return a random sample of examples that come in parts, with the scores of all of them."""
    from plainnet.data.row_sample import uniform

    target, loss = model.target, with_smoothing(model.loss, 0.0)
    n, sums = 0, np.zeros(2)
    kept: list[list[Array]] = []  # keys, X, y, numbers, names
    for names, X, y, numbers, _ in parts:
        if numbers is None or not len(X):
            continue
        first, last = int(numbers[0]), int(numbers[-1])
        keys = uniform([_SAMPLED], first - 1, last - first + 1)[numbers - first]
        Z = model.forward(X, check=False)
        usable = np.flatnonzero(are_usable(model, X, y, Z))
        Z, encoded = Z[usable], loss.encode(y, model.net.n_out, model.net.dtype)[usable]
        sums += loss.per_example(Z, encoded).sum(), row_scores(model, Z, encoded).sum()
        n += len(usable)
        arrays = keys, X, y, numbers, np.asarray(names)
        kept = _smallest(most, [*kept, [a[usable] for a in arrays]])
    if not n:
        raise DataError(f"no row of {name!r} has a target and can be evaluated")
    mean_loss, mean = (sums / n).tolist()
    measure, key, score = "accuracy", "accuracy", percent(mean)
    if target.task == "regression":
        measure, key, score = "mean absolute error", "mae", number(mean)
    _, X, y, numbers, names = _smallest(most, kept, join=True)[0]
    unit, which = ("rows", "rows with a target") if model.transform is None else ("pictures",) * 2
    notes.append(
        f"{name} does not fit in memory: {len(X):,} of its {unit}, drawn at random, are "
        f"evaluated; of all {n:,} {which}, the {measure} is {score} and the loss "
        f"{number(mean_loss)}"
    )
    return NamedExamples(names, X, y, numbers, {"rows": n, "loss": mean_loss, key: mean})


def _smallest(most: int, parts: list[list[Array]], join: bool = False) -> list[list[Array]]:
    """Join arrays once they have many rows, and keep the rows with the smallest keys, in order."""
    if not join and sum(len(keys) for keys, *_ in parts) <= 2 * most:
        return parts
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    chosen = np.sort(np.argsort(joined[0], kind="stable")[:most])
    return [[array[chosen] for array in joined]]
