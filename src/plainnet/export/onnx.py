"""ONNX export: a graph from raw cells or pixels to classes and probabilities, or numbers."""

import json
import math
from collections.abc import Callable
from itertools import chain, product
from typing import Any

import numpy as np
import pandas as pd

from plainnet._version import __version__
from plainnet.data.column_kinds import CategoryColumn, FeatureColumn, IndicatorColumn, NumberColumn
from plainnet.data.columns import MISSING, YES_NO_PAIRS
from plainnet.data.images import ImageSchema
from plainnet.data.series import read_series
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.export.model_spec import LayerSpec, layer_specs
from plainnet.export.onnx_graph import Graph
from plainnet.model import Model
from plainnet.nn.layers import Shape

_ROWS = "rows"  # name of the open size of all inputs and outputs


def to_onnx(model: Model) -> bytes:
    """Write a model, preprocessing included, as an ONNX file.

    Inputs of a table: for each column with features, (rows, 1), float64 for numbers with NaN for
    missing cells, otherwise text without spaces around it. Input of pictures: uint8
    (rows, size, size, 3).

    Outputs of a classifier: ``label`` (rows,) and ``probabilities`` (rows, classes); multi-label:
    ``label`` as bool (rows, labels); regression: ``prediction`` (rows, targets), float64 in the
    unit of the table. Where `Model.predict` refuses a number, the output is NaN.
    """
    graph = Graph(model.net.dtype)
    ports: dict[str, str] = {}
    if isinstance(model.schema, ImageSchema):
        X = _images(graph, model.schema, model.net.in_shape)
    else:
        ports = {_port(graph, column): column.name for column in _features(model.schema)}
        X = _table(graph, model.schema, list(ports))
    if model.net.dtype != np.float32:
        X = graph.cast(X, model.net.dtype.name)
    A = _link(graph, model.target, _network(graph, model, X))
    if ports:  # add 0, or NaN for an infinite input, which an activation could hide
        A = graph.add("Add", A, graph.add("ReduceSum", graph.add("Mul", X, 0.0), np.array([1])))
    _add_outputs(graph, model.target, A)
    return graph.to_bytes(_metadata(model, ports), model.target.describe())


# --- preprocessing -------------------------------------------------------------------------------


def _images(graph: Graph, schema: ImageSchema, in_shape: Shape) -> str:
    """Standardize pixels as `Model.transform` does."""
    meaning = "red, green and blue" if schema.channels == 3 else "gray"
    pixels = graph.input("pictures", "uint8", (_ROWS, *schema.shape), f"{meaning} from 0 to 255")
    graph.part = "pictures"
    X = graph.add("Sub", graph.cast(pixels, "float32"), np.array(schema.mean, np.float32))
    X = graph.add("Mul", X, np.float32(1) / np.array(schema.std, np.float32))
    return graph.add("Flatten", X, axis=1) if len(in_shape) == 1 else X


def _features(schema: TableSchema) -> list[FeatureColumn]:
    return [column for column in schema.columns if isinstance(column, FeatureColumn)]


def _port(graph: Graph, column: FeatureColumn) -> str:
    """Add an input for a column and return its name."""
    text = {
        "number": "a number; NaN where the cell is missing",
        "yesno": "yes or no, true or false, on or off, 1 or 0; empty where the cell is missing",
        "category": "text without spaces around it; empty where the cell is missing",
        "indicator": "any text; empty where the cell is missing",
    }[column.kind]
    kind = "float64" if column.kind == "number" else "string"
    return graph.input(column.name, kind, (_ROWS, 1), text)


