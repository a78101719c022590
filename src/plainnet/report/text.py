"""Telling: an explanation as rows of text, the same for a terminal and for a page."""

from collections.abc import Sequence

from plainnet.evaluate.checks import NOTABLE
from plainnet.explain.example import Explanation
from plainnet.explain.formulas import SourceLocation
from plainnet.explain.importance import Estimate, Importance
from plainnet.explain.mistakes import Mistake
from plainnet.explain.neighbors import Neighbor
from plainnet.explain.overview import Overview
from plainnet.explain.trace import Gradient, LayerOutput, Slope, excerpt, shape_text
from plainnet.formatting import percent
from plainnet.nn.parameters import Array

Rows = list[list[str]]


def share(p: float) -> str:
    """Write a probability, never as a certainty that it is not."""
    if p > 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if p < 0.0005 else f"{100 * p:.1f} %"


def headline(seen: Explanation) -> str:
    """Say in a sentence what the model says, and what is right."""
    text = f"The model says {seen.answer}"
    if seen.target.task in ("binary", "multiclass"):
        text += f", with a probability of {share(dict(seen.outputs)[seen.answer])}"
    if seen.truth is None:
        return text + "; what is right is not known."
    if seen.target.task == "regression":
        return f"{text}; right is {seen.truth}."
    return text + ("; that is right." if seen.truth == seen.answer else f"; right is {seen.truth}.")


def cell_rows(seen: Explanation, n: int) -> Rows:
    """List the cells of a row: column, cell, how it becomes a number, and which."""
    rows = []
    for cell in seen.cells:
        raw = "(missing)" if cell.raw is None else cell.raw
        features = list(cell.features)
        if len(features) > n:
            features = [(name, value) for name, value in features if value]
        said = [_feature(cell.column, name, value) for name, value in features]
        if len(features) < len(cell.features):
            said.append(f"{len(cell.features) - len(features):,} others = 0")
        rows.append([cell.column, raw, cell.how, ", ".join(said) or "nothing"])
    return rows


def _feature(column: str, name: str, value: float) -> str:
    """Write a feature without the name of its column: ``0.5``, ``missing = 0``, ``Bo = 1``."""
    own = name.removeprefix(column).removeprefix(": ").removeprefix("=")
    return f"{own} = {value:.6g}" if own else f"{value:.6g}"


def codes(seen: Explanation) -> list[SourceLocation]:
    """List where the cells of a row are turned into numbers, each place once."""
    found = [cell.code for cell in seen.cells]
    return list(dict.fromkeys(code for code in found if code is not None))


def values_text(values: Array, n: int) -> str:
    """Write an array: every number, or the largest of a wide one with its range."""
    if values.size <= n:
        return ", ".join(f"{value:.6g}" for value in values.ravel())
    chosen = excerpt(values, n)
    some = ", ".join(f"[{', '.join(map(str, i))}] {values[i]:.6g}" for i in chosen)
    ends = f"{values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}"
    return f"{some}; the largest {len(chosen):,} of {values.size:,}, which run from {ends}"


def input_rows(seen: Explanation) -> Rows:
    """List the numbers that enter the network: name, and value; the largest of many."""
    x = seen.trace.x.ravel()
    return [[seen.inputs[i], f"{x[i]:.6g}"] for (i,) in excerpt(x, seen.trace.entries)]


def parameters_text(step: LayerOutput) -> str:
    """Say which parameters a layer has: names, shapes and ranges; empty where it has none."""
    return "; ".join(
        f"{name} {shape_text(a.shape)}, from {a.min():.6g} to {a.max():.6g}"
        for name, a in step.parameters.items()
    )


def gradient_rows(gradient: Gradient, inputs: Sequence[str]) -> Rows:
    """List a gradient's entries beside their finite differences."""
    rows = [_slope_row(slope, gradient.name, inputs) for slope in gradient.checked]
    if gradient.direction is not None:
        rows.append(_slope_row(gradient.direction, gradient.name, inputs))
    return rows


def _slope_row(slope: Slope, name: str, inputs: Sequence[str]) -> list[str]:
    entry, value = "all, in a random direction", ""
    if slope.index is not None and slope.value is not None:
        named = name == "x" and len(slope.index) == 1
        entry = inputs[slope.index[0]] if named else f"[{', '.join(map(str, slope.index))}]"
        value = f"{slope.value:.6g}"
    numeric = "on a kink" if slope.numeric is None else f"{slope.numeric:.7g}"
    return [entry, value, f"{slope.gradient:.7g}", numeric]


def agreement(seen: Explanation) -> str:
    """Say whether gradients and finite differences agree, and the forward pass with the model."""
    text = (
        f"The model itself computes in {seen.predicted.dtype}; its prediction differs from these "
        f"float64 numbers by {seen.difference:.1e}."
    )
    if seen.trace.gradients:
        most = max(gradient.difference for gradient in seen.trace.gradients)
        verdict = "agree" if seen.trace.ok else "DO NOT AGREE"
        text += f" Gradients and finite differences {verdict}, to {most:.1e}."
    return text


def caution(seen: Overview) -> str:
    """Say how many of the samples were trained on, where they are more than a few; else nothing."""
    if seen.trained_on is None or seen.trained_on.low <= NOTABLE:
        return ""
    least = percent(seen.trained_on.low)
    return (
        f"The model was trained on at least {least} of these samples: expect more errors on others."
    )


def importance_rows(found: Sequence[Importance], n: int) -> Rows:
    """List importances: name, rise of the loss and change of the score, with intervals."""
    accuracy = bool(found) and found[0].metric_name == "accuracy"
    rows = []
    for one in found[:n]:
        none = one.loss.low <= 0 <= one.loss.high
        worse = one.loss.high < 0
        remark = "could be nothing" if none else "better without" if worse else ""
        rows.append([one.name, _interval(one.loss), _interval(one.score, percent=accuracy), remark])
    return rows


def _interval(estimate: Estimate, percent: bool = False) -> str:
    """Write a mean and half the width of its interval, which is symmetric."""
    half = estimate.high - estimate.mean
    if percent:
        return f"{100 * estimate.mean:z.1f} ± {100 * half:.1f} %"
    return f"{estimate.mean:.3g} ± {half:.2g}"


def mistake_rows(found: Sequence[Mistake]) -> Rows:
    """List mistakes: name, what was said, what is true, and how sure the model was."""
    return [
        [
            one.name,
            one.said,
            one.true,
            f"{one.error:.4g}" if one.confidence is None else share(one.confidence),
        ]
        for one in found
    ]


def neighbor_rows(found: Sequence[Neighbor]) -> Rows:
    """List neighbors: name, both distances, what is true of it, and what the model says of it."""
    return [
        [one.name, f"{one.distance:.4g}", f"{one.input_distance:.4g}", one.true, one.said]
        for one in found
    ]
