"""What is done with a damaged model file, and what counts as a finding.

A file is refused with a `ModelFileError` of one line, or it is a model: then every command of the
command line that takes one ends with an answer or with one sentence, without a warning.
"""

import contextlib
import io
import os
import re
import resource
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from PIL import Image

from fuzz import forge
from plainnet import Model, ModelFileError, TrainConfig
from plainnet.cli import main
from plainnet.training import train

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TIMES, FLOOR = 40, 2**23  # what docs/file-format.md promises of the memory that loading takes
SENTENCE = 2000  # characters
COMMANDS = (
    *("predict M D --out o.csv", "predict M D", "summary M", "summary M", "report M --out o.html"),
    *("evaluate M D", "evaluate M D --json", "evaluate M D --detail --report o.html"),
    *("explain M D --row 1", "explain M D --row 1 --json", "explain M D --row 2 --html o.html"),
    *("explain M D --repeats 1", "explain M D --repeats 1 --html o.html --pictures p"),
    *("gradcheck M D --rows 2 --sample 3", "doctor M D", "report M D --out o.html"),
    *("export M --onnx o.onnx", "export M --python o.py", "export M --html o.html"),
)


READERS = (  # of the training record
    *("summary M", "report M --out o.html", "evaluate M D --json", "doctor M D"),
    *("explain M D --repeats 1", "report M D --out o.html"),
)


class Bench(NamedTuple):
    """Good models, and data that they understand."""

    folder: Path
    models: dict
    data: dict


def bench(folder):
    """Train small models that together hold every kind of layer, column, target and extra array."""
    folder = Path(folder)
    files = {
        "binary": GOLDEN / "format-1" / "table.safetensors",
        "picture": GOLDEN / "format-1" / "picture.safetensors",
    }
    rng = np.random.default_rng(0)
    m = 24
    frame = pd.DataFrame(
        {
            "x": rng.standard_normal(m).round(2),
            "color": rng.choice(["red", "green"], m),
            "glad": rng.choice(["yes", "no"], m),
        }
    )
    frame.loc[0, "x"] = None
    targets = {
        "regression": 100 + 10 * rng.standard_normal(m).round(2),
        "multilabel": np.array(["p;q", "q", "p"])[np.arange(m) % 3],
        "multiclass": np.array(["a", "b", "c"])[np.arange(m) % 3],
    }
    kinds = {
        "regression": {"loss": "Huber", "layer_norm": True, "activation": ("gelu",)},
        "multilabel": {"dropout": 0.2, "activation": ("elu",), "label_smoothing": 0.1},
        "multiclass": {"batch_norm": True, "activation": ("leaky_relu",)},
    }
    data = {}
    for name, y in targets.items():
        table = frame.assign(y=y)
        chosen = TrainConfig(
            hidden=(3,), epochs=3, target=("y",), test_fraction=0.3, validation_fraction=0.2
        )
        files[name] = folder / f"{name}.safetensors"
        train(table, TrainConfig(**{**vars(chosen), **kinds[name]})).model.save(files[name])
        data[name] = folder / f"{name}.csv"
        table.head(9).to_csv(data[name], index=False)
    data["binary"] = folder / "binary.csv"
    rows = [f"{i},{20 + 5 * i},Oslo,{'yes' if i % 2 else 'no'},west,card,tea" for i in range(5)]
    more = [f"{i},{20 + 5 * i},Rome,{'yes' if i % 2 else 'no'},west,,coffee" for i in range(5)]
    data["binary"].write_text("\n".join(["id,age,city,member,till,gift,b", *rows, *more]) + "\n")
    data["picture"] = folder / "pictures"
    for i in range(6):
        place = data["picture"] / ("bears", "pandas")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(place / f"{i}.png")
    models = {name: forge.taken_apart(file.read_bytes()) for name, file in files.items()}
    return Bench(folder, models, data)


def files(ready):
    """Draw a damaged file, and a command to use it with."""

    def with_command(made):
        return st.tuples(
            st.just(made), st.sampled_from(READERS if made[1] == "record" else COMMANDS)
        )

    return forge.damaged(ready.models).flatmap(with_command)


class Outcome(NamedTuple):
    """What came of a file: what is wrong with that, whether it was a model, and the memory."""

    findings: list
    loaded: bool
    size: int
    peak: int
    output: str


def use(ready, drawn, commands=True):
    """Load a damaged file, and if it can be loaded run a command with it."""
    (name, kind, content), command = drawn
    place = ready.folder / "damaged.safetensors"
    place.write_bytes(content)
    findings = []
    loaded, peak, output = False, 0, command
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Model.load(place)
        loaded = True
    except ModelFileError as error:
        output = text = str(error)
        if len(text) > SENTENCE or not text.isprintable() or repr(str(place)) not in text:
            findings.append(f"load: a bad sentence: {text[:300]!r}")
    except Exception as error:
        findings.append(f"load: {type(error).__name__}: {str(error)[:200]} {where(error)}")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if peak > TIMES * len(content) + FLOOR:
        findings.append(f"load: {peak:,} bytes for a file of {len(content):,}")
    if loaded and commands:
        with inside(ready.folder):
            findings += run(command, place, ready.data[name])
    return Outcome(
        [f"{one} [{name}, {kind}]" for one in findings], loaded, len(content), peak, output
    )


def run(command, model, data):
    """Run the command line; what it does that it should not."""
    arguments = [str({"M": model, "D": data}.get(word, word)) for word in command.split()]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        code = main([*arguments, "--debug"])
    output = err.getvalue()
    last = output.strip().splitlines()[-1] if output.strip() else ""
    if code in (0, 1):
        return []
    if code == 2 and last.startswith("Error: ") and not last.startswith("Error: unexpected"):
        return [] if len(last) <= SENTENCE else [f"{command}: a long sentence {last[:200]}"]
    lines = [one for one in output.splitlines() if re.search(r"plainnet/.*line \d+", one)]
    return [f"{command}: {code} {last[:200]} {lines[-1].strip() if lines else ''}"]


def where(error):
    trace, found = error.__traceback__, "outside"
    while trace.tb_next is not None:
        trace = trace.tb_next
        if "plainnet" in trace.tb_frame.f_code.co_filename:
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return found


@contextlib.contextmanager
def inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def no_more_memory_than(more):
    """Bound the address space of this process: what native code asks for beyond is refused."""
    if not sys.platform.startswith("linux"):
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
