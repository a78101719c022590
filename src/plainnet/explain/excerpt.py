"""Excerpts of arrays, and explanations as JSON values."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from plainnet.nn.parameters import Array

_COMPLETE = 1024  # numbers, up to which JSON contains all


def as_json(value: Any, n: int) -> Any:
    """Return a part of an explanation as JSON values, with excerpts of n numbers of arrays."""
    if isinstance(value, np.ndarray):
        return numbers_json(value, n)
    if isinstance(value, Mapping):
        return {key: as_json(part, n) for key, part in value.items()}
    if isinstance(value, tuple):
        return [as_json(part, n) for part in value]
    if is_dataclass(value):
        return {part.name: as_json(getattr(value, part.name), n) for part in fields(value)}
    return value


def numbered(items: Sequence[Any], numbers: Array | None) -> list[dict[str, Any]]:
    """Return named tuples as JSON values, with the rows as ``--row`` counts them."""
    rows = (one.row + 1 if numbers is None else int(numbers[one.row]) for one in items)
    return [{**one._asdict(), "row": row} for one, row in zip(items, rows, strict=True)]


def excerpt(values: Array, n: int) -> list[tuple[int, ...]]:
    """Return the indices of the n entries of largest absolute value, in their order."""
    flat = np.arange(values.size)
    if values.size > n:
        flat = np.sort(np.argsort(-np.abs(values.ravel()), kind="stable")[:n])
    return [tuple(int(i) for i in np.unravel_index(f, values.shape)) for f in flat]


def numbers_json(values: Array, n: int) -> dict[str, Any]:
    """Describe an array as JSON values: its range, an excerpt, and all numbers if they are few."""
    return {
        "shape": list(values.shape),
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean()),
        "values": values.tolist() if values.size <= _COMPLETE else None,
        "excerpt": [{"index": list(i), "value": float(values[i])} for i in excerpt(values, n)],
    }


def shape_text(shape: Sequence[int]) -> str:
    """Write a shape such as 2 x 3."""
    return " x ".join(map(str, shape)) or "1"
