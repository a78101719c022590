"""Checks of a training: its cost over the epochs, its learning rate, its batches."""

import math
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.diagnose.checks.learned import UNMOVED, lr_evidence
from plainnet.diagnose.checks.network import VANISHED, gradient_ratio
from plainnet.diagnose.remedies import clip, regularize, slow_down, speed_up
from plainnet.diagnose.snapshot import AT_BASE, TrainingSnapshot
from plainnet.evaluate.finding import Finding, Level, advise
from plainnet.formatting import percent
from plainnet.optim.optimizers import SGD

_EPOCHS = 10  # fewer epochs show no trend
_SOLVED = 0.01  # share of the cost of a constant prediction on held-out rows
_RISE = 0.2  # an oscillation: a rise by this share of the mean cost, and
_RISE_BASE = 0.02  # by this share of the base cost, from one epoch to the next
_OFTEN = 0.2  # share of the epochs that rise, as in AUTOTRAINER
_STEADY = 0.12  # share of the fall of the cost in the last quarter (0.25 if it is steady)
_HIGH = 0.4  # share of the base cost at the end
_LOST = 0.1  # the cost ended above its lowest by this share of the base cost
_LOST_MUCH = 0.3  # the same, which needs no other sign
_VAL_RISE = 0.5  # overfitting: a rise by this share of the lowest validation cost, and
_VAL_RISE_BASE = 0.2  # by this share of the base cost
_GAP = 0.1  # difference in accuracy between training and held-out rows
_GREW = 70.0  # norm of the gradient at the end, relative to the start
_UNSHUFFLED = 1.5  # variance between batches, relative to shuffled rows
_STILL = 0.01  # share of the base cost, AUTOTRAINER's gain of a slow training


