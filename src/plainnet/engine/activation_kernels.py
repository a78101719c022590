"""Kernels of activations: a loop for each kind, in place or from X to Y."""

from plainnet.engine import instructions as op
from plainnet.engine.elementary import exact, exp, expm1, like, log1p, sigmoid, tanh


@exact
def activate(kind, alpha, X, Y):  # noqa: C901
    """Y = f(X); the kinds that compute in place read Y."""
    zero, one = like(Y[0], 0), like(Y[0], 1)
    alpha, half, c = like(zero, alpha), like(zero, 0.5), like(zero, 0.7978845608028654)
    if kind == op.COPY:
        for r in range(len(Y)):
            Y[r] = X[r]
    elif kind == op.RELU:
        for r in range(len(Y)):  # NaN stays NaN; with the sum, the loop has no branch
            Y[r] = (zero if Y[r] < zero else Y[r]) + zero
    elif kind == op.LEAKY_RELU:
        for r in range(len(Y)):
            Y[r] *= one if Y[r] > zero else alpha
    elif kind == op.ELU:
        for r in range(len(Y)):
            low = alpha * expm1(zero if Y[r] > zero else Y[r])
            Y[r] = (Y[r] if Y[r] > zero else zero) + low
    elif kind == op.TANH:
        for r in range(len(Y)):
            Y[r] = tanh(Y[r])
    elif kind == op.SIGMOID:
        for r in range(len(Y)):
            Y[r] = sigmoid(Y[r])
    elif kind == op.GELU:
        for r in range(len(Y)):  # X (1 + tanh u) / 2, u = sqrt(2/pi) (X + 0.044715 X^3)
            u = c * X[r] * (like(zero, 0.044715) * X[r] * X[r] + one)
            Y[r] = half * X[r] * (tanh(u) + one)
    elif kind == op.SILU:
        for r in range(len(Y)):
            Y[r] = X[r] * sigmoid(X[r])
    elif kind == op.SOFTPLUS:
        for r in range(len(Y)):
            Y[r] = (zero if X[r] < zero else X[r]) + log1p(exp(-abs(X[r])))


@exact
def d_activate(kind, alpha, X, d):  # noqa: C901
    """d = d f'(X); X is the output of the kinds that compute in place, and the mask of dropout."""
    zero, one = like(d[0], 0), like(d[0], 1)
    alpha, half, c = like(zero, alpha), like(zero, 0.5), like(zero, 0.7978845608028654)
    if kind == op.DROPOUT:
        for r in range(len(d)):
            d[r] *= X[r]
    elif kind == op.RELU:
        for r in range(len(d)):
            d[r] = (d[r] if X[r] > zero else zero) + zero
    elif kind == op.LEAKY_RELU:
        for r in range(len(d)):
            d[r] *= one if X[r] > zero else alpha
    elif kind == op.ELU:
        for r in range(len(d)):
            d[r] *= one if X[r] > zero else X[r] + alpha
    elif kind == op.TANH:
        for r in range(len(d)):
            d[r] *= one - X[r] * X[r]
    elif kind == op.SIGMOID:
        for r in range(len(d)):
            d[r] *= X[r] * (one - X[r])
    elif kind == op.GELU:
        for r in range(len(d)):  # ((1 + t) + X (1 - t^2) u') / 2, t = tanh u, |X| at most 10
            x = min(max(X[r], like(zero, -10)), like(zero, 10))
            t = tanh(c * x * (like(zero, 0.044715) * x * x + one))
            slope = c * (like(zero, 0.134145) * x * x + one)
            d[r] *= half * (one + t + x * (one - t * t) * slope)
    elif kind == op.SILU:
        for r in range(len(d)):
            s = sigmoid(X[r])
            d[r] *= s * (one + X[r] * (one - s))
    elif kind == op.SOFTPLUS:
        for r in range(len(d)):
            d[r] *= sigmoid(X[r])
