"""Exports of what the page shows: the Python that trains it, the model as Python, a model file."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from pprint import pformat

from jinja2 import Environment, PackageLoader, StrictUndefined

from plainnet.config import Config, TrainConfig
from plainnet.export.python import to_python
from plainnet.play.datasets import arguments, generator
from plainnet.play.session import Session
from plainnet.play.settings import OFFERED, Settings


def training_script(session: Session) -> bytes:
    """Write the Python that trains the shown network, with the losses of the page."""
    history, phase = session.history.until_step(), session.phase
    settings, n = history[0].settings, len(phase.batches)
    periods = []
    before = settings.config
    for now, steps in history:
        changes = ", ".join(f"{name}={value}" for name, value in _differences(before, now.config))
        periods.append({"changes": changes, "epochs": steps // n, "rest": steps % n})
        before = now.config
    environment = Environment(
        loader=PackageLoader("plainnet.play"),
        autoescape=False,  # values are written as Python literals, not markup
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template("train.py.jinja").render(
        data=settings.data,
        function=generator(settings.data),
        arguments=_arguments(settings),
        drawn=pformat(list(settings.drawn), compact=True, width=98),
        config=_differences(TrainConfig(), settings.config),
        target=phase.data.target.columns[0].replace('"', '\\"'),
        task=phase.data.target.task,
        periods=periods,
        batches=n,
    )
    return text.encode()


def _differences(before: Config, now: Config) -> list[tuple[str, str]]:
    """Return the options that differ, as Python."""
    names = ("network", "test_fraction", *OFFERED)
    pairs = ((name, getattr(before, name), getattr(now, name)) for name in names)
    return [(name, repr(new)) for name, old, new in pairs if new != old]


def _arguments(settings: Settings) -> str:
    """Return the arguments of the function that makes the data."""
    pairs = [f"{name}={value!r}" for name, value in arguments(settings).items()]
    return ", ".join([str(settings.points), *pairs])


def model_python(session: Session) -> bytes:
    """Write the shown model as one Python file that needs only NumPy."""
    return to_python(session.phase.model).encode()


def model_file(session: Session) -> bytes:
    """Return the shown model as a model file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        session.phase.model.save(path)
        return path.read_bytes()


EXPORTS: Mapping[str, Callable[[Session], bytes]] = {
    "training": training_script,
    "python": model_python,
    "model": model_file,
}
