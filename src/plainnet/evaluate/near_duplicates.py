"""Nearness: rows of a table that are equal but for tiny differences of their numbers.

Each row becomes six numbers, its projections on random directions with every column in standard
deviations, and falls into a cell of a grid over them; a second grid lies half a cell beside it.
Rows in one cell of either are near: hashing finds them, without a comparison of each with each.

How wide is a cell? Rows written down twice stay as many when cells grow; rows near by chance become
at least ten times as many in cells ten times as wide. So the widest cells are taken in which hardly
any row is near by chance, and none wider than a hundredth of a standard deviation.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainnet.data.splits import duplicate_groups

Array = NDArray[Any]
Floats = NDArray[np.float64]
DIRECTIONS = 6
WIDTHS = (1e-2, 1e-3, 1e-4, 1e-5)  # of a cell, in standard deviations
_BY_CHANCE = 0.001  # of the rows may be near by chance, or
_OF_THOSE = 0.1  # of the rows that are near
_CROWDED = 0.7  # of the rows share a cell: then more cannot, and growth tells nothing
_BLOCK = 8192  # rows that are hashed at a time
_GOLDEN, _FIRST, _SECOND = map(  # of SplitMix64
    np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def hashed(rows: Array) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each row of numbers, by the mixer of SplitMix64; -0 counts as 0."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    n_bytes = flat.shape[1] * flat.itemsize
    hashes = np.full(len(rows), n_bytes, np.uint64)
    for start in range(0, len(rows), _BLOCK):
        block = np.zeros((len(flat[start : start + _BLOCK]), -(-n_bytes // 8) * 8), np.uint8)
        some = flat[start : start + _BLOCK]
        some = some + some.dtype.type(0) if some.dtype.kind == "f" else some  # makes -0 a 0
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


def grid_of(X: Array) -> Floats:
    """Return the grid in whose cells rows are near: directions, a step of one a cell."""
    spread = X.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1
    towards = np.random.default_rng(0).standard_normal((X.shape[1], DIRECTIONS))
    towards /= spread[:, None]
    _, first = np.unique(duplicate_groups(X), return_index=True)
    Z = X[first] @ towards
    wider = _met(Z / (10 * WIDTHS[0]))
    for width in WIDTHS:
        met = _met(Z / width)
        by_chance = (wider - met) / 9  # at most
        if by_chance <= max(_BY_CHANCE * len(Z), _OF_THOSE * met) and wider <= _CROWDED * len(Z):
            return np.asarray(towards / width)
        wider = met
    return np.zeros_like(towards)


def _met(Z: Floats) -> int:
    """How many rows share a cell with an earlier one."""
    return len(Z) - len(np.unique(hashed(np.floor(Z))))


def cell_marks(X: Array, grid: Floats) -> NDArray[np.uint64]:
    """Return a hash of the cell of each row, in a grid and in the one beside it: (m, 2).

    Near rows share one of the two; no hash is of both grids.
    """
    Z = X @ grid
    which = np.ones((len(Z), 1))  # sets the cells of the two grids apart
    grids = [np.hstack([np.floor(Z + k / 2), k * which]) for k in range(2)]
    return np.column_stack([hashed(cells) for cells in grids])


def join_near(groups: NDArray[np.int64], X: Array) -> NDArray[np.int64]:
    """Join groups of equal rows whose rows are near."""
    grid = grid_of(X)
    if not grid.any():
        return groups
    root = list(range(int(groups.max()) + 1))
    for marks in cell_marks(X, grid).T:
        _, first, cell = np.unique(marks, return_index=True, return_inverse=True)
        for group, other in zip(groups.tolist(), groups[first][cell].tolist(), strict=True):
            a, b = _root(root, group), _root(root, other)
            root[max(a, b)] = min(a, b)
    return np.array([_root(root, group) for group in groups.tolist()], np.int64)


def _root(root: list[int], group: int) -> int:
    """The lowest number that a group was joined to; the way there is shortened."""
    while root[group] != group:
        root[group] = root[root[group]]
        group = root[group]
    return group
