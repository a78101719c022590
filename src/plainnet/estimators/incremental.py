"""Incremental training: the parts of ``partial_fit``."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from plainnet.estimators.api import shown
from plainnet.estimators.params import NetParams
from plainnet.optim.optimizers import Optimizer
from plainnet.train.batches import Batches
from plainnet.train.epoch import EpochProgress, train_epoch
from plainnet.train.history import Epoch
from plainnet.train.step import TrainStep, stay_finite

# Parameters that a network and its optimizer are made of; all others are read where they act.
_OF_NETWORK = ("hidden", "activation", "dropout", "batch_norm", "layer_norm", "init", "dtype")
_OF_STEPS = ("standardize", "loss", "l2", "clip_norm")
_OF_OPTIMIZER = ("optimizer", "lr", "schedule", "epochs", "batch_size")


def made_of(params: NetParams) -> tuple[list[str], list[str]]:
    """Return the parameters that a `TrainStep` depends on, and those of its optimizer."""
    names = (*_OF_NETWORK, *_OF_STEPS, *_OF_OPTIMIZER)
    return (
        [shown(getattr(params, name)) for name in names],
        [shown(getattr(params, name)) for name in _OF_OPTIMIZER],
    )


def take_state(now: Optimizer, before: Optimizer) -> None:
    """Copy the state of another optimizer of the same type."""
    if type(now) is type(before) and now.state.keys() == before.state.keys():
        now.t, now.current_lr, now.state = before.t, before.current_lr, copy.deepcopy(before.state)


@contextmanager
def unchanged_on_error(train_step: TrainStep, order: np.random.Generator) -> Iterator[None]:
    """Put weights, optimizer and generators back if the block fails."""
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


def one_epoch(
    train_step: TrainStep, batches: Batches, order: np.random.Generator, number: int, of: int
) -> Epoch:
    """Take every batch once; return the figures."""
    began = time.perf_counter()
    progress = EpochProgress(number)
    train_epoch(train_step, batches, order, progress, train_step.loss.metric)
    largest = float(np.abs(train_step.net.params.theta).max(initial=0))
    stay_finite(largest, "a parameter", train_step, number)
    return Epoch(
        number,
        max(number, of),
        progress.mean_loss,
        None,
        progress.mean_metric,
        None,
        train_step.optimizer.current_lr,
        time.perf_counter() - began,
    )
