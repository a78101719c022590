"""Statistics of activations: closed forms for dead units and filters, and gradients by layer."""

import numpy as np
import pytest

from plainnet.diagnose import activations
from plainnet.diagnose.activations import measure
from plainnet.nn import (
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    ReLU,
    Sequential,
)


def test_filter_is_dead_if_it_is_zero_everywhere():
    """One filter is always below zero, one in all pixels but one of a single picture."""
    net = Sequential([Conv2D(3, kernel=1), ReLU(), Flatten(), Dense(1)], (4, 5, 1), seed=1)
    net.params.views["conv2d1.W"][...] = 1
    net.params.views["conv2d1.b"][...] = -30, -10, 0
    X = np.random.default_rng(0).uniform(0.5, 1, (1500, 4, 5, 1)).astype(np.float32)
    X[1400, 2, 3] = 20
    y = np.arange(1500) % 2
    found = measure(net, BinaryCrossEntropy(), X, y[:, np.newaxis].astype(np.float32))
    [relu] = found.layers
    assert (relu.name, relu.unit, relu.units, relu.dead) == ("relu1", "filter", 3, 1)
    np.testing.assert_allclose(found.Z, net.predict_logits(X), rtol=1e-6)


def test_gradient_sizes_follow_the_formula():
    net = Sequential([Conv2D(2, kernel=1), Flatten(), Dense(1)], (2, 2, 1), seed=1)
    X = np.ones((1, 2, 2, 1), np.float32)
    loss, y = BinaryCrossEntropy(), np.ones((1, 1), np.float32)
    dZ = float(loss(net.forward(X), y)[1][0, 0])
    found = measure(net, loss, X, y).gradients
    W = net.params.views["dense1.W"].reshape(4, 2)
    sizes = np.sqrt(np.square(dZ * W).sum(axis=0).mean())  # norm over pixels, mean over filters
    np.testing.assert_allclose(list(found.values()), [sizes, abs(dZ)], rtol=1e-6)
    assert list(found) == ["conv2d1", "dense1"]


def test_parts_of_the_rows_change_nothing(monkeypatch):
    """Large pictures are propagated a few at a time; dropout and batch norm are as in use."""
    layers = [Conv2D(3), BatchNorm(), ReLU(), Flatten(), Dropout(0.5), Dense(1)]
    net = Sequential(layers, (4, 5, 2), seed=1, dtype=np.float64)
    rng = np.random.default_rng(0)
    X, y, weight = rng.random((50, 4, 5, 2)), rng.integers(0, 2, (50, 1)), rng.random(50)
    whole = measure(net, BinaryCrossEntropy(), X, y, weight)
    monkeypatch.setattr(activations, "_CHUNK", 15 * 60)
    parts = measure(net, BinaryCrossEntropy(), X, y, weight)
    np.testing.assert_allclose(parts.Z, whole.Z, rtol=1e-12)
    assert parts.gradients == pytest.approx(whole.gradients, rel=1e-12)
    assert parts.layers[0].std == pytest.approx(whole.layers[0].std, rel=1e-12)
