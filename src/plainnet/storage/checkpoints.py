"""Checkpoints: the state of a training in files, validated when it is read and resumed."""

import json
import platform
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
from plainnet.storage.checkpoint_folder import CheckpointFolder
from plainnet.storage.json_reader import JsonReader, shortened
from plainnet.storage.model_file import read_model, write_model
from plainnet.train.history import COLUMNS
from plainnet.train.state import Checkpoint, CheckpointStore, FitOptions, FitRows, digest
from plainnet.train.step import TrainStep

_EDITED = "The model file is damaged or was edited: "  # from `JsonReader`
_REASON = 500  # characters of the reason why a file cannot be used
_ARRAYS = ("theta", "sums", "best.theta", "best.loss", *(f"history.{name}" for name in COLUMNS))
_FINITE = ("theta", "best.theta", "best.loss", "history.loss", "history.val_loss", "history.lr")
_EVERY_EPOCH = ("loss", "lr", "seconds")  # columns of the history without gaps
_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_MOST = {"state": 2**128 - 1, "inc": 2**128 - 1, "pos": 624, "buffer_pos": 4, "has_uint32": 1}

Warn = Callable[[str], object]


@final
class Checkpoints(CheckpointStore):
    """A folder that keeps the last two states of a training; give it to `train` or `fit`.

    A checkpoint is written atomically, and then the oldest is removed. If one cannot be
    written, because the disk is full, the training continues.

    Parameters
    ----------
    folder : path
        Created when needed, in a folder that exists.
    every : float, optional
        Epochs from one checkpoint to the next, 0.5 for two in each epoch; the first is of the
        start. By default one is written only when Ctrl-C ends the training early.
    warn : callable, optional
        Called with a sentence when something goes wrong; by default it becomes a warning.

    Raises
    ------
    PlainnetError
        If `every` is not above 0, or the folder holds the checkpoints of another training that
        would be lost, or another process is training in it.

    Examples
    --------
    >>> import tempfile
    >>> from plainnet import MeanSquaredError, fit, mlp
    >>> X, y, loss = np.eye(4), np.arange(4.0), MeanSquaredError()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     full, half = mlp(4), mlp(4)
    ...     history = fit(full, X, y, loss=loss, epochs=20)
    ...     checkpoints = Checkpoints(f"{folder}/a.run", every=5)
    ...     try:
    ...         history = fit(half, X, y, loss=loss, epochs=20, checkpoints=checkpoints,
    ...                       callbacks=[lambda epoch: 1 / (13 - epoch.number) > 9])
    ...     except ZeroDivisionError:
    ...         print("the power failed after", checkpoints.last.name)
    ...     checkpoints = Checkpoints.load(f"{folder}/a.run")
    ...     history = fit(half, X, y, loss=loss, epochs=20, checkpoints=checkpoints)
    the power failed after checkpoint-0000000010.safetensors
    >>> len(history), np.array_equal(half.params.theta, full.params.theta)
    (20, True)
    """

    def __init__(
        self, folder: str | Path, every: float | None = None, warn: Warn | None = None
    ) -> None:
        self.folder, self.every = Path(folder), every
        self.last: Path | None = None  # the newest complete checkpoint of this training
        self.files = CheckpointFolder(self.folder)
        self._warn: Warn = warnings.warn if warn is None else warn
        self._attached: dict[str, Callable[[], Any]] = {}
        self._stored: Mapping[str, Any] = {}
        if every is None:
            return
        self.every = check_range("Checkpoints", "every", every, "(0, inf)")
        if self.folder.exists() and not self.folder.is_dir():
            raise PlainnetError(f"{str(folder)!r} is a file: checkpoints need a folder")
        if self.unfinished:
            self.files.lock()
            resume = shlex.join(["plainnet", "train", "--resume", str(folder)])
            raise PlainnetError(
                f"{str(folder)!r} holds a training that has not ended: resume it with {resume}, "
                "or remove the folder"
            )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        warn: Warn | None = None,
        check: Callable[[Self], object] | None = None,
    ) -> Self:
        """Load the newest usable checkpoint; `check` may refuse one with a `ModelFileError`."""
        self = cls(folder, warn=warn)
        if self.folder.is_file():
            raise ModelFileError(
                f"{str(folder)!r} is a file: to resume a training, give the folder of its "
                "checkpoints"
            )
        if self.unfinished:
            self.files.lock()
        reasons: list[str] = []
        for path in self.files.files():
            try:
                self._read(path, check)
            except ModelFileError as error:
                reasons.append(str(error))
                continue
            for reason in reasons:
                self._warn(f"{reason}; resuming from {path.name}, the one before")
            return self
        if not reasons:
            raise ModelFileError(
                f"there is no training to resume in {str(folder)!r}: it has ended, or saved no "
                "checkpoint yet"
            )
        raise ModelFileError(f"no checkpoint in {str(folder)!r} can be used: {reasons[0]}")

    def _read(self, path: Path, check: Callable[[Self], object] | None) -> None:
        arrays, header = read_model(path, "checkpoint")
        if (version := header.get("version")) != __version__:
            text = shortened(version).strip("'")
            raise ModelFileError(
                f"{str(path)!r} is of plainnet {text}, and this is {__version__}, which may "
                "compute other numbers: use that version, or train again"
            )
        self.last, self._stored = path, {}
        with self.validated():
            check_header(header)
            _check_arrays(arrays, header["metadata"])
        self.checkpoint, self.every = Checkpoint(arrays, header["metadata"]), header["every"]
        self._stored = header["attached"]
        if check is not None:
            check(self)
        if (then := header["platform"]) != (now := _platform()):
            self._warn(f"the training began with {then} and resumes with {now}: digits may differ")

    @contextmanager
    def validated(self) -> Iterator[JsonReader]:
        """Yield a reader of the attached data; an error inside the block names the file."""
        try:
            yield JsonReader(dict(self._stored), "the checkpoint")
        except PlainnetError as error:
            reason = str(error).removeprefix(_EDITED).removesuffix(".")[:_REASON]
            raise ModelFileError(
                f"{str(self.last or self.folder)!r} is not a checkpoint that can be used: {reason}"
            ) from None

    @property
    def unfinished(self) -> bool:
        """Whether the folder holds checkpoints, of this training or another."""
        return bool(self.files.files())

    def begin(
        self, net: Sequential, train_step: TrainStep, rows: FitRows, options: FitOptions
    ) -> None:
        """Require that a resumed training equals the one that was begun."""
        loss, steps = train_step.loss, options["epochs"] * options["batches"]
        initial = digest(net.params.theta) if options["row space"] is not None else ""
        self.require_same("network", lambda: str(net.config()))
        self.require_same("first weights", lambda: initial)
        self.require_same("loss", lambda: f"{type(loss).__name__} {loss.config()}")
        self.require_same("optimizer", lambda: _optimizer_text(train_step.optimizer, steps))
        named_options = {**options, "l2": train_step.l2, "clip norm": train_step.clip_norm}
        del named_options["generator"]  # whose state is in every checkpoint
        self.require_same("options", lambda: {k: _plain(v) for k, v in named_options.items()})
        self.require_same("rows", lambda: digest(*rows))
        if self.checkpoint is not None:
            with self.validated():
                _check_fit(self.checkpoint, train_step, rows, options)

    def require_same(self, name: str, make: Callable[[], Any]) -> None:
        """Attach data that must be equal when the training is resumed.

        `make` returns it, plain JSON, and is called once: at the first checkpoint, or now where
        the training is resumed.
        """
        made: list[Any] = []

        def once() -> Any:
            if not made:
                made.append(json.loads(json.dumps(make())))
            return made[0]

        self.attach(name, once)
        if self.checkpoint is not None and (now := once()) != (then := self.attached(name)):
            difference = f"with other {name}"
            if isinstance(now, dict) and isinstance(then, dict):
                differ = (key for key in now if key in then and now[key] != then[key])
                if (key := next(differ, None)) is not None:
                    difference = f"with {key} {shortened(then[key])}, not with {key} {now[key]!r}"
            raise PlainnetError(
                f"the training in {str(self.folder)!r} was begun {difference}: it can only be "
                "resumed as it was begun"
            )

    def attach(self, name: str, make: Callable[[], Any]) -> None:
        """Attach data to all checkpoints; `make` returns it, plain JSON, for each of them."""
        self._attached[name] = make

    def attached(self, name: str) -> Any:
        """Return data attached to the checkpoint that was loaded, or None."""
        return self._stored.get(name)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove all but the last two.

        If the first cannot be written, the error is raised; a later error becomes a warning.
        """
        step = checkpoint.metadata["step"]
        path = self.files.file(step)
        header = {
            "metadata": checkpoint.metadata,
            "attached": {name: make() for name, make in self._attached.items()},
            "every": self.every,
            "platform": _platform(),
        }
        try:
            make_folder(self.folder)
            self.files.lock()
            if path.is_symlink():  # to a file that the folder's author chose
                path.unlink()
            write_model(path, checkpoint.arrays, header, "checkpoint")
        except (OSError, PlainnetError) as error:
            if step == 0:
                raise
            last = "none" if self.last is None else self.last.name
            why = error.strerror if isinstance(error, OSError) else error
            self._warn(f"{str(path)!r} could not be written ({why}); the last is {last}")
            return
        self.files.prune({path, self.last})  # two, so that one is complete at any time
        self.last = path

    def remove(self) -> None:
        """Remove the checkpoints of a training that has ended."""
        self.files.remove()


def check_header(header: Mapping[str, Any]) -> None:
    """Validate the header of a checkpoint, except for attached data."""
    fields = JsonReader(dict(header), "the checkpoint")
    fields.only("format", "version", "metadata", "attached", "every", "platform")
    written_with = fields.text("platform")
    if len(written_with) > 200 or not written_with.isprintable():
        raise ModelFileError(f"its platform should be a short text, not {shortened(written_with)}")
    fields.part("attached")
    if fields.typed("every", float | None) is not None:
        fields.number("every", positive=True)
    metadata = fields.part("metadata")
    metadata.only("epoch", "batch", "step", "best", "threads", "engine", "order", "masks")
    epoch, _, _ = metadata.whole("epoch", 1), metadata.whole("batch"), metadata.whole("step")
    metadata.whole("threads", 1)
    if metadata.typed("best", int | None) is not None:
        metadata.whole("best", 1, epoch - 1)
    for name in ("order", "masks"):
        _check_generator(metadata.part(name))


def _check_generator(state: JsonReader) -> None:
    """Refuse a state that NumPy would accept and then read beyond, or repeat one number from."""
    if (kind := state.text("bit_generator")) in _GENERATORS:
        _check_state(state, getattr(np.random, kind)(0).state)


def _check_state(state: JsonReader, valid: Mapping[str, Any]) -> None:
    """Compare a part of a generator's state with that of a new generator."""
    for name, value in valid.items():
        if isinstance(value, dict):
            _check_state(state.part(name), value)
        elif isinstance(value, np.ndarray):
            state.wholes(name, 0, np.iinfo(value.dtype).max, len(value))
        elif isinstance(value, int):
            n = state.whole(name, 0, _MOST.get(name, 2**32 - 1))
            if name == "inc" and n % 2 == 0:  # its numbers could all be the same
                raise ModelFileError(f"'inc' of {state.where} should be odd")


