"""Number formatting: no share is rounded to 0 or 100 %."""

import pytest

from plainnet.formatting import percent, points, score
from plainnet.report.tables import interval


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.9994, "99.9 %"),
        (0.9996, "99.96 %"),
        (0.99996, "99.996 %"),
        (0.999999, "> 99.999 %"),
        (1 - 2**-53, "> 99.999 %"),
        (0.0004, "0.04 %"),
        (1e-30, "< 0.001 %"),
        (-0.25, "-25.0 %"),
        (None, "-"),
    ],
)
def test_share_is_never_rounded_to_0_or_100_percent(share, text):
    assert percent(share) == text


def test_all_code_formats_shares_alike():
    assert score("accuracy", 0.9996) == "99.96 %"
    assert interval([0.9991, 0.99996]) == "99.9 to 99.996 %"
    assert points(1.0) == "100.0"
