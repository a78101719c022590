"""gradcheck: compare the gradients of any network and loss with finite differences."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from plainnet.errors import PlainnetError
from plainnet.nn.convolution import MaxPool2D
from plainnet.nn.embeddings import PiecewiseLinear
from plainnet.nn.initializers import generator
from plainnet.nn.layers import Layer
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.nn.validation import check_range, positive_int

FLOOR = 1e-2  # share of the norm of all gradients that a small gradient is compared with


class ParameterCheck(NamedTuple):
    """One line of a gradient check.

    ``difference`` is |a - n| / (|a| + |n|) over the ``checked`` entries, with the analytic
    gradient a and the numeric gradient n. ``worst`` is the entry with the largest error.
    ``kinks`` are entries on a kink, which are not checked.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    difference: float
    worst: tuple[int, ...] | None
    kinks: tuple[tuple[int, ...], ...]


class GradCheck(NamedTuple):
    """The result of `gradcheck`.

    Attributes
    ----------
    rows : list of ParameterCheck
        One for each parameter, and one for the input ``X``.
    difference : float
        |a - n| / (|a| + |n|) over all checked entries: about 1e-10 if correct, above 1e-2 if not.
    ok : bool
        Whether every row is below ``threshold``.

    Examples
    --------
    >>> row = ParameterCheck("dense1.W", (2, 3), checked=6, difference=0.5, worst=(0, 1), kinks=())
    >>> print(GradCheck([row], difference=0.5, threshold=1e-7))
    parameter                      shape  checked  difference  remark
    dense1.W                      (2, 3)        6    5.00e-01  WRONG, most at (0, 1)
    """

    rows: list[ParameterCheck]
    difference: float
    threshold: float

    @property
    def ok(self) -> bool:
        """Whether every row is below the threshold.

        Examples
        --------
        >>> GradCheck([], difference=0.0, threshold=1e-7).ok
        True
        """
        return all(row.difference < self.threshold for row in self.rows)

    def __str__(self) -> str:
        lines = [f"{'parameter':24}{'shape':>14}{'checked':>9}{'difference':>12}  remark"]
        for row in self.rows:
            bad = row.difference >= self.threshold
            remark = f"WRONG, most at {row.worst}" if bad else "ok"
            if row.kinks:
                remark += f"; {len(row.kinks)} on a kink, left out: {row.kinks[0]} ..."
            lines.append(
                f"{row.name:24}{row.shape!s:>14}{row.checked:>9}{row.difference:>12.2e}  {remark}"
            )
        return "\n".join(lines)


def gradcheck(
    net: Sequential,
    loss: Loss,
    X: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    eps: float = 1e-5,
    sample: int | None = None,
    directions: int | None = None,
    threshold: float = 1e-7,
    seed: int | np.random.Generator = 0,
) -> GradCheck:
    """Compare backward's gradients with central differences (L(t + eps) - L(t - eps)) / (2 eps).

    The check runs on a float64 copy, in training mode with fixed masks of dropout; the network is
    not changed. A parameter that disagrees is checked again with half the step, and both results
    are extrapolated to a step of zero, because the loss can be strongly curved (layer norm of two
    nearly equal numbers). An entry whose step moves a unit across a kink (ReLU at zero) has no
    derivative: it is named and left out.

    Parameters
    ----------
    net : Sequential
        Any network, with custom layers too.
    loss : Loss
        Its loss.
    X : array of shape (m, *in_shape)
        A few rows; five are enough.
    y : array
        Their targets.
    weight : array of shape (m,), optional
        Weights of the rows.
    eps : float, default 1e-5
        The step; in float64 the error is smallest near 1e-5.
    sample : int, optional
        The number of entries of each parameter to check, drawn at random.
    directions : int, optional
        Check slopes along this many random directions of each parameter instead of entries: the
        time does not grow with the number of parameters.
    threshold : float, default 1e-7
        The difference from which a gradient counts as wrong.
    seed : int or numpy.random.Generator, default 0
        Draws the sample or the directions.

    Returns
    -------
    GradCheck

    Raises
    ------
    PlainnetError
        If the loss is not finite on these rows, or both sample and directions are given.

    Examples
    --------
    >>> from plainnet.nn import BinaryCrossEntropy, mlp
    >>> net = mlp(3, hidden=(4,), activation="tanh")
    >>> gradcheck(net, BinaryCrossEntropy(), np.eye(3), [0, 1, 1]).ok
    True
    """
    if sample is not None and directions is not None:
        raise PlainnetError("gradcheck takes a sample of entries or directions, not both")
    for option, number in (("sample", sample), ("directions", directions)):
        if number is not None:
            positive_int("gradcheck", option, number)
    eps = check_range("gradcheck", "eps", eps, "(0, 1)")
    rng = generator(seed)
    net = net.astype(np.float64)
    X = np.array(net.validate_input(X), np.float64)
    y = loss.encode(y, net.n_out, np.float64)
    weight = None if weight is None else np.asarray(weight, np.float64)
    state = net.rng.bit_generator.state

    def evaluate() -> tuple[float, Array, list[Array]]:
        """Return the loss, dZ, and on which side of its kink each unit lies."""
        net.rng.bit_generator.state = state
        Z, sides = output_and_sides(net.layers, X, train=True)
        return *loss(Z, y, weight), sides

    value, dZ, _ = evaluate()
    if not np.isfinite(value):
        raise PlainnetError(f"the loss on these rows is {value}: there is no gradient to check")
    dX = net.backward(dZ, need_dX=True)
    assert dX is not None  # for the type checker: need_dX is True
    analytic = {name: grad.copy() for name, grad in (net.params.grads | {"X": dX}).items()}
    floor = FLOOR * math.sqrt(sum(np.sum(grad**2) for grad in analytic.values()))

    rows, a_all, n_all = [], [], []
    for name, grad in analytic.items():
        array = X if name == "X" else net.params.views[name]
        indices = _entries(array, sample, rng) if directions is None else [*np.ndindex(directions)]
        steps: Steps = indices
        if directions is not None:
            steps = [rng.standard_normal(array.shape) for _ in indices]
        a = np.array([grad[s] if isinstance(s, tuple) else np.vdot(grad, s) for s in steps])
        n, crossed = numeric_slopes(evaluate, array, steps, eps)
        if _difference(a[~crossed], n[~crossed], floor) >= threshold:  # or the loss is too curved
            n = (4 * numeric_slopes(evaluate, array, steps, eps / 2)[0] - n) / 3  # error: eps^2
        errors = np.where(crossed, 0.0, np.abs(a - n))
        worst = indices[int(errors.argmax())] if errors.any() else None
        kinks = tuple(index for index, cross in zip(indices, crossed, strict=True) if cross)
        a, n = a[~crossed], n[~crossed]
        difference = _difference(a, n, floor)
        rows.append(ParameterCheck(name, array.shape, len(a), difference, worst, kinks))
        a_all.append(a)
        n_all.append(n)
    return GradCheck(rows, _difference(np.concatenate(a_all), np.concatenate(n_all)), threshold)


