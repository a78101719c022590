"""Held-out rows with fill values are named and excluded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plainnet.config import TrainConfig
from plainnet.loading import load
from plainnet.model import Model

Cli = Callable[..., Any]
SHORT = "--epochs 5"


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., int]:
    """Write a table with a fill value in one held-out row; return its row number."""

    def write(name: str, task: str, column: str, fill: float, part: str = "test") -> int:
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(200, 2)).round(3), columns=["a", "b"])
        score = 3 * frame.a + frame.b
        frame["y"] = {
            "binary": np.where(score > 0, "p", "q"),
            "multiclass": np.array(["p", "q", "r"])[np.digitize(score, [-1, 1])],
            "regression": score.round(3),
        }[task]
        frame.to_csv(tmp_path / "whole.csv", index=False)
        data = load(tmp_path / "whole.csv", TrainConfig(validation_fraction=0.2))
        row = int((data.test_rows if part == "test" else data.validation_rows)[3])
        frame.loc[row, column] = fill
        frame.to_csv(tmp_path / name, index=False)
        return row + 1

    return write


@pytest.mark.parametrize("fill", [1e20, 9.96921e36])
@pytest.mark.parametrize(
    ("task", "column"),
    [("binary", "a"), ("multiclass", "a"), ("regression", "a"), ("regression", "y")],
)
def test_training_saves_the_model_and_names_the_row(
    cli: Cli, table: Callable[..., int], task: str, column: str, fill: float
) -> None:
    row = table("f.csv", task, column, fill)
    done = cli(
        "train", "f.csv", SHORT, "--validation-fraction 0.2 --out f.safetensors --report f.html"
    )
    assert (done.code, done.err) == (0, "")
    message = f"left out row {row}: its values or predictions are too large to evaluate"
    assert f"{message} (the most extreme value is in column {column!r})" in done.out
    record = Model.load("f.safetensors").record
    assert any(note.startswith(message) for note in record["notes"])
    assert record["rows"] == {"train": 120, "validation": 40, "test": 39}
    assert record["evaluation"]["rows"] == 39
    json.dumps(record, allow_nan=False)
    assert message in Path("f.html").read_text()


@pytest.mark.parametrize("column", ["a", "y"])
def test_validation_row_is_excluded_before_training(
    cli: Cli, table: Callable[..., int], column: str
) -> None:
    row = table("f.csv", "regression", column, 1e37, "validation")
    done = cli(
        "train", "f.csv", SHORT, "--validation-fraction 0.2 --patience 3 --out f.safetensors"
    )
    assert (done.code, done.err) == (0, "")
    assert f"left out row {row}: " in done.out
    record = Model.load("f.safetensors").record
    assert record["rows"] == {"train": 120, "validation": 39, "test": 40}
    assert max(record["history"]["val_loss"]) < 10


@pytest.mark.parametrize("column", ["a", "y"])
def test_evaluation_uses_the_other_rows(cli: Cli, table: Callable[..., int], column: str) -> None:
    row = table("f.csv", "regression", column, 1e20)
    assert cli("train", "whole.csv", SHORT, "--out g.safetensors").code == 0
    message = f"Note: left out row {row}: its values or predictions are too large to evaluate"
    for command, code in (("evaluate", 0), ("report", 0), ("doctor", 1), ("explain", 0)):
        done = cli(command, "g.safetensors", "f.csv")
        assert done.code in (0, code), command
        assert message in done.err, command
    found = json.loads(cli("evaluate", "g.safetensors", "f.csv", "--json").out)
    assert found["rows"] == 199
    assert found["rmse"] < 10


def test_evaluation_of_only_fill_values_raises(cli: Cli, table: Callable[..., int]) -> None:
    table("f.csv", "regression", "y", 1.0)
    cli("train", "whole.csv", SHORT, "--out g.safetensors")
    frame = pd.read_csv("whole.csv").assign(y=1e20)
    frame.head(2).to_csv("f.csv", index=False)
    done = cli("evaluate", "g.safetensors", "f.csv")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "Error: no row is left: left out rows 1, 2: their values or predictions are too "
        "large to evaluate (the most extreme value in row 1 is in column 'y')\n"
    )


def test_training_without_usable_held_out_rows_saves_the_model(
    cli: Cli, table: Callable[..., int]
) -> None:
    table("f.csv", "regression", "y", 1.0)
    frame = pd.read_csv("f.csv")
    frame.loc[load("f.csv", TrainConfig()).test_rows, "a"] = 1e20
    frame.to_csv("f.csv", index=False)
    done = cli("train", "f.csv", SHORT, "--repeat 2 --out f.safetensors")
    assert (done.code, done.err) == (0, "")
    assert "and 35 more: their values or predictions" in done.out
    assert "The trainings cannot be compared: the network of seed 0 has no evaluation" in done.out
    record = Model.load("f.safetensors").record
    assert (record["evaluation"], record["rows"]["test"]) == (None, 0)
    assert cli("summary", "f.safetensors").code == 0
    assert cli("report", "f.safetensors").code == 0
