"""Session: a history of settings and steps that is replayed exactly, with undo and links."""

import base64
import json
import threading
import time
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, final

from plainnet.data.dataset import Dataset
from plainnet.errors import PlainnetError
from plainnet.evaluate.feature_spans import feature_spans
from plainnet.nn.parameters import Array
from plainnet.play.datasets import Plane, load, plane
from plainnet.play.phase import Phase
from plainnet.play.settings import Settings
from plainnet.storage.json_reader import shortened

if TYPE_CHECKING:
    from plainnet.data.table import Table

MOST_STEPS = 200_000  # of a history
MOST_PHASES = 100
MOST_LINK, MOST_STATE = 200_000, 1_000_000  # characters of a link, and of what it holds
MOST_UNDO = 200
_KEPT = 4  # phases whose checkpoints are kept for undo and redo


class Period(NamedTuple):
    """So many steps under some settings."""

    settings: Settings
    steps: int


class History(NamedTuple):
    """What determines every number on the page: the periods since the start, and a step."""

    periods: tuple[Period, ...]
    step: int  # counted over all periods

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

    def until_step(self) -> tuple[Period, ...]:
        """Return the periods up to the step."""
        i, step = self.find()
        return (*self.periods[:i], self.periods[i]._replace(steps=step))

    def link(self) -> str:
        """Return the history as text for an address; of an own table only its fingerprint."""
        before: dict[str, Any] = Settings().to_json()
        periods = []
        for settings, steps in self.periods:
            now = settings.to_json()
            periods.append([{k: v for k, v in now.items() if v != before[k]}, steps])
            before = now
        text = json.dumps([periods, self.step], separators=(",", ":"))
        return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


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
        written, step = json.loads(content)
        if not 1 <= len(written) <= MOST_PHASES:
            raise ValueError
        settings, periods = Settings(), []
        for changes, steps in written:
            if type(steps) is not int or not isinstance(changes, dict):
                raise ValueError
            settings = settings.changed(changes)
            periods.append(Period(settings, steps))
        history = History(tuple(periods), step)
        if type(step) is not int or not 0 <= step <= history.total <= MOST_STEPS:
            raise ValueError
        if min(period.steps for period in periods) < 0:
            raise ValueError
    except PlainnetError as error:
        raise PlainnetError(f"this link cannot be read: {error}") from None
    except (ValueError, TypeError, zlib.error, RecursionError):
        raise PlainnetError("this link is damaged: copy the whole address again") from None
    return history


