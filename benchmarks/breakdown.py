"""breakdown: the time of each part of a training step and of a prediction.

Each part of plainnet's step is timed separately on one batch. The remainder is the time of `fit`
beyond their sum: Python, and arrays that the processor's cache loses between two parts. Run with
``python -m benchmarks.breakdown``.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.implementations.plainnet import PlainnetNumPy
from benchmarks.workloads import PREDICT, SEED, WORKLOADS, Array, Job, Workload
from plainnet import Sequential, predict_logits
from plainnet.engine.blas_threads import available_threads, limited_threads
from plainnet.engine.row_space import RowSpace
from plainnet.nn.activations import Activation
from plainnet.nn.layers import Dense
from plainnet.train.batches import Batches

Call = Callable[[], object]
PARTS = ("products", "activations", "loss", "update", "batches", "remainder")
ROUNDS, MIN_SECONDS = 9, 0.2  # seconds per part


@dataclass(frozen=True)
class Breakdown:
    """Microseconds of a step of a workload, and of each of PARTS."""

    workload: Workload
    step: float
    parts: tuple[float, ...]


def breakdowns(workloads: Sequence[Workload] = WORKLOADS) -> list[Breakdown]:
    return [breakdown_of(workload) for workload in workloads]


def breakdown_of(workload: Workload) -> Breakdown:
    ours = PlainnetNumPy(1)
    ours.load(Job.generate(workload))
    ours.train(2)
    step = microseconds(lambda: ours.train(workload.epochs)) / workload.steps
    with limited_threads(ours.chosen_threads()), np.errstate(all="ignore"):
        parts = timed_parts(ours, workload)
    return Breakdown(workload, step, (*parts, max(0.0, step - sum(parts))))


def timed_parts(ours: PlainnetNumPy, workload: Workload) -> list[float]:
    net, rows = ours.net, ours.job.X
    y = ours.loss.encode(ours.job.y, net.n_out)
    if ours.history.row_space:
        space = RowSpace(net, rows)
        net, rows = space.net, space.X
    batches = Batches(rows, y, None, workload.batch, None, net.dtype)
    rng = np.random.default_rng(SEED)
    X, targets, *_ = next(batches.epoch(rng))
    loss, optimizer, params = ours.loss, ours.optimizer, net.params
    optimizer.start(params.trained)
    Z = net.forward(X, train=True)
    net.backward(loss(Z, targets)[1])
    return [
        *(sum(map(microseconds, calls)) for calls in layer_calls(net, X, train=True)),
        microseconds(lambda: loss(Z, targets)),
        microseconds(lambda: optimizer.step(params.trained, params.grad)),
        microseconds(lambda: deque(batches.epoch(rng), maxlen=0)) / len(batches),
    ]


def layer_calls(net: Sequential, X: Array, train: bool) -> tuple[list[Call], list[Call]]:
    """Return the matrix products and the activations of a step or a prediction."""
    products: list[Call] = []
    activations: list[Call] = []
    for layer in net.layers:
        Y = layer.forward(X, train)
        if isinstance(layer, Activation):
            activations += [partial(layer.forward, X, train)]
            activations += [partial(layer.backward, X, True)] if train else []
        elif isinstance(layer, Dense):
            products += dense_products(layer, Y, train, first=layer is net.layers[0])
        else:  # the first layer in the row space has only one product
            products.append(partial(np.matmul, layer.features[: len(X)], layer.A))
        X = Y
    return products, activations


def dense_products(layer: Dense, Z: Array, train: bool, first: bool) -> list[Call]:
    forward = partial(np.matmul, layer.X, layer.W.T)
    if not train:
        return [forward]
    backward = [partial(np.matmul, Z.T, layer.X, out=layer.dW)]
    return [forward, *backward, *([] if first else [partial(np.matmul, Z, layer.W)])]


def prediction_table(goals: Sequence[float | None]) -> str:
    """Render the time of predicting one row and many rows. ``goals`` are seconds."""
    ours = PlainnetNumPy(1)
    ours.load(Job.generate(PREDICT))
    net, X = ours.net, ours.job.X
    head = ["rows", "goal", "total", "products", "activations", "sum"]
    lines = ["| " + " | ".join([*head, "remainder"]) + " |", "|---|" + "--:|" * len(head)]
    calls: list[Call] = [lambda: net.predict_logits(X[:1]), lambda: predict_logits(net, X)]
    for rows, call, goal in zip((1, len(X)), calls, goals, strict=True):
        whole = microseconds(call)
        parts = [part * rows / threads for part, threads in prediction_parts(net, X[:rows])]
        times = (whole, *parts, sum(parts), max(0.0, whole - sum(parts)))
        row = [f"{rows:,}", "-" if goal is None else f"{1e6 * goal:,.3g}"]
        lines.append("| " + " | ".join([*row, *(f"{t:,.3g}" for t in times)]) + " |")
    return "\n".join(lines)


def prediction_parts(net: Sequential, X: Array) -> list[tuple[float, int]]:
    """Return microseconds per row and the number of threads for each part, timed on one batch."""
    batch = X[: net.batch_rows]
    threads = available_threads() if len(X) > len(batch) else 1
    with limited_threads(1):
        parts = layer_calls(net, batch, train=False)
        return [(sum(map(microseconds, calls)) / len(batch), threads) for calls in parts]


def microseconds(call: Call) -> float:
    """Return the shortest time of a call, because noise only adds time."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    repeats = max(1, min(2000, int(MIN_SECONDS / ROUNDS / max(once, 1e-7))))
    best = np.inf
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - start) / repeats)
    return 1e6 * best


def table(results: list[Breakdown], goals: Mapping[str, float]) -> str:
    """Render microseconds. ``goals`` maps the name of a workload to its goal per step."""
    head = ["training", "goal", "step", *PARTS[:-1], "sum", PARTS[-1]]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for s in results:
        goal = goals.get(s.workload.name)
        row = [s.workload.title, "-" if goal is None else f"{goal:,.3g}"]
        times = (s.step, *s.parts[:-1], sum(s.parts[:-1]), s.parts[-1])
        lines.append("| " + " | ".join([*row, *(f"{t:,.3g}" for t in times)]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(breakdowns(), {}))
    print("\n" + prediction_table((None, None)))
