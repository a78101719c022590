"""``plainnet search``: trials of settings on folds, and the command that trains the best."""

import shlex
from contextlib import nullcontext
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from plainnet.cli.commands.evaluate import show_evaluation
from plainnet.cli.commands.train import diagnose, suggest
from plainnet.cli.console import errors, line, output
from plainnet.cli.options import ConfigFile, Options, training_words
from plainnet.cli.paths import require_output
from plainnet.cli.progress import reading
from plainnet.cli.report import show_data
from plainnet.cli.trials import SearchWatch, show_plan, show_trials
from plainnet.diagnose.watch import DoctorWatch
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.formatting import count
from plainnet.search.search import Method, Search, Trial, check_search
from plainnet.search.search import search as run_search
from plainnet.search.space import SEARCHED
from plainnet.training import EvaluationInterrupted, Run, load_folds
from plainnet.training import train as run_training

if TYPE_CHECKING:
    from plainnet.data.splits import Folds

INTERRUPTED = 130
TRIALS, FOLDS = 20, 5


def search(
    path: Path,
    /,
    *,
    options: Options = Options(),  # noqa: B008 - immutable
    trials: int = TRIALS,
    folds: int = FOLDS,
    method: Method = "random",
    only: int | None = None,
    out: Path | None = None,
    json: bool = False,
    config_file: ConfigFile = None,
) -> int:
    """Search for settings.

    Parameters
    ----------
    path
        A table (CSV, TSV, Parquet; compressed or not), or a folder with a folder for each class.
    options
        See `Options`.
    trials
        How many settings to try.
    folds
        Into how many parts the rows are dealt; each part judges a training on the others.
    method
        random; halving: the better half trains longer; or optuna, which learns from the trials.
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
    config = options.config(path)
    check_search(config, trials, method, options.given(), only, folds)
    if out is not None:
        if only is not None:
            raise PlainnetError("--only runs a trial again and saves nothing: leave out --out")
        require_output(out, path)
    console = Console(quiet=True) if json else output()
    with reading(errors() if json else console) as progress:
        data = load_folds(path, config, folds, progress=progress)
    show_data(console, str(path), data.data)
    waiting = errors() if json and errors().is_interactive else console
    with SearchWatch(waiting, trials, folds) as watch:
        found = run_search(
            data,
            config,
            trials=trials,
            method=method,
            given=options.given(),
            only=only,
            ready=lambda plan: show_plan(console, plan, len(data.data.train.y)),
            watch=watch.watch,
            seen=watch.seen,
        )
    if not found.trials and found.interrupted:
        raise KeyboardInterrupt
    show_trials(console, found, "R²" if data.data.target.task == "regression" else "accuracy")
    best, result = found.winner, None
    try:
        judged = only is None and not found.interrupted
        if best is not None and judged and (out is not None or data.data.test is not None):
            result = _winner(console, data, best, path)
    finally:
        if json:
            output().file.write(dumps(_to_json(found, path, trials, result)) + "\n")
        elif best is not None:
            _show_commands(console, found, best, path, trials)
    if best is None:
        raise PlainnetError(
            f"none of {count(len(found.trials), 'trial')} could be trained: see what failed"
        )
    if result is not None and out is not None:
        result.model.save(out)
        line(console, f"Saved: {out}", "bold", whole=True)
        suggest(console, "predict", out, path)
    return INTERRUPTED if found.interrupted else 0


def _winner(console: Console, data: "Folds", best: Trial, path: Path) -> Run:
    """Train the winner on all rows that are not held out, and judge it by those that are."""
    doctor_watch = DoctorWatch(best.config)
    waiting = console.status("training the winner") if console.is_terminal else nullcontext()
    with waiting:
        try:
            result = run_training(
                data.data, best.config, watch=doctor_watch.watch, ready=doctor_watch.ready
            )
        except EvaluationInterrupted as stop:
            result = stop.run
    if result.history.stopped == "interrupted":
        raise KeyboardInterrupt
    result.model.record["data"] = path.resolve().name
    evaluation = stored_evaluation(result.model)
    console.print()
    text = f"Trial {best.number} is the best. Trained on all {len(data.data.train.y):,} rows"
    text += ", it is judged once by those held out:" if evaluation else "; no rows judge it."
    line(console, text, "bold")
    if evaluation is not None:
        show_evaluation(console, result.model.target, evaluation, "held-out ")
    diagnose(console, doctor_watch, result)
    return result


def _show_commands(console: Console, found: Search, best: Trial, path: Path, trials: int) -> None:
    """Name the commands that train the best and that run its trial again, to be copied."""
    console.print()
    if found.interrupted:
        text = f"Interrupted: {len(found.trials):,} of {count(trials, 'trial')} ran"
        line(console, f"{text}; nothing is saved. The best so far is trial {best.number}.")
    words = training_words(best.config, str(path))
    line(console, f"Train it: {shlex.join(words)}", whole=True)
    words = rerun_words(found, best, path, trials)
    line(console, f"Trial {best.number} again: {shlex.join(words)}", whole=True)


def rerun_words(found: Search, trial: Trial, path: Path, trials: int) -> list[str]:
    """Return the words of the command that runs a trial again, to the same figures.

    Parameters
    ----------
    found : Search
        The search that it is of.
    trial : Trial
        Whose settings are all written down, so that nothing is left to draw.
    path : Path
        The table or folder.
    trials : int
        How many the search was to have.

    Returns
    -------
    list of str
    """
    words = training_words(trial.config, str(path), command="search", always=SEARCHED)
    usual = {"trials": TRIALS, "folds": FOLDS, "method": "random"}
    method = "halving" if found.method == "halving" else "random"  # nothing is left for optuna
    own = {"trials": trials, "folds": found.k, "method": method, "only": trial.number}
    return words + [f"--{name}={own[name]}" for name in own if own[name] != usual.get(name)]


def _to_json(found: Search, path: Path, trials: int, result: Run | None) -> dict[str, Any]:
    """Return all that was found as JSON can hold it."""
    best = found.winner

    def told(trial: Trial) -> dict[str, Any]:
        chosen = asdict(trial.config)
        return {
            "trial": trial.number,
            "config": {name: chosen[name] for name in SEARCHED},
            "failure": trial.failure,
            "rungs": [{"epochs": r.epochs, **r.scores.to_json()} for r in trial.rungs],
            "train": shlex.join(training_words(trial.config, str(path))),
            "again": shlex.join(rerun_words(found, trial, path, trials)),
        }

    return {
        "method": found.method,
        "folds": found.k,
        "rounds": [{"trials": n, "epochs": epochs} for n, epochs in found.rounds],
        "interrupted": found.interrupted,
        "winner": None if best is None else best.number,
        "trials": [told(trial) for trial in found.ranked],
        "baselines": [
            {"name": one.name, "words": one.words, **one.scores.to_json()} for one in found.answers
        ],
        "held_out": None if result is None else result.model.record["evaluation"],
    }
