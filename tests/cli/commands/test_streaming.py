"""Predictions and evaluations of data that a bound of some kilobytes makes too large."""

import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from plainnet.data import images, survey, table_stream

TRAIN = ("--target", "y", "--hidden", "8", "--epochs", "2", "--out", "m.safetensors")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a few hundred rows at a time."""
    monkeypatch.setattr(table_stream, "_TEXT", 2**13)


def write(path: Path, m: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, m)).round(4)
    y = np.where(x + rng.standard_normal(m) > 0, "high", "low")
    frame = pd.DataFrame({"x": x, "z": z, "city": rng.choice(["Oslo", "Rome"], m), "y": y})
    frame.to_csv(path, index=False)
    return frame


@pytest.fixture
def model(cli: Callable[..., Any], tmp_path: Path) -> Path:
    write(tmp_path / "a.csv")
    assert cli("train", "a.csv", *TRAIN).code == 0
    return tmp_path / "m.safetensors"


def test_predictions_are_those_in_memory(
    cli: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    whole = cli("predict", model, "a.csv", "--out", "whole.csv")
    streamed = cli("predict", model, "a.csv", "--out", "parts.csv", "--memory", "100KB")
    assert whole.out.replace("whole", "parts") == streamed.out
    ours, theirs = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("parts", "whole"))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-4)
    assert (
        cli("predict", model, "a.csv", "--memory", "100KB").out
        == (tmp_path / "parts.csv").read_text()
    )


def test_a_failed_prediction_leaves_the_old_file(
    cli: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    with open(tmp_path / "a.csv", "a") as file:
        file.write("much,1,Oslo,low\n")
    (tmp_path / "parts.csv").write_text("old")
    result = cli("predict", model, "a.csv", "--out", "parts.csv", "--memory", "100KB")
    assert result.code != 0
    assert "Data row 4001, column 'x': 'much' is not a number" in result.err
    assert (tmp_path / "parts.csv").read_text() == "old"
    assert not list(tmp_path.glob(".parts*"))


def test_notes_name_rows_of_the_whole_table(
    cli: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    with open(tmp_path / "a.csv", "a") as file:
        file.write("1,1,Bern,low\n")
    err = cli("predict", model, "a.csv", "--out", "parts.csv", "--memory", "100KB").err
    assert "Data row 4001, column 'city': 'Bern' is not among the categories" in err


def test_an_evaluation_scores_all_rows(cli: Callable[..., Any], model: Path) -> None:
    whole = cli("evaluate", model, "a.csv").out
    result = cli("evaluate", model, "a.csv", "--memory", "100KB")
    accuracy = re.findall(r"network +([0-9.]+ %)", whole)[0]
    note = f"of all 4,000 rows with a target, the accuracy is {accuracy} and the loss"
    assert "4,000 of its rows, drawn at random, are evaluated" in result.err
    assert note in result.err
    assert result.out.splitlines()[2:6] == whole.splitlines()[2:6]  # the sample has all rows


def test_the_json_of_a_sample_has_the_scores_of_all_rows(
    cli: Callable[..., Any], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MOST_ROWS", 1000)
    whole = json.loads(cli("evaluate", model, "a.csv", "--json").out)
    sample = json.loads(cli("evaluate", model, "a.csv", "--json", "--memory", "10KB").out)
    assert "all_rows" not in whole
    assert sample["rows"] == 1000
    names = ("rows", "loss", "accuracy")
    assert sample["all_rows"] == pytest.approx({name: whole[name] for name in names})
    assert sample["loss"] != pytest.approx(whole["loss"])


def test_a_folder_of_tables(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for name in "ab":
        write(tmp_path / "rows" / f"{name}.csv", 1000)
    trained = cli("train", "rows", *TRAIN)
    assert "rows: 2,000 rows, " in trained.out
    assert "Larger than memory: encoded rows in" in trained.out
    assert "written once" in trained.out
    assert "used again, as nothing changed" in cli("train", "rows", *TRAIN).out
    assert "2,000 predictions" in cli("predict", "m.safetensors", "rows", "--out", "p.csv").out
    assert "of all 2,000 rows" in cli("evaluate", "m.safetensors", "rows").err


def write_pictures(folder: Path, m: int = 120) -> None:
    """Write noise that is brighter in one of two classes."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for i in range(m // 2):
            pixels = rng.integers(0, 200, (8, 8, 3), np.uint8) + np.uint8(20 * k)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.bmp")
    (folder / "dark" / "damaged.bmp").write_bytes(b"BM")


def test_pictures(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions come in parts; an evaluation has the scores of all pictures, and a sample."""
    write_pictures(tmp_path / "p")
    options = ("--size", "8", "--channels", "4", "--epochs", "2", "--memory", "20KB")
    result = cli("train", "p", *options, "--out", "m.safetensors")
    assert "Larger than memory: encoded pictures in p.rows, written once" in result.out
    assert "p: 120 pictures, 96 to train, 24 held out" in result.out
    whole = pd.read_csv(io.StringIO(cli("predict", "m.safetensors", "p").out))
    monkeypatch.setattr(images, "_BYTES", 1)
    parts = cli("predict", "m.safetensors", "p", "--strict")
    assert parts.code != 0
    assert "damaged.bmp cannot be used" in parts.err
    found = pd.read_csv(io.StringIO(cli("predict", "m.safetensors", "p").out))
    pd.testing.assert_frame_equal(found, whole, rtol=1e-5)  # other batches: other roundings
    known = json.loads(cli("evaluate", "m.safetensors", "p", "--json").out)
    streamed = cli("evaluate", "m.safetensors", "p", "--json", "--memory", "20KB")
    found = json.loads(streamed.out)["all_rows"]
    assert found["rows"] == 120
    assert found["loss"] == pytest.approx(known["loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(known["accuracy"])
    assert "p does not fit in memory: 100 of its pictures, drawn at random" in streamed.err
    assert "left out dark/damaged.bmp" in streamed.err


def test_a_search_deals_streamed_pictures(cli: Callable[..., Any], tmp_path: Path) -> None:
    write_pictures(tmp_path / "p")
    options = ("--trials", "1", "--folds", "2", "--epochs", "1", "--memory", "20KB", "--size", "8")
    result = cli("search", "p", *options, "--workers", "2")
    assert result.code == 0
    assert "96 rows in 2 folds" in result.out


def test_a_search_deals_a_sample_and_trains_on_the_whole_table(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    write(tmp_path / "a.csv")
    options = ("--target", "y", "--memory", "100KB", "--trials", "2", "--folds", "2", "--epochs")
    result = cli("search", "a.csv", *options, "1", "--out", "found.safetensors")
    assert result.code == 0
    said = re.search(r"a sample of ([\d,]+) of the ([\d,]+) rows that are not held out", result.out)
    assert said is not None
    dealt, rows = said.groups()
    assert dealt < rows
    assert f"{dealt} rows in 2 folds" in result.out
    assert f"Trained on all {rows} rows and evaluated on the held-out rows" in result.out
    known = cli(*shlex.split(re.findall("Train it: plainnet (.*)", result.out)[0]), "--out", "b")
    assert known.code == 0
    assert (tmp_path / "b").read_bytes() == (tmp_path / "found.safetensors").read_bytes()
