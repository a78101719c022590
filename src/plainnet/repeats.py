"""Repeats: the same training from several seeds, for how far chance alone moves its result."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Any, final

from plainnet.config import TrainConfig
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.training import Run


@final
@dataclass(frozen=True)
class Repeats:
    """What several trainings came to."""

    seeds: tuple[int, ...]
    figure: str  # what is compared: accuracy, or rmse for numbers
    network: tuple[float, ...]
    baseline: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the networks."""
        return round(mean(self.network), 12)

    @property
    def deviation(self) -> float:
        """Their standard deviation, of a sample (n - 1)."""
        return round(stdev(self.network), 12)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest."""
        return min(self.network), max(self.network)

    @property
    def better(self) -> int:
        """How often the network was better than the best baseline."""
        pairs = zip(self.network, self.baseline, strict=True)
        if self.figure == "rmse":
            return sum(own < other for own, other in pairs)
        return sum(own > other for own, other in pairs)

    def to_json(self) -> dict[str, Any]:
        """Return the repeats as JSON can hold them."""
        return {
            "seeds": list(self.seeds),
            "figure": self.figure,
            "network": list(self.network),
            "baseline": list(self.baseline),
            "mean": self.mean,
            "deviation": self.deviation,
            "spread": list(self.spread),
            "better": self.better,
        }


def repeat(
    first: Run,
    config: TrainConfig,
    k: int,
    again: Callable[[TrainConfig], Run],
    watch: Callable[[int, float], object] | None = None,
) -> Repeats:
    """Train with further seeds and compare; the first run's model gets the result in its record.

    Ctrl-C ends the repeats: those that have ended by then are compared.
    """
    check_repeat(config, k)
    figure = "rmse" if first.model.target.task == "regression" else "accuracy"
    seeds = range(config.seed, config.seed + k)
    own, others = [], []
    for seed in seeds:
        run = first if seed == config.seed else again(replace(config, seed=seed))
        if run.history.stopped == "interrupted":
            break
        evaluation = stored_evaluation(run.model)
        if evaluation is None or evaluation.best_baseline is None:
            raise PlainnetError(f"the network of seed {seed} has no evaluation: {_why(run)}")
        own.append(evaluation.scores.main)
        others.append(evaluation.best_baseline.scores.main)
        if watch is not None:
            watch(seed, own[-1])
    if len(own) < 2:
        raise KeyboardInterrupt
    found = Repeats(tuple(seeds[: len(own)]), figure, tuple(own), tuple(others))
    first.model.record["repeats"] = found.to_json()
    return found


def check_repeat(config: TrainConfig, k: int) -> None:
    """Refuse a number of repeats that makes no sense; see `repeat`."""
    if k < 2:
        raise PlainnetError(f"to repeat a training takes at least 2 in all, got {k}")
    if not config.test_fraction:
        raise PlainnetError("repeats are compared on held-out rows: set test to 0.2, say")


def _why(run: Run) -> str:
    return run.data.notes[-1] if run.data.notes else "no rows were held out"
