"""The explanation of one example: its cells or pixels, every layer, the loss, the gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.data.column_kinds import CategoryColumn, Column, NumberColumn
from plainnet.data.columns import text_from_number
from plainnet.data.decode import printable
from plainnet.data.image_folder import image_files
from plainnet.data.images import ImageSchema, read_files
from plainnet.data.read_table import read_table
from plainnet.data.table import Table
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.errors import DataError
from plainnet.explain.excerpt import as_json
from plainnet.explain.formulas import SourceLocation, code_of
from plainnet.explain.maps import ImageMaps, image_maps
from plainnet.explain.trace import Trace, trace
from plainnet.model import Model
from plainnet.nn.parameters import Array


@final
@dataclass(frozen=True)
class Cell:
    """One cell of a row, and the features it becomes."""

    column: str
    kind: str  # of the column
    raw: str | None  # the text of the cell; None where it is missing
    features: Mapping[str, float]  # by name
    how: str  # the encoding, with its numbers
    code: SourceLocation | None  # of the encoding


@final
@dataclass(frozen=True, eq=False)
class ImageInput:
    """A picture in the size of the network, and the formula of its numbers."""

    pixels: Array  # after resizing
    how: tuple[str, ...]  # the formula of each channel, with its numbers
    code: SourceLocation | None  # of the formula


@final
@dataclass(frozen=True, eq=False)
class Explanation:
    """One prediction, step by step."""

    name: str  # row 3, or the picture file
    target: Target
    cells: tuple[Cell, ...]  # of a row of a table; empty for a picture
    image: ImageInput | None
    maps: ImageMaps | None  # of a picture
    inputs: tuple[str, ...]  # the name of each number that enters the network
    trace: Trace  # forward and backward propagation in float64
    predicted: Array  # by the model itself
    answer: str  # the prediction as text
    truth: str | None  # the target as text, if it is known
    notes: tuple[str, ...]  # assumptions

    @property
    def outputs(self) -> tuple[tuple[str, float], ...]:
        """Each output by name: probabilities of classes, or numbers in the unit of the table."""
        if self.target.task == "regression":
            numbers = self.target.decode(self.trace.a[np.newaxis])[0]
            return tuple(zip(self.target.columns, map(float, numbers), strict=True))
        if self.target.task == "binary":
            p = float(self.trace.a[0])
            return tuple(zip(self.target.classes, (1 - p, p), strict=True))
        return tuple(zip(self.target.classes, map(float, self.trace.a), strict=True))

    @property
    def difference(self) -> float:
        """The largest difference between these float64 outputs and those of the model itself."""
        return float(np.abs(self.trace.a - self.predicted).max())

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values."""
        return {
            "name": self.name,
            "task": self.target.task,
            "cells": as_json(self.cells, self.trace.entries),
            "image": as_json(self.image, self.trace.entries),
            "maps": as_json(self.maps, self.trace.entries),
            "answer": self.answer,
            "truth": self.truth,
            "outputs": [{"name": name, "value": value} for name, value in self.outputs],
            "predicted": self.predicted.tolist(),
            "difference": self.difference,
            "notes": list(self.notes),
            **self.trace.to_json(),
        }


class Sample(NamedTuple):
    """One example: X is (1, ...), y is encoded."""

    name: str
    X: Array
    y: Array | None
    cells: tuple[Cell, ...]
    image: ImageInput | None
    notes: list[str]


def explain(
    model: Model, raw: Any, row: int = 1, *, label: str | None = None, entries: int = 12
) -> Explanation:
    """Explain the prediction of one row or picture, and its gradients where the target is known."""
    sample = read_sample(model, raw, row, label)
    predicted = model.predictions(sample.X)[0]  # refuses a network with extreme outputs
    X = sample.X if model.transform is None else model.transform(sample.X)
    y = None if sample.y is None else sample.y[0]
    traced = trace(model.net, model.loss, X[0], y, entries=entries)
    return Explanation(
        sample.name,
        model.target,
        sample.cells,
        sample.image,
        None if sample.image is None else image_maps(model, sample.image.pixels),
        input_names(model),
        traced,
        predicted,
        describe_prediction(model.target, predicted),
        None if sample.y is None else describe_target(model.target, sample.y),
        tuple(sample.notes),
    )


def input_names(model: Model) -> tuple[str, ...]:
    """Return the name of each number that enters the network."""
    if not isinstance(model.schema, ImageSchema):
        return model.schema.feature_names
    side = range(model.schema.size)
    channels = _channel_names(model.schema)
    return tuple(f"{c} of pixel {i}, {j}" for i in side for j in side for c in channels)


def _channel_names(schema: ImageSchema) -> tuple[str, ...]:
    return ("red", "green", "blue") if schema.channels == 3 else ("gray",)


def prediction_columns(target: Target, A: Array) -> list[list[str]]:
    """Write predictions as columns of text: the numbers of a regression, or one of classes."""
    decoded = target.decode(A)
    if target.task == "regression":
        return [list(map(text_from_number, column)) for column in decoded.T]
    if target.task == "multilabel":
        labels = np.array(target.classes, dtype=object)
        return [[";".join(labels[row]) for row in decoded]]
    return [list(map(str, decoded))]


def describe_prediction(target: Target, a: Array) -> str:
    """Write a prediction as one text."""
    return ";".join(text for (text,) in prediction_columns(target, a[np.newaxis])) or "none"


