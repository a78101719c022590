"""Losses: the value, the gradient and the link function of each, together."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from plainnet.decision import is_positive
from plainnet.errors import PlainnetError
from plainnet.nn.parameters import ONE, ZERO, Array, number
from plainnet.nn.validation import check_range


class Loss(ABC):
    """What a training minimizes, computed from the network's last output Z (the logits).

    Calling a loss returns the mean over the rows and ``dZ``, the derivative of that mean, both
    from one computation that cannot overflow. With weights the mean is the weighted mean, so that
    a row of weight 2 counts as two rows.

    Attributes
    ----------
    metric_name : str
        What ``score`` measures: ``accuracy`` or ``MAE``.

    Examples
    --------
    >>> loss = BinaryCrossEntropy()
    >>> y = loss.encode([1, 0], n_out=1)
    >>> Z = np.array([[2.0], [1.0]])
    >>> value, dZ = loss(Z, y)
    >>> round(value, 3), dZ.round(3).ravel()
    (0.72, array([-0.06 ,  0.366]))
    >>> loss.predictions(Z).round(3).ravel()
    array([0.881, 0.731])
    >>> loss.metric(Z, y)  # the second row is on the wrong side
    0.5
    """

    options: ClassVar[tuple[str, ...]] = ()
    metric_name: ClassVar[str] = "accuracy"

    @abstractmethod
    def __call__(self, Z: Array, y: Array, weight: Array | None = None) -> tuple[float, Array]:
        """Return the mean loss and dZ.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.
        y : array
            Targets as `encode` gives them.
        weight : array of shape (m,), optional
            The weight of each row; equal by default.

        Returns
        -------
        value : float
        dZ : array of shape (m, k)

        Raises
        ------
        PlainnetError
            If Z, y and weight do not go together, or there are no rows.
        """

    @abstractmethod
    def predictions(self, Z: Array) -> Array:
        """Turn logits into what a user calls a prediction.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.

        Returns
        -------
        array of shape (m, k)
            Probabilities, or the numbers themselves for regression.
        """

    @abstractmethod
    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Check targets and return them in the form that the loss computes with.

        Parameters
        ----------
        y : array of shape (m,) or (m, n_out)
            Targets as a person writes them.
        n_out : int
            The network's outputs.
        dtype : dtype, default float32
            What the network computes in.

        Returns
        -------
        array of shape (m,) or (m, n_out)

        Raises
        ------
        PlainnetError
            If the targets do not go with the loss or the outputs.
        """

    @abstractmethod
    def metric(self, Z: Array, y: Array) -> float:
        """Return the mean of ``metric_name`` over the rows.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.
        y : array
            Targets as `encode` gives them.

        Returns
        -------
        float
            A share in [0, 1], or an error in the unit of the targets for regression.
        """

    @final
    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON can hold them.

        Returns
        -------
        dict
            An entry for each name in ``options``.

        Examples
        --------
        >>> Huber(delta=2.0).config()
        {'delta': 2.0}
        """
        return {option: getattr(self, option) for option in self.options}


class _CrossEntropy(Loss):
    """Classes as targets, which may be smoothed."""

    options = ("label_smoothing",)

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = check_range(
            type(self).__name__, "label_smoothing", label_smoothing, 0, 1, ends=False, low_end=True
        )


class _Logistic(_CrossEntropy):
    """Independent yes/no outputs: the mean of max(z, 0) - z y + L, with L = log(1 + e^-|z|).

    sigmoid(z) = e^(min(z, 0) - L), and min(z, 0) = z - max(z, 0).
    """

    @final
    def __call__(self, Z: Array, y: Array, weight: Array | None = None) -> tuple[float, Array]:
        """Return the mean loss and dZ = (sigmoid(Z) - y) / (m k)."""
        _same_shape(self, Z, y)
        if self.label_smoothing:
            y = y * (1 - self.label_smoothing) + self.label_smoothing / 2
        L = np.abs(Z)
        np.negative(L, L)
        np.log1p(np.exp(L, L), L)
        losses = np.maximum(Z, ZERO)
        dZ = Z - losses - L
        np.exp(dZ, dZ)
        dZ -= y
        losses -= Z * y
        losses += L
        return _weighted_mean(losses, dZ, weight)

    @final
    def predictions(self, Z: Array) -> Array:
        """Return probabilities, sigmoid(Z)."""
        return _sigmoid_from(np.exp(-np.abs(Z)), Z)

    @final
    def metric(self, Z: Array, y: Array) -> float:
        """Return the share of outputs on the right side of probability 1/2."""
        return float(np.mean(is_positive(self.predictions(Z)) == (y > 0.5)))


def _sigmoid_from(E: Array, Z: Array) -> Array:
    """sigmoid(Z) from E = e^-|Z|: e^min(Z, 0) / (1 + E), exact on both sides of zero."""
    A = np.minimum(Z, ZERO)
    np.exp(A, out=A)  # 1 above zero, E below: twice as fast as np.where
    A /= E + ONE
    return A


@final
class BinaryCrossEntropy(_Logistic):
    """The loss of one yes/no output; the network has one output.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        Targets become y (1 - s) + s/2 (Szegedy et al., 2016).

    Raises
    ------
    PlainnetError
        If label_smoothing is not in [0, 1).

    Examples
    --------
    >>> loss = BinaryCrossEntropy()
    >>> value, dZ = loss(np.zeros((2, 1)), loss.encode([0, 1], 1, float))
    >>> round(value, 6), dZ.ravel()
    (0.693147, array([ 0.25, -0.25]))
    """

    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Return targets as (m, 1); they must lie between 0 and 1.

        Raises
        ------
        PlainnetError
            If n_out is not 1, or the targets are not (m,) or (m, 1) numbers in [0, 1].
        """
        if n_out != 1:
            raise PlainnetError(
                f"BinaryCrossEntropy needs a network with 1 output, this one has {n_out}: "
                "take SoftmaxCrossEntropy or MultiLabel"
            )
        return _in_unit_interval(self, _columns(self, y, 1, dtype))


