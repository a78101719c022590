"""CompiledEpochs: epochs of training with compiled steps, many batches in one call."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import time
from collections.abc import Callable
from functools import partial
from typing import final

import numpy as np

from plainnet.engine.choice import compiled_step
from plainnet.engine.compiled import LOSS, METRIC, ROWS, VALUE, WEIGHT, CompiledStep
from plainnet.engine.program import StepParts
from plainnet.errors import TrainingError
from plainnet.nn.parameters import Array
from plainnet.train.batches import Batches
from plainnet.train.epoch import EpochProgress, train_epoch
from plainnet.train.members import Metric
from plainnet.train.state import CheckpointStore
from plainnet.train.step import TrainStep, describe_failure

EpochTrainer = Callable[..., bool]
SECONDS = 0.02  # of one call; Ctrl-C ends the training after it
DRAWS = 2**22  # numbers for the masks of dropout in one call


@final
class CompiledEpochs:
    """`train_epoch` with compiled steps."""

    def __init__(self, step: CompiledStep, train_step: TrainStep, batches: Batches) -> None:
        self.step, self.train_step, self.batches = step, train_step, batches
        fixed = not (batches.transform or batches.augment)
        self.data = step.data(batches.X, batches.y, batches.weight) if fixed else None
        self._seconds = SECONDS  # of a batch

    def epoch(
        self,
        rng: np.random.Generator,
        progress: EpochProgress,
        metric: Metric | None = None,
        pause: Callable[[], bool] = lambda: False,
        until_pause: Callable[[], int] = lambda: 2**53,
    ) -> bool:
        """Train on the remaining batches of an epoch; return False if ``pause`` ended it early."""
        own = metric is None or metric == self.train_step.loss.metric
        order, bounds = self.batches.order(rng), self.batches.bounds
        while progress.batch < len(self.batches):
            if pause():
                return False
            start, n = progress.batch, 1
            if own and self.data is not None:
                most = DRAWS // max(1, self.step.drawn)
                n = max(1, int(min(SECONDS / self._seconds, most, until_pause())))
            sums = self._train(order, bounds[start : start + n + 1], progress)
            if metric is None:
                continue
            if own:
                progress.metric = float(sums[METRIC])
            else:
                y = self.batches.y[order[bounds[start] : bounds[start + 1]]]
                progress.metric += float(metric(self.step.logits(len(y)), y)) * len(y)
        return True

    def _train(self, order: Array, bounds: Array, progress: EpochProgress) -> Array:
        """Train on some batches; return the sums of the epoch."""
        p, data = progress, self.data
        if data is None:
            data = self.step.data(*self.batches.batch(order[bounds[0] : bounds[1]]))
            order, bounds = np.arange(len(data.X)), np.array([0, len(data.X)])
        sums = np.array([p.loss, p.weight, p.metric, p.rows, 0.0])
        began = time.perf_counter()
        done = self.step.run(self.train_step.optimizer, data, order, bounds, sums)
        if self.batches.full:
            self.step.keep_batch()
        self._seconds = (time.perf_counter() - began) / (len(bounds) - 1) + 1e-9
        p.loss, p.weight, p.rows = float(sums[LOSS]), float(sums[WEIGHT]), int(sums[ROWS])
        p.batch += done
        if done < len(bounds) - 1:
            p.batch += 1
            X, value = data.X[order[bounds[done] : bounds[done + 1]]], float(sums[VALUE])
            X = X.reshape(len(X), *self.train_step.net.in_shape)
            raise TrainingError(describe_failure(self.train_step, X, value, p.number, p.batch))
        return sums


def epoch_trainer(
    engine: str,
    train_step: TrainStep,
    batches: Batches,
    epochs: int,
    checkpoints: CheckpointStore | None = None,
) -> tuple[str, EpochTrainer]:
    """Choose the engine, a checkpoint's if it may; return it and the function for one epoch."""
    if engine == "auto" and checkpoints is not None and checkpoints.checkpoint is not None:
        engine = checkpoints.checkpoint.metadata["engine"]
    t = train_step
    parts = StepParts(t.net, t.loss, t.optimizer, t.l2, t.clip_norm)
    m, steps = int(np.diff(batches.bounds).max()), epochs * len(batches)
    step = compiled_step(engine, parts, batches.y, batches.weight is not None, m, steps)
    if step is None:
        return "numpy", partial(train_epoch, train_step, batches)
    return "compiled", CompiledEpochs(step, train_step, batches).epoch
