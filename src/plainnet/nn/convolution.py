"""Layers for pictures (NHWC): Conv2D, pooling, SpatialDropout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from plainnet.errors import PlainnetError
from plainnet.nn.initializers import initializer
from plainnet.nn.layers import LAYERS, DropoutLayer, Layer, Shape
from plainnet.nn.parameters import Array, ParameterSpec
from plainnet.nn.pieces import by_pieces
from plainnet.nn.ranks import feature_sums
from plainnet.nn.registry import register
from plainnet.nn.validation import positive_int

PADDINGS = ("same", "valid")


@register(LAYERS)
@final
class Conv2D(Layer):
    """Every output pixel is a weighted sum of a square of input pixels, plus a bias.

    A convolution is a sum of shifted products. Let X_ij be the picture, padded with zeros and
    shifted by (i, j): pixel (h, w) of X_ij is pixel (h stride + i, w stride + j) of X. Then

        Y = sum over i, j of X_ij W_ij^T + b,

    where W_ij, shape (n_out, n_in), mixes the channels of one pixel as a dense layer does. So the
    gradients are those of a dense layer for each shift:

        dW_ij = dY^T X_ij, summed over rows and pixels; db = sums of dY;
        dX = sum over i, j of dY W_ij, each added to the pixels that X_ij came from.

    The last line is a convolution of dY with the kernel turned by half a turn. The sum over i and j
    is one product: a row of ``patches`` has the numbers of all X_ij at one pixel side by side, and
    W is a matrix of as many columns.

    Parameters
    ----------
    n_out : int
        The number of output channels.
    kernel : int, default 3
        The side of the square of input pixels.
    stride : int, default 1
        The distance of neighboring squares.
    padding : "same" (default) or "valid"
        "same" surrounds pictures with zeros, so that the output has ceil(side / stride) pixels a
        side; an odd zero goes to the right and below, as in Keras. "valid" adds none.
    bias : bool, default True
        Whether there is a bias; before batch norm it has no effect.
    init : str, default "he_normal"
        The initializer of ``W``, shape (n_out, kernel, kernel, n_in); ``b``, shape (n_out,), starts
        at zero.

    Raises
    ------
    PlainnetError
        If an option is out of range, or the kernel is larger than the padded picture.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Conv2D(1, kernel=2, padding="valid", init="ones")], n_in=(2, 3, 1))
    >>> net.forward([[[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]]])[0, :, :, 0]
    array([[12., 16.]], dtype=float32)
    >>> net.backward([[[[1.0], [10.0]]]], need_dX=True)[0, :, :, 0]
    array([[ 1., 11., 10.],
           [ 1., 11., 10.]], dtype=float32)
    >>> net.layers[0].dW[0, :, :, 0]
    array([[21., 32.],
           [54., 65.]], dtype=float32)
    """

    options = ("n_out", "kernel", "stride", "padding", "bias", "init")
    formula = "Y = sum over i, j of X_ij W_ij^T + b, X_ij = X shifted by (i, j)"
    gradient_formulas = (
        "dW_ij = dY^T X_ij",
        "db = sums of dY",
        "dX = sum over i, j of dY W_ij, shifted back by (i, j)",
    )
    torch_names = ("weight", "bias")
    W: Array
    b: Array
    dW: Array
    db: Array

    def __init__(
        self,
        n_out: int,
        kernel: int = 3,
        stride: int = 1,
        padding: str = "same",
        bias: bool = True,
        init: str = "he_normal",
    ) -> None:
        self.n_out = positive_int("Conv2D", "n_out", n_out)
        self.kernel = positive_int("Conv2D", "kernel", kernel)
        self.stride = positive_int("Conv2D", "stride", stride)
        if padding not in PADDINGS:
            raise PlainnetError(f"Conv2D: padding must be 'same' or 'valid', got {padding!r}")
        if not isinstance(bias, bool):
            raise PlainnetError(f"Conv2D: bias must be True or False, got {bias!r}")
        initializer(init)
        self.padding, self.bias, self.init = padding, bias, init

    def build(self, in_shape: Shape) -> Shape:
        """Return (height, width, n_out); the input must be a picture."""
        require_picture(self, in_shape)
        self.in_shape, self.pads, self.reach = in_shape, [(0, 0)], [(0, 0)]
        sides = []
        for n in in_shape[:2]:
            out = -(-n // self.stride)
            zeros = max((out - 1) * self.stride + self.kernel - n, 0)
            zeros = zeros if self.padding == "same" else 0
            sides.append(n + zeros)
            self.pads.append((zeros // 2, zeros - zeros // 2))
        squares = windows_per_side(self, (sides[0], sides[1]), self.kernel)
        for n, out, (before, _) in zip(in_shape, squares, self.pads[1:], strict=False):
            start = self.kernel - 1 - before  # of dY among the zeros that patches of dX need
            self.reach.append((start, n + before - (out - 1) * self.stride - 1))
        self.pads.append((0, 0))
        self.reach.append((0, 0))
        shape = (self.n_out, self.kernel, self.kernel, in_shape[2])
        self.specs = [ParameterSpec("W", shape, "weight", self.init)]
        self.specs += [ParameterSpec("b", (self.n_out,), "bias", "zeros")] * self.bias
        return (*squares, self.n_out)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = sum over i, j of X_ij W_ij^T + b."""
        Xp = np.pad(X, self.pads) if max(map(sum, self.pads)) else X
        self.P = P = patches(Xp, self.kernel, self.stride)
        W = self.W.reshape(self.n_out, -1)
        return product_of_patches(P, W.T, self.b if self.bias else None)

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dW_ij = dY^T X_ij, db = sums of dY, dX = sum over i, j of dY W_ij, shifted back."""
        P, n_patch = self.P, math.prod(self.P.shape[3:])

        def dW(rows: slice) -> Array:
            dY_rows = dY[rows].reshape(-1, self.n_out)
            return np.dot(dY_rows.T, P[rows].reshape(-1, n_patch)).reshape(self.W.shape)

        self.dW[...] = sum(by_pieces(dW, len(P), math.prod(P.shape[1:])))
        if self.bias:
            self.db[...] = feature_sums(dY)
        if not need_dX:
            return None
        dY_P = patches(np.pad(spread(dY, self.stride), self.reach), self.kernel, 1)
        W = self.W[:, ::-1, ::-1].transpose(1, 2, 0, 3).reshape(-1, self.in_shape[2])
        return product_of_patches(dY_P, W)


def patches(X: Array, kernel: int, stride: int) -> Array:
    """Return a view of the numbers under the kernel, for each picture and pixel of the output."""
    windows = sliding_window_view(X, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    return windows.transpose(0, 1, 2, 4, 5, 3)


def product_of_patches(P: Array, W: Array, b: Array | None = None) -> Array:
    """Return the product of each patch, as a row, and W, plus b."""
    Y = np.empty_like(P, order="C", shape=(*P.shape[:3], W.shape[1]))

    def piece(rows: slice) -> None:
        np.matmul(P[rows].reshape(-1, len(W)), W, out=Y[rows].reshape(-1, W.shape[1]))
        if b is not None:
            Y[rows] += b

    by_pieces(piece, len(P), math.prod(P.shape[1:]))
    return Y


def spread(dY: Array, stride: int) -> Array:
    """Return dY with zeros between its pixels, which are ``stride`` apart."""
    if stride == 1:
        return dY
    height, width = ((n - 1) * stride + 1 for n in dY.shape[1:3])
    apart = np.zeros_like(dY, shape=(len(dY), height, width, dY.shape[3]))
    apart[:, ::stride, ::stride] = dY
    return apart


class _Pool(Layer):
    """Reduce each square of pixels to one number, channel by channel."""

    options = ("size", "stride")

    def __init__(self, size: int = 2, stride: int | None = None) -> None:
        kind = type(self).__name__
        self.size = positive_int(kind, "size", size)
        self.stride = positive_int(kind, "stride", size if stride is None else stride)

    @final
    def build(self, in_shape: Shape) -> Shape:
        """Return the number of squares and the channels; the input must be a picture."""
        require_picture(self, in_shape)
        self.in_shape = in_shape
        return (*windows_per_side(self, in_shape[:2], self.size), in_shape[2])


@register(LAYERS)
@final
class MaxPool2D(_Pool):
    """The largest number of each square of pixels, channel by channel.

    Of equal numbers the first takes the gradient, row by row from the left, as in PyTorch.

    Parameters
    ----------
    size : int, default 2
        The side of the squares.
    stride : int, optional
        The distance of neighboring squares; by default their side. Pixels on the right and below
        that fill no square are left out.

    Raises
    ------
    PlainnetError
        If an option is out of range, or the picture is smaller than a square.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([MaxPool2D()], n_in=(2, 2, 1))
    >>> X = np.array([1.0, 7.0, 7.0, 3.0]).reshape(1, 2, 2, 1)
    >>> net.forward(X)
    array([[[[7.]]]], dtype=float32)
    >>> net.backward(np.ones((1, 1, 1, 1)), need_dX=True).ravel()
    array([0., 1., 0., 0.], dtype=float32)
    """

    has_kink = True
    formula = "Y = max over i, j of X_ij, X_ij = X shifted by (i, j)"
    gradient_formulas = ("dX = dY where X_ij is the first maximum, else 0",)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = max over i, j of X_ij."""
        Y = np.empty_like(X, order="C", shape=(len(X), *self.out_shape))
        self.X, self.Y = X, Y
        first, *rest = shifted(X, self.size, self.stride, self.out_shape)

        def piece(rows: slice) -> None:
            Y[rows] = first[rows]
            for X_ij in rest:
                np.maximum(Y[rows], X_ij[rows], out=Y[rows])

        by_pieces(piece, len(X), math.prod(self.in_shape))
        return Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY where X_ij is the first maximum, else 0."""
        tiles = self.stride == self.size and not any(n % self.size for n in self.X.shape[1:3])
        make = np.empty_like if tiles else np.zeros_like
        dX = make(dY, order="C", shape=self.X.shape)

        def piece(rows: slice) -> None:
            pixels = shifted(dX[rows], self.size, self.stride, self.out_shape)
            for dX_ij, first in zip(pixels, self.first_maxima(rows), strict=True):
                if self.stride < self.size:  # squares overlap
                    dX_ij += dY[rows] * first
                else:
                    np.multiply(dY[rows], first, out=dX_ij)

        by_pieces(piece, len(dY), math.prod(self.in_shape))
        return dX

    def first_maxima(self, rows: slice = slice(None)) -> Iterator[Array]:
        """Yield for each X_ij where it is the first maximum, after `forward`."""
        Y = self.Y[rows]
        unfound = np.ones_like(Y, dtype=bool)
        for X_ij in shifted(self.X[rows], self.size, self.stride, self.out_shape):
            first = X_ij == Y
            first &= unfound
            unfound ^= first
            yield first


@register(LAYERS)
@final
class AveragePool2D(_Pool):
    """The mean of each square of pixels, channel by channel.

    Parameters
    ----------
    size, stride
        See `MaxPool2D`.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([AveragePool2D()], n_in=(2, 2, 1))
    >>> net.forward(np.array([1.0, 7.0, 6.0, 2.0]).reshape(1, 2, 2, 1))
    array([[[[4.]]]], dtype=float32)
    >>> net.backward(np.ones((1, 1, 1, 1)), need_dX=True).ravel()
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """

    formula = "Y = mean over i, j of X_ij, X_ij = X shifted by (i, j)"
    gradient_formulas = ("dX = sum over i, j of dY / size^2, shifted back by (i, j)",)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = mean over i, j of X_ij."""
        Y = np.zeros_like(X, shape=(len(X), *self.out_shape))
        for X_ij in shifted(X, self.size, self.stride, self.out_shape):
            Y += X_ij
        Y /= self.size**2
        return Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = sum over i, j of dY / size^2, shifted back by (i, j)."""
        dX = np.zeros_like(dY, shape=(len(dY), *self.in_shape))
        share = dY / self.size**2
        for dX_ij in shifted(dX, self.size, self.stride, self.out_shape):
            dX_ij += share
        return dX


@register(LAYERS)
@final
class GlobalAveragePool2D(Layer):
    """The mean of each channel over the whole picture, as a flat row (Lin et al., 2014).

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([GlobalAveragePool2D()], n_in=(2, 2, 1))
    >>> net.forward(np.array([1.0, 7.0, 6.0, 2.0]).reshape(1, 2, 2, 1))
    array([[4.]], dtype=float32)
    """

    formula = "Y = mean of X over its pixels"
    gradient_formulas = ("dX = dY / pixels, for every pixel",)

    def build(self, in_shape: Shape) -> Shape:
        """Return (channels,); the input must be a picture."""
        require_picture(self, in_shape)
        self.in_shape = in_shape
        return in_shape[2:]

    def forward(self, X: Array, train: bool) -> Array:
        """Y = mean of X over its pixels."""
        return X.mean(axis=(1, 2))

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY / pixels, for every pixel."""
        height, width, _ = self.in_shape
        dX = np.zeros_like(dY, shape=(len(dY), *self.in_shape))
        dX += dY[:, None, None] / (height * width)
        return dX


