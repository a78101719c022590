"""Kernels of layers for pictures: patches and pooling.

Pictures are (channels, height, width, rows): the numbers of a pixel in all rows are contiguous.
"""

import numpy as np
from numba import njit

from plainnet.engine.elementary import like

kernel = njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)


@kernel
def patches(X, corner, size, stride, area, P, add):
    """P[i, j, c] = X_ij of channel c, for the output pixels of an area; zeros around the picture.

    ``corner`` is the position of the first input pixel of the first patch. With ``add``, X is the
    result: each patch is added to the pixels that it came from.
    """
    _, height, width, _ = X.shape
    top, bottom, left, right = area
    for i in range(size):
        for j in range(size):
            for c in range(len(X)):
                row, k = P[(i * size + j) * len(X) + c], 0
                for h in range(top, bottom):
                    y = h * stride + i + corner[0]
                    for w in range(left, right):
                        x, part = w * stride + j + corner[1], row[k]
                        k += 1
                        if not (0 <= y < height and 0 <= x < width):
                            if not add:
                                for r in range(len(part)):
                                    part[r] = 0
                            continue
                        pixel = X[c, y, x]
                        if add:
                            for r in range(len(part)):
                                pixel[r] += part[r]
                        else:
                            for r in range(len(part)):
                                part[r] = pixel[r]


@kernel
def max_pool(size, stride, X, winner, Y):
    """Y = max over i, j of X_ij, winner = the number of the first maximum; NaN stays NaN."""
    channels, height, width, _ = Y.shape
    for c in range(channels):
        for h in range(height):
            for w in range(width):
                y, first = Y[c, h, w], winner[c, h, w]
                x = X[c, h * stride, w * stride]
                for r in range(len(y)):
                    y[r], first[r] = x[r], like(x[r], 0)
                for k in range(1, size * size):
                    x, number = X[c, h * stride + k // size, w * stride + k % size], like(y[0], k)
                    for r in range(len(y)):
                        larger = (x[r] > y[r]) | (x[r] != x[r])
                        y[r], first[r] = (
                            (x[r] if larger else y[r]),
                            (number if larger else first[r]),
                        )


@kernel
def d_max_pool(size, stride, dY, winner, dX):
    """dX = dY where X_ij is the first maximum, else 0."""
    channels, height, width, _ = dY.shape
    for c in range(channels):
        dX[c] = 0
        for h in range(height):
            for w in range(width):
                d, first = dY[c, h, w], winner[c, h, w]
                for k in range(size * size):
                    x, number = dX[c, h * stride + k // size, w * stride + k % size], like(d[0], k)
                    for r in range(len(d)):
                        x[r] += d[r] if first[r] == number else like(d[0], 0)


@kernel
def average_pool(size, stride, X, Y):
    """Y = mean over i, j of X_ij."""
    channels, height, width, _ = Y.shape
    for c in range(channels):
        for h in range(height):
            for w in range(width):
                y = Y[c, h, w]
                y[:] = 0
                for k in range(size * size):
                    x = X[c, h * stride + k // size, w * stride + k % size]
                    for r in range(len(y)):
                        y[r] += x[r]
                for r in range(len(y)):
                    y[r] /= like(y[0], size * size)


@kernel
def d_average_pool(size, stride, dY, dX):
    """dX = sum over i, j of dY / size^2, shifted back by (i, j)."""
    channels, height, width, _ = dY.shape
    for c in range(channels):
        dX[c] = 0
        for h in range(height):
            for w in range(width):
                d = dY[c, h, w]
                for k in range(size * size):
                    x = dX[c, h * stride + k // size, w * stride + k % size]
                    for r in range(len(d)):
                        x[r] += d[r] / like(d[0], size * size)


def compile_for(dtype: str) -> None:
    """Compile all kernels for a dtype, or load them."""
    X, P = np.zeros((1, 1, 1, 1), dtype), np.zeros((1, 1, 1), dtype)
    patches(X, (0, 0), 1, 1, (0, 1, 0, 1), P, False)
    max_pool(1, 1, X, X, X)
    d_max_pool(1, 1, X, X, X)
    average_pool(1, 1, X, X)
    d_average_pool(1, 1, X, X)
