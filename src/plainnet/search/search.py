"""Search for options by cross-validation: at random, by successive halving, or with optuna."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

import numpy as np

from plainnet.config import TrainConfig, check, with_hidden
from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines.baseline import Baseline, fit_baselines
from plainnet.evaluate.evaluate import score_baseline, score_model
from plainnet.evaluate.evaluation import Scores as RowScores
from plainnet.search.samplers import TpeSampler, require_optuna
from plainnet.search.space import SEARCHED, Space, apply, draw, space_of
from plainnet.train.history import Epoch
from plainnet.training import train, untrained

if TYPE_CHECKING:
    from plainnet.data.splits import Folds

Method = Literal["random", "halving", "optuna"]


@final
@dataclass(frozen=True)
class Scores:
    """Loss and score on each fold, of a trial or a baseline."""

    loss: tuple[float, ...]  # on the rows of each fold, after training on the others
    score: tuple[float | None, ...]

    @property
    def mean_loss(self) -> float:
        """The mean over the folds, by which trials are ranked."""
        return mean(self.loss)

    @property
    def deviation_loss(self) -> float:
        """The standard deviation, of a sample (n - 1)."""
        return stdev(self.loss)

    @property
    def mean_score(self) -> float | None:
        """The mean over the folds."""
        known = [value for value in self.score if value is not None]
        return mean(known) if len(known) == len(self.score) else None

    @property
    def deviation_score(self) -> float | None:
        """The standard deviation, of a sample (n - 1)."""
        known = [value for value in self.score if value is not None]
        return stdev(known) if len(known) == len(self.score) else None

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
    """Options that were tried."""

    number: int  # from 1
    config: TrainConfig
    rungs: tuple[Rung, ...] = ()
    failure: str | None = None  # why it could not be trained, if so

    @property
    def rank(self) -> tuple[bool, int, float, int]:
        """Sort key, best first: more epochs, then lower mean loss; failed trials last."""
        if self.failure is not None or not self.rungs:
            return True, 0, math.inf, self.number
        last = self.rungs[-1]
        return False, -last.epochs, last.scores.mean_loss, self.number


class BaselineScore(NamedTuple):
    """A baseline on the same folds."""

    name: str
    description: str
    scores: Scores


class SearchProgress(NamedTuple):
    """The trial and fold in training, counted from 1, its last epoch, and how much is done."""

    trial: int
    fold: int
    epoch: Epoch
    done: int  # epochs so far
    planned: int  # epochs in all


@final
@dataclass
class Search:
    """The result of a search."""

    config: TrainConfig  # the options that were not searched
    space: Space
    method: Method
    k: int  # number of folds
    rounds: list[tuple[int, int]]  # trials in each round, and their epochs by its end
    only: int | None = None  # the one trial that was run again
    baselines: tuple[BaselineScore, ...] = ()
    trials: list[Trial] = field(default_factory=list)
    interrupted: bool = False  # whether Ctrl-C ended it

    @property
    def ranked(self) -> list[Trial]:
        """The trials, best first, failed ones last."""
        return sorted(self.trials, key=lambda trial: trial.rank)

    @property
    def winner(self) -> Trial | None:
        """The best trial; None if none could be trained."""
        best = min(self.trials, key=lambda trial: trial.rank, default=None)
        return None if best is None or best.failure is not None else best


def halving_rounds(n: int, epochs: int) -> list[tuple[int, int]]:
    """Plan successive halving (Jamieson and Talwalkar, 2016): trials and epochs of each round.

    Each round keeps the better half of the trials, and all rounds cost the same: of |S_k| trials,
    each gets r_k = B / (|S_k| ceil(log2 n)) more epochs. The budget B takes the last two trials to
    `epochs`. Half of an odd number is rounded up, so that ceil(log2 n) rounds leave one trial.
    """
    sizes = [n]
    while sizes[-1] > 2:
        sizes.append(math.ceil(sizes[-1] / 2))
    whole = sum(Fraction(1, size) for size in sizes)
    done, rounds = Fraction(0), []
    for size in sizes:
        done += Fraction(1, size)
        rounds.append((size, max(1, int(epochs * done / whole))))
    return rounds


def check_search(
    config: TrainConfig,
    trials: int,
    method: Method,
    given: Collection[str] = (),
    only: int | None = None,
    k: int = 2,
) -> None:
    """Refuse arguments that do not fit one another; see `search`."""
    if trials < 1:
        raise PlainnetError(f"a search needs at least 1 trial, got {trials}")
    if k < 2:
        raise PlainnetError(f"cross-validation needs at least 2 folds, got {k}")
    if only is not None and not 1 <= only <= trials:
        raise PlainnetError(f"there is no trial {only} of {trials}: they count from 1")
    if config.validation_fraction or config.patience:
        raise PlainnetError(
            "a search validates on its folds: leave out validation_fraction and patience, and give "
            "them when you train the winner"
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
    data: "Folds",
    config: TrainConfig,
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

    Trials are ranked by loss, not by score: training minimizes the loss, and it tells networks
    apart that get the same rows wrong, by how confident they are. The test rows are not used.

    Options named in ``given`` keep their value in ``config``. Ctrl-C ends the search and returns
    the trials so far.
    """
    check_search(config, trials, method, given, only)
    if unknown := set(given) - set(SEARCHED):
        raise PlainnetError(f"{min(unknown)!r} is not searched: expected {', '.join(SEARCHED)}")
    config = with_hidden(config, images=data.data.train.X.ndim == 4)
    space = space_of(config, len(data.fold(0).train.y), given)
    if not space and trials > 1 and only is None:
        raise PlainnetError("nothing is left to search: every option is given; leave some out")
    if space and only is not None and method == "optuna":
        raise PlainnetError(
            f"what optuna tries as trial {only} depends on the trials before it: run it again with "
            "all its options given, as its command does"
        )
    halving = method == "halving"
    rounds = halving_rounds(trials, config.epochs) if halving else [(trials, config.epochs)]
    found = Search(config, space, method, data.k, rounds, only)
    run = _SearchRun(data, found, watch, watch_trial)
    if ready is not None:
        ready(found)
    try:
        found.baselines = baseline_scores(data, config)
        if method == "optuna" and only is None:
            run.by_optuna(trials)
        else:
            run.by_rounds(trials)
    except KeyboardInterrupt:
        found.interrupted = True
    return found


