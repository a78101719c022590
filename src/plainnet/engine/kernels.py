"""Kernels of layers: compiled loops over a batch.

Arrays are (features, rows), so that the loop over the rows of one feature is long and contiguous.
"""

import math

from plainnet.engine.elementary import exact, fast, like


@fast
def gather(source, order, first, Y):
    """Y = numbers of the rows of an array, from a first one, as columns."""
    for i in range(len(Y)):
        y = Y[i]
        for r in range(len(order)):
            y[r] = source[order[r], first + i]


@fast
def gather_rows(source, order, Y):
    """Y = the rows of an array, as rows."""
    for r in range(len(order)):
        x, y = source[order[r]], Y[r]
        for i in range(len(x)):
            y[i] = x[i]


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
def dense(W, X, Z):
    """Z = W X, four inputs at a time."""
    n_out, n_in = W.shape
    for j in range(n_out):
        z, w = Z[j], W[j]
        for r in range(len(z)):
            z[r] = 0
        for i in range(0, n_in - 3, 4):
            x0, x1, x2, x3 = X[i], X[i + 1], X[i + 2], X[i + 3]
            w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
            for r in range(len(z)):
                z[r] += w0 * x0[r] + w1 * x1[r] + w2 * x2[r] + w3 * x3[r]
        for i in range(n_in // 4 * 4, n_in):
            x0, w0 = X[i], w[i]
            for r in range(len(z)):
                z[r] += w0 * x0[r]


@fast
def dense_gradient(dZ, X, dW):
    """dW = dZ X^T, four inputs at a time."""
    n_out, n_in = dW.shape
    for j in range(n_out):
        d, dw = dZ[j], dW[j]
        for i in range(0, n_in - 3, 4):
            x0, x1, x2, x3 = X[i], X[i + 1], X[i + 2], X[i + 3]
            s0 = s1 = s2 = s3 = like(d[0], 0)
            for r in range(len(d)):
                s0 += d[r] * x0[r]
                s1 += d[r] * x1[r]
                s2 += d[r] * x2[r]
                s3 += d[r] * x3[r]
            dw[i], dw[i + 1], dw[i + 2], dw[i + 3] = s0, s1, s2, s3
        for i in range(n_in // 4 * 4, n_in):
            x0, s0 = X[i], like(d[0], 0)
            for r in range(len(d)):
                s0 += d[r] * x0[r]
            dw[i] = s0


@fast
def dense_input(W, dZ, dX):
    """dX = W^T dZ, four outputs at a time."""
    n_out, n_in = W.shape
    for i in range(n_in):
        d = dX[i]
        for r in range(len(d)):
            d[r] = 0
        for j in range(0, n_out - 3, 4):
            z0, z1, z2, z3 = dZ[j], dZ[j + 1], dZ[j + 2], dZ[j + 3]
            w0, w1, w2, w3 = W[j, i], W[j + 1, i], W[j + 2, i], W[j + 3, i]
            for r in range(len(d)):
                d[r] += w0 * z0[r] + w1 * z1[r] + w2 * z2[r] + w3 * z3[r]
        for j in range(n_out // 4 * 4, n_out):
            z0, w0 = dZ[j], W[j, i]
            for r in range(len(d)):
                d[r] += w0 * z0[r]


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
def normalize(gamma, beta, running, eps, first, last, Y):
    """Y = gamma (Y - mean) / std + beta, with the running mean and variance."""
    n, one = len(gamma), like(gamma[0], 1)
    for start in range(0, len(Y), n):
        for i in range(first, last):
            y, std = Y[start + i], like(one, math.sqrt(running[1, i] + like(one, eps)))
            scale = gamma[i] / std
            shift = beta[i] - running[0, i] * scale
            for r in range(len(y)):
                y[r] = y[r] * scale + shift


@fast
def batch_norm(X, gamma, beta, eps, statistics, first, last, Y):
    """Y = gamma Xhat + beta; X becomes Xhat = (X - mean) / std, over the batch and the pixels."""
    n, m = len(gamma), like(gamma[0], len(X) // len(gamma) * X.shape[1])
    mean, var, std = statistics[0], statistics[1], statistics[2]
    zero(mean[first:last])
    zero(var[first:last])
    for start in range(0, len(X), n):
        for i in range(first, last):
            x, s = X[start + i], like(m, 0)
            for r in range(len(x)):
                s += x[r]
            mean[i] += s / m
    for start in range(0, len(X), n):
        for i in range(first, last):
            x, s = X[start + i], like(m, 0)
            for r in range(len(x)):
                s += (x[r] - mean[i]) * (x[r] - mean[i])
            var[i] += s / m
    for i in range(first, last):
        std[i] = math.sqrt(var[i] + like(m, eps))
    for start in range(0, len(X), n):
        for i in range(first, last):
            x, y, center, inverse = X[start + i], Y[start + i], mean[i], like(m, 1) / std[i]
            for r in range(len(x)):
                x[r] = (x[r] - center) * inverse
                y[r] = gamma[i] * x[r] + beta[i]


@fast
def d_batch_norm(Xhat, gamma, momentum, running, statistics, d_gamma, d_beta, first, last, D):
    """dX = gamma / std (dY - dbeta / m - Xhat dgamma / m); move the running mean and variance."""
    n, m = len(gamma), like(gamma[0], len(D) // len(gamma) * D.shape[1])
    mean, var, std = statistics[0], statistics[1], statistics[2]
    zero(d_gamma[first:last])
    zero(d_beta[first:last])
    for start in range(0, len(D), n):
        for i in range(first, last):
            x, d, along, total = Xhat[start + i], D[start + i], like(m, 0), like(m, 0)
            for r in range(len(d)):
                along += d[r] * x[r]
                total += d[r]
            d_gamma[i] += along
            d_beta[i] += total
    for start in range(0, len(D), n):
        for i in range(first, last):
            x, d = Xhat[start + i], D[start + i]
            along, total, scale = d_gamma[i] / m, d_beta[i] / m, gamma[i] / std[i]
            for r in range(len(d)):
                d[r] = scale * (d[r] - total - x[r] * along)
    for i in range(first, last):
        unbiased = var[i] * m / (m - like(m, 1))
        running[0, i] += like(m, momentum) * (mean[i] - running[0, i])
        running[1, i] += like(m, momentum) * (unbiased - running[1, i])


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
