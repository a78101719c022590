"""Search for options by cross-validation, and train with the best.

plainnet search survey.csv --target Personality --trials 30
plainnet search survey.csv --method halving --out survey.safetensors
plainnet search pictures/ --optimizer sgd --hidden 8 8 8 --trials 10

It searches hidden layers, learning rate, L2 penalty (for adamw weight decay),
dropout and batch size, except for options that are given, and shows the command
that trains with the best. Ctrl-C ends the search and shows the table so far.
"""

import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from plainnet.cli.commands.evaluate import show_evaluation
from plainnet.cli.commands.train import diagnose, suggest
from plainnet.cli.console import (
    errors,
    output,
    print_json,
    print_line,
    print_notes,
    print_table,
    rich_table,
    show_data,
)
from plainnet.cli.options import ConfigFile, Options, command_arguments
from plainnet.cli.paths import require_output
from plainnet.cli.progress import SearchDisplay, reading
from plainnet.config import Config
from plainnet.data.splits import Folds
from plainnet.diagnose.watch import DoctorWatch
from plainnet.distributed.mpi import started_by_mpiexec
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.formatting import count
from plainnet.loading import load, load_folds
from plainnet.report.html import Table
from plainnet.search.search import Method, Search, check_search
from plainnet.search.search import search as run_search
from plainnet.search.space import searched
from plainnet.search.trial import Scores, Trial
from plainnet.search.workers import mpi_workers
from plainnet.training import EvaluationInterrupted, Run
from plainnet.training import train as run_training

INTERRUPTED = 130
TRIALS, FOLDS = 20, 5
_WIDE = 1000  # a console width that fits any table, to measure the width of a table
_HEADS = {"weight_decay": "decay", "dropout": "drop", "batch_size": "batch"}
_NAMES = {
    "layers": "hidden layers",
    "units": "units per layer",
    "lr": "learning rate",
    "l2": "L2 penalty",
    "weight_decay": "weight decay",
    "batch_size": "batch size",
    "filters": "channels of the first block",
    "shift": "shifted pictures, 0 or 1",
}
# the options that dimensions of the search space set together
_OPTION = {"layers": "hidden", "units": "hidden"}
_OPTION |= {"blocks": "channels", "filters": "channels", "shift": "augment"}


def search(
    path: Path,
    /,
    *,
    options: Options = Options(),  # noqa: B008 - immutable
    trials: int = TRIALS,
    folds: int = FOLDS,
    method: Method = "random",
    workers: int = 1,
    only: int | None = None,
    out: Path | None = None,
    json: bool = False,
    config_file: ConfigFile = None,
) -> int:
    """Search for options by cross-validation.

    Parameters
    ----------
    path
        A table (CSV, TSV, Parquet; compressed or not), or a folder with a folder for each class.
    options
        See `Options`.
    trials
        Number of trials.
    folds
        Number of folds; each trial is trained on all others and scored on one.
    method
        random; halving: the better half trains longer; or optuna, which learns from the trials.
    workers
        Processes that train at the same time, each with a copy of the data; the table is the same.
    only
        Run the trial of this number again and no other.
    out
        A model file for the winner, trained on all rows that are not held out.
    json
        Print one JSON object instead.
    config_file
        A TOML file with any of these options, such as epochs = 50; the command line wins.

    Returns
    -------
    int
        The exit code.
    """
    if started_by_mpiexec() and not mpi_workers():
        raise PlainnetError(
            "mpiexec starts the workers of a search by mpi4py.futures: mpiexec -n 5 python -m "
            "mpi4py.futures -m plainnet search ... has 4 workers"
        )
    config = options.config(path)
    check_search(config, trials, method, options.given(), only, folds, workers)
    if out is not None:
        if only is not None:
            raise PlainnetError("--only runs a trial again and saves nothing: leave out --out")
        require_output(out, path)
    console = Console(quiet=True) if json else output()
    with reading(errors() if json else console) as progress:
        data = load_folds(path, config, folds, progress=progress)
    show_data(console, str(path), data.data)
    progress_console = errors() if json and errors().is_interactive else console
    with SearchDisplay(progress_console, trials, folds) as display:
        found = run_search(
            data,
            config,
            trials=trials,
            method=method,
            given=options.given(),
            only=only,
            workers=workers,
            ready=lambda plan: show_plan(console, plan, data.data.m),
            watch=display.watch,
            watch_trial=display.watch_trial,
        )
    if not found.trials and found.stopped == "interrupted":
        raise KeyboardInterrupt
    show_trials(console, found, "R²" if data.data.target.task == "regression" else "accuracy")
    best, result = found.winner, None
    try:
        finished = only is None and found.stopped is None
        if best is not None and finished and (out is not None or config.test_fraction):
            result = _winner(console, data, best, path)
    finally:
        if json:
            print_json(_to_json(found, path, trials, result))
        elif best is not None:
            _show_commands(console, found, best, path, trials)
    if found.stopped == "worker died":
        raise PlainnetError(
            "a worker of the search died, as when memory runs out or it is killed: run it again, "
            "or take fewer --workers"
        )
    if best is None:
        raise PlainnetError(
            f"none of {count(len(found.trials), 'trial')} could be trained: see the notes"
        )
    if result is not None and out is not None:
        result.model.save(out)
        print_line(console, f"Saved: {out}", "bold", wrap=False)
        suggest(console, "predict", out, path)
    return INTERRUPTED if found.stopped == "interrupted" else 0


