"""Model files and checkpoints: safetensors with a JSON header, written atomically.

docs/file-format.md specifies them. Every claim of the header is checked against the size of the
file before memory is allocated.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np

from plainnet._version import __version__
from plainnet.errors import ModelFileError
from plainnet.limits import MAX_HEADER, MAX_NODES
from plainnet.nn.parameters import Array
from plainnet.storage.atomic import write_bytes
from plainnet.storage.json_reader import shortened

FileKind = Literal["model", "checkpoint"]
FORMAT = 1  # version of the header; a reader refuses any other
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_KEYS: dict[FileKind, str] = {"model": "plainnet", "checkpoint": "plainnet checkpoint"}
_ADVICE: dict[FileKind, str] = {
    "model": "save or download it again",
    "checkpoint": "train again, if there is no other",
}
DEEPEST = 64  # levels of nested lists and objects
_NAME = 256  # characters in the name of an array
_AXES = 8
_LARGEST = 2**53  # numbers along the axes of an array
_BOUND = 2**1024  # above every float64; no number of the header may reach it


def write_model(
    path: str | Path,
    tensors: Mapping[str, Array],
    header: Mapping[str, Any],
    kind: FileKind = "model",
) -> None:
    """Write named arrays and a JSON header as one safetensors file."""
    from safetensors.numpy import save

    for name, array in tensors.items():
        if array.dtype not in ("float32", "float64"):
            raise ModelFileError(
                f"parameter {name!r} must hold float32 or float64 numbers, got {array.dtype}"
            )
        if kind == "model" and not np.isfinite(array).all():
            raise ModelFileError(f"parameter {name!r} holds NaN or infinity: it is not saved")
        if not _is_name(name) or not _is_shape(list(array.shape)):
            raise ModelFileError(
                f"parameter {shortened(name)} of shape {array.shape} has a name or a shape that a "
                f"{kind} file cannot hold: it is not saved"
            )
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    try:  # hash the header as it will be read: text as keys, lists for tuples
        complete = json.loads(_dumps({**header, "format": FORMAT, "version": __version__}))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"the header of a {kind} file must be JSON: {error}") from None
    complete.pop("digest", None)
    complete["digest"] = _digest(contiguous, complete)
    text = _dumps(complete)
    content = save(contiguous, metadata={_KEYS[kind]: text})
    long = int.from_bytes(content[:8], "little") > MAX_HEADER or _nodes(text) > MAX_NODES
    if long or not _is_sound(complete, DEEPEST):
        raise ModelFileError(
            f"the header of a {kind} file must hold at most {MAX_HEADER:,} bytes, {MAX_NODES:,} "
            f"values, {DEEPEST} levels of nested lists, and no integer beyond 2**1024: it is "
            "not saved"
        )
    write_bytes(path, content)


def read_model(
    path: str | Path, kind: FileKind = "model"
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a file of `write_model`, and check that nothing in it has changed."""
    try:
        if Path(path).is_dir():
            raise ModelFileError(f"{str(path)!r} is a folder, not a {kind} file")
        if not Path(path).is_file():
            raise ModelFileError(f"there is no {kind} file {str(path)!r}")
        with open(path, "rb") as file:
            described = _read_index(file)
            header = _header(path, described.pop("__metadata__", None), kind)
            entries = _entries(path, described, os.fstat(file.fileno()).st_size - file.tell())
            tensors = {entry.name: _array(file, entry) for entry in entries}
    except (_DamagedError, OSError) as error:
        raise ModelFileError(
            f"{str(path)!r} is not a complete {kind} file ({error}): {_ADVICE[kind]}"
        ) from None
    for name, array in tensors.items():
        if kind == "model" and not np.isfinite(array).all():
            raise _no_numbers(path, name)
    if header.pop("digest", None) != _digest(tensors, header):
        raise ModelFileError(
            f"{str(path)!r} has been changed since plainnet wrote it (the digest differs): "
            f"{_ADVICE[kind]}"
        )
    return tensors, header


class _DamagedError(Exception):
    """The content is not valid safetensors."""


class _Entry(NamedTuple):
    """The position of an array in the file."""

    start: int
    stop: int
    name: str
    dtype: np.dtype[Any]
    shape: list[int]


def _read_index(file: BufferedReader) -> dict[str, Any]:
    """Read the header of safetensors, which describes the arrays."""
    first = file.read(8)
    n = int.from_bytes(first, "little")
    if len(first) < 8 or n > os.fstat(file.fileno()).st_size - 8:
        raise _DamagedError("it ends before its header does")
    if n > MAX_HEADER:
        raise _DamagedError(f"its header is longer than {MAX_HEADER:,} bytes")
    described = _object(file.read(n))
    if described is None:
        raise _DamagedError("its header is not a JSON object")
    return described


