"""Train on a table, or on a folder that holds a folder of pictures for each class.

plainnet train survey.csv --target Personality
plainnet train houses.parquet --target price --hidden 32 16 --epochs 200
plainnet train pictures/ --size 64 --optimizer sgd --lr 0.02 --batch-size full
plainnet train survey.csv --checkpoint-every 5
plainnet train --resume survey.run

Ctrl-C ends the training early, keeps the model, and shows how to resume.
"""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import plainnet.training
from plainnet.cli.commands.evaluate import show_evaluation, show_findings, show_repeats
from plainnet.cli.console import (
    output,
    print_line,
    print_notes,
    show_data,
    show_network,
    training_text,
)
from plainnet.cli.options import ConfigFile, Options
from plainnet.cli.paths import checkpoint_folder, model_path, relative_path
from plainnet.cli.progress import TrainingDisplay, duration, reading
from plainnet.cli.ranks import follow, ranks_of_mpiexec, resume_command, show_ranks
from plainnet.cli.train_job import Job
from plainnet.config import Config
from plainnet.data.table_file import takes_long
from plainnet.diagnose.watch import DoctorWatch
from plainnet.errors import PlainnetError, TrainingError
from plainnet.evaluate.baselines.boosting import boosting_ahead
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.formatting import count, number
from plainnet.nn.network import Sequential
from plainnet.nn.ranks import Ranks
from plainnet.storage.checkpoints import Checkpoints
from plainnet.tabular import settled
from plainnet.tracking import TensorBoardLog, mlflow_run
from plainnet.train.fit import Watch
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
    log_dir: Path | None = None,
    mlflow: bool = False,
    config_file: ConfigFile = None,
) -> None:
    """Train on a table or a folder of pictures.

    Parameters
    ----------
    path
        A table (CSV, TSV, Parquet; compressed or not), a folder of tables, or a folder with a
        folder of pictures for each class.
    options
        See `Options`.
    out
        The model file. [default: named after the data, in the current folder]
    report
        An HTML file to write a report to.
    repeat
        Number of trainings, with consecutive seeds, to compare; the first is saved.
    detail
        Show all scores of the evaluation.
    checkpoint_every
        Number of epochs between two checkpoints, to resume from (0.5: two checkpoints per epoch).
    resume
        Resume an interrupted training: the folder of its checkpoints, and no other option.
    log_dir
        A folder for the metrics of each epoch, as TensorBoard events.
    mlflow
        Log options, metrics and the model file to MLflow.
    config_file
        A TOML file with any of these options, such as epochs = 50; the command line wins.
    """
    others = (path, out, report, checkpoint_every, config_file)
    given = any(value is not None for value in others) or options is not _NONE
    with ranks_of_mpiexec() as ranks:
        if resume is None and path is None:
            raise PlainnetError(
                "plainnet train needs a table or a folder of pictures, or --resume and the folder "
                "of a training: see plainnet train --help"
            )
        if resume is not None and (given or repeat != 1 or detail):
            raise PlainnetError(
                "--resume uses the data and the options that the training began with: leave out "
                "all others"
            )
        if ranks.size > 1 and repeat != 1:
            raise PlainnetError(
                "--repeat trains in one process: leave it out, or start plainnet without mpiexec"
            )
        config = None if path is None else options.config(path)
        if ranks.rank:
            follow(ranks, path, config)
            return
        console = output()

        def warn(sentence: str) -> None:
            print_notes([sentence], console)

        if path is not None and config is not None:
            out = model_path(path) if out is None else out
            job = Job(path, config, out, report, repeat, detail)
            job.check()
            checkpoints = Checkpoints(checkpoint_folder(job.out), checkpoint_every, warn)
            if checkpoints.unfinished:
                warn(
                    f"{relative_path(checkpoints.folder)} holds a training that has not ended, and "
                    f"{resume_command(checkpoints, ranks)} resumes it; Ctrl-C in this one would "
                    "replace it"
                )
        else:
            assert resume is not None  # for the type checker
            checkpoints = Checkpoints.load(resume, warn, Job.from_checkpoints)
            job = Job.from_checkpoints(checkpoints)
            job.check()
            job.check_replaced()
            ranks.gather((job.path, job.config))  # for `follow`
        checkpoints.attach("job", job.to_json)
        with ExitStack() as logs:
            trackers: list[Watch] = []
            if log_dir is not None:
                trackers.append(logs.enter_context(TensorBoardLog(log_dir)))
            if mlflow:
                trackers.append(logs.enter_context(mlflow_run(asdict(job.config), job.out)))
            with _resumable(console, checkpoints, ranks):
                _train(console, job, checkpoints, trackers, ranks)


