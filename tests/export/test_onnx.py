"""ONNX files pass the checker, and ONNX Runtime gives the model's predictions from raw input."""

import json
import sys

import numpy as np
import onnx
import pandas as pd
import pytest

from export.models import convolutional_models
from export.runtimes import answers, numbers, session, untrained
from nn.cases import LAYERS
from plainnet import __version__
from plainnet.config import TrainConfig
from plainnet.data.columns import MISSING
from plainnet.data.images import ImageSchema
from plainnet.data.synthetic import introverts
from plainnet.data.targets import Target
from plainnet.errors import PlainnetError
from plainnet.export import onnx_graph
from plainnet.export.onnx import to_onnx
from plainnet.model import Model
from plainnet.nn import (
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    Layer,
    LayerNorm,
    ParameterSpec,
    ReLU,
    Sequential,
    Tanh,
)
from plainnet.nn.layers import LAYERS as KNOWN_LAYERS
from plainnet.training import train

FLAT = {name: make for name, (make, in_shape) in LAYERS.items() if len(in_shape) == 1} | {
    "Flatten": LAYERS["Flatten"][0]
}


FIXED = {name for name in FLAT if name.startswith(("Grouped", "Piecewise"))}  # numbers of inputs


def close(got, expected, within=1e-5):
    np.testing.assert_allclose(got, expected, rtol=within, atol=within)


# --- layers --------------------------------------------------------------------------------------


def test_cases_cover_all_layers():
    kinds = {type(make()).__name__ for make in FLAT.values()}
    nets = (model.net for model in convolutional_models().values())
    kinds |= {type(layer).__name__ for net in nets for layer in net.layers}
    assert kinds == set(KNOWN_LAYERS)


@pytest.mark.parametrize(("dtype", "within"), [(np.float32, 1e-5), (np.float64, 1e-8)])
@pytest.mark.parametrize("name", FLAT)
def test_each_layer(name, dtype, within):
    """Between two layers, near zero and far from it; ONNX options are float32."""
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.standard_normal((20, 3)), 40 * rng.standard_normal((20, 3))])
    frame = numbers(X, rng.standard_normal(40))
    n_in = LAYERS[name][1][0] if name in FIXED else 5
    model = untrained(frame, ["y"], [Dense(n_in), FLAT[name]()], dtype=dtype)
    expected = model.predict(frame)
    assert np.ptp(expected) > 0.1
    close(answers(model, frame)["prediction"], expected, within)


def raw(model):
    """Leave the numbers of a table unscaled."""
    for column in model.schema.columns:
        object.__setattr__(column, "mean", 0.0)
        object.__setattr__(column, "scale", 1.0)
    return model


@pytest.mark.parametrize("name", [name for name in FLAT if name != "GroupedDense"])  # of 4 inputs
def test_each_layer_first_and_at_extreme_inputs(name):
    edges = np.array([-1e4, -90.0, -10.5, -1e-3, 0.0, 1e-6, 1.0, 9.5, 90.0, 1e4])
    frame = numbers(np.stack([edges, edges[::-1], 0.5 * edges], axis=1), np.arange(10.0))
    model = raw(untrained(frame, ["y"], [FLAT[name]()]))
    close(answers(model, frame)["prediction"], model.predict(frame))


def test_batch_norm_is_accurate_far_from_zero():
    """A thousand standard deviations away, where an equivalent scale and shift lose digits."""
    rng = np.random.default_rng(0)
    frame = numbers(1000 + rng.standard_normal((30, 4)), rng.standard_normal(30))
    model = raw(untrained(frame, ["y"], [BatchNorm()]))
    model.net.params.views["batchnorm1.running_mean"][...] = 1000
    close(answers(model, frame)["prediction"], model.predict(frame), 1e-6)


def test_deep_network():
    frame = introverts(80)
    layers = [Dense(8), BatchNorm(), ReLU(), Dropout(0.5), Dense(6), LayerNorm(), Tanh()]
    model = untrained(frame, ["Personality"], layers)
    got = answers(model, frame)
    close(got["probabilities"][:, 1], model.predict_proba(frame)[:, 1])
    assert got["label"].tolist() == model.predict(frame).tolist()