def describe_target(target: Target, y: Array) -> str:
    """Write one encoded target as text, as `describe_prediction` does."""
    if target.task == "multiclass":
        return target.classes[int(y[0])]
    if target.task == "regression":  # standardized in float32, which keeps seven digits
        numbers = target.decode(np.atleast_2d(y[0]))[0]
        return ";".join(text_from_number(float(f"{number:.7g}")) for number in numbers)
    return describe_prediction(target, np.atleast_1d(y[0]))


def read_sample(model: Model, raw: Any, row: int, label: str | None) -> Sample:
    """Read one row or picture, with its target where it is known."""
    if isinstance(model.schema, ImageSchema):
        return _read_image_sample(model.schema, model.target, raw, row, label)
    return _read_row(model.schema, model.target, raw, row, label)


def _read_row(schema: TableSchema, target: Target, raw: Any, row: int, label: str | None) -> Sample:
    table = read_table(raw, header=schema.header)
    _require_row(row, len(table), "row")
    one = table.take(np.array([row - 1]))
    present = [name for name in target.columns if name in table.columns]
    inputs = one.without(present)
    notes: list[str] = []
    X = schema.transform(inputs, notes)
    y = None
    if label is not None:
        y = _labeled(target, label)
    elif len(present) == len(target.columns):
        if any(one[name].missing for name in present):
            notes.append("The row has no target, so there is no loss: give a label.")
        else:
            y = target.encode(one)
    return Sample(f"row {row:,}", X, y, _cells(schema, inputs, X[0]), None, notes)


def _cells(schema: TableSchema, inputs: Table, x: Array) -> tuple[Cell, ...]:
    cells, start = [], 0
    for column in schema.columns:
        stop = start + len(column.features)
        values = zip(column.features, map(float, x[start:stop]), strict=True)
        raw = None
        if column.name in inputs.columns:
            read = inputs[column.name]
            raw = None if read.missing else read.texts()[int(read.codes[0])]
        encode = getattr(type(column), "encode", None)
        code = None if encode is None else code_of(encode)
        cells.append(
            Cell(column.name, column.kind, raw, dict(values), _how(column, inputs, raw), code)
        )
        start = stop
    return tuple(cells)


def _how(column: Column, inputs: Table, raw: str | None) -> str:
    if isinstance(column, NumberColumn):
        value, prefix = column.median, "missing = the median: "
        if raw is not None:
            value, prefix = float(inputs[column.name].finite(column.decimal)[0]), ""
        if column.unscaled:
            return f"{prefix}{value:.6g}, unscaled"
        return f"{prefix}({value:.6g} - {column.mean:.6g}) / {column.scale:.6g}"
    if isinstance(column, CategoryColumn):
        return "1 for its level, 0 for the others"
    return column.encoding if raw is None else column.encoding.split("; ")[-1]


def _read_image_sample(
    schema: ImageSchema, target: Target, raw: Any, row: int, label: str | None
) -> Sample:
    if isinstance(raw, np.ndarray):
        _require_row(row, len(raw), "picture")
        X, name = raw[row - 1 : row], f"picture {row:,}"
    else:
        files = image_files(raw)
        _require_row(row, len(files), "picture")
        file, folder = files[row - 1], Path(raw)
        X = read_files([file], schema.size, strict=True, channels=schema.channels)[0]
        name = printable(file.relative_to(folder) if folder.is_dir() else file)
        if label is None:
            label = _class_folder(file, folder, target.classes)
    schema.transform(X)  # refuses pictures of another size
    how = tuple(
        f"{channel}: byte" if schema.unscaled else f"{channel}: (byte - {mean:.6g}) / {std:.6g}"
        for channel, mean, std in zip(_channel_names(schema), schema.mean, schema.std, strict=True)
    )
    image = ImageInput(X[0], how, code_of(type(schema).transform))
    y = None if label is None else _labeled(target, label)
    return Sample(name, X, y, (), image, [])


def _class_folder(file: Path, folder: Path, classes: Sequence[str]) -> str | None:
    """Return the class that is named by the outermost or the innermost folder of an image."""
    inside = file.relative_to(folder).parts[:-1] if folder.is_dir() else ()
    parent = folder.name if folder.is_dir() else file.resolve().parent.name
    return next((name for name in (*inside[:1], parent) if name in classes), None)


def _labeled(target: Target, label: str) -> Array:
    """Encode a label from the command line."""
    columns = target.columns
    if len(columns) == 1:
        return target.encode(Table.of_texts({columns[0]: label}))
    parts = [part.strip() for part in label.split(";")]
    if target.task == "multilabel":
        unknown = [part for part in parts if part and part not in columns]
        if unknown:
            raise DataError(
                f"there is no label {unknown[0]!r}: name some of {', '.join(columns)}, "
                "separated by semicolons"
            )
        return target.encode(Table.of_texts({name: str(int(name in parts)) for name in columns}))
    if len(parts) != len(columns):
        raise DataError(
            f"the label {label!r} has {len(parts)} numbers where the target has {len(columns)}: "
            "separate them by semicolons"
        )
    return target.encode(Table.of_texts(dict(zip(columns, parts, strict=True))))


def _require_row(row: int, m: int, unit: str) -> None:
    if not 1 <= row <= m:
        raise DataError(f"there is no {unit} {row:,}: they are counted from 1 to {m:,}")
