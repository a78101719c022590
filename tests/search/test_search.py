"""Search: successive halving, scores by hand, determinism and interruption."""

import math
import signal
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import plainnet.search.search as module
import plainnet.search.trial as trial_module
from plainnet import BinaryCrossEntropy, PlainnetError, TrainConfig, TrainingError, fit
from plainnet.build import make_optimizer
from plainnet.data.dataset import ImageSource, TableSource
from plainnet.data.splits import fold
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.search.search import (
    Search,
    baseline_scores,
    check_search,
    halving_rounds,
    search,
)
from plainnet.search.space import SEARCHED
from plainnet.search.trial import Rung, Scores, Trial, score_baselines
from plainnet.training import train, untrained

BASE = TrainConfig(epochs=4)
FRAME = introverts(120)


def dealt(frame=FRAME, k=3, **options):
    rng = np.random.default_rng
    return fold(TableSource(frame, **options), k, rng(0), rng(1))


@pytest.fixture(scope="module")
def data():
    return dealt()


@pytest.fixture(scope="module")
def result(data):
    return search(data, BASE, trials=5)


@pytest.fixture(scope="module")
def halved(data):
    return search(data, TrainConfig(epochs=7), trials=6, method="halving")


# --- successive halving --------------------------------------------------------------------------


def paper(n, budget):
    """The budget of Jamieson and Talwalkar (2016), for n a power of two."""
    size, total, rounds = n, 0, []
    for _ in range(math.ceil(math.log2(n))):
        total += budget // (size * math.ceil(math.log2(n)))
        rounds.append((size, total))
        size = size // 2
    assert size == 1
    return rounds


@pytest.mark.parametrize("n", [2, 4, 8, 16, 64])
@pytest.mark.parametrize("times", [1, 3, 10])
def test_rounds_match_the_paper(n, times):
    planned = paper(n, budget=times * n * math.ceil(math.log2(n)))
    assert halving_rounds(n, planned[-1][1]) == planned


@pytest.mark.parametrize("n", range(2, 40))
def test_halving_ends_with_one_trial_at_equal_cost_per_round(n):
    rounds = halving_rounds(n, 1000)
    assert len(rounds) == math.ceil(math.log2(n))
    sizes = [size for size, _ in rounds]
    assert sizes == [math.ceil(n / 2**k) for k in range(len(rounds))]
    assert rounds[-1] == (2, 1000)
    more = np.diff([0, *(epochs for _, epochs in rounds)])
    costs = more * sizes
    assert costs.max() - costs.min() <= 2 * n  # whole epochs: one more or less for each trial


def test_rounds_of_one_trial_and_few_epochs():
    assert halving_rounds(1, 50) == [(1, 50)]
    assert halving_rounds(8, 2) == [(8, 1), (4, 1), (2, 2)]


