"""Training in the row space takes the same steps as plain training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainnet import (
    SGD,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Flatten,
    MeanSquaredError,
    ReLU,
    RMSprop,
    Sequential,
    SoftmaxCrossEntropy,
    StepDecay,
    Tanh,
    TrainingError,
    fit,
    mlp,
)
from plainnet.engine.row_space import RowSpace, row_space_pays
from plainnet.nn.layers import Layer
from plainnet.nn.parameters import ParameterSpec
from plainnet.optim import Constant


def wide(m=12, n=90, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((m, n)).astype(dtype)


def both(net, X, y, loss, **options):
    """Train two copies of a network, one in the row space and one without it."""
    small, plain = net.astype(net.dtype), net.astype(net.dtype)
    first = fit(small, X, y, loss=loss, row_space=True, **options)
    second = fit(plain, X, y, loss=loss, row_space=False, **options | {"engine": "numpy"})
    assert first.row_space is not None
    assert second.row_space is None
    return small, plain, first, second


OPTIONS = {
    "gradient descent": {},
    "momentum": {"optimizer": SGD(0.05, momentum=0.9)},
    "nesterov": {"optimizer": SGD(0.05, momentum=0.9, nesterov=True)},
    "a schedule": {"optimizer": SGD(StepDecay(0.3, every=7))},
    "l2": {"l2": 0.05, "optimizer": SGD(0.1, momentum=0.5)},
    "l2 with mini-batches": {"l2": 0.05, "batch_size": 5, "optimizer": SGD(0.1, momentum=0.5)},
    "mini-batches of all rows": {"batch_size": 12},
    "mini-batches": {"batch_size": 5, "seed": 3},
    "sample weights": {"sample_weight": np.arange(12.0)},
    "class weights": {"class_weight": "balanced"},
    "validation": {"validation_fraction": 0.25},
    "early stopping": {"validation_fraction": 0.25, "early_stopping": EarlyStopping(3)},
}


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_losses_and_weights_are_equal_in_float64(options, engine):
    X, y = wide(), np.arange(12) % 2
    net = mlp(90, (4, 3), activation="tanh", dtype=np.float64, seed=1)
    options = {"optimizer": SGD(0.1), "epochs": 200, "engine": engine, **options}
    small, plain, first, second = both(net, X, y, BinaryCrossEntropy(), **options)
    np.testing.assert_allclose(first.loss, second.loss, rtol=0, atol=1e-12)
    np.testing.assert_allclose(first.val_loss, second.val_loss, rtol=0, atol=1e-12)
    np.testing.assert_allclose(small.params.theta, plain.params.theta, rtol=0, atol=1e-11)
    assert first.best_epoch == second.best_epoch
    assert first.engine == engine


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("units", [1, 3, 4, 7, 19, 20])
@pytest.mark.parametrize("m", [2, 7, 8, 33, 150])
def test_compiled_steps_agree_for_any_numbers_of_rows_and_units(m, units, dtype):
    X, y = wide(m, 500, dtype=dtype), np.arange(m) % 2
    net = mlp(500, (units,), activation="tanh", dtype=dtype, seed=1)
    options = {"optimizer": SGD(0.01), "epochs": 60, "engine": "compiled"}
    small, plain, first, second = both(net, X, y, BinaryCrossEntropy(), **options)
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(first.loss, second.loss, rtol=0, atol=tolerance)
    np.testing.assert_allclose(small.params.theta, plain.params.theta, rtol=0, atol=tolerance)


@given(m=st.integers(2, 10), copies=st.integers(0, 3), zero=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_rank_deficient_and_duplicated_rows(m, copies, zero, seed):
    X = wide(m, 60, seed)
    X = np.vstack([X, *[X[:1]] * copies, X[:1] + X[-1:]])  # duplicates, and a sum of two rows
    if zero:
        X[0] = 0
    y = np.random.default_rng(seed).standard_normal((len(X), 2))
    net = mlp(60, (3,), 2, activation="tanh", dtype=np.float64, seed=seed)
    small, plain, first, second = both(
        net, X, y, MeanSquaredError(), epochs=100, optimizer=SGD(0.02), l2=0.01
    )
    np.testing.assert_allclose(first.loss, second.loss, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(small.params.theta, plain.params.theta, rtol=0, atol=1e-11)


def test_float32_agrees_within_rounding():
    X, y = wide(40, 3000, dtype=np.float32), np.arange(40) % 3
    net = mlp(3000, (8,), 3, activation="tanh", seed=2)
    small, plain, first, second = both(
        net, X, y, SoftmaxCrossEntropy(), epochs=150, optimizer=SGD(0.01)
    )
    np.testing.assert_allclose(first.loss, second.loss, rtol=0, atol=2e-6)
    np.testing.assert_allclose(small.params.theta, plain.params.theta, rtol=0, atol=2e-6)


def test_contradictory_labels_keep_float32_accurate():
    """Their coefficients grow with every step and cancel."""
    X, y = wide(40, 3000, dtype=np.float32), np.arange(40) % 2
    X[20:] = X[:20]
    y[20:] = 1 - y[:20]
    net, loss, options = mlp(3000, (), init="zeros"), BinaryCrossEntropy(), {"epochs": 3000}
    small, *_ = both(net, X, y, loss, optimizer=SGD(0.01, momentum=0.9), **options)
    # every row and its contrary: the best prediction is 1/2, and nothing moves
    np.testing.assert_allclose(small.params.theta, 0, atol=1e-4)


def test_new_rows_are_predicted_with_updated_weights():
    X, new = wide(), wide(seed=5)
    net = mlp(90, (4,), activation="tanh", dtype=np.float64, seed=1)
    small, plain, *_ = both(
        net, X, np.arange(12) % 2, BinaryCrossEntropy(), epochs=100, optimizer=SGD(0.3)
    )
    np.testing.assert_allclose(
        small.predict_logits(new), plain.predict_logits(new), rtol=0, atol=1e-11
    )


def test_callbacks_see_updated_weights():
    X, y = wide(), np.arange(12) % 2
    received = {True: [], False: []}
    figures = []
    for row_space, list_ in received.items():
        net = mlp(90, (4,), activation="tanh", dtype=np.float64, seed=1)
        theta = net.params.theta  # held from before the training
        fit(
            net,
            X,
            y,
            loss=BinaryCrossEntropy(),
            epochs=200,
            callbacks=[lambda epoch, theta=theta, list_=list_: list_.append(theta.copy())],
            watch=figures.append,
            row_space=row_space,
        )
    np.testing.assert_allclose(received[True], received[False], rtol=0, atol=1e-12)
    assert [epoch.number for epoch in figures] == [*range(1, 201)] * 2


def test_weights_are_updated_after_a_callback_raises():
    X, y = wide(), np.arange(12) % 2
    trained = []
    for row_space in (True, False):
        net = mlp(90, (4,), activation="tanh", dtype=np.float64, seed=1)

        def fail(epoch):
            if epoch.number == 50:
                raise RuntimeError("stop here")

        with pytest.raises(RuntimeError, match="stop here"):
            fit(
                net,
                X,
                y,
                loss=BinaryCrossEntropy(),
                epochs=200,
                watch=fail,
                row_space=row_space,
            )
        trained.append(net.params.theta)
    np.testing.assert_allclose(*trained, rtol=0, atol=1e-12)


def test_nonfinite_loss_gives_the_same_error():
    X, output = wide(), []
    for row_space in (True, False):
        net = mlp(90, (4, 4), dtype=np.float64, seed=1)
        options = {"loss": BinaryCrossEntropy(), "optimizer": SGD(1e200), "epochs": 200}
        with pytest.raises(TrainingError, match="layer 'dense2' is the first that is not") as e:
            fit(net, X, np.arange(12) % 2, row_space=row_space, **options)
        output.append(str(e.value))
    assert output[0] == output[1]


def test_pictures_with_transform_and_flatten():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (10, 6, 6, 3)).astype(np.uint8)
    net = Sequential([Flatten(), Dense(4), Tanh(), Dense(1)], (6, 6, 3), dtype=np.float64)
    small, plain, *_ = both(
        net,
        X,
        np.arange(10) % 2,
        BinaryCrossEntropy(),
        epochs=100,
        transform=lambda rows: rows / 255.0,
        validation_data=(X[:4], [0, 1, 0, 1]),
    )
    np.testing.assert_allclose(small.params.theta, plain.params.theta, rtol=0, atol=1e-11)


def test_dropout_draws_the_same_masks():
    net = Sequential([Dense(4), ReLU(), Dropout(0.5), Dense(1)], 90, dtype=np.float64, seed=4)
    small, plain, *_ = both(net, wide(), np.arange(12) % 2, BinaryCrossEntropy(), epochs=100)
    np.testing.assert_allclose(small.params.theta, plain.params.theta, rtol=0, atol=1e-11)
    assert small.rng.random() == plain.rng.random()


def test_custom_layer_with_parameter_a_is_trained():
    class Scale(Layer):
        def build(self, in_shape):
            self.specs = [ParameterSpec("A", in_shape, "bias", "ones")]
            return in_shape

        def forward(self, X, train):
            self.X = X
            return X * self.A

        def backward(self, dY, need_dX):
            np.sum(dY * self.X, axis=0, out=self.dA)
            return dY * self.A

    net = Sequential([Dense(4), Scale(), Tanh(), Dense(1)], 90, dtype=np.float64, seed=4)
    net.params.views["scale1.A"][...] = 3
    small, plain, *_ = both(net, wide(), np.arange(12) % 2, BinaryCrossEntropy(), epochs=100)
    np.testing.assert_allclose(small.params.theta, plain.params.theta, rtol=0, atol=1e-11)
    assert not np.allclose(small.params.views["scale1.A"], 3, atol=1e-4)


@pytest.mark.parametrize("held_out", [False, True])
def test_overflowing_dot_products_use_plain_training(held_out):
    X, large = wide(dtype=np.float32), np.full((12, 90), 1e25, np.float32)
    X, new = (1e15 * X, large) if held_out else (large, X)
    y = np.arange(12) % 2
    net, options = mlp(90, (4,), init="constant:1e-28"), {"loss": BinaryCrossEntropy()}
    options |= {"epochs": 200, "optimizer": SGD(1e-40), "validation_data": (new, y)}
    assert row_space_pays(net, 12, SGD(), epochs=200)
    history = fit(net, X, y, **options)
    assert history.row_space is None
    np.testing.assert_allclose(history.loss[-1], np.log(2), rtol=1e-4)
    np.testing.assert_allclose(history.val_loss[-1], np.log(2), rtol=1e-4)


def test_nan_transform_gives_the_same_error():
    net, output = mlp(90, (4,), dtype=np.float64), []
    for row_space in (True, False):
        options = {"loss": BinaryCrossEntropy(), "epochs": 200, "row_space": row_space}
        with pytest.raises(TrainingError, match="the inputs hold nan after the transform") as e:
            fit(net, wide(), np.arange(12) % 2, transform=lambda X: X * np.nan, **options)
        output.append(str(e.value))
    assert output[0] == output[1]


@pytest.mark.parametrize("optimizer", [Adam(), AdamW(), RMSprop()])
def test_never_with_elementwise_optimizers(optimizer):
    assert not row_space_pays(mlp(12288, (8,)), 400, optimizer, epochs=10**6)


def test_never_with_clipping():
    X, y = wide(), np.arange(12) % 2
    for clip_norm in (None, 0.05):
        net = mlp(90, (4,), dtype=np.float64, seed=1)
        history = fit(net, X, y, loss=BinaryCrossEntropy(), epochs=200, clip_norm=clip_norm)
        assert (history.row_space is None) is (clip_norm is not None)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([Dense(8), ReLU(), Dropout(0.5), Dense(1)], True),
        ([Dropout(0.2), Dense(8), ReLU(), Dense(1)], False),
        ([ReLU(), Dense(1)], False),
    ],
)
def test_only_where_the_first_layer_gets_the_rows(layers, expected):
    net = Sequential(layers, 12288)
    assert row_space_pays(net, 400, SGD(), epochs=1000) is expected


@pytest.mark.parametrize(("m", "n", "epochs"), [(400, 300, 10**6), (400, 12288, 3), (1, 1, 1)])
def test_not_where_plain_training_is_faster(m, n, epochs):
    assert not row_space_pays(mlp(n, (8,)), m, SGD(Constant(0.1)), epochs, write_back=True)


def test_features_are_dot_products():
    X, new = wide(30, 500), wide(3, 500, seed=8)
    net = mlp(500, (4,), dtype=np.float64)
    space = RowSpace(net, X)
    numbers = space.coordinates(new)
    features = space.net.layers[0].features
    expected = np.einsum("in,jn->ij", np.vstack([X, new]), np.vstack([X, net.layers[0].W]))
    np.testing.assert_allclose(features, expected, atol=1e-11)
    np.testing.assert_array_equal(numbers, [[30], [31], [32]])
