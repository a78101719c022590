"""Fixtures of the command line: a function that runs it, and small data."""

import shutil
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
def without_boosting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate as without scikit-learn, which takes half the time of a short training."""
    monkeypatch.setattr("plainnet.evaluate.evaluate.fit_boosting", lambda *_: None)


def write_survey(folder: Path) -> Path:
    """Write a table of two classes."""
    introverts(150).to_csv(folder / "survey.csv", index=False)
    return folder / "survey.csv"


def write_colors(folder: Path) -> Path:
    """Write a folder of twelve small pictures in two classes, easy to separate."""
    folder = folder / "colors"
    rng = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            X = rng.integers(0, 80, (12, 12, 3), np.uint8)
            X[..., channel] += 150
            Image.fromarray(X).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    return write_survey(tmp_path)


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    return write_colors(tmp_path)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the table and one of the pictures."""
    folder = tmp_path_factory.mktemp("models")
    for data, out, options in (
        (write_survey(folder), "trained", "--epochs 15"),
        (write_colors(folder), "painter", "--network mlp --epochs 20 --size 8"),
    ):
        model = str(folder / f"{out}.safetensors")
        command = ["train", str(data), *options.split(), "--lr", "0.01", "--out", model]
        assert main(command) == 0
    return folder


@pytest.fixture
def trained(cli: Cli, survey: Path, models: Path, tmp_path: Path) -> Path:
    """A model of the table."""
    return Path(shutil.copy(models / "trained.safetensors", tmp_path))


@pytest.fixture
def painter(cli: Cli, colors: Path, models: Path, tmp_path: Path) -> Path:
    """A model of the pictures."""
    return Path(shutil.copy(models / "painter.safetensors", tmp_path))
