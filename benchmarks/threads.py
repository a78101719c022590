"""threads: check the rule of plainnet.engine.blas_threads.

Train networks of many sizes with one and with all BLAS threads, and compare the faster setting with
the rule's choice. Run with ``python -m benchmarks.threads``.
"""

import statistics
from dataclasses import dataclass
from unittest.mock import patch

from benchmarks.session import processors
from benchmarks.workloads import Job, Workload
from plainnet import SGD, SoftmaxCrossEntropy, fit, mlp
from plainnet.engine.blas_threads import blas_threads

WIDTHS = (16, 64, 128, 256, 512, 1024)
BATCHES = (32, 128, 512, 2048)
MIN_SECONDS = 0.06  # seconds per timed training
ROUNDS = 3


@dataclass(frozen=True)
class Measurement:
    """Milliseconds per step with one and with all threads, and the rule's choice."""

    width: int
    batch: int
    one_thread: float
    all_threads: float
    chosen: int

    @property
    def slowdown(self) -> float:
        """The time of the rule's choice / the time of the faster setting."""
        chosen = self.one_thread if self.chosen == 1 else self.all_threads
        return chosen / min(self.one_thread, self.all_threads)


def measurements(
    widths: tuple[int, ...] = WIDTHS, batches: tuple[int, ...] = BATCHES
) -> list[Measurement]:
    return [measurement(width, batch) for width in widths for batch in batches]


def measurement(width: int, batch: int) -> Measurement:
    sizes = (width, width, width, 10)
    workload = Workload("threads", sizes, 2 * batch, batch, "sgd", 0.01, 1)
    job = Job.generate(workload)
    net = mlp(width, sizes[1:-1], 10)
    chosen = blas_threads(net, batch)
    epochs = 1
    while sum(seconds(job, 1, epochs)) < MIN_SECONDS / 4:
        epochs *= 4
    rounds = [(seconds(job, 1, epochs), seconds(job, processors(), epochs)) for _ in range(ROUNDS)]
    one, all_threads = (
        1000 * statistics.median(step for pair in rounds for step in pair[i]) for i in (0, 1)
    )
    return Measurement(width, batch, one, all_threads, chosen)


def seconds(job: Job, threads: int, epochs: int) -> list[float]:
    """Return the seconds per step in each epoch but the first, with a fixed number of threads."""
    sizes = job.workload.sizes
    net = mlp(sizes[0], sizes[1:-1], sizes[-1])
    with patch("plainnet.train.fit.blas_threads", lambda *args: threads):
        history = fit(
            net,
            job.X,
            job.y,
            loss=SoftmaxCrossEntropy(),
            optimizer=SGD(0.01),
            epochs=epochs + 1,
            batch_size=job.workload.batch,
        )
    return [s / 2 for s in history.seconds[1:]]


def table(results: list[Measurement]) -> str:
    lines = [
        "| layers | batch | 1 thread, ms per step | all threads | faster | rule's choice | "
        "slowdown |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for o in results:
        faster = "1" if o.one_thread <= o.all_threads else "all"
        chosen = "1" if o.chosen == 1 else "all"
        slowdown = "" if o.slowdown == 1 else f"{100 * (o.slowdown - 1):.0f} %"
        lines.append(
            f"| {o.width}-{o.width}-{o.width}-10 | {o.batch:,} | {o.one_thread:.3g} "
            f"| {o.all_threads:.3g} | {faster} | {chosen} | {slowdown} |"
        )
    worst = max(
        max(o.one_thread, o.all_threads) / min(o.one_thread, o.all_threads) for o in results
    )
    lines += [
        "",
        f"The wrong setting takes up to {worst:.1f} times as long as the right one. The "
        f"rule's choice takes at most {max(o.slowdown for o in results):.2f} times as long, and "
        f"{statistics.mean(o.slowdown for o in results):.2f} times on average.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measurements()))