def test_better_half_of_each_round_continues(halved):
    # 1/6, 1/3 and 1/2 of the budget's epochs a trial: they add up to 1
    assert halved.rounds == [(6, 7 // 6), (3, 7 // 2), (2, 7)]
    alive = {trial.number for trial in halved.trials}
    for i, (size, epochs) in enumerate(halved.rounds):
        losses = {t.number: t.rungs[i].scores.mean_loss for t in halved.trials if len(t.rungs) > i}
        assert set(losses) == alive
        assert len(losses) == size
        assert {t.rungs[i].epochs for t in halved.trials if len(t.rungs) > i} == {epochs}
        best = sorted(losses, key=lambda number: losses[number])
        alive = set(best[: math.ceil(size / 2)])
    assert [halved.winner.number] == best[:1]
    assert [t.number for t in halved.ranked][:2] == best[:2]


def test_trials_with_more_epochs_rank_first():
    early, late = (Scores((loss, loss), (0.5, 0.5)) for loss in (0.1, 0.3))
    short = Trial(1, BASE, (Rung(2, early),))
    long = Trial(2, BASE, (Rung(2, early), Rung(4, late)))
    failed = Trial(3, BASE, (Rung(2, early), Rung(4, early)), failure="it broke")
    result = Search(BASE, {}, "halving", 2, [(3, 2), (2, 4)], trials=[short, long, failed])
    assert result.ranked == [long, short, failed]
    assert result.winner is long


def test_rung_equals_training_with_its_epochs(data, halved):
    first = halved.rounds[0][1]
    short = search(data, TrainConfig(epochs=first), trials=6)
    for trial, alone in zip(halved.trials, short.trials, strict=True):
        assert trial.rungs[0].scores == alone.rungs[0].scores


def test_schedule_spans_all_epochs_in_every_rung(data):
    config, part = TrainConfig(epochs=8, schedule="cosine"), data.fold(0)
    complete = train(part, config, evaluate=False).history
    cut = train(part, config, epochs=3, evaluate=False).history
    assert (cut.lr, cut.loss) == (complete.lr[:3], complete.loss[:3])


# --- what a trial comes to -----------------------------------------------------------------------


def by_hand(data, trial):
    """Return the loss of each fold, trained with fit and computed with NumPy."""
    losses, shares = [], []
    for i in range(data.k):
        part = data.fold(i)
        seed = np.random.SeedSequence(0, spawn_key=(5, trial.number, i)).generate_state(1)[0]
        own = replace(trial.config, seed=int(seed))
        net = untrained(part, own).net
        fit(
            net,
            *part.train,
            loss=BinaryCrossEntropy(),
            optimizer=make_optimizer(own, len(part.train.y)),
            epochs=own.epochs,
            batch_size=own.batch_size,
            l2=own.l2,
            seed=np.random.default_rng(np.random.SeedSequence(own.seed, spawn_key=(2,))),
        )
        p = 1 / (1 + np.exp(-net.predict_logits(part.test.X).astype(np.float64)[:, 0]))
        y = part.test.y
        losses.append(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))
        shares.append(np.mean((p > 0.5) == (y == 1)))
    return np.array(losses), np.array(shares)


def test_best_trial_has_the_lowest_loss_by_hand(data, result):
    figures = [by_hand(data, trial) for trial in result.trials]
    for trial, (losses, shares) in zip(result.trials, figures, strict=True):
        scores = trial.rungs[-1].scores
        np.testing.assert_allclose(scores.loss, losses, rtol=1e-5)
        assert scores.score == tuple(shares)
        assert scores.mean_loss == pytest.approx(losses.mean(), rel=1e-5)
        assert scores.deviation_loss == pytest.approx(losses.std(ddof=1), rel=1e-4)
        assert scores.deviation_score == pytest.approx(shares.std(ddof=1))
    best = int(np.argmin([losses.mean() for losses, _ in figures]))
    assert result.winner is result.trials[best]
    order = np.argsort([losses.mean() for losses, _ in figures])
    assert [trial.number for trial in result.ranked] == [i + 1 for i in order]


def test_seed_determines_the_search(data, result):
    assert search(dealt(), BASE, trials=5).trials == result.trials
    other = search(data, replace(BASE, seed=1), trials=5)
    assert not {t.config.lr for t in other.trials} & {t.config.lr for t in result.trials}


def test_trial_is_independent_of_the_number_of_trials(data, result):
    assert search(data, BASE, trials=2).trials == result.trials[:2]


@pytest.mark.parametrize("number", [1, 4])
def test_trial_can_be_repeated_alone(data, result, number):
    again = search(data, BASE, trials=5, only=number)
    assert again.trials == [result.trials[number - 1]]
    own = result.trials[number - 1].config
    assert search(data, own, trials=5, only=number, given=SEARCHED).trials == again.trials


def test_halved_trial_is_repeated_in_all_rounds(data, halved):
    for trial in halved.trials:
        again = search(data, halved.config, trials=6, method="halving", only=trial.number)
        (alone,) = again.trials
        assert [rung.epochs for rung in alone.rungs] == [epochs for _, epochs in halved.rounds]
        assert alone.rungs[: len(trial.rungs)] == trial.rungs


def test_given_options_are_kept(data):
    config = replace(BASE, hidden=(5, 3), lr=0.02)
    tried = search(data, config, trials=3, given=["hidden", "lr"]).trials
    assert {(t.config.hidden, t.config.lr) for t in tried} == {((5, 3), 0.02)}
    assert len({t.config.l2 for t in tried}) == 3


def test_test_rows_are_not_used(data, result):
    changed = FRAME.copy()
    rows = data.data.test_rows
    changed.loc[rows, "Time_spent_Alone"] = 11.0
    again = dealt(changed)
    np.testing.assert_array_equal(again.data.test_rows, rows)
    assert (again.data.test.X != data.data.test.X).any()
    assert search(again, BASE, trials=5).trials == result.trials


# --- simple answers on the same folds ------------------------------------------------------------


def baselines(data):
    return baseline_scores(score_baselines(data.fold(i), BASE) for i in range(data.k))


def test_constant_baseline_by_hand(data):
    losses, shares = [], []
    for i in range(data.k):
        part = data.fold(i)
        p, y = part.train.y.mean(), part.test.y
        losses.append(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))
        shares.append(np.mean(y == (p > 0.5)))
    constant = baselines(data)[0]
    np.testing.assert_allclose(constant.scores.loss, losses, rtol=1e-5)
    np.testing.assert_allclose(constant.scores.score, shares)


