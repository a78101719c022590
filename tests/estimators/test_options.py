"""Every estimator parameter has its documented effect."""

import copy
import pickle
import threading

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.preprocessing import StandardScaler

from plainnet import (
    SGD,
    Adam,
    BinaryCrossEntropy,
    Cosine,
    Epoch,
    Huber,
    Loss,
    NetClassifier,
    NetRegressor,
    SoftmaxCrossEntropy,
)

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 50, 1]
NOISE = RNG.normal(size=60)
TWO = np.where(X[:, 0] + NOISE / 2 > 0, "yes", "no")
THREE = np.digitize(X[:, 0] + NOISE / 4, [-0.5, 0.5])
NUMBER = 1000 + 50 * X[:, 0] ** 2 + 10 * NOISE


def classifier(**options):
    return NetClassifier(**{"hidden": (6,), "epochs": 5, "batch_size": 16, **options})


def regressor(**options):
    return NetRegressor(**{"hidden": (6,), "epochs": 5, "batch_size": 16, **options})


# --- every option changes something --------------------------------------------------------------

CHANGES = {
    "hidden": (7, 2),
    "activation": "tanh",
    "dropout": 0.3,
    "batch_norm": True,
    "layer_norm": True,
    "init": "xavier_normal",
    "loss": SoftmaxCrossEntropy(),
    "optimizer": "sgd",
    "lr": 0.05,
    "schedule": "cosine",
    "epochs": 6,
    "batch_size": "full",
    "l2": 0.5,
    "clip_norm": 1e-3,
    "validation_fraction": 0.3,
    "standardize": False,
    "dtype": "float32",
    "random_state": 1,
    "class_weight": {"yes": 5.0},
}
TESTED_BELOW = {"patience", "callbacks", "verbose", "warm_start", "engine"}
TESTED_BELOW |= {"network", "members", "channels", "kernel", "augment"}  # in test_networks.py


def test_all_options_are_covered():
    assert {*CHANGES} | TESTED_BELOW == {*NetClassifier().get_params()}
    assert {*CHANGES} | TESTED_BELOW == {*NetRegressor().get_params(), "class_weight"}


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_changes_the_classifier(name):
    before = classifier(clip_norm=None).fit(X, TWO).predict_proba(X)
    after = classifier(**{name: CHANGES[name]}).fit(X, TWO).predict_proba(X)
    assert np.abs(after - before).max() > (1e-9 if name == "dtype" else 1e-4)


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "class_weight"])
def test_every_option_changes_the_regressor(name):
    value = Huber(delta=0.1) if name == "loss" else CHANGES[name]
    before = regressor().fit(X, NUMBER).predict(X)
    after = regressor(**{name: value}).fit(X, NUMBER).predict(X)
    assert np.abs(after - before).max() > (1e-9 if name == "dtype" else 1e-4)


@pytest.mark.usefixtures("compiled")
def test_engine_changes_who_computes_but_not_what():
    results = []
    for engine in ("numpy", "compiled"):
        net = classifier(engine=engine).fit(X, TWO)
        assert net.history_.engine == engine
        results.append(net.partial_fit(X, TWO).predict_proba(X))
    np.testing.assert_allclose(*results, rtol=1e-10)
    assert (results[0] != results[1]).any()


SCALARS = {
    "hidden": np.array([6]),
    "dropout": np.float32(0.25),
    "batch_norm": np.True_,
    "lr": np.float32(0.25),
    "epochs": np.int64(3),
    "batch_size": np.int32(8),
    "l2": np.float32(0.25),
    "clip_norm": np.float32(0.25),
    "validation_fraction": np.float32(0.25),
    "verbose": np.int64(0),
    "standardize": np.False_,
    "random_state": np.uint8(3),
    "warm_start": np.True_,
}


