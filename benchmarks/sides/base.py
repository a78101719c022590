"""Side: what every library has to do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.workloads import SEED, Array, Job

Predict = Callable[[], object]


class Side(ABC):
    """A library that trains and predicts; loading and resetting are not timed."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @abstractmethod
    def load(self, job: Job) -> None:
        """Build the network and bring rows and targets into the library's own form."""

    @abstractmethod
    def reset(self) -> None:
        """Go back to the first weights and a fresh optimizer."""

    @abstractmethod
    def train(self, epochs: int) -> list[float]:
        """Train and return the mean loss of every epoch. This is what is timed."""

    @abstractmethod
    def predictor(self, rows: int, chunk: int | None) -> tuple[Predict, Callable[[], Array]]:
        """Return what predicts the first rows, and what gives its answers as probabilities."""

    def chosen_threads(self) -> int:
        """The number of threads at work in the last training."""
        return self.threads


def orders(rows: int, epochs: int) -> Iterator[Array]:
    """Draw the order of the rows in each epoch, as plainnet's fit does."""
    rng = np.random.default_rng(SEED)
    return (rng.permutation(rows) for _ in range(epochs))


def sigmoid(Z: Array) -> Array:
    probabilities: Array = 1 / (1 + np.exp(-np.asarray(Z, np.float64)))
    return probabilities


def chunks(X: Array, chunk: int | None) -> list[Array]:
    """Cut rows into pieces that stay in the cache; works on arrays of every library."""
    if chunk is None:
        return [X]
    return [X[start : start + chunk] for start in range(0, len(X), chunk)]
