"""Every option of train reaches the training, from the command line and from a file."""

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from plainnet import training
from plainnet.cli.options import Options
from plainnet.config import TrainConfig
from plainnet.errors import PlainnetError

# option, its arguments on the command line, and what they change
OPTIONS: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("network", ("mlp",), {"network": "mlp"}),
    ("hidden", ("8", "4"), {"hidden": (8, 4)}),
    ("hidden", (), {"hidden": ()}),
    ("activation", ("tanh",), {"activation": ("tanh",)}),
    ("activation", ("tanh", "relu"), {"activation": ("tanh", "relu")}),
    ("network", ("tabular",), {"network": "tabular"}),
    ("members", ("4",), {"members": 4}),
    ("init", ("xavier_normal",), {"init": "xavier_normal"}),
    ("dropout", ("0.5",), {"dropout": 0.5}),
    ("batch-norm", (), {"batch_norm": True}),
    ("layer-norm", (), {"layer_norm": True}),
    ("loss", ("Huber",), {"loss": "Huber"}),
    ("label-smoothing", ("0.1",), {"label_smoothing": 0.1}),
    ("optimizer", ("sgd",), {"optimizer": "sgd"}),
    ("lr", ("0.5",), {"lr": 0.5}),
    ("momentum", ("0.9",), {"momentum": 0.9}),
    ("nesterov", (), {"nesterov": True}),
    ("weight-decay", ("0.1",), {"weight_decay": 0.1}),
    ("schedule", ("cosine",), {"schedule": "cosine"}),
    ("warmup", ("3",), {"warmup": 3}),
    ("epochs", ("7",), {"epochs": 7}),
    ("batch-size", ("full",), {"batch_size": "full"}),
    ("l2", ("0.01",), {"l2": 0.01}),
    ("clip-norm", ("2",), {"clip_norm": 2.0}),
    ("class-weight", ("balanced",), {"class_weight": "balanced"}),
    ("patience", ("5",), {"patience": 5}),
    ("memory", ("300MB",), {"memory": "300MB"}),
    ("cache-dir", ("rows",), {"cache_dir": "rows"}),
    ("test-fraction", ("0.3",), {"test_fraction": 0.3}),
    ("validation-fraction", ("0.1",), {"validation_fraction": 0.1}),
    ("group-duplicates", (), {"group_duplicates": True}),
    ("no-standardize", (), {"standardize": False}),
    ("no-header", (), {"header": False}),
    ("no-fingerprints", (), {"fingerprints": False}),
    ("min-level-count", ("5",), {"min_level_count": 5}),
    ("private", (), {"private": True}),
    ("target", ("a b",), {"target": ("a b",)}),
    ("task", ("regression",), {"task": "regression"}),
    ("kind", ("a=b=category",), {"kind": {"a=b": "category"}}),
    ("engine", ("numpy",), {"engine": "numpy"}),
    ("seed", ("7",), {"seed": 7}),
]
PICTURES: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("size", ("32",), {"size": 32}),
    ("strict", (), {"strict": True}),
    ("channels", ("8", "4"), {"channels": (8, 4)}),
    ("kernel", ("5",), {"kernel": 5}),
    ("augment", ("shift", "flip"), {"augment": ("shift", "flip")}),
    ("augment", (), {"augment": ()}),
]
Settle = Callable[..., TrainConfig]


class SeenError(PlainnetError):
    """Raised instead of starting the training."""


