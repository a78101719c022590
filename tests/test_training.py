"""From settings to a loss, an optimizer and a schedule; what does not go together is refused."""

import pytest

from plainnet import (
    SGD,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    Huber,
    MeanSquaredError,
    PlainnetError,
    RMSprop,
    SoftmaxCrossEntropy,
    TrainConfig,
)
from plainnet.config import make_loss, make_optimizer, make_schedule
from plainnet.data.synthetic import introverts
from plainnet.training import table_run


@pytest.mark.parametrize(
    ("task", "name", "expected"),
    [
        ("binary", None, BinaryCrossEntropy),
        ("multiclass", None, SoftmaxCrossEntropy),
        ("multilabel", None, BinaryCrossEntropy),
        ("regression", None, MeanSquaredError),
        ("regression", "Huber", Huber),
    ],
)
def test_each_task_has_its_loss(task, name, expected):
    assert type(make_loss(task, TrainConfig(loss=name))) is expected


@pytest.mark.parametrize(
    ("name", "kind", "rate"),
    [
        ("sgd", SGD, 0.1),
        ("rmsprop", RMSprop, 0.001),
        ("adam", Adam, 0.001),
        ("adamw", AdamW, 0.001),
    ],
)
def test_each_optimizer_has_its_rate(name, kind, rate):
    optimizer = make_optimizer(TrainConfig(optimizer=name), m=10)
    assert type(optimizer) is kind
    assert optimizer.rate == rate


def test_a_weight_decay_reaches_adamw():
    rule = make_optimizer(TrainConfig(optimizer="adamw", weight_decay=0.5), m=10)
    assert rule.weight_decay == 0.5


@pytest.mark.parametrize(
    ("schedule", "at_the_end"),
    [("constant", 1.0), ("step", 2.0**-9), ("exponential", 2.0**-9.9), ("cosine", 0.00024672)],
)
def test_a_schedule_spans_the_training(schedule, at_the_end):
    # 10 epochs of 10 batches: 100 steps, the last of which is number 99
    config = TrainConfig(schedule=schedule, lr=1.0, epochs=10, batch_size=10)
    assert make_schedule(config, m=100)(99) == pytest.approx(at_the_end, rel=1e-4)


def test_a_warmup_comes_first():
    schedule = make_schedule(TrainConfig(lr=1.0, warmup=2, epochs=10, batch_size=None), m=100)
    assert [schedule(step) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"loss": "Huber"}, "loss 'Huber' does not fit a binary target"),
        ({"momentum": 0.9}, "momentum and nesterov are options of sgd, not of adam"),
        ({"weight_decay": 0.1}, "weight decay is an option of adamw, not of adam: take l2"),
        ({"optimizer": "lion"}, "optimizer must be sgd or rmsprop or adam or adamw, got 'lion'"),
        ({"schedule": "zigzag"}, "schedule must be constant or step"),
        ({"warmup": 5, "epochs": 5}, "warmup must be shorter than the 5 epochs"),
        ({"patience": 3}, "patience needs validation rows"),
        ({"test_fraction": 0.6, "validation_fraction": 0.5}, "leave nothing to train on"),
        ({"epochs": 0}, "epochs"),
        ({"activation": ("relu", "tanh")}, "activations"),
        ({"batch_size": -1}, "batch_size"),
    ],
)
def test_what_does_not_go_together_is_refused(options, says):
    with pytest.raises(PlainnetError, match=says.replace("(", r"\(")):
        table_run(introverts(60), TrainConfig(**{"epochs": 1, **options}))


def test_label_smoothing_makes_no_sense_for_numbers():
    with pytest.raises(PlainnetError, match="label smoothing makes no sense for MeanSquaredError"):
        make_loss("regression", TrainConfig(label_smoothing=0.1))


def test_the_record_says_what_was_done():
    result = table_run(introverts(100), TrainConfig(epochs=2, validation_fraction=0.2))
    record = result.model.record
    assert record["rows"] == {"train": 60, "validation": 20, "test": 20}
    assert record["config"]["epochs"] == 2
    assert len(record["history"]["val_loss"]) == 2
    assert record["evaluation"]["rows"] == record["rows"]["test"]
    assert [one["kind"] for one in record["baselines"]] == ["constant", "column", "regression"]
