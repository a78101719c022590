"""The commands and Python code of the documents run as shown, and their links are valid."""

import doctest
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from plainnet.cli import main
from plainnet.cli.commands import play
from plainnet.cli.progress import TrainingDisplay

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Commands that no test runs.
SKIPPED = {"make", "pip"}


def blocks(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands(document, demo_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(play, "serve", lambda *_: None)  # which would end at Ctrl-C
    for block in blocks(document, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if not words or words[0] in SKIPPED:
                continue
            if words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], check=True)
                continue
            if words[0] == "mpiexec":
                monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
                subprocess.run(words, check=True, capture_output=True, timeout=120)
                continue
            assert words[0] == "plainnet", line
            if words[1] == "demo" and len(words) == 3:
                shutil.copytree(demo_folder(words[2]), tmp_path, dirs_exist_ok=True)
                continue
            expected = 1 if line.endswith("# ends with 1") else 0  # an expected problem
            with ctrl_c_in_third_epoch(monkeypatch) if "# Ctrl-C" in line else nullcontext():
                assert main(words[1:]) == expected, (line, capsys.readouterr().err)


@contextmanager
def ctrl_c_in_third_epoch(monkeypatch):
    """Raise SIGINT when the third epoch is shown."""
    original = TrainingDisplay.__call__

    def show(self, epoch):
        original(self, epoch)
        if epoch.number == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingDisplay, "__call__", show)
        yield


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(document, "python"):
        exec(compile(block, document.name, "exec"), {"__name__": "__main__"})


def test_convolution_by_hand():
    results = doctest.testfile(str(ROOT / "docs" / "convolution.md"), module_relative=False)
    assert results.failed == 0 < results.attempted


def test_readme_contains_commands_and_python():
    assert len(blocks(ROOT / "README.md", "sh")) >= 2
    assert len(blocks(ROOT / "README.md", "python")) >= 2


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_targets_run_their_commands(target):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    commands = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert {"demo": "-m plainnet demo", "test": "-m pytest"}[target] in commands


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_exist(document):
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not link.startswith("http"):
            assert (document.parent / link).exists(), link


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(example, shared_data_or_none):
    code = [line for line in example.read_text().splitlines() if line.strip()]
    assert len(code) < 50
    data = {"introverts.py": "introverts.csv", "pandas_bears.py": "pandas-bears"}[example.name]
    argument = [] if shared_data_or_none is None else [str(shared_data_or_none / data)]
    process = subprocess.run(
        [sys.executable, str(example), *argument], capture_output=True, text=True, cwd=ROOT
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "held-out" in process.stdout
