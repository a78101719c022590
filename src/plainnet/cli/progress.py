"""Progress display: a bar while pictures are read, a line during training."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, final

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text

from plainnet.cli.console import errors, print_line, print_notes
from plainnet.config import size_in_bytes
from plainnet.evaluate.per_example import NamedExamples, read_usable
from plainnet.formatting import count, number, percent
from plainnet.model import Model
from plainnet.search.search import Search, SearchProgress
from plainnet.search.trial import Trial
from plainnet.train.history import Epoch

if TYPE_CHECKING:
    from plainnet.data.targets import Target

_BARS = "▁▂▃▄▅▆▇█"
_REFRESH = 0.1  # seconds between two updates of the line; drawing it takes about a millisecond
_MOST_LINES = 100  # lines of epochs outside a terminal
_WIDEST, _NARROWEST = 40, 5  # columns of the sparkline


@contextmanager
def reading(console: Console) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar while pictures or many rows are read, on a terminal only, and then remove it."""
    if not console.is_interactive:
        yield None
        return
    bar = Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
        console=console,
        transient=True,
    )
    task = bar.add_task("", total=None)

    def progress(done: int, total: int) -> None:
        bar.start()  # only here, because most tables are read at once
        bar.update(task, completed=done, total=total)
        if done == total:
            bar.stop()

    try:
        yield progress
    finally:
        bar.stop()


def read_examples(
    model: Model, path: Path, *, strict: bool = False, memory: str | None = None
) -> "tuple[NamedExamples, list[str]]":
    """Read examples with known answers; show progress and notes on stderr, and return the notes.

    Of data larger than memory they are a sample.
    """
    from plainnet.data.image_stream import most_images
    from plainnet.data.memory import are_images_streamed, is_streamed  # loads Arrow
    from plainnet.data.survey import most_rows
    from plainnet.data.table_schema import TableSchema
    from plainnet.evaluate.streamed import image_parts, sample_and_score, table_parts

    notes: list[str] = []
    bound, schema = None if memory is None else size_in_bytes(memory), model.schema
    with reading(errors()) as progress:
        if isinstance(schema, TableSchema) and is_streamed(path, schema.header, bound):
            rows, most = table_parts(model, schema, path), most_rows(schema.n_features)
            examples = sample_and_score(model, path.name, rows, most, notes)
        elif (
            not isinstance(schema, TableSchema)
            and path.is_dir()
            and are_images_streamed(path, schema.size, bound)
        ):
            images = image_parts(model, schema, path, strict, progress, notes)
            most = most_images(schema.n_features, bound, 8)
            examples = sample_and_score(model, path.name, images, most, notes)
        else:
            examples = read_usable(model, path, notes, strict=strict, progress=progress)
    print_notes(notes)
    return examples, notes


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


def _fitting(parts: Sequence[str], width: int) -> str:
    """Join the first part and those of the others that fit a width."""
    text = parts[0]
    for part in parts[1:]:
        if part and len(f"{text}  {part}") <= width:
            text += f"  {part}"
    return text


@final
class _LiveLine:
    """A line that is updated in place, at most ten times a second, on a terminal only."""

    def __init__(self, console: Console, *, transient: bool = False) -> None:
        self._live: Live | None = None
        if console.is_interactive:
            self._live = Live(console=console, auto_refresh=False, transient=transient)
        self.next = 0.0

    @property
    def shown(self) -> bool:
        """Whether the console is a terminal."""
        return self._live is not None

    @property
    def due(self) -> bool:
        """Whether the last update was long enough ago."""
        return self.shown and time.perf_counter() >= self.next

    def update(self, text: str, bars: str = "") -> None:
        assert self._live is not None
        if not self._live.is_started:
            self._live.start()
        line = Text(no_wrap=True, overflow="crop").append(text).append(bars, "cyan")
        self._live.update(line, refresh=True)
        self.next = time.perf_counter() + _REFRESH  # after drawing, which a slow terminal delays

    def stop(self) -> None:
        """Restore the terminal."""
        if self._live is not None:
            self._live.stop()


