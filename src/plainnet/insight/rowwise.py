"""Row by row: the samples of a file with their names, and the loss and score of each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.decision import is_positive
from plainnet.model import Model
from plainnet.nn.losses import Huber, Loss, MeanSquaredError, SoftmaxCrossEntropy
from plainnet.nn.params import Array

if TYPE_CHECKING:
    from plainnet.data.images import Progress

Floats = NDArray[np.float64]


class NamedRows(NamedTuple):
    """Samples with known targets: their names, inputs as the model takes them, and targets.

    A row of a table is named by its number in the file, counted from 1; a picture by its file.
    """

    names: tuple[str, ...]
    X: Array
    y: Array


def read_rows(
    model: Model,
    path: Any,
    *,
    strict: bool = False,
    progress: "Progress | None" = None,
    notes: list[str] | None = None,
) -> NamedRows:
    """Read samples whose targets are known, each with its name.

    Parameters
    ----------
    model : Model
        What understands them.
    path : DataFrame or path
        A table with the target columns, or a folder with a folder of pictures for each class.
    strict : bool, default False
        Stop at a picture that cannot be used, instead of leaving it out.
    progress : callable, optional
        Called as progress(done, total) while pictures are read.
    notes : list of str, optional
        Collects what a person should know: rows and files left out, unknown categories.

    Returns
    -------
    NamedRows

    Raises
    ------
    DataError
        If a column is absent, a class is unknown, or no row is left.

    Examples
    --------
    >>> from plainnet.data.samples import introverts
    >>> from plainnet.runs import table_run
    >>> from plainnet.settings import Settings
    >>> model = table_run(introverts(100), Settings(epochs=1)).model
    >>> read_rows(model, introverts(3)).names
    ('1', '2', '3')
    """
    from plainnet.data.frames import read_frame
    from plainnet.data.images import ImageSchema, read_images
    from plainnet.data.pixels import shown
    from plainnet.data.tables import TableSchema
    from plainnet.data.targets import drop_unlabelled

    notes = [] if notes is None else notes
    schema, target = model.schema, model.target
    if isinstance(schema, TableSchema):
        frame = read_frame(path)
        frame = drop_unlabelled(frame.set_axis(range(len(frame))), target.columns, notes)
        X = schema.transform(frame.drop(columns=list(target.columns)), notes)
        return NamedRows(tuple(str(i + 1) for i in frame.index), X, target.encode(frame))
    assert isinstance(schema, ImageSchema)
    found = read_images(path, schema.size, strict, progress, target.classes)
    notes += [f"left out {shown(file)}: {reason}" for file, reason in found.skipped]
    names = tuple(shown(file.relative_to(Path(path))) for file in found.files)
    y = found.y.astype(np.float32 if target.task == "binary" else np.int64)
    return NamedRows(names, found.X, y)


def row_losses(loss: Loss, Z: Array, y: Array) -> Floats:
    """Compute the loss of each row, of which the loss itself gives the mean.

    Parameters
    ----------
    loss : Loss
        Any; those of plainnet at once, others row by row.
    Z : array of shape (m, k)
        The network's output.
    y : array
        Targets as `Loss.encode` gives them.

    Returns
    -------
    float64 array of shape (m,)

    Examples
    --------
    >>> from plainnet.nn import BinaryCrossEntropy
    >>> Z = np.array([[0.0], [50.0]])
    >>> row_losses(BinaryCrossEntropy(), Z, np.array([[1.0], [0.0]])).round(6)
    array([ 0.693147, 50.      ])
    """
    Z = Z.astype(np.float64)
    if isinstance(loss, MeanSquaredError):
        return np.asarray(np.square(Z - y).mean(axis=1))
    if isinstance(loss, Huber):
        D = np.abs(Z - y)
        C = np.minimum(D, loss.delta)
        return np.asarray((C * (D - 0.5 * C)).mean(axis=1))
    smooth = float(loss.config().get("label_smoothing", 0.0))
    if isinstance(loss, SoftmaxCrossEntropy):
        hot = y if y.ndim == 2 else np.eye(Z.shape[1])[y]
        hot = hot * (1 - smooth) + smooth / Z.shape[1]
        Z = Z - Z.max(axis=1, keepdims=True)
        return np.asarray(np.log(np.exp(Z).sum(axis=1)) - (Z * hot).sum(axis=1))
    if set(loss.options) == {"label_smoothing"}:  # independent yes/no outputs
        soft = y * (1 - smooth) + smooth / 2
        cells = np.maximum(Z, 0) - Z * soft + np.log1p(np.exp(-np.abs(Z)))
        return np.asarray(cells.mean(axis=1))
    return np.array([loss(Z[i : i + 1], y[i : i + 1])[0] for i in range(len(Z))])


def row_scores(model: Model, Z: Array, y: Array) -> Floats:
    """Compute the score of each row: 1 where the answer is right, or the error of a number.

    Parameters
    ----------
    model : Model
        Whose task it is.
    Z : array of shape (m, k)
        The network's output.
    y : array
        Targets as `Loss.encode` gives them.

    Returns
    -------
    float64 array of shape (m,)
        Of several labels the share that is right. Of a regression the absolute error in the
        table's own unit, the mean of several targets.
    """
    task = model.target.task
    if task == "regression":
        return np.asarray((np.abs(Z - y) * np.asarray(model.target.scale)).mean(axis=1))
    if task == "multiclass":
        return np.asarray(Z.argmax(axis=1) == y, np.float64)
    return np.asarray((is_positive(model.loss.link(Z)) == (y > 0.5)).mean(axis=1))
