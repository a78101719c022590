"""Checkpoints: a folder with the last states of a training, from which it goes on."""

import hashlib
import json
import platform
import re
import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, final

import numpy as np

from plainnet._version import __version__
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.nn.validation import check_range
from plainnet.optim.optimizers import Optimizer
from plainnet.storage.atomic import make_folder
from plainnet.storage.checkpoint_state import check_arrays, check_fit, check_header
from plainnet.storage.json_reader import JsonReader, shortened
from plainnet.storage.locks import FolderLock, lock_folder
from plainnet.storage.model_file import read_model, write_model
from plainnet.train.state import Checkpoint, CheckpointStore, Options, Rows
from plainnet.train.step import TrainStep

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_LEFT = re.compile(r"\.checkpoint-\d+\.safetensors\.[0-9a-f]+\.tmp")  # by a process that was killed
_EDITED = "The model file is damaged or was edited: "  # from `JsonReader`
_REASON = 500  # characters of what is wrong with a file

Tell = Callable[[str], object]


@final
class Checkpoints(CheckpointStore):
    """A folder that keeps the last two states of a training; give it to `run` or `fit`.

    A checkpoint is written whole or not at all, and then the oldest is removed. What cannot be
    written, because the disk is full, does not end the training.

    Parameters
    ----------
    folder : path
        Made when it is needed, in a folder that exists.
    every : float, optional
        Epochs from one checkpoint to the next, 0.5 for two an epoch; the first is of the start.
        By default there is one only when Ctrl-C ends the training early.
    tell : callable, optional
        What is given a sentence when something goes wrong; by default it becomes a warning.

    Attributes
    ----------
    every : float or None
        As given.
    found : Checkpoint or None
        Where `load` goes on.
    last : Path or None
        The newest whole checkpoint of this training.

    Raises
    ------
    PlainnetError
        If every is not above 0, or the folder holds the checkpoints of another training that
        would be lost, or another process is training in it.

    Examples
    --------
    >>> import tempfile
    >>> from plainnet import MeanSquaredError, fit, mlp
    >>> X, y, loss = np.eye(4), np.arange(4.0), MeanSquaredError()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     whole, half = mlp(4), mlp(4)
    ...     history = fit(whole, X, y, loss=loss, epochs=20)
    ...     checkpoints = Checkpoints(f"{folder}/a.run", every=5)
    ...     try:
    ...         history = fit(half, X, y, loss=loss, epochs=20, checkpoints=checkpoints,
    ...                       callbacks=[lambda epoch: 1 / (13 - epoch.number) > 9])
    ...     except ZeroDivisionError:
    ...         print("the power failed after", checkpoints.last.name)
    ...     checkpoints = Checkpoints.load(f"{folder}/a.run")
    ...     history = fit(half, X, y, loss=loss, epochs=20, checkpoints=checkpoints)
    the power failed after checkpoint-0000000010.safetensors
    >>> len(history), np.array_equal(half.params.theta, whole.params.theta)
    (20, True)
    """

    def __init__(
        self, folder: str | Path, every: float | None = None, tell: Tell | None = None
    ) -> None:
        self.folder, self.every = Path(folder), every
        self.last: Path | None = None
        self._lock: FolderLock | None = None
        self._tell: Tell = warnings.warn if tell is None else tell
        self._about: dict[str, Callable[[], Any]] = {}
        self._stored: Mapping[str, Any] = {}
        if every is None:
            return
        self.every = check_range("Checkpoints", "every", every, 0, float("inf"), ends=False)
        if self.folder.exists() and not self.folder.is_dir():
            raise PlainnetError(f"{str(folder)!r} is a file: checkpoints need a folder")
        if self.unfinished:
            self._hold()
            resume = shlex.join(["plainnet", "train", "--resume", str(folder)])
            raise PlainnetError(
                f"{str(folder)!r} holds a training that has not ended: go on with it by {resume}, "
                "or remove the folder"
            )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        tell: Tell | None = None,
        check: Callable[[Self], object] | None = None,
    ) -> Self:
        """Find the newest whole checkpoint, for a training to go on from it.

        Parameters
        ----------
        folder, tell
            See the class; ``tell`` hears of a checkpoint that is damaged.
        check : callable, optional
            Is shown a checkpoint that was read; a `ModelFileError` says that it is damaged too.

        Returns
        -------
        Checkpoints
            Which keeps further ones as often as before.

        Raises
        ------
        ModelFileError
            If there is none that can be used.
        PlainnetError
            If another process is training in the folder.

        Examples
        --------
        >>> Checkpoints.load("nowhere.run")
        Traceback (most recent call last):
        plainnet.errors.ModelFileError: there is no training to resume in 'nowhere.run': it has \
ended, or saved no checkpoint yet
        """
        self = cls(folder, tell=tell)
        if self.folder.is_file():
            raise ModelFileError(
                f"{str(folder)!r} is a file: to resume a training takes the folder of its "
                "checkpoints"
            )
        if self.unfinished:
            self._hold()
        wrong: list[str] = []
        for path in self._files():
            try:
                self._read(path, check)
            except ModelFileError as error:
                wrong.append(str(error))
                continue
            for reason in wrong:
                self._tell(f"{reason}; going on from {path.name}, the one before")
            return self
        if not wrong:
            raise ModelFileError(
                f"there is no training to resume in {str(folder)!r}: it has ended, or saved no "
                "checkpoint yet"
            )
        raise ModelFileError(f"no checkpoint in {str(folder)!r} can be used: {wrong[0]}")

    def _read(self, path: Path, check: Callable[[Self], object] | None) -> None:
        arrays, header = read_model(path, "checkpoint")
        if (version := header.get("version")) != __version__:
            shown = shortened(version).strip("'")
            raise ModelFileError(
                f"{str(path)!r} is of plainnet {shown}, and this is {__version__}, "
                "which may compute otherwise: use that version, or train again"
            )
        self.last, self._stored = path, {}
        with self.validated():
            check_header(header)
            check_arrays(arrays, header["facts"])
        self.found, self.every = Checkpoint(arrays, header["facts"]), header["every"]
        self._stored = header["about"]
        if check is not None:
            check(self)
        if (then := header["with"]) != (now := _platform()):
            self._tell(f"the training began with {then} and goes on with {now}: digits may differ")

    @contextmanager
    def validated(self) -> Iterator[JsonReader]:
        """Read what was added to the checkpoint that was found; an error names its file.

        Yields
        ------
        JsonReader
            By the names that `also` and `same` were given.

        Raises
        ------
        ModelFileError
            If something inside the block cannot be what it should.

        Examples
        --------
        >>> with Checkpoints("a.run").validated() as about:
        ...     about.text("path")
        Traceback (most recent call last):
        plainnet.errors.ModelFileError: 'a.run' is not a checkpoint that can be used: field \
'path' of the checkpoint is absent
        """
        try:
            yield JsonReader(dict(self._stored), "the checkpoint")
        except PlainnetError as error:
            reason = str(error).removeprefix(_EDITED).removesuffix(".")[:_REASON]
            raise ModelFileError(
                f"{str(self.last or self.folder)!r} is not a checkpoint that can be used: {reason}"
            ) from None

    def begin(self, net: Sequential, train_step: TrainStep, rows: Rows, options: Options) -> None:
        """Compare a training that goes on with the one that was begun; see `CheckpointStore`.

        Raises
        ------
        PlainnetError
            If data, network or options are others.
        """
        loss, steps = train_step.loss, options["epochs"] * options["batches"]
        first = digest(net.params.theta) if options["row space"] is not None else ""
        self.same("network", lambda: str(net.config()))
        self.same("first weights", lambda: first)
        self.same("loss", lambda: f"{type(loss).__name__} {loss.config()}")
        self.same("optimizer", lambda: described(train_step.optimizer, steps))
        every = {**options, "l2": train_step.l2, "clip norm": train_step.clip_norm}
        del every["generator"]  # whose state is in every checkpoint
        self.same("options", lambda: {name: _plain(value) for name, value in every.items()})
        self.same("rows", lambda: digest(*rows))
        if self.found is not None:
            with self.validated():
                check_fit(self.found, train_step, rows, options)

    @property
    def unfinished(self) -> bool:
        """Whether the folder holds checkpoints, of this training or another."""
        return bool(self._files())

    def same(self, name: str, make: Callable[[], Any]) -> None:
        """Add something to the checkpoints that must be the same when the training goes on.

        Parameters
        ----------
        name : str
            What it is called in a message.
        make : callable
            Returns it, as JSON can hold it; called at the first checkpoint, or at once where the
            training goes on.

        Raises
        ------
        PlainnetError
            If the training was begun with another.

        Examples
        --------
        >>> Checkpoints("a.run").same("seed", lambda: 3)
        """
        made: list[Any] = []

        def once() -> Any:
            if not made:
                made.append(json.loads(json.dumps(make())))
            return made[0]

        self.also(name, once)
        if self.found is not None and (now := once()) != (then := self.stored(name)):
            what = f"with other {name}"
            if isinstance(now, dict) and isinstance(then, dict):
                differ = (key for key in now if key in then and now[key] != then[key])
                if (key := next(differ, None)) is not None:
                    what = f"with {key} {shortened(then[key])}, not with {key} {now[key]!r}"
            raise PlainnetError(
                f"the training in {str(self.folder)!r} was begun {what}: it can only go on as it "
                "began"
            )

    def also(self, name: str, make: Callable[[], Any]) -> None:
        """Add something to the checkpoints; `stored` gives it back when the training goes on.

        Parameters
        ----------
        name : str
            Where to find it.
        make : callable
            Returns it, as JSON can hold it; called at every checkpoint.

        Examples
        --------
        >>> Checkpoints("a.run").also("place", lambda: "a.safetensors")
        """
        self._about[name] = make

    def stored(self, name: str) -> Any:
        """Return what was added under a name to the checkpoint that was found; else None."""
        return self._stored.get(name)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove all but the last two of this training.

        Parameters
        ----------
        checkpoint : Checkpoint
            From `fit`.

        Raises
        ------
        OSError, PlainnetError
            If not even the first can be written. A later one that cannot is told, and the
            training goes on.
        """
        step = checkpoint.facts["step"]
        path = self.folder / f"checkpoint-{step:010}.safetensors"
        header = {
            "facts": checkpoint.facts,
            "about": {name: make() for name, make in self._about.items()},
            "every": self.every,
            "with": _platform(),
        }
        try:
            make_folder(self.folder)
            self._hold()
            if path.is_symlink():  # to a file that the folder's author chose
                path.unlink()
            write_model(path, checkpoint.arrays, header, "checkpoint")
        except (OSError, PlainnetError) as error:
            if step == 0:
                raise
            last = "none" if self.last is None else self.last.name
            why = error.strerror if isinstance(error, OSError) else error
            self._tell(f"{str(path)!r} could not be written ({why}); the last is {last}")
            return
        kept = {path, self.last}  # two, so that one is whole whatever happens to the other
        self.last = path
        for file in self.folder.iterdir():
            if (_NAME.fullmatch(file.name) and file not in kept) or _LEFT.fullmatch(file.name):
                file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the checkpoints, and the folder unless it holds something else.

        For when the training has ended and its model is saved.

        Examples
        --------
        >>> Checkpoints("nowhere.run").remove()
        """
        if not self.folder.is_dir():
            return
        self._hold()
        for file in self.folder.iterdir():
            if _NAME.fullmatch(file.name) or _LEFT.fullmatch(file.name):
                file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.remove()
            self._lock = None
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _hold(self) -> None:
        """Keep other processes out of the folder from now on; `PlainnetError` if one is in it."""
        self._lock = lock_folder(self.folder)

    def _files(self) -> list[Path]:
        """Checkpoints in the folder, the newest first."""
        files = [] if not self.folder.is_dir() else list(self.folder.iterdir())
        found = {file: int(m[1]) for file in files if (m := _NAME.fullmatch(file.name))}
        return sorted(found, key=lambda file: -found[file])


def digest(*arrays: Array | None) -> str:
    """Return a fingerprint of numbers, shapes and types, for two to be compared."""
    whole = hashlib.sha256()
    for array in arrays:
        if array is None:
            whole.update(b"none")
        else:
            whole.update(f"{array.dtype} {array.shape}".encode())
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def described(optimizer: Optimizer, steps: int) -> str:
    """Say what an optimizer does, whatever its class: its options, and the rates of 17 steps."""
    moving = {"t", "rate"}
    plain = {k: v for k, v in vars(optimizer).items() if isinstance(v, int | float | str)}
    options = sorted((k, v) for k, v in plain.items() if k not in moving)
    rates = [float(optimizer.lr(steps * i // 16)) for i in range(17)]
    return f"{type(optimizer).__name__} {options} {rates}"


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | None) else str(value)


def _platform() -> str:
    """What the last digits of a number may depend on."""
    return f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}"
