"""The formula of each step, and the lines of source that compute it, found by looking."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from plainnet.errors import PlainnetError
from plainnet.nn.losses import Loss

_ROOT = Path(inspect.getfile(PlainnetError)).parents[1]  # of which ``plainnet`` is a folder


class SourceLocation(NamedTuple):
    """Where something is computed.

    ``file`` is relative to the folder that holds the package, and in full for code of your own;
    ``first`` and ``last`` are line numbers counted from 1; ``text`` is what stands there.
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
        """Return the place as JSON can hold it."""
        return {"file": self.file, "line": self.first, "last_line": self.last, "text": self.text}


@cache  # a table asks for the same function once a column
def code_of(
    function: Callable[..., Any], about: str = "", after: str = ""
) -> SourceLocation | None:
    """Find the lines that do what a function is for, its docstring left out."""
    try:
        lines, start = inspect.getsourcelines(function)
        file = Path(inspect.getfile(function)).resolve()
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return None
    body = definition.body
    if ast.get_docstring(definition) is not None:
        body = body[1:]
    if about:
        body = [statement for statement in body if _names(statement, about)][:1]
    said = [i for i, statement in enumerate(body) if after and _names(statement, after)]
    body = body[said[-1] + 1 :] if said else body
    if not body:
        return None
    first, last = body[0].lineno, body[-1].end_lineno or body[-1].lineno
    text = textwrap.dedent("".join(lines[first - 1 : last])).rstrip("\n")
    shown = file.relative_to(_ROOT) if file.is_relative_to(_ROOT) else file
    return SourceLocation(shown.as_posix(), start + first - 1, start + last - 1, text)


def _names(statement: ast.stmt, name: str) -> bool:
    """Whether a variable or an attribute of that name stands in a statement."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.Name) and node.id == name)
        for node in ast.walk(statement)
    )


def formula_of(function: Callable[..., Any]) -> str:
    """Return the formula that a layer's method states: the first line of its docstring."""
    lines = (inspect.getdoc(function) or "").splitlines()
    return lines[0].removesuffix(".") if lines else ""


def gradient_formula(backward: Callable[..., Any], name: str) -> str:
    """Return the part of a layer's backward formula that gives one gradient."""
    whole = formula_of(backward)
    clauses = re.split(r", (?=d\w+ = )", whole)
    if len(clauses) > 1 and clauses[0].startswith("dX"):  # what follows says what is in it
        clauses = [whole]
    found = [clause for clause in clauses if clause.startswith(f"{name} = ")]
    if found:
        return found[0]
    code = None if name == "dX" else code_of(backward, about=name)
    return whole if code is None else " ".join(code.text.split("  #")[0].split())


def loss_formula(loss: Loss) -> str:
    """Return the formula of the loss of one row, with the options that differ from 0."""
    given = [f"{name.replace('_', ' ')} = {value:g}" for name, value in loss.config().items()]
    shown = [text for text in given if not text.endswith(" = 0")]
    return "; ".join([loss.formula, *shown])
