"""The registry of export formats: a new format is one entry here and one module."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from plainnet.model import Model


class Format(NamedTuple):
    """A format of exported models."""

    name: str  # also of the command line's option
    help: str
    module: str  # imported when the format is used
    function: str  # takes a model and returns bytes or text

    def export(self, model: Model) -> bytes:
        """Return the content of the exported file."""
        write: Callable[[Model], bytes | str] = getattr(import_module(self.module), self.function)
        content = write(model)
        return content.encode() if isinstance(content, str) else content


FORMATS = (
    Format(
        "onnx",
        "ONNX file to write, for ONNX Runtime and similar programs.",
        "plainnet.export.onnx",
        "to_onnx",
    ),
    Format(
        "python",
        "Python file to write, which needs only NumPy: to read, to run and to import.",
        "plainnet.export.python",
        "to_python",
    ),
    Format(
        "html",
        "HTML page to write, which predicts in any browser without a server.",
        "plainnet.export.html",
        "to_html",
    ),
)
