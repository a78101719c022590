"""fit against explicit loops, repeated rows, finite differences and signals."""

import copy
import math
import re
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from plainnet.errors import PlainnetError, TrainingError
from plainnet.nn import (
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    Huber,
    MeanSquaredError,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    mlp,
)
from plainnet.optim import SGD, Adam, AdamW, RMSprop
from plainnet.train import EarlyStopping, Epoch, History
from plainnet.train.batches import Batches
from plainnet.train.fit import fit

BCE, MSE = BinaryCrossEntropy(), MeanSquaredError()


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 3))
    return X, (X[:, 0] + 0.5 * rng.normal(size=40) > 0).astype(float)


def net64(n_in: int = 3, n_out: int = 1, **options) -> Sequential:
    """Create a small smooth float64 network with nonzero biases."""
    net = mlp(n_in, (4,), n_out, activation="tanh", seed=2, dtype=np.float64, **options)
    net.params.trained[~net.params.decaying()] += 0.3
    return net


class ByHand:
    """Train two layers, tanh and sigmoid, by batch gradient descent with textbook formulas."""

    def __init__(self, net: Sequential) -> None:
        views = net.params.views
        self.W1, self.b1 = views["dense1.W"].copy(), views["dense1.b"].copy()
        self.W2, self.b2 = views["dense2.W"].copy(), views["dense2.b"].copy()

    def step(self, X, y, lr, weight=None) -> float:
        share = np.full(len(X), 1 / len(X)) if weight is None else weight / weight.sum()
        A1 = np.tanh(X @ self.W1.T + self.b1)
        A2 = 1 / (1 + np.exp(-(A1 @ self.W2.T + self.b2)[:, 0]))
        cost = -(share * (y * np.log(A2) + (1 - y) * np.log(1 - A2))).sum()
        dZ2 = ((A2 - y) * share)[:, None]
        dZ1 = dZ2 @ self.W2 * (1 - A1**2)
        self.W2 -= lr * dZ2.T @ A1
        self.b2 -= lr * dZ2.sum(axis=0)
        self.W1 -= lr * dZ1.T @ X
        self.b1 -= lr * dZ1.sum(axis=0)
        return float(cost)

    def theta(self) -> np.ndarray:
        return np.concatenate([a.ravel() for a in (self.W1, self.b1, self.W2, self.b2)])


