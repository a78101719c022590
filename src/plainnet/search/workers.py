"""Workers: processes that train on several folds at the same time."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from functools import lru_cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from typing import TYPE_CHECKING, Any, final

import numpy as np

from plainnet.config import Config
from plainnet.data.splits import Folds
from plainnet.engine.blas_threads import available_threads, blas_libraries
from plainnet.errors import PlainnetError
from plainnet.evaluate.evaluation import Scores as RowScores
from plainnet.evaluate.processes import without_ctrl_c
from plainnet.search.trial import Baseline, Trial, score_baselines, score_trial

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset


def mpi_workers() -> int:
    """Return the number of workers that `python -m mpi4py.futures` has started, 0 without it."""
    if "mpi4py.futures" not in sys.modules:
        return 0
    from mpi4py import MPI

    return int(MPI.COMM_WORLD.Get_size()) - 1


@final
class Workers(AbstractContextManager["Workers"]):
    """Processes with a copy of the data each: of this machine, or those that MPI has started."""

    def __init__(self, folds: Folds, n: int) -> None:
        self._n, self._k = n, folds.k
        data = folds.make, folds.kept, np.geterr()
        self._pool: Executor
        if mpi_workers():
            from mpi4py.futures import MPIPoolExecutor

            self._pipe: tuple[Connection, ...] = ()
            self._pool = MPIPoolExecutor(initializer=_begin, initargs=(*data, 1, None))
        else:
            context = get_context("spawn")  # a fork would copy locks that threads hold
            self._pipe = context.Pipe(duplex=False)
            threads = max(1, available_threads() // n)
            arguments = (*data, threads, self._pipe[0])
            self._pool = ProcessPoolExecutor(n, context, _begin, arguments)

    def __enter__(self) -> "Workers":
        try:
            started = [self._submit(os.getpid) for _ in range(self._n)]
            next(as_completed(started)).result()
        except BrokenExecutor:
            raise PlainnetError(
                "no worker could be started: there may be too little memory for a copy of the data "
                "in each, or a script searches outside of if __name__ == '__main__':"
            ) from None
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._pipe:
            connection.close()  # ends all workers, also during a training
        self._pool.shutdown(cancel_futures=True)

    def baselines(self, config: Config) -> list[list[Baseline]]:
        """Score the baselines on each fold."""
        futures = [self._submit(_baselines, i, config) for i in range(self._k)]
        return [future.result() for future in futures]

    def score(
        self, trials: Sequence[Trial], epochs: int
    ) -> Iterator[tuple[Trial, int, RowScores | str]]:
        """Score trials on all folds; yield trial, fold and scores or failure as they come."""
        futures = {
            self._submit(_score, trial, i, epochs): (trial, i)
            for trial in trials
            for i in range(self._k)
        }
        for future in as_completed(futures):
            yield *futures[future], future.result()

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Submit a call; processes that start for it ignore Ctrl-C, because the pipe ends them."""
        with without_ctrl_c():
            return self._pool.submit(function, *arguments)


# --- in a worker ---------------------------------------------------------------------------------

_fold: "Callable[[int], Dataset]"  # the data of the search


def _begin(
    make: "Callable[[int], Dataset]",
    kept: int,
    errors: Mapping[str, Any],
    threads: int,
    alive: Connection | None,
) -> None:
    """Prepare a worker: the data, its share of the threads, and its end with the search."""
    global _fold
    _fold = lru_cache(kept)(make)
    signal.signal(signal.SIGINT, lambda *_: None)  # with MPI, a training ends after its batch
    np.seterr(**errors)
    for library in blas_libraries():
        library.set_num_threads(threads)
    if alive is not None:
        Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    """End this process as soon as the search has closed its end of a pipe, or is gone."""
    alive.poll(None)
    os._exit(1)


def _baselines(i: int, config: Config) -> list[Baseline]:
    return score_baselines(_fold(i), config)


def _score(trial: Trial, i: int, epochs: int) -> RowScores | str:
    return score_trial(_fold(i), trial, i, epochs, lambda epoch: None)
