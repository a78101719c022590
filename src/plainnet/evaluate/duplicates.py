"""Duplicates: equal and nearly equal rows, within a data set or across its split.

Rows are compared as the network gets them: features of a table, pixels of a resized image. Of more
than 100,000 rows a sample is compared. It consists of slices of a random projection of the rows, so
that rows and their copies are in it together or not at all.

Pictures are near where their perceptual hashes differ in at most 4 bits of 64 and their thumbnails
correlate by 0.99 or more, as the same picture resized or stored again does. On photographs of bears
and of hands, such copies correlated by 0.998 or more, and pairs of different pictures with nearly
the same hash by 0.98 at most. Rows of a table are near where their text differs only in case or
spaces and their numbers by very little. Each row becomes six numbers, its projections on random
directions with every column in standard deviations. They fall into a cell of a grid, and into a
cell of a second grid, which is shifted by half a cell. Rows that share a cell are near, so that the
pairs of rows need no comparison.

The width of a cell is the largest at which hardly any row is near by chance, at most a hundredth of
a standard deviation. The number of rows that were recorded twice does not depend on the width. The
number of rows near by chance grows at least tenfold when cells become ten times as wide.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.engine.blas_threads import limited_threads
from plainnet.evaluate.row_hashes import (
    BLOCK,
    Hashes,
    Indices,
    are_in,
    count_distinct,
    distinct,
    first_equal,
    hash_rows,
)
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.evaluate.feature_spans import Schema

Floats = NDArray[np.float64]
Rows = Indices | slice
MOST_ROWS = 100_000  # rows that are compared; of more, a sample
_SLICES = 20  # of the sample
BITS = 4  # in which the hashes of near pictures may differ
_CORRELATED = 0.99  # thumbnails of near pictures
DIRECTIONS = 6
WIDTHS = (1e-2, 1e-3, 1e-4, 1e-5)  # of a cell, in standard deviations
_BLANK = 12  # bits of one kind, below which a hash is of an almost uniform picture
_BY_CHANCE = 0.001  # share of all rows that may be near by chance, or
_OF_NEAR = 0.1  # share of the near rows
_CROWDED = 0.7  # share of rows with a cell in common, above which the growth proves nothing
_NUMBERS = 2**17  # of a table that are computed with at a time
_IMAGES = 64  # pictures that are shrunk at a time
_COMPARED = 512  # pictures that are compared at a time with all others


class Copies(NamedTuple):
    """The numbers of rows that repeat an earlier one."""

    equal: int
    near: int  # near an earlier one, but not equal


class Contradictions(NamedTuple):
    """Equal rows with different labels."""

    rows: int
    groups: int  # of equal rows
    ceiling: float  # the highest accuracy that they leave possible


class Matches(NamedTuple):
    """The rows that were compared with training rows."""

    rows: Rows  # all, or the numbers of those in the sample
    equal: NDArray[np.bool_]  # whether each is equal to a training row
    near: NDArray[np.bool_]  # whether each is equal or near to one


def contradictions(X: Array, y: Array) -> Contradictions:
    """Find equal rows with different labels, of which only the most frequent label can be right."""
    row = first_equal(hash_rows(X))
    pair = first_equal(hash_rows(np.column_stack([row, hash_rows(y)])))
    sizes, most = np.bincount(row), np.zeros(int(row.max()) + 1, np.int64)
    np.maximum.at(most, row, np.bincount(pair)[pair])
    mixed = sizes > most
    return Contradictions(int(sizes[mixed].sum()), int(mixed.sum()), float(most.sum() / len(X)))


def count_copies(X: Array, schema: "Schema | None" = None) -> Copies:
    """Count the rows that repeat an earlier one."""
    rows = _normalize_spelling(X, schema)
    keys = _near_keys(rows)[0]
    equal = len(X) - count_distinct(keys[0] if rows is X else hash_rows(X))
    return Copies(equal, len(X) - count_distinct(_groups(rows, keys)) - equal)


def match_rows(train: Array, X: Array, schema: "Schema | None" = None) -> Matches:
    """Find the rows that repeat one of `train`."""
    known, rows = _normalize_spelling(train, schema), _normalize_spelling(X, schema)
    given, some = sample_rows(known, rows)
    known_keys, keys = _near_keys(known[given], rows[some])
    equal, *near = map(are_in, keys, known_keys)
    near = np.any([equal, *near], axis=0)
    if _are_images(X):
        near |= _match_images(train[given], X[some])
    if rows is not X:
        equal = are_in(hash_rows(X[some]), hash_rows(train[given]))
    return Matches(some, equal, near)


def near_duplicate_groups(X: Array) -> Indices:
    """Return for each row the number of the first row of its group of equal and near rows."""
    return _groups(X, _near_keys(X)[0])


def _groups(X: Array, keys: list[Hashes]) -> Indices:
    """Return the groups of rows with a key in common, or of pictures with nearly the same hash."""
    each = np.arange(len(X))
    pairs = [(each, first_equal(one)) for one in keys]
    a, b = map(np.concatenate, zip(*pairs, *_near_images(X), strict=True))
    first = each
    while (apart := first[a] != first[b]).any():
        a, b = a[apart], b[apart]
        np.minimum.at(first, np.maximum(first[a], first[b]), np.minimum(first[a], first[b]))
        while (first != first[first]).any():
            first = first[first]
    return first


def sample_rows(*tables: Array) -> list[Rows]:
    """Return the numbers of the rows of each table to compare: all, or a sample."""
    sizes = [len(X) for X in tables]
    m, size = sum(sizes), MOST_ROWS // _SLICES
    if m <= MOST_ROWS:
        return [slice(None)] * len(tables)
    flat = [X.reshape(len(X), -1) for X in tables]
    direction = np.random.default_rng(0).standard_normal(flat[0].shape[1], np.float32)
    order = np.argsort(np.concatenate([_project(X, direction) for X in flat]))
    starts = np.linspace(0, m - size, _SLICES).astype(np.int64)
    chosen = np.zeros(m, np.bool_)
    chosen[order[starts[:, None] + np.arange(size)]] = True
    return [np.flatnonzero(part) for part in np.split(chosen, np.cumsum(sizes)[:-1])]


def _are_images(X: Array) -> bool:
    return X.ndim == 4 and X.dtype == np.uint8


def _normalize_spelling(X: Array, schema: "Schema | None") -> Array:
    from plainnet.data.table_schema import TableSchema

    return schema.normalize_spelling(X) if isinstance(schema, TableSchema) else X


# --- rows of a table -----------------------------------------------------------------------------


def _near_keys(known: Array, *others: Array) -> list[list[Hashes]]:
    """Return keys for the rows of each table; rows with a key in common are equal or near."""
    tables = [known, *others]
    keys = [[hash_rows(X)] for X in tables]
    if _are_images(known):
        return keys
    spread = _spread(known)
    spread[spread == 0] = 1
    directions = np.random.default_rng(0).standard_normal((known.shape[1], DIRECTIONS))
    projections = [_project(X, directions / spread[:, None]) for X in tables]
    width = cell_width(projections[0][distinct(first_equal(keys[0][0]))])
    if width is not None:
        for some, Z in zip(keys, projections, strict=True):
            some += cells(Z / width)
    return keys


def _spread(X: Array) -> Floats:
    """Return X.std(axis=0) in float64, without a copy of X in it."""
    mean = X.mean(axis=0, dtype=np.float64)
    squares = sum(np.square(block - mean).sum(axis=0) for block in _blocks(X))
    return np.asarray(np.sqrt(squares / len(X)))


def _project(X: Array, directions: Array) -> Array:
    """Return X @ directions, without a copy of X in another type."""
    with limited_threads(1):  # others would wait for the next product, and keep a processor busy
        return np.concatenate([block @ directions for block in _blocks(X)])


def _blocks(X: Array) -> Iterator[Array]:
    """Yield some rows at a time, few enough for the processor's cache."""
    step = max(1, min(BLOCK, _NUMBERS // X.shape[1]))
    return (X[start : start + step] for start in range(0, len(X), step))


def cell_width(Z: Floats) -> float | None:
    """Return the largest width with few of these different rows near by chance, if there is one."""
    wider = _n_shared(Z / (10 * WIDTHS[0]))
    for width in WIDTHS:
        shared = _n_shared(Z / width)
        by_chance = (wider - shared) / 9  # at most
        if by_chance <= max(_BY_CHANCE * len(Z), _OF_NEAR * shared) and wider <= _CROWDED * len(Z):
            return width
        wider = shared
    return None


def _n_shared(Z: Floats) -> int:
    """Count the rows that share a cell with an earlier one."""
    return len(Z) - count_distinct(hash_rows(np.floor(Z)))


def cells(Z: Floats) -> list[Hashes]:
    """Return a hash of the cell of each row, in a grid of width 1 and in one shifted by half."""
    return [hash_rows(np.floor(Z + shift)) for shift in (0, 0.5)]


# --- pictures ------------------------------------------------------------------------------------


def perceptual_hash(X: NDArray[np.uint8]) -> Hashes:
    """Return 64 bits that hardly change when a picture is resized or stored again.

    This is the difference hash. The gray picture is shrunk to 8 rows of 9 pixels; a bit is set
    where a pixel is brighter than its right neighbor.
    """
    gray = thumbnails(X, 8, 9)
    bits = gray[:, :, :-1] > gray[:, :, 1:]
    return np.packbits(bits.reshape(len(X), 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


def thumbnails(X: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Shrink pictures to gray thumbnails; each pixel is the mean of the area that it covers."""
    rows, columns = _coverage(X.shape[1], height), _coverage(X.shape[2], width)
    small = np.empty((len(X), height, width), np.float32)
    for start in range(0, len(X), _IMAGES):
        gray = X[start : start + _IMAGES].mean(axis=-1, dtype=np.float32)
        small[start : start + _IMAGES] = rows @ gray @ columns.T
    return small


def _coverage(n: int, parts: int) -> NDArray[np.float32]:
    """Return the share of each part that each of n pixels covers: (parts, n)."""
    edges, pixel = np.linspace(0, n, parts + 1), np.arange(n)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shares = np.clip(inside, 0, None)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _near_images(X: Array) -> Iterator[tuple[Indices, Indices]]:
    """Yield pairs of near pictures; none of tables."""
    if _are_images(X):
        yield from _near_pairs(X, X)


def _match_images(train: Array, X: Array) -> NDArray[np.bool_]:
    near = np.zeros(len(X), np.bool_)
    for rows, _ in _near_pairs(X, train):
        near[rows] = True
    return near


def _near_pairs(X: Array, known: Array) -> Iterator[tuple[Indices, Indices]]:
    """Yield the numbers of pictures of X and of known pictures that are near each other."""
    hashes, known_hashes = perceptual_hash(X), perceptual_hash(known)
    rows = np.flatnonzero(_is_distinctive(hashes))
    others = np.flatnonzero(_is_distinctive(known_hashes))
    T, known_T = _standardized(X), _standardized(known)
    for start in range(0, len(rows), _COMPARED):
        some = rows[start : start + _COMPARED]
        near = np.argwhere(np.bitwise_count(hashes[some, None] ^ known_hashes[others]) <= BITS)
        a, b = some[near[:, 0]], others[near[:, 1]]
        same = np.einsum("ij,ij->i", T[a], known_T[b]) >= _CORRELATED
        yield a[same], b[same]


def _standardized(X: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return thumbnails as vectors of mean 0 and norm 1, whose products are correlations."""
    T = thumbnails(X, 8, 9).reshape(len(X), -1)
    T -= T.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(T, axis=1, keepdims=True)
    return np.asarray(np.divide(T, norm, out=np.zeros_like(T), where=norm > 0))


def _is_distinctive(hashes: Hashes) -> NDArray[np.bool_]:
    """Return which hashes are of pictures that are not almost uniform."""
    bits = np.bitwise_count(hashes)
    return np.asarray((bits >= _BLANK) & (bits <= 64 - _BLANK))
