"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time, so that a red test is red again; and no clock on a busy machine.
settings.register_profile("plainnet", derandomize=True, deadline=None)
settings.load_profile("plainnet")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that lies beside the checkout and is never committed."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data is not beside the checkout: no folder {folder}")
    return folder
