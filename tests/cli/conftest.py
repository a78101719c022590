"""Fixtures of the command line: a function that runs it, and small data."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from plainnet.cli import main
from plainnet.data.synthetic import introverts


class Outcome(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command line in an empty folder, in this process; "--a 1 --b 2" is four tokens."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        tokens: list[str] = []
        for argument in map(str, arguments):
            tokens += argument.split() if argument.startswith("--") else [argument]
        code = main(tokens)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """A table of two classes."""
    path = tmp_path / "survey.csv"
    introverts(150).to_csv(path, index=False)
    return path


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """A folder of twelve small pictures in two classes, easy to separate."""
    folder = tmp_path / "colors"
    rng = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            X = rng.integers(0, 80, (12, 12, 3), np.uint8)
            X[..., channel] += 150
            Image.fromarray(X).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def trained(cli: Cli, survey: Path, tmp_path: Path) -> Path:
    """A model of the table."""
    path = tmp_path / "trained.safetensors"
    assert cli("train", survey, "--epochs", 15, "--lr", 0.01, "--out", path).code == 0
    return path


@pytest.fixture
def painter(cli: Cli, colors: Path, tmp_path: Path) -> Path:
    """A model of the pictures."""
    path = tmp_path / "painter.safetensors"
    outcome = cli(
        "train",
        colors,
        "--network",
        "mlp",
        "--epochs",
        20,
        "--size",
        8,
        "--lr",
        0.01,
        "--out",
        path,
    )
    assert outcome.code == 0
    return path