@final
class MultiLabel(_Logistic):
    """Several yes/no outputs at once; the mean runs over rows and labels.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        Targets become y (1 - s) + s/2.

    Raises
    ------
    PlainnetError
        If label_smoothing is not in [0, 1).

    Examples
    --------
    >>> loss = MultiLabel()
    >>> Z, y = np.array([[2.0, -1.0]]), loss.encode([[1, 1]], n_out=2)
    >>> loss.predictions(Z).round(3)
    array([[0.881, 0.269]])
    >>> loss.metric(Z, y)  # the second label is missed
    0.5
    """

    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Return targets as (m, n_out); they must lie between 0 and 1.

        Raises
        ------
        PlainnetError
            If the targets are not (m, n_out) numbers in [0, 1].
        """
        return _in_unit_interval(self, _columns(self, y, n_out, dtype))


@final
class SoftmaxCrossEntropy(_CrossEntropy):
    """The loss of one class out of several: log(sum e^z) - z of the true class.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        The true class keeps 1 - s, and s is spread over all classes (Szegedy et al., 2016).

    Raises
    ------
    PlainnetError
        If label_smoothing is not in [0, 1).

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> value, dZ = loss(np.zeros((1, 4)), loss.encode([2], 4))
    >>> round(value, 6), dZ
    (1.386294, array([[ 0.25,  0.25, -0.75,  0.25]]))
    >>> Z = np.log([[1.0, 2.0, 5.0]])
    >>> loss.predictions(Z)
    array([[0.125, 0.25 , 0.625]])
    >>> loss.metric(Z, loss.encode([2], 3))
    1.0
    """

    def __call__(self, Z: Array, y: Array, weight: Array | None = None) -> tuple[float, Array]:
        """Return the mean loss and dZ = (softmax(Z) - y) / m."""
        if y.shape != Z.shape and (y.shape != Z.shape[:1] or y.dtype.kind not in "iu"):
            raise PlainnetError(
                f"SoftmaxCrossEntropy: outputs of shape {Z.shape} do not go with targets of "
                f"shape {y.shape} and type {y.dtype}: encode the targets first"
            )
        smooth, n_classes = self.label_smoothing, Z.shape[1]
        Z = Z - Z.max(axis=1, keepdims=True)
        dZ = np.exp(Z)
        total = dZ.sum(axis=1, keepdims=True)
        dZ /= total
        log_total = np.log(total[:, 0])
        if y.ndim == 2:  # a distribution over the classes in each row
            y = y * (1 - smooth) + smooth / n_classes
            dZ -= y
            return _weighted_mean(log_total - (Z * y).sum(axis=1), dZ, weight)
        rows = np.arange(len(Z))
        losses = log_total - (1 - smooth) * Z[rows, y]
        dZ[rows, y] -= 1 - smooth
        if smooth:
            losses -= smooth * Z.mean(axis=1)
            dZ -= smooth / n_classes
        return _weighted_mean(losses, dZ, weight)

    def predictions(self, Z: Array) -> Array:
        """Return probabilities, softmax(Z), which sum to 1 in each row."""
        E: Array = np.exp(Z - Z.max(axis=1, keepdims=True))
        E /= E.sum(axis=1, keepdims=True)
        return E

    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Return class numbers as (m,), or one-hot and soft targets as (m, n_out).

        Raises
        ------
        PlainnetError
            If n_out is below 2, or the targets are neither whole class numbers from 0 to n_out - 1
            nor rows of n_out numbers in [0, 1] that sum to 1.

        Examples
        --------
        >>> SoftmaxCrossEntropy().encode([2, 0], n_out=3)
        array([2, 0])
        >>> SoftmaxCrossEntropy().encode([[0, 0.5, 0.5]], n_out=3)
        array([[0. , 0.5, 0.5]], dtype=float32)
        """
        given = np.asarray(y)
        if n_out < 2:
            raise PlainnetError(
                f"SoftmaxCrossEntropy needs a network with 2 or more outputs, "
                f"this one has {n_out}: take BinaryCrossEntropy"
            )
        if given.ndim == 2 and given.shape[1] == n_out:
            soft = _in_unit_interval(self, _columns(self, y, n_out, dtype))
            if not np.allclose(soft.sum(axis=1), 1, atol=1e-4):
                raise PlainnetError(
                    "SoftmaxCrossEntropy: each row of one-hot targets must sum to 1"
                )
            return soft
        if given.ndim != 1 or given.dtype.kind not in "biuf":
            raise PlainnetError(
                f"SoftmaxCrossEntropy expects class numbers of shape (m,) or one-hot rows of shape "
                f"(m, {n_out}), got {given.dtype} of shape {given.shape}"
            )
        whole = given == np.floor(given)
        if not whole.all():
            row = int(whole.argmin())
            raise PlainnetError(
                f"SoftmaxCrossEntropy expects whole class numbers, got {given[row]} in row {row}"
            )
        if given.size and not 0 <= given.min() <= given.max() < n_out:
            raise PlainnetError(
                f"SoftmaxCrossEntropy expects class numbers from 0 to {n_out - 1}, "
                f"got {given.min()} to {given.max()}"
            )
        return given.astype(np.intp)

    def metric(self, Z: Array, y: Array) -> float:
        """Return the share of rows whose largest output is the true class."""
        return float(np.mean(Z.argmax(axis=1) == (y.argmax(axis=1) if y.ndim == 2 else y)))


