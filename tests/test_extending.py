"""A layer, an activation, a loss and an optimizer of a user, who has only the public names."""

import numpy as np
import pandas as pd
import pytest

from plainnet import Model, PlainnetError, TrainConfig, fit, gradcheck, mlp
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.explain.example import explain
from plainnet.export.onnx import to_onnx
from plainnet.export.python import to_python
from plainnet.nn import (
    ACTIVATIONS,
    LAYERS,
    LOSSES,
    Activation,
    Dense,
    Layer,
    Loss,
    ParameterSpec,
    Sequential,
    register,
)
from plainnet.optim import OPTIMIZERS, Optimizer
from plainnet.training import train

FRAME = pd.DataFrame({"x": np.linspace(-1, 1, 60), "z": np.cos(np.arange(60))})
FRAME["y"] = 2 * FRAME["x"] - FRAME["z"]


class Scale(Layer):
    """Multiply each feature by a trained number."""

    options = ("start",)
    formula = "Y = g X"
    gradient_formulas = ("dg = column sums of dY X", "dX = g dY")

    def __init__(self, start=1.0):
        self.start = start

    def build(self, in_shape):
        self.specs = [ParameterSpec("g", in_shape, "bias", f"constant:{self.start}")]
        return in_shape

    def forward(self, X, train):
        self.X = X
        return X * self.g

    def backward(self, dY, need_dX):
        np.sum(dY * self.X, axis=0, out=self.dg)
        return dY * self.g


class Sine(Activation):
    """sin(X)."""

    formula = "Y = sin(X)"
    gradient_formulas = ("dX = dY cos(X)",)

    def forward(self, X, train):
        self.X = X
        return np.sin(X)

    def backward(self, dY, need_dX):
        return dY * np.cos(self.X)


class LogCosh(Loss):
    """log cosh of the error, times a factor."""

    options = ("factor",)
    tasks = ("regression",)
    metric_name = "MAE"
    formula = "L = f log(cosh(z - y))"
    prediction_formula = "a = z"
    gradient_formula = "dZ = f tanh(Z - y) / (m k)"

    def __init__(self, factor=1.0):
        self.factor = factor

    def unreduced(self, Z, y):
        D = Z - y
        losses = np.logaddexp(D, -D) - np.log(np.array(2, D.dtype))
        return self.factor * losses, self.factor * np.tanh(D)

    def predictions(self, Z):
        return np.asarray(Z)

    def encode(self, y, n_out, dtype=np.float32):
        return np.asarray(y, dtype).reshape(-1, n_out)

    def metric_values(self, Z, y):
        return np.abs(Z - y)


class SignDescent(Optimizer):
    """Move each parameter by lr against the sign of its gradient."""

    def move(self, theta, grad, lr):
        np.sign(grad, out=self.scratch)
        self.scratch *= lr
        theta -= self.scratch


@pytest.fixture(autouse=True)
def registered():
    """Registered as a user would do it with a decorator, and taken out again."""
    tables = LAYERS, ACTIVATIONS, LOSSES, OPTIMIZERS
    before = [dict(table) for table in tables]
    for kind in (Scale, Sine):
        assert register(LAYERS)(kind) is kind
    register(ACTIVATIONS, "sine")(Sine)
    register(LOSSES)(LogCosh)
    register(OPTIMIZERS, "sign")(SignDescent)
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def network(n_in=2):
    return Sequential([Dense(5), Scale(1.5), Sine(), Dense(1)], n_in=n_in, seed=1)


def trained():
    schema = TableSchema.infer(FRAME[["x", "z"]])
    target = Target("regression", ("y",), (), (0.0,), (1.0,))
    model = Model(schema, target, network(), LogCosh(2.0))
    X = schema.transform(FRAME[["x", "z"]])
    optimizer = SignDescent(lr=0.003)
    history = fit(model.net, X, FRAME["y"], loss=model.loss, optimizer=optimizer, epochs=500)
    assert history.loss[-1] < 0.02 < 0.2 < history.loss[0]
    return model


def test_gradients_are_checked():
    X, y = np.random.default_rng(0).standard_normal((2, 5, 2))
    assert gradcheck(network(), LogCosh(0.5), X, y[:, 0]).ok


def test_it_trains_saves_and_loads(tmp_path):
    model = trained()
    model.save(tmp_path / "model.safetensors")
    again = Model.load(tmp_path / "model.safetensors")
    assert [type(layer) for layer in again.net.layers] == [Dense, Scale, Sine, Dense]
    assert again.net.layers[1].config() == {"start": 1.5}
    assert repr(again.loss) == "LogCosh(factor=2.0)"
    np.testing.assert_array_equal(again.predict(FRAME), model.predict(FRAME))


def test_it_is_explained():
    trace = explain(trained(), FRAME, row=3).trace
    assert [step.formula for step in trace.steps][1:3] == ["Y = g X", "Y = sin(X)"]
    formulas = {gradient.by: gradient.formula for gradient in trace.gradients}
    assert formulas["scale1.g"] == "dg = column sums of dY X"
    assert formulas["z1"] == "dX = g dY"
    assert formulas["z2"] == "dZ = f tanh(Z - y) / (m k)"
    assert trace.loss_formula == "L = f log(cosh(z - y)); factor = 2"
    assert trace.prediction_formula == "a = z"
    assert trace.ok
    assert trace.steps[1].code is not None
    assert trace.steps[1].code.text.startswith("self.X = X\n")


def test_it_is_known_by_name():
    assert [layer.name for layer in mlp(2, (3,), activation="sine").layers][1] == "sine1"
    model = train(FRAME, TrainConfig(target=("y",), loss="LogCosh", epochs=2)).model
    assert isinstance(model.loss, LogCosh)
    assert repr(OPTIMIZERS["sign"](0.1)) == "SignDescent(lr=0.1)"


@pytest.mark.parametrize("export", [to_onnx, to_python])
def test_export_refuses_unknown_layers(export):
    with pytest.raises(PlainnetError, match="layer 'scale1' is of the kind 'Scale', which this"):
        export(trained())
