"""The registry of export formats: a new format is one entry here and one module."""

from importlib import import_module
from typing import NamedTuple

from plainnet.model import Model


class Format(NamedTuple):
    """A format of exported models."""

    name: str  # of the command line's option, and of the module with its function to_{name}
    help: str

    def export(self, model: Model) -> bytes:
        """Return the content of the exported file."""
        module = import_module(f"plainnet.export.{self.name}")
        content: bytes | str = getattr(module, f"to_{self.name}")(model)
        return content.encode() if isinstance(content, str) else content


FORMATS = (
    Format("onnx", "ONNX file to write, for ONNX Runtime and similar programs."),
    Format("python", "Python file to write that needs only NumPy: to read, run and import."),
    Format("html", "HTML page to write that predicts in any browser without a server."),
)