# --- tasks ---------------------------------------------------------------------------------------


@pytest.fixture
def mixed():
    """Every kind of column with missing cells, and every kind of target."""
    rng = np.random.default_rng(1)
    m = 60

    def gaps(values):
        values = np.array(values, dtype=object)
        values[rng.random(m) < 0.15] = None
        return values

    return pd.DataFrame(
        {
            "id": np.arange(m),
            "city": gaps(rng.choice(["Oslo", "Bergen", "Zürich", "東京"], m)),
            "born": gaps(1.7e9 + rng.integers(0, 500, m)),
            "likes tea": gaps(rng.choice(["yes", "no"], m)),
            "height": rng.normal(170, 9, m),
            "sure": rng.choice(["on", "off"], m),
            "same": ["x"] * m,
            "ticked": ["x" if i % 3 else None for i in range(m)],
            "income": gaps(np.round(rng.lognormal(10, 1, m), 2)),
            "pass": rng.choice(["no", "yes"], m),
            "kind": rng.choice(["a", "b", "c"], m),
            "p": rng.integers(0, 2, m),
            "q": rng.integers(0, 2, m),
            "tags": rng.choice(["wet;cold", "wet", "cold", "dry"], m),
            "price": rng.normal(2e5, 3e4, m),
            "rent": rng.normal(900, 50, m),
        }
    )


TARGETS = {
    "binary": ["pass"],
    "multiclass": ["kind"],
    "multilabel": ["p", "q"],
    "multilabel of one column": ["tags"],
    "regression": ["price"],
    "regression of two": ["price", "rent"],
}
ALL_TARGETS = {name for names in TARGETS.values() for name in names}


def only(frame, targets):
    return frame.drop(columns=list(ALL_TARGETS - set(targets)))


@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS)
def test_every_task_from_raw_cells(mixed, targets):
    frame = only(mixed, targets)
    model = untrained(frame, targets, [Dense(7), Tanh()])
    got = answers(model, frame)
    labels = model.predict(frame)
    task = model.target.task
    assert task == next(name for name, t in TARGETS.items() if t == targets).split()[0]
    if task == "regression":
        assert list(got) == ["prediction"]
        close(got["prediction"], labels)
        return
    assert list(got) == ["label", "probabilities"]
    assert got["label"].tolist() == labels.tolist()
    assert len(np.unique(labels)) > 1
    close(got["probabilities"], model.predict_proba(frame))
    assert got["probabilities"].dtype == np.float32


def test_preprocessing_is_bit_identical(mixed):
    """A float64 identity network returns the preprocessed cells."""
    frame = only(mixed, ["price"])
    schema = untrained(frame, ["price"]).schema
    n = schema.n_features
    target = Target("regression", tuple(f"t{i}" for i in range(n)), (), (0.0,) * n, (1.0,) * n)
    net = Sequential([Dense(n, "zeros")], n_in=n, dtype=np.float64)
    net.params.views["dense1.W"][...] = np.eye(n)
    model = Model(schema, target, net, untrained(frame, ["price"]).loss)
    rows = schema.transform(frame)
    kinds = {column.kind for column in schema.columns}
    assert kinds == {"number", "category", "yesno", "indicator", "identifier", "constant"}
    assert sum(": missing" in name for name in schema.feature_names) == 5
    np.testing.assert_array_equal(answers(model, frame)["prediction"], rows.astype(np.float64))


def test_unseen_values(mixed):
    """Unknown text, new missing cells, all spellings of missing, and yes in all cases."""
    frame = only(mixed, ["pass"])
    model = untrained(frame, ["pass"], [Dense(7), Tanh()])
    spellings = [*sorted(MISSING), "Rome", "oslo", "Oslo", "Zürich", "x" * 300, "0"]
    choices = ["Yes", "yES", "Y", "tRUE", "T", "ON", "1", "No", "N", "FALSE", "f", "oFf", "0"]
    choices += ["maybe", "yes!", "1.0"]
    m = len(spellings) + len(choices)
    new = frame.sample(m, replace=True, random_state=0).reset_index(drop=True)
    new["city"] = spellings + ["Bergen"] * len(choices)
    new["likes tea"] = new["sure"] = ["no"] * len(spellings) + choices
    new.loc[::7, "height"] = np.nan
    new.loc[::5, "ticked"] = "another"
    probabilities = model.predict_proba(new)[:, 1]
    close(answers(model, new)["probabilities"][:, 1], probabilities)
    assert len(np.unique(model.preprocess(new)[:, model.schema.feature_names.index("sure")])) == 2