@final
class TrainingDisplay(AbstractContextManager["TrainingDisplay"]):
    """Show epochs: one line updated in place on a terminal, else about 100 lines at most.

    As a context manager it restores the terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._line = _LiveLine(console)
        self._error_unit: float | None = None
        self._costs: list[float] = []
        self._last: Epoch | None = None
        self._printed: Epoch | None = None
        self._start, self._seconds = time.perf_counter(), 0.0

    def __exit__(self, *error: object) -> None:
        self._line.stop()

    def __call__(self, epoch: Epoch) -> None:
        """Show a finished epoch."""
        self._costs.append(epoch.loss)
        self._last, self._seconds = epoch, time.perf_counter() - self._start
        if self._line.due:
            self._draw(epoch)
        elif not self._line.shown:
            every = -(-epoch.of // _MOST_LINES)
            if self._printed is None and every > 1:
                self.console.file.write(f"One line for every {every} epochs:\n")
            if self._printed is None or epoch.number % every == 0 or epoch.number == epoch.of:
                self._print(epoch)

    def start(self, target: "Target") -> None:
        """Start the clock."""
        if target.task == "regression":
            self._error_unit = target.scale[0] if len(target.scale) == 1 else 1.0
        self._start = time.perf_counter()

    def finish(self) -> float:
        """Show the last epoch and return the seconds from the start to it."""
        if self._last is not None and self._line.shown:
            self._draw(self._last)
        elif self._last is not None and self._last is not self._printed:  # it ended early
            self._print(self._last)
        self._line.stop()
        return self._seconds

    def _print(self, epoch: Epoch) -> None:
        self.console.file.write("  ".join(self._metrics(epoch)) + "\n")
        self.console.file.flush()
        self._printed = epoch

    def _draw(self, epoch: Epoch) -> None:
        """Show the metrics that fit the line, and the cost so far as a sparkline."""
        left = (time.perf_counter() - self._start) / len(self._costs) * (epoch.of - epoch.number)
        eta = f"  eta {clock(left)}" if epoch.number < epoch.of else ""
        available = self.console.width - 1  # some terminals wrap at the last column
        parts = self._metrics(epoch)
        text = _fitting([*parts[:4], *parts[5:]], available - len(eta)) + eta
        width = min(available - len(text) - 2, _WIDEST)
        if width < _NARROWEST or self.console.options.ascii_only:
            self._line.update(text)
        else:
            self._line.update(f"{text}  ", sparkline(self._costs, width))

    def _metrics(self, epoch: Epoch) -> list[str]:
        parts = [
            f"epoch {epoch.number:>{len(str(epoch.of))}}/{epoch.of}",
            f"cost {number(epoch.loss)}",
        ]
        if epoch.metric is not None:
            parts.append(self._metric(epoch.metric))
        if epoch.val_loss is not None:
            parts.append(f"val cost {number(epoch.val_loss)}")
        if epoch.val_metric is not None:
            parts.append(f"val {self._metric(epoch.val_metric)}")
        if epoch.improved is not None:
            parts.append("{} of {} members improved".format(*epoch.improved))
        return parts

    def _metric(self, value: float) -> str:
        if self._error_unit is None:
            return f"accuracy {percent(value)}"
        return f"MAE {number(value * self._error_unit)}"


@final
class SearchDisplay(AbstractContextManager["SearchDisplay"]):
    """Show a search: one line updated in place on a terminal, else a line for each trial.

    As a context manager it restores the terminal.
    """

    def __init__(self, console: Console, trials: int, folds: int) -> None:
        self.console, self.trials, self.folds = console, trials, folds
        self._line = _LiveLine(console, transient=True)
        self._best = ""
        self._start: float | None = None

    def __exit__(self, *error: object) -> None:
        self._line.stop()

    def watch(self, progress: SearchProgress) -> None:
        """Show an epoch, on a terminal only."""
        now = time.perf_counter()
        self._start = now if self._start is None else self._start
        if not self._line.due:
            return
        left = (now - self._start) * (progress.planned - progress.done) / progress.done
        trial, fold = f"trial {progress.trial}/{self.trials}", f"fold {progress.fold}/{self.folds}"
        of = f"epoch {progress.epoch}/{progress.epochs}"
        parts = (trial, f"eta {clock(left)}", self._best, fold, of)
        self._line.update(_fitting(parts, self.console.width - 1))

    def watch_trial(self, search: Search, trial: Trial) -> None:
        """Show a finished trial outside a terminal, and remember the best."""
        best = search.winner
        if best is not None:
            loss = number(best.rungs[-1].scores.mean_loss)
            self._best = f"best loss {loss} (trial {best.number})"
        if self._line.shown:
            return
        text = f"trial {trial.number:>{len(str(self.trials))}}/{self.trials}  "
        if trial.failure is not None:
            text += "failed"
        else:
            rung = trial.rungs[-1]
            text += f"{count(rung.epochs, 'epoch')}  " if len(search.rounds) > 1 else ""
            text += f"loss {number(rung.scores.mean_loss)}"
        print_line(self.console, f"{text}  {self._best}".rstrip())
        self.console.file.flush()
