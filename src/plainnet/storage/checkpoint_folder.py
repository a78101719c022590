"""Checkpoint folders: the files in them, and a lock that keeps other processes out."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import final

from plainnet.storage.locks import FolderLock, lock_folder

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_TEMPORARY = re.compile(r"\.checkpoint-\d+\.safetensors\.[0-9a-f]+\.tmp")  # of a killed process


@final
class CheckpointFolder:
    """A folder of files ``checkpoint-STEP.safetensors``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FolderLock | None = None

    def lock(self) -> None:
        """Keep other processes out; `PlainnetError` if one is training in the folder."""
        self._lock = lock_folder(self.path)

    def file(self, step: int) -> Path:
        """Return the path of a step's checkpoint."""
        return self.path / f"checkpoint-{step:010}.safetensors"

    def files(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        found = {file: int(m[1]) for file in self._all() if (m := _NAME.fullmatch(file.name))}
        return sorted(found, key=lambda file: -found[file])

    def prune(self, kept: Collection[Path | None]) -> None:
        """Remove all checkpoints but those to keep, and temporary files."""
        for file in self._all():
            old = _NAME.fullmatch(file.name) and file not in kept
            if old or _TEMPORARY.fullmatch(file.name):
                file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all checkpoints, and the folder unless it holds something else."""
        if not self.path.is_dir():
            return
        self.lock()
        self.prune(())
        if self._lock is not None:
            self._lock.remove()
            self._lock = None
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def relative(self, path: Path) -> str:
        """Return a path relative to the parent of the folder, to name no folder above it."""
        try:
            return os.path.relpath(path.resolve(), self.path.resolve().parent)
        except ValueError:  # on another drive
            return str(path.resolve())

    def absolute(self, path: Path) -> Path:
        """Return the path that `relative` made relative."""
        return (self.path.resolve().parent / path).resolve()

    def _all(self) -> Iterator[Path]:
        return iter([*self.path.iterdir()] if self.path.is_dir() else ())