def _check_arrays(arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Validate the arrays of a checkpoint against each other and the metadata."""
    for name, array in arrays.items():
        if name not in _ARRAYS and not name.startswith("optimizer."):
            raise ModelFileError(f"array {shortened(name)} is unknown")
        if array.ndim != 1:
            raise ModelFileError(
                f"array {shortened(name)} should have 1 axis, but has shape {array.shape}"
            )
    theta = _array(arrays, "theta")
    _require(arrays, "sums", 3)
    for column in COLUMNS:
        name, n = f"history.{column}", metadata["epoch"] - 1
        _require(arrays, name, n if column in _EVERY_EPOCH or len(_array(arrays, name)) else 0)
    best = {"best.theta", "best.loss"} & set(arrays)
    if metadata["best"] is not None:
        _require(arrays, "best.theta", len(theta), theta.dtype)
        _array(arrays, "best.loss")
    elif best:
        raise ModelFileError(f"array {min(best)!r} exists, but no epoch is the best")
    for name in _FINITE:
        if not np.isfinite(arrays.get(name, theta)).all():
            raise ModelFileError(f"array {name!r} should hold finite numbers")
    loss, _, weight = arrays["sums"].tolist()
    if not np.isfinite([loss, weight]).all() or weight < 0 or (arrays["history.seconds"] < 0).any():
        raise ModelFileError("array 'sums' or 'history.seconds' holds a number below 0 or infinite")


def _check_fit(
    checkpoint: Checkpoint, train_step: TrainStep, rows: FitRows, options: FitOptions
) -> None:
    """Validate a checkpoint against the training that resumes from it."""
    metadata, arrays = checkpoint.metadata, checkpoint.arrays
    theta, state = train_step.net.params.theta, train_step.optimizer.state
    _require(arrays, "theta", len(theta), theta.dtype)
    slots = {f"optimizer.{name}": array for name, array in state.items()}
    for name, array in slots.items():
        _require(arrays, name, train_step.net.params.trained.size, array.dtype)
    unknown = sorted(n for n in arrays if n.startswith("optimizer.") and n not in slots)
    if unknown:
        raise ModelFileError(f"array {shortened(unknown[0])} is not of this optimizer")
    fields = JsonReader(metadata, "the checkpoint")
    epoch = fields.whole("epoch", 1, options["epochs"])
    batch = fields.whole("batch", 0, options["batches"] - 1)
    step = (epoch - 1) * options["batches"] + batch
    fields.whole("step", step, step)
    if (metadata["best"] is not None) != (options["early stopping"] is not None and epoch > 1):
        raise ModelFileError("its best epoch does not fit the early stopping")
    if metadata["best"] is not None:
        _require(arrays, "best.loss", options["members"] or 1)
    held_out, metric = len(rows) > 4, options["metric"]
    columns = {"val_loss": held_out, "metric": metric, "val_metric": held_out and metric}
    for column, present in columns.items():
        _require(arrays, f"history.{column}", epoch - 1 if present else 0)
    masks = train_step.net.rng.bit_generator.state["bit_generator"]
    for name, kind in (("order", options["generator"]), ("masks", masks)):
        fields.part(name).text("bit_generator", (kind,))


def _array(arrays: Mapping[str, Array], name: str) -> Array:
    if name not in arrays:
        raise ModelFileError(f"array {name!r} is absent")
    return arrays[name]


def _require(arrays: Mapping[str, Array], name: str, n: int, dtype: Any = np.float64) -> None:
    """Require an array of n numbers."""
    array = _array(arrays, name)
    if array.shape != (n,) or array.dtype != dtype:
        raise ModelFileError(
            f"array {name!r} should be {n:,} numbers of {np.dtype(dtype)}, but is "
            f"{len(array):,} of {array.dtype}"
        )


def _optimizer_text(optimizer: Optimizer, steps: int) -> str:
    """Describe an optimizer of any class: its options, and its learning rates at 17 steps."""
    other = {"t", "lr", "current_lr"}
    plain = {k: v for k, v in vars(optimizer).items() if isinstance(v, int | float | str)}
    options = sorted((k, v) for k, v in plain.items() if k not in other)
    rates = [optimizer.lr_at(steps * i // 16) for i in range(17)]
    return f"{type(optimizer).__name__} {options} {rates}"


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | None) else str(value)


def _platform() -> str:
    """Name the versions on which the last digits of a number may depend."""
    return f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}"
