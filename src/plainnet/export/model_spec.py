"""The parts of a model that every export writes: its layers and its columns."""

import base64
from collections.abc import Collection
from typing import Any, NamedTuple

from plainnet.data.column_kinds import CategoryColumn, FeatureColumn, NumberColumn, YesNoColumn
from plainnet.data.table_schema import TableSchema
from plainnet.errors import PlainnetError
from plainnet.model import Model
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import LAYERS, Shape
from plainnet.nn.parameters import Array

_NO_EFFECT = ("Dropout", "SpatialDropout", "Identity")  # layers that leave a prediction unchanged
_OPTIONS = ("eps", "alpha", "size", "stride", "bins", "groups")  # that a prediction needs


class LayerSpec(NamedTuple):
    """One layer that has an effect on a prediction."""

    name: str  # such as dense1
    kind: str  # such as Dense
    in_shape: Shape
    out_shape: Shape
    options: dict[str, Any]  # that a prediction needs
    arrays: dict[str, Array]  # by their short names, such as W


def layer_specs(model: Model, known: Collection[str]) -> list[LayerSpec]:
    """List the layers with an effect; refuse kinds that the export does not support."""
    specs, in_shape = [], model.net.in_shape
    for layer, line in zip(model.net.layers, model.net.summary(), strict=True):
        exportable = line.kind in _NO_EFFECT or line.kind in known
        if LAYERS.get(line.kind) is not type(layer) or not exportable:
            raise PlainnetError(
                f"layer {line.name!r} is of the kind {line.kind!r}, which this export does not "
                f"support: it supports {', '.join([*known, *_NO_EFFECT])}"
            )
        if line.kind not in _NO_EFFECT and (line.kind != "Flatten" or len(in_shape) > 1):
            arrays = {spec.name: getattr(layer, spec.name) for spec in layer.specs}
            options = {k: v for k, v in layer.config().items() if k in _OPTIONS}
            if isinstance(layer, Conv2D):
                options["pads"] = layer.pads[1:3]  # zeros above and below, left and right
            shapes = (in_shape, line.out_shape)
            specs.append(LayerSpec(line.name, line.kind, *shapes, options, arrays))
        in_shape = line.out_shape
    return specs


def column_specs(schema: TableSchema) -> list[dict[str, Any]]:
    """Describe the columns that become features, with everything that encoding needs."""
    return [_column_spec(c) for c in schema.columns if isinstance(c, FeatureColumn)]


def _column_spec(column: FeatureColumn) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "marked": bool(column.missing),  # by an indicator feature
    }
    if isinstance(column, NumberColumn):
        names = ("decimal", "low", "median", "high", "mean", "scale")
        return spec | {name: getattr(column, name) for name in names}
    if isinstance(column, CategoryColumn):
        return spec | {"levels": list(column.levels), "fill": column.fill}
    return spec | ({"fill": column.fill} if isinstance(column, YesNoColumn) else {})


def base64_text(array: Array) -> str:
    """Encode the little-endian bytes of an array as base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
