"""Kernels of optimizers: one pass over all parameters."""

import math

from plainnet.engine.elementary import fast, like


@fast
def penalty(theta, grad, decaying, l2):
    """Grad += l2 theta, for the weights."""
    for i in range(len(grad)):
        grad[i] += like(grad[i], l2) * (theta[i] * decaying[i])


@fast
def clip(grad, limit):
    """Scale the gradient down to a norm of at most the limit."""
    total = 0.0
    for i in range(len(grad)):
        total += float(grad[i]) * float(grad[i])
    norm = math.sqrt(total)
    if norm > limit:
        for i in range(len(grad)):
            grad[i] *= like(grad[i], limit / norm)


@fast
def decay(theta, decaying, amount):
    """Theta *= 1 - amount, for the weights."""
    for i in range(len(decaying)):
        theta[i] *= like(theta[i], 1) - like(theta[i], amount) * decaying[i]


@fast
def sgd(theta, grad, lr, momentum, v):
    """Theta -= lr v, v = momentum v + grad; without momentum v is empty."""
    lr, momentum = like(grad[0], lr), like(grad[0], momentum)
    if not len(v):
        for i in range(len(grad)):
            theta[i] -= lr * grad[i]
    else:
        for i in range(len(grad)):
            v[i] = momentum * v[i] + grad[i]
            theta[i] -= lr * v[i]


@fast
def nesterov(theta, grad, lr, momentum, v):
    """Theta -= lr (grad + momentum v), v = momentum v + grad."""
    lr, momentum = like(grad[0], lr), like(grad[0], momentum)
    for i in range(len(grad)):
        v[i] = momentum * v[i] + grad[i]
        theta[i] -= lr * (grad[i] + momentum * v[i])


@fast
def rmsprop(theta, grad, lr, rho, eps, s):
    """S = rho s + grad^2, theta -= lr grad / (sqrt((1 - rho) s) + eps)."""
    c, rho = like(grad[0], math.sqrt(1 - rho)), like(grad[0], rho)
    lr, eps = like(grad[0], lr), like(grad[0], eps)
    for i in range(len(grad)):
        s[i] = rho * s[i] + grad[i] * grad[i]
        theta[i] -= lr * grad[i] / (c * math.sqrt(s[i]) + eps)


@fast
def adam(theta, grad, lr, beta1, beta2, eps, t, m, v):
    """Adam's step on decaying sums, see `plainnet.optim.Adam`."""
    a = (1 - beta1) / (1 - beta1**t)
    c = math.sqrt((1 - beta2) / (1 - beta2**t))
    rate, eps = like(grad[0], lr * a / c), like(grad[0], eps / c)
    beta1, beta2 = like(grad[0], beta1), like(grad[0], beta2)
    for i in range(len(grad)):
        m[i] = beta1 * m[i] + grad[i]
        v[i] = beta2 * v[i] + grad[i] * grad[i]
        theta[i] -= rate * m[i] / (math.sqrt(v[i]) + eps)
