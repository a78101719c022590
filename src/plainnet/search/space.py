"""The search space: which options a search may choose, and how it draws them."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple, final

import numpy as np

from plainnet.config import TrainConfig

SEARCHED = ("hidden", "lr", "l2", "weight_decay", "dropout", "batch_size")

_LAYERS = (1, 2, 3)
_UNITS = (8, 16, 32, 64, 128)
_DROPOUT = (0.0, 0.1, 0.25, 0.5)
_BATCHES = (16, 32, 64, 128, 256)


@final
class LogUniform(NamedTuple):
    """Positive numbers drawn log-uniformly, for options that span orders of magnitude."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a number."""
        x = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(x, self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@final
class Categorical(NamedTuple):
    """Numbers drawn with equal probability."""

    values: tuple[float, ...]  # at least one

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a number."""
        return self.values[int(rng.integers(len(self.values)))]

    def __str__(self) -> str:
        first, last = (f"{value:g}" for value in (self.values[0], self.values[-1]))
        return ", ".join(f"{value:g}" for value in self.values) if first != last else first


Space = Mapping[str, LogUniform | Categorical]


def space_of(config: TrainConfig, m: int, given: Collection[str] = ()) -> Space:
    """Return the distributions of the options that were not given, for m training rows.

    All hidden layers have the same width: Bengio (2012) found that as good as layers that narrow
    or widen, and it leaves less to search. adamw has weight decay, the other optimizers the L2
    penalty. A batch holds at most half of the rows.
    """
    space: dict[str, LogUniform | Categorical] = {}
    if "hidden" not in given:
        space |= {"layers": Categorical(_LAYERS), "units": Categorical(_UNITS)}
    if "lr" not in given:
        space["lr"] = LogUniform(1e-3, 1.0) if config.optimizer == "sgd" else LogUniform(1e-4, 0.03)
    penalty = "weight_decay" if config.optimizer == "adamw" else "l2"
    if penalty not in given:
        space[penalty] = (
            LogUniform(1e-3, 1.0) if penalty == "weight_decay" else LogUniform(1e-6, 0.1)
        )
    if "dropout" not in given and ("hidden" not in given or config.hidden != ()):
        space["dropout"] = Categorical(_DROPOUT)
    if "batch_size" not in given:
        space["batch_size"] = Categorical(
            tuple(n for n in _BATCHES if n <= max(m / 2, _BATCHES[0]))
        )
    return space


def draw(space: Space, rng: np.random.Generator) -> dict[str, float]:
    """Draw a value for each name."""
    return {name: one.draw(rng) for name, one in space.items()}


def apply(config: TrainConfig, values: Mapping[str, float]) -> TrainConfig:
    """Return the options with drawn values, rounded to two digits to keep commands short."""
    chosen = dict(values)
    if "layers" in chosen:
        layers, units = int(chosen.pop("layers")), int(chosen.pop("units"))
        config = replace(config, hidden=(units,) * layers)
    if "batch_size" in chosen:
        config = replace(config, batch_size=int(chosen.pop("batch_size")))
    rounded = {name: float(f"{value:.2g}") for name, value in chosen.items()}
    return replace(config, **rounded)  # type: ignore[arg-type]
