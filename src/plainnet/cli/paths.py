"""Paths of output files, checked before a long computation."""

import os
from collections.abc import Mapping
from pathlib import Path

from plainnet.data.images import ImageSchema
from plainnet.errors import PlainnetError
from plainnet.model import Model
from plainnet.storage.atomic import resolve, writable

_PACKED = {".gz", ".bz2", ".xz", ".zip"}


def model_path(data: Path) -> Path:
    """Name the model file after its data, in the current folder but never inside the data."""
    path = data.resolve()
    if path.is_dir():
        out = Path(f"{path.name}.safetensors")
        return path.parent / out if Path.cwd().is_relative_to(path) else out
    name = path.stem if path.suffix.lower() in _PACKED else path.name
    return Path(f"{Path(name).stem}.safetensors")


def checkpoint_folder(out: Path) -> Path:
    """Return the folder of checkpoints of a model file, in the same folder."""
    return out.with_name(f"{out.name.removesuffix('.safetensors')}.run")


def resumed_model(folder: Path) -> Path:
    """Return the model file of a folder of checkpoints, in the same folder."""
    return folder.with_name(f"{folder.name.removesuffix('.run')}.safetensors")


def relative_path(path: Path) -> Path:
    """Return a path relative to the current folder, if it lies there."""
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def require_output(out: Path, *inputs: Path, option: str = "--out") -> None:
    """Refuse a file that cannot be written or would overwrite an input."""
    if out.is_dir():
        raise PlainnetError(f"{str(out)!r} is a folder: give {option} the name of a file")
    if out.exists() and not out.is_file():
        raise PlainnetError(f"{str(out)!r} is not a regular file: give {option} another name")
    folder = (resolve(out) if out.is_symlink() else out).parent
    if not folder.is_dir():
        raise PlainnetError(f"there is no folder {str(folder)!r} to write {out.name!r} into")
    if not os.access(folder, os.W_OK):
        raise PlainnetError(f"the folder {str(folder)!r} cannot be written to")
    writable(out)
    for path in inputs:
        require_outside(out, path, option)
        if out.resolve() == path.resolve() or (
            out.exists() and path.exists() and out.samefile(path)
        ):
            raise PlainnetError(
                f"{str(out)!r} would overwrite an input: give {option} another name"
            )


def require_outside(out: Path, data: Path, option: str) -> None:
    """Refuse to write into a folder of data."""
    if data.is_dir() and out.resolve().is_relative_to(data.resolve()):
        raise PlainnetError(
            f"{str(out)!r} would be written into the data folder {str(data)!r}: "
            f"give {option} another folder"
        )


def require_outputs(outs: Mapping[str, Path], *inputs: Path) -> None:
    """Refuse files that cannot be written or would overwrite an input or each other."""
    options: dict[Path, str] = {}
    for option, out in outs.items():
        require_output(out, *inputs, option=option)
        other = options.setdefault(out.resolve(), option)
        if other != option:
            raise PlainnetError(
                f"{other} and {option} would write the same file {str(out)!r}: "
                "give one of them another name"
            )


def require_images(trained: Model, strict: bool) -> None:
    """Refuse --strict for a model of tables."""
    if strict and not isinstance(trained.schema, ImageSchema):
        raise PlainnetError(
            "--strict applies only to models of pictures, and this is a model of tables: leave "
            "it out"
        )
