"""The default for tables: chosen by data and options, deterministic, one network in the file."""

import importlib.util
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from plainnet import Model, TrainConfig
from plainnet.build import check
from plainnet.config import TABULAR
from plainnet.errors import PlainnetError
from plainnet.export.python import to_python
from plainnet.loading import load
from plainnet.nn import BinaryCrossEntropy, GroupedDense, PiecewiseLinear, SoftmaxCrossEntropy
from plainnet.storage.checkpoints import Checkpoints
from plainnet.tabular import folds, logit_scale, settled
from plainnet.training import resume, train

SMALL = TrainConfig(network="tabular", members=3, hidden=(6, 5), epochs=4)


def frame(m=60, seed=0):
    rng = np.random.default_rng(seed)
    x, color = rng.standard_normal(m), rng.choice(["red", "green", "blue"], m)
    price = x**2 + (color == "red") + 0.1 * rng.standard_normal(m)
    missing = np.where(rng.random(m) < 0.1, np.nan, rng.standard_normal(m))
    return pd.DataFrame({"x": x, "color": color, "gap": missing, "price": price})


def classes(m=60):
    table = frame(m)
    table["price"] = np.where(table["price"] > 1, "high", "low")
    return table


@pytest.mark.parametrize(
    ("changed", "network"),
    [({}, "tabular"), ({"class_weight": "balanced"}, "tabular"), ({"hidden": (16,)}, "mlp"),
     ({"epochs": 3}, "mlp"), ({"validation_fraction": 0.2}, "mlp"), ({"lr": 0.1}, "mlp")],
)  # fmt: skip
def test_auto_takes_one_network_where_its_options_are_given(changed, network):

    config = replace(TrainConfig(), **changed)
    rows = load(classes(), config).train.X
    config = settled(config, rows, "binary")
    assert config.network == network
    assert config.hidden == ((128, 128) if network == "tabular" else (16,))
    assert settled(config, rows, "binary") == config


def test_a_note_says_which_options_led_to_one_network():
    rows, notes = load(classes(), TrainConfig()).train.X, []
    settled(TrainConfig(epochs=3, lr=0.1), rows, "binary", notes)
    assert notes == [
        "lr, epochs given, as for one network: taking network mlp; --network tabular takes the "
        "mean of 8 networks with the same options"
    ]
    settled(TrainConfig(epochs=3, hidden=(4,)), rows, "binary", notes)
    assert len(notes) == 1  # who describes one network need not be told


@pytest.mark.parametrize(("given", "kept"), [(None, 256), (32, 32), ("full", "full")])
def test_a_given_batch_size_holds(given, kept):
    rows = load(classes(), SMALL).train.X
    assert settled(replace(SMALL, batch_size=given), rows, "binary").batch_size == kept


def test_auto_takes_one_network_for_few_rows():
    run = train(classes(12), TrainConfig())
    assert run.model.record["config"]["network"] == "mlp"


@pytest.mark.parametrize("table", [frame(), classes()], ids=["regression", "binary"])
def test_the_model_file_holds_one_network(table, tmp_path):
    runs = [train(table, SMALL) for _ in range(2)]
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for run, path in zip(runs, paths, strict=True):
        run.model.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    model = Model.load(paths[0])
    kinds = [type(layer) for layer in model.net.layers]
    assert (kinds[0], kinds[3]) == (PiecewiseLinear, GroupedDense)
    assert model.net.n_out == 1
    new = frame(10, seed=5).drop(columns="price")
    np.testing.assert_array_equal(model.predict_logits(new), runs[0].model.predict_logits(new))
    again = TrainConfig(**{**model.record["config"], "hidden": (6, 5)})
    assert train(table, again).history.loss == runs[0].history.loss
    other = train(table, replace(SMALL, seed=1)).model
    assert not np.array_equal(other.predict_logits(new), model.predict_logits(new))


def test_a_task_that_is_given_trains_as_one_that_is_inferred():
    given = train(frame(), replace(SMALL, task="regression"))
    assert given.history.loss == train(frame(), SMALL).history.loss


def test_folds_are_equal_and_hold_each_class():
    y = np.array([0] * 50 + [1] * 30 + [2] * 8)
    fold = folds(y, 8, np.random.default_rng(0))
    counts = np.array([[((fold == j) & (y == c)).sum() for c in range(3)] for j in range(8)])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    assert (counts.sum(axis=1) == 11).all()


