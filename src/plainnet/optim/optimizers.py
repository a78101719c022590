"""Optimizers: SGD, RMSprop, Adam, AdamW, on flat arrays and in place; gradient clipping."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.nn.registry import call_text, register
from plainnet.nn.validation import check_range
from plainnet.optim.schedules import Schedule

OPTIMIZERS: dict[str, type["Optimizer"]] = {}


class Optimizer(ABC):
    """An update rule for parameters.

    `fit` uses a copy of its optimizer, so the same object can be given to several trainings.

    To add an optimizer, define `move`, name the constructor's arguments in ``options`` (and keep
    them as attributes), and pass the names of its state arrays as ``slots``.
    ``@register(OPTIMIZERS, "name")`` makes it known to the estimators.

    Parameters
    ----------
    lr : float or Schedule
        The learning rate.
    slots : tuple of str, optional
        The names of the arrays in ``state``.

    Attributes
    ----------
    options : tuple of str
        The names of the constructor's arguments.
    lr : float or Schedule
        As given.
    current_lr : float
        The learning rate of the last step.
    t : int
        Steps taken.
    state : dict of str to array
        One array of theta's shape for each slot, zero at the start.
    decaying : bool array or None
        Which numbers are weights, which may decay.
    scratch : array
        An array of theta's shape for intermediate results.

    Raises
    ------
    PlainnetError
        If the learning rate is neither a number above 0 nor a schedule.

    Examples
    --------
    >>> class SignDescent(Optimizer):
    ...     def move(self, theta, grad, lr):
    ...         theta -= lr * np.sign(grad)
    >>> theta = np.array([1.0, 1.0])
    >>> SignDescent(lr=0.25).step(theta, np.array([5.0, -0.01]))
    >>> theta
    array([0.75, 1.25])
    """

    options: ClassVar[tuple[str, ...]] = ("lr",)

    def __init__(self, lr: float | Schedule, slots: tuple[str, ...] = ()) -> None:
        if not isinstance(lr, Schedule):
            lr = check_range(type(self).__name__, "lr", lr, "(0, inf)")
        self.lr = lr
        self.slots = slots
        self.t = 0
        self.current_lr = self.lr_at(0)
        self.decaying: Array | None = None
        self.state: dict[str, Array] = {}
        self.scratch = np.empty(0)

    __repr__ = call_text

    @final
    def lr_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0.

        Parameters
        ----------
        step : int
            At least 0.

        Returns
        -------
        float

        Examples
        --------
        >>> SGD(lr=0.1).lr_at(7)
        0.1
        """
        # float: a NumPy scalar would slow and widen the step
        return float(self.lr(step)) if isinstance(self.lr, Schedule) else self.lr

    @final
    def start(self, theta: Array, decaying: Array | None = None) -> None:
        """Reset the optimizer and allocate its state.

        Parameters
        ----------
        theta : array of shape (n,)
            The parameters to move.
        decaying : bool array of shape (n,), optional
            Which numbers are weights, which may decay; none by default.

        Examples
        --------
        >>> rule = SGD(lr=0.1, momentum=0.9)
        >>> rule.start(np.ones(3))
        >>> rule.state
        {'v': array([0., 0., 0.])}
        """
        self.t = 0
        self.decaying = decaying
        self.state = {slot: np.zeros_like(theta) for slot in self.slots}
        self.scratch = np.empty_like(theta)

    @final
    def step(self, theta: Array, grad: Array) -> None:
        """Move theta in place; the first step calls `start` if needed.

        Parameters
        ----------
        theta, grad : array of shape (n,)
            The parameters, and the derivative of the loss by them; ``grad`` is not changed.

        Raises
        ------
        PlainnetError
            If theta or grad has another size than at `start`.

        Examples
        --------
        >>> theta, rule = np.array([1.0]), SGD(lr=0.5, momentum=0.5)
        >>> for _ in range(2):
        ...     rule.step(theta, np.array([1.0]))
        >>> rule.t, theta  # 1 - 0.5 * 1 - 0.5 * 1.5
        (2, array([-0.25]))
        """
        if grad.shape != theta.shape:
            raise PlainnetError(
                f"theta has shape {theta.shape} and its gradient {grad.shape}: they must be equal"
            )
        if self.scratch.shape != theta.shape:
            if self.t:
                raise PlainnetError(
                    f"this optimizer moves {self.scratch.size} parameters, got {theta.size}: "
                    "use a new one, or call start()"
                )
            self.start(theta)
        self.current_lr = self.lr_at(self.t)
        self.t += 1
        self.move(theta, grad, self.current_lr)

    @abstractmethod
    def move(self, theta: Array, grad: Array, lr: float) -> None:
        """Move theta in place by step number ``t``, counted from 1.

        Parameters
        ----------
        theta : array of shape (n,)
            The parameters.
        grad : array of shape (n,)
            The derivative of the loss by them; not changed.
        lr : float
            The learning rate of this step.
        """


