"""pictures: a convolutional network beside PyTorch's, channels last, with each number of threads.

Run with ``python -m benchmarks.pictures``.
"""

import statistics
from dataclasses import dataclass, field

from benchmarks.session import Session, Worker, open_session
from benchmarks.workloads import PICTURES

ROUNDS = 11  # a round takes half a second, and rounds differ by a third


@dataclass
class Measured:
    """Seconds of a training step and of a prediction in each round, final loss, and peak memory."""

    name: str
    threads: int
    steps: list[float] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)
    loss: float = 0.0
    peak: int = 0


def measurements(bench: Session) -> list[Measured]:
    """Measure plainnet with all threads, and PyTorch with one and with all, in turn."""
    w, folder = PICTURES, bench.write(PICTURES)
    settings = [("plainnet", bench.all_threads), ("plainnet, NumPy alone", bench.all_threads)]
    settings += [("PyTorch", n) for n in sorted({1, bench.all_threads})]
    results = [Measured(*setting) for setting in settings]
    for result in results:
        worker = bench.worker(result.name, result.threads)
        worker.ask("load", workload=w.to_json(), folder=folder)
        worker.ask("train", epochs=1)  # compiles, and fills caches
    for _ in range(ROUNDS):
        for result in results:
            _measure(bench.worker(result.name, result.threads), result)
    for result in results:
        result.peak = bench.peak(result.name, result.threads, w)
    return results


def _measure(worker: Worker, result: Measured) -> None:
    reply = worker.ask("train", epochs=PICTURES.epochs)
    result.steps.append(reply["seconds"] / PICTURES.steps)
    result.loss = reply["losses"][-1]
    reply = worker.ask("predict", rows=PICTURES.rows, chunk=64, calls=1)
    result.predictions.append(reply["seconds"])


def table(results: list[Measured]) -> str:
    """Render milliseconds and MiB."""
    head = ["", "threads", "step, ms", f"predict {PICTURES.rows}, ms", "final loss"]
    lines = [[*head, "peak memory, MiB"], ["---", *["--:"] * 5]]
    for r in results:
        times = (f"{1e3 * statistics.median(s):.3g}" for s in (r.steps, r.predictions))
        lines.append([r.name, str(r.threads), *times, f"{r.loss:.4f}", f"{r.peak / 2**20:.0f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    with open_session(ROUNDS) as session:
        print(table(measurements(session)))
