"""Activity: what each layer of a network does with all rows, and the gradient that reaches it."""

from copy import deepcopy
from typing import NamedTuple, final

import numpy as np

from plainnet.nn.activations import Activation, Identity, ReLU, Sigmoid, Tanh
from plainnet.nn.layers import Dense, Dropout, Layer
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.train.batches import ready

_CHUNK = 1024  # rows at a time
_FLAT = 0.01  # a sigmoid is saturated within this of 0 or 1, a tanh within twice this of -1 or 1
GRADIENT_ROWS = 512  # as many rows give the size of a gradient to a few percent


@final
class LayerActivity(NamedTuple):
    """What came out of one layer of activations for all rows."""

    name: str  # such as relu1 and ReLU
    kind: str  # such as relu1 and ReLU
    units: int  # how many numbers a row has here
    dead: int  # units of a ReLU that are zero for every row
    flat: float
    spread: float  # the standard deviation over the rows, as the root mean square over the units


@final
class LayerGradient(NamedTuple):
    """The gradient at one dense layer: the norm of dW, and the root mean square of m dZ."""

    name: str
    dW: float
    dZ: float


@final
class Activity(NamedTuple):
    """What a network does with all rows."""

    Z: Array  # its outputs
    layers: tuple[LayerActivity, ...]
    gradients: tuple[LayerGradient, ...]


def measure(
    net: Sequential,
    loss: Loss,
    X: Array,
    y: Array,
    *,
    weight: Array | None = None,
    transform: Transform | None = None,
    train: bool = False,
) -> Activity:
    """Pass all rows through a copy of the network; the network itself is not touched."""
    copy = deepcopy(net)
    tallies = {i: _Tally(layer) for i, layer in enumerate(copy.layers) if _counts(layer)}
    Z = np.empty((len(X), copy.n_out), copy.dtype)
    for start in range(0, len(X), _CHUNK):
        Y = ready(X[start : start + _CHUNK], transform, copy.dtype)
        for i, layer in enumerate(copy.layers):
            Y = layer.forward(Y, train and not isinstance(layer, Dropout))
            if i in tallies:
                tallies[i].add(Y)
        Z[start : start + _CHUNK] = Y
    few = spaced(len(X), GRADIENT_ROWS)
    rows = ready(X[few], transform, copy.dtype)
    gradients = _gradients(copy, loss, rows, y[few], None if weight is None else weight[few], train)
    return Activity(Z, tuple(tally.result() for tally in tallies.values()), gradients)


def spaced(m: int, most: int) -> Array:
    """Return at most so many row numbers, evenly from the first to the last."""
    return np.unique(np.linspace(0, m - 1, min(m, most)).round().astype(np.int64))


def _counts(layer: Layer) -> bool:
    return isinstance(layer, Activation) and not isinstance(layer, Identity)


@final
class _Tally:
    """Sums over the rows of what one layer puts out."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.rows, self.flat = 0, 0
        self.sums: Array = np.zeros(0)
        self.squares: Array = np.zeros(0)
        self.alive: Array = np.zeros(0, np.bool_)

    def add(self, Y: Array) -> None:
        """Count a batch."""
        Y = Y.reshape(len(Y), -1)
        if not self.rows:
            self.sums, self.squares = np.zeros((2, Y.shape[1]))
            self.alive = np.zeros(Y.shape[1], np.bool_)
        self.rows += len(Y)
        self.sums += Y.sum(axis=0, dtype=np.float64)
        self.squares += np.square(Y, dtype=np.float64).sum(axis=0)
        self.alive |= (Y != 0).any(axis=0)
        if isinstance(self.layer, Tanh):
            self.flat += int((np.abs(Y) > 1 - 2 * _FLAT).sum())
        elif isinstance(self.layer, Sigmoid):
            self.flat += int((np.abs(Y - 0.5) > 0.5 - _FLAT).sum())

    def result(self) -> LayerActivity:
        """Return the figures of all batches."""
        variance = self.squares / self.rows - np.square(self.sums / self.rows)
        units = len(self.sums)
        dead = int(units - self.alive.sum()) if isinstance(self.layer, ReLU) else 0
        spread = float(np.sqrt(np.maximum(variance, 0).mean()))
        kind = type(self.layer).__name__
        return LayerActivity(
            self.layer.name, kind, units, dead, self.flat / (self.rows * units), spread
        )


def _gradients(
    copy: Sequential, loss: Loss, X: Array, y: Array, weight: Array | None, train: bool
) -> tuple[LayerGradient, ...]:
    """Pass the gradient back layer by layer."""
    Y = X
    for layer in copy.layers:
        Y = layer.forward(Y, train and not isinstance(layer, Dropout))
    value, dY = loss(Y, y, weight)
    if not np.isfinite(value):
        return ()
    found: list[LayerGradient] = []
    for layer in reversed(copy.layers):
        if isinstance(layer, Dense):
            dZ = float(np.sqrt(np.square(dY, dtype=np.float64).mean())) * len(X)
            layer.backward(dY, False)
            found.append(LayerGradient(layer.name, float(np.linalg.norm(layer.dW)), dZ))
        back = layer.backward(dY, True)
        assert back is not None
        dY = back
    return tuple(reversed(found))