@pytest.mark.parametrize("name", SCALARS)
def test_numpy_scalars_equal_python_numbers(name):
    given, plain = SCALARS[name], SCALARS[name].tolist()
    for net, y in ((classifier, TWO), (regressor, NUMBER)):
        expected = net(**{name: plain}).fit(X, y).predict(X)
        np.testing.assert_array_equal(net(**{name: given}).fit(X, y).predict(X), expected)
    if name != "validation_fraction":
        train = [classifier(**{name: v}).partial_fit(X, TWO, ["no", "yes"]) for v in (given, plain)]
        np.testing.assert_array_equal(*(net.net_.params.theta for net in train))


def test_all_options_as_numpy_scalars():
    options = {**SCALARS, "patience": np.int64(2), "schedule": "onecycle"}
    plain = {name: getattr(value, "tolist", lambda v=value: v)() for name, value in options.items()}
    got, expected = (classifier(**o).fit(X, TWO).predict_proba(X) for o in (options, plain))
    np.testing.assert_array_equal(got, expected)


def test_regressor_predicts_in_the_network_dtype():
    single, Y = X.astype(np.float32), np.column_stack([NUMBER, X[:, 0]])
    for rows, options, dtype in (
        (single, {}, np.float32),
        (X, {}, np.float64),
        (X, {"dtype": "float32"}, np.float32),
        (single, {"dtype": "float64"}, np.float64),
    ):
        net = regressor(**options).fit(rows, Y)
        for received in (X, single):
            assert net.predict(received).dtype == dtype


def test_layer_options():
    net = classifier(
        hidden=(5, 4), activation=("tanh", "identity"), dropout=0.1, batch_norm=True
    ).fit(X, THREE)
    kinds = [type(layer).__name__ for layer in net.net_.layers]
    hidden = ["Dense", "BatchNorm", "Tanh", "Dropout", "Dense", "BatchNorm", "Identity", "Dropout"]
    assert kinds == [*hidden, "Dense"]
    assert net.net_.out_shape == (3,)


def test_dtype_follows_the_rows_by_default():
    assert classifier().fit(X, TWO).net_.dtype == np.float64
    assert classifier().fit(X.astype(np.float32), TWO).net_.dtype == np.float32
    single = classifier(dtype="float32").fit(X, TWO)
    assert single.net_.dtype == single.predict_proba(X).dtype == np.float32
    assert classifier(dtype=np.float64).fit(X.astype(np.float32), TWO).net_.dtype == np.float64


# --- against closed forms and others -------------------------------------------------------------


def test_no_hidden_layers_equals_least_squares():
    Y = np.column_stack([NUMBER, X @ [3.0, -1.0, 2.0] + 7])
    A = np.column_stack([X, np.ones(60)])
    expected = A @ np.linalg.lstsq(A, Y, rcond=None)[0]
    net = regressor(hidden=(), optimizer=SGD(lr=0.2), batch_size="full", epochs=800).fit(X, Y)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-6)
    flat = regressor(hidden=(), optimizer=SGD(lr=0.2), batch_size="full", epochs=800).fit(X, NUMBER)
    np.testing.assert_allclose(flat.predict(X), expected[:, 0], rtol=1e-6)


@pytest.mark.parametrize("weights", [None, "sample", "balanced", {"yes": 3.0}])
def test_no_hidden_layers_equals_logistic_regression(weights):
    sample = np.linspace(0, 2, 60) if weights == "sample" else None
    kind = None if weights == "sample" else weights
    total = 60 if kind is None else np.where(TWO == "yes", 3, 1).sum()
    total = 60 if kind == "balanced" else total
    Z = StandardScaler().fit_transform(X)
    other = LogisticRegression(C=1 / (0.05 * total), class_weight=kind, tol=1e-10, max_iter=1000)
    other.fit(Z, TWO, sample_weight=sample)
    net = classifier(
        hidden=(),
        l2=0.05,
        optimizer=SGD(lr=1.0),
        batch_size="full",
        epochs=300,
        class_weight=kind,
        standardize=False,
    ).fit(Z, TWO, sample_weight=sample)
    np.testing.assert_allclose(net.predict_proba(Z), other.predict_proba(Z), atol=1e-5)
    np.testing.assert_allclose(net.decision_function(Z), other.decision_function(Z), atol=1e-4)


