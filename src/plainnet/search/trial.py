"""Trials: the scores of one configuration, or of a baseline, on the folds of a cross-validation."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from plainnet.config import Config
from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines.baseline import fit_baselines
from plainnet.evaluate.evaluate import score_baseline, score_model
from plainnet.evaluate.evaluation import Scores as RowScores
from plainnet.train.history import Epoch
from plainnet.training import train, untrained

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset


@final
@dataclass(frozen=True)
class Scores:
    """Loss and score of a trial or a baseline on each fold, after training on the others."""

    loss: tuple[float, ...]
    score: tuple[float | None, ...]

    @property
    def mean_loss(self) -> float:
        """The mean over the folds, by which trials are ranked."""
        return mean(self.loss)

    @property
    def deviation_loss(self) -> float:
        """The sample standard deviation over the folds."""
        return stdev(self.loss)

    @property
    def mean_score(self) -> float | None:
        """The mean over the folds, None if a fold has no score."""
        return self._statistic(mean)

    @property
    def deviation_score(self) -> float | None:
        """The sample standard deviation over the folds, None if a fold has no score."""
        return self._statistic(stdev)

    def _statistic(self, statistic: Callable[[list[float]], float]) -> float | None:
        known = [value for value in self.score if value is not None]
        return statistic(known) if len(known) == len(self.score) else None

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON."""
        return {
            "loss": self.mean_loss,
            "loss_deviation": self.deviation_loss,
            "loss_of_folds": list(self.loss),
            "score": self.mean_score,
            "score_deviation": self.deviation_score,
            "score_of_folds": list(self.score),
        }


class Rung(NamedTuple):
    """The scores of a trial after some epochs; without halving, a trial has one rung."""

    epochs: int
    scores: Scores


@final
@dataclass(frozen=True)
class Trial:
    """One configuration and its scores."""

    number: int  # from 1
    config: Config
    rungs: tuple[Rung, ...] = ()
    failure: str | None = None  # why training failed

    @property
    def rank(self) -> tuple[bool, int, float, int]:
        """The sort key: more epochs first, then lower mean loss; failed trials last."""
        if self.failure is not None or not self.rungs:
            return True, 0, math.inf, self.number
        last = self.rungs[-1]
        return False, -last.epochs, last.scores.mean_loss, self.number


class BaselineScore(NamedTuple):
    """The scores of a baseline on the same folds."""

    name: str
    description: str
    scores: Scores


class Baseline(NamedTuple):
    """A baseline on one fold."""

    name: str
    description: str
    scores: RowScores


def score_trial(
    part: "Dataset", trial: Trial, i: int, epochs: int, watch: Callable[[Epoch], object]
) -> RowScores | str:
    """Train on the other folds and score on fold i; return the reason instead if that fails."""
    config = replace(trial.config, seed=seed_of(trial.config, 5, trial.number, i))
    try:
        run = train(part, config, watch=watch, epochs=epochs, evaluate=False)
        if run.history.stopped == "interrupted":
            raise KeyboardInterrupt
        assert part.test is not None
        with np.errstate(all="ignore"):
            scores = score_model(run.model, part.test)
    except PlainnetError as error:
        return str(error)
    return scores if math.isfinite(scores.loss) else f"the loss on fold {i + 1} is {scores.loss}"


def score_baselines(part: "Dataset", config: Config) -> list[Baseline]:
    """Fit the baselines on the other folds and score them on one."""
    assert part.test is not None
    model, found = untrained(part, config), []
    for baseline in fit_baselines(part.schema, part.target, part.train):
        description = baseline.describe(part.target)[0]
        scores = score_baseline(model, baseline, part.test)[1]
        found.append(Baseline(baseline.name, description, scores))
    return found


def over_folds(folds: Collection[RowScores]) -> Scores:
    """Return the scores of all folds together."""
    name = "r2" if any(fold.task == "regression" for fold in folds) else "accuracy"
    return Scores(tuple(fold.loss for fold in folds), tuple(fold.metrics[name] for fold in folds))


def seed_of(config: Config, *use: int) -> int:
    """Return a seed for one use, independent of the others."""
    return int(np.random.SeedSequence(config.seed, spawn_key=use).generate_state(1)[0])
