"""TrainStep: one training step; messages for numbers that are not finite."""

import copy
import math
from typing import final

import numpy as np

from plainnet.errors import TrainingError
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.optim.optimizers import Optimizer, clip_by_norm
from plainnet.train.batches import Batch
from plainnet.train.members import Metric, by_member, loss_and_gradient


@final
class TrainStep:
    """One step: forward, loss, backward, penalty, clipping, optimizer."""

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        l2: float,
        clip_norm: float | None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        self.pressed = self._any_pressed = False  # Ctrl-C on this rank, and on any
        self.net, self.loss, self.l2, self.clip_norm = net, loss, float(l2), clip_norm
        self.optimizer = copy.deepcopy(optimizer)
        self.own = ranks.share(net.params.trained.size)  # the parameters that this rank moves
        self._decaying = net.params.decaying()[self.own]
        shared = self.own if ranks.size > 1 else slice(0)
        self._grad = np.empty_like(net.params.trained[shared])  # of its share
        self.optimizer.start(net.params.trained[self.own], self._decaying)

    def step(self, batch: Batch, metric: Metric | None = None) -> tuple[float, float, float]:
        """Update the parameters unless the loss is not finite; return loss, metric and weight."""
        params, ranks = self.net.params, self.ranks
        before = params.state.copy()
        value, dZ, measured, weight = self._losses(batch, metric)
        if not math.isfinite(value):
            params.state[...] = before
            return value, measured, weight
        self.net.backward(dZ)
        trained, grad = params.trained[self.own], params.grad[self.own]
        if ranks.size > 1:
            ranks.reduce_scatter(params.grad, grad := self._grad)
        if self.l2:
            grad += self.l2 * (trained * self._decaying)
        if self.clip_norm is not None:
            clip_by_norm(grad, float(self.clip_norm), ranks)
        self.optimizer.step(trained, grad)
        if ranks.size > 1:
            ranks.all_gather(params.trained)
        return value, measured, weight

    def collect_gradient(self) -> None:
        """Copy the gradient of all parameters to each rank, for those who read it."""
        if self.ranks.size > 1:
            grad = self.net.params.grad
            grad[self.own] = self._grad
            self.ranks.all_gather(grad)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed and all ranks know it."""
        return self.pressed if self.ranks.size == 1 else self._any_pressed

    def _losses(self, batch: Batch, metric: Metric | None) -> tuple[float, Array, float, float]:
        """Return the mean loss, its derivative by the Z of this rank, metric and total weight."""
        if self.ranks.size > 1:
            self.ranks.m, self.ranks.own = batch.m, batch.own
        Z, value, measured = self.net.forward(batch.X, train=True), 0.0, 0.0
        if len(Z):
            value, dZ = loss_and_gradient(self.loss, Z, batch.y, batch.weight)
            if metric is not None and math.isfinite(value):
                measured = float(metric(*by_member(Z, batch.y, batch.weight)[:2]))
        else:  # a small batch may leave no rows to this rank
            dZ = np.zeros_like(Z)
        weight = float(len(Z) if batch.weight is None else batch.weight.sum())
        if self.ranks.size == 1:
            return value, dZ, measured, weight
        sums = np.array([value * weight, measured * len(Z), weight, self.pressed])
        self.ranks.all_reduce(sums)
        value, measured, total, pressed = sums.tolist()
        self._any_pressed = pressed > 0
        dZ *= weight / (total or 1)
        return value / (total or 1), dZ, measured / batch.m, total


def describe_failure(train_step: TrainStep, X: Array, value: float, epoch: int, batch: int) -> str:
    """Describe the origin of a loss that is not finite."""
    net, optimizer = train_step.net, train_step.optimizer
    lr = optimizer.lr_at(optimizer.t)  # of the failed step, which the optimizer has not taken
    subject = f"the loss became {value} in epoch {epoch}, batch {batch} (learning rate {lr:g})"
    if not np.isfinite(X).all():
        bad = X[~np.isfinite(X)][0]
        return (
            f"{subject}: the inputs hold {bad} after the transform, which must give finite numbers"
        )
    net.share_batches(ALONE)  # X holds the rows of all ranks
    largest, first = 0.0, "the loss"
    before = net.params.state.copy()
    Z = X
    for layer in net.layers:
        Z = layer.forward(Z, True)
        finite = np.isfinite(Z)
        if finite.any():
            largest = max(largest, float(np.abs(Z[finite]).max()))
        if not finite.all():
            first = f"layer {layer.name!r}"
            break
    net.params.state[...] = before  # forward has moved the running mean and variance
    return (
        f"{subject}: {first} is the first that is not finite, the largest finite |z| is "
        f"{largest:.3g}; lower the learning rate, scale the inputs or set clip_norm"
    )


def stay_finite(value: float, name: str, train_step: TrainStep, epoch: int) -> None:
    """Raise TrainingError if a number is not finite, with epoch and learning rate."""
    if not math.isfinite(value):
        lr = train_step.optimizer.current_lr
        raise TrainingError(
            f"{name} became {value} in epoch {epoch} (learning rate {lr:g}): "
            "lower the learning rate, scale the inputs or set clip_norm"
        )
