"""Explanations as sentences and tables, for the terminal and for the page."""

from collections.abc import Sequence

import numpy as np

from plainnet.evaluate.checks import NOTABLE
from plainnet.explain.example import Explanation
from plainnet.explain.excerpt import excerpt, shape_text
from plainnet.explain.formulas import SourceLocation
from plainnet.explain.global_explanation import GlobalExplanation
from plainnet.explain.importance import Estimate
from plainnet.explain.maps import ImageMaps
from plainnet.explain.neighbors import Neighbor
from plainnet.explain.trace import Gradient, LayerOutput, Slope
from plainnet.formatting import percent
from plainnet.nn.parameters import Array
from plainnet.report.html import Table


def share(p: float) -> str:
    """Write a probability; never round it to 0 or 100 %."""
    if p > 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if p < 0.0005 else f"{100 * p:.1f} %"


def headline(explanation: Explanation) -> str:
    """Write the prediction and the truth in a sentence."""
    answer, truth, task = explanation.answer, explanation.truth, explanation.target.task
    text = f"The model predicts {answer}"
    if task in ("binary", "multiclass"):
        text += f", with a probability of {share(dict(explanation.outputs)[answer])}"
    if truth is None:
        return text + "; the right answer is unknown."
    if task == "regression":
        return f"{text}; right is {truth}."
    return text + ("; that is right." if truth == answer else f"; right is {truth}.")


def occlusion_text(maps: ImageMaps) -> str:
    """Say where covering a picture changes the prediction most."""
    worst = np.unravel_index(int(np.abs(maps.occlusion).argmax()), maps.occlusion.shape)
    change = float(maps.occlusion[worst])
    return (
        f"Occlusion: squares of {maps.square} x {maps.square} pixels are covered with the mean "
        f"color. Red is where this lowers the {maps.output}, blue where it raises it; most around "
        f"pixel {worst[0]}, {worst[1]}, by {abs(change):.3f}."
    )


def gradient_text(maps: ImageMaps) -> str:
    """Say what the gradient map shows."""
    return f"Gradient: red is where a small change of a pixel changes the {maps.output} most."


def cells_table(explanation: Explanation) -> Table:
    """List the cells of a row, how each is encoded, and the features that result."""
    rows, n = [], explanation.trace.entries
    for cell in explanation.cells:
        features = dict(cell.features)
        if len(features) > n:
            features = {name: value for name, value in features.items() if value}
        texts = [_feature(cell.column, name, value) for name, value in features.items()]
        if len(features) < len(cell.features):
            texts.append(f"{len(cell.features) - len(features):,} others = 0")
        raw = "(missing)" if cell.raw is None else cell.raw
        rows.append([cell.column, raw, cell.how, ", ".join(texts) or "nothing"])
    return Table("Cells", ("column", "cell", "how", "becomes"), rows)


def _feature(column: str, name: str, value: float) -> str:
    """Write a feature without the name of its column: ``0.5``, ``missing = 0``, ``Bo = 1``."""
    short = name.removeprefix(column).removeprefix(": ").removeprefix("=")
    return f"{short} = {value:.6g}" if short else f"{value:.6g}"


def source_locations(explanation: Explanation) -> list[SourceLocation]:
    """List the code that encodes the cells of a row, without repeats."""
    codes = [cell.code for cell in explanation.cells]
    return list(dict.fromkeys(code for code in codes if code is not None))


def values_text(values: Array, n: int) -> str:
    """Write an array: every number, or the largest of a wide one with its range."""
    if values.size <= n:
        return ", ".join(f"{value:.6g}" for value in values.ravel())
    chosen = excerpt(values, n)
    entries = ", ".join(f"[{', '.join(map(str, i))}] {values[i]:.6g}" for i in chosen)
    ends = f"{values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}"
    return f"{entries}; the largest {len(chosen):,} of {values.size:,}, from {ends}"


def inputs_table(explanation: Explanation) -> Table:
    """List the largest numbers that enter the network."""
    x, names = explanation.trace.x.ravel(), explanation.inputs
    rows = [[names[i], f"{x[i]:.6g}"] for (i,) in excerpt(x, explanation.trace.entries)]
    caption = f"The largest of {len(names):,} numbers that enter the network"
    return Table(caption, ("number", "value"), rows, (1,))


