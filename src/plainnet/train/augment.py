"""Augment: random changes of training pictures that leave their class unchanged."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array

Augmentation = Callable[[Array, "np.random.Generator"], Array]
SHIFT = 0.1  # largest shift, as a share of the side
TURN = 0.2  # largest turn, in radians
ZOOM = 0.1  # largest change of the size
LIGHT = 0.2  # largest change of brightness and contrast


def shift(X: Array, rng: np.random.Generator) -> Array:
    """Move each picture by up to a tenth of its side, rounded; border pixels are repeated."""
    m, height, width = X.shape[:3]
    down, right = (np.trunc(rng.uniform(-1, 1, m) * (round(SHIFT * n) + 1)) for n in X.shape[1:3])
    rows, columns = np.arange(height) - down[:, None], np.arange(width) - right[:, None]
    return _pixels(X, rows[:, :, None], columns[:, None])


def flip(X: Array, rng: np.random.Generator) -> Array:
    """Mirror half of the pictures, left and right exchanged."""
    mirrored = rng.random(len(X)) < 0.5
    return np.where(mirrored[:, None, None, None], X[:, :, ::-1], X)


def turn(X: Array, rng: np.random.Generator) -> Array:
    """Turn and zoom each picture about its center; the nearest pixel is taken."""
    m, height, width = X.shape[:3]
    angle, zoom = rng.uniform(-TURN, TURN, m), 1 + rng.uniform(-ZOOM, ZOOM, m)
    sin, cos = ((f(angle) / zoom)[:, None, None] for f in (np.sin, np.cos))
    y, x = np.ogrid[:height, :width]
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    rows, columns = cos * y - sin * x + (height - 1) / 2, sin * y + cos * x + (width - 1) / 2
    return _pixels(X, rows, columns)


def light(X: Array, rng: np.random.Generator) -> Array:
    """Change brightness and contrast of each picture."""
    gain, offset = 1 + rng.uniform(-LIGHT, LIGHT, (2, len(X), 1, 1, 1)).astype(np.float32)
    mean = X.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
    lit: Array = np.clip((X - mean) * gain + mean * offset, 0, 255).astype(X.dtype)
    return lit


AUGMENTATIONS: dict[str, Augmentation] = {
    "shift": shift,
    "flip": flip,
    "turn": turn,
    "light": light,
}


def augmentation(names: Sequence[str]) -> Augmentation | None:
    """Return a function that applies augmentations in turn to uint8 pictures; None for no names.

    Parameters
    ----------
    names : sequence of str
        ``shift``, ``flip``, ``turn`` (with a small zoom) or ``light`` (brightness and contrast).

    Returns
    -------
    callable or None
        ``augment(X, rng)`` gives new pictures of the same shape and type.

    Raises
    ------
    PlainnetError
        If a name is unknown.

    Examples
    --------
    >>> X = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    >>> augmentation(["flip"])(X, np.random.default_rng(1))[0, :, :, 0]
    array([[0, 3],
           [6, 9]], dtype=uint8)
    """
    if unknown := set(names) - set(AUGMENTATIONS):
        raise PlainnetError(
            f"unknown augmentation {min(unknown)!r}: expected some of {', '.join(AUGMENTATIONS)}"
        )
    return partial(_in_turn, names) if names else None


def _in_turn(names: Sequence[str], X: Array, rng: np.random.Generator) -> Array:
    for name in names:
        X = AUGMENTATIONS[name](X, rng)
    return X


def _pixels(X: Array, rows: Array, columns: Array) -> Array:
    """Return the pixel nearest to each position; beyond the border, the border's."""
    height, width = X.shape[1:3]
    rows = np.rint(rows).clip(0, height - 1).astype(np.intp)
    columns = np.rint(columns).clip(0, width - 1).astype(np.intp)
    return X[np.arange(len(X))[:, None, None], rows, columns]
