"""Scaling of columns to mean 0 and standard deviation 1, and back."""

from dataclasses import dataclass
from typing import final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array


@final
@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation of each column of the training rows."""

    mean: Array
    scale: Array
    varies: Array  # which columns vary by more than rounding errors

    @classmethod
    def of(cls, X: Array, weight: Array | None, name: str) -> "Scaling":
        """Compute mean and standard deviation of each column."""
        X = X.astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(X, axis=0, weights=weight)
            mean = np.where((X[0] == X).all(axis=0), X[0], mean)  # an average may be a bit off
            scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
        if not np.isfinite(scale).all():
            column = int(np.argmin(np.isfinite(scale)))
            raise PlainnetError(
                f"column {column} of {name} holds numbers too large to be standardized "
                f"(up to {np.abs(X[:, column]).max():.3g}): divide them by a constant first"
            )
        varies = scale > 10 * np.finfo(np.float64).eps * np.abs(mean)
        return cls(mean, np.where(varies, scale, 1.0), varies)

    @classmethod
    def of_channels(cls, X: Array) -> "Scaling":
        """Compute mean and standard deviation of each channel of pictures, in little memory."""
        mean, squares = X.mean(axis=(0, 1, 2), dtype=np.float64), np.zeros(X.shape[3])
        for picture in X:
            squares += np.square(picture - mean).sum(axis=(0, 1))
        scale = np.sqrt(squares / (X.size / len(mean)))
        varies = scale > 10 * np.finfo(np.float64).eps * np.abs(mean)
        return cls(mean, np.where(varies, scale, 1.0), varies)

    @classmethod
    def of_constants(cls, X: Array) -> "Scaling":
        """Set columns that do not vary to 0, and leave the others unchanged."""
        varies = (X[0] != X).any(axis=0)
        return cls(np.where(varies, 0, X[0]), np.ones_like(X[0]), varies)

    def apply(self, X: Array) -> Array:
        """Return (X - mean) / scale."""
        return (X - self.mean) / self.scale

    def undo(self, Z: Array) -> Array:
        """Return Z scale + mean."""
        return Z * self.scale + self.mean
