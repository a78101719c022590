"""One rule: predictions from a single column, as in R. C. Holte's 1R (1993)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from plainnet.evaluate.feature_spans import FeatureSpan
from plainnet.nn.parameters import Array
from plainnet.storage.json_reader import JsonReader, damaged

_BINS = 64  # quantiles at which a number may be cut
_MOST_CUTS = 31
_MOST_CELLS = 10**7  # groups times classes
_CUT_CELLS = 2**20  # cells and pairs of bins of the numbers that are cut at a time
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
    numbers, cut = [span for span in spans if span.kind == "number"], dict[int, Rule]()
    size = max(1, _CUT_CELLS // (len(F) + _BINS * _BINS))
    for start in range(0, len(numbers), size):
        some = numbers[start : start + size]
        cut |= zip((span.start for span in some), _cut(some, F, y, n_classes), strict=True)
    rules = []
    for span in spans:
        rule = cut.get(span.start)
        if rule is None:
            shape = (_n_groups(span, ()) + span.missing, n_classes)
            pairs = _groups(span, (), F) * n_classes + y
            counts = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
            rule = Rule(span, (), counts)
        top = np.sort(rule.counts, axis=1)
        others = top[:, -2] if n_classes > 1 else np.zeros(len(top))
        right = np.where((top[:, -1] > 1) & (top[:, -1] - 1 >= others), top[:, -1], 0).sum()
        rules.append((float(right / len(y)), rule))
    return rules


def _cut(
    spans: Sequence[FeatureSpan], F: Array, y: NDArray[np.int64], n_classes: int
) -> Iterator[Rule]:
    """Cut numbers so that most rows are right, one class for each interval."""
    columns, bins = np.arange(len(spans))[:, None], np.arange(_BINS + 1)
    X = F[:, [span.start for span in spans]].T.copy()
    for x, span in zip(X, spans, strict=True):
        if span.missing:
            x[F[:, span.stop - 1] > 0.5] = np.inf
    values, n_values = _quantiles(X)
    middles = ((values[:, :-1].astype(np.float64) + values[:, 1:]) / 2).astype(F.dtype)
    rows = np.bincount(y, minlength=n_classes)
    below = np.zeros((len(spans), len(bins), n_classes), np.int64)  # rows in the bins up to each
    for k in range(n_classes):
        ascending = np.sort(X[:, y == k], axis=1)
        pairs = zip(ascending, middles, strict=True)
        below[:, 1:-1, k] = [np.searchsorted(x, m, side="right") for x, m in pairs]
        below[:, -1, k] = np.count_nonzero(np.isfinite(ascending), axis=1)
    steps, every = min(n_classes - 1, _MOST_CUTS), bins if n_classes > 2 else bins[-1:]
    # Rows of the most frequent class in the bins from a up to b; no interval ends before it starts.
    right = np.full((len(spans), len(bins), len(every)), -len(F))
    for k in range(n_classes):
        np.maximum(right, below[:, None, every, k] - below[:, :, None, k], out=right)
    right[:, bins[:, None] > every] = -len(F)
    best, chosen = below.max(axis=2), []
    for step in range(1, steps + 1):  # of the last step, only the end matters
        through = best[:, :, None] + right[:, :, -1 if step == steps else 0 :]
        chosen.append(through.argmax(axis=1))
        best = through.max(axis=1)
    ends, b = np.zeros((len(spans), len(bins)), np.bool_), np.zeros((len(spans), 1), np.int64)
    for previous in reversed(chosen):
        b = np.take_along_axis(previous, b, axis=1)
        ends[columns, b] = True
    ends &= (bins > 0) & (bins < n_values)
    for i, span in enumerate(spans):
        (cuts,) = np.nonzero(ends[i])
        groups = np.diff(below[i, [0, *cuts, _BINS]], axis=0)
        groups = np.vstack([groups, rows - below[i, -1]]) if span.missing else groups
        yield Rule(span, tuple(middles[i, cuts - 1].tolist()), groups)


def _quantiles(X: Array) -> tuple[Array, Array]:
    """Return 64 of the distinct finite values of each row of X, and how many there are at most."""
    ascending = np.sort(X, axis=1)
    first = np.isfinite(ascending)
    first[:, 1:] &= ascending[:, 1:] > ascending[:, :-1]
    n = np.count_nonzero(first, axis=1)[:, None]
    steps = np.arange(_BINS) * (np.maximum(n, _BINS) - 1) / (_BINS - 1)
    which = np.cumsum(n)[:, None] - n + np.clip(steps.round().astype(np.int64), 0, n - 1)
    return np.append(ascending[first], X.dtype.type(0))[which], n
