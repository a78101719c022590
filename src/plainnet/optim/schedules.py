"""Learning-rate schedules: the rate of each step; a step is one batch, counted from 0."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from plainnet.errors import PlainnetError
from plainnet.nn.validation import check_range, positive_int

RANGES = {"lr": "(0, inf)", "factor": "(0, inf)", "rise": "(0, 1)", "final": "[0, inf)"}


class Schedule(ABC):
    """A function from the number of a step to its learning rate.

    To add a schedule, define ``__call__``.

    Examples
    --------
    >>> from plainnet.optim import SGD
    >>> class InverseTime(Schedule):
    ...     def __call__(self, step):
    ...         return 1.0 / (1 + step)
    >>> [SGD(lr=InverseTime()).lr_at(step) for step in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0.

        Parameters
        ----------
        step : int
            At least 0.

        Returns
        -------
        float
            Above 0, or 0 at the end.
        """


@dataclass(frozen=True)
class _Schedule(Schedule):
    """Base class of schedules whose arguments have the same ranges."""

    lr: float

    @final
    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name, value in vars(self).items():
            if name in RANGES:
                check_range(owner, name, value, RANGES[name])
            else:
                positive_int(owner, name, value)


@final
@dataclass(frozen=True)
class Constant(_Schedule):
    """A constant learning rate.

    Parameters
    ----------
    lr : float
        Above 0.

    Raises
    ------
    PlainnetError
        If lr is not a finite number above 0.

    Examples
    --------
    >>> Constant(0.1)(500)
    0.1
    """

    def __call__(self, step: int) -> float:
        """Return lr."""
        return self.lr


@final
@dataclass(frozen=True)
class StepDecay(_Schedule):
    """Multiply the rate by ``factor`` after every ``every`` steps.

    Parameters
    ----------
    lr : float
        The rate of the first step, above 0.
    every : int
        Steps between two changes, at least 1.
    factor : float, default 0.5
        Above 0.

    Raises
    ------
    PlainnetError
        If an argument is out of range.

    Examples
    --------
    >>> [StepDecay(1.0, every=10)(step) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    every: int
    factor: float = 0.5

    def __call__(self, step: int) -> float:
        """Return lr factor^floor(step / every)."""
        return self.lr * self.factor ** (step // self.every)


@final
@dataclass(frozen=True)
class Exponential(_Schedule):
    """Decrease the rate smoothly, by ``factor`` every ``every`` steps.

    Parameters
    ----------
    lr : float
        The rate of the first step, above 0.
    every : int
        Steps in which the rate is multiplied by ``factor`` once, at least 1.
    factor : float, default 0.5
        Above 0.

    Raises
    ------
    PlainnetError
        If an argument is out of range.

    Examples
    --------
    >>> round(Exponential(1.0, every=10)(5), 4)
    0.7071
    """

    every: int
    factor: float = 0.5

    def __call__(self, step: int) -> float:
        """Return lr factor^(step / every)."""
        return self.lr * math.pow(self.factor, step / self.every)


@final
@dataclass(frozen=True)
class Cosine(_Schedule):
    """Decrease the rate along half a cosine to ``final`` (Loshchilov and Hutter, 2017).

    Parameters
    ----------
    lr : float
        The rate of the first step, above 0.
    steps : int
        The step at which the rate reaches ``final``, where it stays.
    final : float, default 0.0
        The last rate, at least 0.

    Raises
    ------
    PlainnetError
        If an argument is out of range.

    Examples
    --------
    >>> [round(Cosine(1.0, steps=100)(step), 3) for step in (0, 50, 100, 200)]
    [1.0, 0.5, 0.0, 0.0]
    """

    steps: int
    final: float = 0.0

    def __call__(self, step: int) -> float:
        """Return final + (lr - final) (1 + cos(pi step / steps)) / 2."""
        done = min(step / self.steps, 1)
        return _between(self.lr, self.final, done)


@final
@dataclass(frozen=True)
class WarmUp(Schedule):
    """Increase the rate linearly over the first steps, then follow another schedule.

    Parameters
    ----------
    then : Schedule
        The schedule after the rise, which starts with its step 0.
    steps : int
        The length of the rise, at least 1 (Goyal et al., 2017).

    Raises
    ------
    PlainnetError
        If ``then`` is not a schedule, or steps is below 1.

    Examples
    --------
    >>> [WarmUp(Constant(1.0), steps=4)(step) for step in (0, 1, 3, 4, 9)]
    [0.25, 0.5, 1.0, 1.0, 1.0]
    """

    then: Schedule
    steps: int

    def __post_init__(self) -> None:
        if not isinstance(self.then, Schedule):
            raise PlainnetError(
                f"WarmUp: then must be a schedule such as Constant(0.1), got {self.then!r}"
            )
        positive_int("WarmUp", "steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return then(0) (step + 1) / steps, and then(step - steps) after the rise."""
        if step < self.steps:
            return self.then(0) * (step + 1) / self.steps
        return self.then(step - self.steps)


@final
@dataclass(frozen=True)
class OneCycle(_Schedule):
    """Increase the rate to a peak, then decrease it to near zero (Smith and Topin, 2019).

    Parameters
    ----------
    lr : float
        The peak, above 0; the first rate is a 25th of it.
    steps : int
        The length of the cycle, at least 1.
    rise : float, default 0.3
        The share of the steps before the peak, in (0, 1).
    final : float, default 4e-6
        The last rate as a share of the peak, at least 0.

    Raises
    ------
    PlainnetError
        If an argument is out of range.

    Examples
    --------
    >>> [round(OneCycle(1.0, steps=100)(step), 3) for step in (0, 30, 100)]
    [0.04, 1.0, 0.0]
    """

    steps: int
    rise: float = 0.3
    final: float = 4e-6

    def __call__(self, step: int) -> float:
        """Return the rate, which rises along half a cosine and falls along another."""
        top = self.rise * self.steps
        if step < top:
            return _between(self.lr / 25, self.lr, step / top)
        return _between(self.lr, self.lr * self.final, min((step - top) / (self.steps - top), 1))


def _between(start: float, stop: float, done: float) -> float:
    """Interpolate from start (done = 0) to stop (done = 1) along half a cosine."""
    return start + (stop - start) * (1 - math.cos(math.pi * done)) / 2


# Schedules by name, made from the first (or highest) rate and the number of steps.
SCHEDULES: dict[str, Callable[[float, int], Schedule]] = {
    "constant": lambda lr, steps: Constant(lr),
    "step": lambda lr, steps: StepDecay(lr, every=max(steps // 10, 1)),
    "exponential": lambda lr, steps: Exponential(lr, every=max(steps // 10, 1)),
    "cosine": Cosine,
    "onecycle": OneCycle,
}
