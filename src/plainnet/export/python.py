"""Python export: one readable file that needs only NumPy and agrees to the last bit."""

import ast
import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pprint import pformat
from textwrap import fill, indent
from typing import TYPE_CHECKING, Any

from plainnet._version import __version__
from plainnet.data.images import ImageSchema
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.explain.formulas import parsed
from plainnet.export.csv_cell import csv_cell
from plainnet.export.model_spec import LayerSpec, base64_text, column_specs, layer_specs
from plainnet.model import Model
from plainnet.nn.layers import LAYERS
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from jinja2 import Template

_WIDTH = 98  # characters of a line
_DIGITS = 256  # largest array that is written in digits; larger ones are packed
_IMPORTS = """\
import base64
import csv
import io
import math
import os
import re
import sys
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Real
""".splitlines()


def to_python(model: Model) -> str:
    """Write a model as a Python file to read, run and import, with only the code it needs."""
    functions, target = _layer_functions(), model.target
    layers = layer_specs(model, functions)
    size = model.schema.size if isinstance(model.schema, ImageSchema) else 0
    known = column_specs(model.schema) if isinstance(model.schema, TableSchema) else []
    kinds = sorted({column["kind"] for column in known})
    reading = [] if size else ["text_of", *kinds, "read_rows"]
    reading += ["number_text"] if target.task == "regression" else []
    pieces = [_pieces("pictures", ["read_picture"] if size else []), _pieces("cells", reading)]
    context = {
        "version": __version__,
        "picture": size,
        "unit": "file" if size else "row",
        "task": target.task,
        "n_in": model.schema.n_features,
        "flat": len(model.net.in_shape) == 1,
        "n_out": target.n_out,
        "dtype": model.net.dtype.name,
        "batch": model.net.batch_rows,
        "constants": [*_target_constants(target), *_input_constants(model)],
        "header": not isinstance(model.schema, TableSchema) or model.schema.header,
        "calls": [(_call(functions, spec), _sizes(spec)) for spec in layers],
        "layers": _pieces("layers", {functions[spec.kind] for spec in layers}),
        "kinds": kinds,
        "reading": "\n\n\n".join(filter(None, pieces)),
        "csv_cell": inspect.getsource(csv_cell),
        "weights": [
            (f"{spec.name}.{name}", _written(array))
            for spec in layers
            for name, array in spec.arrays.items()
        ],
        "packed": any(a.size > _DIGITS for spec in layers for a in spec.arrays.values()),
    }
    # Rendered twice: the first result shows which modules the code needs.
    code = _template().render(context, imports=())
    used = {each.id for each in ast.walk(parsed(code)) if isinstance(each, ast.Name)}
    imported = {line: line.partition("import ")[2].split(", ") for line in _IMPORTS}
    needed = [line for line, names in imported.items() if not used.isdisjoint(names)]
    return _template().render(context, imports=needed)


def _target_constants(target: Target) -> list[tuple[str, str, str]]:
    """Return the constants of the target: name, value and comment."""
    if target.task != "regression":
        note = "The network gives the probability of the second." if target.task == "binary" else ""
        return [("CLASSES", _literal(list(target.classes)), note)]
    return [
        ("TARGETS", _literal(list(target.columns)), ""),
        ("MEAN", _literal(list(target.mean)), "The network gives (number - MEAN) / SCALE."),
        ("SCALE", _literal(list(target.scale)), ""),
    ]


def _input_constants(model: Model) -> list[tuple[str, str, str]]:
    """Return the constants of the input: name, value and comment."""
    schema = model.schema
    if isinstance(schema, ImageSchema):
        return [
            ("SIZE", str(schema.size), "Pixels of each side of a picture."),
            (
                "MEAN_COLOR",
                _literal(schema.mean),
                "Red, green and blue, or gray.",
            ),
            ("COLOR_DEVIATION", _literal(schema.std), ""),
        ]
    unused = ("low", "high")
    known = [{k: v for k, v in c.items() if k not in unused} for c in column_specs(schema)]
    note = f'Statistics of {schema.rows:,} training rows; "marked" by a feature for missing cells.'
    constants = [("COLUMNS", _literal(known), note)]
    if not schema.header:
        names = [column.name for column in schema.columns]
        constants.append(("NAMES", _literal(names), "The columns of a file, which has no header."))
    return constants


