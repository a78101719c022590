"""Rules: what a single column says about the target, as in R. C. Holte's 1R (1993)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from plainnet.errors import ModelFileError
from plainnet.evaluate.image_hash import COLOR_NAMES
from plainnet.storage.json_reader import JsonReader

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

Array = NDArray[Any]
Kind = Literal["number", "yesno", "category", "indicator"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_BINS = 64  # places where a number may be cut
_MOST_CUTS = 31
_MOST_CELLS = 10**7  # groups times classes
_ROWS = 100_000  # to learn a rule from; more make it no better


@final
@dataclass(frozen=True)
class FeatureSpan:
    """Where in the features a column stands, and what it is in the user's terms."""

    name: str  # the column
    kind: Kind  # what it holds
    start: int  # its features
    stop: int  # its features
    missing: bool = False  # whether the last of them says that the cell was missing
    levels: tuple[str, ...] = ()  # of a category; any other level is unknown, and 0 in all features
    mean: float = 0.0  # of a number, which was standardized with them
    scale: float = 1.0  # of a number, which was standardized with them

    def to_json(self) -> dict[str, Any]:
        """Return the place as JSON can hold it."""
        return {**self.__dict__, "levels": list(self.levels)}


def feature_spans(schema: "TableSchema | ImageSchema") -> list[FeatureSpan]:
    """Return the feature numbers of each column, or the color statistics of images."""
    from plainnet.data.column_kinds import (
        CategoryColumn,
        FeatureColumn,
        IndicatorColumn,
        NumberColumn,
    )
    from plainnet.data.images import ImageSchema

    if isinstance(schema, ImageSchema):
        return [FeatureSpan(name, "number", i, i + 1) for i, name in enumerate(COLOR_NAMES)]
    found, start = [], 0
    for column in schema.columns:
        if not isinstance(column, FeatureColumn):
            continue
        where = (start, start + len(column.features), bool(column.missing))
        start = where[1]
        if isinstance(column, NumberColumn):
            number = FeatureSpan(column.name, "number", *where, (), column.mean, column.scale)
            found.append(number)
        elif isinstance(column, CategoryColumn):
            found.append(FeatureSpan(column.name, "category", *where, column.levels))
        elif isinstance(column, IndicatorColumn):
            found.append(FeatureSpan(column.name, "indicator", *where))
        else:
            found.append(FeatureSpan(column.name, "yesno", *where))
    return found


