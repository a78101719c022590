"""Checks of a network: weights, activations and gradients."""

from collections.abc import Iterator

import numpy as np

from plainnet.diagnose.activations import Statistics
from plainnet.diagnose.remedies import clip, desaturate, initialize, open_path, revive, slow_down
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import Finding, Level, advise
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential
from plainnet.optim.optimizers import SGD

_DEAD = 0.7  # share of a layer's units for a warning, as in AUTOTRAINER (Zhang et al., 2021)
_SOME_DEAD = 0.25  # share of them for a note
STRONG_DROPOUT = 0.8
SATURATED = 0.7  # share of the outputs of a sigmoid or tanh layer
VANISHED = 1e-3  # gradient of the first layer, relative to the last
_EXPLODED = 70.0  # the same
_EQUAL = 1e-6  # largest relative difference between the weights of equal units
_LEARNED = 0.5  # share of the base cost below which the training succeeded


def check_initial_network(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Check the network before the training."""
    yield from _check_network(snapshot, snapshot.initial_net, snapshot.initial_statistics, False)


def check_trained_network(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Check the network after the training."""
    learned = snapshot.cost < _LEARNED * snapshot.base_cost
    yield from _check_network(snapshot, snapshot.net, snapshot.statistics, learned)


def check_dropout(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for dropout that leaves hardly anything."""
    rate = snapshot.options.dropout or 0
    if rate >= STRONG_DROPOUT:
        yield Finding(
            "strong dropout",
            "warning",
            f"Dropout hides {100 * rate:.0f} % of the numbers that it gets.",
            f"a rate of {rate:g}; usual are 0.1 to 0.5",
            "Few numbers are left to learn from in a step.",
            **advise({"dropout": 0.2}),
        )


def check_convolutions(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for kernels of one pixel, and for convolutions of a picture of one pixel."""
    layers = [layer for layer in snapshot.net.layers if isinstance(layer, Conv2D)]
    kernels = [layer.kernel for layer in layers]
    if layers and max(kernels) == 1:
        yield Finding(
            "kernels of one pixel",
            "warning",
            "Each convolution looks at single pixels, so it sees no edges or shapes.",
            f"all {len(layers)} kernels are 1 x 1",
            "A kernel has to cover neighboring pixels to compare them.",
            **advise({"kernel": 3}),
        )
    blind = [x for x in layers if x.kernel > 1 and x.in_shape[:2] == (1, 1)]
    if blind:
        height, width, _ = snapshot.net.in_shape
        yield Finding(
            "small pictures",
            "warning",
            f"The pictures are too small for {len(layers)} blocks, each of which halves them.",
            f"pictures of {height} x {width} pixels; {' and '.join(x.name for x in blind)} "
            f"get{'s' * (len(blind) == 1)} a single pixel",
            "Of a kernel on a single pixel all weights but the one in the middle are useless.",
            **advise({"size": 4 * 2 ** len(layers)}),
        )


def check_initial_lr(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Compare the learning rate of gradient descent with the largest stable one."""
    lr = snapshot.lr
    stable = snapshot.initial_stable_lr if isinstance(snapshot.optimizer, SGD) else None
    if lr is not None and stable is not None and lr > stable:
        yield Finding(
            "step size",
            "note",
            "The learning rate is above the largest stable one at the start.",
            f"learning rate {lr:g}; 2 over the curvature is about {stable:.2g}",
            "The cost may rise at first; it often reaches a flatter region by itself.",
            **slow_down(snapshot),
        )


def _check_network(
    snapshot: TrainingSnapshot, net: Sequential, statistics: Statistics, learned: bool
) -> list[Finding]:
    findings = (
        [*_equal_weights(snapshot, net)]
        or [*_dead(snapshot, statistics)]
        or [*_saturated(snapshot, statistics, learned)]
    )
    if not learned and all(finding.level != "problem" for finding in findings):
        findings += _gradients(snapshot, statistics)
    return findings


def layers_of_equal_units(net: Sequential) -> list[Dense | Conv2D]:
    """Return the hidden layers whose units or filters all have the same weights."""
    hidden = [layer for layer in net.layers if isinstance(layer, Dense | Conv2D)][:-1]
    return [
        layer
        for layer in hidden
        if len(layer.W) > 1
        and np.ptp(layer.W, axis=0).max() <= _EQUAL * max(np.abs(layer.W).max(), 1e-30)
    ]


def _equal_weights(snapshot: TrainingSnapshot, net: Sequential) -> Iterator[Finding]:
    layers = layers_of_equal_units(net)
    if not layers:
        return
    names = " and ".join(layer.name for layer in layers)
    zero = not any(layer.W.any() for layer in layers)
    yield Finding(
        "symmetric weights",
        "problem",
        f"The weights of {names} {'are all zero' if zero else 'are the same for every unit'}.",
        f"{sum(len(layer.W) for layer in layers)} units compute {len(layers)} different "
        f"number{'s' if len(layers) > 1 else ''} for a row",
        "Units with equal weights get equal gradients and stay equal, so such a layer acts as one "
        "unit; zero weights pass no gradient back.",
        **initialize(snapshot),
    )


def _dead(snapshot: TrainingSnapshot, statistics: Statistics) -> Iterator[Finding]:
    for layer in statistics.layers:
        share = layer.dead / layer.units
        if share < _SOME_DEAD:
            continue
        every = layer.dead == layer.units
        level: Level = "problem" if every else "warning" if share >= _DEAD else "note"
        unit = layer.unit
        row = "every row" if unit == "unit" else "every pixel of every picture"
        units = f"All {unit}s" if every else f"{layer.dead} of {layer.units} {unit}s"
        effect = ", so no information passes it" if every else ""
        yield Finding(
            "dead relu",
            level,
            f"{units} of {layer.name} are zero for {row}{effect}.",
            f"{layer.dead} of {layer.units} {unit}s ({100 * share:.0f} %) over all rows",
            "Too large an update, or inputs far from zero, pushed them below zero for all rows, "
            "where the gradient of a ReLU is zero: they cannot recover.",
            **revive(snapshot),
        )


def _saturated(
    snapshot: TrainingSnapshot, statistics: Statistics, learned: bool
) -> Iterator[Finding]:
    for layer in statistics.layers:
        if layer.saturated >= SATURATED:
            yield Finding(
                "saturated",
                "note" if learned else "warning",
                f"{layer.name} is saturated: nearly all its outputs are at the ends of its range.",
                f"{100 * layer.saturated:.0f} % of its outputs over all rows, where its slope is "
                "almost zero",
                "Its inputs are too large: from too large initial weights, a too high learning "
                "rate, or unscaled columns.",
                **desaturate(snapshot),
            )


def gradient_ratio(statistics: Statistics) -> float | None:
    """Return the gradient at the first layer with weights, relative to that at the last."""
    sizes = list(statistics.gradients.values())
    return sizes[0] / sizes[-1] if len(sizes) > 1 and sizes[-1] > 0 else None


def _gradients(snapshot: TrainingSnapshot, statistics: Statistics) -> Iterator[Finding]:
    ratio = gradient_ratio(statistics)
    if ratio is None or VANISHED <= ratio <= _EXPLODED:
        return
    (first, dZ), *_, (last, last_dZ) = statistics.gradients.items()
    evidence = (
        f"root mean square of dZ: {dZ:.2g} at {first}, {last_dZ:.2g} at {last}, "
        f"a ratio of {ratio:.2g}"
    )
    if ratio < VANISHED:
        yield Finding(
            "vanishing gradients",
            "warning",
            f"The gradient vanishes before it reaches {first}.",
            evidence,
            "Every layer shrinks it: sigmoid or tanh in a deep network, or too small initial "
            "weights. The first layers hardly learn.",
            **open_path(snapshot),
        )
    else:
        yield Finding(
            "exploding gradients",
            "warning",
            f"The gradient grows on its way back to {first}.",
            evidence,
            "Every layer enlarges it: the weights are too large for so many layers.",
            **clip(snapshot, {"init": "he_normal"}),
        )
