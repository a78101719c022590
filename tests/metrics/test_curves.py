"""Curves against explicit thresholds, and values computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet import DataError
from plainnet.metrics.curves import (
    Thresholds,
    brier,
    calibration_error,
    reliability,
    thinned,
)
from plainnet.metrics.scores import roc_auc

labeled = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=30).filter(
    lambda rows: len({y for y, _ in rows}) == 2
)


def at(rows, threshold):
    """Count true and false positives and negatives one by one."""
    pairs = [(y, s >= threshold) for y, s in rows]
    return [sum(pair == kind for pair in pairs) for kind in
            ((True, True), (False, True), (True, False), (False, False))]  # fmt: skip


@given(labeled)
def test_curves_contain_every_threshold(rows):
    y, s = zip(*rows, strict=True)
    found = Thresholds.of(y, s)
    (false, true), thresholds = found.roc_curve(), found.threshold
    assert sorted(set(s), reverse=True) == thresholds[1:].tolist()
    for fpr, tpr, t in zip(false, true, thresholds, strict=True):
        tp, fp, fn, tn = at(rows, t)
        assert (fpr, tpr) == pytest.approx((fp / (fp + tn), tp / (tp + fn)))
    area = np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2)
    assert area == pytest.approx(roc_auc(y, s))  # the ranks know nothing of curves
    for r, p, t in zip(*found.pr_curve(), thresholds[1:], strict=True):
        tp, fp, fn, _ = at(rows, t)
        assert (p, r) == pytest.approx((tp / (tp + fp), tp / (tp + fn)))


@given(labeled, st.integers(0, 5), st.integers(0, 5))
def test_best_threshold_has_minimal_cost(rows, cost_fp, cost_fn):
    y, s = zip(*rows, strict=True)
    every = [at(rows, t) for t in [*range(7), 99]]
    threshold, f1 = Thresholds.of(y, s).best_f1()
    tp, fp, fn, _ = at(rows, threshold)
    assert f1 == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert f1 == pytest.approx(max(2 * tp / (2 * tp + fp + fn) for tp, fp, fn, _ in every))
    _, cost = Thresholds.of(y, s).cheapest(cost_fp, cost_fn)
    assert cost * len(rows) == pytest.approx(
        min(cost_fp * fp + cost_fn * fn for _, fp, fn, _ in every)
    )


@pytest.mark.parametrize(
    ("scores", "threshold"), [([0, 0, 0.0], 0), ([0.3, 0.3, 0.2], 0.1), ([1, 1, 1], 0.5)]
)
def test_threshold_of_probabilities_is_not_negative(scores, threshold):
    """Where calling every row positive is best, the threshold lies from 0 to the lowest score."""
    assert Thresholds.of([1, 0, 1], scores).best_f1()[0] == threshold


def test_average_precision_by_hand():
    """Ranked + - + - +: precision 1, 2/3, 3/5 at the positives, each with a third of the recall."""
    found = Thresholds.of([1, 0, 1, 0, 1], [5, 4, 3, 2, 1]).average_precision()
    assert found == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_brier_by_hand():
    """Rain predicted with 0.7, 0.3 and 0.9, observed on the first and third day."""
    assert brier([1, 0, 1], [0.7, 0.3, 0.9]) == pytest.approx((0.09 + 0.09 + 0.01) / 3)
    P = [[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]
    assert brier([0, 2], P) == pytest.approx((0.25 + 0.09 + 0.04 + 0.01 + 0.01 + 0.04) / 2)


def test_calibration_by_hand():
    """Ten rows at 0.05 with no positive and ten at 0.7 with eight: gaps of 0.05 and -0.1."""
    came = [0] * 10 + [1] * 8 + [0] * 2
    table = reliability(came, [0.05] * 10 + [0.7] * 10)
    assert [line[:3] for line in table] == [(0.0, 0.1, 10), (0.7, 0.8, 10)]
    assert [line.observed for line in table] == [0, 0.8]
    assert calibration_error(table) == pytest.approx((0.05 + 0.1) / 2)
    assert [line.rows for line in reliability([1, 0], [1.0, 0.0])] == [1, 1]


def test_true_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    assert calibration_error(reliability(rng.random(200_000) < p, p)) < 0.005


def test_thinned_curve_keeps_its_ends():
    found = thinned(np.arange(1000.0), np.arange(1000.0) * 2, points=10)
    assert len(found) == 10
    assert (found[0], found[-1]) == ((0, 0), (999, 1998))


def test_step_curves_keep_only_corners():
    y, score = np.zeros(500), np.linspace(1, 0, 500)
    y[[100, 300]] = 1
    false, true = Thresholds.of(y, score).roc_curve()
    x, up = zip(*thinned(false, true), strict=True)
    assert up == (0, 0, 0.5, 0.5, 1, 1)
    assert np.trapezoid(up, x) == pytest.approx(np.trapezoid(true, false), abs=1e-5)


@pytest.mark.parametrize(
    ("y", "s", "message"),
    [
        ([1, 1], [0.1, 0.2], "needs both positives and negatives"),
        ([0, 0], [0.1, 0.2], "needs both positives and negatives"),
        ([0, 1], [0.1], r"labels and scores must be \(m,\) each, got \(2,\) and \(1,\)"),
    ],
)
def test_undefined_curves_raise(y, s, message):
    with pytest.raises(DataError, match=message):
        Thresholds.of(y, s)


def test_negative_costs_raise():
    with pytest.raises(DataError, match="got -1 of a false positive and 2 of a false negative"):
        Thresholds.of([0, 1], [0.1, 0.2]).cheapest(-1, 2)
