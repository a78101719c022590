"""Linear baselines satisfy independent optimality conditions."""

import numpy as np
import pytest

from plainnet.evaluate.baselines import regression
from plainnet.evaluate.baselines.regression import fit_regression


def test_least_squares_matches_numpy():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(80)
    y = 3 * x - 2 + rng.standard_normal(80)
    net = fit_regression("regression", x[:, None].astype(np.float32), y[:, None], 1)
    slope, start = np.polyfit(x, y, 1)
    views = net.params.views
    assert views["dense1.W"].item() == pytest.approx(slope, rel=1e-5)
    assert views["dense1.b"].item() == pytest.approx(start, rel=1e-5)


def test_least_squares_of_wide_and_dependent_columns():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((10, 30)).astype(np.float32)
    y = rng.standard_normal((10, 2)).astype(np.float32)
    net = fit_regression("regression", X, y, 2)
    np.testing.assert_allclose(net.predict_logits(X), y, atol=1e-4)  # wide: every row can be met
    x = np.arange(8, dtype=np.float32)[:, None]
    net = fit_regression("regression", np.hstack([x, x, 0 * x]), 4 * x, 1)
    np.testing.assert_allclose(net.params.views["dense1.W"], [[2, 2, 0]], atol=1e-5)


@pytest.mark.parametrize(
    ("m", "n", "scale"), [(300, 5, (1, 1, 1, 1, 1)), (300, 5, (1, 100, 0.01, 1, 1)), (30, 200, 1)]
)
def test_logistic_regression_has_zero_gradient(m, n, scale):
    """At the minimum of the cost with penalty |w|^2 / 2m on standardized columns."""
    rng = np.random.default_rng(2)
    X = (rng.standard_normal((m, n)) * np.ones(n) * scale + 1).astype(np.float32)
    y = (X[:, 0] / X[:, 0].std() + rng.standard_normal(m) > 1).astype(np.float32)
    net = fit_regression("binary", X, y, 1)
    W, b = net.params.views["dense1.W"][0].astype(np.float64), net.params.views["dense1.b"][0]
    spread = X.std(axis=0)
    p = 1 / (1 + np.exp(-(X @ W + b)))
    dw = ((X - X.mean(axis=0)) / spread).T @ (p - y) / m + W * spread / m
    assert np.abs(dw).max() < 1e-3
    assert abs(np.mean(p - y)) < 1e-3


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_multi_output_regression_has_zero_gradient(task):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((200, 4)).astype(np.float32)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    labels = (X @ rng.standard_normal((4, 3)) + rng.standard_normal((200, 3)) > 0) * np.float32(1)
    y = labels if task == "multilabel" else (X[:, 0] + rng.standard_normal(200) > 0) * 2
    net = fit_regression(task, X, y, 3)
    Z, W = net.predict_logits(X).astype(np.float64), net.params.views["dense1.W"]
    if task == "multilabel":
        dZ = (1 / (1 + np.exp(-Z)) - labels) / 3
    else:
        e = np.exp(Z)
        dZ = e / e.sum(axis=1, keepdims=True) - np.eye(3)[y]
    assert np.abs(dZ.T @ X / 200 + W / 200).max() < 1e-3


def test_several_classes_and_labels_are_learned():
    X = np.random.default_rng(3).standard_normal((300, 2)).astype(np.float32)
    y = (X[:, 0] > 0.5).astype(np.int64) + (X[:, 0] > -0.5)
    net = fit_regression("multiclass", X, y, 3)
    assert (net.predict_logits(X).argmax(axis=1) == y).mean() > 0.93
    labels = (X > 0).astype(np.float32)
    net = fit_regression("multilabel", X, labels, 2)
    assert ((net.predict_logits(X) > 0) == labels).mean() > 0.98


def test_images_are_transformed_in_blocks(monkeypatch):
    X = np.random.default_rng(4).standard_normal((200, 3)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.float32)
    nets = []
    for cells, block in ((10**8, 200), (0, 64)):
        monkeypatch.setattr(regression, "_CELLS", cells)
        monkeypatch.setattr(regression, "_BLOCK", block)
        nets.append(fit_regression("binary", X, y, 1, lambda rows: rows))
    np.testing.assert_allclose(*(net.params.theta for net in nets), atol=1e-3)


def test_baselines_are_deterministic():
    X = np.random.default_rng(5).standard_normal((50, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.float32)
    one, two = (fit_regression("binary", X, y, 1).params.theta for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_logistic_regression_of_large_data_matches_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(8)
    X = rng.standard_normal((5000, 6)) @ rng.standard_normal((6, 6))
    y = (X[:, 0] + X[:, 1] + 2 * rng.standard_normal(5000) > 1).astype(np.float32)
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
    net = fit_regression("binary", X, y, 1)
    other = linear_model.LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(net.params.views["dense1.W"], other.coef_, atol=0.01)
    np.testing.assert_allclose(net.params.views["dense1.b"], other.intercept_, atol=0.01)
