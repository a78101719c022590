"""The doctor's advice: commands to paste, no contradictions, an end that is reached."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from diagnose import following
from diagnose.following import BAD_STARTS, follow
from diagnose.trainings import moon_net, pictures
from plainnet import SGD, Adam, TrainConfig
from plainnet.cli import main
from plainnet.data.synthetic import introverts
from plainnet.diagnose.advice import consistent, remedy, sane_lr
from plainnet.diagnose.checks.data import check_size
from plainnet.diagnose.checks.training import check_learning_curve
from plainnet.diagnose.comparisons import Comparison
from plainnet.diagnose.doctor import examine
from plainnet.diagnose.remedies import enlarge, revive, slow_down, speed_up
from plainnet.evaluate.finding import Finding, advise
from plainnet.metrics.intervals import Difference


def diagnosed(frame, config):
    """Return the findings of a training by name."""
    return {one.name: one for one in following.diagnosed(frame, config)[0]}


# --- commands ------------------------------------------------------------------------------------


def test_the_printed_command_is_the_given_one_with_the_change(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    introverts(200).to_csv("a.csv", index=False)
    main(["doctor", "a.csv", "--target", "Personality", "--lr", "1", "--epochs", "20"])
    out = capsys.readouterr().out
    assert "  Try: --lr 0.003" in out
    run = "  Run: plainnet doctor a.csv --target=Personality --lr=0.003 --epochs=20\n"
    assert run in out
    assert main(run.split()[2:]) == 0


# --- no advice that is already followed, none that contradicts another ---------------------------


def test_options_that_are_so_already_are_not_advised():
    config = TrainConfig(class_weight="balanced", l2=0.1)
    assert remedy(config, {"class_weight": "balanced"}, {"l2": 0.0}) == advise({"l2": 0.0})
    assert remedy(config, {"class_weight": "balanced"}, otherwise="more rows") == advise(
        {}, "more rows"
    )


def test_options_that_the_network_refuses_are_not_advised():
    early = {"validation_fraction": 0.2, "patience": 10}
    assert remedy(TrainConfig(network="tabular"), early, {"dropout": 0.3})["options"] == {
        "dropout": 0.3
    }
    assert remedy(TrainConfig(network="convnet"), {"hidden": (8,)})["options"] == {}


def test_of_two_values_of_an_option_the_more_serious_finding_wins():
    def finding(name, **options):
        return Finding(name, "warning", "", "", "", **advise(options))

    first, second, third = consistent(
        [finding("a", lr=0.1), finding("b", lr=0.2), finding("c", lr=0.1)]
    )
    assert first.options == third.options == {"lr": 0.1}
    assert (second.options, second.advice) == ({}, "first the advice on 'a'")


def test_a_relu_network_is_not_told_to_use_relu():
    vanishing = moon_net(0, SGD(0.05), hidden=(16,) * 10, init="normal:0.1", epochs=5)
    assert all(one.options.get("activation") != ("relu",) for one in examine(vanishing))


# --- statements ----------------------------------------------------------------------------------


def noise(m, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, 6))
    return pd.DataFrame(X, columns=[*"abcdef"]), rng


WIDE = TrainConfig(target="y", network="mlp", hidden=(128, 128), epochs=100, lr=0.003)


def flipped():
    frame, rng = noise(600)
    return frame.assign(y=np.where(rng.random(600) < 0.3, frame.a < 0, frame.a > 0).astype(int))


def one_column():
    """One column of 40 predicts the target; neighbors do not see it."""
    frame, rng = noise(500)
    noisy = rng.standard_normal((500, 34))
    others = pd.DataFrame(noisy, columns=[f"n{i}" for i in range(34)])
    return pd.concat([frame, others], axis=1).assign(
        y=(frame.a + 0.8 * rng.standard_normal(500) > 0).astype(int)
    )


def few_rows():
    frame, rng = noise(40)
    return frame.assign(y=rng.integers(0, 2, 40))


def outliers():
    frame, rng = noise(300)
    y = frame.a + 0.3 * rng.standard_normal(300)
    y[rng.choice(300, 3, replace=False)] *= 3000
    return frame.assign(y=y)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (flipped, "overfitting"),
        (one_column, "overfitting"),
        (few_rows, "too few held-out rows"),
        (outliers, "outliers in the target"),
    ],
)
def test_inputs_are_called_useless_only_where_simple_models_fail_too(make, name):
    found = diagnosed(make(), WIDE)
    assert "shuffled" not in str(found)
    assert name in found
    assert not any(one.level == "problem" for one in found.values())


def test_shuffled_labels_are_named():
    frame, rng = noise(600)
    found = diagnosed(frame.assign(y=rng.integers(0, 2, 600)), WIDE)
    assert "shuffled" in found["no signal"].cause
    assert found["no signal"].level == "problem"


def test_after_early_stopping_the_cost_is_not_called_falling():
    kept = moon_net(0, SGD(0.0005))
    assert "learning rate too low" in {one.name for one in examine(kept)}
    history = replace(kept.history, best_epoch=len(kept.history), stopped="early stopping")
    stopped = replace(kept, history=history)
    assert "learning rate too low" not in {one.name for one in examine(stopped)}


def test_a_balanced_training_is_judged_by_balanced_accuracy():
    """It gets fewer rows right than always the frequent class, and that is what it is for."""
    frame, rng = noise(1500)
    frame["y"] = (frame.a + 1.5 * rng.standard_normal(1500) > 2.6).astype(int)  # 7 %
    balanced = replace(WIDE, hidden=(8,), epochs=20, class_weight="balanced")
    found = diagnosed(frame, balanced)
    assert {one.level for one in found.values()} <= {"note"}
    assert "balanced" not in " ".join(one.advice for one in found.values())


# --- faults of data ------------------------------------------------------------------------------


def survey():
    return introverts(400, seed=3)


def with_codes(frame, rng):
    frame.loc[rng.random(len(frame)) < 0.4, "Time_spent_Alone"] = -999
    return frame


def with_codes_among_two_values(frame, rng):
    codes = rng.random(len(frame)) < 0.1
    return frame.assign(Vaccinated=np.where(codes, -999, rng.integers(0, 2, len(frame))))


def with_one_cell(frame, rng):
    frame["Income"] = rng.normal(30_000, 9_000, len(frame)).round()
    frame.loc[7, "Income"] *= 500
    return frame


def with_spellings(frame, rng):
    sex = rng.choice(["Male", "MALE", "male", "Female", "FEMALE", "female"], len(frame))
    return frame.assign(Sex=sex)


def tripled(frame, rng):
    frame["Income"] = rng.normal(30_000, 9_000, len(frame)).round(2)
    return pd.concat([frame] * 3)


@pytest.mark.parametrize(
    ("change", "name", "text"),
    [
        (with_codes, "code among numbers", "-999 of 'Time_spent_Alone'"),
        (with_codes_among_two_values, "code among numbers", "-999 of 'Vaccinated'"),
        (with_one_cell, "extreme value", "'Income' is far outside"),
        (with_spellings, "several spellings", "column 'Sex'"),
        (tripled, "repeated training rows", "equal to others"),
    ],
)
def test_a_fault_of_the_cells_is_found(change, name, text):
    config = TrainConfig(target="Personality", network="mlp", epochs=20, lr=0.01)
    assert name not in diagnosed(survey(), config)
    finding = diagnosed(change(survey(), np.random.default_rng(0)), config)[name]
    assert text in finding.message
    assert finding.level == "warning"


def test_a_network_that_a_regression_beats_is_named():
    frame, rng = noise(1000)
    frame["y"] = 3 * frame.sum(axis=1) + rng.standard_normal(1000)
    weak = replace(WIDE, hidden=(2,), dropout=0.5, epochs=40)
    finding = diagnosed(frame, weak)["worse than a baseline"]
    assert finding.message == "On held-out rows linear regression is better than the network."
    assert finding.advice.startswith("--network tabular without --hidden --dropout")


def test_a_network_that_is_right_but_never_sure_costs_more_than_a_regression():
    """Its predictions stay the same, and each of its probabilities is near one half."""
    sure = moon_net(0, Adam(0.01))
    assert "worse than a baseline" not in {one.name for one in examine(sure)}
    unsure = replace(sure, net=sure.net.astype(sure.net.dtype))
    for name in ("dense3.W", "dense3.b"):
        unsure.net.params.views[name] *= 1e-6
    assert unsure.on_held_out.score == sure.on_held_out.score
    finding = {one.name: one for one in examine(unsure)}["worse than a baseline"]
    assert "logistic regression has a far lower cost" in finding.message
    assert f"against {np.log(2):.3f}" in finding.evidence
    assert finding.options.get("hidden") != ()


def test_a_linear_network_is_advised_where_the_default_is_worse_than_a_regression():
    """And that is as good as the regression: no finding is left."""
    frame, rng = noise(400)
    frame["y"] = frame.sum(axis=1) + 0.1 * rng.standard_normal(400)
    usual = TrainConfig(target="y", network="tabular", epochs=30, hidden=(4,))
    finding = diagnosed(frame, usual)["worse than a baseline"]
    assert finding.level == "warning"
    assert finding.cause == "The target depends on the columns nearly linearly."
    assert finding.options == {"network": "mlp", "hidden": (), "lr": 0.01}
    left = diagnosed(frame, replace(usual, epochs=None, **finding.options))
    assert {one.level for one in left.values()} <= {"note"}


def test_a_convolutional_network_is_advised_where_a_flat_one_is_worse_than_a_regression():
    data = pictures(200, 12, 1)
    flat = TrainConfig(network="mlp", epochs=6, dropout=0.6, lr=0.003, test_fraction=0.4)
    flat = replace(flat, validation_fraction=0.2, patience=10)
    finding = diagnosed(data, flat)["worse than a baseline"]
    assert finding.options["network"] == "convnet"
    found = diagnosed(data, replace(flat, channels=(8, 8), **finding.options))
    assert {one.level for one in found.values()} <= {"note"}


# --- following the advice ------------------------------------------------------------------------


@pytest.mark.parametrize(("optimizer", "high"), [("sgd", 1.0), ("adam", 0.03)])
def test_advised_learning_rates_stay_in_the_usual_range(optimizer, high):
    config = TrainConfig(optimizer=optimizer)
    assert sane_lr(config, 3e-27) == 1e-4
    assert sane_lr(config, 1e9) == high


def test_a_ruined_end_does_not_decide_the_learning_rate():
    """Its curvature is larger by many orders of magnitude."""
    ruined = moon_net(0, SGD(50.0), epochs=20)
    assert 0.01 <= slow_down(ruined)["options"]["lr"] <= 1


def test_a_learning_rate_goes_up_and_down_only_once():
    too_high = moon_net(0, Adam(1.0), epochs=20)
    lower = slow_down(too_high)["options"]["lr"]
    slow = replace(too_high, history=None, optimizer=Adam(lower))
    assert speed_up(slow)["options"].keys() == {"epochs"}


def four_classes(m=300):
    frame, rng = noise(m)
    number = np.digitize(frame.a + 0.5 * rng.standard_normal(m), (-0.7, 0.2, 0.9))
    return frame.assign(y=np.array([*"klmn"])[number])


@pytest.mark.parametrize(
    ("start", "option"),
    [
        ("Adam, 1", "lr"),
        ("sigmoids", "activation"),
        ("not scaled", "standardize"),
        ("saturated", "init"),
        ("saturated", "lr"),
    ],
)
def test_the_most_basic_finding_comes_first(start, option):
    """Before a class that is never predicted, or a baseline that is better: they follow from it."""
    config = replace(TrainConfig(target="y", network="mlp", epochs=20), **BAD_STARTS[start])
    frame = four_classes()
    if start == "not scaled":
        frame[[*"abcdef"]] *= 1000
    first = next(iter(diagnosed(frame, config).values()))
    assert option in first.options


def test_a_larger_network_stops_early_and_one_that_stopped_is_not_trained_longer():
    small = moon_net(0, Adam(0.001), epochs=5, hidden=(8,))
    assert enlarge(small)[1]["options"] == {
        "hidden": (32, 32),
        "epochs": 30,
        "validation_fraction": 0.2,
        "patience": 10,
    }
    large = moon_net(0, Adam(0.001), epochs=5, hidden=(32, 32))
    stopped = replace(large, history=replace(large.history, stopped="early stopping"))
    config = replace(stopped.options, patience=10)
    assert enlarge(replace(stopped, config=config))[1]["options"] == {}


@pytest.mark.parametrize(
    ("rule", "net", "options", "text"),
    [
        (Adam(0.01), {"l2": 0.3}, {"l2": 0.0}, "regularized too much"),
        (Adam(1e-5), {}, {"lr": 0.001}, "learning rate of 1e-05 is too low"),
        (Adam(1.0), {}, {"lr": 0.003}, "learning rate of 1 is too high"),
        (Adam(0.01), {"init": "normal:5"}, {"init": "he_normal"}, "weights are too large"),
    ],
)
def test_weights_penalties_and_rates_are_changed_before_the_network(rule, net, options, text):
    snapshot = moon_net(0, rule, epochs=5, **net)
    cause, advice = enlarge(replace(snapshot, config=replace(snapshot.options, **net)))
    assert advice["options"] == options
    assert text in cause


def test_the_usual_learning_rate_is_not_lowered_because_of_the_curvature_alone():
    slow = moon_net(0, SGD(0.1), epochs=2)
    vars(slow)["initial_stable_lr"] = vars(slow)["stable_lr"] = 0.01
    assert slow.lr_too_high
    assert "lr" not in enlarge(slow)[1]["options"]


def test_default_networks_are_trained_with_adam_before_they_are_trained_longer():
    slow = moon_net(0, SGD(0.1), epochs=2)
    config = TrainConfig(network="tabular", optimizer="sgd", lr=0.1, epochs=2)
    cause, advice = enlarge(replace(slow, config=config))
    assert "Gradient descent is slow" in cause
    assert advice["advice"] == "--optimizer adam without --lr"
    assert slow_down(replace(slow, config=config))["options"] == advice["options"]
    assert "epochs" in enlarge(replace(slow, config=replace(config, network="mlp")))[1]["options"]


def test_an_unusual_learning_rate_is_lowered_before_another_activation_is_tried():
    fast = moon_net(0, Adam(0.1), epochs=2, init="zeros")
    vars(fast)["weight_size"] = 0.5
    assert not fast.lr_too_high
    assert revive(fast)["options"] == {"lr": 0.003}


def test_no_other_learning_rate_is_advised_where_held_out_rows_cost_next_to_nothing():
    fast = moon_net(0, Adam(3.0), epochs=20)
    assert [one.name for one in check_learning_curve(fast)] == ["learning rate too high"]
    right = Difference(0.5, 0.4, 0.6, 0.0)
    vars(fast)["on_held_out"] = Comparison(0.004, 1.0, 0.69, 0.5, 100, right, ())
    assert not list(check_learning_curve(fast))
    vars(fast)["on_held_out"] = Comparison(0.1, 1.0, 0.69, 0.5, 100, right, ())
    assert list(check_learning_curve(fast))


def test_few_rows_are_all_rows_to_learn_from_and_not_a_sample_of_them():
    snapshot = moon_net(0, Adam(0.01), epochs=1, n=30, hidden=(32, 32))
    assert [one.name for one in check_size(snapshot)] == ["few rows"]
    assert not list(check_size(replace(snapshot, m=10**5)))


def test_too_large_initial_weights_are_named():
    """Not a network that is too small, or trained too short."""
    config = TrainConfig(target="y", network="mlp", epochs=20, **BAD_STARTS["large weights"])
    first = next(iter(diagnosed(four_classes(), config).values()))
    assert first.options == {"init": "he_normal"}


QUICK = list(BAD_STARTS)[:8]  # benchmarks/doctor.py tries the others


@pytest.mark.parametrize("name", QUICK)
def test_the_advice_leads_to_a_better_network_within_three_steps(name):
    config = TrainConfig(target="Personality", network="mlp", epochs=20)
    path = follow(introverts(300, seed=5), replace(config, **BAD_STARTS[name]))
    assert path.ended, path
    assert not path.worse, path
