"""Kernels of layers for pictures: convolution and pooling, for some of the channels.

Pictures are (height, width, channels, rows) in one axis: neighboring rows, channels and pixels are
contiguous. ``shape`` is (height, width, channels) of the input and of the output, the two sides
of the kernel, the stride, and the padding above and left. A number is computed in the same order
whichever channels are computed together.
"""

import numpy as np

from plainnet.engine.elementary import fast, internal, like
from plainnet.engine.instructions import OUTPUTS
from plainnet.engine.kernels import zero
from plainnet.engine.tiles import INPUTS, VECTOR, gradient_tile, mixing_tile

PIXELS = 16  # whose derivatives are copied together for the gradient of the weights


def _mix(outputs):
    """Return a function: Y[o, r] += sum over n numbers k of W[o, k] X[k, r] for all rows."""
    two, one, rest = (mixing_tile(outputs, *size) for size in ((2, VECTOR), (1, VECTOR), (1, 1)))

    @internal()
    def mix(W, w, steps, X, x, Y, y, n):
        m, lanes, r = steps[2], VECTOR // Y.itemsize, 0
        while r + 2 * lanes <= m:
            two(W, w, steps, X, x + r, Y, y + r, n)
            r += 2 * lanes
        while r + lanes <= m:
            one(W, w, steps, X, x + r, Y, y + r, n)
            r += lanes
        while r < m:
            rest(W, w, steps, X, x + r, Y, y + r, n)
            r += 1

    return mix


def _add_gradient(outputs):
    """Return a function: S[o, c] += sum over n pixels and all rows of dY[o] X[c] for two c."""
    vectors, rest = (gradient_tile(outputs, INPUTS, width) for width in (VECTOR, 1))

    @internal()
    def add(dY, X, x, S, s, steps, n):
        m, lanes = steps[4], VECTOR // dY.itemsize
        full = m // lanes
        vectors(dY, 0, X, x, S, s, steps, (n, full))
        if full * lanes < m:
            rest(dY, full * lanes, X, x + full * lanes, S, s, steps, (n, m - full * lanes))

    return add


mix_tile, mix_one = _mix(OUTPUTS), _mix(1)
add_tile, add_one = _add_gradient(OUTPUTS), _add_gradient(1)


@internal()
def tile_after(o, last):
    """Return how many outputs the next tile has."""
    return OUTPUTS if o + OUTPUTS <= last else 1


@fast
def convolve(shape, W, b, m, first, last, X, Y):
    """Y = sum over i, j of W_ij X_ij + b, for output channels [first, last)."""
    height, width, n_in, out_height, out_width, n_out, side, _, stride, above, left = shape
    n = side * side * n_in
    steps = n, 1, m, side * n_in, width * n_in * m
    for h in range(out_height):
        top, o = h * stride - above, first
        i, i_last = max(0, -top), min(side, height - top)
        while o < last:
            outputs = tile_after(o, last)
            for w in range(out_width):
                start = w * stride - left
                j, j_last = max(0, -start), min(side, width - start)
                y = ((h * out_width + w) * n_out + o) * m
                for q in range(outputs):
                    bias = b[o + q] if len(b) else like(Y[0], 0)
                    for r in range(m):
                        Y[y + q * m + r] = bias
                n_run = i_last - i, (j_last - j) * n_in
                x = ((top + i) * width + start + j) * n_in * m
                at = o * n + (i * side + j) * n_in
                if outputs > 1:
                    mix_tile(W, at, steps, X, x, Y, y, n_run)
                else:
                    mix_one(W, at, steps, X, x, Y, y, n_run)
            o += outputs


