"""Cheap measurements during a training: gradient norms and the targets of each batch."""

from collections import deque
from typing import NamedTuple, final

import numpy as np

from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.train.history import Epoch
from plainnet.train.members import Metric

_KEPT = 64  # batches that are kept if an epoch has only one


class BatchVariance(NamedTuple):
    """The variance between the batches' mean targets, relative to that of shuffled batches."""

    batches: int
    ratio: float


@final
class Recorder:
    """Records initial weights, gradient norms per layer and epoch, and the order of batches."""

    def __init__(self, net: Sequential) -> None:
        self.net = net
        self.initial_theta = net.params.theta.copy()
        self.layers = tuple(layer.name for layer in net.layers if isinstance(layer, Dense | Conv2D))
        self.gradients: list[tuple[float, ...]] = []
        self.batch_variances: list[BatchVariance] = []
        self._batches: list[Array] = []
        self._single: deque[Array] = deque(maxlen=_KEPT)

    def metric(self, metric: Metric) -> Metric:
        """Return a metric for `fit` that also records the targets of each batch."""

        def recording(Z: Array, y: Array) -> float:
            Y = y if y.ndim == 2 else np.eye(Z.shape[1])[y]
            self._batches.append(
                np.array([np.full(Y.shape[1], len(Y)), Y.sum(0), np.square(Y).sum(0)])
            )
            return metric(Z, y)

        return recording

    def watch(self, epoch: Epoch) -> None:
        """Record an epoch; pass it to `fit` as ``watch``."""
        grads = self.net.params.grads
        norms = tuple(float(np.linalg.norm(grads[f"{name}.W"])) for name in self.layers)
        if any(norms):
            self.gradients.append(norms)
        if epoch.val_metric is not None and self._batches:
            self._batches.pop()  # the validation rows
        batches = self._batches
        if len(batches) == 1:  # full batches, or a training that gets its rows in parts
            self._single.append(batches[0])
            batches = list(self._single)
            self.batch_variances.clear()
        if len(batches) > 1:
            self.batch_variances.append(_batch_variance(batches))
        self._batches = []


def _batch_variance(batches: list[Array]) -> BatchVariance:
    """Compute the ratio from the number, sum and sum of squares of the targets of each batch."""
    n, sums, squares = np.stack(batches, axis=1).astype(np.float64)
    mean = sums.sum(0) / n.sum(0)
    between = float((n * np.square(sums / n - mean)).sum()) / (len(n) - 1)
    within = float((squares.sum(0) / n.sum(0) - np.square(mean)).sum())
    return BatchVariance(len(n), between / within if within > 0 else 0.0)
