"""Session: a history of settings and steps that is replayed exactly, with undo and links."""

import threading
import time
from bisect import bisect_right
from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, final

from plainnet.data.dataset import Dataset
from plainnet.errors import PlainnetError
from plainnet.evaluate.feature_spans import feature_spans
from plainnet.nn.parameters import Array
from plainnet.play.datasets import Plane, load, plane
from plainnet.play.history import MOST_PHASES, MOST_STEPS, History, Period, read_link
from plainnet.play.phase import Phase
from plainnet.play.settings import Settings
from plainnet.storage.json_reader import shortened

if TYPE_CHECKING:
    from plainnet.data.table import Table

MOST_UNDO = 200
_KEPT = 4  # phases whose checkpoints are kept for undo and redo


class Run(NamedTuple):
    """One run at the shown step: what a frame draws."""

    history: History
    phases: list[Phase]  # one a period
    plane: Plane

    @property
    def phase(self) -> Phase:
        """The phase of the shown step; its network is at that step."""
        return self.phases[self.history.find()[0]]

    def curve(self, known: int = 0) -> list[tuple[int, float, float]]:
        """Return step, training and validation loss at the start and after each epoch.

        The first points, which are known, are left out.
        """
        points, first = [], 0
        for i, (phase, period) in enumerate(zip(self.phases, self.history.periods, strict=True)):
            end = bisect_right(phase.curve, period.steps, key=itemgetter(0))
            part = phase.curve[bool(i) + known : end]
            points += [(first + step, loss, validation) for step, loss, validation in part]
            known = max(0, known - (end - bool(i)))
            first += period.steps
        return points


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
        self.history = History((Period(Settings(), 0),), 0)
        self._show(self.history if history is None else history)

    # --- what is shown ---

    @property
    def run(self) -> Run:
        """The run that is shown and changed."""
        return self._run(self.history)

    @property
    def beside(self) -> Run | None:
        """The run to compare with."""
        return None if self.history.beside is None else self._run(self.history.beside)

    @property
    def phase(self) -> Phase:
        """The phase of the shown step; its network is at that step."""
        return self._phase(self.history, self.history.find()[0])

    @property
    def settings(self) -> Settings:
        """The settings at the shown step."""
        return self.history.settings

    def _run(self, history: History) -> Run:
        phases = [self._phase(history, i) for i in range(len(history.periods))]
        return Run(history, phases, self._plane(phases[0].data))

    def _plane(self, data: Dataset) -> Plane:
        """Return the plane of the maps; at first of two columns of numbers, where there are."""
        if self._view is not None and self._view[0] is data:
            return plane(data.train.X, *self._view[1:])
        numbers = [s.start for s in feature_spans(data.schema) if s.kind == "number"]
        axes = (numbers[0], numbers[1]) if len(numbers) > 1 else (0, 1)
        return plane(data.train.X, axes, None)

    def _show(self, history: History) -> None:
        """Show a history, training what is not in memory."""
        before, self.history = self.history, history
        try:
            self._reach(history)
        except PlainnetError:
            self.history = before
            raise

    def _reach(self, history: History) -> None:
        """Bring the networks of a history, and of the one beside it, to its step."""
        for i, period in enumerate(history.periods):
            phase = self._phase(history, i)
            if phase.reached < period.steps:
                phase.seek(period.steps)
        if history.beside is not None:
            self._reach(history.beside)
        i, step = history.find()
        self._phase(history, i).seek(step)

    def _phase(self, history: History, i: int) -> Phase:
        """Return the phase of a period; it is made where it is not in memory."""
        periods = history.periods[: i + 1]
        key = (*periods[:-1], periods[-1]._replace(steps=0))
        found = next((j for j, (known, _) in enumerate(self._phases) if known == key), None)
        if found is not None:
            self._phases.append(self._phases.pop(found))
            return self._phases[-1][1]
        theta = None
        if i:
            before = self._phase(history, i - 1)
            before.seek(periods[i - 1].steps)
            theta = before.net.params.theta
        settings = periods[-1].settings
        self._phases.append((key, Phase(settings, self._dataset(settings), theta)))
        beside = self.history.beside
        shown = len(self.history.periods) + (len(beside.periods) if beside else 0)
        del self._phases[: -_KEPT - shown]
        return self._phases[-1][1]

    def _dataset(self, settings: Settings) -> Dataset:
        of_data = settings.of_data()
        if self._data is None or self._data[0] != of_data:
            self._data = of_data, load(settings, self.tables)
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
        phase, periods, shown = (
            self._phase(self.history, i),
            self.history.periods,
            self.history.step,
        )
        if shown + n > MOST_STEPS:
            raise PlainnetError(f"a history ends after {MOST_STEPS:,} steps: start anew")
        if i < len(periods) - 1:
            n = min(n, periods[i].steps - step)
        phase.seek(step)
        phase.train(n)
        taken = phase.step - step
        self.history = self.history.at(shown + taken)
        if i < len(periods) - 1 and phase.step == periods[i].steps:
            self._phase(self.history, i + 1).seek(0)
        if self.history.beside is not None:
            self._reach(self.history.beside)
        return taken

    def seek(self, step: int) -> None:
        """Show an earlier step."""
        if not 0 <= step <= self.history.total:
            raise PlainnetError(
                f"there are steps 0 to {self.history.total:,}, got {shortened(step)}"
            )
        self._show(self.history.at(step))

    def change(self, values: Mapping[str, object]) -> None:
        """Change settings at the shown step; the network starts anew where it must."""
        settings = self.settings.changed(values)
        if settings == self.settings:
            return
        if settings.continues(self.settings):
            periods = (*self.history.until_step(), Period(settings, 0))
            if len(periods) > MOST_PHASES:
                raise PlainnetError(f"a history has at most {MOST_PHASES} changes: start anew")
            self._edit(self.history._replace(periods=periods))
        else:
            self._edit(self._start(settings))

    def follow(self, link: str) -> None:
        """Show the history of a link."""
        self._edit(read_link(link))

    def restart(self) -> None:
        """Start anew with the present settings."""
        self._edit(self._start(self.settings))

    def _start(self, settings: Settings) -> History:
        return self.history._replace(periods=(Period(settings, 0),), step=0)

    def compare(self) -> None:
        """Keep this run beside those that follow."""
        self._edit(self.history._replace(beside=self.history._replace(beside=None)))

    def end_comparison(self) -> None:
        """Show one run again."""
        self._edit(self.history._replace(beside=None))

    def _edit(self, history: History) -> None:
        before = self.history
        self._show(history.at(history.step))
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
        values = self._plane(data).fixed.copy()
        for feature, value in fixed.items():
            values[feature] = value
        self._view = data, axes, values
