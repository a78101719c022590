"""Layers: forward and backward side by side, the same names mirrored."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.initializers import initializer
from plainnet.nn.parameters import Array, ParameterSpec, with_bias
from plainnet.nn.validation import check_range, positive_int

Shape = tuple[int, ...]
UNCOPIED = 10**6  # multiplications of a product whose factors OpenBLAS does not copy
TURNED = 40  # outputs of a layer for which it pays to turn its inputs over first
NARROW = 128  # inputs are so few that copying them is soon done
BLOCK = 128  # rows that a block must have to be worth a product of its own


class Layer(ABC):
    """One step of a network: it knows its shapes, its mathematics and its views.

    A layer is described by the options of its constructor and becomes usable when a
    `Sequential` builds it. Arrays that ``forward`` and ``backward`` return are buffers and hold
    until the layer's next call. They have a row a sample, but in memory a feature lies after the
    other, so that work on a feature of all rows is one loop. Gradients overwrite.

    A class of your own declares ``options`` (the names of its constructor's arguments, kept as
    attributes) and defines ``build``, ``forward`` and ``backward``.

    Attributes
    ----------
    name : str
        Given by the network, such as ``dense2``.
    variables : list of ParameterSpec
        What ``build`` asks for; each becomes an attribute (``W``), its gradient another (``dW``).
    has_kink : bool
        Whether the derivative jumps where the output crosses zero, as ReLU's does.

    Examples
    --------
    >>> from plainnet.nn import MeanSquaredError, Sequential
    >>> from plainnet.nn.gradcheck import gradcheck
    >>> class Scale(Layer):
    ...     def build(self, in_shape):
    ...         self.variables = [ParameterSpec("g", in_shape, "bias", "ones")]
    ...         return in_shape
    ...
    ...     def forward(self, X, train):
    ...         self.X = X
    ...         return np.multiply(X, self.g, out=self._output(X.shape))
    ...
    ...     def backward(self, dY, need_dX):
    ...         np.sum(dY * self.X, axis=0, out=self.dg)
    ...         return np.multiply(dY, self.g, out=self._buffer("dX", dY.shape))
    >>> net = Sequential([Scale(), Dense(1)], n_in=2)
    >>> net.layers[0].name, net.params.views["scale1.g"]
    ('scale1', array([1., 1.], dtype=float32))
    >>> gradcheck(net, MeanSquaredError(), [[1, 2], [3, 4]], [5, 6]).ok
    True
    """

    options: ClassVar[tuple[str, ...]] = ()
    has_kink: ClassVar[bool] = False
    name: str
    variables: list[ParameterSpec]
    rng: np.random.Generator
    dtype: np.dtype[Any]
    _buffers: dict[str, Array]
    _next: Dense | None = None  # a dense layer that takes the output

    @abstractmethod
    def build(self, in_shape: Shape) -> Shape:
        """Check the shape of one sample, set ``variables`` and return the shape that comes out.

        Parameters
        ----------
        in_shape : tuple of int
            Of one sample, without the number of rows.

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
            Left as it is.
        train : bool
            Whether dropout drops and batch norm takes the batch's own figures.

        Returns
        -------
        array of shape (m, *out_shape)
            A buffer, good until the layer's next call.
        """

    @abstractmethod
    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """Write the gradients of the variables and return ``dX``, or None if not needed.

        Parameters
        ----------
        dY : array of shape (m, *out_shape)
            The derivative of the mean loss by the output of the last `forward`; left as it is.
        need_dX : bool
            Whether the derivative by the input is wanted.

        Returns
        -------
        array of shape (m, *in_shape), or None
            dX; a buffer of the layer, good until its next call.
        """

    @final
    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON can hold them.

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

    @final
    def bind(
        self, views: dict[str, Array], grads: dict[str, Array], after: Layer | None = None
    ) -> None:
        """Make each variable an attribute that looks into the network's flat vectors.

        Parameters
        ----------
        views : dict of str to array
            For each name in ``variables`` an array of its shape.
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
        self._buffers = {}
        self._next = after if isinstance(after, Dense) else None
        for name, view in views.items():
            setattr(self, name, view)
        for name, grad in grads.items():
            setattr(self, "d" + name, grad)

    @final
    def _output(self, shape: Shape) -> Array:
        """Return where the output goes: straight into the room of a dense layer that comes next."""
        return self._buffer("Y", shape) if self._next is None else self._next.room(shape[0])

    @final
    def _buffer(self, key: str, shape: Shape) -> Array:
        """Return a private array that is used again at the next step, a feature after the other."""
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


