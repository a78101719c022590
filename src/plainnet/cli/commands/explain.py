"""``plainnet explain``: how one prediction comes about, and what the whole model relies on."""

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from plainnet.cli.console import clean, errors, line, notes, output, section, table
from plainnet.cli.paths import require_output
from plainnet.cli.progress import reading
from plainnet.data.columns import text_from_number
from plainnet.data.images import ImageSchema
from plainnet.errors import PlainnetError
from plainnet.evaluate.per_example import NamedExamples, read_rows, read_usable
from plainnet.explain.example import Explanation, read_sample
from plainnet.explain.example import explain as explain_sample
from plainnet.explain.formulas import SourceLocation
from plainnet.explain.neighbors import Neighbor, nearest
from plainnet.explain.overview import Overview, overview
from plainnet.explain.trace import shape_text
from plainnet.model import Model
from plainnet.report import text as telling
from plainnet.storage.atomic import make_folder, write_bytes

if TYPE_CHECKING:
    from plainnet.explain.images import Pixels

_WIDTH = 78  # of paragraphs, so that they fit 80 columns
_LISTED = 20  # columns whose importance is shown


def explain(
    model: Path,
    path: Path,
    /,
    *,
    row: int | None = None,
    label: str | None = None,
    train: Path | None = None,
    entries: int = 12,
    repeats: int = 20,
    top: int = 10,
    seed: int = 0,
    json: bool = False,
    html: Path | None = None,
    pictures: Path | None = None,
) -> None:
    """Explain one prediction, or a whole model.

    Parameters
    ----------
    model
        A model file.
    path
        A table, a picture, or a folder of pictures; without --row with known answers.
    row
        The row, or the picture of the sorted files, counted from 1. A single picture needs none.
    label
        What is right for that row, where path does not say it; several separated by semicolons.
    train
        The table or folder the model was trained on: shows what is nearest to the row in it.
    entries
        How many numbers of a wide array to show and to check by finite differences.
    repeats
        Permutations of each column, for the importance.
    top
        How many mistakes or nearest samples to show.
    seed
        Draws the permutations.
    json
        Print one JSON object instead.
    html
        Write a page to this file instead.
    pictures
        A folder to write the first layer's weights and the mistakes to, as PNG.
    """
    _check(row=row, entries=entries, repeats=repeats, top=top, seed=seed)
    if html is not None:
        require_output(html, model, path, option="--html")
    trained = Model.load(model)
    if row is None and isinstance(trained.schema, ImageSchema) and path.is_file():
        row = 1
    if row is None:
        if label is not None or train is not None:
            raise PlainnetError("--label and --train are about one row: give --row too")
        _explain_model(trained, model, path, repeats, seed, top, json, html, pictures)
        return
    if pictures is not None:
        raise PlainnetError("--pictures is about the whole model: leave --row out")
    seen = explain_sample(trained, path, row, label=label, entries=entries)
    found: list[Neighbor] = []
    gallery: Pixels | None = None
    if train is not None:
        rows = _read(trained, train, [])
        found = nearest(trained, read_sample(trained, path, row, label).X[0], rows, top)
        if seen.picture is not None:
            gallery = rows.X[[one.row for one in found]]
    console = output()
    if json:
        whole = {**seen.to_json(), "nearest": [one.to_json() for one in found]}
        console.file.write(dumps(whole) + "\n")
    elif html is None:
        _show_explanation(console, seen, found)
    else:
        from plainnet.report.explanation_page import explanation_page

        _write(
            console, html, explanation_page(seen, f"{model.name} on {path.name}", found, gallery)
        )


def _check(row: int | None, **counts: int) -> None:
    """Refuse numbers that are out of range."""
    if row is not None and row < 1:
        raise PlainnetError(f"--row counts from 1, got {row}")
    for name, count in counts.items():
        low = 0 if name == "seed" else 1
        if count < low:
            raise PlainnetError(f"--{name} must be at least {low}, got {count}")


