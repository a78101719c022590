"""The training record of a model file, which anybody may have edited."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from plainnet.errors import ModelFileError
from plainnet.storage.json_reader import JsonReader
from plainnet.train.history import History

# Errors that an edited record causes; the part that shows it is left out.
FOREIGN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_SERIES = ("val_loss", "metric", "val_metric", "lr")


def recorded_history(record: Mapping[str, Any]) -> History | None:
    """Return the history of a record; None where it is missing or was edited."""
    try:
        fields = JsonReader(record.get("history"), "the history")
        history = History(
            loss=list(fields.numbers("loss")),
            stopped=fields.text("stopped"),
            threads=fields.whole("threads"),
            best_epoch=_whole_or_none(record, fields, "best_epoch"),
            rowspace=_whole_or_none(record, fields, "rowspace"),
        )
        for name in _SERIES:
            getattr(history, name).extend(fields.numbers(name))
            if len(getattr(history, name)) not in (0, len(history)):
                return None
    except ModelFileError:
        return None
    return None if (history.best_epoch or 0) > len(history) else history


def finite(value: Any) -> Any:
    """Replace numbers that are not finite, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _whole_or_none(record: Mapping[str, Any], fields: JsonReader, key: str) -> int | None:
    return None if record["history"].get(key) is None else fields.whole(key)
