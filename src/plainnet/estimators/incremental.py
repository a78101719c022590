"""IncrementalEstimator: the estimators with ``partial_fit``, one epoch over some rows."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from plainnet.config import ResolvedConfig
from plainnet.engine.blas_threads import blas_threads, limited_threads
from plainnet.errors import PlainnetError
from plainnet.estimators.base import NetEstimator
from plainnet.estimators.params import NetParams, config_for, config_of, epoch_printer, optimizer_of
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import Optimizer
from plainnet.train.batches import Batches
from plainnet.train.compiled_epoch import epoch_trainer
from plainnet.train.epoch import EpochProgress
from plainnet.train.history import Epoch, History
from plainnet.train.inputs import with_class_weights
from plainnet.train.step import TrainStep, stay_finite

_OF_OPTIMIZER = ("optimizer", "lr", "schedule", "epochs", "batch_size")


def parameter_texts(params: NetParams) -> tuple[list[str], list[str]]:
    """Return the parameters of a `TrainStep` as text, and those of its optimizer."""
    network = ("hidden", "activation", "dropout", "batch_norm", "layer_norm", "init", "dtype")
    names = (*network, "standardize", "loss", "l2", "clip_norm", *_OF_OPTIMIZER)
    texts = {name: repr(getattr(params, name)) for name in names}
    return list(texts.values()), [texts[name] for name in _OF_OPTIMIZER]


def copy_state(now: Optimizer, before: Optimizer) -> None:
    """Copy the state of another optimizer of the same type."""
    if type(now) is type(before) and now.state.keys() == before.state.keys():
        now.t, now.current_lr, now.state = before.t, before.current_lr, copy.deepcopy(before.state)


@contextmanager
def restored_on_error(train_step: TrainStep, order: np.random.Generator) -> Iterator[None]:
    """Restore weights, optimizer and generators if the block fails."""
    net, optimizer = train_step.net, train_step.optimizer
    train_step.optimizer = copy.deepcopy(
        optimizer
    )  # which can write where joblib has mapped a file
    theta = net.params.theta.copy()
    generators = [(rng.bit_generator, rng.bit_generator.state) for rng in (net.rng, order)]
    try:
        yield
    except BaseException:
        net.params.theta[...], train_step.optimizer = theta, optimizer
        for bits, state in generators:
            bits.state = state
        raise


class IncrementalEstimator(NetEstimator):
    """What ``partial_fit`` of both estimators does."""

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Self:
        """Train one epoch; the first call sets classes and scales."""
        work = copy.copy(self)
        epoch = work._train_one_epoch(X, y, sample_weight, classes)
        work.history_.add(epoch)
        work.n_iter_ = epoch.number
        if work._order is not vars(self).get("_order"):
            self._advance_generator()
        self.__dict__ = work.__dict__
        return self

    def _train_one_epoch(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Epoch:
        config_of(self)
        if self.network != "mlp":
            raise PlainnetError(
                f"partial_fit trains a multi-layer perceptron: set network='mlp', not "
                f"{self.network!r}, or call fit"
            )
        if self.validation_fraction or self.patience:
            raise PlainnetError(
                "partial_fit holds no rows out and never stops early: "
                "set validation_fraction and patience to 0, or call fit"
            )
        rows, targets, weight = self._read(X, y, sample_weight, classes)
        class_weight = self._class_weights()
        if isinstance(class_weight, str):
            raise PlainnetError(
                f"class_weight={class_weight!r} needs all rows at once: "
                "give partial_fit a weight for each class, such as {0: 1.0, 1: 5.0}"
            )
        config = config_for(self, rows, self._task)
        train_step = self._train_step_for(config, rows, targets, weight)
        net, loss = self.net_, self.loss_
        X, y = self._scaled_pair(rows, targets)
        y = loss.encode(y, net.n_out, net.dtype)
        weight = with_class_weights(weight, loss, y, net.n_out, class_weight)
        batches = Batches(X, y, weight, config.rows_in_batch, None, net.dtype)
        show = epoch_printer(self.verbose, loss.metric_name)
        with (
            np.errstate(all="ignore"),
            limited_threads(blas_threads(net, batches.batch_size)),
            restored_on_error(train_step, self._order),
        ):
            began, done = time.perf_counter(), EpochProgress(self.n_iter_ + 1)
            trainer = epoch_trainer(self.engine, train_step, batches, 1)
            trainer.epoch(self._order, done, loss.metric)
            largest = float(np.abs(net.params.theta).max(initial=0))
            stay_finite(largest, "a parameter", train_step, done.number)
            of, rate = max(done.number, config.epochs), train_step.optimizer.current_lr
            seconds = time.perf_counter() - began
            epoch = Epoch(
                done.number, of, done.mean_loss, None, done.mean_metric, None, rate, seconds
            )
            for callback in (show, *self.callbacks):
                if callback is not None:
                    callback(epoch)
        if batches.batch_size > net.batch_rows:
            net.release()
        return epoch

    def _train_step_for(
        self, config: ResolvedConfig, rows: Array, targets: Array, weight: Array | None
    ) -> TrainStep:
        """Return the `TrainStep` of ``partial_fit``, a new one if parameters have changed."""
        all_parts, optimizer_parts = parts = parameter_texts(self)
        before: TrainStep | None = vars(self).get("_train_step")
        new_order = before is None or self._seed != self.random_state
        if before is not None and not new_order and all_parts == self._parameter_texts[0]:
            return before
        _, start, order = self._generators()
        if not self._fitted:
            self._append_history(History())
        self._prepare(config, rows, targets, weight, start, more=True)
        if before is not None and optimizer_parts == self._parameter_texts[1]:
            optimizer = before.optimizer
        else:
            optimizer = optimizer_of(self, config, len(rows))
        train_step = TrainStep(self.net_, self.loss_, optimizer, self.l2, self.clip_norm)
        if before is not None:
            copy_state(train_step.optimizer, before.optimizer)
        self._train_step, self._parameter_texts = train_step, parts
        if new_order:
            self._order, self._seed = order, self.random_state
        return train_step
