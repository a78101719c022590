"""TrainConfig: values are stored as plain Python types or refused."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from plainnet import Model, PlainnetError, TrainConfig
from plainnet.build import make_optimizer
from plainnet.config import OPTIONS
from plainnet.data.synthetic import introverts
from plainnet.estimators.params import NetParams
from plainnet.optim import OPTIMIZERS, SGD
from plainnet.training import train


def as_numpy(value):
    """Convert values to NumPy types at every level."""
    if isinstance(value, dict):
        return {np.str_(key): np.str_(one) for key, one in value.items()}
    return np.array(value) if isinstance(value, tuple) else np.array(value)[()]


GIVEN = TrainConfig(
    hidden=(4, 3),
    activation=("relu", "tanh"),
    loss="BinaryCrossEntropy",
    lr=0.25,
    weight_decay=0.5,
    clip_norm=2.0,
    optimizer="adamw",
    epochs=2,
    validation_fraction=0.25,
    patience=1,
    target=("Personality",),
    task="binary",
    kind={"Stage_fear": "category"},
    seed=3,
)


def test_numpy_values_become_plain_python_values():
    numpy = TrainConfig(
        **{field.name: as_numpy(getattr(GIVEN, field.name)) for field in fields(GIVEN)}
    )
    assert numpy == GIVEN
    assert json.loads(json.dumps(asdict(numpy))) == json.loads(json.dumps(asdict(GIVEN)))


def test_model_trained_with_numpy_options_is_saved(tmp_path):
    frame = introverts(80)
    files = []
    for name, whole, share in (("numpy", np.int64, np.float64), ("plain", int, float)):
        hidden = np.array([4, 2]) if name == "numpy" else (4, 2)
        config = TrainConfig(hidden=hidden, seed=whole(5), epochs=whole(2), lr=share(0.01))
        train(frame, config).model.save(tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    assert Model.load(tmp_path / "numpy").record["config"]["hidden"] == [4, 2]


def test_string_becomes_a_tuple():
    assert TrainConfig(target="price", activation="tanh") == TrainConfig(
        target=("price",), activation=("tanh",)
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seed": 2.0}, "seed must be a whole number, got 2.0"),
        ({"seed": True}, "seed must be a whole number, got True"),
        ({"epochs": "3"}, "epochs must be a whole number or None, got '3'"),
        ({"epochs": np.float64(3)}, "epochs must be a whole number or None, got 3.0"),
        ({"momentum": None}, "momentum must be a number, got None"),
        ({"lr": "fast"}, "lr must be a number or None, got 'fast'"),
        ({"class_weight": 1}, "class_weight must be text or None, got 1"),
        ({"init": None}, "init must be text, got None"),
        ({"loss": 3}, "loss must be text or None, got 3"),
        ({"hidden": 4}, "hidden must be a sequence of whole numbers such as (8, 8) or None, got 4"),
        (
            {"hidden": np.array([4.5])},
            "hidden must be a sequence of whole numbers such as (8, 8) or None, got (4.5,)",
        ),
        ({"target": ("a", 1)}, "target must be a sequence of names, got ('a', 1)"),
        ({"optimizer": "lion"}, "optimizer must be sgd or rmsprop or adam or adamw, got 'lion'"),
        ({"class_weight": "equal"}, "class_weight must be balanced or None, got 'equal'"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        (
            {"epochs": 2**53},
            "epochs must be a whole number less than 9007199254740992, got 9007199254740992",
        ),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"lr": 0}, "lr must be a number in (0, inf), got 0"),
        ({"l2": float("nan")}, "l2 must be a number in [0, inf), got nan"),
        ({"dropout": 1.0}, "dropout must be a number in [0, 1), got 1.0"),
        ({"kind": None}, "kind must be a mapping of column to kind, got None"),
        ({"kind": {"a": 1}}, "kind must be a mapping of column to kind, got {'a': 1}"),
    ],
)
def test_invalid_values_raise_at_construction(given, says):
    with pytest.raises(PlainnetError) as caught:
        TrainConfig(**given)
    assert str(caught.value) == f"TrainConfig: {says}"


def test_registered_optimizer_is_a_choice(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "mine", SGD)
    assert make_optimizer(TrainConfig(optimizer="mine", lr=0.5, momentum=0.9), 10).momentum == 0.9


def test_estimators_share_the_defaults():
    shared = {field.name: field.default for field in fields(NetParams)}
    different = {
        name
        for name, one in OPTIONS.items()
        if name in shared and shared[name] != one.default and (shared[name],) != one.default
    }
    assert different == {"network", "init"}  # see NetParams


def test_a_resolved_config_has_no_open_options():
    config = TrainConfig(epochs=7, batch_size="full").resolved(images=True)
    assert (config.network, config.epochs, config.size, config.batch_size) == (
        "convnet",
        7,
        32,
        "full",
    )
    assert config.resolved(images=False) is config
    assert asdict(config).keys() == asdict(TrainConfig()).keys()
    with pytest.raises(PlainnetError) as caught:
        replace(config, epochs=None)
    assert str(caught.value) == "TrainConfig: epochs must be a whole number, got None"
