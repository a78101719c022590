"""Trace of one row, forward and backward, against hand computation and finite differences."""

import json

import numpy as np
import pytest

from nn.cases import LAYERS, LOSSES, numeric_gradients, read_only, surrounded
from plainnet.errors import PlainnetError
from plainnet.explain.excerpt import excerpt, numbers_json
from plainnet.explain.formulas import code_of
from plainnet.explain.trace import trace
from plainnet.nn import (
    BinaryCrossEntropy,
    Dense,
    Huber,
    Identity,
    MeanSquaredError,
    ReLU,
    Sequential,
    mlp,
)
from plainnet.nn.activations import Activation


def by_hand():
    """x = (1, 2); z1 = (-1, 3.5), a1 = (0, 3.5), z2 = 0 - 3.5 + 0.5 = -3."""
    net = Sequential([Dense(2), ReLU(), Dense(1)], n_in=2)
    values = {
        "dense1.W": [[1, -1], [0.5, 2]],
        "dense1.b": [0, -1],
        "dense2.W": [[2, -1]],
        "dense2.b": [0.5],
    }
    net.params.load({name: np.array(v, np.float32) for name, v in values.items()})
    return net


# sigmoid(-3) = 1 / (1 + e^3) and log(1 + e^3), from a table of logarithms, not from this code
A = 0.04742587317756678
LOSS = 3.048587351573742


def test_forward_by_hand():
    result = trace(by_hand(), BinaryCrossEntropy(), [1.0, 2.0])
    assert [(s.symbol, s.layer, s.kind, s.output.tolist()) for s in result.steps] == [
        ("z1", "dense1", "Dense", [-1.0, 3.5]),
        ("a1", "relu1", "ReLU", [0.0, 3.5]),
        ("z2", "dense2", "Dense", [-3.0]),
    ]
    np.testing.assert_allclose(result.a, [A], rtol=1e-12)
    assert (result.value, result.y, result.gradients) == (None, None, ())
    assert result.to_json()["loss"] is None
    assert result.to_json()["gradients_agree"] is None


def test_backward_by_hand():
    result = trace(by_hand(), BinaryCrossEntropy(), [1.0, 2.0], 1)
    d = A - 1
    wanted = {
        "z2": [d],
        "dense2.W": [[0, 3.5 * d]],
        "dense2.b": [d],
        "a1": [2 * d, -d],
        "z1": [0, -d],
        "dense1.W": [[0, 0], [-d, -2 * d]],
        "dense1.b": [0, -d],
        "x": [-0.5 * d, -2 * d],
    }
    assert result.value == pytest.approx(LOSS, rel=1e-12)
    assert [g.by for g in result.gradients] == list(wanted)
    assert [g.layer for g in result.gradients] == [
        "BinaryCrossEntropy",
        *["dense2"] * 3,
        "relu1",
        *["dense1"] * 3,
    ]
    for gradient in result.gradients:
        np.testing.assert_allclose(gradient.gradient, wanted[gradient.by], rtol=1e-12)
        for slope in gradient.checked:
            assert slope.finite_difference == pytest.approx(slope.gradient, abs=1e-9)
        assert (gradient.ok, gradient.direction) == (True, None)


def test_gradient_rows_show_their_variables():
    result = trace(by_hand(), BinaryCrossEntropy(), [1.0, 2.0], 1)
    beside = {g.by: [s.value for s in g.checked] for g in result.gradients}
    assert beside["z2"] == [-3.0]
    assert beside["dense1.W"] == [1, -1, 0.5, 2]
    assert beside["z1"] == [-1, 3.5]
    assert beside["a1"] == [0, 3.5]
    assert beside["x"] == [1, 2]


