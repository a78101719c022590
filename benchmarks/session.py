"""Session: start worker processes and time the implementations in turn."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.implementations import IMPLEMENTATIONS, OURS
from benchmarks.workloads import Job, Workload

ROOT = Path(__file__).resolve().parents[1]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TRIAL = 4  # a fourth of a training is enough to choose the number of threads
MIN_SECONDS = 0.3  # shorter trainings are repeated


class WorkerError(Exception):
    """A worker failed to answer a request."""


class Worker:
    """Client of a `benchmarks.worker` process, which is suspended while it is idle."""

    def __init__(self, name: str, threads: int) -> None:
        limit = {name: str(threads) for name in THREAD_VARIABLES}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by close())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, **limit},
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Resume the process, send a request, return the reply, and suspend the process again.

        Idle threads of a library may spin; those of a suspended process cannot.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.send_signal(signal.SIGCONT)
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
            self.process.send_signal(signal.SIGSTOP)
        except OSError:
            line = ""
        if not line:
            self.errors.seek(0)
            raise WorkerError(self.errors.read() or "the process ended without a message")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@dataclass
class Timing:
    """Seconds per round of one implementation on one workload."""

    threads: int  # in use
    setting: int  # with which its process was started
    scale: float = 1.0
    chunk: int | None = None
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    outputs: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) * self.scale


Timings = dict[str, Timing]


def round_ratios(a: Timing, b: Timing) -> list[float]:
    """Return a / b for each round, so that disturbances of a whole round cancel out."""
    pairs = zip(a.seconds, b.seconds, strict=True)
    return [s * a.scale / (t * b.scale) for s, t in pairs]


class Session:
    """Start workers on first use and write the data that they read."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder, self.rounds = folder, rounds
        self.workers: dict[tuple[str, int], Worker] = {}
        self.all_threads = processors()
        self.failures: list[str] = []

    def worker(self, name: str, threads: int) -> Worker:
        if (name, threads) not in self.workers:
            self.workers[name, threads] = Worker(name, threads)
        return self.workers[name, threads]

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()

    def thread_settings(self, name: str) -> list[int]:
        """Return the thread counts to try. plainnet gets all threads and chooses their number."""
        return [self.all_threads] if name in OURS else sorted({1, self.all_threads})

    def write(self, workload: Workload) -> str:
        folder = self.folder / workload.name
        if not folder.exists():
            Job.generate(workload).save(folder)
        return str(folder)

    @contextmanager
    def skip_failures(self, name: str, task: str, timings: Timings) -> Iterator[None]:
        """Skip an implementation that fails, with a message. A failure of plainnet is raised."""
        try:
            yield
        except WorkerError as error:
            timings.pop(name, None)
            self.failures.append(f"{name}, {task}: {error}")
            print(f"{name} is skipped in {task}:\n{error}", file=sys.stderr)
            if name in OURS:
                raise

    def train(
        self,
        workload: Workload,
        names: Sequence[str] = tuple(IMPLEMENTATIONS),
        epochs: int | None = None,
    ) -> Timings:
        """Time a workload with every implementation, in turn."""
        folder, timings = self.write(workload), Timings()
        for name in names:
            timed = epochs or (workload.epochs if name in OURS else workload.timed_epochs)
            with self.skip_failures(name, workload.name, timings):
                timings[name] = self._choose(name, workload, folder, timed)
                timings[name].scale = (epochs or workload.epochs) / timed
        for round_number in range(self.rounds):
            for name in rotated(list(timings), round_number):
                timing = timings[name]
                timed = round((epochs or workload.epochs) / timing.scale)
                with self.skip_failures(name, workload.name, timings):
                    worker, turn = self.worker(name, timing.setting), list[float]()
                    while sum(turn) < MIN_SECONDS:  # a resumed process runs slowly at first
                        reply = worker.ask("train", epochs=timed)
                        turn.append(reply["seconds"])
                    timing.seconds.append(statistics.median(turn))
                    timing.losses = reply["losses"]
        return timings

    def _choose(self, name: str, workload: Workload, folder: str, epochs: int) -> Timing:
        """Warm up with each number of threads and keep the fastest."""
        trial = epochs if name in OURS else -(-epochs // TRIAL)
        candidates = []
        for setting in self.thread_settings(name):
            worker = self.worker(name, setting)
            worker.ask("load", workload=workload.to_json(), folder=folder)
            worker.ask("train", epochs=1)  # compiles and fills caches
            reply = worker.ask("train", epochs=trial)
            seconds = reply["seconds"]
            if seconds < MIN_SECONDS:
                repeats = [worker.ask("train", epochs=trial)["seconds"] for _ in range(2)]
                seconds = min(seconds, *repeats)
            candidates.append((seconds, Timing(reply["threads"], setting)))
        return min(candidates, key=lambda pair: pair[0])[1]

    def predict(
        self, workload: Workload, names: Sequence[str], rows: int, chunks: Sequence[int | None]
    ) -> Timings:
        """Time predictions, each implementation with its fastest threads and chunk size."""
        folder, timings = self.write(workload), Timings()
        calls = 1 if rows > 1000 else 2000
        for name in names:
            with self.skip_failures(name, "prediction", timings):
                candidates = []
                for setting in self.thread_settings(name):
                    worker = self.worker(name, setting)
                    worker.ask("load", workload=workload.to_json(), folder=folder)
                    for chunk in chunks if name not in OURS else [None]:
                        reply = worker.ask("predict", rows=rows, chunk=chunk, calls=calls)
                        timing = Timing(setting, setting, chunk=chunk, outputs=reply["outputs"])
                        candidates.append((reply["seconds"], timing))
                timings[name] = min(candidates, key=lambda pair: pair[0])[1]
        for round_number in range(self.rounds):
            for name in rotated(list(timings), round_number):
                timing = timings[name]
                with self.skip_failures(name, "prediction", timings):
                    worker = self.worker(name, timing.setting)
                    reply = worker.ask("predict", rows=rows, chunk=timing.chunk, calls=calls)
                    timing.seconds.append(reply["seconds"])
        return timings

    def peak(self, name: str, threads: int, workload: Workload) -> int:
        """Return the peak memory, in bytes, of a fresh process that loads and trains."""
        # plainnet uses the row space only for many epochs. The memory of other libraries does not
        # grow after two epochs.
        epochs = workload.epochs if name in OURS else min(2, workload.epochs)
        worker = Worker(name, threads)
        try:
            worker.ask("load", workload=workload.to_json(), folder=self.write(workload))
            worker.ask("train", epochs=epochs)
            return int(worker.ask("peak")["bytes"])
        finally:
            worker.close()


def rotated(names: list[str], by: int) -> list[str]:
    """Rotate the names, so that each round starts with another one."""
    by %= max(1, len(names))
    return names[by:] + names[:by]


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def open_session(rounds: int) -> Iterator[Session]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Session(Path(folder), rounds)
        try:
            yield bench
        finally:
            bench.close()
