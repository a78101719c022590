"""Sequential and mlp: construction, configurations, and rejection of hostile configurations."""

import contextlib
import copy
import itertools
import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import plainnet.nn
from plainnet.errors import PlainnetError
from plainnet.nn import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Identity,
    LayerNorm,
    MeanSquaredError,
    ReLU,
    Sequential,
    Tanh,
    mlp,
)
from plainnet.nn.layers import LAYERS
from plainnet.train.fit import fit


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# --- construction --------------------------------------------------------------------------------


@given(
    n_in=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 5), max_size=4),
    n_out=st.integers(1, 4),
    m=st.integers(0, 4),
    norms=st.tuples(st.booleans(), st.booleans()),
)
def test_any_depth_and_width(n_in, hidden, n_out, m, norms):
    batch_norm, layer_norm = norms
    net = mlp(n_in, hidden, n_out, batch_norm=batch_norm, layer_norm=layer_norm, dropout=0.2)
    widths = [n_in, *hidden, n_out]
    weights = sum(a * b for a, b in itertools.pairwise(widths))
    assert net.params.decaying().sum() == weights
    per_unit = 1 + 2 * batch_norm + 2 * layer_norm
    assert net.params.grad.size == weights + per_unit * sum(hidden) + n_out
    assert net.params.theta.size == net.params.grad.size + 2 * batch_norm * sum(hidden)
    assert net.predict_logits(normals(m, n_in)).shape == (m, n_out)
    assert net.n_out == n_out
    assert sum(row.n_params for row in net.summary()) == net.params.grad.size


def test_mlp_layer_order():
    net = mlp(
        (2, 2, 3),
        (4, 5),
        2,
        activation=("tanh", "gelu"),
        batch_norm=True,
        layer_norm=True,
        dropout=0.3,
    )
    kinds = ["Dense", "BatchNorm", "LayerNorm", None, "Dropout"]
    expected = ["Flatten", *(k or "Tanh" for k in kinds), *(k or "GELU" for k in kinds), "Dense"]
    assert [type(layer).__name__ for layer in net.layers] == expected
    assert [row.name for row in net.summary()][:6] == [
        "flatten1",
        "dense1",
        "batchnorm1",
        "layernorm1",
        "tanh1",
        "dropout1",
    ]
    assert net.layers[-1].name == "dense3"
    assert {d.rate for d in net.layers if isinstance(d, Dropout)} == {0.3}


def test_every_mlp_option_changes_the_network():
    X = normals(3, 4)
    plain = mlp(4, (5,), 2).forward(X, train=True).copy()
    for options in (
        {"activation": "tanh"},
        {"init": "xavier_normal"},
        {"dropout": 0.5},
        {"batch_norm": True},
        {"layer_norm": True},
        {"seed": 1},
        {"hidden": (5, 5)},
    ):
        other = mlp(**{"n_in": 4, "hidden": (5,), "n_out": 2, **options})
        assert not np.allclose(other.forward(X, train=True), plain), options
    assert mlp(4, (5,), 2, dtype=np.float64).forward(X).dtype == np.float64
    assert mlp(4, (5,), 3).n_out == 3


def test_mlp_without_hidden_layers_is_logistic_regression():
    net = mlp(3, (), 1, dtype=np.float64)
    X = normals(4, 3)
    W, b = net.params.views["dense1.W"], net.params.views["dense1.b"]
    np.testing.assert_allclose(net.predict_logits(X), X @ W.T + b, rtol=1e-14)


def test_sequential_uses_the_given_layers():
    first, last = Dense(3), Dense(1)
    net = Sequential([first, ReLU(), last], n_in=2)
    assert net.layers[0] is first
    assert (first.name, last.name, last.out_shape) == ("dense1", "dense2", (1,))
    assert np.shares_memory(first.W, net.params.theta)
    fit(net, np.eye(2), [0.0, 1.0], loss=MeanSquaredError(), epochs=2)
    np.testing.assert_array_equal(first.W, net.params.views["dense1.W"])
    assert np.shares_memory(first.W, net.params.theta)
    assert net.layers[0] is first


