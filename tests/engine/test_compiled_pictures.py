"""Compiled steps of convolutional networks against NumPy's."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from plainnet import TrainingError, fit
from plainnet.engine import compiled
from plainnet.nn import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    LayerNorm,
    MaxPool2D,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    SpatialDropout,
    Tanh,
    convnet,
)
from plainnet.optim import SGD
from plainnet.train.augment import augmentation

pytestmark = pytest.mark.usefixtures("compiled")

RNG = np.random.default_rng(0)
# sums of few different numbers, so that pooling has ties
PICTURES, CLASSES = RNG.integers(-2, 3, (50, 9, 8, 3)) / 2, RNG.integers(0, 4, 50)


def end():
    """Return the last layers."""
    return [Flatten(), Dense(4)]


NETS = {
    "convnet": convnet((9, 8, 3), (5, 6), n_out=4),
    "one channel, one pixel": convnet((1, 1, 1), (1, 2), n_out=4),
    "kernel 1": Sequential([Conv2D(4, 1), *end()], (9, 8, 3)),
    "even kernel": Sequential([Conv2D(4, 4, bias=False), ReLU(), *end()], (9, 8, 3)),
    "as large as the picture": Sequential([Conv2D(4, 8, padding="valid"), *end()], (9, 8, 3)),
    "strides": Sequential([Conv2D(4, 3, 2), Tanh(), Conv2D(3, 2, 3, "valid"), *end()], (9, 8, 3)),
    "ties": Sequential([Conv2D(2, 2, init="ones"), MaxPool2D(), *end()], (9, 8, 3)),
    "overlapping squares": Sequential([Conv2D(4), MaxPool2D(3, 2), *end()], (9, 8, 3)),
    "squares apart": Sequential([MaxPool2D(2, 3), Conv2D(4), MaxPool2D(1, 2), *end()], (9, 8, 3)),
    "convolutions pooled apart": Sequential(
        [Conv2D(6), MaxPool2D(2, 3), Conv2D(5, 2, 2), MaxPool2D(), Tanh(), *end()], (9, 8, 3)
    ),
    "averages": Sequential(
        [Conv2D(4), AveragePool2D(3, 2), Tanh(), GlobalAveragePool2D(), Dense(4)], (9, 8, 3)
    ),
    "normalized first": Sequential([BatchNorm(), Conv2D(5), BatchNorm(), *end()], (9, 8, 3)),
    "each pixel normalized": Sequential([Conv2D(8), LayerNorm(), ReLU(), *end()], (9, 8, 3)),
    "dropout of channels": Sequential(
        [SpatialDropout(0.2), Conv2D(4), MaxPool2D(), SpatialDropout(0.4), *end()], (9, 8, 3)
    ),
    "dropout of channels before a flat network": Sequential(
        [SpatialDropout(0.3), *end()], (9, 8, 3)
    ),
    "dropout of pixels": Sequential([Dropout(0.2), Conv2D(3), Dropout(0.4), *end()], (9, 8, 3)),
}


def train(engine, net, X=PICTURES, dtype=np.float32, optimizer=None, **options):
    """Train a copy; return its parameters and history."""
    net, loss = copy.deepcopy(net).astype(dtype), SoftmaxCrossEntropy()
    height, width, channels = net.in_shape
    X, optimizer = X[:, :height, :width, :channels], optimizer or SGD(0.05, momentum=0.9)
    options = {"epochs": 3, "batch_size": 16, "logits_metric": loss.metric, "seed": 1} | options
    options |= {"validation_data": (X, CLASSES)}
    history = fit(net, X, CLASSES, loss=loss, optimizer=optimizer, engine=engine, **options)
    assert history.engine == engine
    return net.params.theta, history


def assert_close(one, two, tolerance):
    """Compare arrays relative to the largest number."""
    one, two = np.asarray(one), np.asarray(two)
    assert np.abs(one - two).max() <= tolerance * np.abs(one).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETS)
def test_agrees_with_numpy(name, dtype):
    (plain, expected), (fast, history) = (
        train(engine, NETS[name], dtype=dtype) for engine in ("numpy", "compiled")
    )
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert_close(plain, fast, tolerance)
    assert_close(expected.loss, history.loss, tolerance)
    assert_close(expected.val_loss, history.val_loss, tolerance)
    assert expected.metric == history.metric


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": None}], ids=["one", "full"])
def test_agrees_with_numpy_whatever_the_batch(options):
    net = Sequential([Conv2D(4), MaxPool2D(), ReLU(), Dropout(0.3), *end()], (9, 8, 3))
    options |= {"epochs": 2, "optimizer": SGD(0.01)}
    thetas = [train(engine, net, **options)[0] for engine in ("numpy", "compiled")]
    assert_close(*thetas, 1e-5)


def test_agrees_with_numpy_on_large_and_augmented_pictures():
    X = RNG.integers(0, 256, (50, 70, 67, 1), dtype=np.uint8)
    net = convnet((70, 67, 1), (20, 8), 5, n_out=4)
    options = {"augment": augmentation(["shift"]), "batch_size": 50}
    options |= {"transform": lambda rows: rows / 255, "epochs": 1}
    # float64, as pixels that are nearly equal change which is the largest of a square
    results = [train(e, net, X, np.float64, **options) for e in ("numpy", "compiled")]
    assert_close(results[0][1].loss, results[1][1].loss, 1e-10)
    assert_close(results[0][0], results[1][0], 1e-10)


@pytest.fixture
def two_threads(monkeypatch):
    """Let two threads share pictures."""
    monkeypatch.setattr(compiled, "blas_threads", lambda *_: 2)


THREADED = ["convnet", "strides", "overlapping squares", "convolutions pooled apart", "averages"]
THREADED += ["normalized first", "dropout of channels"]


@pytest.mark.parametrize("name", THREADED)
def test_threads_do_not_change_bytes(name, two_threads, monkeypatch):
    shared = train("compiled", NETS[name])[0].tobytes()
    monkeypatch.setattr(compiled, "blas_threads", lambda *_: 1)
    assert train("compiled", NETS[name])[0].tobytes() == shared


def test_trains_on_one_thread_where_another_cannot_start(two_threads, monkeypatch):
    expected, started, start = train("compiled", NETS["convnet"])[0], [], threading.Thread.start

    def every_second(self):
        started.append(self)
        if len(started) % 2 == 0:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(compiled, "blas_threads", lambda *_: 3)
    monkeypatch.setattr(threading.Thread, "start", every_second)
    assert train("compiled", NETS["convnet"])[0].tobytes() == expected.tobytes()
    assert len(started) > 1


def test_trainings_at_the_same_time_give_the_same_bytes(two_threads):
    calls = [partial(train, "compiled", NETS["convnet"])] * 3
    with ThreadPoolExecutor(3) as pool:
        together = [part.result() for part in [pool.submit(call) for call in calls]]
    assert len({theta.tobytes() for theta, _ in [*together, calls[0]()]}) == 1


def test_failure_is_the_same_sentence_and_changes_nothing(two_threads):
    far = PICTURES.astype(np.float32)
    far[33] = 3e38
    errors, thetas = [], []
    for engine in ("numpy", "compiled"):
        net = copy.deepcopy(NETS["convnet"])
        with pytest.raises(TrainingError) as error:
            fit(
                net, far, CLASSES, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.01), seed=4,
                batch_size=10, engine=engine,
            )  # fmt: skip
        errors.append(str(error.value))
        thetas.append(net.params.theta)
    assert errors[0] == errors[1]
    assert_close(*thetas, 1e-5)
