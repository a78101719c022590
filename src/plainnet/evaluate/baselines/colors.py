"""Color statistics of images: seven numbers that ignore all shapes."""

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
_BLOCK = 64  # images at a time, to save memory


def color_statistics(X: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return mean and standard deviation of each channel, and the mean of max - min over them."""
    statistics, pixels = np.empty((len(X), 7), np.float32), X.shape[1] * X.shape[2]
    for start in range(0, len(X), _BLOCK):
        channels = np.moveaxis(X[start : start + _BLOCK], 3, 0).reshape(X.shape[3], -1, pixels)
        channels = np.broadcast_to(channels, (3, *channels.shape[1:]))  # gray as equal colors
        rows = statistics[start : start + _BLOCK]
        for i, channel in enumerate(channels):
            values = channel.astype(np.float32)
            rows[:, i], rows[:, 3 + i] = values.mean(axis=1), values.std(axis=1)
        saturation = channels.max(axis=0) - channels.min(axis=0)
        rows[:, 6] = saturation.mean(axis=1, dtype=np.float32)
    statistics /= 255
    return statistics
