"""Program: the training step of a network as instructions for the interpreter."""

import math
from typing import NamedTuple, final

import numpy as np

from plainnet.engine import instructions as op
from plainnet.engine.picture_layers import PICTURE_LAYERS, patch_numbers
from plainnet.nn import activations as act
from plainnet.nn.convolution import MaxPool2D
from plainnet.nn.embeddings import PiecewiseLinear
from plainnet.nn.ensemble import GroupedDense
from plainnet.nn.layers import Dense, Dropout, Flatten, Layer
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
ALIGNED = 16  # numbers at whose multiples arrays begin
# NumPy's BLAS multiplies where a product is large (measured): its call costs 3 us, and it is up to
# three times as fast as compiled loops.
LARGE, NARROW = 2**17, 20


class Instruction(NamedTuple):
    """What the interpreter does: a kind, sizes, offsets in the memory and in theta, constants."""

    kind: int
    n: int = 0
    k: int = 0
    x: int = 0
    y: int = 0
    p: int = 0
    q: int = 0
    s: int = 0
    c: tuple[float, ...] = ()


class StepParts(NamedTuple):
    """What a training step consists of."""

    net: Sequential
    loss: Loss
    optimizer: Optimizer
    l2: float = 0.0
    clip_norm: float | None = None


class Product(NamedTuple):
    """What Python computes before an instruction: a product Z, dW or dX, or a picture layer."""

    position: int
    kind: str
    dense: Instruction


class UnknownPartError(Exception):
    """A part that the interpreter does not know; the message names it."""


