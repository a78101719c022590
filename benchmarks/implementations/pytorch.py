"""PyTorch in idiomatic use: fused optimizers and no unnecessary synchronization."""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, final

import torch

from benchmarks.implementations.base import Implementation, Predict, chunks, orders, sigmoid
from benchmarks.workloads import Array, Job


class _PyTorchBase(Implementation):
    compiled = False

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)

    @final
    def load(self, job: Job) -> None:
        w = job.workload
        self.job = job
        self.X, self.y = torch.from_numpy(job.X), torch.from_numpy(job.y)
        layers: list[torch.nn.Module] = []
        for n_in, n_out in zip(w.sizes, w.sizes[1:], strict=False):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        self.net = net = torch.nn.Sequential(*layers[:-1])
        loss = torch.nn.BCEWithLogitsLoss() if w.sizes[-1] == 1 else torch.nn.CrossEntropyLoss()

        def loss_of(X: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            value: torch.Tensor = loss(net(X), y)
            return value

        self.loss_of = torch.compile(loss_of, dynamic=False) if self.compiled else loss_of
        self.reset()

    @final
    def reset(self) -> None:
        w = self.job.workload
        with torch.no_grad():
            for layer, (W, b) in zip(self.net[::2], self.job.weights, strict=True):
                layer.weight.copy_(torch.tensor(W))
                layer.bias.copy_(torch.tensor(b))
        parameters = self.net.parameters()
        if w.optimizer == "adam":
            self.optimizer: Any = torch.optim.Adam(parameters, lr=w.lr, fused=True)
        else:
            momentum = 0.9 if w.optimizer == "momentum" else 0.0
            self.optimizer = torch.optim.SGD(parameters, lr=w.lr, momentum=momentum, fused=True)

    @final
    def train(self, epochs: int) -> list[float]:
        w, losses = self.job.workload, []
        for order in orders(w.rows, epochs) if w.batch else repeat(None, epochs):
            total = torch.zeros(())
            for X, y in self._batches(order):
                self.optimizer.zero_grad()
                loss = self.loss_of(X, y)
                loss.backward()
                self.optimizer.step()
                total += loss.detach() * len(X)
            losses.append(total / len(self.X))
        values: list[float] = torch.stack(losses).tolist()
        return values

    @final
    def _batches(self, order: Array | None) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        if order is None:
            return [(self.X, self.y)]
        parts = torch.from_numpy(order).split(self.job.workload.batch_rows)
        return ((self.X.index_select(0, i), self.y.index_select(0, i)) for i in parts)

    @final
    def predictor(self, rows: int, chunk: int | None) -> tuple[Predict, Callable[[], Array]]:
        net = torch.compile(self.net, dynamic=False) if self.compiled else self.net
        X = self.X[:rows]

        def predict() -> torch.Tensor:
            with torch.inference_mode():
                if chunk is None:
                    out: torch.Tensor = net(X)
                    return out
                return torch.cat([net(part) for part in chunks(X, chunk)])

        return predict, lambda: sigmoid(predict()[:8].numpy())


@final
class PyTorch(_PyTorchBase):
    """Eager mode: one call per operation."""


@final
class CompiledPyTorch(_PyTorchBase):
    """Forward pass, loss and backward pass compiled by torch.compile."""

    compiled = True
