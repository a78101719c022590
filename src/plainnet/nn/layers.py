"""Layers: Layer, the base class; Dense, Dropout, Flatten; registration by name."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.initializers import initializer
from plainnet.nn.parameters import Array, ParameterSpec, with_bias
from plainnet.nn.registry import call_text, register
from plainnet.nn.validation import check_range, positive_int

Shape = tuple[int, ...]
LAYERS: dict[str, type[Layer]] = {}
UNCOPIED = 10**6  # multiplications of a product whose factors OpenBLAS does not copy
TRANSPOSED = 40  # smallest number of outputs for which backward transposes the inputs first
NARROW = 128  # largest number of inputs that are fast to copy
BLOCK = 128  # smallest number of rows of a separate product


class Layer(ABC):
    """One step of a network: its shapes, its mathematics and its parameters.

    A layer becomes usable when a `Sequential` builds it. The arrays that ``forward`` and
    ``backward`` return are buffers, valid until the layer's next call. They have one row per
    sample, stored feature by feature, so that work on one feature of all rows is a single loop.
    Gradients are overwritten, not added up.

    To add a layer, name the constructor's arguments in ``options`` (and keep them as attributes),
    define `build`, `forward` and `backward`, and decorate the class with ``@register(LAYERS)`` if
    networks with it should be saved. `buffer` and `output` give arrays to write into.

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
    specs : list of ParameterSpec
        Set by ``build``; each becomes an attribute (``W``), and its gradient another (``dW``).
    out_shape : tuple of int
        The shape of one sample of the output, without the rows.
    rng : numpy.random.Generator
        The network's generator, for layers that draw.
    dtype : dtype
        The network's dtype.

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
    ...         return np.multiply(X, self.g, out=self.output(X.shape))
    ...
    ...     def backward(self, dY, need_dX):
    ...         np.sum(dY * self.X, axis=0, out=self.dg)
    ...         return np.multiply(dY, self.g, out=self.buffer("dX", dY.shape))
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
    specs: list[ParameterSpec]
    out_shape: Shape
    rng: np.random.Generator
    dtype: np.dtype[Any]
    _built: frozenset[str] = frozenset()  # its attributes once a network has built it
    _buffers: dict[str, Array]
    _next: Dense | None = None  # a dense layer that takes the output

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
            A buffer, valid until the layer's next call.
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
            dX; a buffer, valid until the layer's next call.
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
    def bind(
        self, views: dict[str, Array], grads: dict[str, Array], after: Layer | None = None
    ) -> None:
        """Make each parameter an attribute that is a view of the network's vectors; drop buffers.

        Parameters
        ----------
        views : dict of str to array
            An array for each name in ``specs``.
        grads : dict of str to array
            The same for the gradients; state has none.
        after : Layer, optional
            The layer that takes the output.

        Examples
        --------
        >>> from plainnet.nn import Sequential
        >>> net = Sequential([Dense(1)], n_in=2)  # binds its layers
        >>> np.shares_memory(net.layers[0].W, net.params.theta)
        True
        """
        if not self._built:
            self._built = frozenset({*vars(self), "_built"})
        for name in vars(self).keys() - self._built:
            delattr(self, name)
        self._buffers = {}
        self._next = after if isinstance(after, Dense) else None
        for name, view in views.items():
            setattr(self, name, view)
        for name, grad in grads.items():
            setattr(self, "d" + name, grad)

    @final
    def output(self, shape: Shape) -> Array:
        """Return an array for the output: the next dense layer's input buffer if there is one.

        Parameters
        ----------
        shape : tuple of int
            Of the output, rows first.

        Returns
        -------
        array
            Not initialized.

        Examples
        --------
        >>> from plainnet.nn import ReLU, Sequential
        >>> Sequential([ReLU()], n_in=3).layers[0].output((5, 3)).shape
        (5, 3)
        """
        return self.buffer("Y", shape) if self._next is None else self._next.input_buffer(shape[0])

    @final
    def buffer(self, key: str, shape: Shape) -> Array:
        """Return an array that is used again at the next step.

        Parameters
        ----------
        key : str
            The array's name within the layer; ``Y`` is the output's.
        shape : tuple of int
            Rows first. The memory grows to the largest requested shape.

        Returns
        -------
        array
            Not initialized; with two axes it is stored feature by feature.

        Examples
        --------
        >>> from plainnet.nn import ReLU, Sequential
        >>> layer = Sequential([ReLU()], n_in=3).layers[0]
        >>> layer.buffer("mask", (5, 3)) is layer.buffer("mask", (5, 3))
        True
        """
        buffer = self._buffers.get(key)
        if buffer is not None and buffer.shape == shape:
            return buffer
        size = math.prod(shape)
        store = None if buffer is None else buffer.base
        if store is None or store.size < size:
            store = np.empty(size, self.dtype)
        flat = store[:size]
        buffer = flat.reshape(shape[::-1]).T if len(shape) == 2 else flat.reshape(shape)
        self._buffers[key] = buffer
        return buffer


