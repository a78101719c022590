"""Train on built-in data: a survey of introverts, and drawings of pandas and bears.

plainnet demo
plainnet demo introverts --out-dir models
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from plainnet.cli.commands.train import show_end, show_start, suggest
from plainnet.cli.console import output, print_line
from plainnet.cli.progress import TrainingDisplay
from plainnet.config import TrainConfig
from plainnet.errors import PlainnetError
from plainnet.nn.network import Sequential
from plainnet.storage.atomic import make_folder, writable, write_bytes
from plainnet.training import Run
from plainnet.training import train as run_training

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset
    from plainnet.loading import Data

SURVEY = TrainConfig(hidden=(16,), optimizer="sgd", lr=0.5, batch_size="full", epochs=500)
IMAGES = TrainConfig(hidden=(8, 8, 8), optimizer="sgd", lr=0.03, batch_size="full", epochs=300)
CONVNET = TrainConfig()
DRAWINGS = 800  # as many as the 95 % interval of the verdict needs


def demo(
    which: Literal["introverts", "pandas"] | None = None, /, *, out_dir: Path = Path()
) -> None:
    """Train on built-in data.

    Parameters
    ----------
    which
        One of the two applications. [default: both]
    out_dir
        The folder for the models, and for the held-out rows and pictures to try them on.
    """
    if not out_dir.is_dir():
        raise PlainnetError(f"there is no folder {str(out_dir)!r}: make it, or name another")
    console = output()
    if which != "pandas":
        _introverts(console, out_dir)
    if which is None:
        console.print()
    if which != "introverts":
        _pandas(console, out_dir)


def _introverts(console: Console, folder: Path) -> None:
    from plainnet.data.synthetic import introverts

    frame = introverts()
    model, held_out = _outputs(folder, "introverts", ".csv")
    title = f"Introverts and extroverts: {len(frame):,} answers to a simulated survey"
    result = _train(console, title, SURVEY, frame)
    write_bytes(held_out, frame.iloc[result.data.test_rows].to_csv(index=False).encode())
    _save(console, result, model, held_out)


def _pandas(console: Console, folder: Path) -> None:
    from PIL import Image

    from plainnet.data.synthetic import pandas_and_bears

    X, y, classes = pandas_and_bears(DRAWINGS, size=32)
    model, held_out = _outputs(folder, "pandas", "")
    for path in (held_out, *(held_out / name for name in classes)):
        make_folder(path)
    title = f"Pandas and bears: {len(X):,} drawn pictures of {X.shape[1]} x {X.shape[2]} pixels"
    _train(console, f"{title}, with a flat network", IMAGES, (X, y, classes))
    console.print()
    title = "The same drawings, with a convolutional network"
    result = _train(console, title, CONVNET, (X, y, classes))
    for i in result.data.test_rows:
        content = io.BytesIO()
        Image.fromarray(X[i]).save(content, "PNG")  # a lossless format
        write_bytes(held_out / classes[y[i]] / f"{i:03}.png", content.getvalue())
    _save(console, result, model, held_out)


def _outputs(folder: Path, name: str, suffix: str) -> tuple[Path, Path]:
    """Return the paths of the model and the held-out data, and refuse to replace other files."""
    model = folder / f"plainnet-{name}.safetensors"
    held_out = folder / f"plainnet-{name}-held-out{suffix}"
    for path in (model, held_out) if suffix else (model,):
        writable(path)
    return model, held_out


def _train(console: Console, title: str, config: TrainConfig, data: "Data") -> Run:
    """Train and show the progress."""
    print_line(console, title, "bold")

    def ready(data: "Dataset", net: Sequential) -> None:
        show_start(console, net, config, data)
        display.start(data.target)

    with TrainingDisplay(console) as display:
        result = run_training(data, config, watch=display, ready=ready)
        show_end(console, result, display.finish())
    return result


def _save(console: Console, result: Run, model: Path, held_out: Path) -> None:
    result.model.save(model)
    console.print()
    print_line(console, f"Saved: {model}, and the held-out data in {held_out}", wrap=False)
    suggest(console, "evaluate", model, held_out)
