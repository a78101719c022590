"""The ideas of scikit-learn's tests of its multi-layer perceptrons, applied to plainnet.

Each test names the idea; docs/coming-from-mlpclassifier.md lists those that do not apply and those
where another behavior was chosen.
"""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import (
    load_digits,
    load_iris,
    make_multilabel_classification,
    make_regression,
)
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import roc_auc_score

from plainnet import (
    SGD,
    Cosine,
    Loss,
    NetClassifier,
    NetRegressor,
    TrainingError,
    gradcheck,
)

DIGITS, DIGIT = load_digits(n_class=3, return_X_y=True)
DIGITS, DIGIT = DIGITS[:200] / 16, DIGIT[:200]
PAIR = DIGIT < 2
PIXELS, IS_ONE = DIGITS[PAIR], DIGIT[PAIR]
X_IRIS, IRIS = load_iris(return_X_y=True)
ROWS, NUMBER = make_regression(n_samples=200, n_features=10, bias=20, noise=100, random_state=7)
MARKED, MARKS = make_multilabel_classification(n_samples=50, random_state=0)

ACTIVATIONS = pytest.mark.parametrize("activation", ["identity", "sigmoid", "tanh", "relu"])
BOTH = pytest.mark.parametrize("kind", [NetClassifier, NetRegressor])


# --- the mathematics ----------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [1e-2, 1e-1])
def test_larger_l2_shrinks_all_weights(l2):
    def sizes(l2):
        net = NetClassifier((10,), l2=l2, epochs=40).fit(PIXELS, IS_ONE)
        return [np.abs(net.net_.params.views[f"dense{i}.W"]).sum() for i in (1, 2)]

    assert (np.array(sizes(l2)) < sizes(l2 / 10)).all()


def test_one_step_by_hand():
    net = NetClassifier(
        (2,), activation="sigmoid", optimizer=SGD(lr=0.1), l2=0.1, standardize=False
    )
    x, y = np.array([[0.6, 0.8, 0.7]]), [0]
    net.partial_fit(x, y, classes=[0, 1])
    W1, b1 = np.array([[0.1, 0.3, 0.5], [0.2, 0.1, 0.0]]), np.array([0.1, 0.1])
    W2, b2 = np.array([[0.1, 0.2]]), np.array([1.0])
    start = {"dense1.W": W1, "dense1.b": b1, "dense2.W": W2, "dense2.b": b2}
    net.net_.params.load(start)
    net.partial_fit(x, y)
    # forward
    a1 = 1 / (1 + np.exp(-(W1 @ x[0] + b1)))
    a2 = 1 / (1 + np.exp(-(W2 @ a1 + b2)))
    np.testing.assert_allclose([*a1, *a2], [0.6792, 0.5744, 0.7654], atol=1e-4)
    # backward, with y = 0
    dz2 = a2
    dz1 = W2[0] * dz2 * a1 * (1 - a1)
    after = net.net_.params.views
    np.testing.assert_allclose(after["dense1.W"], W1 - 0.1 * (np.outer(dz1, x) + 0.1 * W1))
    np.testing.assert_allclose(after["dense1.b"], b1 - 0.1 * dz1)
    np.testing.assert_allclose(after["dense2.W"], W2 - 0.1 * (np.outer(dz2, a1) + 0.1 * W2))
    np.testing.assert_allclose(after["dense2.b"], b2 - 0.1 * dz2)
    np.testing.assert_allclose(net.predict_proba(x)[0, 1], 0.739, atol=1e-3)


@ACTIVATIONS
@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_match_finite_differences(activation, n_classes):
    X = np.random.default_rng(42).random((5, 10))
    y = np.arange(5) % n_classes
    net = NetClassifier((10,), activation=activation, epochs=1).fit(X, y)
    assert gradcheck(net.net_, net.loss_, X, y).ok