def _table(graph: Graph, schema: TableSchema, ports: list[str]) -> str:
    """Encode cells: all numbers at once, other columns one by one; then restore the order."""
    columns = dict(zip(ports, _features(schema), strict=True))
    numbers = {port: c for port, c in columns.items() if isinstance(c, NumberColumn)}
    graph.part = "table"
    blocks = _numbers(graph, numbers)
    indices = {port: i for i, port in enumerate(numbers)}
    order: list[int] = []
    width = 2 * len(numbers)
    for port, column in columns.items():
        n = len(column.features)
        if port in indices:
            order += [indices[port], indices[port] + len(numbers)][:n]
        else:
            blocks.append(_text(graph, column, port))
            order += range(width, width + n)
            width += n
    graph.part = "table"
    rows = graph.add("Concat", *blocks, axis=1)
    return graph.add("Gather", rows, np.array(order), axis=1)


def _numbers(graph: Graph, columns: dict[str, NumberColumn]) -> list[str]:
    """Standardize all numbers in float64, as the model does, and mark missing ones."""
    if not columns:
        return []
    median, mean, scale = (
        graph.constant(name, np.array([getattr(c, name) for c in columns.values()], np.float64))
        for name in ("median", "mean", "scale")
    )
    cells = graph.add("Concat", *columns, axis=1)
    absent = graph.add("IsNaN", cells)
    filled = graph.add("Where", absent, median, cells)
    Z = graph.add("Div", graph.add("Sub", filled, mean), scale)
    return [graph.cast(Z, "float32"), graph.cast(absent, "float32")]


def _text(graph: Graph, column: FeatureColumn, port: str) -> str:
    """Look up the column's encoding of each known text, of unknown text, and of a missing cell."""
    known = _known(column)
    unknown = "x" * (1 + max(map(len, known), default=0))
    cells = read_series(pd.Series([*known, unknown, None], name=column.name, dtype=object))
    features = np.zeros((len(cells.codes), len(column.features)), np.float32)
    column.encode(cells, features, None)
    index = {text: i for i, text in enumerate(known)}
    index |= dict.fromkeys(sorted(MISSING), len(known) + 1)
    graph.part = column.name
    code = graph.add(
        "LabelEncoder",
        port,
        domain="ai.onnx.ml",
        keys_strings=list(index),
        values_int64s=list(index.values()),
        default_int64=len(known),
    )
    code = graph.add("Reshape", code, np.array([-1]))
    return graph.add("Gather", graph.constant("features", features), code, axis=0)


def _known(column: FeatureColumn) -> list[str]:
    """Return the texts that a column knows."""
    if isinstance(column, CategoryColumn):
        return list(column.levels)
    if isinstance(column, IndicatorColumn):
        return []
    spellings = [*chain(*YES_NO_PAIRS), "0", "1"]
    cased = (product(*({c.lower(): 0, c.upper(): 0} for c in text)) for text in spellings)
    return ["".join(letters) for letters in chain.from_iterable(cased)]


# --- the network ---------------------------------------------------------------------------------


def _network(graph: Graph, model: Model, X: str) -> str:
    for spec in layer_specs(model, _LAYERS):
        graph.part = spec.name
        X = _LAYERS[spec.kind](graph, spec, X)
    graph.part = "answer"
    return X


def _dense(graph: Graph, spec: LayerSpec, X: str) -> str:
    W, b = (graph.constant(name, spec.arrays[name]) for name in ("W", "b"))
    return graph.add("Gemm", X, W, b, transB=1)


def _grouped_dense(graph: Graph, spec: LayerSpec, X: str) -> str:
    """Dense layers side by side, as one product of stacks of matrices."""
    W, k = spec.arrays["W"], spec.options["groups"]
    parts = graph.add("Reshape", X, np.array([0, k, W.shape[1]]))
    stack = graph.constant("W", W.reshape(k, -1, W.shape[1]).transpose(0, 2, 1))
    Z = graph.add("MatMul", graph.add("Transpose", parts, perm=[1, 0, 2]), stack)
    Z = graph.add("Reshape", graph.add("Transpose", Z, perm=[1, 0, 2]), np.array([0, len(W)]))
    return graph.add("Add", Z, graph.constant("b", spec.arrays["b"]))