def _read(trained: Model, path: Path, remarks: list[str]) -> NamedExamples:
    with reading(errors()) as progress:
        return read_rows(trained, path, progress=progress, notes=remarks)


def _write(console: Console, place: Path, text: str) -> None:
    write_bytes(place, text.encode("utf-8", "backslashreplace"))
    line(console, f"Saved: {place}", whole=True)


def _explain_model(
    trained: Model,
    model: Path,
    path: Path,
    repeats: int,
    seed: int,
    top: int,
    json: bool,
    html: Path | None,
    pictures: Path | None,
) -> None:
    if pictures is not None and not isinstance(trained.schema, ImageSchema):
        raise PlainnetError("a model of tables has no pictures to write: leave --pictures out")
    if pictures is not None and pictures.resolve().is_relative_to(path.resolve()):
        raise PlainnetError(
            f"{str(pictures)!r} would be written into the data folder {str(path)!r}: "
            "give --pictures another folder"
        )
    remarks: list[str] = []
    with reading(errors()) as progress:
        rows = read_usable(trained, path, remarks, progress=progress)
    seen = overview(trained, rows, repeats=repeats, seed=seed, n=top)
    notes(remarks)
    console = output()
    if json:
        console.file.write(dumps(seen.to_json()) + "\n")
    elif html is None:
        _show_overview(console, seen)
    else:
        from plainnet.report.explanation_page import overview_page

        _write(
            console, html, overview_page(seen, f"What {model.name} relies on", f"on {path.name}")
        )
    if pictures is not None:
        _save_pictures(errors() if json else console, seen, pictures)
    elif seen.weights is not None and html is None and not json:
        console.print()
        line(console, "First-layer weights and mistakes as pictures: --html FILE, --pictures DIR")


def _save_pictures(console: Console, seen: Overview, folder: Path) -> None:
    """Write the weights of the first layer and the mistakes, each as a file."""
    from plainnet.explain.images import png, sheet

    make_folder(folder)
    files: dict[str, Pixels] = {}
    for whole, single, some in (
        ("weights", "weights-unit", seen.weights),
        ("mistakes", "mistake", seen.gallery),
    ):
        if some is not None:
            files |= {f"{single}-{i}": one for i, one in enumerate(some, 1)}
            files[whole] = sheet(some)
    for name, one in files.items():
        write_bytes(folder / f"{name}.png", png(_enlarged(one)))
    line(console, f"Saved: {len(files):,} pictures in {folder}", whole=True)