@pytest.mark.parametrize("loss", [MeanSquaredError(), Huber(delta=0.5)], ids=["square", "huber"])
def test_regression_by_hand(loss):
    """z = 2 x - 1 = 5 and y = 3: (5 - 3)^2 = 4, slope 4; Huber 0.5 (2 - 0.25), slope 0.5."""
    net = mlp(1, hidden=())
    net.params.load({"dense1.W": np.array([[2.0]], "f"), "dense1.b": np.array([-1.0], "f")})
    result = trace(net, loss, [3.0], 3.0)
    value, slope = (4.0, 4.0) if isinstance(loss, MeanSquaredError) else (0.875, 0.5)
    assert result.value == pytest.approx(value)
    found = {g.by: g.gradient.ravel().tolist() for g in result.gradients}
    assert found == {
        "z1": [slope],
        "dense1.W": [3 * slope],
        "dense1.b": [slope],
        "x": [2 * slope],
    }


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name):
    make, in_shape = LAYERS[name]
    net = surrounded(make, in_shape, n_out=1)
    rng = np.random.default_rng(3)
    state = net.params.theta[len(net.params.trained) :]
    state += 0.5 * rng.random(state.shape)
    x = read_only(rng.standard_normal(in_shape))
    before = net.params.theta.copy(), net.params.grad.copy(), net.rng.bit_generator.state
    result = trace(net, BinaryCrossEntropy(), x, 1, entries=3)
    assert result.ok, {g.by: g.difference for g in result.gradients}
    np.testing.assert_array_equal(net.params.theta, before[0])
    np.testing.assert_array_equal(net.params.grad, before[1])
    np.testing.assert_allclose(result.steps[-1].output, net.predict_logits(x[None])[0], rtol=1e-12)
    theta, X = numeric_gradients(net, BinaryCrossEntropy(), x[None], [1], train=False)
    found = {g.by: g.gradient for g in result.gradients}
    net.params.grad[...] = theta
    for variable, wanted in net.params.grads.items():
        np.testing.assert_allclose(found[variable], wanted, atol=1e-8)
    net.params.grad[...] = before[1]
    np.testing.assert_allclose(found["x"].ravel(), X, atol=1e-8)
    assert net.rng.bit_generator.state == before[2]


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name):
    make, n_out, draw = LOSSES[name]
    loss, rng = make(), np.random.default_rng(4)
    net = mlp(3, hidden=(4,), n_out=n_out, activation="tanh", seed=2)
    x, y = rng.standard_normal(3), draw(rng, 1)
    result = trace(net, loss, x, y[0], entries=100)
    assert result.ok
    assert all(g.direction is None for g in result.gradients)
    net = net.astype(np.float64)
    Z = net.predict_logits(x[None])
    assert result.value == pytest.approx(loss(Z, loss.encode(y, n_out, float))[0], rel=1e-12)
    np.testing.assert_allclose(result.a, loss.predictions(Z)[0], rtol=1e-12)
    assert "=" in result.loss_formula
    assert "a" in result.prediction_formula
    assert result.loss_code is not None
    assert result.loss_code.file == "plainnet/nn/losses.py"


def test_confident_correct_prediction_agrees():
    net = mlp(2, hidden=(), init="constant:20")
    result = trace(net, BinaryCrossEntropy(), [0.5, 0.5], 1)
    assert result.value is not None
    assert result.value < 1e-8
    assert result.ok


def test_no_finite_difference_across_a_kink():
    net = Sequential([Dense(1, init="ones"), ReLU(), Dense(1, init="ones")], n_in=1)
    result = trace(net, MeanSquaredError(), [0.0], 1.0)
    at = {g.by: g.checked[0].finite_difference for g in result.gradients}
    assert at["dense1.b"] is None
    assert at["x"] is None
    assert at["dense2.b"] == pytest.approx(-2.0)
    assert result.ok


class Wrong(Activation):
    """Y = X with a deliberately wrong gradient."""

    gradient_formulas = ("dX = 1.1 dY",)

    def forward(self, X, train):
        """Y = X."""
        return X

    def backward(self, dY, need_dX):
        """dX = 1.1 dY."""
        return dY * 1.1


@pytest.mark.parametrize("entries", [1, 50])
def test_wrong_gradient_is_detected(entries):
    net = Sequential([Dense(4), Wrong(), Dense(1)], n_in=3, seed=1)
    result = trace(net, MeanSquaredError(), [1.0, 2.0, 3.0], 0.0, entries=entries)
    bad = [g.by for g in result.gradients if not g.ok]
    assert bad == ["z1", "dense1.W", "dense1.b", "x"]
    assert not result.ok
    assert result.to_json()["gradients_agree"] is False
    assert result.gradients[4].formula == "dX = 1.1 dY"


def test_wrong_entry_outside_the_excerpt_is_detected(monkeypatch):
    original = Dense.backward

    def planted(self, dZ, need_dX):
        dX = original(self, dZ, need_dX)
        if self.name == "dense1":
            self.dW[0, np.abs(self.dW[0]).argmin()] += 0.05
        return dX

    monkeypatch.setattr(Dense, "backward", planted)
    net = mlp(200, hidden=(8,), activation="tanh")
    x = np.random.default_rng(0).standard_normal(200)
    x[:100] *= 30
    result = trace(net, MeanSquaredError(), x / 30, 1.0, entries=2)
    assert [g.by for g in result.gradients if not g.ok] == ["dense1.W"]


