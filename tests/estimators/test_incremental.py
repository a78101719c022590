"""partial_fit: refused calls change nothing, and changed parameters take effect."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from plainnet import (
    SGD,
    Adam,
    Cosine,
    Huber,
    NetClassifier,
    NetRegressor,
    PlainnetError,
    TrainingError,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), np.arange(40) % 2
HUGE = np.where(np.arange(120).reshape(40, 3) == 10, 1e200, X)


def classifier(**options):
    return NetClassifier(**{"hidden": (6,), **options})


def through_joblib(net):
    file = io.BytesIO()
    joblib.dump(net, file)
    return joblib.load(file)


def mapped(net, path):
    joblib.dump(net, path)
    return joblib.load(path, mmap_mode="r")


def state_of(net):
    """Return everything that the next partial_fit depends on."""
    optimizer = net._train_step.optimizer
    parts = [net.net_.params.theta, *optimizer.state.values(), optimizer.t, optimizer.current_lr]
    generators = [g.bit_generator.state for g in (net.net_.rng, net._order)]
    return [np.array(part) for part in parts], generators, net.n_iter_, list(net.loss_curve_)


def assert_same_state(one, other):
    for a, b in zip(state_of(one)[0], state_of(other)[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert state_of(one)[1:] == state_of(other)[1:]


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("twin", [lambda net: net, copy.deepcopy, through_joblib])
@pytest.mark.parametrize("size", [1e200, 1e308])
def test_batch_that_breaks_batch_norm_raises_and_changes_nothing(twin, size):
    net = classifier(batch_norm=True, dropout=0.2).partial_fit(X, Y, classes=[0, 1])
    net = twin(net.partial_fit(X, Y))
    before, answers = copy.deepcopy(net), net.predict_proba(X)
    with pytest.raises(TrainingError) as caught, np.errstate(all="ignore"):
        net.partial_fit(np.where(HUGE > 1e100, size, HUGE), Y)
    assert str(caught.value) == (
        "a parameter became nan in epoch 3 (learning rate 0.001): lower the learning rate, "
        "scale the inputs or set clip_norm"
    )
    assert_same_state(net, before)
    np.testing.assert_array_equal(net.predict_proba(X), answers)
    for one in (net, before):
        one.partial_fit(X, Y)
    assert_same_state(net, before)  # it goes on as if nothing had been


def test_refused_first_batch_leaves_an_unfitted_estimator():
    net = classifier(batch_norm=True, standardize=False)
    with pytest.raises(TrainingError):
        net.partial_fit(HUGE, Y, classes=[0, 1])
    assert vars(net) == vars(classifier(batch_norm=True, standardize=False))


def test_failing_callback_undoes_the_epoch():
    def fail(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    net = classifier(callbacks=[fail]).partial_fit(X, Y, classes=[0, 1])
    before = copy.deepcopy(net)
    with pytest.raises(KeyboardInterrupt):
        net.partial_fit(X, Y)
    assert_same_state(net, before)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_refused_call_does_not_advance_the_generator(method):
    def train(net, y):
        extra = {"classes": [0, 1]} if method == "partial_fit" else {}
        return getattr(net, method)(X, y, **extra)

    expected = train(classifier(epochs=2, random_state=np.random.default_rng(3)), Y)
    net = classifier(epochs=2, random_state=np.random.default_rng(3))
    with pytest.raises(PlainnetError):
        train(net, Y[:3])
    np.testing.assert_array_equal(train(net, Y).net_.params.theta, expected.net_.params.theta)


def test_values_beyond_the_dtype_raise_with_row_and_column():
    net = classifier(epochs=2, activation="tanh").fit(X.astype(np.float32), Y)
    cells = np.zeros((5000, 3))
    cells[4000, 1] = 1e39
    message = (
        "NetClassifier: {} holds 1e+39 in row 4000, column 1, which is too large for a network in "
        "float32: correct it, or set dtype='float64'"
    )
    for call, name in (
        (lambda: net.predict(cells), "X"),
        (lambda: net.predict_proba(cells), "X"),
        (lambda: net.partial_fit(cells, np.zeros(5000, int)), "X"),
        (lambda: net.fit(X.astype("f4"), Y, X_val=cells, y_val=np.zeros(5000, int)), "X_val"),
        (
            lambda: classifier(dtype="float32", standardize=False).fit(cells, np.arange(5000) % 2),
            "X",
        ),
    ):
        with pytest.raises(PlainnetError) as caught:
            call()
        assert str(caught.value) == message.format(name)
    wide = classifier(epochs=2).fit(X, Y)
    assert wide.predict(cells).shape == (5000,)  # float64 has room for it
    cells[4000, 1] = 1e308
    with pytest.raises(PlainnetError) as caught:
        classifier(epochs=2).fit(X * 1e-3, Y).predict(cells)
    assert str(caught.value) == (
        "NetClassifier: X holds 1e+308 in row 4000, column 1, which is too large for a network in "
        "float64: correct it"
    )


def test_nonfinite_output_raises():
    net = NetRegressor((4,), epochs=2, standardize=False).fit(X, Y)
    net.net_.params.theta[:] = 1e200
    with pytest.raises(PlainnetError) as caught:
        net.predict(np.abs(X))
    assert str(caught.value) == (
        "NetRegressor: the network's output for row 0 of X is [inf]: "
        "the numbers of that row, or the weights, are too large"
    )


# --- copies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "twin", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), through_joblib, mapped]
)
def test_copy_continues_like_the_original(twin, tmp_path):
    rng = np.random.default_rng(7)
    net = classifier(batch_norm=True, dropout=0.3, random_state=rng)
    net.partial_fit(X, Y, classes=[0, 1])
    other = mapped(net, tmp_path / "net") if twin is mapped else twin(net)
    for one in (net, other):
        with pytest.raises(TrainingError), np.errstate(all="ignore"):
            one.partial_fit(HUGE, Y)
        one.partial_fit(X, Y)
    assert_same_state(net, other)
    assert np.isfinite(other.predict_proba(X)).all()


def test_clone_copies_only_parameters():
    net = clone(classifier(batch_norm=True).partial_fit(X, Y, classes=[0, 1]))
    assert vars(net) == vars(classifier(batch_norm=True))


# --- parameters that change ---------------------------------------------------------------------


def begun(**options):
    return classifier(**options).partial_fit(X, Y, classes=[0, 1])


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.5},
        {"optimizer": "sgd"},
        {"optimizer": Adam(lr=0.001, beta1=0.5)},
        {"batch_size": 5},
        {"l2": 0.5},
        {"clip_norm": 1e-6},
        {"class_weight": {0: 9.0}},
        {"random_state": 1},
        {"schedule": "exponential", "epochs": 2},
    ],
    ids=", ".join,
)
def test_changed_parameters_take_effect(change):
    net, other = begun(), begun()
    net.set_params(**change).partial_fit(X, Y)
    other.partial_fit(X, Y)
    assert np.abs(net.predict_proba(X) - other.predict_proba(X)).max() > 1e-7
    assert net.n_iter_ == 2


def test_loss_may_change_between_calls():
    nets = [NetRegressor((4,)).partial_fit(X, X[:, 0]) for _ in range(2)]
    nets[0].set_params(loss=Huber(0.01))
    first, second = (net.partial_fit(X, X[:, 0]).predict(X) for net in nets)
    assert np.abs(first - second).max() > 1e-7


def test_new_learning_rate_keeps_the_optimizer_state():
    options = {"batch_size": "full", "optimizer": "adam"}
    net = begun(lr=0.01, **options).set_params(lr=0.02).partial_fit(X, Y)
    other = begun(optimizer=Adam(lr=0.01), batch_size="full")
    other._train_step.optimizer.lr = Adam(lr=0.02).lr
    other.partial_fit(X, Y)
    assert net.history_.lr == [0.01, 0.02]
    assert_same_state(net, other)
    net.set_params(lr=None, optimizer=SGD(lr=0.1)).partial_fit(X, Y)
    assert net._train_step.optimizer.t == 1  # another rule starts again


def test_schedule_continues_from_the_previous_steps():
    net = begun(batch_size="full", lr=0.1).set_params(lr=Cosine(0.1, steps=4))
    for _ in range(3):
        net.partial_fit(X, Y)
    expected = [0.1, *(Cosine(0.1, steps=4)(step) for step in (1, 2, 3))]
    np.testing.assert_allclose(net.history_.lr, expected)


def test_named_schedule_is_independent_of_later_rows():
    nets = [begun(schedule="cosine", lr=0.1, epochs=4) for _ in range(2)]
    nets[0].partial_fit(X[:8], Y[:8])
    nets[1].set_params(l2=0.1).partial_fit(X[:8], Y[:8])
    assert nets[0].history_.lr == nets[1].history_.lr


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": (7,)},
        {"activation": "tanh"},
        {"dropout": 0.5},
        {"batch_norm": True},
        {"layer_norm": True},
        {"init": "zeros"},
        {"dtype": "float32"},
        {"standardize": False},
        {"loss": "SoftmaxCrossEntropy"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_architecture_parameters_cannot_change(method, change):
    net = begun(warm_start=True)
    before = copy.deepcopy(net)
    net.set_params(**change)
    subject, remedy = (
        ("warm_start", "set warm_start=False") if method == "fit" else (method, "call fit")
    )
    with pytest.raises(PlainnetError) as caught:
        getattr(net, method)(X, Y)
    assert str(caught.value) == (
        f"{subject} continues with the existing network, but parameters that shape it have "
        f"changed: reset them, or {remedy} to start again"
    )
    assert_same_state(net, before)
    net.set_params(**before.get_params()).partial_fit(X, Y)
    before.partial_fit(X, Y)
    assert_same_state(net, before)


def test_partial_fit_continues_the_fitted_network():
    net = classifier(epochs=2).fit(X, Y).set_params(hidden=(7,))
    with pytest.raises(PlainnetError, match="partial_fit continues with the existing network"):
        net.partial_fit(X, Y)


def test_equivalent_parameters_are_no_change():
    net, other = begun(), begun()
    net.set_params(hidden=[6], dtype="float64", lr=np.float64(0.001), l2=np.float32(0))
    for one in (net, other):
        one.partial_fit(X, Y)
    assert_same_state(net, other)


@pytest.mark.parametrize(
    "change", [{"l2": -1}, {"clip_norm": "a"}, {"lr": 0}, {"random_state": "a"}]
)
def test_invalid_parameter_raises_at_the_next_call(change):
    net = begun()
    before = copy.deepcopy(net)
    with pytest.raises(PlainnetError):
        net.set_params(**change).partial_fit(X, Y)
    assert_same_state(net, before)


# --- classes that change ------------------------------------------------------------------------


def test_other_classes_raise():
    net = begun()
    with pytest.raises(ValueError) as caught:  # noqa: PT011, as scikit-learn raises
        net.partial_fit(X, Y, classes=[1, 2])
    assert str(caught.value) == (
        "partial_fit takes the same classes at every call: expected 0, 1, got 1, 2"
    )
    assert net.partial_fit(X[:2], [1, 1], classes=[1, 0]).n_iter_ == 2
    marks = np.column_stack([Y, 1 - Y])
    with pytest.raises(PlainnetError) as caught:
        classifier().partial_fit(X, marks, classes=[0, 1, 2])
    assert str(caught.value) == (
        "the classes of several labels are the numbers of the columns of y: "
        "expected 0, 1, got 0, 1, 2"
    )
    assert classifier().partial_fit(X, marks, classes=[0, 1]).predict(X).shape == (40, 2)


@pytest.mark.parametrize("y", [np.arange(40) % 2, np.arange(40) % 4, np.arange(40) % 3 * 2])
def test_warm_start_accepts_the_same_classes(y):
    net = classifier(epochs=1, warm_start=True).fit(X, np.arange(40) % 3)
    got = ", ".join(map(str, np.unique(y)))
    with pytest.raises(PlainnetError) as caught:
        net.fit(X, y)
    assert str(caught.value) == (
        "warm_start can only be used where y has the same classes as before: "
        f"expected 0, 1, 2, got {got}"
    )
    assert net.partial_fit(X, np.zeros(40, int)).n_iter_ == 2  # a batch need not have them all
