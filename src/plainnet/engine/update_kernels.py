"""Kernel of optimizers: one pass over all parameters for each part of a step."""

import math

from plainnet.engine import instructions as op
from plainnet.engine.elementary import fast, like


@fast
def update(kind, c, t, rate, theta, grad, decaying, v, s):  # noqa: C901
    """Run a part of the optimizer's step number t; v and s are its state, see `plainnet.optim`."""
    n, one, a = len(grad), like(grad[0], 1), like(grad[0], c[0])
    lr = like(one, rate)
    if kind == op.PENALTY:
        for i in range(n):
            grad[i] += a * (theta[i] * decaying[i])
    elif kind == op.CLIP:
        total = 0.0
        for i in range(n):
            total += float(grad[i]) * float(grad[i])
        if math.sqrt(total) > c[0]:
            scale = like(one, c[0] / math.sqrt(total))
            for i in range(n):
                grad[i] *= scale
    elif kind == op.DECAY:
        for i in range(n):
            theta[i] *= one - lr * a * decaying[i]
    elif kind == op.SGD and not len(v):
        for i in range(n):
            theta[i] -= lr * grad[i]
    elif kind == op.SGD:
        for i in range(n):
            v[i] = a * v[i] + grad[i]
            theta[i] -= lr * v[i]
    elif kind == op.NESTEROV:
        for i in range(n):
            v[i] = a * v[i] + grad[i]
            theta[i] -= lr * (grad[i] + a * v[i])
    elif kind == op.RMSPROP:
        root, eps = like(one, math.sqrt(1 - c[0])), like(one, c[1])
        for i in range(n):
            v[i] = a * v[i] + grad[i] * grad[i]
            theta[i] -= lr * grad[i] / (root * math.sqrt(v[i]) + eps)
    elif kind == op.ADAM:
        root = math.sqrt((1 - c[1]) / (1 - c[1] ** t))
        lr = like(one, rate * (1 - c[0]) / (1 - c[0] ** t) / root)
        b, eps = like(one, c[1]), like(one, c[2] / root)
        for i in range(n):
            v[i] = a * v[i] + grad[i]
            s[i] = b * s[i] + grad[i] * grad[i]
            theta[i] -= lr * v[i] / (math.sqrt(s[i]) + eps)
