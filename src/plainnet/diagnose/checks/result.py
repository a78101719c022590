"""Checks of the result: whether the network learned anything, and whether it generalizes."""

import math
from collections.abc import Iterator

from plainnet.config import TrainConfig
from plainnet.diagnose.checks.data import RARE, RARE_SHARE
from plainnet.diagnose.checks.network import (
    SATURATED,
    VANISHED,
    gradient_ratio,
    layers_of_equal_units,
)
from plainnet.diagnose.snapshot import TrainingSnapshot, predicted_classes
from plainnet.evaluate.finding import Finding
from plainnet.formatting import percent
from plainnet.optim.optimizers import SGD

AT_BASE = 0.98  # share of the base cost from which nothing was learned
_ABOVE_BASE = 1.1  # times the base cost: worse than a constant
_HELD_OUT_BASE = 0.95  # share of the base cost on held-out rows, with room for chance
_SMALL = 0.1  # a smaller advantage over a constant does not matter in practice
_MORE_RIGHT = 0.05  # accuracy above that of a constant: something was learned
_TINY_STD = 0.01  # standard deviation of the last hidden layer's outputs
UNMOVED = 0.02  # share of the norm of the initial parameters
_UNDERFIT = 0.1  # accuracy or R2 below the nearest neighbors
_STRONG_L2 = 0.1
_STRONG_DROPOUT = 0.8
_POOR = 0.3  # share of the base cost on the training pictures of a small convolutional network


