"""Check the gradients of a model against finite differences on a few rows of data.

plainnet gradcheck survey.safetensors survey.csv

The exit code is 1 if a gradient is wrong.
"""

from pathlib import Path

import numpy as np
from rich.console import Console

from plainnet.cli.console import errors, output, print_line, print_notes, print_table
from plainnet.cli.options import Count, Seed
from plainnet.cli.progress import reading
from plainnet.evaluate.per_example import read_rows
from plainnet.model import Model
from plainnet.nn.gradcheck import GradCheck
from plainnet.nn.gradcheck import gradcheck as check_gradients
from plainnet.report.html import Table

WRONG = 1  # the exit code if a gradient is wrong


def gradcheck(
    model: Path, path: Path, /, *, rows: Count = 5, sample: Count = 50, seed: Seed = 0
) -> int:
    """Check the gradients of a model.

    Parameters
    ----------
    model
        A model file.
    path
        A table with the target column, or a folder with a folder for each class.
    rows
        Number of rows to check, evenly from the first to the last.
    sample
        Number of entries to check in each parameter.
    seed
        Seed for the choice of entries.

    Returns
    -------
    int
        The exit code.
    """
    trained = Model.load(model)
    notes: list[str] = []
    with reading(errors()) as progress:
        X, y = read_rows(trained, path, progress=progress, notes=notes).rows
    print_notes(notes)
    chosen = np.unique(np.linspace(0, len(y) - 1, rows).astype(int))
    trained.forward(X[chosen])  # refuses a network whose numbers overflow
    inputs = X[chosen] if trained.transform is None else trained.transform(X[chosen])
    result = check_gradients(trained.net, trained.loss, inputs, y[chosen], sample=sample, seed=seed)
    _show_check(output(), result, len(chosen))
    return 0 if result.ok else WRONG


def _show_check(console: Console, result: GradCheck, n: int) -> None:
    body = []
    for row in result.rows:
        remark = "ok" if row.difference < result.threshold else f"WRONG, most at {row.worst}"
        if row.kinks:
            remark += f"; {len(row.kinks):,} on a kink, left out"
        shape = " x ".join(map(str, row.shape))
        body.append((row.name, shape, f"{row.checked:,}", f"{row.difference:.1e}", remark))
    head = ("parameter", "shape", "checked", "difference", "")
    table = Table(f"Gradients on {n:,} rows", head, body, right=(1, 2, 3))
    print_table(console, table, most=len(body))
    verdict = "right" if result.ok else "WRONG"
    text = f"{result.difference:.1e} in all, and each should be below {result.threshold:.0e}"
    print_line(console, f"The gradients are {verdict}: {text}.", "" if result.ok else "bold red")
