"""``plainnet summary`` and ``plainnet gradcheck``: what a model holds, and whether it is right."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from plainnet.cli.commands.evaluate import show_evaluation
from plainnet.cli.console import clean, errors, line, notes, number, output, section, table
from plainnet.cli.progress import reading, sparkline
from plainnet.cli.report import show_meaning, show_network, training_text
from plainnet.config import TrainConfig
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.evaluate.training_record import FOREIGN, recorded_history
from plainnet.model import Model
from plainnet.nn.gradcheck import GradCheck
from plainnet.nn.gradcheck import gradcheck as check_gradients

WRONG = 1  # the exit code where a gradient is wrong


def summary(model: Path, /) -> None:
    """Show what a model file holds.

    Parameters
    ----------
    model
        A model file.
    """
    trained = Model.load(model)
    console = output()
    line(console, clean(model), "bold")
    show_meaning(console, trained.schema, trained.target)
    show_network(console, trained.net)
    console.print()
    line(console, f"Loss: {type(trained.loss).__name__}")
    try:
        _show_record(console, trained)
    except FOREIGN:
        line(console, "How it was trained is not recorded in the way of plainnet train.")


def _show_record(console: Console, trained: Model) -> None:
    """Show how the model was trained; fails on a record that someone else wrote."""
    record, history = trained.record, recorded_history(trained.record)
    losses = [] if history is None else history.loss
    m, pictures = record["rows"]["train"], trained.transform is not None
    line(console, f"Training: {clean(training_text(_config(record), m, pictures))}")
    course = f"Cost: {number(losses[0])} to {number(losses[-1])} in {len(losses):,} epochs"
    line(console, f"{course}  {sparkline(losses, 20)}")
    notes([str(note) for note in record["notes"]], console)
    evaluation = stored_evaluation(trained)
    if evaluation is not None:
        show_evaluation(console, trained.target, evaluation, "held-out ")


def _config(record: dict[str, Any]) -> TrainConfig:
    return TrainConfig(**record["config"])


def gradcheck(model: Path, path: Path, /, *, rows: int = 5, sample: int = 50, seed: int = 0) -> int:
    """Check the gradients of a model.

    Parameters
    ----------
    model
        A model file.
    path
        A table with the target column, or a folder with a folder for each class.
    rows
        How many rows to take, from the first to the last.
    sample
        How many entries of each parameter to check.
    seed
        Draws the entries.

    Returns
    -------
    int
        The exit code.
    """
    from plainnet.data.dataset import read_labeled

    if rows < 1 or seed < 0:
        raise PlainnetError(
            f"--rows must be at least 1 and --seed at least 0, got {rows} and {seed}"
        )
    trained = Model.load(model)
    remarks: list[str] = []
    with reading(errors()) as progress:
        X, y = read_labeled(path, trained.schema, trained.target, progress=progress, notes=remarks)
    notes(remarks)
    some = np.unique(np.linspace(0, len(y) - 1, rows).astype(int))
    trained.forward(X[some])  # refuses a network that is out of proportion
    few = X[some] if trained.transform is None else trained.transform(X[some])
    result = check_gradients(trained.net, trained.loss, few, y[some], sample=sample, seed=seed)
    _show_check(output(), result, len(some))
    return 0 if result.ok else WRONG


def _show_check(console: Console, result: GradCheck, n: int) -> None:
    body = []
    for row in result.rows:
        remark = "ok" if row.difference < result.threshold else f"WRONG, most at {row.worst}"
        if row.kinks:
            remark += f"; {len(row.kinks):,} on a kink, left out"
        shape = " x ".join(map(str, row.shape))
        body.append((row.name, shape, f"{row.checked:,}", f"{row.difference:.1e}", remark))
    head = ["parameter", "shape", "checked", "difference", ""]
    section(console, table(f"Gradients on {n:,} rows", head, body, right=(1, 2, 3)))
    verdict = "right" if result.ok else "WRONG"
    whole = f"{result.difference:.1e} in all, and each should be below {result.threshold:.0e}"
    line(console, f"The gradients are {verdict}: {whole}.", "" if result.ok else "bold red")
