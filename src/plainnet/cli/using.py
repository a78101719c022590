"""``plainnet predict`` and ``plainnet evaluate``: what a trained model says, and how good it is."""

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from plainnet.cli.live import reading
from plainnet.cli.places import require_place
from plainnet.cli.report import show_scores
from plainnet.cli.show import errors, line, notes, output
from plainnet.data.images import ImageSchema, picture_files, read_files
from plainnet.data.pixels import shown
from plainnet.errors import PlainnetError
from plainnet.files import write_bytes
from plainnet.model import Model
from plainnet.runs import score

if TYPE_CHECKING:
    from plainnet.nn.params import Array

_SHOWN = 20  # predictions that are shown on a terminal


def predict(model: Path, path: Path, /, *, out: Path | None = None, strict: bool = False) -> None:
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
    """
    from plainnet.cli.predictions import Predictions

    if out is not None:
        require_place(out, model, path)
    trained = Model.load(model)
    remarks: list[str] = []
    unit, names, X = _inputs(trained, path, strict, remarks)
    said = Predictions(trained.target, unit, names, trained.outputs(X))
    notes(remarks)
    console = output()
    if out is not None:
        write_bytes(out, said.csv().encode("utf-8", "backslashreplace"))
        line(console, f"Saved: {len(names):,} predictions in {out}", whole=True)
    elif console.is_terminal:
        console.print(said.table(_SHOWN))
        if len(names) > _SHOWN:
            line(console, f"and {len(names) - _SHOWN:,} more: --out FILE writes them all")
    else:
        console.file.write(said.csv())


def evaluate(model: Path, path: Path, /, *, json: bool = False, strict: bool = False) -> None:
    """Judge a trained model by data whose answers are known.

    Parameters
    ----------
    model
        A model file.
    path
        A table with the target column, or a folder with a folder for each class.
    json
        Print one JSON object instead: loss, accuracy, precision, recall, f1, roc_auc, ...
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    """
    from plainnet.data.datasets import read_labelled

    trained = Model.load(model)
    _require_pictures(trained, strict)
    remarks: list[str] = []
    with reading(errors()) as progress:
        rows = read_labelled(
            path, trained.schema, trained.target, strict=strict, progress=progress, notes=remarks
        )
    figures = score(trained, rows)
    notes(remarks)
    console = output()
    if json:
        console.file.write(dumps(figures) + "\n")
    else:
        show_scores(console, trained.target, figures)


def _inputs(
    trained: Model, path: Path, strict: bool, remarks: list[str]
) -> "tuple[str, Sequence[str], Array]":
    """Read rows or pictures: what they are called, the number or name of each, and X."""
    _require_pictures(trained, strict)
    if not isinstance(trained.schema, ImageSchema):
        X = trained.inputs(path, remarks)
        return "row", [str(i) for i in range(1, len(X) + 1)], X
    with reading(errors()) as progress:
        X, kept, skipped = read_files(picture_files(path), trained.schema.size, strict, progress)
    remarks += [f"left out {shown(file)}: {reason}" for file, reason in skipped]
    inside = path.is_dir()
    return "file", [shown(file.relative_to(path) if inside else file) for file in kept], X


def _require_pictures(trained: Model, strict: bool) -> None:
    if strict and not isinstance(trained.schema, ImageSchema):
        raise PlainnetError("--strict is about pictures, and this is a model of tables: leave it")
