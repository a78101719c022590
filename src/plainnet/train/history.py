"""History: per-epoch training metrics."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, final

COLUMNS = ("loss", "val_loss", "metric", "val_metric", "lr", "seconds")


class Epoch(NamedTuple):
    """The metrics of one epoch.

    Attributes
    ----------
    number, of : int
        The number of the epoch, counted from 1, and of all planned epochs.
    loss : float
        The mean training loss during the epoch, without the L2 penalty.
    val_loss : float or None
        The mean validation loss at its end, without label smoothing.
    metric, val_metric : float or None
        The metric on training and validation rows.
    lr : float
        The learning rate of its last step.
    seconds : float
        Its duration.
    improved : (int, int) or None
        How many members have their lowest validation loss so far, of how many; see `Members`.

    Examples
    --------
    >>> epoch = Epoch(3, 10, 0.7, None, None, None, lr=0.01, seconds=0.002)
    >>> f"epoch {epoch.number} of {epoch.of}: loss {epoch.loss}"
    'epoch 3 of 10: loss 0.7'
    """

    number: int
    of: int
    loss: float
    val_loss: float | None
    metric: float | None
    val_metric: float | None
    lr: float
    seconds: float
    improved: tuple[int, int] | None = None


@final
@dataclass
class History:
    """The record of a training: one list per metric, one entry per epoch.

    Attributes
    ----------
    loss, val_loss, metric, val_metric, lr, seconds : list of float
        See `Epoch`; lists that do not apply stay empty.
    stopped : str
        Why the training ended: ``epochs``, ``early stopping``, ``callback`` or ``interrupted``.
    best_epoch : int or None
        The epoch by which early stopping had found the weights that it restored: of members, the
        last that found its own.
    threads : int
        The number of BLAS threads.
    row_space : int or None
        The number of rows if the training ran in their space; see `RowSpace`.
    engine : str
        What computed the steps: ``numpy`` or ``compiled``.

    Examples
    --------
    >>> history = History()
    >>> history.add(Epoch(1, 10, 0.7, None, None, None, 0.01, 0.002))
    >>> history.loss, history.val_loss
    ([0.7], [])
    """

    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    metric: list[float] = field(default_factory=list)
    val_metric: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    stopped: str = "epochs"
    best_epoch: int | None = None
    threads: int = 1
    row_space: int | None = None
    engine: str = "numpy"

    def __len__(self) -> int:
        """Return the number of epochs that ran."""
        return len(self.loss)

    def add(self, epoch: Epoch) -> None:
        """Append one epoch's metrics.

        Parameters
        ----------
        epoch : Epoch
            Metrics that are None are left out of their lists.

        Examples
        --------
        >>> history = History()
        >>> history.add(Epoch(1, 10, 0.7, None, None, None, 0.01, 0.002))
        >>> len(history), history.lr
        (1, [0.01])
        """
        for name in COLUMNS:
            value = getattr(epoch, name)
            if value is not None:
                getattr(self, name).append(value)

    def record(self) -> dict[str, Any]:
        """Return the history as a model file stores it: without seconds, which always differ.

        Returns
        -------
        dict
            It can be written as JSON.

        Examples
        --------
        >>> "seconds" in History().record()
        False
        """
        return {name: value for name, value in asdict(self).items() if name != "seconds"}
