"""Labels: what a person calls classes, and the numbers that a loss takes."""

from typing import Any, cast

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.estimators.api import warn_of_column
from plainnet.estimators.validation import dense
from plainnet.nn.parameters import Array


def labels(y: Any, owner: str) -> Array:
    """Return labels as an array: of one class a row, or of a 0 or 1 for each label."""
    table = dense(y, owner, "y")
    if isinstance(y, list | tuple) and table.dtype.kind == "f":  # 2**60 + 1 beside a 1.0, say
        table = np.array(y, dtype=object)
    if table.ndim == 2 and table.shape[1] == 1:
        warn_of_column(owner)
        table = table.ravel()
    if table.dtype.kind == "c":
        raise PlainnetError(f"Complex data not supported: {owner} takes classes in y")
    if table.dtype.kind == "O":
        table = _of_objects(table, owner)
    if table.ndim == 2:
        return _indicators(table, owner)
    if table.ndim != 1:
        raise PlainnetError(
            f"y should be a 1d array, or a table of 0 and 1 for several labels, got an array of "
            f"shape {table.shape}"
        )
    if table.dtype.kind == "f":
        _require_whole(table, owner)
    elif table.dtype.kind not in "biuUSO":
        raise PlainnetError(
            f"Unknown label type: {owner} takes texts, whole numbers or booleans "
            f"in y, got {table.dtype}"
        )
    return table


def _of_objects(table: Array, owner: str) -> Array:
    """Keep texts as they are; turn Python numbers into NumPy's where these hold them exactly."""
    flat = [x.item() if isinstance(x, np.generic) else x for x in table.ravel().tolist()]
    if all(isinstance(label, str) for label in flat):
        return table
    for row, label in enumerate(flat):
        if label is None or str(label) in ("<NA>", "nan", "NaT"):
            raise PlainnetError(
                f"{owner}: y holds no label in row {row // (table.size // len(table))} "
                f"({label!r}): leave rows without a label out"
            )
    if all(isinstance(label, bool) for label in flat):
        return table.astype(bool)
    if all(isinstance(label, int | float) for label in flat):
        return _exactly(flat, owner).reshape(table.shape)
    kinds = sorted({type(label).__name__ for label in flat})
    raise PlainnetError(
        f"Unknown label type: {owner} takes texts or whole numbers in y, got {' and '.join(kinds)}"
    )


def _exactly(labels: list[int | float], owner: str) -> Array:
    """Return numbers as an array that holds each of them: of Python's ints if no other does."""
    table = np.array(labels)
    kinds = "iu" if all(isinstance(label, int) for label in labels) else "f"
    if table.dtype.kind in kinds and table.tolist() == labels:
        return table
    _require_whole(np.array([x if isinstance(x, float) else 0.0 for x in labels]), owner)
    return np.array([int(label) for label in labels], dtype=object)


def _require_whole(table: Array, owner: str) -> None:
    """Refuse labels that are missing or have decimals."""
    finite = np.isfinite(table)
    if not finite.all():
        row = int(np.argmin(finite))
        raise PlainnetError(
            f"{owner}: y holds {'NaN' if np.isnan(table[row]) else 'infinity'} in row {row}: "
            "leave rows without a label out"
        )
    whole = table == np.floor(table)
    if not whole.all():
        row = int(np.argmin(whole))
        raise PlainnetError(
            f"Unknown label type: y is continuous ({table[row]} in row {row}), and {owner} "
            "takes classes: use NetRegressor, or round y"
        )


def _indicators(table: Array, owner: str) -> Array:
    if table.dtype.kind not in "biuf" or not np.isin(table, (0, 1)).all():
        raise PlainnetError(
            f"Unknown label type: y of shape {table.shape} must hold a 0 or 1 for each label, and "
            f"this one holds other things; {owner} takes one class a row as y of shape (m,)"
        )
    return table.astype(int)


def class_numbers(table: Array, classes: Array, owner: str) -> Array:
    """Return the number of each row's class."""
    numbers = numbers_or_none(table, classes)
    if numbers.min(initial=0) < 0:
        label = table[numbers < 0].tolist()[0]
        raise PlainnetError(
            f"{owner}: y holds the class {label!r}, which is none of those it was trained on: "
            f"{listed(classes)}"
        )
    return numbers


def numbers_or_none(table: Array, classes: Array) -> Array:
    """Return the number of each row's class, -1 for a label that is no class."""
    present, inverse = np.unique(table, return_inverse=True)
    known = {label: number for number, label in enumerate(classes.tolist())}
    numbers = np.array([known.get(label, -1) for label in present.tolist()], dtype=np.intp)
    return cast(Array, numbers[inverse])


def class_weights(weights: Any, classes: Array, owner: str) -> Any:
    """Translate weights of classes into weights of class numbers."""
    if weights is None or (isinstance(weights, str) and weights == "balanced"):
        return weights
    if not isinstance(weights, dict):
        raise PlainnetError(
            f"class_weight must be 'balanced' or map classes to weights, got {weights!r}"
        )
    known = {label: number for number, label in enumerate(classes.tolist())}
    for label in weights:
        if label not in known:
            raise PlainnetError(
                f"{owner}: class_weight names the class {label!r}, and y holds {listed(classes)}"
            )
    return {known[label]: weight for label, weight in weights.items()}


def listed(classes: Array) -> str:
    """Return the first ten classes, as a message names them."""
    names = [repr(name) for name in classes[:10].tolist()]
    return ", ".join([*names, *(["..."] if len(classes) > 10 else [])])