def test_source_line_points_to_the_computation():
    import inspect

    from plainnet.nn import layers

    result = trace(by_hand(), BinaryCrossEntropy(), [1.0, 2.0], 1)
    found = {g.by: g.code for g in result.gradients}
    lines = inspect.getsource(layers).splitlines()
    for name in ("dense2.W", "dense2.b"):
        code = found[name]
        assert code is not None
        assert code.file == "plainnet/nn/layers.py"
        assert "np.dot(dZ.T, self.X, out=self.dW)" in code.text
        assert lines[code.last_line - 1].strip() == code.text.splitlines()[-1].strip()
    forward = result.steps[0].code
    assert forward is not None
    assert "X.dot(self.W_T)" in "".join(lines[forward.line - 1 : forward.last_line])
    assert found["a1"] is not None
    assert "return dZ.dot(self.W)" in found["a1"].text


def test_every_gradient_has_its_formula():
    result = trace(mlp(2, batch_norm=True), BinaryCrossEntropy(), [1.0, 2.0], 1)
    formulas = {g.by: g.formula for g in result.gradients}
    assert formulas["dense2.W"] == "dW = dZ^T X"
    assert formulas["dense2.b"] == "db = column sums of dZ"
    assert formulas["a1"] == "dX = dZ W"
    assert formulas["batchnorm1.gamma"] == "dgamma = column sums of dY Xhat"
    assert formulas["z1"] == "dX = gamma / std dY"  # predicting, not training
    assert formulas["z2"] == "dZ = (sigmoid(Z) - y) / (m k)"


def test_unavailable_source_is_none():
    assert code_of(len) is None
    assert code_of(lambda: 1) is None
    scope = {}
    exec("def made():\n    '''A formula.'''\n    return 1", scope)
    assert code_of(scope["made"]) is None


def test_symbols_of_a_long_chain():
    net = mlp((2, 2), hidden=(3,), batch_norm=True, dropout=0.5)
    result = trace(net, BinaryCrossEntropy(), np.ones((2, 2)), 0)
    assert [s.symbol for s in result.steps] == [
        "a0 (flat)",
        "z1",
        "z1 (batchnorm1)",
        "a1",
        "a1 (dropout1)",
        "z2",
    ]


def test_json_contains_excerpts_of_wide_arrays():
    net = mlp(2000, hidden=(3,), seed=1)
    x = np.random.default_rng(0).standard_normal(2000)
    result = trace(net, BinaryCrossEntropy(), x, 1, entries=4)
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert values["x"]["shape"] == [2000]
    assert values["x"]["values"] is None
    assert len(values["x"]["excerpt"]) == 4
    largest = max(values["x"]["excerpt"], key=lambda one: abs(one["value"]))
    assert largest == {"index": [int(np.abs(x).argmax())], "value": x[np.abs(x).argmax()]}
    W = next(g for g in values["gradients"] if g["by"] == "dense1.W")
    assert (W["gradient"]["shape"], len(W["checked"])) == ([3, 2000], 4)
    assert W["direction"]["finite_difference"] == pytest.approx(W["direction"]["gradient"])


def test_excerpt_keeps_the_largest_entries_in_order():
    values = np.array([[1.0, -9.0], [3.0, -2.0]])
    assert excerpt(values, 2) == [(0, 1), (1, 0)]
    assert excerpt(values, 9) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert numbers_json(values, 1)["values"] == values.tolist()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0], 1, "Dense 'dense1' expects 2 inputs, got 1"),
        (["a", "b"], 1, "the network expects numbers, got an array of <U1"),
        ([1.0, 2.0], 2, "BinaryCrossEntropy expects targets between 0 and 1, got 2 to 2"),
    ],
)
def test_invalid_input_raises(x, y, message):
    with pytest.raises(PlainnetError) as error:
        trace(by_hand(), BinaryCrossEntropy(), x, y)
    assert str(error.value) == message


def test_nonpositive_entries_raise():
    with pytest.raises(PlainnetError, match="entries must be a whole number of at least 1"):
        trace(by_hand(), BinaryCrossEntropy(), [1.0, 2.0], 1, entries=0)


def test_identity_network_has_no_parameters():
    net = Sequential([Identity()], n_in=1)
    result = trace(net, MeanSquaredError(), [2.0], 1.0)
    assert [(g.by, g.gradient.tolist()) for g in result.gradients] == [
        ("a0", [2.0]),
        ("x", [2.0]),
    ]


@pytest.mark.parametrize("activation", ["gelu", "silu", "softplus"])
@pytest.mark.parametrize("init", ["ones", "constant:-0.3"])
def test_strong_curvature_is_no_bug(activation, init):
    """Layer norm of nearly equal units has strong curvature in each of them."""
    for seed in range(5):
        net = mlp(4, (4,), 2, activation=activation, init=init, layer_norm=True)
        rng = np.random.default_rng(seed)
        net.params.views["dense2.W"][...] += rng.standard_normal((2, 4))
        net.params.views["layernorm1.gamma"][...] = 1 + rng.random(4)
        result = trace(net, MeanSquaredError(), rng.standard_normal(4), [1.0, -1.0])
        assert result.ok, seed
