"""``plainnet train``: from a table or a folder of pictures to a model file."""

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from plainnet.cli.evaluations import show_findings, show_repeats, show_results
from plainnet.cli.live import Watch, duration, reading
from plainnet.cli.options import Options
from plainnet.cli.places import model_path, require_place
from plainnet.cli.report import show_data, show_network, training_text
from plainnet.cli.show import line, number, output
from plainnet.cli.ward import Ward
from plainnet.nn.sequential import Sequential
from plainnet.repeats import check_repeat
from plainnet.repeats import repeat as repeat_training
from plainnet.runs import Run, run
from plainnet.settings import Settings
from plainnet.train.history import Epoch, History

if TYPE_CHECKING:
    from plainnet.data.datasets import Dataset


def train(
    path: Path,
    /,
    *,
    options: Options = Options(),  # noqa: B008 - immutable
    out: Path | None = None,
    report: Path | None = None,
    repeat: int = 1,
    detail: bool = False,
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
    report
        An HTML file to write a report to.
    repeat
        Train so many times in all, with the seeds that follow, and compare; the first is saved.
    detail
        Show all figures of the evaluation.
    config
        A TOML file with any of these options, such as epochs = 50; the command line wins.
    """
    settings = options.settings(path)
    place = model_path(path) if out is None else out
    require_place(place, path)
    if report is not None:
        require_place(report, path, place, option="--report")
    if repeat != 1:
        check_repeat(settings, repeat)
    console = output()
    ward = Ward(settings)
    with reading(console) as progress, Watch(console) as watch:

        def ready(data: "Dataset", net: Sequential) -> None:
            show_data(console, str(path), data)
            show_start(console, net, settings, len(data.train.y))
            watch.start(data.target)
            ward.ready(data, net)

        def seen(epoch: Epoch) -> None:
            ward.watch(epoch)
            watch(epoch)

        result = run(path, settings, watch=seen, progress=progress, ready=ready)
        show_end(console, result, watch.finish(), detail=detail)
    diagnose(console, ward, result)
    if repeat != 1:
        _repeat(console, path, result, settings, repeat)
    result.model.save(place)
    console.print()
    line(console, f"Saved: {place}", "bold", whole=True)
    if report is not None:
        from plainnet.cli.reporting import write_report

        found = result.model.record["results"].get("evaluation")
        write_report(console, report, result.model, place.name, result.data.test, evaluation=found)
    suggest(console, "predict", place, path)


def diagnose(console: Console, ward: Ward, result: Run) -> None:
    """Show what ails the training, but not what the evaluation has said already."""
    found = [one.to_json() for one in ward.findings(result.history)]
    result.model.record["findings"] = found
    judged = result.model.record["results"].get("evaluation", {}).get("findings", [])
    said = {one["name"] for one in judged}
    show_findings(console, [one for one in found if one["name"] not in said])


def _repeat(console: Console, path: Path, first: Run, settings: Settings, k: int) -> None:
    console.print()
    with console.status("repeating") if console.is_terminal else nullcontext():
        found = repeat_training(first, settings, k, lambda other: run(path, other))
    show_repeats(console, found)


def show_start(console: Console, net: Sequential, settings: Settings, m: int) -> None:
    """Show the network and how it will be trained."""
    show_network(console, net)
    console.print()
    line(console, f"Training: {training_text(settings, m)}")


def show_end(console: Console, result: Run, seconds: float, *, detail: bool = False) -> None:
    """Show why the training ended, what it came to, and what that is worth on other rows."""
    line(console, _ending(result.history, seconds))
    show_results(console, result.model.target, result.model.record["results"], detail=detail)


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
