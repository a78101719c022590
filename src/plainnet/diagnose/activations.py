"""Statistics of a network's activations and of the gradient at each layer."""

from copy import deepcopy
from typing import NamedTuple, final

import numpy as np

from plainnet.nn.activations import Activation, Identity, ReLU, Sigmoid, Tanh
from plainnet.nn.layers import Dense, Dropout, Layer
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.train.batches import prepare

_CHUNK = 1024  # rows at a time
_SATURATED = 0.01  # of its range, the distance from an end at which an output is saturated
_GRADIENT_ROWS = 512  # as many rows give the size of a gradient to a few percent


@final
class LayerStatistics(NamedTuple):
    """Statistics of the output of one activation layer over all rows."""

    name: str
    units: int
    dead: int  # units of a ReLU that are zero for every row
    saturated: float  # share of the outputs of a sigmoid or tanh
    std: float  # over the rows, as the root mean square over the units


@final
class Statistics(NamedTuple):
    """Logits and activations of all rows, and the root mean square of m dZ per dense layer."""

    Z: Array
    layers: tuple[LayerStatistics, ...]
    gradients: dict[str, float]


def measure(
    net: Sequential,
    loss: Loss,
    X: Array,
    y: Array,
    *,
    weight: Array | None = None,
    transform: Transform | None = None,
    train: bool = False,
) -> Statistics:
    """Propagate all rows through a copy of the network."""
    copy = deepcopy(net)
    sums = {
        i: _Sums(layer)
        for i, layer in enumerate(copy.layers)
        if isinstance(layer, Activation) and not isinstance(layer, Identity)
    }
    Z = np.empty((len(X), copy.n_out), copy.dtype)
    for start in range(0, len(X), _CHUNK):
        Y = prepare(X[start : start + _CHUNK], transform, copy.dtype)
        for i, layer in enumerate(copy.layers):
            Y = layer.forward(Y, train and not isinstance(layer, Dropout))
            if i in sums:
                sums[i].add(Y)
        Z[start : start + _CHUNK] = Y
    few = evenly_spaced(len(X), _GRADIENT_ROWS)
    rows = prepare(X[few], transform, copy.dtype)
    gradients = _gradients(copy, loss, rows, y[few], None if weight is None else weight[few], train)
    return Statistics(Z, tuple(each.statistics() for each in sums.values()), gradients)


def evenly_spaced(m: int, most: int) -> Array:
    """Return at most so many row numbers, evenly from the first to the last."""
    return np.unique(np.linspace(0, m - 1, min(m, most)).round().astype(np.int64))


@final
class _Sums:
    """Sums over the rows of the output of one layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.rows, self.saturated = 0, 0
        self.sums: Array = np.zeros(0)
        self.squares: Array = np.zeros(0)
        self.alive: Array = np.zeros(0, np.bool_)

    def add(self, Y: Array) -> None:
        """Add a batch."""
        Y = Y.reshape(len(Y), -1)
        if not self.rows:
            self.sums, self.squares = np.zeros((2, Y.shape[1]))
            self.alive = np.zeros(Y.shape[1], np.bool_)
        self.rows += len(Y)
        self.sums += Y.sum(axis=0, dtype=np.float64)
        self.squares += np.square(Y, dtype=np.float64).sum(axis=0)
        self.alive |= (Y != 0).any(axis=0)
        if isinstance(self.layer, Tanh):
            self.saturated += int((np.abs(Y) > 1 - 2 * _SATURATED).sum())
        elif isinstance(self.layer, Sigmoid):
            self.saturated += int((np.abs(Y - 0.5) > 0.5 - _SATURATED).sum())

    def statistics(self) -> LayerStatistics:
        variance = self.squares / self.rows - np.square(self.sums / self.rows)
        units = len(self.sums)
        return LayerStatistics(
            self.layer.name,
            units,
            int(units - self.alive.sum()) if isinstance(self.layer, ReLU) else 0,
            self.saturated / (self.rows * units),
            float(np.sqrt(np.maximum(variance, 0).mean())),
        )


def _gradients(
    copy: Sequential, loss: Loss, X: Array, y: Array, weight: Array | None, train: bool
) -> dict[str, float]:
    Y = X
    for layer in copy.layers:
        Y = layer.forward(Y, train and not isinstance(layer, Dropout))
    value, dY = loss(Y, y, weight)
    if not np.isfinite(value):
        return {}
    found = {}
    for layer in reversed(copy.layers):
        if isinstance(layer, Dense):
            mean = np.square(dY, dtype=np.float64).mean()
            found[layer.name] = len(X) * float(np.sqrt(mean))
        back = layer.backward(dY, True)
        assert back is not None
        dY = back
    return dict(reversed(found.items()))
