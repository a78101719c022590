"""The textbook against closed forms, finite differences and deliberate bugs."""

import ast
import inspect
import sys
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainnet import textbook as tb
from plainnet.nn import BinaryCrossEntropy, mlp


def problem(layer_sizes, m=6, seed=0):
    """Return random inputs, labels, and parameters with nonzero biases."""
    rng = np.random.default_rng(seed)
    parameters = tb.he_initialization(layer_sizes, rng)
    for name in parameters:
        if name.startswith("b"):
            parameters[name] = 0.3 * rng.standard_normal(parameters[name].shape)
    return rng.standard_normal((m, layer_sizes[0])), rng.integers(0, 2, m), parameters


def checked(layer_sizes, m=6, seed=0, eps=1e-5):
    X, y, parameters = problem(layer_sizes, m, seed)
    gradients = tb.backward(tb.forward(X, parameters), y, parameters)
    return tb.gradient_check(parameters, gradients, X, y, eps)


# --- the forward functions, by closed forms -----------------------------------------------------


def test_he_variance_and_zero_biases():
    parameters = tb.he_initialization([50, 400, 1], np.random.default_rng(0))
    assert parameters["W1"].std() == pytest.approx(np.sqrt(2 / 50), rel=0.02)
    assert abs(parameters["W1"].mean()) < 0.01
    assert not parameters["b1"].any()
    assert not parameters["b2"].any()


def test_he_is_normal_not_uniform():
    """A uniform variable never exceeds sqrt(3) standard deviations."""
    W = tb.he_initialization([50, 400], np.random.default_rng(0))["W1"] / np.sqrt(2 / 50)
    assert np.mean(abs(W) > 1.96) == pytest.approx(0.05, abs=0.005)


def test_linear_forward_by_hand():
    A_prev = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]])
    W = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -2.0]])
    b = np.array([0.0, 1.0, 2.0, 3.0])
    expected = [[1, 3, 5, 1], [0, 0, 1, 5], [3, 1.5, 5.5, 8]]
    assert tb.linear_forward(A_prev, W, b).tolist() == expected


@pytest.mark.parametrize("z", [-700.0, -40.0, -3.5, -1e-9, 0.0, 0.5, 3.0, 36.0])
def test_sigmoid_matches_fifty_digit_arithmetic(z):
    with localcontext() as context:
        context.prec = 50
        exact = 1 / (1 + (-Decimal(z)).exp())
        assert tb.sigmoid(np.array(z)) == pytest.approx(float(exact), rel=1e-15, abs=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sigmoid_and_relu_preserve_dtype_without_overflow(dtype):
    Z = np.array([-np.inf, -6e4, -1, 0, 1, 6e4, np.inf], dtype=dtype)
    A = tb.sigmoid(Z)
    assert A.dtype == tb.relu(Z).dtype == dtype
    assert (A[[0, 3, -1]] == [0, 0.5, 1]).all()
    assert (np.diff(A.astype(float)) >= 0).all()


@given(st.floats(-30, 30))
def test_sigmoid_is_symmetric(z):
    Z = np.array([z])
    np.testing.assert_allclose(tb.sigmoid(Z), 1 - tb.sigmoid(-Z), atol=2e-16)


def test_forward_matches_explicit_formula():
    X, _, p = problem([3, 4, 2, 1])
    A1 = np.maximum(X @ p["W1"].T + p["b1"], 0)
    A2 = np.maximum(A1 @ p["W2"].T + p["b2"], 0)
    A3 = 1 / (1 + np.exp(-(A2 @ p["W3"].T + p["b3"])))
    for got, expected in zip(tb.forward(X, p), [X, A1, A2, A3], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-15)


# --- the cost, its clip and its gradient --------------------------------------------------------


def test_cost_of_known_probabilities():
    """-(log 0.9 + log 0.8 + log 0.6) / 3 = -log(0.432) / 3."""
    A = np.array([[0.9], [0.2], [0.6]])
    assert tb.cross_entropy(A, [1, 0, 1]) == pytest.approx(-np.log(0.432) / 3, rel=1e-15)


@pytest.mark.parametrize("labels", [[0, 1], [False, True], [0.0, 1.0], [[0], [1]]])
def test_labels_of_any_dtype_as_row_or_column(labels):
    A = np.array([[0.25], [0.25]], dtype=np.float32)
    assert tb.cross_entropy(A, labels) == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2, 1e-6)
    dZ = tb.output_backward(A, np.array(labels))
    assert dZ.tolist() == [[0.125], [-0.375]]
    assert dZ.dtype == np.float32


def test_too_few_labels_raise_without_broadcasting():
    with pytest.raises(ValueError, match=r"cannot reshape array of size 1 into shape \(2,1\)"):
        tb.cross_entropy(np.array([[0.5], [0.5]]), [1])


