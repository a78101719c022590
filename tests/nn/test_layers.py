"""Dense, Dropout, BatchNorm, LayerNorm and Flatten against closed forms."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn.cases import draw_biases
from plainnet.errors import PlainnetError
from plainnet.nn import (
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    ReLU,
    Sequential,
    mlp,
)
from plainnet.nn.validation import check_range, positive_int

sizes = st.integers(1, 6)


def alone(layer, in_shape, dtype=np.float64, seed=0):
    return Sequential([layer], n_in=in_shape, seed=seed, dtype=dtype)


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# --- Dense ---------------------------------------------------------------------------------------


def test_dense_by_hand():
    net = alone(Dense(2), 3)
    net.params.load(
        {"dense1.W": np.array([[1.0, 2, 3], [-1, 0, 1]]), "dense1.b": np.array([10.0, 20])}
    )
    X = np.array([[1.0, 1, 1], [2, 0, -1]])
    assert net.forward(X).tolist() == [[16, 20], [9, 17]]
    dX = net.backward(np.array([[1.0, 0], [1, 2]]), need_dX=True)
    assert dX.tolist() == [[1, 2, 3], [-1, 2, 5]]
    assert net.params.grads["dense1.W"].tolist() == [[3, 1, 0], [4, 0, -2]]
    assert net.params.grads["dense1.b"].tolist() == [2, 2]


@given(m=sizes, n_in=sizes, n_out=sizes, seed=st.integers(0, 99))
def test_dense_matches_explicit_sums(m, n_in, n_out, seed):
    net = alone(Dense(n_out), n_in, seed=seed)
    X, dZ = normals(m, n_in, seed=seed), normals(m, n_out, seed=seed + 1)
    W, b = net.params.views["dense1.W"], net.params.views["dense1.b"]
    b[...] = np.arange(n_out)
    expected = [
        [math.fsum([b[j], *(X[i, k] * W[j, k] for k in range(n_in))]) for j in range(n_out)]
        for i in range(m)
    ]
    np.testing.assert_allclose(net.forward(X), expected, rtol=1e-12, atol=1e-13)
    net.backward(dZ)
    expected = [
        [math.fsum(dZ[i, j] * X[i, k] for i in range(m)) for k in range(n_in)] for j in range(n_out)
    ]
    np.testing.assert_allclose(net.params.grads["dense1.W"], expected, rtol=1e-12, atol=1e-13)


def test_dense_on_pictures_suggests_flatten():
    with pytest.raises(PlainnetError) as error:
        alone(Dense(2), (4, 4, 3))
    assert str(error.value) == (
        "Dense 'dense1' expects flat inputs, got shape (4, 4, 3): put Flatten() before it"
    )


def test_dense_initializer_changes_weights():
    assert alone(Dense(2, "ones"), 2).params.theta.tolist() == [1, 1, 1, 1, 0, 0]
    assert alone(Dense(2, "zeros"), 2).params.theta.tolist() == [0] * 6
    assert alone(Dense(5), 2).out_shape == (5,)


# --- Dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_preserves_expectation_and_rate(rate, dtype):
    n = 200_000
    net = alone(Dropout(rate), 100, dtype)
    X = np.full((n // 100, 100), 3.0, dtype)
    Y = net.forward(X, train=True)
    values = np.unique(Y)
    np.testing.assert_allclose(values, [0, 3 / (1 - rate)], rtol=1e-6)
    assert np.mean(Y == 0) == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / n))
    spread = 3 * math.sqrt(rate / (1 - rate) / n)
    assert Y.mean(dtype=np.float64) == pytest.approx(3, abs=5 * spread)


def test_dropout_masks_are_independent():
    net = alone(Dropout(0.5), 64)
    X = np.ones((64, 64))
    first, second = (net.forward(X, train=True).copy() > 0 for _ in range(2))
    assert np.mean(first == second) == pytest.approx(0.5, abs=5 * 0.5 / 64)
    for kept in (first.mean(axis=0), first.mean(axis=1)):
        assert 0.1 < kept.min() < kept.max() < 0.9
        assert np.ptp(kept) > 0.05


def test_dropout_backward_uses_the_forward_mask():
    net = alone(Dropout(0.5), 50)
    X, dY = normals(8, 50), normals(8, 50, seed=1)
    Y = net.forward(X, train=True).copy()
    dX = net.backward(dY, need_dX=True)
    np.testing.assert_allclose(dX, dY * (Y / X), rtol=1e-12)
    assert 0 < np.mean(dX == 0) < 1


def test_dropout_is_identity_in_prediction():
    net = alone(Dropout(0.5), 4)
    X, dY = normals(3, 4), normals(3, 4, seed=1)
    net.forward(X, train=True)
    stream = net.rng.bit_generator.state
    np.testing.assert_array_equal(net.forward(X), X)
    np.testing.assert_array_equal(net.backward(dY, need_dX=True), dY)
    assert net.rng.bit_generator.state == stream  # predicting draws nothing


def test_dropout_of_rate_zero_is_identity_in_training():
    net = alone(Dropout(0), 4)
    X, stream = normals(3, 4), net.rng.bit_generator.state
    np.testing.assert_array_equal(net.forward(X, train=True), X)
    assert net.rng.bit_generator.state == stream


def test_dropout_rate_changes_the_mask():
    X = np.ones((50, 50))
    dropped = [np.mean(alone(Dropout(r), 50).forward(X, train=True) == 0) for r in (0.2, 0.7)]
    assert dropped[1] - dropped[0] == pytest.approx(0.5, abs=0.05)


# --- BatchNorm -----------------------------------------------------------------------------------


def test_batch_norm_standardizes_over_the_batch():
    net = alone(BatchNorm(eps=1e-14), 5)
    X = 3 * normals(40, 5) + np.array([0, 10, -5, 100, 1e4])
    Y = net.forward(X, train=True)
    np.testing.assert_allclose(Y.mean(axis=0), 0, atol=1e-11)
    np.testing.assert_allclose(Y.var(axis=0), 1, rtol=1e-11)


def test_batch_norm_matches_closed_form():
    net = alone(BatchNorm(eps=0.5), 2)
    gamma, beta = [2.0, -3.0], [0.5, 7.0]
    net.params.views["batchnorm1.gamma"][...] = gamma
    net.params.views["batchnorm1.beta"][...] = beta
    X = normals(6, 2)
    Y = net.forward(X, train=True)
    for j in range(2):
        column = X[:, j].tolist()
        mean, variance = statistics.fmean(column), statistics.pvariance(column)
        expected = [gamma[j] * (x - mean) / math.sqrt(variance + 0.5) + beta[j] for x in column]
        np.testing.assert_allclose(Y[:, j], expected, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.1, 0.4, 1.0])
def test_running_statistics_match_closed_form(momentum):
    """r <- r + momentum (batch - r) with unbiased variance, starting from 0 and 1."""
    net = alone(BatchNorm(momentum=momentum), 3)
    mean, var = [0.0] * 3, [1.0] * 3
    for step in range(5):
        X = 2 * normals(7, 3, seed=step) + step
        net.forward(X, train=True)
        for j in range(3):
            column = X[:, j].tolist()
            mean[j] = (1 - momentum) * mean[j] + momentum * statistics.fmean(column)
            var[j] = (1 - momentum) * var[j] + momentum * statistics.variance(column)
        np.testing.assert_allclose(net.params.views["batchnorm1.running_mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(net.params.views["batchnorm1.running_var"], var, rtol=1e-12)


def test_default_momentum():
    net = alone(BatchNorm(), 1)
    net.forward([[2.0], [4.0]], train=True)
    assert net.params.views["batchnorm1.running_mean"][0] == pytest.approx(0.3)
    assert net.params.views["batchnorm1.running_var"][0] == pytest.approx(0.9 + 0.1 * 2)


def test_prediction_uses_running_statistics_unchanged():
    net = alone(BatchNorm(eps=0.25), 2)
    net.params.load(
        {
            "batchnorm1.gamma": np.array([2.0, 1.0]),
            "batchnorm1.beta": np.array([0.0, 5.0]),
            "batchnorm1.running_mean": np.array([1.0, -1.0]),
            "batchnorm1.running_var": np.array([0.75, 3.75]),
        }
    )
    before = net.params.theta.copy()
    assert net.forward([[3.0, 3.0], [1.0, -1.0]]).tolist() == [[4, 7], [0, 5]]
    net.predict_logits(normals(9, 2))
    np.testing.assert_array_equal(net.params.theta, before)


def test_batch_norm_of_pictures_is_per_channel():
    net = alone(BatchNorm(eps=1e-14), (4, 5, 3))
    X = normals(6, 4, 5, 3) * np.array([1, 10, 100]) + np.array([0, -7, 50])
    Y = net.forward(X, train=True)
    assert {v.size for v in net.params.views.values()} == {3}
    for c in range(3):
        flat = X[..., c].ravel()
        expected = (X[..., c] - flat.mean()) / flat.std()
        np.testing.assert_allclose(Y[..., c], expected, rtol=1e-9, atol=1e-12)
    running = net.params.views["batchnorm1.running_var"]
    expected = [0.9 + 0.1 * statistics.variance(X[..., c].ravel().tolist()) for c in range(3)]
    np.testing.assert_allclose(running, expected, rtol=1e-10)


def test_batch_norm_of_a_constant_column_is_finite():
    net = alone(BatchNorm(), 2)
    Y = net.forward([[3.0, 1.0], [3.0, 2.0]], train=True)
    assert np.isfinite(Y).all()
    assert Y[0, 0] == 0
    assert np.isfinite(net.backward(np.ones((2, 2)), need_dX=True)).all()
    assert np.isfinite(net.params.theta).all()


def test_batch_norm_on_one_row_raises_without_side_effects():
    net = alone(BatchNorm(), 2)
    before = net.params.theta.copy()
    with pytest.raises(PlainnetError) as error:
        net.forward([[3.0, 4.0]], train=True)
    assert str(error.value) == (
        "BatchNorm 'batchnorm1' has no variance to train with in a batch of one row: "
        "take a larger batch_size, or give more rows"
    )
    np.testing.assert_array_equal(net.params.theta, before)
    assert net.forward([[3.0, 4.0]]).shape == (1, 2)  # predicting needs no variance
    assert alone(BatchNorm(), (2, 2, 3)).forward(np.ones((1, 2, 2, 3)), train=True).shape[0] == 1


def test_running_statistics_are_not_trained():
    net = Sequential([Dense(3), BatchNorm(), Dense(1)], n_in=2)
    names = [n for n in net.params.views if n not in net.params.grads]
    assert names == ["batchnorm1.running_mean", "batchnorm1.running_var"]
    assert net.params.decaying().sum() == 2 * 3 + 3  # the weights of the two Dense, no scale
    assert net.params.trained.size == net.params.theta.size - 6


def test_bias_below_batch_norm_has_no_gradient():
    net = Sequential([Dense(3), BatchNorm(), Dense(1)], n_in=2, dtype=np.float64)
    net.forward(normals(8, 2), train=True)
    net.backward(normals(8, 1, seed=1))
    np.testing.assert_allclose(net.params.grads["dense1.b"], 0, atol=1e-13)
    assert np.abs(net.params.grads["dense1.W"]).max() > 1e-3


# --- LayerNorm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [False, True])
def test_layer_norm_matches_closed_form(train):
    net = alone(LayerNorm(eps=0.5), 4)
    gamma, beta = np.array([1.0, -2, 3, 0.5]), np.array([0.0, 1, 2, 3])
    net.params.views["layernorm1.gamma"][...] = gamma
    net.params.views["layernorm1.beta"][...] = beta
    X = 3 * normals(5, 4) + 2
    Y = net.forward(X, train=train)
    for x, y in zip(X.tolist(), Y, strict=True):
        mean, variance = statistics.fmean(x), statistics.pvariance(x)
        expected = [
            g * (a - mean) / math.sqrt(variance + 0.5) + b
            for a, g, b in zip(x, gamma, beta, strict=True)
        ]
        np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_layer_norm_is_invariant_to_scale_and_shift():
    net = alone(LayerNorm(eps=1e-14), 6)
    X = normals(4, 6)
    Y = net.forward(X).copy()
    changed = X * np.array([[1.0], [10], [0.1], [1e3]]) + np.array([[5.0], [-5], [0], [1e3]])
    np.testing.assert_allclose(net.forward(changed), Y, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(Y.mean(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(Y.var(axis=1), 1, rtol=1e-11)


def test_layer_norm_of_pictures_is_per_pixel():
    net = alone(LayerNorm(eps=1e-14), (2, 3, 5))
    Y = net.forward(normals(4, 2, 3, 5))
    np.testing.assert_allclose(Y.mean(axis=-1), 0, atol=1e-14)
    np.testing.assert_allclose(Y.var(axis=-1), 1, rtol=1e-11)


def test_layer_norm_of_a_constant_row_is_finite():
    net = alone(LayerNorm(), 3)
    assert net.forward([[2.0, 2.0, 2.0]]).tolist() == [[0, 0, 0]]
    assert np.isfinite(net.backward(np.ones((1, 3)), need_dX=True)).all()


@pytest.mark.parametrize("make", [BatchNorm, LayerNorm])
def test_eps_bounds_the_normalized_constant(make):
    """With a variance v the output is x / sqrt(v + eps): eps = 3 halves it at v = 1."""
    X = np.array([[1.0, -1.0], [-1.0, 1.0]])
    small = alone(make(eps=1e-12), 2).forward(X, train=True).copy()
    large = alone(make(eps=0.25), 2).forward(X, train=True)
    np.testing.assert_allclose(small, X, rtol=1e-9)
    np.testing.assert_allclose(large, X / math.sqrt(1.25), rtol=1e-12)


# --- Flatten -------------------------------------------------------------------------------------


@given(m=sizes, shape=st.lists(sizes, min_size=1, max_size=3).map(tuple))
def test_flatten_preserves_order_and_is_inverted_by_backward(m, shape):
    net = alone(Flatten(), shape)
    X = np.arange(m * math.prod(shape), dtype=float).reshape(m, *shape)
    Y = net.forward(X)
    assert Y.shape == (m, *net.out_shape) == (m, math.prod(shape))
    assert Y.ravel().tolist() == list(range(X.size))
    np.testing.assert_array_equal(net.backward(Y, need_dX=True), X)


# --- skipped computations and buffers ------------------------------------------------------------


class Recorder(Layer):
    """Y = X; records whether dX was requested."""

    def __init__(self):
        self.asked = []

    def build(self, in_shape):
        self.specs = []
        return in_shape

    def forward(self, X, train):
        return X

    def backward(self, dY, need_dX):
        self.asked.append(need_dX)
        return dY if need_dX else None


def with_dX(net, **options):
    """Return the dense layers that compute dX in one backward pass."""
    names = []

    def recorded(layer, backward):
        def call(dZ, need_dX):
            names.extend([layer.name] * need_dX)
            return backward(dZ, need_dX)

        return call

    for layer in net.layers:
        if isinstance(layer, Dense):
            layer.backward = recorded(layer, layer.backward)
    net.forward(normals(6, *net.in_shape), train=True)
    net.backward(np.ones((6, net.n_out)), **options)
    return sorted(names)


def test_first_dense_layer_never_computes_dX():
    net = mlp(5, (4, 3), 2)
    assert with_dX(net) == ["dense2", "dense3"]
    net = mlp(5, (4, 3), 2)
    assert with_dX(net, need_dX=True) == ["dense1", "dense2", "dense3"]


@pytest.mark.parametrize("before", [[], [Flatten()], [Dropout(0.3)], [ReLU(), Flatten()]])
def test_dX_is_not_computed_after_layers_without_parameters(before):
    net = Sequential([*before, Dense(4), ReLU(), Dense(2)], n_in=5)
    assert with_dX(net) == ["dense2"]


LAYOUTS = {
    "rows": lambda X: X,
    "Fortran order": lambda X: np.asfortranarray(X),
    "strided rows": lambda X: np.repeat(X, 2, axis=0)[::2],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@settings(max_examples=20, deadline=None)
@given(
    m=st.integers(1, 50),
    n_in=st.integers(1, 130),
    n_out=st.integers(1, 42),
    seed=st.integers(0, 9),
)
def test_dense_matches_its_formula_for_any_memory_layout(layout, m, n_in, n_out, seed):
    net = alone(Dense(n_out), n_in, seed=seed)
    draw_biases(net, np.random.default_rng(seed))
    dense = net.layers[0]
    X, dZ = normals(m, n_in, seed=seed), normals(m, n_out, seed=seed + 1)
    for _ in range(2):
        Z = dense.forward(layout(X), train=True)
        np.testing.assert_allclose(Z, X @ dense.W.T + dense.b, rtol=1e-12, atol=1e-12)
        dX = dense.backward(dZ, need_dX=True)
        np.testing.assert_allclose(dX, dZ @ dense.W, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dense.dW, dZ.T @ X, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dense.db, dZ.sum(axis=0), rtol=1e-12, atol=1e-12)


def test_prediction_in_batches_matches_the_formula():
    net = mlp(30, (64, 64), 3, seed=1, dtype=np.float64)
    draw_biases(net, np.random.default_rng(0))
    X = normals(net.batch_rows + 7, 30)
    Z = X
    for layer in net.layers:
        Z = Z @ layer.W.T + layer.b if isinstance(layer, Dense) else np.maximum(Z, 0)
    np.testing.assert_allclose(net.predict_logits(X), Z, rtol=1e-10, atol=1e-12)


def test_backward_stops_at_the_first_layer_with_parameters():
    net = Sequential([Recorder(), Dense(3), Recorder(), Dense(1)], n_in=2)
    below, above = net.layers[0], net.layers[2]
    net.forward(normals(4, 2))
    assert net.backward(np.ones((4, 1))) is None
    assert (below.asked, above.asked) == ([], [True])
    assert net.backward(np.ones((4, 1)), need_dX=True).shape == (4, 2)
    assert (below.asked, above.asked) == ([True], [True, True])


@pytest.mark.parametrize("make", [lambda: Dense(3), BatchNorm, LayerNorm])
def test_first_layer_without_dX_has_the_same_gradients(make):
    net = alone(make(), 3)
    X, dY = normals(5, 3), normals(5, 3, seed=1)
    net.forward(X, train=True)
    assert net.layers[0].backward(dY, need_dX=False) is None
    without = net.params.grad.copy()
    net.backward(dY, need_dX=True)
    np.testing.assert_array_equal(net.params.grad, without)


class Forgetful(Recorder):
    def backward(self, dY, need_dX):
        return None


def test_custom_layer_without_dX_is_named_in_the_error():
    net = Sequential([Dense(3), Forgetful(), Dense(1)], n_in=2)
    net.forward(normals(4, 2))
    with pytest.raises(PlainnetError) as error:
        net.backward(np.ones((4, 1)))
    assert str(error.value) == "'forgetful1' returned no dX although it was asked for"


@settings(max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_batches_of_varying_sizes(batch_sizes):
    used = mlp(3, (4,), 2, activation="gelu", layer_norm=True, dtype=np.float64)
    X, dZ = normals(12, 3), normals(12, 2, seed=1)
    for m in batch_sizes:
        fresh = mlp(3, (4,), 2, activation="gelu", layer_norm=True, dtype=np.float64)
        for net in (used, fresh):
            net.forward(X[:m], train=True)
            net.backward(dZ[:m])
        np.testing.assert_array_equal(used.params.grad, fresh.params.grad)


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "Dense: n_out must be a whole number of at least 1, got 0"),
        (lambda: Dense(-3), "Dense: n_out must be a whole number of at least 1, got -3"),
        (lambda: Dense(2.0), "Dense: n_out must be a whole number of at least 1, got 2.0"),
        (lambda: Dense("8"), "Dense: n_out must be a whole number of at least 1, got '8'"),
        (lambda: Dense(True), "Dense: n_out must be a whole number of at least 1, got True"),
        (lambda: Dense(None), "Dense: n_out must be a whole number of at least 1, got None"),
        (lambda: Dropout(1), "Dropout: rate must be a number in [0, 1), got 1"),
        (lambda: Dropout(-0.1), "Dropout: rate must be a number in [0, 1), got -0.1"),
        (lambda: Dropout(math.nan), "Dropout: rate must be a number in [0, 1), got nan"),
        (lambda: Dropout("0.5"), "Dropout: rate must be a number in [0, 1), got '0.5'"),
        (lambda: BatchNorm(0.0), "BatchNorm: momentum must be a number in (0, 1], got 0.0"),
        (lambda: BatchNorm(1.5), "BatchNorm: momentum must be a number in (0, 1], got 1.5"),
        (lambda: BatchNorm(0.1, 0), "BatchNorm: eps must be a number in (0, 1), got 0"),
        (lambda: BatchNorm(eps=[1]), "BatchNorm: eps must be a number in (0, 1), got [1]"),
        (lambda: LayerNorm(0.0), "LayerNorm: eps must be a number in (0, 1), got 0.0"),
        (lambda: LayerNorm(1), "LayerNorm: eps must be a number in (0, 1), got 1"),
    ],
)
def test_options_out_of_range_raise(make, message):
    with pytest.raises(PlainnetError) as error:
        make()
    assert str(error.value) == message


def test_range_limits_are_accepted():
    assert Dropout(0).rate == 0
    assert BatchNorm(momentum=1).momentum == 1
    assert check_range("it", "x", 5, "[5, 6)") == 5
    assert check_range("it", "x", 6, "(5, 6]") == 6
    assert positive_int("it", "n", np.int32(4)) == 4
    assert type(positive_int("it", "n", np.uint8(4))) is int
