"""States: what a checkpoint says of a training, checked before it is believed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plainnet.errors import ModelFileError
from plainnet.nn.parameters import Array
from plainnet.storage.json_reader import JsonReader, shortened
from plainnet.train.history import COLUMNS
from plainnet.train.state import Checkpoint, Options, Rows
from plainnet.train.step import TrainStep

_PARTS = ("format", "version", "facts", "about", "every", "with")
_OWN = ("theta", "sums", "best.theta", "best.loss", *(f"history.{name}" for name in COLUMNS))
_ALWAYS = ("loss", "lr", "seconds")  # columns of the history that every epoch has
_FINITE = ("theta", "best.theta", "best.loss", "history.loss", "history.val_loss", "history.lr")
_LONGEST_PATH, _LONGEST_NAME = 4096, 255  # as most systems have it
_WORDS = {
    "MT19937": (("key", 624),),
    "Philox": (("counter", 4), ("key", 2)),
    "SFC64": (("state", 4),),
}


def check_header(header: Mapping[str, Any]) -> JsonReader:
    """Check all that the header of a checkpoint says, but for what was added to it."""
    fields = JsonReader(dict(header), "the checkpoint")
    fields.only(*_PARTS)
    platform = fields.text("with")
    if len(platform) > 200 or not platform.isprintable():
        raise ModelFileError(f"it was written with {shortened(platform)}, which is no platform")
    fields.part("about")
    if not fields.null("every"):
        fields.number("every", positive=True)
    facts = fields.part("facts")
    facts.only("epoch", "batch", "step", "best", "threads", "order", "masks")
    epoch, _, _ = facts.whole("epoch", 1), facts.whole("batch"), facts.whole("step")
    facts.whole("threads", 1)
    if not facts.null("best"):
        facts.whole("best", 1, epoch - 1)
    for name in ("order", "masks"):
        _check_generator(facts.part(name))
    return fields


def _check_generator(state: JsonReader) -> None:
    """Refuse a state that NumPy would take and then read beyond it, or draw from for ever."""
    kind, inner = state.text("bit_generator"), state.part("state")
    if kind in ("PCG64", "PCG64DXSM"):
        inner.whole("state", 0, 2**128 - 1)
        if inner.whole("inc", 0, 2**128 - 1) % 2 == 0:  # its numbers could all be the same
            raise ModelFileError(f"'inc' of {state.where} should be odd")
    for name, n in _WORDS.get(kind, ()):
        top = 2**32 if kind == "MT19937" else 2**64
        if len(inner.wholes(name, 0, top - 1)) != n:
            raise ModelFileError(f"{name!r} of {inner.where} should be {n} whole numbers")
    if kind == "MT19937":
        inner.whole("pos", 0, 624)
        return
    if kind == "Philox":
        if len(state.wholes("buffer", 0, 2**64 - 1)) != 4:
            raise ModelFileError(f"'buffer' of {state.where} should be 4 whole numbers")
        state.whole("buffer_pos", 0, 4)
    if kind in ("PCG64", "PCG64DXSM", "Philox", "SFC64"):
        state.whole("has_uint32", 0, 1)
        state.whole("uinteger", 0, 2**32 - 1)


def check_arrays(arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Check the arrays of a checkpoint against each other, and against what it says."""
    for name, array in arrays.items():
        if name not in _OWN and not name.startswith("optimizer."):
            raise ModelFileError(f"array {shortened(name)} is unknown")
        if array.ndim != 1:
            raise ModelFileError(
                f"array {shortened(name)} should have 1 axis, but has shape {array.shape}"
            )
    theta = _array(arrays, "theta")
    _require(arrays, "sums", 3)
    for column in COLUMNS:
        name = f"history.{column}"
        n = facts["epoch"] - 1
        _require(arrays, name, n if column in _ALWAYS or len(_array(arrays, name)) else 0)
    best = {"best.theta", "best.loss"} & set(arrays)
    if facts["best"] is not None:
        _require(arrays, "best.theta", len(theta), theta.dtype)
        _require(arrays, "best.loss", 1)
    elif best:
        raise ModelFileError(f"array {min(best)!r} is there, but no epoch is the best")
    for name in _FINITE:
        if not np.isfinite(arrays.get(name, theta)).all():
            raise ModelFileError(f"array {name!r} should hold finite numbers")
    loss, _, weight = arrays["sums"].tolist()
    if not np.isfinite([loss, weight]).all() or weight < 0 or (arrays["history.seconds"] < 0).any():
        raise ModelFileError("array 'sums' or 'history.seconds' holds a number below 0 or infinite")


def check_fit(found: Checkpoint, train_step: TrainStep, rows: Rows, options: Options) -> None:
    """Check a checkpoint against the training that is to go on from it."""
    facts, arrays = found.facts, found.arrays
    theta, state = train_step.net.params.theta, train_step.optimizer.state
    _require(arrays, "theta", len(theta), theta.dtype)
    slots = {f"optimizer.{name}": array for name, array in state.items()}
    for name, array in slots.items():
        _require(arrays, name, len(array), array.dtype)
    unknown = sorted(n for n in arrays if n.startswith("optimizer.") and n not in slots)
    if unknown:
        raise ModelFileError(f"array {shortened(unknown[0])} is not of this optimizer")
    where = JsonReader(facts, "the checkpoint")
    epoch = where.whole("epoch", 1, options["epochs"])
    batch = where.whole("batch", 0, options["batches"] - 1)
    step = (epoch - 1) * options["batches"] + batch
    where.whole("step", step, step)
    if (facts["best"] is not None) != (options["early stopping"] is not None and epoch > 1):
        raise ModelFileError("its best epoch does not go with early stopping")
    held_out = len(rows) > 4
    has = {"val_loss": held_out, "metric": options["metric"]}
    has["val_metric"] = held_out and options["metric"]
    for column, there in has.items():
        _require(arrays, f"history.{column}", epoch - 1 if there else 0)
    for name, kind in (("order", options["generator"]), ("masks", _kind(train_step))):
        JsonReader(facts[name], f"{name!r} of the checkpoint").text("bit_generator", (kind,))


def _kind(train_step: TrainStep) -> str:
    return str(train_step.net.rng.bit_generator.state["bit_generator"])


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


def path_to_store(path: Path, folder: Path) -> str:
    """Return a path relative to the parent of a checkpoint folder, to store no folder above it."""
    try:
        return os.path.relpath(path.resolve(), folder.resolve().parent)
    except ValueError:
        return str(path.resolve())


def stored_path(about: JsonReader, key: str) -> Path:
    """Return a path that a checkpoint names, as far as a path can be written that way."""
    text = about.text(key)
    path = Path(text)
    longest = max((len(part.encode(errors="replace")) for part in path.parts), default=0)
    if not text or "\0" in text or len(text) > _LONGEST_PATH or longest > _LONGEST_NAME:
        raise ModelFileError(f"field {key!r} should be a path, but is {shortened(text)}")
    return path
