"""Follow the doctor's advice as a user does, for the tests and for benchmarks/doctor.py."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from plainnet import TrainConfig
from plainnet.data.dataset import Dataset
from plainnet.diagnose.watch import DoctorWatch
from plainnet.errors import TrainingError
from plainnet.evaluate.finding import Finding
from plainnet.loading import load
from plainnet.metrics.intervals import paired_means
from plainnet.tabular import settled
from plainnet.training import train

MOST_STEPS = 3
BAD_STARTS: dict[str, dict[str, Any]] = {
    "Adam, 1": {"lr": 1.0},
    "Adam, 1e-6": {"lr": 1e-6},
    "gradient descent, 1000": {"optimizer": "sgd", "lr": 1000.0},
    "zeros": {"init": "zeros"},
    "L2": {"l2": 0.5},
    "dropout": {"dropout": 0.9, "hidden": (2,)},
    "sigmoids": {"activation": ("sigmoid",), "hidden": (16,) * 6, "optimizer": "sgd"},
    "memorized": {"hidden": (128, 128), "lr": 0.01, "epochs": 60},
    "Adam, 0.1": {"lr": 0.1},
    "Adam, 1e-5": {"lr": 1e-5},
    "RMSprop, 0.5": {"optimizer": "rmsprop", "lr": 0.5},
    "gradient descent, 5": {"optimizer": "sgd", "lr": 5.0},
    "gradient descent, 1e-6": {"optimizer": "sgd", "lr": 1e-6},
    "gradient descent, momentum": {"optimizer": "sgd", "lr": 1.0, "momentum": 0.9},
    "one epoch": {"epochs": 1},
    "tiny weights": {"init": "normal:0.001", "hidden": (8, 8, 8), "optimizer": "sgd"},
    "large weights": {"init": "normal:5", "hidden": (64,) * 4},
    "one unit": {"hidden": (1,)},
    "saturated": {"activation": ("tanh",), "init": "normal:50", "lr": 1e-4},
    "not scaled": {"standardize": False},
}
PICTURE_STARTS = {name: start for name, start in BAD_STARTS.items() if "hidden" not in start} | {
    "dropout": {"dropout": 0.95},
    "tiny weights": {"init": "normal:0.0001", "optimizer": "sgd"},
    "large weights": {"init": "normal:5"},
    "one channel": {"channels": (1,)},
    "kernels of one pixel": {"kernel": 1},
    "small pictures": {"size": 4},
}


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
