"""SharedMemory: sums and copies between the ranks of one machine, without messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

import numpy as np

from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from mpi4py import MPI

PIECE = 2**21  # bytes that a rank writes at a time: they are still in the cache when others read


@final
class SharedMemory:
    """Memory of each rank that all ranks of a machine read.

    Arrays pass through it in pieces. Pieces take turns between two halves, so that a rank may
    still read one while others write the next.
    """

    def __init__(self, window: MPI.Win, comm: MPI.Comm) -> None:
        self.comm, self._window, self._turn = comm, window, 0
        window.Lock_all()
        blocks: list[Any] = [window.Shared_query(rank)[0] for rank in range(comm.size)]
        self._halves = [np.frombuffer(block, np.uint8).reshape(2, PIECE) for block in blocks]

    def reduce_scatter(self, shares: list[Array], out: Array) -> None:
        """Write the sum of this rank's share over all ranks; shares lie in an array of each."""
        own, out = self.comm.rank, out.reshape(-1)
        for part, blocks in self._pieces(shares, self.comm.size):
            for rank, share in enumerate(shares):
                if rank != own:
                    _copy(share[part], blocks[own][rank])
            self._wait()
            total = out[part]
            first, second, *others = (
                shares[own][part] if rank == own else block[own, : len(total)]
                for rank, block in enumerate(blocks)
            )
            np.add(first, second, out=total)
            for other in others:
                total += other

    def all_gather(self, shares: list[Array]) -> None:
        """Copy the share of each rank to all others."""
        own = self.comm.rank
        for part, blocks in self._pieces(shares, 1):
            _copy(shares[own][part], blocks[own][0])
            self._wait()
            for rank, share in enumerate(shares):
                if rank != own:
                    share[part] = blocks[rank][0, : len(share[part])]

    def _pieces(self, shares: list[Array], rows: int) -> Iterator[tuple[slice, list[Array]]]:
        """Yield each piece of shares, with the rows of memory of each rank for it."""
        dtype = shares[0].dtype
        step = PIECE // dtype.itemsize // rows
        for start in range(0, max(map(len, shares)), step):
            self._turn = 1 - self._turn
            blocks = [half[self._turn].view(dtype)[: rows * step] for half in self._halves]
            yield slice(start, start + step), [block.reshape(rows, step) for block in blocks]

    def _wait(self) -> None:
        """Wait until all ranks have written, and what they wrote is seen."""
        self._window.Sync()
        self.comm.Barrier()
        self._window.Sync()


def _copy(part: Array, memory: Array) -> None:
    memory[: len(part)] = part