def test_layer_used_twice_raises():
    same = ReLU()
    with pytest.raises(PlainnetError) as error:
        Sequential([Dense(2), same, Dense(2), same], n_in=2)
    assert str(error.value) == (
        "layer 4, ReLU(), can be used only once, but it is given twice: "
        "make a new layer, or pass layer.copy()"
    )
    layers = [Dense(3), same, Dense(1)]
    a = Sequential(layers, n_in=2)
    with pytest.raises(PlainnetError) as error:
        Sequential(layers, n_in=4)
    assert str(error.value) == (
        "layer 1, Dense(n_out=3, init='he_normal'), can be used only once, but a network uses it "
        "as 'dense1': make a new layer, or pass layer.copy()"
    )
    b = Sequential([layer.copy() for layer in layers], n_in=4)
    assert a.params.views["dense1.W"].shape == (3, 2)
    assert b.params.views["dense1.W"].shape == (3, 4)


def test_layer_is_usable_after_a_failed_construction():
    layer = Dense(2)
    with pytest.raises(PlainnetError, match="put Flatten"):
        Sequential([layer], n_in=(2, 2))
    assert Sequential([layer], n_in=2).layers[0] is layer


def test_release_forgets_the_batch_but_no_options():
    class Tagged(Activation):
        def __init__(self):
            self.tag = "mine"

        def forward(self, X, train):
            self.X = X
            return X

        def backward(self, dY, need_dX):
            return dY

    net = Sequential([Tagged()], n_in=2)
    net.forward(np.ones((3, 2)))
    net.release()
    assert net.layers[0].tag == "mine"
    assert net.layers[0].X.shape == (0, 2)


@pytest.mark.parametrize(
    "net",
    [
        mlp(3, (4,), 2, activation="leaky_relu", dropout=0.25, batch_norm=True, init="normal:0.5"),
        mlp((2, 2, 3), hidden=(3,), layer_norm=True, dtype=np.float64),
    ],
)
def test_network_repr_evaluates_to_the_network(net):
    text = repr(net)
    again = eval(text, vars(plainnet.nn))
    assert again.config() == net.config()
    assert repr(again) == text


def test_backward_takes_lists():
    net = mlp(2, hidden=())
    net.forward([[1, 2], [3, 4]])
    net.backward([[1], [10]])
    grad = net.params.grad.copy()
    net.backward(np.array([[1.0], [10.0]]))
    np.testing.assert_array_equal(net.params.grad, grad)


def test_names_with_two_digits_are_distinct():
    net = Sequential([Dense(2) for _ in range(11)], n_in=2)
    net.params.theta[...] = 0
    net.params.views["dense11.W"][...] = 7
    assert not net.layers[0].W.any()
    assert (net.layers[10].W == 7).all()
    assert [row.n_params for row in net.summary()] == [6] * 11


def test_seed_or_generator():
    a, b = mlp(3, seed=5), mlp(3, seed=np.random.default_rng(5))
    assert a.params.theta.tobytes() == b.params.theta.tobytes()
    rng = np.random.default_rng(5)
    first, second = mlp(3, seed=rng), mlp(3, seed=rng)
    assert not np.array_equal(first.params.theta, second.params.theta)


def test_dropout_uses_its_own_generator():
    """Draws from the caller's generator after construction do not change the masks."""
    rngs = [np.random.default_rng(1) for _ in range(2)]
    nets = [mlp(8, dropout=0.5, seed=rng) for rng in rngs]
    rngs[0].random(100)
    X = normals(5, 8)
    assert nets[0].forward(X, train=True).tobytes() == nets[1].forward(X, train=True).tobytes()


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_copies_of_networks_with_any_generator(kind):
    net = mlp(6, dropout=0.5, seed=np.random.Generator(kind(3)), dtype=np.float64)
    X = normals(4, 6)
    net.forward(X, train=True)
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.astype(np.float64)):
        twin = copy.deepcopy(net)
        for _ in range(2):
            assert twin.forward(X, train=True).tobytes() == again.forward(X, train=True).tobytes()


