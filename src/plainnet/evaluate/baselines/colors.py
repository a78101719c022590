"""Statistics of the colors of pictures, or of their brightness: numbers that ignore all shapes."""

import numpy as np
from numpy.typing import NDArray

_COLORS = ("red", "green", "blue")
_NAMES = [*(f"mean {color}" for color in _COLORS), *(f"spread of {color}" for color in _COLORS)]
COLOR_NAMES = {  # by the number of channels
    1: ("mean brightness", "spread of brightness"),
    3: (*_NAMES, "mean saturation"),
}
_BLOCK = 64  # pictures at a time, to save memory


def color_statistics(X: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return mean and standard deviation of each channel; of colors also the mean of max - min."""
    m, height, width, n = X.shape
    statistics = np.empty((m, len(COLOR_NAMES[n])), np.float32)
    for start in range(0, m, _BLOCK):
        channels = np.moveaxis(X[start : start + _BLOCK], 3, 0).reshape(n, -1, height * width)
        rows = statistics[start : start + _BLOCK]
        for i, channel in enumerate(channels):
            values = channel.astype(np.float32)
            rows[:, i], rows[:, n + i] = values.mean(axis=1), values.std(axis=1)
        if n == 3:
            saturation = channels.max(axis=0) - channels.min(axis=0)
            rows[:, 6] = saturation.mean(axis=1, dtype=np.float32)
    statistics /= 255
    return statistics
