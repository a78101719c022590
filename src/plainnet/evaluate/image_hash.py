"""The looks of pictures in a few numbers: a summary of colors, and a hash that likeness keeps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

COLOR_NAMES = (
    "mean red",
    "mean green",
    "mean blue",
    "spread of red",
    "spread of green",
    "spread of blue",
    "mean saturation",
)
_ROWS = 64  # pictures at a time, to save memory


def color_summary(X: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return seven numbers of a picture that know nothing of its shapes.

    Mean and standard deviation of each channel, and the mean of max - min over the channels.
    """
    summary, pixels = np.empty((len(X), 7), np.float32), X.shape[1] * X.shape[2]
    for start in range(0, len(X), _ROWS):
        red, green, blue = np.moveaxis(X[start : start + _ROWS], 3, 0).reshape(3, -1, pixels)
        rows = summary[start : start + _ROWS]
        for i, channel in enumerate((red, green, blue)):
            values = channel.astype(np.float32)
            rows[:, i], rows[:, 3 + i] = values.mean(axis=1), values.std(axis=1)
        highest = np.maximum(np.maximum(red, green), blue)
        lowest = np.minimum(np.minimum(red, green), blue)
        rows[:, 6] = (highest - lowest).mean(axis=1, dtype=np.float32)
    summary /= 255
    return summary


def perceptual_hash(X: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return 64 bits of a picture that change little when it is resized or stored anew.

    The difference hash: of the gray picture, 8 rows of 9 mean brightnesses each, and whether
    each is brighter than the next to the right.
    """
    gray = thumbnails(X, 8, 9)
    bits = gray[:, :, :-1] > gray[:, :, 1:]
    return np.packbits(bits.reshape(len(X), 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


def bits_apart(one: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Count the bits in which hashes differ."""
    apart: NDArray[np.uint8] = np.bitwise_count(one ^ others)
    return apart


def thumbnails(X: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Return small gray pictures, each pixel the mean of what lies below it."""
    rows, columns = _shares(X.shape[1], height), _shares(X.shape[2], width)
    small = np.empty((len(X), height, width), np.float32)
    for start in range(0, len(X), _ROWS):
        part = X[start : start + _ROWS]
        gray = (part[..., 0].astype(np.float32) + part[..., 1] + part[..., 2]) / 3
        small[start : start + _ROWS] = rows @ gray @ columns.T
    return small


def _shares(n: int, parts: int) -> NDArray[Any]:
    """Which share of each part each of n pixels makes up: a matrix (parts, n)."""
    edges = np.linspace(0, n, parts + 1)
    pixel = np.arange(n)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shares = np.clip(inside, 0, None)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)