def test_networks_may_share_a_generator():
    net, twin = (mlp(6, (8, 8), dropout=0.5, dtype=np.float64) for _ in range(2))
    rng, X = np.random.default_rng(7), normals(4, 6)
    net.set_rng(rng)
    assert all(layer.rng is rng for layer in net.layers)
    twin.set_rng(np.random.default_rng(7))
    assert net.forward(X, train=True).tobytes() == twin.forward(X, train=True).tobytes()
    assert rng.bit_generator.state == twin.rng.bit_generator.state
    assert rng.bit_generator.state != np.random.default_rng(7).bit_generator.state


def test_copy_has_an_independent_generator():
    net = mlp(6, dropout=0.5)
    state = net.rng.bit_generator.state
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.astype(np.float64)):
        again.forward(normals(4, 6), train=True)
        assert net.rng.bit_generator.state == state


def test_pickle_stores_parameters_once_without_buffers():
    net = mlp(100, (50,), 10)
    net.forward(normals(500, 100), train=True)
    assert len(pickle.dumps(net)) < net.params.theta.nbytes + 3000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential([], 3), "a network needs at least one layer, got none"),
        (
            lambda: Sequential(["relu"], 3),
            "a network is made of layers such as Dense(8), got 'relu'",
        ),
        (
            lambda: Sequential([ReLU], 3),
            "a network is made of layers such as Dense(8), "
            "got <class 'plainnet.nn.activations.ReLU'>",
        ),
        (
            lambda: Sequential([ReLU()], 0),
            "Sequential: n_in must be a whole number of at least 1, got 0",
        ),
        (
            lambda: Sequential([ReLU()], (4, -1)),
            "Sequential: n_in must be a whole number of at least 1, got -1",
        ),
        (
            lambda: Sequential([ReLU()], 2.5),
            "Sequential: n_in must be a whole number of at least 1, got 2.5",
        ),
        (
            lambda: Sequential([BatchNorm()], ()),
            "Sequential: n_in must have at least one dimension, got ()",
        ),
        (
            lambda: Sequential([ReLU()], 3, dtype=np.float16),
            "a network computes in float32 or float64, not in float16",
        ),
        (
            lambda: Sequential([ReLU()], 3, dtype=int),
            "a network computes in float32 or float64, not in int64",
        ),
        (
            lambda: mlp(3, 8),
            "mlp: hidden must be a sequence such as (8, 8), got 8",
        ),
        (
            lambda: mlp(3, (8, 0)),
            "Dense: n_out must be a whole number of at least 1, got 0",
        ),
        (
            lambda: mlp(3, (8, 8), activation=("relu",)),
            "mlp has 2 hidden layers but 1 activations: give one name, or one for each",
        ),
        (
            lambda: mlp(3, (), dropout=7),
            "Dropout: rate must be a number in [0, 1), got 7",
        ),
        (
            lambda: mlp(3, n_out=-1),
            "Dense: n_out must be a whole number of at least 1, got -1",
        ),
        (
            lambda: mlp(3).predict_logits(np.zeros((2, 3)), batch_size=0),
            "predict: batch_size must be a whole number of at least 1, got 0",
        ),
        (
            lambda: mlp(3).predict_logits(np.zeros((2, 3)), batch_size=-1),
            "predict: batch_size must be a whole number of at least 1, got -1",
        ),
        (
            lambda: Sequential([ReLU()], (2, 2)).n_out,
            "the last layer 'relu1' gives shape (2, 2): put Flatten() and Dense() after it",
        ),
    ],
)
def test_invalid_networks_raise(make, message):
    with pytest.raises(PlainnetError) as error:
        make()
    assert str(error.value) == message


@pytest.mark.parametrize(
    "options", [{"activation": "rely"}, {"init": "hay"}, {"hidden": (), "activation": "rely"}]
)
def test_misspelled_unused_name_raises(options):
    with pytest.raises(PlainnetError, match=r"^unknown (activation|initializer)"):
        mlp(3, **options)


# --- prediction ----------------------------------------------------------------------------------


