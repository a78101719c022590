"""Export a model to ONNX, Python or a web page.

plainnet export survey.safetensors --onnx survey.onnx
plainnet export survey.safetensors --python survey.py --html survey.html
"""

from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any, final

from cyclopts import Parameter

from plainnet.cli.console import output, print_line
from plainnet.cli.paths import require_outputs
from plainnet.errors import PlainnetError
from plainnet.export.formats import FORMATS
from plainnet.model import Model
from plainnet.storage.atomic import write_bytes

_Files: Any = make_dataclass(
    "_Files",
    [(each.name, Annotated[Path | None, Parameter(help=each.help)], None) for each in FORMATS],
    frozen=True,
    kw_only=True,
)


@final
@Parameter(name="*")
class Files(_Files):  # type: ignore[misc]
    """The files to write, one option for each format."""


_NONE = Files()


def export(model: Path, /, *, files: Files = _NONE) -> None:
    """Write a model for programs and people without plainnet.

    Parameters
    ----------
    model
        A model file.
    """
    paths = {f"--{each.name}": getattr(files, each.name) for each in FORMATS}
    chosen = {option: path for option, path in paths.items() if path is not None}
    if not chosen:
        options = ", ".join(f"{option} FILE" for option in paths)
        raise PlainnetError(f"nothing to write: give at least one of {options}")
    require_outputs(chosen, model)
    trained = Model.load(model)
    contents = [each.export(trained) for each in FORMATS if f"--{each.name}" in chosen]
    for path, content in zip(chosen.values(), contents, strict=True):  # all files, or none
        write_bytes(path, content)
        print_line(output(), f"Saved: {path}, {len(content):,} bytes", wrap=False)
