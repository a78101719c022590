"""Layers of the network for tables, against closed forms and PyTorch."""

import numpy as np
import pytest

from plainnet.nn import Dense, Dropout, GroupedDense, PiecewiseLinear, ReLU, Sequential
from plainnet.nn.embeddings import quantile_edges
from plainnet.nn.ensemble import mean_of_groups

rng = np.random.default_rng(0)


def test_piecewise_linear_has_the_published_values():
    net = Sequential([PiecewiseLinear([3])], n_in=1)
    net.layers[0].set_edges([np.array([0.0, 1.0, 3.0, 4.0])])
    X = np.array([[-5.0], [0.25], [1.0], [2.0], [3.5], [1e30]], np.float32)
    filled = [[0, 0, 0], [0.25, 0, 0], [1, 0, 0], [1, 0.5, 0], [1, 1, 0.5], [1, 1, 1]]
    np.testing.assert_allclose(net.forward(X), np.array(filled) - 0.5, atol=1e-6)


def test_quantile_edges_put_equally_many_rows_into_each_bin():
    X = rng.standard_normal((1600, 1)).astype(np.float32)
    [edges] = quantile_edges(X, 16)
    assert set(np.histogram(X, edges)[0]) <= {99, 100, 101}
    flags, constant = quantile_edges(np.array([[0.0, 7.0], [1.0, 7.0], [0.0, 7.0]]), 16)
    assert flags.tolist() == [0, 1]
    assert constant.tolist() == [7, 8]


def test_an_outlier_leaves_the_other_numbers_apart():
    X = np.append(rng.standard_normal(999), 1e30).astype(np.float32)[:, None]
    edges = quantile_edges(X, 16)
    net = Sequential([PiecewiseLinear([16])], n_in=1)
    net.layers[0].set_edges(edges)
    sums = net.forward(X).sum(axis=1)
    assert np.isfinite(sums).all()
    assert len(np.unique(sums[:-1])) > 900
    order = X[:, 0].argsort()
    assert (np.diff(sums[order]) >= -1e-5).all()


def test_grouped_dense_is_pytorchs_grouped_convolution():
    torch = pytest.importorskip("torch")
    net = Sequential([GroupedDense(6, groups=2)], n_in=8, dtype=np.float64)
    layer = net.layers[0]
    layer.b[...] = rng.standard_normal(6)
    conv = torch.nn.Conv1d(8, 6, 1, groups=2, dtype=torch.float64)
    with torch.no_grad():
        conv.weight[...] = torch.from_numpy(layer.W)[:, :, None]
        conv.bias[...] = torch.from_numpy(layer.b)
    X, dZ = rng.standard_normal((5, 8)), rng.standard_normal((5, 6))
    T = torch.from_numpy(X)[:, :, None].requires_grad_()
    Z = conv(T)
    Z.backward(torch.from_numpy(dZ)[:, :, None])
    np.testing.assert_allclose(net.forward(X), Z.detach().numpy()[:, :, 0])
    np.testing.assert_allclose(net.backward(dZ, need_dX=True), T.grad.numpy()[:, :, 0])
    np.testing.assert_allclose(layer.dW, conv.weight.grad.numpy()[:, :, 0])
    np.testing.assert_allclose(layer.db, conv.bias.grad.numpy())


@pytest.mark.parametrize("n_out", [1, 3])
def test_the_mean_of_groups_is_the_mean_of_their_outputs(n_out):
    k, bins = 4, [2, 1, 5]
    layers = [PiecewiseLinear(bins), Dense(5 * k), ReLU(), Dropout(0.5), GroupedDense(3 * k, k)]
    net = Sequential([*layers, ReLU(), GroupedDense(n_out * k, k)], n_in=3, seed=1)
    X = rng.standard_normal((50, 3)).astype(np.float32)
    net.layers[0].set_edges([np.sort(rng.standard_normal(n + 1)) for n in bins])
    net.layers[-1].b[...] = rng.standard_normal(n_out * k)
    mean = mean_of_groups(net)
    members = net.predict_logits(X).reshape(50, k, n_out)
    np.testing.assert_allclose(mean.predict_logits(X), members.mean(axis=1), rtol=0, atol=1e-6)
    assert not any(isinstance(layer, Dropout) for layer in mean.layers)
