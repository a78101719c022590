"""Constant baseline: no other constant is better; scored on unseen rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.evaluate.baselines.baseline import mean_target
from plainnet.metrics.scores import compute_metrics


def majority(y, n_classes):
    return int(np.bincount(np.asarray(y, np.int64), minlength=n_classes).argmax())


def baseline(task, y_train, y_true, n_out):
    return compute_metrics(
        task, y_true, np.tile(mean_target(task, y_train, n_out), (len(y_true), 1))
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_constant_predicts_the_majority(labels):
    assert mean_target("multiclass", labels, 4).argmax() == majority(labels, 4)
    binary = np.array(labels) > 1
    assert (mean_target("binary", binary, 1)[0] > 0.5) == majority(binary, 2)


def test_no_other_constant_has_a_lower_loss():
    y = np.array([0, 1, 1, 1, 0])
    p = mean_target("binary", y, 1)[0]
    grid = np.linspace(0.01, 0.99, 99)
    losses = -(y.mean() * np.log(grid) + (1 - y.mean()) * np.log(1 - grid))
    assert grid[losses.argmin()] == pytest.approx(p)
    targets = np.array([[1.0, 10.0], [4.0, 10.0], [1.0, 40.0]])
    assert mean_target("regression", targets, 2) == pytest.approx([2, 20])
    assert mean_target("multilabel", [[1, 0], [1, 1]], 2) == pytest.approx([1, 0.5])


def test_baselines_on_other_rows():
    """Trained on class 0 and on numbers with mean 2; scored on rows where this is mostly wrong."""
    got = baseline("binary", [0, 0, 1], [1, 1, 1, 0], n_out=1)
    assert (got["accuracy"], got["recall"], got["roc_auc"]) == (0.25, 0, 0.5)
    got = baseline("multiclass", [0, 2, 2], [2, 2, 1, 0], n_out=3)
    assert got["accuracy"] == 0.5
    assert got["confusions"] == [[0, 2, 1], [1, 2, 1], [2, 2, 2]]
    assert baseline("multilabel", [[1, 0]], [[1, 1], [0, 0]], n_out=2)["accuracy"] == 0.5
    got = baseline("regression", [1.0, 3.0], [2.0, 6.0], n_out=1)
    assert got == pytest.approx({"rmse": np.sqrt(8), "mae": 2, "r2": -1})
