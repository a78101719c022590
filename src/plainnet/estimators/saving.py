"""A fitted estimator as a Model, the content of a model file."""

from typing import TYPE_CHECKING, Any

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.estimators.scaling import Scaling
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target


def table_schema(names: Any, ends: Array, m: int, scaling: Scaling | None) -> "TableSchema":
    """Return the schema of columns of numbers; ends are their lowest, median and highest."""
    from plainnet.data.column_kinds import NumberColumn
    from plainnet.data.table_schema import TableSchema

    n = ends.shape[1]
    names = [f"x{i}" for i in range(n)] if names is None else names
    mean, scale = (np.zeros(n), np.ones(n)) if scaling is None else (scaling.mean, scaling.scale)
    units = zip(names, *ends.tolist(), mean.tolist(), scale.tolist(), strict=True)
    return TableSchema(tuple(NumberColumn(str(name), 0, ".", *unit) for name, *unit in units), m)


def picture_schema(shape: tuple[int, ...], dtype: Any, scaling: Scaling | None) -> "ImageSchema":
    """Return the schema of square uint8 pictures."""
    from plainnet.data.images import ImageSchema

    height, width, channels = shape
    if dtype != np.uint8 or height != width or channels not in (1, 3):
        raise PlainnetError(
            "a model file holds a network of square uint8 pictures with 1 or 3 channels, and this "
            f"one was trained on {dtype} of shape {shape}: train it on such pictures"
        )
    if scaling is None:
        return ImageSchema(height, (0.0,) * channels, (1.0,) * channels)
    return ImageSchema(height, tuple(scaling.mean.tolist()), tuple(scaling.scale.tolist()))


def class_target(task: Any, classes: Array) -> "Target":
    """Return the target of a classifier."""
    from plainnet.data.targets import Target

    names = tuple(map(str, classes.tolist()))
    if task == "multilabel":
        names = tuple(f"y{name}" for name in names)
        return Target(task, names if len(names) > 1 else ("y",), names)
    return Target(task, ("y",), names)


def number_target(n: int, scaling: Scaling | None) -> "Target":
    """Return the target of a regressor."""
    from plainnet.data.targets import Target

    names = ("y",) if n == 1 else tuple(f"y{i}" for i in range(n))
    if scaling is None:
        return Target("regression", names, (), (0.0,) * n, (1.0,) * n)
    return Target(
        "regression", names, (), tuple(scaling.mean.tolist()), tuple(scaling.scale.tolist())
    )
