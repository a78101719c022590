"""Where files go: every path is checked before time is spent on what is to be written there."""

import os
from collections.abc import Mapping
from pathlib import Path

from plainnet.errors import PlainnetError
from plainnet.model import Model
from plainnet.storage.atomic import resolve, writable

_PACKED = {".gz", ".bz2", ".xz", ".zip"}


def model_path(data: Path) -> Path:
    """Name a model file after its data, in the current folder but never inside the data."""
    whole = data.resolve()
    name = whole.name
    if not whole.is_dir():
        parts = [part for part in (whole.suffix.lower(),) if part in _PACKED]
        name = Path(whole.stem if parts else whole.name).stem
    here = Path.cwd()
    inside = whole.is_dir() and here.is_relative_to(whole)
    out = Path(f"{name}.safetensors")
    return whole.parent / out if inside else out


def run_folder(out: Path) -> Path:
    """Name the folder of a training's checkpoints after its model file, beside it."""
    return out.with_name(f"{out.name.removesuffix('.safetensors')}.run")


def run_model(folder: Path) -> Path:
    """Name the model file that a folder of checkpoints belongs to, beside it."""
    return folder.with_name(f"{folder.name.removesuffix('.run')}.safetensors")


def near(path: Path) -> Path:
    """Return a path as one would type it: from the current folder on, if it lies there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def require_place(out: Path, *inputs: Path, option: str = "--out") -> None:
    """Refuse a file that cannot be written, or would overwrite what is read."""
    if out.is_dir():
        raise PlainnetError(f"{str(out)!r} is a folder: give {option} the name of a file")
    if out.exists() and not out.is_file():
        raise PlainnetError(f"{str(out)!r} is no ordinary file: give {option} another name")
    folder = (resolve(out) if out.is_symlink() else out).parent
    if not folder.is_dir():
        raise PlainnetError(f"there is no folder {str(folder)!r} to write {out.name!r} into")
    if not os.access(folder, os.W_OK):
        raise PlainnetError(f"the folder {str(folder)!r} cannot be written to")
    writable(out)
    for path in inputs:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise PlainnetError(
                f"{str(out)!r} would be written into the data folder {str(path)!r}: "
                f"give {option} another place"
            )
        if out.resolve() == path.resolve() or (
            out.exists() and path.exists() and out.samefile(path)
        ):
            raise PlainnetError(
                f"{str(out)!r} would overwrite what is read: give {option} another name"
            )


def require_places(outs: Mapping[str, Path], *inputs: Path) -> None:
    """Refuse files of which one cannot be written, would overwrite what is read, or another."""
    options: dict[Path, str] = {}
    for option, out in outs.items():
        require_place(out, *inputs, option=option)
        other = options.setdefault(out.resolve(), option)
        if other != option:
            raise PlainnetError(
                f"{other} and {option} would write the same file {str(out)!r}: "
                "give one of them another name"
            )


def require_pictures(trained: Model, strict: bool) -> None:
    """Refuse --strict where there are no pictures."""
    from plainnet.data.images import ImageSchema

    if strict and not isinstance(trained.schema, ImageSchema):
        raise PlainnetError("--strict is about pictures, and this is a model of tables: leave it")
