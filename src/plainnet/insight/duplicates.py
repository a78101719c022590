"""Duplicates: rows that occur twice, that a network has seen before, or that contradict each other.

Equality is of what the network sees: of the features of a table, of the pixels of a picture after
it was brought to size. Pictures are also compared by a perceptual hash, which finds the same
picture stored anew or resized.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.data.splits import duplicate_groups
from plainnet.insight.looks import bits_apart, perceptual_hash

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
NEAR = 4  # bits of 64 in which the hashes of two pictures may differ to be called alike
_PLAIN = 12  # hashes with fewer bits of one kind are of pictures with nothing on them
_BLOCK = 512
_KEPT = 100_000  # fingerprints that a model file holds at most: 0.8 MB


class Contradictions(NamedTuple):
    """Equal rows with different labels.

    Attributes
    ----------
    rows : int
        Rows in groups of equal rows whose labels differ.
    groups : int
        How many such groups there are.
    ceiling : float
        The accuracy that no model can exceed on these rows, which cannot tell them apart.
    """

    rows: int
    groups: int
    ceiling: float


def contradictions(X: Array, y: ArrayLike) -> Contradictions:
    """Find equal rows with different labels, and the ceiling on accuracy that they imply.

    Of each group of equal rows at most those of its most frequent label can be right.

    Parameters
    ----------
    X : array (m, ...)
        Rows: features or pictures.
    y : array (m,)
        Classes.

    Returns
    -------
    Contradictions

    Examples
    --------
    >>> contradictions(np.array([[1], [1], [1], [2]]), [0, 1, 1, 0])
    Contradictions(rows=3, groups=1, ceiling=0.75)
    """
    groups = duplicate_groups(X)
    _, labels = np.unique(np.asarray(y), return_inverse=True)
    pairs, rows = np.unique(np.column_stack([groups, labels]), axis=0, return_counts=True)
    most = np.zeros(int(groups.max()) + 1, np.int64)
    np.maximum.at(most, pairs[:, 0], rows)
    sizes = np.bincount(groups)
    mixed = sizes > most
    return Contradictions(int(sizes[mixed].sum()), int(mixed.sum()), float(most.sum() / len(X)))


def fingerprints(X: Array) -> NDArray[np.float64]:
    """Return a number for each row that equal rows share and others do not.

    52 bits of a hash, as float64 holds them exactly and a model file float64: of a million rows
    about one pair meets by chance in 10,000 tries. A fingerprint does not give its row away, but
    who has a row can ask whether the model was trained on it.

    Parameters
    ----------
    X : array (m, ...)
        Rows: features or pictures.

    Returns
    -------
    float64 array (m,)

    Examples
    --------
    >>> a, b, c = fingerprints(np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0]]))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    rows = np.ascontiguousarray(X.reshape(len(X), -1))
    rows = rows + 0 if rows.dtype.kind == "f" else rows  # makes -0 a 0
    marks = [int.from_bytes(blake2b(row, digest_size=8).digest()) >> 12 for row in rows]
    return np.array(marks, np.float64)


def remember(X: Array, pictures: bool) -> dict[str, Array]:
    """Return what a model keeps of its training rows to know them again.

    Parameters
    ----------
    X : array (m, ...)
        Training rows.
    pictures : bool
        Whether they are pictures, of which perceptual hashes are kept too.

    Returns
    -------
    dict of str to float64 array
        ``rows.seen`` (k,), the smallest 100,000 different fingerprints, sorted; ``rows.looks``
        (m, 2), the halves of the hashes.
    """
    kept = {"rows.seen": np.unique(fingerprints(X))[:_KEPT]}
    if pictures:
        hashes = perceptual_hash(X[:_KEPT])
        halves = [hashes >> np.uint64(32), hashes & np.uint64(2**32 - 1)]
        kept["rows.looks"] = np.column_stack(halves).astype(np.float64)
    return kept


def seen_before(memory: dict[str, Array], X: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which rows a model was trained on, and which pictures look like one of those.

    Parameters
    ----------
    memory : dict of str to array
        From `remember`.
    X : array (m, ...)
        Rows to ask about.

    Returns
    -------
    seen : bool array (m,)
        Whether an equal row was trained on. Where more than 100,000 different rows were, it is
        known only of a share of them.
    alike : bool array (m,)
        Whether one that is equal or looks like it was.

    Examples
    --------
    >>> seen_before(remember(np.eye(3), pictures=False), np.array([[1.0, 0, 0], [0, 0, 0]]))[0]
    array([ True, False])
    """
    seen = np.isin(fingerprints(X), memory.get("rows.seen", np.zeros(0)))
    looks = memory.get("rows.looks")
    if looks is None or X.ndim != 4 or looks.ndim != 2 or looks.shape[1] != 2:
        return seen, seen
    halves = looks.astype(np.uint64)
    known = halves[:, 0] << np.uint64(32) | halves[:, 1]
    known = known[_telling(known)]
    hashes = perceptual_hash(X)
    alike = np.zeros(len(X), np.bool_)
    if len(known):
        for start in range(0, len(X), _BLOCK):
            apart = bits_apart(hashes[start : start + _BLOCK, None], known)
            alike[start : start + _BLOCK] = apart.min(axis=1) <= NEAR
    return seen, seen | (alike & _telling(hashes))


def groups_of(rows: "Array | pd.DataFrame") -> NDArray[np.int64]:
    """Number rows so that equal ones share a number, and pictures that look alike.

    Parameters
    ----------
    rows : DataFrame, or array (m, ...)
        A table, features, or pictures (uint8, four dimensions).

    Returns
    -------
    int64 array (m,)

    Examples
    --------
    >>> groups_of(np.array([[1], [2], [1]]))
    array([0, 1, 0])
    """
    groups = duplicate_groups(rows)
    if not isinstance(rows, np.ndarray) or rows.ndim != 4 or rows.dtype != np.uint8:
        return groups
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


def _telling(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether a hash is of a picture with something on it."""
    bits = np.bitwise_count(hashes)
    return np.asarray((bits >= _PLAIN) & (bits <= 64 - _PLAIN))
