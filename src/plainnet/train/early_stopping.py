"""EarlyStopping, and BestWeights: a copy of the weights with the lowest validation loss."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.nn.validation import check_range, positive_int


@final
@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss no longer falls, and restore the best weights.

    Parameters
    ----------
    patience : int, default 10
        Epochs without improvement before training stops.
    min_delta : float, default 0.0
        The smallest decrease of the loss that counts as an improvement.

    Raises
    ------
    PlainnetError
        If an option is out of range.

    Examples
    --------
    >>> EarlyStopping(patience=3)
    EarlyStopping(patience=3, min_delta=0.0)
    """

    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        positive_int("EarlyStopping", "patience", self.patience)
        check_range("EarlyStopping", "min_delta", self.min_delta, "[0, inf)")


@final
class BestWeights:
    """A copy of the weights with the lowest validation loss so far, of each member its own."""

    def __init__(self, net: Sequential, rule: EarlyStopping | None, members: int = 1) -> None:
        self.net, self.rule = net, rule
        self.losses = np.full(members, math.inf)
        self.improved = 0  # members whose loss of the last epoch is their lowest
        self.epoch: int | None = None  # in which the last of them was found
        self.theta: Array | None = None

    def update(self, epoch: int, val_losses: Array) -> bool:
        """Record an epoch's validation losses; return whether patience has run out."""
        if self.rule is None:
            return False
        params = self.net.params
        if self.theta is None:
            self.theta, self.epoch = params.theta.copy(), epoch
        better = val_losses < self.losses - self.rule.min_delta
        self.improved = int(better.sum())
        if better.any():
            self.losses[better], self.epoch = val_losses[better], epoch
            if len(better) == 1:
                self.theta[...] = params.theta
            else:  # each member has an equal part of every array
                kept = params.views_of(self.theta)
                for name in params.grads:
                    parts = kept[name].reshape(len(better), -1)
                    parts[better] = params.views[name].reshape(len(better), -1)[better]
        return epoch - (self.epoch or 0) >= self.rule.patience

    def restore(self) -> int | None:
        """Restore the best weights and return their epoch, if there are any."""
        if self.theta is not None:
            self.net.params.theta[...] = self.theta
        return self.epoch