@final
class Session:
    """One page's history, and the networks in training that belong to it."""

    def __init__(self, history: History | None = None, tables: "dict[str, Table] | None" = None):
        self.lock = threading.Lock()
        self.used = time.monotonic()
        self.tables = {} if tables is None else dict(tables)
        self._phases: list[tuple[tuple[Period, ...], Phase]] = []  # the last used at the end
        self._data: tuple[Settings, Dataset] | None = None
        self.undone: list[History] = []
        self.done: list[History] = []
        self._view: tuple[Dataset, tuple[int, int], Array] | None = None  # chosen for a data set
        self._show(History((Period(Settings(), 0),), 0) if history is None else history)

    # --- what is shown ---

    @property
    def phase(self) -> Phase:
        """The phase of the shown step; its network is at that step."""
        return self._phase(self.history.find()[0])

    @property
    def settings(self) -> Settings:
        """The settings at the shown step."""
        return self.history.periods[self.history.find()[0]].settings

    @property
    def table(self) -> "Table | None":
        """The own table, if it is shown."""
        return self.tables[self.settings.table] if self.settings.data == "table" else None

    @property
    def plane(self) -> Plane:
        """The plane of the maps; at first of two columns of numbers, where there are."""
        data = self.phase.data
        if self._view is not None and self._view[0] is data:
            return plane(data.train.X, *self._view[1:])
        numbers = [s.start for s in feature_spans(data.schema) if s.kind == "number"]
        axes = (numbers[0], numbers[1]) if len(numbers) > 1 else (0, 1)
        return plane(data.train.X, axes, None)

    def curve(self, known: int = 0) -> list[tuple[int, float, float]]:
        """Return step, training and validation loss at the start and after each epoch.

        The first points, which are known, are left out.
        """
        points, first = [], 0
        for i, period in enumerate(self.history.periods):
            of_phase = self._phase(i).curve
            end = bisect_right(of_phase, period.steps, key=itemgetter(0))
            part = of_phase[bool(i) + known : end]
            points += [(first + step, loss, validation) for step, loss, validation in part]
            known = max(0, known - (end - bool(i)))
            first += period.steps
        return points

    def _show(self, history: History) -> None:
        """Show a history, training what is not in memory."""
        before = getattr(self, "history", None)
        self.history = history
        try:
            for i, period in enumerate(history.periods):
                self._phase(i).seek(period.steps)
            i, step = history.find()
            self._phase(i).seek(step)
        except PlainnetError:
            if before is not None:
                self.history = before
            raise

    def _phase(self, i: int) -> Phase:
        """Return the phase of a period; it is made where it is not in memory."""
        periods = self.history.periods[: i + 1]
        key = (*periods[:-1], periods[-1]._replace(steps=0))
        found = next((j for j, (known, _) in enumerate(self._phases) if known == key), None)
        if found is not None:
            self._phases.append(self._phases.pop(found))
            return self._phases[-1][1]
        theta = None
        if i:
            before = self._phase(i - 1)
            before.seek(periods[i - 1].steps)
            theta = before.net.params.theta
        settings = periods[-1].settings
        self._phases.append((key, Phase(settings, self._dataset(settings), theta)))
        del self._phases[: -_KEPT - len(self.history.periods)]
        return self._phases[-1][1]

    def _dataset(self, settings: Settings) -> Dataset:
        if self._data is None or not self._data[0].continues(settings):
            self._data = settings, load(settings, self.tables)
        return self._data[1]

    # --- what changes it ---

    def advance(self, batches: int = 0, epochs: int = 0, milliseconds: float = 0) -> None:
        """Train on so many batches, to the end of so many epochs, or for so long."""
        end = time.perf_counter() + milliseconds / 1000
        if epochs:
            n = len(self.phase.batches)
            batches += epochs * n - self.phase.step % n
        while milliseconds or batches:
            taken = self._train(8 if milliseconds else min(batches, 8))
            batches -= 0 if milliseconds else taken
            if not taken or (milliseconds and time.perf_counter() >= end):
                return

    def _train(self, n: int) -> int:
        """Go at most so many steps on; return how many, 0 if the loss is no longer finite."""
        i, step = self.history.find()
        phase, (periods, shown) = self._phase(i), self.history
        if shown + n > MOST_STEPS:
            raise PlainnetError(f"a history ends after {MOST_STEPS:,} steps: start anew")
        if i < len(periods) - 1:
            n = min(n, periods[i].steps - step)
        phase.seek(step)
        phase.train(n)
        taken = phase.step - step
        last = i == len(periods) - 1
        if last and phase.step > periods[i].steps:
            periods = (*periods[:i], periods[i]._replace(steps=phase.step))
        self.history = History(periods, shown + taken)
        if not last and phase.step == periods[i].steps:
            self._phase(i + 1).seek(0)
        return taken

    def seek(self, step: int) -> None:
        """Show an earlier step."""
        if not 0 <= step <= self.history.total:
            raise PlainnetError(
                f"there are steps 0 to {self.history.total:,}, got {shortened(step)}"
            )
        self._show(self.history._replace(step=step))

    def change(self, values: Mapping[str, object]) -> None:
        """Change settings at the shown step; the network starts anew where it must."""
        settings = self.settings.changed(values)
        if settings == self.settings:
            return
        if settings.continues(self.settings):
            periods = (*self.history.until_step(), Period(settings, 0))
            if len(periods) > MOST_PHASES:
                raise PlainnetError(f"a history has at most {MOST_PHASES} changes: start anew")
            self._edit(History(periods, self.history.step))
        else:
            self._edit(History((Period(settings, 0),), 0))

    def follow(self, link: str) -> None:
        """Show the history of a link."""
        self._edit(read_link(link))

    def restart(self) -> None:
        """Start anew with the present settings."""
        self._edit(History((Period(self.settings, 0),), 0))

    def _edit(self, history: History) -> None:
        before = self.history
        self._show(history)
        self.done = [*self.done, before][-MOST_UNDO:]
        self.undone.clear()

    def undo(self) -> None:
        """Return to the history before the last change."""
        self._swap(self.done, self.undone, "undo")

    def redo(self) -> None:
        """Make the change again that was undone last."""
        self._swap(self.undone, self.done, "make again")

    def _swap(self, source: list[History], other: list[History], verb: str) -> None:
        if not source:
            raise PlainnetError(f"there is no change to {verb}")
        before = self.history
        self._show(source[-1])
        source.pop()
        other.append(before)

    def view(self, axes: tuple[int, int], fixed: dict[int, float]) -> None:
        """Choose the features on the axes of the maps, and the values of some others."""
        data = self.phase.data
        n = data.train.X.shape[1]
        if not all(0 <= a < n for a in (*axes, *fixed)):
            raise PlainnetError(f"there are features 0 to {n - 1}, got {list(axes)}")
        values = self.plane.fixed.copy()
        for feature, value in fixed.items():
            values[feature] = value
        self._view = data, axes, values
