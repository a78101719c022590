"""The doctor finds each fault, stays silent about good trainings, and changes nothing."""

import json
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from diagnose.trainings import (
    FAULTY,
    alarms,
    good_trainings,
    lr_of_one,
    moon_net,
    points,
    trap,
    trapped_dead,
)
from plainnet import SGD, Adam, BinaryCrossEntropy, MeanSquaredError, fit, mlp
from plainnet.cli import main
from plainnet.cli.options import command_arguments
from plainnet.config import TrainConfig
from plainnet.data.synthetic import moons
from plainnet.diagnose.activations import measure
from plainnet.diagnose.checks.data import check_leak, check_scale
from plainnet.diagnose.checks.learned import check_learned
from plainnet.diagnose.checks.result import check_result
from plainnet.diagnose.checks.training import block_means, check_overfitting, share_of_rises
from plainnet.diagnose.curvature import largest_curvature
from plainnet.diagnose.doctor import (
    START_CHECKS,
    examine,
    in_order,
    run_checks,
)
from plainnet.diagnose.recorder import Recorder
from plainnet.diagnose.snapshot import TrainingSnapshot, best_constant
from plainnet.engine.blas_threads import limited_threads
from plainnet.evaluate.feature_spans import FeatureSpan
from plainnet.evaluate.finding import Finding
from plainnet.metrics import scores as metrics
from plainnet.metrics.intervals import paired_shares
from plainnet.nn import Dense, Huber, Identity, ReLU, Sequential, SoftmaxCrossEntropy
from plainnet.train.history import History

GOOD = dict(good_trainings(range(2)))
ENTROPY = -(72 / 209 * np.log(72 / 209) + 137 / 209 * np.log(137 / 209))  # 0.6440


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_found_and_its_advice_can_be_followed(name, tmp_path, monkeypatch, capsys):
    """No two findings contradict each other, and the command of each can be pasted."""
    make, finding, texts_of_it = FAULTY[name]
    snapshot = make(0)
    findings = examine(snapshot)
    found = {one.name: json.dumps(one.to_json()) for one in findings}
    texts = [found[name] for name in finding.split("|") if name in found]
    assert texts, found
    assert any(word in text for text in texts for word in texts_of_it.split("|")), texts
    assert all(one.advice for one in findings)
    every = {option: one.options[option] for one in findings for option in one.options}
    assert all(every.items() >= one.options.items() for one in findings)
    if snapshot.task not in ("binary", "multiclass"):
        return
    monkeypatch.chdir(tmp_path)
    X, y = moons(60, seed=0)
    columns = {f"column {i}": X[:, i % 2] + i for i in range(3)}
    pd.DataFrame({**columns, "label": y}).to_csv("rows.csv", index=False)
    options = replace(snapshot.options, epochs=2, target="label")
    commands = set()
    for one in findings:
        changed = replace(options, **one.options)
        assert (changed != options) == bool(one.options)
        commands.add(tuple(command_arguments(changed, "rows.csv", command="doctor")[1:]))
    for command in commands:
        assert main([*command, "--json"]) in (0, 1), capsys.readouterr().err
        json.loads(capsys.readouterr().out)


def test_there_are_at_least_fifty_good_trainings():
    assert len(GOOD) >= 50


@pytest.mark.parametrize("name", GOOD)
def test_a_good_training_has_no_warnings(name):
    assert alarms(GOOD[name]()) == []


# --- the trap of 72 positives in 209 rows --------------------------------------------------------


def test_a_cost_of_0_6440_is_the_entropy_of_the_base_rate():
    snapshot = trapped_dead(0)
    assert round(ENTROPY, 4) == 0.6440
    assert snapshot.history.loss[-1] == pytest.approx(ENTROPY, abs=1e-4)
    first = examine(snapshot)[0]
    assert (first.name, first.level) == ("base rate", "problem")
    assert first.evidence == (
        "cost 0.6440; the entropy of the base rate is 0.6440 (72 of 209 rows are 1)"
    )
    assert first.cause.startswith("All 7 units of relu2 are dead (zero for every row);")


