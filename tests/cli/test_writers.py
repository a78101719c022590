"""Failed writes: every command ends in one sentence and loses nothing.

The disk is full by the system's own word: beyond a limit it refuses to make a file longer.
"""

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plainnet.cli import main
from plainnet.storage import atomic

Cli = Callable[..., Any]

# What is written, by the option that names it; {} is the file.
WRITERS = {
    "model": "train survey.csv --epochs 1 --out {}",
    "report of a training": "train survey.csv --epochs 1 --out m2 --report {}",
    "predictions": "predict trained.safetensors survey.csv --out {}",
    "report of an evaluation": "evaluate trained.safetensors survey.csv --report {}",
    "export": "export trained.safetensors --onnx {}",
    "export as Python": "export trained.safetensors --python {}",
    "export as a page": "export trained.safetensors --html {}",
    "report": "report trained.safetensors --out {}",
    "explanation": "explain trained.safetensors survey.csv --row 1 --html {}",
    "overview": "explain trained.safetensors survey.csv --repeats 1 --html {}",
}
writers = pytest.mark.parametrize("what", WRITERS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a model of it."""
    from plainnet.data.synthetic import introverts

    folder = tmp_path_factory.mktemp("made")
    introverts(60).to_csv(folder / "survey.csv", index=False)
    model = str(folder / "trained.safetensors")
    assert main(["train", str(folder / "survey.csv"), "--epochs", "1", "--out", model]) == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """An existing output file, and the inputs of the commands."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_bytes(b"as it was")
    return tmp_path / "out" / "old"


def words_of(what: str, place: Path) -> list[str]:
    return WRITERS[what].format(place).split()


def refused(outcome: Any, expected: str) -> None:
    assert outcome.code == 2
    assert re.fullmatch(r"(Note: [^\n]+\n)*Error: [^\n]+\n", outcome.err), outcome.err
    assert expected in outcome.err


@contextlib.contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Limit files to ``room`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@writers
def test_full_disk(cli: Cli, place: Path, what: str) -> None:
    with full_disk(1000):
        if what == "report of a training":  # whose model is written first
            refused(cli(*words_of(what, place)), "m2': File too large")
        else:
            refused(cli(*words_of(what, place)), f"{str(place)!r}: File too large")
    assert place.read_bytes() == b"as it was"
    assert [path.name for path in place.parent.iterdir()] == ["old"]
    assert not list(place.parents[1].glob(".*"))


@writers
def test_read_only_folder(
    cli: Cli, place: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is simulated, because root may write everywhere."""
    folder = place.parent
    ask = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and ask(path, mode))
    refused(cli(*words_of(what, place)), f"the folder {str(folder)!r} cannot be written to")
    assert place.read_bytes() == b"as it was"
    assert not (place.parents[1] / "m2").exists()  # refused before the training began


@writers
def test_folder_that_becomes_read_only(
    cli: Cli, place: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(file: Any, mode: str = "r", **more: Any) -> Any:
        if mode == "xb" and Path(file).parent == place.parent:
            raise PermissionError(13, "Permission denied", str(file))
        return open(file, mode, **more)

    monkeypatch.setattr(atomic, "open", opened, raising=False)
    refused(cli(*words_of(what, place)), f"{str(place)!r}: Permission denied")
    assert place.read_bytes() == b"as it was"
    if what == "report of a training":  # the model is there, and the report can be made of it
        assert cli("report", "m2", "--out", "again.html").code == 0


@writers
def test_write_protected_file(cli: Cli, place: Path, what: str) -> None:
    place.chmod(0o444)
    refused(cli(*words_of(what, place)), f"{str(place)!r}: write-protected: change its mode, or ")
    assert place.read_bytes() == b"as it was"
    assert not (place.parents[1] / "m2").exists()


@writers
def test_file_keeps_its_mode(cli: Cli, place: Path, what: str) -> None:
    place.chmod(0o600)
    assert cli(*words_of(what, place)).code == 0
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.read_bytes() != b"as it was"


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], None]:
    """Create a link of another user: as root a real one, else by changing the user id."""
    user = os.geteuid()

    def link(path: Path, target: Path) -> None:
        path.symlink_to(target)
        if user == 0:
            os.chown(path, 65534, 65534, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: user + 1)

    return link


@writers
def test_link_of_another_user(
    cli: Cli, place: Path, what: str, theirs: Callable[[Path, Path], None]
) -> None:
    link = place.parent / "link"
    theirs(link, place)
    refused(cli(*words_of(what, link)), f"{str(link)!r} is a link of another user and is not ")
    assert place.read_bytes() == b"as it was"
    assert not (place.parents[1] / "m2").exists()


@pytest.mark.parametrize(
    "name",
    [
        "plainnet-introverts.safetensors",
        "plainnet-introverts-held-out.csv",
        "plainnet-pandas.safetensors",
        "plainnet-pandas-held-out",
    ],
)
def test_demo_follows_no_links_of_other_users(
    cli: Cli, place: Path, name: str, theirs: Callable[[Path, Path], None]
) -> None:
    shared = place.parents[1] / "shared"
    shared.mkdir()
    link = shared / name
    theirs(link, place.parent if name == "plainnet-pandas-held-out" else place)
    outcome = cli("demo", name.split("-")[1].split(".")[0], "--out-dir", shared)
    refused(outcome, f"{str(link)!r} is a link of another user and is not followed: give another")
    assert outcome.out == ""  # nothing was trained
    assert os.listdir(place.parent) == ["old"]
    assert place.read_bytes() == b"as it was"


@writers
def test_missing_folder(cli: Cli, place: Path, what: str) -> None:
    nowhere = place.parent / "nowhere" / "x"
    refused(cli(*words_of(what, nowhere)), f"there is no folder {str(nowhere.parent)!r}")
    assert not (place.parents[1] / "m2").exists()


@pytest.mark.parametrize("number", [0, 2, "1", None])
@pytest.mark.parametrize(
    "what",
    ["predictions", "report of an evaluation", "report", "explanation", "overview", "export"],
)
def test_model_of_another_version(cli: Cli, place: Path, what: str, number: object) -> None:
    import json

    model = place.parents[1] / "trained.safetensors"
    content = model.read_bytes()
    n = int.from_bytes(content[:8], "little")
    outer = json.loads(content[8 : 8 + n])
    header = json.loads(outer["__metadata__"]["plainnet"])
    header.update(format=number, version="9.9.9")
    outer["__metadata__"]["plainnet"] = json.dumps(header)
    head = json.dumps(outer).encode()
    model.write_bytes(len(head).to_bytes(8, "little") + head + content[8 + n :])
    refused(
        cli(*words_of(what, place)),
        f"has format {number!r}, and plainnet 0.1.0 reads format 1: use the version that wrote it "
        "('9.9.9')",
    )
    assert place.read_bytes() == b"as it was"


@pytest.mark.parametrize(
    "command",
    [
        "explain trained.safetensors survey.csv --row 1 --json",
        "summary trained.safetensors",
    ],
)
def test_full_output_device(place: Path, command: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "plainnet", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=place.parents[1],
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # as a person has it
        )
    assert re.fullmatch(
        r"(Note: [^\n]+\n)*Error: the output: No space left on device\n", done.stderr
    )
    assert done.returncode == 2
