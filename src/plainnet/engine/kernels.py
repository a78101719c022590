"""Kernels of layers: compiled loops over a batch.

Arrays are (features, rows), so that the loop over the rows of one feature is long and contiguous.
"""

import math

import numpy as np

from plainnet.engine.elementary import exact, fast, like

GATHERED = 16  # numbers of a row that are gathered together


@fast
def gather(source, order, first, Y):
    """Y = numbers of the rows of an array, from a first one, as columns."""
    for start in range(0, len(Y), GATHERED):
        for r in range(len(order)):
            x = source[order[r]]
            for i in range(start, min(start + GATHERED, len(Y))):
                Y[i, r] = x[first + i]


@fast
def gather_rows(source, order, Y):
    """Y = the rows of an array, as rows."""
    for r in range(len(order)):
        x, y = source[order[r]], Y[r]
        for i in range(len(x)):
            y[i] = x[i]


@fast
def transposed(A, T):
    """T = A^T; return T."""
    for i in range(len(T)):
        for j in range(len(A)):
            T[i, j] = A[j, i]
    return T


@fast
def zero(Y):
    """Y = 0."""
    for i in range(len(Y)):
        Y[i] = 0


@fast
def scatter(Z, order, target):
    """Write columns as the rows of an array."""
    for k in range(len(Z)):
        z = Z[k]
        for r in range(len(order)):
            target[order[r], k] = z[r]


@fast
def dense_gradient(dZ, X, dW):
    """dW = dZ X^T, two outputs and four inputs at a time, of which the last may come again."""
    n_out, n_in = dW.shape
    for j in range(0, n_out, 2):
        k = min(j + 1, n_out - 1)
        d, e = dZ[j], dZ[k]
        for i in range(0, n_in, 4):
            i0 = min(i, max(0, n_in - 4))
            i1, i2, i3 = min(i0 + 1, n_in - 1), min(i0 + 2, n_in - 1), min(i0 + 3, n_in - 1)
            x0, x1, x2, x3 = X[i0], X[i1], X[i2], X[i3]
            d0 = d1 = d2 = d3 = e0 = e1 = e2 = e3 = like(dW[0, 0], 0)
            for r in range(len(d)):
                d0 += d[r] * x0[r]
                d1 += d[r] * x1[r]
                d2 += d[r] * x2[r]
                d3 += d[r] * x3[r]
                e0 += e[r] * x0[r]
                e1 += e[r] * x1[r]
                e2 += e[r] * x2[r]
                e3 += e[r] * x3[r]
            dW[j, i0], dW[j, i1], dW[j, i2], dW[j, i3] = d0, d1, d2, d3
            dW[k, i0], dW[k, i1], dW[k, i2], dW[k, i3] = e0, e1, e2, e3


@fast
def dense_input(W, dZ, dX):
    """dX = W^T dZ, the first outputs alone, then four at a time."""
    n_out, n_in = W.shape
    first = n_out % 4
    for i in range(n_in):
        d, z0, w0 = dX[i], dZ[0], W[0, i] if first else like(W[0, i], 0)
        for r in range(len(d)):
            d[r] = w0 * z0[r]
        for j in range(1, first):
            z0, w0 = dZ[j], W[j, i]
            for r in range(len(d)):
                d[r] += w0 * z0[r]
        for j in range(first, n_out, 4):
            z0, z1, z2, z3 = dZ[j], dZ[j + 1], dZ[j + 2], dZ[j + 3]
            w0, w1, w2, w3 = W[j, i], W[j + 1, i], W[j + 2, i], W[j + 3, i]
            for r in range(len(d)):
                d[r] += w0 * z0[r] + w1 * z1[r] + w2 * z2[r] + w3 * z3[r]


@fast
def add_bias(b, Z):
    """Z += b."""
    for j in range(len(Z)):
        z = Z[j]
        for r in range(len(z)):
            z[r] += b[j]


@exact
def piecewise_linear(x, low, high, Y):
    """Y_t = clip((x - low_t) / (high_t - low_t), 0, 1) - 1/2 for each bin t of a feature."""
    zero, one, half = like(x[0], 0), like(x[0], 1), like(x[0], 0.5)
    for t in range(len(Y)):
        y, start, width = Y[t], low[t], high[t] - low[t]
        for r in range(len(x)):
            part = (x[r] - start) / width
            part = zero if part < zero else part
            y[r] = (one if part > one else part) - half


@fast
def row_sums(dY, db):
    """db = the sums of dY over the batch."""
    for j in range(len(dY)):
        d, s = dY[j], like(dY[j, 0], 0)
        for r in range(len(d)):
            s += d[r]
        db[j] = s


@fast
def dropout(X, draws, rate, mask, Y):
    """Y = X M / (1 - rate), M = 1 where a draw is at least the rate.

    Draws are (rows, features), or (rows, channels) where a channel has one mask.
    """
    zero, scale = like(rate, 0), like(rate, 1) / (like(rate, 1) - rate)
    for i in range(len(X)):
        x, y, kept = X[i], Y[i], mask[i]
        j = i % draws.shape[1]
        for r in range(len(x)):
            kept[r] = scale if draws[r, j] >= rate else zero
        for r in range(len(x)):
            y[r] = x[r] * kept[r]


