"""Activations: elementwise functions with their derivatives."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.layers import LAYERS, Layer, Shape
from plainnet.nn.parameters import ZERO, Array
from plainnet.nn.registry import register
from plainnet.nn.validation import check_range

_INF = np.array(np.inf, np.float32)
FEW = 4096  # numbers up to which maximum of two arrays is faster than clip
ACTIVATIONS: dict[str, type["Activation"]] = {}


class Activation(Layer):
    """An elementwise function; the output has the shape of the input.

    To add an activation, define ``forward`` and ``backward``; ``@register(ACTIVATIONS, "name")``
    makes it known to `mlp`, and ``@register(LAYERS)`` to model files.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> class Square(Activation):
    ...     def forward(self, X, train):
    ...         self.X = X
    ...         return np.multiply(X, X, out=self.output(X.shape))
    ...
    ...     def backward(self, dY, need_dX):
    ...         return np.multiply(dY, 2 * self.X, out=self.buffer("dX", dY.shape))
    >>> Sequential([Square()], n_in=2).forward([[3.0, -4.0]])
    array([[ 9., 16.]], dtype=float32)
    """

    @final
    def build(self, in_shape: Shape) -> Shape:
        """Return the shape unchanged."""
        self.specs = []
        return in_shape


def _register(name: str) -> Callable[[type[Activation]], type[Activation]]:
    """Enter a class among the activations by its short name, and among the layers."""
    return lambda kind: register(LAYERS)(register(ACTIVATIONS, name)(kind))


@_register("relu")
@final
class ReLU(Activation):
    """Y = max(X, 0) (Nair and Hinton, 2010); the derivative at 0 is 0.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([ReLU()], n_in=3)
    >>> net.forward([[-2.0, 0.0, 3.0]])
    array([[0., 0., 3.]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True)
    array([[0., 0., 1.]], dtype=float32)
    """

    formula = "Y = max(X, 0)"
    gradient_formulas = ("dX = dY where Y > 0, else 0",)
    has_kink = True
    _shape: Shape = ()

    def forward(self, X: Array, train: bool) -> Array:
        """Y = max(X, 0)."""
        if X.shape != self._shape:
            self._shape, self.Y = X.shape, self.output(X.shape)
            self._zeros = _zeros(X.shape, X.dtype) if X.size <= FEW else None
        if self._zeros is None:
            return X.clip(ZERO, _INF, out=self.Y)  # faster than np.maximum with one number
        return np.maximum(X, self._zeros, out=self.Y)

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY where Y > 0, else 0."""
        dX = self.buffer("dX", dY.shape)
        dX[...] = self.Y > ZERO  # as numbers first: a product of numbers and bools takes longer
        return np.multiply(dX, dY, dX)


@_register("leaky_relu")
@final
class LeakyReLU(Activation):
    """Y = X where X > 0, else alpha X (Maas et al., 2013).

    Parameters
    ----------
    alpha : float, default 0.01
        The slope below zero, in (0, 1).

    Raises
    ------
    PlainnetError
        If alpha is out of range.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([LeakyReLU(alpha=0.1)], n_in=3)
    >>> net.forward([[-2.0, 0.0, 3.0]]).round(3)
    array([[-0.2,  0. ,  3. ]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True).round(3)
    array([[0.1, 0.1, 1. ]], dtype=float32)
    """

    formula = "Y = max(X, alpha X)"
    gradient_formulas = ("dX = dY where Y > 0, else alpha dY",)
    options = ("alpha",)
    has_kink = True

    def __init__(self, alpha: float = 0.01) -> None:
        self.alpha = check_range("LeakyReLU", "alpha", alpha, "(0, 1)")

    def forward(self, X: Array, train: bool) -> Array:
        """Y = max(X, alpha X), as alpha < 1."""
        Y = np.multiply(X, self.alpha, out=self.output(X.shape))
        self.Y = np.maximum(X, Y, out=Y)
        return self.Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY where Y > 0, else alpha dY."""
        slope = np.multiply(self.Y > 0, 1 - self.alpha, out=self.buffer("dX", dY.shape))
        slope += self.alpha
        slope *= dY
        return slope


@_register("elu")
@final
class ELU(Activation):
    """Y = X where X > 0, else alpha (e^X - 1) (Clevert et al., 2016).

    Parameters
    ----------
    alpha : float, default 1.0
        The value that Y approaches below zero is -alpha; above 0.

    Raises
    ------
    PlainnetError
        If alpha is out of range.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([ELU()], n_in=3)
    >>> net.forward([[-1.0, 0.0, 1.0]]).round(3)
    array([[-0.632,  0.   ,  1.   ]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True).round(3)
    array([[0.368, 1.   , 1.   ]], dtype=float32)
    """

    formula = "Y = max(X, 0) + alpha (e^min(X, 0) - 1)"
    gradient_formulas = ("dX = dY where Y > 0, else dY (Y + alpha)",)
    options = ("alpha",)
    has_kink = True

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check_range("ELU", "alpha", alpha, "(0, inf)")

    def forward(self, X: Array, train: bool) -> Array:
        """Y = max(X, 0) + alpha (e^min(X, 0) - 1)."""
        Y = np.minimum(X, 0, out=self.output(X.shape))
        np.expm1(Y, out=Y)
        Y *= self.alpha
        Y += np.maximum(X, 0)
        self.Y = Y
        return Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY where Y > 0, else dY (Y + alpha), as alpha e^X = Y + alpha."""
        slope = np.minimum(self.Y, 0, out=self.buffer("dX", dY.shape))
        slope += self.alpha
        np.copyto(slope, 1, where=self.Y > 0)
        slope *= dY
        return slope


@_register("gelu")
@final
class GELU(Activation):
    """Y = X/2 (1 + tanh(u)), u = sqrt(2/pi) (X + 0.044715 X^3).

    The tanh form of Hendrycks and Gimpel (2016); it differs from the one with the error function
    by less than 0.0005.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([GELU()], n_in=3)
    >>> net.forward([[-1.0, 0.0, 1.0]]).round(3)
    array([[-0.159,  0.   ,  0.841]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True).round(3)
    array([[-0.083,  0.5  ,  1.083]], dtype=float32)
    """

    formula = "Y = X (1 + tanh u) / 2, u = sqrt(2/pi) (X + 0.044715 X^3)"
    gradient_formulas = (
        "dX = dY ((1 + tanh u) + X (1 - tanh^2 u) u') / 2, u' = sqrt(2/pi) (1 + 0.134145 X^2)",
    )

    def forward(self, X: Array, train: bool) -> Array:
        """Y = X (1 + tanh u) / 2; beyond |X| = 10, tanh u is 1 to the last bit."""
        self.X = np.clip(X, -10, 10, out=self.buffer("X", X.shape))  # so that X^3 is finite
        T = np.multiply(self.X, self.X, out=self.buffer("T", X.shape))
        T *= _GELU_CUBE
        T += 1
        T *= self.X
        T *= _GELU_SCALE
        self.T = np.tanh(T, out=T)
        Y = np.add(self.T, 1, out=self.output(X.shape))
        Y *= 0.5
        Y *= X
        return Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY ((1 + T) + X (1 - T^2) u') / 2, u' = sqrt(2/pi) (1 + 3 * 0.044715 X^2)."""
        slope = np.multiply(self.X, self.X, out=self.buffer("dX", dY.shape))
        slope *= 3 * _GELU_CUBE
        slope += 1
        slope *= _GELU_SCALE
        slope *= self.X
        slope *= 1 - self.T * self.T
        slope += self.T
        slope += 1
        slope *= 0.5
        slope *= dY
        return slope


_GELU_SCALE = math.sqrt(2 / math.pi)
_GELU_CUBE = 0.044715


@_register("silu")
@final
class SiLU(Activation):
    """Y = X sigmoid(X), also called swish (Elfwing et al., 2018).

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([SiLU()], n_in=3)
    >>> net.forward([[-1.0, 0.0, 1.0]]).round(3)
    array([[-0.269,  0.   ,  0.731]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True).round(3)
    array([[0.072, 0.5  , 0.928]], dtype=float32)
    """

    formula = "Y = X S, S = sigmoid(X)"
    gradient_formulas = ("dX = dY S (1 + X (1 - S))",)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = X S, S = sigmoid(X)."""
        self.X = X
        self.S = sigmoid(X, out=self.buffer("S", X.shape))
        return np.multiply(X, self.S, out=self.output(X.shape))

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY S (1 + X (1 - S))."""
        slope = np.subtract(1, self.S, out=self.buffer("dX", dY.shape))
        slope *= self.X
        slope += 1
        slope *= self.S
        slope *= dY
        return slope


@_register("tanh")
@final
class Tanh(Activation):
    """Y = tanh(X).

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Tanh()], n_in=3)
    >>> net.forward([[-1.0, 0.0, 1.0]]).round(3)
    array([[-0.762,  0.   ,  0.762]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True).round(3)
    array([[0.42, 1.  , 0.42]], dtype=float32)
    """

    formula = "Y = tanh(X)"
    gradient_formulas = ("dX = dY (1 - Y^2)",)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = tanh(X)."""
        self.Y = np.tanh(X, out=self.output(X.shape))
        return self.Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY (1 - Y^2)."""
        slope = np.multiply(self.Y, self.Y, out=self.buffer("dX", dY.shape))
        np.subtract(1, slope, out=slope)
        slope *= dY
        return slope


@_register("sigmoid")
@final
class Sigmoid(Activation):
    """Y = 1 / (1 + e^-X).

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Sigmoid()], n_in=3)
    >>> net.forward([[-1.0, 0.0, 1.0]]).round(3)
    array([[0.269, 0.5  , 0.731]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True).round(3)
    array([[0.197, 0.25 , 0.197]], dtype=float32)
    """

    formula = "Y = sigmoid(X)"
    gradient_formulas = ("dX = dY Y (1 - Y)",)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = sigmoid(X)."""
        self.Y = sigmoid(X, out=self.output(X.shape))
        return self.Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY Y (1 - Y)."""
        slope = np.subtract(1, self.Y, out=self.buffer("dX", dY.shape))
        slope *= self.Y
        slope *= dY
        return slope


@_register("softplus")
@final
class Softplus(Activation):
    """Y = log(1 + e^X), a smooth ReLU (Dugas et al., 2001).

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Softplus()], n_in=3)
    >>> net.forward([[-1.0, 0.0, 1.0]]).round(3)
    array([[0.313, 0.693, 1.313]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True).round(3)
    array([[0.269, 0.5  , 0.731]], dtype=float32)
    """

    formula = "Y = max(X, 0) + log(1 + e^-|X|)"
    gradient_formulas = ("dX = dY sigmoid(X)",)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = max(X, 0) + log(1 + e^-|X|), which cannot overflow."""
        self.X = X
        Y = np.abs(X, out=self.output(X.shape))
        np.negative(Y, out=Y)
        np.exp(Y, out=Y)
        np.log1p(Y, out=Y)
        Y += np.maximum(X, 0)
        return Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY sigmoid(X)."""
        slope = sigmoid(self.X, out=self.buffer("dX", dY.shape))
        slope *= dY
        return slope


@_register("identity")
@final
class Identity(Activation):
    """Y = X.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Identity()], n_in=3)
    >>> net.forward([[-1.0, 0.0, 1.0]])
    array([[-1.,  0.,  1.]], dtype=float32)
    >>> net.backward(np.ones((1, 3)), need_dX=True)
    array([[1., 1., 1.]], dtype=float32)
    """

    formula = "Y = X"
    gradient_formulas = ("dX = dY",)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = X."""
        return X

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY."""
        return dY


def sigmoid(X: Array, out: Array | None = None) -> Array:
    """1 / (1 + e^-x), without overflow: (1 + tanh(x/2)) / 2."""
    Y = np.multiply(X, 0.5, out=out)
    np.tanh(Y, out=Y)
    Y += 1
    Y *= 0.5
    return Y


@lru_cache(maxsize=16)
def _zeros(shape: Shape, dtype: np.dtype[Any]) -> Array:
    zeros = np.zeros(shape[::-1], dtype).T
    zeros.flags.writeable = False
    return zeros


def activation(name: str) -> Activation:
    """Make an activation layer by name.

    Parameters
    ----------
    name : str
        ``relu``, ``leaky_relu``, ``elu``, ``gelu``, ``silu``, ``tanh``, ``sigmoid``,
        ``softplus`` or ``identity``.

    Returns
    -------
    Activation
        With its default options.

    Raises
    ------
    PlainnetError
        If the name is unknown.

    Examples
    --------
    >>> activation("elu").config()
    {'alpha': 1.0}
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise PlainnetError(
            f"unknown activation {name!r}: expected one of {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]()
