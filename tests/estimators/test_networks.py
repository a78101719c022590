"""The networks of the estimators: tabular and convolutional ones, and their model files."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plainnet import Model, NetClassifier, NetRegressor, PlainnetError
from plainnet.nn import Conv2D, GroupedDense, PiecewiseLinear

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
TWO = np.where(np.abs(X[:, 0]) > 0.7, "far", "near")
THREE = RNG.permutation(90) % 3
NUMBER = 100 + 20 * np.abs(X[:, 0])
PICTURES = (255 * RNG.random((40, 6, 6, 3))).astype(np.uint8)
PICTURES[:20] //= 4
DARK = np.repeat(["dark", "light"], 20)
QUICK = {"hidden": (8, 8), "members": 3, "epochs": 4}
SMALL = {"network": "convnet", "channels": (4,), "epochs": 30}


def test_tabular_is_one_network_better_than_a_line():
    x, y = load_wine(return_X_y=True)
    net = NetClassifier(network="tabular", random_state=1)
    assert cross_val_score(net, x, y, cv=3).mean() > 0.95
    kinds = [type(layer) for layer in net.fit(x, y).net_.layers]
    assert kinds[0] is PiecewiseLinear
    assert GroupedDense in kinds
    assert net.net_.dtype == np.float32
    assert len(net.history_.val_loss) == net.n_iter_
    a, b = load_diabetes(return_X_y=True)
    quick = {"hidden": (32, 32), "epochs": 40}
    assert cross_val_score(NetRegressor(network="tabular", **quick), a, b, cv=3).mean() > 0.35


def test_convnet_reads_digits():
    digits, y = load_digits(return_X_y=True)
    digits = digits.reshape(-1, 8, 8, 1)
    net = NetClassifier(network="convnet", channels=(8, 16), epochs=12, dropout=0.0, augment=())
    train, test = np.arange(1797) % 3 > 0, np.arange(1797) % 3 == 0
    net.fit(digits[train], y[train])
    assert net.score(digits[test], y[test]) > 0.92
    assert any(isinstance(layer, Conv2D) for layer in net.net_.layers)


@pytest.mark.parametrize(
    ("rows", "options", "kind"),
    [(X, {}, PiecewiseLinear), (X, {"hidden": (4,)}, None), (X[:15], {}, None),
     (PICTURES, {"epochs": 1}, Conv2D)],
)  # fmt: skip
def test_auto_chooses_as_the_command_line_does(rows, options, kind):
    y = TWO[:15] if len(rows) == 15 else DARK if rows is PICTURES else TWO
    net = NetClassifier(network="auto", **options).fit(rows, y)
    first = net.net_.layers[0]
    assert isinstance(first, kind) if kind else first.name == "dense1"


CHANGES = {
    "tabular": {"members": 4, "hidden": (9, 8), "dropout": 0.5, "batch_size": 16, "patience": 0,
                "init": "xavier_normal", "lr": 0.1, "epochs": 5},
    "convnet": {"channels": (5,), "kernel": 2, "augment": ("flip",), "dropout": 0.0, "lr": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("network", CHANGES)
def test_every_parameter_changes_something_and_the_seed_nothing(network):
    rows, y = (X, TWO) if network == "tabular" else (PICTURES, DARK)
    plain = (QUICK | {"epochs": 20, "lr": 0.05}) if network == "tabular" else SMALL | {"epochs": 3}
    plain = plain | {"network": network}

    def probabilities(**changed):
        return NetClassifier(**plain | changed).fit(rows, y).predict_proba(rows)

    expected = probabilities()
    np.testing.assert_array_equal(probabilities(), expected)
    for name, value in CHANGES[network].items():
        assert not np.array_equal(probabilities(**{name: value}), expected), name


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_pictures_may_be_bytes_or_numbers(dtype):
    net = NetClassifier(**SMALL).fit(PICTURES.astype(dtype), DARK)
    assert net.score(PICTURES.astype(dtype), DARK) == 1
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(PICTURES), net.predict_proba(PICTURES))
    light = PICTURES.mean(axis=(1, 2, 3))
    bright = NetRegressor(**SMALL, dropout=0.0).fit(PICTURES.astype(dtype), light)
    assert bright.score(PICTURES.astype(dtype), light) > 0.5


def test_grid_search_over_the_network_in_a_pipeline():
    grid = {"netclassifier__network": ["mlp", "tabular"]}
    pipe = make_pipeline(StandardScaler(), NetClassifier(**QUICK, lr=0.01))
    search = GridSearchCV(pipe, grid, cv=2).fit(X, TWO)
    assert len(search.cv_results_["mean_test_score"]) == 2
    assert search.best_estimator_.predict(X).shape == (90,)


MODELS = {
    "mlp": (NetClassifier((8,), epochs=5), X, TWO),
    "float32": (NetClassifier((8,), epochs=5), X.astype(np.float32), THREE),
    "unscaled": (NetClassifier((8,), epochs=5, standardize=False), X, THREE),
    "labels": (NetClassifier((8,), epochs=5), X, (X[:, :2] > 0) * 1),
    "tabular": (NetClassifier(network="tabular", **QUICK), X, THREE),
    "numbers": (NetRegressor(network="tabular", **QUICK), X, NUMBER),
    "two numbers": (NetRegressor((8,), epochs=5), X, np.stack([NUMBER, X[:, 1]], axis=1)),
    "pictures": (NetClassifier(**SMALL | {"epochs": 2}), PICTURES, DARK),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_file_predicts_as_the_estimator(case, tmp_path):
    estimator, rows, y = MODELS[case]
    net = copy.deepcopy(estimator).fit(rows, y)
    net.save(tmp_path / "net.safetensors")
    model = Model.load(tmp_path / "net.safetensors")
    raw = rows if rows.ndim == 4 else pd.DataFrame(rows, columns=["x0", "x1", "x2", "x3"])
    if isinstance(net, NetRegressor):
        expected = net.predict(rows).reshape(90, -1)
        np.testing.assert_allclose(model.predict(raw), expected, rtol=1e-4)
        return
    np.testing.assert_allclose(model.predict_proba(raw), net.predict_proba(rows), atol=1e-5)
    if y.ndim == 1:
        assert model.predict(raw).tolist() == [str(label) for label in net.predict(rows)]


def test_names_of_columns_are_kept_in_the_file(tmp_path):
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    NetClassifier((4,), epochs=2).fit(frame, TWO).save(tmp_path / "net.safetensors")
    model = Model.load(tmp_path / "net.safetensors")
    assert model.predict(frame[["d", "c", "b", "a"]]).shape == (90,)


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [({"network": "convnet"}, X, "expects X as pictures of shape (m, height, width, channels), got "
      "an array of shape (90, 4)"),
     ({"network": "auto", "hidden": (4,)}, PICTURES, "pictures need network='convnet'"),
     ({}, PICTURES, "reshape(len(X), -1)"),
     ({"network": "tabular", "warm_start": True}, X, "set warm_start=False or network='mlp'"),
     ({"network": "tabular", "validation_fraction": 0.2}, X, "leave out validation_fraction"),
     ({"network": "forest"}, X, "NetClassifier: network must be auto or mlp or convnet or"),
     ({"network": "convnet"}, np.where(PICTURES[3, 0, 0, 0] == PICTURES, np.nan, PICTURES),
      "not finite in picture")],
)  # fmt: skip
def test_bad_input_is_one_sentence(options, rows, message):
    y = DARK if rows.ndim == 4 else TWO
    with pytest.raises(PlainnetError) as error:
        NetClassifier(**options).fit(rows, y)
    assert message in str(error.value)


def test_pictures_of_another_shape_and_more_training_are_refused(tmp_path):
    net = NetClassifier(**SMALL | {"epochs": 1}).fit(PICTURES / 255, DARK)
    with pytest.raises(PlainnetError, match=r"pictures of shape \(5, 6, 3\), and those of the"):
        net.predict(PICTURES[:, :5])
    with pytest.raises(PlainnetError, match="set network='mlp', not 'convnet'"):
        net.partial_fit(PICTURES, DARK)
    with pytest.raises(PlainnetError, match="square uint8 pictures with 1 or 3 channels"):
        net.save(tmp_path / "net.safetensors")
