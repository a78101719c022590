"""Intervals against published tables, exact sums, and their nominal coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet import DataError
from plainnet.metrics.intervals import mcnemar, paired_means, paired_shares, student, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17, 857-872, 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_matches_published_values(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=6e-5)
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=6e-5)


@given(st.integers(1, 300), st.floats(0, 1))
def test_wilson_limits_invert_the_score_test(n, share):
    k = round(share * n)
    for end in wilson(k, n):
        assert 0 <= end <= 1
        if 0 < end < 1:
            z = (k / n - end) / math.sqrt(end * (1 - end) / n)
            assert abs(z) == pytest.approx(1.959964, rel=1e-5)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (3, 2), (-1, 2)])
def test_wilson_invalid_counts_raise(successes, n):
    with pytest.raises(DataError, match="a share needs successes from 0 to n"):
        wilson(successes, n)


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_an_exact_sum(b, c):
    """The share of the 2^n assignments that are at least as extreme."""
    n = b + c
    uneven = sum(
        math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(b - c)
    )  # both tails at once
    assert mcnemar(b, c) == pytest.approx(uneven / 2**n)


def test_mcnemar_of_many_rows_is_accurate():
    """2 P(Binomial(2000, 1/2) >= 1050) = 0.0268, from the exact tail sum."""
    exact = 2 * sum(math.comb(2000, k) for k in range(951)) / 2**2000
    assert mcnemar(1050, 950) == pytest.approx(exact, rel=0.01)


def rows_of(a, b, c, d):
    first = [1] * (a + b) + [0] * (c + d)
    second = [1] * a + [0] * b + [1] * c + [0] * d
    return first, second


def test_newcombe_method_10_matches_published_example():
    """The published example of 50 pairs, 36, 12, 2 and 0: 0.0569 to 0.3404."""
    found = paired_shares(*rows_of(36, 12, 2, 0))
    assert found[:3] == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-5)
    assert found.low > 0


def test_newcombe_method_10_by_hand():
    """14, 5, 0 and 22 of 41: phi is (14 x 22 - 0 - 41/2) / sqrt(19 x 22 x 14 x 27)."""
    (low1, high1), (low2, high2) = wilson(19, 41), wilson(14, 41)
    phi = 287.5 / math.sqrt(158_004)
    down, up = 19 / 41 - low1, high2 - 14 / 41
    low = 5 / 41 - math.sqrt(down**2 - 2 * phi * down * up + up**2)
    down, up = 14 / 41 - low2, high1 - 19 / 41
    high = 5 / 41 + math.sqrt(down**2 - 2 * phi * down * up + up**2)
    assert paired_shares(*rows_of(14, 5, 0, 22))[1:3] == pytest.approx((low, high))


@given(*[st.integers(0, 30)] * 4)
def test_swapped_comparison_negates_the_interval(a, b, c, d):
    if not a + b + c + d:
        return
    first, second = rows_of(a, b, c, d)
    one, other = paired_shares(first, second), paired_shares(second, first)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert -1 - 1e-9 <= one.low <= one.value <= one.high <= 1 + 1e-9


def test_paired_interval_has_nominal_coverage():
    """About 95 of 100 intervals contain the known difference."""
    rng = np.random.default_rng(0)
    for cells in ((0.8, 0.1, 0.05, 0.05), (0.9, 0.02, 0.02, 0.06), (0.3, 0.3, 0.1, 0.3)):
        truth, held = cells[1] - cells[2], 0
        for counts in rng.multinomial(80, cells, 1000):
            found = paired_shares(*rows_of(*counts))
            held += found.low - 1e-12 <= truth <= found.high + 1e-12
        assert 930 <= held <= 1000


@pytest.mark.parametrize(
    ("df", "quantile"),  # any table of Student's t
    [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_student_quantiles_match_tables(df, quantile):
    assert student(df) == pytest.approx(quantile, abs=6e-4)
    assert student(100_000) == pytest.approx(1.95996, abs=1e-4)


def test_paired_means_match_students_sleep_data():
    """Student's data (1908), with the output of R's t.test(paired = TRUE)."""
    one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    two = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = paired_means(one, two)
    assert found[:3] == pytest.approx((-1.58, -2.4598858, -0.7001142), abs=1e-6)
    assert found.p == pytest.approx(0.002833, abs=1e-6)


def test_too_few_rows_give_no_interval():
    found = paired_means([1.0], [0.0])
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert paired_means([1.0, 1.0], [1.0, 1.0]).p == 1
    with pytest.raises(DataError, match="on the same rows"):
        paired_shares([1, 0], [1])
