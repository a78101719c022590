"""Parallel prediction equals prediction on one processor."""

import threading

import numpy as np
import pytest

from plainnet import BatchNorm, Dense, PlainnetError, ReLU, Sequential, mlp, predict_logits
from plainnet.engine import prediction
from plainnet.engine.blas_threads import available_threads
from plainnet.nn import GELU, Dropout, Identity, LayerNorm, Tanh, convnet


@pytest.fixture
def processors(monkeypatch):
    """Set the number of processors for a test."""
    return lambda n: monkeypatch.setattr(prediction, "available_threads", lambda: n)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("m", [0, 1, 2048, 8 * 2048, 8 * 2048 + 1, 30_000])
def test_every_row_gets_its_output(processors, n, m):
    processors(n)
    net = Sequential([Dense(64), BatchNorm(), ReLU(), Dense(2)], 3, seed=1)
    X = np.random.default_rng(0).standard_normal((m, 3), np.float32)
    net.forward(X[:100], train=m > 1)  # running figures that are not those of the beginning
    Z = predict_logits(net, X)
    assert Z.shape == (m, 2)
    assert Z.tobytes() == net.predict_logits(X).tobytes()  # whatever the number of threads


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("m", [0, 1, 70, 8 * 2048 + 1, 300_000])
def test_compiled_code_agrees_with_numpy(processors, m, n, dtype):
    processors(n)
    layers = [Identity(), Dropout(0.5), Dense(64), BatchNorm(), ReLU(), LayerNorm(), GELU()]
    net = Sequential([*layers, Dense(40), Tanh(), Dense(2)], 30, seed=1, dtype=dtype)
    X = np.random.default_rng(0).standard_normal((m, 30)).astype(dtype)
    net.forward(X[:100], train=m > 1)
    Z, expected = predict_logits(net, X, engine="compiled"), net.predict_logits(X)
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(Z, expected, rtol=tolerance, atol=tolerance)
    assert m < 70 or Z.tobytes() != expected.tobytes()  # another engine, other roundings
    processors(3 - n)
    assert Z.tobytes() == predict_logits(net, X, engine="compiled").tobytes()


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("n", [1, 2])
def test_compiled_pictures_agree_with_numpy(processors, n):
    processors(n)
    net = convnet((9, 8, 3), (5, 6), n_out=4)
    pixels = np.random.default_rng(0).integers(0, 256, (8500, 9, 8, 3), np.uint8)
    net.forward(pixels[:50] / np.float32(255), train=True)
    call = {"transform": lambda rows: rows / np.float32(255)}
    Z, expected = (
        predict_logits(net, pixels, **call, engine="compiled"),
        net.predict_logits(pixels, **call),
    )
    np.testing.assert_allclose(Z, expected, rtol=1e-5, atol=1e-5)


def test_pictures_are_transformed_per_batch_and_thread(processors):
    processors(2)
    net, received, both = mlp(64, seed=1), [], threading.Barrier(2)

    def scale(rows):
        if threading.get_ident() not in [thread for thread, _ in received]:
            both.wait(timeout=20)  # broken if one thread did the work of two
        received.append((threading.get_ident(), len(rows)))
        return rows / np.float32(255)

    X = np.random.default_rng(0).integers(0, 256, (4 * net.batch_rows, 64)).astype(np.uint8)
    Z = predict_logits(net, X, scale)
    assert len({thread for thread, _ in received}) == 2
    assert {rows for _, rows in received} == {net.batch_rows}
    np.testing.assert_allclose(Z, net.predict_logits(X / np.float32(255)), rtol=1e-5, atol=1e-6)


def test_threads_use_the_callers_overflow_setting(processors):
    processors(2)
    net = mlp(64, hidden=(64,), init="constant:1e30")
    X = np.full((30_000, 64), 1e30, np.float32)
    with np.errstate(over="ignore"):  # a warning would be an error here
        assert np.isinf(predict_logits(net, X)).all()
    with pytest.raises(FloatingPointError), np.errstate(over="raise"):
        predict_logits(net, X)


def test_invalid_input_raises_and_releases_threads(processors):
    processors(2)
    before = available_threads()
    with pytest.raises(PlainnetError, match="Dense 'dense1' expects 3 inputs, got 4"):
        predict_logits(mlp(3), np.zeros((30_000, 4)))
    with pytest.raises(ZeroDivisionError):
        predict_logits(mlp(64), np.zeros((30_000, 64)), lambda rows: 1 / 0)
    assert available_threads() == before