@final
@dataclass(frozen=True, eq=False)
class Rule:
    """What to answer for each group of values of one column.

    A category has a group for each level, a Yes/No two, a number the intervals between its cuts;
    where training rows missed cells, these are a group too.
    """

    place: FeatureSpan  # the column
    cuts: tuple[float, ...]  # of a number, in the units of the features
    counts: Array = field(repr=False)  # how many training rows of each class are in each group

    @property
    def shares(self) -> Array:
        """How probable each class is in each group: (groups, classes).

        The shares of all rows count as one row more, so that no answer is certain.
        """
        rows = self.counts.sum(axis=0)
        prior = (rows + 1) / (rows.sum() + len(rows))
        return np.asarray((self.counts + prior) / (self.counts.sum(axis=1, keepdims=True) + 1))

    def predict(self, F: Array) -> Array:
        """Return the probabilities of the classes."""
        return np.asarray(self.shares[_groups(self.place, self.cuts, F)])

    def describe(self, classes: Sequence[str]) -> str:
        """Say the rule in words."""
        said = [classes[i] for i in self.shares.argmax(axis=1)]
        names = self._group_names()
        shown = [f"{name} = {answer}" for name, answer in zip(names, said, strict=True)]
        more = f", ... ({len(shown)} groups)" if len(shown) > 4 else ""
        return f"{self.place.name}: {', '.join(shown[:4])}{more}"

    def _group_names(self) -> list[str]:
        place = self.place
        if place.kind == "yesno":
            names = ["No", "Yes"]
        elif place.kind == "category":
            names = [*place.levels, "unknown"]
        elif place.kind == "indicator":
            names = ["present"]
        else:
            ends = [f"{cut * place.scale + place.mean:.4g}" for cut in self.cuts]
            names = [f"up to {end}" for end in ends] + [f"above {ends[-1]}" if ends else "any"]
        return names + ["missing"] * place.missing

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON values; nonzero counts as [group, class, rows]."""
        where = zip(*np.nonzero(self.counts), strict=True)
        counts = [[int(g), int(k), int(self.counts[g, k])] for g, k in where]
        return {"place": self.place.to_json(), "cuts": list(self.cuts), "counts": counts}

    @classmethod
    def from_json(cls, fields: JsonReader, n_features: int, n_classes: int) -> "Rule":
        """Read a rule from a model file; `ModelFileError` if it does not fit the model."""
        fields.only("place", "cuts", "counts")
        place = _place(fields.part("place"), n_features)
        cuts = fields.numbers("cuts")
        shape = (_n_groups(place, cuts) + place.missing, n_classes)
        if sorted(cuts) != list(cuts) or shape[0] * shape[1] > _MOST_CELLS:
            raise ModelFileError(
                f"the model file is damaged or was edited: {fields.where} has {shape[0]} groups"
            )
        cells = np.array(fields.rows("counts", 3)).reshape(-1, 3)
        if not ((cells >= (0, 0, 1)) & (cells < (*shape, 2**53)) & (cells % 1 == 0)).all():
            raise ModelFileError(
                f"the model file is damaged or was edited: {fields.where} has an impossible count"
            )
        counts = np.zeros(shape, np.int64)
        group, label, rows = cells.astype(np.int64).T
        np.add.at(counts, (group, label), rows)
        return cls(place, cuts, counts)


def _place(fields: JsonReader, n_features: int) -> FeatureSpan:
    fields.only("name", "kind", "start", "stop", "missing", "levels", "mean", "scale")
    start = fields.whole("start", high=n_features - 1)
    levels, missing = fields.texts("levels"), fields.flag("missing")
    kind = next(kind for kind in KINDS if kind == fields.text("kind", KINDS))
    width = {"category": len(levels), "indicator": 0}.get(kind, 1) + missing
    stop = fields.whole("stop", low=start + width, high=min(n_features, start + width))
    mean, scale = fields.number("mean"), fields.number("scale", positive=True)
    return FeatureSpan(fields.text("name"), kind, start, stop, missing, levels, mean, scale)


def _n_groups(place: FeatureSpan, cuts: Sequence[float]) -> int:
    """How many groups of values a column has, besides that of missing cells."""
    many = {"yesno": 2, "category": len(place.levels) + 1, "number": len(cuts) + 1}
    return many.get(place.kind, 1)


def _groups(place: FeatureSpan, cuts: Sequence[float], F: Array) -> NDArray[np.int64]:
    """Number the group of each row."""
    if place.kind == "number":
        groups = np.searchsorted(np.asarray(cuts, F.dtype), F[:, place.start]).astype(np.int64)
    elif place.kind == "yesno":
        groups = (F[:, place.start] > 0.5).astype(np.int64)
    elif place.kind == "indicator":
        groups = np.zeros(len(F), np.int64)
    else:
        hot = F[:, place.start : place.start + len(place.levels)]
        groups = np.where(hot.any(axis=1), hot.argmax(axis=1), len(place.levels))
    if place.missing:
        groups[F[:, place.stop - 1] > 0.5] = _n_groups(place, cuts)
    return groups


def fit_rules(
    where: Sequence[FeatureSpan], F: Array, y: NDArray[np.int64], n_classes: int
) -> list[tuple[float, Rule]]:
    """Learn the best rule of each column.

    A number is cut where most rows come out right, into as many intervals as there are classes at
    most (32 in all), by dynamic programming over 64 quantiles.
    """
    step = -(-len(F) // _ROWS)
    F, y = F[::step], y[::step]
    found = []
    for place in where:
        cuts = _cuts(place, F, y, n_classes) if place.kind == "number" else ()
        n = _n_groups(place, cuts)
        groups = _groups(place, cuts, F)
        size = (n + place.missing, n_classes)
        counts = np.bincount(groups * n_classes + y, minlength=size[0] * size[1]).reshape(size)
        top = np.sort(counts, axis=1)
        others = top[:, -2] if n_classes > 1 else np.zeros(len(top))
        right = np.where((top[:, -1] > 1) & (top[:, -1] - 1 >= others), top[:, -1], 0).sum()
        found.append((float(right / len(y)), Rule(place, cuts, counts)))
    return found


def _cuts(place: FeatureSpan, F: Array, y: NDArray[np.int64], n_classes: int) -> tuple[float, ...]:
    """Where to cut a number so that most rows come out right, each interval saying one class."""
    known = slice(None) if not place.missing else F[:, place.stop - 1] < 0.5
    x, labels = F[known, place.start], y[known]
    values = np.unique(x)
    if len(values) < 2:
        return ()
    if len(values) > _BINS:
        values = np.unique(np.quantile(values, np.linspace(0, 1, _BINS), method="nearest"))
    middles = ((values[:-1].astype(np.float64) + values[1:]) / 2).astype(F.dtype)
    bins = np.searchsorted(middles, x)
    counts = np.bincount(bins * n_classes + labels, minlength=len(values) * n_classes)
    below = np.zeros((len(values) + 1, n_classes), np.int64)
    below[1:] = np.cumsum(counts.reshape(len(values), n_classes), axis=0)
    right = (below[None, :, :] - below[:, None, :]).max(axis=2)  # in the bins from a up to b
    right[np.tril_indices(len(right), -1)] = -len(x)  # no interval ends before it starts
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