def test_batch_gradient_descent_matches_the_textbook_loop(data):
    X, y = data
    net = net64()
    hand = ByHand(net)
    costs = [hand.step(X, y, 0.5) for _ in range(200)]
    history = fit(net, X, y, loss=BCE, optimizer=SGD(0.5), epochs=200)
    np.testing.assert_allclose(history.loss, costs, rtol=1e-12)
    np.testing.assert_allclose(net.params.theta, hand.theta(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_mini_batches_match_the_textbook_loop(data, weighted):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.1, 3, 40) if weighted else None
    net = net64()
    hand, rng, means = ByHand(net), np.random.default_rng(7), []
    batches = Batches(X, y, weight, 12, None, np.float64)  # three of 12 and one of 4
    for _ in range(10):
        costs, counts = [], []
        for X_batch, y_batch, w, *_ in batches.epoch(rng):
            costs.append(hand.step(X_batch, y_batch, 0.5, w))
            counts.append(len(y_batch) if w is None else w.sum())
        means.append(np.average(costs, weights=counts))
    history = fit(
        net,
        X,
        y,
        loss=BCE,
        optimizer=SGD(0.5),
        epochs=10,
        batch_size=12,
        sample_weight=weight,
        seed=7,
    )
    np.testing.assert_allclose(history.loss, means, rtol=1e-12)
    np.testing.assert_allclose(net.params.theta, hand.theta(), rtol=1e-12, atol=1e-12)


def test_repeated_fit_continues_training(data):
    ends = []
    for parts in ((10,), (4, 6)):
        net = net64()
        for epochs in parts:
            fit(net, *data, loss=BCE, optimizer=SGD(0.5), epochs=epochs)
        ends.append(net.params.theta.tobytes())
    assert ends[0] == ends[1]


def test_same_seed_gives_identical_bytes(data):
    def end(seed):
        net = mlp(3, dropout=0.3, batch_norm=True, seed=4)
        history = fit(
            net,
            *data,
            loss=BCE,
            optimizer=Adam(),
            epochs=5,
            batch_size=7,
            validation_fraction=0.2,
            seed=seed,
        )
        return net.params.theta.tobytes(), repr(history.record())

    assert end(3) == end(3)
    assert end(3) != end(4)
    assert end(np.random.default_rng(3)) == end(3)


def test_default_optimizer(data):
    nets = net64(), net64()
    fit(nets[0], *data, loss=BCE, epochs=3)
    fit(nets[1], *data, loss=BCE, epochs=3, optimizer=SGD(0.01))
    np.testing.assert_array_equal(nets[0].params.theta, nets[1].params.theta)


def test_arguments_are_unchanged_and_views_stay_bound(data):
    X, y = data
    weight = np.ones(40)
    for array in (X, y, weight):
        array.flags.writeable = False
    net = mlp(3)
    theta = net.params.theta
    fit(net, X, y, loss=BCE, epochs=2, sample_weight=weight, batch_size=9, l2=0.1, clip_norm=0.1)
    assert net.params.theta is theta
    assert all(np.shares_memory(view, theta) for view in net.params.views.values())


def test_lists_and_integers_are_accepted():
    ends = []
    for X, y in (([[0, 1], [1, 0]], [0, 1]), (np.eye(2)[::-1], np.array([False, True]))):
        net = mlp(2)
        fit(net, X, y, loss=BCE, epochs=3)
        ends.append(net.params.theta.tobytes())
    assert ends[0] == ends[1]


LOSSES = [
    (BCE, 1, lambda rng, m: rng.integers(0, 2, m)),
    (SoftmaxCrossEntropy(0.1), 3, lambda rng, m: rng.integers(0, 3, m)),
    (BinaryCrossEntropy(), 3, lambda rng, m: rng.integers(0, 2, (m, 3))),
    (MSE, 2, lambda rng, m: rng.normal(size=(m, 2))),
    (Huber(0.5), 2, lambda rng, m: rng.normal(size=(m, 2))),
]


@pytest.mark.parametrize(("loss", "n_out", "draw"), LOSSES, ids=lambda v: type(v).__name__)
def test_weight_k_equals_k_rows(loss, n_out, draw):
    rng = np.random.default_rng(0)
    X, y, k = rng.normal(size=(12, 3)), draw(rng, 12), rng.integers(0, 4, 12)
    nets = net64(n_out=n_out), net64(n_out=n_out)
    weighted = fit(nets[0], X, y, loss=loss, optimizer=SGD(0.3), epochs=20, sample_weight=k)
    repeated = fit(
        nets[1], X.repeat(k, axis=0), y.repeat(k, axis=0), loss=loss, optimizer=SGD(0.3), epochs=20
    )
    np.testing.assert_allclose(weighted.loss, repeated.loss, rtol=1e-12)
    np.testing.assert_allclose(nets[0].params.theta, nets[1].params.theta, rtol=1e-10, atol=1e-12)


def weights_after(X, y, n_out=1, loss=BCE, **options) -> np.ndarray:
    net = net64(X.shape[1], n_out)
    fit(net, X, y, loss=loss, optimizer=SGD(0.3), epochs=10, **options)
    return net.params.theta


def test_balanced_weights_formula():
    X = np.random.default_rng(0).normal(size=(12, 2))
    y = np.array([0] * 2 + [1] * 4 + [2] * 6)
    loss = SoftmaxCrossEntropy()
    balanced = weights_after(X, y, 3, loss, class_weight="balanced")
    closed = weights_after(X, y, 3, loss, sample_weight=np.array([2.0, 1.0, 2 / 3])[y])
    np.testing.assert_allclose(balanced, closed, rtol=1e-13)
    times = np.array([6, 3, 2])[y]
    repeated = weights_after(X.repeat(times, axis=0), y.repeat(times), 3, loss)
    np.testing.assert_allclose(balanced, repeated, rtol=1e-11)
    one_hot = weights_after(X, np.eye(3)[y], 3, loss, class_weight="balanced")
    np.testing.assert_allclose(balanced, one_hot, rtol=1e-12)


def test_balanced_treats_weight_k_as_k_rows():
    rng = np.random.default_rng(0)
    X, y, k = (
        rng.normal(size=(12, 2)),
        np.array([0] * 3 + [1] * 4 + [2] * 5),
        rng.integers(1, 5, 12),
    )
    loss = SoftmaxCrossEntropy()
    weighted = weights_after(X, y, 3, loss, class_weight="balanced", sample_weight=k)
    repeated = weights_after(X.repeat(k, axis=0), y.repeat(k), 3, loss, class_weight="balanced")
    np.testing.assert_allclose(weighted, repeated, rtol=1e-11)


def test_balanced_equals_repeating_the_rare_class():
    X = np.random.default_rng(0).normal(size=(12, 2))
    y = np.array([0] * 9 + [1] * 3)
    balanced = weights_after(X, y, class_weight="balanced")
    repeated = weights_after(np.r_[X, X[9:], X[9:]], np.r_[y, [1] * 6])
    np.testing.assert_allclose(balanced, repeated, rtol=1e-12)
    assert not np.allclose(balanced, weights_after(X, y), rtol=1e-3)


def test_balanced_uses_only_training_rows():
    X = np.random.default_rng(0).normal(size=(30, 2))
    y = np.array([0] * 20 + [1] * 10)
    received = []

    def metric(Z, targets):
        received.append(targets[:, 0].copy())
        return 0.0

    net = net64(2)
    start = copy.deepcopy(net)
    options = {"loss": BCE, "optimizer": SGD(1.0), "epochs": 1}
    fit(
        net,
        X,
        y,
        class_weight="balanced",
        validation_fraction=0.5,
        logits_metric=metric,
        seed=1,
        **options,
    )
    counts = np.bincount(received[0].astype(int))
    assert counts[0] != 2 * counts[1]  # otherwise this draw shows nothing
    weight = (15 / (2 * counts))[y]
    fit(start, X, y, sample_weight=weight, validation_fraction=0.5, seed=1, **options)
    np.testing.assert_allclose(net.params.theta, start.params.theta, rtol=1e-13)


def test_balanced_uses_sums_of_weights():
    rng = np.random.default_rng(0)
    X, y, k = rng.normal(size=(12, 2)), np.arange(12) % 3, rng.integers(0, 4, 12)
    k[y == 2] = 0  # rows that do not count make no class
    loss = SoftmaxCrossEntropy()
    weighted = weights_after(X, y, 3, loss, class_weight="balanced", sample_weight=k)
    repeated = weights_after(X.repeat(k, axis=0), y.repeat(k), 3, loss, class_weight="balanced")
    np.testing.assert_allclose(weighted, repeated, rtol=1e-11)
    assert not np.allclose(weighted, weights_after(X, y, 3, loss, sample_weight=k), rtol=1e-3)


def test_class_weight_and_sample_weight_multiply():
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(12, 2)), np.arange(12) % 3, rng.uniform(0.5, 2, 12)
    loss = SoftmaxCrossEntropy()
    both = weights_after(X, y, 3, loss, class_weight={1: 5.0, 2: 0}, sample_weight=w)
    product = weights_after(X, y, 3, loss, sample_weight=w * np.array([1.0, 5.0, 0.0])[y])
    np.testing.assert_allclose(both, product, rtol=1e-13)