@register(OPTIMIZERS, "sgd")
@final
class SGD(Optimizer):
    """Gradient descent: theta -= lr v, v = momentum v + grad.

    Parameters
    ----------
    lr : float or Schedule, default 0.01
        The learning rate.
    momentum : float, default 0.0
        In [0, 1) (Polyak, 1964). Where momentum is written as an average,
        v = 0.9 v + 0.1 grad, the same path needs a learning rate ten times as large as here.
    nesterov : bool, default False
        Whether to look ahead: theta -= lr (grad + momentum v) (Sutskever et al., 2013).

    Raises
    ------
    PlainnetError
        If an option is out of range, or nesterov comes without momentum.

    Examples
    --------
    >>> theta = np.array([1.0])
    >>> SGD(lr=0.1).step(theta, np.array([2.0]))
    >>> theta
    array([0.8])
    """

    options = ("lr", "momentum", "nesterov")

    def __init__(
        self, lr: float | Schedule = 0.01, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        self.momentum = check_range("SGD", "momentum", momentum, "[0, 1)")
        if nesterov and not momentum:
            raise PlainnetError("SGD: nesterov needs a momentum above 0")
        self.nesterov = nesterov
        super().__init__(lr, slots=("v",) if momentum else ())

    def move(self, theta: Array, grad: Array, lr: float) -> None:
        """See the class."""
        direction = grad
        if self.momentum:
            v = self.state["v"]
            v *= self.momentum
            v += grad
            direction = grad + self.momentum * v if self.nesterov else v
        theta -= np.multiply(direction, lr, out=self.scratch)


@register(OPTIMIZERS, "rmsprop")
@final
class RMSprop(Optimizer):
    """Divide each parameter's step by a running root mean square of its gradient.

    theta -= lr grad / (sqrt(s) + eps), s = rho s + (1 - rho) grad^2 (Tieleman and Hinton, 2012).

    Parameters
    ----------
    lr : float or Schedule, default 0.001
        The learning rate.
    rho : float, default 0.9
        The decay rate of the running average, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, above 0.

    Raises
    ------
    PlainnetError
        If an option is out of range.

    Examples
    --------
    >>> theta = np.array([1.0])
    >>> RMSprop(lr=0.1, rho=0.75).step(theta, np.array([2.0]))
    >>> theta
    array([0.8])
    """

    options = ("lr", "rho", "eps")

    def __init__(self, lr: float | Schedule = 0.001, rho: float = 0.9, eps: float = 1e-8) -> None:
        self.rho = check_range("RMSprop", "rho", rho, "[0, 1)")
        self.eps = check_range("RMSprop", "eps", eps, "(0, inf)")
        super().__init__(lr, slots=("s",))

    def move(self, theta: Array, grad: Array, lr: float) -> None:
        """See the class."""
        s, scratch = self.state["s"], self.scratch
        _sum_squares(s, grad, self.rho, scratch)
        np.sqrt(s, out=scratch)
        scratch *= math.sqrt(1 - self.rho)
        scratch += self.eps
        np.divide(grad, scratch, out=scratch)
        scratch *= lr
        theta -= scratch


class _Adaptive(Optimizer):
    """Base class of Adam and AdamW: theta -= lr mhat / (sqrt(vhat) + eps)."""

    options: ClassVar[tuple[str, ...]] = ("lr", "beta1", "beta2", "eps")

    def __init__(
        self,
        lr: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        name = type(self).__name__
        self.beta1 = check_range(name, "beta1", beta1, "[0, 1)")
        self.beta2 = check_range(name, "beta2", beta2, "[0, 1)")
        self.eps = check_range(name, "eps", eps, "(0, inf)")
        super().__init__(lr, slots=("m", "v"))

    @final
    def _adapt(self, theta: Array, grad: Array, lr: float) -> None:
        """Take Adam's step in as few passes over the arrays as possible.

        The state holds decaying sums, M = beta1 M + grad and V = beta2 V + grad^2; the averages
        are m = (1 - beta1) M and v = (1 - beta2) V, their factors and the bias corrections are
        scalars: mhat = a M with a = (1 - beta1) / (1 - beta1^t), sqrt(vhat) = c sqrt(V) with
        c^2 = (1 - beta2) / (1 - beta2^t), and
        lr mhat / (sqrt(vhat) + eps) = (lr a / c) M / (sqrt(V) + eps / c).
        """
        m, v, scratch = self.state["m"], self.state["v"], self.scratch
        a = (1 - self.beta1) / (1 - self.beta1**self.t)
        c = math.sqrt((1 - self.beta2) / (1 - self.beta2**self.t))
        m *= self.beta1
        m += grad
        _sum_squares(v, grad, self.beta2, scratch)
        np.sqrt(v, out=scratch)
        scratch += self.eps / c
        np.divide(m, scratch, out=scratch)
        scratch *= lr * a / c
        theta -= scratch


@register(OPTIMIZERS, "adam")
@final
class Adam(_Adaptive):
    """Adaptive moments (Kingma and Ba, 2015).

    m = beta1 m + (1 - beta1) grad, v = beta2 v + (1 - beta2) grad^2,
    theta -= lr mhat / (sqrt(vhat) + eps), with mhat = m / (1 - beta1^t), vhat = v / (1 - beta2^t).

    Parameters
    ----------
    lr : float or Schedule, default 0.001
        The learning rate.
    beta1, beta2 : float, default 0.9 and 0.999
        The decay rates of the running averages, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, above 0.

    Raises
    ------
    PlainnetError
        If an option is out of range.

    Examples
    --------
    >>> theta = np.array([1.0, 1.0])
    >>> Adam(lr=0.1).step(theta, np.array([5.0, -0.01]))
    >>> theta.round(6)
    array([0.9, 1.1])
    """

    def move(self, theta: Array, grad: Array, lr: float) -> None:
        """See the class."""
        self._adapt(theta, grad, lr)


@register(OPTIMIZERS, "adamw")
@final
class AdamW(_Adaptive):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Before Adam's step, each weight (not bias or scale) is multiplied by 1 - lr weight_decay.

    Parameters
    ----------
    lr : float or Schedule, default 0.001
        The learning rate.
    beta1, beta2 : float, default 0.9 and 0.999
        The decay rates of the running averages, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, above 0.
    weight_decay : float, default 0.01
        At least 0.

    Raises
    ------
    PlainnetError
        If an option is out of range.

    Examples
    --------
    >>> theta, rule = np.array([1.0, 1.0]), AdamW(lr=0.1, weight_decay=0.5)
    >>> rule.start(theta, np.array([True, False]))
    >>> rule.step(theta, np.array([0.0, 0.0]))
    >>> theta
    array([0.95, 1.  ])
    """

    options = ("lr", "beta1", "beta2", "eps", "weight_decay")

    def __init__(
        self,
        lr: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        self.weight_decay = check_range("AdamW", "weight_decay", weight_decay, "[0, inf)")
        super().__init__(lr, beta1, beta2, eps)

    def move(self, theta: Array, grad: Array, lr: float) -> None:
        """See the class."""
        if self.decaying is not None:
            np.multiply(self.decaying, -lr * self.weight_decay, out=self.scratch)
            self.scratch += 1
            theta *= self.scratch
        self._adapt(theta, grad, lr)


def _sum_squares(s: Array, grad: Array, rho: float, scratch: Array) -> None:
    """s = rho s + grad^2, in place; (1 - rho) s is the running mean square."""
    np.multiply(grad, grad, out=scratch)
    s *= rho
    s += scratch


def clip_by_norm(grad: Array, limit: float, ranks: Ranks = ALONE) -> float:
    """Scale a gradient down in place where its norm is above a limit (Pascanu et al., 2013).

    Parameters
    ----------
    grad : array of shape (n,)
        Changed in place.
    limit : float
        The largest norm allowed.
    ranks : Ranks, default this process alone
        The processes of which each has a share of the gradient.

    Returns
    -------
    float
        The norm before.

    Examples
    --------
    >>> grad = np.array([3.0, 4.0])
    >>> clip_by_norm(grad, 1.0), grad
    (5.0, array([0.6, 0.8]))
    """
    norm = math.sqrt(float(grad @ grad))
    if math.isinf(norm):  # the squares overflow long before the numbers do
        norm = float(np.linalg.norm(grad.astype(np.float64)))
    norm = math.hypot(*ranks.gather(norm))
    if norm > limit:
        grad *= limit / norm
    return norm
