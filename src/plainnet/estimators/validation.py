"""Validation of X and y: arrays of numbers, names of columns, labels and their numbers."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn, cast, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.errors import PlainnetError
from plainnet.estimators.api import sklearn_class, warn
from plainnet.nn.parameters import Array
from plainnet.train.inputs import sample_weights


@final
class NotNumbersError(PlainnetError, TypeError):
    """A cell that cannot be converted to a number."""


def numbers(X: Any, owner: str, name: str = "X") -> Array:
    """Return rows as a table of finite numbers."""
    table = floats(X, owner, name)
    if table.ndim != 2:
        raise PlainnetError(
            f"{owner} expects {name} with samples as rows and features as columns, got an array of "
            f"shape {table.shape}. Reshape your data with {name}.reshape(-1, 1) if it is one "
            f"feature, with {name}.reshape(1, -1) if it is one sample, or with "
            f"{name}.reshape(len({name}), -1) if each sample has several axes"
        )
    for count, noun in zip(table.shape, ("sample", "feature"), strict=True):
        if not count:
            raise PlainnetError(
                f"{owner}: {name} has 0 {noun}(s) (shape={table.shape}) "
                "while a minimum of 1 is required."
            )
    table = np.ascontiguousarray(table)  # else sums of the same numbers differ in the last bit
    finite = np.isfinite(table)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        cell, remedy = f"infinity ({table[row, column]})", "remove it first"
        if np.isnan(table[row, column]):
            cell, remedy = "NaN", "fill it first, for example with SimpleImputer"
        raise PlainnetError(f"{owner}: {name} holds {cell} in row {row}, column {column}: {remedy}")
    return table


def pictures(X: Any, owner: str, name: str = "X") -> Array:
    """Return pictures (m, height, width, channels) of finite numbers; uint8 stays uint8."""
    given = np.asarray(X)
    given = given if given.dtype == np.uint8 else floats(given, owner, name)
    if given.ndim != 4 or not given.size:
        raise PlainnetError(
            f"{owner} with network='convnet' expects {name} as pictures of shape (m, height, "
            f"width, channels), got an array of shape {given.shape}: reshape it, or take "
            "network='mlp' for rows of numbers"
        )
    finite = np.isfinite(given)
    if not finite.all():
        number = int(np.argwhere(~finite)[0, 0])
        raise PlainnetError(
            f"{owner}: {name} holds a number that is not finite in picture {number}: correct it"
        )
    return given


def require_finite(
    rows: Array, scale: Callable[[Array], Array], dtype: Any, owner: str, name: str
) -> None:
    """Refuse a cell that is not finite in a dtype after scaling."""
    with np.errstate(over="ignore"):
        ends = rows if len(rows) <= 2 else np.stack([rows.min(axis=0), rows.max(axis=0)])
        if np.isfinite(scale(ends).astype(dtype)).all():
            return
        finite = np.isfinite(scale(rows).astype(dtype))
    row, column = (int(i) for i in np.argwhere(~finite)[0])
    remedy = ", or set dtype='float64'" if dtype == np.float32 else ""
    raise PlainnetError(
        f"{owner}: {name} holds {rows[row, column]} in row {row}, column {column}, which is "
        f"too large for a network in {dtype}: correct it{remedy}"
    )


def require_finite_outputs(Z: Array, owner: str) -> Array:
    """Return the outputs of a network; refuse numbers that are not finite."""
    finite = np.isfinite(Z)
    if not finite.all():
        row = int(finite.all(axis=1).argmin())
        raise PlainnetError(
            f"{owner}: the network's output for row {row} of X is {Z[row].tolist()}: "
            "the numbers of that row, or the weights, are too large"
        )
    return Z


def score_weights(sample_weight: ArrayLike | None, m: int) -> Array | None:
    """Check the sample weights of ``score``; at least one must be above 0."""
    weight = sample_weights(sample_weight, m)
    if weight is not None and not weight.any():
        raise PlainnetError("sample_weight of score is all zero: some rows must count")
    return weight


def floats(data: Any, owner: str, name: str) -> Array:
    """Return numbers of any shape as float32 or float64, finite or not."""
    table = dense(data, owner, name)
    if table.dtype.kind == "c":
        raise PlainnetError(f"Complex data not supported: {owner} expects real numbers in {name}")
    if table.dtype == np.float32:
        return table
    if table.dtype.kind not in "biufOUS":
        raise PlainnetError(f"{owner} expects numbers in {name}, got {table.dtype}")
    try:
        return table.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        _refuse_cell(table, owner, name)


def _refuse_cell(table: Array, owner: str, name: str) -> NoReturn:
    """Raise an error that names the first cell that is not a number."""
    for index in np.ndindex(table.shape):
        try:
            float(table[index])
        except (TypeError, ValueError) as error:
            position = "row {}, column {}" if len(index) == 2 else "row {}"
            cell = table[index]
            remedy = "encode it first, for example with OneHotEncoder"
            if cell is None or str(cell) == "<NA>":
                remedy = "fill it first, for example with SimpleImputer"
            if name == "y":
                remedy = "it takes numbers as targets"
            message = (
                f"{owner} expects numbers, but {name} holds {cell if cell is None else str(cell)!r}"
                f" in {position.format(*index)}: {remedy}"
            )
            if isinstance(error, TypeError):
                raise NotNumbersError(f"{message} ({error})") from None
            raise PlainnetError(message) from None
    raise PlainnetError(f"{owner} expects numbers in {name}, got {table.dtype}")


def dense(data: Any, owner: str, name: str) -> Array:
    """Return any array_like or sparse matrix as a dense array."""
    scipy_sparse = sys.modules.get("scipy.sparse")  # loaded if there is a sparse matrix
    try:
        if scipy_sparse is not None and scipy_sparse.issparse(data):
            return np.asarray(data.toarray())
        return np.asarray(data)
    except ValueError as error:
        raise PlainnetError(f"{owner}: {name} cannot be made an array: {error}") from None
    except MemoryError:
        raise PlainnetError(
            f"{owner}: {name} of shape {data.shape} does not fit into memory as a dense array: "
            "take fewer features, for example with TruncatedSVD"
        ) from None


def feature_names(X: Any) -> Array | None:
    """Return the names of a DataFrame's columns."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = list(columns)
    texts = sum(isinstance(name, str) for name in names)
    if not texts:
        return None
    if texts < len(names):
        raise NotNumbersError(
            "some column names of X are strings and others are not: make all of them strings, for "
            "example with X.columns = X.columns.astype(str)"
        )
    return np.array(names, dtype=object)


