"""gradcheck: compare the gradients of any network and loss with finite differences."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.errors import PlainnetError
from plainnet.nn.initializers import generator
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.nn.validation import check_range, positive_int

FLOOR = 1e-2  # share of the whole gradient's norm that a small gradient is compared with


class ParameterCheck(NamedTuple):
    """One line of a gradient check.

    ``difference`` is |a - n| / (|a| + |n|) over the ``checked`` entries, with a analytic and n
    numeric; entries on a kink are left out. ``worst`` is the entry with the largest difference.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    difference: float
    worst: tuple[int, ...] | None
    kinks: tuple[tuple[int, ...], ...]


@final
class GradCheck(NamedTuple):
    """The result of `gradcheck`.

    Attributes
    ----------
    rows : list of ParameterCheck
        One for each parameter, and one for the input ``X``.
    difference : float
        |a - n| / (|a| + |n|) over everything checked: near 1e-10 when right, above 1e-2 when not.
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

    def value() -> tuple[float, Array, list[Array]]:
        """Return the loss, dZ, and on which side of its kink each unit lies."""
        net.rng.bit_generator.state = state
        Z, sides = X, []
        for layer in net.layers:
            Z = layer.forward(Z, True)
            if layer.has_kink:
                sides.append(Z > 0)
        cost, dZ = loss(Z, y, weight)
        return cost, dZ, sides

    cost, dZ, _ = value()
    if not np.isfinite(cost):
        raise PlainnetError(f"the loss on these rows is {cost}: there is no gradient to check")
    dX = net.backward(dZ, need_dX=True)
    analytic = {name: grad.copy() for name, grad in net.params.grads.items()}
    arrays = {name: net.params.views[name] for name in analytic}
    assert dX is not None  # for the type checker: it was asked for
    analytic["X"], arrays["X"] = dX.copy(), X
    whole = float(np.sqrt(sum(np.sum(grad**2) for grad in analytic.values())))

    rows, a_all, n_all = [], [], []
    for name, array in arrays.items():
        if directions is None:
            steps = _entries(array, sample, rng)
        else:
            steps = [rng.standard_normal(array.shape) for _ in range(directions)]
        a, n, crossed = _slopes(value, array, analytic[name], steps, eps)
        row = _row(name, array, steps, a, n, crossed, whole)
        if row.difference >= threshold:  # or the loss is too curved for this step
            shorter = _slopes(value, array, analytic[name], steps, eps / 2)[1]
            n = (4 * shorter - n) / 3  # Richardson (1911): the error of each grows with eps^2
            row = _row(name, array, steps, a, n, crossed, whole)
        rows.append(row)
        a_all.append(a[~crossed])
        n_all.append(n[~crossed])
    difference = _difference(np.concatenate(a_all), np.concatenate(n_all), 0.0)
    return GradCheck(rows, difference, threshold)


Direction = tuple[int, ...] | Array  # the index of one entry, or a direction


def _entries(array: Array, sample: int | None, rng: np.random.Generator) -> list[Direction]:
    flat = np.arange(array.size)
    if sample is not None and sample < array.size:
        flat = np.sort(rng.choice(array.size, sample, replace=False))
    return [tuple(int(i) for i in np.unravel_index(f, array.shape)) for f in flat]


def _slopes(
    value: Callable[[], tuple[float, Array, list[Array]]],
    array: Array,
    grad: Array,
    steps: list[Direction],
    eps: float,
) -> tuple[Array, Array, Array]:
    """Return analytic and numeric slopes along each step, and whether it crosses a kink."""
    a, n = np.zeros(len(steps)), np.zeros(len(steps))
    crossed = np.zeros(len(steps), bool)
    before = array.copy()
    for i, step in enumerate(steps):
        direction = _direction(step, array)
        array[...] = before + eps * direction
        plus, _, sides_plus = value()
        array[...] = before - eps * direction
        minus, _, sides_minus = value()
        array[...] = before
        a[i] = np.sum(grad * direction)
        n[i] = (plus - minus) / (2 * eps)
        crossed[i] = any(np.any(p != q) for p, q in zip(sides_plus, sides_minus, strict=True))
    return a, n, crossed


def _direction(step: Direction, array: Array) -> Array:
    if not isinstance(step, tuple):
        return step
    direction = np.zeros_like(array)
    direction[step] = 1
    return direction


def _difference(a: Array, n: Array, floor: float) -> float:
    scale = max(float(np.linalg.norm(a) + np.linalg.norm(n)), floor)
    return float(np.linalg.norm(a - n)) / scale if scale else 0.0


def _row(
    name: str,
    array: Array,
    steps: list[Direction],
    a: Array,
    n: Array,
    crossed: Array,
    whole: float,
) -> ParameterCheck:
    """Summarize one parameter.

    Rounding makes n uncertain by about 1e-11, so a gradient whose true value is zero (a bias
    before batch norm) is compared with a share of the whole gradient instead.
    """
    indices = [step if isinstance(step, tuple) else (i,) for i, step in enumerate(steps)]
    errors = np.where(crossed, -1.0, np.abs(a - n))
    worst = indices[int(errors.argmax())] if len(errors) and errors.max() > 0 else None
    kinks = tuple(index for index, cross in zip(indices, crossed, strict=True) if cross)
    difference = _difference(a[~crossed], n[~crossed], FLOOR * whole)
    return ParameterCheck(name, array.shape, int(np.sum(~crossed)), difference, worst, kinks)
