"""Checkpoint folders: training can resume after any damage to a file or disk."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import plainnet.storage.atomic as atomic
import plainnet.storage.model_file as files
from plainnet import training
from plainnet.config import TrainConfig
from plainnet.data.synthetic import introverts
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.model import Model
from plainnet.nn import BinaryCrossEntropy, mlp
from plainnet.optim import Adam
from plainnet.storage.checkpoints import Checkpoints
from plainnet.storage.model_file import read_model, write_model
from plainnet.train.fit import fit
from plainnet.training import resume

X = np.random.default_rng(1).standard_normal((16, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.float32)
BCE = BinaryCrossEntropy()


class PowerCutError(BaseException):
    """The process was killed and does nothing more."""


def train(
    checkpoints: Checkpoints | None = None, cut: int = 0, **options: Any
) -> tuple[bytes, dict[str, Any]]:
    """Train until a simulated power failure after an epoch; return the remaining state."""

    def watch(epoch):
        if epoch.number == cut:
            raise PowerCutError

    net = mlp(3, (4,), dropout=0.2, seed=2)
    chosen = {"loss": BCE, "optimizer": Adam(0.1), "epochs": 8, "batch_size": 4, **options}
    history = fit(net, X, Y, checkpoints=checkpoints, watch=watch, **chosen)
    return net.params.theta.tobytes(), history.record()


WHOLE = train()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a.run"


@pytest.fixture
def cut(folder: Path) -> Path:
    """Return a training interrupted in its seventh epoch, with checkpoints of steps 20 and 24."""
    with pytest.raises(PowerCutError):
        train(Checkpoints(folder, every=1), cut=7)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def step(number: int) -> str:
    return f"checkpoint-{number:010}.safetensors"


def refused(folder: Path) -> str:
    with pytest.raises(ModelFileError) as error:
        Checkpoints.load(folder, warn=pytest.fail)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(folder), "FOLDER")


# --- what is kept


def test_last_two_checkpoints_are_kept(cut):
    assert names(cut) == [step(20), step(24)]


def test_resumed_training_gives_the_same_result(cut):
    assert train(Checkpoints.load(cut)) == WHOLE
    assert names(cut) == [step(24), step(28)]  # as often as before


def test_checkpoints_are_deterministic_except_for_the_time(cut, tmp_path):
    with pytest.raises(PowerCutError):
        train(Checkpoints(tmp_path / "b.run", every=1), cut=7)
    (a, about), (b, other) = (
        read_model(f / step(24), "checkpoint") for f in (cut, tmp_path / "b.run")
    )
    assert about == other
    for name in a.keys() - {"history.seconds"}:
        np.testing.assert_array_equal(a[name], b[name])


def test_only_leftovers_of_killed_writers_are_removed(folder):
    folder.mkdir()
    (folder / f".{step(3)}.0123abcd.tmp").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    checkpoints = Checkpoints(folder, every=4)
    train(checkpoints)
    assert names(folder) == [step(0), step(16), "notes.txt"]
    checkpoints.remove()
    assert names(folder) == ["notes.txt"]


def test_folder_is_removed_with_the_last_checkpoint(cut):
    Checkpoints.load(cut).remove()
    assert not cut.exists()
    Checkpoints(cut).remove()


def test_without_interval_the_folder_is_created_by_ctrl_c(folder):
    assert train(Checkpoints(folder)) == WHOLE
    assert not folder.exists()


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf"), "often", True])
def test_interval_must_be_positive(folder, every):
    with pytest.raises(PlainnetError, match="Checkpoints: every must be"):
        Checkpoints(folder, every)


def test_interval_may_be_a_numpy_scalar(folder):
    train(Checkpoints(folder, every=np.float32(4)))
    assert Checkpoints.load(folder).every == 4


def test_unfinished_training_is_not_overwritten(cut):
    before = names(cut)
    with pytest.raises(PlainnetError) as error:
        Checkpoints(cut, every=1)
    assert str(error.value) == (
        f"'{cut}' holds a training that has not ended: resume it with plainnet train --resume "
        f"{cut}, or remove the folder"
    )
    assert names(cut) == before


def test_file_instead_of_a_folder_raises(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlainnetError, match=r"'.*file' is a file: checkpoints need a folder"):
        Checkpoints(tmp_path / "file", every=1)


# --- damage


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_checkpoint_falls_back_to_the_previous_one(cut, share):
    newest, notes = cut / step(24), []
    newest.write_bytes(newest.read_bytes()[: int(share * newest.stat().st_size)])
    checkpoints = Checkpoints.load(cut, notes.append)
    [note] = notes
    assert note.startswith(f"'{newest}' is not a complete checkpoint file (")
    assert note.endswith(f"): train again, if there is no other; resuming from {step(20)}, the "
                         "one before")  # fmt: skip
    assert "\n" not in note
    assert checkpoints.last == cut / step(20)
    assert train(checkpoints) == WHOLE
    assert names(cut) == [step(24), step(28)]


def test_changed_byte_falls_back_to_the_previous_one(cut):
    newest = cut / step(24)
    whole = newest.read_bytes()
    for position in range(0, len(whole), 301):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        newest.write_bytes(damaged)
        notes: list[str] = []
        assert Checkpoints.load(cut, notes.append).last == cut / step(20)
        assert len(notes) == 1


def test_damaged_checkpoint_does_not_count_as_kept(cut):
    (cut / step(26)).write_bytes(b"")
    with pytest.raises(PowerCutError):
        train(Checkpoints.load(cut, lambda note: None), cut=8)
    assert names(cut) == [step(24), step(28)]


def test_no_valid_checkpoint_raises(cut):
    for file in cut.glob("checkpoint-*"):
        file.write_bytes(b"")
    assert refused(cut).startswith(
        f"no checkpoint in 'FOLDER' can be used: 'FOLDER/{step(24)}' is not a complete checkpoint"
    )


def test_no_checkpoint_raises(folder):
    message = "there is no training to resume in 'FOLDER': it has ended, or saved no checkpoint yet"
    assert refused(folder) == message
    folder.mkdir()
    (folder / "checkpoint-of-mine.safetensors").write_text("")
    assert refused(folder) == message


def other_header(folder: Path, **changed: Any) -> None:
    for file in folder.glob("checkpoint-*"):
        arrays, header = read_model(file, "checkpoint")
        write_model(file, arrays, {**header, **changed}, "checkpoint")


def test_unknown_format_raises(cut, monkeypatch):
    for file in cut.glob("checkpoint-*"):
        arrays, header = read_model(file, "checkpoint")
        monkeypatch.setattr(files, "FORMAT", 2)
        write_model(file, arrays, header, "checkpoint")
        monkeypatch.undo()
    assert refused(cut) == (
        f"no checkpoint in 'FOLDER' can be used: 'FOLDER/{step(24)}' has format 2, and plainnet "
        "0.1.0 reads format 1: use the version that wrote it ('0.1.0')"
    )


def test_other_plainnet_version_raises(cut, monkeypatch):
    monkeypatch.setattr(files, "__version__", "0.0.9")
    other_header(cut)
    monkeypatch.undo()
    assert refused(cut) == (
        f"no checkpoint in 'FOLDER' can be used: 'FOLDER/{step(24)}' is of plainnet 0.0.9, and "
        "this is 0.1.0, which may compute other numbers: use that version, or train again"
    )


def test_other_numpy_version_warns(cut):
    other_header(cut, platform="NumPy 1.0")
    notes: list[str] = []
    Checkpoints.load(cut, notes.append)
    [note] = notes
    assert note.startswith(
        f"the training began with NumPy 1.0 and resumes with NumPy {np.__version__}, Python "
    )


def test_models_and_checkpoints_are_distinguished(cut, tmp_path):
    write_model(tmp_path / "model", {"b": np.ones(2)}, {})
    shutil.copy(tmp_path / "model", cut / step(24))
    notes: list[str] = []
    Checkpoints.load(cut, notes.append)
    assert "is a safetensors file, but not a checkpoint that plainnet saved" in notes[0]
    with pytest.raises(ModelFileError, match="file, but not a model that plainnet saved"):
        Model.load(cut / step(20))


def test_incomplete_header_raises(cut):
    for file in cut.glob("checkpoint-*"):
        write_model(file, {"theta": np.ones(3)}, {"metadata": {}}, "checkpoint")
    assert refused(cut).endswith(
        f"'FOLDER/{step(24)}' is not a checkpoint that can be used: field 'platform' of the "
        "checkpoint is absent"
    )


# --- disks and power


def calls(monkeypatch: pytest.MonkeyPatch, name: str, at: int, what: Callable[[], None]) -> None:
    """Replace the call number `at` of an os function."""
    original, count = getattr(os, name), [0]

    def counted(*args, **more):
        count[0] += 1
        if count[0] >= at:
            what()
        return original(*args, **more)

    monkeypatch.setattr(files.os, name, counted)


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_full_disk_does_not_end_training(folder, monkeypatch, name):
    calls(monkeypatch, name, 4, full)
    notes: list[str] = []
    assert train(Checkpoints(folder, 1, notes.append)) == WHOLE
    monkeypatch.undo()
    assert len(notes) == 5  # of the eight checkpoints
    assert notes[0] == (
        f"'{folder / step(12)}' could not be written (No space left on device); the last is "
        f"{step(8)}"
    )
    assert names(folder) == [step(4), step(8)]
    assert train(Checkpoints.load(folder, pytest.fail)) == WHOLE


def test_full_disk_at_the_start_raises(folder, monkeypatch):
    calls(monkeypatch, "fsync", 1, full)
    with pytest.raises(OSError, match="No space left") as error:
        train(Checkpoints(folder, 1))
    assert error.value.filename == str(folder / step(0))
    assert names(folder) == []


def test_default_notification_is_a_warning(folder, monkeypatch):
    calls(monkeypatch, "fsync", 2, full)
    with pytest.warns(UserWarning, match="could not be written"):
        train(Checkpoints(folder, 4))


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder without write permission."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:  # for whom nothing is locked: ask as somebody else
        tmp_path.parent.chmod(0o755)
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)


def test_folder_without_write_permission_raises(locked):
    with pytest.raises(PermissionError) as error:
        train(Checkpoints(locked / "a.run", 1))
    assert str(error.value.filename).startswith(str(locked))


@pytest.mark.parametrize("name", ["open", "fsync", "replace", "unlink", "after replace"])
@pytest.mark.parametrize("at", [1, 2, 3, 7, 8])
def test_power_failure_in_any_write(folder, monkeypatch, name, at):
    """A partly written temporary file remains, as after a killed process."""

    def gone() -> None:
        monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        raise PowerCutError

    if name == "open":
        original, count = open, [0]

        def half(path, mode, **more):
            count[0] += 1
            if count[0] < at:
                return original(path, mode, **more)
            Path(path).write_bytes(b"ha")
            return gone()

        monkeypatch.setattr(atomic, "open", half, raising=False)
    elif name == "after replace":
        replacing, count = os.replace, [0]

        def then(*paths):
            replacing(*paths)
            count[0] += 1
            if count[0] >= at:
                gone()

        monkeypatch.setattr(files.os, "replace", then)
    else:
        calls(monkeypatch, name, at, gone)
    try:
        train(Checkpoints(folder, 1))
    except PowerCutError:
        pass
    else:
        assert name == "unlink"
        assert at > 6  # the last two stay
        return
    monkeypatch.undo()
    first = at == 1 and name in ("open", "fsync", "replace")
    if first:
        assert refused(folder).startswith("there is no training to resume")
        return
    assert train(Checkpoints.load(folder, pytest.fail)) == WHOLE
    assert len(names(folder)) <= 2 or at == 8  # what was left is cleared away


# --- runs


SETTINGS = TrainConfig(
    hidden=(5,),
    epochs=6,
    batch_size=16,
    dropout=0.2,
    validation_fraction=0.2,
    patience=4,
    class_weight="balanced",
)


def cut_run(path: Path, config: TrainConfig, folder: Path, number: int = 4) -> None:
    def watch(epoch):
        if epoch.number == number:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        training.train(path, config, watch=watch, checkpoints=Checkpoints(folder, 0.7))


def saved(outcome: Any, path: Path) -> bytes:
    outcome.model.save(path)
    return path.read_bytes()


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    path = tmp_path / "survey.csv"
    introverts(80).to_csv(path, index=False)
    return path


def test_resume_a_table_run(survey, folder, tmp_path):
    whole = saved(training.train(survey, SETTINGS), tmp_path / "whole")
    cut_run(survey, SETTINGS, folder)
    assert saved(resume(Checkpoints.load(folder)), tmp_path / "rest") == whole


@pytest.fixture
def pictures(tmp_path):
    """Write two classes of pictures."""
    rng = np.random.default_rng(0)
    for name in ("bears", "pandas"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 200, (9, 9, 3), np.uint8) + np.uint8(50 * (name == "bears"))
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(
            size=12, hidden=(6,), epochs=4, batch_size=5, dropout=0.2, validation_fraction=0.2
        ),
        TrainConfig(
            size=16, hidden=(6,), epochs=60, optimizer="sgd", momentum=0.9, batch_size="full"
        ),
    ],
    ids=["uint8 batches", "row space"],
)
def test_resume_a_picture_run(config, folder, pictures, tmp_path):
    whole = training.train(pictures, config)
    assert (whole.history.row_space is None) == (config.optimizer != "sgd")
    cut_run(pictures, config, folder, number=3)
    rest = resume(Checkpoints.load(folder))
    assert saved(rest, tmp_path / "rest") == saved(whole, tmp_path / "whole")


@pytest.mark.usefixtures("compiled")
def test_resume_compiled_steps_within_an_epoch_of_shifted_pictures(folder, pictures, tmp_path):
    options = {"size": 12, "channels": (4, 5), "epochs": 4, "batch_size": 5, "dropout": 0.2}
    options |= {"augment": ("shift",), "engine": "compiled", "validation_fraction": 0.2}
    config = TrainConfig(**options)
    whole = training.train(pictures, config)
    cut_run(pictures, config, folder, number=3)
    checkpoints = Checkpoints.load(folder)
    assert checkpoints.checkpoint.metadata["batch"] > 0
    rest = resume(checkpoints)
    assert rest.history.engine == "compiled"
    assert saved(rest, tmp_path / "rest") == saved(whole, tmp_path / "whole")


def of_run(folder: Path, act: Callable[[Checkpoints], object]) -> str:
    with pytest.raises(PlainnetError) as error:
        act(Checkpoints.load(folder))
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(folder.parent), "PLACE")


@pytest.mark.parametrize(
    ("old", "new"),
    [("Yes", "No"), ("Stage_fear", "Fear_of_stages"), ("Introvert", "introvert")],
    ids=["a cell", "a column's name", "a class's name"],
)
def test_other_data_raises(survey, folder, old, new):
    cut_run(survey, SETTINGS, folder)
    text = survey.read_text()
    survey.write_text(text.replace(old, new, 1 if old == "Yes" else -1))
    assert of_run(folder, resume) == (
        "the training in 'PLACE/a.run' was begun with other data: it can only be resumed as it "
        "was begun"
    )
    survey.write_text(text)
    resume(Checkpoints.load(folder))


def test_other_held_out_rows_raise(survey, folder):
    cut_run(survey, SETTINGS, folder)
    frame = introverts(80)
    outcome = training.train(survey, SETTINGS)
    row = int(outcome.data.test_rows[0])
    frame.loc[row, "Post_frequency"] = (frame.loc[row, "Post_frequency"] or 0) + 1
    frame.to_csv(survey, index=False)
    assert "was begun with other data" in of_run(folder, resume)


def test_other_options_raise(survey, folder):
    cut_run(survey, SETTINGS, folder)
    other = replace(SETTINGS, lr=0.5)
    assert of_run(folder, lambda c: training.train(survey, other, checkpoints=c)) == (
        "the training in 'PLACE/a.run' was begun with lr None, not with lr 0.5: it can only be "
        "resumed as it was begun"
    )


def test_missing_data_is_named(survey, folder):
    cut_run(survey, SETTINGS, folder)
    survey.rename(survey.with_name("elsewhere.csv"))
    assert of_run(folder, resume) == (
        "the data of this training, 'PLACE/survey.csv', is not there any more: put it back"
    )


def test_python_training_cannot_be_resumed_as_a_run(cut):
    assert of_run(cut, resume) == (
        "the training in 'PLACE/a.run' was not begun on a file or folder, so its checkpoints do "
        "not name the data: train again as it began"
    )
