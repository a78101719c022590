"""Job: the arguments of one ``plainnet train``, which its checkpoints store."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from plainnet.cli.paths import near, require_output, run_folder, run_model
from plainnet.config import TrainConfig
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.storage.checkpoints import Checkpoints
from plainnet.storage.model_file import read_model
from plainnet.training import begun, check_repeat


@final
@dataclass(frozen=True)
class Job:
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
        checkpoints = run_folder(self.out)
        if checkpoints.is_dir():
            require_output(checkpoints / "checkpoint", self.path)
        if self.repeat != 1:
            check_repeat(self.config, self.repeat)

    def to_json(self) -> dict[str, Any]:
        """Return the arguments that checkpoints store, without file names."""
        report = self.report is not None
        return {"report": report, "repeat": self.repeat, "detail": self.detail}

    @classmethod
    def begun(cls, checkpoints: Checkpoints) -> Self:
        """Return the job of a training to resume."""
        path, config = begun(checkpoints)
        if checkpoints.attached("job") is None:
            raise PlainnetError(
                f"the training in {str(checkpoints.folder)!r} was begun in Python, where the model "
                "is saved: resume it with plainnet.training.resume"
            )
        with checkpoints.validated() as about:
            job = about.part("job")
            job.only("report", "repeat", "detail")
            report, repeat, detail = job.flag("report"), job.whole("repeat", 1), job.flag("detail")
        out = near(run_model(Path(os.path.abspath(checkpoints.folder))))
        return cls(
            near(path), config, out, out.with_suffix(".html") if report else None, repeat, detail
        )

    def check_replaced(self) -> None:
        """Refuse to replace files that plainnet did not write."""
        if os.path.lexists(self.out):
            try:
                read_model(self.out)
            except ModelFileError:
                raise _foreign(self.out, "model") from None
        if self.report is not None and os.path.lexists(self.report) and not _is_page(self.report):
            raise _foreign(self.report, "report")


def _is_page(path: Path) -> bool:
    """Whether a file is a page that plainnet wrote."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return b'<meta name="generator" content="plainnet ' in file.read(4096)


def _foreign(path: Path, what: str) -> PlainnetError:
    return PlainnetError(
        f"{str(path)!r} would be replaced, but is not a {what} that plainnet wrote: move it, then "
        "resume again"
    )
