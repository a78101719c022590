"""Checks of the result: whether the network generalizes, underfits or misses a class."""

import math
from collections.abc import Iterator

from plainnet.diagnose.advice import remedy
from plainnet.diagnose.checks.data import RARE, RARE_SHARE
from plainnet.diagnose.comparisons import Comparison, Rival, margin
from plainnet.diagnose.remedies import balance, enlarge, regularize, replace_by_baseline
from plainnet.diagnose.snapshot import EXTREME, TrainingSnapshot
from plainnet.evaluate.evaluate import predicted_classes
from plainnet.evaluate.finding import Finding, advise
from plainnet.formatting import count, percent
from plainnet.metrics.intervals import Difference

_HELD_OUT_BASE = 0.95  # share of the base cost on held-out rows, with room for chance
_SMALL = 0.1  # a smaller advantage over a constant does not matter in practice
_UNDERFIT = 0.1  # accuracy or R2 below the nearest neighbors
_UNDERFIT_BASELINE = 0.03  # the same below a baseline, at the lower end of the interval
_WORSE, _CHANCE = 0.02, 0.01  # worse than a baseline: at least by this, and with this p at most
_COSTLY = 0.2  # cost above a baseline, relative to a constant, at the lower end of the interval
_OUTLIERS = 0.5  # share of the variance of the most extreme targets
_FEWEST, _FEWEST_TRAINED = 20, 50  # held-out and training rows that show that nothing is learned


