"""Checks of the course of a training: its cost over the epochs, its steps, its batches."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.diagnose.checks.result import AT_BASE, lower_rate, too_high, typical_weight
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import Finding
from plainnet.formatting import percent
from plainnet.optim.optimizers import SGD
from plainnet.train.history import History

ENOUGH = 10  # epochs, before a course can be judged
SWING = 0.2  # of the cost, and
SWING_BASE = 0.02  # of the base cost, is a swing
OFTEN = 0.2  # of the epochs: a fifth, as in AUTOTRAINER
STEADY = 0.12  # of all that the cost fell, in the last quarter (a steady fall gives about 0.25)
FAR = 0.4  # of the base cost is left
LOST = 0.1  # of the base cost, given back since the best epoch
GIVEN_BACK = 0.3  # of the base cost: needs no other sign
RISE = 0.5  # of the lowest validation cost, and
RISE_BASE = 0.2  # of the base cost, is overfitting
GAP = 0.1  # of accuracy between training and held-out rows
GREW = 70.0  # times the gradient is at the end what it was at the start
UNMIXED = 1.5  # times the variance between batches that shuffled rows have
STILL = 0.01  # of the base cost: AUTOTRAINER's gain of a slow training


def check_learning_curve(snapshot: TrainingSnapshot) -> list[Finding]:
    """Look for a rate too high or too low, oscillation, overfitting, unmixed batches."""
    found = _batch_order(snapshot) + _grew(snapshot) + _overfitted(snapshot)
    history = snapshot.history
    if history is None or not history.loss:
        return found
    high = rate_too_high(snapshot, history.loss)
    swings = [] if high else _oscillation(snapshot, history.loss)
    slow = [] if high or swings else _slow(snapshot, history.loss)
    return found + high + swings + slow


def check_failure(snapshot: TrainingSnapshot) -> list[Finding]:
    """Say why a cost was no longer finite."""
    rate = snapshot.rate
    high = rate is not None and too_high(snapshot)
    return [
        Finding(
            "learning rate too high" if high else "cost not finite",
            "problem",
            "The training broke off, because the cost was no longer finite.",
            f"{snapshot.failure}" + (f"; {_step_size(snapshot)}" if high else ""),
            "The learning rate is too high: every step goes further past the valley."
            if high
            else "Inputs or targets that are not scaled, or weights that began too large.",
            f"--lr {lower_rate(snapshot):.1g}" if high else "--clip-norm 1, and scaled inputs",
        )
    ]


def _step_size(snapshot: TrainingSnapshot) -> str:
    """Put the learning rate beside what it is to be compared with."""
    if not isinstance(snapshot.optimizer, SGD):
        return (
            f"a step moves every weight by about {snapshot.rate:g}, and they began at about "
            f"{typical_weight(snapshot):.2g}"
        )
    feature_spans = (("start", snapshot.first_stable_step), ("end", snapshot.stable_step))
    steps = [f"{step:.2g} at the {when}" for when, step in feature_spans if step is not None]
    return f"the largest stable step, 2 over the curvature, is about {' and '.join(steps)}"


def blocks(values: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return the means of n consecutive parts, or the values where they are fewer."""
    column = np.asarray(values, np.float64)
    return np.array([part.mean() for part in np.array_split(column, min(n, len(column)))])


