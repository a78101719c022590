"""What every form of a model is made of: its layers and its columns."""

import math
from typing import Any, NamedTuple

from plainnet.data.columns import CategoryColumn, FeatureColumn, NumberColumn, YesNoColumn
from plainnet.data.table_schema import TableSchema
from plainnet.errors import PlainnetError
from plainnet.model import Model
from plainnet.nn.network import LAYERS
from plainnet.nn.parameters import Array

_SILENT = ("Dropout", "Identity", "Flatten")  # which change nothing in a row that is flat


class Step(NamedTuple):
    """One layer that computes something.

    Attributes
    ----------
    name, kind : str
        Such as ``dense1`` and ``Dense``.
    n_in, n_out : int
        How many numbers of a row go in and come out.
    options : dict
        What the layer was made with.
    arrays : dict of str to array
        Its numbers by their short names, such as ``W``.

    Examples
    --------
    >>> Step("relu1", "ReLU", 8, 8, {}, {}).kind
    'ReLU'
    """

    name: str
    kind: str
    n_in: int
    n_out: int
    options: dict[str, Any]
    arrays: dict[str, Array]


def steps(model: Model) -> list[Step]:
    """List the layers that compute something when predicting, in their order.

    Parameters
    ----------
    model : Model
        Any.

    Returns
    -------
    list of Step
        Without dropout and the like.

    Raises
    ------
    PlainnetError
        If a layer is not one of plainnet's own, whose formula nobody knows here.

    Examples
    --------
    >>> import pandas as pd
    >>> from plainnet.training import table_run
    >>> from plainnet.config import TrainConfig
    >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    >>> model = table_run(frame, TrainConfig(hidden=(2,), dropout=0.1, epochs=1, test_fraction=0)).model
    >>> [step.name for step in steps(model)]
    ['dense1', 'relu1', 'dense2']
    """
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
    """Describe the columns that become features, with what preprocessing needs to know of each.

    Parameters
    ----------
    schema : TableSchema
        Of a model.

    Returns
    -------
    list of dict
        Name, kind, whether a feature says which cells are missing, and what the kind needs.

    Examples
    --------
    >>> import pandas as pd
    >>> schema = TableSchema.infer(pd.DataFrame({"fun": ["yes", None, "no", "no"]}))
    >>> columns(schema)
    [{'name': 'fun', 'kind': 'yesno', 'marked': True, 'fill': 'No'}]
    """
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
