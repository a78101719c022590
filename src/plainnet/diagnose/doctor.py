"""The doctor: what ails the data, the network or its training, in words and numbers."""

from dataclasses import replace

import numpy as np

from plainnet.diagnose.checks.data import (
    check_columns,
    check_finite,
    check_labels,
    check_leak,
    check_left_out,
    check_scale,
    check_size,
)
from plainnet.diagnose.checks.network import check_network
from plainnet.diagnose.checks.result import check_result
from plainnet.diagnose.checks.training import check_failure, check_learning_curve
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.checks import check_copies
from plainnet.evaluate.duplicates import copies
from plainnet.evaluate.finding import Finding
from plainnet.evaluate.one_rule import FeatureSpan
from plainnet.optim.optimizers import SGD

_ORDER = {"problem": 0, "warning": 1, "note": 2}
_FOLLOWS = {  # from inputs that are not scaled
    "base rate",
    "cost not finite",
    "dead relu",
    "exploding gradients",
    "learning rate too high",
    "oscillation",
    "saturated",
}
_WIDE = 2000  # columns: more are pixels, whose constants and copies say nothing


def check_data(snapshot: TrainingSnapshot) -> list[Finding]:
    """Look at the rows alone."""
    X, names = np.asarray(snapshot.X), snapshot.names
    broken = check_finite(X, np.asarray(snapshot.y), names)
    if broken:
        return broken
    found = check_scale(X, snapshot.transform, names)
    found += check_left_out(snapshot.schema)
    if np.prod(X.shape[1:]) <= _WIDE:
        found += check_columns(X, names)
        found += check_leak(
            X.reshape(len(X), -1), snapshot.targets, snapshot.labels, _columns(snapshot)
        )
    if snapshot.labels is not None:
        found += check_labels(X, snapshot.labels, snapshot.classes)
    found += check_copies(X.ndim == 4, copies(X, snapshot.schema), len(X), training=True)
    return found + check_size(len(X), snapshot.net.params.grad.size, X.ndim == 4)


def _columns(snapshot: TrainingSnapshot) -> list[FeatureSpan]:
    if snapshot.columns:
        return list(snapshot.columns)
    n = int(np.prod(np.asarray(snapshot.X).shape[1:]))
    names = [str(name) for name in snapshot.names] or [f"column {i}" for i in range(n)]
    return [FeatureSpan(name, "number", i, i + 1) for i, name in enumerate(names)]


def check_start(snapshot: TrainingSnapshot) -> list[Finding]:
    """Check the weights and first gradients of an untrained network."""
    found = check_network(snapshot, snapshot.first_activity, snapshot.first_net)
    rate, step = snapshot.rate, None
    if isinstance(snapshot.optimizer, SGD) and rate is not None:
        step = snapshot.first_stable_step
    if rate is not None and step is not None and rate > step:
        found.append(
            Finding(
                "step size",
                "note",
                "The learning rate is above the largest stable step at the start.",
                f"learning rate {rate:g}; 2 over the curvature is about {step:.2g}",
                "The cost may rise at first; often it finds a flatter place by itself.",
                f"--lr {step / 2:.1g} if it does not",
            )
        )
    return found


def check_training(snapshot: TrainingSnapshot, leaked: bool = False) -> list[Finding]:
    """Look at a trained network and at the course of its training."""
    if snapshot.failure is not None:
        return check_failure(snapshot) + check_network(snapshot, snapshot.activity, snapshot.net)
    course = check_learning_curve(snapshot)
    result = check_result(snapshot, leaked)
    if any(finding.name == "no signal" for finding in result):  # more steps would not help
        course = [finding for finding in course if finding.name != "learning rate too low"]
    return result + course + check_network(snapshot, snapshot.activity, snapshot.net)


def examine(snapshot: TrainingSnapshot) -> list[Finding]:
    """Look at everything: rows, first weights, and the training if there was one."""
    found = check_data(snapshot)
    if any(finding.name == "non-finite values" for finding in found):
        return found
    if snapshot.probe is not None or snapshot.history is None:
        found = check_start(snapshot) + found
    if snapshot.history is not None or snapshot.failure is not None:
        leaked = any(finding.name == "leaked column" for finding in found)
        found = check_training(snapshot, leaked) + found
    return in_order(_scale_first(found))


def _scale_first(found: list[Finding]) -> list[Finding]:
    """Put inputs that are not scaled before the problems of the network, which follow from it."""
    others = [finding for finding in found if finding.name != "unscaled inputs"]
    if not _FOLLOWS & {finding.name for finding in others if finding.level != "note"}:
        return found
    first = [
        replace(one, level="problem", cause=f"{one.cause} What else is found may follow from it.")
        for one in found
        if one.name == "unscaled inputs"
    ]
    return first + others


def in_order(found: list[Finding]) -> list[Finding]:
    """Put problems first and keep the gravest of each name."""
    ranked = sorted(found, key=lambda finding: _ORDER[finding.level])
    seen: dict[str, Finding] = {}
    for finding in ranked:
        seen.setdefault(finding.name, finding)
    return list(seen.values())
