"""A network on another array type trains and predicts as on NumPy's, to the last bit."""

import numpy as np
import pytest

from foreign_array import ForeignArray
from plainnet import EarlyStopping, fit, mlp
from plainnet.nn import ACTIVATIONS, LAYERS, LOSSES, Sequential
from plainnet.optim import OPTIMIZERS, SGD, Adam, Cosine

M, N = 37, 5
BINS = (1, 2, 3, 1, 2)
rng = np.random.default_rng(0)
X = rng.standard_normal((M, N)).astype(np.float32)
TARGETS = {
    "binary": rng.integers(0, 2, M),
    "multiclass": rng.integers(0, 3, M),
    "regression": rng.standard_normal(M),
}


def train_both(make, rows=X, loss=None, y=None, weight=None, **options):
    """Train on NumPy's and on foreign arrays, and compare all numbers."""
    loss = loss or LOSSES["BinaryCrossEntropy"]()
    y = TARGETS[loss.tasks[0]] if y is None else y
    nets, histories = [make(), make().to(ForeignArray)], []
    start = ForeignArray.counts.total()
    for net, kind in zip(nets, (np.asarray, ForeignArray), strict=True):
        histories.append(
            fit(
                net,
                kind(rows),
                kind(y),
                loss=loss,
                sample_weight=None if weight is None else kind(weight),
                **({"epochs": 3, "batch_size": 8, "optimizer": Adam()} | options),
            )
        )
        assert type(net.params.theta) is (np.ndarray if kind is np.asarray else ForeignArray)
    plain, other = nets
    assert plain.params.theta.tobytes() == other.params.theta.array.tobytes()
    assert histories[0].record() == histories[1].record()
    assert all(type(value) is float for value in histories[1].loss)
    Z, Z_other = plain.predict_logits(rows), other.predict_logits(ForeignArray(rows))
    np.testing.assert_array_equal(Z, Z_other.array)
    np.testing.assert_array_equal(loss.predictions(Z), loss.predictions(Z_other).array)
    encoded = loss.encode(y, plain.n_out)
    np.testing.assert_array_equal(
        loss.per_example(Z, encoded), loss.per_example(Z_other, ForeignArray(encoded)).array
    )
    assert ForeignArray.counts.total() > start + 100


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    train_both(lambda: mlp(N, (4, 3), activation=name))


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    pictures = "2D" in name or name in ("Flatten", "SpatialDropout")
    arguments = {"Conv2D": [3], "Dense": [3], "GroupedDense": [10, N], "PiecewiseLinear": [BINS]}
    arguments = arguments.get(name, [])

    def make():
        after = [LAYERS["Flatten"]()] if pictures and name != "GlobalAveragePool2D" else []
        layers = [LAYERS[name](*arguments), *(after if name != "Flatten" else [])]
        n_in = (4, 4, 2) if pictures else N
        return Sequential([*layers, LAYERS["Dense"](1)], n_in=n_in)

    rows = rng.standard_normal((M, 4, 4, 2)).astype(np.float32) if pictures else X
    train_both(make, rows)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    n_out = 3 if "multiclass" in LOSSES[name].tasks else 1
    weight = rng.uniform(0, 2, M)
    loss = LOSSES[name]()
    options = {"weight": weight, "l2": 0.1, "clip_norm": 0.5, "logits_metric": loss.metric}
    train_both(lambda: mlp(N, n_out=n_out), loss=loss, validation_fraction=0.2, **options)


@pytest.mark.parametrize("y", [TARGETS["multiclass"], np.eye(3)[TARGETS["multiclass"]]])
def test_smoothed_classes(y):
    loss = LOSSES["SoftmaxCrossEntropy"](label_smoothing=0.1)
    train_both(lambda: mlp(N, n_out=3), loss=loss, y=y, class_weight="balanced")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    train_both(lambda: mlp(N), optimizer=OPTIMIZERS[name](lr=Cosine(0.01, 15)))


def test_every_option_of_an_mlp():
    train_both(
        lambda: mlp(N, (8, 8), dropout=0.2, batch_norm=True, layer_norm=True, dtype=np.float64),
        optimizer=SGD(0.1, momentum=0.9, nesterov=True),
        batch_size=None,
        validation_fraction=0.2,
        early_stopping=EarlyStopping(1),
        metric=lambda y, A: float((y == A).mean()),
        class_weight={0: 1.0, 1: 2.0},
    )


def test_row_space():
    rows = rng.standard_normal((M, 500)).astype(np.float32)
    train_both(lambda: mlp(500, (4,)), rows, optimizer=SGD(0.01), epochs=30)


def test_network_of_another_type_takes_numpy_rows():
    net = mlp(N)
    moved = net.to(ForeignArray)
    np.testing.assert_array_equal(moved.predict_logits(X).array, net.predict_logits(X))
    fit(moved, X, TARGETS["binary"], loss=LOSSES["BinaryCrossEntropy"](), epochs=1)


def test_non_finite_loss_is_explained():
    with pytest.raises(Exception, match="'dense1' is the first that is not finite") as foreign:
        diverge(mlp(N).to(ForeignArray), ForeignArray)
    with pytest.raises(type(foreign.value)) as plain:
        diverge(mlp(N), np.asarray)
    assert str(foreign.value) == str(plain.value)


def diverge(net, kind):
    rows = X.copy()
    rows[:] = 3e38
    fit(net, kind(rows), kind(TARGETS["regression"]), loss=LOSSES["MeanSquaredError"]())
