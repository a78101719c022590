"""train_epoch: one pass over the batches, for `fit` and for ``partial_fit``."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from plainnet.errors import PlainnetError, TrainingError
from plainnet.nn.losses import Loss, is_positive
from plainnet.nn.parameters import Array
from plainnet.train.batches import BatchSource
from plainnet.train.members import Metric
from plainnet.train.step import TrainStep, describe_failure


def metric_of_logits(metric: Metric | None, on_logits: Metric | None, loss: Loss) -> Metric | None:
    """Return a metric of logits and encoded targets."""
    if metric is None:
        return on_logits
    if on_logits is not None:
        raise PlainnetError("fit takes metric or logits_metric, not both")

    def measured(Z: Array, y: Array) -> float:
        if "multiclass" in loss.tasks:
            return metric(y if y.ndim == 1 else y.argmax(axis=1), Z.argmax(axis=1))
        pair = y, loss.predictions(Z)
        if "binary" in loss.tasks:
            pair = is_positive(pair[0]) * 1, is_positive(pair[1]) * 1
        return metric(*(a.ravel() if a.shape[1] == 1 else a for a in pair))

    return measured


@final
@dataclass
class EpochProgress:
    """The number of an epoch, its finished batches, and sums over their rows."""

    number: int = 1  # counted from 1
    batch: int = 0
    loss: float = 0.0
    weight: float = 0.0
    metric: float = 0.0
    rows: int = 0

    @property
    def mean_loss(self) -> float:
        """The weighted mean of the loss."""
        return self.loss / self.weight

    @property
    def mean_metric(self) -> float:
        """The mean of the metric."""
        return self.metric / self.rows


def train_epoch(
    train_step: TrainStep,
    batches: BatchSource,
    rng: np.random.Generator,
    progress: EpochProgress,
    metric: Metric | None = None,
    pause: Callable[[], bool] = lambda: False,
    until_pause: Callable[[], int] = lambda: 1,
) -> bool:
    """Train on the remaining batches of an epoch; return False if ``pause`` ended it early."""
    for batch in batches.epoch(rng, progress.batch):
        if pause():
            return False
        value, metric_value, weight = train_step.step(batch, metric)
        progress.batch += 1
        if not math.isfinite(value):
            X = np.concatenate(batches.ranks.gather(batch.X))
            text = describe_failure(train_step, X, value, progress.number, progress.batch)
            raise TrainingError(text)
        progress.loss += value * weight
        progress.weight += weight
        progress.rows += batch.m
        progress.metric += metric_value * batch.m
    return True