def _call(functions: Mapping[str, str], spec: LayerSpec) -> str:
    """Write one layer as a call."""
    arguments = ["X", *([f'"{spec.name}"'] if spec.arrays else [])]
    arguments += map(repr, spec.options.values())
    text = ", ".join(arguments)
    if len(text) > _WIDTH // 2:  # many bins
        text = f"\n{indent(fill(text, _WIDTH - 8), ' ' * 8)}\n    "
    return f"{functions[spec.kind]}({text})"


def _sizes(spec: LayerSpec) -> str:
    before, after = (" x ".join(map(str, shape)) for shape in (spec.in_shape, spec.out_shape))
    return after if before == after and spec.kind != "Dense" else f"{before} -> {after}"


def _literal(value: Any) -> str:
    """Write a value as a Python literal, in lines of limited length."""
    return pformat(value, width=_WIDTH - 20, compact=True, sort_dicts=False)


def _written(array: Array) -> str:
    """Write an array as an expression: a small one in digits, else as bytes in base64."""
    dtype, shape = f"np.{array.dtype.name}", ", ".join(map(str, array.shape))
    if array.size <= _DIGITS:
        if array.ndim == 1:
            rows = [", ".join(map(str, array))]
        else:
            vectors = array.reshape(-1, array.shape[-1])
            rows = [f"[{', '.join(map(str, vector))}]," for vector in vectors]
        lines = "\n".join(fill(row, _WIDTH - 4) for row in rows)
        shaped = f".reshape({shape})" if array.ndim > 2 else ""
        return f"np.array([\n{indent(lines, '    ')}\n], {dtype}){shaped}"
    return f'unpacked("""\n{fill(base64_text(array), _WIDTH)}\n""", {shape})'


@cache
def _source(file: str) -> str:
    return (files("plainnet.export") / "templates" / f"{file}.py.txt").read_text(encoding="utf-8")


@cache
def _layer_functions() -> dict[str, str]:
    """Map each kind of layer to its function in layers.py.txt: BatchNorm to batch_norm."""
    defined = parsed(_source("layers")).body
    names = {d.name.replace("_", ""): d.name for d in defined if isinstance(d, ast.FunctionDef)}
    return {kind: names[kind.lower()] for kind in LAYERS if kind.lower() in names}


def _pieces(file: str, wanted: Iterable[str]) -> str:
    """Return functions and constants of a file, with all that they use."""
    text = _source(file)
    sources: dict[str, list[str]] = {}
    uses: dict[str, set[str]] = {}
    start, lines = 0, text.split("\n")
    for node in parsed(text).body:
        end = node.end_lineno or 0
        name = node.name if isinstance(node, ast.FunctionDef) else _assigned(node)
        sources.setdefault(name, []).append("\n".join(lines[start:end]).strip("\n"))
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        uses[name] = uses.get(name, set()) | names - {name}
        start = end
    needed, waiting = set(), list(wanted)
    while waiting:
        name = waiting.pop()
        if name in sources and name not in needed:
            needed.add(name)
            waiting += uses[name]
    kept = ["\n".join(parts) for name, parts in sources.items() if name in needed]
    return "\n\n\n".join(kept)


def _assigned(node: ast.stmt) -> str:
    """Return the constant that a statement assigns."""
    return next(each.id for each in ast.walk(node) if isinstance(each, ast.Name))


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("plainnet.export", "templates"),
        autoescape=False,  # values are written as Python literals, not markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).get_template("model.py.jinja")
