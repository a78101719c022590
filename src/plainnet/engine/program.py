"""Program: the training step of a network as instructions for the interpreter."""

import math
from itertools import pairwise
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.engine import instructions as op
from plainnet.engine.instructions import Instruction
from plainnet.engine.products import NARROW, backward, is_large, multiplier
from plainnet.engine.row_space import RowDense
from plainnet.nn import activations as act
from plainnet.nn.convolution import AveragePool2D, Conv2D, GlobalAveragePool2D, MaxPool2D
from plainnet.nn.embeddings import PiecewiseLinear
from plainnet.nn.ensemble import GroupedDense
from plainnet.nn.layers import Dense, DropoutLayer, Flatten, Layer
from plainnet.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from plainnet.nn.network import Sequential
from plainnet.nn.normalization import BatchNorm, LayerNorm
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

IN_PLACE: dict[type[Layer], int] = {
    act.ReLU: op.RELU,
    act.LeakyReLU: op.LEAKY_RELU,
    act.ELU: op.ELU,
    act.Tanh: op.TANH,
    act.Sigmoid: op.SIGMOID,
}
OF_INPUT: dict[type[Layer], int] = {
    act.GELU: op.GELU,
    act.SiLU: op.SILU,
    act.Softplus: op.SOFTPLUS,
}
BACK = {op.DENSE: op.DENSE_INPUT, op.CONVOLVE: op.CONVOLVE_BACK}  # the gradients of inputs
ALIGNED = 16  # numbers at whose multiples arrays begin


class Training(NamedTuple):
    """What a training step consists of, besides the network."""

    loss: Loss
    optimizer: Optimizer
    y: Array
    weight: Array | None = None  # (m,), or (m, k) of k members
    l2: float = 0.0
    clip_norm: float | None = None


class UnknownPartError(Exception):
    """A part that the interpreter does not know; the message names it."""