def output_and_sides(layers: Sequence[Layer], X: Array, train: bool) -> tuple[Array, list[Array]]:
    """Return the output of layers, and on which side of its kink each unit lies."""
    sides = []
    for layer in layers:
        X = layer.forward(X, train)
        if layer.has_kink:
            sides.append(_kink_sides(layer, X))
    return X, sides


def _kink_sides(layer: Layer, Y: Array) -> Array:
    """Return on which side of its kink each unit of a layer lies, from its last output."""
    if isinstance(layer, PiecewiseLinear):
        return (Y > -0.5) * 1 + (Y >= 0.5)
    return np.stack([*layer.first_maxima()]) if isinstance(layer, MaxPool2D) else Y > 0


Index = tuple[int, ...]
Steps = Sequence[Index | Array]  # of an entry alone, or of all in a direction


def _entries(array: Array, sample: int | None, rng: np.random.Generator) -> list[Index]:
    """Return the indices of the entries to check."""
    flat = np.arange(array.size)
    if sample is not None and sample < array.size:
        flat = np.sort(rng.choice(array.size, sample, replace=False))
    return [tuple(int(i) for i in np.unravel_index(f, array.shape)) for f in flat]


def numeric_slopes(
    evaluate: Callable[[], tuple[float, Array, list[Array]]],
    array: Array,
    steps: Steps,
    eps: float,
) -> tuple[Array, Array]:
    """Return the numeric slope along each step, and whether the step crosses a kink.

    ``evaluate`` returns the loss, anything, and the sides of kinks.
    """
    n, crossed = np.zeros(len(steps)), np.zeros(len(steps), bool)
    before = array.copy()
    for i, step in enumerate(steps):
        index, direction = (step, 1.0) if isinstance(step, tuple) else (..., step)
        array[index] = before[index] + eps * direction
        plus, _, sides_plus = evaluate()
        array[index] = before[index] - eps * direction
        minus, _, sides_minus = evaluate()
        array[index] = before[index]
        n[i] = (plus - minus) / (2 * eps)
        crossed[i] = any(np.any(p != q) for p, q in zip(sides_plus, sides_minus, strict=True))
    return n, crossed


def _difference(a: Array, n: Array, floor: float = 0.0) -> float:
    """Return |a - n| / (|a| + |n|), the denominator being at least ``floor``.

    Rounding makes n uncertain by about 1e-11, so a gradient whose true value is zero (a bias
    before batch norm) is compared with a share of the norm of all gradients.
    """
    scale = max(float(np.linalg.norm(a) + np.linalg.norm(n)), floor)
    return float(np.linalg.norm(a - n)) / scale if scale else 0.0