class _Regression(Loss):
    """Numbers as targets; the prediction is the output itself."""

    metric_name = "MAE"

    @final
    def predictions(self, Z: Array) -> Array:
        """Return Z."""
        return Z

    @final
    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Return targets as (m, n_out)."""
        return _columns(self, y, n_out, dtype)

    @final
    def metric(self, Z: Array, y: Array) -> float:
        """Return the mean absolute error."""
        return float(np.mean(np.abs(Z - y)))


@final
class MeanSquaredError(_Regression):
    """The mean of (z - y)^2 over rows and outputs.

    Examples
    --------
    >>> value, dZ = MeanSquaredError()(np.array([[3.0]]), np.array([[1.0]]))
    >>> value, dZ
    (4.0, array([[4.]]))
    """

    def __call__(self, Z: Array, y: Array, weight: Array | None = None) -> tuple[float, Array]:
        """Return the mean loss and dZ = 2 (Z - y) / (m k)."""
        _same_shape(self, Z, y)
        D = Z - y
        return _weighted_mean(D * D, 2 * D, weight)


@final
class Huber(_Regression):
    """Half the square of small errors, linear in large ones (Huber, 1964).

    Parameters
    ----------
    delta : float, default 1.0
        Where the square ends, above 0: d^2 / 2 up to delta, then delta (|d| - delta / 2).

    Raises
    ------
    PlainnetError
        If delta is not a finite number above 0.

    Examples
    --------
    >>> value, dZ = Huber(delta=1.0)(np.array([[3.0]]), np.array([[0.0]]))
    >>> value, dZ
    (2.5, array([[1.]]))
    """

    options = ("delta",)

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = check_range("Huber", "delta", delta, 0, np.inf, ends=False)

    def __call__(self, Z: Array, y: Array, weight: Array | None = None) -> tuple[float, Array]:
        """Return the mean loss and dZ = clip(Z - y, -delta, delta) / (m k)."""
        _same_shape(self, Z, y)
        D = Z - y
        C = np.clip(D, -self.delta, self.delta)
        return _weighted_mean(C * (D - 0.5 * C), C, weight)


def _weighted_mean(losses: Array, dZ: Array, weight: Array | None) -> tuple[float, Array]:
    """The mean of losses (per row or per output) and, in place, dZ of that mean."""
    if not losses.size:
        raise PlainnetError("a loss needs at least one row, got none")
    per_row = losses.size // len(losses)
    if weight is None:
        dZ *= number(1 / losses.size, dZ.dtype)
        return float(np.add.reduce(losses, None)) / losses.size, dZ
    if weight.shape != (len(losses),):
        raise PlainnetError(
            f"expected weights of shape ({len(losses)},), one for each row, got {weight.shape}"
        )
    total = float(weight.sum()) * per_row
    if total == 0:  # a batch of rows that do not count
        return 0.0, np.zeros_like(dZ)
    dZ *= (weight / total).astype(dZ.dtype)[:, None]
    return float(weight @ losses.reshape(len(losses), -1).sum(axis=1)) / total, dZ


def _same_shape(loss: Loss, Z: Array, y: Array) -> None:
    """Refuse (m, 1) with (m,), which NumPy would take for an (m, m) table."""
    if y.shape != Z.shape:
        raise PlainnetError(
            f"{type(loss).__name__}: outputs of shape {Z.shape} do not go with targets of shape "
            f"{y.shape}: encode the targets first"
        )


def _columns(loss: Loss, y: ArrayLike, n_out: int, dtype: DTypeLike) -> Array:
    """Targets as a floating array of shape (m, n_out), finite."""
    given = np.asarray(y)
    name = type(loss).__name__
    if given.dtype.kind not in "biuf":
        raise PlainnetError(f"{name} expects numbers as targets, got {given.dtype}")
    table = given.reshape(-1, 1) if given.ndim == 1 else given
    if table.ndim != 2 or table.shape[1] != n_out:
        wanted = f"(m,) or (m, {n_out})" if n_out == 1 else f"(m, {n_out})"
        raise PlainnetError(f"{name} expects targets of shape {wanted}, got {given.shape}")
    with np.errstate(over="ignore"):  # what overflows the dtype becomes infinite and is refused
        Y = np.ascontiguousarray(table, dtype)
    if not np.isfinite(Y).all():
        row = int(np.argwhere(~np.isfinite(Y))[0, 0])
        raise PlainnetError(f"{name} expects finite targets, got {table[row]} in row {row}")
    return Y


def _in_unit_interval(loss: Loss, y: Array) -> Array:
    if y.size and not 0 <= y.min() <= y.max() <= 1:
        raise PlainnetError(
            f"{type(loss).__name__} expects targets between 0 and 1, got {y.min():g} to {y.max():g}"
        )
    return y
