"""What every form of a model is made of: its layers and its columns."""

import math
from typing import Any, NamedTuple

from plainnet.data.column_kinds import CategoryColumn, FeatureColumn, NumberColumn, YesNoColumn
from plainnet.data.table_schema import TableSchema
from plainnet.errors import PlainnetError
from plainnet.model import Model
from plainnet.nn.layers import LAYERS
from plainnet.nn.parameters import Array

_SILENT = ("Dropout", "Identity", "Flatten")  # which change nothing in a row that is flat


class Step(NamedTuple):
    """One layer that computes something."""

    name: str  # such as dense1 and Dense
    kind: str  # such as dense1 and Dense
    n_in: int  # how many numbers of a row go in and come out
    n_out: int  # how many numbers of a row go in and come out
    options: dict[str, Any]  # what the layer was made with
    arrays: dict[str, Array]  # its numbers by their short names, such as W


def steps(model: Model) -> list[Step]:
    """List the layers that compute something when predicting, in their order."""
    found, n_in = [], math.prod(model.net.in_shape)
    for layer, line in zip(model.net.layers, model.net.summary(), strict=True):
        if LAYERS.get(line.kind) is not type(layer):
            raise PlainnetError(
                f"layer {line.name!r} is of the kind {line.kind!r}, which no export knows: "
                f"a network that can be exported has layers of the kinds {', '.join(LAYERS)}"
            )
        n_out = math.prod(line.out_shape)
        if line.kind not in _SILENT:
            arrays = {variable.name: getattr(layer, variable.name) for variable in layer.variables}
            found.append(Step(line.name, line.kind, n_in, n_out, layer.config(), arrays))
        n_in = n_out
    return found


def columns(schema: TableSchema) -> list[dict[str, Any]]:
    """Describe the columns that become features, with what preprocessing needs to know of each."""
    return [_described(c) for c in schema.columns if isinstance(c, FeatureColumn)]


def _described(column: FeatureColumn) -> dict[str, Any]:
    known: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "marked": bool(column.missing),
    }
    if isinstance(column, NumberColumn):
        names = ("decimal", "low", "median", "high", "mean", "scale")
        return known | {name: getattr(column, name) for name in names}
    if isinstance(column, CategoryColumn):
        return known | {"levels": list(column.levels), "fill": column.fill}
    return known | ({"fill": column.fill} if isinstance(column, YesNoColumn) else {})