@pytest.fixture
def settle(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Settle:
    """Return the options with which a command line would train."""

    def run(*arguments: object) -> TrainConfig:
        configs: list[TrainConfig] = []

        def fake(path: Path, config: TrainConfig, *rest: object, **more: object) -> None:
            configs.append(config)
            raise SeenError("seen")

        monkeypatch.setattr(training, "train", fake)
        outcome = cli("train", *arguments)
        assert outcome.err == "Error: seen\n"
        return configs[0]

    return run


def test_defaults_without_options(settle: Settle) -> None:
    assert settle("a.csv") == TrainConfig()


def test_default_network_for_pictures(settle: Settle, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    assert settle("pictures") == TrainConfig()


@pytest.mark.parametrize(("option", "arguments", "changed"), OPTIONS)
def test_option_changes_only_its_field(
    settle: Settle, option: str, arguments: tuple[str, ...], changed: dict[str, Any]
) -> None:
    assert replace(TrainConfig(), **changed) != TrainConfig()
    assert settle("a.csv", f"--{option}", *arguments) == replace(TrainConfig(), **changed)


@pytest.mark.parametrize(("option", "arguments", "changed"), PICTURES)
def test_option_of_pictures(
    settle: Settle, tmp_path: Path, option: str, arguments: tuple[str, ...], changed: dict[str, Any]
) -> None:
    (tmp_path / "pictures").mkdir()
    expected = TrainConfig(**changed)
    assert settle("pictures", f"--{option}", *arguments) == expected


def test_every_field_has_an_option() -> None:
    changed = {name for _, _, changed in OPTIONS + PICTURES for name in changed}
    assert changed == {field.name for field in fields(TrainConfig)}
    options = {field.name.replace("_", "-") for field in fields(Options)}
    assert options == {option.removeprefix("no-") for option, _, _ in OPTIONS + PICTURES}


def test_repeated_options_accumulate(settle: Settle) -> None:
    config = settle("a.csv", "--target y --target z --kind a=number --kind b=yesno")
    assert config.target == ("y", "z")
    assert config.kind == {"a": "number", "b": "yesno"}


TOML = """
hidden = [8, 4]
activation = ["tanh", "relu"]
init = "xavier_normal"
dropout = 0.5
batch_norm = true
layer-norm = true
loss = "Huber"
label_smoothing = 0.1
optimizer = "sgd"
lr = 1
momentum = 0.9
nesterov = true
weight_decay = 0.1
schedule = "cosine"
warmup = 3
epochs = 7
batch_size = "full"
l2 = 0.01
clip_norm = 2.0
class_weight = "balanced"
patience = 5
test_fraction = 0.3
validation_fraction = 0.1
header = false
fingerprints = false
min_level_count = 5
private = true
target = ["y", "z"]
task = "regression"
kind = ["a=number"]
seed = 7
"""
FROM_TOML = TrainConfig(
    hidden=(8, 4),
    activation=("tanh", "relu"),
    init="xavier_normal",
    dropout=0.5,
    batch_norm=True,
    layer_norm=True,
    loss="Huber",
    label_smoothing=0.1,
    optimizer="sgd",
    lr=1.0,
    momentum=0.9,
    nesterov=True,
    weight_decay=0.1,
    schedule="cosine",
    warmup=3,
    epochs=7,
    batch_size="full",
    l2=0.01,
    clip_norm=2.0,
    class_weight="balanced",
    patience=5,
    test_fraction=0.3,
    validation_fraction=0.1,
    header=False,
    fingerprints=False,
    min_level_count=5,
    private=True,
    target=("y", "z"),
    task="regression",
    kind={"a": "number"},
    seed=7,
)


def test_every_option_in_the_config_file(settle: Settle, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(TOML)
    assert settle("a.csv", "--config", "run.toml") == FROM_TOML
    (tmp_path / "pictures").mkdir()
    (tmp_path / "two.toml").write_text("size = 32\nstrict = true\n")
    config = settle("pictures", "--config", "two.toml")
    assert (config.size, config.strict) == (32, True)


def test_command_line_overrides_the_config_file(settle: Settle, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(TOML)
    arguments = "--hidden 5 --target q --seed 9 --config run.toml"
    assert settle("a.csv", arguments) == replace(FROM_TOML, hidden=(5,), target=("q",), seed=9)


def test_config_file_names_the_model_file(
    cli: Callable[..., Any], survey: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text('out = "named.safetensors"\nepochs = 1\n')
    assert cli("train", survey, "--config", "run.toml").code == 0
    assert (tmp_path / "named.safetensors").is_file()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("epoch = 5", 'Unknown option: "[epoch]" from run.toml. Did you mean --epochs?'),
        ("[train]\nepochs = 5", "holds 'train', which is not an option"),
        ("demo = 5", "holds 'demo', which is not an option"),
        ('epochs = "many"', 'unable to convert "many" into int'),
        ('optimizer = "magic"', 'Invalid value "magic" for [optimizer]'),
        ("epochs = ", "the config file 'run.toml' is not TOML"),
        ("config = 'run.toml'", "holds 'config', which is not an option"),
        ("hidden = " + "[\n" * 100_000, "has too many lists or tables within each other"),
        ("epochs = " + "9" * 5_000, "is not TOML: Exceeds the limit (4300 digits)"),
        ("epochs = " + "9" * 100_000, "holds more than 1,000,000 bytes, or 10,000 in one line"),
        ("\n" * 1_000_001, "holds more than 1,000,000 bytes, or 10,000 in one line"),
        ("k" * 9_000 + " = 1", "kkk…, which is not an option"),
    ],
    ids=range(12),
)
def test_bad_config_file_is_named(
    cli: Callable[..., Any], survey: Path, tmp_path: Path, content: str, expected: str
) -> None:
    (tmp_path / "run.toml").write_text(content)
    outcome = cli("train", survey, "--config", "run.toml")
    assert outcome.code == 2
    assert expected in outcome.err
    assert outcome.err.count("\n") == 1


def test_config_file_must_be_a_regular_file(
    cli: Callable[..., Any], survey: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo.toml")
    for name in ("fifo.toml", "/dev/zero", str(tmp_path)):
        outcome = cli("train", survey, "--config", name)
        assert outcome.err == f"Error: the config file {name!r} is not a regular file\n"


def test_toml_limits(cli: Callable[..., Any], survey: Path, tmp_path: Path) -> None:
    filler = ("#" + "x" * 9_998 + "\n") * 99
    (tmp_path / "run.toml").write_text(filler + 'out = "named.safetensors"\nepochs = 1\n')
    assert cli("train", survey, "--config", "run.toml").code == 0
