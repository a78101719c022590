"""``plainnet train``: from a table or a folder of pictures to a model file."""

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import plainnet.training
from plainnet.cli.commands.evaluate import show_evaluation, show_findings, show_repeats
from plainnet.cli.console import (
    clean,
    line,
    notes,
    output,
    show_data,
    show_network,
    training_text,
)
from plainnet.cli.options import ConfigFile, Options
from plainnet.cli.paths import model_path, near, run_folder
from plainnet.cli.progress import TrainingDisplay, duration, reading
from plainnet.cli.train_job import Job
from plainnet.config import TrainConfig
from plainnet.diagnose.watch import DoctorWatch
from plainnet.errors import PlainnetError, TrainingError
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.formatting import number
from plainnet.nn.network import Sequential
from plainnet.storage.checkpoints import Checkpoints
from plainnet.train.history import Epoch, History
from plainnet.training import EvaluationInterrupted, Run

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset


_NONE = Options()


def train(
    path: Path | None = None,
    /,
    *,
    options: Options = _NONE,
    out: Path | None = None,
    report: Path | None = None,
    repeat: int = 1,
    detail: bool = False,
    checkpoint_every: float | None = None,
    resume: Path | None = None,
    config_file: ConfigFile = None,
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
        Train this many times in all, with consecutive seeds, and compare; the first is saved.
    detail
        Show all scores of the evaluation.
    checkpoint_every
        Save the state of the training every so many epochs (0.5: twice in each), to resume it.
    resume
        Resume an interrupted training: the folder of its checkpoints, and no other option.
    config_file
        A TOML file with any of these options, such as epochs = 50; the command line wins.
    """
    console = output()

    def warn(sentence: str) -> None:
        notes([sentence], console)

    if resume is None:
        if path is None:
            raise PlainnetError(
                "plainnet train needs a table or a folder of pictures, or --resume and the folder "
                "of a training: see plainnet train --help"
            )
        config = options.config(path)
        place = model_path(path) if out is None else out
        job = Job(path, config, place, report, repeat, detail)
        job.check()
        checkpoints = Checkpoints(run_folder(place), checkpoint_every, warn)
        if checkpoints.unfinished:
            warn(
                f"{near(checkpoints.folder)} holds a training that has not ended, and "
                f"{_resuming(checkpoints)} resumes it; Ctrl-C in this one would replace it"
            )
    else:
        others = any(one is not None for one in (path, out, report, checkpoint_every, config_file))
        if options is not _NONE or others or repeat != 1 or detail:
            raise PlainnetError(
                "--resume uses the data and the options that the training began with: leave out "
                "all others"
            )
        checkpoints = Checkpoints.load(resume, warn, Job.begun)
        job = Job.begun(checkpoints)
        job.check()
        job.check_replaced()
    checkpoints.attach("job", job.to_json)
    try:
        _train(console, job, checkpoints)
    except TrainingError:  # resuming would only fail again
        checkpoints.remove()
        raise
    except (KeyboardInterrupt, OSError, MemoryError):
        _offer(console, checkpoints)
        raise


def _train(console: Console, job: Job, checkpoints: Checkpoints) -> None:
    path, config, place = job.path, job.config, job.out
    doctor_watch = DoctorWatch(config)
    checkpoints.attach("doctor_watch", doctor_watch.state)
    found = checkpoints.checkpoint
    told: list[str] = []
    result: Run | None = None
    try:
        with reading(console) as progress, TrainingDisplay(console) as watch:

            def ready(data: "Dataset", net: Sequential) -> None:
                told.extend(data.notes)
                show_data(console, str(path), data)
                show_start(console, net, config, data)
                show_checkpoints(console, checkpoints)
                watch.start(data.target)
                doctor_watch.ready(data, net)
                if found is not None:
                    with checkpoints.validated() as about:
                        doctor_watch.restore(about)

            def seen(epoch: Epoch) -> None:
                doctor_watch.watch(epoch)
                watch(epoch)

            result = plainnet.training.train(
                path,
                config,
                watch=seen,
                progress=progress,
                ready=ready,
                checkpoints=checkpoints,
            )
            before = 0 if found is None else found.metadata["epoch"] - 1
            show_end(console, result, watch.finish(), before=before, detail=job.detail)
        notes(result.data.notes[len(told) :], console)
        diagnose(console, doctor_watch, result)
        interrupted = result.history.stopped == "interrupted"
        if job.repeat != 1 and not interrupted:
            _repeat(console, path, result, config, job.repeat)
    except KeyboardInterrupt as stop:
        result = stop.run if isinstance(stop, EvaluationInterrupted) else result
        if result is None:
            raise
        interrupted = True
        line(console, "Interrupted: the model is saved without the rest of its evaluation.")
    result.model.save(place)
    console.print()
    line(console, f"Saved: {place}", "bold", whole=True)
    if job.report is not None and not interrupted:
        from plainnet.cli.commands.report import write_report

        found_again = stored_evaluation(result.model)
        write_report(
            console, job.report, result.model, place.name, result.data.test, evaluation=found_again
        )
    if interrupted:
        _offer(console, checkpoints)
    elif checkpoints.last is not None:
        checkpoints.remove()
    suggest(console, "predict", place, path)


def _offer(console: Console, checkpoints: Checkpoints) -> None:
    """Name the command that resumes, if there is a checkpoint."""
    if checkpoints.last is not None:
        line(console, f"To resume: {_resuming(checkpoints)}", whole=True)


def _resuming(checkpoints: Checkpoints) -> str:
    return shlex.join(["plainnet", "train", "--resume", str(near(checkpoints.folder))])


def diagnose(console: Console, doctor_watch: DoctorWatch, result: Run) -> None:
    """Show findings about the training that the evaluation does not already contain."""
    found = doctor_watch.findings(result.history)
    result.model.record["findings"] = [one.to_json() for one in found]
    evaluation = stored_evaluation(result.model)
    shown = set() if evaluation is None else {one.name for one in evaluation.findings}
    show_findings(console, [one for one in found if one.name not in shown])


def _repeat(console: Console, path: Path, first: Run, config: TrainConfig, k: int) -> None:
    console.print()
    try:
        with console.status("repeating") if console.is_terminal else nullcontext():
            found = plainnet.training.repeat(first, path, config, k)
    except KeyboardInterrupt:  # the first training is kept
        line(console, f"Interrupted: of {k} trainings only the first ended.")
        return
    except PlainnetError as error:
        line(console, clean(f"The trainings cannot be compared: {error}"))
        return
    show_repeats(console, found)
    if len(found.seeds) < k:
        line(console, f"Interrupted: {len(found.seeds)} of {k} trainings ended.")


def show_start(console: Console, net: Sequential, config: TrainConfig, data: "Dataset") -> None:
    """Show the network and how it will be trained."""
    show_network(console, net)
    console.print()
    text = training_text(config, len(data.train.y), pictures=data.train.X.ndim == 4)
    line(console, f"Training: {text}")


def show_checkpoints(console: Console, checkpoints: Checkpoints) -> None:
    """Show where checkpoints are saved, and where the training resumes."""
    every, folder, found = checkpoints.every, near(checkpoints.folder), checkpoints.checkpoint
    if every is not None:
        often = "epoch" if every == 1 else f"{every:,g} epochs"
        line(console, f"Checkpoints: every {often} in {folder}")
    if found is not None:
        epoch, batch = found.metadata["epoch"], found.metadata["batch"]
        where = f"epoch {epoch:,}, after its batch {batch:,}" if batch else f"epoch {epoch:,}"
        line(console, f"Resuming at {where}")
    elif every is not None:
        line(console, f"To resume after an interruption: {_resuming(checkpoints)}", whole=True)


def show_end(
    console: Console, result: Run, seconds: float, *, before: int = 0, detail: bool = False
) -> None:
    """Show why the training ended, its final loss, and its evaluation."""
    line(console, _ending(result.history, seconds, before))
    evaluation = stored_evaluation(result.model)
    if evaluation is not None:
        show_evaluation(console, result.model.target, evaluation, "held-out ", detail=detail)


def _ending(history: History, seconds: float, before: int) -> str:
    n = len(history)
    last = f", the last {n - before:,}" if before else ""
    done = f"{n:,} {'epoch' if n == 1 else 'epochs'}{last} in {duration(seconds)}"
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
    command_line = ["plainnet", command, *map(str, arguments)]
    line(console, f"Next: {shlex.join(command_line)}", whole=True)