def _object(text: str | bytes) -> dict[str, Any] | None:
    """Parse a JSON object within limits; None for anything else."""
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        if _nodes(text) > MAX_NODES:  # counted before they take memory
            raise _DamagedError(f"its header holds more than {MAX_NODES:,} values")
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_sound(value, DEEPEST) else None


def _nodes(text: str) -> int:
    """Return an upper bound on the number of keys and values in JSON text."""
    return sum(map(text.count, ",:[{"))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has a key twice")
    return value


def _is_sound(value: object, left: int) -> bool:
    """Return whether JSON has at most ``left`` levels, and only numbers that fit a float64."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return left > 0 and all(_is_sound(each, left - 1) for each in inner)
    return not isinstance(value, int | float) or -_BOUND < value < _BOUND


def _header(path: str | Path, metadata: object, kind: FileKind) -> dict[str, Any]:
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_KEYS[kind]), str):
        raise ModelFileError(
            f"{str(path)!r} is a safetensors file, but not a {kind} that plainnet saved"
        )
    header = _object(metadata[_KEYS[kind]])
    if header is None:
        raise ModelFileError(f"{str(path)!r}: the header is not a JSON object")
    number = header.get("format")
    if type(number) is not int or number != FORMAT:
        raise ModelFileError(
            f"{str(path)!r} has format {shortened(number)}, and plainnet {__version__} reads "
            f"format {FORMAT}: use the version that wrote it ({shortened(header.get('version'))})"
        )
    return header


def _entries(path: str | Path, described: dict[str, Any], size: int) -> list[_Entry]:
    """Return the position of each array; they fill ``size`` bytes without gaps or overlaps."""
    entries = [_entry(path, name, entry) for name, entry in described.items()]
    entries.sort(key=lambda entry: entry[:2])
    end = 0
    for entry in entries:
        if entry.start != end:
            raise _DamagedError(f"array {shortened(entry.name)} does not begin where another ends")
        end = entry.stop
    if end != size:
        raise _DamagedError(f"its arrays take {end:,} bytes, and {size:,} follow the header")
    return entries


def _entry(path: str | Path, name: str, described: object) -> _Entry:
    if not isinstance(described, dict) or set(described) != {"dtype", "shape", "data_offsets"}:
        raise _DamagedError(f"array {shortened(name)} needs a dtype, a shape and data_offsets")
    dtype, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _no_numbers(path, name)
    if not _is_name(name) or not _is_shape(shape) or not _is_shape(offsets) or len(offsets) != 2:
        raise _DamagedError(f"array {shortened(name)} has an impossible name, shape or offset")
    start, stop = offsets
    if stop - start != prod(shape) * DTYPES[dtype].itemsize:
        raise _DamagedError(
            f"array {shortened(name)} of {dtype} {shape} does not take {stop - start:,} bytes"
        )
    return _Entry(start, stop, name, DTYPES[dtype], shape)


def _is_name(name: str) -> bool:
    return len(name) <= _NAME and not any("\ud800" <= c <= "\udfff" for c in name)


def _is_shape(shape: object) -> bool:
    """Return whether it is a short list of sizes whose product, without zeros, is not too large."""
    if not isinstance(shape, list) or len(shape) > _AXES:
        return False
    sizes = all(type(n) is int and 0 <= n <= _LARGEST for n in shape)
    return sizes and prod(max(n, 1) for n in shape) <= _LARGEST


def _array(file: BufferedReader, entry: _Entry) -> Array:
    """Read the next array; `_entries` has checked its size."""
    array: Array = np.empty(entry.shape, entry.dtype)
    if file.readinto(_bytes(array)) != entry.stop - entry.start:
        raise _DamagedError("it became shorter while it was read")
    return array.astype(entry.dtype.newbyteorder("="), copy=False)


def _bytes(array: Array) -> memoryview:
    """Return the bytes of an array without a copy."""
    return array.reshape(-1).view(np.uint8).data


def _no_numbers(path: str | Path, name: str) -> ModelFileError:
    return ModelFileError(
        f"{str(path)!r}: array {shortened(name)} must hold finite float32 or float64 numbers"
    )


def _dumps(value: Any) -> str:
    """Write JSON in canonical form: equal bytes for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(tensors: Mapping[str, Array], header: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(_dumps(header).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(_bytes(little))  # as they are in the file
    return digest.hexdigest()