def _winner(console: Console, data: Folds, best: Trial, path: Path) -> Run:
    """Train the winner on all rows that are not held out, and evaluate it on those that are."""
    doctor_watch, dataset = DoctorWatch(best.config), data.data
    if data.sampled:
        with reading(console) as progress:
            dataset = load(path, best.config, progress=progress)
        print_notes([note for note in dataset.notes if note not in data.data.notes], console)
    with console.status("training the winner") if console.is_terminal else nullcontext():
        try:
            result = run_training(
                dataset, best.config, watch=doctor_watch.watch, ready=doctor_watch.ready
            )
        except EvaluationInterrupted as stop:
            result = stop.run
    if result.history.stopped == "interrupted":
        raise KeyboardInterrupt
    result.model.record["data"] = path.resolve().name
    evaluation = stored_evaluation(result.model)
    console.print()
    text = f"Trial {best.number} is the best. Trained on all {dataset.m:,} rows"
    text += " and evaluated on the held-out rows:" if evaluation else "; no rows are held out."
    print_line(console, text, "bold")
    if evaluation is not None:
        show_evaluation(console, result.model.target, evaluation, "held-out ")
    diagnose(console, doctor_watch, result)
    return result


def _show_commands(console: Console, found: Search, best: Trial, path: Path, trials: int) -> None:
    """Print the commands that train with the best options and that repeat the best trial."""
    console.print()
    if found.stopped is not None:
        ran = f"{len(found.trials):,} of {count(trials, 'trial')} ran; nothing is saved"
        text = f"{found.stopped.capitalize()}: {ran}. The best so far is trial {best.number}."
        print_line(console, text)
    train = shlex.join(command_arguments(best.config, str(path)))
    print_line(console, f"Train it: {train}", wrap=False)
    again = shlex.join(rerun_command(found, best, path, trials))
    print_line(console, f"Trial {best.number} again: {again}", wrap=False)


def rerun_command(found: Search, trial: Trial, path: Path, trials: int) -> list[str]:
    """Return the command that runs a trial again, with the same scores."""
    arguments = command_arguments(
        trial.config, str(path), command="search", always=searched(trial.config)
    )
    method = "halving" if found.method == "halving" else "random"  # all options are given
    defaults = {"trials": TRIALS, "folds": FOLDS, "method": "random", "only": None}
    options = {"trials": trials, "folds": found.k, "method": method, "only": trial.number}
    return arguments + [f"--{name}={v}" for name, v in options.items() if v != defaults[name]]


def _to_json(found: Search, path: Path, trials: int, result: Run | None) -> dict[str, Any]:
    """Return the results of a search as JSON values."""
    best = found.winner

    def trial_json(trial: Trial) -> dict[str, Any]:
        return {
            "trial": trial.number,
            "config": {name: getattr(trial.config, name) for name in searched(trial.config)},
            "failure": trial.failure,
            "rungs": [{"epochs": r.epochs, **r.scores.to_json()} for r in trial.rungs],
            "train": shlex.join(command_arguments(trial.config, str(path))),
            "again": shlex.join(rerun_command(found, trial, path, trials)),
        }

    return {
        "method": found.method,
        "folds": found.k,
        "rounds": [{"trials": n, "epochs": epochs} for n, epochs in found.rounds],
        "stopped": found.stopped,
        "winner": None if best is None else best.number,
        "trials": [trial_json(trial) for trial in found.ranked],
        "baselines": [
            {"name": each.name, "description": each.description, **each.scores.to_json()}
            for each in found.baselines
        ],
        "held_out": None if result is None else result.model.record["evaluation"],
    }