@ACTIVATIONS
def test_every_activation_learns_classification(activation):
    for X, y in ((DIGITS, DIGIT), (PIXELS, IS_ONE)):
        net = NetClassifier((50,), activation=activation, epochs=15, lr=0.01).fit(X[::2], y[::2])
        assert net.score(X[::2], y[::2]) > 0.95
        predicted = net.predict(X[1::2])
        assert (predicted.shape, predicted.dtype) == (y[1::2].shape, y.dtype)


@ACTIVATIONS
def test_every_activation_learns_regression(activation):
    net = NetRegressor((50,), activation=activation, epochs=200, lr=0.03, schedule="cosine").fit(
        ROWS, NUMBER
    )
    assert net.score(ROWS, NUMBER) > (0.7 if activation == "identity" else 0.98)


def test_multilabel_fit_and_partial_fit():
    net = NetClassifier((50,), activation="sigmoid", lr=0.05, epochs=60).fit(MARKED, MARKS)
    assert net.score(MARKED, MARKS) > 0.97
    net = NetClassifier((50,), activation="sigmoid", lr=0.05)
    for _ in range(60):
        net.partial_fit(MARKED, MARKS, classes=[0, 1, 2, 3, 4])
    assert net.score(MARKED, MARKS) > 0.9
    stopped = NetClassifier(validation_fraction=0.2, patience=3).fit(
        MARKED, MARKS
    )  # not in proportion
    assert stopped.predict(MARKED).shape == MARKS.shape


def test_multi_target_regression():
    X, Y = make_regression(n_samples=200, n_targets=5, random_state=11)
    assert NetRegressor((50,), epochs=30, lr=0.01).fit(X, Y).score(X, Y) > 0.9


class Poisson(Loss):
    """Poisson loss: negative log-likelihood of counts with mean e^z."""

    def unreduced(self, Z, y):
        return np.exp(Z) - y * Z, np.exp(Z) - y

    def predictions(self, Z):
        return np.exp(Z)

    def encode(self, y, n_out, dtype=np.float32):
        return np.asarray(y, dtype).reshape(-1, n_out)

    def metric_values(self, Z, y):
        return np.abs(np.exp(Z) - y)


def test_custom_loss_without_hidden_layers_is_a_generalized_linear_model():
    X = np.linspace(0, 1, 100).reshape(-1, 1)
    y = np.random.default_rng(0).poisson(np.exp(X[:, 0] + 1))
    expected = PoissonRegressor(alpha=0, tol=1e-9).fit(X, y).predict(X)
    net = NetRegressor((), loss=Poisson(), optimizer=SGD(0.1, momentum=0.9), batch_size="full")
    net.set_params(standardize=False, epochs=1500).fit(X, y)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-5)
    net.set_params(loss=None).fit(X, y)  # the squared error has another solution
    assert not np.allclose(net.predict(X), expected, rtol=1e-3)


# --- partial_fit --------------------------------------------------------------------------------


def test_other_classes_in_partial_fit_raise():
    net = NetClassifier(optimizer="sgd").partial_fit([[3, 2]], [0], classes=[0, 1])
    with pytest.raises(ValueError, match="partial_fit takes the same classes at every call"):
        net.partial_fit([[3, 2]], [0], classes=[1, 2])


def test_repeated_partial_fit_equals_fit_in_classification():
    for X, y in ((DIGITS, DIGIT), (PIXELS, IS_ONE)):
        at_once = NetClassifier((20,), optimizer="sgd", lr=0.2, epochs=30).fit(X, y)
        parts = NetClassifier((20,), optimizer="sgd", lr=0.2)
        for _ in range(30):
            parts.partial_fit(X, y, classes=np.unique(y))
        np.testing.assert_allclose(parts.predict_proba(X), at_once.predict_proba(X), rtol=1e-9)
        assert parts.score(X, y) > 0.95


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_repeated_partial_fit_equals_fit_in_regression(momentum):
    options = {"optimizer": SGD(0.05, momentum), "batch_size": "full"}
    at_once = NetRegressor(epochs=100, **options).fit(ROWS, NUMBER)
    parts = NetRegressor(**options)
    for _ in range(100):
        parts.partial_fit(ROWS, NUMBER)
    np.testing.assert_allclose(parts.predict(ROWS), at_once.predict(ROWS))
    assert parts.score(ROWS, NUMBER) > 0.65