def test_the_same_rows_with_a_good_start_are_learned():
    X, y, net = trap(0)
    loss, rule = BinaryCrossEntropy(), Adam(0.003)
    history = fit(net, X, y, loss=loss, optimizer=rule, epochs=40, batch_size=32)
    snapshot = TrainingSnapshot(net, loss, X, y, history=history, optimizer=rule)
    assert [one.name for one in examine(snapshot) if one.level == "problem"] == []


# --- it changes nothing --------------------------------------------------------------------------


def test_nothing_is_changed():
    snapshot = points("moons", "Adam", 0, net={"batch_norm": True, "dropout": 0.2})
    net, X = snapshot.net, snapshot.X
    theta, grad, state = (
        net.params.theta.copy(),
        net.params.grad.copy(),
        net.rng.bit_generator.state,
    )
    rows = X.copy()
    examine(snapshot)
    assert np.array_equal(net.params.theta, theta)
    assert np.array_equal(net.params.grad, grad)
    assert net.rng.bit_generator.state == state
    assert np.array_equal(X, rows)


def test_recording_does_not_change_a_training():
    def train(watched):
        net, loss = mlp(2, (8,), dropout=0.1, seed=3), BinaryCrossEntropy()
        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((50, 2)), np.arange(50) % 2
        recorder = Recorder(net)
        options = {"logits_metric": loss.metric}
        if watched:
            options = {"logits_metric": recorder.metric(loss.metric), "watch": recorder.watch}
        history = fit(
            net, X, y, loss=loss, epochs=5, batch_size=8, validation_fraction=0.2, seed=1, **options
        )
        return net.params.theta, history.metric, history.val_metric

    for one, other in zip(train(True), train(False), strict=True):
        assert np.array_equal(one, other)


def test_equal_snapshots_have_equal_findings():
    assert examine(lr_of_one(1)) == examine(lr_of_one(1))


# --- measurements --------------------------------------------------------------------------------


def test_activity_counts_dead_units_over_all_rows():
    net = Sequential([Dense(3, "zeros"), ReLU(), Dense(1)], n_in=2)
    net.params.views["dense1.b"][...] = [-1, 0, 1]
    net.params.views["dense1.W"][1] = [0, 1]  # alive for the last row alone
    X = np.zeros((5000, 2), np.float32)
    X[-1, 1] = 1
    loss = BinaryCrossEntropy()
    layer = measure(net, loss, X, loss.encode(np.zeros(5000), net.n_out)).layers[0]
    assert (layer.name, layer.units, layer.dead) == ("relu1", 3, 1)


@pytest.mark.parametrize(("kind", "large"), [("tanh", 2.65), ("sigmoid", 4.6)])
def test_activity_counts_saturated_outputs(kind, large):
    """tanh(2.65) = 0.9901 and sigmoid(4.6) = 0.9900 are within a hundredth of the range."""
    net = mlp(1, (1,), activation=kind)
    net.params.views["dense1.W"][...] = 1
    X = np.array([[large + 0.01], [0], [-large - 0.01], [large - 0.5]])
    if kind == "tanh":
        X[3] = 1.5
    loss = BinaryCrossEntropy()
    assert measure(net, loss, X, loss.encode([0, 1, 0, 1], 1)).layers[0].saturated == 0.5


def test_gradients_by_layer_are_those_of_the_network():
    net, loss = mlp(3, (4,), n_out=2, seed=1, dtype=np.float64), MeanSquaredError()
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    found = measure(net, loss, X, y).gradients
    dZ = loss(net.forward(X), y)[1]
    W1, b1, W2 = (net.params.views[name] for name in ("dense1.W", "dense1.b", "dense2.W"))
    dZ1 = (dZ @ W2) * (X @ W1.T + b1 > 0)
    expected = {"dense1": np.sqrt((dZ1**2).mean()) * 20, "dense2": np.sqrt((dZ**2).mean()) * 20}
    assert found == pytest.approx(expected)
    assert list(found) == ["dense1", "dense2"]


@pytest.mark.parametrize("n", [1, 3, 6])
def test_curvature_of_a_quadratic(n):
    """The Hessian of the mean of (X w + b - y)^2 is 2 [X 1]^T [X 1] / m."""
    rng = np.random.default_rng(n)
    X = rng.standard_normal((40, n)) * [*range(1, n + 1)]
    net = mlp(n, hidden=(), seed=1)
    extended = np.column_stack([X, np.ones(40)])
    largest = np.linalg.eigvalsh(2 * extended.T @ extended / 40)[-1]
    found = largest_curvature(
        net, MeanSquaredError(), X, rng.standard_normal((40, 1)), iterations=200
    )
    assert found == pytest.approx(largest, rel=0.06)


