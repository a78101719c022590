"""Checks of the training rows."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from plainnet.diagnose.activations import evenly_spaced
from plainnet.diagnose.advice import remedy
from plainnet.diagnose.remedies import balance, simplify
from plainnet.diagnose.snapshot import MOST_COLUMNS, TrainingSnapshot, name_of
from plainnet.evaluate.checks import repeated_rows, sampled_rows
from plainnet.evaluate.duplicates import contradictions, count_copies
from plainnet.evaluate.finding import Finding, advise
from plainnet.formatting import count, percent
from plainnet.nn.parameters import Array
from plainnet.train.batches import prepare

_UNSCALED = 10.0  # root mean square of a column; standardized columns have 1
_UNEVEN = 100.0  # root mean square of a column, relative to the median column
RARE = 0.1  # share of a rare class, which is also below
RARE_SHARE = 0.6  # of an equal share of all classes
_PARAMETERS = 10  # parameters per row
_CEILING = 0.95  # highest accuracy that contradictory labels permit
_SAMPLE = 2000  # rows whose scale is measured
_CELLS = 2**21  # of these rows that are measured together
_NAMED = 5  # columns or rows that are named


def check_finite(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for values that are NaN or infinite."""
    inputs = ("inputs", np.asarray(snapshot.X), snapshot.feature_names)
    for name, array, names in (inputs, ("targets", np.asarray(snapshot.y), ())):
        if array.dtype.kind != "f" or _are_finite(array):
            continue
        bad = ~np.isfinite(array.reshape(len(array), -1))
        rows, columns = (np.flatnonzero(bad.any(axis=axis)).tolist() for axis in (1, 0))
        first = ", ".join(map(str, rows[:_NAMED]))
        yield Finding(
            "non-finite values",
            "problem",
            f"The {name} hold values that are not finite.",
            f"{count(int(bad.sum()), 'cell')} in {count(len(rows), 'row')} (first {first}) and "
            f"{count(len(columns), 'column')} ({_listed(names, columns)})",
            "Missing values, or an earlier division by zero or logarithm of zero.",
            f"X = X[np.isfinite(X).all(axis=1)], or fill in the {name} of these rows",
        )


