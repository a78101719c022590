"""``plainnet doctor``: each mistake of a user leads to its finding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plainnet import Model
from plainnet.data.synthetic import introverts

Cli = Callable[..., Any]


@pytest.fixture
def frame() -> pd.DataFrame:
    return introverts(500, seed=2)


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return frame.assign(Personality=rng.permutation(frame["Personality"]))


def leaking(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(Code=(frame["Personality"] == "Introvert") * 2 + 1)[
        ["Code", *frame.columns]
    ]


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (shuffled, "", "the labels may be shuffled"),
        (leaking, "", "The column 'Code' alone gives the target away."),
        (None, "--lr 1.0", "The learning rate of 1 is too high"),
        (None, "--init zeros", "The weights of dense1 are all zero."),
        (None, "--init zeros", "The network ignores its input"),
        (None, "--optimizer sgd --lr 1e6", "The training failed"),
        (
            None,
            "--hidden 8 8 8 --init normal:0.001 --optimizer sgd",
            "The initial weights are too small",
        ),
        (None, "--optimizer sgd --lr 1e-7", "The cost hardly moves."),
    ],
)
def test_mistake_leads_to_its_finding(
    cli: Cli,
    frame: pd.DataFrame,
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame] | None,
    options: str,
    sentence: str,
) -> None:
    frame = frame if change is None else change(frame)
    frame.to_csv(tmp_path / "a.csv", index=False)
    arguments = ["--" + word.strip() for word in options.split("--") if word]
    outcome = cli("doctor", "a.csv", "--target Personality", "--epochs 40", *arguments)
    assert sentence in outcome.out
    assert outcome.err == ""
    assert outcome.code == (0 if "hardly" in sentence and "Problem" not in outcome.out else 1)


def test_good_training(cli: Cli, frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    outcome = cli("doctor", "a.csv", "--lr 0.01", "--epochs 40")
    assert outcome.code == 0
    assert "Problem:" not in outcome.out
    assert "Warning:" not in outcome.out
    assert list(tmp_path.glob("*.safetensors")) == []


def test_as_json(cli: Cli, frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    outcome = cli("doctor", "a.csv", "--init zeros", "--epochs 5", "--json")
    found = json.loads(outcome.out)["findings"]
    assert (outcome.code, found[0]["name"], found[0]["level"]) == (1, "base rate", "problem")
    texts = {"name", "level", "message", "evidence", "cause", "advice"}
    assert set(found[0]) == {*texts, "options", "command"}


def test_pictures(cli: Cli, colors: Path) -> None:
    outcome = cli("doctor", colors, "--size 8", "--epochs 20", "--lr 0.01")
    assert outcome.code == 0, outcome.out


def test_model_and_data(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("doctor", trained, survey)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Findings: " in outcome.out


def test_the_advice_on_a_model_is_a_command_if_its_table_is_there(cli: Cli, survey: Path) -> None:
    cli("train", "survey.csv", "--target Personality --hidden 99 99 --epochs 1 --out m.safetensors")
    survey.rename("moved.csv")
    found = json.loads(cli("doctor", "m.safetensors", "moved.csv", "--json").out)["findings"]
    few = {one["name"]: one for one in found}["few rows"]
    assert (few["options"], few["command"]) == ({"dropout": 0.2}, None)
    Path("moved.csv").rename("survey.csv")
    out = cli("doctor", "m.safetensors", "survey.csv").out
    command = "plainnet doctor survey.csv --target=Personality --network=mlp --hidden 99 99"
    assert f"  Run: {command} --dropout=0.2 --epochs=1\n" in out


def test_model_takes_no_training_options(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("doctor", trained, survey, "--lr 3")
    assert outcome.code == 2
    assert outcome.err == ("Error: training options do not apply to a model: leave them out\n")


def test_model_with_a_foreign_record(cli: Cli, trained: Path, survey: Path) -> None:
    model = Model.load(trained)
    model.record = {"history": {"loss": "low"}}
    model.save(trained)
    assert cli("doctor", trained, survey).code == 0


def test_train_prints_findings_and_the_model_stores_them(
    cli: Cli, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    outcome = cli("train", "a.csv", "--init zeros", "--epochs 5", "--out m.safetensors")
    assert outcome.code == 0
    assert "Problem: The network ignores its input" in outcome.out
    kept = Model.load(tmp_path / "m.safetensors").record["findings"]
    assert [one["name"] for one in kept][:2] == ["base rate", "symmetric weights"]


@pytest.mark.parametrize(
    "options", ["--optimizer sgd --lr 0.0075 --batch-size full", "--epochs 8", "--hidden 4"]
)
def test_pixels_that_are_not_scaled_come_first(
    cli: Cli, colors: Path, options: str, tmp_path: Path
) -> None:
    arguments = ["--" + word.strip() for word in options.split("--") if word]
    outcome = cli("doctor", colors, "--size 16", "--no-standardize", *arguments)
    found = outcome.out[outcome.out.index("Findings: ") :].splitlines()
    problems = [line for line in found if line.startswith("Problem: ")]
    unscaled = "The inputs are not scaled: "
    assert any(unscaled in line for line in found)
    assert "Try: --standardize" in outcome.out
    if problems:
        assert problems[0].startswith(f"Problem: {unscaled}")
        assert "The other findings may follow from it." in outcome.out
    assert unscaled not in cli("doctor", colors, "--size 16", *arguments).out


def test_pictures_are_called_pictures(cli: Cli, colors: Path) -> None:
    out = cli("doctor", colors, "--size 16 --epochs 1 --no-standardize --test-fraction 0").out
    assert "Training: 1 epoch of all 12 pictures at once" in out.replace("epochs", "epoch")
    assert " of 768 numbers are above 10." in out
    assert " of a picture has a root mean square of " in out
    assert " parameters, 12 training pictures: " in out


def test_findings_about_tables_do_not_mention_pictures(cli: Cli, survey: Path) -> None:
    out = cli("doctor", survey, "--epochs 1 --hidden 64 64").out
    assert " training rows: " in out
    assert "--size" not in out
    assert "picture" not in out


def test_columns_in_their_own_units_are_named(
    cli: Cli, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame["Income"] = np.random.default_rng(0).normal(40_000, 9_000, len(frame)).round(2)
    frame[["Income", *frame.columns[:-1]]].to_csv(tmp_path / "a.csv", index=False)
    arguments = ("doctor", "a.csv", "--target Personality", "--epochs 5")
    outcome = cli(*arguments, "--no-standardize")
    assert "The inputs are not scaled: 1 of 15 columns is above 10." in outcome.out
    assert "'Income' has a root mean square of 4.1" in outcome.out
    assert "not scaled" not in cli(*arguments).out


def test_repeated_rows_are_noted(cli: Cli, frame: pd.DataFrame, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame["Income"] = rng.normal(40_000, 9_000, len(frame)).round(2)
    frame["City"] = rng.choice(["Oslo", "Bergen", "Bodo"], len(frame))
    again = frame.head(40).assign(City=frame["City"].str.upper())
    pd.concat([frame, again]).to_csv(tmp_path / "a.csv", index=False)
    outcome = cli(
        "doctor", "a.csv", "--target Personality", "--epochs 5", "--test-fraction 0", "--json"
    )
    every = {one["name"]: one for one in json.loads(outcome.out)["findings"]}
    finding = every["repeated training rows"]
    assert finding["message"] == ("Some training rows are nearly equal to others of them.")
    assert finding["evidence"] == "40 of 540 repeat an earlier one"
    assert finding["level"] == "note"


def test_columns_that_never_change_are_named(cli: Cli, frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.assign(Country="NO", Personality=frame.pop("Personality")).to_csv(
        tmp_path / "a.csv", index=False
    )
    found = json.loads(cli("doctor", "a.csv", "--epochs 2", "--json").out)["findings"]
    (finding,) = [one for one in found if one["name"] == "columns left out"]
    assert (finding["message"], finding["evidence"]) == (
        "'Country' is the same in every row.",
        "1 of 8 columns",
    )
    assert finding["level"] == "note"