@final
class Program:
    """The instructions of a training step for batches of at most m rows."""

    def __init__(self, parts: StepParts, y: Array, weight: Array | None, m: int) -> None:
        self.net, self.m = parts.net, m
        self.members = 1 if weight is None or weight.ndim == 1 else weight.shape[1]
        if type(self.net.params.theta) is not np.ndarray:
            raise UnknownPartError(f"arrays of type {type(self.net.params.theta).__name__}")
        self.code: list[Instruction] = []
        self.products: list[Product] = []
        self.size = self.drawn = 0  # numbers in the memory, and draws for each row
        self.patches = 0  # numbers in the patches of a block of pictures
        self.n_in = math.prod(self.net.in_shape)
        first = next(
            (x for x in self.net.layers if not isinstance(x, Flatten | act.Identity)), None
        )
        self.by_rows = isinstance(first, Dense) and _is_large(m, self.n_in, first.n_out)
        self.input = self._memory(self.n_in * m)
        self.targets = self._memory(y[0].size * m)
        self.weights = self._memory(self.members * m)
        gather = op.GATHER_ROWS if self.by_rows else op.GATHER
        # the channels of pictures, while their numbers are in the order (channel, pixel, row)
        self.channels = _picture_channels(self.net)
        self._emit(gather, self.n_in, self.channels or 1, y=self.input)
        self._emit(op.GATHER, y[0].size, 1, y=self.targets, s=1)
        if weight is not None:
            self._emit(op.GATHER, self.members, 1, y=self.weights, s=2)
        self.gathers = len(self.code)
        self._forward()
        self._loss(parts.loss, y)
        self._backward()
        self._update(parts.optimizer, parts.l2, parts.clip_norm)

    def _memory(self, n: int) -> int:
        """Reserve n numbers."""
        start = self.size
        self.size += -(-n // ALIGNED) * ALIGNED
        return start

    def _emit(
        self, kind: int, n: int = 0, k: int = 0, c: tuple[float, ...] = (), **offsets: int
    ) -> Instruction:
        instruction = Instruction(kind, n, k, c=c, **offsets)
        self.code.append(instruction)
        return instruction

    def _offset(self, layer: Layer, name: str) -> int:
        """Return where a parameter lies in theta."""
        params = self.net.params
        start = params.views[f"{layer.name}.{name}"].ctypes.data - params.theta.ctypes.data
        return start // params.theta.itemsize

    def _forward(self) -> None:
        self.Z, n, free = self.input, self.n_in, False  # free: no backward pass reads Z
        for layer in self.net.layers:
            kind, x = type(layer), self.Z
            norm = kind in (BatchNorm, LayerNorm)
            n_norm = layer.out_shape[-1] if norm else 1
            pixels = n // n_norm  # each is normalized as a row
            if kind is BatchNorm and self.m * pixels == 1:
                raise UnknownPartError("BatchNorm in batches of one row")
            if norm and len(layer.out_shape) > 1 and not self.channels:
                raise UnknownPartError(f"{kind.__name__} of shape {layer.out_shape}")
            if not free and (kind in IN_PLACE or norm):
                self._emit(op.COPY, n, x=x, y=(x := self._memory(n * self.m)))
            y = x if kind in IN_PLACE else self._memory(math.prod(layer.out_shape) * self.m)
            if isinstance(layer, Dense | GroupedDense):
                self._dense(layer, n, x, y)
            elif isinstance(layer, PiecewiseLinear):
                self._piecewise_linear(layer, x, y)
            elif self.channels and isinstance(layer, PICTURE_LAYERS):
                self._picture(layer, x, y)
            elif isinstance(layer, Flatten | act.Identity) or (
                isinstance(layer, Dropout) and not layer.rate
            ):
                continue
            elif kind in IN_PLACE or kind in OF_INPUT:
                constants = (layer.alpha,) if isinstance(layer, act.LeakyReLU | act.ELU) else ()
                self._emit((IN_PLACE | OF_INPUT)[kind], n, x=x, y=y, c=constants)
            elif isinstance(layer, Dropout):
                self._dropout(layer, n, x, y)
            elif isinstance(layer, BatchNorm | LayerNorm):
                self._normalization(layer, n_norm, pixels, x, y)
            else:
                raise UnknownPartError(f"{kind.__name__} {layer.name!r}")
            self.Z, n, free = y, math.prod(layer.out_shape), kind not in IN_PLACE
        self.code = [i._replace(k=self.drawn) if i.kind == op.DROPOUT else i for i in self.code]

    def _picture(self, layer: Layer, x: int, y: int) -> None:
        """Append a layer that Python runs; n is its number, k whether it has parameters."""
        number, shape = self.net.layers.index(layer), layer.out_shape
        p = self._memory(math.prod(shape) * self.m) if isinstance(layer, MaxPool2D) else 0
        self.patches = max(self.patches, patch_numbers(layer, self.m))
        self._python("forward", self._emit(op.PICTURE, number, len(layer.specs), x=x, y=y, p=p))
        self.channels = shape[-1] if len(shape) > 1 else 0

    def _python(self, kind: str, part: Instruction) -> None:
        """Let Python run the last instruction."""
        self.products.append(Product(len(self.code) - 1, kind, part))

    def _normalization(
        self, layer: BatchNorm | LayerNorm, n: int, pixels: int, x: int, y: int
    ) -> None:
        p = self._offset(layer, "gamma")
        if isinstance(layer, LayerNorm):
            scratch = self._memory(3 * self.m * pixels)
            self._emit(op.LAYER_NORM, n, pixels, (layer.eps,), x=x, y=y, p=p, s=scratch)
        else:
            q, scratch = self._offset(layer, "running_mean"), self._memory(3 * n)
            c = (layer.eps, layer.momentum)
            self._emit(op.BATCH_NORM, n, pixels, c, x=x, y=y, p=p, q=q, s=scratch)

    def _dropout(self, layer: Dropout, n: int, x: int, y: int) -> None:
        channels, mask = self.channels or 1, self._memory(n * self.m)
        offsets = {"x": x, "y": y, "p": mask, "q": channels, "s": self.drawn}
        self._emit(op.DROPOUT, n, c=(layer.rate,), **offsets)
        self.drawn += n

    def _piecewise_linear(self, layer: PiecewiseLinear, x: int, y: int) -> None:
        low, high, first = self._offset(layer, "low"), self._offset(layer, "high"), 0
        for feature, bins in enumerate(layer.bins):
            p, q = low + first, high + first
            self._emit(op.PIECEWISE_LINEAR, bins, feature, x=x, y=y, p=p, q=q, s=first)
            first += bins

    def _dense(self, layer: Dense | GroupedDense, n: int, x: int, y: int) -> None:
        groups = layer.groups if isinstance(layer, GroupedDense) else 1
        n, n_out = n // groups, layer.n_out // groups
        p, q = self._offset(layer, "W"), self._offset(layer, "b")
        dense = Instruction(op.DENSE, n, n_out, x, y, p, q, groups)
        if _is_large(self.m, n, n_out):
            self.products.append(Product(len(self.code), "Z", dense))
            dense = dense._replace(kind=op.BIAS)
        self.code.append(dense)

    def _loss(self, loss: Loss, y: Array) -> None:
        if self.channels:
            raise UnknownPartError("a loss of pictures")
        n = self.net.n_out // self.members
        width = max(math.prod(layer.out_shape) for layer in self.net.layers)
        self.D, self.other = (self._memory(width * self.m) for _ in range(2))
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
        self._emit(kind, n, y[0].size, c=(*constants, float(self.members)), **offsets)
        self.after_loss = len(self.code)

    def _backward(self) -> None:
        """Append the backward pass of each layer down to the first with parameters."""
        forward = self.code[self.gathers : self.after_loss - 1]
        trained = (op.DENSE, op.BIAS, op.BATCH_NORM, op.LAYER_NORM)
        last = next(
            (
                i
                for i, f in enumerate(forward)
                if f.kind in trained or (f.kind == op.PICTURE and f.k)
            ),
            None,
        )
        if last is None:
            raise UnknownPartError("a network without parameters")
        d = self.D
        for i in range(len(forward) - 1, last - 1, -1):
            f = forward[i]
            if f.kind in (op.DENSE, op.BIAS):
                d = self._dense_backward(f, d, need_dX=i > last)
            elif f.kind == op.PICTURE:
                other = self._other(d)
                self.code.append(f._replace(kind=-op.PICTURE, y=d, q=other, s=i > last))
                self._python("backward", self.code[-1])
                d = other
            elif f.kind == op.PIECEWISE_LINEAR:
                raise UnknownPartError("PiecewiseLinear after a layer with parameters")
            elif f.kind != op.COPY:
                x = f.y if f.kind in IN_PLACE.values() else f.p if f.kind == op.DROPOUT else f.x
                self.code.append(f._replace(kind=-f.kind, x=x, y=d))

    def _other(self, d: int) -> int:
        return self.other if d == self.D else self.D

    def _dense_backward(self, f: Instruction, d: int, need_dX: bool) -> int:
        other = self._other(d)
        dW = f._replace(kind=-op.DENSE, y=d)
        dX = f._replace(kind=op.DENSE_INPUT, x=other, y=d)
        self.code.append(dW._replace(kind=-op.BIAS))
        for kind, part in (("dW", dW), ("dX", dX))[: 1 + need_dX]:
            if f.kind == op.BIAS:
                self.products.append(Product(len(self.code), kind, part))
            else:
                self.code.append(part)
        return other if need_dX else d

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


def _picture_channels(net: Sequential) -> int:
    """Return the channels of the input if a layer takes pictures as such, else 0."""
    first = (x for x in net.layers if not isinstance(x, act.Identity | Dropout))
    flat = isinstance(next(first, None), Flatten) or len(net.in_shape) != 3
    return 0 if flat else net.in_shape[2]


def _is_large(m: int, n_in: int, n_out: int) -> bool:
    return m * n_in * n_out >= LARGE and min(n_in, n_out) >= NARROW
