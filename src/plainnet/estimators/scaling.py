"""Scaling: columns to mean 0 and deviation 1, and back."""

from dataclasses import dataclass
from typing import final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array


@final
@dataclass(frozen=True, eq=False)
class Scaling:
    """The mean and the standard deviation of each column, as training rows have them.

    Attributes
    ----------
    mean, scale : array of shape (n,)
        A column that does not vary has its value as the mean, so that it becomes exactly 0, and
        the scale 1.
    varies : bool array of shape (n,)
        Which columns vary, by more than rounding errors.

    Examples
    --------
    >>> scaling = Scaling.of(np.array([[1.0, 5.0], [3.0, 5.0]]), None, "X")
    >>> scaling.apply(np.array([[3.0, 6.0]]))
    array([[1., 1.]])
    >>> scaling.undo(np.array([[1.0, 1.0]]))
    array([[3., 6.]])
    """

    mean: Array
    scale: Array
    varies: Array

    @classmethod
    def of(cls, X: Array, weight: Array | None, name: str) -> "Scaling":
        """Measure columns.

        Parameters
        ----------
        X : array of shape (m, n)
            Finite.
        weight : array of shape (m,) or None
            A row of weight 2 counts as two rows.
        name : str
            What X is called in a message.

        Returns
        -------
        Scaling

        Raises
        ------
        PlainnetError
            If a column is too large to be squared.

        Examples
        --------
        >>> Scaling.of(np.array([[0.0], [3.0]]), np.array([2.0, 1.0]), "X").mean
        array([1.])
        """
        X = X.astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(X, axis=0, weights=weight)
            mean = np.where((X[0] == X).all(axis=0), X[0], mean)  # an average may be a bit off
            scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
        if not np.isfinite(scale).all():
            column = int(np.argmin(np.isfinite(scale)))
            raise PlainnetError(
                f"column {column} of {name} holds numbers too large to be standardised "
                f"(up to {np.abs(X[:, column]).max():.3g}): divide them by a constant first"
            )
        varies = scale > 10 * np.finfo(np.float64).eps * np.abs(mean)
        return cls(mean, np.where(varies, scale, 1.0), varies)

    @classmethod
    def of_constants(cls, X: Array) -> "Scaling":
        """Leave columns as they are, but for those that do not vary, which become 0.

        Examples
        --------
        >>> Scaling.of_constants(np.array([[1.0, 5.0], [3.0, 5.0]])).apply(np.array([[3.0, 6.0]]))
        array([[3., 1.]])
        """
        varies = (X[0] != X).any(axis=0)
        return cls(np.where(varies, 0, X[0]), np.ones_like(X[0]), varies)

    def apply(self, X: Array) -> Array:
        """Return (X - mean) / scale.

        Parameters
        ----------
        X : array of shape (m, n)
            Rows.

        Returns
        -------
        float64 array of shape (m, n)

        Examples
        --------
        >>> Scaling.of(np.array([[-1.0], [3.0]]), None, "X").apply(np.array([[5.0]]))
        array([[2.]])
        """
        return (X - self.mean) / self.scale

    def undo(self, Z: Array) -> Array:
        """Return Z scale + mean.

        Parameters
        ----------
        Z : array of shape (m, n)
            Standardised numbers.

        Returns
        -------
        float64 array of shape (m, n)

        Examples
        --------
        >>> Scaling.of(np.array([[-1.0], [3.0]]), None, "X").undo(np.array([[2.0]]))
        array([[5.]])
        """
        return Z * self.scale + self.mean
