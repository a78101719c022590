"""Duplicates: equal and nearly equal rows, within a data set or across its split.

Rows are compared as the network gets them: features of a table, pixels of a resized image.

Images are near where their perceptual hashes differ in at most 4 bits of 64, as the same image
resized or stored again does. Rows of a table are near where their text differs only in case or
spaces and their numbers by very little. Each row becomes six numbers, its projections on random
directions with every column in standard deviations. They fall into a cell of a grid, and into a
cell of a second grid, which is shifted by half a cell. Rows that share a cell are near, so that the
pairs of rows need no comparison.

The width of a cell is the largest at which hardly any row is near by chance, at most a hundredth of
a standard deviation. The number of rows that were recorded twice does not depend on the width. The
number of rows near by chance grows at least tenfold when cells become ten times as wide.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.data.splits import duplicate_groups

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

    Schema = TableSchema | ImageSchema

Array = NDArray[Any]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]
BITS = 4  # in which the hashes of near images may differ
DIRECTIONS = 6
WIDTHS = (1e-2, 1e-3, 1e-4, 1e-5)  # of a cell, in standard deviations
_BLANK = 12  # bits of one kind, below which a hash is of an almost uniform image
_BY_CHANCE = 0.001  # share of all rows that may be near by chance, or
_OF_NEAR = 0.1  # share of the near rows
_CROWDED = 0.7  # share of rows with a cell in common, above which the growth proves nothing
_BLOCK = 8192  # rows that are hashed at a time
_IMAGES = 64  # images that are shrunk at a time
_COMPARED = 512  # images that are compared at a time with all others
_GOLDEN, _FIRST, _SECOND = map(  # constants of SplitMix64
    np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


class Copies(NamedTuple):
    """The numbers of rows that repeat an earlier one."""

    equal: int
    near: int  # near an earlier one, but not equal


class Contradictions(NamedTuple):
    """Equal rows with different labels."""

    rows: int
    groups: int  # of equal rows
    ceiling: float  # the highest accuracy that they leave possible


def contradictions(X: Array, y: ArrayLike) -> Contradictions:
    """Find equal rows with different labels, of which only the most frequent label can be right."""
    groups = duplicate_groups(X)
    _, labels = np.unique(np.asarray(y), return_inverse=True)
    pairs, rows = np.unique(np.column_stack([groups, labels]), axis=0, return_counts=True)
    most = np.zeros(int(groups.max()) + 1, np.int64)
    np.maximum.at(most, pairs[:, 0], rows)
    sizes = np.bincount(groups)
    mixed = sizes > most
    return Contradictions(int(sizes[mixed].sum()), int(mixed.sum()), float(most.sum() / len(X)))


def count_copies(X: Array, schema: "Schema | None" = None) -> Copies:
    """Count the rows that repeat an earlier one."""
    equal = len(X) - int(duplicate_groups(X).max() + 1)
    both = len(X) - len(np.unique(near_duplicate_groups(_normalize_spelling(X, schema))))
    return Copies(equal, both - equal)


def match_rows(
    train: Array, X: Array, schema: "Schema | None" = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows equal one of `train`, and which are equal or near."""
    equal = np.isin(hash_rows(X), hash_rows(train))
    if _are_images(X):
        return equal, equal | _match_images(train, X)
    known, rows = _normalize_spelling(train, schema), _normalize_spelling(X, schema)
    grid = fit_grid(known)
    if grid.any():
        return equal, equal | np.isin(hash_cells(rows, grid), hash_cells(known, grid)).any(axis=1)
    return equal, equal | np.isin(hash_rows(rows), hash_rows(known))


def near_duplicate_groups(X: Array) -> NDArray[np.int64]:
    """Return group numbers, the same for equal and for near rows."""
    groups = duplicate_groups(X)
    parents = list(range(int(groups.max()) + 1))
    for pairs in _near_images(X) if _are_images(X) else _near_rows(X):
        for group, other in groups[pairs].tolist():
            a, b = _root(parents, group), _root(parents, other)
            parents[max(a, b)] = min(a, b)
    return np.array([_root(parents, group) for group in groups.tolist()], np.int64)


def _root(parents: list[int], group: int) -> int:
    """Return the lowest group that a group was joined to, and shorten the path to it."""
    while parents[group] != group:
        parents[group] = parents[parents[group]]
        group = parents[group]
    return group


def _are_images(X: Array) -> bool:
    return X.ndim == 4 and X.dtype == np.uint8


def _normalize_spelling(X: Array, schema: "Schema | None") -> Array:
    from plainnet.data.table_schema import TableSchema

    return schema.normalize_spelling(X) if isinstance(schema, TableSchema) else X


# --- rows of a table -----------------------------------------------------------------------------


