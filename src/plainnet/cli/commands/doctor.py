"""Diagnose data, a network and its training, and suggest fixes.

plainnet doctor survey.csv --target Personality --lr 0.1
plainnet doctor survey.safetensors held-out.csv

It trains as plainnet train does and keeps nothing. The exit code is 1 if there is a
problem.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from plainnet.cli.commands.evaluate import show_findings
from plainnet.cli.commands.train import show_start
from plainnet.cli.console import errors, output, print_json, print_line, show_data
from plainnet.cli.options import ConfigFile, Options, command_arguments
from plainnet.cli.progress import TrainingDisplay, read_examples, reading
from plainnet.config import TrainConfig
from plainnet.diagnose.watch import DoctorWatch, examine_model, trained_config
from plainnet.errors import PlainnetError, TrainingError
from plainnet.evaluate.finding import LEVELS, Finding
from plainnet.evaluate.training_record import recorded_config
from plainnet.formatting import count
from plainnet.loading import load
from plainnet.model import Model
from plainnet.nn.network import Sequential
from plainnet.tabular import settled
from plainnet.train.history import Epoch
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
        findings, commands = _diagnose_model(Model.load(path), data)
    else:
        config = options.config(path)
        findings, tabular = _diagnose_training(path, config, quiet=json)
        commands = _commands(path, config, tabular, findings)
    if json:
        every = [
            {**one.to_json(), "options": one.options, "command": commands.get(one.name)}
            for one in findings
        ]
        print_json({"findings": every})
    else:
        _show(output(), findings, commands)
    return PROBLEM if any(finding.level == "problem" for finding in findings) else 0


def _diagnose_model(model: Model, data: Path) -> tuple[list[Finding], dict[str, str]]:
    """Return the findings, and commands that train on the rows of the model if they are there."""
    rows = read_examples(model, data)[0].rows
    findings, config = examine_model(model, rows), trained_config(model, rows)
    given, name = recorded_config(model.record), model.record.get("data")
    source = next((each for each in data.parent.iterdir() if each.name == name), None)
    if given is None or config is None or source is None:
        return findings, {}
    return findings, _commands(source, given, config.network == "tabular", findings)


def _commands(
    path: Path, config: TrainConfig, tabular: bool, findings: Sequence[Finding]
) -> dict[str, str]:
    """Return the given command with the options that each finding changes."""
    if tabular:  # which auto takes only if no option of a single network is given
        config = replace(config, network="tabular")
    return {
        finding.name: shlex.join(
            command_arguments(replace(config, **finding.options), str(path), command="doctor")
        )
        for finding in findings
        if finding.options
    }


def _diagnose_training(path: Path, config: TrainConfig, quiet: bool) -> tuple[list[Finding], bool]:
    """Train as ``plainnet train`` does; return the findings, and whether it was tabular."""
    console = errors() if quiet else output()
    doctor_watch = DoctorWatch(config)
    with reading(console) as progress, TrainingDisplay(console) as display:
        data = load(path, config, progress=progress)
        # held-out rows serve as validation rows, to find the epoch in which overfitting starts;
        # the members of a tabular network have their own
        settings = settled(config, data.train.X, data.target.task, m=data.m)
        own = data.validation is not None or settings.network == "tabular"
        watched = data if own else replace(data, validation=data.test)

        def ready(_: "Dataset", net: Sequential) -> None:
            doctor_watch.ready(data, net)
            if not quiet:
                show_data(console, str(path), data)
                show_start(console, net, config, data)
            display.start(data.target)

        def watch(epoch: Epoch) -> None:
            doctor_watch.watch(epoch)
            if not quiet:
                display(epoch)

        try:
            result = run_training(watched, config, watch=watch, ready=ready)
        except TrainingError as error:
            return doctor_watch.findings(failure=str(error)), doctor_watch.tabular
        display.finish()
    return doctor_watch.findings(result), doctor_watch.tabular


def _show(console: Console, findings: Sequence[Finding], commands: Mapping[str, str]) -> None:
    console.print()
    levels = Counter(finding.level for finding in findings)
    summary = ", ".join(count(levels[level], level) for level in LEVELS if level in levels)
    print_line(console, f"Findings: {summary or 'none'}.", "bold")
    show_findings(console, findings, detail=True, commands=commands)