def test_class_weight_of_an_absent_class():
    X, y, loss = np.eye(4), [0, 0, 1, 1], SoftmaxCrossEntropy()
    plain = weights_after(X, y, 3, loss)
    np.testing.assert_allclose(weights_after(X, y, 3, loss, class_weight={2: 9.0}), plain)
    np.testing.assert_allclose(weights_after(X, y, 3, loss, class_weight="balanced"), plain)


def test_batch_with_zero_weights():
    net = mlp(2)
    weight = np.zeros(9)
    weight[4] = 1
    history = fit(
        net, np.ones((9, 2)), [0] * 9, loss=BCE, batch_size=2, epochs=2, sample_weight=weight
    )
    assert np.isfinite(history.loss).all()


# --- penalty and clipping


def test_l2_gradient_matches_finite_differences(data):
    X, y = data
    net, l2, eps = net64(), 0.7, 1e-5
    loss, targets = BCE, y[:, None]

    def objective() -> float:
        squares = sum((net.params.views[f"dense{i}.W"] ** 2).sum() for i in (1, 2))
        return loss(net.forward(X), targets)[0] + l2 / 2 * squares

    slope = np.empty(net.params.theta.size)
    for i, value in enumerate(net.params.theta.copy()):
        ends = []
        for shift in (eps, -eps):
            net.params.theta[i] = value + shift
            ends.append(objective())
        net.params.theta[i] = value
        slope[i] = (ends[0] - ends[1]) / (2 * eps)
    before = net.params.theta.copy()
    fit(net, X, y, loss=loss, optimizer=SGD(1.0), epochs=1, l2=l2)
    np.testing.assert_allclose(before - net.params.theta, slope, rtol=1e-7, atol=1e-9)


def test_l2_applies_to_weights_only(data):
    X, y = data
    plain, decayed = net64(batch_norm=True), net64(batch_norm=True)
    start = plain.params.theta.copy()
    losses = [
        fit(net, X, y, loss=BCE, optimizer=SGD(0.1), epochs=1, l2=l2).loss
        for net, l2 in ((plain, 0), (decayed, 0.5))
    ]
    weights = np.flatnonzero(plain.params.decaying())
    others = np.delete(np.arange(start.size), weights)
    shrunk = plain.params.theta[weights] - 0.1 * 0.5 * start[weights]
    np.testing.assert_allclose(decayed.params.theta[weights], shrunk, rtol=1e-13)
    np.testing.assert_array_equal(decayed.params.theta[others], plain.params.theta[others])
    assert losses[0] == losses[1]  # the loss in the history is without the penalty


@pytest.mark.parametrize("l2", [0.0, 5.0])
def test_clip_norm_bounds_the_step_in_its_direction(data, l2):
    steps = []
    for clip_norm in (None, 1e-3, 1e9):
        net = net64()
        before = net.params.theta.copy()
        fit(net, *data, loss=BCE, optimizer=SGD(0.5), epochs=1, clip_norm=clip_norm, l2=l2)
        steps.append(net.params.theta - before)
    free, clipped, wide = steps
    assert np.linalg.norm(clipped) == pytest.approx(0.5e-3, rel=1e-9)
    np.testing.assert_allclose(
        clipped / np.linalg.norm(clipped), free / np.linalg.norm(free), atol=1e-9
    )
    np.testing.assert_array_equal(wide, free)


# --- validation and early stopping


def test_validation_loss_and_metric_by_hand(data):
    X, y = data
    Xv, yv = X[:10] + 0.1, y[:10]
    net = mlp(3, dropout=0.5, batch_norm=True)
    by_hand = []

    def note(epoch: Epoch) -> None:
        A = BCE.predictions(net.predict_logits(Xv).astype(np.float64))[:, 0]
        loss = -np.mean(yv * np.log(A) + (1 - yv) * np.log(1 - A))
        by_hand.append((loss, np.mean((A > 0.5) == yv)))

    history = fit(
        net,
        X,
        y,
        loss=BinaryCrossEntropy(label_smoothing=0.2),  # which only training rows have
        epochs=6,
        batch_size=16,
        validation_data=[Xv, yv],
        logits_metric=BCE.metric,
        callbacks=[note],
    )
    recorded = list(zip(history.val_loss, history.val_metric, strict=True))
    np.testing.assert_allclose(recorded, by_hand, rtol=1e-5)


