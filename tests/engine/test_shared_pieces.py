"""Threads share the pictures of a batch with NumPy, and change no byte."""

import os
import threading

import numpy as np
import pytest

from plainnet import SoftmaxCrossEntropy, fit
from plainnet.engine.blas_threads import available_threads, engine_threads, shared_pieces
from plainnet.nn import convnet, mlp
from plainnet.nn.pieces import by_pieces

X = np.random.default_rng(0).standard_normal((40, 32, 32, 3)).astype(np.float32)
y = np.arange(40) % 3


def trained(monkeypatch, threads, **options):
    """Return parameters and logits after training with so many threads."""
    monkeypatch.setattr("plainnet.train.fit.blas_threads", lambda *_: threads)
    net = convnet((32, 32, 3), (8, 16), n_out=3, seed=1)
    history = fit(
        net,
        *(X, y),
        loss=SoftmaxCrossEntropy(),
        epochs=2,
        batch_size=32,
        engine="numpy",
        seed=2,
        **options,
    )
    assert history.threads == threads
    return net.params.theta.tobytes() + net.predict_logits(X).tobytes()


def ran_in(threads):
    """Return the threads that computed the pieces of a batch, each waiting for another thread."""
    meeting = threading.Barrier(threads, timeout=10)

    def piece(rows):
        meeting.wait()
        return threading.get_ident()

    with shared_pieces(threads):
        return set(by_pieces(piece, 8, 2**17))


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_no_byte(threads, monkeypatch):
    assert trained(monkeypatch, threads) == trained(monkeypatch, 1)


@pytest.mark.parametrize("threads", [2, 4])
def test_pieces_run_at_the_same_time_and_in_order(threads):
    assert len(ran_in(threads)) == threads
    with shared_pieces(threads):
        rows = by_pieces(lambda rows: rows, 1000, 2**13)
        assert available_threads() == 1
    assert rows == by_pieces(lambda rows: rows, 1000, 2**13)
    assert [i for part in rows for i in range(1000)[part]] == list(range(1000))


def test_trains_where_no_thread_can_start(monkeypatch):
    expected = trained(monkeypatch, 1)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert trained(monkeypatch, 2) == expected


def test_an_error_of_a_piece_is_raised():
    def piece(rows):
        raise RuntimeError(f"rows from {rows.start}")

    with shared_pieces(2), pytest.raises(RuntimeError, match="rows from 0"):
        by_pieces(piece, 8, 2**17)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_computes_the_pieces_itself():
    with shared_pieces(2):
        expected = by_pieces(lambda rows: rows.start, 8, 2**17)  # starts the threads
        child = os.fork()
        if child == 0:
            os._exit(by_pieces(lambda rows: rows.start, 8, 2**17) != expected)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("net", "engine", "inside"),
    [
        (convnet((8, 8, 1), (4,)), "numpy", 1),
        (convnet((8, 8, 1), (4,)), "compiled", 2),
        (mlp(8), "numpy", 2),
    ],
)
def test_products_use_one_thread_where_threads_share_pictures(net, engine, inside, monkeypatch):
    limits = []
    monkeypatch.setattr("plainnet.engine.blas_threads._change", lambda change, n: limits.append(n))
    with engine_threads(net, 2, engine):
        assert limits == [inside]