@final
class _SearchRun:
    """A search in progress."""

    def __init__(
        self,
        data: "Folds",
        found: Search,
        watch: Callable[[SearchProgress], object] | None,
        watch_trial: Callable[[Search, Trial], object] | None,
    ) -> None:
        self.data, self.found, self.watch, self.watch_trial = data, found, watch, watch_trial
        self.done = 0
        alone = found.only is not None
        self.planned = data.k * sum((1 if alone else n) * epochs for n, epochs in found.rounds)

    def by_rounds(self, trials: int) -> None:
        """Train all trials in the first round, and the better ones in each round after it."""
        only = self.found.only
        numbers = range(1, trials + 1) if only is None else [only]
        trials_left = [Trial(number, self._drawn(number)) for number in numbers]
        for trial in trials_left:
            check(trial.config)
        for n, epochs in self.found.rounds:
            trials_left.sort(key=lambda trial: trial.rank)
            kept = sorted(trials_left[:n], key=lambda trial: trial.number)
            trials_left = [self._scored(t, epochs) for t in kept if t.failure is None]

    def by_optuna(self, trials: int) -> None:
        """Train what optuna proposes, one trial after the other."""
        config = self.found.config
        tpe = TpeSampler(self.found.space, _seed(config, 6))
        for number in range(1, trials + 1):
            own = apply(config, tpe.ask())
            check(own)
            trial = self._scored(Trial(number, own), config.epochs)
            tpe.tell(None if trial.failure else trial.rungs[-1].scores.mean_loss)

    def _drawn(self, number: int) -> TrainConfig:
        """Draw the options of a trial, which depend only on the seed and its number."""
        config = self.found.config
        rng = np.random.default_rng(_seed(config, 4, number))
        return apply(config, draw(self.found.space, rng))

    def _scored(self, trial: Trial, epochs: int) -> Trial:
        """Add to a trial its scores after some epochs, or why it failed."""
        if not trial.rungs or trial.rungs[-1].epochs != epochs:
            try:
                rung = Rung(epochs, self._on_folds(trial, epochs))
                trial = replace(trial, rungs=(*trial.rungs, rung))
            except PlainnetError as error:
                trial = replace(trial, failure=str(error))
        kept = [one for one in self.found.trials if one.number != trial.number]
        self.found.trials = sorted([*kept, trial], key=lambda one: one.number)
        if self.watch_trial is not None:
            self.watch_trial(self.found, trial)
        return trial

    def _on_folds(self, trial: Trial, epochs: int) -> Scores:
        before = self.done
        self.done += epochs * self.data.k  # even if it fails on the way
        folds = []
        for i in range(self.data.k):

            def watch(epoch: Epoch, i: int = i) -> None:
                if self.watch is not None:
                    done = before + i * epochs + epoch.number
                    self.watch(SearchProgress(trial.number, i + 1, epoch, done, self.planned))

            folds.append(_on_fold(self.data, trial, i, epochs, watch))
        return _scores(folds)


def _on_fold(
    data: "Folds", trial: Trial, i: int, epochs: int, watch: Callable[[Epoch], object]
) -> RowScores:
    """Train on the other folds and score on this one; the same trial gives the same scores."""
    part = data.fold(i)
    assert part.test is not None
    own = replace(trial.config, seed=_seed(trial.config, 5, trial.number, i))
    run = train(part, own, watch=watch, epochs=epochs, evaluate=False)
    if run.history.stopped == "interrupted":
        raise KeyboardInterrupt
    with np.errstate(all="ignore"):
        scores = score_model(run.model, part.test)
    if not math.isfinite(scores.loss):
        raise PlainnetError(f"the loss on fold {i + 1} is {scores.loss}")
    return scores


def _seed(config: TrainConfig, *use: int) -> int:
    """Return a seed for one use, independent of the others."""
    return int(np.random.SeedSequence(config.seed, spawn_key=use).generate_state(1)[0])


def _scores(folds: Collection[RowScores]) -> Scores:
    name = "r2" if any(one.task == "regression" for one in folds) else "accuracy"
    return Scores(tuple(one.loss for one in folds), tuple(one.metrics[name] for one in folds))


def baseline_scores(data: "Folds", config: TrainConfig) -> tuple[BaselineScore, ...]:
    """Score the baselines on the same folds."""
    folds = [list(_baselines_on(data, config, i)) for i in range(data.k)]
    found = []
    for one in zip(*folds, strict=True):
        baselines, descriptions, scores = zip(*one, strict=True)
        alike = len(set(descriptions)) == 1
        description = descriptions[0] if alike else _GENERAL[baselines[0].name]
        found.append(BaselineScore(baselines[0].name, description, _scores(scores)))
    return tuple(found)


_GENERAL = {"constant": "always the same answer", "column": "the best column alone"}


def _baselines_on(
    data: "Folds", config: TrainConfig, i: int
) -> Iterator[tuple[Baseline, str, RowScores]]:
    part = data.fold(i)
    assert part.test is not None
    model = untrained(part, config)
    for one in fit_baselines(part.schema, part.target, part.train):
        yield one, one.describe(part.target)[0], score_baseline(model, one, part.test)[1]
