"""A trained estimator keeps its weights and no training buffers."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from plainnet import MeanSquaredError, NetClassifier, NetRegressor, TrainConfig, fit, mlp
from plainnet.training import train

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30_000, 10)), np.arange(30_000) % 2


def kept_by(make: Callable[[], object]) -> int:
    """Return the additional bytes held after a call, including its result."""
    make()  # imports and caches
    tracemalloc.start()
    try:
        result = make()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        del result


@pytest.mark.parametrize(
    "train",
    [
        lambda net: net.fit(X, Y),
        lambda net: net.set_params(batch_norm=True, dropout=0.1).fit(X, Y),
        lambda net: net.set_params(validation_fraction=0.5).fit(X, Y),
        lambda net: net.set_params(warm_start=True).fit(X, Y).fit(X, Y),
        lambda net: net.partial_fit(X, Y),
    ],
    ids=["fit", "all layers", "validation_fraction", "warm start", "partial_fit"],
)
def test_estimator_keeps_no_training_buffers(train):
    kept = kept_by(lambda: train(NetRegressor((50,), epochs=1, batch_size="full")))
    assert kept < 100_000  # the weights have 4,408 bytes, a layer's buffer 12 million


def test_estimator_keeps_no_buffers_after_many_rows():
    net = NetClassifier((50, 50), epochs=1).fit(X[:100], Y[:100])

    def predict():
        net.predict_proba(X)

    assert kept_by(predict) < 50_000


def test_network_keeps_no_training_buffers():
    def train():
        net = mlp(10, (50,))
        fit(net, X, Y, loss=MeanSquaredError(), epochs=1)
        return net

    assert kept_by(train) < 100_000


def test_model_keeps_no_training_buffers():
    frame = pd.DataFrame({"a": X[:5000, 0], "b": X[:5000, 1], "y": np.where(Y[:5000], "u", "v")})
    config = TrainConfig(
        target=("y",), hidden=(400,), epochs=1, batch_size="full", fingerprints=False
    )
    kept = kept_by(lambda: train(frame, config).model.net)
    assert kept < 1_000_000  # a buffer has 6.4 million


def test_released_buffers_are_recreated():
    net = mlp(10, (50,), batch_norm=True, dropout=0.5)
    before, layers = net.predict_logits(X[:100]), [layer.name for layer in net.layers]
    net.release()
    np.testing.assert_array_equal(net.predict_logits(X[:100]), before)
    assert [layer.name for layer in net.layers] == layers
    W = net.params.views["dense1.W"]
    assert np.shares_memory(net.layers[0].W, W)
    fit(net, X[:100], Y[:100], loss=MeanSquaredError(), epochs=1)
    assert net.params.views["dense1.W"] is W
    assert np.abs(net.predict_logits(X[:100]) - before).max() > 0


def test_released_network_continues_training():
    nets = [mlp(10, (8,), batch_norm=True, dropout=0.5, seed=3) for _ in range(2)]
    for _ in range(2):
        for net in nets:
            fit(net, X[:200], Y[:200], loss=MeanSquaredError(), epochs=2, batch_size=16)
        nets[0].release()
    np.testing.assert_array_equal(nets[0].params.theta, nets[1].params.theta)
