"""Formulas and source locations of the computations of a network."""

import ast
import inspect
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

from plainnet.errors import PlainnetError
from plainnet.nn.layers import Layer
from plainnet.nn.losses import Loss

_ROOT = Path(inspect.getfile(PlainnetError)).parents[1]  # the folder that contains ``plainnet``
_PARSER = threading.Lock()


def parsed(code: str) -> ast.Module:
    """Parse Python in one thread at a time: `ast.parse` of Python 3.11 fails in two at once."""
    with _PARSER:
        return ast.parse(code)


@final
@dataclass(frozen=True)
class SourceLocation:
    """The source code of a computation."""

    file: str  # relative to the folder that contains the package; absolute for custom code
    line: int  # the first line, counted from 1
    last_line: int
    text: str  # the source

    @property
    def position(self) -> str:
        """File and lines, as editors read them: ``layers.py:127-131``."""
        more = f"-{self.last_line}" if self.last_line > self.line else ""
        return f"{self.file}:{self.line}{more}"


@cache  # a table asks for the same function for every column
def code_of(function: Callable[..., Any]) -> SourceLocation | None:
    """Find the body of a function without its docstring; None if its source is not available."""
    try:
        lines, start = inspect.getsourcelines(function)
        file = Path(inspect.getfile(function)).resolve()
        definition = parsed(textwrap.dedent("".join(lines))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(definition, ast.FunctionDef):
        return None
    body = definition.body[ast.get_docstring(definition) is not None :]
    if not body:
        return None
    first, last = body[0].lineno, body[-1].end_lineno or body[-1].lineno
    text = textwrap.dedent("".join(lines[first - 1 : last])).rstrip("\n")
    file = file.relative_to(_ROOT) if file.is_relative_to(_ROOT) else file
    return SourceLocation(file.as_posix(), start + first - 1, start + last - 1, text)


def gradient_formula(layer: Layer, name: str) -> str:
    """Return the formula of a gradient of a layer, such as ``dW``, or "" if the layer has none."""
    formulas = (text for text in layer.gradient_formulas if text.startswith(f"{name} = "))
    return next(formulas, "")


def loss_formula(loss: Loss) -> str:
    """Return the formula of the loss of one row, with the options that differ from 0."""
    options = {name.replace("_", " "): value for name, value in loss.config().items() if value}
    return "; ".join([loss.formula, *(f"{name} = {value:g}" for name, value in options.items())])