def test_transform_is_called_per_batch():
    net, received = mlp(3, dtype=np.float64), []

    def halve(batch):
        received.append((len(batch), batch.dtype))
        return batch / 2

    X = np.arange(21, dtype=np.uint8).reshape(7, 3)
    got = net.predict_logits(X, batch_size=3, transform=halve)
    np.testing.assert_allclose(got, net.predict_logits(X / 2), rtol=1e-14)
    assert received == [(3, np.uint8), (3, np.uint8), (1, np.uint8)]


def test_transform_with_wrong_output_shape_raises():
    with pytest.raises(PlainnetError) as error:
        mlp(3).predict_logits(np.zeros((4, 2, 2)), transform=lambda batch: batch.reshape(-1, 4))
    assert str(error.value) == "Dense 'dense1' expects 3 inputs, got 4"


@pytest.mark.parametrize("layer", [Identity(), Flatten(), Dropout(0.5), ReLU(), Dense(2)], ids=str)
def test_predictions_share_no_memory_with_rows(layer):
    net = Sequential([layer.copy()], 2)
    X = np.abs(normals(3, 4)).astype(np.float32)
    for rows in (X[:, :2].copy(), X[:, :2]):
        Z = net.predict_logits(rows)
        assert not np.shares_memory(Z, rows)
        assert not np.shares_memory(Z, net.params.theta)
        if not isinstance(layer, Dense):
            np.testing.assert_array_equal(Z, rows)


def test_summary_of_a_picture_network():
    net = Sequential([BatchNorm(), Flatten(), Dense(4), LayerNorm(), Tanh(), Dense(2)], (4, 4, 3))
    rows = [tuple(row) for row in net.summary()]
    assert rows == [
        ("batchnorm1", "BatchNorm", (4, 4, 3), 6),
        ("flatten1", "Flatten", (48,), 0),
        ("dense1", "Dense", (4,), 196),
        ("layernorm1", "LayerNorm", (4,), 8),
        ("tanh1", "Tanh", (4,), 0),
        ("dense2", "Dense", (2,), 10),
    ]
    lines = str(net).splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters"]
    assert lines[-1].split() == ["total", "220"]
    assert len({len(line) for line in lines}) == 1


def test_summary_has_no_side_effects():
    net = mlp(3, dropout=0.5, batch_norm=True)
    X = normals(4, 3)
    before = net.predict_logits(X)
    net.summary()
    str(net)
    np.testing.assert_array_equal(net.predict_logits(X), before)
    assert np.shares_memory(net.layers[0].W, net.params.theta)


# --- configurations ------------------------------------------------------------------------------


GOOD = mlp(3, (4,), 2, activation="elu", dropout=0.2, batch_norm=True).config()
DENSE = {"kind": "Dense", "n_out": 2, "init": "he_normal"}


def test_configuration_and_arrays_restore_the_network():
    net = mlp(3, (4,), 2, batch_norm=True, dropout=0.2, seed=9)
    net.forward(normals(5, 3), train=True)
    same = Sequential.from_config(json.loads(json.dumps(net.config())), net.params.views)
    assert same.params.theta.tobytes() == net.params.theta.tobytes()
    assert not np.shares_memory(same.params.theta, net.params.theta)
    assert all(np.shares_memory(v, same.params.theta) for v in same.params.views.values())
    for name in net.params.views:
        wrong = {k: v for k, v in net.params.views.items() if k != name}
        with pytest.raises(PlainnetError, match="missing or too many"):
            Sequential.from_config(net.config(), wrong)
        with pytest.raises(PlainnetError, match=f"parameter '{name}' has shape "):
            Sequential.from_config(net.config(), {**net.params.views, name: np.zeros((9, 9))})


def test_false_configuration_allocates_no_memory(monkeypatch):
    """A file of a few bytes may declare a billion units that its arrays do not have."""
    made, zeros = [], np.zeros
    monkeypatch.setattr(np, "zeros", lambda *a, **k: made.append(a) or zeros(*a, **k))
    layers = [{"kind": "Dense", "n_out": 2**26, "init": "orthogonal"}]
    config = {"in_shape": [8], "dtype": "float32", "layers": layers}
    arrays = {"dense1.W": np.ones((2, 8)), "dense1.b": np.ones(2)}
    with pytest.raises(PlainnetError) as error:
        Sequential.from_config(config, arrays)
    assert str(error.value) == (
        "parameter 'dense1.W' has shape (67108864, 8), got an array of shape (2, 8)"
    )
    assert made == []


