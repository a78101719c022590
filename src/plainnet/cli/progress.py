"""Progress display: a bar while images are read, a line during training."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Self, final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text

from plainnet.cli.console import number, percent
from plainnet.train.history import Epoch

if TYPE_CHECKING:
    from plainnet.data.targets import Target

_BARS = "▁▂▃▄▅▆▇█"
_REFRESH = 0.1  # seconds between two updates of the line; drawing it takes about a millisecond
_MOST_LINES = 100  # of epochs, where no line is updated in place
_WIDEST = 40  # columns of the sparkline
_NARROWEST = 5


@contextmanager
def reading(console: Console) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar while images are read, on a terminal only, and remove it at the end."""
    if not console.is_interactive:
        yield None
        return
    bar = Progress(
        TextColumn("reading pictures"),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
        console=console,
        transient=True,
    )
    task = bar.add_task("", total=None)

    def progress(done: int, total: int) -> None:
        bar.start()  # not before: a table has no images to read
        bar.update(task, completed=done, total=total)
        if done == total:
            bar.stop()

    try:
        yield progress
    finally:
        bar.stop()


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw numbers as bars of characters, scaled from the lowest to the highest."""
    n = min(width, len(values))
    if n < 1:
        return ""
    cuts = [i * len(values) // n for i in range(n + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, span = min(means), max(means) - min(means)
    steps = [int((mean - low) / span * 7.999) if span else 0 for mean in means]
    return "".join(_BARS[step] for step in steps)


def clock(seconds: float) -> str:
    """Write a duration as minutes and seconds, or with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Write a duration, below a minute as seconds with one decimal."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


@final
class TrainingDisplay:
    """Show epochs: one line updated in place on a terminal, else about 100 lines at most.

    As a context manager it restores the terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._error_unit: float | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_interactive else None
        self._costs: list[float] = []
        self._last: Epoch | None = None
        self._printed: Epoch | None = None
        self._start = time.perf_counter()
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, epoch: Epoch) -> None:
        """Show a finished epoch."""
        self._costs.append(epoch.loss)
        self._last = epoch
        now = time.perf_counter()
        if self._live is None:
            every = -(-epoch.of // _MOST_LINES)
            if self._printed is None and every > 1:
                self.console.file.write(f"One line for every {every} epochs:\n")
            if self._printed is None or epoch.number % every == 0 or epoch.number == epoch.of:
                self._print(epoch)
        elif now >= self._next:
            self._draw(self._live, epoch, now)

    def start(self, target: "Target") -> None:
        """Start the clock."""
        if target.task == "regression":
            self._error_unit = target.scale[0] if len(target.scale) == 1 else 1.0
        self._start = time.perf_counter()

    def finish(self) -> float:
        """Show the last epoch and return the seconds since the start."""
        seconds = time.perf_counter() - self._start
        if self._live is None:
            if self._last is not None and self._last is not self._printed:  # it ended early
                self._print(self._last)
        else:
            if self._last is not None:
                self._draw(self._live, self._last, time.perf_counter())
            self._live.stop()
        return seconds

    def _print(self, epoch: Epoch) -> None:
        self.console.file.write("  ".join(self._full(epoch)) + "\n")
        self.console.file.flush()
        self._printed = epoch

    def _draw(self, live: Live, epoch: Epoch, now: float) -> None:
        if not live.is_started:
            live.start()
        metrics, bars = self._fitted(epoch, now - self._start)
        text = Text(no_wrap=True, overflow="crop").append(metrics).append(bars, "cyan")
        live.update(text, refresh=True)
        self._next = time.perf_counter() + _REFRESH  # from the end, however slow the terminal

    def _full(self, epoch: Epoch) -> list[str]:
        """Return all metrics of an epoch as text."""
        parts = [
            f"epoch {epoch.number:>{len(str(epoch.of))}}/{epoch.of}",
            f"cost {number(epoch.loss)}",
        ]
        if epoch.metric is not None:
            parts.append(self._measure(epoch.metric))
        if epoch.val_loss is not None:
            parts.append(f"val cost {number(epoch.val_loss)}")
        if epoch.val_metric is not None:
            parts.append(f"val {self._measure(epoch.val_metric)}")
        return parts

    def _measure(self, value: float) -> str:
        if self._error_unit is None:
            return f"accuracy {percent(value)}"
        return f"MAE {number(value * self._error_unit)}"

    def _fitted(self, epoch: Epoch, elapsed: float) -> tuple[str, str]:
        """Return the metrics that fit the line, and the cost so far as a sparkline."""
        left = elapsed / len(self._costs) * (epoch.of - epoch.number)
        eta = f"  eta {clock(left)}" if epoch.number < epoch.of else ""
        room = self.console.width - 1  # the last column stays free: some terminals wrap at it
        line, *others = self._full(epoch)[:4]
        for part in others:
            if len(f"{line}  {part}{eta}") <= room:
                line += f"  {part}"
        line += eta
        width = min(room - len(line) - 2, _WIDEST)
        if width < _NARROWEST or self.console.options.ascii_only:
            return line, ""
        return f"{line}  ", sparkline(self._costs, width)
