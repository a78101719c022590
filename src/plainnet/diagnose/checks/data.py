"""Checks of the rows alone, before any network sees them."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from plainnet.data.splits import duplicate_groups
from plainnet.diagnose.activations import spaced
from plainnet.evaluate.checks import LEAK, LEAK_LEFT, LEAK_RANK
from plainnet.evaluate.duplicates import contradictions
from plainnet.evaluate.finding import Finding
from plainnet.evaluate.one_rule import FeatureSpan, fit_rules
from plainnet.formatting import count, percent
from plainnet.metrics.scores import rank_correlation
from plainnet.nn.network import Transform
from plainnet.nn.parameters import Array
from plainnet.train.batches import ready

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

UNSCALED = 10.0  # root mean square of a column, where standardized ones have 1
UNEVEN = 100.0  # times the root mean square of the middle column
RARE = 0.1  # share of the rarest class
TOO_MANY = 10  # parameters for each row
CEILING = 0.95  # accuracy that contradictions leave possible
LEAK_ROWS = 30
_LOOKED_AT = 2000  # rows whose size and columns are compared
_NAMED = 5


def check_scale(X: Array, transform: Transform | None, names: Sequence[str]) -> list[Finding]:
    """Look for inputs that are far larger than the weights expect, or unlike each other."""
    rows = ready(X[spaced(len(X), _LOOKED_AT)], transform, np.float64).reshape(
        min(len(X), _LOOKED_AT), -1
    )
    size = np.sqrt(np.square(rows).mean(axis=0))
    largest = int(size.argmax())
    middle = float(np.median(size[size > 0])) if (size > 0).any() else 1.0
    if size[largest] <= UNSCALED and size[largest] <= UNEVEN * middle:
        return []
    pictures = X.ndim == 4
    what = "numbers" if pictures else "columns"
    column = f"number {largest} of a picture" if pictures else _name(names, largest)
    many = int((size > UNSCALED).sum())
    scaled = (
        "--standardize; in Python X / 255 for pixels, else (X - X.mean(0)) / X.std(0), with "
        "the training rows' figures"
    )
    return [
        Finding(
            "unscaled inputs",
            "warning",
            f"The inputs are not scaled: {many:,} of {len(size):,} {what} "
            f"{'is' if many == 1 else 'are'} above {UNSCALED:g}."
            if many
            else f"The columns are of very different size: {column} dwarfs the others.",
            f"{column} has a root mean square of {size[largest]:.3g}, the middle one "
            f"{middle:.3g}; about 1 is good",
            "Raw pixels (0 to 255) or columns in their own units: the first steps are far too "
            "large for some weights, or too small for others.",
            scaled,
        )
    ]


def check_finite(X: Array, y: Array, names: Sequence[str]) -> list[Finding]:
    """Look for NaN and infinite numbers, and name their rows and columns."""
    found = []
    for what, array in (("inputs", X), ("targets", y)):
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        flat = ~np.isfinite(array.reshape(len(array), -1))
        rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
        which = ", ".join(
            _name(names if what == "inputs" else (), int(c)) for c in columns[:_NAMED]
        )
        found.append(
            Finding(
                "non-finite values",
                "problem",
                f"The {what} hold numbers that are not finite.",
                f"{count(int(flat.sum()), 'cell')} in {count(len(rows), 'row')} "
                f"(first {_first(rows)}) and {count(len(columns), 'column')} "
                f"({which}{', ...' if len(columns) > _NAMED else ''})",
                "Missing values, or a division by zero or a logarithm of zero before.",
                f"X = X[np.isfinite(X).all(axis=1)], or fill the {what} of these rows",
            )
        )
    return found


def check_columns(X: Array, names: Sequence[str]) -> list[Finding]:
    """Look for columns that never change, and columns that say the same as another."""
    flat = X.reshape(len(X), -1)
    n = flat.shape[1]
    same = (flat == flat[0]).all(axis=0)
    constant = np.flatnonzero(same).tolist()
    found = []
    if constant:
        found.append(
            Finding(
                "constant columns",
                "note",
                f"{_listed(names, constant)} never change{'s' if len(constant) == 1 else ''}.",
                f"{len(constant)} of {n} columns",
                "They hold no information, and nothing trains their weights: a row with another "
                "value gets an arbitrary answer.",
                "leave them out",
            )
        )
    varying = np.flatnonzero(~same).tolist()
    if varying:
        groups = duplicate_groups(np.ascontiguousarray(flat[:, varying].T))
        _, first = np.unique(groups, return_index=True)
        copies = [varying[i] for i in sorted(set(range(len(varying))) - set(first.tolist()))]
        if copies:
            of = varying[int(np.flatnonzero(groups == groups[varying.index(copies[0])])[0])]
            found.append(
                Finding(
                    "duplicate columns",
                    "note",
                    f"{_listed(names, copies)} hold{'s' if len(copies) == 1 else ''} the same as "
                    "another column.",
                    f"{len(copies)} of {n} columns; {_name(names, copies[0])} equals "
                    f"{_name(names, of)}",
                    "The same thing was recorded twice; it counts double.",
                    "leave the copies out",
                )
            )
    return found


def check_left_out(schema: "TableSchema | ImageSchema | None") -> list[Finding]:
    """Name the columns of a table that were left out because they are the same in every row."""
    from plainnet.data.table_schema import TableSchema

    if not isinstance(schema, TableSchema):
        return []
    names = [column.name for column in schema.columns]
    constant = [i for i, column in enumerate(schema.columns) if column.kind == "constant"]
    if not constant:
        return []
    return [
        Finding(
            "columns left out",
            "note",
            f"{_listed(names, constant)} {'is' if len(constant) == 1 else 'are'} the same in every "
            "row.",
            f"{len(constant)} of {len(names)} columns",
            "They hold no information, so the network does not see them.",
            "nothing, if that is right; else look at how the file was made",
        )
    ]


def check_labels(X: Array, labels: Array, names: Sequence[str]) -> list[Finding]:
    """Look for rare classes, and for equal rows with different labels."""
    counts = np.bincount(labels)
    present = np.flatnonzero(counts)
    found = []
    rarest = present[counts[present].argmin()]
    share = counts[rarest] / len(labels)
    if len(present) > 1 and share < min(RARE, 0.3 / len(present) * 2):
        most = counts.max() / len(labels)
        found.append(
            Finding(
                "class imbalance",
                "note",
                f"The class {_class(names, rarest)} is rare.",
                f"{counts[rarest]} of {len(labels)} rows ({percent(share)}); always answering "
                f"{_class(names, int(counts.argmax()))} is right {percent(most)} of the time",
                "Accuracy flatters here: look at recall, precision and F1 of the rare class.",
                "--class-weight balanced",
            )
        )
    clash = contradictions(X, labels)
    if clash.rows:
        found.append(
            Finding(
                "contradictory labels",
                "warning" if clash.ceiling < CEILING else "note",
                "Rows that are equal have different labels, so no network can be right on all.",
                f"{clash.rows} rows in {clash.groups} groups of equal rows; at most "
                f"{percent(clash.ceiling)} can be right",
                "Wrong labels, or a column is missing that tells these rows apart.",
                "look at these rows, or add a column",
            )
        )
    return found


def check_leak(
    X: Array, y: Array, labels: Array | None, columns: Sequence[FeatureSpan]
) -> list[Finding]:
    """Look for a column that gives the target away."""
    if len(X) < LEAK_ROWS:
        return []
    if labels is None:
        return _leaked_number(X, y, columns)
    counts = np.bincount(labels)
    most = float(counts.max() / len(labels))
    rules = fit_rules(columns, X, labels.astype(np.int64), len(counts))
    told = [
        (right, rule.place.name)
        for right, rule in rules
        if right >= LEAK and 1 - right <= LEAK_LEFT * (1 - most)
    ]
    if not told:
        return []
    right, name = max(told)
    return [_leak(name, f"alone it gets {percent(right)} of the training rows right")]


def _leaked_number(X: Array, y: Array, columns: Sequence[FeatureSpan]) -> list[Finding]:
    if y.ndim == 1 or y.shape[1] > 1:
        return []
    for place in columns:
        if place.kind == "number":
            r = rank_correlation(X[:, place.start], y[:, 0])
            if abs(r) >= LEAK_RANK:
                return [_leak(place.name, f"the correlation of their ranks is {r:.5f}")]
    return []


def _leak(name: str, how: str) -> Finding:
    return Finding(
        "leaked column",
        "problem",
        f"The column {name!r} alone gives the target away.",
        how,
        "It may be the target in other words, or known only after the target is.",
        f"train without it if so: --kind {shlex.quote(name + '=identifier')}",
    )


def check_size(rows: int, parameters: int, pictures: bool) -> list[Finding]:
    """Look for fewer rows than the parameters deserve."""
    if parameters <= TOO_MANY * rows:
        return []
    return [
        Finding(
            "few rows",
            "note",
            "There are few rows for so many parameters.",
            f"{parameters:,} parameters, {rows:,} training {'pictures' if pictures else 'rows'}: "
            f"{parameters / rows:,.0f} for each",
            "Such a network can learn its rows by heart; only held-out rows show what it knows.",
            "fewer --hidden units"
            + (", a lower --size" if pictures else "")
            + ", or --dropout 0.2",
        )
    ]


def _name(names: Sequence[str], i: int) -> str:
    return repr(names[i]) if i < len(names) else f"column {i}"


def _class(names: Sequence[str], i: int) -> str:
    return repr(names[i]) if i < len(names) else str(i)


def _listed(names: Sequence[str], columns: Sequence[int]) -> str:
    shown = ", ".join(_name(names, i) for i in columns[:_NAMED])
    more = len(columns) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _first(rows: Array) -> str:
    return ", ".join(str(r) for r in rows[:_NAMED].tolist())
