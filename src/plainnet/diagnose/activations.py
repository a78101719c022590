"""Statistics of a network's activations and of the gradient at each layer."""

import math
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from plainnet.nn.activations import Activation, Identity, ReLU, Sigmoid, Tanh
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense, DropoutLayer, Layer
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.train.batches import prepare

_CHUNK = 2**22  # numbers of a layer for the rows that are propagated together, 16 MB
_SATURATED = 0.01  # saturated outputs are closer than this share of the range to an end of it
_GRADIENT_ROWS = 512  # enough for the size of a gradient to a few percent


class LayerStatistics(NamedTuple):
    """Statistics of the output of one activation layer over all rows."""

    name: str
    unit: str  # "unit"; "filter", whose outputs are pixels
    units: int
    dead: int  # units of a ReLU that are zero for every row, and in every pixel
    saturated: float  # share of the outputs of a sigmoid or tanh
    std: float  # standard deviation over the rows: the root mean square over the units


class Statistics(NamedTuple):
    """Logits and activations of all rows, and the size of m dZ per layer with weights.

    The size is the root mean square over rows and units; of a filter, the norm over its pixels.
    """

    Z: Array
    layers: tuple[LayerStatistics, ...]
    gradients: dict[str, float]


def measure(
    net: Sequential,
    loss: Loss,
    X: Array,
    y: Array,
    weight: Array | None = None,
    *,
    transform: Transform | None = None,
    train: bool = False,
) -> Statistics:
    """Propagate all rows through a copy of the network."""
    copy = deepcopy(net)
    Z = np.empty((len(X), copy.n_out), copy.dtype)
    sums: dict[Layer, Array] = {}
    shapes = [copy.in_shape, *(layer.out_shape for layer in copy.layers)]
    chunk = max(1, min(1024, _CHUNK // max(map(math.prod, shapes))))
    for start in range(0, len(X), chunk):
        rows = prepare(X[start : start + chunk], transform, copy.dtype)
        for layer, Y in outputs(copy, rows, train):
            if isinstance(layer, Activation) and not isinstance(layer, Identity):
                sums[layer] = sums.get(layer, 0) + _unit_sums(layer, Y)
        Z[start : start + chunk] = Y
    few = evenly_spaced(len(X), min(_GRADIENT_ROWS, 4 * chunk))
    value, dZ = loss(Z[few], y[few], None if weight is None else weight[few])
    gradients = {}
    if np.isfinite(value):
        chunks = np.split(few, range(chunk, len(few), chunk))
        parts = (prepare(X[each], transform, copy.dtype) for each in chunks)
        gradients = _gradients(copy, parts, dZ, train)
    layers = tuple(_layer_statistics(layer, each, len(X)) for layer, each in sums.items())
    return Statistics(Z, layers, gradients)


def outputs(net: Sequential, X: Array, train: bool) -> Iterator[tuple[Layer, Array]]:
    """Yield each layer and its output, without dropout."""
    for layer in net.layers:
        X = layer.forward(X, train and not isinstance(layer, DropoutLayer))
        yield layer, X


def evenly_spaced(m: int, most: int) -> Array:
    """Return at most so many row numbers, evenly from the first to the last."""
    return np.unique(np.linspace(0, m - 1, min(m, most)).round().astype(np.int64))


def _unit_sums(layer: Layer, Y: Array) -> Array:
    """Return four means for each unit, summed over rows: Y, Y^2, the shares not 0 or saturated."""
    pixels = math.prod(Y.shape[1:-1])
    Y = Y.reshape(-1, Y.shape[-1]).astype(np.float64)
    saturated = np.zeros(Y.shape, np.bool_)
    if isinstance(layer, Tanh):
        saturated = np.abs(Y) > 1 - 2 * _SATURATED
    elif isinstance(layer, Sigmoid):
        saturated = np.abs(Y - 0.5) > 0.5 - _SATURATED
    return np.array([part.sum(axis=0) for part in (Y, np.square(Y), Y != 0, saturated)]) / pixels


def _layer_statistics(layer: Layer, sums: Array, rows: int) -> LayerStatistics:
    mean, mean_square, nonzero, saturated = sums / rows
    return LayerStatistics(
        layer.name,
        "unit" if len(layer.out_shape) == 1 else "filter",
        len(mean),
        int((nonzero == 0).sum()) if isinstance(layer, ReLU) else 0,
        float(saturated.mean()),
        float(np.sqrt(np.maximum(mean_square - np.square(mean), 0).mean())),
    )


def _gradients(
    copy: Sequential, parts: Iterable[Array], dZ: Array, train: bool
) -> dict[str, float]:
    squares = {layer.name: 0.0 for layer in copy.layers if isinstance(layer, Dense | Conv2D)}
    done = 0
    for X in parts:
        for _ in outputs(copy, X, train):
            pass
        dY = dZ[done : done + len(X)]
        done += len(X)
        for layer in reversed(copy.layers):
            if layer.name in squares:
                squares[layer.name] += float(np.square(dY, dtype=np.float64).sum()) / dY.shape[-1]
            back = layer.backward(dY, True)
            assert back is not None
            dY = back
    return {name: done * math.sqrt(total / done) for name, total in squares.items()}
