"""``plainnet train``: from a table or a folder of pictures to a model file."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from plainnet.cli.live import Watch, duration, reading
from plainnet.cli.options import Options
from plainnet.cli.places import model_path, require_place
from plainnet.cli.report import show_data, show_network, show_results, training_text
from plainnet.cli.show import line, number, output
from plainnet.nn.sequential import Sequential
from plainnet.runs import Run, Settings, run
from plainnet.train.history import History

if TYPE_CHECKING:
    from plainnet.data.datasets import Dataset


def train(
    path: Path,
    /,
    *,
    options: Options = Options(),  # noqa: B008 - immutable
    out: Path | None = None,
    config: Path | None = None,
) -> None:
    """Train on a table or a folder of pictures.

    Parameters
    ----------
    path
        A table (CSV, TSV, Parquet; compressed or not), or a folder with a folder for each class.
    options
        See `Options`.
    out
        The model file. [default: named after the data, in the current folder]
    config
        A TOML file with any of these options, such as epochs = 50; the command line wins.
    """
    settings = options.settings(path)
    place = model_path(path) if out is None else out
    require_place(place, path)
    console = output()
    with reading(console) as progress, Watch(console) as watch:

        def ready(data: "Dataset", net: Sequential) -> None:
            show_data(console, str(path), data)
            show_start(console, net, settings, len(data.train.y))
            watch.start(data.target)

        result = run(path, settings, watch=watch, progress=progress, ready=ready)
        show_end(console, result, watch.finish())
    result.model.save(place)
    console.print()
    line(console, f"Saved: {place}", "bold", whole=True)
    suggest(console, "predict", place, path)


def show_start(console: Console, net: Sequential, settings: Settings, m: int) -> None:
    """Show the network and how it will be trained."""
    show_network(console, net)
    console.print()
    line(console, f"Training: {training_text(settings, m)}")


def show_end(console: Console, result: Run, seconds: float) -> None:
    """Show why the training ended, what it came to, and what that is worth on other rows."""
    line(console, _ending(result.history, seconds))
    show_results(console, result.model.target, result.model.record["results"])


def _ending(history: History, seconds: float) -> str:
    n = len(history)
    done = f"{n:,} {'epoch' if n == 1 else 'epochs'} in {duration(seconds)}"
    cost = f"final cost {number(history.loss[-1])}" if n else "no epoch was finished"
    text = f"Trained {done}: {cost}."
    if history.stopped == "interrupted":
        text += " Interrupted: the network is kept as it was then."
    if history.stopped == "early stopping":
        text += " Stopped early: the validation cost fell no more."
    if history.best_epoch is not None:
        text += f" The weights are those of epoch {history.best_epoch:,}, the best."
    return text


def suggest(console: Console, command: str, *arguments: Path) -> None:
    """Name the next command to try, so that it can be copied."""
    words = ["plainnet", command, *map(str, arguments)]
    line(console, f"Next: {shlex.join(words)}", whole=True)
