"""parts: where the time of a step goes, so that one sees what no code on top of NumPy can save.

Each part of plainnet's own step is timed by itself on one real batch; what `fit` takes beyond their
sum is the Python between them. Run by itself with ``python -m benchmarks.parts``.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.sides.plainnet_side import Plainnet
from benchmarks.workloads import SEED, WORKLOADS, Array, Job, Workload
from plainnet import Sequential
from plainnet.nn.activations import Activation
from plainnet.nn.layers import Dense, add_to_rows, column_sums
from plainnet.train.batches import Batches
from plainnet.train.rowspace import RowSpace
from plainnet.train.threads import limited_threads

Call = Callable[[], object]
PARTS = ("products", "biases", "activations", "loss", "update", "batches", "Python between")
ROUNDS, ENOUGH = 9, 0.2  # seconds for a part


@dataclass(frozen=True)
class Split:
    """A workload, the microseconds of a step, and of each of PARTS."""

    workload: Workload
    step: float
    parts: tuple[float, ...]


def splits(workloads: Sequence[Workload] = WORKLOADS) -> list[Split]:
    return [split(workload) for workload in workloads]


def split(workload: Workload) -> Split:
    side = Plainnet(1)
    side.load(Job.draw(workload))
    side.train(2)
    step = microseconds(lambda: side.train(workload.epochs)) / workload.steps
    with limited_threads(side.chosen_threads()), np.errstate(all="ignore"):
        parts = timed_parts(side, workload)
    return Split(workload, step, (*parts, max(0.0, step - sum(parts))))


def timed_parts(side: Plainnet, workload: Workload) -> list[float]:
    net, rows, y = side.net, side.job.X, side.loss.encode(side.job.y, side.net.n_out)
    if side.history.rowspace:
        space = RowSpace(net, rows)
        net, rows = space.net, space.X
    batches = Batches(rows, y, None, workload.batch, None, net.dtype)
    rng = np.random.default_rng(SEED)
    X, targets, _ = next(batches.epoch(rng))
    loss, optimizer, params = side.loss, side.optimizer, net.params
    optimizer.start(params.trained)
    Z = net.forward(X, train=True)
    net.backward(loss(Z, targets)[1])
    return [
        *(sum(map(microseconds, calls)) for calls in layer_calls(net, X)),
        microseconds(lambda: loss(Z, targets)),
        microseconds(lambda: optimizer.step(params.trained, params.grad)),
        microseconds(lambda: deque(batches.epoch(rng), maxlen=0)) / len(batches),
    ]


def layer_calls(net: Sequential, X: Array) -> tuple[list[Call], list[Call], list[Call]]:
    """The matrix products of a step, all that is done with biases, and the activations."""
    products: list[Call] = []
    biases: list[Call] = []
    activations: list[Call] = []
    for layer in net.layers:
        if isinstance(layer, Activation):
            activations += [partial(layer.forward, X, True), partial(layer.backward, X, True)]
            continue
        Z = np.zeros((len(X), len(layer.b)), net.dtype)
        biases += [partial(add_to_rows, Z, layer.b), partial(column_sums, Z, layer.b.copy())]
        if isinstance(layer, Dense):
            dW, dX = layer.W.copy(), np.empty_like(X)
            products += [partial(X.dot, layer.W.T, out=Z), partial(Z.T.dot, X, out=dW)]
            products += [partial(Z.dot, layer.W, out=dX)] if layer is not net.layers[0] else []
        else:  # the first layer in the row space has one product only
            products.append(partial(layer.features[: len(X)].dot, layer.A, out=Z))
        X = Z
    return products, biases, activations


def microseconds(call: Call) -> float:
    """The shortest time of a call, which noise can only lengthen."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    repeats = max(1, min(2000, int(ENOUGH / ROUNDS / max(once, 1e-7))))
    best = np.inf
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - start) / repeats)
    return 1e6 * best


def table(found: list[Split], goals: Mapping[str, float]) -> str:
    """Microseconds; ``goals`` has for a workload's name what its goal would leave for a step."""
    head = ["training", "goal", "step", *PARTS]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for s in found:
        goal = goals.get(s.workload.name)
        row = [s.workload.title, "-" if goal is None else f"{goal:,.3g}"]
        lines.append("| " + " | ".join([*row, *(f"{t:,.3g}" for t in (s.step, *s.parts))]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(splits(), {}))
