"""Compiled steps in processes: forks, Ctrl-C, and an installation that is read-only."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import plainnet
from plainnet import fit, mlp
from plainnet.nn import BinaryCrossEntropy
from plainnet.optim import Adam

pytestmark = [
    pytest.mark.usefixtures("compiled"),
    pytest.mark.skipif(os.name == "nt", reason="Windows has no fork and other signals"),
]

X = np.random.default_rng(0).normal(size=(100, 4))
Y = (X[:, 0] > 0) * 1


def trained():
    """Train with compiled steps; return the parameters as bytes."""
    net = mlp(4, (8,))
    fit(
        net, X, Y, loss=BinaryCrossEntropy(), optimizer=Adam(0.01), epochs=9, engine="compiled",
        batch_size=16,
    )  # fmt: skip
    return net.params.theta.tobytes()


def test_forked_process_trains_too():
    expected = trained()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.starmap(trained, [()] * 2) == [expected] * 2


INTERRUPTED = """
import numpy as np
from plainnet import fit, mlp
from plainnet.nn import BinaryCrossEntropy
from plainnet.optim import Cosine, SGD

X = np.random.default_rng(0).normal(size=(100, 4))
y = (X[:, 0] > 0) * 1

def train(epochs, watch=None):
    net = mlp(4, (8,))
    call = {"loss": BinaryCrossEntropy(), "batch_size": 20, "epochs": epochs, "watch": watch}
    return net, fit(net, X, y, optimizer=SGD(Cosine(0.1, 10**9)), engine="compiled", **call)

started = lambda epoch: epoch.number == 1000 and print("started", flush=True)
net, history = train(10**9, started)
again, same = train(len(history))
assert history.stopped == "interrupted", history.stopped
assert (same.loss, same.lr) == (history.loss, history.lr)
assert again.params.theta.tobytes() == net.params.theta.tobytes()
print("complete", len(history) >= 1000)
"""


def test_ctrl_c_ends_after_a_complete_epoch():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert (out, error) == ("complete True\n", "")


READ_ONLY = """
from pathlib import Path
from plainnet.engine import choice, interpreter
folder = Path(interpreter.interpret.stats.cache_path)
folder.mkdir(parents=True, exist_ok=True)
(folder / choice._marker("float32")).touch()
print(folder)
print(choice.is_compiled("float32"), choice.is_compiled("float64"))
"""


def test_read_only_installation_stores_in_the_folder_of_the_user(tmp_path):
    package, copy = Path(plainnet.__file__).parent, tmp_path / "plainnet"
    engine = copy / "engine"
    engine.mkdir(parents=True)
    for path in package.iterdir():
        if path.name != "engine":
            (copy / path.name).symlink_to(path)
    for path in (package / "engine").glob("*.py"):
        (engine / path.name).symlink_to(path)
    (engine / "__pycache__").touch()  # a file: no folder can be made, not even by root
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY], env=environment, capture_output=True, text=True
    )
    assert done.stderr == ""
    folder, compiled = done.stdout.splitlines()
    assert folder.startswith(str(tmp_path / "cache" / "numba" / "engine_"))
    assert compiled == "True False"