def check_result(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Look for a network that ignores its input, underfits or does not generalize."""
    if not math.isfinite(snapshot.cost):
        return
    ignored = list(_ignored_input(snapshot))
    yield from ignored
    rare = snapshot.labels is not None and _is_rare(snapshot, float(snapshot.class_shares.min()))
    if rare or not ignored:
        yield from _never_predicted(snapshot)
    if not ignored:
        yield from _no_signal(snapshot)
        yield from _underfitting(snapshot)


def _ignored_input(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    cost, base = snapshot.cost, snapshot.base_cost
    if base <= 0 or cost < AT_BASE * base:
        return
    if snapshot.task != "numbers" and snapshot.class_weight is None:
        _, y, _ = snapshot.sample
        metric = snapshot.loss.metric
        if metric(snapshot.statistics.Z, y) > metric(snapshot.constant, y) + _MORE_RIGHT:
            return  # few mistakes, of high confidence
    if snapshot.task == "numbers":
        known, evidence = "the mean", f"cost {cost:.4f}; always the mean costs {base:.4f}"
    else:
        known = "the class frequencies"
        evidence = f"cost {cost:.4f}; the entropy of the base rate is {base:.4f}"
        labels = snapshot.labels
        if labels is not None and len(snapshot.class_shares) == 2:
            evidence += f" ({int(labels.sum())} of {len(labels)} rows are {snapshot.class_name(1)})"
    yield Finding(
        "base rate",
        "problem",
        "The network has learned nothing: it is worse than a constant prediction."
        if cost > _ABOVE_BASE * base
        else f"The network ignores its input: it has learned only {known}.",
        evidence,
        *next(_causes(snapshot)),
    )


def _causes(snapshot: TrainingSnapshot) -> Iterator[tuple[str, str]]:
    """Yield the causes of an ignored input that the measurements show, each with its fix."""
    yield from _weight_causes(snapshot)
    if snapshot.l2 >= _STRONG_L2:
        cause = f"The L2 penalty of {snapshot.l2:g} holds all weights near zero."
        yield cause, f"--l2 {snapshot.l2 / 1000:g}"
    if snapshot.dropout >= _STRONG_DROPOUT:
        yield f"Dropout of {snapshot.dropout:g} hides nearly everything.", "--dropout 0.2"
    for layer in snapshot.statistics.layers:
        if layer.saturated >= SATURATED:
            yield (
                f"{layer.name} is saturated ({100 * layer.saturated:.0f} % of its outputs), so its "
                "slope is almost zero.",
                f"{_lower_lr(snapshot)}--init xavier_normal, and scaled inputs",
            )
    yield from _gradient_causes(snapshot)
    yield _input_cause(snapshot)


def _weight_causes(snapshot: TrainingSnapshot) -> Iterator[tuple[str, str]]:
    for equal in layers_of_equal_units(snapshot.net):
        yield (
            f"{equal.name} started with zero or equal weights, so its units stay equal and "
            "pass no gradient back.",
            "--init he_normal",
        )
    layers, initial_layers = snapshot.statistics.layers, snapshot.initial_statistics.layers
    dead_at_start = any(layer.dead == layer.units for layer in initial_layers)
    if layers and initial_layers[-1].std < _TINY_STD and not dead_at_start:
        yield (
            f"The initial weights are too small: after {layers[-1].name} the rows differ by only "
            f"{initial_layers[-1].std:.2g}, so the output hardly depends on the input and the "
            "gradient is as small.",
            "--init he_normal",
        )
    for layer, initial in zip(layers, initial_layers, strict=True):
        if layer.dead < layer.units:
            continue
        when = "they died during training"
        if initial.dead == initial.units and snapshot.recorder is not None:
            when = "they were dead from the start: biases or inputs are far below zero"
        elif snapshot.lr_too_high:
            when = f"too large an update killed them{_at_lr(snapshot)}"
        yield (
            f"All {layer.units} {layer.unit}s of {layer.name} are dead (zero for every "
            f"{'row' if layer.unit == 'unit' else 'picture'}); {when}.",
            f"{_lower_lr(snapshot)}--init he_normal, or --activation leaky_relu",
        )


def _gradient_causes(snapshot: TrainingSnapshot) -> Iterator[tuple[str, str]]:
    ratio, initial = map(gradient_ratio, (snapshot.statistics, snapshot.initial_statistics))
    lr, change = snapshot.lr, snapshot.relative_change
    lower = f"--lr {snapshot.lower_lr:.1g}"
    if ratio is not None and ratio < VANISHED:
        if snapshot.lr_too_high and (initial is None or initial >= VANISHED):
            yield (
                f"The learning rate is too high{_at_lr(snapshot)}: its updates destroyed the path "
                f"back, so no gradient reaches the first layer (a ratio of {ratio:.1g}).",
                lower,
            )
        yield (
            f"The gradient vanishes before it reaches the first layer (a ratio of {ratio:.1g}).",
            "--activation relu --init he_normal, or fewer layers",
        )
    if change is not None and change < UNMOVED and lr is not None:
        yield (
            f"The parameters have hardly moved (by {100 * change:.2f} % of their norm): the "
            f"learning rate of {lr:.3g} is too low, or the training too short.",
            f"--lr {lr * 100:.1g}",
        )
    if snapshot.lr_too_high:
        yield f"The learning rate is too high{_at_lr(snapshot)}.", lower


def _input_cause(snapshot: TrainingSnapshot) -> tuple[str, str]:
    near, evidence = snapshot.neighbors, ""
    right = f"{100 * near.score:.0f} % of the time"
    if snapshot.leaked_column is not None:
        evidence = "One column predicts the target"
    elif near.score > near.constant + max(_margin(near.rows), 0.05):
        evidence = f"The inputs predict the target (the nearest other rows are right {right})"
    if evidence:
        cause = f"{evidence}: the training was too short, or the network is too small."
        epochs = 60 if snapshot.channels else 500
        return cause, f"--epochs {epochs} {snapshot.larger}"
    return (
        "The inputs do not predict the target: the labels may be shuffled, or belong to other rows "
        f"(even the nearest other rows are right only {right}).",
        "compare a few rows of the file with their source",
    )


def _lower_lr(snapshot: TrainingSnapshot) -> str:
    return f"--lr {snapshot.lower_lr:.1g}, " if snapshot.lr_too_high else ""


def _margin(rows: int) -> float:
    """Return three standard errors of an accuracy near one half."""
    return 3 * math.sqrt(0.25 / rows)


def _at_lr(snapshot: TrainingSnapshot) -> str:
    stable = snapshot.initial_stable_lr if isinstance(snapshot.optimizer, SGD) else None
    if stable is None:
        return f" (learning rate {snapshot.lr:.3g})"
    return (
        f" (learning rate {snapshot.lr:.3g}; the largest stable one at the start is {stable:.2g})"
    )


def _no_signal(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    """Compare with a constant on held-out rows; the confidence interval decides."""
    result = snapshot.held_out_result
    if result is None or result.cost < _HELD_OUT_BASE * result.constant_cost:
        return
    if result.better.low > 0:
        return
    near, m = snapshot.neighbors, result.rows
    unrelated = near.score <= near.constant + _margin(near.rows) and snapshot.leaked_column is None
    value, low, high = (100 * x for x in result.better[:3])
    difference = f"difference {value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"
    if result.better.high > _SMALL and not unrelated:
        yield Finding(
            "too few held-out rows",
            "note",
            "The held-out rows do not show whether the network is better than a constant "
            "prediction.",
            f"{m} held-out rows; {difference}",
            "So few rows leave a wide interval, and on them the network costs as much as a "
            "constant.",
            "--test-fraction 0.4, or more rows; several splits: plainnet train --repeat 5",
        )
        return
    if snapshot.task == "numbers":
        evidence = f"cost {result.cost:.4f} on {m} held-out rows; always the mean costs "
        evidence += f"{result.constant_cost:.4f}"
    else:
        evidence = f"{percent(result.score)} right on {m} held-out rows; a constant "
        evidence += percent(result.constant_score)
    yield Finding(
        "no signal",
        "problem",
        "On held-out rows the network is no better than a constant prediction."
        if result.better.high <= _SMALL
        else "Nothing shows that the network is better than a constant prediction.",
        f"{evidence}; {difference}",
        "The inputs do not predict the target: the labels may be shuffled, or belong to other "
        "rows. The network only memorized the training rows."
        if unrelated
        else "The network memorized the training rows instead of their common pattern, or the "
        "held-out rows differ in kind.",
        "compare a few rows of the file with their source"
        if unrelated
        else f"{snapshot.smaller} --l2 0.01, or more {'pictures' if snapshot.images else 'rows'}",
    )


def _never_predicted(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    if snapshot.labels is None:
        return
    A = snapshot.loss.predictions(snapshot.statistics.Z)
    predicted = set(predicted_classes(A).tolist())
    counts = snapshot.class_shares * len(snapshot.labels)
    never = [k for k, n in enumerate(counts) if n >= 5 and k not in predicted]
    if never:
        k, others = never[0], len(never) - 1
        cause, advice = "The class is rare, so missing it costs little.", "--class-weight balanced"
        if not _is_rare(snapshot, float(snapshot.class_shares[k])):
            cause = "The network is too small, or its training too short, to tell it from others."
            advice = f"{snapshot.larger}, or more --epochs"
        more = f" (and {others} other class{'es' if others > 1 else ''})" if others else ""
        yield Finding(
            "class never predicted",
            "warning",
            f"The network never predicts {snapshot.class_name(k)!r}{more}.",
            f"{counts[k]:,.0f} of {len(snapshot.labels):,} training rows have this class "
            f"({percent(snapshot.class_shares[k])})",
            cause,
            advice,
        )


def _is_rare(snapshot: TrainingSnapshot, share: float) -> bool:
    return share < min(RARE, RARE_SHARE / len(snapshot.class_shares))


def _underfitting(snapshot: TrainingSnapshot) -> Iterator[Finding]:
    near, channels = snapshot.neighbors, snapshot.channels
    narrow = channels and max(channels) < max(TrainConfig.channels)
    if narrow and snapshot.cost > _POOR * snapshot.base_cost:
        yield Finding(
            "underfitting",
            "warning",
            "The network is small and fits its training pictures poorly.",
            f"channels {' '.join(map(str, channels))}; cost {snapshot.cost:.4f} on the training "
            f"pictures, a constant prediction costs {snapshot.base_cost:.4f}",
            "It has too few filters for what distinguishes these pictures.",
            snapshot.larger,
        )
        return
    if near.score < near.network + max(_UNDERFIT, _margin(near.rows)):
        return
    verb, share_of = "are right on", "of the training rows"
    if snapshot.task == "numbers":
        verb, share_of = "explain", "of the variance"
    cause = "It is too small for the data, or was trained too short."
    advice = f"{snapshot.larger}, or more --epochs"
    if snapshot.l2 >= 0.01 or snapshot.dropout >= 0.5:
        cause = f"It is regularized too much: L2 {snapshot.l2:g}, dropout {snapshot.dropout:g}."
        advice = "--l2 0 --dropout 0"
    yield Finding(
        "underfitting",
        "warning",
        "The network fits its training rows worse than their nearest neighbors.",
        f"the five nearest other rows {verb} {percent(near.score)} {share_of}, "
        f"the network {percent(near.network)}",
        cause,
        advice,
    )
