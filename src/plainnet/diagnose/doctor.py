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
from plainnet.diagnose.checks.training import check_course, check_failure
from plainnet.diagnose.snapshot import Patient
from plainnet.evaluate.duplicates import copies
from plainnet.evaluate.finding import Finding
from plainnet.evaluate.one_rule import Place
from plainnet.evaluate.verdict import copied
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


def check_data(patient: Patient) -> list[Finding]:
    """Look at the rows alone.

    Parameters
    ----------
    patient : Patient
        The network may be untrained.

    Returns
    -------
    list of Finding
        Values that are not finite end the examination: nothing else can be measured then.

    Examples
    --------
    >>> from plainnet import BinaryCrossEntropy, mlp
    >>> X = np.array([[0.0], [200.0], [np.nan], [50.0]])
    >>> patient = Patient(mlp(1), BinaryCrossEntropy(), X, [0, 1, 1, 0], names=["age"])
    >>> print(check_data(patient)[0].number)
    1 cell in 1 row (first 2) and 1 column ('age')
    """
    X, names = np.asarray(patient.X), patient.names
    broken = check_finite(X, np.asarray(patient.y), names)
    if broken:
        return broken
    found = check_scale(X, patient.transform, names)
    found += check_left_out(patient.schema)
    if np.prod(X.shape[1:]) <= _WIDE:
        found += check_columns(X, names)
        found += check_leak(
            X.reshape(len(X), -1), patient.targets, patient.labels, _columns(patient)
        )
    if patient.labels is not None:
        found += check_labels(X, patient.labels, patient.classes)
    found += copied(X.ndim == 4, copies(X, patient.schema), len(X), trained_on=True)
    return found + check_size(len(X), patient.net.params.grad.size, X.ndim == 4)


def _columns(patient: Patient) -> list[Place]:
    if patient.columns:
        return list(patient.columns)
    n = int(np.prod(np.asarray(patient.X).shape[1:]))
    names = [str(name) for name in patient.names] or [f"column {i}" for i in range(n)]
    return [Place(name, "number", i, i + 1) for i, name in enumerate(names)]


def check_start(patient: Patient) -> list[Finding]:
    """Look at a network before its training: its weights, and the gradient that they let through.

    Parameters
    ----------
    patient : Patient
        With its rows; not yet trained.

    Returns
    -------
    list of Finding
        With a note of the largest stable step where gradient descent is to take one above it.

    Examples
    --------
    >>> from plainnet import BinaryCrossEntropy, mlp
    >>> from plainnet.data.synthetic import moons
    >>> patient = Patient(mlp(2, init="zeros"), BinaryCrossEntropy(), *moons())
    >>> print(check_start(patient)[0].says)
    The weights of dense1 are all zero.
    """
    found = check_network(patient, patient.first_activity, patient.first_net)
    rate, step = patient.rate, None
    if isinstance(patient.optimizer, SGD) and rate is not None:
        step = patient.first_stable_step
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


def check_training(patient: Patient, leaked: bool = False) -> list[Finding]:
    """Look at a trained network and at the course of its training.

    Parameters
    ----------
    patient : Patient
        The more it comes with (history, optimizer, held-out rows, probe), the more can be found.
    leaked : bool, default False
        Whether a column gives the target away.

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> from plainnet import SGD, BinaryCrossEntropy, fit, mlp
    >>> from plainnet.data.synthetic import moons
    >>> X, y = moons(200)
    >>> net, loss, rule = mlp(2, init="zeros"), BinaryCrossEntropy(), SGD(0.1)
    >>> history = fit(net, X, y, loss=loss, optimizer=rule, epochs=20)
    >>> found = check_training(Patient(net, loss, X, y, history=history, optimizer=rule))
    >>> [finding.name for finding in found]
    ['base rate', 'symmetric weights']
    """
    if patient.failure is not None:
        return check_failure(patient) + check_network(patient, patient.activity, patient.net)
    course = check_course(patient)
    result = check_result(patient, leaked)
    if any(finding.name == "no signal" for finding in result):  # more steps would not help
        course = [finding for finding in course if finding.name != "learning rate too low"]
    return result + course + check_network(patient, patient.activity, patient.net)


def examine(patient: Patient) -> list[Finding]:
    """Look at everything: rows, first weights, and the training if there was one.

    Parameters
    ----------
    patient : Patient
        What there is to look at.

    Returns
    -------
    list of Finding
        Problems first, then warnings, then notes; each name once.

    Examples
    --------
    >>> from plainnet import Adam, BinaryCrossEntropy, fit, mlp
    >>> from plainnet.data.synthetic import moons
    >>> X, y = moons(200)
    >>> net, loss, rule = mlp(2, (16,), seed=1), BinaryCrossEntropy(), Adam(0.01)
    >>> history = fit(net, X, y, loss=loss, optimizer=rule, epochs=100, batch_size=32)
    >>> examine(Patient(net, loss, X, y, history=history, optimizer=rule))
    []
    """
    found = check_data(patient)
    if any(finding.name == "non-finite values" for finding in found):
        return found
    if patient.probe is not None or patient.history is None:
        found = check_start(patient) + found
    if patient.history is not None or patient.failure is not None:
        leaked = any(finding.name == "leaked column" for finding in found)
        found = check_training(patient, leaked) + found
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
