"""Train, get killed at a random moment, and resume, 50 times; print the results as JSON.

It runs in a separate process, which imports everything once and forks, so that a trial takes a
tenth of a second, and it has one thread, so that forking is safe.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sklearn.ensemble  # noqa: F401 - so that no trial begins a process that imports it

from plainnet.cli.commands.train import train
from plainnet.cli.options import Options
from plainnet.errors import ModelFileError

OPTIONS = Options(
    hidden=(4,),
    epochs=10,
    batch_size=8,
    dropout=0.2,
    batch_norm=True,
    validation_fraction=0.25,
    patience=9,
    schedule="cosine",
    warmup=2,
)
MODEL, RUN = Path("model.safetensors"), Path("model.run")


def begin(every: float | None = 0.6) -> None:
    train(Path("data.csv"), options=OPTIONS, out=MODEL, checkpoint_every=every)


def resume() -> None:
    train(resume=RUN)


def forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def ended(child: int) -> bool:
    """Wait and return whether the process ended without being killed."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def main(trials: int) -> None:
    chance = random.Random(0)
    begin(None)
    uninterrupted = MODEL.read_bytes()
    start = time.perf_counter()
    assert ended(forked(begin))
    usual = time.perf_counter() - start
    outcome = {"killed": 0, "same": 0, "resumed": 0, "begun": 0, "left": 0}
    while outcome["killed"] < trials:
        MODEL.unlink(missing_ok=True)
        child = forked(begin)
        time.sleep(chance.uniform(0, usual))
        os.kill(child, signal.SIGKILL)
        if ended(child):
            continue
        outcome["killed"] += 1
        try:
            resume()
            outcome["resumed"] += 1
        except ModelFileError:  # there was nothing yet; or the model is there, and all is done
            if not MODEL.exists():
                outcome["begun"] += 1
                begin()
        outcome["same"] += MODEL.read_bytes() == uninterrupted
        outcome["left"] += RUN.exists() or len(list(Path().glob(".*.tmp")))
    json.dump(outcome, sys.__stdout__)


if __name__ == "__main__":
    # a killed process keeps its written data, unlike a power cut
    os.fsync = lambda descriptor: None
    with open(os.devnull, "w") as sys.stdout:
        main(int(sys.argv[1]))
