"""The state of a training, which checkpoints store and restore exactly."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.train.batches import BatchSource
from plainnet.train.early_stopping import BestWeights
from plainnet.train.epoch import EpochProgress
from plainnet.train.history import COLUMNS, History
from plainnet.train.step import TrainStep

FitRows = Sequence[Array | None]
FitOptions = dict[str, Any]


class Checkpoint(NamedTuple):
    """The state of a training before one of its batches."""

    arrays: dict[str, Array]
    metadata: dict[str, Any]


class CheckpointStore(ABC):
    """Interface for storing and restoring checkpoints.

    Attributes
    ----------
    every : float or None
        Epochs from one checkpoint to the next, such as 0.5; the first is saved at the start. With
        None, a checkpoint is saved only when Ctrl-C ends the training.
    checkpoint : Checkpoint or None
        The checkpoint to resume from; with None, a new training starts.

    Examples
    --------
    >>> from plainnet import MeanSquaredError, fit, mlp
    >>> class Steps(CheckpointStore):
    ...     every = 0.5
    ...
    ...     def begin(self, net, train_step, rows, options):
    ...         print(len(rows[0]), "rows")
    ...
    ...     def save(self, checkpoint):
    ...         print(checkpoint.metadata["epoch"], checkpoint.metadata["batch"])
    >>> X, y = np.eye(4), np.arange(4.0)
    >>> history = fit(mlp(4), X, y, loss=MeanSquaredError(), epochs=2, batch_size=1,
    ...               checkpoints=Steps())
    4 rows
    1 0
    1 2
    2 0
    2 2
    """

    every: float | None = None
    checkpoint: Checkpoint | None = None

    @abstractmethod
    def begin(
        self, net: Sequential, train_step: TrainStep, rows: FitRows, options: FitOptions
    ) -> None:
        """Check before the first step that ``checkpoint`` belongs to this training.

        Parameters
        ----------
        net : Sequential
            The network that `fit` was given, with its first weights.
        train_step : TrainStep
            Loss and optimizer.
        rows : sequence of array or None
            X, y and weights to train on, X and y to validate with if any, and the network's input
            for the first row.
        options : dict
            The other arguments of `fit`, by name; also ``batches``, the number of batches in an
            epoch, ``generator``, the type of the generator that draws the order of the rows, and
            ``row space``, None unless the training runs in it and so needs the initial weights.

        Raises
        ------
        PlainnetError
            If ``checkpoint`` belongs to another training.
        """

    @abstractmethod
    def save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint before the next batch.

        Parameters
        ----------
        checkpoint : Checkpoint
            Copy its arrays if they are not written out at once.
        """


