"""The trace of one row: all outputs of its forward pass, and its gradients with their checks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.errors import PlainnetError
from plainnet.explain.excerpt import as_json, excerpt
from plainnet.explain.formulas import (
    SourceLocation,
    code_of,
    gradient_formula,
    loss_formula,
)
from plainnet.nn.activations import Activation
from plainnet.nn.convolution import Conv2D
from plainnet.nn.ensemble import GroupedDense
from plainnet.nn.gradcheck import output_and_sides
from plainnet.nn.layers import Dense, DropoutLayer, Flatten, Layer
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.nn.validation import positive_int

EPS = 1e-5  # the step at which central differences in float64 are most accurate
_ROUNDING = 64 * float(np.finfo(np.float64).eps) / EPS  # the error of a numeric slope
_LENGTH = 3.0  # of a random direction

Sides = list[Array]
Value = Callable[[Array], tuple[float, Sides]]


@final
@dataclass(frozen=True, eq=False)
class LayerOutput:
    """One layer's output for a row."""

    layer: str  # its name, such as dense1
    kind: str  # such as Dense
    symbol: str  # as in textbooks: z1 after the first Dense, a1 after its activation
    output: Array  # the shape of one sample
    parameters: dict[str, Array]  # of the layer, with the running statistics of batch norm
    formula: str  # of the output
    code: SourceLocation | None  # of the layer's forward


@final
@dataclass(frozen=True)
class Slope:
    """One entry of a gradient and its finite difference."""

    index: tuple[int, ...] | None  # None for a random direction, which covers all entries
    value: float | None
    gradient: float
    finite_difference: float | None  # None where the step moves a unit across a kink of ReLU
    error: float  # the difference between the results of a step and of its half


@final
@dataclass(frozen=True, eq=False)
class Gradient:
    """The derivative of the row's loss by one array."""

    by: str  # the name of the array: dense1.W, z1, or x, the input
    layer: str  # the layer whose backward computes it; first the name of the loss
    gradient: Array  # in the parameter's shape
    checked: tuple[Slope, ...]
    direction: Slope | None
    difference: float  # the largest difference between gradient and finite difference
    ok: bool  # whether they agree within rounding
    formula: str
    code: SourceLocation | None  # of the backward


@final
@dataclass(frozen=True, eq=False)
class Trace:
    """The forward pass of one row, and the backward pass if its target is known."""

    x: Array  # the row that enters the network
    steps: tuple[LayerOutput, ...]  # one for each layer; the last output is the logits
    a: Array  # the prediction
    prediction_formula: str
    prediction_code: SourceLocation | None
    y: Array | None  # the encoded target
    value: float | None  # the loss of this row
    loss_formula: str
    loss_code: SourceLocation | None
    gradients: tuple[Gradient, ...]  # from the loss back to the input; empty without a target
    entries: int  # numbers in an excerpt

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees with its finite differences."""
        return all(gradient.ok for gradient in self.gradients)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values: ``x``, ``steps``, ``prediction``, ``loss``, ..."""
        prediction = {"formula": self.prediction_formula, "code": self.prediction_code}
        loss = {"formula": self.loss_formula, "code": self.loss_code, "value": self.value}
        values = {
            "x": self.x,
            "steps": self.steps,
            "prediction": {**prediction, "a": self.a.tolist()},
            "loss": None if self.y is None else {**loss, "y": self.y.tolist()},
            "gradients": self.gradients,
            "gradients_agree": self.ok if self.gradients else None,
        }
        return dict(as_json(values, self.entries))


def trace(
    net: Sequential, loss: Loss, x: ArrayLike, y: ArrayLike | None = None, *, entries: int = 12
) -> Trace:
    """Trace one row through a network in prediction mode, and the gradients of its loss.

    It runs on a float64 copy in prediction mode: without dropout, and with the running statistics
    of batch norm. The network is not changed.
    """
    positive_int("trace", "entries", entries)
    net = net.astype(np.float64)
    X = np.array(net.validate_input(np.asarray(x)[np.newaxis]), np.float64)
    target = None if y is None else loss.encode(np.asarray(y)[np.newaxis], net.n_out, np.float64)
    passes = _Passes(net, loss, X, target)
    gradients = () if target is None else tuple(passes.gradients(entries))
    return Trace(
        X[0],
        tuple(passes.steps),
        loss.predictions(passes.outputs[-1].copy())[0],
        loss.prediction_formula,
        code_of(type(loss).predictions),
        None if target is None else target[0],
        passes.value,
        loss_formula(loss),
        code_of(type(loss).unreduced),
        gradients,
        entries,
    )


class _Unchecked(NamedTuple):
    """A gradient by the input of layer i or, if ``parameter`` is given, by that parameter of it."""

    i: int
    parameter: str
    grad: Array
    owner: str
    formula: str
    code: SourceLocation | None


