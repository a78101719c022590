"""Members: networks side by side in one; each leaves out one fold of the rows, to validate with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from plainnet.nn.ensemble import group
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import Ranks

Metric = Callable[[Array, Array], float]


class Members(NamedTuple):
    """The members of a network whose last layer is a `GroupedDense`, and the fold of each row.

    Attributes
    ----------
    k : int
        The number of members; their outputs stand side by side.
    fold : int array of shape (m,)
        Member j trains on all rows but those of fold j, and validates with these.
    cycle : int array, optional
        The folds of rows that stay in a file, by their numbers and over and over again; ``fold`` is
        that of the rows to validate with, some of them.

    Examples
    --------
    >>> members = Members(2, np.array([0, 1, 1]))
    >>> members.weights(None)
    array([[0., 1.],
           [1., 0.],
           [1., 0.]])
    """

    k: int
    fold: Array
    cycle: Array | None = None

    def weights(self, weight: Array | None) -> Array:
        """Return the weight of each row for each member, 0 for rows of its own fold."""
        trains: Array = (self.fold[:, None] != np.arange(self.k)).astype(float)
        if weight is not None:
            trains *= weight[:, None]
        return trains

    def of_rows(self, numbers: Array) -> Members:
        """Return the members with the folds of some rows that stay in a file."""
        assert self.cycle is not None  # for the type checker
        return self._replace(fold=self.cycle.take(numbers, mode="wrap"))

    def validating(self, net: Sequential, X: Array, transform: Transform | None = None) -> Array:
        """Return for each row the output of the member that has not trained on it."""
        Z = np.empty((len(X), net.n_out // self.k), net.dtype)
        for j in range(self.k):
            out = self.fold == j
            Z[out] = group(net, j).predict_logits(X[out], transform=transform)
        return Z

    def predictor(self, net: Sequential, ranks: Ranks) -> Callable[..., Array]:
        """Return `validating` for this rank's share of the rows."""
        share = self._replace(fold=self.fold[ranks.share(len(self.fold))])
        return partial(share.validating, net)

    def losses(self, loss: Loss, Z: Array, y: Array) -> Array:
        """Return the mean loss of each member's own fold."""
        sums = np.bincount(self.fold, loss.per_example(Z, y), self.k)
        counts = np.bincount(self.fold, minlength=self.k)
        return np.asarray(sums / counts)


def by_member(Z: Array, y: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
    """Return outputs, targets and weights with a row for each member, if weights are (m, k)."""
    if weight is None or weight.ndim == 1:
        return Z, y, weight
    k = weight.shape[1]
    return Z.reshape(len(Z) * k, -1), y.repeat(k, axis=0), weight.ravel()


def loss_and_gradient(loss: Loss, Z: Array, y: Array, weight: Array | None) -> tuple[float, Array]:
    """Return a loss and dZ; weights (m, k) are those of k members, each with its own loss."""
    value, dZ = loss(*by_member(Z, y, weight))
    return value, dZ.reshape(Z.shape)
