"""explain: one row, one picture, a full model; as text, JSON and HTML."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from plainnet.model import Model

Cli = Callable[..., Any]


def test_row_text_fits_80_columns(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("explain", trained, survey, "--row", 7)
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    for text in (
        "row 7\nThe model predicts ",
        "Gradients and finite differences agree, to",
        "Friends_circle_size",
        "z1: dense1 (Dense), shape 16",
        "a1: relu1 (ReLU), shape 16",
        "a = 1 / (1 + e^-z)",
        "L: the loss of this sample, y = [",
        "dL/ddense1.W, from dense1, shape 16 x ",
        "dL/dx, from dense1",
        "finite difference",
    ):
        assert text in outcome.out
    assert re.search(r"Z = X W\^T \+ b    plainnet/nn/layers\.py:\d+-\d+\n", outcome.out)


def test_row_json_agrees_with_predict(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("explain", trained, survey, "--row", 7, "--json", "--train", survey, "--top", 3)
    assert (outcome.code, outcome.err) == (0, "")
    values = json.loads(outcome.out)
    assert list(values) == [
        *("name", "task", "cells", "image", "maps", "answer", "truth", "outputs", "predicted"),
        *("difference", "notes", "x", "steps", "prediction", "loss", "gradients"),
        *("gradients_agree", "nearest"),
    ]
    model = Model.load(trained)
    assert values["predicted"] == pytest.approx(model.predict_proba(survey)[6, 1:].tolist())
    assert values["prediction"]["a"] == pytest.approx(values["predicted"], rel=1e-5)
    assert values["answer"] == model.predict(survey)[6]
    assert values["truth"] == pd.read_csv(survey)["Personality"][6]
    assert values["gradients_agree"] is True
    assert set(values["cells"][0]) == {"column", "kind", "raw", "features", "how", "code"}
    assert set(values["steps"][0]) == {
        *("layer", "kind", "symbol", "formula", "code", "output", "parameters")
    }
    assert set(values["gradients"][0]) == {
        *("by", "layer", "formula", "code", "gradient", "checked", "direction"),
        *("difference", "ok"),
    }
    assert set(values["gradients"][0]["checked"][0]) == {
        *("index", "value", "gradient", "finite_difference", "error")
    }
    assert set(values["steps"][0]["code"]) == {"file", "line", "last_line", "text"}
    assert len(values["nearest"]) == 3
    assert "7" in [one["name"] for one in values["nearest"] if one["input_distance"] == 0]


def test_entries_and_top_options(cli: Cli, trained: Path, survey: Path) -> None:
    short = json.loads(cli("explain", trained, survey, "--row", 1, "--json", "--entries", 2).out)
    assert [len(one["checked"]) for one in short["gradients"]][1] == 2
    full = json.loads(cli("explain", trained, survey, "--row", 1, "--json", "--entries", 999).out)
    assert all(one["direction"] is None for one in full["gradients"])
    few = json.loads(cli("explain", trained, survey, "--json", "--top", 2, "--repeats", 2).out)
    assert len(few["mistakes"]) == 2


def test_no_backward_pass_without_a_label(cli: Cli, trained: Path, survey: Path) -> None:
    pd.read_csv(survey).drop(columns="Personality").to_csv("new.csv", index=False)
    out = cli("explain", trained, "new.csv", "--row", 2).out
    assert "the right answer\nis unknown" in out
    assert "dL/d" not in out
    out = cli("explain", trained, "new.csv", "--row", 2, "--label", "Introvert").out
    assert "y = [1.0]" in out
    assert "dL/dx" in out


def test_page_of_a_row(cli: Cli, trained: Path, survey: Path, tmp_path: Path) -> None:
    outcome = cli("explain", trained, survey, "--row", 3, "--html", "row.html", "--train", survey)
    assert outcome == (0, "Saved: row.html\n", "")
    text = (tmp_path / "row.html").read_text()
    assert "default-src 'none'" in html.unescape(text)
    assert "<h1>How row 3 is predicted</h1>" in text
    assert "Nearest samples" in text
    assert cli("explain", trained, survey, "--row", 3, "--html", survey).code == 2


def test_table_text_is_escaped(cli: Cli, tmp_path: Path) -> None:
    name = "[bold]<b>\x1b[31m"
    frame = pd.DataFrame({name: ["[red]x", "<i>y"] * 20, "n": range(40), "y": ["a", "b"] * 20})
    frame.to_csv("bad.csv", index=False)
    assert cli("train", "bad.csv", "--epochs", 2, "--out", "bad.safetensors").code == 0
    for arguments in (("--row", 1), ("--repeats", 2)):
        out = cli("explain", "bad.safetensors", "bad.csv", *arguments).out
        assert "\x1b" not in out
        assert "[bold]<b>" in out
        made = cli("explain", "bad.safetensors", "bad.csv", *arguments, "--html", "bad.html")
        assert made.code == 0
        assert "<b>" not in (tmp_path / "bad.html").read_text()


def test_model_text(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("explain", trained, survey, "--repeats", 3)
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "Permutation importance on 150 samples, with 95 % intervals" in outcome.out
    assert "accuracy falls by" in outcome.out
    assert "of 150 samples are misclassified." in outcome.out
    assert "Most confidently wrong" in outcome.out


def test_rows_count_as_in_the_folder(cli: Cli, tmp_path: Path) -> None:
    """A file that is left out counts, so that ``--row`` finds every picture that is listed."""
    folder = tmp_path / "data"
    for name in ("light", "dark"):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            color = (200 + i,) * 3 if name == "light" else (i,) * 3
            Image.new("RGB", (4, 4), color).save(folder / name / f"{i}.png")
    (folder / "dark" / "1.png").write_bytes(b"no picture")
    model = tmp_path / "m.safetensors"
    options = ("--size", 4, "--hidden", 2, "--epochs", 1, "--lr", 1e-9)
    assert cli("train", folder, *options, "--out", model).code == 0
    found = json.loads(cli("explain", model, folder, "--repeats", 2, "--json").out)["mistakes"]
    nearest = ("--row", 1, "--train", folder, "--top", 11, "--json")
    found += json.loads(cli("explain", model, folder, *nearest).out)["nearest"]
    assert len(found) > 11
    for one in found:
        outcome = cli("explain", model, folder, "--row", one["row"])
        assert outcome.out.splitlines()[0] == one["name"]


def test_model_json_is_deterministic(cli: Cli, trained: Path, survey: Path) -> None:
    arguments = ("explain", trained, survey, "--repeats", 2, "--json")
    first = cli(*arguments)
    values = json.loads(first.out)
    assert list(values) == [
        "rows",
        "wrong",
        "trained_on",
        "importance",
        "mistakes",
        "first_layer_pictures",
    ]
    assert set(values["importance"][0]) == {"name", "loss_rise", "score_change", "metric_name"}
    assert cli(*arguments) == first
    assert cli(*arguments, "--seed", 1) != first


def test_one_picture_and_its_class_folder(cli: Cli, painter: Path, colors: Path) -> None:
    outcome = cli("explain", painter, colors / "red" / "2.png")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Picture, 8 x 8 x 3 bytes" in outcome.out
    assert "of pixel" in outcome.out
    assert "dL/dx" in outcome.out
    inside = cli("explain", painter, colors, "--row", 9).out  # after six blue ones
    assert inside.replace("red/2.png", "") in outcome.out.replace(f"{colors}/red/2.png", "")


def test_pages_and_files_of_pictures(cli: Cli, painter: Path, colors: Path, tmp_path: Path) -> None:
    outcome = cli(
        *("explain", painter, colors, "--row", 2, "--train", colors, "--top", 4),
        *("--html", "one.html"),
    )
    assert outcome.code == 0
    assert (tmp_path / "one.html").read_text().count("data:image/png;base64,") == 1 + 2 + 4
    (colors / "red" / "0.png").rename(colors / "blue" / "wrong.png")
    outcome = cli(
        *("explain", painter, colors, "--repeats", 1, "--html", "all.html"),
        *("--pictures", "pictures"),
    )
    assert outcome.code == 0
    assert "Saved: 11 pictures in pictures" in outcome.out
    assert (tmp_path / "all.html").read_text().count("data:image/png;base64,") == 8 + 1 + 9
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {"weights.png", "weights-unit-8.png", "mistakes.png", "mistake-1.png"} <= names
    mistake = np.array(Image.open(tmp_path / "pictures" / "mistake-1.png"))
    assert mistake.shape == (128, 128, 3)
    assert mistake[..., 0].mean() > 150  # the red one among the blue


def test_no_picture_is_written_into_the_data(cli: Cli, painter: Path, colors: Path) -> None:
    before = sorted(colors.rglob("*"))
    outcome = cli("explain", painter, colors, "--pictures", colors / "new")
    assert outcome.code == 2
    assert "would be written into the data folder" in outcome.err
    assert sorted(colors.rglob("*")) == before


def test_unusable_pictures_are_reported(cli: Cli, painter: Path, colors: Path) -> None:
    (colors / "red" / "x.png").write_text("no picture")
    outcome = cli("explain", painter, colors, "--repeats", 1)
    assert outcome.code == 0
    assert "left out" in outcome.err
    assert "--pictures DIR" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--row", 0), 'Error: Invalid value "0" for --row. Must be >= 1.\n'),
        (("--row", 999), "Error: there is no row 999: they are counted from 1 to 150\n"),
        (("--label", "x"), "Error: --label and --train need --row\n"),
        (("--entries", 0), 'Error: Invalid value "0" for --entries. Must be >= 1.\n'),
        (("--seed", -1), 'Error: Invalid value "-1" for --seed. Must be >= 0.\n'),
        (
            ("--row", 1, "--pictures", "d"),
            "Error: --pictures explains the model, not a row: leave --row out\n",
        ),
        (
            ("--pictures", "d"),
            "Error: a model of tables has no pictures to write: leave --pictures out\n",
        ),
        (
            ("--html", "no/where.html"),
            "Error: there is no folder 'no' to write 'where.html' into\n",
        ),
    ],
)
def test_invalid_requests_raise(
    cli: Cli, trained: Path, survey: Path, arguments: tuple[object, ...], message: str
) -> None:
    assert cli("explain", trained, survey, *arguments) == (2, "", message)
