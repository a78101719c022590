"""Help and version: their content, and the few modules they import."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plainnet import __version__
from plainnet.cli import commands

Cli = Callable[..., Any]
COMMANDS = sorted(p.stem for p in Path(commands.__file__).parent.glob("[a-z]*.py"))


def test_version(cli: Cli) -> None:
    assert cli("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ()])
def test_help_names_every_command(cli: Cli, arguments: tuple[str, ...]) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    for command in COMMANDS:
        assert f"│ {command} " in outcome.out
    assert "--debug" in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(cli: Cli, command: str) -> None:
    outcome = cli(command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"plainnet {command} " in outcome.out.split("\n\n", 2)[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_flag_can_be_negated_only_where_it_is_on_by_default(cli: Cli, command: str) -> None:
    out = cli(command, "--help").out
    assert set(re.findall("--(?:no|empty)-[a-z-]+", out)) <= {
        "--no-browser",
        "--no-fingerprints",
        "--no-header",
        "--no-standardize",
    }


def test_help_of_train_shows_defaults_and_groups(cli: Cli) -> None:
    out = " ".join(cli("train", "--help").out.replace("│", " ").split())
    for expected in (
        "─ Data ─",
        "─ Network ─",
        "─ Training ─",
        "[default: 100; 30 for a convnet; 128 for a tabular network]",
        "[default: relu]",
    ):
        assert expected in out


@pytest.mark.parametrize("arguments", ["--help", "train --help"])
def test_help_imports_nothing_heavy(arguments: str) -> None:
    code = (
        "import sys; from plainnet.cli import main; main(sys.argv[1:]); "
        "print({'pandas', 'PIL', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("set()\n")
