"""EarlyStopping, and BestWeights: a copy of the weights with the lowest validation loss."""

import math
from dataclasses import dataclass
from typing import final

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
    """A copy of the weights with the lowest validation loss so far."""

    def __init__(self, net: Sequential, rule: EarlyStopping | None) -> None:
        self.net, self.rule = net, rule
        self.loss = math.inf
        self.epoch: int | None = None
        self.theta: Array | None = None

    def update(self, epoch: int, val_loss: float) -> bool:
        """Record an epoch's validation loss; return whether patience has run out."""
        if self.rule is None:
            return False
        if self.epoch is None or val_loss < self.loss - self.rule.min_delta:
            self.loss, self.epoch = val_loss, epoch
            self.theta = self.net.params.theta.copy()
        return epoch - self.epoch >= self.rule.patience

    def restore(self) -> int | None:
        """Restore the best weights and return their epoch, if there are any."""
        if self.theta is not None:
            self.net.params.theta[...] = self.theta
        return self.epoch
