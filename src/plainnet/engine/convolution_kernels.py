"""Kernels of layers for pictures: convolution and pooling, for some rows of pixels.

Pictures are (height, width, channels, rows) in one axis: neighboring rows, channels and pixels are
contiguous. ``shape`` is (height, width, channels) of the input and of the output, the two sides
of the kernel, the stride, and the padding above and left. A number is computed in the same order
whichever numbers are computed together.
"""

import numpy as np

from plainnet.engine.elementary import block, fast, internal, like
from plainnet.engine.instructions import INPUTS, OUTPUTS, ROWS, SMALL, TILE, VECTOR, padded_shape
from plainnet.engine.kernels import gather, row_sums, zero
from plainnet.engine.tiles import gradient_tile, mixing_tile

PIXELS = 16  # whose derivatives are copied together for the gradient of the weights


def _mix(outputs):
    """Return a function: Y[o, r] = b[o] + sum over n numbers k of W[o, k] X[k, r] for some rows."""
    most = TILE // outputs
    sizes = (most, VECTOR), (most, SMALL), (1, SMALL), (1, 1)
    many, some, one, rest = (mixing_tile(outputs, *size) for size in sizes)

    @internal()
    def mix(W, w, steps, X, x, b, o, Y, y, n, rows):
        if rows == 1:
            rest(W, w, steps, X, x, b, o, Y, y, n)
        elif rows == SMALL // Y.itemsize:
            one(W, w, steps, X, x, b, o, Y, y, n)
        elif rows == most * SMALL // Y.itemsize:
            some(W, w, steps, X, x, b, o, Y, y, n)
        else:
            many(W, w, steps, X, x, b, o, Y, y, n)

    return mix


mix_tile, mix_one, add_tile = _mix(OUTPUTS), _mix(1), gradient_tile(OUTPUTS, INPUTS)
padded = internal()(padded_shape)


@internal()
def tile_size(n_out, m, itemsize):
    """Return the outputs and the rows of a tile."""
    outputs = OUTPUTS if n_out >= OUTPUTS else 1
    most = TILE // outputs
    many, some, one = most * VECTOR // itemsize, most * SMALL // itemsize, SMALL // itemsize
    return outputs, many if m >= many else some if m >= some else one if m >= one else 1


@fast
def gather_panels(source, order, n_out, P):
    """P = the rows of an array as columns, as many side by side as a tile of `mix_panels` takes."""
    m, n = len(order), source.shape[1]
    _, size = tile_size(n_out, m, P.itemsize)
    for i, r in enumerate(range(0, m, size)):
        r = min(r, m - size)  # the last panel may repeat columns
        gather(source, order[r : r + size], 0, block(P, i * n * size, n, size))


@fast
def mix_panels(W, b, n, m, P, Y):
    """Y = W X + b, where `gather_panels` has written the n numbers of X of each row to P."""
    n_out = len(b)
    outputs, size = tile_size(n_out, m, Y.itemsize)
    steps, once = (n, m, size, 0, 0), (1, n)
    for i, r in enumerate(range(0, m, size)):
        x, r = i * n * size, min(r, m - size)
        for o in range(0, n_out, outputs):
            o = min(o, n_out - outputs)
            if outputs > 1:
                mix_tile(W, o * n, steps, P, x, b, o, Y, o * m + r, once, size)
            else:
                mix_one(W, o * n, steps, P, x, b, o, Y, o * m + r, once, size)


