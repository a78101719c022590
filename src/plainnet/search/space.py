"""The search space: the options that a search chooses, and their distributions."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from plainnet.config import Config

_OF_CONVNETS = ("channels", "kernel", "augment")
SEARCHED = ("hidden", "lr", "l2", "weight_decay", "dropout", "batch_size", *_OF_CONVNETS)


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


def searched(config: Config) -> list[str]:
    """Return the options that a search may choose for a network."""
    convnet = config.network == "convnet"
    return [name for name in SEARCHED if convnet or name not in _OF_CONVNETS]


def space_of(config: Config, m: int, given: Collection[str] = ()) -> Space:
    """Return the distributions of the options that were not given, for m training rows.

    All hidden layers have the same width, which Bengio (2012) found as good as other shapes. Each
    block of a convolutional network has twice the channels of the one before. With
    adamw the weight decay is searched, with the other optimizers the L2 penalty. A batch holds at
    most half of the rows.
    """
    space: dict[str, LogUniform | Categorical] = {}
    convnet = config.network == "convnet"
    if convnet and "channels" not in given:
        space |= {"blocks": Categorical((2, 3, 4)), "filters": Categorical((8, 16, 32))}
    if convnet and "kernel" not in given:
        space["kernel"] = Categorical((3, 5))
    if convnet and "augment" not in given:
        space["shift"] = Categorical((0, 1))
    if "hidden" not in given and not convnet:
        space |= {"layers": Categorical((1, 2, 3)), "units": Categorical((8, 16, 32, 64, 128))}
    if "lr" not in given:
        space["lr"] = LogUniform(1e-3, 1.0) if config.optimizer == "sgd" else LogUniform(1e-4, 0.03)
    if config.optimizer == "adamw" and "weight_decay" not in given:
        space["weight_decay"] = LogUniform(1e-3, 1.0)
    if config.optimizer != "adamw" and "l2" not in given:
        space["l2"] = LogUniform(1e-6, 0.1)
    if "dropout" not in given and ("hidden" not in given or config.hidden != ()):
        space["dropout"] = Categorical((0.0, 0.1, 0.25, 0.5))
    if "batch_size" not in given:
        sizes = (n for n in (16, 32, 64, 128, 256) if n <= max(m / 2, 16))
        space["batch_size"] = Categorical(tuple(sizes))
    return space


def draw(space: Space, rng: np.random.Generator) -> dict[str, float]:
    """Draw a value for each name."""
    return {name: distribution.draw(rng) for name, distribution in space.items()}


def apply(config: Config, values: Mapping[str, float]) -> Config:
    """Return the options with drawn values, rounded to two digits to keep commands short."""
    chosen = dict(values)
    if "layers" in chosen:
        layers, units = int(chosen.pop("layers")), int(chosen.pop("units"))
        config = replace(config, hidden=(units,) * layers)
    if "blocks" in chosen:
        blocks, filters = int(chosen.pop("blocks")), int(chosen.pop("filters"))
        config = replace(config, channels=tuple(filters * 2**i for i in range(blocks)))
    if "shift" in chosen:
        config = replace(config, augment=("shift",) if chosen.pop("shift") else ())
    whole = {name: int(chosen.pop(name)) for name in ("batch_size", "kernel") if name in chosen}
    rounded = {name: float(f"{value:.2g}") for name, value in chosen.items()}
    return replace(config, **whole, **rounded)  # type: ignore[arg-type]