def _enlarged(pixels: "Pixels", least: int = 128) -> "Pixels":
    """Repeat pixels until a small picture can be looked at."""
    times = max(1, -(-least // min(pixels.shape[:2])))
    return np.repeat(np.repeat(pixels, times, axis=0), times, axis=1)


def _say(console: Console, text: str, style: str = "", indent: str = "") -> None:
    """Print a paragraph, broken so that it fits 80 columns, on a terminal or not."""
    broken = wrap(clean(text), _WIDTH, initial_indent=indent, subsequent_indent=indent)
    for part in broken or [""]:
        line(console, part, style, whole=True)


def _head(console: Console, text: str) -> None:
    console.print()
    _say(console, text, "bold")


def _formula(console: Console, formula: str, code: SourceLocation | None) -> None:
    place = "" if code is None else code.place
    if len(formula) + len(place) + 6 <= _WIDTH:
        line(console, f"  {clean(formula)}    {place}".rstrip(), "cyan", whole=True)
        return
    _say(console, formula, "cyan", indent="  ")
    if place:
        _say(console, place, "cyan", indent="    ")


def _show_explanation(console: Console, seen: Explanation, found: Sequence[Neighbor]) -> None:
    """Show one prediction, step by step."""
    _say(console, seen.name, "bold")
    _say(console, telling.headline(seen))
    _say(console, telling.agreement(seen), "" if seen.trace.ok else "bold red")
    notes(seen.notes, console)
    _show_input(console, seen)
    _show_forward(console, seen)
    _show_backward(console, seen)
    if found:
        head = ["sample", "distance", "of the inputs", "true", "the model says"]
        shown = table("Nearest samples", head, telling.neighbor_rows(found), right=(1, 2))
        section(console, shown)
        _say(console, "The distance is that of what the last Dense layer reads.")


def _show_input(console: Console, seen: Explanation) -> None:
    if seen.picture is None:
        rows = telling.cell_rows(seen, seen.trace.entries)
        section(console, table("Cells", ["column", "cell", "how", "becomes"], rows))
        for code in telling.codes(seen):
            line(console, f"  {code.place}", "cyan", whole=True)
        return
    _head(console, f"Picture, {shape_text(seen.picture.pixels.shape)} bytes")
    for how in seen.picture.how:
        _say(console, how, indent="  ")
    if seen.picture.code is not None:
        line(console, f"  {seen.picture.code.place}", "cyan", whole=True)
    title = f"The largest of {len(seen.inputs):,} numbers that enter the network"
    section(console, table(title, ["number", "value"], telling.input_rows(seen), right=(1,)))


def _show_forward(console: Console, seen: Explanation) -> None:
    n = seen.trace.entries
    for step in seen.trace.steps:
        shape = shape_text(step.output.shape)
        _head(console, f"{step.symbol}: {step.name} ({step.kind}), shape {shape}")
        _formula(console, step.formula, step.code)
        if step.parameters:
            _say(console, telling.parameters_text(step), "dim", indent="  ")
        _say(console, telling.values_text(step.output, n), indent="  ")
    _head(console, f"a: the prediction, shape {shape_text(seen.trace.a.shape)}")
    _formula(console, seen.trace.link, seen.trace.link_code)
    _say(console, telling.values_text(seen.trace.a, n), indent="  ")
    if seen.target.task == "regression":
        unit = ", ".join(f"{name} = {text_from_number(value)}" for name, value in seen.outputs)
        _say(console, f"in the unit of the table: {unit}", indent="  ")


def _show_backward(console: Console, seen: Explanation) -> None:
    if seen.trace.value is None or seen.trace.y is None:
        return
    _head(console, f"L: the loss of this sample, y = {seen.trace.y.tolist()}")
    _formula(console, seen.trace.loss, seen.trace.loss_code)
    _say(console, f"L = {seen.trace.value:.7g}", indent="  ")
    for gradient in seen.trace.gradients:
        remark = "" if gradient.ok else ": DOES NOT AGREE"
        shape = shape_text(gradient.gradient.shape)
        _head(console, f"dL/d{gradient.name}, from {gradient.layer}, shape {shape}{remark}")
        _formula(console, gradient.formula, gradient.code)
        head = ["entry", "value", "gradient", "finite difference"]
        rows = telling.gradient_rows(gradient, seen.inputs)
        console.print(table("", head, rows, right=(1, 2, 3)))


def _show_overview(console: Console, seen: Overview) -> None:
    """Show what a model relies on, and where it is surely wrong."""
    score = "accuracy falls by" if seen.wrong is not None else "MAE rises by"
    head = ["", "the loss rises by", score, ""]
    rows = telling.importance_rows(seen.importances, _LISTED)
    title = f"Permutation importance on {seen.rows:,} samples, with 95 % intervals"
    section(console, table(title, head, rows, right=(1, 2)))
    if len(seen.importances) > _LISTED:
        line(console, f"and {len(seen.importances) - _LISTED:,} more")
    if seen.wrong is not None:
        console.print()
        line(console, f"{seen.wrong:,} of {seen.rows:,} samples are answered wrong.")
    if telling.caution(seen):
        _say(console, telling.caution(seen), "yellow")
    if seen.mistakes:
        head = ["sample", "the model says", "true", "confidence"]
        title = "Most confidently wrong"
        if seen.wrong is None:
            head[-1], title = "error", "Largest errors"
        section(console, table(title, head, telling.mistake_rows(seen.mistakes), right=(3,)))
