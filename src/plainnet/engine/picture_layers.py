"""Layers for pictures in a compiled step: NumPy multiplies patches, compiled kernels do the rest.

The pictures of a batch are (channels, height, width, rows), so that every kernel has a contiguous
loop over the rows, and a convolution is a product for each block of output pixels: Z = W P.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import final

import numpy as np

from plainnet.nn.convolution import AveragePool2D, Conv2D, GlobalAveragePool2D, MaxPool2D
from plainnet.nn.layers import Flatten, Layer
from plainnet.nn.parameters import Array

BLOCK = 2**18  # numbers in the patches of a block: 1 MB, so that they stay in the cache
PARTS = 2  # of the work of a layer, which may run at the same time
PICTURE_LAYERS = (Conv2D, MaxPool2D, AveragePool2D, GlobalAveragePool2D, Flatten)
RunParts = Callable[[Sequence[Callable[[], None]]], None]
Area = tuple[int, int, int, int]  # of output pixels: top, bottom, left, right


def patch_numbers(layer: Layer, m: int) -> int:
    """Return how many numbers the patches of a block have at most."""
    return max(BLOCK, layer.W[0].size * m) if isinstance(layer, Conv2D) else 0


@final
class PictureLayer:
    """The forward and backward pass of a layer for batches of m rows.

    ``run`` runs the parts of a pass; ``patches`` is the memory of each part.
    """

    def __init__(
        self,
        layer: Layer,
        in_shape: tuple[int, ...],
        m: int,
        patches: Sequence[Array],
        run: RunParts,
    ) -> None:
        from plainnet.engine import convolution_kernels

        self.kernels, self.layer, self.run, self.patches = convolution_kernels, layer, run, patches
        height, width, channels = in_shape
        *sides, n_out = (1, 1, *layer.out_shape)[-3:]
        self.in_shape, self.out_shape, self.m = (channels, height, width, m), (n_out, *sides, m), m

    def forward(self, X: Array, winner: Array, Y: Array) -> None:
        """Compute Y from X, both without shape."""
        layer, kernels = self.layer, self.kernels
        X, Y = _shaped(X, self.in_shape), _shaped(Y, self.out_shape)
        if isinstance(layer, Conv2D):
            parts = zip(_halves(self.out_shape[1]), self.patches, strict=True)
            self.run([partial(self._products, layer, X, Y, rows, P) for rows, P in parts])
        elif isinstance(layer, MaxPool2D):
            winner = _shaped(winner, self.out_shape)
            self._by_channels(kernels.max_pool, layer.size, layer.stride, X, winner, Y)
        elif isinstance(layer, AveragePool2D):
            self._by_channels(kernels.average_pool, layer.size, layer.stride, X, Y)
        elif isinstance(layer, GlobalAveragePool2D):
            np.mean(X, axis=(1, 2), out=Y[:, 0, 0])
        else:
            Y.reshape(*self.in_shape[1:3], -1, self.m)[...] = X.transpose(1, 2, 0, 3)

    def backward(self, need_dX: bool, X: Array, winner: Array, dY: Array, dX: Array) -> None:
        """Compute the gradient of the parameters and dX."""
        layer, kernels = self.layer, self.kernels
        dY = _shaped(dY, self.out_shape)
        if isinstance(layer, Conv2D):
            self._gradient(layer, _shaped(X, self.in_shape), dY)
        if not need_dX:
            return
        dX = _shaped(dX, self.in_shape)
        if isinstance(layer, Conv2D):
            parts = zip(_halves(len(dX)), self.patches, strict=True)
            self.run([partial(self._input_gradient, layer, dY, dX, c, P) for c, P in parts])
        elif isinstance(layer, MaxPool2D):
            winner = _shaped(winner, self.out_shape)
            self._by_channels(kernels.d_max_pool, layer.size, layer.stride, dY, winner, dX)
        elif isinstance(layer, AveragePool2D):
            self._by_channels(kernels.d_average_pool, layer.size, layer.stride, dY, dX)
        elif isinstance(layer, GlobalAveragePool2D):
            dX[...] = dY / dX[0, :, :, 0].size
        else:
            dX.transpose(1, 2, 0, 3)[...] = dY.reshape(*self.in_shape[1:3], -1, self.m)

    def _by_channels(
        self, kernel: Callable[..., None], size: int, stride: int, *arrays: Array
    ) -> None:
        """Run a kernel for the channels of each part."""
        halves = _halves(self.in_shape[0])
        self.run([partial(kernel, size, stride, *(a[half] for a in arrays)) for half in halves])

    def _blocks(self, n_patch: int, rows: slice) -> Iterator[tuple[Area, slice]]:
        """Split rows of output pixels into areas of few enough patches; yield their columns too."""
        width = self.out_shape[2]
        pixels = max(1, BLOCK // (n_patch * self.m))
        height, across = max(1, pixels // width), min(pixels, width)
        for top in range(rows.start, rows.stop, height):
            bottom = min(top + height, rows.stop)
            for left in range(0, width, across):
                right = min(left + across, width)
                start, stop = top * width + left, (bottom - 1) * width + right
                yield (top, bottom, left, right), slice(start * self.m, stop * self.m)

    def _copy_patches(self, layer: Conv2D, X: Array, area: Area, memory: Array) -> Array:
        """Return the patches of an area, (numbers of a patch, pixels and rows)."""
        P = _patches_of(memory, layer.W[0].size, area, self.m)
        self.kernels.patches(X, _corner(layer), layer.kernel, layer.stride, area, P, False)
        return P.reshape(len(P), -1)

    def _products(self, layer: Conv2D, X: Array, Y: Array, rows: slice, memory: Array) -> None:
        """Z = W P + b for some rows of pixels."""
        W, Z = layer.W.reshape(layer.n_out, -1), Y.reshape(layer.n_out, -1)
        for area, columns in self._blocks(W.shape[1], rows):
            np.matmul(W, self._copy_patches(layer, X, area, memory), Z[:, columns])
            if layer.bias:
                Z[:, columns] += layer.b[:, None]

    def _gradient(self, layer: Conv2D, X: Array, dY: Array) -> None:
        """dW = dZ P^T, db = sums of dZ."""
        dZ = dY.reshape(layer.n_out, -1)
        sums = np.zeros_like(layer.W, shape=(PARTS, layer.n_out, layer.W[0].size))

        def add(rows: slice, memory: Array, dW: Array) -> None:
            for area, columns in self._blocks(dW.shape[1], rows):
                dW += dZ[:, columns] @ self._copy_patches(layer, X, area, memory).T

        parts = zip(_halves(self.out_shape[1]), self.patches, sums, strict=True)
        self.run([partial(add, *part) for part in parts])
        layer.dW[...] = sums.sum(axis=0).reshape(layer.dW.shape)
        if layer.bias:
            np.sum(dZ, axis=1, out=layer.db)

    def _input_gradient(
        self, layer: Conv2D, dY: Array, dX: Array, channels: slice, memory: Array
    ) -> None:
        """dP = W^T dZ, added to the pixels of some channels."""
        W, dZ, dX = layer.W[..., channels], dY.reshape(layer.n_out, -1), dX[channels]
        if not W.size:
            return
        W = W.reshape(layer.n_out, -1)
        dX[...] = 0
        for area, columns in self._blocks(W.shape[1], slice(0, self.out_shape[1])):
            dP = _patches_of(memory, W.shape[1], area, self.m)
            np.matmul(W.T, dZ[:, columns], dP.reshape(len(dP), -1))
            self.kernels.patches(dX, _corner(layer), layer.kernel, layer.stride, area, dP, True)


def _shaped(flat: Array, shape: tuple[int, ...]) -> Array:
    return flat[: math.prod(shape)].reshape(shape)


def _halves(n: int) -> list[slice]:
    """Split n into PARTS; some are empty if n is small."""
    return [slice(a, b) for a, b in pairwise(n * i // PARTS for i in range(PARTS + 1))]


def _corner(layer: Conv2D) -> tuple[int, int]:
    """Return the position of the first pixel of the first patch, which may be in the padding."""
    return -layer.pads[1][0], -layer.pads[2][0]


def _patches_of(memory: Array, n: int, area: Area, m: int) -> Array:
    """Return memory for the patches of an area, (numbers of a patch, pixels, rows)."""
    top, bottom, left, right = area
    return _shaped(memory, (n, (bottom - top) * (right - left), m))
