"""TrainStep: one training step; messages for numbers that are not finite."""

import copy
import math
from typing import final

import numpy as np

from plainnet.errors import TrainingError
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import Optimizer, clip_by_norm
from plainnet.train.members import loss_and_gradient


@final
class TrainStep:
    """One step: forward, loss, backward, penalty, clipping, optimizer."""

    def __init__(
        self, net: Sequential, loss: Loss, optimizer: Optimizer, l2: float, clip_norm: float | None
    ) -> None:
        self.net, self.loss, self.l2, self.clip_norm = net, loss, float(l2), clip_norm
        self.optimizer = copy.deepcopy(optimizer)
        self._decaying = net.params.decaying()
        self.optimizer.start(net.params.trained, self._decaying)

    def step(self, X: Array, y: Array, weight: Array | None) -> tuple[float, Array]:
        """Update the parameters unless the loss is not finite; return the loss and the logits."""
        params = self.net.params
        before = params.state.copy()
        Z = self.net.forward(X, train=True)
        value, dZ = loss_and_gradient(self.loss, Z, y, weight)
        if not math.isfinite(value):
            params.state[...] = before
            return value, Z
        self.net.backward(dZ)
        if self.l2:
            params.grad += self.l2 * (params.trained * self._decaying)
        if self.clip_norm is not None:
            clip_by_norm(params.grad, float(self.clip_norm))
        self.optimizer.step(params.trained, params.grad)
        return value, Z


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
