"""Atomic writes in shared folders: links, modes, and leftovers of killed writers."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plainnet.storage import atomic
from plainnet.storage.atomic import make_folder, resolve, write_bytes

ALICE, BOB = 65533, 65534  # no account is needed to run as a user
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as another user")


def run_as(user: int, code: str, **names: object) -> str:
    """Run code as a user in a new process; return its output."""
    start = (
        "import os, sys\nfrom plainnet.storage.atomic import make_folder, resolve, write_bytes\n"
    )
    start += f"os.setgroups([]); os.setgid({user}); os.setuid({user})\n"
    start += "".join(f"{name} = {str(value)!r}\n" for name, value in names.items())
    body = "".join(f"    {line}\n" for line in code.splitlines())
    code = f"{start}try:\n{body}except OSError as error:\n    print(error.strerror)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def shared() -> Iterator[Path]:
    """Create a folder like /tmp in a folder that every user may enter."""
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o711)
        folder = Path(outer, "shared")
        folder.mkdir()
        folder.chmod(0o1777)
        yield folder


@pytest.fixture
def home(shared: Path) -> Path:
    """Create a folder of Alice with a file in it."""
    folder = shared.with_name("home")
    folder.mkdir()
    (folder / "diary").write_text("dear diary")
    for path in (folder, folder / "diary"):
        os.chown(path, ALICE, ALICE)
    return folder


# --- links


@root
@pytest.mark.parametrize("target", ["out", "folder/diary", "folder/new"])
def test_links_of_other_users_are_not_followed(shared: Path, home: Path, target: str) -> None:
    link = shared / target.split("/")[0]
    link.symlink_to(home / "diary" if target == "out" else home)
    os.chown(link, BOB, BOB, follow_symlinks=False)
    message = run_as(ALICE, "write_bytes(path, b'x')", path=shared / target)
    assert message == f"'{link}' is a link of another user and is not followed: give another name"
    assert (home / "diary").read_text() == "dear diary"
    assert os.listdir(home) == ["diary"]
    if link.name == "folder":
        message = run_as(ALICE, "make_folder(path)", path=link / "inner")
        assert message.startswith(f"'{link}' is a link of another user")
        assert os.listdir(home) == ["diary"]


@root
@pytest.mark.parametrize("owner", [0, ALICE])
def test_own_links_and_those_of_root_are_followed(shared: Path, home: Path, owner: int) -> None:
    (shared / "out").symlink_to("../home/diary")  # relative, as from the link's own folder
    os.chown(shared / "out", owner, owner, follow_symlinks=False)
    assert run_as(ALICE, "write_bytes(path, b'x')", path=shared / "out") == ""
    assert (home / "diary").read_bytes() == b"x"
    assert (shared / "out").is_symlink()


@root
def test_root_follows_no_links_of_users(shared: Path, home: Path) -> None:
    (shared / "out").symlink_to(home / "diary")
    os.chown(shared / "out", BOB, BOB, follow_symlinks=False)
    with pytest.raises(PermissionError, match="is a link of another user and is not followed"):
        write_bytes(shared / "out", b"x")
    assert (home / "diary").read_text() == "dear diary"


@root
def test_files_of_other_users_in_a_shared_folder_are_not_replaced(shared: Path) -> None:
    (shared / "out").write_text("bob's")
    os.chown(shared / "out", BOB, BOB)
    (shared / "out").chmod(0o666)  # or Bob could go on reading what root writes
    with pytest.raises(PermissionError, match="it belongs to another user: give another name"):
        write_bytes(shared / "out", b"x")
    assert run_as(ALICE, "write_bytes(path, b'x')", path=shared / "out").startswith("it belongs")
    assert (shared / "out").read_text() == "bob's"


def test_links_are_resolved_as_the_system_does(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "to-b").symlink_to("a/b")
    (tmp_path / "chain").symlink_to(tmp_path / "to-b" / ".." / "new")
    for path in ("x", "a/../x", "to-b/x", "to-b/../x", "chain", "chain/x", "nowhere/../x"):
        assert str(resolve(tmp_path / path)) == os.path.realpath(tmp_path / path)


def test_circular_links_raise(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as error:
        write_bytes(tmp_path / "a", b"x")
    assert error.value.filename == str(tmp_path / "a")


def test_make_folder_keeps_an_existing_folder(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a")
    assert (tmp_path / "a").is_dir()
    (tmp_path / "b").write_text("a file")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "b")


# --- modes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("old", [0o600, 0o640, 0o644, 0o664, 0o755])
def test_file_mode_is_kept(tmp_path: Path, old: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(old)
    write_bytes(tmp_path / "a", b"new")
    assert (mode(tmp_path / "a"), (tmp_path / "a").read_bytes()) == (old, b"new")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_new_file_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "a", b"new")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == 0o666 & ~umask


def test_temporary_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(descriptor: int, path: Path) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))

    monkeypatch.setattr(atomic, "_set_mode", look)
    write_bytes(tmp_path / "a", b"new")
    assert seen == [0o600]


@pytest.mark.parametrize("old", [0o444, 0o400, 0o555])
def test_write_protected_file_raises(tmp_path: Path, old: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(old)
    with pytest.raises(PermissionError) as error:
        write_bytes(tmp_path / "a", b"new")
    assert error.value.strerror == "write-protected: change its mode, or give another name"
    assert (mode(tmp_path / "a"), (tmp_path / "a").read_bytes()) == (old, b"old")
    assert os.listdir(tmp_path) == ["a"]


@root
def test_file_without_write_permission_raises(shared: Path) -> None:
    folder = shared.with_name("team")
    folder.mkdir()
    folder.chmod(0o777)  # where anybody could rename another file over it
    (folder / "a").write_bytes(b"root's")
    message = run_as(ALICE, "write_bytes(path, b'x')", path=folder / "a")
    assert message == "write-protected: change its mode, or give another name"
    assert (folder / "a").read_bytes() == b"root's"


@root
def test_file_replaced_by_root_keeps_its_owner(home: Path) -> None:
    (home / "diary").chmod(0o600)
    write_bytes(home / "diary", b"new")
    found = (home / "diary").stat()
    assert (found.st_uid, found.st_gid, mode(home / "diary")) == (ALICE, ALICE, 0o600)


@root
def test_file_group_is_kept(shared: Path) -> None:
    folder = shared.with_name("team")
    folder.mkdir()
    (folder / "a").write_bytes(b"old")
    os.chown(folder, ALICE, ALICE)
    os.chown(folder / "a", ALICE, BOB)  # a group that Alice has left
    (folder / "a").chmod(0o660)
    assert run_as(ALICE, "write_bytes(path, b'x')", path=folder / "a") == ""
    assert ((folder / "a").stat().st_gid, mode(folder / "a")) == (ALICE, 0o600)


# --- writers that were killed, and those that still write


@pytest.fixture
def writer(tmp_path: Path):
    """A process that has written a temporary file and waits before replacing the target."""
    code = (
        "import os, sys\nfrom plainnet.storage.atomic import write_bytes\n"
        "os.fsync = lambda descriptor: (print('written', flush=True), sys.stdin.read())\n"
        f"write_bytes({str(tmp_path / 'a')!r}, b'theirs')\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        yield process
        process.kill()


def temporary(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


def test_next_write_removes_leftovers_of_killed_writers(tmp_path: Path, writer) -> None:
    others = {".a.0123abcd.tmp.txt", ".b.0123abcd.tmp", ".a.0123ABCD.tmp", "a.0123abcd.tmp"}
    for name in others:
        (tmp_path / name).write_bytes(b"not a leftover of a")
    writer.kill()
    writer.wait()
    assert len(set(os.listdir(tmp_path)) - others) == 1
    write_bytes(tmp_path / "a", b"ours")
    assert set(os.listdir(tmp_path)) == {"a", *others}
    assert (tmp_path / "a").read_bytes() == b"ours"


def test_temporary_files_of_running_writers_are_kept(tmp_path: Path, writer) -> None:
    before = temporary(tmp_path)
    assert len(before) == 1
    write_bytes(tmp_path / "a", b"ours")
    assert temporary(tmp_path) == before
    writer.communicate(timeout=30)
    assert writer.returncode == 0
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert temporary(tmp_path) == []


def test_failed_write_removes_nothing(
    tmp_path: Path, writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.kill()
    writer.wait()
    left = temporary(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "a", b"ours")
    assert temporary(tmp_path) == left


def test_temporary_file_removed_before_locking_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = atomic._lock, []

    def late(file, wait):
        if wait and not taken:
            taken.append(file.name)
            os.unlink(file.name)
        return lock(file, wait)

    monkeypatch.setattr(atomic, "_lock", late)
    write_bytes(tmp_path / "a", b"whole")
    assert len(taken) == 1
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_links_and_pipes_are_not_leftovers(tmp_path: Path) -> None:
    (tmp_path / ".a.00000000.tmp").symlink_to(tmp_path / "diary")
    os.mkfifo(tmp_path / ".a.11111111.tmp")
    (tmp_path / "diary").write_bytes(b"dear diary")
    write_bytes(tmp_path / "a", b"ours")
    assert (tmp_path / "diary").read_bytes() == b"dear diary"
    assert len(temporary(tmp_path)) == 2
