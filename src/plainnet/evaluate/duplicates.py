"""Duplicates: rows that occur twice, on both sides of a split, or that contradict each other.

Equality is of what the network sees: of the features of a table, of the pixels of a picture after
it was brought to size. Nearly equal are rows of a table whose numbers differ by very little and
whose text only in case or spaces (see `plainnet.evaluate.near_duplicates`), and pictures whose perceptual
hash is that of the same picture stored anew or resized.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.data.splits import duplicate_groups
from plainnet.evaluate.image_hash import bits_apart, perceptual_hash
from plainnet.evaluate.near_duplicates import cell_marks, grid_of, hashed, join_near

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

    Schema = TableSchema | ImageSchema

Array = NDArray[Any]
NEAR = 4  # bits of 64 in which the hashes of two pictures may differ to be called alike
_PLAIN = 12  # hashes with fewer bits of one kind are of pictures with nothing on them
_BLOCK = 512


class Copies(NamedTuple):
    """Rows that occurred before among the same rows."""

    equal: int  # rows that are equal to an earlier one
    near: int  # rows that are not, but nearly so


class Contradictions(NamedTuple):
    """Equal rows with different labels."""

    rows: int  # rows in groups of equal rows whose labels differ
    groups: int  # how many such groups there are
    ceiling: float


def contradictions(X: Array, y: ArrayLike) -> Contradictions:
    """Find equal rows with different labels, and the ceiling on accuracy that they imply.

    Of each group of equal rows at most those of its most frequent label can be right.
    """
    groups = duplicate_groups(X)
    _, labels = np.unique(np.asarray(y), return_inverse=True)
    pairs, rows = np.unique(np.column_stack([groups, labels]), axis=0, return_counts=True)
    most = np.zeros(int(groups.max()) + 1, np.int64)
    np.maximum.at(most, pairs[:, 0], rows)
    sizes = np.bincount(groups)
    mixed = sizes > most
    return Contradictions(int(sizes[mixed].sum()), int(mixed.sum()), float(most.sum() / len(X)))


def fingerprints(X: Array) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each row, which equal rows share."""
    return hashed(X)


def found_in(
    train: Array, X: Array, schema: "Schema | None" = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which rows are equal to one of `train`, and which are equal or nearly so."""
    equal = np.isin(fingerprints(X), fingerprints(train))
    if _pictures(X):
        return equal, equal | _look_alike(train, X)
    known, rows = _normalize_spelling(train, schema), _normalize_spelling(X, schema)
    grid = grid_of(known)
    if not grid.any():
        return equal, equal | np.isin(fingerprints(rows), fingerprints(known))
    return equal, equal | np.isin(cell_marks(rows, grid), cell_marks(known, grid)).any(axis=1)


def _look_alike(train: Array, X: Array) -> NDArray[np.bool_]:
    known, hashes = perceptual_hash(train), perceptual_hash(X)
    known = known[_telling(known)]
    alike = np.zeros(len(X), np.bool_)
    if len(known):
        for start in range(0, len(X), _BLOCK):
            apart = bits_apart(hashes[start : start + _BLOCK, None], known)
            alike[start : start + _BLOCK] = apart.min(axis=1) <= NEAR
    return alike & _telling(hashes)


def groups_of(rows: Array) -> NDArray[np.int64]:
    """Number rows so that equal ones share a number, and nearly equal ones too."""
    groups = duplicate_groups(rows)
    if not _pictures(rows):
        return join_near(groups, rows)
    hashes = perceptual_hash(rows)
    telling = np.flatnonzero(_telling(hashes))
    for start in range(0, len(telling), _BLOCK):
        some = telling[start : start + _BLOCK]
        near = np.argwhere(bits_apart(hashes[some, None], hashes[telling]) <= NEAR)
        for i, j in near[some[near[:, 0]] < telling[near[:, 1]]]:
            one, other = groups[some[i]], groups[telling[j]]
            if one != other:
                groups[groups == other] = one
    return groups


def copies(X: Array, schema: "Schema | None" = None) -> Copies:
    """Count the rows that occur more than once, the first time left out."""
    equal = len(X) - int(duplicate_groups(X).max() + 1)
    near = len(X) - len(np.unique(groups_of(_normalize_spelling(X, schema))))
    return Copies(equal, near - equal)


def _pictures(X: Array) -> bool:
    return X.ndim == 4 and X.dtype == np.uint8


def _normalize_spelling(X: Array, schema: "Schema | None") -> Array:
    from plainnet.data.table_schema import TableSchema

    return schema.normalize_spelling(X) if isinstance(schema, TableSchema) else X


def _telling(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether a hash is of a picture with something on it."""
    bits = np.bitwise_count(hashes)
    return np.asarray((bits >= _PLAIN) & (bits <= 64 - _PLAIN))
