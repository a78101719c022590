"""The largest curvature of the cost, which limits the learning rate of gradient descent."""

import numpy as np

from plainnet.diagnose.activations import evenly_spaced, outputs
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.train.batches import prepare

_STEP = 1e-4  # of the finite difference, relative to the norm of the parameters


def largest_curvature(
    net: Sequential,
    loss: Loss,
    X: Array,
    y: Array,
    weight: Array | None = None,
    *,
    transform: Transform | None = None,
    rows: int = 256,
    iterations: int = 20,
) -> float:
    """Estimate the largest eigenvalue of the Hessian by power iteration, in float64.

    A step of gradient descent along its eigenvector multiplies the distance from the minimum by
    1 - lr h, which grows for lr > 2/h. The Hessian times v is a finite difference of gradients,
    (g(theta + e v) - g(theta - e v)) / 2e (Pearlmutter, 1994).
    """
    few = evenly_spaced(len(X), rows)
    copy = net.astype(np.float64)
    Xs = prepare(X[few], transform, np.float64)
    ys = loss.encode(y[few], copy.n_out, np.float64)
    ws = None if weight is None else weight[few]
    theta = copy.params.trained
    start = theta.copy()

    def gradient(at: Array) -> Array:
        theta[...] = at
        *_, (_, Z) = outputs(copy, Xs, train=True)
        copy.backward(loss(Z, ys, ws)[1])
        return copy.params.grad.copy()

    with np.errstate(all="ignore"):
        v = np.random.default_rng(0).standard_normal(theta.size)
        v /= np.linalg.norm(v)
        h, e = 0.0, _STEP * max(float(np.linalg.norm(start)), 1.0) / np.sqrt(theta.size)
        for _ in range(iterations):
            Hv = (gradient(start + e * v) - gradient(start - e * v)) / (2 * e)
            before, h = h, float(v @ Hv)
            norm = float(np.linalg.norm(Hv))
            if not np.isfinite(norm) or norm == 0:
                return 0.0
            v = Hv / norm
            if abs(h - before) < 0.01 * abs(h):
                break
    return abs(h)
