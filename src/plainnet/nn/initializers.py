"""Initializers: he, xavier, lecun, orthogonal, zeros, ones, constant:VALUE, normal:STD."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from collections.abc import Callable

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array

Draw = Callable[[tuple[int, ...], "np.random.Generator"], Array]


def _normal(std: float) -> Draw:
    return lambda shape, rng: rng.standard_normal(shape) * std


def _scaled(gain: float, both: bool = False, uniform: bool = False) -> Draw:
    """Variance gain / fan, the fan being n_in or the mean of n_in and n_out.

    In a convolution, a number has an input for each pixel of the kernel.
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        n_out, n_in = shape[0] * math.prod(shape[1:-1]), math.prod(shape[1:])
        variance = gain / ((n_in + n_out) / 2 if both else n_in)
        if uniform:
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        return rng.standard_normal(shape) * math.sqrt(variance)

    return draw


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    n_out, n_in = shape[0], math.prod(shape[1:])
    Q, R = np.linalg.qr(rng.standard_normal((max(n_out, n_in), min(n_out, n_in))))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)  # without the signs Q is not uniformly distributed
    return (Q if n_out >= n_in else Q.T).reshape(shape)


def _constant(value: float) -> Draw:
    return lambda shape, rng: np.full(shape, value)


INITIALIZERS: dict[str, Draw] = {
    "he_normal": _scaled(2.0),
    "he_uniform": _scaled(2.0, uniform=True),
    "xavier_normal": _scaled(1.0, both=True),
    "xavier_uniform": _scaled(1.0, both=True, uniform=True),
    "lecun_normal": _scaled(1.0),
    "lecun_uniform": _scaled(1.0, uniform=True),
    "orthogonal": _orthogonal,
    "zeros": _constant(0.0),
    "ones": _constant(1.0),
}
INITIALIZERS_WITH_NUMBER: dict[str, Callable[[float], Draw]] = {
    "constant": _constant,
    "normal": _normal,
}


def initializer(name: str) -> Draw:
    """Return an initializer by name.

    Parameters
    ----------
    name : str
        ``he_normal``, ``he_uniform`` (He et al., 2015: variance 2 / n_in, for ReLU),
        ``xavier_normal``, ``xavier_uniform`` (Glorot and Bengio, 2010: variance
        2 / (n_in + n_out), for tanh and sigmoid), ``lecun_normal``, ``lecun_uniform`` (LeCun et
        al., 1998: variance 1 / n_in), ``orthogonal`` (Saxe et al., 2014), ``zeros``, ``ones``,
        ``constant:VALUE`` or ``normal:STD`` (such as ``normal:0.01``).

    Returns
    -------
    callable
        ``draw(shape, rng)`` gives a float64 array; weights have shape (n_out, n_in), or
        (n_out, height, width, n_in).

    Raises
    ------
    PlainnetError
        If the name is unknown or its number is not finite.

    Examples
    --------
    >>> W = initializer("he_normal")((500, 200), np.random.default_rng(0))
    >>> round(float(W.std()), 2)
    0.1
    """
    if isinstance(name, str) and name in INITIALIZERS:
        return INITIALIZERS[name]
    kind, _, number = str(name).partition(":")
    if kind not in INITIALIZERS_WITH_NUMBER:
        known = ", ".join([*INITIALIZERS, *(f"{k}:NUMBER" for k in INITIALIZERS_WITH_NUMBER)])
        raise PlainnetError(f"unknown initializer {name!r}: expected one of {known}")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (kind == "normal" and value < 0):
        raise PlainnetError(
            f"initializer {name!r} needs a finite number after the colon, "
            f"for normal at least 0, such as '{kind}:0.01'"
        )
    return INITIALIZERS_WITH_NUMBER[kind](value)


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Make a generator from a seed; return a generator unchanged."""
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise PlainnetError(
            f"a seed is a whole number of at least 0 or a numpy.random.Generator, got {seed!r}"
        )
    return np.random.default_rng(seed)
