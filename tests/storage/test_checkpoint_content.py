"""Forged checkpoints with a valid digest are refused in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plainnet import training
from plainnet.cli.train_job import Job
from plainnet.config import TrainConfig
from plainnet.data.synthetic import introverts
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.nn import BinaryCrossEntropy, mlp
from plainnet.optim import Adam
from plainnet.storage.checkpoints import Checkpoints, check_header
from plainnet.storage.model_file import read_model, write_model
from plainnet.train import EarlyStopping
from plainnet.train.fit import fit
from plainnet.training import resume

X = np.random.default_rng(1).standard_normal((16, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)
Edit = Callable[[dict[str, Any], dict[str, Any]], object]


class PowerCutError(BaseException):
    """The process was killed."""


def train(checkpoints: Checkpoints, cut: int = 0, stopping: EarlyStopping | None = None) -> bytes:
    def watch(epoch):
        if epoch.number == cut:
            raise PowerCutError

    net = mlp(3, (4,), dropout=0.2, seed=2)
    share = 0.0 if stopping is None else 0.25
    given = {"epochs": 8, "batch_size": 4, "validation_fraction": share, "early_stopping": stopping}
    loss, rule = BinaryCrossEntropy(), Adam(0.1)
    fit(net, X, Y, loss=loss, optimizer=rule, watch=watch, checkpoints=checkpoints, **given)
    return net.params.theta.tobytes()


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """Return an interrupted training with checkpoints of steps 20 and 24."""
    with pytest.raises(PowerCutError):
        train(Checkpoints(tmp_path / "a.run", every=1), cut=7)
    return tmp_path / "a.run"


def edit(file: Path, change: Edit) -> None:
    arrays, header = read_model(file, "checkpoint")
    change(arrays, header)
    for name in ("format", "version"):
        header.pop(name, None)
    write_model(file, arrays, header, "checkpoint")


def put(*keys: str, value: Any) -> Edit:
    """Set a value in the header; `...` removes the field."""

    def change(arrays, header):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value
        if value is ...:
            del header[keys[-1]]

    return change


def array(name: str, make: Callable[[np.ndarray], np.ndarray | None]) -> Edit:
    """Replace an array; None removes it."""

    def change(arrays, header):
        made = make(arrays.pop(name, np.zeros(1)))
        if made is not None:
            arrays[name] = made

    return change


def number(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def make(old):
        new = old.copy()
        new[-1] = value
        return new

    return make


LIES = {
    "no metadata": (put("metadata", value=3), "'metadata' of the checkpoint should be an object"),
    "nothing attached": (put("attached", value=[]), "'attached' of the checkpoint should"),
    "a part more": (put("more", value=1), "unknown field 'more'"),
    "often": (put("every", value="often"), "'every' of the checkpoint should be a finite number"),
    "never": (put("every", value=0), "should be a finite number above zero, but is 0"),
    "another line": (put("platform", value="a\n\x1b[31mb"), "its platform should be"),
    "epoch": (put("metadata", "epoch", value="7"), "should be a whole number"),
    "epoch 0": (put("metadata", "epoch", value=0), "should be a whole number from 1"),
    "epoch of history": (put("metadata", "epoch", value=9), "should be 8 numbers of float64"),
    "no epoch": (put("metadata", "epoch", value=...), "field 'epoch' of 'metadata'"),
    "batch": (put("metadata", "batch", value=-1), "'batch' of 'metadata'"),
    "step": (put("metadata", "step", value=None), "'step' of 'metadata'"),
    "no threads": (put("metadata", "threads", value=0), "'threads' of 'metadata'"),
    "a best to come": (put("metadata", "best", value=7), "'best' of 'metadata'"),
    "a best without weights": (put("metadata", "best", value=2), "array 'best.theta' is absent"),
    "generator": (put("metadata", "order", value=[]), "'order' of 'metadata' of"),
    "its kind": (put("metadata", "order", "bit_generator", value=3), "'bit_generator' of 'order'"),
    "its state": (put("metadata", "masks", "state", "state", value=2**128), "should be a whole"),
    "all alike": (put("metadata", "masks", "state", "inc", value=2), "should be odd"),
    "half drawn": (put("metadata", "masks", "uinteger", value=2**32), "'uinteger' of 'masks'"),
    "beyond itself": (
        put("metadata", "order", value={
            "bit_generator": "MT19937", "state": {"key": [1] * 624, "pos": 10**6}}),
        "'pos' of 'state' of 'order'",
    ),
    "too short": (
        put("metadata", "order", value={
            "bit_generator": "MT19937", "state": {"key": [1], "pos": 0}}),
        "should be a list of 624 whole numbers",
    ),
    "no weights": (array("theta", lambda a: None), "array 'theta' is absent"),
    "weights in rows": (array("theta", lambda a: a[None]), "'theta' should have 1 axis"),
    "weights that are none": (array("theta", number(np.nan)), "'theta' should hold finite numbers"),
    "an array more": (array("x\n", lambda a: a), r"array 'x\n' is unknown"),
    "no sums": (array("sums", lambda a: None), "array 'sums' is absent"),
    "two sums": (array("sums", lambda a: a[:2]), "array 'sums' should be 3 numbers"),
    "sums below 0": (array("sums", number(-4)), "array 'sums' or"),
    "history": (array("history.loss", lambda a: a[:-1]), "array 'history.loss' should be 6"),
    "no history": (array("history.val_loss", lambda a: None), "'history.val_loss' is absent"),
    "a best more": (array("best.theta", lambda a: a), "exists, but no epoch is the best"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_forged_checkpoint_falls_back_to_the_previous_one(cut, lie):
    change, message = LIES[lie]
    older, newest = sorted(cut.glob("*.safetensors"))
    edit(newest, change)
    notes: list[str] = []
    assert Checkpoints.load(cut, notes.append).last == older
    [note] = notes
    assert note.startswith(f"{str(newest)!r} is not a checkpoint that can be used: ")
    assert note.endswith("; resuming from checkpoint-0000000020.safetensors, the one before")
    assert message in note
    assert note.isprintable()
    older.unlink()
    with pytest.raises(ModelFileError, match=r"^no checkpoint in "):
        Checkpoints.load(cut, pytest.fail)


def test_training_resumes_from_the_previous_checkpoint(cut, tmp_path):
    edit(max(cut.iterdir()), put("metadata", "step", value="x"))
    whole = train(Checkpoints(tmp_path / "whole.run"))
    assert train(Checkpoints.load(cut, lambda note: None)) == whole


UNFIT = {
    "a batch too far": (put("metadata", "batch", value=4), "'batch' of the checkpoint should be"),
    "a step too far": (put("metadata", "step", value=25), "'step' of the checkpoint should be"),
    "the optimizer's state": (array("optimizer.v", lambda a: a[:-1]), "array 'optimizer.v' should"),
    "none": (array("optimizer.m", lambda a: None), "array 'optimizer.m' is absent"),
    "a state more": (array("optimizer.x", lambda a: a), "'optimizer.x' is not of this optimizer"),
    "more weights": (array("theta", lambda a: np.append(a, a[:1])), "array 'theta' should be 21"),
    "wider weights": (array("theta", lambda a: a.astype(float)), "21 numbers of float32"),
    "another generator": (
        put("metadata", "masks", value={
            "bit_generator": "SFC64", "state": {"state": [1, 2, 3, 4]},
            "has_uint32": 0, "uinteger": 0}),
        "'bit_generator' of 'masks' of the checkpoint should be one of 'PCG64'",
    ),
    "judged by no rows": (array("history.val_loss", lambda a: np.ones(6)), "'history.val_loss'"),
}  # fmt: skip


@pytest.mark.parametrize("lie", UNFIT)
def test_mismatched_checkpoint_raises_with_its_file(cut, lie):
    change, message = UNFIT[lie]
    newest = max(cut.iterdir())
    edit(newest, change)
    with pytest.raises(ModelFileError) as error:
        train(Checkpoints.load(cut, pytest.fail))
    assert str(error.value).startswith(f"{str(newest)!r} is not a checkpoint that can be used: ")
    assert message in str(error.value)


def test_resume_with_early_stopping(tmp_path):
    folder, rule = tmp_path / "a.run", EarlyStopping(7)
    with pytest.raises(PowerCutError):
        train(Checkpoints(folder, every=1), cut=5, stopping=rule)
    whole = train(Checkpoints(tmp_path / "whole.run"), stopping=rule)
    assert train(Checkpoints.load(folder, pytest.fail), stopping=rule) == whole
    with pytest.raises(PowerCutError):
        train(Checkpoints(tmp_path / "b.run", every=1), cut=5, stopping=rule)

    def forget(arrays, header):
        header["metadata"]["best"] = None
        del arrays["best.theta"], arrays["best.loss"]

    edit(max((tmp_path / "b.run").iterdir()), forget)
    with pytest.raises(ModelFileError, match="best epoch does not fit the early stopping"):
        train(Checkpoints.load(tmp_path / "b.run", pytest.fail), stopping=rule)


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_states_of_all_numpy_generators_are_accepted(cut, kind):
    drawn = np.random.Generator(getattr(np.random, kind)(3))
    drawn.integers(0, 9, 1001, np.uint32)
    text = json.dumps(drawn.bit_generator.state, default=lambda value: value.tolist())
    _, header = read_model(max(cut.iterdir()), "checkpoint")
    header["metadata"]["order"] = json.loads(text)
    check_header(header)


@pytest.mark.parametrize("then", [{}, {"epochs": ...}, {"epochs\n": 8}, "x", None, [1]])
def test_changed_options_raise(cut, then):
    value = {"epochs": "e" * 9999} if then == {"epochs": ...} else then
    edit(max(cut.iterdir()), put("attached", "options", value=value))
    with pytest.raises(PlainnetError, match="was begun with ") as error:
        train(Checkpoints.load(cut, pytest.fail))
    assert len(str(error.value)) < 500
    assert str(error.value).isprintable()


# --- runs


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Return an interrupted run on a table, as started by the command line."""

    def watch(epoch):
        if epoch.number == 3:
            raise PowerCutError

    introverts(40).to_csv(tmp_path / "survey.csv", index=False)
    config = TrainConfig(hidden=(3,), epochs=5)
    checkpoints = Checkpoints(tmp_path / "a.run", every=1)
    job = Job(tmp_path / "survey.csv", config, tmp_path / "a", tmp_path / "a.html", 1, False)
    checkpoints.attach("job", job.to_json)
    with pytest.raises(PowerCutError):
        training.train(tmp_path / "survey.csv", config, watch=watch, checkpoints=checkpoints)
    return tmp_path / "a.run"