def hash_rows(X: Array) -> Hashes:
    """Return a 64-bit hash of each row of numbers, by the mixer of SplitMix64; -0 equals 0."""
    flat = np.ascontiguousarray(X.reshape(len(X), -1))
    n_bytes = flat.shape[1] * flat.itemsize
    hashes = np.full(len(X), n_bytes, np.uint64)
    for start in range(0, len(X), _BLOCK):
        some = flat[start : start + _BLOCK]
        some = some + some.dtype.type(0) if some.dtype.kind == "f" else some  # makes -0 a 0
        block = np.zeros((len(some), -(-n_bytes // 8) * 8), np.uint8)
        block[:, :n_bytes] = some.view(np.uint8)
        h = hashes[start : start + _BLOCK]
        for word in block.view("<u8").T:
            h ^= word
            h += _GOLDEN
            h ^= h >> np.uint64(30)
            h *= _FIRST
            h ^= h >> np.uint64(27)
            h *= _SECOND
            h ^= h >> np.uint64(31)
    return hashes


def fit_grid(X: Array) -> Floats:
    """Return the directions of the widest grid with few rows near by chance; zeros if none."""
    spread = X.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1
    directions = np.random.default_rng(0).standard_normal((X.shape[1], DIRECTIONS))
    directions /= spread[:, None]
    _, first = np.unique(duplicate_groups(X), return_index=True)
    Z = X[first] @ directions
    wider = _n_shared(Z / (10 * WIDTHS[0]))
    for width in WIDTHS:
        shared = _n_shared(Z / width)
        by_chance = (wider - shared) / 9  # at most
        if by_chance <= max(_BY_CHANCE * len(Z), _OF_NEAR * shared) and wider <= _CROWDED * len(Z):
            return np.asarray(directions / width)
        wider = shared
    return np.zeros_like(directions)


def _n_shared(Z: Floats) -> int:
    """Count the rows that share a cell with an earlier one."""
    return len(Z) - len(np.unique(hash_rows(np.floor(Z))))


def hash_cells(X: Array, grid: Floats) -> Hashes:
    """Return a hash of the cell of each row in both grids, (m, 2); near rows share one of them."""
    Z, number = X @ grid, np.ones((len(X), 1))  # the number of the grid keeps the hashes apart
    grids = [np.hstack([np.floor(Z + k / 2), k * number]) for k in range(2)]
    return np.column_stack([hash_rows(cells) for cells in grids])


def _near_rows(X: Array) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of rows that share a cell."""
    grid = fit_grid(X)
    for cells in hash_cells(X, grid).T if grid.any() else ():
        _, first, cell = np.unique(cells, return_index=True, return_inverse=True)
        yield np.column_stack([np.arange(len(X)), first[cell]])


# --- images --------------------------------------------------------------------------------------


def perceptual_hash(X: NDArray[np.uint8]) -> Hashes:
    """Return 64 bits that hardly change when an image is resized or stored again.

    This is the difference hash. The gray image is shrunk to 8 rows of 9 pixels; a bit is set
    where a pixel is brighter than its right neighbor.
    """
    gray = thumbnails(X, 8, 9)
    bits = gray[:, :, :-1] > gray[:, :, 1:]
    return np.packbits(bits.reshape(len(X), 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


def thumbnails(X: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Shrink images to gray thumbnails; each pixel is the mean of the area that it covers."""
    rows, columns = _coverage(X.shape[1], height), _coverage(X.shape[2], width)
    small = np.empty((len(X), height, width), np.float32)
    for start in range(0, len(X), _IMAGES):
        part = X[start : start + _IMAGES]
        gray = (part[..., 0].astype(np.float32) + part[..., 1] + part[..., 2]) / 3
        small[start : start + _IMAGES] = rows @ gray @ columns.T
    return small


def _coverage(n: int, parts: int) -> NDArray[np.float32]:
    """Return the share of each part that each of n pixels covers: (parts, n)."""
    edges, pixel = np.linspace(0, n, parts + 1), np.arange(n)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shares = np.clip(inside, 0, None)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _near_images(X: Array) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of images with nearly the same hash."""
    hashes = perceptual_hash(X)
    rows = np.flatnonzero(_is_distinctive(hashes))
    for start in range(0, len(rows), _COMPARED):
        some = rows[start : start + _COMPARED]
        near = np.argwhere(np.bitwise_count(hashes[some, None] ^ hashes[rows]) <= BITS)
        pairs = np.column_stack([some[near[:, 0]], rows[near[:, 1]]])
        yield pairs[pairs[:, 0] < pairs[:, 1]]


def _match_images(train: Array, X: Array) -> NDArray[np.bool_]:
    known, hashes = perceptual_hash(train), perceptual_hash(X)
    known = known[_is_distinctive(known)]
    near = np.zeros(len(X), np.bool_)
    if len(known):
        for start in range(0, len(X), _COMPARED):
            differing = np.bitwise_count(hashes[start : start + _COMPARED, None] ^ known)
            near[start : start + _COMPARED] = differing.min(axis=1) <= BITS
    return near & _is_distinctive(hashes)


def _is_distinctive(hashes: Hashes) -> NDArray[np.bool_]:
    """Return which hashes are of images that are not almost uniform."""
    bits = np.bitwise_count(hashes)
    return np.asarray((bits >= _BLANK) & (bits <= 64 - _BLANK))
