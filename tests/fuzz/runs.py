"""What is done with a damaged checkpoint: the training is resumed, as a person would do it.

It is refused in one sentence, or the training goes on to its end; nothing is written but beside the
folder of the checkpoints. With the one before it beside it, a training goes on from that.
"""

import contextlib
import io
import shutil
import tracemalloc
import warnings
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from PIL import Image

from fuzz import forge, using
from plainnet import ModelFileError
from plainnet.checkpoints import Checkpoints
from plainnet.cli import main
from plainnet.cli.jobs import Job
from plainnet.cli.live import Watch

PARTS = {
    "facts": ("facts",),
    "about": ("about",),
    "other": ("every", "with", "version"),
    "anything": None,
}
KEY = "plainnet checkpoint"
TRAININGS = {
    "table": "--epochs 5 --dropout 0.2 --batch-norm --validation 0.3 --patience 4 --batch-size 8 "
    "--hidden 3",
    "wide": "--optimizer sgd --momentum 0.9 --batch-size 0 --epochs 40 --size 12 --hidden 2",
}


class KilledError(BaseException):
    """The process is gone."""


class Bench(NamedTuple):
    """Trainings that were killed: the newest checkpoint of each, and the one before it."""

    folder: Path
    place: Path
    models: dict
    before: dict


def bench(folder):
    """Begin trainings on a table, and in the row space of pictures, and kill them."""
    place = Path(folder) / "place"
    place.mkdir()
    rng = np.random.default_rng(0)
    pd.DataFrame(
        {"x": rng.standard_normal(24).round(2), "y": np.array(["a", "b"])[np.arange(24) % 2]}
    ).to_csv(place / "table.csv", index=False)
    for i in range(10):
        of = place / "pictures" / ("bears", "pandas")[i % 2]
        of.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8)).save(of / f"{i}.png")
    models, before = {}, {}
    for name, words in TRAININGS.items():
        data = place / ("table.csv" if name == "table" else "pictures")
        with using.inside(place), mock.patch.object(Watch, "__call__", killing), quiet():
            words = [*words.split(), "--out", "a.safetensors", "--report", "a.html"]
            with contextlib.suppress(KilledError):
                main(["train", str(data), *words, "--checkpoint-every", "1"])
        old, new = sorted((place / "a.run").iterdir())
        models[name] = forge.taken_apart(new.read_bytes(), KEY)
        before[name] = old.name, old.read_bytes()
        shutil.rmtree(place / "a.run")
    return Bench(Path(folder), place, models, before)


def killing(self, epoch):
    if epoch.number == 4:
        raise KilledError


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def files(ready):
    """Draw a damaged checkpoint, and whether the one before it is there too."""
    return st.tuples(forge.damaged(ready.models, PARTS), st.booleans())


def use(ready, drawn, resume=True):
    """Read a damaged checkpoint, and resume the training; what is wrong with what comes of it."""
    (name, kind, content), beside = drawn
    run = ready.place / "a.run"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    newest = run / "checkpoint-9999999999.safetensors"
    newest.write_bytes(content)
    findings, loaded, said = [], False, ""
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Checkpoints.load(run, lambda note: None)
        loaded = True
    except ModelFileError as error:
        said = str(error)
        if len(said) > using.SENTENCE or not said.isprintable() or repr(str(newest)) not in said:
            findings.append(f"load: a bad sentence: {said[:300]!r}")
    except Exception as error:
        findings.append(f"load: {type(error).__name__}: {str(error)[:200]} {using.where(error)}")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if peak > using.TIMES * len(content) + using.FLOOR:
        findings.append(f"load: {peak:,} bytes for a file of {len(content):,}")
    if beside:
        older, whole = ready.before[name]
        (run / older).write_bytes(whole)
    if beside and not loaded:
        last = Checkpoints.load(run, lambda note: None, Job.begun).last
        findings += [] if last == run / older else ["the checkpoint before it was not taken"]
    elif resume:
        there = set(ready.folder.iterdir())
        with using.inside(ready.place):
            findings += using.run("train --resume M", run, None)
        if set(ready.folder.iterdir()) != there:
            findings.append("resume: it wrote outside its folder")
        for file in ready.place.iterdir():
            if file.is_file() and file.name != "table.csv":
                file.unlink()
    return using.Outcome(
        [f"{one} [{name}, {kind}]" for one in findings], loaded, len(content), peak, said
    )
