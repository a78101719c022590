"""Job: the arguments of one ``plainnet train``, which its checkpoints store."""

import os
from pathlib import Path
from typing import Any, NamedTuple, Self

from plainnet.cli.paths import (
    checkpoint_folder,
    relative_path,
    require_output,
    resumed_model,
)
from plainnet.config import TrainConfig
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.storage.checkpoints import Checkpoints
from plainnet.storage.model_file import read_model
from plainnet.training import begun, check_repeat


class Job(NamedTuple):
    """The arguments of one ``plainnet train``."""

    path: Path  # the data
    config: TrainConfig
    out: Path  # the model file
    report: Path | None  # the HTML file
    repeat: int  # number of trainings
    detail: bool  # whether to show all metrics

    def check(self) -> None:
        """Refuse arguments that cannot work, before time is spent."""
        require_output(self.out, self.path)
        if self.report is not None:
            require_output(self.report, self.path, self.out, option="--report")
        checkpoints = checkpoint_folder(self.out)
        if checkpoints.is_dir():
            require_output(checkpoints / "checkpoint", self.path)
        if self.repeat != 1:
            check_repeat(self.config, self.repeat)

    def to_json(self) -> dict[str, Any]:
        """Return the arguments that checkpoints store, without file names."""
        report = self.report is not None
        return {"report": report, "repeat": self.repeat, "detail": self.detail}

    @classmethod
    def from_checkpoints(cls, checkpoints: Checkpoints) -> Self:
        """Return the job of a training to resume."""
        path, config = begun(checkpoints)
        if checkpoints.attached("job") is None:
            raise PlainnetError(
                f"the training in {str(checkpoints.folder)!r} was begun in Python, where the model "
                "is saved: resume it with plainnet.training.resume"
            )
        with checkpoints.validated() as content:
            job = content.part("job")
            job.only("report", "repeat", "detail")
            report, repeat, detail = (
                job.typed("report", bool),
                job.whole("repeat", 1),
                job.typed("detail", bool),
            )
        out = relative_path(resumed_model(Path(os.path.abspath(checkpoints.folder))))
        page = out.with_suffix(".html") if report else None
        return cls(relative_path(path), config, out, page, repeat, detail)

    def check_replaced(self) -> None:
        """Refuse to replace files that plainnet did not write."""
        if os.path.lexists(self.out):
            try:
                read_model(self.out)
            except ModelFileError:
                raise _foreign_file(self.out, "model") from None
        if self.report is not None and os.path.lexists(self.report) and not _is_page(self.report):
            raise _foreign_file(self.report, "report")


def _is_page(path: Path) -> bool:
    """Whether a file is a page that plainnet wrote."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return b'<meta name="generator" content="plainnet ' in file.read(4096)


def _foreign_file(path: Path, kind: str) -> PlainnetError:
    return PlainnetError(
        f"{str(path)!r} would be replaced, but is not a {kind} that plainnet wrote: move it, then "
        "resume again"
    )
