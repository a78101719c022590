"""Checks of an evaluation: leaked columns, rows trained on, repeated rows, contradictory labels."""

from collections.abc import Sequence

import numpy as np

from plainnet.evaluate.baselines.baseline import Baseline, OneRuleBaseline
from plainnet.evaluate.duplicates import MOST_ROWS, Copies, Matches, contradictions
from plainnet.evaluate.finding import Finding, advise
from plainnet.evaluate.membership import Share
from plainnet.evaluate.verdict import CLOSE, MOSTLY, Comparison
from plainnet.formatting import count, percent
from plainnet.metrics.scores import rank_correlation
from plainnet.nn.parameters import Array

LEAK = 0.99  # share of rows that one column gets right
LEAK_LEFT = 0.1  # share of the mistakes of the most frequent class that it leaves
LEAK_RANK = 0.999  # rank correlation of two columns of numbers
_FEWEST = 20  # rows below which ranks agree by chance
NOTABLE = 0.05  # share of rows that were trained on, or are repeated, above which a finding says so
_CEILING = 0.99  # possible accuracy below which contradictory labels are a warning


def leaked_columns(
    case: Comparison, fitted: Sequence[Baseline], X: Array, y: Array
) -> list[Finding]:
    """Find columns that give the target away.

    Of classes: where the rule of one column, learned in training, gets 99 % of these rows right,
    and leaves at most a tenth of the mistakes of the most frequent class. Of numbers: where the
    rank correlation of a column of numbers with the target is at least 0.999.
    """
    if case.images:
        return []
    rules = [rule for one in fitted if isinstance(one, OneRuleBaseline) for rule in one.rules]
    targets = y.reshape(len(y), -1)
    findings = []
    for i, rule in enumerate(rules):
        labels = targets[:, i].astype(np.int64)
        several = case.target.task == "multilabel"
        right = float(np.mean(rule.predict(X).argmax(axis=1) == labels))
        most = float(np.bincount(labels).max() / len(y))
        if right >= LEAK and 1 - right <= LEAK_LEFT * (1 - most):
            classes = ("No", "Yes") if several else case.target.classes
            evidence = f"{percent(right)} of {case.rows} right by {rule.describe(classes)}"
            leaked = f"the label {case.target.classes[i]!r}" if several else "the target"
            findings.append(_leak(rule.span.name, leaked, evidence))
    if case.regression and len(y) >= _FEWEST:
        for span in case.spans:
            for i, target in enumerate(case.target.columns):
                rank = rank_correlation(X[:, span.start], targets[:, i])
                if abs(rank) >= LEAK_RANK:
                    evidence = f"rank correlation {rank:+.4f} on {case.rows}"
                    findings.append(_leak(span.name, f"the target {target!r}", evidence))
    return findings


def _leak(name: str, leaked: str, evidence: str) -> Finding:
    return Finding(
        "leaked column",
        "problem",
        f"The column {name!r} alone gives {leaked} away.",
        evidence,
        "It may be the target in another form, or become known only after the target.",
        **advise({"kind": {name: "identifier"}}),
    )


def split_duplicates(case: Comparison, matches: Matches, points: Array) -> list[Finding]:
    """Find held-out rows that the network was trained on; `points` are the scores of all rows."""
    near, points = matches.near, points[matches.rows]
    unit, n, m = case.unit, int(near.sum()), len(near)
    nearly = int((near & ~matches.equal).sum())
    if not _is_notable(case.images, Copies(n - nearly, nearly), m):
        return []
    sampled = on_sample(case.unit) if m < case.scores.rows else ""
    evidence, gain = f"{n:,} of {m:,} ({percent(n / m)}){sampled}", 0.0
    if n < m and not case.regression:
        new, known = float(points[~near].mean()), float(points[near].mean())
        evidence += f"; right: {percent(known)} of these, {percent(new)} of the others"
        gain = known - new
    return [
        Finding(
            "duplicates across the split",
            "warning" if case.images or (n > NOTABLE * m and gain > CLOSE) else "note",
            f"Some held-out {unit}s are {_equal(n - nearly, nearly)} to {unit}s that were "
            "trained on.",
            evidence,
            _why_equal(case.images, nearly),
            **advise({"group_duplicates": True}),
        )
    ]


