"""Implementation: the interface of every library in the benchmark."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.workloads import SEED, Array, Job

Predict = Callable[[], object]


class Implementation(ABC):
    """A library that trains and predicts; loading and resetting are not timed."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @abstractmethod
    def load(self, job: Job) -> None:
        """Build the network and convert rows and targets to the library's format."""

    @abstractmethod
    def reset(self) -> None:
        """Restore the initial weights and create a new optimizer."""

    @abstractmethod
    def train(self, epochs: int) -> list[float]:
        """Train and return the mean loss of every epoch. Only this call is timed."""

    @abstractmethod
    def predictor(self, rows: int, chunk: int | None) -> tuple[Predict, Callable[[], Array]]:
        """Return two functions: predict the first rows, and return some of the probabilities."""

    def chosen_threads(self) -> int:
        """Return the number of threads used in the last training."""
        return self.threads


def orders(rows: int, epochs: int) -> Iterator[Array]:
    """Draw the order of the rows in each epoch as plainnet.fit does."""
    rng = np.random.default_rng(SEED)
    return (rng.permutation(rows) for _ in range(epochs))


def sigmoid(Z: Array) -> Array:
    probabilities: Array = 1 / (1 + np.exp(-np.asarray(Z, np.float64)))
    return probabilities


def chunks(X: Array, chunk: int | None) -> list[Array]:
    """Split rows into chunks that fit into the cache, for arrays of any library."""
    if chunk is None:
        return [X]
    return [X[start : start + chunk] for start in range(0, len(X), chunk)]