def test_baseline_name_is_general_where_folds_differ(data):
    names = {baseline.name: baseline.description for baseline in baselines(data)}
    wordings = {data.fold(i).train.y.mean() > 0.5 for i in range(data.k)}
    assert (names["constant"] == "always the same answer") == (len(wordings) == 2)
    assert names["regression"] == "logistic regression"


# --- all tasks -----------------------------------------------------------------------------------


def numbers(m=60):
    rng = np.random.default_rng(3)
    return pd.DataFrame({"a": rng.normal(size=m), "b": rng.normal(size=m)})


def test_regression_is_scored_by_r2():
    frame = numbers().assign(y=lambda t: 3 * t["a"] - t["b"] + 7)
    data = dealt(frame)
    result = search(data, TrainConfig(epochs=2), trials=2)
    linear = result.baselines[-1]
    np.testing.assert_allclose(linear.scores.score, 1, atol=1e-6)  # it is linear
    mean = result.baselines[0]
    for i in range(data.k):
        y = data.fold(i).test.y[:, 0].astype(float)
        assert mean.scores.loss[i] == pytest.approx(np.mean(y**2), rel=1e-5)
        assert mean.scores.score[i] == pytest.approx(1 - np.sum(y**2) / np.sum((y - y.mean()) ** 2))


def test_fold_of_equal_targets_has_no_r2():
    frame = numbers(12).assign(y=[0.5] * 10 + [1.5, 2.5])
    result = search(dealt(frame, k=5), TrainConfig(epochs=1), trials=1)
    scores = result.trials[0].rungs[0].scores
    assert None in scores.score
    assert (scores.mean_score, scores.deviation_score) == (None, None)
    assert math.isfinite(scores.mean_loss)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (["p", "q", "r"] * 20, ["constant", "column", "regression"]),
        (["p;q", "q", ""] * 20, ["constant", "column", "regression"]),
    ],
    ids=["classes", "labels"],
)
def test_classes_and_labels(target, expected):
    result = search(dealt(numbers().assign(y=target)), TrainConfig(epochs=2), trials=2)
    assert [baseline.name for baseline in result.baselines] == expected
    assert all(0 <= s <= 1 for t in result.trials for s in t.rungs[0].scores.score)


def test_pictures():
    rng = np.random.default_rng
    data = fold(ImageSource(*pandas_and_bears(24, size=8)), 2, rng(0), rng(1))
    first, again = (search(data, TrainConfig(epochs=2), trials=2) for _ in range(2))
    assert first.trials == again.trials
    assert [baseline.name for baseline in first.baselines] == [
        "constant",
        "column",
        "colors",
        "regression",
    ]


# --- optuna --------------------------------------------------------------------------------------


def test_optuna_proposals_are_seeded(data):
    optuna = pytest.importorskip("optuna")
    before = optuna.logging.get_verbosity()
    config = TrainConfig(epochs=1)
    first, again = (search(data, config, trials=12, method="optuna") for _ in range(2))
    assert first.trials == again.trials
    assert optuna.logging.get_verbosity() == before
    other = search(data, replace(config, seed=1), trials=2, method="optuna")
    assert other.trials[0].config != replace(first.trials[0].config, seed=1)
    last = first.trials[-1]
    alone = search(data, last.config, trials=12, only=12, given=SEARCHED)
    assert alone.trials == [last]


def test_optuna_concentrates_on_good_values():
    """A parabola with its minimum at lr 0.001: after 40 trials, proposals concentrate there."""
    pytest.importorskip("optuna")
    from plainnet.search.samplers import TpeSampler
    from plainnet.search.space import LogUniform

    tpe, far = TpeSampler({"lr": LogUniform(1e-6, 1.0)}, seed=0), []
    for i in range(60):
        (proposed,) = tpe.ask()
        distance = abs(math.log10(proposed["lr"]) + 3)
        tpe.tell([None if i == 5 else distance])
        far.append(distance)
    assert np.mean(far[40:]) < 0.5 * 1.5  # drawn evenly it is 1.5 on average