def test_training_metric_is_the_mean_before_each_step(data):
    X, y = data
    net = net64()
    first = net.predict_logits(X)
    history = fit(
        net,
        X,
        y,
        loss=BCE,
        optimizer=SGD(2.0),
        epochs=2,
        logits_metric=lambda Z, y: float(Z.mean()),
    )
    assert history.metric[0] == pytest.approx(float(first.mean()), rel=1e-13)
    assert history.metric[1] != pytest.approx(history.metric[0], rel=1e-3)
    uneven = fit(
        net64(),
        X,
        np.arange(40.0),
        loss=MSE,
        epochs=1,
        batch_size=16,
        logits_metric=lambda Z, y: float(y.mean()),
    )
    assert uneven.metric == [pytest.approx(19.5)]


@pytest.mark.parametrize(("m", "share", "n_out"), [(50, 0.3, 15), (7, 0.5, 4), (2, 0.5, 1)])
def test_validation_fraction_is_never_trained_on(m, share, n_out):
    received: list[list[float]] = []

    def metric(Z, y):
        received.append(y[:, 0].tolist())
        return 0.0

    def split(seed):
        received.clear()
        X = np.linspace(0, 1, m)[:, None]
        fit(
            mlp(1),
            X,
            np.arange(m),
            loss=MSE,
            validation_fraction=share,
            logits_metric=metric,
            epochs=2,
            seed=seed,
        )
        return received[0], received[1], received[2:]

    trained, held_out, later = split(0)
    assert len(held_out) == n_out
    assert sorted(trained + held_out) == list(range(m))
    assert later == [trained, held_out]
    assert split(0)[1] == held_out
    assert any(split(seed)[1] != held_out for seed in range(1, 9))


def test_validation_split_keeps_targets_and_weights_aligned():
    # the only row that counts decides alone what is learned
    X, y = np.eye(6), np.arange(6.0)
    weight = np.zeros(6)
    weight[2] = 1
    learned, refused = [], []
    for seed in range(20):
        net = mlp(6, (), dtype=np.float64)
        options = {
            "validation_fraction": 1 / 3,
            "sample_weight": weight,
            "seed": seed,
            "epochs": 300,
        }
        try:
            fit(net, X, y, loss=MSE, optimizer=SGD(0.2), **options)
        except PlainnetError as error:  # row 2 was held out
            refused.append(str(error))
        else:
            learned.append(net.predict_logits(X[[2]])[0, 0])
    assert learned == [pytest.approx(2.0, abs=1e-6)] * len(learned)
    assert 0 < len(learned) < 20
    assert set(refused) == {
        "the weights of the 4 training rows must have a finite sum above 0, got 0.0"
    }