def with_layer(**changes):
    return {**GOOD, "in_shape": [3], "layers": [{**DENSE, **changes}]}


HOSTILE = {
    "none": None,
    "text": "network",
    "list": [GOOD],
    "number": 3,
    "empty": {},
    "no layers": {k: v for k, v in GOOD.items() if k != "layers"},
    "no dtype": {k: v for k, v in GOOD.items() if k != "dtype"},
    "no in_shape": {k: v for k, v in GOOD.items() if k != "in_shape"},
    "one more entry": {**GOOD, "hook": "os.system"},
    "entry not text": {**GOOD, 5: 5},
    "layers none": {**GOOD, "layers": None},
    "layers text": {**GOOD, "layers": "abc"},
    "layers dict": {**GOOD, "layers": {"kind": "Dense"}},
    "layers empty": {**GOOD, "layers": []},
    "layer none": {**GOOD, "layers": [None]},
    "layer text": {**GOOD, "layers": ["Dense"]},
    "layer list": {**GOOD, "layers": [["kind", "Dense"]]},
    "layer empty": {**GOOD, "layers": [{}]},
    "layer without kind": {**GOOD, "layers": [{"n_out": 2, "init": "zeros"}]},
    "kind unknown": with_layer(kind="Conv"),
    "kind abstract": with_layer(kind="Layer"),
    "kind number": with_layer(kind=7),
    "kind list": with_layer(kind=["Dense"]),
    "kind none": with_layer(kind=None),
    "kind dunder": with_layer(kind="__class__"),
    "option missing": {**GOOD, "layers": [{"kind": "Dense", "n_out": 2}]},
    "option too many": with_layer(self=1),
    "option not text": {**GOOD, "layers": [{**DENSE, 3: 4}]},
    "n_out text": with_layer(n_out="8"),
    "n_out none": with_layer(n_out=None),
    "n_out float": with_layer(n_out=8.0),
    "n_out nan": with_layer(n_out=math.nan),
    "n_out bool": with_layer(n_out=True),
    "n_out zero": with_layer(n_out=0),
    "n_out negative": with_layer(n_out=-(10**20)),
    "n_out list": with_layer(n_out=[2]),
    "n_out 10**12": with_layer(n_out=10**12),
    "n_out 2**62": with_layer(n_out=2**62),
    "n_out 10**19": with_layer(n_out=10**19),
    "n_out 10**400": with_layer(n_out=10**400),
    "init number": with_layer(init=5),
    "init none": with_layer(init=None),
    "init list": with_layer(init=["zeros"]),
    "init unknown": with_layer(init="__import__"),
    "init nan": with_layer(init="constant:nan"),
    "rate nan": {**GOOD, "layers": [{"kind": "Dropout", "rate": math.nan}]},
    "rate one": {**GOOD, "layers": [{"kind": "Dropout", "rate": 1}]},
    "rate text": {**GOOD, "layers": [{"kind": "Dropout", "rate": "0.5"}]},
    "rate list": {**GOOD, "layers": [{"kind": "Dropout", "rate": [0.5]}]},
    "eps zero": {**GOOD, "layers": [{"kind": "LayerNorm", "eps": 0}]},
    "momentum": {**GOOD, "layers": [{"kind": "BatchNorm", "momentum": 2, "eps": 1e-5}]},
    "alpha beyond floats": {**GOOD, "layers": [{"kind": "ELU", "alpha": 10**400}]},
    "alpha infinite": {**GOOD, "layers": [{"kind": "ELU", "alpha": math.inf}]},
    "in_shape none": {**GOOD, "in_shape": None},
    "in_shape number": {**GOOD, "in_shape": 3},
    "in_shape text": {**GOOD, "in_shape": "3"},
    "in_shape empty": {**GOOD, "in_shape": []},
    "in_shape empty, batch norm": {
        **GOOD,
        "in_shape": [],
        "layers": [{"kind": "BatchNorm", "momentum": 0.1, "eps": 1e-5}],
    },
    "in_shape zero": {**GOOD, "in_shape": [0]},
    "in_shape negative": {**GOOD, "in_shape": [-3]},
    "in_shape nested": {**GOOD, "in_shape": [[3]]},
    "in_shape float": {**GOOD, "in_shape": [3.0]},
    "in_shape too deep for Dense": {**GOOD, "in_shape": [3, 3]},
    "in_shape huge": {
        **GOOD,
        "in_shape": [10**6, 10**6, 10**6],
        "layers": [{"kind": "Flatten"}, DENSE],
    },
    "dtype none": {**GOOD, "dtype": None},
    "dtype unknown": {**GOOD, "dtype": "float99"},
    "dtype integer": {**GOOD, "dtype": "int64"},
    "dtype object": {**GOOD, "dtype": "O"},
    "dtype half": {**GOOD, "dtype": "float16"},
    "dtype compound": {**GOOD, "dtype": [["a", "f4"]]},
    "dtype swapped": {**GOOD, "dtype": ">f4"},
    "dtype strange": {**GOOD, "dtype": "f4,,"},
}


