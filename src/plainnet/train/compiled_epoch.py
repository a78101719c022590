"""CompiledEpochs: epochs of training with compiled steps, many batches in one call."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, final

import numpy as np

from plainnet.engine.choice import compiled
from plainnet.engine.compiled import LOSS, METRIC, ROWS, VALUE, WEIGHT, CompiledStep, Data
from plainnet.engine.prediction import forward_of
from plainnet.engine.program import Training
from plainnet.errors import PlainnetError, TrainingError
from plainnet.nn.parameters import Array
from plainnet.train.batches import Batches, BatchSource, Window
from plainnet.train.epoch import EpochProgress, train_epoch
from plainnet.train.members import Metric, by_member
from plainnet.train.state import CheckpointStore
from plainnet.train.step import TrainStep, describe_failure


class Trainer(NamedTuple):
    """An engine's name, its function for one epoch, and its `Sequential.predict_logits`."""

    engine: str
    epoch: Callable[..., bool]
    predict: Callable[..., Array]


SECONDS = 0.02  # of one call; Ctrl-C ends the training after it
DRAWS = 2**22  # numbers for the masks of dropout, and of rows in order, in one call


@final
class CompiledEpochs:
    """`train_epoch` with compiled steps."""

    def __init__(
        self,
        step: CompiledStep,
        train_step: TrainStep,
        batches: BatchSource,
        ahead: int,
    ) -> None:
        self.step, self.train_step, self.batches = step, train_step, batches
        self._raw = not (batches.transform or batches.augment)  # whether steps take rows unchanged
        fixed = self._raw and isinstance(batches, Batches)
        self.data = self._rows() if fixed else None
        self._seconds = SECONDS  # of a batch
        self._ahead = ahead if fixed else 0  # epochs that may run before `epoch` is asked for them
        self._finished: list[tuple[Array, float]] = []  # their sums and learning rates, reversed
        self._failure: TrainingError | None = None  # of the epoch after them

    def epoch(
        self,
        rng: np.random.Generator,
        progress: EpochProgress,
        metric: Metric | None = None,
        pause: Callable[[], bool] = lambda: False,
        until_pause: Callable[[], int] = lambda: 2**53,
    ) -> bool:
        """Train on the remaining batches of an epoch; return False if ``pause`` ended it early."""
        if self._ahead > 1 or self._finished or self._failure is not None:
            return self._next_epoch(rng, progress, pause)
        for window in self.batches.windows(rng, progress.batch):
            if self._raw and not isinstance(self.batches, Batches):
                self.data = self._rows()
            if not self._window(window, progress, metric, pause, until_pause):
                return False
        return True

    def _window(
        self,
        window: Window,
        progress: EpochProgress,
        metric: Metric | None,
        pause: Callable[[], bool],
        until_pause: Callable[[], int],
    ) -> bool:
        """Train on the remaining batches of a window."""
        own = metric is None or metric == self.train_step.loss.metric
        order, bounds = window.order, window.bounds
        while (start := progress.batch - window.first) < len(bounds) - 1:
            if pause():
                return False
            n, p = 1, progress
            if own and self.data is not None:
                n = min(self._batches_in_a_call(), until_pause())
            part = bounds[start : start + n + 1]
            sums = np.array([[p.loss, p.weight, p.metric, p.rows, 0.0]])
            done = self._run(order, part, sums)
            other = progress.metric
            _write(sums[0], progress)
            progress.batch += done
            if done < len(part) - 1:
                place = progress.number, progress.batch
                raise self._failed(order, part[done:], sums[0], *place)
            if metric is not None and not own:
                rows = order[part[0] : part[1]]
                weight = None if self.batches.weight is None else self.batches.weight[rows]
                Z, y, _ = by_member(self.step.logits(len(rows)), self.batches.y[rows], weight)
                progress.metric = other + float(metric(Z, y)) * len(rows)
        return True

    def _next_epoch(
        self, rng: np.random.Generator, progress: EpochProgress, pause: Callable[[], bool]
    ) -> bool:
        """Take the result of an epoch from those that one call has trained."""
        if not self._finished and self._failure is None:
            if pause():
                return False
            self._several_epochs(rng, progress.number)
        if self._failure is not None and not self._finished:
            raise self._failure
        sums, self.train_step.optimizer.current_lr = self._finished.pop()
        progress.batch = len(self.batches)
        _write(sums, progress)
        return True

    def _several_epochs(self, rng: np.random.Generator, number: int) -> None:
        """Train as many epochs as one call may take."""
        batches, optimizer, n = self.batches, self.train_step.optimizer, len(self.batches)
        assert isinstance(batches, Batches)  # for the type checker
        count = max(1, min(self._ahead, self._batches_in_a_call() // n))
        self._ahead -= count
        order = np.concatenate([batches.order(rng) for _ in range(1 if batches.full else count)])
        starts = np.arange(count)[:, None] * batches.m + batches.bounds[:-1]
        bounds, sums = np.append(starts, count * batches.m), np.zeros((count, 5))
        first = optimizer.t
        epochs, batch = divmod(self._run(order, bounds, sums), n)
        rates = [optimizer.lr_at(first + (i + 1) * n - 1) for i in range(epochs)]
        self._finished = list(zip(sums, rates, strict=False))[::-1]
        if epochs < count:
            rows = order if batches.full else order[epochs * batches.m :]
            part = batches.bounds[batch:]
            failed = rows, part, sums[epochs], number + epochs, batch
            self._failure = self._failed(*failed)

    def _rows(self) -> Data:
        """Return the rows in memory as compiled steps take them."""
        return self.step.runner.data(self.batches.X, self.batches.y, self.batches.weight)

    def _batches_in_a_call(self) -> int:
        most = DRAWS // (self.batches.batch_size * max(1, self.step.program.drawn))
        return max(1, int(min(SECONDS / self._seconds, most)))

    def _run(self, order: Array, bounds: Array, sums: Array) -> int:
        """Train on batches; return how many succeeded."""
        data = self.data
        if data is None:
            self._batch = data = self.step.runner.data(
                *self.batches.batch(order[bounds[0] : bounds[1]])[:3]
            )
            order, bounds = np.arange(len(data.X)), np.array([0, len(data.X)])
        began = time.perf_counter()
        done = self.step.run(self.train_step.optimizer, data, order, bounds, sums)
        if self.batches.full:
            self.step.keep_batch()
        self._seconds = (time.perf_counter() - began) / (len(bounds) - 1) + 1e-9
        return done

    def _failed(
        self, order: Array, bounds: Array, sums: Array, number: int, batch: int
    ) -> TrainingError:
        """Return the error of the batch between the first two bounds, after so many batches."""
        rows = order[bounds[0] : bounds[1]]
        X = self._batch.X if self.data is None else self.batches.X[rows]
        X, value = X.reshape(len(X), *self.train_step.net.in_shape), float(sums[VALUE])
        return TrainingError(describe_failure(self.train_step, X, value, number, batch + 1))


def _write(sums: Array, progress: EpochProgress) -> None:
    """Copy the sums of an epoch."""
    progress.loss, progress.weight = float(sums[LOSS]), float(sums[WEIGHT])
    progress.metric, progress.rows = float(sums[METRIC]), int(sums[ROWS])


def epoch_trainer(
    engine: str,
    train_step: TrainStep,
    batches: BatchSource,
    epochs: int,
    checkpoints: CheckpointStore | None = None,
    metric: Metric | None = None,
    ahead: bool = False,
) -> Trainer:
    """Choose the engine, a checkpoint's if it may.

    With ``ahead``, nothing depends on the network between epochs: several may run in one call.
    """
    if engine == "auto" and checkpoints is not None and checkpoints.checkpoint is not None:
        engine = checkpoints.checkpoint.metadata["engine"]
    t, net = train_step, train_step.net
    if batches.ranks.size > 1:
        if engine == "compiled":
            raise PlainnetError(
                "engine='compiled' trains in one process, and this training has "
                f"{batches.ranks.size} ranks: take engine='auto' or 'numpy'"
            )
        engine = "numpy"
    training = Training(t.loss, t.optimizer, batches.y, batches.weight, t.l2, t.clip_norm)
    m, steps = int(np.diff(batches.bounds).max()), epochs * len(batches)
    runner = compiled(engine, net, m, steps, training)
    predict = forward_of("numpy" if runner is None else "compiled", net)
    if runner is None:
        return Trainer("numpy", partial(train_epoch, train_step, batches), predict)
    ahead &= checkpoints is None and (metric is None or metric == t.loss.metric)
    ahead &= isinstance(batches, Batches)
    epochs_of = CompiledEpochs(CompiledStep(runner), train_step, batches, epochs if ahead else 0)
    return Trainer("compiled", epochs_of.epoch, predict)
