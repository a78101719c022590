"""Sequential: a network as a chain of layers; mlp: a multi-layer perceptron."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import zip_longest
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from plainnet.errors import PlainnetError
from plainnet.nn import activations
from plainnet.nn.initializers import generator, initializer
from plainnet.nn.layers import (
    LAYERS,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Shape,
    check_keys,
    check_layers,
    layer_from_config,
)
from plainnet.nn.normalization import BatchNorm, LayerNorm
from plainnet.nn.parameters import LIMIT, Array, Parameters, ParameterSpec, check_arrays
from plainnet.nn.ranks import Ranks
from plainnet.nn.validation import as_array, positive_int

Transform = Callable[[Array], Array]
CACHED = 2**16  # numbers of an array that fits in the processor's cache
LARGEST = 2**24  # numbers of an array in a prediction: 64 MB, unless a row alone is larger
LARGEST_PICTURES = 2**21  # the same where layers give pictures: 8 MB, for the cache


class LayerSummary(NamedTuple):
    """One line of `Sequential.summary`.

    ``out_shape`` is the shape of one sample; ``n_params`` counts trained parameters.
    """

    name: str
    kind: str
    out_shape: Shape
    n_params: int


@final
class Sequential:
    """A chain of layers with all parameters in one vector.

    Parameters
    ----------
    layers : sequence of Layer
        The network's layers. A layer is used only once; `Layer.copy` makes another.
    n_in : int or tuple of int
        The shape of one sample: a number of features, or (height, width, channels).
    seed : int or numpy.random.Generator, default 0
        Draws the initial weights and the masks of dropout.
    dtype : float32 (default) or float64
        float32 is for training, float64 for checking gradients.

    Attributes
    ----------
    layers : tuple of Layer
        Their names are type and number: ``dense1``, ``relu1``, ``dense2``.
    params : Parameters
        The vector ``theta``, its gradient, and views such as ``params.views["dense1.W"]``.
    in_shape, out_shape : tuple of int
        The shapes of one sample.
    batch_rows : int
        The default batch size of `predict_logits`.

    Raises
    ------
    PlainnetError
        If a layer cannot take the shape that reaches it, or is used twice.

    Examples
    --------
    >>> from plainnet.nn import ReLU
    >>> net = Sequential([Dense(4), ReLU(), Dense(1)], n_in=2, seed=1)
    >>> net.predict_logits([[0.5, -1.0], [2.0, 0.0]]).shape
    (2, 1)
    >>> print(net)
    layer   kind   output  parameters
    dense1  Dense  (4,)            12
    relu1   ReLU   (4,)             0
    dense2  Dense  (1,)             5
    total                          17
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        n_in: int | tuple[int, ...],
        *,
        seed: int | np.random.Generator = 0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_layers(layers)
        self._plan(layers, n_in, dtype)
        rng = generator(seed)
        self.rng = rng.spawn(1)[0]  # so that dropout and the order of batches do not interleave
        self.use(Parameters(self._specs(), self.dtype))
        for v in self.params.specs:
            self.params.views[v.name][...] = initializer(v.init)(v.shape, rng)

    def _plan(self, layers: Sequence[Layer], n_in: int | tuple[int, ...], dtype: DTypeLike) -> None:
        """Name the layers and pass the shape through them, which checks it; allocate nothing."""
        if not layers:
            raise PlainnetError("a network needs at least one layer, got none")
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise PlainnetError(f"a network computes in float32 or float64, not in {self.dtype}")
        shape = n_in if isinstance(n_in, tuple) else (n_in,)
        self.in_shape = tuple(positive_int("Sequential", "n_in", n) for n in shape)
        if not self.in_shape:
            raise PlainnetError("Sequential: n_in must have at least one dimension, got ()")
        self.layers = tuple(layers)
        counts: Counter[str] = Counter()
        shape = self.in_shape
        widest = math.prod(shape)
        for layer in self.layers:
            kind = type(layer).__name__.lower()
            counts[kind] += 1
            layer.name = f"{kind}{counts[kind]}"
            layer.dtype = self.dtype
            if widest > LIMIT:  # refused before a layer prints it
                raise PlainnetError(
                    f"{layer.name!r} has a shape of over {LIMIT:,}: take fewer inputs or units"
                )
            shape = layer.out_shape = layer.build(shape)
            widest = max(widest, math.prod(shape))
        self.out_shape = shape
        pictures = any(len(layer.out_shape) == 3 for layer in self.layers)
        largest = LARGEST_PICTURES if pictures else LARGEST
        self.batch_rows = max(1, min(512, largest // widest), CACHED // widest)

    def _specs(self) -> list[ParameterSpec]:
        """Return the parameters of all layers, under full names."""
        return [
            v._replace(name=f"{layer.name}.{v.name}") for layer in self.layers for v in layer.specs
        ]

    def use(self, params: Parameters) -> None:
        """Take other parameters: every layer gets its views of them, and the generator.

        Parameters
        ----------
        params : Parameters
            With the names and shapes of the network's own.

        Examples
        --------
        >>> net = mlp(2)
        >>> net.use(net.params.converted(np.negative))
        >>> net.forward(np.zeros((1, 2)))
        array([[0.]], dtype=float32)
        """
        self.params = params
        for layer in self.layers:
            layer.rng, layer.zero = self.rng, np.zeros((), self.dtype, like=params.theta)
            layer.bind(_own(layer, params.views), _own(layer, params.grads))
        trained = (i for i, layer in enumerate(self.layers) if _own(layer, params.grads))
        self._first_trained = next(trained, len(self.layers))

    def release(self) -> None:
        """Let the layers forget the arrays of the last batch; `fit` does this at its end.

        Examples
        --------
        >>> net = mlp(2)
        >>> Z = net.forward(np.ones((1000, 2)))
        >>> net.release()
        >>> net.layers[0].X.shape
        (0, 2)
        """
        self.forward(np.zeros((0, *self.in_shape)))

    def set_rng(self, rng: np.random.Generator) -> None:
        """Draw the masks of dropout from another generator, which is not copied.

        Parameters
        ----------
        rng : numpy.random.Generator
            The new generator.

        Examples
        --------
        >>> net, rng = mlp(2), np.random.default_rng(7)
        >>> net.set_rng(rng)
        >>> net.rng is rng
        True
        """
        self.rng = rng
        for layer in self.layers:
            layer.rng = rng

    def share_batches(self, ranks: Ranks) -> None:
        """Train together with other processes, each on its share of every batch.

        Parameters
        ----------
        ranks : Ranks
            The processes.

        Examples
        --------
        >>> from plainnet.nn.ranks import ALONE
        >>> mlp(2).share_batches(ALONE)
        """
        for layer in self.layers:
            layer.ranks = ranks

    @property
    def n_out(self) -> int:
        """The number of outputs; the last layer must be flat.

        Raises
        ------
        PlainnetError
            If the output has more than one axis.

        Examples
        --------
        >>> mlp(3, n_out=2).n_out
        2
        """
        if len(self.out_shape) != 1:
            raise PlainnetError(
                f"the last layer {self.layers[-1].name!r} gives shape {self.out_shape}: "
                "put Flatten() and Dense() after it"
            )
        return self.out_shape[0]

    def forward(self, X: ArrayLike, train: bool = False) -> Array:
        """Compute the output Z of every row.

        Parameters
        ----------
        X : array of shape (m, *in_shape)
            Converted to the network's dtype.
        train : bool, default False
            Whether dropout drops, and batch norm uses the batch's own statistics.

        Returns
        -------
        array of shape (m, *out_shape)

        Raises
        ------
        PlainnetError
            If the rows have another shape.

        Examples
        --------
        >>> mlp(2, hidden=(), init="ones").forward([[1.0, 2.0], [3.0, 4.0]])
        array([[3.],
               [7.]], dtype=float32)
        """
        return self._propagate(self.validate_input(X), train)

    def _propagate(self, rows: Array, train: bool = False) -> Array:
        Y = rows if rows.dtype is self.dtype else rows.astype(self.dtype, copy=False)
        for layer in self.layers:
            Y = layer.forward(Y, train)
        return Y

    def validate_input(self, X: ArrayLike) -> Array:
        """Check that the network can take ``X``, and return it as an array.

        Parameters
        ----------
        X : array of shape (m, *in_shape)
            Numbers of any type.

        Returns
        -------
        array of shape (m, *in_shape)

        Raises
        ------
        PlainnetError
            If X does not hold numbers, or has another shape.

        Examples
        --------
        >>> mlp(2).validate_input([[1, 2]])
        array([[1, 2]])
        """
        rows = np.asarray(X, like=self.params.theta)
        if rows.dtype is not self.dtype and rows.dtype.kind not in "biuf":
            raise PlainnetError(f"the network expects numbers, got an array of {rows.dtype}")
        if rows.shape[1:] != self.in_shape:
            raise PlainnetError(_wrong_shape(self.layers[0], self.in_shape, rows.shape))
        return rows

    def backward(self, dZ: ArrayLike, need_dX: bool = False) -> Array | None:
        """Write the gradient of every parameter into ``params.grad``.

        Parameters
        ----------
        dZ : array of shape (m, *out_shape)
            The derivative of the mean loss by the output of the last `forward`.
        need_dX : bool, default False
            Whether to compute the derivative by the input too; training never needs it.

        Returns
        -------
        array of shape (m, *in_shape), or None
            dX, if asked for.

        Raises
        ------
        PlainnetError
            If dZ has another shape, or a layer returns no dX although it was asked for.

        Examples
        --------
        >>> net = mlp(2, hidden=(), init="ones")
        >>> Z = net.forward([[1.0, 2.0], [3.0, 4.0]])
        >>> net.backward([[1.0], [10.0]], need_dX=True)
        array([[ 1.,  1.],
               [10., 10.]], dtype=float32)
        >>> net.params.grads["dense1.W"], net.params.grads["dense1.b"]
        (array([[31., 42.]], dtype=float32), array([11.], dtype=float32))
        """
        dY = np.asarray(dZ, self.dtype, like=self.params.theta)
        if dY.shape[1:] != self.out_shape or dY.ndim == 0:
            wanted = ", ".join(["m", *map(str, self.out_shape)])
            raise PlainnetError(f"backward expects dZ of shape ({wanted}), got {dY.shape}")
        last = 0 if need_dX else self._first_trained
        for i in range(len(self.layers) - 1, last - 1, -1):
            layer = self.layers[i]
            dX = layer.backward(dY, need_dX or i > last)
            if dX is None:
                if need_dX or i > last:
                    raise PlainnetError(f"{layer.name!r} returned no dX although it was asked for")
                return None
            dY = dX
        return dY if need_dX else None

    def predict_logits(
        self, X: ArrayLike, batch_size: int | None = None, transform: Transform | None = None
    ) -> Array:
        """Compute the output Z of every row, one batch at a time.

        Threads may share a network to predict; while one trains it, no other may use it.

        Parameters
        ----------
        X : array of shape (m, *in_shape)
            The rows; with ``transform``, its input.
        batch_size : int, optional
            By default as many rows as keep every array in the processor's cache, or 512 where that
            is more; fewer where an array would exceed 64 MB, or 8 MB between convolutions.
        transform : callable, optional
            Turns a batch of rows into numbers, so that pictures may stay uint8 in memory.

        Returns
        -------
        array of shape (m, *out_shape)
            Logits: a loss's ``predictions`` turns them into probabilities.

        Raises
        ------
        PlainnetError
            If the rows have another shape or are not numbers.

        Examples
        --------
        >>> net = mlp(2, hidden=(), n_out=1, init="zeros")
        >>> net.predict_logits([[1.0, 2.0]])
        array([[0.]], dtype=float32)
        """
        rows = self.validate_input(X) if transform is None else as_array(X)
        size = self.batch_rows
        if batch_size is not None:
            size = positive_int("predict", "batch_size", batch_size)
        if len(rows) <= size and transform is None:
            Z = self._propagate(rows)
            return Z.copy() if Z is rows or getattr(Z, "base", rows) is not None else Z
        Z = np.empty((len(rows), *self.out_shape), self.dtype, like=self.params.theta)
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            batch = batch if transform is None else self.validate_input(transform(batch))
            Z[start : start + size] = self._propagate(batch)
        self.release()
        return Z

    def astype(self, dtype: DTypeLike) -> Sequential:
        """Return a copy of the network that computes in another dtype.

        Parameters
        ----------
        dtype : float32 or float64
            The dtype of the copy.

        Returns
        -------
        Sequential
            Parameters and generator are copies too.

        Raises
        ------
        PlainnetError
            If it is another dtype.

        Examples
        --------
        >>> mlp(2).astype(np.float64).params.theta.dtype
        dtype('float64')
        """
        return self.to(lambda theta: theta.astype(dtype))

    def to(self, convert: Callable[[Array], Array]) -> Sequential:
        """Return a copy of the network on another type of array, such as CuPy's on a GPU.

        Training and predictions then run on that type, from the same code.

        Parameters
        ----------
        convert : callable
            Turns the vector of all parameters into such an array, as ``cupy.asarray`` does. The
            type must follow NumPy's protocols (``__array_function__`` and ``__array_ufunc__``).

        Returns
        -------
        Sequential

        Examples
        --------
        >>> mlp(2).to(np.asarray).params.theta.size  # on a GPU: .to(cupy.asarray)
        33
        """
        params = self.params.converted(convert)
        copy = Sequential.__new__(Sequential)
        copy._plan([layer.copy() for layer in self.layers], self.in_shape, params.theta.dtype)
        copy.rng = deepcopy(self.rng)
        copy.use(params)
        return copy

    def summary(self) -> list[LayerSummary]:
        """Return name, kind, output shape and number of trained parameters of every layer.

        Returns
        -------
        list of LayerSummary

        Examples
        --------
        >>> mlp(3, hidden=(), n_out=2).summary()
        [LayerSummary(name='dense1', kind='Dense', out_shape=(2,), n_params=8)]
        """
        rows = []
        for layer in self.layers:
            n_params = sum(g.size for g in _own(layer, self.params.grads).values())
            rows.append(LayerSummary(layer.name, type(layer).__name__, layer.out_shape, n_params))
        return rows

    def __repr__(self) -> str:
        n_in = self.in_shape if len(self.in_shape) > 1 else self.in_shape[0]
        dtype = "" if self.dtype == np.float32 else f", dtype={self.dtype.name!r}"
        return f"Sequential({list(self.layers)!r}, n_in={n_in!r}{dtype})"

    def __str__(self) -> str:
        rows = [("layer", "kind", "output", "parameters")]
        rows += [(r.name, r.kind, str(r.out_shape), f"{r.n_params:,}") for r in self.summary()]
        rows += [("total", "", "", f"{self.params.grad.size:,}")]
        width = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            f"{a:{width[0]}}  {b:{width[1]}}  {c:{width[2]}}  {d:>{width[3]}}"
            for a, b, c, d in rows
        )

    def config(self) -> dict[str, Any]:
        """Describe the network, without its parameters, for `from_config`.

        Returns
        -------
        dict
            It can be written as JSON.

        Examples
        --------
        >>> mlp(2, hidden=(), n_out=1).config()["layers"]
        [{'kind': 'Dense', 'n_out': 1, 'init': 'he_normal'}]
        """
        layers = [{"kind": type(layer).__name__, **layer.config()} for layer in self.layers]
        return {"in_shape": list(self.in_shape), "dtype": self.dtype.name, "layers": layers}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], arrays: Mapping[str, Array] | None = None
    ) -> Sequential:
        """Build a network from `config`.

        Parameters
        ----------
        config : dict
            As `config` gives it; its layers must be registered in `LAYERS`.
        arrays : mapping of str to array, optional
            The parameters by name. Their names and shapes are checked before memory is allocated.
            Without them the network has its initial parameters.

        Returns
        -------
        Sequential

        Raises
        ------
        PlainnetError
            If the description is wrong, or the arrays do not fit it.

        Examples
        --------
        >>> net = mlp(2, seed=5)
        >>> equal = Sequential.from_config(net.config(), net.params.views)
        >>> np.array_equal(equal.params.theta, net.params.theta)
        True
        """
        check_keys("the description of a network", config, {"in_shape", "dtype", "layers"})
        dtype = config["dtype"]
        if dtype not in ("float32", "float64"):
            raise PlainnetError(f"a network computes in float32 or float64, got {dtype!r}")
        for entry in ("in_shape", "layers"):
            if not isinstance(config[entry], list):
                raise PlainnetError(f"{entry} of a network must be a list, got {config[entry]!r}")
        layers = [layer_from_config(layer) for layer in config["layers"]]
        in_shape = tuple(config["in_shape"])
        if arrays is None:
            return cls(layers, in_shape, dtype=dtype)
        net = cls.__new__(cls)
        net._plan(layers, in_shape, dtype)
        check_arrays({v.name: v.shape for v in net._specs()}, arrays)
        net.rng = np.random.default_rng(0)
        net.use(Parameters(net._specs(), net.dtype))
        net.params.load(arrays)
        return net

    def to_torch_state(self) -> dict[str, Array]:
        """Return a copy of every parameter under its name in ``torch.nn.Sequential``.

        Returns
        -------
        dict of str to array
            For ``load_state_dict`` of a torch.nn.Sequential with the same layers, after
            ``torch.from_numpy`` has made tensors of the arrays.

        Raises
        ------
        PlainnetError
            If a layer has parameters that no layer of PyTorch has.

        Notes
        -----
        PyTorch's pictures are channels first, (m, channels, height, width). Kernels, and the
        columns of the layers between `Flatten` and the next `Dense`, are in the order that fits.

        Examples
        --------
        >>> state = mlp(3, hidden=(4,)).to_torch_state()
        >>> {name: array.shape for name, array in state.items()}
        {'0.weight': (4, 3), '0.bias': (4,), '2.weight': (1, 4), '2.bias': (1,)}
        """
        views = self._torch_views().items()
        return {name: view.copy().reshape(shape) for name, (view, shape) in views}

    def load_torch_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Copy the parameters of a ``torch.nn.Sequential`` with the same layers.

        Parameters
        ----------
        state : mapping of str to array
            Its ``state_dict``, as arrays or tensors on the CPU, in the dtype of the network.

        Raises
        ------
        PlainnetError
            If a name is missing or unknown, or a shape or type differs; nothing is changed then.

        Examples
        --------
        >>> net, other = mlp(3, seed=1), mlp(3, seed=2)
        >>> net.load_torch_state(other.to_torch_state())
        >>> np.array_equal(net.params.theta, other.params.theta)
        True
        """
        views = self._torch_views()
        arrays = {name: np.asarray(values) for name, values in state.items()}
        check_arrays({name: shape for name, (_, shape) in views.items()}, arrays)
        for name, (view, _) in views.items():
            if arrays[name].dtype != view.dtype:
                raise PlainnetError(
                    f"parameter {name!r} is of type {view.dtype}, got {arrays[name].dtype}: "
                    "convert the network or the state"
                )
        for name, (view, _) in views.items():
            view[...] = arrays[name].reshape(view.shape)

    def _torch_views(self) -> dict[str, tuple[Array, Shape]]:
        """Return views in PyTorch's order and its shapes, and zeros for the counts it alone has."""
        views: dict[str, tuple[Array, Shape]] = {}
        flattened: Shape = ()  # the shape of the pictures whose numbers are the inputs of a layer
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Flatten) and len(layer.in_shape) == 3:
                flattened = layer.in_shape
            arrays = [
                _channels_first(getattr(layer, v.name), () if v.name == "b" else flattened)
                for v in layer.specs
            ]
            flattened = () if isinstance(layer, Dense) else flattened
            if len(layer.torch_names) < len(arrays):
                known = ", ".join(name for name, kind in LAYERS.items() if kind.torch_names)
                raise PlainnetError(
                    f"PyTorch has no names for the parameters of {type(layer).__name__} "
                    f"{layer.name!r}, only for those of {known}"
                )
            for name, view in zip_longest(layer.torch_names, arrays):
                if view is None and name == "bias":
                    continue  # a convolution without one
                views[f"{i}.{name}"] = (np.zeros((), np.int64), ()) if view is None else view
        return views

    def __getstate__(self) -> dict[str, Any]:
        """Return new layers, parameters and the generator; copies bind new views."""
        layers = [layer.copy() for layer in self.layers]
        return {"layers": layers, "in_shape": self.in_shape, "params": self.params, "rng": self.rng}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._plan(state["layers"], state["in_shape"], state["params"].theta.dtype)
        self.rng = deepcopy(state["rng"])
        self.use(deepcopy(state["params"]))


