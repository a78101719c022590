"""Repeats: each seed a training of its own, and the summary by hand."""

from dataclasses import replace

import pytest

from plainnet import PlainnetError, TrainConfig
from plainnet.data.synthetic import introverts
from plainnet.repeats import Repeats, repeat
from plainnet.training import table_run


def test_the_summary_by_hand():
    found = Repeats((3, 4, 5, 6), "rmse", (2.0, 4.0, 4.0, 6.0), (3.0, 3.0, 5.0, 7.0))
    assert found.mean == 4
    assert found.deviation == pytest.approx((8 / 3) ** 0.5)
    assert found.spread == (2, 6)
    assert found.better == 3  # a lower error is better
    assert Repeats((0, 1), "accuracy", (0.5, 0.9), (0.5, 0.8)).better == 1


def test_each_seed_is_the_training_it_names():
    frame, config = introverts(200), TrainConfig(epochs=3, seed=5)
    first, shown = table_run(frame, config), []
    found = repeat(first, config, 3, lambda s: table_run(frame, s), lambda *now: shown.append(now))
    assert found.seeds == (5, 6, 7)
    for seed, own, base in zip(found.seeds, found.network, found.baseline, strict=True):
        alone = table_run(frame, TrainConfig(epochs=3, seed=seed)).model.record
        assert own == alone["evaluation"]["accuracy"]
        assert base == max(b["accuracy"] for b in alone["evaluation"]["baselines"])
    assert shown == list(zip(found.seeds, found.network, strict=True))
    assert first.model.record["repeats"] == found.to_json()


def test_one_that_ctrl_c_has_cut_short_is_not_compared():
    frame, config = introverts(120), TrainConfig(epochs=2)
    runs = [table_run(frame, replace(config, seed=seed)) for seed in range(3)]
    runs[2].history.stopped = "interrupted"
    found = repeat(runs[0], config, 4, lambda other: runs[other.seed])
    assert (found.seeds, len(found.network), len(found.baseline)) == ((0, 1), 2, 2)
    runs[1].history.stopped = "interrupted"
    with pytest.raises(KeyboardInterrupt):
        repeat(runs[0], config, 4, lambda other: runs[other.seed])


def test_numbers_are_repeated_by_their_error():
    frame = introverts(120)[["Friends_circle_size", "Post_frequency"]].dropna().astype(float)
    config = TrainConfig(epochs=2, task="regression")
    found = repeat(table_run(frame, config), config, 2, lambda s: table_run(frame, s))
    assert found.figure == "rmse"


@pytest.mark.parametrize(
    ("config", "k", "says"),
    [
        (TrainConfig(), 1, "at least 2 in all, got 1"),
        (TrainConfig(test_fraction=0), 2, "repeats are compared on held-out rows"),
    ],
)
def test_what_cannot_be_repeated(config, k, says):
    with pytest.raises(PlainnetError, match=says):
        repeat(None, config, k, lambda other: None)
