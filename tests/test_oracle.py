"""The engine against the textbook: equal costs, gradients and training."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plainnet import textbook
from plainnet.nn import BinaryCrossEntropy, mlp


def both(layer_sizes, m, seed, dtype=np.float64):
    """Return textbook parameters, an equal network, inputs and labels."""
    rng = np.random.default_rng(seed)
    parameters = textbook.he_initialization(layer_sizes, rng)
    for name, p in parameters.items():
        if name.startswith("b"):
            p += 0.3 * rng.standard_normal(p.shape)
    net = mlp(layer_sizes[0], layer_sizes[1:-1], 1, dtype=dtype)
    net.params.load({f"dense{name[1:]}.{name[0]}": p for name, p in parameters.items()})
    X = rng.standard_normal((m, layer_sizes[0]))
    y = rng.integers(0, 2, m)
    return parameters, net, X, y


def cost_and_gradients(net, X, y):
    loss = BinaryCrossEntropy()
    cost, dZ = loss(net.forward(X, train=True), loss.encode(y, 1, net.dtype))
    net.backward(dZ)
    return cost, {f"d{name[-1]}{name[5:-2]}": grad for name, grad in net.params.grads.items()}


networks = {
    "n_in": st.integers(1, 12),
    "hidden": st.lists(st.integers(1, 10), max_size=5),
    "m": st.integers(1, 12),
    "seed": st.integers(0, 10**6),
}


@settings(max_examples=200)
@given(**networks)
def test_cost_and_gradients_agree_to_1e_12(n_in, hidden, m, seed):
    parameters, net, X, y = both([n_in, *hidden, 1], m, seed)
    A = textbook.forward(X, parameters)
    assume(1e-3 < A[-1].min() <= A[-1].max() < 1 - 1e-3)  # 1 - A loses digits near its ends
    gradients = textbook.backward(A, y, parameters)
    cost, grads = cost_and_gradients(net, X, y)
    assert abs(cost - textbook.cross_entropy(A[-1], y)) < 1e-12
    assert grads.keys() == gradients.keys()
    for name, expected in gradients.items():
        np.testing.assert_allclose(grads[name], expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=50)
@given(**networks)
def test_probabilities_and_labels_agree(n_in, hidden, m, seed):
    parameters, net, X, _ = both([n_in, *hidden, 1], m, seed)
    A = textbook.forward(X, parameters)[-1]
    Z = net.predict_logits(X)
    np.testing.assert_allclose(BinaryCrossEntropy().predictions(Z), A, rtol=1e-12, atol=1e-15)
    labels = textbook.predict(X, parameters)
    assert BinaryCrossEntropy().metric(Z, labels[:, None]) == 1.0


@pytest.mark.parametrize("layer_sizes", [[4, 1], [4, 3, 1], [4, 6, 5, 1], [4, 3, 3, 3, 3, 1]])
def test_same_seed_gives_equal_initial_weights(layer_sizes):
    parameters = textbook.he_initialization(layer_sizes, np.random.default_rng(7))
    net = mlp(layer_sizes[0], layer_sizes[1:-1], 1, seed=7, dtype=np.float64)
    for name, p in parameters.items():
        np.testing.assert_allclose(net.params.views[f"dense{name[1:]}.{name[0]}"], p, rtol=1e-15)


@pytest.mark.parametrize("layer_sizes", [[2, 1], [2, 8, 1], [2, 5, 4, 1]])
def test_hundreds_of_steps_give_equal_parameters(layer_sizes):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    parameters, costs = textbook.train(X, y, layer_sizes, lr=0.3, epochs=300, seed=5)
    net = mlp(2, layer_sizes[1:-1], 1, seed=5, dtype=np.float64)
    for expected in costs:
        cost, _ = cost_and_gradients(net, X, y)
        assert cost == pytest.approx(expected, rel=1e-9)
        net.params.trained -= 0.3 * net.params.grad
    for name, p in parameters.items():
        np.testing.assert_allclose(
            net.params.views[f"dense{name[1:]}.{name[0]}"], p, rtol=1e-8, atol=1e-10
        )


# --- the clip ------------------------------------------------------------------------------------


def engine_cost(z, y, dtype):
    loss = BinaryCrossEntropy()
    return loss(np.array([[z]], dtype), loss.encode([y], 1, dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipped_and_logit_costs_agree_for_small_logits(dtype):
    """An error of eps in A is an error of eps e^|z| in the cost."""
    eps = float(np.finfo(dtype).eps)
    limit = -math.log(eps)  # 15.9 in float32, 36.0 in float64
    for z in np.linspace(-0.7 * limit, 0.7 * limit, 29):
        A = textbook.sigmoid(np.array([[z]], dtype))
        for y in (0, 1):
            clipped = textbook.cross_entropy(A, [y])
            cost, dZ = engine_cost(z, y, dtype)
            assert clipped == pytest.approx(cost, abs=4 * eps * math.exp(abs(z)))
            assert textbook.output_backward(A, [y])[0, 0] == pytest.approx(dZ[0, 0], abs=4 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipped_cost_is_constant_for_large_logits(dtype):
    """When confidently wrong, the clipped cost is constant and the logit cost grows with |z|."""
    limit = -math.log(float(np.finfo(dtype).eps))
    for z in (limit + 5, 100, 1e4):
        A = textbook.sigmoid(np.array([[z]], dtype))
        cost, dZ = engine_cost(z, 0, dtype)
        assert cost == pytest.approx(z, rel=1e-6)
        assert textbook.cross_entropy(A, [0]) == pytest.approx(limit, rel=1e-6)
        assert textbook.output_backward(A, [0])[0, 0] == dZ[0, 0] == 1  # both still pull


def test_costs_of_confident_correct_predictions_differ():
    A = textbook.sigmoid(np.array([[100.0]]))
    assert textbook.cross_entropy(A, [1]) == pytest.approx(2.2e-16, rel=0.01)  # the clip's eps
    assert engine_cost(100.0, 1, np.float64)[0] == pytest.approx(math.exp(-100), rel=1e-12)
