"""Logistic and linear regression: a network without hidden layers, trained to the end.

A weak baseline flatters the network. So logistic regression uses the largest safe step
and Nesterov momentum, and linear regression is solved exactly.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainnet.nn.losses import losses_for
from plainnet.nn.network import Sequential, Transform, mlp
from plainnet.optim.optimizers import SGD, Adam
from plainnet.optim.schedules import Cosine
from plainnet.train.fit import fit

Array = NDArray[Any]
_EPOCHS = 400
_PENALTY = 1.0
_WORK = 6 * 10**9  # multiplications, up to which full batches are used
_WORK_IN_PARTS = 2 * 10**9
_BASIS = 1000  # rows, up to which the row space is found in about a second
_BATCH = 128
_SAMPLE = 1024  # rows on which the curvature is measured
_RANK_TOLERANCE = 1e-10


def fit_regression(
    task: str, X: Array, y: Array, n_out: int, transform: Transform | None = None
) -> Sequential:
    """Train a network without hidden layers from zero weights, without random numbers.

    Classes are learned by gradient descent on the cross-entropy with an L2 penalty of 1/m, which
    keeps separable classes finite: full batches, Nesterov momentum 0.9 and a step of one by the
    curvature; wide data in row space; large data in mini-batches with Adam. Numbers are fitted by
    least squares.
    """
    n = len(transform(X[:1])[0]) if transform is not None else X.shape[1]
    net = mlp(n, (), n_out, init="zeros")
    if task == "regression":
        _least_squares(net, X if transform is None else transform(X), y)
        return net
    # Color statistics are not standardized.
    mean: Array = np.zeros(n, np.float32)
    scale: Array = np.ones(n, np.float32)
    if transform is None:
        mean, scale = X.mean(axis=0), X.std(axis=0)
        scale[scale == 0] = 1
        X = (X - mean) / scale
    loss, m = losses_for(task)[0](), len(X)
    if m * n * n_out * 4 * _EPOCHS <= _WORK or (n > m and m <= _BASIS):
        _fit_in_full(net, X, y, loss, transform)
    else:
        epochs = int(np.clip(_WORK_IN_PARTS // (m * n * n_out * 4), 3, 50))
        rule = Adam(Cosine(0.01, epochs * -(-m // _BATCH)))
        options: dict[str, Any] = {"batch_size": _BATCH, "transform": transform, "l2": _PENALTY / m}
        options |= {"row_space": False}
        _fit(net, X, y, loss=loss, optimizer=rule, epochs=epochs, **options)
    W, b = net.params.views["dense1.W"], net.params.views["dense1.b"]
    W /= scale
    b -= W @ mean
    return net


def _fit_in_full(
    net: Sequential, X: Array, y: Array, loss: Any, transform: Transform | None
) -> None:
    m, rows = len(X), X if transform is None else transform(X)
    # The second derivative of the loss by z is at most 1/4, and 1/2 for softmax.
    steepest = {"BinaryCrossEntropy": 0.25 / net.n_out}
    curvature = steepest.get(type(loss).__name__, 0.5) * _largest_eigenvalue(rows) + _PENALTY / m
    rule = SGD(1 / curvature, momentum=0.9, nesterov=True)
    _fit(net, rows, y, loss=loss, optimizer=rule, epochs=_EPOCHS, l2=_PENALTY / m)


def _fit(net: Sequential, X: Array, y: Array, **options: Any) -> None:
    """Train to the end; Ctrl-C must not leave a poor baseline, which flatters the network."""
    if fit(net, X, y, **options).stopped == "interrupted":
        raise KeyboardInterrupt


def _largest_eigenvalue(X: Array) -> float:
    """Return the largest eigenvalue of [X 1]^T [X 1] / m, by power iteration on some rows."""
    some = X[:: -(-len(X) // _SAMPLE)].astype(np.float64)
    rows = np.column_stack([some, np.ones(len(some))])
    v = np.abs(rows).sum(axis=0)
    value = 1.0
    for _ in range(30):
        v = rows.T @ (rows @ (v / np.linalg.norm(v))) / len(rows)
        value = float(np.linalg.norm(v))
    return value


def _least_squares(net: Sequential, X: Array, y: Array) -> None:
    """Find the weights of the least squared error, the smallest where several are equal."""
    X64, y64 = X.astype(np.float64), y.reshape(len(X), -1).astype(np.float64)
    mean_x, mean_y = X64.mean(axis=0), y64.mean(axis=0)
    X64 -= mean_x
    if X64.shape[1] > len(X64):
        W = np.linalg.lstsq(X64, y64 - mean_y, rcond=_RANK_TOLERANCE)[0].T
    else:
        L, V = np.linalg.eigh(X64.T @ X64)
        kept = max(L[-1], 0.0) * _RANK_TOLERANCE < L
        V = V[:, kept]
        W = ((y64 - mean_y).T @ X64) @ (V / L[kept]) @ V.T
    net.params.views["dense1.W"][...] = W
    net.params.views["dense1.b"][...] = mean_y - W @ mean_x
