"""Search: trials of settings on the same folds, by chance, by successive halving, or by optuna."""

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
    """What some settings, or a simple answer, came to on each fold."""

    loss: tuple[float, ...]  # on the rows of a fold, after training on the others
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
        """Return the figures as JSON can hold them."""
        return {
            "loss": self.mean_loss,
            "loss_deviation": self.deviation_loss,
            "loss_of_folds": list(self.loss),
            "score": self.mean_score,
            "score_deviation": self.deviation_score,
            "score_of_folds": list(self.score),
        }


class Rung(NamedTuple):
    """A trial after some epochs: in a search without halving there is one."""

    epochs: int
    scores: Scores


@final
@dataclass(frozen=True)
class Trial:
    """Settings that were tried."""

    number: int  # from 1
    config: TrainConfig
    rungs: tuple[Rung, ...] = ()
    failure: str | None = None  # why it could not be trained, if so

    @property
    def rank(self) -> tuple[bool, int, float, int]:
        """The lower, the better: failed ones last, then who got further, then the mean loss."""
        if self.failure is not None or not self.rungs:
            return True, 0, math.inf, self.number
        last = self.rungs[-1]
        return False, -last.epochs, last.scores.mean_loss, self.number


class BaselineScore(NamedTuple):
    """A simple answer on the same folds: its name, what it is in words, what it came to."""

    name: str
    words: str
    scores: Scores


class SearchProgress(NamedTuple):
    """What a search is at: a trial and fold, from 1, and its epoch; epochs in all, and planned."""

    trial: int
    fold: int
    epoch: Epoch
    done: int
    planned: int


@final
@dataclass
class Search:
    """What a search found."""

    config: TrainConfig  # the choices that were not searched
    space: Space  # what was searched
    method: Method  # how
    k: int  # the number of folds
    rounds: list[tuple[int, int]]
    only: int | None = None  # the one trial that was run again, if so
    answers: tuple[BaselineScore, ...] = ()  # what one gets without a network
    trials: list[Trial] = field(default_factory=list)
    interrupted: bool = False  # whether Ctrl-C ended it

    @property
    def ranked(self) -> list[Trial]:
        """The best first, failed ones last."""
        return sorted(self.trials, key=lambda trial: trial.rank)

    @property
    def winner(self) -> Trial | None:
        """The trial of the lowest mean loss; None where none could be trained."""
        best = min(self.trials, key=lambda trial: trial.rank, default=None)
        return None if best is None or best.failure is not None else best