def test_three_classes_without_hidden_layers():
    Z = StandardScaler().fit_transform(X)
    other = LogisticRegression(C=1 / (0.05 * 60), tol=1e-10, max_iter=1000).fit(Z, THREE)
    net = classifier(hidden=(), l2=0.05, optimizer=SGD(lr=1.0), batch_size="full", epochs=400)
    net.fit(X, THREE)  # standardized within
    np.testing.assert_allclose(net.predict_proba(X), other.predict_proba(Z), atol=1e-5)
    np.testing.assert_array_equal(net.predict(X), other.predict(Z))


def test_scaling_matches_standard_scaler_with_weights():
    weight = np.arange(60.0)
    for given in (None, weight):
        scaler = StandardScaler().fit(X, sample_weight=given)
        scaling = regressor(epochs=1).fit(X, NUMBER, sample_weight=given).input_scaling_
        np.testing.assert_allclose(scaling.mean, scaler.mean_)
        np.testing.assert_allclose(scaling.scale, scaler.scale_)
    constant = regressor(epochs=1).fit(np.full((6, 1), 0.1), np.arange(6.0)).input_scaling_
    assert constant.scale.tolist() == [1.0]
    assert classifier(standardize=False).fit(X, TWO).input_scaling_ is None


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"optimizer": "sgd", "lr": 1e-6, "l2": 0.1}, {"batch_norm": True}]
)
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_constant_column_has_no_effect(value, options, standardize):
    rows, other = np.column_stack([X, np.full(60, value)]), np.column_stack([X, np.arange(60.0)])
    net = regressor(hidden=(4,), standardize=standardize, **options)
    for kind in (rows, pd.DataFrame(rows, columns=list("abcd"[: rows.shape[1]]))):
        net.fit(kind, NUMBER)
        new = other if kind is rows else pd.DataFrame(other, columns=kind.columns)
        np.testing.assert_array_equal(net.predict(new), net.predict(kind))
        assert np.ptp(net.predict(kind)) > 0


@pytest.mark.parametrize("standardize", [True, False])
def test_column_takes_effect_once_it_varies(standardize):
    rows, other = np.column_stack([X, np.full(60, 0.1)]), np.column_stack([X, np.arange(60.0)])
    net = regressor(hidden=(4,), standardize=standardize, warm_start=True).fit(rows, NUMBER)
    assert np.ptp(net.fit(other, NUMBER).predict(other) - net.predict(rows)) > 0
    net = regressor(hidden=(4,), standardize=standardize).partial_fit(rows, NUMBER)
    np.testing.assert_array_equal(net.predict(other), net.predict(rows))
    assert np.ptp(net.partial_fit(other, NUMBER).predict(other) - net.predict(rows)) > 0


def test_stream_starting_with_one_row_is_not_scaled():
    net = regressor(standardize=False).partial_fit(X[:1], NUMBER[:1])
    assert net.input_scaling_ is None


def test_stream_starting_with_one_row_is_learned():
    net = regressor()
    for row, y in zip(X, NUMBER, strict=True):
        net.partial_fit([row], [y])
    assert np.ptp(net.predict(X)) > 0.1


def test_standardize_equals_external_scaling():
    Z = StandardScaler().fit_transform(X)
    inside, outside = classifier().fit(X, TWO), classifier(standardize=False).fit(Z, TWO)
    np.testing.assert_allclose(inside.predict_proba(X), outside.predict_proba(Z), atol=1e-10)


def test_scores_match_scikit_learn():
    weight = np.linspace(0, 1, 60)
    net = classifier().fit(X, THREE)
    assert net.score(X, THREE) == accuracy_score(THREE, net.predict(X))
    expected = accuracy_score(THREE, net.predict(X), sample_weight=weight)
    assert net.score(X, THREE, sample_weight=weight) == pytest.approx(expected)
    marks = np.column_stack([THREE == 0, TWO == "yes"]).astype(int)
    both = classifier().fit(X, marks)
    assert both.score(X, marks) == accuracy_score(marks, both.predict(X))
    Y = np.column_stack([NUMBER, X[:, 1], np.full(60, 3.0)])
    line = regressor().fit(X, Y)
    for given in (None, weight):
        expected = r2_score(Y, line.predict(X), sample_weight=given)
        assert line.score(X, Y, sample_weight=given) == pytest.approx(expected)