def test_missing_optuna_raises_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(PlainnetError) as error:
        check_search(BASE, 5, "optuna")
    assert str(error.value) == (
        "optuna is not installed, which --method optuna needs: pip install 'plainnet[search]'"
    )


# --- what goes wrong -----------------------------------------------------------------------------


def spoil(monkeypatch, *numbers):
    """Give some trials a learning rate at which every training fails."""
    original = module._SearchRun._drawn

    def drawn(self, number):
        own = original(self, number)
        return replace(own, optimizer="sgd", lr=1e30) if number in numbers else own

    monkeypatch.setattr(module._SearchRun, "_drawn", drawn)


def test_nonfinite_loss_fails_only_its_trial(data, result, monkeypatch):
    spoil(monkeypatch, 2)
    spoilt = search(data, BASE, trials=5)
    assert spoilt.trials[1].failure.startswith("the loss became nan in epoch 1, batch 2")
    assert [t for t in spoilt.trials if t.number != 2] == [
        t for t in result.trials if t.number != 2
    ]
    assert spoilt.ranked[-1].number == 2


def test_halving_drops_failed_trials(data, monkeypatch):
    spoil(monkeypatch, 1, 2)
    halved = search(data, BASE, trials=3, method="halving")
    assert [len(trial.rungs) for trial in halved.trials] == [0, 0, 2]
    assert halved.winner.number == 3


def test_no_best_trial_where_all_fail(data, monkeypatch):
    spoil(monkeypatch, 1, 2)
    spoilt = search(data, BASE, trials=2)
    assert spoilt.winner is None
    assert len(spoilt.baselines) == 3


def test_optuna_continues_after_a_failure(data, monkeypatch):
    pytest.importorskip("optuna")
    original, calls = trial_module.train, []

    def fragile(*arguments, **options):
        calls.append(1)
        if len(calls) == data.k + 1:  # the second trial's first fold
            raise TrainingError("it broke")
        return original(*arguments, **options)

    monkeypatch.setattr(trial_module, "train", fragile)
    result = search(data, TrainConfig(epochs=1), trials=3, method="optuna")
    assert [trial.failure for trial in result.trials] == [None, "it broke", None]


@pytest.mark.parametrize("press", [lambda: signal.raise_signal(signal.SIGINT), None])
def test_ctrl_c_keeps_finished_trials(data, result, press):
    def watch(moment):
        if (moment.trial, moment.fold, moment.epoch) == (3, 2, 1):
            if press is None:
                raise KeyboardInterrupt
            press()

    stopped = search(data, BASE, trials=5, watch=watch)
    assert stopped.stopped == "interrupted"
    assert stopped.trials == result.trials[:2]
    assert stopped.winner in stopped.trials


def test_progress_callback(data):
    plans, moments, judged = [], [], []
    search(
        data,
        BASE,
        trials=2,
        ready=plans.append,
        watch=moments.append,
        watch_trial=lambda result, trial: judged.append((len(result.trials), trial.number)),
    )
    assert [type(plan) for plan in plans] == [Search]
    assert [moment.done for moment in moments] == list(range(1, 2 * 3 * 4 + 1))
    assert {moment.planned for moment in moments} == {24}
    assert judged == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("config", "options", "says"),
    [
        ({}, {"trials": 0}, "a search needs at least 1 trial, got 0"),
        ({}, {"only": 9}, "there is no trial 9 of 5: they count from 1"),
        ({}, {"only": 0}, "there is no trial 0 of 5: they count from 1"),
        (
            {"validation_fraction": 0.2, "patience": 3},
            {},
            "a search validates on its folds: leave out validation_fraction and patience, and give "
            "them when you train the best options",
        ),
        ({}, {"given": ["epochs"]}, f"'epochs' is not searched: expected {', '.join(SEARCHED)}"),
        (
            {},
            {"given": SEARCHED},
            "there is nothing to search: every option is given; leave some out",
        ),
        (
            {},
            {"method": "optuna", "only": 3},
            "with optuna, trial 3 depends on the trials before it: run it again with all its "
            "options given, as its command does",
        ),
        ({"loss": "Huber"}, {}, "loss 'Huber' does not fit a binary target: take "),
        (
            {"activation": ("relu", "tanh")},
            {},
            "one activation for each layer needs a fixed number of layers: give hidden too, or one "
            "activation for all layers",
        ),
    ],
)
def test_invalid_options_raise(data, config, options, says):
    with pytest.raises(PlainnetError) as error:
        search(data, replace(BASE, **config), **{"trials": 5, **options})
    assert str(error.value).startswith(says)
