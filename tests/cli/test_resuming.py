"""plainnet train --checkpoint-every and --resume after Ctrl-C, kills and full disks."""

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from plainnet import training
from plainnet.cli.paths import checkpoint_folder, resumed_model
from plainnet.cli.progress import TrainingDisplay
from plainnet.model import Model
from plainnet.storage import model_file as files

pytestmark = pytest.mark.usefixtures("without_boosting")

Cli = Callable[..., Any]
ARGUMENTS = "--epochs 12 --dropout 0.2 --validation-fraction 0.2 --patience 11 --batch-size 16"


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Raise SIGINT, or run another action, when an epoch is shown."""
    shown = TrainingDisplay.__call__

    def prepare(number: int, what: Callable[[], object] | None = None) -> None:
        def call(self: TrainingDisplay, epoch: Any) -> None:
            shown(self, epoch)
            if epoch.number == number:
                (what or (lambda: signal.raise_signal(signal.SIGINT)))()

        monkeypatch.setattr(TrainingDisplay, "__call__", call)

    return prepare


class KilledError(BaseException):
    """The process is gone."""


def killed() -> None:
    raise KilledError


def one_sentence(outcome: Any, expected: str) -> None:
    assert outcome.code == 2
    assert outcome.err.startswith("Error: ")
    assert outcome.err.count("\n") == 1
    assert expected in outcome.err


def kill(cli: Cli, press: Callable[..., None], epoch: int, *arguments: object) -> None:
    press(epoch, killed)
    with pytest.raises(KilledError):
        cli("train", *arguments)
    press(-1)


@pytest.fixture
def uninterrupted(cli: Cli, survey: Path, whole: list[bytes], tmp_path: Path) -> bytes:
    """Return the model of an uninterrupted training."""
    if not whole:
        assert cli("train", survey, ARGUMENTS, "--out whole.safetensors").code == 0
        whole.append((tmp_path / "whole.safetensors").read_bytes())
    return whole[0]


@pytest.fixture(scope="module")
def whole() -> list[bytes]:
    """The model of `uninterrupted`, once it is trained."""
    return []


def test_kills_at_random_moments(tmp_path: Path) -> None:
    x = [(7 * i % 23) / 23 for i in range(40)]
    frame = pd.DataFrame(
        {"x": x, "y": ["yes" if v > (i % 3) / 3 else "no" for i, v in enumerate(x)]}
    )
    frame.to_csv(tmp_path / "data.csv", index=False)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killing.py")), "30"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["killed"] == outcome["same"] == 30
    assert outcome["resumed"] >= 12
    assert outcome["left"] == 0


# --- Ctrl-C


def test_ctrl_c_saves_and_prints_the_resume_command(
    cli: Cli, survey: Path, uninterrupted: bytes, press: Callable[..., None], tmp_path: Path
) -> None:
    out = tmp_path / "kept.safetensors"
    press(5)
    outcome = cli("train", survey, ARGUMENTS, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Interrupted: the network is kept as it was then." in outcome.out
    assert "Saved: " in outcome.out
    assert "\nTo resume: plainnet train --resume kept.run\n" in outcome.out
    assert len(Model.load(out).record["history"]["loss"]) == 5
    assert [path.name for path in (tmp_path / "kept.run").glob("checkpoint-*")] == [
        "checkpoint-0000000030.safetensors"  # 90 rows in batches of 16
    ]
    outcome = cli(*outcome.out.split("To resume: plainnet ")[1].split("\n")[0].split())
    assert (outcome.code, outcome.err) == (0, "")
    assert "Resuming at epoch 6\n" in outcome.out
    assert sum(line.startswith("epoch") for line in outcome.out.splitlines()) == 7
    assert "Trained 12 epochs, the last 7 in " in outcome.out
    assert out.read_bytes() == uninterrupted
    assert not (tmp_path / "kept.run").exists()


def test_repeated_ctrl_c(
    cli: Cli, survey: Path, uninterrupted: bytes, press: Callable[..., None], tmp_path: Path
) -> None:
    arguments: tuple[object, ...] = (
        survey,
        ARGUMENTS,
        "--out a.safetensors --checkpoint-every 2.5",
    )
    for epoch in (1, 2, 6, 11, -1):
        press(epoch)
        assert cli("train", *arguments).code == 0
        arguments = ("--resume", "a.run")
    assert (tmp_path / "a.safetensors").read_bytes() == uninterrupted


def test_second_ctrl_c_after_training_saves_the_model(
    cli: Cli,
    survey: Path,
    monkeypatch: pytest.MonkeyPatch,
    press: Callable[..., None],
    tmp_path: Path,
) -> None:
    def impatient(*_: object) -> None:
        raise KeyboardInterrupt

    press(3)
    monkeypatch.setattr("plainnet.cli.commands.train.diagnose", impatient)
    outcome = cli("train", survey, ARGUMENTS)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Interrupted: the model is saved without the rest of its evaluation.\n" in outcome.out
    assert "To resume: plainnet train --resume survey.run\n" in outcome.out
    assert len(Model.load(tmp_path / "survey.safetensors").record["history"]["loss"]) == 3


def test_checkpoints_of_ctrl_c_do_not_block_the_next_training(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    press(3)
    cli("train", survey, ARGUMENTS)
    press(-1)
    outcome = cli("train", survey, "--epochs 2")
    assert outcome.code == 0
    note = (
        "Note: survey.run holds a training that has not ended, and plainnet train --resume "
        "survey.run resumes it; Ctrl-C in this one would replace it"
    )
    assert note in outcome.out
    assert (tmp_path / "survey.run").is_dir()
    press(1)
    cli("train", survey, "--epochs 2 --seed 5")
    press(-1)
    assert cli("train", "--resume survey.run").code == 0
    assert Model.load(tmp_path / "survey.safetensors").record["config"]["seed"] == 5
    assert "holds a training" not in cli("train", survey, "--epochs 2").out


# --- a run that was killed


def test_killed_run_resumes_from_any_folder(
    cli: Cli,
    survey: Path,
    uninterrupted: bytes,
    press: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kill(cli, press, 8, survey, ARGUMENTS, "--out a.safetensors --checkpoint-every 3")
    assert not (tmp_path / "a.safetensors").exists()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    outcome = cli("train", "--resume", "../a.run")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Checkpoints: every 3 epochs in " in outcome.out
    assert "Resuming at epoch 7\n" in outcome.out
    assert (tmp_path / "a.safetensors").read_bytes() == uninterrupted
    assert not (tmp_path / "a.run").exists()


def test_pictures_in_the_row_space(
    cli: Cli, colors: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    arguments = (
        "--network mlp --optimizer sgd --momentum 0.9 --batch-size full --epochs 40 --size 16"
    )
    assert cli("train", colors, arguments, "--out whole.safetensors").code == 0
    model = Model.load(tmp_path / "whole.safetensors")
    assert model.record["history"]["row_space"] == 10
    kill(cli, press, 9, colors, arguments, "--out cut.safetensors --checkpoint-every 2")
    assert cli("train", "--resume cut.run").code == 0
    assert (tmp_path / "cut.safetensors").read_bytes() == (
        tmp_path / "whole.safetensors"
    ).read_bytes()


def test_augmented_pictures_within_an_epoch(
    cli: Cli, colors: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    arguments = "--epochs 6 --size 8 --batch-size 2 --augment shift flip turn light"
    assert cli("train", "colors", arguments, "--out whole.safetensors").code == 0
    kill(cli, press, 3, "colors", arguments, "--out cut.safetensors --checkpoint-every 0.4")
    assert cli("train", "--resume", "cut.run").code == 0
    uninterrupted = (tmp_path / "whole.safetensors").read_bytes()
    assert (tmp_path / "cut.safetensors").read_bytes() == uninterrupted


def test_resumed_run_keeps_file_names(
    cli: Cli, colors: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    """Notes in the model file contain the names of files in the folder."""
    (colors / "red" / "notes.txt").write_text("no picture")
    arguments = "--epochs 4 --size 8"
    assert cli("train", "colors", arguments, "--out whole.safetensors").code == 0
    uninterrupted = (tmp_path / "whole.safetensors").read_bytes()
    assert b"left out red/notes.txt" in uninterrupted
    kill(cli, press, 3, "colors", arguments, "--out cut.safetensors --checkpoint-every 1")
    os.chdir(colors)  # the fixture of the command line goes back
    outcome = cli("train", "--resume", "../cut.run")
    assert outcome.code == 0
    assert "Note: left out red/notes.txt" in outcome.out
    assert (tmp_path / "cut.safetensors").read_bytes() == uninterrupted


def test_leftover_of_a_killed_model_writer_is_removed(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--checkpoint-every 1")
    half, other = tmp_path / ".survey.safetensors.0123abcd.tmp", tmp_path / ".survey.csv.tmp"
    for file in (half, other):
        file.write_bytes(b"half")
    assert cli("train", "--resume survey.run").code == 0
    assert not half.exists()
    assert other.exists()


def test_run_can_be_moved_with_its_data(
    cli: Cli, survey: Path, uninterrupted: bytes, press: Callable[..., None], tmp_path: Path
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--out a.safetensors --checkpoint-every 1")
    (tmp_path / "moved").mkdir()
    (tmp_path / "a.run").rename(tmp_path / "moved" / "b.run")
    one_sentence(
        cli("train", "--resume moved/b.run"),
        f"the data of this training, '{tmp_path}/moved/survey.csv', is not there any more: put it "
        "back",
    )
    survey.rename(tmp_path / "moved" / "survey.csv")
    assert cli("train", "--resume moved/b.run").code == 0
    assert (tmp_path / "moved" / "b.safetensors").read_bytes() == uninterrupted


OTHERS = {
    "a letter": lambda path: path.write_bytes(b"Dear Bob"),
    "a checkpoint": lambda path: shutil.copy(max(Path("long.run").iterdir()), path),
    "a link to a letter": lambda path: (
        Path("letter").write_bytes(b"Dear Bob"),
        path.symlink_to("letter"),
    ),
    "a link to nothing": lambda path: path.symlink_to("new"),
    "a pipe": os.mkfifo,
}


def inodes(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("name", ["long.safetensors", "long.html"])
def test_resuming_replaces_only_what_plainnet_wrote(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path, name: str, what: str
) -> None:
    out = "--out long.safetensors --report long.html --checkpoint-every 1"
    kill(cli, press, 4, survey, ARGUMENTS, out)
    OTHERS[what](tmp_path / name)
    before = inodes(tmp_path)
    outcome = cli("train", "--resume long.run")
    if what == "a pipe":
        one_sentence(outcome, f"'{name}' is not a regular file: give ")
    else:
        noun = "model" if name == "long.safetensors" else "report"
        one_sentence(outcome, f"'{name}' would be replaced, but is not a {noun} that plainnet ")
    assert inodes(tmp_path) == before
    (tmp_path / name).unlink()
    for _ in range(2):  # the second time both are plainnet's own
        assert cli("train", "--resume long.run").code == 0
        assert {"long.safetensors", "long.html"} <= set(os.listdir(tmp_path))
        kill(cli, press, 4, survey, ARGUMENTS, out)


@pytest.mark.parametrize("key", ["out", "report"])
def test_checkpoint_names_no_file_to_write(
    cli: Cli,
    survey: Path,
    uninterrupted: bytes,
    press: Callable[..., None],
    tmp_path: Path,
    key: str,
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--out long.safetensors --checkpoint-every 1")
    (tmp_path / "letter.docx").write_bytes(b"Dear Bob")
    newest = max((tmp_path / "long.run").iterdir())
    arrays, header = files.read_model(newest, "checkpoint")
    header["attached"]["job"][key] = "letter.docx"
    files.write_model(newest, arrays, header, "checkpoint")
    outcome = cli("train", "--resume long.run")
    assert "is not a checkpoint that can be used" in outcome.out
    assert (tmp_path / "letter.docx").read_bytes() == b"Dear Bob"
    assert (tmp_path / "long.safetensors").read_bytes() == uninterrupted


def test_links_in_the_checkpoint_folder_are_not_followed(
    cli: Cli, survey: Path, uninterrupted: bytes, press: Callable[..., None], tmp_path: Path
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--out long.safetensors --checkpoint-every 1")
    (tmp_path / ".bashrc").write_bytes(b"alias")
    for step in range(24, 73, 6):  # 90 rows in batches of 16
        (tmp_path / "long.run" / f"checkpoint-{step:010}.safetensors").symlink_to("../.bashrc")
    assert cli("train", "--resume long.run").code == 0
    assert (tmp_path / ".bashrc").read_bytes() == b"alias"
    assert (tmp_path / "long.safetensors").read_bytes() == uninterrupted


def test_checkpoints_are_never_written_into_the_data(cli: Cli, colors: Path) -> None:
    colors.rename("a.run")
    one_sentence(
        cli("train", "a.run", "--out a.safetensors --checkpoint-every 1"),
        "'a.run/checkpoint' would be written into the data folder 'a.run'",
    )


def test_resumed_run_completes_all_outputs(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    arguments = "--epochs 4 --repeat 2 --detail"
    outcome = cli("train", survey, arguments, "--out w.safetensors --report w.html")
    ending = outcome.out.split("On 30 held-out rows")[1]
    kill(
        cli, press, 3, survey, arguments, "--out c.safetensors --report c.html --checkpoint-every 1"
    )
    outcome = cli("train", "--resume c.run")
    ending = ending.replace("w.safetensors", "c.safetensors").replace("w.html", "c.html")
    assert outcome.out.split("On 30 held-out rows")[1] == ending.replace(str(survey), "survey.csv")
    for name in ("safetensors", "html"):
        was, now = (tmp_path / f"{run}.{name}" for run in "wc")
        assert now.read_bytes() == was.read_bytes().replace(b"w.safetensors", b"c.safetensors")


def test_recorded_gradients_survive_a_resume(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    """Findings use all epochs, including those before the kill."""

    def doctor_watch(run: str) -> Any:
        newest = max((tmp_path / run).glob("checkpoint-*"))
        return files.read_model(newest, "checkpoint")[1]["attached"]["doctor_watch"]

    kill(cli, press, 9, survey, ARGUMENTS, "--out once.safetensors --checkpoint-every 1")
    kill(cli, press, 4, survey, ARGUMENTS, "--out twice.safetensors --checkpoint-every 1")
    kill(cli, press, 9, "--resume", "twice.run")
    assert len(doctor_watch("once.run")) == 8
    assert doctor_watch("twice.run") == doctor_watch("once.run")


def test_ctrl_c_postpones_the_repeats(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path
) -> None:
    press(2)
    cli("train", survey, "--epochs 4 --repeat 2")
    press(-1)
    assert "repeats" not in Model.load(tmp_path / "survey.safetensors").record
    assert cli("train", "--resume survey.run").code == 0
    assert Model.load(tmp_path / "survey.safetensors").record["repeats"]["seeds"] == [0, 1]


@pytest.mark.parametrize(("stop", "text"), [(2, "only the first"), (3, "2 of 4 trainings")])
def test_ctrl_c_in_a_repeat_keeps_the_first_model(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch, stop: int, text: str
) -> None:
    trainings = itertools.count(1)

    def train(*arguments: Any, **options: Any) -> Any:
        if next(trainings) == stop:
            options["watch"] = lambda epoch: signal.raise_signal(signal.SIGINT)
        return original(*arguments, **options)

    original = training.train
    monkeypatch.setattr(training, "train", train)
    outcome = cli("train", survey, "--epochs 4 --repeat 4")
    assert (outcome.code, text in outcome.out) == (0, True)
    assert next(trainings) == stop + 1  # none begins after it
    assert len(Model.load("survey.safetensors").record["history"]["loss"]) == 4


# --- messages


def test_start_message_names_the_checkpoint_folder(cli: Cli, survey: Path) -> None:
    out = cli("train", survey, "--epochs 2 --checkpoint-every 1").out
    assert (
        "Checkpoints: every epoch in survey.run\n"
        "To resume after an interruption: plainnet train --resume survey.run\n"
    ) in out
    assert "To resume:" not in out
    out = cli("train", survey, "--epochs 2 --checkpoint-every 0.5").out
    assert "Checkpoints: every 0.5 epochs in survey.run" in out
    assert "heckpoint" not in cli("train", survey, "--epochs 2").out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--resume nowhere.run", "there is no training to resume in 'nowhere.run': it has ended"),
        ("--resume", "requires an argument"),
        ("--resume survey.csv", "'survey.csv' is a file: to resume a training, give the folder of"),
        ("--checkpoint-every 0", "every must be a number in (0, inf), got 0.0"),
        ("--checkpoint-every often", 'unable to convert "often" into float'),
    ],
)
def test_invalid_requests_raise(cli: Cli, survey: Path, arguments: str, expected: str) -> None:
    given = () if arguments.startswith("--resume") else ("survey.csv",)
    one_sentence(cli("train", *given, arguments), expected)


@pytest.mark.parametrize(
    "arguments", ["survey.csv", "--epochs 100", "--checkpoint-every 0",
              "--out a", "--repeat 2", "--detail", "--seed 0",
              "--checkpoint-every 2", "--config a.toml", "--report a.html"]
)  # fmt: skip
def test_resume_accepts_no_other_options(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path, arguments: str
) -> None:
    (tmp_path / "a.toml").write_text("epochs = 5\n")
    one_sentence(
        cli("train", arguments, "--resume survey.run"),
        "--resume uses the data and the options that the training began with: leave out",
    )


def test_other_data_is_refused(
    cli: Cli, survey: Path, uninterrupted: bytes, press: Callable[..., None], tmp_path: Path
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--checkpoint-every 1")
    text = survey.read_text()
    survey.write_text(text.replace("Yes", "No", 1))
    one_sentence(cli("train", "--resume survey.run"), "was begun with other data: it can only be")
    survey.unlink()
    one_sentence(
        cli("train", "--resume survey.run"), "survey.csv', is not there any more: put it back"
    )
    survey.write_text(text)
    assert cli("train", "--resume survey.run").code == 0
    assert (tmp_path / "survey.safetensors").read_bytes() == uninterrupted


def test_unfinished_run_is_not_overwritten(
    cli: Cli, survey: Path, press: Callable[..., None]
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--checkpoint-every 1")
    one_sentence(
        cli("train", survey, ARGUMENTS, "--checkpoint-every 1"),
        "'survey.run' holds a training that has not ended: resume it with plainnet train "
        "--resume survey.run, or remove the folder",
    )


def test_truncated_checkpoint_is_reported(
    cli: Cli, survey: Path, uninterrupted: bytes, press: Callable[..., None], tmp_path: Path
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--checkpoint-every 1")
    newest = max((tmp_path / "survey.run").glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:-100])
    outcome = cli("train", "--resume survey.run")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Note: 'survey.run/checkpoint-0000000018.safetensors' is not a complete" in outcome.out
    assert (tmp_path / "survey.safetensors").read_bytes() == uninterrupted


def full(monkeypatch: pytest.MonkeyPatch, since: int) -> None:
    """Simulate a full disk from a given write on."""
    count, original = [0], os.fsync

    def fsync(descriptor: int) -> None:
        count[0] += 1
        if count[0] >= since:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)


def test_full_disk_loses_nothing(
    cli: Cli, survey: Path, uninterrupted: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    full(monkeypatch, since=7)
    outcome = cli("train", survey, ARGUMENTS, "--checkpoint-every 1")
    one_sentence(outcome, "survey.safetensors': No space left on device")
    assert outcome.out.count("could not be written (No space left on device); the last is ") == 6
    assert outcome.out.endswith("To resume: plainnet train --resume survey.run\n")
    assert not (tmp_path / "survey.safetensors").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    outcome = cli("train", "--resume survey.run")
    assert "Resuming at epoch 6\n" in outcome.out
    assert (tmp_path / "survey.safetensors").read_bytes() == uninterrupted


def test_full_disk_at_ctrl_c_keeps_the_model(
    cli: Cli,
    survey: Path,
    press: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    original = os.fsync
    counts = [0]

    def fsync(descriptor: int) -> None:
        counts[0] += 1
        if counts[0] == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    press(3)
    outcome = cli("train", survey, ARGUMENTS)
    assert outcome.code == 0
    assert "(No space left on device); the last is none" in outcome.out
    assert "To resume" not in outcome.out
    assert len(Model.load(tmp_path / "survey.safetensors").record["history"]["loss"]) == 3


def test_read_only_folder(
    cli: Cli, survey: Path, press: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--checkpoint-every 1")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "survey.run")
    one_sentence(
        cli("train", "--resume survey.run"), "the folder 'survey.run' cannot be written to"
    )


def test_failed_run_leaves_nothing_to_resume(cli: Cli, survey: Path, tmp_path: Path) -> None:
    arguments = "--optimizer sgd --lr 1e30 --epochs 9 --checkpoint-every 1"
    one_sentence(cli("train", survey, arguments), "the loss became nan in epoch")
    assert not (tmp_path / "survey.run").exists()


@pytest.mark.parametrize("doctor_watch", [None, 3, [1], [[1.0]], [["a", "b"]], [[1e308, None]]])
def test_forged_gradients_raise(
    cli: Cli, survey: Path, press: Callable[..., None], tmp_path: Path, doctor_watch: Any
) -> None:
    kill(cli, press, 3, survey, "--epochs 4", "--checkpoint-every 1")
    for file in (tmp_path / "survey.run").glob("checkpoint-*"):
        arrays, header = files.read_model(file, "checkpoint")
        header["attached"]["doctor_watch"] = doctor_watch
        files.write_model(file, arrays, header, "checkpoint")
    one_sentence(cli("train", "--resume", "survey.run"), "' of the checkpoint should be a")


def test_forged_checkpoint_falls_back_with_a_message(
    cli: Cli, survey: Path, uninterrupted: bytes, press: Callable[..., None], tmp_path: Path
) -> None:
    kill(cli, press, 4, survey, ARGUMENTS, "--checkpoint-every 1")
    newest = max((tmp_path / "survey.run").glob("checkpoint-*"))
    arrays, header = files.read_model(newest, "checkpoint")
    header["attached"]["config"]["hidden"] = "16"
    files.write_model(newest, arrays, header, "checkpoint")
    outcome = cli("train", "--resume survey.run")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"{newest.name}' is not a checkpoint that can be used: " in outcome.out
    assert (tmp_path / "survey.safetensors").read_bytes() == uninterrupted


def test_run_started_in_python(
    cli: Cli, survey: Path, tmp_path: Path, press: Callable[..., None]
) -> None:
    from plainnet.config import TrainConfig
    from plainnet.storage.checkpoints import Checkpoints
    from plainnet.training import train

    with pytest.raises(KilledError):
        train(
            survey,
            TrainConfig(),
            callbacks=[lambda epoch: killed()],
            checkpoints=Checkpoints("a.run", 1),
        )
    one_sentence(
        cli("train", "--resume a.run"),
        "the training in 'a.run' was begun in Python, where the model is saved: resume it with",
    )


def test_checkpoint_options_in_the_config_file(cli: Cli, survey: Path) -> None:
    Path("run.toml").write_text("checkpoint_every = 2\nepochs = 3\n")
    assert "every 2 epochs in survey.run" in cli("train", survey, "--config run.toml").out


@pytest.mark.parametrize(
    ("out", "folder"),
    [
        ("a.safetensors", "a.run"),
        ("b/a.safetensors", "b/a.run"),
        ("a", "a.run"),
        ("a.v2", "a.v2.run"),
    ],
)
def test_checkpoint_folder_is_named_after_the_model(out: str, folder: str) -> None:
    assert checkpoint_folder(Path(out)) == Path(folder)
    assert resumed_model(Path(folder)) == Path(f"{out.removesuffix('.safetensors')}.safetensors")
