"""Write a report on a model as one HTML file, which any browser shows offline.

plainnet report survey.safetensors
plainnet report survey.safetensors held-out.csv --out survey.html
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from plainnet.cli.console import output, print_line
from plainnet.cli.options import command_arguments
from plainnet.cli.paths import require_images, require_output
from plainnet.cli.progress import read_examples
from plainnet.evaluate.evaluation import Evaluation
from plainnet.evaluate.per_example import NamedExamples
from plainnet.evaluate.training_record import recorded_config
from plainnet.model import Model
from plainnet.nn.parameters import Array
from plainnet.storage.atomic import write_bytes

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples


def report(
    model: Path, path: Path | None = None, /, *, out: Path | None = None, strict: bool = False
) -> None:
    """Write a report on a model.

    Parameters
    ----------
    model
        A model file.
    path
        Data with known answers, to evaluate the model on. [default: the evaluation of its training]
    out
        The HTML file. [default: named after the model, in the current folder]
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    """
    out = Path(f"{model.stem}.html") if out is None else out
    require_output(out, model, *([] if path is None else [path]))
    trained = Model.load(model)
    require_images(trained, strict)
    examples, notes = None, list[str]()
    if path is not None:
        examples, notes = read_examples(trained, path, strict=strict)
    write_report(output(), out, trained, model.name, examples, path, notes=notes)


def write_report(
    console: Console,
    out: Path,
    model: Model,
    name: str,
    rows: "Examples | NamedExamples | None",
    path: Path | None = None,
    evaluation: Evaluation | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report; the doctor examines rows from a path, but not those of the training."""
    from plainnet.diagnose.watch import examine_model
    from plainnet.report.report import report

    numbers: Array | None = None
    if isinstance(rows, NamedExamples):
        numbers, rows = rows.numbers, rows.rows
    text = report(
        model,
        name=name,
        rows=rows,
        numbers=numbers,
        source="held out in training" if path is None else f"of {path.name}",
        evaluation=evaluation,
        findings=examine_model(model, rows) if rows is not None and path is not None else None,
        notes=notes,
        command=training_command(model),
    )
    write_bytes(out, text.encode("utf-8", "backslashreplace"))
    print_line(console, f"Report: {out}", wrap=False)


def training_command(model: Model) -> str:
    """Return the command that trains a model again, or nothing if its record has none."""
    data, config = model.record.get("data"), recorded_config(model.record)
    if not isinstance(data, str) or config is None:
        return ""
    return shlex.join(command_arguments(config, data))