def halving_rounds(n: int, epochs: int) -> list[tuple[int, int]]:
    """Plan successive halving (Jamieson and Talwalkar, 2016).

    Each round spends the same budget on half of the trials, the better ones: of |S_k| trials each
    gets r_k = B / (|S_k| ceil(log2 n)) epochs more. The budget B is the one that takes the last
    two trials to `epochs`. The half of an odd number is rounded up, so that one is left after
    ceil(log2 n) rounds whatever n is.
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
    """Refuse what no data could make good; see `search`."""
    if trials < 1:
        raise PlainnetError(f"a search needs at least 1 trial, got {trials}")
    if k < 2:
        raise PlainnetError(f"cross-validation needs at least 2 folds, got {k}")
    if only is not None and not 1 <= only <= trials:
        raise PlainnetError(f"there is no trial {only} of {trials}: they count from 1")
    if config.validation_fraction or config.patience:
        raise PlainnetError(
            "a search validates on its folds: leave out validation and patience, which may be "
            "given again to train the winner"
        )
    if len(config.activation) > 1 and "hidden" not in given:
        raise PlainnetError(
            "one activation for each layer needs layers that are given: give hidden too, or one "
            "activation for all"
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
    seen: Callable[[Search, Trial], object] | None = None,
) -> Search:
    """Try settings on folds, and rank them by their mean loss.

    The loss ranks, not the score: it is what training minimizes, it tells apart networks that get
    the same few rows wrong, and it minds how sure they were. The test rows take no part.

    Ctrl-C ends the search; what it found until then is returned.
    """
    check_search(config, trials, method, given, only)
    if unknown := set(given) - set(SEARCHED):
        raise PlainnetError(f"{min(unknown)!r} is not searched: expected {', '.join(SEARCHED)}")
    config = with_hidden(config, images=data.data.train.X.ndim == 4)
    space = space_of(config, len(data.fold(0).train.y), given)
    if not space and trials > 1 and only is None:
        raise PlainnetError("nothing is left to search, for everything is given: leave some out")
    if space and only is not None and method == "optuna":
        raise PlainnetError(
            f"what optuna tries as trial {only} hangs on the trials before it: run it again with "
            "all its settings given, as its command does"
        )
    halving = method == "halving"
    rounds = halving_rounds(trials, config.epochs) if halving else [(trials, config.epochs)]
    found = Search(config, space, method, data.k, rounds, only)
    course = _Course(data, found, watch, seen)
    if ready is not None:
        ready(found)
    try:
        found.answers = simple_answers(data, config)
        if method == "optuna" and only is None:
            course.by_optuna(trials)
        else:
            course.by_rounds(trials)
    except KeyboardInterrupt:
        found.interrupted = True
    return found


@final
class _Course:
    """A search under way."""

    def __init__(
        self,
        data: "Folds",
        found: Search,
        watch: Callable[[SearchProgress], object] | None,
        seen: Callable[[Search, Trial], object] | None,
    ) -> None:
        self.data, self.found, self.watch, self.seen = data, found, watch, seen
        self.done = 0
        alone = found.only is not None
        self.planned = data.k * sum((1 if alone else n) * epochs for n, epochs in found.rounds)

    def by_rounds(self, trials: int) -> None:
        """Train all in the first round, and in each that follows the better ones of the last."""
        only = self.found.only
        numbers = range(1, trials + 1) if only is None else [only]
        alive = [Trial(number, self._drawn(number)) for number in numbers]
        for trial in alive:
            check(trial.config)
        for n, epochs in self.found.rounds:
            alive.sort(key=lambda trial: trial.rank)
            going_on = sorted(alive[:n], key=lambda trial: trial.number)
            alive = [self._judged(t, epochs) for t in going_on if t.failure is None]

    def by_optuna(self, trials: int) -> None:
        """Ask for one after the other, and tell its loss."""
        config = self.found.config
        tpe = TpeSampler(self.found.space, _seed(config, 6))
        for number in range(1, trials + 1):
            own = apply(config, tpe.ask())
            check(own)
            trial = self._judged(Trial(number, own), config.epochs)
            tpe.tell(None if trial.failure else trial.rungs[-1].scores.mean_loss)

    def _drawn(self, number: int) -> TrainConfig:
        """The settings of a trial, which hang on the seed and its number alone."""
        config = self.found.config
        rng = np.random.default_rng(_seed(config, 4, number))
        return apply(config, draw(self.found.space, rng))

    def _judged(self, trial: Trial, epochs: int) -> Trial:
        """Train a trial on each fold's other rows, and note what it comes to."""
        if not trial.rungs or trial.rungs[-1].epochs != epochs:
            try:
                rung = Rung(epochs, self._on_folds(trial, epochs))
                trial = replace(trial, rungs=(*trial.rungs, rung))
            except PlainnetError as error:
                trial = replace(trial, failure=str(error))
        kept = [one for one in self.found.trials if one.number != trial.number]
        self.found.trials = sorted([*kept, trial], key=lambda one: one.number)
        if self.seen is not None:
            self.seen(self.found, trial)
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
    """Train on the other folds and judge on this one; the same number, the same figures."""
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
    """A seed of one use, as far from all others as chance allows."""
    return int(np.random.SeedSequence(config.seed, spawn_key=use).generate_state(1)[0])


def _scores(folds: Collection[RowScores]) -> Scores:
    name = "r2" if any(one.task == "regression" for one in folds) else "accuracy"
    return Scores(tuple(one.loss for one in folds), tuple(one.metrics[name] for one in folds))


def simple_answers(data: "Folds", config: TrainConfig) -> tuple[BaselineScore, ...]:
    """Judge what one gets without a network on the same folds."""
    folds = [list(_answers_on(data, config, i)) for i in range(data.k)]
    found = []
    for one in zip(*folds, strict=True):
        baselines, words, figures = zip(*one, strict=True)
        same = words[0] if len(set(words)) == 1 else _GENERAL[baselines[0].name]
        found.append(BaselineScore(baselines[0].name, same, _scores(figures)))
    return tuple(found)


_GENERAL = {"constant": "always the same answer", "column": "the best column alone"}


def _answers_on(
    data: "Folds", config: TrainConfig, i: int
) -> Iterator[tuple[Baseline, str, RowScores]]:
    part = data.fold(i)
    assert part.test is not None
    model = untrained(part, config)
    for one in fit_baselines(part.schema, part.target, part.train):
        yield one, one.describe(part.target)[0], score_baseline(model, one, part.test)[1]
