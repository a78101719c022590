"""SharedMemory: sums and copies between the ranks of one machine, without messages."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, final

import numpy as np

from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from mpi4py import MPI

FOLDER = "/dev/shm"  # where Linux has this memory; containers give it little room


@final
class SharedMemory:
    """Arrays of the ranks of one machine, which all of them read.

    Each rank has its own; the address of the first number tells which arrays belong together.
    """

    def __init__(self, comm: MPI.Intracomm, window: type[MPI.Win]) -> None:
        self.comm, self._allocate = comm, window.Allocate_shared
        self._windows: list[MPI.Win] = []
        self._arrays: dict[int, list[Array]] = {}

    def copy(self, array: Array) -> Array:
        """Return a copy that the others read, or the array itself where there is no room."""
        least = min(self.comm.allgather(_room()))
        if 2 * self.comm.size * array.nbytes > least:
            return array
        window = self._allocate(max(1, array.nbytes), array.itemsize, comm=self.comm)
        window.Lock_all()
        self._windows.append(window)
        blocks: list[Any] = [window.Shared_query(rank)[0] for rank in range(self.comm.size)]
        arrays = [np.frombuffer(block, array.dtype, array.size) for block in blocks]
        own = arrays[self.comm.rank]
        self._arrays[own.ctypes.data] = arrays
        own[...] = array
        return own

    def of(self, array: Array) -> list[Array] | None:
        """Return the arrays of all ranks if this one begins where its own does."""
        return self._arrays.get(array.ctypes.data)

    def reduce_scatter(self, arrays: list[Array], bounds: list[int], out: Array) -> None:
        """Write the sum of this rank's share; the others may still read the arrays."""
        self._wait()
        share = slice(*bounds[self.comm.rank : self.comm.rank + 2])
        first, second, *others = (array[share] for array in arrays)
        np.add(first, second, out=out)
        for other in others:
            out += other

    def all_gather(self, arrays: list[Array], bounds: list[int]) -> None:
        """Copy the share of each rank to all others."""
        self._wait()
        own = arrays[self.comm.rank]
        for array, (start, stop) in zip(arrays, pairwise(bounds), strict=True):
            if array is not own:
                own[start:stop] = array[start:stop]
        self._wait()

    def release(self) -> None:
        """Give the memory back; nobody may use the arrays any more."""
        self._arrays.clear()
        while self._windows:
            window = self._windows.pop()
            window.Unlock_all()
            window.Free()

    def _wait(self) -> None:
        """Wait until all ranks have called this, and what they wrote is seen."""
        for window in self._windows:
            window.Sync()
        self.comm.Barrier()
        for window in self._windows:
            window.Sync()


def _room() -> float:
    """Return how many bytes are free."""
    with suppress(OSError, AttributeError):  # no such folder, Windows
        room = os.statvfs(FOLDER)
        return room.f_bavail * room.f_frsize
    return float("inf")