def _piecewise_linear(graph: Graph, spec: LayerSpec, X: str) -> str:
    """Y_t = clip((X_f - low_t) / (high_t - low_t), 0, 1) - 1/2."""
    low, high, bins = spec.arrays["low"], spec.arrays["high"], spec.options["bins"]
    columns = graph.add("Gather", X, np.repeat(np.arange(len(bins)), bins), axis=1)
    D = graph.add("Sub", columns, graph.constant("low", low))
    filled = graph.add("Div", D, graph.constant("width", high - low))
    return graph.add("Sub", graph.add("Min", graph.add("Max", filled, 0.0), 1.0), 0.5)


def _conv2d(graph: Graph, spec: LayerSpec, X: str) -> str:
    W = graph.constant("W", np.moveaxis(spec.arrays["W"], -1, 1).astype(np.float32))
    b = [graph.constant("b", b.astype(np.float32)) for k, b in spec.arrays.items() if k == "b"]
    (top, bottom), (left, right) = spec.options["pads"]
    options = {"pads": [top, left, bottom, right], "strides": [spec.options["stride"]] * 2}
    return _channels_first(graph, "Conv", X, W, *b, **options)


def _pool(op: str) -> Callable[[Graph, LayerSpec, str], str]:
    def add(graph: Graph, spec: LayerSpec, X: str) -> str:
        sides, strides = ([spec.options[name]] * 2 for name in ("size", "stride"))
        return _channels_first(graph, op, X, kernel_shape=sides, strides=strides)

    return add


def _channels_first(graph: Graph, op: str, X: str, *constants: str, **attributes: Any) -> str:
    """Add an operator that takes channels first, and float32 in most runtimes."""
    wide = graph.dtype != np.float32
    X = graph.add("Transpose", graph.cast(X, "float32") if wide else X, perm=[0, 3, 1, 2])
    Y = graph.add("Transpose", graph.add(op, X, *constants, **attributes), perm=[0, 2, 3, 1])
    return graph.cast(Y, "float64") if wide else Y


def _batch_norm(graph: Graph, spec: LayerSpec, X: str) -> str:
    """Normalize step by step: the operator folds the mean into the shift, which loses digits."""
    std = np.sqrt(spec.arrays["running_var"] + spec.options["eps"])
    D = graph.add("Sub", X, graph.constant("running_mean", spec.arrays["running_mean"]))
    Xhat = graph.add("Div", D, graph.constant("std", std))
    Y = graph.add("Mul", Xhat, graph.constant("gamma", spec.arrays["gamma"]))
    return graph.add("Add", Y, graph.constant("beta", spec.arrays["beta"]))


def _layer_norm(graph: Graph, spec: LayerSpec, X: str) -> str:
    gamma, beta = (graph.constant(name, spec.arrays[name]) for name in ("gamma", "beta"))
    eps = spec.options["eps"]
    return graph.add("LayerNormalization", X, gamma, beta, axis=-1, epsilon=eps)


def _leaky_relu(graph: Graph, spec: LayerSpec, X: str) -> str:
    return graph.add("Max", X, graph.add("Mul", X, spec.options["alpha"]))


def _elu(graph: Graph, spec: LayerSpec, X: str) -> str:
    below = graph.add("Sub", graph.add("Exp", graph.add("Min", X, 0.0)), 1.0)
    scaled = graph.add("Mul", below, spec.options["alpha"])
    return graph.add("Add", graph.add("Max", X, 0.0), scaled)


def _gelu(graph: Graph, spec: LayerSpec, X: str) -> str:
    """X/2 (1 + tanh(u)), u = sqrt(2/pi) (X + 0.044715 X^3); opset 17 has no operator for it."""
    cube = graph.add("Mul", graph.add("Mul", graph.add("Mul", X, X), X), 0.044715)
    u = graph.add("Mul", graph.add("Add", X, cube), math.sqrt(2 / math.pi))
    return graph.add("Mul", graph.add("Mul", graph.add("Add", graph.add("Tanh", u), 1.0), 0.5), X)


