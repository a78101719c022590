"""Reports on the command line, and the command that trains the same model again."""

import json
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from hypothesis import given, settings
from hypothesis import strategies as st

from plainnet.cli.commands.report import training_command
from plainnet.cli.options import Options, command_arguments
from plainnet.config import TrainConfig
from plainnet.model import Model

Cli = Callable[..., Any]
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    lambda text: "=" not in text
)


APP = App(result_action="return_value")


@APP.command
def train(data: str, /, *, options: Options = Options()) -> tuple[str, Options]:  # noqa: B008
    return data, options


def understood(arguments: list[str], path: Path) -> TrainConfig:
    """Return the options that the command line parses from a command."""
    data, options = APP(arguments[1:], print_error=False, exit_on_error=False)
    assert data == arguments[2]
    config: TrainConfig = options.config(path)
    return config


@settings(max_examples=40)
@given(
    hidden=st.lists(st.integers(1, 99), max_size=3),
    target=st.lists(names, max_size=2, unique=True),
    kind=st.dictionaries(names, st.sampled_from(["number", "category"]), max_size=2),
    lr=st.none() | st.floats(1e-9, 10),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    data=names,
)
def test_command_has_the_same_options(
    hidden: list[int], target: list[str], kind: Any, lr: float | None, flags: Any, data: str
) -> None:
    config = TrainConfig(
        hidden=tuple(hidden),
        activation=("tanh", "relu"),
        target=tuple(target),
        kind=kind,
        lr=lr,
        batch_norm=flags[0],
        nesterov=flags[1],
        class_weight="balanced" if flags[2] else None,
        clip_norm=0.5,
        task="binary",
        seed=7,
    )
    arguments = command_arguments(config, data)
    assert shlex.split(shlex.join(arguments)) == arguments
    assert understood(arguments, Path("a.csv")) == config


@pytest.mark.parametrize("hidden", [(16,), (8, 8, 8), (), None])
@pytest.mark.parametrize("pictures", [True, False])
def test_hidden_layers_are_written_where_the_network_follows_from_them(
    hidden: tuple[int, ...] | None, pictures: bool, tmp_path: Path
) -> None:
    data, config = tmp_path if pictures else Path("a.csv"), TrainConfig(hidden=hidden)
    arguments = command_arguments(config, str(data))
    assert ("--hidden" in arguments) == (hidden is not None)
    again = understood(arguments, data)
    assert again.resolved(images=pictures) == config.resolved(images=pictures)


def test_every_option_can_be_written() -> None:
    changed: dict[str, Any] = {
        "loss": "Huber", "lr": 0.5, "weight_decay": 0.1, "clip_norm": 1.0, "task": "binary",
        "optimizer": "sgd", "schedule": "cosine", "init": "zeros", "target": ("a",),
        "activation": ("tanh",), "hidden": (3,), "network": "mlp", "engine": "numpy",
        "kind": {"a": "number"}, "epochs": 7, "dropout": 0.5, "size": 8, "augment": ("flip",),
        "channels": (3,), "class_weight": "balanced", "min_level_count": 5, "patience": 3,
        "label_smoothing": 0.1, "batch_size": 64, "memory": "1GB", "cache_dir": "cache",
    }  # fmt: skip
    for field in fields(TrainConfig):
        if field.name in ("strict", "size", "network"):  # which are of pictures
            continue
        usual = getattr(TrainConfig(), field.name)
        value = changed.get(field.name)
        if value is None:
            value = not usual if isinstance(usual, bool) else usual + 1
        if isinstance(usual, float):
            value = 0.5
        config = replace(TrainConfig(), **{field.name: value})
        arguments = command_arguments(config, "a.csv")
        assert len(arguments) > 3, field.name
        assert understood(arguments, Path("a.csv")) == config


def test_default_options_are_not_written() -> None:
    assert command_arguments(TrainConfig(), "-a.csv") == ["plainnet", "train", "./-a.csv"]


def test_command_gives_the_same_file(cli: Cli, survey: Path, tmp_path: Path) -> None:
    arguments = "--hidden 4 3 --epochs 3 --target Personality --lr 0.05 --seed 3"
    assert cli("train", survey, arguments, "--out", "a.safetensors").code == 0
    command = training_command(Model.load("a.safetensors"))
    assert command.startswith(
        "plainnet train survey.csv --target=Personality --network=mlp --hidden 4 3"
    )
    assert cli(*shlex.split(command)[1:]).code == 0
    assert Path("survey.safetensors").read_bytes() == Path("a.safetensors").read_bytes()


@pytest.mark.parametrize(
    "record", [{}, {"data": 3, "config": {}}, {"data": "a", "config": {"x": 1}}]
)
def test_foreign_record_has_no_command(trained: Path, record: dict[str, Any]) -> None:
    model = Model.load(trained)
    model.record = record
    assert training_command(model) == ""


def test_report_of_the_recorded_evaluation(cli: Cli, trained: Path) -> None:
    outcome = cli("report", trained)
    assert (outcome.code, outcome.out, outcome.err) == (0, "Report: trained.html\n", "")
    text = Path("trained.html").read_text(encoding="utf-8")
    assert "<h1>trained.safetensors</h1>" in text
    assert "held out in training" in text
    assert "plainnet train survey.csv" in text.replace('<span class="word">', "").replace(
        "</span>", ""
    )


def test_report_on_data(cli: Cli, trained: Path, survey: Path) -> None:
    assert cli("report", trained, survey, "--out", "r.html").code == 0
    assert "On 150 rows of survey.csv" in Path("r.html").read_text(encoding="utf-8")


def test_report_names_what_was_left_out(cli: Cli, painter: Path, colors: Path) -> None:
    (colors / "red" / "broken.png").write_bytes(b"no picture")
    assert cli("report", painter, colors, "--out", "r.html").code == 0
    text = Path("r.html").read_text(encoding="utf-8")
    assert "left out" in text
    assert "broken.png" in text
    assert text.count('alt="Picture ') == 8
    outcome = cli("report", painter, colors, "--out", "r.html", "--strict")
    assert outcome.code == 2
    assert "broken.png" in outcome.err


def test_train_and_evaluate_write_the_same_report(cli: Cli, survey: Path) -> None:
    assert cli("train", survey, "--epochs", 3, "--out m.safetensors --report a.html").code == 0
    assert "held out in training" in Path("a.html").read_text(encoding="utf-8")
    outcome = cli("evaluate", "m.safetensors", survey, "--report", "b.html", "--json")
    assert json.loads(outcome.out)["rows"] == 150
    assert outcome.err.endswith("Report: b.html\n")
    assert cli("report", "m.safetensors", survey, "--out", "c.html").code == 0
    assert Path("b.html").read_bytes() == Path("c.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["report", "trained.safetensors", "--out", "trained.safetensors"],
         "Error: 'trained.safetensors' would overwrite an input: give --out another name\n"),
        (["evaluate", "trained.safetensors", "survey.csv", "--report", "survey.csv"],
         "Error: 'survey.csv' would overwrite an input: give --report another name\n"),
        (["train", "survey.csv", "--report", "no/such.html"],
         "Error: there is no folder 'no' to write 'such.html' into\n"),
        (["report", "trained.safetensors", "none.csv"],
         "Error: File 'none.csv' does not exist; check the path.\n"),
        (["report", "trained.safetensors", "--strict"],
         "Error: --strict applies only to models of pictures, and this is a model of tables: "
         "leave it out\n"),
    ],
)  # fmt: skip
def test_unwritable_paths_are_refused_first(
    cli: Cli, trained: Path, survey: Path, arguments: list[str], sentence: str
) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err) == (2, sentence)
