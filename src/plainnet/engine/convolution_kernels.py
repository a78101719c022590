"""Kernels of layers for pictures: patches and pooling.

Pictures are (channels, height, width, rows): the numbers of a pixel in all rows are contiguous.
"""

from numba import njit

from plainnet.engine.elementary import like

kernel = njit(cache=True, nogil=True, error_model="numpy")


@kernel
def patches(X, corner, size, stride, area, P):
    """P[i, j, c] = X_ij of channel c, for the output pixels of an area; zeros around the picture.

    ``corner`` is the position of the first input pixel of the first patch.
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
                        x, out = w * stride + j + corner[1], row[k]
                        k += 1
                        if 0 <= y < height and 0 <= x < width:
                            pixel = X[c, y, x]
                            for r in range(len(out)):
                                out[r] = pixel[r]
                        else:
                            for r in range(len(out)):
                                out[r] = 0


@kernel
def add_patches(dP, corner, size, stride, area, dX):
    """dX += each patch, on the pixels that it came from."""
    _, height, width, _ = dX.shape
    top, bottom, left, right = area
    for i in range(size):
        for j in range(size):
            for c in range(len(dX)):
                row, k = dP[(i * size + j) * len(dX) + c], 0
                for h in range(top, bottom):
                    y = h * stride + i + corner[0]
                    for w in range(left, right):
                        x, d = w * stride + j + corner[1], row[k]
                        k += 1
                        if 0 <= y < height and 0 <= x < width:
                            pixel = dX[c, y, x]
                            for r in range(len(d)):
                                pixel[r] += d[r]


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
