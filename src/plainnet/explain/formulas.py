"""Formulas and source locations of what a network computes."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from plainnet.errors import PlainnetError
from plainnet.nn.layers import Layer
from plainnet.nn.losses import Loss

_ROOT = Path(inspect.getfile(PlainnetError)).parents[1]  # the folder that holds ``plainnet``


class SourceLocation(NamedTuple):
    """Where something is computed.

    ``file`` is relative to the folder that holds the package, and absolute for custom code;
    ``first`` and ``last`` are line numbers counted from 1; ``text`` is the source.
    """

    file: str
    first: int
    last: int
    text: str

    @property
    def place(self) -> str:
        """File and lines: ``layers.py:127-131``, of which editors understand the first."""
        more = f"-{self.last}" if self.last > self.first else ""
        return f"{self.file}:{self.first}{more}"

    def to_json(self) -> dict[str, Any]:
        """Return the location as JSON values."""
        return {"file": self.file, "line": self.first, "last_line": self.last, "text": self.text}


@cache  # a table asks for the same function for every column
def code_of(function: Callable[..., Any]) -> SourceLocation | None:
    """Find the body of a function without its docstring; None if its source is not at hand."""
    try:
        lines, start = inspect.getsourcelines(function)
        file = Path(inspect.getfile(function)).resolve()
        definition = ast.parse(textwrap.dedent("".join(lines))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(definition, ast.FunctionDef):
        return None
    body = definition.body[ast.get_docstring(definition) is not None :]
    if not body:
        return None
    first, last = body[0].lineno, body[-1].end_lineno or body[-1].lineno
    text = textwrap.dedent("".join(lines[first - 1 : last])).rstrip("\n")
    shown = file.relative_to(_ROOT) if file.is_relative_to(_ROOT) else file
    return SourceLocation(shown.as_posix(), start + first - 1, start + last - 1, text)


def gradient_formula(layer: Layer, name: str) -> str:
    """Return the formula of one of a layer's gradients, such as ``dW``, or "" if it states none."""
    found = (text for text in layer.gradient_formulas if text.startswith(f"{name} = "))
    return next(found, "")


def loss_formula(loss: Loss) -> str:
    """Return the formula of the loss of one row, with the options that differ from 0."""
    given = [f"{name.replace('_', ' ')} = {value:g}" for name, value in loss.config().items()]
    shown = [text for text in given if not text.endswith(" = 0")]
    return "; ".join([loss.formula, *shown])