@pytest.mark.parametrize(("dtype", "worst"), [(np.float32, 15.942385), (np.float64, 36.043653)])
def test_clip_depends_on_the_dtype(dtype, worst):
    """The cost of one sample is at most 23 log 2 or 52 log 2."""
    for a, y in [(1, 0), (0, 1)]:
        A = np.array([[a]], dtype=dtype)
        assert tb.cross_entropy(A, [y]) == pytest.approx(worst, rel=1e-6)
        assert 0 <= tb.cross_entropy(A, [1 - y]) <= 2 * np.finfo(dtype).eps


def test_clip_of_1e_8_would_not_protect_float32():
    assert np.float32(1) - np.float32(1e-8) == 1
    assert np.isfinite(tb.cross_entropy(np.ones((3, 1), np.float32), [0, 0, 1]))


def test_fused_gradient_equals_the_chain_rule():
    A = np.array([[0.1], [0.5], [0.99]])
    y = np.array([[1.0], [0.0], [1.0]])
    dA = (-y / A + (1 - y) / (1 - A)) / len(A)
    np.testing.assert_allclose(tb.output_backward(A, y), dA * A * (1 - A), rtol=1e-14)


def test_clipped_cost_has_the_exact_gradient():
    """At z = 50 and y = 0, the exact cost is 50 with slope 1, and the clipped one constant 36."""
    parameters = {"W1": np.array([[50.0]]), "b1": np.array([0.0])}
    X, y = np.array([[1.0]]), np.array([0])
    A = tb.forward(X, parameters)
    assert tb.cross_entropy(A[-1], y) == pytest.approx(52 * np.log(2))
    gradients = tb.backward(A, y, parameters)
    assert gradients["dW1"] == pytest.approx(1.0)  # it still learns
    assert tb.gradient_check(parameters, gradients, X, y) == pytest.approx(
        1.0
    )  # and the check says so


# --- the backward functions ---------------------------------------------------------------------


def test_relu_backward_is_zero_at_and_below_the_kink():
    Z = np.array([[-1.0, 0.0, 1e-300, 5.0]])
    assert tb.relu_backward(np.full((1, 4), 7.0), tb.relu(Z)).tolist() == [[0, 0, 7, 7]]


def test_linear_backward_matches_finite_differences():
    """For J = sum(C * Z) with constant C, finite differences are exact."""
    rng = np.random.default_rng(3)
    A_prev, W, b, C = (rng.standard_normal(s) for s in [(5, 3), (2, 3), (2,), (5, 2)])
    for derivative, Q in zip(tb.linear_backward(C, A_prev, W), (A_prev, W, b), strict=True):
        assert derivative.shape == Q.shape
        for i in np.ndindex(Q.shape):
            base = np.sum(C * tb.linear_forward(A_prev, W, b))
            Q[i] += 1
            step = np.sum(C * tb.linear_forward(A_prev, W, b)) - base
            Q[i] -= 1
            assert derivative[i] == pytest.approx(step, abs=1e-12)


@pytest.mark.parametrize(
    "layer_sizes",
    [[3, 1], [1, 1], [5, 4, 1], [2, 10, 5, 1], [10, 8, 8, 8, 1], [4, 3, 3, 3, 3, 3, 1]],
)
def test_gradient_check_passes_at_any_depth(layer_sizes):
    assert checked(layer_sizes) < 1e-8


@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 5), max_size=4),
    n_in=st.integers(1, 4),
    m=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_shapes_and_ranges_for_any_architecture(hidden, n_in, m, seed):
    X, y, parameters = problem([n_in, *hidden, 1], m, seed)
    A = tb.forward(X, parameters)
    gradients = tb.backward(A, y, parameters)
    assert [a.shape for a in A] == [(m, n) for n in [n_in, *hidden, 1]]
    assert {f"d{name}": p.shape for name, p in parameters.items()} == {
        name: g.shape for name, g in gradients.items()
    }
    assert ((A[-1] >= 0) & (A[-1] <= 1)).all()
    assert set(tb.predict(X, parameters)) <= {0, 1}


def test_duplicated_data_gives_equal_cost_and_gradient():
    X, y, parameters = problem([3, 4, 1])
    once = tb.backward(tb.forward(X, parameters), y, parameters)
    XX, yy = np.vstack([X, X]), np.concatenate([y, y])
    twice = tb.backward(tb.forward(XX, parameters), yy, parameters)
    for name, g in once.items():
        np.testing.assert_allclose(twice[name], g, rtol=1e-13, atol=1e-16)


