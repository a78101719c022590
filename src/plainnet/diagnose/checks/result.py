"""Checks of what a training came to: did the network learn anything, and does it hold elsewhere."""

import math

import numpy as np

from plainnet.diagnose.checks.data import RARE
from plainnet.diagnose.checks.network import gradient_ratio, symmetric_layers
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import Finding
from plainnet.formatting import percent
from plainnet.metrics.intervals import Difference
from plainnet.nn.layers import Dense
from plainnet.nn.losses import is_positive
from plainnet.optim.optimizers import SGD

AT_BASE = 0.98  # of the base cost or more: nothing was learned
ABOVE_BASE = 1.1  # times the base cost: it does answer, and wrongly
HELD_BASE = 0.95  # the same on held-out rows, where chance has a part
AT_MOST = 0.1  # better than the same answer with 95 %: it is no better in practice
RIGHT = 0.05  # of accuracy above the most frequent answer: something was learned
SMALL = 0.01  # of the inputs' spread is left after the hidden layers
MOVED = 0.02  # of the first norm: below, the parameters have hardly moved
BETTER = 0.1  # by so much do neighbors beat a network that underfits
STRONG_L2 = 0.1
SIGMAS = 3.0


def check_result(snapshot: TrainingSnapshot, leaked: bool = False) -> list[Finding]:
    """Look for a network that ignores its input, fits too little, or knows nothing of new rows."""
    if not math.isfinite(snapshot.cost):
        return []
    nothing = at_base(snapshot, leaked)
    if nothing:
        rare = snapshot.labels is not None and float(snapshot.shares.min()) < RARE
        return nothing + (_one_class(snapshot) if rare else [])
    return _no_signal(snapshot, leaked) + _one_class(snapshot) + _underfits(snapshot)


def at_base(snapshot: TrainingSnapshot, leaked: bool = False) -> list[Finding]:
    """Find a cost at the entropy of the base rate, and say why."""
    if snapshot.base <= 0 or snapshot.cost < AT_BASE * snapshot.base:
        return []
    if snapshot.task != "numbers":
        _, y, _ = snapshot.rows
        own, same = (
            snapshot.loss.metric(Z, y)
            for Z in (snapshot.activity.Z, np.tile(snapshot.constant, (len(y), 1)))
        )
        if snapshot.class_weight is None and own > same + RIGHT:  # it errs rarely, but too surely
            return []
    cause, advice = _why_at_base(snapshot, leaked)
    if snapshot.task == "numbers":
        number = f"cost {snapshot.cost:.4f}; always the mean costs {snapshot.base:.4f}"
    else:
        number = f"cost {snapshot.cost:.4f}; the entropy of the base rate is {snapshot.base:.4f}"
        labels = snapshot.labels
        if labels is not None and len(snapshot.shares) == 2:
            number += f" ({int(labels.sum())} of {len(labels)} rows are {snapshot.class_name(1)})"
    return [
        Finding(
            "base rate",
            "problem",
            _says_at_base(snapshot),
            number,
            cause,
            advice,
        )
    ]


def _says_at_base(snapshot: TrainingSnapshot) -> str:
    if snapshot.cost > ABOVE_BASE * snapshot.base:
        return "The network has learned nothing: it is worse than the same answer for every row."
    known = "the mean" if snapshot.task == "numbers" else "how frequent the classes are"
    return f"The network ignores its input: it has learned no more than {known}."


def _why_at_base(snapshot: TrainingSnapshot, leaked: bool) -> tuple[str, str]:
    """Return the first cause that the figures show, and what to try."""
    symmetric = symmetric_layers(snapshot.net)
    if symmetric:
        what = "zero or equal weights"
        return (
            f"{symmetric[0]} began with {what}, so its units can only do the same and pass no "
            "gradient back.",
            "--init he_normal",
        )
    was_dead = {x.name for x in snapshot.first_activity.layers if x.dead == x.units}
    tiny = None if was_dead else _why_tiny(snapshot)
    if tiny is not None:
        return tiny
    for layer in snapshot.activity.layers:
        if layer.dead == layer.units:
            when = (
                "were so from the start: their biases or inputs are far below zero"
                if layer.name in was_dead and snapshot.probe is not None
                else f"a step too large killed them{_at_rate(snapshot)}"
                if too_high(snapshot)
                else "they died while it learned"
            )
            return (
                f"All {layer.units} units of {layer.name} are dead (zero for every row); {when}.",
                f"{_lower(snapshot)}--init he_normal, or --activation leaky_relu",
            )
    if snapshot.l2 >= STRONG_L2:
        return (
            f"The L2 penalty of {snapshot.l2:g} holds all weights near zero.",
            f"--l2 {snapshot.l2 / 1000:g}",
        )
    return _why_no_signal_through(snapshot) or _why_not_moved(snapshot, leaked)


