"""MPIRanks: processes that mpiexec starts, on one machine or several, and that train together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import pairwise
from types import TracebackType
from typing import Self, TypeVar, final

import numpy as np

from plainnet._version import __version__
from plainnet.distributed.shared_memory import SharedMemory
from plainnet.engine.blas_threads import available_threads, limited_threads
from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import Ranks

T = TypeVar("T")
_RANK = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")  # set by mpiexec
_SIZE = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
GRACE = 2.0  # seconds that a rank with an error waits for the same error on the others
POLL = 0.005  # seconds between two looks at whether the others have ended
# Prints a text unless it reads a line first. It survives the ranks, which mpiexec kills at once.
_PRINT_IF_KILLED = 'read -r line || printf "%s\\n" "$1" >&2'


def started_by_mpiexec() -> bool:
    """Return whether mpiexec started this process."""
    return any(name in os.environ for name in _RANK)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C, which is for rank 0 where others only wait for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@final
class MPIRanks(Ranks):
    """The ranks of MPI's world; a block of them ends on all ranks together.

    An error on some ranks ends all: those that wait for them would wait for ever. An error on all
    ranks is reported by rank 0.

    Raises
    ------
    PlainnetError
        If mpi4py is not installed or of another MPI than mpiexec, or the ranks have different
        versions or cannot sum.

    Examples
    --------
    >>> with MPIRanks() as ranks:  # one rank without mpiexec
    ...     print(ranks.rank, ranks.size, ranks.gather("here"))
    0 1 ['here']
    """

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except ImportError as error:
            raise PlainnetError(
                f"mpiexec needs mpi4py and an MPI library ({error}): pip install 'plainnet[mpi]' "
                "and mpich, or the system's MPI"
            ) from None
        self._mpi, self.comm = MPI, MPI.COMM_WORLD
        self.rank, self.size = self.comm.rank, self.comm.size
        started = next((int(os.environ[name]) for name in _SIZE if name in os.environ), self.size)
        if started != self.size:
            raise PlainnetError(
                f"mpiexec started {started} processes, but each finds itself alone: mpi4py uses "
                f"{MPI.Get_library_version().split(chr(10))[0]}, and mpiexec is of another MPI; "
                "take the mpiexec of that one"
            )
        self._end = self.comm.Dup()
        local = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = local.rank, local.size
        one_machine = local.size == self.size > 1
        self._memory = SharedMemory(self.comm, MPI.Win) if one_machine else None
        self._threads = limited_threads(max(1, available_threads() // self.local_size))
        self._watcher: subprocess.Popen[str] | None = None

    def _check(self) -> None:
        """Check that ranks have the same versions, and sum numbers of both types right."""
        self.require_same({"version of plainnet": __version__, "version of NumPy": np.__version__})
        for dtype in (np.float32, np.float64):
            numbers = np.arange(1000, dtype=dtype) * (self.rank + 1)
            self.all_reduce(numbers)
            ranks = self.size * (self.size + 1) // 2
            self.require_same({"sums": numbers.tobytes()})
            if not np.array_equal(numbers, np.arange(1000, dtype=dtype) * ranks):
                raise PlainnetError(f"MPI sums {dtype.__name__} numbers of {self.size} ranks wrong")

    def all_reduce(self, array: Array) -> None:
        """Replace an array by its sum over all ranks."""
        self.comm.Allreduce(self._mpi.IN_PLACE, array)

    def reduce_scatter(self, array: Array, out: Array) -> None:
        """Write this rank's share of the sum of an array over all ranks."""
        bounds = self._bounds(array)
        if self._memory and (arrays := self._memory.of(array)):
            self._memory.reduce_scatter(arrays, bounds, out)
        else:
            self.comm.Reduce_scatter(array, out, _counts(array, bounds))

    def all_gather(self, array: Array) -> None:
        """Copy the share of each rank in an array to all others."""
        bounds = self._bounds(array)
        if self._memory and (arrays := self._memory.of(array)):
            self._memory.all_gather(arrays, bounds)
        else:
            self.comm.Allgatherv(self._mpi.IN_PLACE, [array, _counts(array, bounds)])

    def _bounds(self, array: Array) -> list[int]:
        """Return where the share of each rank in an array begins, and the end."""
        return [len(array) * rank // self.size for rank in range(self.size + 1)]

    def share_memory(self, array: Array) -> Array:
        """Return a copy that the ranks of one machine read, or the array itself."""
        return self._memory.copy(array) if self._memory else array

    def release_memory(self) -> None:
        """Give back the memory of such copies."""
        if self._memory:
            self._memory.release()

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks."""
        values: list[T] = self.comm.allgather(value)
        return values

    def barrier(self) -> None:
        """Wait until all ranks have called this, and leave the processor to others meanwhile."""
        request = self.comm.Ibarrier()
        while not request.Test():
            time.sleep(POLL)

    def if_killed(self, text: str) -> None:
        """Let rank 0 print a text if the ranks are killed before the block ends."""
        self._stop_watcher()
        if self.rank == 0 and os.name == "posix":
            command = ["/bin/sh", "-c", _PRINT_IF_KILLED, "sh", text]
            self._watcher = subprocess.Popen(
                command, stdin=subprocess.PIPE, start_new_session=True, text=True
            )

    def _stop_watcher(self) -> None:
        if self._watcher is not None:
            with suppress(OSError):
                self._watcher.communicate("\n")
            self._watcher = None

    def __enter__(self) -> Self:
        self._threads.__enter__()
        try:
            self._check()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Wait until all ranks have ended; end them if that takes long after an error."""
        self._threads.__exit__(None, None, None)
        with _without_interrupts() if self.rank and error is None else nullcontext():
            self._wait(error)
        self._stop_watcher()
        if error is not None and self.rank:
            raise SystemExit(2)

    def _wait(self, error: BaseException | None) -> None:
        request, start = self._end.Ibarrier(), time.monotonic()
        while not request.Test():
            if error is not None and time.monotonic() > start + GRACE:
                self._abort(error)
            time.sleep(POLL)

    def _abort(self, error: BaseException) -> None:
        known = isinstance(error, PlainnetError | OSError)
        text = str(error) if known else "".join(traceback.format_exception(error))
        sys.stderr.write(f"Error on rank {self.rank}: {text}\n")
        sys.stderr.flush()
        time.sleep(0.2)  # until mpiexec has passed the text on
        self.comm.Abort(2)


def _counts(array: Array, bounds: list[int]) -> list[int]:
    """Return how many numbers of an array each rank has."""
    return [array[start:stop].size for start, stop in pairwise(bounds)]