def rows_trained_on(case: Comparison, share: Share | None) -> list[Finding]:
    """Report that more than a twentieth of the rows was trained on, with 95 % confidence."""
    unit = case.unit
    if share is None:
        return [
            Finding(
                "training rows unknown",
                "note",
                f"It is unknown whether some of these {unit}s were trained on.",
                f"the model keeps no fingerprints of its training {unit}s",
                "None are stored where single rows could be guessed, with --no-fingerprints or "
                "--private, or outside plainnet train.",
                f"make sure that these {unit}s were not used in training",
            )
        ]
    if share.low <= NOTABLE:
        return []
    text = f"Some of these {unit}s were trained on."
    if share.low > MOSTLY:
        text = f"Most of these {unit}s were trained on: right predictions prove little."
    ends = f"{percent(share.low)} to {percent(share.high)}"
    return [
        Finding(
            "rows trained on",
            "warning",
            text,
            f"about {percent(share.value)}, 95 % interval {ends}; it is unknown which",
            "This is the training data or part of it, or the same was recorded more than once.",
            f"evaluate on {unit}s that were not used in training",
        )
    ]


def on_sample(unit: str) -> str:
    """Name the sample in which copies are looked for."""
    return f" on a sample of {MOST_ROWS:,} {unit}s"


def sampled_rows(images: bool, m: int) -> list[Finding]:
    """Report that a sample of m rows is compared."""
    unit = "picture" if images else "row"
    if m <= MOST_ROWS:
        return []
    return [
        Finding(
            f"sampled {unit}s",
            "note",
            f"The {unit}s are compared with each other{on_sample(unit)}.",
            f"{m:,} {unit}s",
            "A sample of this size shows shares to a fraction of a percent.",
            "nothing; scores are those of all rows",
        )
    ]


def repeated_rows(images: bool, copies: Copies, m: int, *, training: bool = False) -> list[Finding]:
    """Report that rows occur more than once among m rows."""
    sampled = on_sample("picture" if images else "row") if m > MOST_ROWS else ""
    m = min(m, MOST_ROWS)
    if not _is_notable(images, copies, m):
        return []
    unit = "picture" if images else "row"
    those = f"training {unit}s" if training else f"of these {unit}s"
    advice = advise({}, f"count copies once: the interval treats each {unit} as independent")
    if training:
        advice = advise({"group_duplicates": True})
    return [
        Finding(
            f"repeated training {unit}s" if training else f"repeated {unit}s",
            "warning" if training and copies.equal + copies.near > MOSTLY * m else "note",
            f"Some {those} are {_equal(*copies)} to others of them.",
            f"{copies.equal + copies.near:,} of {m:,} repeat an earlier one{sampled}",
            _why_equal(images, copies.near),
            **advice,
        )
    ]


def _is_notable(images: bool, copies: Copies, m: int) -> bool:
    """Return whether copies are unlikely by chance: near, pictures, or a twentieth of the rows.

    Columns of few values (Yes and No, integers) make some rows of a table equal by chance.
    """
    return copies.near > 0 or copies.equal > NOTABLE * m or (images and copies.equal > 0)


def _equal(equal: int, near: int) -> str:
    if equal and near:
        return f"equal, {near:,} of them only nearly,"
    return "nearly equal" if near else "equal"


def _why_equal(images: bool, near: int) -> str:
    if images:
        cause = "The same picture was stored more than once."
        meaning = "Nearly equal pictures are similar, such as a resized copy."
    else:
        cause = "The same row was recorded more than once, or few values make many rows equal."
        meaning = (
            "Nearly equal rows are less than a hundredth of a standard deviation apart; their "
            "texts differ in case or spaces alone."
        )
    return f"{cause} {meaning}" if near else cause


def contradictory_labels(case: Comparison, X: Array, y: Array) -> list[Finding]:
    """Report equal rows with different labels, and the accuracy that remains possible."""
    mixed = contradictions(X, y)  # all labels of a row count as one label
    if not mixed.rows:
        return []
    unit = case.unit
    right = "entirely right" if case.target.task == "multilabel" else "right"
    sampled = on_sample(unit) if len(X) < case.scores.rows else ""
    return [
        Finding(
            "contradictory labels",
            "warning" if mixed.ceiling < _CEILING else "note",
            f"Equal {unit}s have different labels: no model can get more than "
            f"{percent(mixed.ceiling)} of these {unit}s {right}.",
            f"{count(mixed.rows, unit)} in {count(mixed.groups, 'group')} of equal {unit}s"
            f"{sampled}",
            "Some labels are wrong, or a column is missing that would distinguish these rows.",
            "check the labels of these rows, or add a column that distinguishes them",
        )
    ]
