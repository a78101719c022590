"""Checks of single cells: codes for missing values, extreme values, spellings of a level."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from plainnet.diagnose.snapshot import MOST_COLUMNS, TrainingSnapshot
from plainnet.evaluate.feature_spans import FeatureSpan
from plainnet.evaluate.finding import Finding, advise
from plainnet.formatting import count, percent
from plainnet.nn.parameters import Array

_FEW = 5  # values of a column, of which a code must be further from the others
_CODE_ROWS, _CODE_SHARE = 5, 0.01  # rows with the same value that make it a code
_CODE_OFTEN = 0.05  # share of the rows from which a code matters
_CODE_GAP = 1.0  # distance of a code from the other values, in ranges of these
_EXTREME_GAP = 20.0  # the same of a value that occurs rarely, or of a code among few values
_MOST_CELLS = 10**7


class _Outsider(NamedTuple):
    """The value of a column that is furthest from the others."""

    column: str
    value: float
    rows: int
    low: float  # of the other values
    high: float
    gap: float  # to the nearest other value, in ranges of the others
    few: bool  # whether the column has few values; unknown of a small gap


def check_extremes(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for values far outside the others of their column: codes or mistakes."""
    X = np.asarray(snapshot.X)
    if X.ndim != 2 or X.shape[1] > MOST_COLUMNS:
        return
    X = X if X.size <= _MOST_CELLS else snapshot.sample[0]
    if snapshot.held_out is not None:
        X = np.concatenate([X, snapshot.held_out[0]])
    numbers = [span for span in snapshot.spans if span.kind == "number"]
    columns = np.ascontiguousarray(X[:, [span.start for span in numbers]].T)
    found = [one for span, x in zip(numbers, columns, strict=True) for one in _outsider(span, x)]
    often = max(_CODE_ROWS, _CODE_SHARE * len(X))
    far = [one for one in found if one.gap > _EXTREME_GAP or (one.gap > _CODE_GAP and not one.few)]
    codes = [one for one in far if one.rows >= often]
    rare = [one for one in far if one.rows < often and one.gap > _EXTREME_GAP and not one.few]
    if codes:
        one = max(codes, key=lambda one: one.rows)
        yield Finding(
            "code among numbers",
            "warning" if one.rows >= _CODE_OFTEN * len(X) else "note",
            f"The value {one.value:g} of {one.column!r} looks like a code, such as one for a "
            "missing value.",
            _evidence(one, codes, len(X)),
            "The network takes it for a number, far from all others.",
            **advise({}, "leave such cells empty: plainnet fills them in and marks them"),
        )
    if rare:
        one = max(rare, key=lambda one: one.gap)
        yield Finding(
            "extreme value",
            "warning",
            f"The value {one.value:g} of {one.column!r} is far outside the others.",
            _evidence(one, rare, len(X)),
            "It may be a mistake, such as another unit. Scaled with it, the others hardly differ.",
            **advise({}, "correct this cell, or leave it empty"),
        )


def _outsider(span: FeatureSpan, x: Array) -> Iterator[_Outsider]:
    lowest, highest = x.min(), x.max()
    between = x[(x > lowest) & (x < highest)]
    if not len(between):
        return
    end, rest = highest, np.array([lowest, between.max()])
    if between.min() - lowest > highest - rest[1]:
        end, rest = lowest, np.array([between.min(), highest])
    gap = float(min(abs(rest - end))) / float(rest[1] - rest[0])
    value, low, high = (float(v) * span.scale + span.mean for v in (end, *rest))
    few = gap > _CODE_GAP and len(np.unique(x)) <= _FEW
    yield _Outsider(span.name, value, int(np.count_nonzero(x == end)), low, high, gap, few)


def _evidence(one: _Outsider, every: Sequence[_Outsider], m: int) -> str:
    also = ", ".join(repr(other.column) for other in every if other is not one)
    text = f"{count(one.rows, 'row')} ({percent(one.rows / m)}); the others are from {one.low:.4g} "
    return f"{text}to {one.high:.4g}" + (f"; the same in {also}" if also else "")


def check_spelling(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for levels and classes that differ only in case or spaces."""
    from plainnet.data.column_kinds import spellings

    texts = {f"column {span.name!r}": span.levels for span in snapshot.columns}
    texts["target"] = tuple(snapshot.classes)
    found = {where: pairs for where, levels in texts.items() if (pairs := spellings(levels))}
    if found:
        where, pairs = next(iter(found.items()))
        one, other = (repr(texts[where][i]) for i in pairs[0])
        also = ", ".join(found.keys() - {where})
        yield Finding(
            "several spellings",
            "warning",
            f"Values of the {where} differ only in case or spaces.",
            f"{one} and {other}; {len(pairs)} of {count(len(texts[where]), 'value')} repeat another"
            + (f"; the same in {also}" if also else ""),
            "One thing is written in several ways, and the network takes it for several things.",
            **advise({}, "write it in one way"),
        )