def check_names(fitted: Array | None, given: Array | None, owner: str) -> None:
    """Compare the names of columns with those of the training; messages as in scikit-learn."""
    if fitted is None and given is None:
        return
    if fitted is None or given is None:
        text = (
            f"X has feature names, but {owner} was fitted without feature names"
            if fitted is None
            else f"X does not have valid feature names, but {owner} was fitted with feature names"
        )
        warn(text, UserWarning)
        return
    then, now = fitted.tolist(), given.tolist()
    if then == now:
        return
    parts = [
        ("Feature names unseen at fit time:", sorted(set(now) - set(then))),
        ("Feature names seen at fit time, yet now missing:", sorted(set(then) - set(now))),
    ]
    lines = [f"{head}\n{_listed(names)}" for head, names in parts if names]
    lines = lines or ["Feature names must be in the same order as they were in fit.\n"]
    raise PlainnetError(
        "The feature names should match those that were passed during fit.\n" + "".join(lines)
    )


def _listed(names: list[str], most: int = 5) -> str:
    lines = [f"- {name}\n" for name in names[:most]]
    return "".join([*lines, *(["- ...\n"] if len(names) > most else [])])


def labels(y: Any, owner: str) -> Array:
    """Return labels as an array: one class per row, or a 0 or 1 for each label."""
    table = dense(y, owner, "y")
    if isinstance(y, list | tuple) and table.dtype.kind == "f":  # [2**60 + 1, 1.0] was rounded
        table = np.array(y, dtype=object)
    if table.ndim == 2 and table.shape[1] == 1:
        warn(
            f"A column-vector y was passed when a 1d array was expected: {owner} takes y.ravel()",
            sklearn_class("DataConversionWarning", UserWarning),
        )
        table = table.ravel()
    if table.dtype.kind == "c":
        raise PlainnetError(f"Complex data not supported: {owner} takes classes in y")
    if table.dtype.kind == "O":
        table = _from_objects(table, owner)
    if table.ndim == 2:
        return _indicators(table, owner)
    if table.ndim != 1:
        raise PlainnetError(
            f"y should be a 1d array, or a table of 0 and 1 for several labels, got an array of "
            f"shape {table.shape}"
        )
    if table.dtype.kind == "f":
        _require_integers(table, owner)
    elif table.dtype.kind not in "biuUSO":
        raise PlainnetError(
            f"Unknown label type: {owner} takes texts, whole numbers or booleans "
            f"in y, got {table.dtype}"
        )
    return table


