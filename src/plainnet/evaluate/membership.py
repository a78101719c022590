"""Membership: which share of a set of rows a model was trained on.

A model file holds a filter, as of B. H. Bloom (1970) with one hash function: an array of bits, a
fifth of which are set. A row that was trained on finds its bit set, any other one in five times.
So a match makes it at most five times as likely (in odds) that a row was trained on, whoever asks
and whatever else is known: too little to find single rows, enough to estimate a share of many.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.evaluate.duplicates import hash_rows
from plainnet.evaluate.feature_spans import feature_spans
from plainnet.metrics.intervals import wilson

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema
    from plainnet.model import Model

    Schema = TableSchema | ImageSchema

Array = NDArray[Any]
BITS, PART = "rows.bits", "rows.part"  # names of the two arrays in a model file
SET = 0.2  # share of the bits that are set
LIKELY = 0.02  # chance to guess a row of the training data, above which no filter is stored
FEWEST = 100  # different rows below which no filter is stored
_DIGITS = 5  # of a standard deviation, to which numbers are rounded
_BLOCK = 8192  # rows that are hashed at a time
_WORD = 16  # bits in one float32


class Share(NamedTuple):
    """The estimated share of a set of rows that a model was trained on."""

    value: float  # the estimate, from 0 to 1
    low: float  # its 95 % interval
    high: float  # its 95 % interval


def remember(X: Array, schema: "Schema") -> dict[str, Array]:
    """Return the filter of training rows, or nothing where single rows could be guessed.

    All filters use the same hash function and nested bits, so that those of several models of
    one table together say hardly more than one of them.
    """
    place, order = _halves(np.unique(hashes(X, schema)))
    if len(place) < FEWEST or guessable(X, schema) > LIKELY:
        return {}
    size = 2 ** int(math.log2(len(place) / -math.log1p(-SET)))
    size = size if len(np.unique(place % size)) >= SET * size else size // 2
    by_order = np.argsort(order, kind="stable")
    place, order = (place % size)[by_order].astype(np.int64), order[by_order]
    first = np.sort(np.unique(place, return_index=True)[1])  # rows that set one more bit
    last = int(first[math.ceil(SET * size) - 1])
    bits = np.zeros(size, np.bool_)
    bits[place[: last + 1]] = True
    words = np.packbits(bits, bitorder="little").view("<u2").astype(np.float32)
    part = (int(order[last]) + 1) / 2**32
    return {BITS: words, PART: np.array([part])}


def guessable(X: Array, schema: "Schema") -> float:
    """Return the chance that a row guessed by someone who knows the table was trained on.

    The larger of two figures: the share of rows that occur more than once, which is how often one
    row of the table meets another; and how often that would be if the columns were independent,
    which also holds for tables too small to show it. Each of p values of a column, at random,
    meets another with a probability of sum p^2.
    """
    m = len(X)
    counts = np.unique(hashes(X, schema), return_counts=True)[1]
    repeated = float(counts[counts > 1].sum() / m)
    if X.ndim != 2:
        return repeated
    meet = 1.0
    for column in feature_spans(schema):
        values = hash_rows(X[:, column.start : column.stop])
        counts = np.unique(values, return_counts=True)[1].astype(np.float64)
        meet *= float(np.square(counts / m).sum())
    return max(repeated, m * meet)


def trained_share(model: "Model", X: Array) -> Share | None:
    """Estimate which share of the different rows among `X` a model was trained on.

    With m the share of rows whose bit is set and f that of all bits, (m - f) / (1 - f): f is how
    often any other row finds its bit set. The interval is Wilson's of m, by the same formula.
    """
    bits, part = _filter(model.extras)
    if not bits.any() or bits.all():
        return None
    place, order = _halves(np.unique(hashes(X, model.schema)))
    asked = place[order < part]
    if not len(asked):
        return None
    matches, chance = int(bits[asked % len(bits)].sum()), float(bits.mean())
    ends = (matches / len(asked), *wilson(matches, len(asked)))
    return Share(*(min(max((m - chance) / (1 - chance), 0.0), 1.0) for m in ends))


def _filter(extras: dict[str, Array]) -> tuple[NDArray[np.bool_], float]:
    """The bits and the part of a model file; no bits where anybody has edited them."""
    words, part = extras.get(BITS, np.zeros(0)), extras.get(PART, np.zeros(0))
    sound = words.ndim == 1 and part.shape == (1,) and 0 <= part[0] <= 1
    if not sound or not ((words >= 0) & (words < 2**_WORD) & (words == words.round())).all():
        return np.zeros(0, np.bool_), 0.0
    packed = words.astype("<u2").view(np.uint8)
    return np.unpackbits(packed, bitorder="little").astype(np.bool_), float(part[0]) * 2**32


def hashes(X: Array, schema: "Schema") -> NDArray[np.uint64]:
    """Return a hash of each row, (m,): the same in every model of a table."""
    blocks = range(0, max(len(X), 1), _BLOCK)
    return np.concatenate([hash_rows(_unscaled(X[i : i + _BLOCK], schema)) for i in blocks])


def _halves(hashed: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return two independent 32-bit hashes of each row: where its bit is, and in which part."""
    return hashed & np.uint64(2**32 - 1), hashed >> np.uint64(32)


def _unscaled(X: Array, schema: "Schema") -> Array:
    """Return numbers in the unit of the table, rounded: alike in every model of the table."""
    if X.ndim != 2:
        return X
    F = X.astype(np.float64)
    for column in feature_spans(schema):
        if column.kind == "number" and (column.mean, column.scale) != (0.0, 1.0):
            step = 10.0 ** (round(math.log10(column.scale)) - _DIGITS)
            z = F[:, column.start] * column.scale + column.mean
            with np.errstate(all="ignore"):
                rounded = np.round(z / step) * step
            F[:, column.start] = np.where(np.isfinite(rounded), rounded, z)
    return F
