"""Neighbors: the training samples that a network finds most like a given one."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.engine.blas_threads import blas_threads, limited_threads
from plainnet.evaluate.per_example import NamedExamples
from plainnet.explain.example import answer, truth
from plainnet.model import Model
from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array


class Neighbor(NamedTuple):
    """A sample like another.

    ``row`` is its place among the rows that were given, from 0; ``distance`` is Euclidean, in
    what the last Dense layer reads; ``input_distance`` in the numbers that enter the network.
    """

    row: int
    name: str
    distance: float
    input_distance: float
    said: str
    true: str

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name, the place counted from 0."""
        return self._asdict()


def nearest(model: Model, x: Array, rows: NamedExamples, n: int = 5) -> list[Neighbor]:
    """Find the samples that a network finds most like one: nearest in its last hidden layer."""
    net = model.net.astype(model.net.dtype)  # a copy: others may predict with the model meanwhile
    with limited_threads(blas_threads(net, 256, train=False)):
        there, inside, _ = _seen(net, model.transform, x[np.newaxis])
        distances, input_distances, outputs = [], [], []
        for start in range(0, len(rows.X), 256):
            given, hidden, z = _seen(net, model.transform, rows.X[start : start + 256])
            distances.append(np.linalg.norm(hidden - inside, axis=1))
            input_distances.append(np.linalg.norm(given - there, axis=1))
            outputs.append(z)
    A = model.loss.predictions(np.concatenate(outputs)).astype(np.float64)
    far, input_far = np.concatenate(distances), np.concatenate(input_distances)
    return [
        Neighbor(
            int(i),
            rows.names[i],
            float(far[i]),
            float(input_far[i]),
            answer(model.target, A[i]),
            truth(model.target, rows.y[i : i + 1]),
        )
        for i in np.lexsort((input_far, far))[:n]
    ]


def _seen(
    net: Sequential, transform: Transform | None, X: Array
) -> tuple[NDArray[np.float64], NDArray[np.float64], Array]:
    """The numbers that enter the network, those that its last Dense layer reads, and its output."""
    rows = X if transform is None else transform(X)
    Y = rows.astype(net.dtype, copy=False)
    hidden = Y
    for layer in net.layers:
        if isinstance(layer, Dense):
            hidden = Y.copy()
        Y = layer.forward(Y, False)
    flat = hidden.reshape(len(hidden), -1)
    return rows.reshape(len(rows), -1).astype(np.float64), flat.astype(np.float64), Y.copy()
