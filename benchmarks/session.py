"""Session: the workers of a run, and what is measured with them, side by side."""

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

from benchmarks.sides import SIDES
from benchmarks.workloads import Job, Workload

ROOT = Path(__file__).resolve().parents[1]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TRIAL = 4  # a setting is chosen after this part of a training
BRIEF = 0.3  # seconds: what is over sooner is tried more than once before a setting is chosen


class SideError(Exception):
    """A side that could not do what was asked."""


class Worker:
    """The near end of a process of `benchmarks.worker`; stopped while it has nothing to do."""

    def __init__(self, side: str, threads: int) -> None:
        limit = {name: str(threads) for name in THREAD_VARIABLES}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by close())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", side, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, **limit},
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request, wait for the answer, and stop the process again.

        Threads of an idle library may spin for work; a stopped process cannot disturb.
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
            raise SideError(self.errors.read() or "the process ended without a word")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(answer["error"])
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@dataclass
class Timing:
    """What one side needed for one workload, in each round."""

    threads: int  # at work
    setting: int  # that its process was started with
    scale: float = 1.0
    chunk: int | None = None
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) * self.scale


Timings = dict[str, Timing]


def ratios(of: Timing, to: Timing) -> list[float]:
    """of / to in each round: what disturbed a whole round cancels out."""
    pairs = zip(of.seconds, to.seconds, strict=True)
    return [a * of.scale / (b * to.scale) for a, b in pairs]


class Session:
    """Starts workers when they are first asked for; writes the data they read."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder, self.rounds = folder, rounds
        self.workers: dict[tuple[str, int], Worker] = {}
        self.all_threads = processors()
        self.failures: list[str] = []

    def worker(self, side: str, threads: int) -> Worker:
        if (side, threads) not in self.workers:
            self.workers[side, threads] = Worker(side, threads)
        return self.workers[side, threads]

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()

    def config(self, side: str) -> list[int]:
        """The thread settings to try; plainnet is given all and chooses by itself."""
        return [self.all_threads] if side == "plainnet" else sorted({1, self.all_threads})

    def write(self, workload: Workload) -> str:
        folder = self.folder / workload.name
        if not folder.exists():
            Job.draw(workload).save(folder)
        return str(folder)

    @contextmanager
    def failing(self, side: str, what: str, timings: Timings) -> Iterator[None]:
        """Leave a side out that fails, and say so; but not plainnet."""
        try:
            yield
        except SideError as error:
            timings.pop(side, None)
            self.failures.append(f"{side}, {what}: {error}")
            print(f"{side} is left out of {what}:\n{error}", file=sys.stderr)
            if side == "plainnet":
                raise

    def train(
        self, workload: Workload, sides: Sequence[str] = tuple(SIDES), epochs: int | None = None
    ) -> Timings:
        """Time a workload on every side, interleaved."""
        folder, timings = self.write(workload), Timings()
        for side in sides:
            timed = epochs or (workload.epochs if side == "plainnet" else workload.timed_epochs)
            with self.failing(side, workload.name, timings):
                timings[side] = self._choose(side, workload, folder, timed)
                timings[side].scale = (epochs or workload.epochs) / timed
        for number in range(self.rounds):
            for side in rotated(list(timings), number):
                timing = timings[side]
                timed = round((epochs or workload.epochs) / timing.scale)
                with self.failing(side, workload.name, timings):
                    worker, turn = self.worker(side, timing.setting), list[float]()
                    while sum(turn) < BRIEF:  # a process just woken runs slowly at first
                        answer = worker.ask("train", epochs=timed)
                        turn.append(answer["seconds"])
                    timing.seconds.append(statistics.median(turn))
                    timing.losses = answer["losses"]
        return timings

    def _choose(self, side: str, workload: Workload, folder: str, epochs: int) -> Timing:
        """Warm up with each thread setting and keep the fastest."""
        trial = epochs if side == "plainnet" else -(-epochs // TRIAL)
        tried = []
        for setting in self.config(side):
            worker = self.worker(side, setting)
            worker.ask("load", workload=workload.to_json(), folder=folder)
            worker.ask("train", epochs=1)  # compiles, and touches what is needed
            answer = worker.ask("train", epochs=trial)
            seconds = answer["seconds"]
            if seconds < BRIEF:
                again = [worker.ask("train", epochs=trial)["seconds"] for _ in range(2)]
                seconds = min(seconds, *again)
            tried.append((seconds, Timing(answer["threads"], setting)))
        return min(tried, key=lambda pair: pair[0])[1]

    def predict(
        self, workload: Workload, sides: Sequence[str], rows: int, chunks: Sequence[int | None]
    ) -> Timings:
        """Time predictions, each side with its best threads and rows at a time."""
        folder, timings = self.write(workload), Timings()
        calls = 1 if rows > 1000 else 2000
        for side in sides:
            with self.failing(side, "prediction", timings):
                tried = []
                for setting in self.config(side):
                    worker = self.worker(side, setting)
                    worker.ask("load", workload=workload.to_json(), folder=folder)
                    for chunk in chunks if side != "plainnet" else [None]:
                        answer = worker.ask("predict", rows=rows, chunk=chunk, calls=calls)
                        timing = Timing(setting, setting, chunk=chunk, answers=answer["answers"])
                        tried.append((answer["seconds"], timing))
                timings[side] = min(tried, key=lambda pair: pair[0])[1]
        for number in range(self.rounds):
            for side in rotated(list(timings), number):
                timing = timings[side]
                with self.failing(side, "prediction", timings):
                    worker = self.worker(side, timing.setting)
                    answer = worker.ask("predict", rows=rows, chunk=timing.chunk, calls=calls)
                    timing.seconds.append(answer["seconds"])
        return timings

    def peak(self, side: str, threads: int, workload: Workload) -> int:
        """The most memory, in bytes, of a fresh process that loads and trains."""
        # All epochs matter to plainnet, which takes another way when there are few; a peer's
        # memory does not grow after the first two.
        epochs = workload.epochs if side == "plainnet" else min(2, workload.epochs)
        worker = Worker(side, threads)
        try:
            worker.ask("load", workload=workload.to_json(), folder=self.write(workload))
            worker.ask("train", epochs=epochs)
            return int(worker.ask("peak")["bytes"])
        finally:
            worker.close()


def rotated(sides: list[str], by: int) -> list[str]:
    """Let another side begin each round."""
    by %= max(1, len(sides))
    return sides[by:] + sides[:by]


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def session(rounds: int) -> Iterator[Session]:
    with tempfile.TemporaryDirectory() as folder:
        made = Session(Path(folder), rounds)
        try:
            yield made
        finally:
            made.close()
