"""Losses: the value, the gradient and the predictions of each, together."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array
from plainnet.nn.registry import call_text, register
from plainnet.nn.validation import as_array, check_range

LOSSES: dict[str, type["Loss"]] = {}


class Loss(ABC):
    """A function that training minimizes, of the network's output Z (the logits).

    Calling a loss returns the mean over the rows and ``dZ``, the derivative of that mean. With
    weights it is the weighted mean: a row of weight 2 counts as two rows.

    To add a loss, define `unreduced`, `predictions`, `encode` and `metric_values`, and decorate
    the class with ``@register(LOSSES)`` if models with it should be saved.

    Attributes
    ----------
    options : tuple of str
        The names of the constructor's arguments, which are kept as attributes.
    tasks : tuple of str
        The tasks it serves: ``binary``, ``multiclass``, ``multilabel`` or ``regression``.
    metric_name : str
        The name of `metric`: ``accuracy`` or ``MAE``.
    class_numbers : bool
        Whether targets may be one class number per row.
    formula, prediction_formula, gradient_formula : str
        The loss of one row, the prediction a from the logits z, and dZ, as `explain` shows them.

    Examples
    --------
    >>> loss = BinaryCrossEntropy()
    >>> value, dZ = loss([[2.0], [1.0]], [1, 0])
    >>> round(value, 3), dZ.round(3).ravel()
    (0.72, array([-0.06 ,  0.366]))
    >>> loss.predictions([[2.0], [1.0]]).round(3).ravel()
    array([0.881, 0.731])
    >>> loss.metric([[2.0], [1.0]], [1, 0])  # the second row is on the wrong side
    0.5

    A custom loss:

    >>> class Absolute(Loss):
    ...     tasks = ("regression",)
    ...     metric_name = "MAE"
    ...     def unreduced(self, Z, y):
    ...         return np.abs(Z - y), np.sign(Z - y)
    ...     def predictions(self, Z):
    ...         return Z
    ...     def encode(self, y, n_out, dtype=np.float32):
    ...         return np.asarray(y, dtype).reshape(-1, n_out)
    ...     def metric_values(self, Z, y):
    ...         return np.abs(Z - y)
    >>> Absolute()([[3.0], [0.0]], [1, 1])
    (1.5, array([[ 0.5], [-0.5]]))
    """

    options: ClassVar[tuple[str, ...]] = ()
    tasks: ClassVar[tuple[str, ...]] = ()
    metric_name: ClassVar[str] = "accuracy"
    class_numbers: ClassVar[bool] = False
    formula: ClassVar[str] = ""
    prediction_formula: ClassVar[str] = ""
    gradient_formula: ClassVar[str] = ""

    @final
    def __call__(
        self, Z: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
    ) -> tuple[float, Array]:
        """Return the mean loss and dZ.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.
        y : array
            Targets as `encode` gives them, or (m,) for one output.
        weight : array of shape (m,), optional
            The weight of each row; equal by default.

        Returns
        -------
        value : float
        dZ : array of shape (m, k)

        Raises
        ------
        PlainnetError
            If the shapes of Z, y and weight do not fit, or there are no rows.

        Examples
        --------
        >>> MeanSquaredError()([[3.0], [1.0]], [1, 1], weight=[1, 3])
        (1.0, array([[1.], [0.]]))
        """
        Z, y = self._checked(Z, y)
        losses, dZ = self.unreduced(Z, y)
        if not losses.size:
            raise PlainnetError("a loss needs at least one row, got none")
        if weight is None:
            dZ /= losses.size
            return float(losses.sum()) / losses.size, dZ
        weight = as_array(weight)
        if weight.shape != (len(losses),):
            raise PlainnetError(
                f"expected weights of shape ({len(losses)},), one for each row, got {weight.shape}"
            )
        per_row = losses.size // len(losses)
        total = float(weight.sum()) * per_row
        if total == 0:  # all rows of the batch have weight 0
            return 0.0, np.zeros_like(dZ)
        dZ *= (weight / total).astype(dZ.dtype)[:, None]
        return float(weight @ losses.reshape(len(losses), -1).sum(axis=1)) / total, dZ

    @final
    def per_example(self, Z: ArrayLike, y: ArrayLike) -> Array:
        """Return the loss of each row, whose mean the loss itself is.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.
        y : array
            Targets as `encode` gives them, or (m,) for one output.

        Returns
        -------
        array of shape (m,)

        Raises
        ------
        PlainnetError
            If the shapes of Z and y do not fit.

        Examples
        --------
        >>> MeanSquaredError().per_example([[3.0, 1.0], [0.0, 0.0]], [[1, 1], [0, 0]])
        array([2., 0.])
        """
        losses = self.unreduced(*self._checked(Z, y))[0]
        return losses if losses.ndim == 1 else losses.mean(axis=1)

    @final
    def metric(self, Z: ArrayLike, y: ArrayLike) -> float:
        """Return the mean of ``metric_name`` over the rows.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.
        y : array
            Targets as `encode` gives them, or (m,) for one output.

        Returns
        -------
        float
            A share in [0, 1], or an error in the unit of the targets for regression.

        Raises
        ------
        PlainnetError
            If the shapes of Z and y do not fit.

        Examples
        --------
        >>> SoftmaxCrossEntropy().metric([[2.0, 1.0], [0.0, 1.0]], [0, 0])
        0.5
        """
        return float(self.metric_values(*self._checked(Z, y)).mean())

    @abstractmethod
    def unreduced(self, Z: Array, y: Array) -> tuple[Array, Array]:
        """Return the losses before averaging, and the derivative of each by its Z.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output; not changed.
        y : array
            Targets as `encode` gives them; not changed.

        Returns
        -------
        losses : array of shape (m,) or (m, k)
            One for each row, or for each output.
        dZ : array of shape (m, k)
            A new array, which the caller scales in place.
        """

    @abstractmethod
    def predictions(self, Z: ArrayLike) -> Array:
        """Turn logits into predictions (the inverse link).

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.

        Returns
        -------
        array of shape (m, k)
            Probabilities, or the numbers themselves for regression.

        Raises
        ------
        PlainnetError
            If Z has another shape.
        """

    @abstractmethod
    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Check targets and return them in the form that the other methods take.

        Parameters
        ----------
        y : array of shape (m,) or (m, n_out)
            Targets as numbers or class numbers.
        n_out : int
            The number of the network's outputs.
        dtype : dtype, default float32
            The network's dtype.

        Returns
        -------
        array of shape (m,) or (m, n_out)

        Raises
        ------
        PlainnetError
            If the targets do not fit the loss or the outputs.
        """

    @abstractmethod
    def metric_values(self, Z: Array, y: Array) -> Array:
        """Return the metric of each row or output, whose mean is `metric`.

        Parameters
        ----------
        Z : array of shape (m, k)
            The network's output.
        y : array
            Targets as `encode` gives them.

        Returns
        -------
        array of shape (m,) or (m, k)
        """

    @final
    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments by name.

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

    __repr__ = call_text

    def _checked(self, Z: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Return outputs and targets whose shapes fit: NumPy would broadcast (m,) over (m, 1)."""
        Z = _logits(self, Z)
        if not isinstance(y, type(Z)):
            y = self.encode(y, Z.shape[1], Z.dtype)
        if y.shape == Z.shape:
            return Z, y
        if y.shape == Z.shape[:1]:
            if self.class_numbers and y.dtype.kind in "iu":
                return Z, y
            if Z.shape[1] == 1:
                return Z, y[:, None]
        raise PlainnetError(
            f"{type(self).__name__}: outputs of shape {Z.shape} do not fit targets of "
            f"shape {y.shape} and type {y.dtype}: encode the targets first"
        )


def losses_for(task: str) -> tuple[type[Loss], ...]:
    """Return the losses that serve a task, the usual one first."""
    return tuple(kind for kind in LOSSES.values() if task in kind.tasks)


def is_positive(A: Array) -> Array:
    """Return which probabilities are above 1/2; at 1/2, argmax chooses the first class too."""
    return A > 0.5


class _CrossEntropy(Loss):
    """Classes as targets, which may be smoothed."""

    options = ("label_smoothing",)

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = check_range(
            type(self).__name__, "label_smoothing", label_smoothing, "[0, 1)"
        )


@register(LOSSES)
@final
class BinaryCrossEntropy(_CrossEntropy):
    """The loss of one or several independent yes/no outputs; the mean runs over rows and outputs.

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
    >>> value, dZ = loss([[0.0], [0.0]], [0, 1])
    >>> round(value, 6), dZ.ravel()
    (0.693147, array([ 0.25, -0.25]))
    >>> loss.metric([[2.0, -1.0]], [[1, 1]])  # the second of two labels is missed
    0.5
    """

    tasks = ("binary", "multilabel")
    formula = (
        "L = -y log(a) - (1 - y) log(1 - a) = max(z, 0) - z y + log(1 + e^-|z|), "
        "the mean over the outputs"
    )
    prediction_formula = "a = 1 / (1 + e^-z)"
    gradient_formula = "dZ = (sigmoid(Z) - y) / (m k)"

    def unreduced(self, Z: Array, y: Array) -> tuple[Array, Array]:
        """Return max(z, 0) - z y + L and sigmoid(z) - y, with L = log(1 + e^-|z|).

        sigmoid(z) = e^(min(z, 0) - L), and min(z, 0) = z - max(z, 0).
        """
        if self.label_smoothing:
            y = y * (1 - self.label_smoothing) + self.label_smoothing / 2
        L = np.log1p(np.exp(-np.abs(Z)))
        positive = np.maximum(Z, 0)
        return positive - Z * y + L, np.exp(Z - positive - L) - y

    def predictions(self, Z: ArrayLike) -> Array:
        """Return probabilities, sigmoid(Z) = e^min(Z, 0) / (1 + e^-|Z|)."""
        Z = _logits(self, Z)
        return np.exp(np.minimum(Z, 0)) / (1 + np.exp(-np.abs(Z)))

    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Return targets as (m, n_out); they must lie between 0 and 1.

        Raises
        ------
        PlainnetError
            If the targets are not (m, n_out) numbers in [0, 1]; (m,) will do for one output.
        """
        given = as_array(y)
        if n_out > 1 and given.ndim == 1:
            raise PlainnetError(
                f"BinaryCrossEntropy expects targets of shape (m, {n_out}), got {given.shape}; "
                "for class numbers take SoftmaxCrossEntropy"
            )
        return _in_unit_interval(self, _columns(self, given, n_out, dtype))

    def metric_values(self, Z: Array, y: Array) -> Array:
        """Return for which outputs the prediction is correct."""
        return is_positive(self.predictions(Z)) == is_positive(y)


@register(LOSSES)
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
    >>> value, dZ = loss(np.zeros((1, 4)), [2])
    >>> round(value, 6), dZ
    (1.386294, array([[ 0.25,  0.25, -0.75,  0.25]]))
    >>> loss.predictions(np.log([[1.0, 2.0, 5.0]]))
    array([[0.125, 0.25 , 0.625]])
    """

    tasks = ("multiclass",)
    class_numbers = True
    formula = "L = -log(a_y) = log(e^z_1 + ... + e^z_K) - z_y, y the true class"
    prediction_formula = "a_k = e^z_k / (e^z_1 + ... + e^z_K)"
    gradient_formula = "dZ = (softmax(Z) - y) / m"

    def unreduced(self, Z: Array, y: Array) -> tuple[Array, Array]:
        """Return log(sum e^z) - sum y z of each row, and softmax(z) - y."""
        smooth, n_classes = self.label_smoothing, Z.shape[1]
        Z = Z - Z.max(axis=1, keepdims=True)
        dZ = np.exp(Z)
        total = dZ.sum(axis=1, keepdims=True)
        dZ /= total
        log_total = np.log(total[:, 0])
        if y.ndim == 2:  # a distribution over the classes in each row
            y = y * (1 - smooth) + smooth / n_classes
            dZ -= y
            return log_total - (Z * y).sum(axis=1), dZ
        rows = np.arange(len(Z), like=Z)
        losses = log_total - (1 - smooth) * Z[rows, y]
        dZ[rows, y] -= 1 - smooth
        if smooth:
            losses -= smooth * Z.mean(axis=1)
            dZ -= smooth / n_classes
        return losses, dZ

    def predictions(self, Z: ArrayLike) -> Array:
        """Return probabilities, softmax(Z), which sum to 1 in each row."""
        Z = _logits(self, Z)
        E: Array = np.exp(Z - Z.max(axis=1, keepdims=True))
        E /= E.sum(axis=1, keepdims=True)
        return E

    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Return class numbers as (m,), or one-hot and soft targets as (m, n_out).

        Raises
        ------
        PlainnetError
            If n_out is below 2, or the targets are neither class numbers from 0 to n_out - 1 nor
            rows of n_out numbers in [0, 1] that sum to 1.

        Examples
        --------
        >>> SoftmaxCrossEntropy().encode([2, 0], n_out=3)
        array([2, 0])
        >>> SoftmaxCrossEntropy().encode([[0, 0.5, 0.5]], n_out=3)
        array([[0. , 0.5, 0.5]], dtype=float32)
        """
        given = as_array(y)
        if n_out < 2:
            raise PlainnetError(
                f"SoftmaxCrossEntropy needs a network with 2 or more outputs, "
                f"this one has {n_out}: take BinaryCrossEntropy"
            )
        if given.ndim == 2 and given.shape[1] == n_out:
            soft = _in_unit_interval(self, _columns(self, given, n_out, dtype))
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
        valid = (given == np.floor(given)) & (given >= 0) & (given < n_out)
        if not valid.all():
            row = int(valid.argmin())
            raise PlainnetError(
                f"SoftmaxCrossEntropy expects class numbers from 0 to {n_out - 1}, "
                f"got {given[row]} in row {row}"
            )
        return given.astype(np.intp)

    def metric_values(self, Z: Array, y: Array) -> Array:
        """Return for which rows the prediction is correct."""
        return Z.argmax(axis=1) == (y.argmax(axis=1) if y.ndim == 2 else y)


class _Regression(Loss):
    """Numbers as targets; the prediction is the output itself."""

    tasks = ("regression",)
    metric_name = "MAE"
    prediction_formula = "a = z"

    @final
    def predictions(self, Z: ArrayLike) -> Array:
        """Return Z."""
        return _logits(self, Z)

    @final
    def encode(self, y: ArrayLike, n_out: int, dtype: DTypeLike = np.float32) -> Array:
        """Return targets as (m, n_out)."""
        return _columns(self, y, n_out, dtype)

    @final
    def metric_values(self, Z: Array, y: Array) -> Array:
        """Return absolute errors."""
        return np.abs(Z - y)


@register(LOSSES)
@final
class MeanSquaredError(_Regression):
    """The mean of (z - y)^2 over rows and outputs.

    Examples
    --------
    >>> MeanSquaredError()([[3.0]], [1.0])
    (4.0, array([[4.]]))
    """

    formula = "L = mean over the outputs of (z - y)^2"
    gradient_formula = "dZ = 2 (Z - y) / (m k)"

    def unreduced(self, Z: Array, y: Array) -> tuple[Array, Array]:
        """Return (z - y)^2 and 2 (z - y)."""
        D = Z - y
        return D * D, 2 * D


@register(LOSSES)
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
    >>> Huber(delta=1.0)([[3.0]], [0.0])
    (2.5, array([[1.]]))
    """

    options = ("delta",)
    formula = (
        "L = mean over the outputs of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); "
        "d = z - y"
    )
    gradient_formula = "dZ = clip(Z - y, -delta, delta) / (m k)"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = check_range("Huber", "delta", delta, "(0, inf)")

    def unreduced(self, Z: Array, y: Array) -> tuple[Array, Array]:
        """Return c (d - c / 2) and c, with d = z - y and c = clip(d, -delta, delta)."""
        D = Z - y
        C = D.clip(-self.delta, self.delta)
        return C * (D - 0.5 * C), C


def with_smoothing(loss: Loss, label_smoothing: float) -> Loss:
    """Return a loss of classes with another label smoothing; others unchanged."""
    return type(loss)(label_smoothing) if isinstance(loss, _CrossEntropy) else loss


def _logits(loss: Loss, Z: ArrayLike) -> Array:
    """Return outputs as a floating array of shape (m, k)."""
    dtype = getattr(Z, "dtype", None)
    logits: Array = Z if dtype is not None and dtype.kind == "f" else np.asarray(Z, np.float64)  # type: ignore[assignment]
    if logits.ndim != 2:
        raise PlainnetError(
            f"{type(loss).__name__} expects outputs of shape (m, n_out), got {logits.shape}"
        )
    return logits


def _columns(loss: Loss, y: ArrayLike, n_out: int, dtype: DTypeLike) -> Array:
    """Targets as a floating array of shape (m, n_out), finite."""
    given = as_array(y)
    name = type(loss).__name__
    if given.dtype.kind not in "biuf":
        raise PlainnetError(f"{name} expects numbers as targets, got {given.dtype}")
    table = given.reshape(-1, 1) if given.ndim == 1 else given
    if table.ndim != 2 or table.shape[1] != n_out:
        wanted = f"(m,) or (m, {n_out})" if n_out == 1 else f"(m, {n_out})"
        raise PlainnetError(f"{name} expects targets of shape {wanted}, got {given.shape}")
    with np.errstate(over="ignore"):  # numbers that overflow become infinite and are refused
        Y = np.ascontiguousarray(table, dtype, like=table)
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