@contextmanager
def _resumable(console: Console, checkpoints: Checkpoints, ranks: Ranks) -> Iterator[None]:
    """At an error show how to resume, unless resuming would only fail again."""
    try:
        yield
    except TrainingError:
        checkpoints.remove()
        raise
    except (KeyboardInterrupt, OSError, MemoryError):
        _print_resume_command(console, checkpoints, ranks)
        raise


def _train(
    console: Console,
    job: Job,
    checkpoints: Checkpoints,
    trackers: Sequence[Watch],
    ranks: Ranks,
) -> None:
    path, config = job.path, job.config
    doctor_watch = DoctorWatch(config)
    checkpoints.attach("doctor_watch", doctor_watch.state)
    checkpoint = checkpoints.checkpoint
    n_notes = 0
    result: Run | None = None
    try:
        with (
            reading(console) as progress,
            TrainingDisplay(console) as display,
            boosting_ahead(takes_long(path) and config.test_fraction > 0) as begin_boosting,
        ):

            def ready(data: "Dataset", net: Sequential) -> None:
                nonlocal n_notes
                n_notes = len(data.notes)
                show_data(console, str(path), data)
                show_start(console, net, config, data)
                show_checkpoints(console, checkpoints, ranks)
                show_ranks(console, ranks, checkpoints)
                display.start(data.target)
                doctor_watch.ready(data, net)
                if data.test is not None:
                    begin_boosting(data.target, data.train)
                if checkpoint is not None:
                    with checkpoints.validated() as content:
                        doctor_watch.restore(content)

            def watch(epoch: Epoch) -> None:
                doctor_watch.watch(epoch)
                display(epoch)
                for tracker in trackers:
                    tracker(epoch)

            result = plainnet.training.train(
                path,
                config,
                watch=watch,
                progress=progress,
                ready=ready,
                checkpoints=checkpoints,
                ranks=ranks,
            )
            before = 0 if checkpoint is None else checkpoint.metadata["epoch"] - 1
            show_end(console, result, display.finish(), before=before, detail=job.detail)
        print_notes(result.data.notes[n_notes:], console)
        diagnose(console, doctor_watch, result)
        interrupted = result.history.stopped == "interrupted"
        if job.repeat != 1 and not interrupted:
            _repeat(console, path, result, config, job.repeat)
    except KeyboardInterrupt as stop:
        result = stop.run if isinstance(stop, EvaluationInterrupted) else result
        if result is None:
            raise
        interrupted = True
        print_line(console, "Interrupted: the model is saved without the rest of its evaluation.")
    model = result.model
    model.save(job.out)
    console.print()
    print_line(console, f"Saved: {job.out}", "bold", wrap=False)
    if job.report is not None and not interrupted:
        from plainnet.cli.commands.report import write_report

        evaluation = stored_evaluation(model)
        rows = result.data.test
        write_report(console, job.report, model, job.out.name, rows, evaluation=evaluation)
    if interrupted:
        _print_resume_command(console, checkpoints, ranks)
    elif checkpoints.last is not None:
        checkpoints.remove()
    suggest(console, "predict", job.out, path)


