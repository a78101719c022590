"""Searches with workers: the same trials as without, and the end of workers."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import plainnet.search.search as module
from plainnet import PlainnetError, TrainConfig
from plainnet.data.dataset import ImageSource
from plainnet.data.splits import fold
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.loading import load_folds
from plainnet.search.search import search

ENDLESS = TrainConfig(epochs=10**7, engine="numpy")
PLAINNET = [sys.executable, "-m", "plainnet"]


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    path = tmp_path_factory.mktemp("workers") / "survey.csv"
    introverts(120).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def data(survey):
    return load_folds(survey, TrainConfig(), k=3)


@pytest.fixture
def fails(monkeypatch):
    """Give the first trial a learning rate at which every training fails."""
    original = module._SearchRun._drawn

    def drawn(self, number):
        own = original(self, number)
        return replace(own, optimizer="sgd", lr=1e30) if number == 1 else own

    monkeypatch.setattr(module._SearchRun, "_drawn", drawn)


# --- the same trials -----------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "trials"), [("random", 4), ("halving", 4), ("optuna", 12)])
def test_workers_find_the_trials_of_a_search_without(data, fails, method, trials):
    if method == "optuna":
        pytest.importorskip("optuna")
    config, moments, ended = TrainConfig(epochs=3), [], []
    alone = search(data, config, trials=trials, method=method)
    found = search(
        data,
        config,
        trials=trials,
        method=method,
        workers=2,
        watch=moments.append,
        watch_trial=lambda result, trial: ended.append(trial.number),
    )
    assert found == replace(alone, workers=2)
    assert found.stopped is None
    assert (alone.trials[0].failure is None) == (method == "optuna")
    assert set(ended) == set(range(1, trials + 1))
    done = [moment.done for moment in moments]
    assert done == sorted(done)
    assert done[-1] <= moments[-1].planned


def test_workers_share_the_folds_of_pictures():
    rng = np.random.default_rng
    pictures = fold(ImageSource(*pandas_and_bears(24, size=8)), 2, rng(0), rng(1))
    alone, found = (search(pictures, TrainConfig(epochs=2), trials=2, workers=n) for n in (1, 2))
    assert found.trials == alone.trials
    assert found.baselines == alone.baselines


def test_processes_of_mpi_are_workers(survey):
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if mpiexec is None:
        pytest.skip("mpiexec is not installed")
    pytest.importorskip("mpi4py")
    arguments = ["search", survey, "--json", "--trials=3", "--folds=2", "--epochs=3"]
    launcher = [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", "-m", "plainnet"]
    alone, found = (
        subprocess.run([*command, *arguments], capture_output=True, timeout=120, check=True)
        for command in (PLAINNET, launcher)
    )
    assert found.stderr == b""
    assert json.loads(found.stdout) == json.loads(alone.stdout)
    for command, error in (
        (
            [*launcher, *arguments, "--workers", "5"],
            "mpiexec has started 2 workers, and 5 are asked for: change mpiexec -n, of which one "
            "more process leads the search",
        ),
        (
            [mpiexec, "-n", "1", *PLAINNET, *arguments],
            "mpiexec starts the workers of a search by mpi4py.futures: mpiexec -n 5 python -m "
            "mpi4py.futures -m plainnet search ... has 4 workers",
        ),
    ):
        refused = subprocess.run(command, capture_output=True, timeout=120)
        assert refused.returncode == 2
        assert error in refused.stderr.decode()


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_killed_worker_ends_the_search_and_keeps_trials(data):
    def kill(result, trial):
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    found = search(data, TrainConfig(epochs=50), trials=200, workers=2, watch_trial=kill)
    assert found.stopped == "worker died"
    assert 0 < len(found.trials) < 200
    first = found.trials[0].number
    assert search(data, found.config, trials=200, only=first).trials == found.trials[:1]
    assert multiprocessing.active_children() == []


def test_ctrl_c_ends_trainings_at_once_and_keeps_trials(data, fails):
    found = search(
        data,
        ENDLESS,
        trials=3,
        workers=2,
        watch_trial=lambda result, trial: signal.raise_signal(signal.SIGINT),
    )
    assert found.stopped == "interrupted"
    assert [trial.number for trial in found.trials] == [1]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("end", ["Ctrl-C", "kill -9"])
def test_workers_end_with_the_search(survey, end):
    arguments = ["search", survey, "--workers=2", "--epochs=10000000", "--engine=numpy"]
    process = subprocess.Popen(
        [*PLAINNET, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        while b"2 workers train at the same time" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(1)  # workers are starting or training
        if end == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.kill()
        error = process.communicate(timeout=60)[1]  # which waits for all that hold the pipe
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if end == "Ctrl-C":
        assert error == b"Error: interrupted: unfinished work is not saved\n"


def test_script_without_a_main_block_is_told(survey, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from plainnet import TrainConfig\n"
        "from plainnet.search.search import search\n"
        "from plainnet.loading import load_folds\n"
        f"data = load_folds({str(survey)!r}, TrainConfig(epochs=1), k=2)\n"
        "search(data, TrainConfig(epochs=1), trials=2, workers=2)\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, timeout=60)
    assert (
        "PlainnetError: no worker could be started: there may be too little memory for a copy of "
        "the data in each, or a script searches outside of if __name__ == '__main__':"
    ) in run.stderr.decode()


def test_number_of_workers_is_checked(data):
    with pytest.raises(PlainnetError, match="a search needs at least 1 worker, got 0"):
        search(data, TrainConfig(), workers=0)