def swings(costs: ArrayLike, base: float) -> float:
    """Return the share of the epochs of the second half in which the cost rose by a swing."""
    half = np.asarray(costs, np.float64)[len(np.asarray(costs)) // 2 :]
    limit = max(SWING * float(half.mean()), SWING_BASE * base)
    return float(np.mean(np.diff(half) > limit)) if len(half) > 1 else 0.0


def rate_too_high(snapshot: TrainingSnapshot, costs: list[float]) -> list[Finding]:
    """Find a learning rate too high: by what the cost did, or by the size of the steps alone."""
    rate, rule = snapshot.rate, snapshot.optimizer
    if rate is None or rule is None:
        return []
    column = np.asarray(costs, np.float64)
    end, least = float(blocks(column, 10)[-1]), float(column.min())
    adaptive = not isinstance(rule, SGD)
    signs = []
    if len(column) >= ENOUGH and swings(column, snapshot.base) > OFTEN / 2:
        signs.append(
            f"the cost rose in {100 * swings(column, snapshot.base):.0f} % of the last epochs"
        )
    if end > least + max(LOST * snapshot.base, 0.5 * least):
        signs.append(f"the cost ended at {end:.4g} after it had been {least:.4g}")
    if snapshot.cost > AT_BASE * snapshot.base or not math.isfinite(snapshot.cost):
        signs.append("the cost is no lower than that of the same answer for every row")
    weights = typical_weight(snapshot)
    beyond = adaptive and rate > max(weights, 1e-12)
    given_back = end > least + GIVEN_BACK * snapshot.base
    if not beyond and not given_back and not (signs and too_high(snapshot)):
        return []
    return [
        Finding(
            "learning rate too high",
            "problem" if signs else "warning",
            f"The learning rate of {rate:g} is too high"
            + (f": {signs[0]}." if signs else ", though the cost did not show it."),
            _step_size(snapshot),
            "Every step goes past the valley and up the other side."
            if not adaptive
            else "Each step throws away what the weights were; units die or saturate.",
            f"--lr {lower_rate(snapshot):.1g}",
        )
    ]


def _oscillation(snapshot: TrainingSnapshot, costs: list[float]) -> list[Finding]:
    share = swings(costs, snapshot.base)
    if len(costs) < ENOUGH or share <= OFTEN:
        return []
    rate = snapshot.rate
    lower = "a lower --lr" if rate is None else f"--lr {rate / 3:.1g}"
    return [
        Finding(
            "oscillation",
            "warning",
            "The cost swings up and down instead of settling.",
            f"it rose by more than {100 * SWING:.0f} % in {100 * share:.0f} % of the last "
            f"{len(costs) // 2} epochs",
            "The steps are too large for the place that was reached, or the batches too small.",
            f"{lower}, --schedule cosine, or a larger --batch-size",
        )
    ]


def _slow(snapshot: TrainingSnapshot, costs: list[float]) -> list[Finding]:
    part = blocks(costs, 8)
    if len(part) < 8 or not math.isfinite(snapshot.cost):
        return []
    fell, late = part[0] - part[-1], part[5] - part[-1]
    moved = snapshot.moved
    standing = fell < STILL * snapshot.base and moved is not None and moved < 0.02
    steady = fell > 0 and late > STEADY * fell and late > STILL * snapshot.base
    if snapshot.cost < FAR * snapshot.base or not (standing or steady):
        return []
    rate = snapshot.rate
    number = f"the cost fell from {costs[0]:.4f} to {costs[-1]:.4f}"
    if standing:
        number += f", and the parameters moved by {100 * (moved or 0):.2f} % of their norm"
    else:
        number += f", {100 * late / fell:.0f} % of it in the last quarter of the epochs"
    if isinstance(snapshot.optimizer, SGD) and snapshot.stable_step is not None:
        number += f"; the largest stable step is about {snapshot.stable_step:.2g}"
        advice = f"--lr {snapshot.stable_step / 4:.1g}, or more --epochs"
    else:
        advice = f"--lr {(rate or 0.001) * 10:.1g}, or more --epochs"
    return [
        Finding(
            "learning rate too low",
            "warning",
            "The cost was still falling when the training ended."
            if steady
            else "The cost hardly moves.",
            number,
            "The learning rate is too low for so few epochs."
            if rate is None
            else f"The learning rate of {rate:g} is too low for {len(costs):,} epochs.",
            advice,
        )
    ]


def _overfitted(snapshot: TrainingSnapshot) -> list[Finding]:
    history = snapshot.history
    if history is not None and len(history.val_loss) >= ENOUGH:
        return _overfitted_from(snapshot, history)
    figures = snapshot.held_out_figures
    if figures is None or snapshot.task == "numbers":
        return []
    cost, score, _, _, m = figures
    own = snapshot.loss.metric(snapshot.activity.Z, snapshot.rows[1])
    margin = 3 * math.sqrt(max(own * (1 - own), 0.05) / m)
    if own - score < max(GAP, margin) or cost < snapshot.cost + RISE * snapshot.base:
        return []
    return [
        _overfitting(
            f"{percent(own)} right on the training rows, {percent(score)} on {m} held-out rows",
            "The network learned its training rows by heart.",
            "warning",
            "--validation-fraction 0.2 --patience 10, --dropout 0.2, --l2 0.01 or fewer units",
        )
    ]


def _overfitted_from(snapshot: TrainingSnapshot, history: History) -> list[Finding]:
    width = max(1, len(history.val_loss) // 20)
    column = np.convolve(history.val_loss, np.ones(width) / width, mode="valid")
    best = int(column.argmin())
    rise = float(column[-1] - column[best])
    own = blocks(history.loss, 20)
    if rise < max(RISE * float(column[best]), RISE_BASE * snapshot.base):
        return []
    if own[-1] >= float(np.mean(history.loss[best : best + width])):
        return []
    restored = history.best_epoch is not None
    number = (
        f"the validation cost rose from {column[best]:.4f} to {column[-1]:.4f} since epoch "
        f"{best + width}, while the training cost fell to {history.loss[-1]:.4f}"
    )
    began = f"From epoch {best + width + 1} on the network learned its training rows by heart"
    return [
        _overfitting(
            number,
            f"{began}; the weights of epoch {history.best_epoch} were restored."
            if restored
            else f"{began}.",
            "note" if restored else "warning",
            f"--epochs {best + width}"
            if restored
            else f"--validation-fraction 0.2 --patience 10, or --epochs {best + width}, or --l2 0.01",
        )
    ]


def _overfitting(number: str, cause: str, level: str, advice: str) -> Finding:
    return Finding(
        "overfitting",
        "note" if level == "note" else "warning",
        "The network does better and better on its training rows, and worse on others.",
        number,
        cause,
        advice,
    )


def _grew(snapshot: TrainingSnapshot) -> list[Finding]:
    if snapshot.probe is None or len(snapshot.probe.gradients) < ENOUGH:
        return []
    norms = np.linalg.norm(snapshot.probe.gradients, axis=1)
    tenth = max(len(norms) // 10, 1)
    first, last = float(np.median(norms[:tenth])), float(np.median(norms[-tenth:]))
    if not first > 0 or last < GREW * first:
        return []
    return [
        Finding(
            "exploding gradients",
            "warning",
            "The gradient grew while the network learned.",
            f"its norm was {first:.2g} in the first tenth of the epochs, {last:.2g} in the last",
            "The steps are too large, and the weights grow with them.",
            "--clip-norm 1, or a lower --lr",
        )
    ]


def _batch_order(snapshot: TrainingSnapshot) -> list[Finding]:
    mixing = [] if snapshot.probe is None else [m for m in snapshot.probe.mixing if m.batches > 1]
    if not mixing:
        return []
    ratio = float(np.mean([m.ratio for m in mixing]))
    freedom = sum(m.batches - 1 for m in mixing)
    limit = UNMIXED + 6 * math.sqrt(2 / freedom)
    if ratio < limit:
        return []
    return [
        Finding(
            "batch order",
            "problem",
            "The batches are not drawn at random: each holds rows of one kind.",
            f"their mean targets vary {ratio:.1f} times as much as in shuffled batches "
            f"({mixing[-1].batches} batches; more than {limit:.1f} is no chance)",
            "The rows came sorted by their target, and were fed part by part or not shuffled, so "
            "each batch undoes what the last one taught.",
            "rng.permutation(len(X)) before they are cut into parts, or all rows in one fit()",
        )
    ]
