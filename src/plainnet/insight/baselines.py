"""What one gets without looking at the inputs: the number that a network has to beat."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.insight.metrics import evaluate


def majority(y_train: ArrayLike, n_classes: int) -> int:
    """Return the most frequent class; the first of them when several are.

    Parameters
    ----------
    y_train : array (m,)
        Classes from 0 to n_classes - 1, of any number dtype.
    n_classes : int
        How many classes there are.

    Returns
    -------
    int
        The class.

    Examples
    --------
    >>> majority([0, 2, 2, 1], n_classes=3)
    2
    """
    return int(np.bincount(np.asarray(y_train, np.int64), minlength=n_classes).argmax())


def constant_prediction(task: str, y_train: ArrayLike, n_out: int) -> NDArray[np.float64]:
    """Return the best answer that is the same for every row: the mean of the training targets.

    For classes the mean is their share of the training rows, so that the most frequent one is
    predicted; no other constant has a lower cross-entropy on those rows, and for numbers none has
    a lower squared error.

    Parameters
    ----------
    task : {"binary", "multiclass", "multilabel", "regression"}
        What kind of target it is.
    y_train : array
        Training targets: binary (m,), multiclass int (m,), multilabel and regression (m, n_out).
    n_out : int
        Outputs of the network: 1 for binary, else one a class, label or target.

    Returns
    -------
    float64 array (n_out,)
        A row of predictions.

    Examples
    --------
    >>> constant_prediction("binary", [0, 1, 1, 1], n_out=1)
    array([0.75])
    >>> constant_prediction("multiclass", [0, 1, 1, 2], n_out=3)
    array([0.25, 0.5 , 0.25])
    """
    y = np.asarray(y_train)
    if task == "multiclass":
        return np.bincount(y.astype(np.int64), minlength=n_out) / len(y)
    mean: NDArray[np.float64] = y.reshape(len(y), n_out).mean(axis=0, dtype=np.float64)
    return mean


def baseline(task: str, y_train: ArrayLike, y_true: ArrayLike, n_out: int) -> dict[str, Any]:
    """Evaluate the constant prediction, learned from training rows, on other rows.

    Parameters
    ----------
    task : {"binary", "multiclass", "multilabel", "regression"}
        What kind of target it is.
    y_train : array
        Targets of the training rows.
    y_true : array
        Targets of the rows to evaluate.
    n_out : int
        Outputs of the network: 1 for binary, else one a class, label or target.

    Returns
    -------
    dict of str to float, None or list
        The names of `plainnet.insight.metrics.evaluate`, to be put beside those of a network.

    Raises
    ------
    DataError
        For targets that `evaluate` refuses.

    Examples
    --------
    >>> baseline("binary", [0, 1, 1], [1, 1, 0, 1], n_out=1)["accuracy"]
    0.75
    """
    y = np.asarray(y_true)
    A = np.tile(constant_prediction(task, y_train, n_out), (len(y), 1))
    return evaluate(task, y, A)
