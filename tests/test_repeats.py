"""Repeats: one training per seed, and the summary by hand."""

from dataclasses import replace

import pytest

from plainnet import PlainnetError, TrainConfig, training
from plainnet.data.synthetic import introverts
from plainnet.training import Repeats, repeat, train


def test_summary_by_hand():
    result = Repeats((3, 4, 5, 6), "rmse", (2.0, 4.0, 4.0, 6.0), (3.0, 3.0, 5.0, 7.0))
    assert result.mean == 4
    assert result.deviation == pytest.approx((8 / 3) ** 0.5)
    assert result.spread == (2, 6)
    assert result.better == 3  # a lower error is better
    assert Repeats((0, 1), "accuracy", (0.5, 0.9), (0.5, 0.8)).better == 1


def test_each_seed_equals_a_single_training():
    frame, config = introverts(200), TrainConfig(epochs=3, seed=5)
    first = train(frame, config)
    result = repeat(first, frame, config, 3)
    assert result.seeds == (5, 6, 7)
    for seed, own, base in zip(result.seeds, result.network, result.baseline, strict=True):
        alone = train(frame, TrainConfig(epochs=3, seed=seed)).model.record
        assert own == alone["evaluation"]["accuracy"]
        assert base == max(b["accuracy"] for b in alone["evaluation"]["baselines"])
    assert first.model.record["repeats"] == result.to_json()


def test_interrupted_training_is_not_compared(monkeypatch):
    frame, config = introverts(120), TrainConfig(epochs=2)
    runs = [train(frame, replace(config, seed=seed)) for seed in range(3)]
    monkeypatch.setattr(training, "train", lambda data, other: runs[other.seed])
    runs[2].history.stopped = "interrupted"
    result = repeat(runs[0], frame, config, 4)
    assert (result.seeds, len(result.network), len(result.baseline)) == ((0, 1), 2, 2)
    runs[1].history.stopped = "interrupted"
    with pytest.raises(KeyboardInterrupt):
        repeat(runs[0], frame, config, 4)


def test_regression_repeats_compare_errors():
    frame = introverts(120)[["Friends_circle_size", "Post_frequency"]].dropna().astype(float)
    config = TrainConfig(epochs=2, task="regression")
    result = repeat(train(frame, config), frame, config, 2)
    assert result.metric == "rmse"


@pytest.mark.parametrize(
    ("config", "k", "says"),
    [
        (TrainConfig(), 1, "at least 2 in all, got 1"),
        (TrainConfig(test_fraction=0), 2, "repeats are compared on held-out rows"),
    ],
)
def test_invalid_repeats_raise(config, k, says):
    with pytest.raises(PlainnetError, match=says):
        repeat(None, None, config, k)
