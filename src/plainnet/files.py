"""Model files and checkpoints: safetensors with a JSON header, written whole or not at all."""

import errno
import glob
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from plainnet._version import __version__
from plainnet.errors import ModelFileError
from plainnet.nn.params import Array

What = Literal["model", "checkpoint"]
FORMAT = 1  # the number of the layout of the header; a reader refuses any other
DTYPES = ("float32", "float64")
_KEYS: dict[What, str] = {"model": "plainnet", "checkpoint": "plainnet checkpoint"}
_AGAIN: dict[What, str] = {
    "model": "save or download it again",
    "checkpoint": "train again, if there is no other",
}


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file so that it is either all there or as it was before.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    content : bytes
        All of it.

    Raises
    ------
    OSError
        If the path is no ordinary file or its folder cannot be written to; then nothing is left
        behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(f"{folder}/a.txt", b"whole")
    ...     os.listdir(folder)
    ['a.txt']
    """
    path = Path(os.path.realpath(path))  # a link stays a link, to a new file
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not an ordinary file", str(path))  # /dev/null stays what it is
    # in the same folder, so that replacing is one step; a name that no other writer has
    temporary = path.parent / f".{path.name[:50]}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # a full disk names no file, and else it is the temporary one
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def leftovers(path: str | Path) -> list[Path]:
    """Return what writers of a file have left beside it that were killed while they wrote.

    Parameters
    ----------
    path : str or Path
        The file that `write_bytes` was to write.

    Returns
    -------
    list of Path

    Examples
    --------
    >>> leftovers("nowhere.safetensors")
    []
    """
    path = Path(os.path.realpath(path))
    return sorted(path.parent.glob(f".{glob.escape(path.name[:50])}.{'[0-9a-f]' * 8}.tmp"))


def write_model(
    path: str | Path,
    tensors: Mapping[str, Array],
    header: Mapping[str, Any],
    what: What = "model",
) -> None:
    """Write named arrays and a JSON header as one safetensors file.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists, by a whole file.
    tensors : mapping of str to array
        float32 or float64.
    header : mapping
        What JSON can hold; a format number, the version of plainnet and a digest of header and
        arrays are added, which `read_model` checks.
    what : {"model", "checkpoint"}
        What the file is; only a checkpoint may hold NaN and infinity.

    Raises
    ------
    ModelFileError
        If an array is of another type or not finite, or the header is not JSON.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_model(f"{folder}/m", {"b": np.ones(2, np.float32)}, {"task": "binary"})
    ...     tensors, header = read_model(f"{folder}/m")
    >>> tensors["b"], header["task"]
    (array([1., 1.], dtype=float32), 'binary')
    """
    from safetensors.numpy import save

    for name, array in tensors.items():
        if array.dtype not in DTYPES:
            raise ModelFileError(
                f"parameter {name!r} must hold float32 or float64 numbers, got {array.dtype}"
            )
        if what == "model" and not np.isfinite(array).all():
            raise ModelFileError(f"parameter {name!r} holds NaN or infinity: it is not saved")
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    try:  # the digest is of what a reader will see: text as keys, lists for tuples
        whole = json.loads(_dumps({**header, "format": FORMAT, "version": __version__}))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"the header of a {what} file must be JSON: {error}") from None
    whole.pop("digest", None)
    whole["digest"] = _digest(contiguous, whole)
    write_bytes(path, save(contiguous, metadata={_KEYS[what]: _dumps(whole)}))


def read_model(path: str | Path, what: What = "model") -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `write_model` wrote, and check that nothing has changed since.

    Parameters
    ----------
    path : str or Path
        The file.
    what : {"model", "checkpoint"}
        What it should be.

    Returns
    -------
    tensors : dict of str to array
    header : dict

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, from another version, or not what it should be.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/m.safetensors"
    ...     write_model(path, {"b": np.ones(2)}, {"task": "binary"})
    ...     tensors, header = read_model(path)
    >>> tensors, sorted(header), header["format"]
    ({'b': array([1., 1.])}, ['format', 'task', 'version'], 1)
    """
    from safetensors import SafetensorError, safe_open

    try:
        if Path(path).is_dir():
            raise ModelFileError(f"{str(path)!r} is a folder, not a {what} file")
        if not Path(path).is_file():
            raise ModelFileError(f"there is no {what} file {str(path)!r}")
        with open(path, "rb"):  # safetensors calls a file that it may not read a missing one
            pass
        with safe_open(path, framework="numpy") as file:
            header = _header(path, file.metadata(), what)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, AttributeError, TypeError, ValueError) as error:
        # AttributeError and TypeError: an array of a type that NumPy does not know
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            f"{str(path)!r} is not a whole {what} file ({error}): {_AGAIN[what]}"
        ) from None
    for name, array in tensors.items():
        if array.dtype.name not in DTYPES or (what == "model" and not np.isfinite(array).all()):
            raise ModelFileError(
                f"{str(path)!r}: array {name!r} must hold finite float32 or float64 numbers"
            )
    if header.pop("digest", None) != _digest(tensors, header):
        raise ModelFileError(
            f"{str(path)!r} has been changed since plainnet wrote it (the digest differs): "
            f"{_AGAIN[what]}"
        )
    return tensors, header


def _header(path: str | Path, metadata: dict[str, str] | None, what: What) -> dict[str, Any]:
    if not metadata or _KEYS[what] not in metadata:
        raise ModelFileError(
            f"{str(path)!r} is a safetensors file, but not a {what} that plainnet saved"
        )
    try:
        header = json.loads(metadata[_KEYS[what]], parse_constant=_refuse)
        _dumps(header)  # fails on what the digest could not take, such as 1e999
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ModelFileError(f"{str(path)!r}: the header is not a JSON object")
    if header.get("format") != FORMAT:
        raise ModelFileError(
            f"{str(path)!r} has format {header.get('format')!r}, and plainnet {__version__} reads "
            f"format {FORMAT}: use the version that wrote it ({header.get('version')!r})"
        )
    return header


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _dumps(value: Any) -> str:
    """Write JSON in the one way that gives equal bytes for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(tensors: Mapping[str, Array], header: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(_dumps(header).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
