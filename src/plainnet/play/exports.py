"""Exports of what the page shows: the Python that trains it, the model as Python, a model file."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from pprint import pformat

from plainnet.config import TrainConfig
from plainnet.export.python import to_python
from plainnet.play.session import Session
from plainnet.play.settings import NOISY, OFFERED, SEVERAL, SURFACES, Settings

_HEAD = '''"""Train the network of this page; it needs plainnet with the extra app."""

from dataclasses import replace

import numpy as np
import pandas as pd

from plainnet import fit
from plainnet.build import make_loss, make_network, make_optimizer
from plainnet.config import TrainConfig, rng
from plainnet.data import TableSource, read_frame, split, synthetic

'''
_TRAIN = """
net = make_network(config, data.train.X.shape[1], data.target.n_out, dtype=np.float64)
"""
_CONTINUE = """
before = net
net = make_network(config, data.train.X.shape[1], data.target.n_out, dtype=np.float64)
net.params.theta[...] = before.params.theta
"""
_FIT = """\
history = fit(
    net,
    *data.train,
    loss=make_loss(data.target.task, config),
    optimizer=make_optimizer(config, len(data.train.X)),
    epochs={epochs},
    batch_size=config.rows_in_batch,
    l2=config.l2,
    validation_data=data.validation,
    row_space=False,
    engine="numpy",
    seed=config.seed,
)
print(f"training loss {{history.loss[-1]:.6f}}")
if history.val_loss:
    print(f"validation loss {{history.val_loss[-1]:.6f}}")
"""


def training_script(session: Session) -> bytes:
    """Write the Python that trains the shown network, with the losses of the page."""
    periods = session.history.until_step()
    n = len(session.phase.batches)
    settings = periods[0].settings
    text = _HEAD + _data(settings)
    target = session.phase.data.target
    text += f'TARGET, TASK = ["{target.columns[0]}"], "{target.task}"\n'
    text += f"config = {_call('TrainConfig', _differences(TrainConfig(), settings.config))}\n"
    text += (
        "data = split(\n    TableSource(frame, target=TARGET, task=TASK), rng(config, 0), "
        "test_fraction=0,\n    validation_fraction=config.validation_fraction,\n)\n"
    )
    for i, (now, steps) in enumerate(periods):
        if i:
            changes = _differences(periods[i - 1].settings.config, now.config)
            text += f"\nconfig = {_call('replace', changes, 'config')}"
        text += _CONTINUE if i else _TRAIN
        if steps % n:
            text += (
                f"# The page went on for {steps % n} of the {n} batches of an epoch, which fit "
                "leaves out.\n"
            )
        if steps >= n:
            text += _FIT.format(epochs=steps // n)
    return text.encode()


def _differences(before: TrainConfig, now: TrainConfig) -> dict[str, object]:
    names = ("network", "test_fraction", *OFFERED)
    pairs = {name: (getattr(before, name), getattr(now, name)) for name in names}
    return {name: new for name, (old, new) in pairs.items() if new != old}


def _call(function: str, values: Mapping[str, object], *first: str) -> str:
    """Write a call in lines."""
    arguments = [*first, *(f"{name}={value!r}" for name, value in values.items())]
    return f"{function}(\n    " + ",\n    ".join(arguments) + ",\n)"


def _data(settings: Settings) -> str:
    """Write the lines that make the table."""
    name = settings.data
    if name == "table":
        text = 'frame = read_frame("table.csv")  # the file that was dropped on the page\n'
    elif name == "introverts":
        text = f"frame = synthetic.introverts({settings.points}, seed={settings.data_seed})\n"
    elif name == "drawn":
        points = pformat(list(settings.drawn), compact=True, width=98)
        text = f'frame = pd.DataFrame(\n{points},\ncolumns=["x1", "x2", "class"])\n'
    else:
        options = [str(settings.points), *([f'"{name}"'] if name in SURFACES else [])]
        options += [f"classes={settings.classes}"] if name in SEVERAL else []
        options += [f"noise={settings.noise}"] if name in NOISY else []
        function = "surface" if name in SURFACES else name
        label = "y" if name in SURFACES else "class"
        text = f"X, y = synthetic.{function}({', '.join(options)}, seed={settings.data_seed})\n"
        text += f'frame = pd.DataFrame({{"x1": X[:, 0], "x2": X[:, 1], "{label}": y}})\n'
    return text


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
