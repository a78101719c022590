"""Every command and every line of Python that the documents show runs as it stands there."""

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
from plainnet.cli.progress import TrainingDisplay

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a test of the tests cannot run, and where it is run instead.
ELSEWHERE = {"make", "pip"}


def blocks(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands(document, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks(document, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if not words or words[0] in ELSEWHERE:
                continue
            if words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], check=True)
                continue
            assert words[0] == "plainnet", line
            expected = 1 if line.endswith("# ends with 1") else 0  # a problem that is to be found
            with pressing_ctrl_c(monkeypatch) if "# Ctrl-C" in line else nullcontext():
                assert main(words[1:]) == expected, (line, capsys.readouterr().err)


@contextmanager
def pressing_ctrl_c(monkeypatch):
    """Press it when the third epoch is shown."""
    shown = TrainingDisplay.__call__

    def show(self, epoch):
        shown(self, epoch)
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


def test_the_readme_shows_commands_and_python():
    assert len(blocks(ROOT / "README.md", "sh")) >= 2
    assert len(blocks(ROOT / "README.md", "python")) >= 2


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_knows_its_two_commands(target):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shown = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert {"demo": "-m plainnet demo", "test": "-m pytest"}[target] in shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not link.startswith("http"):
            assert (document.parent / link).exists(), link


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_an_example_reaches_its_goal(example, shared_data_or_none):
    code = [line for line in example.read_text().splitlines() if line.strip()]
    assert len(code) < 50
    data = {"introverts.py": "introverts.csv", "pandas_bears.py": "pandas-bears"}[example.name]
    argument = [] if shared_data_or_none is None else [str(shared_data_or_none / data)]
    done = subprocess.run(
        [sys.executable, str(example), *argument], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "held-out" in done.stdout
