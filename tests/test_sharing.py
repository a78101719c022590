"""Threads and forked processes share a network without mixing results or deadlocks."""

import copy
import os
import pickle
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from plainnet import NetClassifier, TrainConfig, mlp
from plainnet.data.dataset import Examples
from plainnet.data.image_limits import MEMORY
from plainnet.data.synthetic import introverts
from plainnet.diagnose.activations import measure
from plainnet.diagnose.curvature import largest_curvature
from plainnet.engine import blas_threads as threads
from plainnet.engine.blas_threads import Team, available_threads, limited_threads
from plainnet.evaluate.evaluate import evaluate
from plainnet.evaluate.per_example import read_rows
from plainnet.explain.example import explain
from plainnet.explain.global_explanation import explain_model
from plainnet.explain.importance import importance
from plainnet.explain.mistakes import confident_mistakes
from plainnet.explain.neighbors import nearest
from plainnet.export.html import to_html
from plainnet.export.onnx import to_onnx
from plainnet.export.python import to_python
from plainnet.nn import LAYERS, Sequential
from plainnet.nn.gradcheck import gradcheck
from plainnet.report.report import report
from plainnet.training import train

FRAME = introverts(120)
SECONDS = 20  # after which a forked child counts as hanging
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")


@cache
def model():
    return train(FRAME, TrainConfig(hidden=(24, 16), epochs=3, batch_norm=True)).model


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# --- threads -------------------------------------------------------------------------------------


def test_concurrent_neighbors_and_predictions():
    rows = read_rows(model(), FRAME)
    expected, found = model().predictions(rows.X), nearest(model(), rows.X[3], rows)
    ends = time.monotonic() + 2

    def predicts(_):
        wrong = 0
        while time.monotonic() < ends:
            wrong += not np.array_equal(model().predictions(rows.X), expected)
        return wrong

    def looks(_):
        wrong = 0
        while time.monotonic() < ends:
            wrong += nearest(model(), rows.X[3], rows) != found
        return wrong

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(work, None) for work in (predicts, looks) * 2]
        assert [job.result() for job in jobs] == [0, 0, 0, 0]


READERS = {
    "evaluation": lambda m, rows: evaluate(m, Examples(rows.X, rows.y)),
    "explain": lambda m, rows: explain(m, FRAME, row=3),
    "importance": lambda m, rows: importance(m, rows, repeats=2),
    "overview": lambda m, rows: explain_model(m, rows, repeats=2),
    "worst": lambda m, rows: confident_mistakes(m, rows),
    "nearest": lambda m, rows: nearest(m, rows.X[3], rows),
    "report": lambda m, rows: report(m, name="m", rows=Examples(rows.X, rows.y)),
    "gradcheck": lambda m, rows: gradcheck(m.net, m.loss, rows.X[:5], rows.y[:5], sample=3),
    "curvature": lambda m, rows: largest_curvature(m.net, m.loss, rows.X, _encoded(m, rows)),
    "activity": lambda m, rows: measure(m.net, m.loss, rows.X, _encoded(m, rows)),
    "exports": lambda m, rows: (to_onnx(m), to_python(m), to_html(m)),
    "predict": lambda m, rows: m.predict(FRAME),
    "copies": lambda m, rows: copy.deepcopy(m).predict(FRAME),
}


def _encoded(m, rows):
    return m.loss.encode(rows.y, m.net.n_out, m.net.dtype)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_readers_only_predict_with_a_shared_network(read):
    """What a layer keeps for backward belongs to the last batch of any thread."""
    shared = copy.deepcopy(model())
    unsafe = []

    def watched(layer, forward):
        def call(X, train):
            unsafe.extend([layer.name] * train)
            return forward(X, train)

        return call

    rows = read_rows(shared, FRAME)
    for layer in shared.net.layers:
        layer.forward = watched(layer, layer.forward)
        layer.backward = lambda dY, need_dX, name=layer.name: unsafe.append(name)
    read(shared, rows)
    assert unsafe == []


@pytest.mark.parametrize("kind", LAYERS)
def test_forward_never_reads_what_it_keeps(kind):
    """Another thread that predicts with the same layer may have replaced it."""
    kept, read_back = set(), []

    class Watched(LAYERS[kind]):
        def __setattr__(self, name, value):
            kept.add(name)
            super().__setattr__(name, value)

        def __getattribute__(self, name):
            read_back.extend([name] * (name in kept))
            return super().__getattribute__(name)

    arguments = {"Conv2D": [2], "Dense": [2], "GroupedDense": [2, 2], "PiecewiseLinear": [[1] * 4]}
    n_in = (4, 4, 2) if "2D" in kind or "Spatial" in kind else (4,)
    net = Sequential([Watched(*arguments.get(kind, []))], n_in=n_in)
    kept.clear()
    read_back.clear()  # of the construction
    net.forward(normals(5, *n_in))
    assert read_back == []