def test_cost_is_invariant_to_sample_and_unit_order():
    X, y, p = problem([3, 4, 1])
    J = tb.cross_entropy(tb.forward(X, p)[-1], y)
    order, units = np.array([3, 1, 0, 5, 4, 2]), np.array([2, 0, 3, 1])
    q = p | {"W1": p["W1"][units], "b1": p["b1"][units], "W2": p["W2"][:, units]}
    assert tb.cross_entropy(tb.forward(X[order], q)[-1], y[order]) == pytest.approx(J, rel=1e-14)


def test_logistic_regression_has_its_closed_form_gradient():
    X, y, p = problem([4, 1], m=30)
    error = 1 / (1 + np.exp(-(X @ p["W1"][0] + p["b1"]))) - y
    gradients = tb.backward(tb.forward(X, p), y, p)
    np.testing.assert_allclose(gradients["dW1"][0], X.T @ error / 30, rtol=1e-13)
    np.testing.assert_allclose(gradients["db1"], error.mean(), rtol=1e-13)


def test_zero_weights_learn_only_the_base_rate():
    """All hidden units stay zero, so only the last bias changes, towards logit(3/4)."""
    X, y = np.random.default_rng(0).standard_normal((8, 2)), np.array([1, 1, 1, 0] * 2)
    p = {
        n: np.zeros_like(v)
        for n, v in tb.he_initialization([2, 3, 1], np.random.default_rng(0)).items()
    }
    for _ in range(2000):
        p = tb.gradient_descent(p, tb.backward(tb.forward(X, p), y, p), lr=0.5)
    assert not any(p[name].any() for name in ("W1", "b1", "W2"))
    assert p["b2"] == pytest.approx(np.log(3))


def test_backward_does_not_change_its_inputs():
    X, y, parameters = problem([3, 4, 1])
    A = tb.forward(X, parameters)
    before = [a.copy() for a in (*A, y, *parameters.values())]
    gradients = tb.backward(A, y, parameters)
    tb.gradient_check(parameters, gradients, X, y)
    tb.gradient_descent(parameters, gradients, 0.1)
    for a, b in zip((*A, y, *parameters.values()), before, strict=True):
        np.testing.assert_array_equal(a, b)


# --- gradient check: it must find what is wrong -------------------------------------------------

BUGS = {
    "dW of the first layer doubled": lambda g: g | {"dW1": 2 * g["dW1"]},
    "db of the middle layer times four": lambda g: g | {"db2": 4 * g["db2"]},
    "1/m applied twice": lambda g: {name: v / 6 for name, v in g.items()},
    "1/m forgotten": lambda g: {name: v * 6 for name, v in g.items()},
    "sign of the last layer": lambda g: g | {"dW3": -g["dW3"]},
    "a bias without gradient": lambda g: g | {"db3": 0 * g["db3"]},
    "W of the middle layer transposed": lambda g: g | {"dW2": g["dW2"].T.copy()},
}


@pytest.mark.parametrize("bug", BUGS)
def test_gradient_check_finds_deliberate_bugs(bug):
    X, y, parameters = problem([4, 5, 5, 1])
    gradients = tb.backward(tb.forward(X, parameters), y, parameters)
    assert tb.gradient_check(parameters, gradients, X, y) < 1e-8
    assert tb.gradient_check(parameters, BUGS[bug](gradients), X, y) > 1e-2


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("relu_backward", lambda dA, A: dA),
        ("relu_backward", lambda dA, A: dA * (dA > 0)),
        ("output_backward", lambda A, y: A - tb.labels_like(A, y)),
        ("output_backward", lambda A, y: (A - tb.labels_like(A, y)) * A * (1 - A) / len(A)),
        ("linear_backward", lambda dZ, A, W: (dZ @ W, dZ.T @ A / len(A), dZ.sum(axis=0))),
        ("linear_backward", lambda dZ, A, W: (dZ @ W, dZ.T @ A, dZ[0])),
    ],
)
def test_gradient_check_finds_a_wrong_function(monkeypatch, name, wrong):
    monkeypatch.setattr(tb, name, wrong)
    assert checked([4, 5, 5, 1]) > 1e-2


def test_gradient_check_of_opposite_and_zero_gradients():
    X, y, parameters = problem([3, 4, 1])
    gradients = tb.backward(tb.forward(X, parameters), y, parameters)
    opposite = {name: -g for name, g in gradients.items()}
    assert tb.gradient_check(parameters, opposite, X, y) == pytest.approx(1, abs=1e-7)
    nothing = {"W1": np.zeros((1, 1)), "b1": np.zeros(1)}
    X, y = np.zeros((2, 1)), np.array([0, 1])
    gradients = tb.backward(tb.forward(X, nothing), y, nothing)
    assert tb.gradient_check(nothing, gradients, X, y) == 0


def test_rounding_dominates_for_small_eps():
    """The error is |rounding of J| / eps, so 1e-9 is about 10,000 times worse than 1e-5."""
    errors = {
        eps: np.median([checked([6, 5, 1], 8, s, eps) for s in range(5)]) for eps in (1e-5, 1e-9)
    }
    assert errors[1e-5] < 1e-9 < 1e-8 < errors[1e-9]


