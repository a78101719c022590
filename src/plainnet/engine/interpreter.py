"""interpret: run the instructions of training steps; one compilation serves all networks."""

import hashlib
import math

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from plainnet.engine import convolution_kernels as pictures
from plainnet.engine import instructions as op
from plainnet.engine import kernels as layer
from plainnet.engine import loss_kernels as loss
from plainnet.engine.activation_kernels import activate, d_activate
from plainnet.engine.blas import product
from plainnet.engine.elementary import block, exact
from plainnet.engine.meeting import end, meet
from plainnet.engine.shared_update import update_shared

# The sums of an epoch, and the last batch's loss
LOSS, WEIGHT, METRIC, ROWS, VALUE = range(5)
CACHED = 2**12  # numbers that stay in the fastest cache


@exact
def finish(b, activation, alpha, k, m, y, work):
    """Z = f(Z + b), a part at a time, which stays in the cache."""
    rows = max(1, CACHED // m)
    for j in range(0, k, rows):
        n, start = min(rows, k - j), y + j * m
        layer.add_bias(b[j:], block(work, start, n, m))
        if activation:
            Z = work[start : start + n * m]
            activate(activation, alpha, Z, Z)


@exact
def start_back(db, activation, alpha, k, m, y, d, work):
    """dZ = dY f'(Y) and db = the sums of dZ, a part at a time, which stays in the cache."""
    rows = max(1, CACHED // m)
    for j in range(0, k, rows):
        n, start, first = min(rows, k - j), d + j * m, y + j * m
        if activation:
            size = n * m
            d_activate(activation, alpha, work[first : first + size], work[start : start + size])
        layer.row_sums(block(work, start, n, m), db[j:])


@exact
def multiply(kind, gemm, n, k, m, x, y, p, q, how, c, g, theta, grad, work):
    """Run the forward or backward pass of a dense layer; with scratch memory, transpose X."""
    by_rows, scratch, activation = how == op.BLAS_ROWS, int(c[1]), int(c[2])
    X = block(work, x, m, n) if by_rows else block(work, x, n, m)
    W, Z = block(theta, p, k, n), block(work, y, k, m)
    A, turn_A, B, turn_B, C = W, False, X, by_rows, Z
    if kind == op.DENSE_INPUT:
        A, turn_A, B, turn_B, C = W, True, Z, False, X
    elif kind == -op.DENSE:
        if scratch:
            X, by_rows = layer.transposed(X, block(work, scratch, m, n)), True
        A, turn_A, B, turn_B, C = Z, False, X, not by_rows, block(grad, p, k, n)
        start_back(grad[q : q + k], activation, c[3], k, m, int(c[4]) + g * k * m, y, work)
    if how:
        product(gemm, A, turn_A, B, turn_B, C)
    elif kind == -op.DENSE:
        layer.dense_gradient(Z, X, C)
    elif kind == op.DENSE_INPUT:
        layer.dense_input(W, Z, X)
    else:  # the convolution of a picture of one pixel
        shape, b = (1, 1, n, 1, 1, k, 1, 1, 1, 0, 0), theta[q : q + k]
        W_ = theta[p : p + k * n]
        pictures.convolve(shape, W_, b, m, 0, 1, False, work[x:], work[y:])
    if kind == op.DENSE and how:
        finish(theta[q : q + k], activation, c[3], k, m, y, work)


@exact
def row_dense(gemm, n, k, m, x, y, p, q, s, theta, work):
    """Z = A^T F^T + b; F has a row for each row, or lies in panels, and A^T is kept."""
    A, b, Z = block(theta, p, n, k), theta[q : q + k], block(work, y, k, m)
    if s:
        layer.transposed(A, block(work, s, k, n))
        pictures.mix_panels(work[s : s + k * n], b, n, m, work[x:], work[y:])
    else:
        product(gemm, A, True, block(work, x, m, n), True, Z)
        layer.add_bias(b, Z)


@exact
def measure(kind, c, n, k, m, x, y, p, q, s, work, sums):
    """Run a loss, add to the sums of the epoch; return whether the loss is finite."""
    members, Y, S = int(c[2]), block(work, p, k, m), block(work, s, 2, m)
    all_scales, value, metric = work[s + 2 * m : s + (2 + members) * m], 0.0, 0.0
    w = work[q : q + members * m]
    total = loss.row_weights(w, 1 if kind == op.SOFTMAX else n, all_scales)
    for g in range(members):
        Z, D = block(work, x + g * n * m, n, m), block(work, y + g * n * m, n, m)
        scales = all_scales[g * m : g * m + m]
        if kind == op.BINARY:
            own, right = loss.binary_cross_entropy(Z, Y, scales, c[0], D)
        elif kind == op.SOFTMAX:
            own, right = loss.softmax_cross_entropy(Z, Y, scales, c[0], S, D)
        else:
            own, right = loss.regression(Z, Y, scales, c[0], c[1], D)
        value += own
        metric += right / members
    sums[VALUE] = value
    if not math.isfinite(value):
        return False
    sums[LOSS] += value * total
    sums[WEIGHT] += total
    sums[METRIC] += metric
    sums[ROWS] += m
    return True


@exact
def for_pictures(kind, shape, n, m, first, last, x, y, p, q, s, theta, grad, work):
    """Run the forward or backward pass of a convolution or a pooling for some rows of pixels."""
    X, Y, S, W = work[x:], work[y:], work[s:], theta[p : p + n]
    dW, flat, averages = grad[p : p + n], shape[:11], abs(kind) == op.AVERAGE_POOL
    if kind == op.CONVOLVE:
        b = theta[q : q + shape[5]] if q >= 0 else np.zeros(shape[5], theta.dtype)
        if shape[11] > 1:
            pictures.convolve_pool(shape, W, b, m, first, last, X, S, Y)
        else:
            start = first * shape[4] * shape[5] * m
            pictures.convolve(flat, W, b, m, first, last, False, X, Y[start:])
    elif kind == op.CONVOLVE_BACK:
        pictures.convolve_back(flat, W, m, first, last, Y, X[first * shape[1] * shape[2] * m :])
    elif kind == -op.CONVOLVE:
        db = grad[q : q + (0 if q < 0 else shape[5])]
        pictures.weight_gradient(shape, m, first, last, X, Y, S, dW, db)
    elif kind == op.PAD:
        pictures.pad(shape, m, first, last, X, Y)
    elif kind > 0 and kind != op.UNPOOL:
        pictures.pool(flat, m, first, last, averages, X, S, Y)
    else:
        flat = pictures.pool_shape(shape) if kind == op.UNPOOL else flat
        pictures.d_pool(flat, m, first, last, averages, Y, S, X)


@exact
def batch_norm(kind, c, n, k, m, first, last, parts, x, y, p, q, s, theta, grad, work):
    """Run the forward or backward pass of a batch norm for some of the parts of a picture."""
    gamma, size, total = theta[p : p + n], n * k // parts, theta.dtype.type(k * m)
    X = block(work, x + first * size * m, (last - first) * size, m)
    Y = block(work, y + first * size * m, (last - first) * size, m)
    own = block(work, s + 2 * first * n, 2 * (last - first), n)
    sums, d_sums = block(work, s, 2 * parts, n), block(work, s + 2 * parts * n, 2 * parts, n)
    if kind == op.BATCH_SUMS:
        layer.batch_sums(X, X, True, last - first, own)
    elif kind == op.BATCH_NORM:
        layer.batch_norm(X, gamma, theta[p + n : p + 2 * n], c[0], sums, total, Y)
    elif kind == -op.BATCH_SUMS:
        layer.batch_sums(Y, X, False, last - first, own)
    else:
        running, d_gamma, d_beta = block(theta, q, 2, n), grad[p : p + n], grad[p + n :]
        writes = first == 0 < last
        layer.d_batch_norm(X, gamma, c, sums, d_sums, total, writes, running, d_gamma, d_beta, Y)


def _make(version):  # noqa: C901
    """Return `interpret`; the version of the kernels becomes a part of Numba's cache key."""

    def interpret(  # noqa: C901
        gemm,
        execute,
        job,
        jobs,
        program,
        constants,
        shapes,
        begin,
        part,
        parts,
        meeting,
        per_epoch,
        data,
        order,
        bounds,
        draws,
        lrs,
        t,
        vectors,
        work,
        sums,
    ):
        """Run instructions for each batch, from a first one; return how many batches succeeded.

        Each part is a thread of its own; they share the rows of pixels and meet where one needs
        what others computed. ``sums`` has a row for each epoch, of ``per_epoch`` batches.
        """
        X, targets, weights = data
        theta, grad = vectors[:2]
        crew, met = (execute, job, jobs), 0
        for step in range(len(bounds) - 1):
            m = bounds[step + 1] - bounds[step]
            start = bounds[step] % len(order)  # full batches have the same order again
            rows = order[start : start + m]
            epoch = sums[step // per_epoch]
            for i in range(begin, len(program)):
                kind, n, k, x, y, p, q, s, split, meets = program[i]
                if parts > 1 and meets:
                    met += parts
                    if not meet(meeting, met):
                        return step
                if part and not split:
                    continue
                c = constants[i]
                shares = max(split, 1)
                first, last = split * part // parts, split * (part + 1) // parts if split else 1
                size = n // shares
                if kind == op.GATHER:
                    source = X if s == 0 else targets if s == 1 else weights
                    Y_ = block(work, y + first * size * m, (last - first) * size, m)
                    layer.gather(source, rows, first * size, Y_)
                elif op.CONVOLVE <= abs(kind) <= op.AVERAGE_POOL:
                    shape = to_fixed_tuple(shapes[i], 13)
                    last = last if split else shape[3]
                    for_pictures(kind, shape, n, m, first, last, x, y, p, q, s, theta, grad, work)
                elif kind == op.GATHER_ROWS:
                    layer.gather_rows(X, rows, block(work, y, m, n))
                elif kind == op.GATHER_PANELS:
                    pictures.gather_panels(X, rows, k, work[y:])
                elif abs(kind) == op.DENSE or kind == op.DENSE_INPUT:
                    for g in range(int(c[0])):
                        X_g, Y_g, W_g, b_g = x + g * n * m, y + g * k * m, p + g * k * n, q + g * k
                        of_g = X_g, Y_g, W_g, b_g, s, c, g
                        multiply(kind, gemm, n, k, m, *of_g, theta, grad, work)
                elif kind == op.PIECEWISE_LINEAR:
                    feature, bins = work[x + k * m : x + k * m + m], block(work, y + s * m, n, m)
                    layer.piecewise_linear(feature, theta[p : p + n], theta[q : q + n], bins)
                elif kind == op.ROW_DENSE:
                    row_dense(gemm, n, k, m, x, y, p, q, s, theta, work)
                elif kind == -op.ROW_DENSE:
                    dZ, dA = block(work, y, k, m), block(grad, p, n, k)
                    layer.row_sums(dZ, grad[q : q + k])
                    layer.zero(grad[p : p + n * k])
                    layer.scatter(dZ, rows, dA)
                elif kind == op.OUTPUT:
                    layer.scatter(block(work, x, n, m), rows, targets)
                elif kind == op.NORMALIZE:
                    gamma, beta = theta[p : p + n], theta[p + n : p + 2 * n]
                    size = n * k // shares
                    Y_ = block(work, y + first * size * m, (last - first) * size, m)
                    layer.normalize(gamma, beta, block(theta, q, 2, n), c[0], Y_)
                elif kind == op.DROPOUT:
                    start = k * (bounds[step] - bounds[0]) + s * m
                    drawn, rate = block(draws, start, m, int(c[1])), theta.dtype.type(c[0])
                    X_, Y_, M_ = block(work, x, n, m), block(work, y, n, m), block(work, p, n, m)
                    layer.dropout(X_, drawn, rate, M_, Y_)
                elif abs(kind) == op.BATCH_NORM or abs(kind) == op.BATCH_SUMS:
                    batch_norm(
                        kind, c, n, k, m, first, last, shares, x, y, p, q, s, theta, grad, work
                    )
                elif kind == op.LAYER_NORM:
                    gamma, beta = theta[p : p + n], theta[p + n : p + 2 * n]
                    for a in range(k):
                        X_, Y_ = block(work, x + a * n * m, n, m), block(work, y + a * n * m, n, m)
                        std = work[s + a * m : s + a * m + m]
                        layer.layer_norm(X_, gamma, beta, c[0], std, Y_)
                elif kind == -op.LAYER_NORM:
                    gamma, d_gamma, d_beta = (
                        theta[p : p + n],
                        grad[p : p + n],
                        grad[p + n : p + 2 * n],
                    )
                    layer.zero(grad[p : p + 2 * n])
                    for a in range(k):
                        X_, D = block(work, x + a * n * m, n, m), block(work, y + a * n * m, n, m)
                        std, means = work[s + a * m : s + a * m + m], block(work, s + m * k, 2, m)
                        layer.d_layer_norm(X_, gamma, std, means, d_gamma, d_beta, D)
                elif op.BINARY <= kind <= op.REGRESSION:
                    if not measure(kind, c, n, k, m, x, y, p, q, s, work, epoch):
                        end(meeting)
                        return step
                elif kind >= op.PENALTY:
                    update_shared(crew, kind, c, t + step + 1, lrs[step], *vectors)
                else:
                    size *= m
                    X_ = work[x + first * size : x + last * size]
                    Y_ = work[y + first * size : y + last * size]
                    if kind > 0:
                        activate(kind, c[0], X_, Y_)
                    else:
                        d_activate(-kind, c[0], X_, Y_)
        return len(bounds) - 1 if version else 0

    return njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)(interpret)


interpret = _make(hashlib.sha256(op.sources()).hexdigest())
