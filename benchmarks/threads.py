"""threads: is the rule of plainnet.engine.blas_threads right?

Trains networks of many sizes with one and with all BLAS threads and shows which was faster and
what the rule would have chosen. Run by itself with ``python -m benchmarks.threads``.
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
ENOUGH = 0.06  # seconds of a timed training
ROUNDS = 3


@dataclass(frozen=True)
class Outcome:
    """Milliseconds a step with one and with all threads, and the choice of the rule."""

    width: int
    batch: int
    one: float
    every: float
    chosen: int

    @property
    def cost(self) -> float:
        """How much longer the rule's choice takes than the better one."""
        chosen = self.one if self.chosen == 1 else self.every
        return chosen / min(self.one, self.every)


def outcomes(widths: tuple[int, ...] = WIDTHS, batches: tuple[int, ...] = BATCHES) -> list[Outcome]:
    return [outcome(width, batch) for width in widths for batch in batches]


def outcome(width: int, batch: int) -> Outcome:
    sizes = (width, width, width, 10)
    workload = Workload("threads", sizes, 2 * batch, batch, "sgd", 0.01, 1)
    job = Job.draw(workload)
    net = mlp(width, sizes[1:-1], 10)
    chosen = blas_threads(net, batch)
    epochs = 1
    while sum(seconds(job, 1, epochs)) < ENOUGH / 4:
        epochs *= 4
    rounds = [(seconds(job, 1, epochs), seconds(job, processors(), epochs)) for _ in range(ROUNDS)]
    one, every = (
        1000 * statistics.median(step for pair in rounds for step in pair[i]) for i in (0, 1)
    )
    return Outcome(width, batch, one, every, chosen)


def seconds(job: Job, threads: int, epochs: int) -> list[float]:
    """Seconds a step in each epoch but the first, with so many threads forced on the loop."""
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


def table(found: list[Outcome]) -> str:
    lines = [
        "| layers | batch | 1 thread, ms a step | all threads | faster | the rule takes | "
        "and loses |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for o in found:
        faster = "1" if o.one <= o.every else "all"
        chosen = "1" if o.chosen == 1 else "all"
        loss = "" if o.cost == 1 else f"{100 * (o.cost - 1):.0f} %"
        lines.append(
            f"| {o.width}-{o.width}-{o.width}-10 | {o.batch:,} | {o.one:.3g} | {o.every:.3g} "
            f"| {faster} | {chosen} | {loss} |"
        )
    worst = max(max(o.one, o.every) / min(o.one, o.every) for o in found)
    lines += [
        "",
        f"The wrong setting would take up to {worst:.1f} times as long as the right one; the "
        f"rule's choice at most {max(o.cost for o in found):.2f} times, and "
        f"{statistics.mean(o.cost for o in found):.2f} times on average.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(outcomes()))
