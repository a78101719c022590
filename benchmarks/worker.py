"""worker: a process that runs one side with one thread setting and answers JSON lines.

Settings of threads and processors are a process's own, so each side gets a process for each
setting. It reads a request a line from standard input and answers a line on standard output:

    {"do": "load", "workload": {...}, "folder": "..."}   -> {}
    {"do": "train", "epochs": 10}                        -> {"seconds", "losses", "threads"}
    {"do": "predict", "rows": 1, "chunk": null, "calls": 100} -> {"seconds" a call, "answers"}
    {"do": "peak"}                                       -> {"bytes"}
"""

import ctypes
import gc
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.sides import side
from benchmarks.workloads import Job, Workload

PR_SET_PDEATHSIG = 1


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        self.side = side(name, threads)
        self.predictors: dict[tuple[int, int | None], Any] = {}

    def load(self, workload: dict[str, Any], folder: str) -> dict[str, Any]:
        self.predictors = {}
        self.side.load(Job.load(Workload.from_json(workload), Path(folder)))
        return {}

    def train(self, epochs: int) -> dict[str, Any]:
        self.side.reset()
        gc.collect()
        start = time.perf_counter()
        losses = self.side.train(epochs)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "losses": losses, "threads": self.side.chosen_threads()}

    def predict(self, rows: int, chunk: int | None, calls: int) -> dict[str, Any]:
        if (rows, chunk) not in self.predictors:
            self.predictors[rows, chunk] = self.side.predictor(rows, chunk)
            self.predictors[rows, chunk][0]()  # compiles
        predict, answers = self.predictors[rows, chunk]
        gc.collect()
        start = time.perf_counter()
        for _ in range(calls):
            predict()
        seconds = (time.perf_counter() - start) / calls
        return {"seconds": seconds, "answers": answers().ravel().tolist()}

    def peak(self) -> dict[str, Any]:
        return {"bytes": peak_bytes()}


def peak_bytes() -> int:
    """The most memory this process has held.

    On Linux getrusage would also count the process that started this one; /proc does not. On
    macOS getrusage answers in bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"^VmHWM:\s*(\d+)", status.read_text(), re.M)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def die_with_parent() -> None:
    """Ask Linux to end this process with the one that started it, even while it is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    die_with_parent()
    name, threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")  # what libraries print must not mix with the answers
    os.dup2(2, 1)
    worker = Worker(name, threads)
    actions: dict[str, Callable[..., dict[str, Any]]] = {
        "load": worker.load,
        "train": worker.train,
        "predict": worker.predict,
        "peak": worker.peak,
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("do")](**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
