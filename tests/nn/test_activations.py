"""Activations against their formulas, evaluated with the standard library."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn.cases import ACTIVATIONS
from plainnet.errors import PlainnetError
from plainnet.nn import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    activation,
)
from plainnet.nn.activations import sigmoid


def logistic(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def gelu_tanh(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_slope(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return 0.5 * (1 + math.tanh(u)) + 0.5 * x * (1 - math.tanh(u) ** 2) * du


# the layer, its formula, its derivative
FORMULAS = {
    "relu": (ReLU(), lambda x: x if x > 0 else 0.0, lambda x: 1.0 if x > 0 else 0.0),
    "leaky_relu": (
        LeakyReLU(),
        lambda x: x if x > 0 else 0.01 * x,
        lambda x: 1.0 if x > 0 else 0.01,
    ),
    "leaky_relu 0.3": (
        LeakyReLU(0.3),
        lambda x: x if x > 0 else 0.3 * x,
        lambda x: 1.0 if x > 0 else 0.3,
    ),
    "elu": (
        ELU(),
        lambda x: x if x > 0 else math.expm1(x),
        lambda x: 1.0 if x > 0 else math.exp(x),
    ),
    "elu 1.7": (
        ELU(1.7),
        lambda x: x if x > 0 else 1.7 * math.expm1(x),
        lambda x: 1.0 if x > 0 else 1.7 * math.exp(x),
    ),
    "gelu": (GELU(), gelu_tanh, gelu_tanh_slope),
    "silu": (
        SiLU(),
        lambda x: x * logistic(x),
        lambda x: logistic(x) * (1 + x * logistic(-x)),
    ),
    "tanh": (Tanh(), math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "sigmoid": (Sigmoid(), logistic, lambda x: logistic(x) * logistic(-x)),
    "softplus": (
        Softplus(),
        lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
        logistic,
    ),
    "identity": (Identity(), lambda x: x, lambda x: 1.0),
}
POINTS = [-40.0, -9.9, -3.3, -1.0, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.5, 1.0, 2.7, 9.9, 10.1, 40.0]
formulas = pytest.mark.parametrize(("layer", "f", "slope"), FORMULAS.values(), ids=FORMULAS)


def through(layer, X, dY, dtype=np.float64, train=False):
    X = np.asarray(X, dtype)
    net = Sequential([layer.copy()], n_in=X.shape[1:], dtype=dtype)
    Y = net.forward(X, train=train).copy()
    return Y, net.backward(np.asarray(dY, dtype), need_dX=True).copy()


def test_all_activations_are_covered():
    assert {name.split()[0] for name in FORMULAS} == set(ACTIVATIONS)


@formulas
@pytest.mark.parametrize("train", [False, True])
def test_value_and_derivative(layer, f, slope, train):
    X = np.array([POINTS])
    dY = np.linspace(-2, 3, len(POINTS))[None]
    Y, dX = through(layer, X, dY, train=train)
    np.testing.assert_allclose(Y[0], [f(x) for x in POINTS], rtol=1e-14, atol=2e-16 * 40)
    expected = [slope(x) * d for x, d in zip(POINTS, dY[0], strict=True)]
    np.testing.assert_allclose(dX[0], expected, rtol=1e-13, atol=5e-15)


@formulas
@given(x=st.floats(-30, 30), y=st.floats(-30, 30))
def test_activations_are_elementwise(layer, f, slope, x, y):
    """In a 2x2 batch, each output depends only on its own input."""
    Y, dX = through(layer, [[x, y], [y, x]], np.ones((2, 2)))
    np.testing.assert_allclose(Y, [[f(x), f(y)], [f(y), f(x)]], rtol=1e-13, atol=2e-14)
    np.testing.assert_allclose(
        dX, [[slope(x), slope(y)], [slope(y), slope(x)]], rtol=1e-12, atol=2e-14
    )


@formulas
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_inputs_reach_limits_without_warnings(layer, f, slope, dtype):
    """pytest turns every warning into an error."""
    for size in (50, 1e4, 1e13, 1e19, 1e30, 0.99 * float(np.finfo(np.float32).max)):
        Y, dX = through(layer, [[size, -size]], [[1, 1]], dtype)
        low, low_slope = {
            ReLU: (0, 0),
            LeakyReLU: (-size * getattr(layer, "alpha", 0), getattr(layer, "alpha", 0)),
            ELU: (-getattr(layer, "alpha", 0), 0),
            Tanh: (-1, 0),
            Identity: (-size, 1),
        }.get(type(layer), (0, 0))
        bounded = type(layer) in (Tanh, Sigmoid)
        high, high_slope = (1, 0) if bounded else (size, 1)
        tiny = 1e-6 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(Y[0], [high, low], rtol=tiny, atol=1e-12)
        np.testing.assert_allclose(dX[0], [high_slope, low_slope], rtol=tiny, atol=1e-12)


@formulas
def test_small_inputs_keep_relative_precision(layer, f, slope):
    """Near zero, expm1 is accurate and exp - 1 is not."""
    tiny = [1e-12, -1e-12, 1e-8, -1e-8]
    Y, _ = through(layer, [tiny], np.ones((1, 4)))
    np.testing.assert_allclose(Y[0], [f(x) for x in tiny], rtol=1e-13, atol=0)


@pytest.mark.parametrize("x", [-5.0, -30.0, -40.0, -300.0])
def test_softplus_is_accurate_for_large_negative_inputs(x):
    """There, log(1 + e^x) is e^x, not 0."""
    Y, _ = through(Softplus(), [[x]], [[1.0]])
    assert Y[0, 0] == pytest.approx(math.log1p(math.exp(x)), rel=1e-15, abs=0)


@formulas
def test_float32_error_is_rounding(layer, f, slope):
    X = np.linspace(-12, 12, 241, dtype=np.float32)[None]
    Y, dX = through(layer, X, np.ones_like(X), np.float32)
    np.testing.assert_allclose(Y[0], [f(float(x)) for x in X[0]], rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(dX[0], [slope(float(x)) for x in X[0]], rtol=2e-6, atol=2e-6)


def test_gelu_is_the_tanh_approximation():
    X = np.linspace(-6, 6, 1001)[None]
    Y, _ = through(GELU(), X, np.ones_like(X))
    exact = np.array([0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in X[0]])
    assert 1e-4 < np.abs(Y[0] - exact).max() < 5e-4


def test_gelu_saturates_beyond_ten():
    """The layer clips the cube at |X| = 10, where tanh is 1 even in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        u = Decimal(2 / math.pi).sqrt() * (10 + Decimal("0.044715") * 1000)
        assert 1 - (1 - (-2 * u).exp()) / (1 + (-2 * u).exp()) < Decimal(2) ** -54


