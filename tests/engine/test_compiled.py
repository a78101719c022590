"""Compiled steps against NumPy's: the same parameters, losses, metrics and errors."""

import copy
import importlib.util
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from plainnet import EarlyStopping, TrainingError, fit, mlp, predict_logits
from plainnet.engine import choice, products
from plainnet.errors import PlainnetError
from plainnet.nn import (
    GELU,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    GroupedDense,
    Huber,
    LayerNorm,
    MeanSquaredError,
    PiecewiseLinear,
    ReLU,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)
from plainnet.nn.activations import ACTIVATIONS
from plainnet.nn.embeddings import quantile_edges
from plainnet.optim import SGD, Adam, AdamW, Cosine, RMSprop
from plainnet.storage.checkpoints import Checkpoints
from plainnet.train import compiled_epoch
from plainnet.train.members import Members

pytestmark = pytest.mark.usefixtures("compiled")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 7))
BINARY, CLASSES, NUMBERS = (X[:, 0] > 0) * 1, RNG.integers(0, 4, 150), 2 * X[:, :2]
LABELS = np.stack([BINARY, BINARY[::-1]], axis=1)
SOFT = RNG.dirichlet(np.ones(4), 150)
WEIGHTS = RNG.random(150) * (RNG.random(150) > 0.1)
GROUPS = [Dense(12), ReLU(), Dropout(0.2), GroupedDense(9, 3), Tanh(), GroupedDense(3, 3)]
LARGE_GROUPS = [Dense(120), Tanh(), GroupedDense(105, 3), ReLU(), GroupedDense(6, 3)]
STACK = [Tanh(), Dense(8), Tanh(), ReLU(), BatchNorm(), Sigmoid(), GELU(), LayerNorm()]


def with_bins(layers):
    """Return a network whose first layer has the bins of X, 4 of each feature, 2 of the last."""
    edges = quantile_edges(X, 4)
    edges[-1] = edges[-1][::2]
    net = Sequential([PiecewiseLinear([len(e) - 1 for e in edges]), *(x.copy() for x in layers)], 7)
    net.layers[0].set_edges(edges)
    return net


CASES = {
    **{
        name: (mlp(7, (16, 9), 4, activation=name), SoftmaxCrossEntropy(), Adam(0.01), CLASSES)
        for name in ACTIVATIONS
    },
    "sgd": (mlp(7, (16,)), BinaryCrossEntropy(), SGD(0.3), BINARY),
    "momentum": (mlp(7, (16,)), BinaryCrossEntropy(), SGD(0.1, momentum=0.9), BINARY),
    "rmsprop": (mlp(7, (16,)), BinaryCrossEntropy(0.1), RMSprop(0.01), BINARY),
    "labels": (mlp(7, (16,), 2), BinaryCrossEntropy(), Adam(0.01), LABELS),
    "schedule": (mlp(7, (16,)), BinaryCrossEntropy(), Adam(Cosine(0.1, steps=9)), BINARY),
    "smoothing": (mlp(7, (5,), 4), SoftmaxCrossEntropy(0.1), AdamW(0.01), CLASSES),
    "soft targets": (mlp(7, (5,), 4), SoftmaxCrossEntropy(0.1), Adam(0.01), SOFT),
    "squared error": (mlp(7, (5,), 2), MeanSquaredError(), SGD(0.01), NUMBERS),
    "huber": (mlp(7, (5,), 2), Huber(0.5), SGD(0.01, 0.9, nesterov=True), NUMBERS),
    "dropout": (
        mlp(7, (16, 9), activation="tanh", dropout=0.3),
        BinaryCrossEntropy(),
        Adam(0.01),
        BINARY,
    ),
    "batch norm": (mlp(7, (16, 9), 2, batch_norm=True), MeanSquaredError(), SGD(0.01), NUMBERS),
    "layer norm": (mlp(7, (16, 9), 2, layer_norm=True), MeanSquaredError(), SGD(0.01), NUMBERS),
    "stack": (
        Sequential([*STACK, Dropout(0.1), Dense(1)], 7),
        BinaryCrossEntropy(),
        Adam(0.01),
        BINARY,
    ),
    "no layer before": (mlp(7, ()), BinaryCrossEntropy(), Adam(0.01), BINARY),
    "bins and groups": (with_bins(GROUPS), MeanSquaredError(), Adam(0.01), SOFT[:, :3]),
    "groups of BLAS": (
        with_bins(LARGE_GROUPS),
        MeanSquaredError(),
        SGD(0.01),
        RNG.random((150, 6)),
    ),
    "products of BLAS": (
        mlp(7, (150, 140), 4, dropout=0.1, activation="tanh"),
        SoftmaxCrossEntropy(),
        SGD(0.01),
        CLASSES,
    ),
}


