"""Members: networks side by side in one; each leaves out one fold of the rows, to validate with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from plainnet.nn.losses import Loss
from plainnet.nn.parameters import Array

Metric = Callable[[Array, Array], float]


class Members(NamedTuple):
    """The members of a network whose last layer is a `GroupedDense`, and the fold of each row.

    Attributes
    ----------
    k : int
        The number of members; their outputs stand side by side.
    fold : int array of shape (m,)
        Member j trains on all rows but those of fold j, and validates with these.

    Examples
    --------
    >>> members = Members(2, np.array([0, 1, 1]))
    >>> members.weights(None)
    array([[0., 1.],
           [1., 0.],
           [1., 0.]])
    >>> members.validating(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    array([[1.],
           [4.],
           [6.]])
    """

    k: int
    fold: Array

    def weights(self, weight: Array | None) -> Array:
        """Return the weight of each row for each member, 0 for rows of its own fold."""
        trains: Array = (self.fold[:, None] != np.arange(self.k)).astype(float)
        if weight is not None:
            trains *= weight[:, None]
        return trains

    def validating(self, Z: Array) -> Array:
        """Return for each row the output of the member that has not trained on it."""
        own: Array = Z.reshape(len(Z), self.k, -1)[np.arange(len(Z)), self.fold]
        return own

    def losses(self, loss: Loss, Z: Array, y: Array) -> Array:
        """Return the mean loss of each member's own fold."""
        sums = np.bincount(self.fold, loss.per_example(Z, y), self.k)
        counts = np.bincount(self.fold, minlength=self.k)
        return np.asarray(sums / counts)


def metric_of_mean(metric: Metric | None, members: Members | None) -> Metric | None:
    """Return the metric of the mean of the members' outputs."""
    if metric is None or members is None:
        return metric
    return lambda Z, y: metric(Z.reshape(len(Z), members.k, -1).mean(axis=1), y)


def loss_and_gradient(loss: Loss, Z: Array, y: Array, weight: Array | None) -> tuple[float, Array]:
    """Return a loss and dZ; weights (m, k) are those of k members, each with its own loss."""
    if weight is None or weight.ndim == 1:
        return loss(Z, y, weight)
    k = weight.shape[1]
    value, dZ = loss(Z.reshape(len(Z) * k, -1), y.repeat(k, axis=0), weight.ravel())
    return value, dZ.reshape(Z.shape)
