"""PiecewiseLinear: each number becomes one number per bin of its feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.layers import LAYERS, Layer, Shape
from plainnet.nn.parameters import Array, ParameterSpec
from plainnet.nn.registry import register
from plainnet.nn.validation import positive_int


@register(LAYERS)
@final
class PiecewiseLinear(Layer):
    """Write each number as how far it fills each bin of its feature, from -1/2 to 1/2.

    Bin t of feature f reaches from low_t to high_t, where the next begins:

        Y_t = clip((X_f - low_t) / (high_t - low_t), 0, 1) - 1/2.

    A weighted sum of these is a line with a bend at each edge, so the first dense layer learns a
    curve for each feature; and no outlier is larger than 1/2 (Gorishniy, Rubachev and Babenko,
    2022). The edges are not trained: `set_edges` takes them from quantiles of the training rows.

    Parameters
    ----------
    bins : sequence of int
        The number of bins of each feature, in the order of the features.

    Raises
    ------
    PlainnetError
        If a number of bins is not a whole number of at least 1.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([PiecewiseLinear([2, 1])], n_in=2)
    >>> net.layers[0].set_edges([np.array([0.0, 1.0, 3.0]), np.array([0.0, 1.0])])
    >>> net.forward([[0.5, 1.0], [2.0, 0.0], [9e30, 0.0]])
    array([[ 0. , -0.5,  0.5],
           [ 0.5,  0. , -0.5],
           [ 0.5,  0.5, -0.5]], dtype=float32)
    """

    options = ("bins",)
    has_kink = True
    formula = "Y_t = clip((X_f - low_t) / (high_t - low_t), 0, 1) - 1/2 for each bin t of feature f"
    gradient_formulas = ("dX = sum over t of dY_t / (high_t - low_t) where low_t < X_f < high_t",)
    low: Array
    high: Array

    def __init__(self, bins: Sequence[int]) -> None:
        self.bins = tuple(positive_int("PiecewiseLinear", "bins", n) for n in bins)

    def build(self, in_shape: Shape) -> Shape:
        """Return the number of bins of all features; the input must be flat."""
        if in_shape != (len(self.bins),):
            raise PlainnetError(
                f"PiecewiseLinear {self.name!r} has bins for {len(self.bins)} features, got rows "
                f"of shape {in_shape}"
            )
        n = sum(self.bins)
        self.specs = [
            ParameterSpec("low", (n,), "state", "zeros"),
            ParameterSpec("high", (n,), "state", "ones"),
        ]
        self._feature = np.repeat(np.arange(len(self.bins)), self.bins)
        self._start = np.cumsum((0, *self.bins[:-1]))
        return (n,)

    def set_edges(self, edges: Sequence[Array]) -> None:
        """Set the edges of each feature's bins, such as `quantile_edges` gives them.

        Parameters
        ----------
        edges : sequence of array
            For each feature one rising number more than it has bins.

        Examples
        --------
        >>> from plainnet.nn import Sequential
        >>> layer = Sequential([PiecewiseLinear([2])], n_in=1).layers[0]
        >>> layer.set_edges([np.array([0.0, 1.0, 3.0])])
        >>> layer.low, layer.high
        (array([0., 1.], dtype=float32), array([1., 3.], dtype=float32))
        """
        self.low[...] = np.concatenate([e[:-1] for e in edges])
        self.high[...] = np.concatenate([e[1:] for e in edges])

    def forward(self, X: Array, train: bool) -> Array:
        """Y_t = clip((X_f - low_t) / (high_t - low_t), 0, 1) - 1/2 for each bin t of feature f."""
        Y = X.take(np.asarray(self._feature, like=X), axis=1)
        Y -= self.low
        Y /= self.high - self.low
        np.clip(Y, 0, 1, out=Y)
        Y -= 0.5
        self.Y = Y
        return Y

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = sum over t of dY_t / (high_t - low_t) where low_t < X_f < high_t."""
        if not need_dX:
            return None
        slopes = dY * (np.abs(self.Y) < 0.5) / (self.high - self.low)
        return np.add.reduceat(slopes, np.asarray(self._start, like=dY), axis=1)


def quantile_edges(X: Array, bins: int) -> list[Array]:
    """Return edges for each feature, so that about equally many rows fall into each bin.

    Parameters
    ----------
    X : array of shape (m, n)
        The training rows.
    bins : int
        The largest number of bins of a feature; equal quantiles make fewer.

    Returns
    -------
    list of array
        For each feature 2 to bins + 1 rising numbers.

    Examples
    --------
    >>> quantile_edges(np.array([[1.0, 0.0], [2.0, 1.0], [4.0, 0.0]]), 2)
    [array([1., 2., 4.]), array([0., 1.])]
    """
    # numbers of the rows themselves, so that a yes/no feature has one bin
    quantiles = np.quantile(X, np.linspace(0, 1, bins + 1), axis=0, method="inverted_cdf")
    edges = [np.unique(column) for column in quantiles.T.astype(X.dtype)]
    return [e if len(e) > 1 else np.array([e[0], e[0] + 1], X.dtype) for e in edges]