def test_gradient_descent_diverges_above_the_stable_learning_rate_and_not_below():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) * [1, 2, 3]
    y, loss = X @ [[1.0], [1.0], [1.0]], MeanSquaredError()
    step = TrainingSnapshot(mlp(3, hidden=()), loss, X, y).stable_lr
    ends = []
    for share in (0.9, 1.1):
        net = mlp(3, hidden=(), dtype=np.float64)
        history = fit(net, X, y, loss=loss, optimizer=SGD(share * step), epochs=100)
        ends.append(history.loss[-1] / history.loss[0])
    assert ends[0] < 1e-2 < 1e2 < ends[1]


@pytest.mark.parametrize(
    ("loss", "y", "cost"),
    [
        (BinaryCrossEntropy(), [1] * 72 + [0] * 137, ENTROPY),
        (SoftmaxCrossEntropy(), [0, 1, 2, 2], 1.5 * np.log(2)),
        (MeanSquaredError(), [1.0, 3.0], 1.0),
        (Huber(delta=1.0), [0.0, 0.0, 0.0, 9.0], (3 * 0.5 / 9 + 9 - 1 / 3 - 0.5) / 4),
    ],
)
def test_the_best_constant(loss, y, cost):
    """Huber: three errors of c and one of 9 - c balance where 3 c = 1."""
    n_out = 3 if isinstance(loss, SoftmaxCrossEntropy) else 1
    y = loss.encode(y, n_out, np.float64)
    Z = np.tile(best_constant(loss, y, None, n_out), (len(y), 1))
    assert loss(Z, y)[0] == pytest.approx(cost, rel=1e-4)


def test_weights_of_classes_enter_the_base_rate():
    X, y = np.zeros((100, 1)), np.arange(100) % 10 == 0
    snapshot = TrainingSnapshot(
        mlp(1),
        BinaryCrossEntropy(),
        X,
        y.astype(float),
        config=TrainConfig(class_weight="balanced"),
    )
    assert snapshot.base_cost == pytest.approx(np.log(2), rel=1e-5)


def test_neighbors_know_what_the_network_cannot():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (400, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(float)
    near = TrainingSnapshot(mlp(2, hidden=()), BinaryCrossEntropy(), X, y).neighbors
    assert near.score > 0.9 > 0.65 > near.network
    assert near.constant == pytest.approx(max(y.mean(), 1 - y.mean()))


def test_rises_and_block_means():
    assert share_of_rises([1.0] * 5 + [0.5, 1.0, 0.5, 1.0, 0.5], base_cost=0.7) == 0.5
    assert share_of_rises(np.linspace(1, 0, 20), base_cost=0.7) == 0
    assert block_means([1, 2], 8).tolist() == [1, 2]


def test_variance_of_shuffled_and_sorted_batches():
    y = np.repeat([0, 1, 2], 100)
    ratios = []
    for order in (np.random.default_rng(0).permutation(300), np.arange(300)):
        recorder = Recorder(mlp(1, n_out=3))
        metric = recorder.metric(lambda Z, y: 0.0)
        for part in np.split(order, 30):
            metric(np.zeros((10, 3)), y[part])
        from plainnet.train.history import Epoch

        recorder.watch(Epoch(1, 1, 1.0, None, 1.0, None, 0.1, 0.1))
        ratios.append(recorder.batch_variances[0].ratio)
    assert ratios[0] < 1.5
    assert ratios[1] == pytest.approx(10 * 30 / 29)  # each batch of 10 rows holds one class


# --- findings ------------------------------------------------------------------------------------


def test_rows_and_columns_that_are_not_finite_are_named():
    X = np.zeros((30, 3))
    X[4, 1], X[9, 2] = np.nan, -np.inf
    snapshot = TrainingSnapshot(
        mlp(3), BinaryCrossEntropy(), X, np.zeros(30), feature_names=("a", "b", "c")
    )
    (found,) = examine(snapshot)
    assert found.evidence == "2 cells in 2 rows (first 4, 9) and 2 columns ('b', 'c')"


def test_standardized_rows_of_any_kind_are_not_called_unscaled():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((500, 3)), rng.random(500) < 0.01])
    for rows, transform in ((X, None), ((X * 255).astype(np.float32), lambda X: X / 255)):
        snapshot = TrainingSnapshot(mlp(4), MeanSquaredError(), rows, X[:, 0], transform)
        assert list(check_scale(snapshot)) == []


