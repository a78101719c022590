"""Frames: the binary answer with maps, parameters and losses; and the state in JSON."""

import json
from typing import Any

import numpy as np

from plainnet.diagnose.activations import evenly_spaced, outputs
from plainnet.evaluate.evaluate import predicted_classes
from plainnet.evaluate.feature_spans import feature_spans
from plainnet.evaluate.training_record import finite
from plainnet.explain.formulas import loss_formula
from plainnet.nn.activations import Activation
from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.play.datasets import Plane
from plainnet.play.phase import Phase
from plainnet.play.session import Run, Session

SIDE, UNIT_SIDE = 100, 20  # of the map of the output, and of each unit
MOST_UNIT_MAPS = 128
MOST_SHOWN = 1000  # rows of data on the page


def frame(run: Run, known: int = 0, beside: Run | None = None, known_beside: int = 0) -> bytes:
    """Pack what changes while training: a JSON header, then arrays that it describes.

    The page knows the first points of the curves. The header's length stands first, as uint32.
    The frame of the run beside this one is its last array.
    """
    phase, history = run.phase, run.history
    net = phase.net.astype(np.float32)  # three times as fast, and a map has 256 colors
    A = phase.loss.predictions(net.predict_logits(run.plane.grid(SIDE)))
    curve = np.array(run.curve(known), np.float64).reshape(-1, 3)
    arrays = {
        "theta": phase.net.params.theta,
        "curve": curve,
        "map": _output_map(phase, A),
        "units": _unit_maps(net, run.plane),
        "predicted": _predicted(phase),
    }
    if beside is not None:
        arrays["beside"] = np.frombuffer(frame(beside, known_beside), np.uint8)
    header = {
        "step": history.step,
        "total": history.total,
        "epoch": phase.progress.number - 1,
        "batch": phase.progress.batch,
        "loss": phase.losses_of_all(),
        "metric": _metrics(phase),
        "failure": phase.failure,
        "arrays": [[name, a.dtype.str, a.size] for name, a in arrays.items()],
    }
    text = json.dumps(finite(header)).encode()
    text += b" " * (-(4 + len(text)) % 8)
    return b"".join([np.uint32(len(text)).tobytes(), text, *(a.tobytes() for a in arrays.values())])


def _output_map(phase: Phase, A: Array) -> Array:
    """Return a byte per pixel: a probability, a number, or of several classes class and share."""
    task = phase.data.target.task
    if task == "regression":
        y = phase.batches.y
        low, high = float(y.min()), float(y.max())
        return _bytes((A[:, 0] - low) / (high - low or 1.0))
    if task == "binary":
        return _bytes(A[:, 0])
    return np.concatenate([A.argmax(axis=1).astype(np.uint8), _bytes(A.max(axis=1))])


def _bytes(share: Array) -> Array:
    return np.round(255 * np.nan_to_num(share).clip(0, 1)).astype(np.uint8)


def _unit_maps(net: Sequential, plane: Plane) -> Array:
    """Return the output of every hidden unit on the plane, as a share of its largest."""
    hidden = [layer for layer in net.layers if isinstance(layer, Activation)]
    if sum(layer.out_shape[0] for layer in hidden) > MOST_UNIT_MAPS:
        return np.zeros(0, np.int8)
    maps = []
    for layer, Y in outputs(net, plane.grid(UNIT_SIDE), False):
        if isinstance(layer, Activation):
            largest = np.abs(Y).max(axis=0)
            scaled = np.nan_to_num(127 * Y / np.where(largest > 0, largest, 1))
            maps.append(np.round(scaled).astype(np.int8).T.ravel())
    return np.concatenate([*maps, np.zeros(0, np.int8)])


def _predicted(phase: Phase) -> Array:
    """Return the predicted class of the rows on the page."""
    if phase.data.target.task == "regression":
        return np.zeros(0, np.uint8)
    X = np.concatenate([part.X[shown] for part, shown in _shown(phase)])
    A = phase.loss.predictions(phase.net.predict_logits(X))
    return predicted_classes(A).astype(np.uint8)


