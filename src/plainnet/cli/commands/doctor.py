"""``plainnet doctor``: diagnose data, a network and its training."""

from collections.abc import Sequence
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from plainnet.cli.commands.evaluate import show_findings
from plainnet.cli.commands.train import show_start
from plainnet.cli.console import errors, line, notes, output, show_data
from plainnet.cli.options import ConfigFile, Options
from plainnet.cli.progress import TrainingDisplay, reading
from plainnet.config import TrainConfig
from plainnet.diagnose.watch import DoctorWatch, examine_model
from plainnet.errors import PlainnetError, TrainingError
from plainnet.evaluate.finding import LEVELS, Finding
from plainnet.formatting import count
from plainnet.model import Model
from plainnet.nn.network import Sequential
from plainnet.train.history import Epoch
from plainnet.training import load
from plainnet.training import train as run_training

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset

PROBLEM = 1  # the exit code if a problem is found


def doctor(
    path: Path,
    data: Path | None = None,
    /,
    *,
    options: Options = Options(),  # noqa: B008 - immutable
    json: bool = False,
    config_file: ConfigFile = None,
) -> int:
    """Diagnose a training on data, or a model on data.

    Parameters
    ----------
    path
        A table or a folder of pictures to train on, or a model file.
    data
        For a model file: a table with the target column, or a folder with a folder for each class.
    options
        See `Options`.
    json
        Print one JSON object instead.
    config_file
        A TOML file with any of these options, such as epochs = 50; the command line wins.

    Returns
    -------
    int
        The exit code: 1 if a problem is found.
    """
    if data is not None:
        if options != Options() or config_file is not None:
            raise PlainnetError("training options do not apply to a model: leave them out")
        found = _of_model(path, data)
    else:
        found = _of_training(path, options.config(path), quiet=json)
    if json:
        output().file.write(dumps({"findings": [one.to_json() for one in found]}) + "\n")
    else:
        _show(output(), found)
    return PROBLEM if any(one.level == "problem" for one in found) else 0


def _of_training(path: Path, config: TrainConfig, quiet: bool) -> list[Finding]:
    """Train as ``plainnet train`` does, and keep only the findings."""
    console = errors() if quiet else output()
    doctor_watch = DoctorWatch(config)
    with reading(console) as progress, TrainingDisplay(console) as shown:
        data = load(path, config, progress=progress)
        # held-out rows serve as validation rows, to find the epoch in which overfitting starts
        watched = data if data.validation is not None else replace(data, validation=data.test)

        def ready(_: "Dataset", net: Sequential) -> None:
            doctor_watch.ready(data, net)
            if not quiet:
                show_data(console, str(path), data)
                show_start(console, net, config, data)
            shown.start(data.target)

        def watch(epoch: Epoch) -> None:
            doctor_watch.watch(epoch)
            if not quiet:
                shown(epoch)

        try:
            result = run_training(watched, config, watch=watch, ready=ready)
        except TrainingError as error:
            return doctor_watch.findings(failure=str(error))
        shown.finish()
    return doctor_watch.findings(result.history)


def _of_model(path: Path, data: Path) -> list[Finding]:
    from plainnet.evaluate.per_example import read_usable

    model = Model.load(path)
    remarks: list[str] = []
    with reading(errors()) as progress:
        rows = read_usable(model, data, remarks, progress=progress).rows
    notes(remarks)
    return examine_model(model, rows)


def _show(console: Console, found: Sequence[Finding]) -> None:
    console.print()
    counts = ((sum(one.level == level for one in found), level) for level in LEVELS)
    summary = ", ".join(count(n, level) for n, level in counts if n)
    line(console, f"Findings: {summary or 'none'}.", "bold")
    show_findings(console, found, detail=True)