def test_class_may_first_occur_in_a_later_batch():
    net = NetClassifier()
    net.partial_fit([[1], [2], [3]], ["a", "b", "c"], classes=["a", "b", "c", "d"])
    net.partial_fit([[4]], ["d"])
    assert net.score([[1], [2], [3], [4]], ["a", "b", "c", "d"]) > 0


def test_partial_fit_errors():
    X, y = [[3, 2], [1, 6]], [1, 0]
    for classes in (None, [2], [2, 3]):
        with pytest.raises(ValueError, match="class"):
            NetClassifier().partial_fit(X, y, classes=classes)


@BOTH
def test_partial_fit_with_early_stopping_raises(kind):
    net = kind((5,), epochs=3, validation_fraction=0.2, patience=2).fit(X_IRIS, IRIS)
    with pytest.raises(ValueError, match="partial_fit holds no rows out and never stops early"):
        net.partial_fit(X_IRIS, IRIS)


def test_network_from_joblib_continues_training(tmp_path):
    net = NetRegressor((42,), lr=0.1, epochs=200, standardize=False).fit([[2]], [4])
    joblib.dump(net, tmp_path / "net.pkl")
    loaded = joblib.load(tmp_path / "net.pkl")
    for _ in range(200):
        loaded.partial_fit([[2]], [1])
    np.testing.assert_allclose(loaded.predict([[2]]), [1], rtol=1e-4)
    np.testing.assert_allclose(net.predict([[2]]), [4], rtol=1e-2)


# --- numbers that are too large -----------------------------------------------------------------


def test_overflowing_rows_raise():
    X = np.finfo(np.float64).max * np.random.default_rng(0).random((10, 2))
    y = np.arange(10.0)
    with pytest.raises(ValueError, match="holds numbers too large to be standardized"):
        NetRegressor().fit(X, y)
    with pytest.raises(TrainingError):
        NetRegressor(standardize=False).fit(X, y)


def test_diverging_loss_raises_and_keeps_the_previous_network():
    """scikit-learn returns a network that predicts NaN."""
    net = NetRegressor((100,), activation="identity", warm_start=True, epochs=2).fit(X_IRIS, IRIS)
    before = net.predict(X_IRIS)
    net.set_params(optimizer="sgd", lr=10.0, epochs=200, validation_fraction=0.2, patience=10)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        net.fit(X_IRIS, IRIS)
    np.testing.assert_array_equal(net.predict(X_IRIS), before)


# --- probabilities ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3])
def test_class_probabilities(n):
    X, y = (PIXELS[:50], IS_ONE[:50]) if n == 2 else (DIGITS[:10], DIGIT[:10])
    net = NetClassifier((5,), activation="sigmoid", lr=0.05, epochs=40).fit(X, y)
    P, logs = net.predict_proba(X), net.predict_log_proba(X)
    assert P.shape == logs.shape == (len(X), n)
    np.testing.assert_allclose(P.sum(axis=1), 1)
    np.testing.assert_array_equal(P.argmax(axis=1), logs.argmax(axis=1))
    np.testing.assert_allclose(logs, np.log(P), rtol=1e-9)
    if n == 2:
        assert roc_auc_score(y, P[:, 1]) == 1


def test_label_probabilities_are_independent():
    net = NetClassifier((30,), lr=0.05).fit(MARKED, MARKS)
    P, logs = net.predict_proba(MARKED), net.predict_log_proba(MARKED)
    np.testing.assert_array_equal(P > 0.5, MARKS)
    assert np.abs(P.sum(axis=1) - 1).max() > 0.5
    np.testing.assert_allclose(logs, np.log(P), rtol=1e-9, atol=1e-15)