def _shown(phase: Phase) -> list[tuple[Any, Array]]:
    """Return the training rows and the validation rows with the numbers of those on the page."""
    parts = [part for part in (phase.data.train, phase.data.validation) if part is not None]
    rows = sum(len(part.y) for part in parts)
    share = min(1, MOST_SHOWN / rows)
    return [(part, evenly_spaced(len(part.y), max(1, int(share * len(part.y))))) for part in parts]


def _metrics(phase: Phase) -> list[float | None]:
    """Return the metric of the training rows and of the validation rows."""
    net, loss = phase.net, phase.loss
    values: list[float | None] = [loss.metric(net.predict_logits(phase.batches.X), phase.batches.y)]
    held_out = phase.data.validation
    if held_out is None:
        return [*values, None]
    y = loss.encode(held_out.y, net.n_out, net.dtype)
    return [*values, loss.metric(net.predict_logits(held_out.X), y)]


def state(session: Session) -> dict[str, Any]:
    """Return what changes with the settings, for each of the runs that are shown."""
    shown = {"undo": len(session.done), "redo": len(session.undone), "link": session.history.link()}
    beside = None if session.beside is None else _run_state(session, session.beside)
    return dict(finite({**shown, **_run_state(session, session.run), "beside": beside}))


def _run_state(session: Session, run: Run) -> dict[str, Any]:
    """Return the settings, the data and the layers of a run."""
    phase, plane, settings = run.phase, run.plane, run.history.settings
    data, target = phase.data, phase.data.target
    names = data.schema.feature_names  # type: ignore[union-attr]
    spans = feature_spans(data.schema)
    scaled = {s.start: (s.mean, s.scale) for s in spans if s.kind == "number"}
    parts, own = _shown(phase), settings.data == "table"
    return {
        "settings": settings.to_json(),
        "changes": _starts(run),
        "task": target.task,
        "target": target.columns[0],
        "columns": list(session.tables[settings.table].columns) if own else [],
        "classes": list(target.classes),
        "features": list(names),
        "scale": [scaled.get(i, (0.0, 1.0)) for i in range(len(names))],
        "y_scale": [target.mean[0], target.scale[0]] if target.mean else None,
        "y_range": [float(phase.batches.y.min()), float(phase.batches.y.max())],
        "plane": [*plane.axes, *plane.center, plane.half],
        "fixed": plane.fixed.tolist(),
        "ranges": [data.train.X.min(axis=0).tolist(), data.train.X.max(axis=0).tolist()],
        "rows": [np.round(part.X[i].astype(float), 5).tolist() for part, i in parts],
        "y": [part.y[i].tolist() for part, i in parts],
        "counts": [len(part.y) for part, _ in parts],
        "batches": len(phase.batches),
        "layers": _layers(phase),
        "loss_formula": loss_formula(phase.loss),
        "metric": phase.loss.metric_name,
        "notes": data.notes if own else [],
    }


def _starts(run: Run) -> list[int]:
    """Return the steps at which settings were changed."""
    steps = [period.steps for period in run.history.periods[:-1]]
    return np.cumsum(steps).astype(int).tolist() if steps else []


def _layers(phase: Phase) -> list[dict[str, Any]]:
    """Describe each layer with weights: where its parameters lie in theta, its activation."""
    layers: list[dict[str, Any]] = []
    start = 0
    for layer in phase.net.layers:
        if isinstance(layer, Dense):
            n_out, n_in = layer.W.shape
            layers.append({"n_in": n_in, "n_out": n_out, "W": start})
            layers[-1] |= {"b": start + n_in * n_out, "activation": None, "formula": ""}
            start += n_in * n_out + n_out
        elif isinstance(layer, Activation):
            layers[-1] |= {"activation": type(layer).__name__, "formula": layer.formula}
    return layers