@pytest.mark.parametrize("columns", [["height"], ["city"], ["likes tea"], ["income", "born"]])
def test_tables_of_few_columns(mixed, columns):
    frame = mixed[[*columns, "pass"]]
    model = untrained(frame, ["pass"], [Dense(3), Tanh()])
    close(answers(model, frame)["probabilities"][:, 1], model.predict_proba(frame)[:, 1])


def test_column_names_may_equal_graph_names():
    rng = np.random.default_rng(0)
    names = ["label", "probabilities", "dense1/W", "table/Concat", "answer/Sigmoid", "x y=1"]
    frame = pd.DataFrame(rng.standard_normal((20, 6)), columns=names)
    frame["y"] = rng.integers(0, 2, 20)
    model = untrained(frame, ["y"])
    got = answers(model, frame)
    assert list(got) == ["label_2", "probabilities_2"]
    close(got["probabilities_2"][:, 1], model.predict_proba(frame)[:, 1])


def test_unnamed_column_gets_another_input_name():
    frame = pd.DataFrame({"": [1.0, 2.0, 4.0], "y": ["a", "b", "a"]})
    model = untrained(frame, ["y"])
    content = to_onnx(model)
    running = session(content)
    (port,) = running.get_inputs()
    found = running.run(["probabilities"], {port.name: np.array([[1.0], [2.0], [4.0]])})[0]
    close(found[:, 1], model.predict_proba(frame)[:, 1])
    metadata = running.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["inputs"]) == {port.name: ""}


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("targets", [["pass"], ["kind"], ["p", "q"], ["price"]])
def test_invalid_number_gives_nan(mixed, value, targets):
    frame = only(mixed, targets)
    model = untrained(frame, targets, [Dense(4), ReLU()])
    bad = frame.copy()
    bad.loc[1, "height"] = value
    with pytest.raises(PlainnetError):
        model.predict(bad)
    numeric = list(answers(model, bad).values())[-1]
    assert np.isnan(numeric[1]).all()
    assert np.isfinite(np.delete(numeric, 1, axis=0)).all()


def test_raw_pictures():
    rng = np.random.default_rng(4)
    schema = ImageSchema(5, (100.0, 120.5, 90.0), (50.0, 61.2, 70.1))
    target = Target("binary", ("class",), ("bears", "pandas"))
    net = Sequential([Dense(6), ReLU(), Dense(1)], n_in=75, seed=2)
    model = Model(schema, target, net, BinaryCrossEntropy())
    X = rng.integers(0, 256, (30, 5, 5, 3), np.uint8)
    content = to_onnx(model)
    onnx.checker.check_model(content, full_check=True)
    label, probabilities = session(content).run(None, {"pictures": X})
    close(probabilities[:, 1], model.predict_proba(X)[:, 1])
    assert label.tolist() == model.predict(X).tolist()
    assert set(label) == {"bears", "pandas"}


@pytest.mark.parametrize("name", convolutional_models())
def test_convolutional_networks(name):
    model = convolutional_models()[name]
    size = model.schema.size
    X = np.random.default_rng(2).integers(0, 256, (30, size, size, 3), np.uint8)
    content = to_onnx(model)
    onnx.checker.check_model(content, full_check=True)
    label, probabilities = session(content).run(None, {"pictures": X})
    expected = model.predict_proba(X)
    assert np.ptp(expected, axis=0).max() > 0.02
    close(probabilities, expected)
    assert label.tolist() == model.predict(X).tolist()
    assert session(content).run(None, {"pictures": X[:0]})[1].shape == (0, expected.shape[1])


