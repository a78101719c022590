"""Locks exclude other processes and end with the process that holds them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plainnet import PlainnetError
from plainnet.storage import locks
from plainnet.storage.locks import lock_folder

HOLD = """
import sys, time
from pathlib import Path
from plainnet.storage.locks import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock of a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_lock_excludes_other_processes_until_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        start = time.perf_counter()
        with pytest.raises(PlainnetError) as error:
            lock_folder(tmp_path)
        assert time.perf_counter() - start < 10
        assert str(error.value) == (
            f"another process is training in '{tmp_path}': wait until it has ended, or give this "
            "training another folder"
        )
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    assert (tmp_path / ".lock").exists()
    assert lock_folder(tmp_path) is not None


def test_lock_is_shared_within_a_process(tmp_path: Path) -> None:
    first, second = lock_folder(tmp_path), lock_folder(tmp_path / ".")
    assert first is second
    assert first is not None
    del first
    code = HOLD.replace("lock = lock_folder", "lock = print('asked') or lock_folder")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert "another process is training in" in done.stderr
    assert second is not None
    second.remove()
    assert not (tmp_path / ".lock").exists()
    with holder(tmp_path) as process:
        process.kill()


def test_lock_with_a_removed_file_is_taken_again(tmp_path: Path) -> None:
    first = lock_folder(tmp_path)
    (tmp_path / ".lock").unlink()
    second = lock_folder(tmp_path)
    assert first is not second
    assert (tmp_path / ".lock").exists()


def test_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise OSError(38, "Function not implemented")

    assert lock_folder(tmp_path / "nowhere") is None
    monkeypatch.setattr(locks, "_lock", unknown)
    assert lock_folder(tmp_path) is None
    monkeypatch.undo()
    if os.getuid() != 0:  # the administrator may write everywhere
        tmp_path.chmod(0o500)
        assert lock_folder(tmp_path) is None


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "outside")
    assert lock_folder(tmp_path / "run") is None
    assert not (tmp_path / "outside").exists()