@pytest.mark.parametrize("config", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("arrays", [None, {}])
def test_hostile_configuration_raises_in_one_sentence(config, arrays):
    with pytest.raises(PlainnetError) as error:
        Sequential.from_config(config, arrays)
    message = str(error.value)
    assert message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "text",
            "the description of a network has the entries ['dtype', 'in_shape', 'layers'], "
            "got 'network'",
        ),
        (
            "no dtype",
            "the description of a network has the entries ['dtype', 'in_shape', 'layers'], "
            "got ['in_shape', 'layers']",
        ),
        (
            "option too many",
            "layer Dense has the entries ['init', 'kind', 'n_out'], "
            "got ['init', 'kind', 'n_out', 'self']",
        ),
        ("n_out text", "Dense: n_out must be a whole number of at least 1, got '8'"),
        (
            "n_out 10**12",
            "the network would have 4000000000000 parameters, more than the 1073741824 allowed: "
            "take fewer inputs or units",
        ),
        ("in_shape number", "in_shape of a network must be a list, got 3"),
        ("dtype half", "a network computes in float32 or float64, got 'float16'"),
        ("kind unknown", f"unknown layer 'Conv': expected one of {', '.join(LAYERS)}"),
    ],
)
def test_error_states_expected_and_actual_value(name, message):
    with pytest.raises(PlainnetError) as error:
        Sequential.from_config(HOSTILE[name])
    assert str(error.value) == message


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 6)
    | st.floats(width=32)
    | st.sampled_from(["Dense", "ReLU", "Dropout", "zeros", "float32", "kind", "n_out", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "n_out", "init", "rate", "layers", "dtype", "in_shape", "alpha"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    layers=json_values | st.lists(json_values, max_size=3),
    in_shape=json_values | st.lists(st.integers(-1, 4), max_size=3),
    dtype=st.sampled_from(["float32", "float64"]) | json_values,
)
def test_arbitrary_json_gives_a_network_or_an_error(layers, in_shape, dtype):
    try:
        net = Sequential.from_config({"layers": layers, "in_shape": in_shape, "dtype": dtype})
    except PlainnetError:
        pass
    else:
        assert net.config()["layers"] == layers


@given(data=st.data())
def test_mutated_configuration_gives_a_network_or_an_error(data):
    config = copy.deepcopy(GOOD)
    layer = data.draw(st.sampled_from(config["layers"]))
    key = data.draw(st.sampled_from(sorted(layer)))
    layer[key] = data.draw(json_values)
    with contextlib.suppress(PlainnetError):
        Sequential.from_config(config)


def test_threads_sharing_a_network_get_separate_outputs():
    net, rows = mlp(30, (64, 64), seed=1), [normals(700, 30, seed=k) for k in range(3)]
    expected = [net.predict_logits(X) for X in rows]

    def differ(k):
        return sum(not np.array_equal(net.predict_logits(rows[k]), expected[k]) for _ in range(200))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(differ, range(3))) == [0, 0, 0]