@pytest.mark.parametrize(
    "again", [copy.deepcopy, copy.copy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_copy_of_a_network_in_use_does_not_wait(again):
    net, X = mlp(3, seed=1), normals(4, 3)
    with InUse(net, X):
        np.testing.assert_array_equal(
            again(net).predict_logits(X), mlp(3, seed=1).predict_logits(X)
        )


class InUse:
    """Run the block while another thread predicts."""

    def __init__(self, net, X):
        self.begun, self.ended = threading.Event(), threading.Event()

        def transform(batch):
            self.begun.set()
            assert self.ended.wait(60)
            return batch

        self.thread = threading.Thread(target=net.predict_logits, args=(X, None, transform))

    def __enter__(self):
        self.thread.start()
        assert self.begun.wait(60)

    def __exit__(self, *error):
        self.ended.set()
        self.thread.join()


# --- forks ---------------------------------------------------------------------------------------


def in_child(check):
    """Fork and return whether the check holds in the child, which is killed if it hangs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        right = False
        try:
            right = bool(check())
        finally:
            os._exit(0 if right else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@forks
def test_child_uses_a_network_in_use_by_a_parent_thread():
    net, X = mlp(3, hidden=(8, 8), batch_norm=True, seed=1), normals(7, 3)
    expected = net.predict_logits(X)
    with InUse(net, X[:2]):
        assert in_child(lambda: np.array_equal(net.predict_logits(X), expected))
    np.testing.assert_array_equal(net.predict_logits(X), expected)


@forks
def test_child_uses_a_network_in_use_by_its_own_thread():
    net, X, answers = mlp(3, seed=1), normals(2, 3), []
    expected = net.predict_logits(X)

    def transform(batch):
        answers.append(in_child(lambda: np.array_equal(net.predict_logits(X), expected)))
        return batch

    net.predict_logits(X, transform=transform)
    assert answers == [True]


@forks
@pytest.mark.parametrize("what", ["network", "estimator", "model"])
def test_children_predict_while_parent_threads_predict(what):
    X = normals(3000, 3)
    if what == "network":
        predict, few = mlp(3, hidden=(32,), seed=1).predict_logits, X[:50]
    elif what == "estimator":
        predict, few = NetClassifier(epochs=1).fit(X[:40], np.arange(40) % 2).predict_proba, X[:50]
    else:
        predict, few, X = model().predict_proba, FRAME.head(20), FRAME
    expected, done = predict(few), threading.Event()

    def work():
        while not done.is_set():
            predict(X)

    busy = [threading.Thread(target=work) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        for _ in range(8):
            time.sleep(0.01)
            assert in_child(lambda: np.array_equal(predict(few), expected))
    finally:
        done.set()
        for thread in busy:
            thread.join()


@forks
def test_child_decodes_a_large_picture_while_the_parent_does():
    inside, done = threading.Event(), threading.Event()

    def decode():
        with MEMORY.taken(1.0):
            inside.set()
            done.wait()

    def decode_too():
        with MEMORY.taken(1.0):
            return True

    thread = threading.Thread(target=decode)
    thread.start()
    inside.wait()
    try:
        assert in_child(decode_too)
    finally:
        done.set()
        thread.join()


@forks
def test_child_ignores_thread_limits_of_the_parent(monkeypatch):
    blas = pretended(monkeypatch, 4)
    inside, done = threading.Event(), threading.Event()

    def work():
        with limited_threads(1):
            inside.set()
            assert done.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(60)
    with limited_threads(2):
        assert blas.threads == 1
        assert in_child(lambda: blas.threads == 2 == available_threads())
        assert blas.threads == 1
    done.set()
    thread.join()
    assert blas.threads == 4


# --- the number of BLAS threads ------------------------------------------------------------------


class Blas:
    """A library as reported by threadpoolctl."""

    def __init__(self, n):
        self.threads = n

    def get_num_threads(self):
        return self.threads

    def set_num_threads(self, n):
        self.threads = n


def pretended(monkeypatch, n):
    blas = Blas(n)
    monkeypatch.setattr(threads, "blas_libraries", lambda: [blas])
    return blas


def test_limit_holds_until_its_block_ends(monkeypatch):
    """The first block ends first, in another thread, while the second runs."""
    blas, seen = pretended(monkeypatch, 4), []
    begun, second = threading.Event(), threading.Event()

    def first():
        with limited_threads(1):
            begun.set()
            assert second.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(60)
    assert available_threads() == 4  # of this thread, which has not limited itself
    with limited_threads(2):
        seen.append(blas.threads)
        second.set()
        thread.join()
        seen.append(blas.threads)
    assert [*seen, blas.threads] == [1, 2, 4]


def test_larger_number_never_raises_a_limit(monkeypatch):
    blas = pretended(monkeypatch, 4)
    with limited_threads(2), limited_threads(8):
        assert blas.threads == available_threads() == 2
    assert blas.threads == 4


def test_concurrent_trainings_record_their_own_threads(monkeypatch):
    pretended(monkeypatch, 4)
    large = mlp(1024, (1024, 1024), 10)
    with ThreadPoolExecutor(1) as pool, limited_threads(1):
        assert threads.blas_threads(large, 512) == 1
        assert pool.submit(threads.blas_threads, large, 512).result() == 4


def test_blas_is_not_set_while_threads_compute(monkeypatch):
    """It would take ten times as long."""
    blas, changes = pretended(monkeypatch, 4), []
    monkeypatch.setattr(blas, "set_num_threads", changes.append)
    monkeypatch.setattr(blas, "get_num_threads", lambda: changes[-1] if changes else 4)

    def work():
        with limited_threads(1):  # a part that limits itself
            return list(changes), available_threads()

    assert Team().run([work, work]) == [([1], 1), ([1], 1)]
    assert changes == [1, 4]
