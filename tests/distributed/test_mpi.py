"""Training on ranks: equal to one process, and ended together."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from plainnet import Model, TrainConfig
from plainnet.cli import main
from plainnet.data.synthetic import introverts
from plainnet.distributed.mpi import MPIRanks
from plainnet.errors import PlainnetError
from plainnet.training import train

HERE = Path(__file__).parent
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
pytestmark = pytest.mark.skipif(
    MPIEXEC is None, reason="mpiexec is not installed: pip install mpich"
)
ENDS = (
    60  # seconds, on a busy machine; a rank that waits for one that has ended would wait for ever
)


# For MPICH: ranks that wait for each other leave the processors to others.
YIELDING = {"MPIR_CVAR_ENABLE_HEAVY_YIELD": "1", "MPIR_CVAR_POLLS_BEFORE_YIELD": "10"}


def mpiexec(*arguments, **environment):
    python = [sys.executable if a == "python" else str(a) for a in arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    env = os.environ | YIELDING | environment
    return subprocess.Popen([str(MPIEXEC), *python], env=env, **pipes)


@pytest.fixture(scope="module", params=[2, 3])
def answer(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("streamed") / "data.csv"
    introverts(500, seed=3).to_csv(path, index=False)
    command = ("-n", request.param, "python", HERE / "cases.py", path)
    output, _ = mpiexec(*command).communicate(timeout=300)
    return request.param, json.loads(output.splitlines()[-1])


def test_ranks_train_like_one_process(answer):
    _, results = answer
    assert len(results["cases"]) >= 20
    for case in results["cases"]:
        tolerance = 1e-6 if "float32" in case["name"] else 1e-12
        assert case["theta"] <= tolerance, case
        assert case["history"] <= tolerance, case
        n, expected, best, other = case["epochs"]
        assert (n, best) == (expected, other), case
    assert any(case["epochs"][2] for case in results["cases"])


def test_the_same_ranks_give_the_same_bytes(answer):
    assert all(case["same again"] for case in answer[1]["cases"])


def test_sums_and_copies_are_exact(answer):
    assert answer[1]["exchanges"] == []


def test_each_rank_reads_its_share_of_every_window(answer):
    size, results = answer
    assert results["windows"]["wrong batches"] == 0
    *shares, rows = np.transpose(results["windows"]["rows"])
    assert len(rows) > 2
    assert (np.sum(shares, axis=0) == rows).all()
    assert (np.sum(shares, axis=1) < rows.sum() / size * 1.2).all()


def test_all_ranks_refuse_or_end_together(answer):
    size, results = answer
    messages = results["refusals"]
    assert messages["nan"] == messages["nan alone"]
    assert messages["nan"].startswith("the loss became inf in epoch 1, batch 2")
    assert messages["compiled"] == (
        f"engine='compiled' trains in one process, and this training has {size} ranks: take "
        "engine='auto' or 'numpy'"
    )
    for name in ("rows", "initial parameters", "options"):
        assert messages[name].startswith(f"rank 1 has other {name} than rank 0: ")
    assert messages["epochs after the callback of rank 1"] == 1


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    introverts(120, seed=3).to_csv("data.csv", index=False)


OPTIONS = TrainConfig(
    hidden=(6,), epochs=40, dropout=0.2, validation_fraction=0.2, patience=39, batch_size=50
)
ARGUMENTS = "--hidden 6 --epochs 40 --dropout 0.2 --validation-fraction 0.2 --patience 39"
COMMAND = ["train", "data.csv", *ARGUMENTS.split(), "--batch-size", "50", "--checkpoint-every", "4"]


def test_interrupted_killed_and_resumed_by_other_ranks(data, capsys):
    process = mpiexec("-n", 2, "python", HERE / "slow_cli.py", *COMMAND)
    lines = []
    with process:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("epoch  5/40"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    text = "".join(lines)
    assert text.count("Trained ") == text.count("Saved: data.safetensors") == 1
    assert "Interrupted: the network is kept as it was then." in text
    assert "To resume: mpiexec -n 2 plainnet train --resume data.run\n" in text

    resume = ["train", "--resume", "data.run"]
    process = mpiexec("-n", 3, "python", HERE / "slow_cli.py", *resume, KILL="1:20")
    text, _ = process.communicate(timeout=ENDS)
    assert process.returncode != 0
    assert text.count("Resuming at epoch ") == 1
    assert (
        "Error: a rank was killed, and so all ranks have ended; resume from the last checkpoint "
        "with mpiexec -n 3 plainnet train --resume data.run\n"
    ) in text

    assert main(resume) == 0
    assert re.search(r"Resuming at epoch (17|21)\n", capsys.readouterr().out)
    expected = train(Path("data.csv"), OPTIONS).model
    resumed = Model.load("data.safetensors")
    rows = introverts(50, seed=4)
    np.testing.assert_allclose(
        resumed.predict_proba(rows), expected.predict_proba(rows), rtol=0, atol=1e-5
    )
    assert not Path("data.run").exists()


STREAMED = ["train", "data.csv", "--memory", "10KB", "--hidden", "6", "--epochs", "9"]


def test_a_streamed_training_is_resumed_by_other_ranks(data, capsys):
    command = [*STREAMED, "--dropout", "0.2", "--batch-size", "20", "--checkpoint-every", "0.5"]
    process = mpiexec("-n", 2, "python", HERE / "slow_cli.py", *command, KILL="1:4")
    text, _ = process.communicate(timeout=ENDS)
    assert process.returncode != 0
    assert text.count("Larger than memory: encoded rows in data.csv.rows, written once") == 1
    resume = ["train", "--resume", "data.run"]
    assert "resume from the last checkpoint with mpiexec -n 2 plainnet train --resume data" in text
    process = mpiexec("-n", 3, "python", "-m", "plainnet", *resume)
    text, _ = process.communicate(timeout=ENDS)
    assert process.returncode == 0
    assert "used again, as nothing changed" in text
    assert text.count("Resuming at epoch ") == text.count("Trained 9 epochs, the last ") == 1
    config = TrainConfig(hidden=(6,), epochs=9, dropout=0.2, batch_size=20, memory="10KB")
    rows = introverts(50, seed=4)
    ours, alone = Model.load("data.safetensors"), train(Path("data.csv"), config).model
    np.testing.assert_allclose(ours.predict_proba(rows), alone.predict_proba(rows), atol=1e-5)


def on_two_disks(tmp_path):
    """Train on two ranks, each with files of its own."""
    command = ["python", "-m", "plainnet", *STREAMED]
    first = ["-n", 1, "-wdir", tmp_path, *command]
    process = mpiexec(*first, ":", "-n", 1, "-wdir", tmp_path / "other", *command)
    return process.communicate(timeout=ENDS)[0]


def test_each_machine_has_a_cache_of_the_same_rows(data, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy2("data.csv", other)
    assert "Trained 9 epochs" in on_two_disks(tmp_path)
    assert Path("data.csv.rows").is_dir()
    assert (other / "data.csv.rows").is_dir()
    introverts(120, seed=4).to_csv(other / "data.csv", index=False)
    text = on_two_disks(tmp_path)
    assert "Trained" not in text
    assert "rank 1 has other rows than rank 0: " in text


def test_an_mpiexec_of_another_mpi_is_named(data):
    command = [sys.executable, "-m", "plainnet", "train", "data.csv"]
    other = {**os.environ, "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "4"}
    run = subprocess.run(command, env=other, capture_output=True, text=True)
    assert run.returncode == 2
    error = run.stderr.splitlines(keepends=True)[-1]  # after a warning of mpi4py
    assert error.startswith(
        "Error: mpiexec started 4 processes, but each finds itself alone: mpi4py uses "
    )
    assert error.endswith("mpiexec is of another MPI; take the mpiexec of that one\n")


def test_mpiexec_without_mpi4py_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(PlainnetError, match=r"^mpiexec needs mpi4py and an MPI library"):
        MPIRanks()


def test_an_error_of_one_rank_ends_all(data):
    first = ["-n", 1, "python", "-m", "plainnet", "train", "data.csv", "--epochs", 1]
    other = ["-n", 1, "python", "-m", "plainnet", "train", "absent.csv", "--epochs", 1]
    start = time.monotonic()
    text, _ = (process := mpiexec(*first, ":", *other)).communicate(timeout=ENDS)
    assert process.returncode != 0, text
    assert "Error on rank 1: File 'absent.csv' does not exist; check the path.\n" in text, text
    assert time.monotonic() - start < ENDS