@final
class Program:
    """The instructions of a training step, or of a prediction, for batches of at most m rows."""

    def __init__(self, net: Sequential, m: int, training: Training | None = None) -> None:
        self.net, self.m, self.trains = net, m, training is not None
        if type(net.params.theta) is not np.ndarray:
            raise UnknownPartError(f"arrays of type {type(net.params.theta).__name__}")
        if len(net.out_shape) != 1:
            raise UnknownPartError(f"outputs of shape {net.out_shape}")
        self.code: list[Instruction] = []
        self.size = self.drawn = 0  # numbers in the memory, and draws for each row
        self.gathers = 0  # instructions that gather a batch
        n, self.height = math.prod(net.in_shape), _picture_height(net)  # 0: flat
        self.pools = _pools(net)
        first = next((x for x in net.layers if not isinstance(x, Flatten | act.Identity)), None)
        self.by_rows = isinstance(first, Dense) and is_large(m, n, first.n_out)
        if isinstance(first, RowDense):
            n = len(first.A)
            self.by_rows = m < first.m or first.n_out >= NARROW  # panels pay if gathered once
        weight = None if training is None else training.weight
        self.members = 1 if weight is None or weight.ndim == 1 else weight.shape[1]
        panels = 0 if self.by_rows or not isinstance(first, RowDense) else first.n_out
        columns = m + op.TILE * op.ROWS if panels else m
        self.input, self.weights = self._memory(n * columns), self._memory(self.members * m)
        self.width = max(math.prod(x.out_shape) for x in net.layers)
        # Derivatives, or outputs
        self.D, self.other = (self._memory(self.width * m) for _ in range(2))
        self.n_in = n
        gather = op.GATHER_ROWS if self.by_rows else op.GATHER_PANELS if panels else op.GATHER
        self._emit(gather, n, panels, y=self.input, split=self.height)
        if training is None:
            self._forward()
            self._emit(op.OUTPUT, net.n_out, x=self.Z)
            self._meet()
            return
        y, width = training.y, training.y[0].size
        self.targets = self._memory(width * m)
        self._emit(op.GATHER, width, y=self.targets, s=1)
        if weight is not None:
            self._emit(op.GATHER, self.members, y=self.weights, s=2)
        self.gathers = len(self.code)
        self._forward()
        self._loss(training.loss, y)
        self._backward()
        self._update(training.optimizer, training.l2, training.clip_norm)
        self._meet()

    def _memory(self, n: int) -> int:
        """Reserve n numbers."""
        start = self.size
        self.size += -(-n // ALIGNED) * ALIGNED
        return start

    def _emit(
        self, kind: int, n: int = 0, k: int = 0, c: tuple[float, ...] = (), **offsets: Any
    ) -> None:
        self.code.append(Instruction(kind, n, k, c=c, **offsets))

    def _meet(self) -> None:
        """Have threads wait for each other only where it is necessary."""
        for i, (before, f) in enumerate(pairwise(self.code), start=1):
            meets = f.kind in op.MEETING or f.split != before.split or i == self.gathers
            self.code[i] = f._replace(meets=meets)

    def _offset(self, layer: Layer, name: str) -> int:
        """Return where a parameter lies in theta."""
        theta = self.net.params.theta
        return int(getattr(layer, name).ctypes.data - theta.ctypes.data) // theta.itemsize

    def _forward(self) -> None:
        self.Z, n = self.input, self.n_in
        free = not self.trains  # no backward pass reads Z
        for layer in self.net.layers:
            kind, x = type(layer), self.Z
            self.height = 0 if isinstance(layer, Flatten) else self.height
            if isinstance(layer, Flatten | act.Identity) or self._does_nothing(layer):
                continue
            if kind in IN_PLACE:
                y = x if free else self._copied(n, x)
                alpha = layer.alpha if isinstance(layer, act.LeakyReLU | act.ELU) else 0.0
                self._activate(IN_PLACE[kind], alpha, n, y)
            elif isinstance(layer, BatchNorm | LayerNorm):
                x = x if free else self._copied(n, x)
                y = self._normalize(layer, n, x)
            else:
                y = self._output(layer, x)
                self._of_input(layer, n, x, y)
            self.Z, n = y, math.prod(self.pools.get(layer, layer).out_shape)
            free = not self.trains or kind not in IN_PLACE
        self.code = [i._replace(k=self.drawn) if i.kind == op.DROPOUT else i for i in self.code]

    def _activate(self, kind: int, alpha: float, n: int, y: int) -> None:
        """Append an activation in place, or have the dense layer before it compute it too."""
        last = self.code[-1]
        if last.kind == op.DENSE and last.s != op.LOOPS and last.y == y and not last.c[2]:
            self.code[-1] = last._replace(c=(*last.c[:2], float(kind), alpha, float(y)))
        else:
            self._emit(kind, n, x=y, y=y, c=(alpha,), split=self.height)

    def _does_nothing(self, layer: Layer) -> bool:
        drops_nothing = isinstance(layer, DropoutLayer) and (not self.trains or not layer.rate)
        return drops_nothing or layer in self.pools.values()

    def _output(self, layer: Layer, x: int) -> int:
        """Return memory for the output of a layer."""
        if self.trains:
            return self._memory(math.prod(self.pools.get(layer, layer).out_shape) * self.m)
        return self.other if x == self.D else self.D

    def _copied(self, n: int, x: int) -> int:
        """Return a copy, as a backward pass reads the original."""
        y = self._memory(n * self.m)
        self._emit(op.COPY, n, x=x, y=y, split=self.height)
        return y

    def _of_input(self, layer: Layer, n: int, x: int, y: int) -> None:
        """Append a layer whose input is kept."""
        if isinstance(layer, Dense | GroupedDense):
            self._dense(layer, n, x, y)
        elif isinstance(layer, PiecewiseLinear):
            p, q, first = self._offset(layer, "low"), self._offset(layer, "high"), 0
            for feature, bins in enumerate(layer.bins):
                low, high = p + first, q + first
                self._emit(op.PIECEWISE_LINEAR, bins, feature, x=x, y=y, p=low, q=high, s=first)
                first += bins
        elif isinstance(layer, RowDense):
            p, q = self._offset(layer, "A"), self._offset(layer, "b")
            s = 0 if self.by_rows else self._memory(n * layer.n_out)
            self._emit(op.ROW_DENSE, n, layer.n_out, x=x, y=y, p=p, q=q, s=s)
        elif isinstance(layer, Conv2D):
            self._convolve(layer, x, y)
        elif isinstance(layer, MaxPool2D | AveragePool2D | GlobalAveragePool2D):
            self._pool(layer, x, y)
        elif type(layer) in OF_INPUT:
            self._emit(OF_INPUT[type(layer)], n, x=x, y=y, split=self.height)
        elif isinstance(layer, DropoutLayer):
            drawn = math.prod(layer.mask_shape)
            mask, c = self._memory(n * self.m), (layer.rate, drawn)
            self._emit(op.DROPOUT, n, c=c, x=x, y=y, p=mask, s=self.drawn)
            self.drawn += drawn
        else:
            raise UnknownPartError(f"{type(layer).__name__} {layer.name!r}")

    def _normalize(self, layer: BatchNorm | LayerNorm, n: int, x: int) -> int:
        """Append a normalization, which changes its input too; return where its output lies."""
        k = layer.out_shape[-1]
        pixels = n // k  # each is normalized as a row
        if len(layer.out_shape) > 1 and not self.height:
            raise UnknownPartError(f"{type(layer).__name__} of shape {layer.out_shape}")
        p = self._offset(layer, "gamma")
        if isinstance(layer, LayerNorm):
            y, scratch = self._output(layer, x), self._memory(3 * self.m * pixels)
            self._emit(op.LAYER_NORM, k, pixels, (layer.eps,), x=x, y=y, p=p, s=scratch)
            return y
        q, c = self._offset(layer, "running_mean"), (layer.eps, layer.momentum)
        if not self.trains:
            self._emit(op.NORMALIZE, k, pixels, c, y=x, p=p, q=q, split=self.height)
            return x
        if self.m * pixels == 1:
            raise UnknownPartError("BatchNorm in batches of one row")
        y, parts = self._output(layer, x), max(1, self.height)
        scratch = self._memory(4 * k * parts)
        self._emit(op.BATCH_SUMS, k, pixels, x=x, s=scratch, split=self.height)
        self._emit(op.BATCH_NORM, k, pixels, c, x=x, y=y, p=p, q=q, s=scratch, split=self.height)
        return y

    def _convolve(self, layer: Conv2D, x: int, y: int) -> None:
        geometry = layer.kernel, layer.kernel, layer.stride, layer.pads[1][0], layer.pads[2][0]
        p, q = self._offset(layer, "W"), self._offset(layer, "b") if layer.bias else -1
        shape, winner = (*layer.in_shape, *layer.out_shape, *geometry, 1, 1), 0
        self.height = layer.out_shape[0]
        if pool := self.pools.get(layer):
            winner = self._memory(math.prod(pool.out_shape) * self.m)
            self.height, shape = pool.out_shape[0], (*shape[:-2], pool.size, pool.stride)
        n, split = layer.W.size, self.height
        self._emit(op.CONVOLVE, n, x=x, y=y, p=p, q=q, s=winner, split=split, shape=shape)

    def _pool(self, layer: MaxPool2D | AveragePool2D | GlobalAveragePool2D, x: int, y: int) -> None:
        height, width, n = layer.in_shape
        kind, winner, self.height = op.AVERAGE_POOL, 0, layer.out_shape[0]
        if isinstance(layer, MaxPool2D):
            kind, winner = op.MAX_POOL, self._memory(math.prod(layer.out_shape) * self.m)
        if isinstance(layer, GlobalAveragePool2D):
            shape = (*layer.in_shape, 1, 1, n, height, width, 1, 0, 0, 1, 1)
            self.height = 0
        else:
            size = layer.size, layer.size, layer.stride, 0, 0, 1, 1
            shape = (*layer.in_shape, *layer.out_shape, *size)
        self._emit(kind, x=x, y=y, s=winner, split=self.height, shape=shape)

    def _dense(self, layer: Dense | GroupedDense, n: int, x: int, y: int) -> None:
        groups = layer.groups if isinstance(layer, GroupedDense) else 1
        n, n_out = n // groups, layer.n_out // groups
        p, q = self._offset(layer, "W"), self._offset(layer, "b")
        s = multiplier(op.DENSE, self.m, n, n_out)
        s = op.BLAS_ROWS if self.by_rows and x == self.input else s
        self._emit(op.DENSE, n, n_out, (float(groups), 0.0, 0.0), x=x, y=y, p=p, q=q, s=s)

    def _loss(self, loss: Loss, y: Array) -> None:
        scratch, constants = self._memory((2 + self.members) * self.m), (0.0, 0.0)
        if isinstance(loss, BinaryCrossEntropy):
            kind, constants = op.BINARY, (loss.label_smoothing, 0.0)
        elif isinstance(loss, SoftmaxCrossEntropy):
            kind, constants = op.SOFTMAX, (loss.label_smoothing, 0.0)
        elif isinstance(loss, MeanSquaredError | Huber):
            kind = op.REGRESSION
            constants = (loss.delta, 1.0) if isinstance(loss, Huber) else (math.inf, 2.0)
        else:
            raise UnknownPartError(type(loss).__name__)
        offsets = {"x": self.Z, "y": self.D, "p": self.targets, "q": self.weights, "s": scratch}
        n, members = self.net.n_out // self.members, float(self.members)
        self._emit(kind, n, y[0].size, c=(*constants, members), **offsets)
        self.after_loss = len(self.code)

    def _backward(self) -> None:
        """Append the backward pass of each layer down to the first with parameters."""
        forward = self.code[self.gathers : self.after_loss - 1]
        trained = (op.DENSE, op.ROW_DENSE, op.BATCH_NORM, op.LAYER_NORM, op.CONVOLVE)
        last = next((i for i, f in enumerate(forward) if f.kind in trained), None)
        if last is None:
            raise UnknownPartError("a network without parameters")
        sizes = [math.prod(op.padded_shape(f.shape, self.m)) for f in forward if f.kind in BACK]
        d, padded = self.D, self._memory(op.INPUTS * max(sizes, default=0))
        for i in range(len(forward) - 1, last - 1, -1):
            f = forward[i]
            other = self.other if d == self.D else self.D
            if f.kind in BACK:
                x, tiles = f.x, -(-f.shape[5] // op.OUTPUTS)
                if f.kind == op.CONVOLVE:
                    _, height, _, _ = op.padded_shape(f.shape, self.m)
                    self.code.append(f._replace(kind=op.PAD, y=padded, split=height))
                    x = padded
                back = backward(f, -f.kind, self.m, other if f.n <= self.width else 0)
                self.code.append(back._replace(x=x, y=d, split=tiles))
                if i > last:
                    if f.shape[11] > 1:
                        self.code.append(f._replace(kind=op.UNPOOL, x=other, y=d))
                        d, other = other, d
                    back = backward(f, BACK[f.kind], self.m)
                    self.code.append(back._replace(x=other, y=d, split=f.shape[0]))
                    d = other
            elif f.kind in (op.MAX_POOL, op.AVERAGE_POOL):
                split = 0 if f.shape[6] > f.shape[8] else f.split  # squares overlap
                self.code.append(f._replace(kind=-f.kind, x=other, y=d, split=split))
                d = other
            elif f.kind == op.BATCH_NORM:
                sums = f.s + 2 * f.n * max(1, f.split)
                self.code.append(f._replace(kind=-op.BATCH_SUMS, y=d, s=sums))
                self.code.append(f._replace(kind=-f.kind, y=d))
            elif f.kind == op.PIECEWISE_LINEAR:
                raise UnknownPartError("PiecewiseLinear after a layer with parameters")
            elif f.kind not in (op.COPY, op.BATCH_SUMS):
                x = f.y if f.kind in IN_PLACE.values() else f.p if f.kind == op.DROPOUT else f.x
                self.code.append(f._replace(kind=-f.kind, x=x, y=d))

    def _update(self, optimizer: Optimizer, l2: float, clip_norm: float | None) -> None:
        if l2:
            self._emit(op.PENALTY, c=(l2,))
        if clip_norm is not None:
            self._emit(op.CLIP, c=(float(clip_norm),))
        if isinstance(optimizer, SGD):
            self._emit(op.NESTEROV if optimizer.nesterov else op.SGD, c=(optimizer.momentum,))
        elif isinstance(optimizer, RMSprop):
            self._emit(op.RMSPROP, c=(optimizer.rho, optimizer.eps))
        elif isinstance(optimizer, Adam | AdamW):
            if isinstance(optimizer, AdamW) and optimizer.weight_decay:
                self._emit(op.DECAY, c=(optimizer.weight_decay,))
            self._emit(op.ADAM, c=(optimizer.beta1, optimizer.beta2, optimizer.eps))
        else:
            raise UnknownPartError(type(optimizer).__name__)


def _pools(net: Sequential) -> dict[Layer, MaxPool2D]:
    """Return the poolings that are computed together with the convolution before."""
    return {
        layer: after
        for layer, after in pairwise(net.layers)
        if isinstance(layer, Conv2D)
        and isinstance(after, MaxPool2D)
        and 1 < after.size <= after.stride
    }


def _picture_height(net: Sequential) -> int:
    """Return the height of the input if a layer takes pictures as such, else 0."""
    first = (x for x in net.layers if not isinstance(x, act.Identity | DropoutLayer))
    flat = isinstance(next(first, None), Flatten) or len(net.in_shape) != 3
    return 0 if flat else net.in_shape[0]
