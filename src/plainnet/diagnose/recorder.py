"""Recorder: cheap measurements taken while a network learns."""

from collections import deque
from typing import NamedTuple, final

import numpy as np

from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.train.epoch import Metric
from plainnet.train.history import Epoch

_KEPT = 64  # batches of trainings of one batch an epoch


@final
class Mixing(NamedTuple):
    """How alike the batches of an epoch are."""

    batches: int  # how many there were
    ratio: float


@final
class Recorder:
    """Notes taken during a training: first weights, gradients by layer, the batches' targets."""

    def __init__(self, net: Sequential) -> None:
        self.net = net
        self.start = net.params.theta.copy()
        self.layers = tuple(layer.name for layer in net.layers if isinstance(layer, Dense))
        self.gradients: list[tuple[float, ...]] = []
        self.mixing: list[Mixing] = []
        self._batches: list[_Targets] = []
        self._whole: deque[_Targets] = deque(maxlen=_KEPT)

    def metric(self, metric: Metric) -> Metric:
        """Return the metric to give to `fit`, which notes the targets of each batch."""

        def watched(Z: Array, y: Array) -> float:
            if y.ndim == 1:
                counts = np.bincount(y, minlength=Z.shape[1])
                self._batches.append(_Targets(len(y), counts, counts))
            else:
                self._batches.append(_Targets(len(y), y.sum(0), (y * y).sum(0)))
            return metric(Z, y)

        return watched

    def watch(self, epoch: Epoch) -> None:
        """Note an epoch; give it to `fit` as ``watch``."""
        grads = self.net.params.grads
        norms = tuple(float(np.linalg.norm(grads[f"{name}.W"])) for name in self.layers)
        if any(norms):
            self.gradients.append(norms)
        if epoch.val_metric is not None and self._batches:
            self._batches.pop()  # the held-out rows
        batches = self._batches
        if len(batches) == 1:  # all rows at once, or a training that is fed a part at a time
            self._whole.append(batches[0])
            batches = list(self._whole)
            del self.mixing[:]
        if len(batches) > 1:
            self.mixing.append(_mixing(batches))
        self._batches = []


@final
class _Targets(NamedTuple):
    """Of the targets of one batch: how many rows, their sum and the sum of their squares."""

    rows: int
    sums: Array
    squares: Array


def _mixing(batches: list[_Targets]) -> Mixing:
    n = np.array([batch.rows for batch in batches], np.float64)[:, None]
    sums = np.array([batch.sums for batch in batches], np.float64)
    mean = sums.sum(0) / n.sum()
    check_range = float((n * np.square(sums / n - mean)).sum()) / (len(n) - 1)
    squares = np.sum([batch.squares for batch in batches], axis=0, dtype=np.float64)
    within = float((squares / n.sum() - np.square(mean)).sum())
    return Mixing(len(n), check_range / within if within > 0 else 0.0)
