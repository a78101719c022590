"""The number of BLAS threads depends on the work and is restored afterwards."""

import numpy as np
import pytest

from plainnet import BinaryCrossEntropy, fit, mlp
from plainnet.engine import blas_threads as threads
from plainnet.engine.blas_threads import blas_threads, limited_threads, product_sizes


def blas_now():
    return threads.available_threads()


def test_product_counts_by_hand():
    # forward and dW of the first layer; forward, dW and dX of the second
    assert product_sizes(mlp(6, (5,), 4), batch=10) == [300, 300, 200, 200, 200]
    assert product_sizes(mlp(6, (5,), 4), batch=10, train=False) == [300, 200]


@pytest.mark.parametrize(
    ("net", "batch", "expected"),
    [
        (mlp(7, (16,)), 2320, 1),
        (mlp(2, (16, 16)), 100, 1),
        (mlp(64, (64,) * 20, 10), 128, 1),
        (mlp(64, (64, 64), 10), 512, 1),
        (mlp(784, (256, 128), 10), 128, 4),
        (mlp(1024, (1024, 1024), 10), 512, 4),
    ],
)
def test_small_products_get_one_thread(monkeypatch, net, batch, expected):
    monkeypatch.setattr(threads, "available_threads", lambda: 4)
    assert blas_threads(net, batch) == expected


def test_single_thread_limit(monkeypatch):
    monkeypatch.setattr(threads, "available_threads", lambda: 1)
    assert blas_threads(mlp(1024, (1024, 1024)), 4096) == 1


def test_limit_applies_only_inside_the_block():
    before = blas_now()
    with limited_threads(1):
        assert blas_now() == 1
        with limited_threads(10**6):  # never more than there were
            assert blas_now() == 1
    assert blas_now() == before


def test_fit_limits_restores_and_records_threads(monkeypatch):
    before, inside = blas_now(), []
    X = np.random.default_rng(0).standard_normal((20, 3))
    history = fit(
        mlp(3),
        X,
        np.arange(20) % 2,
        loss=BinaryCrossEntropy(),
        epochs=2,
        callbacks=[lambda epoch: inside.append(blas_now()) or False],
    )
    assert history.threads == 1
    assert inside == [1, 1]
    assert blas_now() == before