def _print_resume_command(console: Console, checkpoints: Checkpoints, ranks: Ranks) -> None:
    """Print the command that resumes, if there is a checkpoint."""
    if checkpoints.last is not None:
        print_line(console, f"To resume: {resume_command(checkpoints, ranks)}", wrap=False)


def diagnose(console: Console, doctor_watch: DoctorWatch, result: Run) -> None:
    """Show findings about the training that the evaluation does not already contain."""
    findings = doctor_watch.findings(result)
    result.model.record["findings"] = [finding.to_json() for finding in findings]
    evaluation = stored_evaluation(result.model)
    known = set() if evaluation is None else {finding.name for finding in evaluation.findings}
    show_findings(console, [finding for finding in findings if finding.name not in known])


def _repeat(console: Console, path: Path, first: Run, config: Config, k: int) -> None:
    console.print()
    try:
        with console.status("repeating") if console.is_terminal else nullcontext():
            repeats = plainnet.training.repeat(first, path, config, k)
    except KeyboardInterrupt:  # the first training is kept
        print_line(console, f"Interrupted: of {k} trainings only the first ended.")
        return
    except PlainnetError as error:
        print_line(console, f"The trainings cannot be compared: {error}")
        return
    show_repeats(console, repeats)
    if len(repeats.seeds) < k:
        print_line(console, f"Interrupted: {len(repeats.seeds)} of {k} trainings ended.")


def show_start(console: Console, net: Sequential, config: Config, data: "Dataset") -> None:
    """Show the network and how it will be trained."""
    show_network(console, net)
    console.print()
    config = settled(config, data.train.X, data.target.task, m=data.m)
    text = training_text(config, data.m, pictures=data.train.X.ndim == 4)
    print_line(console, f"Training: {text}")


def show_checkpoints(console: Console, checkpoints: Checkpoints, ranks: Ranks) -> None:
    """Show where checkpoints are saved, and where the training resumes."""
    every, folder = checkpoints.every, relative_path(checkpoints.folder)
    checkpoint = checkpoints.checkpoint
    if every is not None:
        interval = "epoch" if every == 1 else f"{every:,g} epochs"
        print_line(console, f"Checkpoints: every {interval} in {folder}")
    if checkpoint is not None:
        epoch, batch = checkpoint.metadata["epoch"], checkpoint.metadata["batch"]
        after = f", after its batch {batch:,}" if batch else ""
        print_line(console, f"Resuming at epoch {epoch:,}{after}")
    elif every is not None:
        command = resume_command(checkpoints, ranks)
        print_line(console, f"To resume after an interruption: {command}", wrap=False)


def show_end(
    console: Console, result: Run, seconds: float, *, before: int = 0, detail: bool = False
) -> None:
    """Show why the training ended, its final loss, and its evaluation."""
    print_line(console, _ending(result.history, seconds, before))
    evaluation = stored_evaluation(result.model)
    if evaluation is not None:
        show_evaluation(console, result.model.target, evaluation, "held-out ", detail=detail)


def _ending(history: History, seconds: float, before: int) -> str:
    n = len(history)
    last = f", the last {n - before:,}" if before else ""
    cost = f"final cost {number(history.loss[-1])}" if n else "no epoch was finished"
    text = f"Trained {count(n, 'epoch')}{last} in {duration(seconds)}: {cost}."
    if history.stopped == "interrupted":
        text += " Interrupted: the network is kept as it was then."
    if history.stopped == "early stopping":
        text += " Stopped early: the validation cost no longer fell."
    if history.best_epoch is not None:
        text += f" The weights kept are the best, found by epoch {history.best_epoch:,}."
    return text


def suggest(console: Console, command: str, *arguments: Path) -> None:
    """Print the next command to try."""
    text = shlex.join(["plainnet", command, *map(str, arguments)])
    print_line(console, f"Next: {text}", wrap=False)
