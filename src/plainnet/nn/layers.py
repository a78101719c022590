"""Layers: Layer, the base class; Dense, Dropout, Flatten; registration by name."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.initializers import initializer
from plainnet.nn.parameters import Array, ParameterSpec
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.nn.registry import call_text, register
from plainnet.nn.validation import check_range, positive_int

Shape = tuple[int, ...]
LAYERS: dict[str, type[Layer]] = {}


class Layer(ABC):
    """One step of a network: its shapes, its mathematics and its parameters.

    A layer becomes usable when a `Sequential` builds it. ``forward`` and ``backward`` return new
    arrays, one row per sample. They make them from the arrays that they get (``X @ W.T``,
    ``np.zeros_like(X)``), so that they compute on any array type that follows NumPy's protocols.
    Gradients are overwritten, not added up.

    To add a layer, name the constructor's arguments in ``options`` (and keep them as attributes),
    define `build`, `forward` and `backward`, and decorate the class with ``@register(LAYERS)`` if
    networks with it should be saved. ``forward`` keeps in attributes what ``backward`` needs, and
    never reads them itself, so that threads can share a network to predict.

    Attributes
    ----------
    options : tuple of str
        The names of the constructor's arguments.
    has_kink : bool
        Whether the derivative jumps where the output crosses zero, as ReLU's does.
    formula : str
        The output's formula, as `explain` shows it.
    gradient_formulas : tuple of str
        The formulas of dX and of each parameter's gradient, such as ``dX = 2 dY``.
    torch_names : tuple of str
        PyTorch's names of the parameters, in order; then of counts that only PyTorch has.
    name : str
        Given by the network, such as ``dense2``.
    specs : sequence of ParameterSpec
        Set by ``build``, empty by default; each becomes an attribute (``W``), and its gradient
        another (``dW``).
    out_shape : tuple of int
        The shape of one sample of the output, without the rows.
    rng : numpy.random.Generator
        The network's generator, for layers that draw.
    dtype : dtype
        The network's dtype.
    zero : array of shape ()
        0 in the network's type of array, which compares faster than a number of Python.
    ranks : Ranks
        The processes that share each batch, for layers that draw or need the rows of all; one
        process by default.

    Examples
    --------
    >>> from plainnet.nn import MeanSquaredError, Sequential
    >>> from plainnet.nn.gradcheck import gradcheck
    >>> class Scale(Layer):
    ...     formula = "Y = g X"
    ...     gradient_formulas = ("dg = column sums of dY X", "dX = g dY")
    ...
    ...     def build(self, in_shape):
    ...         self.specs = [ParameterSpec("g", in_shape, "bias", "ones")]
    ...         return in_shape
    ...
    ...     def forward(self, X, train):
    ...         self.X = X
    ...         return self.g * X
    ...
    ...     def backward(self, dY, need_dX):
    ...         self.dg[...] = np.sum(dY * self.X, axis=0)
    ...         return self.g * dY
    >>> net = Sequential([Scale(), Dense(1)], n_in=2)
    >>> net.layers[0].name, net.params.views["scale1.g"]
    ('scale1', array([1., 1.], dtype=float32))
    >>> gradcheck(net, MeanSquaredError(), [[1, 2], [3, 4]], [5, 6]).ok
    True
    """

    options: ClassVar[tuple[str, ...]] = ()
    has_kink: ClassVar[bool] = False
    formula: ClassVar[str] = ""
    gradient_formulas: ClassVar[tuple[str, ...]] = ()
    torch_names: ClassVar[tuple[str, ...]] = ()
    name: str
    specs: Sequence[ParameterSpec] = ()
    out_shape: Shape
    rng: np.random.Generator
    dtype: np.dtype[Any]
    zero: Array
    ranks: Ranks = ALONE
    _built = False

    @abstractmethod
    def build(self, in_shape: Shape) -> Shape:
        """Check the input's shape, set ``specs`` and return the output's shape.

        Parameters
        ----------
        in_shape : tuple of int
            The shape of one sample.

        Returns
        -------
        tuple of int
            The shape of one sample of the output.

        Raises
        ------
        PlainnetError
            If the layer cannot take that shape.
        """

    @abstractmethod
    def forward(self, X: Array, train: bool) -> Array:
        """Compute the output for rows ``X``; ``train`` is True while training.

        Parameters
        ----------
        X : array of shape (m, *in_shape)
            Not changed.
        train : bool
            Whether dropout drops, and batch norm uses the batch's own statistics.

        Returns
        -------
        array of shape (m, *out_shape)
        """

    @abstractmethod
    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """Write the gradients of the parameters and return ``dX``, or None if not needed.

        Parameters
        ----------
        dY : array of shape (m, *out_shape)
            The derivative of the mean loss by the output of the last `forward`; not changed.
        need_dX : bool
            Whether the caller needs dX.

        Returns
        -------
        array of shape (m, *in_shape), or None
            dX.
        """

    @final
    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments by name.

        Returns
        -------
        dict
            An entry for each name in ``options``.

        Examples
        --------
        >>> Dense(3).config()
        {'n_out': 3, 'init': 'he_normal'}
        """
        return {option: getattr(self, option) for option in self.options}

    __repr__ = call_text

    @final
    def copy(self) -> Self:
        """Return a new layer with the same options, not yet part of a network.

        Returns
        -------
        Layer

        Examples
        --------
        >>> Dropout(0.2).copy()
        Dropout(rate=0.2)
        """
        return type(self)(**self.config())

    @final
    def bind(self, views: dict[str, Array], grads: dict[str, Array]) -> None:
        """Make each parameter an attribute that is a view of the network's vectors.

        Its transpose is one too, as ``W_T``; ``b_T``, of a vector, is a row. For one row of input,
        making such views takes as long as adding them.

        Parameters
        ----------
        views : dict of str to array
            An array for each name in ``specs``.
        grads : dict of str to array
            The same for the gradients; state has none.

        Examples
        --------
        >>> from plainnet.nn import Sequential
        >>> net = Sequential([Dense(1)], n_in=2)  # binds its layers
        >>> np.shares_memory(net.layers[0].W, net.params.theta)
        True
        """
        self._built = True
        for name, view in views.items():
            setattr(self, name, view)
            setattr(self, name + "_T", view[None] if view.ndim == 1 else view.T)
        for name, grad in grads.items():
            setattr(self, "d" + name, grad)


