"""convnet: the usual convolutional network."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from plainnet.errors import PlainnetError
from plainnet.nn.activations import activation as make_activation
from plainnet.nn.convolution import Conv2D, MaxPool2D
from plainnet.nn.layers import Dense, Dropout, Flatten, Layer
from plainnet.nn.network import Sequential
from plainnet.nn.normalization import BatchNorm


def convnet(
    n_in: tuple[int, int, int],
    channels: Sequence[int] = (16, 32, 64),
    kernel: int = 3,
    n_out: int = 1,
    *,
    activation: str = "relu",
    init: str = "he_normal",
    dropout: float = 0.3,
    seed: int | np.random.Generator = 0,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Build a convolutional network: blocks of convolutions, then a dense layer.

    A block convolves, takes the maximum of each 2 x 2 pixels, normalizes over the batch and applies
    the activation. Pooling before the rest costs a quarter. Pictures of one pixel are not pooled.

    Parameters
    ----------
    n_in : tuple of 3 int
        Height, width and channels of a picture.
    channels : sequence of int, default (16, 32, 64)
        The output channels of each convolution.
    kernel : int, default 3
        The side of all kernels.
    activation : str, default "relu"
        The activation of all blocks.
    dropout : float, default 0.3
        The rate before the dense layer.
    n_out, init, seed, dtype
        See `mlp`.

    Returns
    -------
    Sequential

    Raises
    ------
    PlainnetError
        If n_in is not the shape of a picture, a size is out of range or a name is unknown.

    Examples
    --------
    >>> net = convnet((32, 32, 3), n_out=10)
    >>> [layer.name for layer in net.layers[:4]], net.params.trained.size
    (['conv2d1', 'maxpool2d1', 'batchnorm1', 'relu1'], 33946)
    """
    if not isinstance(n_in, tuple) or len(n_in) != 3:
        raise PlainnetError(f"convnet: n_in must be (height, width, channels), got {n_in!r}")
    if not isinstance(channels, Sequence) or not channels:
        raise PlainnetError(f"convnet: channels must be such as (16, 32), got {channels!r}")
    side, layers = min(n_in[:2]), list[Layer]()
    for n in channels:
        layers += [Conv2D(n, kernel, bias=False, init=init), *[MaxPool2D()] * (side > 1)]
        layers += [BatchNorm(), make_activation(activation)]
        side = max(side // 2, 1)
    layers += [Flatten(), *[Dropout(dropout)] * (Dropout(dropout).rate > 0), Dense(n_out, init)]
    return Sequential(layers, n_in, seed=seed, dtype=dtype)
