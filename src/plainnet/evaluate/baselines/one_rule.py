"""One rule: predictions from a single column, as in R. C. Holte's 1R (1993)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from plainnet.evaluate.feature_spans import FeatureSpan
from plainnet.evaluate.row_hashes import distinct
from plainnet.storage.json_reader import JsonReader, damaged

Array = NDArray[Any]
_BINS = 64  # quantiles at which a number may be cut
_MOST_CUTS = 31
_MOST_CELLS = 10**7  # groups times classes
_ROWS = 50_000  # to learn a rule from; more make it no better


@final
@dataclass(frozen=True, eq=False)
class Rule:
    """The prediction for each group of values of one column.

    A category has a group for each level, a Yes/No two, a number the intervals between its cuts;
    missing cells are another group, if the column has any.
    """

    span: FeatureSpan  # the column
    cuts: tuple[float, ...]  # of a number, in the units of the features
    counts: Array = field(repr=False)  # training rows, (groups, classes)

    @property
    def shares(self) -> Array:
        """The probability of each class in each group, (groups, classes).

        The shares of all rows count as one more row, so that no prediction is certain.
        """
        rows = self.counts.sum(axis=0)
        prior = (rows + 1) / (rows.sum() + len(rows))
        return np.asarray((self.counts + prior) / (self.counts.sum(axis=1, keepdims=True) + 1))

    def predict(self, F: Array) -> Array:
        """Return the probabilities of the classes."""
        return np.asarray(self.shares[_groups(self.span, self.cuts, F)])

    def describe(self, classes: Sequence[str]) -> str:
        """Describe the rule."""
        best = self.shares.argmax(axis=1)
        groups = [
            f"{name} = {classes[i]}" for name, i in zip(self._group_names(), best, strict=True)
        ]
        more = f", ... ({len(groups)} groups)" if len(groups) > 4 else ""
        return f"{self.span.name}: {', '.join(groups[:4])}{more}"

    def _group_names(self) -> list[str]:
        span = self.span
        if span.kind == "yesno":
            names = ["No", "Yes"]
        elif span.kind == "category":
            names = [*span.levels, "unknown"]
        elif span.kind == "indicator":
            names = ["present"]
        else:
            ends = [f"{cut * span.scale + span.mean:.4g}" for cut in self.cuts]
            names = [f"up to {end}" for end in ends] + [f"above {ends[-1]}" if ends else "any"]
        return names + ["missing"] * span.missing

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON values; nonzero counts as [group, class, rows]."""
        where = zip(*np.nonzero(self.counts), strict=True)
        counts = [[int(g), int(k), int(self.counts[g, k])] for g, k in where]
        return {"column": self.span.to_json(), "cuts": list(self.cuts), "counts": counts}

    @classmethod
    def from_json(cls, fields: JsonReader, n_features: int, n_classes: int) -> "Rule":
        """Read a rule from a model file; `ModelFileError` if it does not fit the model."""
        fields.only("column", "cuts", "counts")
        span = FeatureSpan.from_json(fields.part("column"), n_features)
        cuts = fields.numbers("cuts")
        shape = (_n_groups(span, cuts) + span.missing, n_classes)
        if sorted(cuts) != list(cuts) or shape[0] * shape[1] > _MOST_CELLS:
            raise damaged(f"{fields.where} has {shape[0]} groups")
        cells = fields.typed("counts", list[tuple[int, int, int]])
        cells = np.array(cells, np.int64).reshape(-1, 3)
        if not ((cells >= (0, 0, 1)) & (cells < (*shape, 2**53))).all():
            raise damaged(f"{fields.where} has an impossible count")
        counts = np.zeros(shape, np.int64)
        group, label, rows = cells.T
        np.add.at(counts, (group, label), rows)
        return cls(span, cuts, counts)


def _n_groups(span: FeatureSpan, cuts: Sequence[float]) -> int:
    """Count the groups of values of a column, without that of missing cells."""
    many = {"yesno": 2, "category": len(span.levels) + 1, "number": len(cuts) + 1}
    return many.get(span.kind, 1)


def _groups(span: FeatureSpan, cuts: Sequence[float], F: Array) -> NDArray[np.int64]:
    """Number the group of each row."""
    if span.kind == "number":
        groups = np.searchsorted(np.asarray(cuts, F.dtype), F[:, span.start]).astype(np.int64)
    elif span.kind == "yesno":
        groups = (F[:, span.start] > 0.5).astype(np.int64)
    elif span.kind == "indicator":
        groups = np.zeros(len(F), np.int64)
    else:
        hot = F[:, span.start : span.start + len(span.levels)]
        groups = np.where(hot.any(axis=1), hot.argmax(axis=1), len(span.levels))
    if span.missing:
        groups[F[:, span.stop - 1] > 0.5] = _n_groups(span, cuts)
    return groups


def fit_rules(
    spans: Sequence[FeatureSpan], F: Array, y: NDArray[np.int64], n_classes: int
) -> list[tuple[float, Rule]]:
    """Learn the best rule of each column, with the share of rows that it gets right.

    A number is cut so that most rows are right, into at most as many intervals as there are classes
    (and at most 32), by dynamic programming over 64 quantiles.
    """
    step = -(-len(F) // _ROWS)
    F, y = F[::step], y[::step]
    rules = []
    for span in spans:
        cuts = _cuts(span, F, y, n_classes) if span.kind == "number" else ()
        n = _n_groups(span, cuts)
        groups = _groups(span, cuts, F)
        size = (n + span.missing, n_classes)
        counts = np.bincount(groups * n_classes + y, minlength=size[0] * size[1]).reshape(size)
        top = np.sort(counts, axis=1)
        others = top[:, -2] if n_classes > 1 else np.zeros(len(top))
        right = np.where((top[:, -1] > 1) & (top[:, -1] - 1 >= others), top[:, -1], 0).sum()
        rules.append((float(right / len(y)), Rule(span, cuts, counts)))
    return rules


def _cuts(span: FeatureSpan, F: Array, y: NDArray[np.int64], n_classes: int) -> tuple[float, ...]:
    """Find the cuts of a number with which most rows are right, one class for each interval."""
    known = slice(None) if not span.missing else F[:, span.stop - 1] < 0.5
    x, labels = F[known, span.start], y[known]
    values = distinct(x)
    if len(values) < 2:
        return ()
    if len(values) > _BINS:
        values = values[np.linspace(0, len(values) - 1, _BINS).round().astype(np.int64)]
    middles = ((values[:-1].astype(np.float64) + values[1:]) / 2).astype(F.dtype)
    bins = np.searchsorted(middles, x)
    counts = np.bincount(bins * n_classes + labels, minlength=len(values) * n_classes)
    below = np.zeros((n_classes, len(values) + 1), np.int64)
    np.cumsum(counts.reshape(len(values), n_classes).T, axis=1, out=below[:, 1:])
    right = (below[:, None, :] - below[:, :, None]).max(axis=0)  # in the bins from a up to b
    # No interval ends before it starts.
    right[np.tri(len(right), k=-1, dtype=np.bool_)] = -len(x)
    best, chosen = right[0], []
    for _ in range(min(n_classes - 1, _MOST_CUTS)):
        through = best[:, None] + right
        chosen.append(through.argmax(axis=0))
        best = through.max(axis=0)
    ends, b = set(), len(values)
    for previous in reversed(chosen):
        b = int(previous[b])
        ends.add(b)
    return tuple(float(middles[b - 1]) for b in sorted(ends - {0, len(values)}))
