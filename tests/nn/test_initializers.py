"""Initializers against closed forms, within sampling error."""

import math

import numpy as np
import pytest

from plainnet.errors import PlainnetError
from plainnet.nn import initializer, mlp
from plainnet.nn.initializers import generator

N_OUT, N_IN = 300, 200
VARIANCES = {
    "he": 2 / N_IN,  # He et al., 2015
    "xavier": 2 / (N_IN + N_OUT),  # Glorot and Bengio, 2010
    "lecun": 1 / N_IN,  # LeCun et al., 1998
}


def drawn(name, shape=(N_OUT, N_IN), seed=0):
    return initializer(name)(shape, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("scheme", VARIANCES)
def test_normal_weights_have_published_variance_and_normal_tails(scheme, seed):
    W = drawn(f"{scheme}_normal", seed=seed)
    n, variance = W.size, VARIANCES[scheme]
    assert abs(W.mean()) < 5 * math.sqrt(variance / n)
    assert W.var() / variance == pytest.approx(1, abs=5 * math.sqrt(2 / n))
    kurtosis = np.mean((W / W.std()) ** 4)
    assert kurtosis == pytest.approx(3, abs=5 * math.sqrt(24 / n))  # a uniform one has 1.8


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("scheme", VARIANCES)
def test_uniform_weights_have_published_variance_and_range(scheme, seed):
    W = drawn(f"{scheme}_uniform", seed=seed)
    n, variance = W.size, VARIANCES[scheme]
    limit = math.sqrt(3 * variance)
    assert abs(W.mean()) < 5 * math.sqrt(variance / n)
    assert W.var() / variance == pytest.approx(1, abs=5 * math.sqrt(0.8 / n))
    assert limit * (1 - 40 / n) < np.abs(W).max() <= limit
    shares, _ = np.histogram(W, bins=10, range=(-limit, limit))
    np.testing.assert_allclose(shares, n / 10, atol=5 * math.sqrt(0.09 * n))


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 4), (4, 1), (1, 1)])
def test_orthogonal_rows_or_columns(shape):
    Q = drawn("orthogonal", shape, seed=3)
    assert Q.shape == shape
    product = Q.T @ Q if shape[0] >= shape[1] else Q @ Q.T
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-14)


def test_orthogonal_matrices_are_uniformly_distributed():
    """Plain QR prefers one sign on the diagonal; a uniform rotation does not."""
    rng = np.random.default_rng(0)
    draw = initializer("orthogonal")
    matrices = np.array([draw((3, 3), rng) for _ in range(2000)])
    entries = matrices.reshape(2000, 9)
    np.testing.assert_allclose(entries.mean(axis=0), 0, atol=5 * math.sqrt(1 / 3 / 2000))
    np.testing.assert_allclose((entries**2).mean(axis=0), 1 / 3, atol=0.04)
    assert np.mean(np.linalg.det(matrices) > 0) == pytest.approx(0.5, abs=5 * 0.5 / 2000**0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zeros", 0),
        ("ones", 1),
        ("constant:0.25", 0.25),
        ("constant:-3", -3),
        ("constant:1e-3", 1e-3),
    ],
)
def test_constants(name, value):
    np.testing.assert_array_equal(drawn(name, (2, 3)), np.full((2, 3), value))


@pytest.mark.parametrize("std", ["0.01", "10", "1e-3"])
def test_scaled_normal(std):
    W = drawn(f"normal:{std}")
    assert W.std() / float(std) == pytest.approx(1, abs=5 * math.sqrt(0.5 / W.size))
    np.testing.assert_allclose(W / float(std), drawn("normal:1"), rtol=1e-15)


@pytest.mark.parametrize(
    "name", ["he_normal", "he_uniform", "xavier_normal", "lecun_uniform", "orthogonal", "normal:2"]
)
def test_seed_determines_weights(name):
    assert drawn(name, seed=4).tobytes() == drawn(name, seed=4).tobytes()
    assert not np.array_equal(drawn(name, seed=4), drawn(name, seed=5))
    rng = np.random.default_rng(4)
    first, second = (initializer(name)((4, 4), rng) for _ in range(2))
    assert not np.array_equal(first, second)


def test_all_initializers_differ():
    names = [f"{s}_{d}" for s in VARIANCES for d in ("normal", "uniform")]
    names += ["orthogonal", "zeros", "ones", "constant:2", "normal:1"]
    draws = {drawn(name, (6, 4)).tobytes() for name in names}
    assert len(draws) == len(names)


def test_layers_draw_in_order_from_one_generator():
    """He weights in layer order, with zero biases, so that the seed reproduces the network."""
    rng = np.random.default_rng(12)
    W1 = rng.standard_normal((5, 3)) * np.sqrt(2 / 3)
    W2 = rng.standard_normal((2, 5)) * np.sqrt(2 / 5)
    net = mlp(3, (5,), 2, seed=12, dtype=np.float64)
    np.testing.assert_allclose(net.params.views["dense1.W"], W1, rtol=1e-15)
    np.testing.assert_allclose(net.params.views["dense2.W"], W2, rtol=1e-15)
    assert not net.params.views["dense1.b"].any()
    assert not net.params.views["dense2.b"].any()


@pytest.mark.parametrize("name", ["he", "", "HE_NORMAL", "zeros:1", None, 5, [], "const:1"])
def test_unknown_name_raises_and_lists_known_names(name):
    with pytest.raises(PlainnetError) as error:
        initializer(name)
    assert str(error.value) == (
        f"unknown initializer {name!r}: expected one of he_normal, he_uniform, xavier_normal, "
        "xavier_uniform, lecun_normal, lecun_uniform, orthogonal, zeros, ones, constant:NUMBER, "
        "normal:NUMBER"
    )


@pytest.mark.parametrize("kind", ["constant", "normal"])
@pytest.mark.parametrize("number", ["", ":", ":x", ":nan", ":inf", ":-inf", ":1,5", ":1e999"])
def test_invalid_number_raises(kind, number):
    with pytest.raises(PlainnetError) as error:
        initializer(kind + number)
    assert str(error.value) == (
        f"initializer {kind + number!r} needs a finite number after the colon, "
        f"for normal at least 0, such as '{kind}:0.01'"
    )


def test_negative_standard_deviation_raises():
    with pytest.raises(PlainnetError, match="for normal at least 0"):
        initializer("normal:-1")


def test_seed_accepts_generator_or_number():
    rng = np.random.default_rng(1)
    assert generator(rng) is rng
    assert generator(np.int64(7)).random() == np.random.default_rng(7).random()


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, True, np.random.RandomState(0)])
def test_invalid_seed_raises(seed):
    with pytest.raises(PlainnetError) as error:
        generator(seed)
    assert str(error.value) == (
        f"a seed is a whole number of at least 0 or a numpy.random.Generator, got {seed!r}"
    )
    with pytest.raises(PlainnetError, match="a seed is a whole number"):
        mlp(2, seed=seed)
