"""PyTorch in idiomatic use: fused optimizers and no unnecessary synchronization."""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, final

import torch

from benchmarks.implementations.base import Implementation, Predict, chunks, orders, sigmoid
from benchmarks.workloads import Array, Job, Workload


class Permute(torch.nn.Module):
    """Change the order of the axes, not of the memory: pictures stay channels-last."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return X.permute(self.axes)


def _layers(w: Workload) -> list[torch.nn.Module]:
    layers: list[torch.nn.Module] = []
    for n_in, n_out in zip(w.sizes, w.sizes[1:], strict=False):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    return layers[:-1]


def _picture_layers(w: Workload) -> list[torch.nn.Module]:
    side, layers = w.side or 0, list[torch.nn.Module]([Permute(0, 3, 1, 2)])
    for n_in, n_out in zip(w.sizes[:-2], w.sizes[1:-1], strict=True):
        conv = torch.nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        layers += [conv.to(memory_format=torch.channels_last), torch.nn.MaxPool2d(2)]
        layers += [torch.nn.BatchNorm2d(n_out), torch.nn.ReLU()]
        side //= 2
    last = torch.nn.Linear(side * side * w.sizes[-2], w.sizes[-1])
    return [*layers, Permute(0, 2, 3, 1), torch.nn.Flatten(), last]


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
        self.net = net = torch.nn.Sequential(*(_layers if w.side is None else _picture_layers)(w))
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
            weighted = [x for x in self.net if isinstance(x, torch.nn.Linear | torch.nn.Conv2d)]
            for layer, (W, b) in zip(weighted, self.job.weights, strict=True):
                weight = torch.tensor(W)
                layer.weight.copy_(weight.permute(0, 3, 1, 2) if weight.ndim == 4 else weight)
                if layer.bias is not None:
                    layer.bias.copy_(torch.tensor(b))
            for layer in self.net:
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.reset_parameters()
        parameters = self.net.parameters()
        if w.optimizer == "adam":
            self.optimizer: Any = torch.optim.Adam(parameters, lr=w.lr, fused=True)
        else:
            momentum = 0.9 if w.optimizer == "momentum" else 0.0
            self.optimizer = torch.optim.SGD(parameters, lr=w.lr, momentum=momentum, fused=True)

    @final
    def train(self, epochs: int) -> list[float]:
        w, losses = self.job.workload, []
        self.net.train()
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
        self.net.eval()

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
