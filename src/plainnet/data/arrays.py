"""Arrays in memory as tables and pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.data.dataset import Examples, ImageSource, class_numbers, image_options
from plainnet.data.images import check_images
from plainnet.data.read_table import read_frame
from plainnet.data.targets import Target
from plainnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def image_source(
    X: ArrayLike, y: ArrayLike, classes: Sequence[str] = (), **options: Any
) -> ImageSource:
    """Make a source of pictures; y holds class numbers, or without `classes` the classes."""
    X, y = _pictures(X, y)
    if not len(classes):
        names, y = np.unique(y, return_inverse=True)
        classes = [str(name) for name in names.tolist()]
    return ImageSource(X, y, classes, **image_options(options))


def labeled_images(
    target: Target, X: ArrayLike, y: ArrayLike, classes: Sequence[str] = ()
) -> Examples:
    """Return pictures with the class numbers of a target; see `image_source`."""
    X, y = _pictures(X, y)
    names = [str(label) for label in (np.asarray(classes)[y] if len(classes) else y).tolist()]
    if unknown := set(names) - set(target.classes):
        raise DataError(f"the class {min(unknown)!r} is not one of {', '.join(target.classes)}")
    numbers = np.array([target.classes.index(name) for name in names])
    return Examples(X, class_numbers(numbers, target.task))


def _pictures(X: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    X, y = np.asarray(X), np.asarray(y)
    check_images(X)
    if y.shape != X.shape[:1]:
        raise DataError(f"there are {len(X)} pictures, but y has shape {y.shape}")
    return X, y


def array_frame(X: ArrayLike, y: ArrayLike) -> "tuple[tuple[str, ...], pd.DataFrame]":
    """Return the names of the targets, and a table with columns x0, x1, ... and y or y0, y1, ..."""
    frame, y = read_frame(np.asarray(X)), np.asarray(y)
    if y.ndim not in (1, 2) or len(y) != len(frame):
        raise DataError(f"X has {len(frame)} rows, but y has shape {y.shape}")
    columns = {"y": y} if y.ndim == 1 else {f"y{i}": column for i, column in enumerate(y.T)}
    return tuple(columns), frame.assign(**columns)