# --- chance, input and output -------------------------------------------------------------------


def test_seed_determines_the_row_order():
    options = {"epochs": 1, "batch_size": 1, "init": "constant:0.1"}  # all else is the same
    first, same, other = (
        NetRegressor((1,), random_state=seed, **options).fit(ROWS, NUMBER).net_.params.theta
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_input(form):
    dense = NetClassifier((15,), epochs=10).fit(PIXELS, IS_ONE)
    thin = NetClassifier((15,), epochs=10).fit(form(PIXELS), IS_ONE)
    np.testing.assert_array_equal(dense.predict_proba(PIXELS), thin.predict_proba(form(PIXELS)))
    np.testing.assert_array_equal(dense.predict_proba(form(PIXELS)), thin.predict_proba(PIXELS))


def test_verbose_in_fit_and_partial_fit(capsys):
    net = NetClassifier((2,), epochs=2, verbose=1).fit([[3, 2], [1, 6]], [1, 0])
    assert capsys.readouterr().out.count("epoch") == 2
    net.partial_fit([[3, 2], [1, 6]], [1, 0])
    assert capsys.readouterr().out.startswith("epoch 3 of 3  loss ")


@BOTH
def test_feature_names_without_warnings(kind):
    frame = pd.DataFrame(ROWS[:20, :2], columns=["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = kind((4,), epochs=3, validation_fraction=0.2, patience=2)
        net.fit(frame, pd.Series(np.arange(20) % 2, name="y")).score(frame, np.arange(20) % 2)
    assert net.feature_names_in_.tolist() == ["a", "b"]


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_input_dtype_determines_the_network_dtype(kind, dtype):
    X = PIXELS.astype(dtype)
    net = kind((5, 3), epochs=3).fit(X, IS_ONE)
    assert {view.dtype for view in net.net_.params.views.values()} == {np.dtype(dtype)}
    continuous = net.predict(X) if kind is NetRegressor else net.predict_proba(X)
    assert continuous.dtype == dtype


@BOTH
def test_float32_is_close_to_float64(kind):
    wide, single = (
        kind((5, 3), epochs=20).fit(PIXELS.astype(dtype), IS_ONE) for dtype in ("f8", "f4")
    )
    np.testing.assert_allclose(
        wide.predict(PIXELS), single.predict(PIXELS.astype("f4")), rtol=1e-3, atol=1e-3
    )
    if kind is NetClassifier:
        P, Q = wide.predict_proba(PIXELS), single.predict_proba(PIXELS.astype("f4"))
        np.testing.assert_allclose(P, Q, rtol=1e-2)


# --- stopping -----------------------------------------------------------------------------------


@BOTH
def test_early_stopping_restores_the_best_weights(kind):
    net = kind((20,), optimizer="sgd", epochs=3000, validation_fraction=0.1, patience=5)
    net.fit(ROWS, NUMBER > 20 if kind is NetClassifier else NUMBER)
    assert net.n_iter_ < 3000
    curve = net.validation_loss_curve_
    assert len(curve) == net.n_iter_
    assert net.history_.best_epoch == np.argmin(curve) + 1 == net.n_iter_ - 5
    plain = kind((20,), epochs=2).fit(PIXELS, IS_ONE)
    assert plain.validation_loss_curve_ == []
    assert plain.history_.best_epoch is None


def test_validation_split_is_stratified():
    with pytest.raises(ValueError, match="a split needs at least 2 of each class"):
        NetClassifier(validation_fraction=0.5).fit([[1, 2], [2, 3], [3, 4], [4, 5]], [0, 0, 0, 1])


def test_early_stopping_with_string_labels():
    y = np.array(["a", "b", "c"], dtype=object)[DIGIT]
    net = NetClassifier(validation_fraction=0.1, patience=5, epochs=20).fit(DIGITS, y)
    assert len(net.history_.val_metric) == net.n_iter_
    assert np.isfinite(net.history_.val_metric).all()


def test_unit_weights_have_no_effect_on_the_validation_split():
    net = NetRegressor(
        (10,), lr=0.01, epochs=10, batch_size=10, validation_fraction=0.1, patience=3
    )
    expected = net.fit(ROWS, NUMBER).predict(ROWS)
    weighted = net.fit(ROWS, NUMBER, sample_weight=np.ones(200)).predict(ROWS)
    np.testing.assert_allclose(weighted, expected)


def test_too_few_rows_for_validation_raise():
    with pytest.raises(ValueError, match="a split needs at least 4 rows"):
        NetRegressor(validation_fraction=0.1).fit(ROWS[:2], NUMBER[:2])
    with pytest.raises(ValueError, match="leaves 9 to train on and 1 to validate with"):
        NetRegressor(validation_fraction=0.1).fit(ROWS[:10], NUMBER[:10])


def test_decreasing_learning_rate():
    net = NetClassifier((4,), optimizer="sgd", schedule="cosine", epochs=50)
    rates = net.fit(PIXELS, IS_ONE).history_.lr
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-3 * rates[0]


def test_callback_stops_at_a_low_loss():
    net = NetClassifier((4,), epochs=3000, callbacks=[lambda epoch: epoch.loss < 0.3])
    net.fit(PIXELS, IS_ONE)
    assert net.n_iter_ < 3000
    assert net.loss_curve_[-1] < 0.3 <= min(net.loss_curve_[:-1])


# --- warm starts --------------------------------------------------------------------------------


def test_warm_start_restarts_schedules():
    options = {"optimizer": "sgd", "epochs": 3, "warm_start": True, "batch_size": "full"}
    net = NetClassifier((4,), lr=0.2, **options).fit(X_IRIS, IRIS).fit(X_IRIS, IRIS)
    assert net.history_.lr == [0.2] * 6
    net = NetClassifier((4,), lr=Cosine(0.2, steps=3), **options)
    rates = net.fit(X_IRIS, IRIS).fit(X_IRIS, IRIS).history_.lr
    assert rates[:3] == rates[3:]
    assert rates[0] == 0.2 > rates[1] > rates[2]


@pytest.mark.parametrize(
    "y",
    [
        np.repeat([0, 1], 75),
        np.repeat([0, 1, 3], 50),
        np.arange(150) // 38,
        np.repeat(np.arange(5), 30),
    ],
)
def test_warm_start_accepts_only_the_same_classes(y):
    net = NetClassifier((2,), epochs=2, warm_start=True).fit(X_IRIS, IRIS).fit(X_IRIS, IRIS)
    net.fit(X_IRIS, np.repeat([0, 1, 2], [40, 40, 70]))
    with pytest.raises(ValueError, match="warm_start can only be used where y has the same"):
        net.fit(X_IRIS, y)


@BOTH
def test_every_warm_start_runs_all_epochs(kind):
    net = kind((2,), optimizer="sgd", warm_start=True, epochs=3).fit(X_IRIS, IRIS)
    assert net.n_iter_ == len(net.loss_curve_) == 3
    net.fit(X_IRIS, IRIS)
    assert net.n_iter_ == len(net.loss_curve_) == 6  # counted from the first, as the curve is
    net.set_params(epochs=4).fit(X_IRIS, IRIS)
    assert net.n_iter_ == len(net.loss_curve_) == 10


@BOTH
def test_warm_start_with_early_stopping(kind):
    net = kind((10,), epochs=5, warm_start=True, validation_fraction=0.2, patience=20).fit(
        X_IRIS, IRIS
    )
    before = len(net.validation_loss_curve_)
    net.set_params(epochs=10).fit(X_IRIS, IRIS)
    assert len(net.validation_loss_curve_) > before == 5
