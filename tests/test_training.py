"""Training: loss, optimizer and schedule from options, input types, and invalid combinations."""

import numpy as np
import pandas as pd
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
from plainnet.build import make_loss, make_optimizer, make_schedule
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.loading import load
from plainnet.training import train


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
def test_loss_of_each_task(task, name, expected):
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
def test_default_learning_rate_of_each_optimizer(name, kind, rate):
    optimizer = make_optimizer(TrainConfig(optimizer=name), m=10)
    assert type(optimizer) is kind
    assert optimizer.current_lr == rate


def test_weight_decay_of_adamw():
    rule = make_optimizer(TrainConfig(optimizer="adamw", weight_decay=0.5), m=10)
    assert rule.weight_decay == 0.5


@pytest.mark.parametrize(
    ("schedule", "at_the_end"),
    [("constant", 1.0), ("step", 2.0**-9), ("exponential", 2.0**-9.9), ("cosine", 0.00024672)],
)
def test_schedule_spans_the_training(schedule, at_the_end):
    # 10 epochs of 10 batches: 100 steps, the last of which is number 99
    config = TrainConfig(schedule=schedule, lr=1.0, epochs=10, batch_size=10)
    assert make_schedule(config, m=100)(99) == pytest.approx(at_the_end, rel=1e-4)


def test_warmup_precedes_the_schedule():
    schedule = make_schedule(TrainConfig(lr=1.0, warmup=2, epochs=10, batch_size="full"), m=100)
    assert [schedule(step) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"loss": "Huber"}, "loss 'Huber' does not fit a binary target"),
        ({"momentum": 0.9}, "momentum is an option of sgd, not of adam"),
        ({"weight_decay": 0.1}, "weight_decay is an option of adamw, not of adam: take l2"),
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
def test_invalid_combinations_raise(options, says):
    with pytest.raises(PlainnetError, match=says.replace("(", r"\(")):
        train(introverts(60), TrainConfig(**{"epochs": 1, **options}))


def test_label_smoothing_of_a_regression_raises():
    with pytest.raises(PlainnetError, match="label smoothing makes no sense for MeanSquaredError"):
        make_loss("regression", TrainConfig(label_smoothing=0.1))


def test_training_record():
    result = train(introverts(100), TrainConfig(epochs=2, validation_fraction=0.2))
    record = result.model.record
    assert record["rows"] == {"train": 60, "validation": 20, "test": 20}
    assert record["config"]["epochs"] == 2
    assert len(record["history"]["val_loss"]) == 2
    assert record["evaluation"]["rows"] == record["rows"]["test"]
    assert [one["kind"] for one in record["baselines"]] == ["constant", "column", "regression"]


def test_train_on_arrays():
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = np.where(X[:, 0] > 0, "up", "down")
    config = TrainConfig(epochs=3)
    model = train((X, y), config).model
    frame = pd.DataFrame(X, columns=["x0", "x1"]).assign(y=y)
    same = train(frame, TrainConfig(epochs=3, target="y")).model
    assert (model.predict_proba(X) == same.predict_proba(frame)).all()
    two = train((X, X[:, ::-1]), TrainConfig(epochs=1)).model
    assert (two.target.columns, two.predict(X).shape) == (("y0", "y1"), (60, 2))


def test_train_on_picture_arrays():
    X, y, classes = pandas_and_bears(20, size=8)
    config = TrainConfig(epochs=1)
    numbered = train((X, y, classes), config)
    named = train((X, np.array(classes)[y]), config)
    assert named.model.target.classes == tuple(sorted(classes))
    assert len(numbered.data.test.X) == len(named.data.test.X) == 4
    assert numbered.model.net.config() == named.model.net.config()
    assert numbered.model.record["config"]["network"] == "convnet"
    flat = train((X, y, classes), TrainConfig(epochs=1, network="mlp"))
    assert flat.model.record["config"]["hidden"] == (8, 8, 8)
    assert flat.model.net.in_shape == (192,)


def test_train_on_a_split_dataset():
    frame, config = introverts(60), TrainConfig(epochs=1)
    data = load(frame, config)
    run = train(data, config)
    assert run.data.train is data.train
    assert "data" not in run.model.record


def test_single_target_column():
    run = train(introverts(60), TrainConfig(target="Personality", epochs=1))
    assert run.model.target.columns == ("Personality",)


def test_training_without_evaluation():
    run = train(introverts(60), TrainConfig(epochs=4), epochs=2, evaluate=False)
    assert (len(run.history), run.model.record) == (2, {})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((np.zeros((4, 2)),), "arrays as (X, y) or (X, y, classes), got 1 parts"),
        ((np.zeros((4, 2)), np.zeros(3)), "X has 4 rows, but y has shape (3,)"),
        ((np.zeros((4, 8, 8, 3)), np.zeros(4)), "uint8 (m, size, size, 3), got float64"),
        ((np.zeros((4, 8, 9, 3), np.uint8), np.zeros(4)), "got uint8 (4, 8, 9, 3)"),
        ((np.zeros((4, 8, 8, 3), np.uint8), np.zeros(3)), "4 pictures, but y has shape (3,)"),
    ],
)
def test_invalid_arrays_raise(data, says):
    with pytest.raises(PlainnetError) as caught:
        train(data, TrainConfig(epochs=1))
    assert says in str(caught.value)


def test_target_of_pictures_raises():
    with pytest.raises(PlainnetError, match="for tables only"):
        train(pandas_and_bears(20, size=8), TrainConfig(target="y"))


def test_validation_rows_can_be_given(tmp_path):
    frame = introverts(120)
    config = TrainConfig(epochs=3, patience=1, test_fraction=0)
    frame[90:].to_csv(tmp_path / "validation.csv", index=False)
    runs = [
        train(frame[:90], config, validation_data=given)
        for given in (frame[90:], tmp_path / "validation.csv")
    ]
    assert [len(run.data.validation.X) for run in runs] == [30, 30]
    assert runs[0].history.val_loss == runs[1].history.val_loss != []
    X = np.random.default_rng(0).normal(size=(40, 2))
    run = train((X[:30], X[:30, 0]), TrainConfig(epochs=1), validation_data=(X[30:], X[30:, 0]))
    assert run.data.validation.X.shape == (10, 2)


def test_validation_pictures_can_be_given():
    X, y, classes = pandas_and_bears(24, size=8)
    config = TrainConfig(epochs=1, test_fraction=0)
    first = (X[:16], y[:16], classes)
    numbered = train(first, config, validation_data=(X[16:], y[16:], classes))
    named = train(first, config, validation_data=(X[16:], np.array(classes)[y[16:]]))
    assert numbered.data.validation.y.tolist() == y[16:].tolist()
    assert numbered.history.val_loss == named.history.val_loss
    with pytest.raises(PlainnetError, match="the class 'cat' is not one of"):
        train(first, config, validation_data=(X[16:], ["cat"] * 8))


def test_one_kind_of_validation_at_a_time():
    with pytest.raises(PlainnetError, match="validation_fraction or validation_data, not both"):
        train(introverts(60), TrainConfig(validation_fraction=0.2), validation_data=introverts(60))
