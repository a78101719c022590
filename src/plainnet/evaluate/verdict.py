"""The verdict: a sentence on whether a network is better than the best baseline."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from plainnet.evaluate.evaluation import BaselineResult, Scores, best_of
from plainnet.evaluate.feature_spans import FeatureSpan
from plainnet.evaluate.membership import Share
from plainnet.formatting import count, number, percent

if TYPE_CHECKING:
    from plainnet.data.targets import Target

CLOSE = 0.02  # shares that differ by less are nearly the same
_MAYBE_CLOSE = 0.05  # the same where the interval includes zero
_CLOSE_RMSE = 1.05  # times
_LARGE = 100_000  # percent, above which digits mean nothing
MOSTLY = 0.5  # share of rows trained on, above which there is no verdict


class Comparison(NamedTuple):
    """A network and its baselines on the same rows."""

    target: "Target"
    scores: Scores  # of the network
    baselines: Sequence[BaselineResult]  # from the simplest
    held_out: bool  # whether the rows were held out in training
    images: bool  # whether they are pictures
    trained_on: Share | None = None  # the share of them that was trained on, where known
    spans: Sequence[FeatureSpan] = ()  # the columns

    @property
    def regression(self) -> bool:
        """True if numbers are predicted."""
        return self.target.task == "regression"

    @property
    def unit(self) -> str:
        """The word for one example."""
        return "picture" if self.images else "row"

    @property
    def best(self) -> BaselineResult | None:
        """The best baseline."""
        return best_of(self.baselines)

    @property
    def rows(self) -> str:
        """The number of rows as text."""
        return count(self.scores.rows, f"{'held-out ' if self.held_out else ''}{self.unit}")

    def is_close(self, baseline: BaselineResult) -> bool:
        """Return whether a baseline is nearly as good as the network, or better."""
        d = baseline.difference
        if self.regression:
            return bool(baseline.scores.main <= _CLOSE_RMSE * self.scores.main)
        return d.value <= CLOSE or (d.low <= 0 and d.value <= _MAYBE_CLOSE)

    def describe(self, scores: Scores) -> str:
        """Write the score that is compared."""
        return f"RMSE {number(scores.main)}" if self.regression else percent(scores.main)


def verdict(case: Comparison) -> str:
    """State whether the network is better than the best baseline, and name close baselines.

    There is no verdict where most rows were trained on. The network is better or worse only where
    the 95 % interval of the paired difference excludes zero (see `plainnet.metrics.intervals`).
    Choosing the best of several baselines on the same rows favors the baselines, not the network.
    """
    best = case.best
    if best is None:
        return (
            "Nothing to compare with: this model was stored without baselines, which models from "
            "plainnet train have."
        )
    d = best.difference
    if case.trained_on is not None and case.trained_on.low > MOSTLY:
        opening = (
            f"No verdict, for at least {percent(case.trained_on.low)} was trained on. Compared to"
        )
    elif d.low > 0:
        opening = "Better than"
    elif d.high < 0:
        opening = "Worse than"
    else:
        opening = "Not shown to be better than" if d.value > 0 else "No better than"
    network, baseline = case.describe(case.scores), case.describe(best.scores)
    of = "of the labels of" if case.target.task == "multilabel" else "of"
    if case.regression:
        scores = f"{network} against {baseline} on {case.rows}"
    else:
        scores = f"{network} {of} {case.rows} right, against {baseline}"
    margin = _margin(case, best)
    sentences = [f"{opening} the best baseline, {best.description}: {scores} ({margin})."]
    close = [one for one in case.baselines if case.is_close(one)]
    for quality, some in (
        ("as good or better", [one for one in close if one.difference.value <= 0]),
        ("nearly as good", [one for one in close if one.difference.value > 0]),
    ):
        if some:
            listed = "; ".join(f"{one.phrase} ({case.describe(one.scores)})" for one in some)
            sentences.append(f"Without a network, {quality}: {listed}.")
    return " ".join(sentences)


def _margin(case: Comparison, best: BaselineResult) -> str:
    """Write the difference to the best baseline with its interval."""
    d, squared_error = best.difference, 1.0
    if case.regression:  # of standardized numbers, as the difference is
        rmse = best.scores.per_unit.get("rmse", [best.scores.main])
        scaled = np.array(rmse, np.float64) / case.target.scale
        squared_error = float(np.mean(np.square(scaled)))
    if squared_error <= 0 or not np.isfinite(d.low):
        return "too few rows for an interval"
    if case.regression:
        low, value, high = (max(-100 * x / squared_error, -100) for x in (d.high, d.value, d.low))
        form = "+.0f" if high < _LARGE else "+.2g"
        return f"squared error {value:{form}} %, 95 % interval {low:{form}} to {high:{form}} %"
    ends = f"{100 * d.low:+.1f} to {100 * d.high:+.1f}"
    return f"difference {100 * d.value:+.1f} points, 95 % interval {ends}"
