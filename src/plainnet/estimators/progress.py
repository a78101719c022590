"""Progress: a line of figures for each epoch."""

from collections.abc import Callable

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.train.history import Epoch


def progress(verbose: bool | int, metric_name: str) -> Callable[[Epoch], None] | None:
    """Make what prints the figures of an epoch."""
    if not isinstance(verbose, int | np.integer | np.bool_) or verbose < 0:
        raise PlainnetError(
            f"verbose must be True, False or how many epochs lie between two lines, got {verbose!r}"
        )
    every = int(verbose)
    if not every:
        return None

    def show(epoch: Epoch) -> None:
        if epoch.number % every and epoch.number != epoch.of:
            return
        figures = [
            ("loss", epoch.loss),
            (metric_name, epoch.metric),
            ("validation loss", epoch.val_loss),
            (metric_name, epoch.val_metric),
        ]
        told = [f"{name} {value:.4f}" for name, value in figures if value is not None]
        number = f"{epoch.number:{len(str(epoch.of))}}"
        print("  ".join([f"epoch {number} of {epoch.of}", *told]), flush=True)

    return show
