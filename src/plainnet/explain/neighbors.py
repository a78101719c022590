"""Neighbors: the examples nearest to a given example in the last hidden layer."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.engine.blas_threads import blas_threads, engine_threads
from plainnet.evaluate.per_example import NamedExamples
from plainnet.explain.example import describe_prediction, describe_target
from plainnet.model import Model
from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array

_BLOCK = 256  # rows at a time
Floats = NDArray[np.float64]


class Neighbor(NamedTuple):
    """An example near the explained example."""

    row: int  # its index among the given rows
    name: str
    distance: float  # Euclidean, between the inputs of the last Dense layer
    input_distance: float  # between the inputs of the network
    predicted: str
    true: str


def nearest(model: Model, x: Array, rows: NamedExamples, n: int = 5) -> list[Neighbor]:
    """Find the n rows that are nearest to x in the inputs of the last Dense layer."""
    net = model.net.astype(model.net.dtype)  # a copy: other threads may use the model meanwhile
    with engine_threads(net, blas_threads(net, _BLOCK, train=False)):
        x_input, x_hidden, _ = _forward(net, model.transform, x[np.newaxis])
        blocks = []
        for start in range(0, len(rows.X), _BLOCK):
            inputs, hidden, Z = _forward(net, model.transform, rows.X[start : start + _BLOCK])
            distances = (
                np.linalg.norm(A - b, axis=1) for A, b in ((hidden, x_hidden), (inputs, x_input))
            )
            blocks.append((*distances, Z))
    distance, input_distance, Z = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    A = model.loss.predictions(Z).astype(np.float64)
    return [
        Neighbor(
            int(i),
            str(rows.names[i]),
            float(distance[i]),
            float(input_distance[i]),
            describe_prediction(model.target, A[i]),
            describe_target(model.target, rows.y[i : i + 1]),
        )
        for i in np.lexsort((input_distance, distance))[:n]
    ]


def _forward(
    net: Sequential, transform: Transform | None, X: Array
) -> tuple[Floats, Floats, Array]:
    """Return the inputs of the network, those of its last Dense layer, and its output."""
    inputs = X if transform is None else transform(X)
    Y = hidden = inputs.astype(net.dtype, copy=False)
    for layer in net.layers:
        if isinstance(layer, Dense):
            hidden = Y.copy()
        Y = layer.forward(Y, False)
    flat = [A.reshape(len(X), -1).astype(np.float64) for A in (inputs, hidden)]
    return flat[0], flat[1], Y.copy()
