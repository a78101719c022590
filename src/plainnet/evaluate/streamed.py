"""Tables larger than memory in an evaluation: scores of all rows, and a sample for all else."""

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
    from plainnet.data.table_schema import TableSchema

_SAMPLED = 2  # a use of the random numbers of rows


def sample_and_score(
    model: Model, schema: "TableSchema", path: Path, notes: list[str]
) -> NamedExamples:
    """Return a random sample of the rows of a table, with the scores of all of them."""
    from plainnet.data.row_sample import uniform
    from plainnet.data.stream import most_rows, rows_of
    from plainnet.data.table_stream import TableStream

    target, loss = model.target, with_smoothing(model.loss, 0.0)
    most = most_rows(schema.n_features)
    text = {*schema.text_columns, *target.columns} if schema.header else None
    m, n, sums = 0, 0, np.zeros(2)
    kept: list[list[Array]] = []  # keys, X, y, numbers
    for table in TableStream(path, schema.header, text):
        rows = rows_of(table, target.columns)
        keys = uniform([_SAMPLED], m, len(table))[rows]
        part, numbers = table.take(rows), rows + m + 1
        m += len(table)
        X, y = schema.transform(part.without(target.columns)), target.encode(part)
        Z = model.forward(X, check=False)
        usable = np.flatnonzero(are_usable(model, X, y, Z))
        Z, encoded = Z[usable], loss.encode(y, model.net.n_out, model.net.dtype)[usable]
        sums += loss.per_example(Z, encoded).sum(), row_scores(model, Z, encoded).sum()
        n += len(usable)
        kept = _smallest(most, [*kept, [a[usable] for a in (keys, X, y, numbers)]])
    if not n:
        raise DataError(f"no row of {path.name!r} has a target and can be evaluated")
    mean_loss, mean = (sums / n).tolist()
    name, key, score = "accuracy", "accuracy", percent(mean)
    if target.task == "regression":
        name, key, score = "mean absolute error", "mae", number(mean)
    _, X, y, numbers = _smallest(most, kept, join=True)[0]
    notes.append(
        f"{path.name} does not fit in memory: {len(X):,} of its rows, drawn at random, are "
        f"evaluated; of all {n:,} rows with a target, the {name} is {score} and the loss "
        f"{number(mean_loss)}"
    )
    return NamedExamples(numbers, X, y, numbers, {"rows": n, "loss": mean_loss, key: mean})


def _smallest(most: int, parts: list[list[Array]], join: bool = False) -> list[list[Array]]:
    """Join arrays once they have many rows, and keep the rows with the smallest keys, in order."""
    if not join and sum(len(keys) for keys, *_ in parts) <= 2 * most:
        return parts
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    chosen = np.sort(np.argsort(joined[0], kind="stable")[:most])
    return [[array[chosen] for array in joined]]