def _why_tiny(snapshot: TrainingSnapshot) -> tuple[str, str] | None:
    layers = snapshot.first_activity.layers
    if not layers or layers[-1].spread >= SMALL:
        return None
    return (
        f"The weights began too small: after {layers[-1].name} the rows differed by only "
        f"{layers[-1].spread:.2g}, so the output hardly depends on the input and the gradient "
        "is as small.",
        "--init he_normal",
    )


def _why_no_signal_through(snapshot: TrainingSnapshot) -> tuple[str, str] | None:
    flat = [layer for layer in snapshot.activity.layers if layer.flat >= 0.7]
    if flat:
        return (
            f"{flat[0].name} is saturated ({100 * flat[0].flat:.0f} % of its outputs), so its "
            "slope is almost zero.",
            f"{_lower(snapshot)}--init xavier_normal, and scaled inputs",
        )
    ratio, first = (gradient_ratio(some) for some in (snapshot.activity, snapshot.first_activity))
    if ratio is not None and ratio < 1e-3:
        if too_high(snapshot) and (first is None or first >= 1e-3):
            return (
                f"The learning rate is too high{_at_rate(snapshot)}: its steps broke the way back, "
                f"so that no gradient reaches the first layer any more (a ratio of {ratio:.1g}).",
                _lower(snapshot).rstrip(", "),
            )
        return (
            f"The gradient vanishes before it reaches the first layer (a ratio of {ratio:.1g}).",
            "--activation relu --init he_normal, or fewer layers",
        )
    return None


def _why_not_moved(snapshot: TrainingSnapshot, leaked: bool) -> tuple[str, str]:
    moved, rate = snapshot.moved, snapshot.rate
    if moved is not None and moved < MOVED and rate is not None:
        return (
            f"The parameters have hardly moved (by {100 * moved:.2f} % of their norm): the "
            f"learning rate of {rate:g} is too low, or the training too short.",
            f"--lr {rate * 100:g}",
        )
    if too_high(snapshot):
        return (
            f"The learning rate is too high{_at_rate(snapshot)}.",
            _lower(snapshot).rstrip(", "),
        )
    if leaked:
        return (
            "One column tells the target, but the training did not get there: it was too short, "
            "or its network is too small.",
            "--epochs 500 --hidden 32",
        )
    near = snapshot.neighbors
    margin = SIGMAS * math.sqrt(0.25 / near.rows)
    if near.score > near.constant + max(margin, 0.05):
        return (
            "The inputs do tell the targets (the nearest other rows are right "
            f"{100 * near.score:.0f} % of the time), but the training did not get there: it was "
            "too short, or its network is too small.",
            "--epochs 500 --hidden 32",
        )
    return (
        "The inputs say nothing about the target: the labels may be shuffled, or belong to other "
        f"rows (even the nearest other rows are right only {100 * near.score:.0f} % of the time).",
        "compare a few rows of the file with their source",
    )


def too_high(snapshot: TrainingSnapshot) -> bool:
    """Whether the learning rate is above what is stable, or above the weights themselves."""
    rate = snapshot.rate
    if rate is None or snapshot.optimizer is None:
        return False
    if isinstance(snapshot.optimizer, SGD):
        steps = [s for s in (snapshot.first_stable_step, snapshot.stable_step) if s is not None]
        return bool(steps) and rate > min(steps)
    return rate > typical_weight(snapshot) * 0.5


def typical_weight(snapshot: TrainingSnapshot) -> float:
    """Return how large weights are where they are largest: at first, and as LeCun would begin."""
    weights = [layer.W for layer in snapshot.first_net.layers if isinstance(layer, Dense)]
    sizes = [float(np.square(W, dtype=np.float64).mean() ** 0.5) for W in weights]
    return max([*sizes, *(W.shape[1] ** -0.5 for W in weights)], default=1.0)


def _at_rate(snapshot: TrainingSnapshot) -> str:
    rate = snapshot.rate
    if rate is None:
        return ""
    step = snapshot.first_stable_step if isinstance(snapshot.optimizer, SGD) else None
    if step is None:
        return f" (learning rate {rate:g})"
    return f" (learning rate {rate:g}; the largest stable step at the start was about {step:.2g})"


def _lower(snapshot: TrainingSnapshot) -> str:
    rate = snapshot.rate
    return "" if rate is None or not too_high(snapshot) else f"--lr {lower_rate(snapshot):.1g}, "


