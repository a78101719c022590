"""``plainnet predict`` and ``plainnet evaluate``: what a trained model says, and how good it is."""

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from plainnet.cli.console import errors, line, notes, output
from plainnet.cli.evaluations import show_cheapest, show_evaluation
from plainnet.cli.paths import require_output, require_pictures
from plainnet.cli.progress import reading
from plainnet.data.decode import shown
from plainnet.data.images import ImageSchema, picture_files, read_files
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import Costs, evaluation
from plainnet.model import Model
from plainnet.storage.atomic import write_bytes

if TYPE_CHECKING:
    from plainnet.nn.parameters import Array

_SHOWN = 20  # predictions that are shown on a terminal


def predict(
    model: Path,
    path: Path,
    /,
    *,
    out: Path | None = None,
    strict: bool = False,
    raw: bool = False,
) -> None:
    """Predict with a trained model.

    Parameters
    ----------
    model
        A model file.
    path
        A table, a picture, or a folder of pictures.
    out
        A CSV file to write the predictions to.
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    raw
        Write text to CSV as it is: spreadsheets may run it as a formula.
    """
    from plainnet.cli.predictions import Predictions

    if out is not None:
        require_output(out, model, path)
    trained = Model.load(model)
    remarks: list[str] = []
    unit, names, A = _outputs(trained, path, strict, remarks)
    said = Predictions(trained.target, unit, names, A)
    notes(remarks)
    console = output()
    if out is not None:
        write_bytes(out, said.csv(raw).encode("utf-8", "backslashreplace"))
        line(console, f"Saved: {len(names):,} predictions in {out}", whole=True)
    elif console.is_terminal:
        console.print(said.table(_SHOWN))
        if len(names) > _SHOWN:
            line(console, f"and {len(names) - _SHOWN:,} more: --out FILE writes them all")
    else:
        console.file.write(said.csv(raw))


def evaluate(
    model: Path,
    path: Path,
    /,
    *,
    json: bool = False,
    detail: bool = False,
    costs: tuple[float, float] | None = None,
    strict: bool = False,
    report: Path | None = None,
) -> None:
    """Judge a trained model by data whose answers are known.

    Parameters
    ----------
    model
        A model file.
    path
        A table with the target column, or a folder with a folder for each class.
    json
        Print one JSON object instead: loss, accuracy, precision, recall, f1, roc_auc, ...
    detail
        Show all figures: each class, calibration, thresholds, differences from each baseline.
    costs
        What a false positive and a false negative cost, for the cheapest threshold.
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    report
        An HTML file to write a report to.
    """
    from plainnet.evaluate.per_example import read_usable

    if report is not None:
        require_output(report, model, path, option="--report")
    trained = Model.load(model)
    require_pictures(trained, strict)
    remarks: list[str] = []
    with reading(errors()) as progress:
        rows = read_usable(trained, path, remarks, strict=strict, progress=progress).rows
    if costs is not None and trained.target.task != "binary":
        raise PlainnetError(f"--costs are of two classes, and this is a {trained.target.task} task")
    found = evaluation(trained, rows, costs=None if costs is None else Costs(*costs)).to_json()
    notes(remarks)
    console = output()
    if json:
        console.file.write(dumps(found) + "\n")
    else:
        show_evaluation(console, trained.target, found, matrix=True, detail=detail)
        if not detail:
            show_cheapest(console, found)
    if report is not None:
        from plainnet.cli.commands.report import write_report

        where = errors() if json else console  # what reads the JSON expects nothing else
        write_report(
            where, report, trained, model.name, rows, path, evaluation=found, remarks=remarks
        )


def _outputs(
    trained: Model, path: Path, strict: bool, remarks: list[str]
) -> "tuple[str, Sequence[str], Array]":
    """Predict rows or pictures: what they are called, the number or name of each, and outputs."""
    from plainnet.data.dataset import left_out

    require_pictures(trained, strict)
    if not isinstance(trained.schema, ImageSchema):
        A = trained.loss.predictions(trained.predict_logits(path, remarks))
        return "row", [str(i) for i in range(1, len(A) + 1)], A
    with reading(errors()) as progress:
        X, kept, skipped = read_files(picture_files(path), trained.schema.size, strict, progress)
    inside = path.is_dir()
    remarks += left_out(skipped, path if inside else path.parent)
    names = [shown(file.relative_to(path) if inside else file) for file in kept]
    return "file", names, trained.predictions(X)
