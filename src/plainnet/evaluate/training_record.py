"""The training record of a model file, which may have been edited."""

import platform
from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from plainnet._version import __version__
from plainnet.config import TrainConfig
from plainnet.errors import ModelFileError
from plainnet.storage.json_reader import JsonReader
from plainnet.train.history import History

# Errors that an edited record causes; the part that shows it is left out.
FOREIGN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_SERIES = ("val_loss", "metric", "val_metric", "lr")


def versions() -> dict[str, str]:
    """Return the versions that a training depends on."""
    python = platform.python_version()
    return {"plainnet": __version__, "numpy": np.__version__, "python": python}


def recorded_history(record: Mapping[str, Any]) -> History | None:
    """Return the history of a record; None where it is missing or was edited."""
    try:
        stored = JsonReader(record.get("history"), "the history").values
        history = JsonReader({**stored, "seconds": []}, "the history").record(History)
    except ModelFileError:
        return None
    fits = all(len(getattr(history, name)) in (0, len(history)) for name in _SERIES)
    return history if fits and (history.best_epoch or 0) <= len(history) else None


def recorded_config(record: Mapping[str, Any]) -> TrainConfig | None:
    """Return the options of a record; None where they are missing or were edited."""
    try:
        return TrainConfig(**record["config"])
    except FOREIGN:
        return None


def finite(value: Any) -> Any:
    """Replace numbers that are not finite, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
