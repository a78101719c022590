"""Helpers of ``partial_fit``: detect changed parameters, and undo a failed epoch."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from plainnet.estimators.params import NetParams
from plainnet.optim.optimizers import Optimizer
from plainnet.train.step import TrainStep

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
