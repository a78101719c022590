"""Logistic and linear regression: a network without hidden layers, trained to the end.

A weak baseline flatters the network. So logistic regression runs until its gradient is almost
zero, and linear regression is solved exactly.
"""

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from plainnet.nn.losses import losses_for
from plainnet.nn.network import Sequential, Transform, mlp
from plainnet.nn.parameters import Array

Floats = NDArray[np.float64]
_PENALTY = 1.0
_GRADIENT = 1e-4  # largest component at which the minimum is reached
_STEPS = 400
_FEWEST_STEPS = 30
_WORK = 6 * 10**9  # multiplications
_PAIRS = 10  # of steps and differences of gradients, from which L-BFGS estimates the curvature
_CELLS = 10**8  # of transformed pictures, up to which they stay in memory
_BLOCK = 4096  # pictures that are transformed at a time
_RANK_TOLERANCE = 1e-10


def fit_regression(
    task: str, X: Array, y: Array, n_out: int, transform: Transform | None = None
) -> Sequential:
    """Train a network without hidden layers, without random numbers.

    Classes are learned by L-BFGS on the cross-entropy of all rows with an L2 penalty of 1/m, which
    keeps separable classes finite. Numbers are fitted by least squares.
    """
    n = len(transform(X[:1])[0]) if transform is not None else X.shape[1]
    net = mlp(n, (), n_out, init="zeros")
    W, b = net.params.views["dense1.W"], net.params.views["dense1.b"]
    if task == "regression":
        W[...], b[...] = _least_squares(X if transform is None else transform(X), y)
        return net
    # Color statistics are not standardized.
    mean: Array = np.zeros(n, np.float32)
    scale: Array = np.ones(n, np.float32)
    if transform is None:
        mean = X.mean(axis=0)
        X = X - mean
        scale = np.sqrt(np.einsum("ij,ij->j", X, X) / len(X))  # squares without a copy
        scale[scale == 0] = 1
        X /= scale
    cost = _cross_entropy(task, X, y, (n_out, n), transform)
    steps = int(np.clip(_WORK // (4 * len(X) * W.size), _FEWEST_STEPS, _STEPS))
    theta = _minimize(cost, np.zeros(W.size + n_out), steps)
    W[...], b[...] = theta[:-n_out].reshape(W.shape), theta[-n_out:]
    W /= scale
    b -= W @ mean
    return net


def _cross_entropy(
    task: str, X: Array, y: Array, shape: tuple[int, int], transform: Transform | None
) -> Callable[[Floats], tuple[float, Floats]]:
    """Return the cost and its gradient as a function of the weights followed by the biases."""
    loss, m, n_out = losses_for(task)[0](), len(X), shape[0]
    y = loss.encode(y, n_out, np.float32)

    def blocks() -> Iterator[tuple[Array, Array]]:
        for start in range(0, m, _BLOCK if transform is not None else m):
            some = slice(start, start + _BLOCK)
            yield (X, y) if transform is None else (transform(X[some]), y[some])

    kept = list(blocks()) if m * shape[1] <= _CELLS else None

    def cost(theta: Floats) -> tuple[float, Floats]:
        W, b = theta[:-n_out].reshape(shape), theta[-n_out:]
        value, dW, db = _PENALTY / m / 2 * float(np.vdot(W, W)), _PENALTY / m * W, np.zeros(n_out)
        for rows, targets in kept or blocks():
            mean, dZ = loss(rows @ W.T.astype(np.float32) + b.astype(np.float32), targets)
            share = len(rows) / m
            value += share * mean
            dW, db = dW + share * (dZ.T @ rows), db + share * dZ.sum(axis=0)
        return value, np.append(dW, db)

    return cost


def _minimize(cost: Callable[[Floats], tuple[float, Floats]], theta: Floats, steps: int) -> Floats:
    """Minimize by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5)."""
    pairs: deque[tuple[Floats, Floats]] = deque(maxlen=_PAIRS)
    value, g = cost(theta)
    for _ in range(steps):
        if np.abs(g).max() <= _GRADIENT:
            break
        direction = _descent(g, pairs)
        length = 1.0 if pairs else min(1.0, 1 / float(np.linalg.norm(g)))
        slack = 1e-7 * abs(value)  # rounding of float32
        while True:
            s = length * direction
            new, g_new = cost(theta + s)
            if new <= value + 1e-4 * float(g @ s) + slack:
                break
            length /= 2
        if s @ (g_new - g) > 0:
            pairs.append((s, g_new - g))
        theta, value, g = theta + s, new, g_new
    return theta


def _descent(g: Floats, pairs: deque[tuple[Floats, Floats]]) -> Floats:
    """Return minus the product of the estimated inverse Hessian and the gradient."""
    direction, shares = -g, []
    for s, change in reversed(pairs):
        shares.append(float(s @ direction) / float(s @ change))
        direction = direction - shares[-1] * change
    if pairs:
        s, change = pairs[-1]
        direction = direction * (float(s @ change) / float(change @ change))
    for (s, change), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - float(change @ direction) / float(s @ change)) * s
    return direction


def _least_squares(X: Array, y: Array) -> tuple[Floats, Floats]:
    """Find weights and biases of the least squared error, the smallest where several are equal."""
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
    return W, mean_y - W @ mean_x