@register(LAYERS)
@final
class Dense(Layer):
    """Every output is a weighted sum of all inputs plus a bias: Z = X W^T + b.

    Parameters
    ----------
    n_out : int
        The number of units.
    init : str, default "he_normal"
        The initializer of ``W``, shape (n_out, n_in); see `plainnet.nn.initializer`. ``b``, shape
        (n_out,), starts at zero.

    Raises
    ------
    PlainnetError
        If n_out is not a whole number of at least 1, or the initializer is unknown.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Dense(2, init="constant:0.5")], n_in=3)
    >>> net.forward(np.ones((1, 3)))
    array([[1.5, 1.5]], dtype=float32)
    >>> net.backward(np.array([[1.0, -2.0]]), need_dX=True)
    array([[-0.5, -0.5, -0.5]], dtype=float32)
    >>> net.layers[0].dW
    array([[ 1.,  1.,  1.],
           [-2., -2., -2.]], dtype=float32)
    """

    options = ("n_out", "init")
    formula = "Z = X W^T + b"
    gradient_formulas = ("dW = dZ^T X", "db = column sums of dZ", "dX = dZ W")
    torch_names = ("weight", "bias")
    W: Array
    b: Array
    W_T: Array
    b_T: Array
    dW: Array
    db: Array

    def __init__(self, n_out: int, init: str = "he_normal") -> None:
        self.n_out = positive_int("Dense", "n_out", n_out)
        initializer(init)
        self.init = init

    def build(self, in_shape: Shape) -> Shape:
        """Return (n_out,); the input must be flat.

        Raises
        ------
        PlainnetError
            If the input is not flat.
        """
        if len(in_shape) != 1:
            raise PlainnetError(
                f"Dense {self.name!r} expects flat inputs, got shape {in_shape}: "
                "put Flatten() before it"
            )
        self.specs = [
            ParameterSpec("W", (self.n_out, in_shape[0]), "weight", self.init),
            ParameterSpec("b", (self.n_out,), "bias", "zeros"),
        ]
        return (self.n_out,)

    def forward(self, X: Array, train: bool) -> Array:
        """Z = X W^T + b."""
        self.X = X
        return X.dot(self.W_T) + self.b_T

    def backward(self, dZ: Array, need_dX: bool) -> Array | None:
        """dW = dZ^T X, db = column sums of dZ, dX = dZ W."""
        np.dot(dZ.T, self.X, out=self.dW)
        ones = np.ones(len(dZ), dZ.dtype, like=dZ)
        np.dot(ones, dZ, out=self.db)  # faster than sum(axis=0) where rows are short
        return dZ.dot(self.W) if need_dX else None


