"""Output files contain no folder, user or host of the machine."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
PLACE = "k7home"  # a folder above everything, as a user's own would be


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, a user and a host with unique names."""
    monkeypatch.setenv("USER", "k7user")
    monkeypatch.setenv("LOGNAME", "k7user")
    monkeypatch.setattr(platform, "node", lambda: "k7host")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("L", "k7host", "1", "1", "x86_64")))
    (tmp_path / PLACE).mkdir()
    return tmp_path / PLACE


def require_clean(folder: Path) -> None:
    """Look for the names in every file below a folder, also as UTF-16."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    for file in files:
        content = file.read_bytes()
        for name in (PLACE, "k7user", "k7host", "pytest-of"):
            for form in (name.encode(), name.encode("utf-16-le")):
                assert form not in content, f"{name} in {file.name}"


def spoiled(colors: Path) -> None:
    """Add skipped files: no picture, an empty file, one outside the classes, and a broken link."""
    (colors / "red" / "arguments.png").write_text("no picture")
    (colors / "blue" / "empty.png").write_bytes(b"")
    (colors / "stray.png").write_bytes(b"")
    (colors / "blue" / "nowhere.png").symlink_to(colors / "gone.png")


@pytest.mark.parametrize("absolute", [True, False])
def test_files_of_pictures(
    cli: Cli, colors: Path, home: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    spoiled(colors)
    colors = colors.rename(home / "colors")
    out = home / "out"
    out.mkdir()
    monkeypatch.chdir(home)
    data, model = (colors, out / "m.safetensors") if absolute else ("colors", "out/m.safetensors")
    parent = out if absolute else Path("out")
    done = cli("train", data, "--epochs 2 --size 8", "--out", model, "--report", parent / "t.html")
    assert (done.code, done.err) == (0, "")
    assert "left out red/arguments.png: " in done.out
    for arguments in (
        ("report", model, data, "--out", parent / "r.html"),
        ("evaluate", model, data, "--report", parent / "e.html"),
        ("predict", model, data, "--out", parent / "p.csv"),
        ("explain", model, data, "--html", parent / "x.html", "--pictures", parent),
        ("explain", model, data, "--row", "1", "--html", parent / "y.html"),
        ("export", model, "--onnx", parent / "m.onnx", "--python", parent / "m.py"),
        ("export", model, "--html", parent / "m.html"),
    ):
        done = cli(*arguments)
        assert done.code == 0, done.err
    assert "left out red/arguments.png: " in (out / "r.html").read_text()
    require_clean(out)


@pytest.mark.parametrize("absolute", [True, False])
def test_files_of_a_table_and_checkpoints(
    cli: Cli, survey: Path, home: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    survey = survey.rename(home / "survey.csv")
    out = home / "out"
    out.mkdir()
    monkeypatch.chdir(home)
    data, parent = (survey, out) if absolute else ("survey.csv", Path("out"))
    model = parent / "m.safetensors"
    arguments = ("--epochs 3 --checkpoint-every 1", "--out", model, "--report", parent / "t.html")
    with monkeypatch.context() as patch:  # the checkpoints stay

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device", "m")

        patch.setattr("plainnet.model.write_model", full)
        assert cli("train", data, *arguments).code == 2
    assert sorted(file.name for file in (out / "m.run").iterdir())
    require_clean(out)
    monkeypatch.chdir(out)  # a path in a checkpoint is relative to the folder that holds its folder
    assert cli("train", "--resume", "m.run").code == 0
    monkeypatch.chdir(home)
    for arguments in (
        ("report", model, data, "--out", parent / "r.html"),
        ("explain", model, data, "--html", parent / "x.html"),
        ("explain", model, data, "--row", "1", "--html", parent / "y.html"),
        ("export", model, "--onnx", parent / "m.onnx", "--python", parent / "m.py"),
        ("export", model, "--html", parent / "m.html"),
    ):
        done = cli(*arguments)
        assert done.code == 0, done.err
    require_clean(out)
