"""``plainnet export``: written files, and refusals without output."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from export.runtimes import feeds, session
from plainnet.export.onnx import to_onnx
from plainnet.model import Model

Cli = Callable[..., Any]


def test_onnx_from_a_table(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("export", trained, "--onnx", "survey.onnx")
    content = Path("survey.onnx").read_bytes()
    assert outcome == (0, f"Saved: survey.onnx, {len(content):,} bytes\n", "")
    model, frame = Model.load(trained), pd.read_csv(survey)
    assert content == to_onnx(model)
    running = session(content)
    label, probabilities = running.run(None, feeds(running, frame))
    assert label.tolist() == model.predict(frame).tolist()
    np.testing.assert_allclose(probabilities, model.predict_proba(frame), atol=1e-5)


def test_onnx_from_pictures(cli: Cli, painter: Path, colors: Path) -> None:
    assert cli("export", painter, "--onnx", "colors.onnx").code == 0
    model = Model.load(painter)
    X = model.preprocess(colors)
    label, probabilities = session(Path("colors.onnx").read_bytes()).run(None, {"pictures": X})
    assert label.tolist() == model.predict(X).tolist() == ["blue"] * 6 + ["red"] * 6
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


def printed(file: str, *arguments: object) -> str:
    """Return the output of a Python file in a separate process."""
    command = [sys.executable, "-I", file, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_python_and_a_page_from_a_table(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("export", trained, "--python", "m.py", "--html", "m.html")
    assert outcome.out.splitlines() == [
        f"Saved: {name}, {Path(name).stat().st_size:,} bytes" for name in ("m.py", "m.html")
    ]
    assert printed("m.py", survey) == cli("predict", trained, survey).out
    assert ">Time_spent_Alone</label>" in Path("m.html").read_text()


def test_python_and_a_page_from_pictures(cli: Cli, painter: Path, colors: Path) -> None:
    assert cli("export", painter, "--python", "m.py", "--html", "m.html").code == 0
    picture = colors / "red" / "3.png"
    assert printed("m.py", picture) == cli("predict", painter, picture).out
    assert 'type="file"' in Path("m.html").read_text()


def test_all_files_or_none(cli: Cli, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    arguments = ("--python", "a.py", "--html", "a.html", "--onnx", "a.onnx")
    assert "pip install 'plainnet[onnx]'" in refused(cli("export", trained, *arguments))
    assert not [name for name in os.listdir() if name.startswith("a.")]


def test_two_formats_in_one_file(cli: Cli, trained: Path) -> None:
    assert refused(cli("export", trained, "--python", "a", "--html", "./a")) == (
        "--python and --html would write the same file 'a': give one of them another name"
    )
    assert not Path("a").exists()


def refused(outcome: Any) -> str:
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    return str(outcome.err).removeprefix("Error: ").rstrip("\n")


def test_missing_output_option_raises(cli: Cli, trained: Path) -> None:
    assert refused(cli("export", trained)).startswith(
        "nothing to write: give at least one of --onnx FILE"
    )


def test_model_is_not_overwritten(cli: Cli, trained: Path) -> None:
    before = trained.read_bytes()
    assert refused(cli("export", trained, "--onnx", trained)) == (
        f"'{trained}' would overwrite an input: give --onnx another name"
    )
    assert trained.read_bytes() == before


def test_missing_folder(cli: Cli, trained: Path) -> None:
    assert refused(cli("export", trained, "--onnx", "nowhere/a.onnx")) == (
        "there is no folder 'nowhere' to write 'a.onnx' into"
    )


def test_damaged_model(cli: Cli, trained: Path) -> None:
    trained.write_bytes(trained.read_bytes()[:-1])
    assert "is not a complete model file" in refused(cli("export", trained, "--onnx", "a.onnx"))
    assert not Path("a.onnx").exists()


def test_missing_library_keeps_the_old_file(
    cli: Cli, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.onnx").write_text("what was there")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert refused(cli("export", trained, "--onnx", "a.onnx")) == (
        "writing an ONNX file needs the library onnx, which is not installed: "
        "pip install 'plainnet[onnx]'"
    )
    assert Path("a.onnx").read_text() == "what was there"


def test_full_disk_keeps_the_old_file(
    cli: Cli, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.onnx").write_text("what was there")
    before = sorted(Path.cwd().iterdir())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    outcome = cli("export", trained, "--onnx", "a.onnx")
    assert refused(outcome) == f"'{Path.cwd() / 'a.onnx'}': {os.strerror(errno.ENOSPC)}"
    assert Path("a.onnx").read_text() == "what was there"
    assert sorted(Path.cwd().iterdir()) == before