def _from_objects(table: Array, owner: str) -> Array:
    """Return texts unchanged, and Python numbers as NumPy numbers if these are exact."""
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
        return _exact_integers(flat, owner).reshape(table.shape)
    kinds = sorted({type(label).__name__ for label in flat})
    raise PlainnetError(
        f"Unknown label type: {owner} takes texts or whole numbers in y, got {' and '.join(kinds)}"
    )


def _exact_integers(labels: list[int | float], owner: str) -> Array:
    """Return numbers as an array without rounding, if need be of Python integers."""
    table = np.array(labels)
    kinds = "iu" if all(isinstance(label, int) for label in labels) else "f"
    if table.dtype.kind in kinds and table.tolist() == labels:
        return table
    _require_integers(np.array([x if isinstance(x, float) else 0.0 for x in labels]), owner)
    return np.array([int(label) for label in labels], dtype=object)


def _require_integers(table: Array, owner: str) -> None:
    """Refuse labels that are missing or have decimals."""
    require_targets(table, owner, "label")
    integer = table == np.floor(table)
    if not integer.all():
        row = int(np.argmin(integer))
        raise PlainnetError(
            f"Unknown label type: y is continuous ({table[row]} in row {row}), and {owner} "
            "takes classes: use NetRegressor, or round y"
        )


def require_targets(table: Array, owner: str, noun: str) -> None:
    """Refuse targets that are not finite."""
    finite = np.isfinite(table)
    if not finite.all():
        row, *column = (int(i) for i in np.argwhere(~finite)[0])
        cell = "NaN" if np.isnan(table[row, *column]) else "infinity"
        raise PlainnetError(
            f"{owner}: y holds {cell} in row {row}: leave rows without a {noun} out"
        )


def _indicators(table: Array, owner: str) -> Array:
    if table.dtype.kind not in "biuf" or not np.isin(table, (0, 1)).all():
        raise PlainnetError(
            f"Unknown label type: y of shape {table.shape} must hold a 0 or 1 for each label, and "
            f"this one holds other values; {owner} takes one class per row as y of shape (m,)"
        )
    return table.astype(int)


def class_numbers(table: Array, classes: Array, owner: str) -> Array:
    """Return the number of each row's class."""
    numbers = numbers_or_none(table, classes)
    if numbers.min(initial=0) < 0:
        label = table[numbers < 0].tolist()[0]
        raise PlainnetError(
            f"{owner}: y holds the class {label!r}, but the classes of the training are "
            f"{listed(classes)}"
        )
    return numbers


def numbers_or_none(table: Array, classes: Array) -> Array:
    """Return the number of each row's class, and -1 for an unknown label."""
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
    """Return the first ten classes as text for a message."""
    names = [repr(name) for name in classes[:10].tolist()]
    return ", ".join([*names, *(["..."] if len(classes) > 10 else [])])
