"""Search for options by cross-validation: at random, by successive halving, or with optuna."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Literal, NamedTuple, final

import numpy as np

from plainnet.build import check
from plainnet.config import Config, ResolvedConfig
from plainnet.data.splits import Folds
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import Scores as RowScores
from plainnet.formatting import count
from plainnet.search.samplers import TpeSampler, require_optuna
from plainnet.search.space import SEARCHED, Space, apply, draw, space_of
from plainnet.search.trial import (
    Baseline,
    BaselineScore,
    Rung,
    Trial,
    over_folds,
    score_baselines,
    score_trial,
    seed_of,
)
from plainnet.search.workers import Workers, mpi_workers
from plainnet.train.history import Epoch

FoldScores = list[RowScores | str]  # for each fold, or a failure
Method = Literal["random", "halving", "optuna"]


class SearchProgress(NamedTuple):
    """The trial and fold in training and its epoch, counted from 1, and the epochs so far."""

    trial: int
    fold: int
    epoch: int
    epochs: int  # of this training
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
    workers: int = 1  # processes that train at the same time
    baselines: tuple[BaselineScore, ...] = ()
    trials: list[Trial] = field(default_factory=list)
    stopped: Literal["interrupted", "worker died"] | None = None  # why it ended early

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
    workers: int = 1,
) -> None:
    """Refuse arguments of `search` that contradict each other."""
    if trials < 1:
        raise PlainnetError(f"a search needs at least 1 trial, got {trials}")
    if k < 2:
        raise PlainnetError(f"cross-validation needs at least 2 folds, got {k}")
    if workers < 1:
        raise PlainnetError(f"a search needs at least 1 worker, got {workers}")
    if mpi_workers() and workers not in (1, mpi_workers()):
        raise PlainnetError(
            f"mpiexec has started {count(mpi_workers(), 'worker')}, and {workers} are asked for: "
            "change mpiexec -n, of which one more process leads the search"
        )
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
    workers: int = 1,
    ready: Callable[[Search], object] | None = None,
    watch: Callable[[SearchProgress], object] | None = None,
    watch_trial: Callable[[Search, Trial], object] | None = None,
) -> Search:
    """Try options on folds, and rank the trials by their mean loss.

    The loss ranks better than the score, because it differs between networks that misclassify the
    same rows. The test rows are not used. Options named in ``given`` keep their value in
    ``config``. Several ``workers``, processes that train at the same time, find the same trials.
    Ctrl-C ends the search and returns the trials so far, as does the death of a worker.
    """
    check_search(config, trials, method, given, only, workers=workers)
    if unknown := set(given) - set(SEARCHED):
        raise PlainnetError(f"{min(unknown)!r} is not searched: expected {', '.join(SEARCHED)}")
    if config.network == "tabular":
        raise PlainnetError("a search tries options of one network: take network mlp, or train")
    config = config.resolved(images=data.data.train.X.ndim == 4)
    space = space_of(config, data.fold(0).m, given)
    if not space and trials > 1 and only is None:
        raise PlainnetError("there is nothing to search: every option is given; leave some out")
    if space and only is not None and method == "optuna":
        raise PlainnetError(
            f"with optuna, trial {only} depends on the trials before it: run it again with all its "
            "options given, as its command does"
        )
    halving = method == "halving"
    rounds = halving_rounds(trials, config.epochs) if halving else [(trials, config.epochs)]
    workers = mpi_workers() or workers
    result = Search(config, space, method, data.k, rounds, only, workers)
    if ready is not None:
        ready(result)
    try:
        with Workers(data, workers) if workers > 1 else nullcontext() as pool:
            run = _SearchRun(data, result, watch, watch_trial, pool)
            run.baselines()
            if method == "optuna" and only is None:
                run.by_optuna(trials)
            else:
                run.by_rounds(trials)
    except KeyboardInterrupt:
        result.stopped = "interrupted"
    except BrokenExecutor:
        result.stopped = "worker died"
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
        workers: Workers | None,
    ) -> None:
        self.data, self.result, self.workers = data, result, workers
        self.watch, self.watch_trial = watch, watch_trial
        self.done = 0
        alone = result.only is not None
        self.planned = data.k * sum((1 if alone else n) * epochs for n, epochs in result.rounds)

    def baselines(self) -> None:
        """Score the baselines on the same folds."""
        config, data = self.result.config, self.data
        if self.workers is None:
            folds = [score_baselines(data.fold(i), config) for i in range(data.k)]
        else:
            folds = self.workers.baselines(config)
        self.result.baselines = baseline_scores(folds)

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
            trials_left = self._scored([t for t in kept if t.failure is None], epochs)

    def by_optuna(self, trials: int) -> None:
        """Train the trials that optuna proposes: the first together, each other after the last."""
        config = self.result.config
        tpe = TpeSampler(self.result.space, seed_of(config, 6))
        first = 0
        while first < trials:
            proposed = tpe.ask(min(trials - first, 1 if first else TpeSampler.RANDOM))
            batch = [Trial(first + i, apply(config, each)) for i, each in enumerate(proposed, 1)]
            for trial in batch:
                check(trial.config)
            batch = self._scored(batch, config.epochs)
            tpe.tell([None if t.failure else t.rungs[-1].scores.mean_loss for t in batch])
            first += len(batch)

    def _drawn(self, number: int) -> Config:
        """Draw the options of a trial, which depend only on the seed and its number."""
        config = self.result.config
        rng = np.random.default_rng(seed_of(config, 4, number))
        return apply(config, draw(self.result.space, rng))

    def _scored(self, trials: list[Trial], epochs: int) -> list[Trial]:
        """Return trials with their scores after some epochs, or with the reason of a failure."""
        if all(trial.rungs and trial.rungs[-1].epochs == epochs for trial in trials):
            return trials
        scored = {}
        train = self._one_by_one if self.workers is None else self._together
        for trial, folds in train(trials, epochs):
            if failures := [fold for fold in folds if isinstance(fold, str)]:
                trial = replace(trial, failure=failures[0])
            else:
                scores = over_folds([fold for fold in folds if not isinstance(fold, str)])
                trial = replace(trial, rungs=(*trial.rungs, Rung(epochs, scores)))
            scored[trial.number] = trial
            others = [other for other in self.result.trials if other.number != trial.number]
            self.result.trials = sorted([*others, trial], key=lambda trial: trial.number)
            if self.watch_trial is not None:
                self.watch_trial(self.result, trial)
        return [scored[trial.number] for trial in trials]

    def _one_by_one(self, trials: list[Trial], epochs: int) -> Iterator[tuple[Trial, FoldScores]]:
        """Train on fold after fold; a failure ends its trial."""
        for trial in trials:
            folds: FoldScores = []
            for i in range(self.data.k):
                watch = partial(self._show, trial, i)
                folds.append(score_trial(self.data.fold(i), trial, i, epochs, watch))
                if isinstance(folds[-1], str):
                    break
            self.done += epochs * self.data.k
            yield trial, folds

    def _together(self, trials: list[Trial], epochs: int) -> Iterator[tuple[Trial, FoldScores]]:
        """Train on many folds at the same time; yield each trial when all of its folds are done."""
        assert self.workers is not None
        parts: dict[int, dict[int, RowScores | str]] = {trial.number: {} for trial in trials}
        for trial, i, fold in self.workers.score(trials, epochs):
            self.done += epochs
            if self.watch is not None:
                progress = SearchProgress(
                    trial.number, i + 1, epochs, epochs, self.done, self.planned
                )
                self.watch(progress)
            parts[trial.number][i] = fold
            if len(parts[trial.number]) == self.data.k:
                yield trial, [parts[trial.number][i] for i in range(self.data.k)]

    def _show(self, trial: Trial, i: int, epoch: Epoch) -> None:
        """Report an epoch on fold i, of a trial that is trained alone."""
        if self.watch is not None:
            done = self.done + i * epoch.of + epoch.number
            of = epoch.number, epoch.of
            self.watch(SearchProgress(trial.number, i + 1, *of, done, self.planned))


def baseline_scores(folds: Iterable[list[Baseline]]) -> tuple[BaselineScore, ...]:
    """Return the scores of each baseline on all folds."""
    by_name: dict[str, list[Baseline]] = {}
    for baseline in chain.from_iterable(folds):
        by_name.setdefault(baseline.name, []).append(baseline)
    result = []
    for name, found in by_name.items():
        equal = len({baseline.description for baseline in found}) == 1
        description = found[0].description if equal else _GENERAL[name]
        scores = over_folds([baseline.scores for baseline in found])
        result.append(BaselineScore(name, description, scores))
    return tuple(result)


_GENERAL = {"constant": "always the same answer", "column": "the best column alone"}