@internal()
def turned(i, side, stride):
    """Return where a number of the kernel lies after those that meet the same pixels, turned."""
    r = i % stride
    return r * (side // stride) + min(r, side % stride) + (side - 1 - i) // stride


@internal()
def taps(h, n, side, stride, padding, back):
    """Return the first pixel that an output adds up, its number in the kernel, and their count.

    Backward, the outputs are the numbers of X: pixel (h + padding - i) / stride for each i.
    """
    if not back:
        first = h * stride - padding
        i = max(0, -first)
        return first + i, i, min(side, n - first) - i
    h += padding
    i = max(h % stride, h - (n - 1) * stride)
    count = max(0, (min(side - 1, h) - i) // stride + 1)
    last = i + (count - 1) * stride
    return (h - last) // stride, turned(last, side, stride), count


@fast
def convolve(shape, W, b, m, first, last, back, X, Y):
    """Y = sum over i, j of W_ij X_ij + b, for rows [first, last) of the output alone."""
    height, width, n_in, _, out_width, n_out, side, _, stride, above, left = shape
    (outputs, size), n, y = tile_size(n_out, m, Y.itemsize), side * side * n_in, 0
    steps = n, m, m, side * n_in, width * n_in * m
    for h in range(first, last):
        row, i, rows = taps(h, height, side, stride, above, back)
        for w in range(out_width):
            column, j, columns = taps(w, width, side, stride, left, back)
            x, at = (row * width + column) * n_in * m, (i * side + j) * n_in
            n_run = rows, columns * n_in
            for r in range(0, m, size):
                r = min(r, m - size)  # the last tiles may compute numbers again
                for o in range(0, n_out, outputs):
                    o = min(o, n_out - outputs)
                    at_o, y_o = o * n + at, y + o * m + r
                    if outputs > 1:
                        mix_tile(W, at_o, steps, X, x + r, b, o, Y, y_o, n_run, size)
                    else:
                        mix_one(W, at_o, steps, X, x + r, b, o, Y, y_o, n_run, size)
            y += n_out * m


@fast
def convolve_pool(shape, W, b, m, first, last, X, winner, Y):
    """Y = max over squares of a convolution, which nothing else reads, for rows [first, last)."""
    out_width, n_out, side, stride = shape[4], shape[5], shape[11], shape[12]
    square = pool_shape(shape)
    size = square[4] * n_out * m
    rows = np.empty(side * out_width * n_out * m, Y.dtype)
    for h in range(first, last):
        convolve(shape[:11], W, b, m, h * stride, h * stride + side, False, X, rows)
        y = slice(h * size, (h + 1) * size)
        pool(square, m, 0, 1, False, rows, winner[y], Y[y])


@internal()
def pool_shape(shape):
    """Return the shape of the max pooling after a convolution."""
    height, width, n, side, stride = *shape[3:6], shape[11], shape[12]
    rows, columns = (height - side) // stride + 1, (width - side) // stride + 1
    return height, width, n, rows, columns, n, side, side, stride, 0, 0


@fast
def convolve_back(shape, W, m, first, last, dY, dX):
    """dX = sum over i, j of W_ij^T dY, shifted back by (i, j), for rows [first, last) of dX."""
    height, width, n_in, out_height, out_width, n_out, side, _, stride, above, left = shape[:11]
    V, row = np.empty(len(W), W.dtype), side * n_out
    for o in range(n_out):
        for i in range(side):
            for j in range(side):
                at = turned(i, side, stride) * row + turned(j, side, stride) * n_out + o
                for c in range(n_in):
                    V[c * side * row + at] = W[((o * side + i) * side + j) * n_in + c]
    back = out_height, out_width, n_out, height, width, n_in, side, side, stride, above, left
    convolve(back, V, np.zeros(n_in, W.dtype), m, first, last, True, dY, dX)


@fast
def pad(shape, m, first, last, X, P):
    """P = X as (groups of channels, height, width, INPUTS, rows), with zeros around, for some rows.

    So the numbers that a tile of a gradient reads fit into the cache.
    """
    height, width, n_in, _, _, _, _, _, _, above, left = shape[:11]
    groups, full_height, full_width, rows = padded(shape, m)
    for t in range(groups):
        for h in range(first, last):
            start = (t * full_height + h) * full_width
            zero(P[start * INPUTS * rows : (start + full_width) * INPUTS * rows])
            if 0 <= h - above < height:
                for w in range(min(width, full_width - left)):
                    for i in range(min(INPUTS, n_in - t * INPUTS)):
                        x = (((h - above) * width + w) * n_in + t * INPUTS + i) * m
                        p = ((start + w + left) * INPUTS + i) * rows
                        for r in range(m):
                            P[p + r] = X[x + r]


@fast
def weight_gradient(shape, m, first, last, P, dY, winner, dW, db):
    """dW_ij = dY X_ij^T, db = sums of dY, for tiles [first, last) of output channels."""
    n_in, out_height, out_width, n_out, side, _, stride, _, _ = shape[2:11]
    (groups, height, width, rows), lanes = padded(shape, m), VECTOR // dY.itemsize
    n = side * side * groups * INPUTS * lanes
    steps = OUTPUTS * m, stride * INPUTS * rows, n, lanes, m, rows
    S, sums = np.empty(OUTPUTS * n, dY.dtype), np.empty(OUTPUTS * m, dY.dtype)
    totals = np.empty(len(S) // lanes, dY.dtype)
    for o in range(first * OUTPUTS, min(n_out, last * OUTPUTS), OUTPUTS):
        outputs, D = min(OUTPUTS, n_out - o), np.zeros(PIXELS * OUTPUTS * m + ROWS, dY.dtype)
        zero(S)
        zero(sums)
        for h in range(out_height):
            for w in range(0, out_width, PIXELS):
                pixels = min(PIXELS, out_width - w)
                copy_pixels(shape, m, h, w, o, outputs, dY, winner, D, sums, pixels)
                for t in range(groups):
                    for k in range(side * side):
                        row, column = h * stride + k // side, w * stride + k % side
                        x = ((t * height + row) * width + column) * INPUTS * rows
                        s = (k * groups + t) * INPUTS * lanes
                        add_tile(D, 0, P, x, S, s, steps, (pixels, rows // lanes))
        row_sums(S.reshape(-1, lanes), totals)
        for q in range(outputs):
            for k in range(side * side * n_in):
                s = q * n // lanes + k // n_in * groups * INPUTS + k % n_in
                dW[(o + q) * side * side * n_in + k] = totals[s]
        if len(db):
            row_sums(sums.reshape(-1, m)[:outputs], db[o : o + outputs])


@fast
def copy_pixels(shape, m, h, begin, o, outputs, dY, winner, D, sums, pixels):
    """Copy the derivatives of some pixels, which may be pooled, and add them to sums."""
    _, _, _, height, width, n_out, side, _, stride, _, _ = pool_shape(shape)
    n = outputs * m
    for w in range(pixels):
        row, column = h // stride, (begin + w) // stride
        i, j = h - row * stride, begin + w - column * stride
        k, d = like(dY[0], i * side + j), D[w * OUTPUTS * m : w * OUTPUTS * m + n]
        if max(i, j) >= side or row >= height or column >= width:
            zero(d)
            continue
        y = ((row * width + column) * n_out + o) * m
        source, best = dY[y : y + n], winner[y : y + n]
        if side == 1:
            for r in range(n):
                d[r] = source[r]
        else:
            for r in range(n):
                d[r] = (source[r] if best[r] == k else like(k, 0)) + like(k, 0)
        if i + j == 0:
            for r in range(n):
                sums[r] += source[r]


@fast
def pool(shape, m, first, last, averages, X, winner, Y):
    """Y = max (or mean) over i, j of X_ij, winner = the number of the first maximum.

    NaN stays NaN.
    """
    _, width, n, _, out_width, _, down, across, stride, _, _ = shape
    size = n * m
    for h in range(first, last):
        for w in range(out_width):
            start = (h * out_width + w) * size
            y, best = Y[start : start + size], winner[start : start + size]
            for k in range(down * across):
                pixel = (h * stride + k // across) * width + w * stride + k % across
                x, number = X[pixel * size :], like(y[0], k)
                if averages:
                    for r in range(size):
                        y[r] = (y[r] if k else like(number, 0)) + x[r] / like(number, down * across)
                elif k == 0:
                    for r in range(size):
                        y[r], best[r] = x[r], number
                else:
                    for r in range(size):
                        larger = (x[r] > y[r]) | (x[r] != x[r])
                        y[r], best[r] = x[r] if larger else y[r], number if larger else best[r]


@fast
def d_pool(shape, m, first, last, averages, dY, winner, dX):
    """dX = dY where X_ij is the first maximum, else 0; of means, the sum of dY / size."""
    height, width, n, out_height, out_width, _, down, across, stride, _, _ = shape
    size = n * m
    end = last * stride if last < out_height else height  # with the rows below the squares
    zero(dX[first * stride * width * size : end * width * size])
    for h in range(first, last):
        for w in range(out_width):
            start = (h * out_width + w) * size
            d, best = dY[start : start + size], winner[start : start + size]
            for k in range(down * across):
                pixel = (h * stride + k // across) * width + w * stride + k % across
                x, number = dX[pixel * size :], like(d[0], k)
                if averages:
                    for r in range(size):
                        x[r] += d[r] / like(number, down * across)
                else:
                    for r in range(size):
                        x[r] += d[r] if best[r] == number else like(number, 0)
