"""worker: a process that runs one implementation with one number of threads.

Thread and processor settings apply to a whole process, so each implementation and setting needs its
own process. Requests and replies are JSON, one per line, on standard input and standard output:

    {"do": "load", "workload": {...}, "folder": "..."}   -> {}
    {"do": "train", "epochs": 10}                        -> {"seconds", "losses", "threads"}
    {"do": "predict", "rows": 1, "chunk": null, "calls": 100} -> {"seconds" per call, "outputs"}
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

from benchmarks.implementations import create_implementation
from benchmarks.workloads import Job, Workload

PR_SET_PDEATHSIG = 1


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        self.implementation = create_implementation(name, threads)
        self.predictors: dict[tuple[int, int | None], Any] = {}

    def load(self, workload: dict[str, Any], folder: str) -> dict[str, Any]:
        self.predictors = {}
        self.implementation.load(Job.load(Workload.from_json(workload), Path(folder)))
        return {}

    def train(self, epochs: int) -> dict[str, Any]:
        self.implementation.reset()
        gc.collect()
        start = time.perf_counter()
        losses = self.implementation.train(epochs)
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "losses": losses,
            "threads": self.implementation.chosen_threads(),
        }

    def predict(self, rows: int, chunk: int | None, calls: int) -> dict[str, Any]:
        if (rows, chunk) not in self.predictors:
            self.predictors[rows, chunk] = self.implementation.predictor(rows, chunk)
            self.predictors[rows, chunk][0]()  # compiles
        predict, outputs = self.predictors[rows, chunk]
        gc.collect()
        start = time.perf_counter()
        for _ in range(calls):
            predict()
        seconds = (time.perf_counter() - start) / calls
        return {"seconds": seconds, "outputs": outputs().ravel().tolist()}

    def peak(self) -> dict[str, Any]:
        return {"bytes": peak_bytes()}


def peak_bytes() -> int:
    """Return the peak memory of this process.

    On Linux, getrusage includes the parent process, and /proc does not. On macOS, getrusage returns
    bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"^VmHWM:\s*(\d+)", status.read_text(), re.M)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, even while it is suspended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    die_with_parent()
    name, threads = sys.argv[1], int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "w")  # text that libraries print must not mix with replies
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
            reply = actions[request.pop("do")](**request)
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
