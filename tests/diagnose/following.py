"""Follow the doctor's advice as a user does, for the tests and for benchmarks/doctor.py."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from plainnet import TrainConfig
from plainnet.data.dataset import Dataset
from plainnet.diagnose.watch import DoctorWatch
from plainnet.errors import TrainingError
from plainnet.evaluate.finding import Finding
from plainnet.metrics.intervals import paired_means
from plainnet.tabular import settled
from plainnet.training import load, train

MOST_STEPS = 3


class Path(NamedTuple):
    """The findings and options of each training, and whether it helped to follow the advice."""

    steps: list[tuple[str, dict[str, Any]]]  # the finding and the options that it changes
    ended: bool  # no finding is left that changes an option
    worse: bool  # whether a training was worse than the one before, by more than its interval
    costs: list[float]  # on held-out rows


def follow(data: Any, config: TrainConfig) -> Path:
    """Take the advice of the first problem or warning that changes options, three times at most."""
    findings, costs = diagnosed(data, config)
    steps: list[tuple[str, dict[str, Any]]] = []
    means, worse = [_mean(costs)], False
    while (advice := _first(findings)) is not None and len(steps) < MOST_STEPS:
        steps.append((advice.name, dict(advice.options)))
        config = replace(config, **advice.options)
        findings, after = diagnosed(data, config)
        if costs is not None:
            same = after is not None and len(after) == len(costs)
            worse |= after is None or (same and paired_means(-after, -costs).high < 0)
        costs = after
        means.append(_mean(costs))
    return Path(steps, advice is None, worse, means)


def _first(findings: list[Finding]) -> Finding | None:
    return next((one for one in findings if one.level != "note" and one.options), None)


def _mean(costs: Any) -> float:
    return float("nan") if costs is None else float(costs.mean())


def diagnosed(data: Any, config: TrainConfig) -> tuple[list[Finding], Any]:
    """Train as `plainnet doctor` does; return the findings and the cost of each held-out row."""
    watch = DoctorWatch(config)
    dataset: Dataset = load(data, config)
    if (
        dataset.validation is None
        and settled(config, dataset.train.X, dataset.target.task).network != "tabular"
    ):
        dataset = replace(dataset, validation=dataset.test)
    try:
        run = train(dataset, config, ready=watch.ready, watch=watch.watch)
    except TrainingError as error:
        return watch.findings(failure=str(error)), None
    model, test = run.model, run.data.test
    findings = watch.findings(run)
    if test is None:
        return findings, None
    y = model.loss.encode(test.y, model.net.n_out, model.net.dtype)
    costs = model.loss.per_example(model.forward(test.X), y)
    return findings, np.asarray(costs, np.float64)