def _silu(graph: Graph, spec: LayerSpec, X: str) -> str:
    """X (1 + tanh(X/2)) / 2; runtimes fuse X sigmoid(X), and some of them in float32 only."""
    half = graph.add("Mul", X, 0.5)
    return graph.add("Mul", half, graph.add("Add", graph.add("Tanh", half), 1.0))


def _softplus(graph: Graph, spec: LayerSpec, X: str) -> str:
    """max(X, 0) + log(1 + e^-|X|)."""
    E = graph.add("Exp", graph.add("Neg", graph.add("Abs", X)))
    return graph.add("Add", graph.add("Max", X, 0.0), graph.add("Log", graph.add("Add", E, 1.0)))


_LAYERS: dict[str, Callable[[Graph, LayerSpec, str], str]] = {
    "Dense": _dense,
    "GroupedDense": _grouped_dense,
    "PiecewiseLinear": _piecewise_linear,
    "Conv2D": _conv2d,
    "MaxPool2D": _pool("MaxPool"),
    "AveragePool2D": _pool("AveragePool"),
    "GlobalAveragePool2D": lambda graph, spec, X: graph.add(
        "ReduceMean", X, axes=[1, 2], keepdims=0
    ),
    "Flatten": lambda graph, spec, X: graph.add("Flatten", X, axis=1),
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "ReLU": lambda graph, spec, X: graph.add("Relu", X),
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "GELU": _gelu,
    "SiLU": _silu,
    "Tanh": lambda graph, spec, X: graph.add("Tanh", X),
    "Sigmoid": lambda graph, spec, X: graph.add("Sigmoid", X),
    "Softplus": _softplus,
}


# --- predictions ---------------------------------------------------------------------------------


def _link(graph: Graph, target: Target, Z: str) -> str:
    if target.task == "regression":
        return Z
    return graph.add("Softmax" if target.task == "multiclass" else "Sigmoid", Z)


def _add_outputs(graph: Graph, target: Target, A: str) -> None:
    """Add labels and probabilities, or numbers in their own unit, as outputs."""
    if target.task == "regression":
        Y = graph.add("Mul", graph.cast(A, "float64"), np.array(target.scale, np.float64))
        Y = graph.add("Add", Y, np.array(target.mean, np.float64))
        shape = (_ROWS, len(target.columns))
        graph.output("prediction", Y, "float64", shape, ", ".join(target.columns))
        return
    k, names = len(target.classes), ", ".join(target.classes)
    above = graph.add("Greater", A, 0.5)
    if target.task == "multilabel":
        graph.output("label", above, "bool", (_ROWS, k), names)
    else:
        classes = np.array(target.classes, dtype=object)
        if target.task == "binary":
            code = graph.add("Reshape", graph.cast(above, "int64"), np.array([-1]))
            A = graph.add("Concat", graph.add("Sub", 1.0, A), A, axis=1)
        else:
            code = graph.add("ArgMax", A, axis=1, keepdims=0)
        label = graph.add("Gather", graph.constant("classes", classes), code)
        graph.output("label", label, "string", (_ROWS,), "one of the classes")
    graph.output("probabilities", A, graph.dtype.name, (_ROWS, k), names)


def _metadata(model: Model, ports: dict[str, str]) -> dict[str, str]:
    """Return the metadata of the file; all but the version and the task are JSON."""
    target, schema = model.target, model.schema
    known = {
        "targets": target.columns,
        "classes": target.classes,
        "target": target.to_json(),
        "schema": schema.to_json(),
    }
    if isinstance(schema, TableSchema):
        known |= {"inputs": ports, "features": schema.feature_names}
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in known.items()}
    return {"plainnet_version": __version__, "task": target.task, **texts}
