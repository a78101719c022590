"""Phase: one network in training under fixed settings, which can return to any of its steps."""

from bisect import bisect_right
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.build import make_loss, make_network, make_optimizer
from plainnet.data.dataset import Dataset
from plainnet.errors import TrainingError
from plainnet.model import Model
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import Optimizer
from plainnet.play.settings import Settings
from plainnet.train.batches import Batches
from plainnet.train.epoch import EpochProgress, train_epoch
from plainnet.train.step import TrainStep

MOST_BYTES = 16_000_000  # of the checkpoints of a phase


class _Checkpoint(NamedTuple):
    """Everything that the following steps depend on."""

    theta: Array
    slots: dict[str, Array]
    order: Any  # the generator's state from which the order of the epoch is drawn
    masks: Any  # of dropout
    progress: EpochProgress


@final
class Phase:
    """A network and its training; steps are batches, counted from 0.

    Training is deterministic, so a step is reached from the last checkpoint before it.
    """

    def __init__(self, settings: Settings, data: Dataset, theta: Array | None) -> None:
        config = settings.config.resolved(images=False)
        self.settings, self.data = settings, data
        loss = make_loss(data.target.task, config)
        net = make_network(config, data.train.X.shape[1:], data.target.n_out, dtype=np.float64)
        if theta is not None:
            net.params.theta[...] = theta
        self.model = Model(data.schema, data.target, net, loss)
        self.net, self.loss, self.initial_theta = net, loss, net.params.theta.copy()
        X, y = data.train
        y = loss.encode(y, net.n_out, net.dtype)
        self.batches = Batches(X, y, None, config.rows_in_batch, None, net.dtype)
        self.train_step = TrainStep(net, loss, make_optimizer(config, len(X)), config.l2, None)
        self.rng = np.random.default_rng(config.seed)
        self.progress, self._order = EpochProgress(), self.rng.bit_generator.state
        self.every, self._checkpoints = 32, [self._checkpoint()]
        self.failure: str | None = None
        self.reached = 0  # the last step ever taken
        # step, training and validation loss, at the start and after each epoch
        self.curve = [(0, *self.losses_of_all())]

    @property
    def step(self) -> int:
        """The number of steps taken."""
        return self.train_step.optimizer.t

    def losses_of_all(self) -> tuple[float, float]:
        """Return the loss of all training rows, and of the validation rows (NaN without any)."""
        Z = self.net.predict_logits(self.batches.X)
        return self.loss(Z, self.batches.y)[0], self.validation_loss()

    def validation_loss(self) -> float:
        """Return the loss of the validation rows, NaN without any."""
        if self.data.validation is None:
            return float("nan")
        X, y = self.data.validation
        return self.loss(self.net.predict_logits(X), y)[0]

    def seek(self, step: int) -> None:
        """Go to a step, exactly as it was or will be."""
        i = bisect_right(self._checkpoints, step, key=self._step_of) - 1
        if not self._step_of(self._checkpoints[i]) <= self.step <= step:
            self._restore(self._checkpoints[i])
        self.train(step - self.step)

    @np.errstate(all="ignore")
    def train(self, n: int) -> None:
        """Train on the next n batches, or fewer if the loss is no longer finite."""
        target, optimizer = self.step + n, self.train_step.optimizer
        while self.step < target:
            stop = min(target, (self.step // self.every + 1) * self.every)
            self.rng.bit_generator.state = self._order
            pause = partial(_reached, optimizer, stop)
            try:
                ended = train_epoch(
                    self.train_step, self.batches, self.rng, self.progress, pause=pause
                )
            except TrainingError as error:
                self.failure = str(error)
                self.progress.batch -= 1  # it changed nothing
                return
            if ended:
                self._end_epoch()
            self.reached = max(self.reached, self.step)
            if self.step % self.every == 0 and self.step > self._step_of(self._checkpoints[-1]):
                self._keep(self._checkpoint())

    def next_rows(self) -> Array:
        """Return the numbers of the training rows in the next batch."""
        if self.batches.full:
            return np.arange(self.batches.m)
        rng = np.random.default_rng()
        rng.bit_generator.state = self._order
        start, stop = self.batches.bounds[self.progress.batch : self.progress.batch + 2]
        return self.batches.order(rng)[start:stop]

    def _end_epoch(self) -> None:
        if self.step > self.curve[-1][0]:
            self.curve.append((self.step, self.progress.mean_loss, self.validation_loss()))
        self.progress = EpochProgress(self.progress.number + 1)
        self._order = self.rng.bit_generator.state

    def _step_of(self, checkpoint: _Checkpoint) -> int:
        progress = checkpoint.progress
        return (progress.number - 1) * len(self.batches) + progress.batch

    def _keep(self, checkpoint: _Checkpoint) -> None:
        """Keep a checkpoint, and only every second one where they take too much memory."""
        self._checkpoints.append(checkpoint)
        size = checkpoint.theta.nbytes * (1 + len(checkpoint.slots)) + 2000
        if len(self._checkpoints) * size > MOST_BYTES:
            self.every *= 2
            self._checkpoints = [c for c in self._checkpoints if self._step_of(c) % self.every == 0]

    def _checkpoint(self) -> _Checkpoint:
        slots = {name: a.copy() for name, a in self.train_step.optimizer.state.items()}
        masks = self.net.rng.bit_generator.state
        theta = self.net.params.theta.copy()
        return _Checkpoint(theta, slots, self._order, masks, replace(self.progress))

    def _restore(self, checkpoint: _Checkpoint) -> None:
        optimizer = self.train_step.optimizer
        self.net.params.theta[...] = checkpoint.theta
        for name, array in checkpoint.slots.items():
            optimizer.state[name][...] = array
        optimizer.t = self._step_of(checkpoint)
        optimizer.current_lr = optimizer.lr_at(max(optimizer.t - 1, 0))
        self._order, self.progress = checkpoint.order, replace(checkpoint.progress)
        self.net.rng.bit_generator.state = checkpoint.masks
        self.failure = None


def _reached(optimizer: Optimizer, step: int) -> bool:
    return optimizer.t >= step
