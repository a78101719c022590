"""A model as one HTML page that predicts in any browser, without a server."""

import re
from importlib.resources import files
from typing import Any

from plainnet.data.columns import MISSING, text_from_number
from plainnet.data.images import ImageSchema
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.export.model_spec import LayerSpec, base64_text, column_specs, layer_specs
from plainnet.model import Model
from plainnet.report.html import page

_LISTED = 5  # targets in a heading


def to_html(model: Model) -> str:
    """Write a model as a page with a form for a row, or a place to drop a picture."""
    schema, target = model.schema, model.target
    layers = layer_specs(model, _layer_kinds())
    known = column_specs(schema) if isinstance(schema, TableSchema) else []
    stored: dict[str, Any] = {
        "task": target.task,
        "targets": target.columns,
        "classes": target.classes,
        "mean": target.mean,
        "scale": target.scale,
        "dtype": model.net.dtype.name,
        "layers": [_stored(spec) for spec in layers],
        "columns": known,
        "missing": sorted(MISSING),
    }
    picture = None
    if isinstance(schema, ImageSchema):
        picture = stored["picture"] = schema.to_json()
    scripts = ("network.js", "picture.js" if picture else "table.js")
    return page(
        "predict.html",
        package="plainnet.export",
        style=_text("predict.css"),
        script="".join(map(_text, scripts)),
        title=_title(target, picture is not None),
        subtitle=f"A neural network with {model.net.params.grad.size:,} parameters",
        classes=target.classes,
        path=_path(model, layers),
        picture=picture,
        columns=[_field(column) for column in known],
        model=stored,
    )


def _text(name: str) -> str:
    return (files("plainnet.export") / "templates" / name).read_text(encoding="utf-8")


def _layer_kinds() -> list[str]:
    """List the kinds of layers that network.js computes."""
    table = _text("network.js").partition("const LAYERS = {")[2].partition("\n};")[0]
    return re.findall(r"^  (\w+)[(:]", table, re.MULTILINE)


def _stored(spec: LayerSpec) -> dict[str, Any]:
    """Describe a layer, with its arrays as bytes in base64."""
    arrays = {name: base64_text(array) for name, array in spec.arrays.items()}
    shapes = {"from": spec.in_shape, "to": spec.out_shape}
    return {"kind": spec.kind, **shapes, **spec.options, **arrays, "packed": list(arrays)}


def _title(target: Target, pictures: bool) -> str:
    if pictures:
        return "What is on the picture?"
    names = [*target.columns[:_LISTED], *(["more"] if len(target.columns) > _LISTED else [])]
    return f"Predict {' and '.join([', '.join(names[:-1]), names[-1]] if names[1:] else names)}"


def _path(model: Model, layers: list[LayerSpec]) -> str:
    """Describe the path from input to prediction in one line."""
    last = {"regression": "the number", "multiclass": "softmax"}.get(model.target.task, "sigmoid")
    parts = [f"{model.schema.n_features:,} numbers"]
    sizes = [" × ".join(f"{n:,}" for n in spec.out_shape) for spec in layers]
    changes = [spec.kind == "Dense" or spec.in_shape != spec.out_shape for spec in layers]
    each = zip(layers, sizes, changes, strict=True)
    parts += [f"{spec.kind} ({size})" if change else spec.kind for spec, size, change in each]
    return " → ".join([*parts, last])


def _field(column: dict[str, Any]) -> dict[str, Any]:
    """Describe a field of the form, with the most frequent value as its initial one."""
    name, kind = column["name"], column["kind"]
    if kind == "number":
        low, median, high = (_number(column[key], column) for key in ("low", "median", "high"))
        hint = f"{low} to {high} in training, usually {median}"
        signed = column["low"] < 0  # some phones show no minus among the digits
        return {"name": name, "kind": kind, "typical": median, "hint": hint, "signed": signed}
    if kind == "indicator":
        options = [("0", "a value", True), ("", "missing", False)]
        return {"name": name, "kind": kind, "options": options, "hint": "Whether there is one"}
    if kind == "yesno":
        known = [("0", "No"), ("1", "Yes")]
    else:
        known = [(str(index), level) for index, level in enumerate(column["levels"])]
        known.append((str(len(known)), "another value"))
    options = [(value, text, text == column["fill"]) for value, text in known]
    hint = f"Usually {column['fill']}"
    return {"name": name, "kind": kind, "options": [*options, ("", "missing", False)], "hint": hint}


def _number(value: float, column: dict[str, Any]) -> str:
    """Write a number as the column's cells are written."""
    return text_from_number(value).replace(".", column["decimal"])
