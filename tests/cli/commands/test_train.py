"""plainnet train: output, saved files and determinism."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from plainnet import training
from plainnet.cli.console import training_text
from plainnet.cli.paths import model_path
from plainnet.config import TrainConfig
from plainnet.data.synthetic import introverts
from plainnet.model import Model

Cli = Callable[..., Any]


def test_table_end_to_end(cli: Cli, survey: Path, tmp_path: Path) -> None:
    outcome = cli("train", survey, "--epochs", 12, "--lr", 0.01, "--validation-fraction", 0.1)
    assert (outcome.code, outcome.err) == (0, "")
    for expected in (
        "survey.csv: 150 rows, 105 to train, 15 to validate, 30 held out",
        "Target: binary: 'Personality' is 'Extrovert' (0) or 'Introvert' (1)",
        "Note: no target was named: taking the last column, 'Personality'",
        "Note: no task was named: taking binary; --task changes it",
        "Stage_fear",
        "Training: 12 epochs of 105 rows in batches of 32, adam, learning rate 0.01, seed 0",
        "On 30 held-out rows",
        "always Extrovert",
        "Saved: survey.safetensors",
        f"Next: plainnet predict survey.safetensors {survey}",
    ):
        assert expected in outcome.out
    epochs = [line for line in outcome.out.splitlines() if line.startswith("epoch")]
    assert len(epochs) == 12
    assert epochs[0].startswith("epoch  1/12  cost ")
    assert all("val cost" in line and "val accuracy" in line for line in epochs)
    model = Model.load(tmp_path / "survey.safetensors")
    assert len(model.record["history"]["loss"]) == 12
    assert model.record["evaluation"]["rows"] == 30
    assert model.record["evaluation"]["accuracy"] > 0.8
    assert 0.5 < model.record["evaluation"]["baselines"][0]["accuracy"] < 0.6


def test_columns_without_effect_are_named(cli: Cli, survey: Path) -> None:
    pd.read_csv(survey).assign(fax=None, planet="Earth")[
        ["fax", "planet", "Stage_fear", "Personality"]
    ].to_csv("more.csv", index=False)
    trained = cli("train", "more.csv", "--epochs", 1)
    assert (trained.code, trained.err) == (0, "")
    shown = cli("summary", "more.safetensors").out
    for expected in (
        "Note: columns without effect (the same in all 120 training rows): 'planet'",
        "Note: columns without effect (empty in all 120 training rows): 'fax'",
        "always missing",
        "always 'Earth'",
        "left out, no effect",
    ):
        assert expected in trained.out
        assert expected in shown


def test_integer_grades_are_a_regression_by_default(cli: Cli, tmp_path: Path) -> None:
    marks = [*range(5, 18)] * 8 + [19]
    pd.DataFrame({"hours": [2 * mark for mark in marks], "mark": marks}).to_csv(
        tmp_path / "marks.csv", index=False
    )
    outcome = cli("train", tmp_path / "marks.csv", "--epochs", 1)
    assert "Target: regression: 'mark'" in outcome.out
    assert "Note: no task was named: taking regression; --task changes it" in outcome.out
    outcome = cli("train", tmp_path / "marks.csv", "--epochs", 1, "--task", "multiclass")
    assert "no task was named" not in outcome.out
    assert "the class '19' has 1 row" in outcome.err
    assert "or choose --task regression if these are numbers to predict" in outcome.err


def test_pictures_end_to_end(cli: Cli, colors: Path, tmp_path: Path) -> None:
    (colors / "red" / "notes.txt").write_text("no picture")
    Image.new("RGB", (1, 1)).save(colors / "red" / "dot.png")
    outcome = cli("train", colors, "--epochs", 2, "--size", 8)
    assert (outcome.code, outcome.err) == (0, "")
    for expected in (
        "colors: 12 pictures, 10 to train, 2 held out",
        "Input: 8 x 8 pixels, 192 numbers in all",
        "binary: 'class' is 'blue' (0) or 'red' (1)",
        "Note: left out red/dot.png: 1 x 1 pixels is too small",
        "Note: left out red/notes.txt: not a picture",
        "Saved: colors.safetensors",
    ):
        assert expected in outcome.out
    # 3 x 3 kernels of 3-16-32-64 channels, their scales and shifts, and a last layer of 64 inputs
    n = 9 * (3 * 16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64) + 64 + 1
    assert f"{n:,}" in outcome.out
    assert Model.load(tmp_path / "colors.safetensors").net.in_shape == (8, 8, 3)


def test_a_flat_network_of_pictures(cli: Cli, colors: Path, tmp_path: Path) -> None:
    outcome = cli("train", colors, "--network", "mlp", "--epochs", 2, "--size", 8)
    assert "1,697" in outcome.out  # parameters of 192-8-8-8-1: 1,544 + 72 + 72 + 9
    assert Model.load(tmp_path / "colors.safetensors").net.in_shape == (192,)


def test_suggested_commands_work(cli: Cli, survey: Path) -> None:
    out = cli("train", survey, "--epochs", 1).out
    assert cli(*out.split("Next: plainnet ")[1].split()).code == 0


@pytest.mark.parametrize(
    ("frame", "arguments", "expected"),
    [
        ({"y": ["a", "b", "c"] * 20}, (), "multiclass: 'y' has 3 classes"),
        ({"y": ["p;q", "q", "r", ""] * 15}, (), "multilabel: 'y' has 3 labels"),
        ({"y": [i / 7 for i in range(60)]}, (), "regression: 'y'"),
        ({"y": ["a", "b"] * 30, "z": range(60)}, ("--target", "z"), "regression: 'z'"),
        (
            {"y": ["No", "Yes"] * 30, "z": ["Yes", "Yes", "No"] * 20},
            ("--target", "y", "--target", "z"),
            "multilabel: 'y', 'z'",
        ),
    ],
)
def test_tasks_are_inferred(
    cli: Cli, tmp_path: Path, frame: dict[str, Any], arguments: tuple[str, ...], expected: str
) -> None:
    pd.DataFrame({"x": [i % 13 for i in range(60)], **frame}).to_csv("any.csv", index=False)
    outcome = cli("train", "any.csv", "--epochs", 2, *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert expected in outcome.out
    assert "held-out rows" in outcome.out


def test_regression_error_is_shown_in_its_unit(cli: Cli, tmp_path: Path) -> None:
    y = [1000.0 * (i % 10) + 0.5 for i in range(60)]
    pd.DataFrame({"x": range(60), "y": y}).to_csv("any.csv", index=False)
    out = cli("train", "any.csv", "--epochs", 1, "--lr", 1e-9).out
    epoch = next(line for line in out.splitlines() if line.startswith("epoch"))
    error = float(epoch.split("MAE ")[1].replace(",", ""))
    assert 1000 < error < 10_000  # standardized it would be near 1
    assert "always the mean" in out


def test_same_seed_same_bytes(cli: Cli, survey: Path, tmp_path: Path) -> None:
    def bytes_of(*arguments: object) -> bytes:
        assert cli("train", survey, "--epochs", 2, "--out", "one.safetensors", *arguments).code == 0
        return (tmp_path / "one.safetensors").read_bytes()

    assert bytes_of() == bytes_of("--seed", 0)
    assert bytes_of() != bytes_of("--seed", 1)


def test_failed_training_keeps_the_old_model(cli: Cli, survey: Path, trained: Path) -> None:
    before = trained.read_bytes()
    outcome = cli("train", survey, "--optimizer sgd --lr 1e30 --epochs 9 --out", trained)
    assert outcome.code == 2
    assert outcome.err.startswith("Error: the loss became nan in epoch")
    assert trained.read_bytes() == before


def test_model_is_never_saved_inside_the_data(
    cli: Cli, colors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = cli("train", colors, "--out", colors / "red" / "m.safetensors")
    assert outcome.code == 2
    assert "would be written into the data folder" in outcome.err
    monkeypatch.chdir(colors / "red")
    assert model_path(colors) == colors.parent / "colors.safetensors"
    monkeypatch.chdir(colors.parent)
    assert model_path(colors) == Path("colors.safetensors")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "a.safetensors"),
        ("a.csv.gz", "a.safetensors"),
        ("my.data.parquet", "my.data.safetensors"),
    ],
)
def test_models_are_named_after_their_data(name: str, expected: str) -> None:
    assert model_path(Path("somewhere") / name) == Path(expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TrainConfig(weight_decay=0.1, optimizer="adamw"), "adamw (weight decay 0.1)"),
        (TrainConfig(momentum=0.9, nesterov=True, optimizer="sgd"), "sgd (momentum 0.9, Nesterov)"),
        (TrainConfig(schedule="cosine", warmup=3), "0.001 (cosine), warm-up of 3 epochs"),
        (TrainConfig(l2=0.1, clip_norm=2.0, patience=5), "l2 0.1, clip norm 2, patience 5"),
        (
            TrainConfig(class_weight="balanced", label_smoothing=0.2),
            "label smoothing 0.2, balanced classes",
        ),
    ],
)
def test_every_option_is_described(config: TrainConfig, expected: str) -> None:
    assert expected in training_text(config, 100)


def test_early_stopping_is_described(cli: Cli, survey: Path) -> None:
    arguments = "--validation-fraction 0.3 --patience 2 --epochs 300 --lr 0.05"
    out = cli("train", survey, arguments).out
    assert "Stopped early: the validation cost no longer fell. The weights kept are the best" in out


def test_interrupted_before_the_first_epoch(
    cli: Cli, survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    outcome = cli("train", survey)
    assert outcome.code == 130
    assert outcome.err == "Error: interrupted: unfinished work is not saved\n"
    assert not (tmp_path / "survey.safetensors").exists()


def test_real_survey_reaches_its_cost(cli: Cli, shared_data: Path, tmp_path: Path) -> None:
    arguments = "--hidden 16 --optimizer sgd --lr 0.5 --batch-size full --epochs 300"
    file = shared_data / "introverts.csv"
    outcome = cli("train", file, arguments, "--out", "real.safetensors")
    assert outcome.code == 0
    model = Model.load(tmp_path / "real.safetensors")
    assert model.record["history"]["loss"][-1] <= 0.30
    figures = json.loads(cli("evaluate", "real.safetensors", file, "--json").out)
    assert figures["rows"] == 2320
    assert figures["accuracy"] > 0.9


def test_real_pictures_are_learned(cli: Cli, shared_data: Path) -> None:
    folder = shared_data / "pandas-bears"
    outcome = cli("train", folder, "--epochs", 3, "--size", 16, "--out", "real.safetensors")
    assert outcome.code == 0
    assert "400 pictures, 320 to train, 80 held out" in outcome.out


def test_text_from_files_is_escaped(cli: Cli, tmp_path: Path) -> None:
    frame = introverts(60).rename(columns={"Stage_fear": "[bold]\x1b[31mfear"})
    frame.to_csv("wild.csv", index=False)
    outcome = cli("train", "wild.csv", "--epochs", 1)
    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert "[bold]\\x1b[31mfear" in outcome.out.replace("\n", "")
