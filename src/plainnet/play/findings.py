"""The doctor's findings about the shown network, each with a change of settings to try."""

from typing import Any

import numpy as np

from plainnet.diagnose.checks import network, training
from plainnet.diagnose.doctor import Check, in_order, run_checks
from plainnet.diagnose.recorder import Recorder
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import Finding
from plainnet.play.session import Session
from plainnet.train.history import Epoch, History

CHECKS: tuple[Check, ...] = (
    training.check_overfitting,
    training.check_learning_curve,
    network.check_trained_network,
)
_SETTINGS = ("init", "schedule", "optimizer", "lr", "l2", "dropout", "batch_size")


def findings(session: Session) -> list[dict[str, Any]]:
    """Diagnose the training up to the shown step."""
    phase, step = session.phase, session.history.find()[1]
    config, recorder = phase.settings.config, Recorder(phase.net)
    recorder.initial_theta = phase.initial_theta
    history, held_out = History(), phase.data.validation
    lr = config.learning_rate
    for number, (at, loss, validation) in enumerate(phase.curve[1:], 1):
        if at <= step:
            val_loss = validation if held_out is not None else None
            history.add(Epoch(number, config.epochs, loss, val_loss, None, None, lr, 0.0))
    snapshot = TrainingSnapshot(
        phase.net,
        phase.loss,
        phase.data.train.X,
        phase.data.train.y,
        held_out=held_out,
        history=history,
        optimizer=phase.train_step.optimizer,
        config=config,
        recorder=recorder,
        failure=phase.failure,
    )
    checks = CHECKS
    if phase.failure is not None:
        checks = (training.check_failure, network.check_trained_network)
    with np.errstate(all="ignore"):
        found = in_order(run_checks(checks, snapshot))
    return [
        {**finding.to_json(), "remedy": _remedy(finding, session)}
        for finding in found
        if finding.name != "too few epochs"  # a page goes on
    ]


def _remedy(finding: Finding, session: Session) -> dict[str, Any]:
    """Return the first change of the advice that this page offers, or nothing."""
    hidden = session.settings.config.hidden or ()
    for name, value in finding.options.items():
        if name == "activation":
            return {name: list(value) * len(hidden)}
        if name in _SETTINGS:
            return {name: value}
    return {}