@pytest.mark.parametrize("right", [100, 90, 60])
def test_calibrated_logits_match_the_share_of_right_rows(right):
    """With logits of -1 and 1, the best factor is the log odds of being right, by calculus."""
    y = np.arange(100)[:, None] % 2
    Z = np.where(np.arange(100)[:, None] < right, 1, -1) * np.where(y, 1.0, -1.0)
    share = right / 100 * 0.99 + 0.01 / 2  # one row of 100 is of unknown class
    expected = np.log(share / (1 - share))
    assert logit_scale(Z, y, BinaryCrossEntropy(0.3)) == pytest.approx(expected, rel=2e-3)
    two = np.concatenate([-Z, Z], axis=1) / 2
    assert logit_scale(two, y[:, 0], SoftmaxCrossEntropy()) == pytest.approx(expected, rel=2e-3)


def test_calibration_counts_rows_by_their_weight():
    y = np.array([0, 1, 1, 1])
    Z = np.array([[-1.0], [1.0], [1.0], [-1.0]])
    share = 11 / 12 * 0.75 + 0.25 / 2
    factor = logit_scale(Z, y[:, None], BinaryCrossEntropy(), np.array([1, 5, 5, 1]))
    assert factor == pytest.approx(np.log(share / (1 - share)), rel=2e-3)


def test_classes_far_apart_get_surer_probabilities_than_smoothed_labels_teach():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 2
    X = rng.standard_normal((300, 3)) + 6 * y[:, None]
    model = train((X[:200], y[:200]), replace(SMALL, epochs=60, test_fraction=0.0)).model
    p = model.predict_proba(X[200:])[np.arange(100), y[200:]]
    assert p.mean() > 1 - TABULAR["label_smoothing"] / 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"validation_fraction": 0.1}, "validate with folds"), ({"batch_norm": True}, "normalize"),
     ({"hidden": ()}, "needs hidden layers")],
)  # fmt: skip
def test_options_without_use_are_refused(changed, message):
    with pytest.raises(PlainnetError, match=message):
        check(replace(SMALL, **changed))


def test_validation_rows_apart_are_for_one_network():
    with pytest.raises(PlainnetError, match="leave out validation_data"):
        train(classes(), SMALL, validation_data=classes(20))


@pytest.mark.parametrize("m", [3, 5])
def test_very_few_rows(m):
    config = replace(SMALL, test_fraction=0.0)
    Z = train(frame(m), config).model.predict_logits(frame(4, seed=1).drop(columns="price"))
    assert np.isfinite(Z).all()


def test_many_columns_and_an_outlier():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 1200))
    X[3, 5] = 1e30
    model = train((X, X[:, 0]), replace(SMALL, test_fraction=0.0)).model
    assert max(model.net.layers[0].bins) == 4096 // 1200
    assert np.isfinite(model.predict_logits(X * 2)).all()


def test_an_interrupted_training_resumes_exactly(tmp_path):
    class StopError(Exception):
        pass

    def stop(epoch):
        if epoch.number == 5:
            raise StopError

    path, config = tmp_path / "a.csv", replace(SMALL, epochs=12, batch_size=16, patience=3)
    classes().to_csv(path, index=False)
    whole = train(path, config)
    with pytest.raises(StopError):
        train(path, config, checkpoints=Checkpoints(tmp_path / "a.run", 0.7), callbacks=[stop])
    resumed = resume(Checkpoints.load(tmp_path / "a.run"))
    for run, name in ((whole, "whole"), (resumed, "resumed")):
        run.model.save(tmp_path / name)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "resumed").read_bytes()


def test_exports_agree_with_the_model(tmp_path):
    model = train(classes(), SMALL).model
    new = frame(10, seed=5).drop(columns="price")
    (tmp_path / "exported_tabular.py").write_text(to_python(model), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("exported", tmp_path / "exported_tabular.py")
    exported = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(exported)
    rows = new.astype(object).where(new.notna(), None).to_dict("records")
    np.testing.assert_array_equal(exported.predict_proba(rows), model.predict_proba(new))
    with pytest.raises(PlainnetError, match="PyTorch has no names for the parameters of Piecewise"):
        model.net.to_torch_state()
