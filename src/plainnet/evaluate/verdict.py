"""Verdicts: what the figures of an evaluation allow one to say, and what they warn of."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from plainnet.evaluate.baselines import Baseline, Column
from plainnet.evaluate.duplicates import Copies, contradictions
from plainnet.evaluate.finding import Finding
from plainnet.evaluate.membership import Share
from plainnet.evaluate.one_rule import FeatureSpan
from plainnet.formatting import count, number, percent
from plainnet.metrics.intervals import Difference
from plainnet.metrics.scores import rank_correlation

if TYPE_CHECKING:
    from plainnet.data.targets import Target

Array = NDArray[Any]
_LARGE = 100_000  # percent, of which digits mean nothing
NEAR = 0.02  # shares that differ by less are nearly the same to a person
NOT_FAR = 0.05  # and by less than this, where the interval does not tell them apart
NEAR_RMSE = 1.05  # times
LEAK = 0.99  # of rows that one column gets right
LEAK_RANK = 0.999  # correlation of the ranks of two columns of numbers
_ROWS = 20  # below, ranks agree by chance
LEAK_LEFT = 0.1  # of the mistakes of the most frequent class
SEEN = 0.05  # share of rows that were trained on, above which that is worth a word
MOSTLY = 0.5  # above which it is no test at all
CEILING = 0.99


@final
@dataclass(frozen=True, eq=False)
class BaselineResult:
    """A simple answer on the same rows as the network."""

    name: str  # constant, column, colors or regression
    words: str  # what it is, in a few words: always Extrovert
    what: str  # the same for a sentence: a single Yes/No column, 'Stage_fear'
    figures: dict[str, Any]  # as `plainnet.metrics.scores.evaluate` gives them, and loss, interval
    difference: Difference  # how much better the network is

    def to_json(self) -> dict[str, Any]:
        """Return the rival as JSON values, without figures per class or label."""
        ends = [x if math.isfinite(x) else None for x in self.difference]
        difference = dict(zip(Difference._fields, ends, strict=True))
        return {
            "name": self.name,
            "words": self.words,
            "what": self.what,
            "difference": difference,
            **{key: value for key, value in self.figures.items() if not _is_each(key)},
        }


def _is_each(figure: str) -> bool:
    """Whether a figure has a number for each class, label, or pair of classes."""
    ends = ("_per_class", "_per_label")
    return figure.endswith(ends) or figure in ("confusions", "confusion_matrix")


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """What a verdict is about."""

    target: "Target"  # what is predicted
    figures: dict[str, Any]  # of the network
    rivals: Sequence[BaselineResult]  # the simple answers, from the simplest
    held_out: bool  # whether the rows were held out in training
    pictures: bool  # whether they are pictures
    seen: Share | None = None  # which share of them was trained on, where a model can tell
    feature_spans: Sequence[FeatureSpan] = ()  # the columns

    @property
    def regression(self) -> bool:
        """Whether numbers are predicted."""
        return self.target.task == "regression"

    @property
    def best(self) -> BaselineResult | None:
        """The best rival: where several are equal, the simplest."""
        return min(self.rivals, key=lambda rival: rival.difference.value, default=None)

    @property
    def where(self) -> str:
        """Words for the rows."""
        held = "held-out " if self.held_out else ""
        return count(self.figures["rows"], f"{held}{'picture' if self.pictures else 'row'}")

    def near(self, rival: BaselineResult) -> bool:
        """Whether a person would call a rival nearly as good, or better."""
        d = rival.difference
        if self.regression:
            return bool(rival.figures["rmse"] <= NEAR_RMSE * self.figures["rmse"])
        return d.value <= NEAR or (d.low <= 0 and d.value <= NOT_FAR)

    def score(self, figures: dict[str, Any]) -> str:
        """What is compared, in words."""
        if self.regression:
            return f"RMSE {number(figures['rmse'])}"
        return percent(figures["accuracy"])


def verdict(case: Comparison) -> str:
    """Say whether the network is better than the best baseline, and which come near.

    Nothing is said where most rows were trained on. Better or worse is said only where the 95 %
    interval of the paired difference leaves out zero: Newcombe's for shares, Student's for numbers
    and for several labels (see `plainnet.metrics.intervals`). That the best of several baselines
    is chosen on the same rows favors the baselines, never the network.
    """
    best = case.best
    if best is None:
        return (
            "Nothing to compare with: this model was stored without baselines, which models from "
            "plainnet train have."
        )
    d = best.difference
    if case.seen is not None and case.seen.low > MOSTLY:
        opening = f"No verdict, for at least {percent(case.seen.low)} was trained on. Beside"
    elif d.low > 0:
        opening = "Better than"
    elif d.high < 0:
        opening = "Worse than"
    else:
        opening = "Not shown to be better than" if d.value > 0 else "No better than"
    ours, theirs = case.score(case.figures), case.score(best.figures)
    of = "of the labels of " if case.target.task == "multilabel" else "of "
    if case.regression:
        scores = f"{ours} against {theirs} on {case.where}"
    else:
        scores = f"{ours} {of}{case.where} right, against {theirs}"
    sentences = [f"{opening} the best baseline, {best.words}: {scores} ({_margin(case, best)})."]
    near = [rival for rival in case.rivals if case.near(rival)]
    for words, some in (
        ("as good or better", [r for r in near if r.difference.value <= 0]),
        ("nearly as good", [r for r in near if r.difference.value > 0]),
    ):
        if some:
            listed = "; ".join(f"{r.what} ({case.score(r.figures)})" for r in some)
            sentences.append(f"Without a network, {words}: {listed}.")
    return " ".join(sentences)


def _margin(case: Comparison, best: BaselineResult) -> str:
    d = best.difference
    if case.regression:
        error = _mean_error(case, best)
        if error <= 0 or not np.isfinite(d.low):
            return "too few rows for an interval"
        low, value, high = (max(-100 * x / error, -100) for x in (d.high, d.value, d.low))
        form = "+.0f" if high < _LARGE else "+.2g"
        return f"squared error {value:{form}} %, 95 % interval {low:{form}} to {high:{form}} %"
    if not np.isfinite(d.low):
        return "too few rows for an interval"
    ends = f"{100 * d.low:+.1f} to {100 * d.high:+.1f}"
    return f"difference {100 * d.value:+.1f} points, 95 % interval {ends}"


def _mean_error(case: Comparison, best: BaselineResult) -> float:
    """The mean squared error of the best rival, of standardized numbers."""
    per_target = best.figures.get("rmse_per_target", [best.figures["rmse"]])
    scaled = [rmse / scale for rmse, scale in zip(per_target, case.target.scale, strict=True)]
    return float(np.mean(np.square(scaled)))


def leaked(case: Comparison, answers: Sequence[Baseline], X: Array, y: Array) -> list[Finding]:
    """Warn of columns that give the target away.

    Of classes: where the rule of one column, learned in training, gets 99 % of these rows right,
    and leaves a tenth at most of the mistakes of the most frequent class. Of numbers: where a
    column of numbers goes up and down with the target, in rank correlation 0.999 or more.
    """
    if case.pictures:
        return []
    rules = [rule for one in answers if isinstance(one, Column) for rule in one.rules]
    labels = y.reshape(len(y), -1).astype(np.int64)
    found = []
    for i, rule in enumerate(rules):
        several = case.target.task == "multilabel"
        right = float(np.mean(rule.predict(X).argmax(axis=1) == labels[:, i]))
        most = float(np.bincount(labels[:, i]).max() / len(y))
        if right >= LEAK and 1 - right <= LEAK_LEFT * (1 - most):
            classes = ("No", "Yes") if several else case.target.classes
            by = f"{percent(right)} of {case.where} right by {rule.describe(classes)}"
            what = f"the label {case.target.classes[i]!r}" if several else "the target"
            found.append(_leak(rule.place.name, what, by))
    if case.regression and len(y) >= _ROWS:
        for place in case.feature_spans:
            for i, target in enumerate(case.target.columns):
                rank = rank_correlation(X[:, place.start], y.reshape(len(y), -1)[:, i])
                if abs(rank) >= LEAK_RANK:
                    by = f"rank correlation {rank:+.4f} on {case.where}"
                    found.append(_leak(place.name, f"the target {target!r}", by))
    return found


def _leak(name: str, what: str, by: str) -> Finding:
    return Finding(
        "leaked column",
        "problem",
        f"The column {name!r} alone gives {what} away.",
        by,
        "It may be the target in other words, or known only after the target is.",
        f"train without it if so: --kind {shlex.quote(name + '=identifier')}",
    )


def repeated(
    case: Comparison, equal: NDArray[np.bool_], alike: NDArray[np.bool_], right: Array
) -> list[Finding]:
    """Warn of held-out rows that the network was trained on."""
    what = "picture" if case.pictures else "row"
    n, m, nearly = int(alike.sum()), len(alike), int((alike & ~equal).sum())
    if not worth_a_word(case.pictures, Copies(n - nearly, nearly), m):
        return []
    figures, gain = f"{n:,} of {m:,} ({percent(n / m)})", 0.0
    if n < m and not case.regression:
        fresh, known = float(right[~alike].mean()), float(right[alike].mean())
        figures += f"; right: {percent(known)} of these, {percent(fresh)} of the others"
        gain = known - fresh
    grave = case.pictures or (n > SEEN * m and gain > NEAR)
    return [
        Finding(
            "duplicates across the split",
            "warning" if grave else "note",
            f"Some held-out {what}s are {_equal(n - nearly, nearly)} to {what}s that were "
            "trained on.",
            figures,
            _why_equal(case.pictures, nearly),
            "--group-duplicates keeps equal ones on one side",
        )
    ]


def trained_on(case: Comparison, share: Share) -> list[Finding]:
    """Warn of rows of which more than a twentieth was trained on, with 95 % confidence."""
    if share.low <= SEEN:
        return []
    what = "picture" if case.pictures else "row"
    says = f"Some of these {what}s were trained on."
    if share.low > MOSTLY:
        says = f"Most of these {what}s were trained on: that they come out right proves little."
    ends = f"{percent(share.low)} to {percent(share.high)}"
    return [
        Finding(
            "rows trained on",
            "warning",
            says,
            f"about {percent(share.value)}, 95 % interval {ends}; which ones is not known",
            "This is the training data or part of it, or the same was recorded more than once.",
            f"evaluate on {what}s that training has not seen",
        )
    ]


def unknown(case: Comparison) -> list[Finding]:
    """Say that a model cannot tell whether rows were trained on."""
    what = "picture" if case.pictures else "row"
    return [
        Finding(
            "training rows unknown",
            "note",
            f"It is unknown whether some of these {what}s were trained on.",
            f"the model keeps no fingerprints of its training {what}s",
            "None are stored where single rows could be guessed, with --no-fingerprints or "
            "--private, or outside plainnet train.",
            f"make sure that these {what}s were not used in training",
        )
    ]


def copied(pictures: bool, found: Copies, m: int, *, trained_on: bool = False) -> list[Finding]:
    """Say that rows occur more than once."""
    if not worth_a_word(pictures, found, m):
        return []
    what = "picture" if pictures else "row"
    those = f"training {what}s" if trained_on else f"of these {what}s"
    return [
        Finding(
            f"repeated training {what}s" if trained_on else f"repeated {what}s",
            "note",
            f"Some {those} are {_equal(*found)} to others of them.",
            f"{found.equal + found.near:,} of {m:,} repeat an earlier one",
            _why_equal(pictures, found.near),
            "--group-duplicates keeps equal ones on one side of the split"
            if trained_on
            else f"count copies once: the interval takes each {what} for a case of its own",
        )
    ]


def worth_a_word(pictures: bool, found: Copies, m: int) -> bool:
    """Whether so many copies are more than chance: any that is near, or a twentieth; any picture.

    Few values (Yes and No, whole numbers) make some rows of a table equal by chance.
    """
    return found.near > 0 or found.equal > SEEN * m or (pictures and found.equal > 0)


def _equal(equal: int, near: int) -> str:
    if equal and near:
        return f"equal, {near:,} of them only nearly,"
    return "nearly equal" if near else "equal"


def _why_equal(pictures: bool, near: int) -> str:
    why = "The same row was recorded more than once, or few values make many equal."
    how = (
        "Nearly equal ones are less than a hundredth of a standard deviation apart; their texts "
        "differ in case or spaces alone."
    )
    if pictures:
        why = "The same picture was stored more than once."
        how = "Nearly equal ones look alike, as a picture stored anew does."
    return f"{why} {how}" if near else why


def contradicted(case: Comparison, X: Array, y: Array) -> list[Finding]:
    """Say where equal rows have different labels, and what that leaves possible."""
    # of several labels, those of a row are one answer
    _, answers = np.unique(y.reshape(len(y), -1), axis=0, return_inverse=True)
    found = contradictions(X, answers.reshape(-1))
    if not found.rows:
        return []
    what = "picture" if case.pictures else "row"
    right = "wholly right" if case.target.task == "multilabel" else "right"
    return [
        Finding(
            "contradictory labels",
            "warning" if found.ceiling < CEILING else "note",
            f"Equal {what}s have different labels: no model can get more than "
            f"{percent(found.ceiling)} of these {what}s {right}.",
            f"{count(found.rows, what)} in {count(found.groups, 'group')} of equal {what}s",
            "Some labels are wrong, or a column is missing that would tell these apart.",
            "check the labels of these, or add what tells them apart",
        )
    ]
