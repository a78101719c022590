"""Diagnose data, a network and its training: run all checks and sort their findings."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from plainnet.diagnose.advice import consistent
from plainnet.diagnose.checks import cells, data, learned, network, result, training
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import LEVELS, Finding
from plainnet.evaluate.threads import submit

Check = Callable[[TrainingSnapshot], Iterable[Finding]]

# A new check is a function in `plainnet.diagnose.checks` and an entry in one of these lists.
# Of the findings of one level those of an earlier check come first: the more basic ones.
TRAINING_CHECKS: tuple[Check, ...] = (
    learned.check_learned,
    training.check_batch_order,
    training.check_gradient_growth,
    training.check_learning_curve,
    network.check_trained_network,
)
FAILURE_CHECKS: tuple[Check, ...] = (training.check_failure, network.check_trained_network)
START_CHECKS: tuple[Check, ...] = (
    network.check_initial_network,
    network.check_dropout,
    network.check_convolutions,
    network.check_initial_lr,
)
RESULT_CHECKS: tuple[Check, ...] = (training.check_overfitting, result.check_result)
DATA_CHECKS: tuple[Check, ...] = (
    data.check_left_out,
    data.check_columns,
    data.check_leak,
    data.check_labels,
    data.check_copies,
    cells.check_extremes,
    cells.check_spelling,
    data.check_size,
)
_CAUSED_BY_SCALE = {
    "base rate",
    "cost not finite",
    "dead relu",
    "exploding gradients",
    "learning rate too high",
    "oscillation",
    "saturated",
}


def examine(snapshot: TrainingSnapshot) -> list[Finding]:
    """Check the rows, the initial network, and the training if there was one."""
    non_finite = list(data.check_finite(snapshot))
    if non_finite:
        return non_finite
    trained = snapshot.history is not None and snapshot.failure is None
    checks = (data.check_scale, *(RESULT_CHECKS if trained else ()))
    if snapshot.recorder is not None or snapshot.history is None:
        checks = START_CHECKS + checks
    if snapshot.failure is not None or trained:
        checks = (TRAINING_CHECKS if trained else FAILURE_CHECKS) + checks
    with ThreadPoolExecutor(1) as pool:  # checks the rows meanwhile
        about_data = submit(pool, run_checks, DATA_CHECKS, snapshot)
        findings = run_checks(checks, snapshot) + about_data.result()
    if any(finding.name == "no signal" for finding in findings):  # more epochs would not help
        findings = [finding for finding in findings if finding.name != "learning rate too low"]
    return consistent(in_order(_scale_first(findings)))


def run_checks(checks: Iterable[Check], snapshot: TrainingSnapshot) -> list[Finding]:
    """Return the findings of several checks."""
    return [finding for check in checks for finding in check(snapshot)]


def _scale_first(findings: list[Finding]) -> list[Finding]:
    """Put unscaled inputs before the problems of the network that follow from them."""
    others = [finding for finding in findings if finding.name != "unscaled inputs"]
    if not any(other.name in _CAUSED_BY_SCALE and other.level != "note" for other in others):
        return findings
    scale = (finding for finding in findings if finding.name == "unscaled inputs")
    suffix = "The other findings may follow from it."
    return [
        replace(each, level="problem", cause=f"{each.cause} {suffix}") for each in scale
    ] + others


def in_order(findings: list[Finding]) -> list[Finding]:
    """Sort findings by level, and keep the most serious of each name."""
    first: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda finding: LEVELS.index(finding.level)):
        first.setdefault(finding.name, finding)
    return list(first.values())
