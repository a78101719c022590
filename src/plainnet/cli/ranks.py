"""Ranks on the command line: the processes that mpiexec started; rank 0 prints and writes."""

import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.console import Console

import plainnet.training
from plainnet.cli.console import print_line
from plainnet.cli.paths import relative_path
from plainnet.config import TrainConfig
from plainnet.distributed.mpi import MPIRanks, started_by_mpiexec
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.storage.checkpoints import Checkpoints


def ranks_of_mpiexec() -> AbstractContextManager[Ranks]:
    """Return the ranks that mpiexec started, or this process alone."""
    return MPIRanks() if started_by_mpiexec() else nullcontext(ALONE)


def follow(ranks: Ranks, path: Path | None, config: TrainConfig | None) -> None:
    """Train with rank 0, on what it sends if it resumes a training."""
    if path is None or config is None:
        job: tuple[Path, TrainConfig] | None = None
        job = ranks.gather(job)[0]
        assert job is not None  # for the type checker
        path, config = job
    plainnet.training.train(path, config, ranks=ranks)


def resume_command(checkpoints: Checkpoints, ranks: Ranks) -> str:
    """Return the command that resumes a training."""
    mpi = ["mpiexec", "-n", str(ranks.size)] if ranks.size > 1 else []
    folder = str(relative_path(checkpoints.folder))
    return shlex.join([*mpi, "plainnet", "train", "--resume", folder])


def show_ranks(console: Console, ranks: Ranks, checkpoints: Checkpoints) -> None:
    """Show the number of ranks, and prepare the message of a killed one."""
    if not isinstance(ranks, MPIRanks) or ranks.size == 1:
        return
    print_line(
        console,
        f"Ranks: {ranks.size}, each with its share of every batch; steps of NumPy, as compiled "
        "steps train in one process",
    )
    if checkpoints.every is None:
        advice = "nothing is saved: with --checkpoint-every 1 a training can be resumed"
    else:
        advice = f"resume from the last checkpoint with {resume_command(checkpoints, ranks)}"
    ranks.if_killed(f"Error: a rank was killed, and so all ranks have ended; {advice}")