def overfit(net: Sequential, patience: int = 8, **options) -> tuple[History, list[np.ndarray]]:
    """Create noise labels, so that the validation loss soon rises."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    thetas: list[np.ndarray] = []
    keep = options.pop("callbacks", [])
    history = fit(
        net,
        X,
        y,
        loss=BCE,
        optimizer=Adam(0.02),
        epochs=500,
        batch_size=16,
        validation_fraction=0.3,
        early_stopping=EarlyStopping(patience=patience),
        callbacks=[lambda epoch: thetas.append(net.params.theta.copy()), *keep],
        **options,
    )
    return history, thetas


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("patience", [1, 8])
def test_early_stopping_restores_the_best_weights(patience, batch_norm):
    net = mlp(3, (20,), batch_norm=batch_norm)
    history, thetas = overfit(net, patience)
    best = int(np.argmin(history.val_loss))
    assert history.best_epoch == best + 1
    assert len(history) == best + 1 + patience
    assert history.stopped == "early stopping"
    np.testing.assert_array_equal(net.params.theta, thetas[best])
    assert not np.array_equal(thetas[-1], thetas[best])


def test_restored_weights_are_a_copy():
    net = mlp(3, (20,))
    first, thetas = overfit(net)
    kept = copy.deepcopy(net)
    overfit(net)
    np.testing.assert_array_equal(kept.params.theta, thetas[first.best_epoch - 1])


def test_best_weights_are_restored_however_training_ends():
    net = mlp(3, (20,))
    history, thetas = overfit(net, patience=400, callbacks=[lambda epoch: epoch.number == 60])
    best = int(np.argmin(history.val_loss))
    assert history.stopped == "callback"
    assert best < 59
    np.testing.assert_array_equal(net.params.theta, thetas[best])


def test_epoch_stopped_by_a_callback_may_be_the_best(data):
    net, thetas = net64(), []

    def note(epoch):
        thetas.append(net.params.theta.copy())
        return epoch.number == 3

    history = fit(
        net,
        *data,
        loss=BCE,
        optimizer=SGD(0.1),
        validation_data=data,
        early_stopping=EarlyStopping(),
        callbacks=[note],
    )
    assert history.val_loss == sorted(history.val_loss, reverse=True)
    assert (history.best_epoch, history.stopped) == (3, "callback")
    np.testing.assert_array_equal(net.params.theta, thetas[2])


def test_min_delta_is_the_minimum_improvement(data):
    X, y = data
    options = {"loss": BCE, "optimizer": SGD(1e-3), "epochs": 50, "validation_data": (X, y)}
    slow = fit(net64(), X, y, early_stopping=EarlyStopping(3, min_delta=0.5), **options)
    assert (len(slow), slow.best_epoch, slow.stopped) == (4, 1, "early stopping")
    any_step = fit(net64(), X, y, early_stopping=EarlyStopping(3), **options)
    assert (len(any_step), any_step.best_epoch, any_step.stopped) == (50, 50, "epochs")


# --- callbacks and Ctrl-C


def test_callbacks_get_every_epoch_and_may_stop(data):
    calls: list[tuple[str, int]] = []

    def note(name, stop_at):
        def callback(epoch):
            calls.append((name, epoch.number))
            return epoch.number == stop_at

        return callback

    history = fit(mlp(3), *data, loss=BCE, callbacks=[note("a", 3), note("b", 99)], epochs=9)
    assert calls == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 3)]
    assert history.stopped == "callback"
    assert len(history) == 3


@pytest.fixture
def own_handler() -> Iterator[list[int]]:
    """Install a SIGINT handler as an application would; return the caught signals."""
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda signum, frame: caught.append(signum))
    yield caught
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_keeps_the_network_and_restores_the_handler(data, own_handler):
    handler = signal.getsignal(signal.SIGINT)
    net, thetas = mlp(3), []

    def press(epoch):
        thetas.append(net.params.theta.copy())
        if epoch.number == 3:
            signal.raise_signal(signal.SIGINT)

    history = fit(net, *data, loss=BCE, callbacks=[press], epochs=50, batch_size=10)
    assert history.stopped == "interrupted"
    assert len(history) == len(history.lr) == 3
    np.testing.assert_array_equal(net.params.theta, thetas[-1])
    assert own_handler == []
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_stops_after_the_current_batch(data):
    net, steps = mlp(3), []

    def metric(Z, y):
        steps.append(len(y))
        if len(steps) == 6:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    history = fit(net, *data, loss=BCE, logits_metric=metric, epochs=50, batch_size=10)
    assert len(steps) == 6  # four batches in the first epoch, two in the second
    assert (history.stopped, len(history)) == ("interrupted", 1)
    assert np.isfinite(net.params.theta).all()


def test_ctrl_c_in_the_last_batch_records_the_epoch(data):
    def metric(Z, y):
        signal.raise_signal(signal.SIGINT)
        return 0.5

    history = fit(mlp(3), *data, loss=BCE, logits_metric=metric, epochs=50)
    assert (history.stopped, history.metric) == ("interrupted", [0.5])


def test_second_ctrl_c_interrupts_immediately(data, own_handler):
    handler = signal.getsignal(signal.SIGINT)

    def press_twice(epoch):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(mlp(3), *data, loss=BCE, callbacks=[press_twice])
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_with_early_stopping_restores_the_best_weights():
    net = mlp(3, (20,))

    def press(epoch):
        if epoch.number == 60:
            signal.raise_signal(signal.SIGINT)

    history, thetas = overfit(net, patience=400, callbacks=[press])
    assert history.stopped == "interrupted"
    np.testing.assert_array_equal(net.params.theta, thetas[int(np.argmin(history.val_loss))])


def test_ignored_ctrl_c_stays_ignored(data):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        history = fit(
            mlp(3),
            *data,
            loss=BCE,
            epochs=3,
            callbacks=[lambda epoch: signal.raise_signal(signal.SIGINT)],
        )
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert (history.stopped, len(history)) == ("epochs", 3)


def test_handler_is_restored_after_an_error(data, own_handler):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError):
        fit(mlp(3), *data, loss=BCE, callbacks=[lambda epoch: 1 / 0])
    assert signal.getsignal(signal.SIGINT) is handler


def test_fit_works_outside_the_main_thread(data):
    nets, histories = (mlp(3), mlp(3)), []
    handler = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(
        target=lambda: histories.append(fit(nets[0], *data, loss=BCE, epochs=5))
    )
    thread.start()
    thread.join()
    histories.append(fit(nets[1], *data, loss=BCE, epochs=5))
    assert histories[0].loss == histories[1].loss
    assert signal.getsignal(signal.SIGINT) is handler


# --- numbers that are not finite; pytest turns any warning of NumPy into an error


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("rule", [SGD(1e20), SGD(1e20, 0.9), Adam(1e30), RMSprop(1e30)])
def test_diverging_learning_rate(data, rule, batch_norm):
    net, thetas = mlp(3, (8, 8), batch_norm=batch_norm), []

    def note(epoch):
        thetas.append(net.params.theta.copy())

    with pytest.raises(TrainingError) as error:
        fit(net, *data, loss=MSE, optimizer=rule, callbacks=[note])
    message = str(error.value)
    rate = re.escape(f"{rule.current_lr:g}")
    match = re.fullmatch(
        rf"the loss became (nan|inf) in epoch (\d+), batch 1 \(learning rate {rate}\): "
        r"(layer '\w+'|the loss) is the first that is not finite, the largest finite \|z\| is "
        r"(\S+); lower the learning rate, scale the inputs or set clip_norm",
        message,
    )
    assert match, message
    assert int(match[2]) == len(thetas) + 1
    assert float(match[4]) > 1e3
    # the batch that failed has moved nothing, running means included
    np.testing.assert_array_equal(net.params.theta, thetas[-1])


def test_error_names_layer_batch_and_largest_z():
    net = mlp(2, (1,), init="constant:1")
    X = np.array([[1, 2], [3, 4], [3e38, 3e38], [5, 6]], np.float32)
    with pytest.raises(TrainingError) as error:
        fit(net, X, np.zeros(4), loss=MSE, optimizer=SGD(1e-9))
    assert str(error.value) == (
        "the loss became inf in epoch 1, batch 1 (learning rate 1e-09): layer 'dense1' is the "
        "first that is not finite, the largest finite |z| is 11; lower the learning rate, scale "
        "the inputs or set clip_norm"
    )


def test_error_names_the_batch():
    received = []
    X = np.ones((9, 1), np.float32)
    X[4] = 3e38
    with pytest.raises(TrainingError) as error:
        fit(
            mlp(1, (), init="constant:2"),
            X,
            np.zeros(9),
            loss=MSE,
            batch_size=1,
            logits_metric=lambda Z, y: received.append(1) or 0.0,
        )
    assert f"in epoch 1, batch {len(received) + 1} (learning rate 0.01)" in str(error.value)


def test_overflowing_loss():
    with pytest.raises(TrainingError) as error:
        fit(mlp(1, (), init="constant:1"), [[1e30]], [0.0], loss=MSE)
    assert "the loss is the first that is not finite, the largest finite |z| is 1e+30" in str(
        error.value
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_nonfinite_input_raises_before_training(bad, batch_size):
    X = np.zeros((3000, 3))
    X[2500, 1] = bad
    net = mlp(3)
    before = net.params.theta.copy()
    with pytest.raises(TrainingError) as error:
        fit(net, X, np.zeros(3000), loss=BCE, batch_size=batch_size)
    assert str(error.value) == (
        f"X holds {bad} in row 2500, column 1: a network needs finite float32 numbers"
    )
    with pytest.raises(TrainingError) as error:
        fit(net, X[:9], np.zeros(9), loss=BCE, validation_data=(X, np.zeros(3000)))
    assert str(error.value).startswith(f"X of validation_data holds {bad} in row 2500, column 1: ")
    np.testing.assert_array_equal(net.params.theta, before)


def test_float64_accepts_values_beyond_float32():
    fit(mlp(1, dtype=np.float64), [[1e100]], [1], loss=BCE, epochs=1, optimizer=SGD(1e-200))


def test_nonfinite_pixel_is_located():
    X = np.zeros((4, 2, 2, 3))
    X[1, 0, 1, 2] = np.nan
    with pytest.raises(TrainingError) as error:
        fit(mlp((2, 2, 3)), X, np.zeros(4), loss=BCE)
    assert str(error.value) == (
        "X holds nan in row 1, index (0, 1, 2): a network needs finite float32 numbers"
    )


def test_transform_that_divides_by_zero():
    X = np.zeros((4, 2, 2, 3), np.uint8)
    with pytest.raises(TrainingError) as error:
        fit(mlp((2, 2, 3)), X, np.zeros(4), loss=BCE, epochs=2, transform=lambda X: X * np.nan)
    assert str(error.value) == (
        "the loss became nan in epoch 1, batch 1 (learning rate 0.01): "
        "the inputs hold nan after the transform, which must give finite numbers"
    )


def test_nonfinite_validation_loss(data):
    X, y = data
    with pytest.raises(TrainingError) as error:
        fit(mlp(3), X, y, loss=MSE, optimizer=SGD(1e30), epochs=1, validation_data=(X, y))
    assert re.fullmatch(
        r"the validation loss became (nan|inf) in epoch 1 \(learning rate 1e\+30\): "
        "lower the learning rate, scale the inputs or set clip_norm",
        str(error.value),
    )


def test_nonfinite_parameters_after_the_last_step_raise():
    with pytest.raises(TrainingError) as error:
        fit(mlp(1, ()), [[100.0]], [0.0], loss=MSE, optimizer=SGD(1e38), epochs=1)
    assert str(error.value) == (
        "a parameter became inf in epoch 1 (learning rate 1e+38): "
        "lower the learning rate, scale the inputs or set clip_norm"
    )


def test_clipping_handles_overflowing_squares():
    net = mlp(1, (), init="constant:1")
    history = fit(
        net, [[1e12]], [0.0], loss=Huber(1e13), clip_norm=1.0, optimizer=SGD(0.1), epochs=3
    )
    assert history.loss[2] < history.loss[1] < history.loss[0]


# --- networks and tasks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options", [{}, {"dropout": 0.2}, {"batch_norm": True}, {"layer_norm": True}], ids=str
)
def test_every_kind_of_network_trains(options, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    y = X[:, 0] * X[:, 1] > 0
    net = mlp(2, (32, 16), dtype=dtype, **options)
    history = fit(net, X, y, loss=BCE, optimizer=Adam(0.02), epochs=60, batch_size=50)
    assert net.params.theta.dtype == dtype
    assert BCE.metric(net.predict_logits(X), y[:, None]) > 0.95
    assert history.loss[-1] < 0.4 * history.loss[0]


@pytest.mark.parametrize(
    ("n_out", "loss", "target", "low"),
    [
        (2, MSE, lambda X: X @ [[1.0, -2.0], [0.5, 1.0], [0.0, 3.0]] + 1, 5e-3),
        (2, Huber(), lambda X: X @ [[1.0, -2.0], [0.5, 1.0], [0.0, 3.0]] + 1, 5e-3),
        (3, BinaryCrossEntropy(), lambda X: X > 0.2, 0.05),
        (3, SoftmaxCrossEntropy(), lambda X: X.argmax(axis=1), 0.1),
        (1, BCE, lambda X: X.sum(axis=1) > 0, 0.05),
    ],
    ids=["regression", "huber", "multilabel", "softmax", "binary"],
)
def test_every_task_is_learned(n_out, loss, target, low):
    X = np.random.default_rng(0).normal(size=(150, 3))
    history = fit(mlp(3, (16,), n_out), X, target(X), loss=loss, optimizer=Adam(0.03), epochs=300)
    assert history.loss[-1] < low


@pytest.mark.parametrize(
    "rule",
    [
        SGD(0.5),
        SGD(0.1, momentum=0.9),
        SGD(0.1, momentum=0.9, nesterov=True),
        RMSprop(0.003),
        Adam(0.01),
        AdamW(0.01),
    ],
    ids=["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"],
)
def test_every_optimizer_overfits_twenty_rows(rule):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.integers(0, 2, 20)
    history = fit(mlp(4, (32, 32), seed=1), X, y, loss=BCE, optimizer=rule, epochs=600)
    assert history.loss[-1] < 0.02


def test_network_without_weights_trains(data):
    X, y = data
    net = Sequential([BatchNorm(), Dense(1), Dropout(0.1)], 3)
    assert fit(net, X, y, loss=BCE, epochs=2, l2=0.1).loss
    fit(Sequential([ReLU()], 1), X[:, :1], y, loss=BCE, epochs=2)  # nothing to move at all


# --- options


OPTIONS = [
    {"optimizer": SGD(0.02)},
    {"epochs": 4},
    {"batch_size": 7},
    {"validation_fraction": 0.2},
    {"validation_fraction": 0.2, "seed": 1},
    {"batch_size": 7, "seed": 1},
    {"sample_weight": np.linspace(0, 1, 40)},
    {"class_weight": {0: 3.0}},
    {"class_weight": "balanced"},
    {"l2": 0.01},
    {"clip_norm": 0.01},
    {"transform": lambda X: X * 2},
    {"callbacks": [lambda epoch: True]},
]


def test_every_option_has_an_effect(data):
    X, y = data
    y = np.where(X[:, 1] > 1, 1, y)  # so that the classes are not balanced
    ends = []
    for options in [{}, *OPTIONS]:
        net = net64()
        fit(net, X, y, loss=BCE, **{"epochs": 3, **options})
        ends.append(net.params.theta.tobytes())
    assert len(set(ends)) == len(ends)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "fit: epochs must be a whole number of at least 1, got 0"),
        ({"epochs": 2.0}, "fit: epochs must be a whole number of at least 1, got 2.0"),
        ({"batch_size": 0}, "fit: batch_size must be a whole number of at least 1, got 0"),
        ({"l2": -0.1}, "fit: l2 must be a number in [0, inf), got -0.1"),
        ({"clip_norm": 0}, "fit: clip_norm must be a number in (0, inf), got 0"),
        (
            {"optimizer": "adam"},
            "fit: optimizer must be an optimizer such as SGD(lr=0.1), got 'adam'",
        ),
        (
            {"optimizer": Adam},
            "fit: optimizer must be an optimizer such as SGD(lr=0.1), "
            "got <class 'plainnet.optim.optimizers.Adam'>",
        ),
        ({"loss": "mse"}, "fit: loss must be a loss such as MeanSquaredError(), got 'mse'"),
        (
            {"early_stopping": EarlyStopping()},
            "early stopping needs validation rows: pass validation_fraction=0.2",
        ),
        (
            {"validation_fraction": 1.5},
            "fit: validation_fraction must be a number in (0, 1), got 1.5",
        ),
        (
            {"validation_fraction": 0.2, "validation_data": (np.ones((2, 3)), [0, 1])},
            "fit takes validation_fraction or validation_data, not both",
        ),
        (
            {"validation_fraction": 0.01},
            "validation_fraction=0.01 of 40 rows leaves 40 to train on and 0 to validate with: "
            "give more rows or another share",
        ),
        (
            {"validation_fraction": 0.999},
            "validation_fraction=0.999 of 40 rows leaves 0 to train on and 40 to validate with: "
            "give more rows or another share",
        ),
        (
            {"validation_data": (1, 2, 3)},
            "validation_data must be a pair (X, y), got 3 parts",
        ),
        (
            {"validation_data": (np.ones((2, 4)), [0, 1])},
            "Dense 'dense1' expects 3 inputs, got 4",
        ),
        (
            {"validation_data": (np.ones((2, 3)), [0, 1, 1])},
            "X of validation_data has 2 rows but y has 3",
        ),
        (
            {"validation_data": (np.ones((0, 3)), np.ones(0))},
            "there are no rows to train on or validate with: X of validation_data is empty",
        ),
        (
            {"sample_weight": [1, 2]},
            "sample_weight needs one weight for each of 40 rows, got int64 of shape (2,)",
        ),
        (
            {"sample_weight": ["a"] * 40},
            "sample_weight needs one weight for each of 40 rows, got <U1 of shape (40,)",
        ),
        ({"sample_weight": [-1] + [1] * 39}, "sample_weight must be finite and at least 0"),
        ({"sample_weight": [math.nan] * 40}, "sample_weight must be finite and at least 0"),
        (
            {"sample_weight": [0] * 40},
            "the weights of the 40 training rows must have a finite sum above 0, got 0.0",
        ),
        (
            {"class_weight": {0: 0, 1: 0}},
            "the weights of the 40 training rows must have a finite sum above 0, got 0.0",
        ),
        (
            {"class_weight": "even"},
            "class_weight must be 'balanced' or map class numbers to weights, got 'even'",
        ),
        (
            {"class_weight": np.array([1, 2])},
            "class_weight must be 'balanced' or map class numbers to weights, got array([1, 2])",
        ),
        ({"class_weight": {2: 1}}, "class_weight names class 2, but the classes are 0 to 1"),
        ({"class_weight": {1.0: 1}}, "class_weight names class 1.0, but the classes are 0 to 1"),
        (
            {"class_weight": {1: -1}},
            "class_weight: class 1 must be a number in [0, inf), got -1",
        ),
        (
            {"class_weight": "balanced", "loss": MSE},
            "class_weight needs one class per row, which MeanSquaredError with 1 output does "
            "not have",
        ),
    ],
)
def test_invalid_options_raise_before_training(data, options, message):
    net = mlp(3)
    before = net.params.theta.copy()
    with pytest.raises(PlainnetError) as error:
        fit(net, *data, **{"loss": BCE, "epochs": 2, **options})
    assert str(error.value) == message
    np.testing.assert_array_equal(net.params.theta, before)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((3, 2)), [0, 1, 1], "Dense 'dense1' expects 3 inputs, got 2"),
        (np.ones((3, 3)), [0, 1], "X has 3 rows but y has 2"),
        (np.ones((0, 3)), np.ones(0), "there are no rows to train on or validate with: X is empty"),
        (
            np.ones(3),
            [0, 1, 1],
            "fit expects X as numbers, one row per sample, got float64 of shape (3,)",
        ),
        (
            [["a", "b", "c"]],
            [0],
            "fit expects X as numbers, one row per sample, got <U1 of shape (1, 3)",
        ),
    ],
)
def test_invalid_rows_raise(X, y, message):
    with pytest.raises(PlainnetError) as error:
        fit(mlp(3), X, y, loss=BCE)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"patience": 0},
            "EarlyStopping: patience must be a whole number of at least 1, got 0",
        ),
        ({"min_delta": -1}, "EarlyStopping: min_delta must be a number in [0, inf), got -1"),
    ],
)
def test_invalid_early_stopping_raises(options, message):
    with pytest.raises(PlainnetError) as error:
        EarlyStopping(**options)
    assert str(error.value) == message


# --- metrics --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "n_out", "y", "name"),
    [
        (BinaryCrossEntropy(), 1, [0, 1, 1, 0, 1, 0], "accuracy_score"),
        (BinaryCrossEntropy(), 2, [[0, 1], [1, 1], [1, 0]] * 2, "accuracy_score"),
        (SoftmaxCrossEntropy(), 3, [0, 1, 2, 0, 1, 2], "accuracy_score"),
        (SoftmaxCrossEntropy(), 3, np.eye(3)[[0, 1, 2, 0, 1, 2]], "accuracy_score"),
        (MeanSquaredError(), 1, [0.5, 1, 2, 3, 4, 5], "r2_score"),
        (MeanSquaredError(), 2, [[0.5, 1], [2, 3], [4, 5]] * 2, "mean_absolute_error"),
    ],
)
def test_scikit_learn_metrics_get_labels(loss, n_out, y, name):
    measure = getattr(pytest.importorskip("sklearn.metrics"), name)
    X = np.random.default_rng(3).normal(size=(6, 2))
    net = mlp(2, (4,), n_out, seed=1)
    Z = net.predict_logits(X)
    history = fit(net, X, y, loss=loss, epochs=1, metric=measure)
    true = np.argmax(y, axis=1) if len(np.shape(y)) == 2 and n_out == 3 else np.array(y)
    labels = Z.argmax(axis=1) if n_out == 3 else Z > 0
    predicted = labels if name == "accuracy_score" else Z
    expected = measure(true, predicted.reshape(true.shape))
    assert history.metric == [pytest.approx(expected, rel=1e-6)]


def test_metric_and_logits_metric_exclude_each_other():
    with pytest.raises(PlainnetError, match="metric or logits_metric, not both"):
        fit(mlp(1), [[1.0]], [1], loss=BCE, metric=lambda a, b: 0.0, logits_metric=BCE.metric)
