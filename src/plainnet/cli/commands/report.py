"""``plainnet report``: all that is known of a model, as one HTML file; and the command again."""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from plainnet.cli.console import errors, line, notes, output
from plainnet.cli.options import PICTURES_HIDDEN
from plainnet.cli.paths import require_pictures, require_place
from plainnet.config import TrainConfig
from plainnet.data.images import ImageSchema
from plainnet.evaluate.evaluation import Evaluation
from plainnet.evaluate.training_record import FOREIGN
from plainnet.model import Model
from plainnet.storage.atomic import write_bytes

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples


def report(
    model: Path, path: Path | None = None, /, *, out: Path | None = None, strict: bool = False
) -> None:
    """Write a report on a model.

    Parameters
    ----------
    model
        A model file.
    path
        Data whose answers are known, to judge the model by. [default: what training found]
    out
        The HTML file. [default: named after the model, in the current folder]
    strict
        Stop at a picture that cannot be used, instead of leaving it out.
    """
    from plainnet.cli.progress import reading
    from plainnet.evaluate.per_example import read_usable

    place = Path(f"{model.stem}.html") if out is None else out
    require_place(place, model, *([] if path is None else [path]))
    trained = Model.load(model)
    require_pictures(trained, strict)
    remarks: list[str] = []
    rows = None
    if path is not None:
        with reading(errors()) as progress:
            rows = read_usable(trained, path, remarks, strict=strict, progress=progress).rows
        notes(remarks)
    write_report(output(), place, trained, model.name, rows, path, remarks=remarks)


def write_report(
    console: Console,
    place: Path,
    model: Model,
    name: str,
    rows: "Examples | None",
    path: Path | None = None,
    *,
    evaluation: Evaluation | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Write the report and say where it is.

    Parameters
    ----------
    console : Console
        Where to say it.
    place : Path
        The HTML file.
    model : Model
        Whose report it is.
    name : str
        What the model is called.
    rows : Examples or None
        What to judge it by.
    path : Path, optional
        Where they come from, other than from the training; the doctor looks at them then.
    evaluation : mapping, optional
        The evaluation on these rows, if it is there already.
    remarks : sequence of str, default ()
        What was left out of the rows.
    """
    from plainnet.diagnose.watch import examine_model
    from plainnet.report.report import report

    text = report(
        model,
        name=name,
        rows=rows,
        source="held out in training" if path is None else f"of {path.name}",
        evaluation=evaluation,
        findings=examine_model(model, rows) if rows is not None and path is not None else None,
        notes=remarks,
        command=training_command(model),
    )
    write_bytes(place, text.encode("utf-8", "backslashreplace"))
    line(console, f"Report: {place}", whole=True)


def training_command(model: Model) -> str:
    """Return the command that trains a model again, ready to be pasted into a shell.

    Parameters
    ----------
    model : Model
        With the record of its training.

    Returns
    -------
    str
        Empty where the model was not trained on a file or folder, or its record was not written
        by plainnet.
    """
    data, chosen = model.record.get("data"), model.record.get("config")
    if not isinstance(data, str) or not isinstance(chosen, dict):
        return ""
    try:
        config = TrainConfig(**chosen)
        words = training_words(config, data, pictures=isinstance(model.schema, ImageSchema))
    except FOREIGN:
        return ""
    return shlex.join(words)


def training_words(
    config: TrainConfig,
    data: str,
    *,
    pictures: bool = False,
    command: str = "train",
    always: Collection[str] = (),
) -> list[str]:
    """Return the words of a command that trains with these settings.

    Parameters
    ----------
    config : TrainConfig
        All choices; only those that differ from the defaults are written.
    data : str
        The table or folder.
    pictures : bool, default False
        Whether it is a folder of pictures, which has another network by default.
    command : str, default "train"
        Another command with the same options.
    always : collection of str, default ()
        Settings to write even where they are the default, if they have a value.

    Returns
    -------
    list of str

    Examples
    --------
    >>> shlex.join(training_words(TrainConfig(target=("likes tea",), hidden=(8, 4), lr=0.5), "a.csv"))
    "plainnet train a.csv --hidden 8 4 --lr=0.5 '--target=likes tea'"
    """
    words = ["plainnet", command, f"./{data}" if data.startswith("-") else data]
    usual = TrainConfig(hidden=PICTURES_HIDDEN) if pictures else TrainConfig()
    for field in fields(TrainConfig):
        value, flag = getattr(config, field.name), f"--{field.name.replace('_', '-')}"
        usually = _plain(value) == _plain(getattr(usual, field.name))
        if value is None or (usually and field.name not in always):
            continue
        if field.name == "kinds":
            words += [f"--kind={column}={kind}" for column, kind in value.items()]
        elif field.name == "target":
            words += [f"{flag}={one}" for one in value]
        elif isinstance(value, tuple | list):
            words += [flag, *map(str, value)]
        else:
            words.append(_word(field.name.replace("_", "-"), value))
    return words


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