# --- what y may be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        TWO,
        TWO.astype(object),
        pd.Series(TWO),
        pd.Series(TWO, dtype="category"),
        pd.Series(TWO, dtype="string"),
        TWO.tolist(),
        TWO == "yes",
        (TWO == "yes") * 3.0 - 1,
        pd.Series((TWO == "yes") + 0, dtype="Int64"),
    ],
    ids=lambda labels: f"{type(labels).__name__}-{getattr(labels, 'dtype', '')}",
)
def test_predictions_keep_label_types(labels):
    net = classifier(lr=0.1, epochs=40).fit(X, labels)
    classes = np.unique(np.asarray(labels))
    assert net.classes_.tolist() == classes.tolist()
    assert {*net.predict(X).tolist()} == {*classes.tolist()}
    if isinstance(labels, np.ndarray):
        assert net.predict(X).dtype == labels.dtype
    assert net.score(X, labels) > 0.8


def test_binary_outputs_by_loss():
    one, two = classifier().fit(X, TWO), classifier(loss="SoftmaxCrossEntropy").fit(X, TWO)
    assert (one.net_.n_out, two.net_.n_out) == (1, 2)
    for net in (one, two):
        P, Z = net.predict_proba(X), net.decision_function(X)
        assert P.shape == (60, 2)
        np.testing.assert_allclose(P[:, 1], 1 / (1 + np.exp(-Z)))
        np.testing.assert_allclose(P.sum(axis=1), 1)
        np.testing.assert_array_equal(net.predict(X), np.where(Z > 0, "yes", "no"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("y", "loss"),
    [
        (TWO, None),
        (TWO, "SoftmaxCrossEntropy"),
        (THREE, None),
        (np.column_stack([THREE == 0, TWO == "yes"]).astype(int), None),
    ],
    ids=["one output", "two outputs", "three classes", "labels"],
)
def test_predict_log_proba(y, loss, dtype):
    net = classifier(dtype=dtype, loss=loss, activation="identity").fit(X, y)
    logs = net.predict_log_proba(X)
    assert logs.dtype == net.predict_proba(X).dtype == dtype
    np.testing.assert_allclose(logs, np.log(net.predict_proba(X)), rtol=1e-4, atol=1e-6)
    far = X * 1e6
    logs, logits = net.predict_log_proba(far), net.decision_function(far)
    assert np.isfinite(logs).all()
    assert logs.min() < -1e4  # where the probability is 0 in every dtype
    if logits.ndim == 1:  # log(p / (1 - p))
        np.testing.assert_allclose(logs[:, 1] - logs[:, 0], logits, rtol=1e-5)
    elif net.loss_.__class__ is SoftmaxCrossEntropy:
        np.testing.assert_allclose(np.diff(logs), np.diff(logits), rtol=1e-3, atol=1e-2)
    else:
        np.testing.assert_allclose(logs, np.minimum(logits, 0), rtol=1e-6)


def test_predict_log_proba_with_custom_loss():
    class Own(Loss):
        class_numbers = True

        def unreduced(self, Z, y):
            return SoftmaxCrossEntropy().unreduced(Z, y)

        def predictions(self, Z):
            return (Z.max(axis=1, keepdims=True) == Z).astype(Z.dtype)

        def encode(self, y, n_out, dtype=np.float32):
            return SoftmaxCrossEntropy().encode(y, n_out, dtype)

        def metric_values(self, Z, y):
            return SoftmaxCrossEntropy().metric_values(Z, y)

    net = classifier(loss=Own()).fit(X, THREE)
    assert {*np.unique(net.predict_log_proba(X))} == {-np.inf, 0.0}


def test_multilabel():
    marks = np.column_stack([X[:, 0] > 0, X[:, 1] > 50, X[:, 0] > 9]).astype(int)
    net = classifier(lr=0.1, epochs=60).fit(X, marks)
    assert isinstance(net.loss_, BinaryCrossEntropy)
    P = net.predict_proba(X)
    assert P.shape == (60, 3)
    np.testing.assert_array_equal(net.predict(X), P > 0.5)
    assert net.score(X, marks) > 0.9
    assert P[:, 2].max() < 0.05  # a label that nobody has
    same = classifier(lr=0.1, epochs=60).fit(X, sparse.csr_array(marks))
    np.testing.assert_array_equal(same.predict_proba(X), P)


def test_losses_by_name_and_by_object():
    assert isinstance(regressor(loss="Huber").fit(X, NUMBER).loss_, Huber)
    assert regressor(loss=Huber(delta=0.5)).fit(X, NUMBER).loss_.delta == 0.5
    smooth = classifier(loss=BinaryCrossEntropy(label_smoothing=0.4), epochs=200, lr=0.05)
    assert smooth.fit(X, TWO).predict_proba(X).max() < 0.95
    assert classifier(epochs=200, lr=0.05).fit(X, TWO).predict_proba(X).max() > 0.95


def test_sparse_rows_equal_dense_rows():
    dense = np.where(X > 0, X, 0)
    expected = classifier().fit(dense, TWO).predict_proba(dense)
    for form in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        got = classifier().fit(form(dense), TWO).predict_proba(form(dense))
        np.testing.assert_array_equal(got, expected)


def test_dataframe_of_mixed_dtypes():
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1].astype(int), "c": X[:, 2] > 1})
    expected = classifier().fit(frame.to_numpy(float), TWO).predict_proba(frame.to_numpy(float))
    np.testing.assert_array_equal(classifier().fit(frame, TWO).predict_proba(frame), expected)
    column = regressor().fit(frame, pd.DataFrame({"y": NUMBER})).predict(frame)
    np.testing.assert_array_equal(column[:, 0], regressor().fit(frame, NUMBER).predict(frame))