def check_result(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for classes that are missed, and a network that underfits or does not generalize."""
    if not math.isfinite(snapshot.cost):
        return
    held_out = list(_held_out(snapshot)) if snapshot.has_learned else []
    yield from held_out
    rare = snapshot.labels is not None and float(snapshot.class_shares.min()) < RARE
    if rare or snapshot.has_learned:
        yield from _never_predicted(snapshot)
    useless = any(finding.name in ("no signal", "overfitting") for finding in held_out)
    if snapshot.has_learned and not useless:
        yield from _underfitting(snapshot)


def _held_out(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Compare with a constant and with baselines on held-out rows; the intervals decide."""
    result = snapshot.on_held_out
    if result is None:
        return
    if result.cost < _HELD_OUT_BASE * result.constant_cost or result.over_constant.low > 0:
        yield from _worse_than_baseline(snapshot, result)
    elif snapshot.target_outliers >= _OUTLIERS:
        yield _outliers(snapshot)
    elif snapshot.has_signal and snapshot.memorized and result.over_constant.high <= _SMALL:
        yield _memorized(snapshot, result)
    elif snapshot.has_signal or result.rows < _FEWEST or len(snapshot.X) < _FEWEST_TRAINED:
        yield _undecided(result)
    else:
        yield _no_signal(snapshot, result)


def _worse_than_baseline(snapshot: TrainingSnapshot, result: Comparison) -> Iterator[Finding]:
    best, cheapest, rows = result.best, result.cheapest, f"on {result.rows:,} held-out rows"
    if best and best.over_network.p <= _CHANCE and best.over_network.value >= _WORSE:
        scores = f"{percent(best.score)} against {percent(result.score)}"
        if snapshot.task == "regression":
            scores = f"squared error {-best.score:.4g} against {-result.score:.4g}"
        better, linear = "is better than the network", best.phrase.endswith("regression")
        evidence = f"{scores} of the network {rows}; {_interval(best.over_network)}"
    elif cheapest and cheapest.saving.low > _COSTLY:
        best, better, linear = cheapest, "has a far lower cost than the network", False
        evidence = f"cost {best.cost:.4f} against {result.cost:.4f} of the network {rows}; "
        evidence += f"always the same prediction costs {result.constant_cost:.4f}"
    else:
        return
    cause, advice = "The network memorized its training rows.", regularize(snapshot)
    if not snapshot.memorized:
        cause = "The network is too small, too strongly regularized, or was not trained well."
        advice = replace_by_baseline(snapshot, linear)
        if advice["options"].get("hidden") == ():
            cause = "The target depends on the columns nearly linearly."
    yield Finding(
        "worse than a baseline",
        "warning",
        f"On held-out rows {best.phrase} {better}.",
        evidence,
        cause,
        **advice,
    )


def _outliers(snapshot: TrainingSnapshot) -> Finding:
    return Finding(
        "outliers in the target",
        "warning",
        "A few rows with extreme targets decide the squared error.",
        f"{percent(snapshot.target_outliers)} of the variance of the target is that of its "
        f"{percent(EXTREME)} most extreme rows",
        "Wrong numbers, or a target of very uneven size, such as an income.",
        **remedy(snapshot.options, {"loss": "Huber"}, otherwise="check these rows"),
    )


def _memorized(snapshot: TrainingSnapshot, result: Comparison) -> Finding:
    return Finding(
        "overfitting",
        "warning",
        "The network memorized its training rows: on others it is no better than a constant.",
        f"cost {snapshot.cost:.4f} on the training rows, {result.cost:.4f} on {result.rows:,} "
        f"held-out rows; always the same prediction costs {result.constant_cost:.4f}",
        "The inputs do predict the target, but the network also learned the chance in its rows.",
        **regularize(snapshot),
    )


def _undecided(result: Comparison) -> Finding:
    return Finding(
        "too few held-out rows",
        "note",
        "The held-out rows do not show whether the network is better than a constant prediction.",
        f"{count(result.rows, 'held-out row')}; {_interval(result.over_constant)}",
        "So few rows leave a wide interval, and on them the network costs as much as a constant.",
        **advise({}, "more rows; several splits: plainnet train --repeat 5"),
    )


def _no_signal(snapshot: TrainingSnapshot, result: Comparison) -> Finding:
    if snapshot.task == "regression":
        evidence = f"cost {result.cost:.4f} on {result.rows} held-out rows; always the mean costs "
        evidence += f"{result.constant_cost:.4f}"
    else:
        evidence = f"{percent(result.score)} right on {result.rows} held-out rows; a constant "
        evidence += percent(result.constant_score)
    return Finding(
        "no signal",
        "problem",
        "On held-out rows the network is no better than a constant prediction."
        if result.over_constant.high <= _SMALL
        else "Nothing shows that the network is better than a constant prediction.",
        f"{evidence}; {_interval(result.over_constant)}; neither the nearest other rows nor a "
        "simple model are better",
        "The inputs do not predict the target: the labels may be shuffled, many of them wrong, or "
        "belong to other rows.",
        **advise({}, "compare a few rows of the file with their source"),
    )


def _interval(difference: Difference) -> str:
    value, low, high = (100 * x for x in difference[:3])
    return f"difference {value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"


def _never_predicted(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    if snapshot.labels is None:
        return
    A = snapshot.loss.predictions(snapshot.statistics.Z)
    predicted = set(predicted_classes(A).tolist())
    counts = snapshot.class_shares * len(snapshot.labels)
    never = [k for k, n in enumerate(counts) if n >= 5 and k not in predicted]
    if never:
        k, others = never[0], len(never) - 1
        name = repr(snapshot.class_name(k))
        rare = snapshot.class_shares[k] < min(RARE, RARE_SHARE / len(snapshot.class_shares))
        more = f" (and {others} other class{'es' if others > 1 else ''})" if others else ""
        cause, advice = "The class is rare, so missing it costs little.", balance(snapshot, name)
        if not rare:
            cause, advice = "The network confuses it with other classes.", enlarge(snapshot)[1]
        yield Finding(
            "class never predicted",
            "warning" if snapshot.class_shares[k] >= RARE else "note",
            f"The network never predicts {name}{more}.",
            f"{counts[k]:,.0f} of {len(snapshot.labels):,} training rows have this class "
            f"({percent(snapshot.class_shares[k])})",
            cause,
            **advice,
        )


def _underfitting(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Compare with neighbors and baselines on the training rows."""
    near, best = snapshot.neighbors, snapshot.on_training.best
    verb, share_of = "are right on", "of the training rows"
    if snapshot.task == "regression":
        verb, share_of = "explain", "of the variance"
    if near.score >= near.network + max(_UNDERFIT, margin(near.rows)):
        evidence = f"the five nearest other rows {verb} {percent(near.score)} {share_of}, "
        evidence += f"the network {percent(near.network)}"
        rival = "their nearest neighbors"
    elif best and best.over_network.low > _UNDERFIT_BASELINE and _generalizes(snapshot, best):
        evidence, rival = f"{best.phrase}: {_interval(best.over_network)}", best.phrase
    else:
        return
    cause, advice = enlarge(snapshot)
    yield Finding(
        "underfitting",
        "warning",
        f"The network fits its training rows worse than {rival}.",
        evidence,
        cause,
        **advice,
    )


def _generalizes(snapshot: TrainingSnapshot, baseline: Rival) -> bool:
    """Return whether a baseline that fits the training rows better is better on others too."""
    rivals = () if snapshot.on_held_out is None else snapshot.on_held_out.rivals
    return all(x.over_network.value > 0 for x in rivals if x.phrase == baseline.phrase)