# --- training -----------------------------------------------------------------------------------


def test_gradient_descent_step_by_hand():
    old = {"W1": np.array([[1.0, 2.0]]), "b1": np.array([3.0])}
    new = tb.gradient_descent(
        old, {"dW1": np.array([[10.0, -10.0]]), "db1": np.array([0.0])}, lr=0.1
    )
    assert new["W1"].tolist() == [[0.0, 3.0]]
    assert new["b1"].tolist() == [3.0]


def test_training_finds_the_log_odds_of_each_group():
    """With one yes/no input, the optimal probabilities are known: 1/4 and 3/4."""
    X = np.repeat([[0.0], [1.0]], 4, axis=0)
    y = np.array([1, 0, 0, 0, 1, 1, 1, 0])
    parameters, costs = tb.train(X, y, [1, 1], lr=1.0, epochs=3000)
    assert parameters["b1"] == pytest.approx(np.log(1 / 3))
    assert parameters["W1"] == pytest.approx(2 * np.log(3))
    entropy = -(np.log(0.25) + 3 * np.log(0.75)) / 4
    assert costs[-1] == pytest.approx(entropy)


def test_first_costs_decrease_as_predicted_by_the_gradient():
    """A small step decreases J by lr |g|^2."""
    X, y, parameters = problem([3, 4, 1], seed=2)
    A = tb.forward(X, parameters)
    gradients = tb.backward(A, y, parameters)
    after = tb.forward(X, tb.gradient_descent(parameters, gradients, 1e-6))[-1]
    fall = tb.cross_entropy(A[-1], y) - tb.cross_entropy(after, y)
    assert fall == pytest.approx(1e-6 * sum((g**2).sum() for g in gradients.values()), rel=1e-4)


def test_train_is_deterministic_and_uses_every_option():
    X, y, _ = problem([2, 1], m=20)
    options = {"layer_sizes": [2, 3, 1], "lr": 0.1, "epochs": 20, "seed": 0}
    costs = tb.train(X, y, **options)[1]
    assert costs == tb.train(X, y, **options)[1]
    assert len(costs) == 20
    for changed in ({"layer_sizes": [2, 4, 1]}, {"lr": 0.2}, {"epochs": 21}, {"seed": 1}):
        assert costs != tb.train(X, y, **options | changed)[1]


def test_predict_is_one_only_above_one_half():
    parameters = {"W1": np.array([[1.0]]), "b1": np.array([0.0])}
    assert tb.predict(np.array([[-1e-9], [0.0], [1e-9]]), parameters).tolist() == [0, 0, 1]


# --- the oracle: the engine computes the same ----------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=5),
    n_in=st.integers(1, 9),
    m=st.integers(1, 12),
    seed=st.integers(0, 10**6),
)
def test_engine_cost_and_gradients_match_the_textbook(hidden, n_in, m, seed):
    X, y, parameters = problem([n_in, *hidden, 1], m, seed)
    A = tb.forward(X, parameters)
    net, loss = mlp(n_in, hidden=hidden, dtype=np.float64), BinaryCrossEntropy()
    net.params.load({f"dense{name[1:]}.{name[0]}": p for name, p in parameters.items()})
    Z = net.forward(X, train=True)
    cost, dZ = loss(Z, loss.encode(y, 1, np.float64))
    net.backward(dZ)
    # The textbook's log(1 - A) knows A to 1e-16, hence 1 - A = 1 / (1 + e^z) to 1e-16 e^z.
    assert cost == pytest.approx(
        tb.cross_entropy(A[-1], y), abs=1e-15 * np.exp(abs(Z).max()), rel=1e-12
    )
    np.testing.assert_allclose(loss.predictions(Z), A[-1], rtol=1e-12, atol=0)
    for name, g in tb.backward(A, y, parameters).items():
        engine = net.params.grads[f"dense{name[2:]}.{name[1]}"]
        np.testing.assert_allclose(engine, g, rtol=1e-12, atol=1e-12 * max(1, abs(g).max()))


# --- the file itself ----------------------------------------------------------------------------


def test_file_is_short_and_imports_only_numpy():
    tree = ast.parse(inspect.getsource(tb))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    modules = [n.module if isinstance(n, ast.ImportFrom) else n.names[0].name for n in imports]
    assert all(m.split(".")[0] in {"numpy", *sys.stdlib_module_names} for m in modules)
    docstrings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node)
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    lines = Path(tb.__file__).read_text(encoding="utf-8").splitlines()
    code = [t for i, t in enumerate(lines, 1) if t.strip() and i not in docstrings]
    assert len(code) < 150
