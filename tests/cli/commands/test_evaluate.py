"""Output after training: a table, the verdict, warnings, and details on request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plainnet.data.synthetic import introverts
from plainnet.model import Model

Cli = Callable[..., Any]


def end(out: str) -> str:
    return out[out.index("Trained ") :]


def test_training_ends_with_a_table_and_a_verdict(cli: Cli, survey: Path) -> None:
    out = end(cli("train", survey, "--epochs 15 --lr 0.01").out)
    lines = out.splitlines()
    assert all(len(one) <= 80 for one in lines[:10])
    names = ["network", "logistic regression", "always Extrovert"]
    assert [one for one in names if any(line.startswith(one) for line in lines)] == names
    assert "95 % interval" in out
    assert " the best baseline, " in out
    assert "Calibration" not in out
    detailed = end(cli("train", survey, "--epochs 15 --lr 0.01 --detail").out)
    for text in (
        "Calibration",
        "Confusion matrix",
        "network compared with",
        "Threshold with the best F1",
    ):
        assert text in detailed


def test_train_and_evaluate_name_a_leaked_column(cli: Cli, tmp_path: Path) -> None:
    frame = introverts(300)
    frame.insert(0, "type", np.where(frame.Personality == "Introvert", 2, 1))
    frame.to_csv("leaky.csv", index=False)
    message = "Problem: The column 'type' alone gives the target away."
    assert message in cli("train", "leaky.csv", "--epochs 3").out
    introverts(100, seed=4).assign(
        type=lambda f: np.where(f.Personality == "Introvert", 2, 1)
    ).to_csv("new.csv", index=False)
    out = cli("evaluate", "leaky.safetensors", "new.csv").out
    assert message in out
    advice = out.split("Try: ")[1].splitlines()[0]
    again = cli("train", "leaky.csv", "--epochs 3", advice)
    assert (again.code, message in again.out) == (0, False)


def test_repeats_are_shown_and_recorded(cli: Cli, survey: Path, tmp_path: Path) -> None:
    outcome = cli("train", survey, "--epochs 3 --repeat 3 --seed 4")
    assert outcome.code == 0
    for text in ("3 trainings", "seed 4", "seed 6", "standard deviation", " of 3."):
        assert text in outcome.out
    record = Model.load(tmp_path / "survey.safetensors").record
    assert record["repeats"]["seeds"] == [4, 5, 6]
    once = cli("train", survey, "--epochs 3 --seed 4 --out once.safetensors")
    assert once.code == 0
    assert Model.load("once.safetensors").record["evaluation"] == record["evaluation"]
    assert "at least 2 in all, got 0" in cli("train", survey, "--repeat 0").err


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_detail_of_every_task(cli: Cli, tmp_path: Path, task: str) -> None:
    frame = introverts(120).drop(columns="Personality")
    many = np.arange(120)
    frame["y"] = {
        "multiclass": np.array(["p", "q", "r"])[many % 3],
        "multilabel": np.array(["p;q", "q", "p"])[many % 3],
        "regression": many * 1.5 % 37,
    }[task]
    frame.to_csv("any.csv", index=False)
    outcome = cli("train", "any.csv", "--detail --epochs 2")
    assert (outcome.code, outcome.err) == (0, "")
    assert "network compared with" in outcome.out