def check_failure(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Name the cause of a cost that is not finite."""
    if snapshot.failure is None:
        return
    high = snapshot.lr_too_high
    yield Finding(
        "learning rate too high" if high else "cost not finite",
        "problem",
        "The training failed, because the cost was no longer finite.",
        snapshot.failure + (f"; {lr_evidence(snapshot)}" if high else ""),
        "The learning rate is too high: each update overshoots the minimum by more."
        if high
        else "Unscaled inputs or targets, or too large initial weights.",
        **(slow_down(snapshot) if high else clip(snapshot)),
    )


def check_learning_curve(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for a learning rate too high, else for oscillation, else for one too low.

    Where held-out rows cost next to nothing, no other rate can be better.
    """
    held_out = snapshot.on_held_out
    solved = held_out is not None and held_out.cost < _SOLVED * held_out.constant_cost
    if snapshot.history is not None and snapshot.history.loss and not solved:
        costs = snapshot.history.loss
        checks = (_lr_too_high, _oscillation, _too_slow)
        yield from islice(chain.from_iterable(check(snapshot, costs) for check in checks), 1)


def block_means(values: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return the means of n consecutive parts, or the values where they are fewer."""
    parts = np.array_split(np.asarray(values, np.float64), n)
    return np.array([part.mean() for part in parts if len(part)])


def share_of_rises(costs: ArrayLike, base_cost: float) -> float:
    """Return the share of epochs in the second half with a clearly higher cost than before."""
    half = np.asarray(costs, np.float64)[len(np.asarray(costs)) // 2 :]
    limit = max(_RISE * float(half.mean()), _RISE_BASE * base_cost)
    return float(np.mean(np.diff(half) > limit)) if len(half) > 1 else 0.0


def _lr_too_high(snapshot: TrainingSnapshot, costs: list[float]) -> Iterator[Finding]:
    """Judge by the cost together with the learning rate, or by the learning rate alone."""
    lr, optimizer, base = snapshot.lr, snapshot.optimizer, snapshot.base_cost
    if lr is None or optimizer is None:
        return
    end, lowest = float(block_means(costs, 10)[-1]), float(min(costs))
    rises, adaptive = share_of_rises(costs, base), not isinstance(optimizer, SGD)
    signs = []
    if len(costs) >= _EPOCHS and rises > _OFTEN / 2:
        signs.append(f"the cost rose in {100 * rises:.0f} % of the last epochs")
    if end > lowest + max(_LOST * base, 0.5 * lowest):
        signs.append(f"the cost ended at {end:.4g} after a lowest cost of {lowest:.4g}")
    if snapshot.cost > AT_BASE * base or not math.isfinite(snapshot.cost):
        signs.append("the cost is no lower than that of a constant prediction")
    extreme = adaptive and lr > snapshot.weight_size
    if extreme or end > lowest + _LOST_MUCH * base or (signs and snapshot.lr_too_high):
        yield Finding(
            "learning rate too high",
            "problem" if signs else "warning",
            f"The learning rate of {lr:g} is too high"
            + (f": {signs[0]}." if signs else ", though the cost did not show it."),
            lr_evidence(snapshot),
            "Each update replaces the weights by values of its own size; units die or saturate."
            if adaptive
            else "Each update overshoots the minimum.",
            **slow_down(snapshot),
        )


def _oscillation(snapshot: TrainingSnapshot, costs: list[float]) -> Iterator[Finding]:
    rises = share_of_rises(costs, snapshot.base_cost)
    if len(costs) < _EPOCHS or rises <= _OFTEN:
        return
    yield Finding(
        "oscillation",
        "warning",
        "The cost oscillates instead of converging.",
        f"it rose by more than {100 * _RISE:.0f} % in {100 * rises:.0f} % of the last "
        f"{len(costs) // 2} epochs",
        "The updates are too large at this stage, or the batches too small.",
        **slow_down(snapshot, {"schedule": "cosine"}),
    )


def _too_slow(snapshot: TrainingSnapshot, costs: list[float]) -> Iterator[Finding]:
    """Look for a cost that hardly moves, or that was still falling, also on validation rows."""
    means, base, history = block_means(costs, 8), snapshot.base_cost, snapshot.history
    if len(means) < 8 or not math.isfinite(snapshot.cost) or snapshot.cost < _HIGH * base:
        return
    fell, late = means[0] - means[-1], means[5] - means[-1]
    change, lr = snapshot.relative_change, snapshot.lr
    unmoved = fell < _STILL * base and change is not None and change < UNMOVED
    falling = fell > 0 and late > _STEADY * fell and late > _STILL * base
    assert history is not None  # for the type checker
    if history.val_loss:
        val = block_means(history.val_loss, 8)
        falling &= val[5] - val[-1] > late / 2
    ratio = gradient_ratio(snapshot.statistics)
    vanished = ratio is not None and ratio < VANISHED  # no learning rate helps the first layers
    if history.best_epoch is not None or vanished or not (unmoved or falling):
        return
    evidence = f"the cost fell from {costs[0]:.4f} to {costs[-1]:.4f}"
    if unmoved:
        evidence += f", and the parameters moved by {100 * (change or 0):.2f} % of their norm"
    else:
        evidence += f", {100 * late / fell:.0f} % of it in the last quarter of the epochs"
    if isinstance(snapshot.optimizer, SGD):
        evidence += f"; the largest stable learning rate is about {snapshot.largest_stable_lr:.2g}"
    advice = speed_up(snapshot)
    cause = f"The learning rate of {lr:g} is too low" if lr else "The learning rate is too low"
    yield Finding(
        "learning rate too low" if "lr" in advice["options"] else "too few epochs",
        "warning",
        "The cost was still falling when the training ended."
        if falling
        else "The cost hardly moves.",
        evidence,
        f"{cause} for {len(costs):,} epochs."
        if "lr" in advice["options"]
        else f"The training was too short: {len(costs):,} epochs.",
        **advice,
    )


def check_overfitting(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for a rising validation cost, or for a gap between training and held-out rows."""
    history = snapshot.history
    level: Level = "warning"
    if history is not None and len(history.val_loss) >= _EPOCHS:
        width = max(1, len(history.val_loss) // 20)
        val = np.convolve(history.val_loss, np.ones(width) / width, mode="valid")
        best = int(val.argmin())
        if val[-1] - val[best] < max(_VAL_RISE * val[best], _VAL_RISE_BASE * snapshot.base_cost):
            return
        if block_means(history.loss, 20)[-1] >= np.mean(history.loss[best : best + width]):
            return
        epoch = best + width
        evidence = (
            f"the validation cost rose from {val[best]:.4f} to {val[-1]:.4f} since epoch {epoch}, "
            f"while the training cost fell to {history.loss[-1]:.4f}"
        )
        cause, advice = f"From epoch {epoch + 1} on the network memorized its training rows", {}
        if history.best_epoch is not None:
            cause += f"; the weights of epoch {history.best_epoch} were restored"
            level, advice = "note", advise({}, "nothing: early stopping did its work")
    elif snapshot.on_held_out is not None and snapshot.memorized:
        held_out, right = snapshot.on_held_out, snapshot.on_training.score
        margin = 3 * math.sqrt(max(right * (1 - right), 0.05) / held_out.rows)
        if snapshot.task == "regression" or right - held_out.score < max(_GAP, margin):
            return
        evidence = f"{percent(right)} right on the training rows, "
        evidence += f"{percent(held_out.score)} on {held_out.rows} held-out rows"
        cause, advice = "The network memorized its training rows", {}
    else:
        return
    yield Finding(
        "overfitting",
        level,
        "The network improves on its training rows and gets worse on others.",
        evidence,
        f"{cause}.",
        **(advice or regularize(snapshot)),
    )


def check_gradient_growth(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for gradients that grow during the training."""
    recorder = snapshot.recorder
    if recorder is None or len(recorder.gradients) < _EPOCHS:
        return
    norms = np.linalg.norm(recorder.gradients, axis=1)
    tenth = max(len(norms) // 10, 1)
    first, last = float(np.median(norms[:tenth])), float(np.median(norms[-tenth:]))
    if first > 0 and last >= _GREW * first:
        yield Finding(
            "exploding gradients",
            "warning",
            "The gradient grew during training.",
            f"its norm was {first:.2g} in the first tenth of the epochs, {last:.2g} in the last",
            "The updates are too large, and the weights grow with them.",
            **clip(snapshot),
        )


def check_batch_order(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for batches that are not random samples of the rows."""
    recorder = snapshot.recorder
    variances = [] if recorder is None else [v for v in recorder.batch_variances if v.batches > 1]
    if not variances:
        return
    ratio = float(np.mean([variance.ratio for variance in variances]))
    freedom = sum(variance.batches - 1 for variance in variances)
    limit = _UNSHUFFLED + 6 * math.sqrt(2 / freedom)
    if ratio >= limit:
        yield Finding(
            "batch order",
            "problem",
            "The batches are not random samples: each holds similar targets.",
            f"their mean targets vary {ratio:.1f} times as much as in shuffled batches "
            f"({variances[-1].batches} batches; more than {limit:.1f} is not chance)",
            "The rows are sorted by target and were passed in parts or not shuffled, so each batch "
            "undoes the previous ones.",
            **advise({}, "rng.permutation(len(X)) before the rows are divided, or one fit()"),
        )