def lower_rate(snapshot: TrainingSnapshot) -> float:
    """Return a learning rate that is worth a try where the present one is too high."""
    rate = snapshot.rate or 0.1
    if isinstance(snapshot.optimizer, SGD):
        steps = [s for s in (snapshot.first_stable_step, snapshot.stable_step) if s is not None]
        return min([rate / 2, *(s / 2 for s in steps)])
    return min(rate / 10, typical_weight(snapshot) / 50)


def _no_signal(snapshot: TrainingSnapshot, leaked: bool) -> list[Finding]:
    """Compare with the same answer for all on held-out rows; the interval decides what is said."""
    figures, better = snapshot.held_out_figures, snapshot.held_out_difference
    if figures is None or better is None:
        return []
    cost, score, base_cost, base_score, m = figures
    if cost < HELD_BASE * base_cost or better.low > 0:
        return []
    near = snapshot.neighbors
    far = near.score <= near.constant + SIGMAS * math.sqrt(0.25 / near.rows)
    unrelated = far and not leaked
    if better.high > AT_MOST and not unrelated:
        return [_too_few(better, m)]
    if snapshot.task == "numbers":
        number = f"cost {cost:.4f} on {m} held-out rows; always the mean costs {base_cost:.4f}"
    else:
        number = f"{percent(score)} right on {m} held-out rows; always the same answer "
        number += percent(base_score)
    return [
        Finding(
            "no signal",
            "problem",
            "On rows that it has not seen the network is no better than the same answer for all."
            if better.high <= AT_MOST
            else "Nothing shows that the network knows more than the same answer for all.",
            f"{number}; {_difference(better)}",
            "The inputs say nothing about the target: the labels may be shuffled, or belong to "
            "other rows. What the network learned is the training rows by heart."
            if unrelated
            else "The network learned the training rows by heart instead of what they have in "
            "common, or the held-out rows are of another kind.",
            "compare a few rows of the file with their source"
            if unrelated
            else "--hidden 4 --l2 0.01, or more rows",
        )
    ]


def _too_few(better: Difference, m: int) -> Finding:
    return Finding(
        "too few held-out rows",
        "note",
        "The held-out rows do not show whether the network is better than the same answer for all.",
        f"{m} held-out rows; {_difference(better)}",
        "So few rows leave a wide interval, and what the network says of them costs as much as the "
        "same answer would.",
        "--test-fraction 0.4, or more rows; several splits: plainnet train --repeat 5",
    )


def _difference(better: Difference) -> str:
    value, low, high = (100 * x for x in better[:3])
    return f"difference {value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"


def _one_class(snapshot: TrainingSnapshot) -> list[Finding]:
    if snapshot.task != "classes" or snapshot.labels is None:
        return []
    A = snapshot.loss.predictions(snapshot.activity.Z)
    said = set((A.argmax(1) if A.shape[1] > 1 else is_positive(A[:, 0])).astype(int).tolist())
    counts = snapshot.shares * len(snapshot.labels)
    never = [k for k, n in enumerate(counts) if n >= 5 and k not in said]
    if not never:
        return []
    k = never[0]
    more = f" (and {len(never) - 1} other classes)" if len(never) > 1 else ""
    return [
        Finding(
            "class never predicted",
            "warning",
            f"The network never answers {snapshot.class_name(k)!r}{more}.",
            f"{counts[k]:,.0f} of {len(snapshot.labels):,} training rows are of it "
            f"({percent(snapshot.shares[k])})",
            "The class is rare, so that leaving it out costs little.",
            "--class-weight balanced",
        )
    ]


def _underfits(snapshot: TrainingSnapshot) -> list[Finding]:
    near = snapshot.neighbors
    margin = SIGMAS * math.sqrt(0.25 / near.rows)
    if near.score < near.network + max(BETTER, margin):
        return []
    what = "explain" if snapshot.task == "numbers" else "are right on"
    of = "of the variance" if snapshot.task == "numbers" else "of the training rows"
    if snapshot.l2 >= 0.01 or snapshot.dropout >= 0.5:
        cause = f"It is held back: L2 {snapshot.l2:g}, dropout {snapshot.dropout:g}."
        advice = "--l2 0 --dropout 0"
    else:
        cause = "It is too small for the shape of the data, or was trained too short."
        advice = "--hidden 32 32, or more --epochs"
    return [
        Finding(
            "underfitting",
            "warning",
            "The network fits its own training rows worse than their nearest neighbors would.",
            f"the five nearest other rows {what} {percent(near.score)} {of}, "
            f"the network {percent(near.network)}",
            cause,
            advice,
        )
    ]
