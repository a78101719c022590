"""Jobs: what one ``plainnet train`` is to do, in a form that its checkpoints can keep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from plainnet.checkpoints import Checkpoints
from plainnet.cli.places import near, require_place, run_folder
from plainnet.data.fields import shortened
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.repeats import check_repeat
from plainnet.runs import begun
from plainnet.settings import Settings
from plainnet.states import stored_path


@final
@dataclass(frozen=True)
class Job:
    """What one ``plainnet train`` is to do.

    Attributes
    ----------
    path : Path
        The data.
    settings : Settings
        Of the training.
    out, report : Path, Path or None
        The files to be written.
    repeat : int
        How many trainings in all.
    detail : bool
        Whether all figures are shown.
    """

    path: Path
    settings: Settings
    out: Path
    report: Path | None
    repeat: int
    detail: bool

    def check(self) -> None:
        """Refuse what cannot be done, before time is spent.

        Raises
        ------
        PlainnetError
            If a file cannot be written, or there is nothing to compare repeats on.
        """
        require_place(self.out, self.path)
        if self.report is not None:
            require_place(self.report, self.path, self.out, option="--report")
        checkpoints = run_folder(self.out)
        if checkpoints.is_dir():
            require_place(checkpoints / "checkpoint", self.path)
        if self.repeat != 1:
            check_repeat(self.settings, self.repeat)

    def to_json(self) -> dict[str, Any]:
        """Return what the checkpoints of a run do not hold yet; the model is beside them."""
        report = None if self.report is None else self.report.resolve().name
        return {
            "out": self.out.name,
            "report": report,
            "repeat": self.repeat,
            "detail": self.detail,
        }

    @classmethod
    def begun(cls, checkpoints: Checkpoints) -> Self:
        """Return the job of a training that goes on.

        Parameters
        ----------
        checkpoints : Checkpoints
            Loaded.

        Raises
        ------
        PlainnetError
            If they are not of a job, or its data is no longer there.
        """
        path, settings = begun(checkpoints)
        if checkpoints.stored("job") is None:
            raise PlainnetError(
                f"the training in {str(checkpoints.folder)!r} was begun in Python, where the model "
                "is saved: go on with plainnet.runs.resume"
            )
        with checkpoints.believed() as about:
            job = about.part("job")
            job.only("out", "report", "repeat", "detail")
            out = _beside(checkpoints.folder, stored_path(job, "out"))
            written = None if job.null("report") else stored_path(job, "report")
            report = None if written is None else near(_beside(checkpoints.folder, written))
            repeat, detail = job.whole("repeat", 1), job.flag("detail")
        return cls(
            near(path), settings, near(out), near(report) if report else None, repeat, detail
        )


def _beside(folder: Path, path: Path) -> Path:
    """Return the place of a file beside the checkpoints, the only one that they may choose."""
    if path.name in ("", ".."):
        raise ModelFileError(f"{shortened(str(path))} should be the name of a file")
    return folder.resolve().with_name(path.name)
