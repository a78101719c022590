"""Settings and fixtures for all tests."""

import io
import os
import signal
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import settings

# Deterministic examples, so that failures are reproducible; no deadline on a busy machine.
settings.register_profile("plainnet", derandomize=True, deadline=None)
settings.load_profile("plainnet")

# onnxruntime reads this at import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# No folder, so that engine="auto" computes with NumPy whatever was compiled on this machine.
os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"plainnet-{os.getpid()}")

# A background shell ignores SIGINT, and some tests raise it.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data_or_none() -> Path | None:
    """Return the folder of real data next to the checkout, which is never committed, or None."""
    return SHARED_DATA if SHARED_DATA.is_dir() else None


@pytest.fixture(scope="session")
def shared_data(shared_data_or_none: Path | None) -> Path:
    """Return the folder of real data, or skip the test."""
    if shared_data_or_none is None:
        pytest.skip(f"the real data is missing: no folder {SHARED_DATA}")
    return shared_data_or_none


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function: a folder with the files and the output of a demo, run once for all."""
    from filelock import FileLock

    from plainnet.cli import main

    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str) -> Path:
        path = base / f"demo-{name}"
        with FileLock(f"{path}.lock"):
            if not (path / "output.txt").exists():
                path.mkdir(exist_ok=True)
                with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
                    assert main(["demo", name, "--out-dir", str(path)]) == 0
                assert err.getvalue() == ""
                (path / "output.txt").write_text(out.getvalue(), encoding="utf-8")
        return path

    return folder


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Numba store compiled code where it does by itself: compiling takes a minute.

    One process of pytest compiles while the others wait.
    """
    numba = pytest.importorskip("numba", reason="compiled steps need the extra fast")
    fcntl = pytest.importorskip("fcntl", reason="Windows locks files in another way")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    from plainnet.engine import choice, convolution_kernels, interpreter
    from plainnet.engine.__main__ import main

    for kernel in (interpreter.interpret, *vars(convolution_kernels).values()):
        if hasattr(kernel, "enable_caching"):  # a test may have imported it with another folder
            kernel.enable_caching()
    folder = ROOT / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    with (folder / "compiling").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(map(choice.is_compiled, ("float32", "float64"))):
            main()
