"""Explain one prediction, or show the importance of each column.

plainnet explain survey.safetensors survey.csv --row 3
plainnet explain survey.safetensors survey.csv --row 3 --html row-3.html
plainnet explain pictures.safetensors panda.jpg --label pandas
plainnet explain survey.safetensors held-out.csv

Without --row: permutation importance, and the most confident mistakes.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from rich.console import Console

from plainnet.cli.console import (
    clean,
    errors,
    output,
    print_json,
    print_line,
    print_notes,
    print_table,
    rich_table,
)
from plainnet.cli.options import Count, Seed
from plainnet.cli.paths import require_output, require_outside
from plainnet.cli.progress import read_examples, reading
from plainnet.data.columns import text_from_number
from plainnet.data.images import ImageSchema
from plainnet.errors import PlainnetError
from plainnet.evaluate.per_example import read_rows
from plainnet.explain.example import Explanation, read_sample
from plainnet.explain.example import explain as explain_example
from plainnet.explain.excerpt import numbered, shape_text
from plainnet.explain.formulas import SourceLocation
from plainnet.explain.global_explanation import GlobalExplanation, explain_model
from plainnet.explain.images import Pixels, contact_sheet, png
from plainnet.explain.neighbors import Neighbor, nearest
from plainnet.model import Model
from plainnet.report import text
from plainnet.storage.atomic import make_folder, write_bytes

_WIDTH = 78  # characters of a paragraph, which fit 80 columns
_LISTED = 20  # columns whose importance is shown
_SIDE = 128  # pixels to which small pictures are enlarged


def explain(
    model: Path,
    path: Path,
    /,
    *,
    row: Count | None = None,
    label: str | None = None,
    train: Path | None = None,
    entries: Count = 12,
    repeats: Count = 20,
    top: Count = 10,
    seed: Seed = 0,
    json: bool = False,
    html: Path | None = None,
    pictures: Path | None = None,
) -> None:
    """Explain one prediction, or a full model.

    Parameters
    ----------
    model
        A model file.
    path
        A table, a picture, or a folder of pictures; without --row with known answers.
    row
        The row, or the picture of the sorted files, counted from 1. A single picture needs none.
    label
        The true answer for that row if path does not hold it; several separated by semicolons.
    train
        The table or folder of the training: shows the examples in it that are nearest to the row.
    entries
        Number of entries of a large array to show and to check by finite differences.
    repeats
        Permutations of each column, for the importance.
    top
        Number of mistakes or nearest samples to show.
    seed
        Seed of the permutations.
    json
        Print one JSON object instead.
    html
        An HTML file to write instead.
    pictures
        A folder to write the first layer's weights and the mistakes to, as PNG.
    """
    if html is not None:
        require_output(html, model, path, option="--html")
    trained = Model.load(model)
    if row is None and isinstance(trained.schema, ImageSchema) and path.is_file():
        row = 1
    if row is not None:
        if pictures is not None:
            raise PlainnetError("--pictures explains the model, not a row: leave --row out")
        example = explain_example(trained, path, row, label=label, entries=entries)
        _show_or_write(trained, example, model, path, row, train, top, json, html)
        return
    if label is not None or train is not None:
        raise PlainnetError("--label and --train need --row")
    if pictures is not None:
        if not isinstance(trained.schema, ImageSchema):
            raise PlainnetError("a model of tables has no pictures to write: leave --pictures out")
        require_outside(pictures, path, "--pictures")
    examples, _ = read_examples(trained, path)
    explanation = explain_model(trained, examples, repeats=repeats, seed=seed, n=top)
    console = output()
    if json:
        print_json(explanation.to_json())
    elif html is None:
        _show_global_explanation(console, explanation)
    else:
        from plainnet.report.explanation_page import global_explanation_page

        title = f"Explanation of {model.name}"
        _write(console, html, global_explanation_page(explanation, title, f"on {path.name}"))
    if pictures is not None:
        _save_images(errors() if json else console, explanation, pictures)
    elif explanation.weights is not None and html is None and not json:
        console.print()
        hint = "First-layer weights and mistakes as pictures: --html FILE, --pictures DIR"
        print_line(console, hint)


def _show_or_write(
    trained: Model,
    explanation: Explanation,
    model: Path,
    path: Path,
    row: int,
    train: Path | None,
    top: int,
    json: bool,
    html: Path | None,
) -> None:
    """Show one explanation with the nearest training examples, or write it as JSON or a page."""
    neighbors: list[Neighbor] = []
    gallery: Pixels | None = None
    if train is not None:
        with reading(errors()) as progress:
            rows = read_rows(trained, train, progress=progress)
        neighbors = nearest(trained, read_sample(trained, path, row, None).X[0], rows, top)
        if explanation.image is not None:
            gallery = rows.X[[neighbor.row for neighbor in neighbors]]
    if json:
        nearest_json = numbered(neighbors, rows.numbers) if neighbors else []
        print_json({**explanation.to_json(), "nearest": nearest_json})
    elif html is None:
        _show_explanation(output(), explanation, neighbors)
    else:
        from plainnet.report.explanation_page import explanation_page

        subtitle = f"{model.name} on {path.name}"
        _write(output(), html, explanation_page(explanation, subtitle, neighbors, gallery))


def _write(console: Console, file: Path, page: str) -> None:
    write_bytes(file, page.encode("utf-8", "backslashreplace"))
    print_line(console, f"Saved: {file}", wrap=False)


def _save_images(console: Console, explanation: GlobalExplanation, folder: Path) -> None:
    """Write the weights of the first layer and the mistakes as PNG files."""
    make_folder(folder)
    files: dict[str, Pixels] = {}
    for sheet, single, images in (
        ("weights", "weights-unit", explanation.weights),
        ("mistakes", "mistake", explanation.gallery),
    ):
        if images is not None:
            files |= {f"{single}-{i}": pixels for i, pixels in enumerate(images, 1)}
            files[sheet] = contact_sheet(images)
    for name, pixels in files.items():
        times = max(1, -(-_SIDE // min(pixels.shape[:2])))
        larger = np.repeat(np.repeat(pixels, times, axis=0), times, axis=1)
        write_bytes(folder / f"{name}.png", png(larger))
    print_line(console, f"Saved: {len(files):,} pictures in {folder}", wrap=False)


def _paragraph(console: Console, text: str, style: str = "", indent: str = "") -> None:
    """Print a paragraph that fits 80 columns, on a terminal or not."""
    lines = wrap(clean(text), _WIDTH, initial_indent=indent, subsequent_indent=indent)
    for line in lines or [""]:
        print_line(console, line, style, wrap=False)


def _heading(console: Console, text: str) -> None:
    console.print()
    _paragraph(console, text, "bold")


def _formula(console: Console, formula: str, code: SourceLocation | None) -> None:
    location = "" if code is None else code.position
    if len(formula) + len(location) + 6 <= _WIDTH:
        print_line(console, f"  {formula}    {location}".rstrip(), "cyan", wrap=False)
    else:
        _paragraph(console, formula, "cyan", indent="  ")
        if location:
            _paragraph(console, location, "cyan", indent="    ")


def _show_explanation(
    console: Console, explanation: Explanation, neighbors: Sequence[Neighbor]
) -> None:
    """Show one prediction, step by step."""
    trace = explanation.trace
    _paragraph(console, explanation.name, "bold")
    _paragraph(console, text.headline(explanation))
    _paragraph(console, text.agreement(explanation), "" if trace.ok else "bold red")
    print_notes(explanation.notes, console)
    _show_input(console, explanation)
    for step in trace.steps:
        shape = shape_text(step.output.shape)
        symbol = step.symbol.split(" (")[0]  # without the name of the layer
        _heading(console, f"{symbol}: {step.layer} ({step.kind}), shape {shape}")
        _formula(console, step.formula, step.code)
        if step.parameters:
            _paragraph(console, text.parameters_text(step), "dim", indent="  ")
        _paragraph(console, text.values_text(step.output, trace.entries), indent="  ")
    _heading(console, f"a: the prediction, shape {shape_text(trace.a.shape)}")
    _formula(console, trace.prediction_formula, trace.prediction_code)
    _paragraph(console, text.values_text(trace.a, trace.entries), indent="  ")
    if explanation.target.task == "regression":
        numbers = (f"{name} = {text_from_number(value)}" for name, value in explanation.outputs)
        _paragraph(console, f"in the unit of the table: {', '.join(numbers)}", indent="  ")
    if trace.value is not None and trace.y is not None:
        _heading(console, f"L: the loss of this sample, y = {trace.y.tolist()}")
        _formula(console, trace.loss_formula, trace.loss_code)
        _paragraph(console, f"L = {trace.value:.7g}", indent="  ")
    for gradient in trace.gradients:
        remark = "" if gradient.ok else ": DOES NOT AGREE"
        shape = shape_text(gradient.gradient.shape)
        _heading(console, f"dL/d{gradient.by}, from {gradient.layer}, shape {shape}{remark}")
        _formula(console, gradient.formula, gradient.code)
        slopes = text.gradient_table(gradient, explanation.inputs)
        console.print(rich_table(slopes._replace(caption="")))
    if neighbors:
        print_table(console, text.neighbors_table(neighbors), most=len(neighbors))
        _paragraph(console, "The distance is between the inputs of the last Dense layer.")


def _show_input(console: Console, explanation: Explanation) -> None:
    image = explanation.image
    if image is None:
        print_table(console, text.cells_table(explanation), most=len(explanation.cells))
        for code in text.source_locations(explanation):
            print_line(console, f"  {code.position}", "cyan", wrap=False)
        return
    _heading(console, f"Picture, {shape_text(image.pixels.shape)} bytes")
    for how in image.how:
        _paragraph(console, how, indent="  ")
    if explanation.maps is not None:
        _paragraph(console, text.occlusion_text(explanation.maps), indent="  ")
    if image.code is not None:
        print_line(console, f"  {image.code.position}", "cyan", wrap=False)
    print_table(console, text.inputs_table(explanation), most=explanation.trace.entries)


def _show_global_explanation(console: Console, explanation: GlobalExplanation) -> None:
    """Show the importance of each column, and the most confident mistakes."""
    print_table(console, text.importance_table(explanation), most=_LISTED)
    if explanation.wrong is not None:
        console.print()
        n = f"{explanation.wrong:,} of {explanation.rows:,}"
        print_line(console, f"{n} samples are misclassified.")
    if caution := text.caution(explanation):
        _paragraph(console, caution, "yellow")
    if explanation.mistakes:
        print_table(console, text.mistakes_table(explanation), most=len(explanation.mistakes))
