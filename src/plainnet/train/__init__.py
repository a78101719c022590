"""The training loop and its parts; `plainnet.fit` runs it."""

from plainnet.train.early_stopping import EarlyStopping
from plainnet.train.history import Epoch, History

__all__ = ["EarlyStopping", "Epoch", "History"]
