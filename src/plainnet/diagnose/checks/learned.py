"""Check whether the network learned anything, and name the cause if it did not."""

import math
from collections.abc import Iterator
from typing import Any

from plainnet.diagnose.advice import unusual_lr
from plainnet.diagnose.checks.network import (
    SATURATED,
    STRONG_DROPOUT,
    VANISHED,
    gradient_ratio,
    layers_of_equal_units,
)
from plainnet.diagnose.remedies import (
    desaturate,
    enlarge,
    gains,
    initialize,
    open_path,
    revive,
    slow_down,
    smaller_weights,
    speed_up,
)
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import Finding, advise
from plainnet.optim.optimizers import SGD

_ABOVE_BASE = 1.1  # times the base cost: worse than a constant
_TINY_STD = 0.01  # standard deviation of the last hidden layer's outputs
_SMALL_GAIN = 0.5  # by which a layer multiplies its inputs; he_normal has 1.4
UNMOVED = 0.02  # share of the norm of the initial parameters
_STRONG_L2 = 0.1


def check_learned(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for a network that ignores its input."""
    cost, base = snapshot.cost, snapshot.base_cost
    if not math.isfinite(cost) or snapshot.has_learned:
        return
    if snapshot.task == "regression":
        known, evidence = "the mean", f"cost {cost:.4f}; always the mean costs {base:.4f}"
    else:
        known = "the class frequencies"
        evidence = f"cost {cost:.4f}; the entropy of the base rate is {base:.4f}"
        labels = snapshot.labels
        if labels is not None and len(snapshot.class_shares) == 2:
            evidence += f" ({int(labels.sum())} of {len(labels)} rows are {snapshot.class_name(1)})"
    cause, advice = next(_causes(snapshot))
    yield Finding(
        "base rate",
        "problem",
        "The network has learned nothing: it is worse than a constant prediction."
        if cost > _ABOVE_BASE * base
        else f"The network ignores its input: it has learned only {known}.",
        evidence,
        cause,
        **advice,
    )


def _causes(snapshot: TrainingSnapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the causes of an ignored input that the measurements show, each with its advice."""
    yield from _weight_causes(snapshot)
    if snapshot.options.l2 >= _STRONG_L2:
        cause = f"The L2 penalty of {snapshot.options.l2:g} holds all weights near zero."
        yield cause, advise({"l2": 0.0})
    rate = snapshot.options.dropout or 0.0
    if rate >= STRONG_DROPOUT:
        yield f"Dropout of {rate:g} hides nearly everything.", advise({"dropout": 0.2})
    for layer in snapshot.statistics.layers:
        if layer.saturated >= SATURATED:
            yield (
                f"{layer.name} is saturated ({100 * layer.saturated:.0f} % of its outputs), so its "
                "slope is almost zero.",
                desaturate(snapshot),
            )
    if smaller_weights(snapshot):
        yield enlarge(snapshot)
    yield from _gradient_causes(snapshot)
    yield _input_cause(snapshot)


def _weight_causes(snapshot: TrainingSnapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    init = initialize(snapshot)
    for equal in layers_of_equal_units(snapshot.net):
        yield (
            f"{equal.name} started with zero or equal weights, so its units stay equal and "
            "pass no gradient back.",
            init,
        )
    layers, initial_layers = snapshot.statistics.layers, snapshot.initial_statistics.layers
    dead_at_start = any(layer.dead == layer.units for layer in initial_layers)
    small = min(gains(snapshot.initial_net), default=1) < _SMALL_GAIN
    if layers and small and initial_layers[-1].std < _TINY_STD and not dead_at_start:
        yield (
            f"The initial weights are too small: after {layers[-1].name} the rows differ by only "
            f"{initial_layers[-1].std:.2g}, so the output hardly depends on the input and the "
            "gradient is as small.",
            init,
        )
    for layer, initial in zip(layers, initial_layers, strict=True):
        if layer.dead < layer.units:
            continue
        when = "they died during training"
        if initial.dead == initial.units and snapshot.recorder is not None:
            when = "they were dead from the start: biases or inputs are far below zero"
        elif snapshot.lr_too_high:
            when = f"too large an update killed them: {lr_evidence(snapshot)}"
        yield (
            f"All {layer.units} {layer.unit}s of {layer.name} are dead (zero for every "
            f"{'row' if layer.unit == 'unit' else 'picture'}); {when}.",
            revive(snapshot),
        )


def _gradient_causes(snapshot: TrainingSnapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    ratio, initial = map(gradient_ratio, (snapshot.statistics, snapshot.initial_statistics))
    lr, change = snapshot.lr, snapshot.relative_change
    lower = slow_down(snapshot)
    if ratio is not None and ratio < VANISHED:
        unusual = lr is not None and unusual_lr(snapshot.options, lr)
        if (snapshot.lr_too_high or unusual) and (initial is None or initial >= VANISHED):
            yield (
                f"The learning rate of {lr:g} is too high: its updates destroyed the path "
                f"back, so no gradient reaches the first layer (a ratio of {ratio:.1g}).",
                lower,
            )
        yield (
            f"The gradient vanishes before it reaches the first layer (a ratio of {ratio:.1g}).",
            open_path(snapshot),
        )
    if change is not None and change < UNMOVED and lr is not None:
        yield (
            f"The parameters have hardly moved (by {100 * change:.2f} % of their norm): the "
            f"learning rate of {lr:g} is too low, or the training too short.",
            speed_up(snapshot),
        )
    if snapshot.lr_too_high:
        yield f"The learning rate of {lr:g} is too high: {lr_evidence(snapshot)}.", lower


def _input_cause(snapshot: TrainingSnapshot) -> tuple[str, dict[str, Any]]:
    right = f"{100 * snapshot.neighbors.score:.0f} % of the time"
    if snapshot.has_signal:
        cause, advice = enlarge(snapshot)
        return f"The inputs predict the target, but the network does not learn it. {cause}", advice
    return (
        "The inputs do not predict the target: the labels may be shuffled, or belong to other rows "
        f"(even the nearest other rows are right only {right}).",
        advise({}, "compare a few rows of the file with their source"),
    )


def lr_evidence(snapshot: TrainingSnapshot) -> str:
    """Return the values to compare the learning rate with."""
    if not isinstance(snapshot.optimizer, SGD):
        return (
            f"an update moves every weight by about {snapshot.lr:g}, and the initial weights are "
            f"about {snapshot.weight_size:.2g}"
        )
    both = (("start", snapshot.initial_stable_lr), ("end", snapshot.stable_lr))
    known = [f"{lr:.2g} at the {when}" for when, lr in both if lr is not None]
    return f"the largest stable learning rate, 2 over the curvature, is about {' and '.join(known)}"