# --- weights -------------------------------------------------------------------------------------


def test_zero_weight_rows_have_no_effect():
    weight = (np.arange(60) % 3 > 0).astype(float)
    kept = weight > 0
    wild = np.where(kept[:, None], X, 1e6)
    for net, y in ((classifier(), THREE), (regressor(), NUMBER)):
        expected = copy.deepcopy(net).fit(X[kept], y[kept]).predict(X)
        np.testing.assert_array_equal(net.fit(wild, y, sample_weight=weight).predict(X), expected)


def test_class_weight_equals_sample_weight():
    by_class = classifier(class_weight={0: 2.0, 2: 0.5}).fit(X, THREE)
    by_row = classifier().fit(X, THREE, sample_weight=np.array([2.0, 1.0, 0.5])[THREE])
    P = by_class.predict_proba(X)
    assert np.abs(P - classifier().fit(X, THREE).predict_proba(X)).max() > 1e-3
    # the scales differ, for only weights of rows count there
    Z = StandardScaler().fit_transform(X)
    by_class = classifier(class_weight={0: 2.0, 2: 0.5}, standardize=False).fit(Z, THREE)
    by_row = classifier(standardize=False).fit(Z, THREE, [2.0, 1.0, 0.5] @ np.eye(3)[THREE].T)
    np.testing.assert_allclose(by_class.predict_proba(Z), by_row.predict_proba(Z), atol=1e-12)


def test_balanced_treats_weight_two_as_two_rows():
    k = 1 + np.arange(60) % 3
    options = {"class_weight": "balanced", "batch_size": "full"}
    weighted = classifier(**options).fit(X, THREE, sample_weight=k).predict_proba(X)
    repeated = classifier(**options).fit(X.repeat(k, axis=0), THREE.repeat(k)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9)


# --- the course of a training --------------------------------------------------------------------


def test_early_stopping_restores_the_best_epoch():
    net = classifier(hidden=(30,), lr=0.05, epochs=200, patience=5)
    net.fit(X[:40], TWO[:40], X_val=X[40:], y_val=TWO[40:])
    curve = net.validation_loss_curve_
    assert net.n_iter_ == len(curve) == len(net.loss_curve_) < 200
    assert net.history_.stopped == "early stopping"
    assert net.history_.best_epoch == np.argmin(curve) + 1 == net.n_iter_ - 5
    expected = log_loss(TWO[40:], net.predict_proba(X[40:]))
    assert min(curve) == pytest.approx(expected, rel=1e-9)  # the weights are those of that epoch