@final
class Dense(Layer):
    """Every output is a weighted sum of all inputs: Z = X W^T + b.

    W and b lie side by side as one matrix ``Wb``, so with ones beside X all of it is a single
    product, [X 1] [W b]^T, and so are both gradients.

    Parameters
    ----------
    n_out : int
        The number of units.
    init : str, default "he_normal"
        How ``W`` of shape (n_out, n_in) begins; see `plainnet.nn.initializers.initializer`.
        ``b`` of shape (n_out,) begins at zero.

    Raises
    ------
    PlainnetError
        If n_out is not a count of at least 1 or there is no such initializer.

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
    W: Array
    b: Array
    Wb: Array
    dW: Array
    db: Array
    dWb: Array
    _m = -1  # rows that the outputs' place is prepared for
    _room: Array | None = None
    _roomT: Array | None = None  # [_room 1]^T
    _held: Array | None = None
    _heldT: Array | None = None

    def __init__(self, n_out: int, init: str = "he_normal") -> None:
        self.n_out = positive_int("Dense", "n_out", n_out)
        initializer(init)
        self.init = init
        self._rooms: dict[int, Array] = {}

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
        self.variables = [
            ParameterSpec("W", (self.n_out, in_shape[0]), "weight", self.init),
            ParameterSpec("b", (self.n_out,), "bias", "zeros", beside="W"),
        ]
        return (self.n_out,)

    def forward(self, X: Array, train: bool) -> Array:
        """Z = X W^T + b."""
        if len(X) != self._m:
            self._prepare(len(X))
        self.X = X
        self.X1T = self._roomT if X is self._room else self._with_ones(X)
        if self.X1T is None:
            np.matmul(self.W, X.T, out=self._ZT)  # which takes a matrix with gaps as it is
            self._Z += self.b
        elif train or not self._blocks:
            self.Wb.dot(self.X1T, self._ZT)
        else:
            product(self.X1T.T, self.Wb.T, self._Z, self._width)
        return self._Z

    def backward(self, dZ: Array, need_dX: bool) -> Array | None:
        """dW = dZ^T X, db = column sums of dZ, dX = dZ W."""
        if self.X1T is None:
            np.matmul(dZ.T, self.X, out=self.dW)
            dZ.sum(axis=0, out=self.db)
        else:
            X1 = np.ascontiguousarray(self.X1T.T) if self._turns else self.X1T.T
            dZ.T.dot(X1, self.dWb)
        if not need_dX:
            return None
        dX1 = self._buffer("dX1", (len(dZ), self.Wb.shape[1]))
        self.Wb.T.dot(dZ.T, dX1.T)  # of the ones too, as `dot` would copy W
        return dX1[:, :-1]

    def _prepare(self, m: int) -> None:
        """Find the place of m outputs once; looking for it takes as long as a small product."""
        self.Wb, self.dWb = with_bias(self.W), with_bias(self.dW)
        self._m, self._width = m, block_width(m, self.Wb.size)
        self._blocks = self._width < m
        # OpenBLAS is slow at small products with the second factor's columns one after the other
        self._turns = self.n_out >= TURNED and m * self.Wb.size <= UNCOPIED
        self._Z = self._output((m, self.n_out))
        self._ZT = self._Z.T

    def room(self, m: int) -> Array:
        """Return where the layer before may write m rows, so that ones are beside them.

        Parameters
        ----------
        m : int
            Rows.

        Returns
        -------
        array of shape (m, n_in)
            A buffer of this layer.

        Examples
        --------
        >>> from plainnet.nn import Sequential
        >>> Sequential([Dense(2)], n_in=3).layers[0].room(5).shape
        (5, 3)
        """
        if self._room is None or len(self._room) != m:
            if m not in self._rooms:  # batches, the last of an epoch, and two sizes to validate
                self._rooms = dict(list(self._rooms.items())[-3:])
                self._rooms[m] = np.ones((self.W.shape[1] + 1, m), self.dtype)
            self._roomT = self._rooms[m]
            self._room = self._roomT[:-1].T
        return self._room

    def hold(self, X: Array | None) -> None:
        """Keep a copy of rows that will come again and again unchanged, with ones beside them.

        Parameters
        ----------
        X : array of shape (m, n_in), or None
            The rows; None forgets them.

        Examples
        --------
        >>> from plainnet.nn import Sequential
        >>> net, X = Sequential([Dense(1, init="ones")], n_in=2), np.ones((1, 2), np.float32)
        >>> net.layers[0].hold(X)
        >>> net.forward(X)
        array([[2.]], dtype=float32)
        """
        self._held, self._heldT = X, None
        if X is not None:
            self._heldT = np.ones((X.shape[1] + 1, len(X)), self.dtype)
            self._heldT[:-1] = X.T

    def _with_ones(self, X: Array) -> Array | None:
        """Return [X 1]^T, unless X is wide and would be turned over."""
        if X is self._held:
            return self._heldT
        if X.shape[1] > NARROW and not X.flags.f_contiguous:
            return None
        self.room(len(X))[...] = X
        return self._roomT


def block_width(m: int, size: int) -> int:
    """Say how many rows to multiply at a time with a matrix, on one thread.

    OpenBLAS copies both factors before it multiplies them, except where there is so little to
    multiply that this would take longer than the rest.
    """
    most = UNCOPIED // max(size, 1)
    return m if m <= most or most < BLOCK else -(-m // -(-m // most))  # blocks of one size


def product(X: Array, W: Array, out: Array, width: int) -> None:
    """Write X W, a block of rows at a time."""
    whole = len(X) - len(X) % width
    blocks, outs = (A[:whole].reshape(-1, width, A.shape[1]) for A in (X, out))
    np.matmul(blocks, W, out=outs)
    if whole < len(X):
        np.matmul(X[whole:], W, out=out[whole:])


@final
class Dropout(Layer):
    """While training, each number is zeroed with probability ``rate`` and the rest scaled up.

    Inverted dropout (Srivastava et al., 2014): dividing by 1 - rate keeps the expectation, so
    that nothing is to be done when predicting.

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

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = check_range("Dropout", "rate", rate, 0, 1, ends=False, low_end=True)

    def build(self, in_shape: Shape) -> Shape:
        """Return the shape unchanged."""
        self.variables = []
        return in_shape

    def forward(self, X: Array, train: bool) -> Array:
        """Y = X M / (1 - rate), M = 1 with probability 1 - rate."""
        self.mask: Array | None = None
        if not train or self.rate == 0:
            return X
        draws = self._buffer("mask", X.shape)
        self.rng.random(out=draws, dtype=self.dtype)
        self.mask = np.multiply(draws >= self.rate, 1 / (1 - self.rate), out=draws)
        return np.multiply(X, self.mask, out=self._output(X.shape))

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY M / (1 - rate)."""
        if self.mask is None:
            return dY
        return np.multiply(dY, self.mask, out=self._buffer("dX", dY.shape))


@final
class Flatten(Layer):
    """Each sample becomes one row of numbers.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([Flatten()], n_in=(2, 2, 3))
    >>> net.out_shape, net.forward(np.zeros((5, 2, 2, 3))).shape
    ((12,), (5, 12))
    """

    def build(self, in_shape: Shape) -> Shape:
        """Return the shape of one flat row."""
        self.variables = []
        self.in_shape = in_shape
        return (math.prod(in_shape),)

    def forward(self, X: Array, train: bool) -> Array:
        """Y = X as (m, n)."""
        return X.reshape(len(X), math.prod(self.in_shape))

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = dY in the shape of X."""
        return dY.reshape(len(dY), *self.in_shape)
