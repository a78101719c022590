"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time, so that a red test is red again; and no clock on a busy machine.
settings.register_profile("plainnet", derandomize=True, deadline=None)
settings.load_profile("plainnet")

# The runtime of ONNX files reads it when it is imported; no test tells anybody anything.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# A shell that runs the tests in the background has Ctrl-C ignored, and the tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data_or_none() -> Path | None:
    """The folder of real data that lies beside the checkout and is never committed, if it does."""
    return SHARED_DATA if SHARED_DATA.is_dir() else None


@pytest.fixture(scope="session")
def shared_data(shared_data_or_none: Path | None) -> Path:
    """The folder of real data; without it the test is skipped."""
    if shared_data_or_none is None:
        pytest.skip(f"the real data is not beside the checkout: no folder {SHARED_DATA}")
    return shared_data_or_none