@pytest.mark.parametrize("x", [-700.0, -45.0, -20.0, -1.5, 0.0, 2.5, 20.0, 700.0])
def test_sigmoid_matches_fifty_digit_arithmetic(x):
    with localcontext() as context:
        context.prec = 50
        exact = float(1 / (1 + (-Decimal(x)).exp()))
    assert sigmoid(np.array([x]))[0] == pytest.approx(exact, rel=1e-15, abs=2e-16)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name):
    layer = activation(name)
    assert type(layer) is type(FORMULAS[name][0])
    assert layer.config() == FORMULAS[name][0].config()
    assert activation(name) is not layer


def test_unknown_name_raises():
    for name in ("rely", None, 3, "", ["relu"]):
        with pytest.raises(PlainnetError) as error:
            activation(name)
        assert str(error.value) == (
            f"unknown activation {name!r}: expected one of relu, leaky_relu, elu, gelu, silu, "
            "tanh, sigmoid, softplus, identity"
        )


@pytest.mark.parametrize(
    ("make", "alpha", "message"),
    [
        (LeakyReLU, 0, "LeakyReLU: alpha must be a number in (0, 1), got 0"),
        (LeakyReLU, 1.0, "LeakyReLU: alpha must be a number in (0, 1), got 1.0"),
        (LeakyReLU, "0.1", "LeakyReLU: alpha must be a number in (0, 1), got '0.1'"),
        (LeakyReLU, True, "LeakyReLU: alpha must be a number in (0, 1), got True"),
        (ELU, 0.0, "ELU: alpha must be a number in (0, inf), got 0.0"),
        (ELU, math.inf, "ELU: alpha must be a number in (0, inf), got inf"),
        (ELU, math.nan, "ELU: alpha must be a number in (0, inf), got nan"),
        (ELU, None, "ELU: alpha must be a number in (0, inf), got None"),
        (ELU, 10**400, f"ELU: alpha must be a number in (0, inf), got {10**400}"),
    ],
)
def test_slope_out_of_range_raises(make, alpha, message):
    with pytest.raises(PlainnetError) as error:
        make(alpha)
    assert str(error.value) == message


@pytest.mark.parametrize("alpha", [0.3, np.float32(0.5), np.float64(0.25)])
def test_numpy_scalars_are_accepted(alpha):
    assert LeakyReLU(alpha).alpha == float(alpha)
    assert type(ELU(np.int64(2)).alpha) is float
