"""Synthetic data from a seed: a survey, points in the plane, and drawn pictures."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plainnet.data.synthetic_pictures import pandas_and_bears
from plainnet.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "blobs",
    "circles",
    "flower",
    "introverts",
    "moons",
    "pandas_and_bears",
    "spiral",
    "surface",
]

Points = tuple[NDArray[np.float64], NDArray[np.int64]]

_CONTRARY = 0.05  # share of the people who answer like the other type
_MISSING = 0.0227  # share of the cells, so that 15 % of the rows miss at least one
# Column, highest count, and its mean at introversion 0 and 1.
_COUNTS = (
    ("Time_spent_Alone", 11, 0.3, 9.4),
    ("Social_event_attendance", 10, 7.6, 0.2),
    ("Going_outside", 7, 5.9, 0.1),
    ("Friends_circle_size", 15, 12.4, 1.4),
    ("Post_frequency", 10, 7.3, 0.1),
)
_ANSWERS = (("Stage_fear", 1), ("Drained_after_socializing", 4))  # column and its position


def introverts(n: int = 2000, seed: int = 0) -> "pd.DataFrame":
    """Simulate a survey of introverts and extroverts.

    Each person has an introversion between 0 and 1, low or high by type, and all answers follow
    from it with some noise. About one person in twenty answers like the other type, which no
    network can foresee. About 15 % of the rows miss a cell.

    Parameters
    ----------
    n : int, default 2000
        The number of people, at least 2.
    seed : int, default 0
        The same seed gives the same survey.

    Returns
    -------
    pandas.DataFrame
        With n rows and the columns `Time_spent_Alone` (hours a day, 0 to 11), `Stage_fear` (Yes
        or No), `Social_event_attendance` (a month, 0 to 10), `Going_outside` (days a week, 0 to
        7), `Drained_after_socializing` (Yes or No), `Friends_circle_size` (0 to 15),
        `Post_frequency` (a week, 0 to 10) and `Personality` (Introvert or Extrovert, which is
        never missing).

    Raises
    ------
    DataError
        Where `n` is below 2.

    Examples
    --------
    >>> survey = introverts(n=500, seed=0)
    >>> survey.shape, sorted(set(survey["Personality"]))
    ((500, 8), ['Extrovert', 'Introvert'])
    """
    import pandas as pd

    _require_n(n)
    rng = np.random.default_rng(seed)
    introvert = rng.random(n) < 0.49
    acts_introverted = introvert ^ (rng.random(n) < _CONTRARY)
    introversion = np.where(acts_introverted, rng.beta(6.5, 1.5, n), rng.beta(1.5, 6.5, n))
    survey = pd.DataFrame()
    for name, most, at_0, at_1 in _COUNTS:
        mean = at_0 + (at_1 - at_0) * introversion
        counts = np.rint(np.clip(rng.normal(mean, 0.13 * most), 0, most))
        survey[name] = np.where(rng.random(n) < _MISSING, np.nan, counts)
    for name, position in _ANSWERS:
        yes = rng.random(n) < 1 / (1 + np.exp(-18 * (introversion - 0.5)))
        answers = np.where(yes, "Yes", "No").astype(object)
        answers[rng.random(n) < _MISSING] = None
        survey.insert(position, name, answers)
    survey["Personality"] = np.where(introvert, "Introvert", "Extrovert")
    return survey


def moons(n: int = 300, noise: float = 0.2, seed: int = 0) -> Points:
    """Draw two interleaving half moons.

    The numbers come from NumPy's legacy stream, `numpy.random.RandomState(seed)`, so that
    n = 300, noise = 0.2 and seed = 3 give the points of the course's optimization assignment.

    Parameters
    ----------
    n : int, default 300
        The number of points.
    noise : float, default 0.2
        The standard deviation of the noise.
    seed : int, default 0
        The same seed gives the same points.

    Returns
    -------
    X : ndarray of float64, shape (n, 2)
        The points.
    y : ndarray of int64, shape (n,)
        0 or 1.

    Examples
    --------
    >>> X, y = moons(6)
    >>> X.shape, y.tolist()
    ((6, 2), [1, 0, 0, 1, 0, 1])
    """
    _require_n(n, noise)
    a, b = np.linspace(0, np.pi, n // 2), np.linspace(0, np.pi, n - n // 2)
    upper = np.column_stack([np.cos(a), np.sin(a)])
    lower = np.column_stack([1 - np.cos(b), 1 - np.sin(b) - 0.5])
    return _shuffled(upper, lower, noise, seed)


def circles(n: int = 300, noise: float = 0.05, seed: int = 0) -> Points:
    """Draw a circle of radius 0.8 inside one of radius 1.

    The numbers come from NumPy's legacy stream, `numpy.random.RandomState(seed)`, so that
    n = 300, noise = 0.05 and seed = 1 give the training points of the course's initialization
    assignment, and n = 100 with seed = 2 its test points.

    Parameters
    ----------
    n : int, default 300
        The number of points.
    noise : float, default 0.05
        The standard deviation of the noise.
    seed : int, default 0
        The same seed gives the same points.

    Returns
    -------
    X : ndarray of float64, shape (n, 2)
        The points.
    y : ndarray of int64, shape (n,)
        0 or 1.

    Examples
    --------
    >>> X, y = circles(6)
    >>> X.shape, y.tolist()
    ((6, 2), [1, 0, 0, 1, 0, 1])
    """
    _require_n(n, noise)
    a = np.linspace(0, 2 * np.pi, n // 2, endpoint=False)
    b = np.linspace(0, 2 * np.pi, n - n // 2, endpoint=False)
    outer = np.column_stack([np.cos(a), np.sin(a)])
    inner = np.column_stack([np.cos(b), np.sin(b)]) * 0.8
    return _shuffled(outer, inner, noise, seed)


def flower(n: int = 400, seed: int = 0) -> Points:
    """Draw a flower with petals of two classes, the planar data.

    The numbers come from NumPy's legacy stream, `numpy.random.RandomState(seed)`, so that
    n = 400 and seed = 1 give the points of the course's planar assignment. They are not
    shuffled: class 0 comes first.

    Parameters
    ----------
    n : int, default 400
        The number of points.
    seed : int, default 0
        The same seed gives the same points.

    Returns
    -------
    X : ndarray of float64, shape (n, 2)
        The points.
    y : ndarray of int64, shape (n,)
        0 or 1.

    Examples
    --------
    >>> X, y = flower(6)
    >>> X.shape, y.tolist()
    ((6, 2), [0, 0, 0, 1, 1, 1])
    """
    _require_n(n)
    stream = np.random.RandomState(seed)
    sides = []
    for j, points in enumerate((n // 2, n - n // 2)):
        t = np.linspace(3.12 * j, 3.12 * (j + 1), points) + 0.2 * stream.randn(points)
        rho = 4 * np.sin(4 * t) + 0.2 * stream.randn(points)
        sides.append(np.column_stack([rho * np.sin(t), rho * np.cos(t)]))
    return np.vstack(sides), _halves(n)


def spiral(
    n: int = 300, classes: int = 3, noise: float = 0.2, seed: int = 0, turn: float = 4.0
) -> Points:
    """Draw one spiral arm for each class.

    Parameters
    ----------
    n : int, default 300
        The number of points.
    classes : int, default 3
        The number of classes, at least 2.
    noise : float, default 0.2
        The standard deviation of the noise.
    seed : int, default 0
        The same seed gives the same points.
    turn : float, default 4.0
        The angle by which an arm turns, in radians.

    Returns
    -------
    X : ndarray of float64, shape (n, 2)
        The points.
    y : ndarray of int64, shape (n,)
        Class numbers from 0.

    Examples
    --------
    >>> X, y = spiral(6)
    >>> X.shape, y.tolist()
    ((6, 2), [0, 1, 2, 0, 1, 2])
    """
    if classes < 2:
        raise DataError(f"a spiral needs at least 2 classes, got {classes}")
    _require_n(n, noise, least=classes)
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    radius = np.sqrt(rng.random(n))
    angle = turn * radius + 2 * np.pi * y / classes + rng.normal(0, noise, n)
    return np.column_stack([radius * np.sin(angle), radius * np.cos(angle)]), y


def blobs(n: int = 300, classes: int = 3, noise: float = 0.2, seed: int = 0) -> Points:
    """Draw a normal cloud for each class, with centers evenly on a circle of radius 1.

    Parameters
    ----------
    n : int, default 300
        The number of points.
    classes : int, default 3
        The number of classes, at least 2.
    noise : float, default 0.2
        The standard deviation of each cloud.
    seed : int, default 0
        The same seed gives the same points.

    Returns
    -------
    X : ndarray of float64, shape (n, 2)
        The points.
    y : ndarray of int64, shape (n,)
        Class numbers from 0.

    Examples
    --------
    >>> X, y = blobs(6)
    >>> X.shape, y.tolist()
    ((6, 2), [0, 1, 2, 0, 1, 2])
    """
    if classes < 2:
        raise DataError(f"blobs need at least 2 classes, got {classes}")
    _require_n(n, noise, least=classes)
    y = np.arange(n) % classes
    angle = 2 * np.pi * y / classes
    centers = np.column_stack([np.sin(angle), np.cos(angle)])
    return centers + np.random.default_rng(seed).normal(0, noise, (n, 2)), y


def surface(
    n: int = 300, kind: str = "waves", noise: float = 0.1, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw points of a surface over the square from -1 to 1, for a regression.

    Parameters
    ----------
    n : int, default 300
        The number of points.
    kind : {"waves", "saddle"}, default "waves"
        y = sin(3 x1) cos(3 x2), or y = x1 x2.
    noise : float, default 0.1
        The standard deviation of the noise of y.
    seed : int, default 0
        The same seed gives the same points.

    Returns
    -------
    X : ndarray of float64, shape (n, 2)
        The points.
    y : ndarray of float64, shape (n,)
        The heights.

    Examples
    --------
    >>> X, y = surface(4, "saddle", noise=0)
    >>> bool(np.all(y == X[:, 0] * X[:, 1]))
    True
    """
    if kind not in ("waves", "saddle"):
        raise DataError(f"a surface is waves or saddle, got {kind!r}")
    _require_n(n, noise)
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 2))
    x1, x2 = X.T
    y = np.sin(3 * x1) * np.cos(3 * x2) if kind == "waves" else x1 * x2
    return X, y + rng.normal(0, noise, n)


def _shuffled(
    first: NDArray[np.float64], second: NDArray[np.float64], noise: float, seed: int
) -> Points:
    """Stack two classes, shuffle them, then add noise: in the order of the course's numbers."""
    stream = np.random.RandomState(seed)
    X, y = np.vstack([first, second]), _halves(len(first) + len(second))
    order = np.arange(len(X))
    stream.shuffle(order)
    return X[order] + stream.normal(scale=noise, size=X.shape), y[order]


def _halves(n: int) -> NDArray[np.int64]:
    return np.repeat([0, 1], [n // 2, n - n // 2]).astype(np.int64)


def _require_n(n: int, noise: float = 0.0, least: int = 2) -> None:
    if n < least:
        raise DataError(f"this sample needs n of at least {least}, got {n}")
    if not noise >= 0:
        raise DataError(f"the noise must be 0 or more, got {noise}")
