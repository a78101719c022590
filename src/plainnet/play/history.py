"""History: periods of settings and steps, with a second run beside it; written as a link."""

import base64
import json
import zlib
from typing import Any, NamedTuple, Self

from plainnet.errors import PlainnetError
from plainnet.play.settings import Settings

MOST_STEPS = 200_000  # of a history
MOST_PHASES = 100
MOST_LINK, MOST_STATE = 200_000, 1_000_000  # characters of a link, and of what it holds


class Period(NamedTuple):
    """So many steps under some settings."""

    settings: Settings
    steps: int


class History(NamedTuple):
    """What determines every number on the page: the periods since the start, and a step."""

    periods: tuple[Period, ...]
    step: int  # counted over all periods
    beside: "History | None" = None  # a run to compare with, shown at the same step

    @property
    def total(self) -> int:
        """The number of steps in all periods."""
        return sum(period.steps for period in self.periods)

    def find(self) -> tuple[int, int]:
        """Return the number of the period of the step, and the step within it."""
        step = self.step
        for i, period in enumerate(self.periods[:-1]):
            if step < period.steps:
                return i, step
            step -= period.steps
        return len(self.periods) - 1, step

    @property
    def settings(self) -> Settings:
        """The settings at the step."""
        return self.periods[self.find()[0]].settings

    def at(self, step: int) -> Self:
        """Return this history at a step; its last period is prolonged to reach it."""
        *first, last = self.periods
        last = last._replace(steps=last.steps + max(0, step - self.total))
        beside = None if self.beside is None else self.beside.at(step)
        return self._replace(periods=(*first, last), step=step, beside=beside)

    def until_step(self) -> tuple[Period, ...]:
        """Return the periods up to the step."""
        i, step = self.find()
        return (*self.periods[:i], self.periods[i]._replace(steps=step))

    def link(self) -> str:
        """Return the history as text for an address; of an own table only its fingerprint."""
        written = [_written(self.periods), self.step]
        if self.beside is not None:
            written.append(_written(self.beside.periods))
        text = json.dumps(written, separators=(",", ":"))
        return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def _written(periods: tuple[Period, ...]) -> list[Any]:
    """Return the changes of the settings, and the steps, of each period."""
    before: dict[str, Any] = Settings().to_json()
    written = []
    for settings, steps in periods:
        now = settings.to_json()
        written.append([{k: v for k, v in now.items() if v != before[k]}, steps])
        before = now
    return written


def read_link(text: str) -> History:
    """Read a history that `History.link` has written."""
    try:
        if len(text) > MOST_LINK:
            raise ValueError
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        unpack = zlib.decompressobj()
        content = unpack.decompress(packed, MOST_STATE)
        if not unpack.eof:
            raise ValueError
        written, step, *compared = json.loads(content)
        if type(step) is not int or len(compared) > 1:
            raise ValueError
        history = _read_history(written, step)
        if not history.step <= history.total:
            raise ValueError
        if compared:
            history = history._replace(beside=_read_history(compared[0], step).at(step))
    except PlainnetError as error:
        raise PlainnetError(f"this link cannot be read: {error}") from None
    except (ValueError, TypeError, zlib.error, RecursionError):
        raise PlainnetError("this link is damaged: copy the whole address again") from None
    return history


def _read_history(written: Any, step: int) -> History:
    if not 1 <= len(written) <= MOST_PHASES:
        raise ValueError
    settings, periods = Settings(), []
    for changes, steps in written:
        if type(steps) is not int or steps < 0 or not isinstance(changes, dict):
            raise ValueError
        settings = settings.changed(changes)
        periods.append(Period(settings, steps))
    history = History(tuple(periods), step)
    if not 0 <= step <= MOST_STEPS or history.total > MOST_STEPS:
        raise ValueError
    return history