def train(engine, net, X, y, loss, optimizer, dtype=np.float32, **options):
    """Train a copy; return the network and its history."""
    net = copy.deepcopy(net).astype(dtype)
    options = {"epochs": 3, "logits_metric": loss.metric, "row_space": False, "seed": 1} | options
    history = fit(net, X, y, loss=loss, optimizer=optimizer, engine=engine, **options)
    assert history.engine == engine
    return net, history


def assert_close(one, two, tolerance):
    """Compare arrays relative to the largest number."""
    one, two = np.asarray(one), np.asarray(two)
    assert np.abs(one - two).max(initial=0) <= tolerance * np.abs(one).max(initial=0)


@pytest.fixture(params=[False, True], ids=["copied", "in place"])
def in_place(request, monkeypatch):
    """Set whether BLAS multiplies small arrays where they lie, which decides who multiplies."""
    monkeypatch.setattr(products, "multiplies_in_place", lambda: request.param)


EVERYTHING = {"batch_size": 37, "sample_weight": WEIGHTS, "l2": 0.01, "clip_norm": 0.5}
SHORT_LAST = {"batch_size": 64, "validation_fraction": 0.2}


@pytest.mark.parametrize("options", [{}, EVERYTHING, SHORT_LAST], ids=["full", "all", "short"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_numpy(case, dtype, options, in_place):
    net, loss, optimizer, y = CASES[case]
    results = [
        train(engine, net, X, y, loss, optimizer, dtype, **options)
        for engine in ("numpy", "compiled")
    ]
    (plain, expected), (fast, history) = results
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert_close(plain.params.theta, fast.params.theta, tolerance)
    Z = plain.predict_logits(X)
    assert_close(Z, predict_logits(plain, X, engine="compiled"), tolerance)
    for column in ("loss", "metric", "val_loss", "val_metric", "lr"):
        assert_close(getattr(expected, column), getattr(history, column), tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layers", [GROUPS[:-1], LARGE_GROUPS[:-1]], ids=["loops", "BLAS"])
@pytest.mark.parametrize("case", ["sgd", "smoothing", "soft targets", "squared error"])
def test_members_agree_with_numpy(case, layers, dtype, in_place):
    net, loss, _, y = CASES[case]
    net = with_bins([*layers, GroupedDense(3 * net.n_out, 3)])
    options = {"members": Members(3, np.arange(150) % 3), "batch_size": 64}
    options |= {"sample_weight": WEIGHTS + 0.1, "early_stopping": EarlyStopping(9)}
    (plain, expected), (fast, history) = (
        train(engine, net, X, y, loss, Adam(0.01), dtype, **options)
        for engine in ("numpy", "compiled")
    )
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert_close(plain.params.theta, fast.params.theta, tolerance)
    for column in ("loss", "metric", "val_loss", "val_metric"):
        assert_close(getattr(expected, column), getattr(history, column), tolerance)


@pytest.mark.parametrize("batch", [16, 33])
def test_wide_inputs_and_pictures_agree(batch):
    pictures = RNG.normal(size=(100, 6, 6, 3)).astype(np.float32)
    net, y = mlp((6, 6, 3), (60, 40), dropout=0.2), BINARY[:100]
    nets = [
        train(engine, net, pictures, y, BinaryCrossEntropy(), SGD(0.1), batch_size=batch)[0]
        for engine in ("numpy", "compiled")
    ]
    assert_close(nets[0].params.theta, nets[1].params.theta, 1e-5)


def test_class_weights_transform_and_other_metrics_agree():
    pixels = RNG.integers(0, 255, (90, 12)).astype(np.uint8)
    results = []
    for engine in ("numpy", "compiled"):
        net = mlp(12, (9,), 4, dropout=0.2)
        seen = []

        def metric(Z, y, seen=seen):
            seen.append(Z.copy())
            return float(Z.mean())

        history = fit(
            net, pixels, CLASSES[:90], loss=SoftmaxCrossEntropy(), optimizer=Adam(), epochs=2,
            batch_size=20, class_weight="balanced", logits_metric=metric, engine=engine,
            transform=lambda rows: rows / np.float32(255),
        )  # fmt: skip
        results.append((net.params.theta, history.metric, *seen))
    for one, two in zip(*results, strict=True):
        assert_close(one, two, 1e-5)


def test_inputs_may_be_read_only():
    rows = X.astype(np.float32)
    rows.flags.writeable = False
    _, history = train("compiled", mlp(7), rows, BINARY, BinaryCrossEntropy(), SGD(0.1))
    assert len(history) == 3


def test_bytes_do_not_depend_on_the_length_of_calls(monkeypatch):
    net = mlp(7, (8,), dropout=0.3)
    thetas = []
    for seconds in (1e-9, 10.0):
        monkeypatch.setattr(compiled_epoch, "SECONDS", seconds)
        after, _ = train("compiled", net, X, BINARY, BinaryCrossEntropy(), Adam(0.01), batch_size=8)
        thetas.append(after.params.theta.tobytes())
    assert thetas[0] == thetas[1]


@pytest.mark.parametrize("hidden", [(8,), (200, 200)])
def test_failure_is_the_same_sentence_and_changes_nothing(hidden):
    far = X.astype(np.float32).copy()
    far[77] = 3e38
    net = mlp(7, hidden, dropout=0.4, batch_norm=True)
    errors, thetas = [], []
    for engine in ("numpy", "compiled"):
        trained = copy.deepcopy(net)
        with pytest.raises(TrainingError) as error:
            fit(
                trained, far, BINARY, loss=BinaryCrossEntropy(), optimizer=SGD(1e-3),
                epochs=2, batch_size=25, engine=engine, seed=3,
            )  # fmt: skip
        errors.append(str(error.value))
        thetas.append(trained.params.theta)
    assert errors[0] == errors[1]
    assert "batch 1 " not in errors[0]  # the failure is in the middle of a call
    assert_close(*thetas, 1e-5)


def test_resumes_to_the_same_bytes(tmp_path):
    options = {"epochs": 6, "batch_size": 16, "validation_fraction": 0.2}
    options |= {"early_stopping": EarlyStopping(3)}
    start = mlp(7, (8,), dropout=0.3, batch_norm=True)
    call = (X, BINARY, BinaryCrossEntropy(), Adam(0.01))
    whole, history = train("compiled", start, *call, **options)

    def stop(epoch):
        if epoch.number == 4:
            raise SystemExit

    with pytest.raises(SystemExit):
        train(
            "compiled", start, *call, **options, callbacks=[stop],
            checkpoints=Checkpoints(tmp_path, every=0.4),
        )  # fmt: skip
    for engine, options_now in (("numpy", options), ("auto", options)):
        checkpoints = Checkpoints.load(tmp_path)
        net = copy.deepcopy(start)
        arguments = {"engine": engine, "checkpoints": checkpoints, "row_space": False, "seed": 1}
        arguments |= options_now | {"loss": call[2], "optimizer": call[3]}
        if engine == "numpy":
            with pytest.raises(PlainnetError, match="engine 'compiled', not with engine 'numpy'"):
                fit(net, X, BINARY, logits_metric=call[2].metric, **arguments)
            continue
        resumed = fit(net, X, BINARY, logits_metric=call[2].metric, **arguments)
        assert net.params.theta.tobytes() == whole.params.theta.tobytes()
        assert resumed.record() == history.record()


def test_threads_train_at_once():
    expected, _ = train("compiled", mlp(7), X, BINARY, BinaryCrossEntropy(), Adam(0.01))
    thetas = [None] * 4

    def work(i):
        net, _ = train("compiled", mlp(7), X, BINARY, BinaryCrossEntropy(), Adam(0.01))
        thetas[i] = net.params.theta

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for theta in thetas:
        np.testing.assert_array_equal(theta, expected.params.theta)


class Doubled(MeanSquaredError.__base__):
    """A loss of a user."""

    def unreduced(self, Z, y):
        return 2 * (Z - y) ** 2, 4 * (Z - y)

    def metric_values(self, Z, y):
        return np.abs(Z - y)


@pytest.mark.parametrize("engine", ["compiled", "auto"])
def test_parts_of_a_user_are_refused_or_left_to_numpy(engine):
    call = {"loss": Doubled(), "optimizer": SGD(0.01), "epochs": 10**8, "engine": engine}
    if engine == "auto":
        stop = [lambda epoch: True]
        assert fit(mlp(7), X, X[:, :1], **call, callbacks=stop).engine == "numpy"
        return
    with pytest.raises(PlainnetError) as error:
        fit(mlp(7), X, X[:, :1], **call)
    assert str(error.value) == "engine='compiled' does not know Doubled: take engine='auto'"


def test_auto_compiles_and_loads_only_for_trainings_that_take_longer(monkeypatch):
    def engine(epochs):
        asked = {"loss": BinaryCrossEntropy(), "epochs": epochs, "optimizer": SGD(0.1)}
        net = mlp(7)
        return fit(net, X, BINARY, **asked, callbacks=[lambda epoch: True]).engine

    for stored, engines in ((False, ["numpy"] * 2), (True, ["numpy", "compiled"])):
        monkeypatch.setattr(choice, "is_compiled", lambda dtype, stored=stored: stored)
        assert [engine(5), engine(200_000), engine(10_000_000)] == [*engines, "compiled"]


@pytest.mark.parametrize("batch_size", [None, 16])
def test_several_epochs_in_a_call_are_the_same_as_one_at_a_time(batch_size):
    net = mlp(7, (8,), dropout=0.3)
    call = (net, X, BINARY, BinaryCrossEntropy(), Adam(Cosine(0.1, steps=400)))
    (several, history), (single, expected) = (
        train("compiled", *call, epochs=90, batch_size=batch_size, callbacks=callbacks)
        for callbacks in ([], [lambda epoch: None])
    )
    assert several.params.theta.tobytes() == single.params.theta.tobytes()
    assert history.record() == expected.record()


@pytest.mark.parametrize("batch_size", [None, 25])
def test_failure_among_several_epochs_names_its_epoch(batch_size):
    errors, seen = [], []
    for engine in ("numpy", "compiled"):
        epochs = []
        with pytest.raises(TrainingError) as error:
            fit(
                mlp(7, (8,)), X, NUMBERS[:, :1], loss=MeanSquaredError(), optimizer=SGD(0.9),
                epochs=2000, batch_size=batch_size, engine=engine, seed=3,
                watch=lambda epoch, epochs=epochs: epochs.append(epoch.number),
            )  # fmt: skip
        errors.append(str(error.value).split("(")[0])
        seen.append(epochs)
    assert errors[0] == errors[1]
    assert seen[0] == seen[1]


def test_without_numba_auto_is_numpy_and_compiled_is_refused(monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    call = {"loss": BinaryCrossEntropy(), "optimizer": SGD(0.1), "epochs": 1}
    assert fit(mlp(7), X, BINARY, **call).engine == "numpy"
    with pytest.raises(PlainnetError) as error:
        fit(mlp(7), X, BINARY, **call, engine="compiled")
    assert str(error.value) == (
        "engine='compiled' needs Numba, which is not installed: pip install 'plainnet[fast]', "
        "or take engine='auto'"
    )
    with pytest.raises(PlainnetError) as error:
        fit(mlp(7), X, BINARY, **call, engine="fast")
    assert str(error.value) == "engine must be one of auto, numpy, compiled, got 'fast'"


def test_numba_is_installed_where_all_extras_are():
    assert importlib.util.find_spec("numba")


def test_module_compiles_both_dtypes(monkeypatch, tmp_path):
    command = [sys.executable, "-m", "plainnet.engine"]  # a process that has loaded nothing yet
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert re.fullmatch(r"Compiled steps are ready \(\d+\.\d s\)\.\n", out)
    assert choice.is_compiled(np.float32)
    assert choice.is_compiled(np.float64)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda name: "another")
        assert not choice.is_compiled(np.float64)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not choice.is_compiled(np.float32)


def test_note_where_nothing_can_be_stored(monkeypatch):
    monkeypatch.delitem(sys.modules, "plainnet.engine.interpreter", raising=False)

    def refuse(*args, **kwargs):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.njit", refuse)
    with pytest.warns(UserWarning, match="plainnet computes with NumPy, as Numba cannot store"):
        history = fit(mlp(7), X, BINARY, loss=BinaryCrossEntropy(), epochs=1, engine="compiled")
    assert history.engine == "numpy"


def test_note_where_products_cannot_be_called(monkeypatch):
    from plainnet.engine import blas

    monkeypatch.setattr(blas, "gemm_address", lambda dtype: 0)
    with pytest.warns(UserWarning, match="with NumPy, as its matrix products cannot be called"):
        history = fit(mlp(7), X, BINARY, loss=BinaryCrossEntropy(), epochs=1, engine="compiled")
    assert history.engine == "numpy"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_polynomials_are_accurate(dtype):
    import numba

    from plainnet.engine import elementary

    @numba.njit
    def compute(x):
        y = -abs(x)
        return (
            elementary.exp(y),
            elementary.expm1(y),
            elementary.tanh(x),
            elementary.sigmoid(x),
            elementary.log1p(elementary.exp(y)),
        )

    exact = np.longdouble
    for x in (np.logspace(-6, 1.8, 200) * np.resize([-1, 1], 200)).astype(dtype):
        X, e = exact(x), np.exp(-abs(exact(x)))
        expected = [e, np.expm1(-abs(X)), np.tanh(X), 1 / (1 + np.exp(-X)), np.log1p(e)]
        tolerance = 8 * np.finfo(dtype).eps
        if dtype == np.float32:
            expected[4] = np.log1p(exact(np.float32(e)))
        np.testing.assert_allclose(np.array(compute(x), exact), expected, rtol=float(tolerance))
