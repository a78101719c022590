"""The constant prediction: no other constant is better; it is scored on rows it has not seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.evaluate.baselines import baseline, constant_prediction, majority


@pytest.mark.parametrize(
    ("y", "expected"), [([0, 1, 1], 1), ([2, 2, 0], 2), ([1, 0, 0, 1], 0), ([3.0], 3)]
)
def test_majority_and_the_first_of_equals(y, expected):
    assert majority(y, n_classes=4) == expected


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_the_constant_predicts_the_majority(labels):
    assert constant_prediction("multiclass", labels, 4).argmax() == majority(labels, 4)
    binary = np.array(labels) > 1
    assert (constant_prediction("binary", binary, 1)[0] > 0.5) == majority(binary, 2)


def test_no_other_constant_has_a_lower_loss():
    y = np.array([0, 1, 1, 1, 0])
    p = constant_prediction("binary", y, 1)[0]
    grid = np.linspace(0.01, 0.99, 99)
    losses = -(y.mean() * np.log(grid) + (1 - y.mean()) * np.log(1 - grid))
    assert grid[losses.argmin()] == pytest.approx(p)
    targets = np.array([[1.0, 10.0], [4.0, 10.0], [1.0, 40.0]])
    assert constant_prediction("regression", targets, 2) == pytest.approx([2, 20])
    assert constant_prediction("multilabel", [[1, 0], [1, 1]], 2) == pytest.approx([1, 0.5])


def test_baselines_on_other_rows():
    """Learned: class 0 of two; numbers with mean 2. Scored on rows where that is mostly wrong."""
    got = baseline("binary", [0, 0, 1], [1, 1, 1, 0], n_out=1)
    assert (got["accuracy"], got["recall"], got["roc_auc"]) == (0.25, 0, 0.5)
    got = baseline("multiclass", [0, 2, 2], [2, 2, 1, 0], n_out=3)
    assert got["accuracy"] == 0.5
    assert got["confusions"] == [[0, 2, 1], [1, 2, 1], [2, 2, 2]]
    assert baseline("multilabel", [[1, 0]], [[1, 1], [0, 0]], n_out=2)["accuracy"] == 0.5
    got = baseline("regression", [1.0, 3.0], [2.0, 6.0], n_out=1)
    assert got == pytest.approx({"rmse": np.sqrt(8), "mae": 2, "r2": -1})
