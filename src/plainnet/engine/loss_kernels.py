"""Kernels of losses: the value, the derivative and the metric in one pass.

Arrays are (features, rows), so that the loop over the rows of one feature is long and contiguous.
"""

import math

from plainnet.engine.elementary import exp, fast, like, log1p


@fast
def row_weights(w, n_out, scales):
    """Scales = w / (n_out sum of w), the weights of a mean; return the sum."""
    total = 0.0
    for r in range(len(w)):
        total += w[r]
    factor = like(w[0], 1 / (total * n_out) if total else 0.0)
    for r in range(len(w)):
        scales[r] = w[r] * factor
    return total


@fast
def binary_cross_entropy(Z, Y, scales, smoothing, D):
    """L = max(z, 0) - z y + log(1 + e^-|z|) and D = sigmoid(z) - y; return L and the hits."""
    value, hits = 0.0, 0
    for k in range(len(Z)):
        z, y, d = Z[k], Y[k], D[k]
        zero, one, half = like(z[0], 0), like(z[0], 1), like(z[0], 0.5)
        keep, add, part = one - like(one, smoothing), like(one, smoothing / 2), zero
        for r in range(len(z)):
            e = exp(-abs(z[r]))
            t = y[r] * keep + add
            part += scales[r] * ((zero if z[r] < zero else z[r]) - z[r] * t + log1p(e))
            d[r] = scales[r] * ((e if z[r] < zero else one) / (one + e) - t)
        for r in range(len(z)):
            hits += (z[r] > zero) == (y[r] > half)
        value += part
    return value, hits / len(Z)


@fast
def row_softmax(Z, S, D):
    """D = softmax(Z); S has the maximum of each row, and log sum e^(z - maximum)."""
    top, total = S[0], S[1]
    top[:] = like(Z[0, 0], -math.inf)  # an array here takes 5 s to compile
    for k in range(len(Z)):
        z = Z[k]
        for r in range(len(z)):
            top[r] = top[r] if z[r] < top[r] else z[r]
    total[:] = 0
    for k in range(len(Z)):
        z, d = Z[k], D[k]
        for r in range(len(z)):
            d[r] = exp(z[r] - top[r])
            total[r] += d[r]
    for k in range(len(Z)):
        d = D[k]
        for r in range(len(d)):
            d[r] /= total[r]
    for r in range(len(total)):
        total[r] = math.log(total[r])


@fast
def argmax(Z, r):
    """Return the first class with the largest number of a row."""
    best = 0
    for k in range(1, len(Z)):
        best = k if Z[k, r] > Z[best, r] else best
    return best


@fast
def softmax_cross_entropy(Z, Y, scales, smoothing, S, D):
    """L = log(sum e^z) - sum t z, D = softmax(z) - t; return L and the hits.

    t = y (1 - s) + s / K, where y are classes (one row) or distributions over them.
    """
    row_softmax(Z, S, D)
    top, log_total, value, hits = S[0], S[1], 0.0, 0
    keep, spread = like(log_total[0], 1 - smoothing), like(log_total[0], smoothing / len(Z))
    for k in range(len(Z)):
        z, y, d, part = Z[k], Y[k if len(Y) > 1 else 0], D[k], like(keep, 0)
        for r in range(len(d)):
            of_class = y[r] if len(Y) > 1 else like(keep, y[r] == k)
            t = of_class * keep + spread
            part += scales[r] * t * (top[r] - z[r])
            d[r] = scales[r] * (d[r] - t)
        value += part
    for r in range(len(scales)):
        value += scales[r] * log_total[r]
        hits += argmax(Z, r) == (argmax(Y, r) if len(Y) > 1 else int(Y[0, r]))
    return value, float(hits)


@fast
def regression(Z, Y, scales, delta, factor, D):
    """L = f c (d - c / 2), D = f c, c = clip(d, -delta, delta), d = z - y; return L and |d|.

    The squared error has factor 2 and delta = inf, Huber's loss factor 1.
    """
    value, error = 0.0, 0.0
    for k in range(len(Z)):
        z, y, d = Z[k], Y[k], D[k]
        limit, half, part, far = like(z[0], delta), like(z[0], 0.5), like(z[0], 0), like(z[0], 0)
        for r in range(len(z)):
            e = z[r] - y[r]
            c = limit if e > limit else (-limit if e < -limit else e)
            d[r] = scales[r] * like(e, factor) * c
            part += d[r] * (half * c + (e - c if abs(e) > limit else like(e, 0)))
            far += abs(e)
        value += part
        error += far
    return value, error / len(Z)