class DropoutLayer(Layer):
    """Multiply by a random mask while training; ``build`` sets the shape of a sample's mask."""

    options = ("rate",)
    formula = "Y = X M / (1 - rate), M = 1 with probability 1 - rate"
    gradient_formulas = ("dX = dY M / (1 - rate)",)
    mask_shape: Shape

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = check_range(type(self).__name__, "rate", rate, "[0, 1)")

    @final
    def forward(self, X: Array, train: bool) -> Array:
        """Y = X M / (1 - rate), M = 1 with probability 1 - rate."""
        self.mask: Array | None = None
        if not train or self.rate == 0:
            return X
        drawn = self.ranks.draw(self.rng, (len(X), *self.mask_shape), self.dtype)
        draws = np.asarray(drawn, like=X)
        self.mask = mask = np.multiply(draws >= self.rate, 1 / (1 - self.rate), dtype=X.dtype)
        return X * mask

    @final
    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY M / (1 - rate)."""
        return dY if self.mask is None else dY * self.mask


@register(LAYERS)
@final
class Dropout(DropoutLayer):
    """While training, set each number to zero with probability ``rate`` and scale up the rest.

    Inverted dropout (Srivastava et al., 2014): dividing by 1 - rate keeps the expectation, so
    predicting needs no change.

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
    >>> net = Sequential([Dropout(0.5)], n_in=6)
    >>> net.forward(np.ones((1, 6)), train=True)
    array([[2., 2., 0., 0., 2., 2.]], dtype=float32)
    >>> net.predict_logits(np.ones((1, 6)))
    array([[1., 1., 1., 1., 1., 1.]], dtype=float32)
    """

    def build(self, in_shape: Shape) -> Shape:
        """Return the shape unchanged; each number has a mask of its own."""
        self.mask_shape = in_shape
        return in_shape


@register(LAYERS)
@final
class Flatten(Layer):
    """Reshape each sample to one row of numbers.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Flatten()], n_in=(2, 2, 3))
    >>> net.out_shape, net.forward(np.zeros((5, 2, 2, 3))).shape
    ((12,), (5, 12))
    """

    formula = "Y = X as (m, n)"
    gradient_formulas = ("dX = dY in the shape of X",)

    def build(self, in_shape: Shape) -> Shape:
        """Return the shape of one flat row."""
        self.in_shape = in_shape
        return (math.prod(in_shape),)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = X as (m, n)."""
        return X.reshape(len(X), math.prod(self.in_shape))

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY in the shape of X."""
        return dY.reshape(len(dY), *self.in_shape)


def check_layers(layers: Sequence[Layer]) -> None:
    """Refuse objects that are not layers, and layers that are used twice."""
    previous: set[int] = set()
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise PlainnetError(f"a network is made of layers such as Dense(8), got {layer!r}")
        if layer._built or id(layer) in previous:
            use = f"a network uses it as {layer.name!r}" if layer._built else "it is given twice"
            raise PlainnetError(
                f"layer {i + 1}, {layer!r}, can be used only once, but {use}: "
                "make a new layer, or pass layer.copy()"
            )
        previous.add(id(layer))


def check_keys(subject: str, given: object, expected: set[str]) -> None:
    """Refuse a mapping whose keys differ from the expected."""
    if not isinstance(given, dict) or set(given) != expected:
        got = sorted(map(str, given)) if isinstance(given, dict) else given
        raise PlainnetError(f"{subject} has the entries {sorted(expected)}, got {got!r}")


def layer_from_config(config: object) -> Layer:
    """Make the layer that a description names."""
    kind = config.get("kind") if isinstance(config, dict) else config
    if not isinstance(config, dict) or not isinstance(kind, str) or kind not in LAYERS:
        raise PlainnetError(f"unknown layer {kind!r}: expected one of {', '.join(LAYERS)}")
    check_keys(f"layer {kind}", config, {"kind", *LAYERS[kind].options})
    return LAYERS[kind](**{option: config[option] for option in LAYERS[kind].options})
