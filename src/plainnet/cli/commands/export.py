"""``plainnet export``: a model as ONNX, Python or a web page."""

from importlib import import_module
from pathlib import Path

from plainnet.cli.console import line, output
from plainnet.cli.paths import require_outputs
from plainnet.errors import PlainnetError
from plainnet.model import Model
from plainnet.storage.atomic import write_bytes

# Each option and its function, which returns bytes or text and is imported when needed.
_FORMATS = {
    "--onnx": "plainnet.export.onnx:to_onnx",
    "--python": "plainnet.export.python:to_python",
    "--html": "plainnet.export.html:to_html",
}


def export(
    model: Path,
    /,
    *,
    onnx: Path | None = None,
    python: Path | None = None,
    html: Path | None = None,
) -> None:
    """Export a model to other formats.

    Parameters
    ----------
    model
        A model file.
    onnx
        An ONNX file to write, for ONNX Runtime and others.
    python
        A Python file to write, which needs only NumPy: to read, run or import.
    html
        A web page to write, which predicts in any browser, offline.
    """
    places = dict(zip(_FORMATS, (onnx, python, html), strict=True))
    chosen = {option: place for option, place in places.items() if place is not None}
    if not chosen:
        options = ", ".join(f"{option} FILE" for option in places)
        raise PlainnetError(f"nothing to write: give at least one of {options}")
    require_outputs(chosen, model)
    trained = Model.load(model)
    contents = {option: _content(option, trained) for option in chosen}  # all, or none is written
    for option, place in chosen.items():
        write_bytes(place, contents[option])
        line(output(), f"Saved: {place}, {len(contents[option]):,} bytes", whole=True)


def _content(option: str, model: Model) -> bytes:
    module, _, name = _FORMATS[option].partition(":")
    content: bytes | str = getattr(import_module(module), name)(model)
    return content.encode() if isinstance(content, str) else content