@internal()
def taps(position, side, stride, n_out):
    """Return the first number i of the kernel that an output multiplies a pixel with; their count.

    That is output (position - i) / stride, so i grows by the stride.
    """
    i = max(position % stride, position - (n_out - 1) * stride)
    last = min(side - 1, position)
    return i, max(0, (last - i) // stride + 1)


@fast
def convolve_back(shape, W, m, first, last, dY, dX):
    """dX = sum over i, j of W_ij^T dY, shifted back by (i, j), for input channels [first, last)."""
    height, width, n_in, out_height, out_width, n_out, side, _, stride, above, left = shape
    n = side * side * n_in
    steps = 1, n, m, stride * side * n_in, -out_width * n_out * m
    for h in range(height):
        c, (i, runs) = first, taps(h + above, side, stride, out_height)
        while c < last:
            inputs = tile_after(c, last)
            for w in range(width):
                x = ((h * width + w) * n_in + c) * m
                for r in range(inputs * m):
                    dX[x + r] = 0
                first_j, count = taps(w + left, side, stride, out_width)
                for j in range(first_j, first_j + count * stride, stride):
                    row, column = (h + above - i) // stride, (w + left - j) // stride
                    y, at = (row * out_width + column) * n_out * m, (i * side + j) * n_in + c
                    if inputs > 1:
                        mix_tile(W, at, steps, dY, y, dX, x, (runs, n_out))
                    else:
                        mix_one(W, at, steps, dY, y, dX, x, (runs, n_out))
            c += inputs


@fast
def weight_gradient(shape, m, first, last, X, dY, dW, db):
    """dW_ij = dY X_ij^T, db = sums of dY, for output channels [first, last)."""
    _, _, n_in, out_height, out_width, n_out, side, _, stride, _, _ = shape
    pairs, lanes, o = -(-n_in // INPUTS), VECTOR // dY.itemsize, first
    n, pixel = side * side * pairs * INPUTS * lanes, INPUTS * m
    height, width = (out_height - 1) * stride + side, (out_width - 1) * stride + side
    P = in_pairs(shape, height, width, m, X)
    block, S = np.empty(PIXELS * OUTPUTS * m, dY.dtype), np.empty(OUTPUTS * n, dY.dtype)
    while o < last:
        outputs = tile_after(o, last)
        steps = outputs * m, stride * pixel, n, lanes, m
        sums = np.zeros(outputs * m, dY.dtype)
        zero(S)
        for h in range(out_height):
            for begin in range(0, out_width, PIXELS):
                pixels = min(PIXELS, out_width - begin)
                y = ((h * out_width + begin) * n_out + o) * m
                copy_pixels(dY, y, n_out * m, block, sums, pixels)
                for t in range(pairs):
                    for k in range(side * side):
                        row, column = h * stride + k // side, begin * stride + k % side
                        x = ((t * height + row) * width + column) * pixel
                        s = (k * pairs + t) * INPUTS * lanes
                        if outputs > 1:
                            add_tile(block, P, x, S, s, steps, pixels)
                        else:
                            add_one(block, P, x, S, s, steps, pixels)
        for q in range(outputs):
            for k in range(side * side * n_in):
                s = q * n + (k // n_in * pairs * INPUTS + k % n_in) * lanes
                dW[(o + q) * side * side * n_in + k] = total(S[s : s + lanes])
            if len(db):
                db[o + q] = total(sums[q * m : q * m + m])
        o += outputs


@fast
def total(numbers):
    """Return the sum of some numbers."""
    s = like(numbers[0], 0)
    for r in range(len(numbers)):
        s += numbers[r]
    return s


@fast
def copy_pixels(dY, y, step, block, sums, pixels):
    """Copy the derivatives of some pixels, and add them to sums."""
    n = len(sums)
    for w in range(pixels):
        for r in range(n):
            block[w * n + r] = dY[y + w * step + r]
            sums[r] += dY[y + w * step + r]


@fast
def in_pairs(shape, full_height, full_width, m, X):
    """Return padded pictures as (pairs of channels, height, width, 2, rows).

    So the numbers that a tile reads fit into the cache; the last pair may end with zeros.
    """
    height, width, n_in, _, _, _, _, _, _, above, left = shape
    pairs = -(-n_in // INPUTS)
    P = np.zeros(pairs * full_height * full_width * INPUTS * m, X.dtype)
    for t in range(pairs):
        size = min(INPUTS, n_in - t * INPUTS) * m
        for h in range(min(height, full_height - above)):
            for w in range(min(width, full_width - left)):
                x = ((h * width + w) * n_in + t * INPUTS) * m
                p = ((t * full_height + h + above) * full_width + w + left) * INPUTS * m
                for r in range(size):
                    P[p + r] = X[x + r]
    return P


@fast
def max_pool(shape, m, first, last, X, winner, Y):
    """Y = max over i, j of X_ij, winner = the number of the first maximum; NaN stays NaN."""
    _, width, n, out_height, out_width, _, side, _, stride, _, _ = shape
    size = (last - first) * m
    for h in range(out_height):
        for w in range(out_width):
            start = ((h * out_width + w) * n + first) * m
            y, best = Y[start : start + size], winner[start : start + size]
            for k in range(side * side):
                pixel = (h * stride + k // side) * width + w * stride + k % side
                x, number = X[(pixel * n + first) * m :], like(y[0], k)
                if k == 0:
                    for r in range(size):
                        y[r], best[r] = x[r], number
                else:
                    for r in range(size):
                        larger = (x[r] > y[r]) | (x[r] != x[r])
                        y[r], best[r] = x[r] if larger else y[r], number if larger else best[r]


@fast
def d_max_pool(shape, m, first, last, dY, winner, dX):
    """dX = dY where X_ij is the first maximum, else 0."""
    _, width, n, out_height, out_width, _, side, _, stride, _, _ = shape
    size = (last - first) * m
    clear(shape, m, first, last, dX)
    for h in range(out_height):
        for w in range(out_width):
            start = ((h * out_width + w) * n + first) * m
            d, best = dY[start : start + size], winner[start : start + size]
            for k in range(side * side):
                pixel = (h * stride + k // side) * width + w * stride + k % side
                x, number = dX[(pixel * n + first) * m :], like(d[0], k)
                for r in range(size):
                    x[r] += d[r] if best[r] == number else like(d[0], 0)


@fast
def average_pool(shape, m, first, last, X, Y):
    """Y = mean over i, j of X_ij."""
    _, width, n, out_height, out_width, _, down, across, stride, _, _ = shape
    size = (last - first) * m
    for h in range(out_height):
        for w in range(out_width):
            start = ((h * out_width + w) * n + first) * m
            y = Y[start : start + size]
            zero(y)
            for k in range(down * across):
                pixel = (h * stride + k // across) * width + w * stride + k % across
                x = X[(pixel * n + first) * m :]
                for r in range(size):
                    y[r] += x[r]
            for r in range(size):
                y[r] /= like(y[0], down * across)


@fast
def d_average_pool(shape, m, first, last, dY, dX):
    """dX = sum over i, j of dY / size, shifted back by (i, j)."""
    _, width, n, out_height, out_width, _, down, across, stride, _, _ = shape
    size = (last - first) * m
    clear(shape, m, first, last, dX)
    for h in range(out_height):
        for w in range(out_width):
            d = dY[((h * out_width + w) * n + first) * m :]
            for k in range(down * across):
                pixel = (h * stride + k // across) * width + w * stride + k % across
                x = dX[(pixel * n + first) * m :]
                for r in range(size):
                    x[r] += d[r] / like(d[0], down * across)


@fast
def clear(shape, m, first, last, X):
    """X = 0 for channels [first, last)."""
    n = shape[2]
    for pixel in range(shape[0] * shape[1]):
        start = (pixel * n + first) * m
        zero(X[start : start + (last - first) * m])