def mlp(
    n_in: int | tuple[int, ...],
    hidden: Sequence[int] = (8,),
    n_out: int = 1,
    *,
    activation: str | Sequence[str] = "relu",
    init: str = "he_normal",
    dropout: float = 0.0,
    batch_norm: bool = False,
    layer_norm: bool = False,
    seed: int | np.random.Generator = 0,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Build a multi-layer perceptron.

    Parameters
    ----------
    n_in : int or tuple of int
        The shape of one sample; pictures are flattened.
    hidden : sequence of int, default (8,)
        Units of each hidden layer; () gives linear or logistic regression.
    n_out : int, default 1
        The number of outputs (logits).
    activation : str or sequence of str, default "relu"
        One name, or one for each hidden layer.
    init : str, default "he_normal"
        The initializer of the weights.
    dropout : float, default 0.0
        The rate after each hidden activation.
    batch_norm, layer_norm : bool, default False
        Whether to normalize before each hidden activation.
    seed : int or numpy.random.Generator, default 0
        Draws the initial weights.
    dtype : float32 (default) or float64
        The dtype of all parameters.

    Returns
    -------
    Sequential

    Raises
    ------
    PlainnetError
        If a size is out of range or a name is unknown.

    Examples
    --------
    >>> mlp(12288, hidden=(8, 8, 8)).params.theta.size
    98465
    """
    try:
        hidden = tuple(hidden)
    except TypeError:
        raise PlainnetError(
            f"mlp: hidden must be a sequence such as (8, 8), got {hidden!r}"
        ) from None
    if isinstance(activation, str):
        activations.activation(activation)  # refuses an unknown name even without hidden layers
        activation = [activation] * len(hidden)
    if len(activation) != len(hidden):
        raise PlainnetError(
            f"mlp has {len(hidden)} hidden layers but {len(activation)} activations: "
            "give one name, or one for each"
        )
    drops = Dropout(dropout).rate > 0
    layers: list[Layer] = [Flatten()] if isinstance(n_in, tuple) and len(n_in) > 1 else []
    for units, name in zip(hidden, activation, strict=True):
        layers += [Dense(units, init), *[BatchNorm()] * batch_norm, *[LayerNorm()] * layer_norm]
        layers += [activations.activation(name), *[Dropout(dropout)] * drops]
    return Sequential([*layers, Dense(n_out, init)], n_in, seed=seed, dtype=dtype)


def _channels_first(array: Array, flattened: Shape) -> tuple[Array, Shape]:
    """Return a view in PyTorch's order, and the shape there."""
    pictures = array.reshape(*array.shape[:-1], *flattened) if flattened else array
    view = np.moveaxis(pictures, -1, -3) if pictures.ndim > 2 else pictures
    return view, array.shape if flattened else view.shape


def _own(layer: Layer, arrays: dict[str, Array]) -> dict[str, Array]:
    """Return the arrays of one layer, under their short names."""
    prefix = layer.name + "."
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _wrong_shape(first: Layer, in_shape: Shape, got: Shape) -> str:
    kind = type(first).__name__
    if len(in_shape) == 1 and len(got) == 2:
        return f"{kind} {first.name!r} expects {in_shape[0]} inputs, got {got[1]}"
    wanted = ", ".join(["m", *map(str, in_shape)])
    return f"{kind} {first.name!r} expects rows of shape ({wanted}), got {got}"
