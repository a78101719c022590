"""Trials on a console: a line in place while they run, tables of them, and their commands."""

import time
from collections.abc import Sequence
from typing import Self, final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from plainnet.cli.console import line, notes, number, section, table
from plainnet.cli.progress import clock
from plainnet.config import TrainConfig
from plainnet.formatting import count
from plainnet.search.search import Scores, Search, SearchProgress, Trial

_WIDE = 1000  # columns on which any table fits, to measure how many it takes
_LISTED = 30  # trials that are shown before the rest is only counted
_REFRESH = 0.1  # seconds between two looks of the line
_HEADS = {"weight_decay": "decay", "dropout": "drop", "batch_size": "batch"}
_WORDS = {
    "layers": "hidden layers",
    "units": "units a layer",
    "lr": "learning rate",
    "l2": "L2 penalty",
    "weight_decay": "weight decay",
    "batch_size": "batch size",
}


@final
class SearchWatch:
    """Shows a search: one line in place on a terminal, else a line for each trial that ends.

    Use it as a context manager, so that the terminal is left as it was.
    """

    def __init__(self, console: Console, trials: int, folds: int) -> None:
        self.console, self.trials, self.folds = console, trials, folds
        self._live: Live | None = None
        if console.is_interactive:
            self._live = Live(console=console, auto_refresh=False, transient=True)
        self._best = ""
        self._start: float | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def watch(self, moment: SearchProgress) -> None:
        """Show an epoch, on a terminal, at most ten a second."""
        now = time.perf_counter()
        self._start = now if self._start is None else self._start
        if self._live is None or now < self._next:
            return
        left = (now - self._start) * (moment.planned - moment.done) / moment.done
        epoch = moment.epoch
        parts = [
            f"trial {moment.trial}/{self.trials}",
            f"eta {clock(left)}",
            self._best,
            f"fold {moment.fold}/{self.folds}",
            f"epoch {epoch.number}/{epoch.of}",
        ]
        text = parts[0]
        for part in parts[1:]:
            if part and len(f"{text}  {part}") < self.console.width:
                text += f"  {part}"
        if not self._live.is_started:
            self._live.start()
        self._live.update(Text(text, no_wrap=True, overflow="crop"), refresh=True)
        self._next = time.perf_counter() + _REFRESH  # from the end, however slow the terminal

    def seen(self, found: Search, trial: Trial) -> None:
        """Note a trial that was judged or failed, and say so where no line is kept in place."""
        best = found.winner
        if best is not None:
            loss = number(best.rungs[-1].scores.mean_loss)
            self._best = f"best loss {loss} (trial {best.number})"
        if self._live is None:
            width = len(str(self.trials))
            text = f"trial {trial.number:>{width}}/{self.trials}  "
            if trial.failure is not None:
                text += "failed"
            else:
                rung = trial.rungs[-1]
                several = len(found.rounds) > 1
                text += f"{count(rung.epochs, 'epoch')}  " if several else ""
                text += f"loss {number(rung.scores.mean_loss)}"
            line(self.console, f"{text}  {self._best}".rstrip())
            self.console.file.flush()


def show_plan(console: Console, found: Search, m: int) -> None:
    """Say what is searched, and how."""
    trials, epochs = found.rounds[0]
    how = {"random": "at random", "halving": "at random", "optuna": "by optuna's TPE"}
    console.print()
    whole = f"Search: {count(trials, 'trial')} drawn {how[found.method]}"
    line(console, whole if found.only is None else f"Trial {found.only} again", "bold")
    if found.method == "halving":
        steps = ", ".join(f"{n:,} up to epoch {some:,}" for n, some in found.rounds)
        line(console, f"The better half goes on: {steps}")
    length = "" if found.method == "halving" else f" of {count(epochs, 'epoch')}"
    line(console, f"{m:,} rows in {found.k} folds: each judges a training{length} on the others")
    for name, one in found.space.items():
        line(console, f"  {_WORDS.get(name, name)}: {one}")


def show_trials(console: Console, found: Search, figure: str) -> None:
    """Show the trials, the best first, what one gets without a network, and what failed."""
    ranked = found.ranked
    several = len(found.rounds) > 1
    sign = "+-" if console.options.ascii_only else "±"
    figures = ["loss", f"{figure} %" if figure == "accuracy" else figure]
    names = [name for name in ("hidden", *found.space) if name not in ("layers", "units")]
    if "layers" not in found.space:
        names.remove("hidden")
    own = [
        [str(trial.number), *(setting(name, trial.config) for name in names)] for trial in ranked
    ]
    came = [[*_epochs(trial, several), *_came(trial, figure, sign)] for trial in ranked]
    heads = ["trial", *(_HEADS.get(name, name) for name in names)]
    ends = [*(["epochs"] if several else []), *figures]
    title = "Trials, best first" + (", as far as they got" if found.interrupted else "")
    whole = _table(title, heads + ends, [a + b for a, b in zip(own, came, strict=True)])
    if console.measure(whole, options=console.options.update(width=_WIDE)).maximum <= console.width:
        section(console, whole)
    else:
        short = [[row[0], *b] for row, b in zip(own, came, strict=True)]
        section(console, _table(title, ["trial", *ends], short))
        section(console, _table("What they are", heads, own))
    if len(ranked) > _LISTED:
        line(console, f"and {len(ranked) - _LISTED:,} more trials")
    if found.answers:
        rows = [[one.words, *_figures(one.scores, figure, sign)] for one in found.answers]
        title = "Without a network, on the same folds"
        shown = table(title, ["", *figures], rows[::-1], right=(1, 2))
        section(console, shown)
    line(console, f"{sign}: standard deviation over {found.k} folds.")
    notes([f"trial {t.number} failed: {t.failure}" for t in ranked if t.failure], console)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return table(title, heads, rows[:_LISTED], right=range(len(heads)))


def setting(name: str, config: TrainConfig) -> str:
    """Write a setting that was searched."""
    if name == "hidden":
        hidden = config.hidden or ()
        return f"{len(hidden)} x {hidden[0]}"
    return f"{getattr(config, name):g}"


def _epochs(trial: Trial, several: bool) -> list[str]:
    if not several:
        return []
    return [f"{trial.rungs[-1].epochs:,}" if trial.rungs else "-"]


def _came(trial: Trial, figure: str, sign: str) -> list[str]:
    if trial.failure is not None:
        return ["failed", "-"]
    return _figures(trial.rungs[-1].scores, figure, sign)


def _figures(scores: Scores, figure: str, sign: str) -> list[str]:
    loss = _pair(scores.mean_loss, scores.deviation_loss, sign)
    mean, deviation = scores.mean_score, scores.deviation_score
    if mean is None or deviation is None:
        return [loss, "-"]
    if figure == "accuracy":
        return [loss, f"{100 * mean:.1f} {sign} {100 * deviation:.1f}"]
    return [loss, _pair(mean, deviation, sign)]


def _pair(mean: float, deviation: float, sign: str) -> str:
    """Three decimals leave room for the settings; small numbers have two digits."""
    form = ".3f" if 0.1 <= abs(mean) < 1000 else ".2g"
    return f"{mean:{form}} {sign} {deviation:{form}}"
