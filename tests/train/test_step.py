"""TrainStep: a copy protects the state that it changes."""

import copy
import pickle

import numpy as np
import pytest

from plainnet import Adam, BinaryCrossEntropy, mlp
from plainnet.train.batches import Batch
from plainnet.train.step import TrainStep


@pytest.mark.parametrize(
    "again", [lambda s: s, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_nonfinite_batch_changes_nothing_in_a_copy(again):
    X, y = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32), np.eye(8)[:, :1]
    first = TrainStep(mlp(3, batch_norm=True), BinaryCrossEntropy(), Adam(), l2=0.0, clip_norm=None)
    first.step(Batch(X, y, None, 8, slice(8)))
    train_step = again(first)
    before = train_step.net.params.theta.copy()
    value, *_ = train_step.step(Batch(np.full_like(X, np.nan), y, None, 8, slice(8)))
    assert np.isnan(value)
    np.testing.assert_array_equal(train_step.net.params.theta, before)
    for step in (first, train_step):
        step.step(Batch(X, y, None, 8, slice(8)))
    np.testing.assert_array_equal(train_step.net.params.theta, first.net.params.theta)
