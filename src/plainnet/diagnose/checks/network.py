"""Checks of a network: its weights, the activity of its layers, the gradients that reach them."""

import numpy as np

from plainnet.diagnose.activations import Activity
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import Finding, Level
from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential

DEAD = 0.7  # of a layer's units: AUTOTRAINER's share (Zhang et al., 2021)
SOME_DEAD = 0.25  # is worth a note
FLAT = 0.7  # of the outputs of a sigmoid or tanh layer
VANISHED = 1e-3  # of the last gradient is left at the first layer
EXPLODED = 70.0  # times the last gradient reaches the first layer
ALIKE = 1e-6  # relative difference between the weights of two units
LEARNED = 0.5  # of the base cost: below, a training has succeeded whatever its gradients


def check_network(snapshot: TrainingSnapshot, activity: Activity, net: Sequential) -> list[Finding]:
    """Look for symmetric weights, dead and saturated layers, vanishing and exploding gradients."""
    found = _symmetric(net) or _dead(activity)
    learned = activity is not snapshot.first_activity and snapshot.cost < LEARNED * snapshot.base
    if not found:
        found += _saturated(activity, learned)
    if not learned and not any(f.level == "problem" for f in found):
        found += _gradients(activity)
    return found


def symmetric_layers(net: Sequential) -> list[str]:
    """Return the hidden dense layers whose units all hold the same weights."""
    dense = [layer for layer in net.layers if isinstance(layer, Dense)]
    return [
        layer.name
        for layer in dense[:-1]
        if len(layer.W) > 1
        and float(np.ptp(layer.W, axis=0).max()) <= ALIKE * max(float(np.abs(layer.W).max()), 1e-30)
    ]


def _symmetric(net: Sequential) -> list[Finding]:
    layers = symmetric_layers(net)
    if not layers:
        return []
    dense = {layer.name: layer for layer in net.layers if isinstance(layer, Dense)}
    zero = not any(dense[name].W.any() for name in layers)
    what = "are all zero" if zero else "are the same for every unit"
    return [
        Finding(
            "symmetric weights",
            "problem",
            f"The weights of {_listed(layers)} {what}.",
            f"{sum(len(dense[name].W) for name in layers)} units compute "
            f"{len(layers)} different number{'s' if len(layers) > 1 else ''} for a row",
            "Units that begin alike get the same gradient and stay alike for ever, so a layer is "
            "worth one unit; zero weights pass no gradient back at all.",
            "--init he_normal (random weights; biases may begin at zero)",
        )
    ]


def _dead(activity: Activity) -> list[Finding]:
    found = []
    for layer in activity.layers:
        share = layer.dead / layer.units
        if share < SOME_DEAD:
            continue
        every = layer.dead == layer.units
        level: Level = "problem" if every else "warning" if share >= DEAD else "note"
        who = "All units" if every else f"{layer.dead} of {layer.units} units"
        so = ", so nothing of the input gets through" if every else ""
        found.append(
            Finding(
                "dead relu",
                level,
                f"{who} of {layer.name} are zero for every row{so}.",
                f"{layer.dead} of {layer.units} units ({100 * share:.0f} %) over all rows",
                "A step too large, or inputs far from zero, pushed them below zero for all rows, "
                "and there a ReLU's gradient is zero: they cannot come back.",
                "a lower --lr, or --activation leaky_relu",
            )
        )
    return found


def _saturated(activity: Activity, learned: bool) -> list[Finding]:
    return [
        Finding(
            "saturated",
            "note" if learned else "warning",
            f"{layer.name} is saturated: nearly all its outputs are at the ends of its range.",
            f"{100 * layer.flat:.0f} % of its outputs for all rows lie where its slope is almost "
            "zero",
            "Its inputs are too large: weights that began too large or were pushed there by a "
            "learning rate too high, or columns that were not scaled.",
            "--init xavier_normal, and scaled inputs",
        )
        for layer in activity.layers
        if layer.flat >= FLAT
    ]


def gradient_ratio(activity: Activity) -> float | None:
    """Return the gradient that reaches the first dense layer as a share of that at the last."""
    if len(activity.gradients) < 2 or not activity.gradients[-1].dZ > 0:
        return None
    return activity.gradients[0].dZ / activity.gradients[-1].dZ


def _gradients(activity: Activity) -> list[Finding]:
    ratio = gradient_ratio(activity)
    if ratio is None:
        return []
    first, last = activity.gradients[0], activity.gradients[-1]
    number = (
        f"root mean square of dZ: {first.dZ:.2g} at {first.name}, {last.dZ:.2g} at {last.name}, "
        f"a ratio of {ratio:.2g}"
    )
    if ratio < VANISHED:
        return [
            Finding(
                "vanishing gradients",
                "warning",
                f"The gradient vanishes on its way back to {first.name}.",
                number,
                "Every layer shrinks it: sigmoid or tanh in a deep network, or weights that began "
                "too small. The first layers hardly learn.",
                "--activation relu --init he_normal, fewer layers, or --batch-norm",
            )
        ]
    if ratio > EXPLODED:
        return [
            Finding(
                "exploding gradients",
                "warning",
                f"The gradient grows on its way back to {first.name}.",
                number,
                "Every layer enlarges it: the weights are too large for so many layers.",
                "--init he_normal --clip-norm 1",
            )
        ]
    return []


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
