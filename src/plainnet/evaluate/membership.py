"""Membership: the share of some rows that a model was trained on.

A model file holds a filter, as of B. H. Bloom (1970) with one hash function: an array of bits, a
fifth of which are set. The bit of a training row is set; the bit of another row is set with a
probability of one in five. So a match multiplies the odds that a row was trained on by at most
five: too little to identify single rows, enough to estimate the share of many.

A second hash puts all possible rows in an order. The filter covers the rows up to a place in it, at
most 100,000 of the training rows.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.evaluate.duplicates import MOST_ROWS
from plainnet.evaluate.feature_spans import feature_spans
from plainnet.evaluate.row_hashes import (
    BLOCK,
    Hashes,
    count_distinct,
    counts_of,
    distinct,
    hash_rows,
)
from plainnet.metrics.intervals import wilson
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.evaluate.feature_spans import Schema
    from plainnet.model import Model

BITS, PART = "rows.bits", "rows.part"  # names of the two arrays in a model file
SET = 0.2  # share of bits that are set
MAX_GUESS = 0.02  # probability of guessing a training row, above which no filter is stored
_NEGLIGIBLE = 1e-6  # probability, of which the exact value does not matter
FEWEST = 100  # different rows, below which no filter is stored
_DIGITS = 5  # of a standard deviation, kept when numbers are rounded
_WORD = 16  # bits in one float32


class Share(NamedTuple):
    """The estimated share of some rows that a model was trained on, with its 95 % interval."""

    value: float  # from 0 to 1
    low: float
    high: float


def membership_filter(X: Array, schema: "Schema") -> dict[str, Array]:
    """Return the filter of training rows, or no arrays where single rows could be guessed.

    All filters use the same hash function and nested bits, so that the filters of several models
    of one table reveal hardly more than a single filter.
    """
    every = hashes(X, schema)
    position, order = _halves(distinct(every)[:MOST_ROWS])  # in ascending order
    if len(position) < FEWEST or guess_probability(X, schema, every) > MAX_GUESS:
        return {}
    size = 2 ** int(math.log2(len(position) / -math.log1p(-SET)))
    size = size if count_distinct(position % size) >= SET * size else size // 2
    position = (position % size).astype(np.int64)
    first = np.sort(np.unique(position, return_index=True)[1])  # rows that set one more bit
    last = int(first[math.ceil(SET * size) - 1])
    bits = np.zeros(size, np.bool_)
    bits[position[: last + 1]] = True
    packed = np.packbits(bits, bitorder="little").view("<u2").astype(np.float32)
    part = (int(order[last]) + 1) / 2**32
    return {BITS: packed, PART: np.array([part])}


def guess_probability(X: Array, schema: "Schema", every: Hashes) -> float:
    """Return the probability that someone who knows the columns guesses a training row.

    It is the larger of two numbers: the share of rows that occur more than once, by `every` hash,
    and the number of equal rows to expect if the columns were independent. Two random values of a
    column with shares p are equal with probability sum p^2.
    """
    counts = counts_of(every)
    repeated = float(counts[counts > 1].sum() / len(X))
    if X.ndim != 2:
        return repeated
    some, equal = X[:: -(-len(X) // MOST_ROWS)], 1.0
    for column in feature_spans(schema):
        if len(X) * equal > _NEGLIGIBLE:
            counts = counts_of(hash_rows(some[:, column.start : column.stop]))
            equal *= float(np.square(counts / len(some)).sum())
    return max(repeated, len(X) * equal)


def trained_share(model: "Model", X: Array) -> Share | None:
    """Estimate the share of the different rows of `X` that a model was trained on.

    It is (m - f) / (1 - f), where m is the share of rows whose bit is set and f the share of set
    bits. The interval is Wilson's of m, by the same formula.
    """
    bits, part = _filter(model.extras)
    if not bits.any() or bits.all():
        return None
    position, order = _halves(distinct(hashes(X, model.schema)))
    position = position[order < part]
    n = len(position)
    if not n:
        return None
    matches, chance = int(bits[position % len(bits)].sum()), float(bits.mean())
    ends = (matches / n, *wilson(matches, n))
    return Share(*(min(max((m - chance) / (1 - chance), 0.0), 1.0) for m in ends))


def _filter(extras: dict[str, Array]) -> tuple[NDArray[np.bool_], float]:
    """Return the bits and the part of a model file; no bits where they were edited."""
    packed, part = extras.get(BITS, np.zeros(0)), extras.get(PART, np.zeros(0))
    valid = packed.ndim == 1 and part.shape == (1,) and 0 <= part[0] <= 1
    if not valid or not ((packed >= 0) & (packed < 2**_WORD) & (packed == packed.round())).all():
        return np.zeros(0, np.bool_), 0.0
    bits = np.unpackbits(packed.astype("<u2").view(np.uint8), bitorder="little")
    return bits.astype(np.bool_), float(part[0]) * 2**32


def hashes(X: Array, schema: "Schema") -> Hashes:
    """Return a hash of each row, the same in every model of a table.

    Numbers are in the units of the table and rounded; all other features are 0 or 1.
    """
    if X.ndim != 2:
        return hash_rows(X)
    numbers = [span for span in feature_spans(schema) if span.kind == "number"]
    columns = np.array([span.start for span in numbers], np.int64)
    bits = np.delete(np.arange(X.shape[1]), columns)
    scale, mean = (np.array([getattr(s, name) for s in numbers]) for name in ("scale", "mean"))
    # unscaled numbers are not rounded
    digits = [round(math.log10(s.scale)) - _DIGITS if s.scale != 1 else math.nan for s in numbers]
    step = np.array([10.0**n for n in digits])
    blocks = []
    for start in range(0, max(len(X), 1), BLOCK):
        rows = X[start : start + BLOCK]
        z = rows.take(columns, axis=1) * scale + mean
        with np.errstate(all="ignore"):
            rounded = np.round(z / step) * step
        z = np.where(np.isfinite(rounded), rounded, z) + 0.0  # makes -0 a 0
        parts = (
            np.ascontiguousarray(z).view(np.uint8),
            np.packbits(rows.take(bits, axis=1) > 0, axis=1),
        )
        blocks.append(hash_rows(np.hstack(parts)))
    return np.concatenate(blocks)


def _halves(hashed: Hashes) -> tuple[Hashes, Hashes]:
    """Return two independent 32-bit hashes of each row, one for its bit and one for its part."""
    return hashed & np.uint64(2**32 - 1), hashed >> np.uint64(32)