def _are_finite(array: Array) -> bool:
    """Return whether all numbers are finite: those of a finite sum are, and adding up is faster."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def check_scale(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for columns much larger than 1, or than the other columns."""
    few = evenly_spaced(len(snapshot.X), _SAMPLE)
    squares = np.zeros(snapshot.X[0].size)
    for part in np.array_split(few, 1 + len(few) * squares.size // _CELLS):
        rows = prepare(np.asarray(snapshot.X)[part], snapshot.transform, np.float64)
        squares += np.square(rows.reshape(len(part), -1)).sum(axis=0)
    size = np.sqrt(squares / len(few))
    largest = int(size.argmax())
    median = float(np.median(size[size > 0])) if (size > 0).any() else 1.0
    if size[largest] <= _UNSCALED and size[largest] <= _UNEVEN * median:
        return
    noun, column = "columns", _quoted(snapshot.feature_names, largest)
    if snapshot.images:
        noun, column = "numbers", f"number {largest} of a picture"
    many = int((size > _UNSCALED).sum())
    yield Finding(
        "unscaled inputs",
        "warning",
        f"The inputs are not scaled: {many:,} of {len(size):,} {noun} "
        f"{'is' if many == 1 else 'are'} above {_UNSCALED:g}."
        if many
        else f"The columns differ greatly in scale: {column} is much larger than the others.",
        f"{column} has a root mean square of {size[largest]:.3g}, the median one {median:.3g}; "
        "about 1 is good",
        "Raw pixels (0 to 255) or columns in different units: the first updates are far too "
        "large for some weights and too small for others.",
        **remedy(
            snapshot.options,
            {"standardize": True},
            otherwise="in Python X / 255 for pixels, else (X - X.mean(0)) / X.std(0) with mean and "
            "std of the training rows",
        ),
    )


def check_left_out(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Name the columns of a table that are left out because they are constant."""
    from plainnet.data.table_schema import TableSchema

    if not isinstance(snapshot.schema, TableSchema):
        return
    columns = snapshot.schema.columns
    constant = [i for i, column in enumerate(columns) if column.kind == "constant"]
    if constant:
        names = _listed([column.name for column in columns], constant)
        yield Finding(
            "columns left out",
            "note",
            f"{names} {'is' if len(constant) == 1 else 'are'} the same in every row.",
            f"{len(constant)} of {len(columns)} columns",
            "They hold no information, so the network does not get them.",
            "nothing, if that is right; else check how the file was made",
        )


def check_columns(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for constant columns and for equal columns."""
    X, names = np.asarray(snapshot.X), snapshot.feature_names
    n = X[0].size
    if n > MOST_COLUMNS or snapshot.images:
        return
    some = snapshot.compared[0].reshape(-1, n)
    same = some.min(axis=0) == some.max(axis=0)
    same[same] = X[:, same].min(axis=0) == X[:, same].max(axis=0)
    constant, varying = np.flatnonzero(same), np.flatnonzero(~same)
    if len(constant):
        yield Finding(
            "constant columns",
            "note",
            f"{_listed(names, constant)} never change{'s' if len(constant) == 1 else ''}.",
            f"{len(constant)} of {n} columns",
            "They hold no information, and nothing trains their weights: a row with another "
            "value gets an arbitrary prediction.",
            "leave them out",
        )
    if not len(varying):
        return
    first, columns = dict[int, int](), np.ascontiguousarray(some.T) + 0  # -0 becomes 0
    hashes = ((j, hash(columns[j].tobytes())) for j in varying.tolist())
    original = np.array([first.setdefault(hashed, j) for j, hashed in hashes])
    copies = varying[original != varying]
    if len(copies):
        yield Finding(
            "duplicate columns",
            "note",
            f"{_listed(names, copies)} equal{'s' if len(copies) == 1 else ''} another column.",
            f"{len(copies)} of {n} columns; {_quoted(names, copies[0])} equals "
            f"{_quoted(names, original[original != varying][0])}",
            "The same quantity was recorded twice; it counts double.",
            "leave the copies out",
        )


def check_leak(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for a column that alone gives the target away."""
    if snapshot.leaked_column is not None:
        name, evidence = snapshot.leaked_column
        yield Finding(
            "leaked column",
            "problem",
            f"The column {name!r} alone gives the target away.",
            evidence,
            "It may be the target under another name, or known only after the target.",
            **advise({"kind": {**snapshot.options.kind, name: "identifier"}}),
        )


def check_labels(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for rare classes, and for equal rows with different labels."""
    labels = snapshot.labels
    if labels is None:
        return
    counts = np.bincount(labels)
    present = np.flatnonzero(counts)
    rarest, most = int(present[counts[present].argmin()]), int(counts.argmax())
    share = counts[rarest] / len(labels)
    if len(present) > 1 and share < min(RARE, RARE_SHARE / len(present)):
        rare, frequent = (repr(snapshot.class_name(k)) for k in (rarest, most))
        yield Finding(
            "class imbalance",
            "note",
            f"The class {rare} is rare.",
            f"{counts[rarest]} of {len(labels)} rows ({percent(share)}); always predicting "
            f"{frequent} is right {percent(counts[most] / len(labels))} of the time",
            "Accuracy is misleading here: see recall, precision and F1 of the rare class.",
            **balance(snapshot, rare),
        )
    clash = contradictions(*snapshot.compared)
    if clash.rows:
        yield Finding(
            "contradictory labels",
            "warning" if clash.ceiling < _CEILING else "note",
            "Equal rows have different labels, so no network can be right on all.",
            f"{clash.rows} rows in {clash.groups} groups of equal rows; at most "
            f"{percent(clash.ceiling)} can be right",
            "Wrong labels, or a missing column that distinguishes these rows.",
            "check these rows, or add a column",
        )


def check_copies(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for rows that repeat an earlier one."""
    copies = count_copies(snapshot.compared[0], snapshot.schema)
    yield from repeated_rows(snapshot.images, copies, len(snapshot.X), training=True)
    yield from sampled_rows(snapshot.images, len(snapshot.X))


def check_size(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for too few rows for the number of parameters."""
    rows, parameters = snapshot.m or len(snapshot.X), snapshot.net.params.grad.size
    averaged = snapshot.options.network == "tabular"  # each stops by its own fold
    if parameters > _PARAMETERS * rows and not averaged:
        noun = "pictures" if snapshot.images else "rows"
        yield Finding(
            "few rows",
            "note",
            f"There are few {noun} for so many parameters.",
            f"{parameters:,} parameters, {rows:,} training {noun}: {parameters / rows:,.0f} each",
            f"Such a network can memorize its {noun}; only held-out {noun} show what it learned.",
            **simplify(snapshot),
        )


def _quoted(names: Sequence[str], i: int) -> str:
    return repr(name_of(names, i)) if i < len(names) else name_of(names, i)


def _listed(names: Sequence[str], columns: Iterable[int]) -> str:
    listed = [_quoted(names, i) for i in columns]
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