def test_validation_split_contains_every_class():
    rare = np.where(np.arange(60) < 4, "rare", TWO)
    marked = np.column_stack([X, np.arange(60) < 4])
    net = classifier(validation_fraction=0.25, epochs=3).fit(marked, rare)
    assert net.input_scaling_.mean[3] == pytest.approx(3 / 45)  # of training rows
    assert len(net.validation_loss_curve_) == len(net.history_.val_metric) == 3
    assert not classifier().fit(X, rare).validation_loss_curve_
    lines = regressor(validation_fraction=0.5, epochs=3).fit(X, NUMBER)
    assert len(lines.validation_loss_curve_) == 3


def test_validation_rows_are_not_trained_on():
    plain = classifier().fit(X[:40], TWO[:40])
    watched = classifier().fit(X[:40], TWO[:40], X_val=X[40:], y_val=TWO[40:])
    np.testing.assert_array_equal(plain.predict_proba(X), watched.predict_proba(X))


def test_callbacks_get_every_epoch_and_may_stop():
    received = []

    def stop(epoch):
        received.append(epoch)
        return epoch.number == 3

    net = classifier(callbacks=[stop]).fit(X, TWO)
    assert [type(epoch) for epoch in received] == [Epoch] * 3
    assert [epoch.loss for epoch in received] == net.loss_curve_
    assert net.n_iter_ == 3
    assert net.history_.stopped == "callback"
    net.partial_fit(X, TWO)
    assert [epoch.number for epoch in received] == [1, 2, 3, 4]


def test_verbose_controls_progress_output(capsys):
    classifier(verbose=2, validation_fraction=0.2).fit(X, TWO)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:12] for line in lines] == ["epoch 2 of 5", "epoch 4 of 5", "epoch 5 of 5"]
    assert "  validation loss 0." in lines[0]
    assert lines[0].count("accuracy ") == 2
    regressor(verbose=True, epochs=1).fit(X, NUMBER)
    assert capsys.readouterr().out.startswith("epoch 1 of 1  loss ")
    classifier().fit(X, TWO)
    assert capsys.readouterr().out == ""
    classifier(verbose=1).partial_fit(X, TWO, classes=["no", "yes"])
    assert capsys.readouterr().out.startswith("epoch 1 of 5  loss ")


def test_schedules_by_name_and_by_object():
    rates = classifier(lr=0.1, schedule="cosine", epochs=4).fit(X, TWO).history_.lr
    expected = [0.05 * (1 + np.cos(np.pi * step / 16)) for step in (3, 7, 11, 15)]  # 4 batches each
    np.testing.assert_allclose(rates, expected)
    for net in (
        classifier(lr=Cosine(0.1, steps=16), epochs=4),
        classifier(optimizer=Adam(lr=Cosine(0.1, steps=16)), epochs=4),
    ):
        np.testing.assert_allclose(net.fit(X, TWO).history_.lr, expected)


def test_warm_start_continues_the_last_fit():
    options = {"optimizer": SGD(lr=0.1), "batch_size": "full"}
    at_once = classifier(epochs=8, **options).fit(X, TWO)
    parts = classifier(epochs=4, warm_start=True, **options).fit(X, TWO)
    first = parts.net_
    parts.fit(X, TWO)
    np.testing.assert_array_equal(parts.predict_proba(X), at_once.predict_proba(X))
    np.testing.assert_allclose(parts.loss_curve_, at_once.loss_curve_)
    assert parts.n_iter_ == 8
    assert parts.net_ is not first  # whoever kept it has it unchanged
    anew = classifier(epochs=4, **options).fit(X, TWO).fit(X, TWO)
    np.testing.assert_array_equal(anew.net_.params.theta, first.params.theta)
    assert anew.n_iter_ == 4


