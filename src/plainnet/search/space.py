"""Space: which settings a search may choose, how it draws them, and what they make."""

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
    """Numbers whose logarithm is drawn evenly, for what may differ by orders of magnitude."""

    low: float  # both positive
    high: float  # both positive

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a number."""
        x = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(x, self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@final
class Categorical(NamedTuple):
    """Numbers of which each is drawn as often as another."""

    values: tuple[float, ...]  # at least one

    def draw(self, rng: np.random.Generator) -> float:
        """Draw one of them."""
        return self.values[int(rng.integers(len(self.values)))]

    def __str__(self) -> str:
        first, last = (f"{value:g}" for value in (self.values[0], self.values[-1]))
        return ", ".join(f"{value:g}" for value in self.values) if first != last else first


Space = Mapping[str, LogUniform | Categorical]


def space_of(config: TrainConfig, m: int, given: Collection[str] = ()) -> Space:
    """Return what a search draws.

    The number of hidden layers and their width, one for all layers: in the experience of Bengio
    (2012) that is as good as narrowing or widening networks, and it leaves less to search. The
    learning rate; a tenth of the range for sgd takes its larger steps. Weight decay for adamw, for
    the others the L2 penalty, which is the same to sgd. Dropout. The batch size, at most half of
    the rows.
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
    """Return settings with what was drawn, to two digits, so that a command stays short and exact."""
    chosen = dict(values)
    if "layers" in chosen:
        layers, units = int(chosen.pop("layers")), int(chosen.pop("units"))
        config = replace(config, hidden=(units,) * layers)
    if "batch_size" in chosen:
        config = replace(config, batch_size=int(chosen.pop("batch_size")))
    rounded = {name: float(f"{value:.2g}") for name, value in chosen.items()}
    return replace(config, **rounded)  # type: ignore[arg-type]