@register(LAYERS)
@final
class Dense(Layer):
    """Every output is a weighted sum of all inputs plus a bias: Z = X W^T + b.

    W and b are stored as one matrix ``Wb``. With a column of ones appended to X, the output is a
    single product, [X 1] [W b]^T, and so are both gradients.

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
    Wb: Array
    dW: Array
    db: Array
    dWb: Array
    _m = -1  # the batch size that the output buffer is prepared for
    _input: Array | None = None
    _input1T: Array | None = None  # [_input 1]^T
    _inputs: Mapping[int, Array] = MappingProxyType({})  # the same for recent batch sizes
    _fixed: Array | None = None
    _fixed1T: Array | None = None

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
            ParameterSpec("b", (self.n_out,), "bias", "zeros", column_of="W"),
        ]
        return (self.n_out,)

    def forward(self, X: Array, train: bool) -> Array:
        """Z = X W^T + b."""
        if len(X) != self._m:
            self._prepare(len(X))
        self.X = X
        self.X1T = self._input1T if X is self._input else self._with_ones(X)
        if self.X1T is None:
            np.matmul(self.W, X.T, out=self._ZT)  # unlike `dot` it does not copy W
            self._Z += self.b
        elif train or not self._blocks:
            self.Wb.dot(self.X1T, self._ZT)
        else:
            matmul_in_blocks(self.X1T.T, self.Wb.T, self._Z, self._width)
        return self._Z

    def backward(self, dZ: Array, need_dX: bool) -> Array | None:
        """dW = dZ^T X, db = column sums of dZ, dX = dZ W."""
        if self.X1T is None:
            np.matmul(dZ.T, self.X, out=self.dW)
            dZ.sum(axis=0, out=self.db)
        else:
            X1 = np.ascontiguousarray(self.X1T.T) if self._transposes else self.X1T.T
            dZ.T.dot(X1, self.dWb)
        if not need_dX:
            return None
        dX1 = self.buffer("dX1", (len(dZ), self.Wb.shape[1]))
        self.Wb.T.dot(dZ.T, dX1.T)  # with the column of ones: `dot` would copy W
        return dX1[:, :-1]

    def _prepare(self, m: int) -> None:
        """Cache the arrays for batch size m, because a lookup costs as much as a small product."""
        self.Wb, self.dWb = with_bias(self.W), with_bias(self.dW)
        self._m, self._width = m, block_width(m, self.Wb.size)
        self._blocks = self._width < m
        # OpenBLAS is slow at small products whose second factor is stored column by column
        self._transposes = self.n_out >= TRANSPOSED and m * self.Wb.size <= UNCOPIED
        self._Z = self.output((m, self.n_out))
        self._ZT = self._Z.T

    def input_buffer(self, m: int) -> Array:
        """Return an array for m rows of input, which is stored with a column of ones.

        Parameters
        ----------
        m : int
            Rows.

        Returns
        -------
        array of shape (m, n_in)
            Not initialized.

        Examples
        --------
        >>> from plainnet.nn import Sequential
        >>> Sequential([Dense(2)], n_in=3).layers[0].input_buffer(5).shape
        (5, 3)
        """
        if self._input is None or len(self._input) != m:
            if m not in self._inputs:  # batches, an epoch's last, and two sizes to validate
                new = {m: np.ones((self.W.shape[1] + 1, m), self.dtype)}
                self._inputs = dict(list(self._inputs.items())[-3:]) | new
            self._input1T = self._inputs[m]
            self._input = self._input1T[:-1].T
        return self._input

    def fix_input(self, X: Array | None) -> None:
        """Copy rows that are the same at every step, with a column of ones appended.

        Parameters
        ----------
        X : array of shape (m, n_in), or None
            The rows; None forgets them.

        Examples
        --------
        >>> from plainnet.nn import Sequential
        >>> net, X = Sequential([Dense(1, init="ones")], n_in=2), np.ones((1, 2), np.float32)
        >>> net.layers[0].fix_input(X)
        >>> net.forward(X)
        array([[2.]], dtype=float32)
        """
        self._fixed, self._fixed1T = X, None
        if X is not None:
            self._fixed1T = np.ones((X.shape[1] + 1, len(X)), self.dtype)
            self._fixed1T[:-1] = X.T

    def _with_ones(self, X: Array) -> Array | None:
        """Return [X 1]^T, or None if X is wide and copying it would take long."""
        if X is self._fixed:
            return self._fixed1T
        if X.shape[1] > NARROW and not X.flags.f_contiguous:
            return None
        self.input_buffer(len(X))[...] = X
        return self._input1T


def block_width(m: int, size: int) -> int:
    """Choose how many rows to multiply with a matrix at a time, on one thread.

    OpenBLAS copies both factors before it multiplies them, except in small products.
    """
    most = UNCOPIED // max(size, 1)
    return m if m <= most or most < BLOCK else -(-m // -(-m // most))  # blocks of equal size


def matmul_in_blocks(X: Array, W: Array, out: Array, width: int) -> None:
    """Write X W, a block of rows at a time."""
    end = len(X) - len(X) % width  # of the last full block
    blocks, outs = (A[:end].reshape(-1, width, A.shape[1]) for A in (X, out))
    np.matmul(blocks, W, out=outs)
    if end < len(X):
        np.matmul(X[end:], W, out=out[end:])


@register(LAYERS)
@final
class Dropout(Layer):
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

    options = ("rate",)
    formula = "Y = X M / (1 - rate), M = 1 with probability 1 - rate"
    gradient_formulas = ("dX = dY M / (1 - rate)",)

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = check_range("Dropout", "rate", rate, "[0, 1)")

    def build(self, in_shape: Shape) -> Shape:
        """Return the shape unchanged."""
        self.specs = []
        return in_shape

    def forward(self, X: Array, train: bool) -> Array:
        """Y = X M / (1 - rate), M = 1 with probability 1 - rate."""
        self.mask: Array | None = None
        if not train or self.rate == 0:
            return X
        draws = self.buffer("mask", X.shape)
        self.rng.random(out=draws, dtype=self.dtype)
        self.mask = np.multiply(draws >= self.rate, 1 / (1 - self.rate), out=draws)
        return np.multiply(X, self.mask, out=self.output(X.shape))

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY M / (1 - rate)."""
        if self.mask is None:
            return dY
        return np.multiply(dY, self.mask, out=self.buffer("dX", dY.shape))


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
        self.specs = []
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