@register(LAYERS)
@final
class SpatialDropout(DropoutLayer):
    """While training, set each channel of a picture to zero with probability ``rate``.

    The rest is scaled up as by `Dropout`. Neighboring pixels are alike, so a single one that is
    missing is easily guessed; a whole channel is not (Tompson et al., 2015).

    Parameters
    ----------
    rate : float, default 0.5
        In [0, 1).

    Raises
    ------
    PlainnetError
        If rate is out of range.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([SpatialDropout(0.5)], n_in=(1, 2, 4))
    >>> net.forward(np.ones((1, 1, 2, 4)), train=True)
    array([[[[2., 2., 0., 0.],
             [2., 2., 0., 0.]]]], dtype=float32)
    """

    def build(self, in_shape: Shape) -> Shape:
        """Return the shape unchanged; the input must be a picture, each channel has one mask."""
        require_picture(self, in_shape)
        self.mask_shape = (1, 1, in_shape[2])
        return in_shape


def shifted(X: Array, size: int, stride: int, out_shape: Shape) -> Iterator[Array]:
    """Yield X_ij, a view of pixel (i, j) of every square, row by row."""
    down, across = ((n - 1) * stride + 1 for n in out_shape[:2])
    for i in range(size):
        for j in range(size):
            yield X[:, i : i + down : stride, j : j + across : stride]


def require_picture(layer: Layer, in_shape: Shape) -> None:
    """Refuse inputs other than (height, width, channels)."""
    if len(in_shape) != 3:
        raise PlainnetError(
            f"{type(layer).__name__} {layer.name!r} expects pictures (height, width, channels), "
            f"got shape {in_shape}: put it before Flatten and Dense"
        )


def windows_per_side(layer: Conv2D | _Pool, shape: Shape, size: int) -> Shape:
    """Return how many squares fit below each other and side by side; refuse none."""
    height, width = shape
    if size > min(height, width):
        raise PlainnetError(
            f"{type(layer).__name__} {layer.name!r} takes squares of {size} x {size} pixels, "
            f"larger than its input of {height} x {width}: take a smaller one, or larger pictures"
        )
    return tuple((n - size) // layer.stride + 1 for n in (height, width))
