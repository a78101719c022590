"""ranks: steps on one rank and on two, and a simulation of up to 64 machines.

Run with ``python -m benchmarks.ranks`` on an idle machine; it prints the tables of docs/scale.md.
"""

import json
import math
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet import Adam, SoftmaxCrossEntropy, fit, mlp
from plainnet.distributed.mpi import MPIRanks
from plainnet.train.step import TrainStep

NETWORKS = {"784-256-128-10": (784, 256, 128, 10), "1024-1024-1024-10": (1024, 1024, 1024, 10)}
BATCH, STEPS, ROUNDS = 512, 24, 3
MACHINES = (2, 4, 8, 16, 32, 64)
BATCHES = (512, 4096)

Array = NDArray[Any]
Times = dict[str, dict[str, list[float]]]  # by network and part of the step


class Link(NamedTuple):
    """A network: seconds of a small message, and bytes in a second."""

    name: str
    latency: float
    bandwidth: float


LINKS = (
    Link("10 Gbit/s, 0.05 ms", 25e-6, 1.25e9),
    Link("1 Gbit/s, 0.05 ms", 25e-6, 1.14e8),  # measured between two namespaces
    Link("1 Gbit/s, 1 ms", 500e-6, 1.14e8),
)


def parameters(sizes: tuple[int, ...]) -> int:
    return sum((a + 1) * b for a, b in pairwise(sizes))


# --- measured ------------------------------------------------------------------------------------


def timed(owner: Any, name: str, times: list[float]) -> None:
    """Append the seconds of each call of a method."""
    method = getattr(owner, name)

    def measured(*arguments: Any) -> Any:
        start = time.perf_counter()
        result = method(*arguments)
        times.append(time.perf_counter() - start)
        return result

    setattr(owner, name, measured)


def work() -> None:
    """Train each network on the ranks that mpiexec started; rank 0 prints the seconds of steps."""
    parts: dict[str, list[float]] = {"step": [], "optimizer": [], "scatter": [], "gather": []}
    timed(TrainStep, "step", parts["step"])
    timed(Adam, "step", parts["optimizer"])
    found, rng = {}, np.random.default_rng(0)
    with MPIRanks() as ranks:
        timed(ranks, "reduce_scatter", parts["scatter"])
        timed(ranks, "all_gather", parts["gather"])
        for name, (n_in, *hidden, n_out) in NETWORKS.items():
            X = rng.standard_normal((BATCH * STEPS, n_in)).astype(np.float32)
            y = rng.integers(0, n_out, len(X))
            net = mlp(n_in, hidden, n_out)
            options: dict[str, Any] = {"batch_size": BATCH, "engine": "numpy", "ranks": ranks}
            fit(net, X, y, loss=SoftmaxCrossEntropy(), optimizer=Adam(), epochs=2, **options)
            found[name] = {part: seconds[STEPS // 2 :] for part, seconds in parts.items()}
            for part in parts.values():
                part.clear()
        if ranks.rank == 0:
            print(json.dumps(found))


def measure(size: int) -> Times:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [mpiexec if mpiexec.exists() else "mpiexec", "-n", size, sys.executable]
    command += ["-m", "benchmarks.ranks", "work"]
    run = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    found: Times = json.loads(run.stdout)
    return found


# --- simulated -----------------------------------------------------------------------------------


def exchange(size: int, n: int, link: Link) -> float:
    """Return the seconds in which ranks sum n float32 numbers and send the new parameters.

    Each of the two has log2(size) messages one after the other, in which a rank sends all shares
    but its own; another all-reduce is of three numbers.
    """
    return 3 * math.ceil(math.log2(size)) * link.latency + (
        2 * (size - 1) / size * 4 * n / link.bandwidth
    )


def simulated(times: dict[str, list[float]], n: int, size: int, batch: int, link: Link) -> float:
    """Return the mean seconds of a step on some machines; all wait for the slowest."""
    optimizer = float(np.median(times["optimizer"]))
    products = (np.array(times["step"]) - optimizer) * batch / BATCH / size
    slowest = np.random.default_rng(0).choice(products, (1000, size)).max(axis=1)
    return float(slowest.mean()) + optimizer / size + (exchange(size, n, link) if size > 1 else 0)


def pays_from(times: dict[str, list[float]], n: int, size: int, link: Link) -> int:
    """Return the smallest power of two, as a batch size, with which machines beat one."""
    for batch in (2**i for i in range(3, 24)):
        if simulated(times, n, size, batch, link) < simulated(times, n, 1, batch, link):
            return batch
    return 0


# --- tables --------------------------------------------------------------------------------------


def joined(rounds: list[Times]) -> Times:
    """Return the seconds of all rounds together."""
    return {
        name: {part: [s for r in rounds for s in r[name][part]] for part in parts}
        for name, parts in rounds[0].items()
    }


def tables(rounds: list[tuple[Times, Times]]) -> str:
    lines = ["| network | parameters | one rank | two ranks | faster | exchange |"]
    lines += ["|---|---|---|---|---|---|"]
    one, two = (joined([pair[i] for pair in rounds]) for i in (0, 1))
    for name, sizes in NETWORKS.items():
        alone, both = (float(np.median(times[name]["step"])) for times in (one, two))
        moved = sum(float(np.median(two[name][part])) for part in ("scatter", "gather"))
        lines.append(
            f"| {name} | {parameters(sizes):,} | {alone * 1e3:.2f} ms | {both * 1e3:.2f} ms | "
            f"{alone / both:.2f} times | {moved / both:.0%} |"
        )
    for name, sizes in NETWORKS.items():
        n, times = parameters(sizes), one[name]
        head = [f"{link.name}: batch {b:,}" for link in LINKS for b in BATCHES]
        lines += ["", f"| {name} on | {' | '.join(head)} |", f"|---|{'---|' * len(head)}"]
        for size in MACHINES:
            gains = [
                simulated(times, n, 1, batch, link) / simulated(times, n, size, batch, link)
                for link in LINKS
                for batch in BATCHES
            ]
            lines.append(f"| {size} machines | {' | '.join(f'{gain:.2g}' for gain in gains)} |")
        for size in (2, 64):
            batches = [f"{pays_from(times, n, size, link):,} | " for link in LINKS]
            lines.append(f"| {size} pay from batch | {' | '.join(batches)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    else:
        print(tables([(measure(1), measure(2)) for _ in range(ROUNDS)]))