def parameters_text(step: LayerOutput) -> str:
    """List the parameters of a layer with shapes and ranges; empty where it has none."""
    return "; ".join(
        f"{name} {shape_text(a.shape)}, from {a.min():.6g} to {a.max():.6g}"
        for name, a in step.parameters.items()
    )


def gradient_table(gradient: Gradient, inputs: Sequence[str]) -> Table:
    """List entries of a gradient and their finite differences."""
    slopes = list(gradient.checked)
    if gradient.direction is not None:
        slopes.append(gradient.direction)
    rows = [_slope_row(slope, gradient.by, inputs) for slope in slopes]
    head = ("entry", "value", "gradient", "finite difference")
    return Table(f"dL/d{gradient.by}", head, rows, (1, 2, 3))


def _slope_row(slope: Slope, name: str, inputs: Sequence[str]) -> list[str]:
    entry, value = "all, in a random direction", ""
    if slope.index is not None and slope.value is not None:
        named = name == "x" and len(slope.index) == 1
        entry = inputs[slope.index[0]] if named else f"[{', '.join(map(str, slope.index))}]"
        value = f"{slope.value:.6g}"
    numeric = "on a kink" if slope.finite_difference is None else f"{slope.finite_difference:.7g}"
    return [entry, value, f"{slope.gradient:.7g}", numeric]


def agreement(explanation: Explanation) -> str:
    """State whether gradients agree with finite differences, and the trace with the model."""
    trace = explanation.trace
    text = (
        f"The model itself computes in {explanation.predicted.dtype}; its prediction differs from "
        f"these float64 numbers by {explanation.difference:.1e}."
    )
    if trace.gradients:
        most = max(gradient.difference for gradient in trace.gradients)
        verdict = "agree" if trace.ok else "DO NOT AGREE"
        text += f" Gradients and finite differences {verdict}, to {most:.1e}."
    return text


def caution(explanation: GlobalExplanation) -> str:
    """Warn where a notable share of the rows was trained on."""
    share = explanation.trained_on
    if share is None or share.low <= NOTABLE:
        return ""
    least = percent(share.low)
    return (
        f"The model was trained on at least {least} of these samples: expect more errors on others."
    )


def importance_table(explanation: GlobalExplanation) -> Table:
    """List how much loss and score change without each column, with intervals."""
    metric, rows = explanation.importances[0].metric_name, []
    accuracy = metric == "accuracy"
    for column in explanation.importances:
        rise, remark = column.loss_rise, ""
        if rise.low <= 0:
            remark = "could be zero" if rise.high >= 0 else "better without"
        rows.append(
            [column.name, _interval(rise), _interval(column.score_change, accuracy), remark]
        )
    caption = f"Permutation importance on {explanation.rows:,} samples, with 95 % intervals"
    change = f"{metric} {'falls' if accuracy else 'rises'} by"
    return Table(caption, ("", "the loss rises by", change, "remark"), rows, (1, 2))


def _interval(estimate: Estimate, percent: bool = False) -> str:
    """Write a mean and half the width of its symmetric interval."""
    half = estimate.high - estimate.mean
    if percent:
        return f"{100 * estimate.mean:z.1f} ± {100 * half:.1f} %"
    return f"{estimate.mean:.3g} ± {half:.2g}"


def mistakes_table(explanation: GlobalExplanation) -> Table:
    """List the predictions and truths of mistakes, with confidence or error."""
    regression = explanation.wrong is None
    rows = [
        [
            mistake.name,
            mistake.predicted,
            mistake.true,
            f"{mistake.error:.4g}" if mistake.confidence is None else share(mistake.confidence),
        ]
        for mistake in explanation.mistakes
    ]
    head = ("sample", "predicted", "true", "error" if regression else "confidence")
    return Table("Largest errors" if regression else "Most confidently wrong", head, rows, (3,))


def neighbors_table(neighbors: Sequence[Neighbor]) -> Table:
    """List neighbors with their distances, truths and predictions."""
    rows = [
        [n.name, f"{n.distance:.4g}", f"{n.input_distance:.4g}", n.true, n.predicted]
        for n in neighbors
    ]
    head = ("sample", "distance", "of the inputs", "true", "predicted")
    return Table("Nearest samples", head, rows, (1, 2))