RUNS = {
    "no path": (("path", 3), "field 'path' of the checkpoint should be text"),
    "a long path": (("path", "x" * 3000), "field 'path' of the checkpoint should be a path"),
    "half a path": (("path", "a\0b"), "field 'path' of the checkpoint should be a path"),
    "no settings": (("config", [1]), "'config' of the checkpoint should be an object"),
    "a setting": (("config", {"hidden": [3]}), "field 'target' of 'config'"),
    "notes": (("notes", "x"), "field 'notes' of the checkpoint should be a list"),
    "no job": (("job", 1), "'job' of the checkpoint should be an object"),
    "a job": (("job", {}), "field 'report' of 'job' of the checkpoint is absent"),
}


@pytest.mark.parametrize("lie", RUNS)
def test_forged_run_falls_back_to_the_previous_checkpoint(begun, lie):
    (name, value), message = RUNS[lie]
    older, newest = sorted(begun.glob("*.safetensors"))
    edit(newest, put("attached", name, value=value))
    notes: list[str] = []
    assert Checkpoints.load(begun, notes.append, Job.from_checkpoints).last == older
    assert message in notes[0]
    assert repr(str(newest)) in notes[0]


SETTINGS = {
    "units": ("hidden", [2**40], "its options describe a network of at least"),
    "units of this data": ("hidden", [7], "its options describe a network of at least"),
    "layers": ("hidden", [1] * 10**5, "its options describe a network of at least"),
    "half a unit": ("hidden", [2.5], "hidden must be a sequence of whole numbers such as (8, 8)"),
    "a word": ("epochs", "5", "epochs must be a whole number"),
    "sense": ("test_fraction", 1.5, "test_fraction must be a number in"),
    "kind": ("kind", {"a": 3}, "kind must be a mapping of column to kind"),
    "unknown": ("more", 1, "unknown field 'more'"),
    "a rate": ("lr", True, "lr must be a number"),
    "a flag": ("strict", 1, "strict must be True or False"),
}


@pytest.mark.parametrize("lie", SETTINGS)
def test_forged_options_raise(begun, lie):
    name, value, message = SETTINGS[lie]
    edit(max(begun.iterdir()), put("attached", "config", name, value=value))
    with pytest.raises(ModelFileError) as error:
        resume(Checkpoints.load(begun, pytest.fail))
    assert message in str(error.value)
    assert repr(str(max(begun.iterdir()))) in str(error.value)


@pytest.mark.parametrize("name", ["out", "../../b", "/etc/b"])
def test_checkpoint_names_no_file_to_write(begun, name):
    edit(max(begun.iterdir()), put("attached", "job", "out", value=name))
    with pytest.raises(ModelFileError, match="unknown field 'out'"):
        Job.from_checkpoints(Checkpoints.load(begun, pytest.fail))


def test_outputs_are_next_to_the_checkpoint_folder(begun, monkeypatch):
    monkeypatch.chdir("/")
    edit(max(begun.iterdir()), put("attached", "job", "report", value=True))
    job = Job.from_checkpoints(Checkpoints.load(begun, pytest.fail))
    stem = begun.with_suffix("")
    assert Path("/", job.out) == stem.with_suffix(".safetensors")
    assert Path("/", job.report) == stem.with_suffix(".html")