@fast
def normalize(gamma, beta, running, eps, Y):
    """Y = gamma (Y - mean) / std + beta, with the running mean and variance."""
    n, one = len(gamma), like(gamma[0], 1)
    for start in range(0, len(Y), n):
        for i in range(n):
            y, std = Y[start + i], like(one, math.sqrt(running[1, i] + like(one, eps)))
            scale = gamma[i] / std
            shift = beta[i] - running[0, i] * scale
            for r in range(len(y)):
                y[r] = y[r] * scale + shift


@fast
def batch_sums(X, Y, centers, parts, sums):
    """Sums = sum of X, and of X Y without their mean if it centers, for each part of the rows."""
    n, size = sums.shape[1], len(X) // parts
    numbers = like(sums[0, 0], size // n * X.shape[1])
    zero(sums.reshape(-1))
    for a in range(len(X)):
        x, s = X[a], like(numbers, 0)
        for r in range(len(x)):
            s += x[r]
        sums[a // size * 2, a % n] += s
    for a in range(len(X)):
        x, y, s = X[a], Y[a], like(numbers, 0)
        center = sums[a // size * 2, a % n] / numbers if centers else like(numbers, 0)
        for r in range(len(x)):
            s += (x[r] - center) * (y[r] - center)
        sums[a // size * 2 + 1, a % n] += s


@fast
def whole(sums, centers, m):
    """Return the sums over all m numbers of each feature from those of their parts."""
    parts, n = len(sums) // 2, sums.shape[1]
    both, size = np.zeros((2, n), sums.dtype), m / like(m, parts)
    for part in range(parts):
        for i in range(n):
            both[0, i] += sums[2 * part, i]
    for part in range(parts):
        for i in range(n):
            shift = sums[2 * part, i] / size - both[0, i] / m if centers else like(m, 0)
            both[1, i] += sums[2 * part + 1, i] + size * shift * shift
    return both


@fast
def batch_norm(X, gamma, beta, eps, sums, m, Y):
    """Y = gamma Xhat + beta; X becomes Xhat = (X - mean) / std, over the batch and the pixels."""
    n, statistics = len(gamma), whole(sums, True, m)
    for a in range(len(X)):
        i = a % n
        x, y, center = X[a], Y[a], statistics[0, i] / m
        inverse = like(m, 1) / like(m, math.sqrt(statistics[1, i] / m + like(m, eps)))
        for r in range(len(x)):
            x[r] = (x[r] - center) * inverse
            y[r] = gamma[i] * x[r] + beta[i]


@fast
def d_batch_norm(Xhat, gamma, c, sums, d_sums, m, writes, running, d_gamma, d_beta, D):
    """dX = gamma / std (dY - dbeta / m - Xhat dgamma / m); a part writes what is for all rows."""
    n, statistics, d = len(gamma), whole(sums, True, m), whole(d_sums, False, m)
    for a in range(len(D)):
        i = a % n
        x, d_a, std = Xhat[a], D[a], like(m, math.sqrt(statistics[1, i] / m + like(m, c[0])))
        scale, total, along = gamma[i] / std, d[0, i] / m, d[1, i] / m
        for r in range(len(x)):
            d_a[r] = scale * (d_a[r] - total - x[r] * along)
    for i in range(n if writes else 0):
        d_beta[i], d_gamma[i] = d[0, i], d[1, i]
        mean, unbiased = statistics[0, i] / m, statistics[1, i] / (m - like(m, 1))
        running[0, i] += like(m, c[1]) * (mean - running[0, i])
        running[1, i] += like(m, c[1]) * (unbiased - running[1, i])


@fast
def layer_norm(X, gamma, beta, eps, std, Y):
    """Y = gamma Xhat + beta; X becomes Xhat = (X - mean) / std, over the features of a row."""
    n, mean = like(gamma[0], len(X)), Y[0]
    mean[:] = 0
    std[:] = 0
    for i in range(len(X)):
        x = X[i]
        for r in range(len(x)):
            mean[r] += x[r] / n
    for i in range(len(X)):
        x = X[i]
        for r in range(len(x)):
            x[r] -= mean[r]
            std[r] += x[r] * x[r] / n
    for r in range(len(std)):
        std[r] = math.sqrt(std[r] + like(n, eps))
    for i in range(len(X)):
        x, y = X[i], Y[i]
        for r in range(len(x)):
            x[r] /= std[r]
            y[r] = gamma[i] * x[r] + beta[i]


@fast
def d_layer_norm(Xhat, gamma, std, means, d_gamma, d_beta, D):
    """dX = (dXhat - mean(dXhat) - Xhat mean(dXhat Xhat)) / std, dXhat = gamma dY.

    Add to dgamma and dbeta.
    """
    n, mean, along = like(gamma[0], len(D)), means[0], means[1]
    means[:] = 0
    for i in range(len(D)):
        x, d, s, t = Xhat[i], D[i], like(n, 0), like(n, 0)
        for r in range(len(d)):
            s += d[r] * x[r]
            t += d[r]
        d_gamma[i] += s
        d_beta[i] += t
        for r in range(len(d)):
            d[r] *= gamma[i]
            mean[r] += d[r] / n
            along[r] += d[r] * x[r] / n
    for i in range(len(D)):
        x, d = Xhat[i], D[i]
        for r in range(len(d)):
            d[r] = (d[r] - mean[r] - x[r] * along[r]) / std[r]