@final
class TrainingState:
    """The progress of a training: the epoch, its batches so far, and the sums over them.

    With a store, checkpoints hold everything that the rest of the training depends on.
    """

    def __init__(
        self,
        train_step: TrainStep,
        best: BestWeights,
        history: History,
        rng: np.random.Generator,
        batches: BatchSource,
    ) -> None:
        self.train_step, self.best, self.history, self.rng = train_step, best, history, rng
        self.batches, self.progress = batches, EpochProgress(0)
        self.store: CheckpointStore | None = None
        self._saves, self._every, self._step = False, 0, -1  # of rank 0, which has the store
        self._order = rng.bit_generator.state  # from which the epoch's order is drawn
        self.next_epoch()

    def begin(
        self, store: CheckpointStore | None, net: Sequential, rows: FitRows, options: FitOptions
    ) -> None:
        """Resume from the checkpoint of the store, if any; rank 0 sends it to the others."""
        ranks = self.train_step.ranks
        if ranks.size > 1:
            ranks.require_same(self._facts(net, rows, options))
        if store is not None:
            self._use(store, net, rows, options)
        checkpoint = None if store is None else store.checkpoint
        facts = store is not None, self._every, checkpoint
        self._saves, self._every, checkpoint = ranks.gather(facts)[0]
        if checkpoint is not None:
            try:
                self._restore(checkpoint)
            except (LookupError, TypeError, OverflowError, ValueError) as error:
                raise PlainnetError(f"the checkpoint does not fit this training: {error}") from None

    def _facts(self, net: Sequential, rows: FitRows, options: FitOptions) -> dict[str, str]:
        """Return by name what all ranks must have in common before the first step."""
        step, order = self.train_step, self.rng.bit_generator.state
        return {
            "network": repr(net),
            "loss and optimizer": f"{step.loss} {step.optimizer}",
            "options": f"{options} l2={step.l2} clip_norm={step.clip_norm} order={order}",
            "rows": digest(*rows),
            "initial parameters": digest(net.params.theta),
        }

    def _use(
        self, store: CheckpointStore, net: Sequential, rows: FitRows, options: FitOptions
    ) -> None:
        """Prepare to save checkpoints."""
        if self.rng is net.rng:
            raise PlainnetError("checkpoints need a seed other than the network's generator")
        kind = self.rng.bit_generator.state["bit_generator"]
        more: FitOptions = {"batches": len(self.batches), "generator": kind}
        if self.train_step.ranks.size > 1 and store.checkpoint is not None:
            more["engine"] = store.checkpoint.metadata["engine"]  # another may resume it
        store.begin(net, self.train_step, rows, options | more)
        self.store, every = store, store.every or 0
        self._every = every and max(1, round(min(every * len(self.batches), 2**53)))

    def require_same_parameters(self) -> None:
        """Raise PlainnetError if ranks differ after an epoch, as from a fault in MPI's sums."""
        if self.train_step.ranks.size > 1:
            theta, number = self.train_step.net.params.theta, self.progress.number
            self.train_step.ranks.require_same({f"parameters after epoch {number}": digest(theta)})

    def next_epoch(self) -> None:
        """Start an epoch."""
        self.progress = EpochProgress(self.progress.number + 1)
        if self._saves:
            self._order = self.rng.bit_generator.state

    def until_pause(self) -> int:
        """Return the number of steps to the next checkpoint."""
        every = self._every
        return int(every - self.train_step.optimizer.t % every) if every else 2**53

    def pause(self) -> bool:
        """Save a checkpoint if one is due before the next batch; return whether to stop there."""
        interrupted, step = self.train_step.interrupted, self.train_step.optimizer.t
        if self._saves:
            due = self._every and step % self._every == 0
            if (due or interrupted) and step != self._step:
                checkpoint = self._checkpoint()  # all ranks hold a part of it
                if self.store is not None:
                    self.store.save(checkpoint)
                self._step = step
        return interrupted

    def _state(self) -> dict[str, Array]:
        """Return the vector of parameters and those of the optimizer, by name."""
        optimizer, params = self.train_step.optimizer, self.train_step.net.params
        collect = partial(self.train_step.ranks.collect, m=params.trained.size)
        slots = {f"optimizer.{name}": collect(array) for name, array in optimizer.state.items()}
        return {"theta": params.theta, **slots}

    def _checkpoint(self) -> Checkpoint:
        arrays = self._state()
        if self.best.theta is not None:
            arrays |= {"best.theta": self.best.theta, "best.loss": self.best.losses}
        for name in COLUMNS:
            arrays[f"history.{name}"] = np.array(getattr(self.history, name), np.float64)
        progress = self.progress
        arrays["sums"] = np.array([progress.loss, progress.metric, progress.weight])
        metadata = {
            "epoch": progress.number,
            "batch": progress.batch,
            "step": self.train_step.optimizer.t,
            "best": self.best.epoch,
            "threads": self.history.threads,
            "engine": self.history.engine,
            "order": _plain(self._order),
            "masks": _plain(self.train_step.net.rng.bit_generator.state),
        }
        return Checkpoint(arrays, metadata)

    def _restore(self, checkpoint: Checkpoint) -> None:
        arrays, metadata = checkpoint.arrays, checkpoint.metadata
        for name, array in self._state().items():
            if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                raise PlainnetError(f"{name!r} has shape {array.shape} and type {array.dtype}")
        step = self.train_step
        step.net.params.theta[...] = arrays["theta"]
        for name, array in step.optimizer.state.items():
            array[...] = arrays[f"optimizer.{name}"][step.own]
        loss, metric, weight = arrays["sums"].tolist()
        rows = metadata["batch"] * self.batches.batch_size
        epoch, batch = metadata["epoch"], metadata["batch"]
        self.progress = EpochProgress(epoch, batch, loss, weight, metric, rows)
        step.optimizer.t = self._step = metadata["step"]
        self._order = self.rng.bit_generator.state = metadata["order"]
        step.net.rng.bit_generator.state = metadata["masks"]
        if metadata["best"] is not None:
            self.best.epoch, self.best.theta = metadata["best"], arrays["best.theta"]
            self.best.losses = arrays["best.loss"].copy()
        for name in COLUMNS:
            getattr(self.history, name)[:] = arrays[f"history.{name}"].tolist()
        self.history.threads = metadata["threads"]


def digest(*arrays: Array | None) -> str:
    """Return a hash of numbers, shapes and types, to compare arrays by."""
    sha = hashlib.sha256()
    for array in arrays:
        if array is None:
            sha.update(b"none")
        else:
            sha.update(f"{array.dtype} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def _plain(state: Any) -> Any:
    """Return a generator's state with arrays as lists, for JSON."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