@final
@dataclass(eq=False)
class _Passes:
    """The forward and backward pass of a row, on a private copy of the network."""

    net: Sequential
    loss: Loss
    X: Array
    y: Array | None
    steps: list[LayerOutput] = field(default_factory=list)
    outputs: list[Array] = field(default_factory=list)
    value: float | None = None

    def __post_init__(self) -> None:
        self.outputs = [self.X]
        n_linear = 0
        for layer in self.net.layers:
            n_linear += isinstance(layer, Dense | GroupedDense | Conv2D)
            Y = layer.forward(self.outputs[-1], False).copy()
            self.outputs.append(Y)
            parameters = {v.name: getattr(layer, v.name).copy() for v in layer.specs}
            self.steps.append(
                LayerOutput(
                    layer.name,
                    type(layer).__name__,
                    _symbol(layer, n_linear),
                    Y[0],
                    parameters,
                    layer.formula,
                    code_of(type(layer).forward),
                )
            )

    def gradients(self, entries: int) -> list[Gradient]:
        """Run backward, then check every gradient by finite differences."""
        assert self.y is not None
        self.value, dZ = self.loss(self.outputs[-1], self.y)
        layers = self.net.layers
        loss, code = self.loss, code_of(type(self.loss).unreduced)
        name = type(loss).__name__
        unchecked = [_Unchecked(len(layers), "", dZ[0].copy(), name, loss.gradient_formula, code)]
        dY = dZ
        for i in range(len(layers) - 1, -1, -1):
            layer = layers[i]
            dX = layer.backward(dY, True)
            if dX is None:
                raise PlainnetError(f"{layer.name!r} returned no dX although it was asked for")
            dY = dX.copy()
            code = code_of(type(layer).backward)
            for v in layer.specs:
                if v.kind != "state":
                    grad, formula = getattr(layer, d := "d" + v.name), gradient_formula(layer, d)
                    unchecked.append(_Unchecked(i, v.name, grad.copy(), layer.name, formula, code))
            formula = gradient_formula(layer, "dX")
            unchecked.append(_Unchecked(i, "", dY[0], layer.name, formula, code))
        rng = np.random.default_rng(0)
        return [self._check(one, entries, rng) for one in unchecked]

    def _check(self, unchecked: _Unchecked, entries: int, rng: np.random.Generator) -> Gradient:
        """Compare a gradient with finite differences."""
        i, parameter, grad = unchecked.i, unchecked.parameter, unchecked.grad
        if parameter:
            array = getattr(self.net.layers[i], parameter)
            name = f"{unchecked.owner}.{parameter}"
        else:
            array = self.outputs[i][0]
            name = self.steps[i - 1].symbol if i else "x"

        def value(changed: Array) -> tuple[float, Sides]:
            before = array.copy()
            array[...] = changed
            try:
                return self._rest(i, self.outputs[i])
            finally:
                array[...] = before

        slopes = []
        for index in excerpt(grad, entries):
            step = np.zeros_like(array)
            step[index] = 1.0
            slopes.append(_slope(value, array, grad, step, index))
        direction = None
        if grad.size > entries:
            step = rng.standard_normal(grad.shape)
            step *= _LENGTH / float(np.linalg.norm(step))
            direction = _slope(value, array, grad, step, None)
        both = slopes if direction is None else [*slopes, direction]
        compared = [
            (s.gradient, s.finite_difference) for s in both if s.finite_difference is not None
        ]
        margin = _ROUNDING * (1 + float(np.abs(self.outputs[-1]).max()) + abs(self.value or 0))
        margin += max((s.error for s in both), default=0.0)
        return Gradient(
            name,
            unchecked.owner,
            grad,
            tuple(slopes),
            direction,
            max((abs(a - b) for a, b in compared), default=0.0),
            all(abs(a - b) <= 1e-6 * abs(a) + margin for a, b in compared),
            unchecked.formula,
            unchecked.code,
        )

    def _rest(self, i: int, Y: Array) -> tuple[float, Sides]:
        """Return the loss from the input of layer i, and the side of its kink for each unit."""
        assert self.y is not None
        Z, sides = output_and_sides(self.net.layers[i:], Y, train=False)
        return self.loss(Z, self.y)[0], sides


def _slope(
    value: Value, array: Array, grad: Array, step: Array, index: tuple[int, ...] | None
) -> Slope:
    plus, sides_plus = value(array + EPS * step)
    minus, sides_minus = value(array - EPS * step)
    crossed = any(np.any(p != q) for p, q in zip(sides_plus, sides_minus, strict=True))
    longer, half = (plus - minus) / (2 * EPS), EPS / 2 * step
    shorter = (value(array + half)[0] - value(array - half)[0]) / EPS
    numeric = None if crossed else (4 * shorter - longer) / 3  # extrapolated to a step of zero
    entry, error = None if index is None else float(array[index]), abs(longer - shorter)
    return Slope(index, entry, float(np.sum(grad * step)), numeric, 0.0 if crossed else error)


def _symbol(layer: Layer, n: int) -> str:
    """Return the textbook symbol of a layer's output after n layers with weights."""
    if isinstance(layer, Dense | GroupedDense | Conv2D):
        return f"z{n}"
    if isinstance(layer, Activation):
        return f"a{n}"
    if isinstance(layer, Flatten):
        return f"a{n} (flat)"
    return f"{'a' if isinstance(layer, DropoutLayer) else 'z'}{n} ({layer.name})"
