"""The command line as a process: exit codes, pipes, signals and determinism."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plainnet import __version__
from plainnet.cli import main
from plainnet.model import Model

PLAINNET = [sys.executable, "-m", "plainnet"]
QUICK = ("--test-fraction", "0")  # no evaluation, whose imports take two seconds


def run(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*PLAINNET, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options
    )


def test_module_runs_the_command_line() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_command_is_installed() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("plainnet"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{__version__}\n"


def test_error_is_one_line_with_exit_code_2() -> None:
    done = run("train", "nowhere.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: File 'nowhere.csv' does not exist; check the path.\n"


@pytest.mark.parametrize("data", ["survey", "colors"])
def test_same_seed_same_bytes_in_two_processes(
    request: pytest.FixtureRequest, tmp_path: Path, data: str
) -> None:
    path = request.getfixturevalue(data)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        out = tmp_path / name / f"{name}.safetensors"
        tokens = [
            "--epochs",
            "3",
            "--dropout",
            "0.2",
            "--validation-fraction",
            "0.2",
            "--seed",
            "5",
        ]
        tokens += ["--size", "16"] if data == "colors" else []
        assert run("train", path, *tokens, "--out", out, cwd=tmp_path / name).returncode == 0
    first, second = sorted(tmp_path.glob("*/*.safetensors"))
    assert first.read_bytes() == second.read_bytes()


def test_scikit_learn_is_imported_by_another_process(survey: Path, tmp_path: Path) -> None:
    """While a large table is read."""
    code = "import sys; from plainnet.cli import main; print(main(), 'sklearn' in sys.modules)"
    code = f"from plainnet.data import table_file; table_file._LONG = 0; {code}"
    options = f"train {survey} --hidden 4 --epochs 2 --out {tmp_path / 'a.safetensors'}"
    done = subprocess.run(
        [sys.executable, "-c", code, *options.split()], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("0 False\n"), done.stderr
    assert "HistGradientBoosting" in done.stdout
    assert done.stderr == ""


def test_one_line_per_epoch_when_piped(survey: Path, tmp_path: Path) -> None:
    done = run("train", survey, "--epochs", 7, *QUICK, cwd=tmp_path)
    assert sum(line.startswith("epoch ") for line in done.stdout.splitlines()) == 7
    assert "\x1b" not in done.stdout


def test_ctrl_c_keeps_the_model(survey: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.safetensors"
    tokens = ["train", str(survey), "--epochs", "20000", *QUICK, "--out", str(out)]
    process = subprocess.Popen(
        [*PLAINNET, *tokens],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("epoch"):
        pass
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "Interrupted: the network is kept as it was then." in rest
    assert f"Saved: {out}" in rest
    assert "To resume: plainnet train --resume kept.run\n" in rest
    history = Model.load(out).record["history"]
    assert history["stopped"] == "interrupted"
    assert 1 <= len(history["loss"]) < 20_000


def test_broken_pipe_is_quiet(survey: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PLAINNET, "train", str(survey), "--epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 1


def test_ascii_terminal_shows_escapes(survey: Path, tmp_path: Path) -> None:
    text = survey.read_text().replace("Introvert", "Introvertí").replace("Stage_fear", "恐れ")
    survey.write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("train", survey, "--epochs", 1, *QUICK, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Introvert\\xed" in done.stdout


SLOWLY = """
import sys, time
sys.modules["sklearn"] = None  # importing it takes two seconds
from plainnet.evaluate import evaluate
from plainnet.cli import main
from plainnet.diagnose.watch import DoctorWatch

def slowly(done):
    def slow(*given, **options):
        print("here", flush=True)
        for _ in range(600):  # a signal just before a sleep does not end it
            time.sleep(0.1)
        return done(*given, **options)
    return slow

if sys.argv.pop(1) == "evaluated":
    evaluate.evaluate = slowly(evaluate.evaluate)
else:
    DoctorWatch.findings = slowly(DoctorWatch.findings)
sys.exit(main())
"""


@pytest.mark.parametrize("when", ["evaluated", "diagnosed"])
@pytest.mark.parametrize("every", [(), ("--checkpoint-every", "2")])
def test_ctrl_c_after_the_training_keeps_the_model(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, every: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    tokens = ["train", str(survey), "--epochs", "5", "--report", "r.html", *every]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, when, *tokens],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "here\n":
        pass
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "Interrupted: the model is saved without the rest of its evaluation.\n" in rest
    assert "Saved: survey.safetensors\n" in rest
    model = Model.load(tmp_path / "survey.safetensors")
    assert len(model.record["history"]["loss"]) == 5
    assert (model.record["evaluation"] is None) == (when == "evaluated")
    note = "interrupted after the training: the rest of the evaluation is left out"
    assert (note in model.record["notes"]) == (when == "evaluated")
    assert ("To resume: plainnet train --resume survey.run\n" in rest) == bool(every)
    assert main(["evaluate", "survey.safetensors", str(survey)]) == 0
    if every:  # it resumes from its last checkpoint, and ends as if it had not been interrupted
        assert main(["train", "--resume", "survey.run"]) == 0
        resumed = (tmp_path / "survey.safetensors").read_bytes()
        assert main(tokens) == 0
        assert (tmp_path / "survey.safetensors").read_bytes() == resumed


@pytest.mark.parametrize("module", ["numpy", "cyclopts", "rich", "pyarrow"])
@pytest.mark.parametrize("how", ["module", "script"])
def test_ctrl_c_during_imports_is_quiet(
    survey: Path, tmp_path: Path, module: str, how: str
) -> None:
    """A hanging module replaces a slow import; errors of NumPy are not shown."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / f"{module}.py").write_text(
        "import time\nprint('here', flush=True)\n"
        "try:\n    for _ in range(600):\n        time.sleep(0.1)\n"
        "except KeyboardInterrupt:\n    raise ImportError('half of it')\n"
    )
    command = PLAINNET if how == "module" else [str(Path(sys.executable).with_name("plainnet"))]
    path = os.pathsep.join([str(tmp_path / "slow"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [*command, "train", str(survey)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert errors == "Error: interrupted: unfinished work is not saved\n"


def test_package_imports_lazily() -> None:
    """This lets the command line handle every Ctrl-C."""
    code = "import sys, plainnet.cli; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
    code = "from plainnet import *; import plainnet; "
    code += "print(Adam, TrainConfig, plainnet.nn, 'fit' in dir(plainnet))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.endswith(" True\n")


@contextmanager
def training(folder: Path, *tokens: object) -> "Iterator[subprocess.Popen[str]]":
    """A training process, which is killed at the end."""
    with subprocess.Popen(
        [*PLAINNET, "train", *map(str, tokens)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
    ) as process:
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("epoch"):
                assert process.poll() is None
            yield process
        finally:
            process.kill()


def test_second_process_in_a_checkpoint_folder_is_refused(survey: Path, tmp_path: Path) -> None:
    tokens = [survey, "--epochs", "100000", "--checkpoint-every", "1000"]
    message = (
        f"Error: another process is training in '{tmp_path}/survey.run': wait until it has ended, "
        "or give this training another folder\n"
    )
    with training(tmp_path, *tokens):
        assert (tmp_path / "survey.run" / ".lock").exists()
        for others in (["--resume", "survey.run"], tokens):
            done = run("train", *others, cwd=tmp_path)
            assert (done.returncode, done.stderr) == (2, message)
    # the kill left the file of the lock, but no lock
    with training(tmp_path, "--resume", "survey.run"):
        assert run("train", "--resume", "survey.run", cwd=tmp_path).stderr == message
