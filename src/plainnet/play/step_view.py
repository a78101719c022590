"""The next step in slow motion: every number of its forward pass, backward pass and update."""

from copy import deepcopy
from typing import Any

import numpy as np

from plainnet.nn.gradcheck import numeric_slopes, output_and_sides
from plainnet.nn.layers import Dense
from plainnet.nn.parameters import Array
from plainnet.play.phase import Phase

MOST_ROWS = 64  # of the batch that are listed
EPS = 1e-5


def step_view(phase: Phase, dense_layer: int, unit: int) -> dict[str, Any]:
    """Return the numbers of the next step, and the finite differences of one unit's gradients."""
    rows = phase.next_rows()
    batch = phase.batches.batch(rows)
    X, y, *_ = batch
    net, theta = deepcopy(phase.net), phase.net.params.theta
    masks = net.rng.bit_generator.state
    outs = [X]
    for layer in net.layers:
        outs.append(layer.forward(outs[-1], True))
    value, dZ = phase.loss(outs[-1], y)
    deltas = [dZ]
    for layer in reversed(net.layers):
        dX = layer.backward(deltas[-1], True)
        assert dX is not None  # for the type checker: need_dX is True
        deltas.append(dX)
    deltas.reverse()  # deltas[i] is the derivative by outs[i]
    after = deepcopy(phase.train_step)
    after.step(batch)
    change = net.params.views_of(after.net.params.theta - theta)
    dense = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    layers = []
    for i, end in zip(dense, [*dense[1:], len(net.layers)], strict=True):
        name = net.layers[i].name
        part = {"Z": outs[i + 1], "A": outs[end], "dZ": deltas[i + 1], "dA": deltas[end]}
        part = {key: array[:MOST_ROWS] for key, array in part.items()}
        for key in ("W", "b"):
            full = f"{name}.{key}"
            part |= {key: net.params.views[full], "d" + key: net.params.grads[full]}
            part["change_" + key] = change[full]
        layers.append({key: array.tolist() for key, array in part.items()})
    shown = slice(MOST_ROWS)
    return {
        "m": len(rows),
        "X": X[shown].tolist(),
        "y": y[shown].tolist(),
        "A": phase.loss.predictions(outs[-1])[shown].tolist(),
        "loss": value,
        "losses": phase.loss.unreduced(outs[-1], y)[0][shown].ravel().tolist(),
        "layers": layers,
        "numeric": _numeric(phase, X, y, masks, net.layers[dense[dense_layer]].name, unit),
        "gradient_formula": phase.loss.gradient_formula,
        "prediction_formula": phase.loss.prediction_formula,
    }


def _numeric(phase: Phase, X: Array, y: Array, masks: Any, name: str, j: int) -> dict[str, Any]:
    """Return the finite differences of a unit's weights and bias; None across a kink."""
    net = deepcopy(phase.net)

    def evaluate() -> tuple[float, Array, list[Array]]:
        net.rng.bit_generator.state = masks
        Z, sides = output_and_sides(net.layers, X, train=True)
        return *phase.loss(Z, y), sides

    answer = {}
    for key, array in (("W", net.params.views[f"{name}.W"]), ("b", net.params.views[f"{name}.b"])):
        indices: list[tuple[int, ...]] = [(j, *i) for i in np.ndindex(array.shape[1:])]
        slopes, crossed = numeric_slopes(evaluate, array, indices, EPS)
        answer[key] = [None if c else s for s, c in zip(slopes.tolist(), crossed, strict=True)]
    return answer