def test_any_number_of_rows(mixed):
    frame = only(mixed, ["pass"])
    model = untrained(frame, ["pass"])
    assert answers(model, frame[:1])["label"].shape == (1,)
    assert answers(model, frame[:0])["probabilities"].shape == (0, 2)


def test_real_rows(shared_data):
    frame = pd.read_csv(shared_data / "introverts.csv")
    model = train(frame, TrainConfig(target=("Personality",), epochs=2)).model
    got = answers(model, frame)
    close(got["probabilities"][:, 1], model.predict_proba(frame)[:, 1])
    assert (got["label"] == model.predict(frame)).all()


# --- the file ------------------------------------------------------------------------------------


def test_versions_and_metadata(mixed):
    model = untrained(only(mixed, ["pass"]), ["pass"])
    content = to_onnx(model)
    proto = onnx.load_model_from_string(content)
    assert proto.ir_version == 8
    assert {o.domain: o.version for o in proto.opset_import} == {"": 17, "ai.onnx.ml": 3}
    assert (proto.producer_name, proto.producer_version) == ("plainnet", __version__)
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    assert (metadata["plainnet_version"], metadata["task"]) == (__version__, "binary")
    assert json.loads(metadata["classes"]) == ["no", "yes"]
    assert json.loads(metadata["targets"]) == ["pass"]
    assert json.loads(metadata["features"]) == list(model.schema.feature_names)
    assert json.loads(metadata["inputs"])["city"] == "city"
    assert json.loads(metadata["schema"]) == json.loads(json.dumps(model.schema.to_json()))
    assert "id" not in json.loads(metadata["inputs"])
    assert "NaN" in next(port.doc_string for port in proto.graph.input if port.name == "height")


def test_numeric_tables_need_no_ml_operators(mixed):
    proto = onnx.load_model_from_string(to_onnx(untrained(mixed[["height", "price"]], ["price"])))
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 17)]
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(metadata["targets"]) == ["price"]
    assert json.loads(metadata["target"])["mean"] == [pytest.approx(mixed["price"].mean())]


def test_same_model_gives_the_same_bytes(mixed):
    frame = only(mixed, ["kind"])
    first = to_onnx(untrained(frame, ["kind"]))
    assert first == to_onnx(untrained(frame, ["kind"]))
    assert first != to_onnx(untrained(frame, ["kind"], seed=1))


# --- what cannot be ------------------------------------------------------------------------------


class Scale(Layer):
    def build(self, in_shape):
        self.specs = [ParameterSpec("g", in_shape, "bias", "ones")]
        return in_shape

    def forward(self, X, train):
        return X * self.g

    def backward(self, dY, need_dX):
        return dY


def test_unknown_layer_raises(mixed):
    frame = only(mixed, ["pass"])
    model = untrained(frame, ["pass"], [Dense(2), Scale()])
    with pytest.raises(PlainnetError) as caught:
        to_onnx(model)
    assert str(caught.value) == (
        "layer 'scale1' is of the kind 'Scale', which this export does not support: it supports "
        "Dense, GroupedDense, PiecewiseLinear, Conv2D, MaxPool2D, AveragePool2D, "
        "GlobalAveragePool2D, Flatten, BatchNorm, LayerNorm, ReLU, LeakyReLU, ELU, GELU, SiLU, "
        "Tanh, Sigmoid, Softplus, Dropout, SpatialDropout, Identity"
    )


def test_missing_onnx_raises(mixed, monkeypatch):
    model = untrained(only(mixed, ["pass"]), ["pass"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(PlainnetError) as caught:
        to_onnx(model)
    assert str(caught.value) == (
        "writing an ONNX file needs the library onnx, which is not installed: "
        "pip install 'plainnet[onnx]'"
    )


def test_network_too_large_for_onnx_raises(mixed, monkeypatch):
    monkeypatch.setattr(onnx_graph, "LIMIT", 1000)
    model = untrained(only(mixed, ["pass"]), ["pass"], [Dense(100)])
    with pytest.raises(PlainnetError, match=r"at most 1,000 bytes of numbers, and this network"):
        to_onnx(model)
