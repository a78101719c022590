"""What is done with a damaged checkpoint: the training is resumed, as a person would do it.

It is refused in one sentence, or the training goes on to its end. Only a model and a report named
after the folder of the checkpoints are written, and never over what plainnet did not write,
whatever the checkpoint says, the folder is called, and links lead to. With the one before it beside
it, a training goes on from that.
"""

import contextlib
import copy
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

import format_one
from fuzz import forge, using
from plainnet import ModelFileError
from plainnet.cli import main
from plainnet.cli.paths import resumed_model
from plainnet.cli.progress import TrainingDisplay
from plainnet.cli.train_job import Job
from plainnet.storage.checkpoints import Checkpoints

PARTS = {
    "facts": ("facts",),
    "about": ("about",),
    "other": ("every", "with", "version"),
    "anything": None,
}
KEY = "plainnet checkpoint"
TRAININGS = {
    "table": "--epochs 5 --dropout 0.2 --batch-norm --validation-fraction 0.3 "
    "--patience 4 --batch-size 8 --hidden 3",
    "wide": "--optimizer sgd --momentum 0.9 --batch-size full --epochs 40 --size 12 --hidden 2",
}
# What a folder may be called, what a checkpoint may call a file, and what may lie in the way.
FOLDERS = ("a.run", "a", ".bashrc.run", "letter.docx", "letter.docx.run", "[red].run", "=1+1.run")
FOLDERS += ("\x1b[31m.run", "a.safetensors", "a.html.run", "-.run", " .run", "x" * 251 + ".run")
NAMES = (".bashrc", "letter.docx", "../outside", "pictures/bears/0.png", "table.csv", ".", "..", "")
NAMES += ("a.run/checkpoint-0000000001.safetensors", "/dev/null", "x" * 300, "a\0b", "~/x", "$HOME")
TRAPS = ("none", "none", "model", "report", "link", "dangling", "folder", "steps")


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
    for name, arguments in TRAININGS.items():
        data = place / ("table.csv" if name == "table" else "pictures")
        with using.inside(place), mock.patch.object(TrainingDisplay, "__call__", killing), quiet():
            arguments = [*arguments.split(), "--out", "a.safetensors", "--report", "a.html"]
            with contextlib.suppress(KilledError):
                main(["train", str(data), *arguments, "--checkpoint-every", "1"])
        old, new = sorted((place / "a.run").glob("checkpoint-*"))
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
    """Draw a checkpoint, whether the one before it is there too, the folder's name, and a trap."""
    whole = forge.damaged(ready.models, PARTS) | renamed(ready.models)
    return st.tuples(whole, st.booleans(), st.sampled_from(FOLDERS), st.sampled_from(TRAPS))


@st.composite
def renamed(draw, models):
    """A checkpoint that names files."""
    name = draw(st.sampled_from(sorted(models)))
    model = models[name]
    tree = copy.deepcopy(model.header)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from((tree["attached"]["job"], tree["attached"], tree)))
        place[draw(st.sampled_from(("out", "report", "path", "every")))] = draw(
            st.sampled_from((*NAMES, True, None))
        )
    order = sorted(model.arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    return name, "names", format_one.pack(order, forge.signed(order, tree), model.key)


def lay(trap, run):
    """Put something in the way of what a training writes."""
    out, letter = resumed_model(run), run.parent / "letter.docx"
    if trap in ("model", "report"):
        (out if trap == "model" else out.with_suffix(".html")).write_bytes(b"Dear Bob")
    elif trap in ("link", "dangling"):
        out.symlink_to(letter if trap == "link" else run.parent / "new")
    elif trap == "folder":
        out.mkdir()
    elif trap == "steps":
        for step in range(200):
            with contextlib.suppress(FileExistsError):
                (run / f"checkpoint-{step:010}.safetensors").symlink_to(letter)


def contents(folder):
    """All files below a folder, links as what they say."""
    found = sorted(folder.rglob("*"))
    return {
        path: str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in found
        if path.is_symlink() or path.is_file()
    }


def use(ready, drawn, resume=True):
    """Read a damaged checkpoint, and resume the training; what is wrong with what comes of it."""
    (name, kind, content), beside, folder, trap = drawn
    place = ready.folder / "trial" / "place"
    shutil.rmtree(place.parent, ignore_errors=True)
    shutil.copytree(ready.place, place)
    for letter in (".bashrc", "letter.docx", "../outside"):
        (place / letter).write_bytes(b"precious")
    if (place / folder).exists():
        (place / folder).unlink()
    run = place / folder
    run.mkdir()
    newest = run / "checkpoint-9999999999.safetensors"
    newest.write_bytes(content)
    findings, loaded, output = [], False, ""
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Checkpoints.load(run, lambda note: None)
        loaded = True
    except ModelFileError as error:
        output = str(error)
        named = repr(str(newest)) in output
        if len(output) > using.SENTENCE or not output.isprintable() or not named:
            findings.append(f"load: a bad sentence: {output[:300]!r}")
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
        last = Checkpoints.load(run, lambda note: None, Job.from_checkpoints).last
        findings += [] if last == run / older else ["the checkpoint before it was not taken"]
    elif resume:
        with contextlib.suppress(OSError):  # a name that is too long
            lay(trap, run)
        before = contents(place.parent)
        with using.inside(place):
            findings += using.run("train --resume M", f"./{folder}", None)
        findings += written(before, contents(place.parent), run)
    return using.Outcome(
        [f"{one} [{name}, {kind}, {folder}, {trap}]" for one in findings],
        loaded,
        len(content),
        peak,
        output,
    )


def written(before, after, run):
    """What resuming wrote that it should not."""
    own = {resumed_model(run), resumed_model(run).with_suffix(".html")}
    lost = [path for path in before if path.parent != run and after.get(path) != before[path]]
    more = [path for path in after if path not in before and path.parent != run and path not in own]
    return [f"resume: {path.name} was replaced" for path in lost] + [
        f"resume: {path.name} was written" for path in more
    ]
