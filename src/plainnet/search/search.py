"""Search for options by cross-validation: at random, by successive halving, or with optuna."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from fractions import Fraction
from statistics import mean, stdev
from typing import Any, Literal, NamedTuple, final

import numpy as np

from plainnet.build import check
from plainnet.config import Config, ResolvedConfig
from plainnet.data.splits import Folds
from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines.baseline import fit_baselines
from plainnet.evaluate.evaluate import score_baseline, score_model
from plainnet.evaluate.evaluation import Scores as RowScores
from plainnet.search.samplers import TpeSampler, require_optuna
from plainnet.search.space import SEARCHED, Space, apply, draw, space_of
from plainnet.train.history import Epoch
from plainnet.training import train, untrained

Method = Literal["random", "halving", "optuna"]


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


class SearchProgress(NamedTuple):
    """The trial and fold in training, counted from 1, and the epochs so far."""

    trial: int
    fold: int
    epoch: Epoch
    done: int  # epochs of all trials so far
    planned: int  # epochs of all trials


@final
@dataclass
class Search:
    """The result of a search."""

    config: ResolvedConfig  # the options that were not searched
    space: Space
    method: Method
    k: int  # number of folds
    rounds: list[tuple[int, int]]  # trials in each round, and their epochs by its end
    only: int | None = None  # the only trial to run, if given
    baselines: tuple[BaselineScore, ...] = ()
    trials: list[Trial] = field(default_factory=list)
    interrupted: bool = False  # whether Ctrl-C ended it

    @property
    def ranked(self) -> list[Trial]:
        """The trials, best first, failed trials last."""
        return sorted(self.trials, key=lambda trial: trial.rank)

    @property
    def winner(self) -> Trial | None:
        """The best trial; None if none could be trained."""
        best = min(self.trials, key=lambda trial: trial.rank, default=None)
        return None if best is None or best.failure is not None else best


def halving_rounds(n: int, epochs: int) -> list[tuple[int, int]]:
    """Plan successive halving (Jamieson and Talwalkar, 2016): trials and epochs of each round.

    Each round keeps the better half of the trials (rounded up), and all rounds cost the same: each
    of the |S_k| trials gets r_k = B / (|S_k| ceil(log2 n)) more epochs. The budget B is chosen so
    that the last two trials reach `epochs`.
    """
    sizes = [n]
    while sizes[-1] > 2:
        sizes.append(math.ceil(sizes[-1] / 2))
    total = sum(Fraction(1, size) for size in sizes)
    done, rounds = Fraction(0), []
    for size in sizes:
        done += Fraction(1, size)
        rounds.append((size, max(1, int(epochs * done / total))))
    return rounds


def check_search(
    config: Config,
    trials: int,
    method: Method,
    given: Collection[str] = (),
    only: int | None = None,
    k: int = 2,
) -> None:
    """Refuse arguments of `search` that contradict each other."""
    if trials < 1:
        raise PlainnetError(f"a search needs at least 1 trial, got {trials}")
    if k < 2:
        raise PlainnetError(f"cross-validation needs at least 2 folds, got {k}")
    if only is not None and not 1 <= only <= trials:
        raise PlainnetError(f"there is no trial {only} of {trials}: they count from 1")
    if config.validation_fraction or config.patience:
        raise PlainnetError(
            "a search validates on its folds: leave out validation_fraction and patience, and give "
            "them when you train the best options"
        )
    if len(config.activation) > 1 and "hidden" not in given:
        raise PlainnetError(
            "one activation for each layer needs a fixed number of layers: give hidden too, or one "
            "activation for all layers"
        )
    if method == "optuna":
        require_optuna()
    check(config)


def search(
    data: Folds,
    config: Config,
    *,
    trials: int = 20,
    method: Method = "random",
    given: Collection[str] = (),
    only: int | None = None,
    ready: Callable[[Search], object] | None = None,
    watch: Callable[[SearchProgress], object] | None = None,
    watch_trial: Callable[[Search, Trial], object] | None = None,
) -> Search:
    """Try options on folds, and rank the trials by their mean loss.

    The loss ranks better than the score, because it differs between networks that misclassify the
    same rows. The test rows are not used. Options named in ``given`` keep their value in
    ``config``. Ctrl-C ends the search and returns the trials so far.
    """
    check_search(config, trials, method, given, only)
    if unknown := set(given) - set(SEARCHED):
        raise PlainnetError(f"{min(unknown)!r} is not searched: expected {', '.join(SEARCHED)}")
    if config.network == "tabular":
        raise PlainnetError("a search tries options of one network: take network mlp, or train")
    config = config.resolved(images=data.data.train.X.ndim == 4)
    space = space_of(config, len(data.fold(0).train.y), given)
    if not space and trials > 1 and only is None:
        raise PlainnetError("there is nothing to search: every option is given; leave some out")
    if space and only is not None and method == "optuna":
        raise PlainnetError(
            f"with optuna, trial {only} depends on the trials before it: run it again with all its "
            "options given, as its command does"
        )
    halving = method == "halving"
    rounds = halving_rounds(trials, config.epochs) if halving else [(trials, config.epochs)]
    result = Search(config, space, method, data.k, rounds, only)
    run = _SearchRun(data, result, watch, watch_trial)
    if ready is not None:
        ready(result)
    try:
        result.baselines = baseline_scores(data, config)
        if method == "optuna" and only is None:
            run.by_optuna(trials)
        else:
            run.by_rounds(trials)
    except KeyboardInterrupt:
        result.interrupted = True
    return result


@final
class _SearchRun:
    """A search in progress."""

    def __init__(
        self,
        data: Folds,
        result: Search,
        watch: Callable[[SearchProgress], object] | None,
        watch_trial: Callable[[Search, Trial], object] | None,
    ) -> None:
        self.data, self.result, self.watch, self.watch_trial = data, result, watch, watch_trial
        self.done = 0
        alone = result.only is not None
        self.planned = data.k * sum((1 if alone else n) * epochs for n, epochs in result.rounds)

    def by_rounds(self, trials: int) -> None:
        """Train all trials in the first round, and the better half in each further round."""
        only = self.result.only
        numbers = range(1, trials + 1) if only is None else [only]
        trials_left = [Trial(number, self._drawn(number)) for number in numbers]
        for trial in trials_left:
            check(trial.config)
        for n, epochs in self.result.rounds:
            trials_left.sort(key=lambda trial: trial.rank)
            kept = sorted(trials_left[:n], key=lambda trial: trial.number)
            trials_left = [self._scored(t, epochs) for t in kept if t.failure is None]

    def by_optuna(self, trials: int) -> None:
        """Train the trials that optuna proposes, one after the other."""
        config = self.result.config
        tpe = TpeSampler(self.result.space, _seed(config, 6))
        for number in range(1, trials + 1):
            proposed = apply(config, tpe.ask())
            check(proposed)
            trial = self._scored(Trial(number, proposed), config.epochs)
            tpe.tell(None if trial.failure else trial.rungs[-1].scores.mean_loss)

    def _drawn(self, number: int) -> Config:
        """Draw the options of a trial, which depend only on the seed and its number."""
        config = self.result.config
        rng = np.random.default_rng(_seed(config, 4, number))
        return apply(config, draw(self.result.space, rng))

    def _scored(self, trial: Trial, epochs: int) -> Trial:
        """Return a trial with its scores after some epochs, or with the reason of its failure."""
        if not trial.rungs or trial.rungs[-1].epochs != epochs:
            try:
                rung = Rung(epochs, self._on_folds(trial, epochs))
                trial = replace(trial, rungs=(*trial.rungs, rung))
            except PlainnetError as error:
                trial = replace(trial, failure=str(error))
        others = [other for other in self.result.trials if other.number != trial.number]
        self.result.trials = sorted([*others, trial], key=lambda trial: trial.number)
        if self.watch_trial is not None:
            self.watch_trial(self.result, trial)
        return trial

    def _on_folds(self, trial: Trial, epochs: int) -> Scores:
        before = self.done
        self.done += epochs * self.data.k  # even if the trial fails
        folds = []
        for i in range(self.data.k):

            def watch(epoch: Epoch, i: int = i) -> None:
                if self.watch is not None:
                    done = before + i * epochs + epoch.number
                    self.watch(SearchProgress(trial.number, i + 1, epoch, done, self.planned))

            folds.append(_on_fold(self.data, trial, i, epochs, watch))
        return _scores(folds)


def _on_fold(
    data: Folds, trial: Trial, i: int, epochs: int, watch: Callable[[Epoch], object]
) -> RowScores:
    """Train on the other folds and score on fold i; the same trial gives the same scores."""
    part = data.fold(i)
    assert part.test is not None
    config = replace(trial.config, seed=_seed(trial.config, 5, trial.number, i))
    run = train(part, config, watch=watch, epochs=epochs, evaluate=False)
    if run.history.stopped == "interrupted":
        raise KeyboardInterrupt
    with np.errstate(all="ignore"):
        scores = score_model(run.model, part.test)
    if not math.isfinite(scores.loss):
        raise PlainnetError(f"the loss on fold {i + 1} is {scores.loss}")
    return scores


def _seed(config: Config, *use: int) -> int:
    """Return a seed for one use, independent of the others."""
    return int(np.random.SeedSequence(config.seed, spawn_key=use).generate_state(1)[0])


def _scores(folds: Collection[RowScores]) -> Scores:
    name = "r2" if any(fold.task == "regression" for fold in folds) else "accuracy"
    return Scores(tuple(fold.loss for fold in folds), tuple(fold.metrics[name] for fold in folds))


def baseline_scores(data: Folds, config: Config) -> tuple[BaselineScore, ...]:
    """Score the baselines on the same folds."""
    rows: dict[str, list[tuple[str, RowScores]]] = {}  # description and scores on each fold
    for i in range(data.k):
        part = data.fold(i)
        assert part.test is not None
        model = untrained(part, config)
        for baseline in fit_baselines(part.schema, part.target, part.train):
            description = baseline.describe(part.target)[0]
            scores = score_baseline(model, baseline, part.test)[1]
            rows.setdefault(baseline.name, []).append((description, scores))
    result = []
    for name, folds in rows.items():
        descriptions, fold_scores = zip(*folds, strict=True)
        equal = len(set(descriptions)) == 1
        description = descriptions[0] if equal else _GENERAL[name]
        result.append(BaselineScore(name, description, _scores(fold_scores)))
    return tuple(result)


_GENERAL = {"constant": "always the same answer", "column": "the best column alone"}