def leaks(X, y, columns, loss=None):
    snapshot = TrainingSnapshot(mlp(X.shape[1]), loss or MeanSquaredError(), X, y, columns=columns)
    return list(check_leak(snapshot))


def test_a_leak_into_a_number_is_found_by_ranks():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((200, 1))
    X = np.column_stack([rng.standard_normal(200), np.exp(y[:, 0])])
    where = [FeatureSpan("noise", "number", 0, 1), FeatureSpan("price with tax", "number", 1, 2)]
    (found,) = leaks(X, y, where)
    assert found.message == "The column 'price with tax' alone gives the target away."
    assert leaks(X[:, :1], y, where[:1]) == []


def test_ranks_of_a_sorted_file_do_not_break_ties_by_its_order():
    """A running total beside the year: Spearman is 0.98, however the rows are ordered."""
    total = np.arange(200.0)
    year = (total // 40)[:, None]
    where = [FeatureSpan("total", "number", 0, 1)]
    assert metrics.rank_correlation(total, year[:, 0]) == pytest.approx(0.9798, abs=1e-4)
    assert leaks(total[:, None], year, where) == []
    (found,) = leaks(total[:, None], total[:, None] // 2, where)  # pairs: 0.99996
    assert found.evidence == "their rank correlation is 0.99996"


def test_inputs_with_a_leaked_column_are_not_called_uninformative():
    """Among 200 columns of noise neighbors do not see the one that predicts the target."""
    X = np.random.default_rng(0).standard_normal((120, 200))
    net, loss, rule, y = mlp(200, (8,)), MeanSquaredError(), Adam(0.01), X[:, :1] ** 3
    history = fit(net, X[:60], y[:60], loss=loss, optimizer=rule, epochs=300)
    snapshot = TrainingSnapshot(
        net, loss, X[:60], y[:60], held_out=(X[60:], y[60:]), history=history
    )
    found = {one.name: one for one in examine(snapshot)}
    assert "column 0" in found["leaked column"].message
    assert snapshot.has_signal
    assert "no signal" not in found
    vars(snapshot)["leaked_column"] = None
    assert not snapshot.has_signal


def test_a_good_separation_by_one_column_is_no_leak():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    X = (labels + rng.normal(0, 0.3, 400))[:, None]
    assert leaks(X, labels, [FeatureSpan("x", "number", 0, 1)], BinaryCrossEntropy()) == []


def test_an_initial_learning_rate_above_the_stable_one_is_noted():
    X = np.random.default_rng(0).standard_normal((50, 2))
    for rate, names in ((0.01, []), (50.0, ["step size"])):
        snapshot = TrainingSnapshot(
            mlp(2), BinaryCrossEntropy(), X, np.arange(50) % 2, optimizer=SGD(rate)
        )
        assert [one.name for one in run_checks(START_CHECKS, snapshot)] == names


def test_restored_weights_make_overfitting_a_note():
    from plainnet import EarlyStopping

    def noisy(rng, X, y):
        return X, np.where(rng.random(len(y)) < 0.3, 1 - y, y)

    faulty = moon_net(0, Adam(0.01), n=240, epochs=300, hidden=(128, 128), change=noisy)
    (found,) = [one for one in examine(faulty) if one.name == "overfitting"]
    assert found.level == "warning"
    (gap,) = check_overfitting(replace(faulty, history=None))  # without a validation cost
    assert "held-out rows" in gap.evidence
    X, y = faulty.X, faulty.y
    net, loss, rule = mlp(2, (128, 128), seed=0), BinaryCrossEntropy(), Adam(0.01)
    history = fit(
        net,
        X,
        y,
        loss=loss,
        optimizer=rule,
        epochs=300,
        batch_size=32,
        validation_data=faulty.held_out,
        early_stopping=EarlyStopping(200),
    )
    restored = TrainingSnapshot(
        net, loss, X, y, held_out=faulty.held_out, history=history, optimizer=rule
    )
    levels = [one.level for one in examine(restored) if one.name == "overfitting"]
    assert levels in ([], ["note"])


def test_a_regression_that_learns_nothing_predicts_the_mean():
    rng = np.random.default_rng(0)
    X, y, loss = rng.standard_normal((80, 2)), rng.standard_normal((80, 1)), MeanSquaredError()
    net = mlp(2, (4,), init="zeros")
    history = fit(net, X, y, loss=loss, optimizer=SGD(0.1), epochs=100)
    first = examine(TrainingSnapshot(net, loss, X, y, history=history))[0]
    assert first.message == "The network ignores its input: it has learned only the mean."


def test_problems_come_first_and_each_name_once():
    def finding(name, level):
        return Finding(name, level, "", "", "", "")

    found = in_order([finding("a", "note"), finding("b", "problem"), finding("a", "warning")])
    assert [(one.name, one.level) for one in found] == [("b", "problem"), ("a", "warning")]


def test_the_gradient_of_every_dense_layer_is_recorded():
    net, loss = mlp(3, hidden=(5, 4), n_out=2), MeanSquaredError()
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    recorder, after = Recorder(net), []

    def norms(epoch):
        after.append(tuple(np.linalg.norm(net.params.grads[f"dense{i}.W"]) for i in (1, 2, 3)))

    fit(net, X, y, loss=loss, epochs=3, watch=recorder.watch, callbacks=[norms])
    np.testing.assert_allclose(recorder.gradients, after, rtol=1e-6)
    assert np.min(recorder.gradients) > 0


def test_recording_costs_less_than_a_twentieth_of_a_step():
    """The recorder's processor time against that of the steps, on 784-256-128-10."""
    net, loss = mlp(784, (256, 128), 10), SoftmaxCrossEntropy()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((128 * 20, 784), np.float32)
    y = rng.integers(0, 10, len(X))
    spent = [0.0]
    recorder = Recorder(net)
    watched = recorder.metric(loss.metric)

    def timed(call, *arguments):
        start = time.process_time()
        result = call(*arguments)
        spent[0] += time.process_time() - start
        return result

    bare = [0.0]

    def metric(Z, y):
        start = time.process_time()
        loss.metric(Z, y)
        bare[0] += time.process_time() - start
        return timed(watched, Z, y)

    with limited_threads(1):
        start = time.process_time()
        fit(
            net,
            X,
            y,
            loss=loss,
            optimizer=Adam(),
            epochs=2,
            batch_size=128,
            logits_metric=metric,
            watch=lambda epoch: timed(recorder.watch, epoch),
        )
        extended = time.process_time() - start
    assert spent[0] - bare[0] < 0.05 * (extended - spent[0])


def test_a_network_without_activations_is_examined_too():
    X = np.random.default_rng(0).standard_normal((60, 2))
    net = Sequential([Dense(4), Identity(), Dense(1)], n_in=2)
    snapshot = TrainingSnapshot(net, BinaryCrossEntropy(), X, (X.sum(axis=1) > 0).astype(float))
    assert [one for one in examine(snapshot) if one.level == "problem"] == []


# --- held-out rows -------------------------------------------------------------------------------


def judged_on(right, m, *, noise=0.1):
    """A network that predicts its training rows, and gets `right` of `m` held-out rows right.

    Half of each are of class 1. Its confidence is so high that mistakes cost more than a constant
    prediction. It reads the first column; the nine others are noise, and if they are large the
    nearest neighbors are noise too.
    """
    net = mlp(10, (), 1, seed=0)
    net.params.theta[...] = [8, *np.zeros(10)]
    y = np.arange(m) % 2
    labels = np.arange(200) % 2
    X, rows = (noise * np.random.default_rng(0).standard_normal((n, 10)) for n in (m, 200))
    X[:, 0] = np.where(np.arange(m) < right, 2 * y - 1, 1 - 2 * y)
    rows[:, 0] = 2 * labels - 1
    snapshot = TrainingSnapshot(net, BinaryCrossEntropy(), rows, labels, held_out=(X, y))
    vars(snapshot)["leaked_column"] = None  # the first one, on purpose
    return snapshot, {one.name: one for one in check_result(snapshot)}


@pytest.mark.parametrize(
    ("right", "m", "name"),
    [
        (18, 24, "too few held-out rows"),  # 75 %: Newcombe's interval has 0 inside
        (16, 24, "too few held-out rows"),
        (20, 24, None),  # 83 % cannot be chance
        (12, 24, "too few held-out rows"),  # 50 %, and may be 20 points better still
        (600, 1000, None),
        (500, 1000, "overfitting"),  # the first column does predict the training rows
        (420, 1000, "overfitting"),
    ],
)
def test_the_interval_decides_what_held_out_rows_show(right, m, name):
    snapshot, found = judged_on(right, m)
    cost, score, base_cost, base_score, rows, _, _ = snapshot.on_held_out
    assert (rows, score, base_score) == (m, right / m, 0.5)
    assert base_cost == pytest.approx(np.log(2))
    assert cost > base_cost
    named = {"no signal", "overfitting", "too few held-out rows"} & set(found)
    assert named == ({name} if name else set())
    if name:
        low, high = paired_shares(np.arange(m) < right, np.arange(m) % 2 == 1)[1:3]
        says = f"interval {100 * low:+.1f} to {100 * high:+.1f}"
        assert found[name].level == ("warning" if name == "overfitting" else "note")
        if name != "overfitting":
            assert found[name].evidence.endswith(says)


def test_few_rows_and_uninformative_neighbors_are_a_problem_worded_with_care():
    _, found = judged_on(13, 24, noise=20)
    finding = found["no signal"]
    assert finding.level == "problem"
    assert finding.message == "Nothing shows that the network is better than a constant prediction."
    assert "shuffled" in finding.cause


def test_numbers_are_compared_with_the_mean_row_by_row():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((300, 1))
    y = X + 0.3 * rng.standard_normal((300, 1))
    net = mlp(1, (), 1, seed=0)
    net.params.theta[...] = [1, 0]
    snapshot = TrainingSnapshot(net, MeanSquaredError(), X, y, held_out=(X[:100], y[:100]))
    better = snapshot.on_held_out.over_constant
    own, same = (X - y)[:100, 0] ** 2, (y[:100, 0] - y.mean()) ** 2
    assert better.value == pytest.approx((same.mean() - own.mean()) / same.mean())
    assert better.low > 0.5
    net.params.theta[...] = [-1, 0]
    wrong = TrainingSnapshot(net, MeanSquaredError(), X, y, held_out=(X[:100], y[:100]))
    assert wrong.on_held_out.over_constant.high < 0


def test_labels_are_compared_by_their_share():
    y = np.array([[1, 0], [1, 1], [1, 0], [0, 0]])
    net = mlp(2, (), 2, seed=0)
    net.params.views["dense1.W"][...] = 5 * np.eye(2)
    X = np.where(y == 1, 1.0, -1.0)
    X[0] *= -1
    better = TrainingSnapshot(
        net, BinaryCrossEntropy(), X, y, held_out=(X, y)
    ).on_held_out.over_constant
    # the constant says (yes, no): right on 2, 1, 2 and 1 labels of two; the network 0, 2, 2, 2
    assert better.value == pytest.approx(((0 - 2) + (2 - 1) + (2 - 2) + (2 - 1)) / 8)


@pytest.mark.parametrize("rule", [Adam(1.0), SGD(1.0, momentum=0.9), Adam(0.001)])
def test_a_learning_rate_that_destroyed_the_gradient_is_the_cause_and_not_the_activation(rule):
    """He's weights and ReLU at first; then a second layer with the same output for every row."""
    X, y = moons(200, seed=0)
    net, loss = mlp(2, (8, 8), seed=0), BinaryCrossEntropy()
    recorder = Recorder(net)
    net.params.views["dense2.W"][...] *= 1e-6
    net.params.views["dense2.b"][...] = 1
    net.params.views["dense3.b"][...] = -net.params.views["dense3.W"].sum()
    snapshot = TrainingSnapshot(
        net, loss, X, y, recorder=recorder, optimizer=rule, history=History()
    )
    found = {one.name: one for one in check_learned(snapshot)}
    if rule.lr == 1.0:
        assert found["base rate"].cause.startswith(
            "The learning rate of 1 is too high: its updates"
        )
        assert found["base rate"].options["lr"] <= 0.1
    else:
        assert found["base rate"].cause.startswith("The gradient vanishes before it reaches")
