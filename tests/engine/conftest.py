"""A fixture for tests of compiled code."""

import pytest


@pytest.fixture(scope="session")
def compiled():
    """Let Numba store compiled code where it does by itself: compiling takes half a minute."""
    numba = pytest.importorskip("numba", reason="compiled steps need the extra fast")
    numba.config.CACHE_DIR = ""