def show_plan(console: Console, found: Search, m: int) -> None:
    """Show the method, the folds and the ranges of a search."""
    trials, epochs = found.rounds[0]
    sampler = "by optuna's TPE" if found.method == "optuna" else "at random"
    title = f"Search: {count(trials, 'trial')} drawn {sampler}"
    console.print()
    print_line(console, title if found.only is None else f"Trial {found.only} again", "bold")
    length = f" of {count(epochs, 'epoch')}"
    if found.method == "halving":
        steps = ", ".join(f"{n:,} up to epoch {some:,}" for n, some in found.rounds)
        print_line(console, f"The better half continues: {steps}")
        length = ""
    folds = f"{m:,} rows in {found.k} folds"
    print_line(console, f"{folds}: each validates a training{length} on the others")
    if found.workers > 1:
        print_line(console, f"{found.workers:,} workers train at the same time")
    for name, values in found.space.items():
        print_line(console, f"  {_NAMES.get(name, name)}: {values}")


def show_trials(console: Console, found: Search, metric: str) -> None:
    """Show the trials, the best first, the baselines on the same folds, and failures."""
    ranked, several = found.ranked, len(found.rounds) > 1
    sign = "+-" if console.options.ascii_only else "±"
    names = list(dict.fromkeys(_OPTION.get(name, name) for name in found.space))
    options = [[str(t.number), *(_option(name, t.config) for name in names)] for t in ranked]
    results = [_result(trial, metric, sign, several) for trial in ranked]
    scores = ["loss", f"{metric} %" if metric == "accuracy" else metric]
    option_head = ["trial", *(_HEADS.get(name, name) for name in names)]
    result_head = [*(["epochs"] if several else []), *scores]
    title = "Trials, best first" + (", as far as they got" if found.stopped else "")
    rows = [a + b for a, b in zip(options, results, strict=True)]
    wide = _table(title, option_head + result_head, rows)
    width = console.measure(rich_table(wide), options=console.options.update(width=_WIDE)).maximum
    if width <= console.width:
        print_table(console, wide)
    else:
        short = [[row[0], *b] for row, b in zip(options, results, strict=True)]
        print_table(console, _table(title, ["trial", *result_head], short))
        print_table(console, _table("Their options", option_head, options))
    if found.baselines:
        rows = [
            [each.description, *_scores(each.scores, metric, sign)]
            for each in found.baselines[::-1]
        ]
        title, head = "Baselines on the same folds", ["", *scores]
        print_table(console, Table(title, head, rows, right=(1, 2)))
    print_line(console, f"{sign}: standard deviation over {found.k} folds.")
    print_notes([f"trial {t.number} failed: {t.failure}" for t in ranked if t.failure], console)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(title, head, rows, right=range(len(head)))


def _option(name: str, config: Config) -> str:
    if name == "hidden":
        assert config.hidden
        return f"{len(config.hidden)} x {config.hidden[0]}"
    if name in ("channels", "augment"):
        return " ".join(map(str, getattr(config, name))) or "none"
    return f"{getattr(config, name):g}"


def _result(trial: Trial, metric: str, sign: str, several: bool) -> list[str]:
    last = trial.rungs[-1] if trial.rungs else None
    epochs = [f"{last.epochs:,}" if last else "-"] if several else []
    if last is None or trial.failure is not None:
        return [*epochs, "failed", "-"]
    return [*epochs, *_scores(last.scores, metric, sign)]


def _scores(scores: Scores, metric: str, sign: str) -> list[str]:
    loss = _pair(scores.mean_loss, scores.deviation_loss, sign)
    mean, deviation = scores.mean_score, scores.deviation_score
    if mean is None or deviation is None:
        return [loss, "-"]
    if metric == "accuracy":
        return [loss, f"{100 * mean:.1f} {sign} {100 * deviation:.1f}"]
    return [loss, _pair(mean, deviation, sign)]


def _pair(mean: float, deviation: float, sign: str) -> str:
    form = ".3f" if 0.1 <= abs(mean) < 1000 else ".2g"  # short, so that the options fit
    return f"{mean:{form}} {sign} {deviation:{form}}"