def test_warm_start_keeps_the_input_scaling():
    net = regressor(warm_start=True).fit(X, NUMBER)
    mean = net.target_scaling_.mean
    net.fit(X, NUMBER + 1e5)
    np.testing.assert_array_equal(net.target_scaling_.mean, mean)


def test_best_epoch_counts_from_the_first_fit():
    net = classifier(hidden=(30,), lr=0.05, epochs=60, patience=5, warm_start=True)
    net.fit(X[:40], TWO[:40], X_val=X[40:], y_val=TWO[40:])
    before = net.n_iter_
    net.fit(X[:40], TWO[:40], X_val=X[40:], y_val=TWO[40:])
    best = net.history_.best_epoch
    assert best > before
    assert net.validation_loss_curve_[best - 1] == min(net.validation_loss_curve_[before:])


@pytest.mark.parametrize("optimizer", ["adam", SGD(lr=0.1, momentum=0.9), "rmsprop"])
def test_partial_fit_keeps_the_optimizer_state(optimizer):
    options = {"optimizer": optimizer, "batch_size": "full"}
    at_once = classifier(epochs=6, **options).fit(X, THREE)
    parts = classifier(**options)
    for _ in range(6):
        parts.partial_fit(X, THREE, classes=[0, 1, 2])
    np.testing.assert_allclose(parts.predict_proba(X), at_once.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(parts.loss_curve_, at_once.loss_curve_)
    np.testing.assert_allclose(parts.history_.metric, at_once.history_.metric)
    assert parts.n_iter_ == 6


def test_partial_fit_may_start_with_one_class_and_one_row():
    net = classifier().partial_fit(X[:1], THREE[:1], classes=[0, 1, 2])
    assert net.classes_.tolist() == [0, 1, 2]
    assert net.partial_fit(X, THREE).predict_proba(X).shape == (60, 3)
    marks = np.column_stack([THREE == 0, TWO == "yes"])
    assert classifier().partial_fit(X, marks).predict(X).shape == (60, 2)
    weighted = classifier(class_weight={2: 9.0}).partial_fit(X, THREE, [0, 1, 2])
    plain = classifier().partial_fit(X, THREE, [0, 1, 2])
    assert np.abs(weighted.predict_proba(X) - plain.predict_proba(X)).max() > 1e-5


@pytest.mark.parametrize("batch_size", [None, 16])
def test_partial_fit_uses_sample_weights(batch_size):
    weight = np.arange(60.0)
    parts = regressor(batch_size=batch_size).partial_fit(X, NUMBER, sample_weight=weight)
    at_once = regressor(batch_size=batch_size, epochs=1).fit(X, NUMBER, sample_weight=weight)
    np.testing.assert_allclose(parts.predict(X), at_once.predict(X), rtol=1e-12)
    assert parts.loss_curve_ == pytest.approx(at_once.loss_curve_)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copy_continues_training_like_the_original(twin):
    net = classifier(dropout=0.3, warm_start=True, epochs=3).fit(X, THREE).partial_fit(X, THREE)
    other = twin(net)
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    for one in (net, other):
        one.partial_fit(X, THREE)
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    for one in (net, other):
        one.fit(X, THREE)
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    assert other.loss_curve_ == net.loss_curve_
    assert len(net.loss_curve_) == 8


def test_random_state():
    first, second = (classifier().fit(X, TWO).net_.params.theta for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (classifier(random_state=None).fit(X, TWO).net_.params.theta for _ in range(2))
    assert not np.array_equal(first, second)
    rng = np.random.default_rng(3)
    first, second = (classifier(random_state=rng).fit(X, TWO).net_.params.theta for _ in range(2))
    assert not np.array_equal(first, second)


def test_concurrent_predictions():
    net = classifier(hidden=(64, 64)).fit(X, THREE)
    rows = [np.random.default_rng(i).normal(size=(300, 3)) for i in range(4)]
    expected = [net.predict_proba(part) for part in rows]
    wrong = []

    def work(i):
        wrong.extend(
            i for _ in range(60) if not np.array_equal(net.predict_proba(rows[i]), expected[i])
        )

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
