"""Metrics against tables computed by hand and against explicit definitions."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.errors import DataError
from plainnet.metrics import scores as metrics
from plainnet.metrics.scores import compute_metrics

# A test for a rare illness: 10 ill of 100; 8 of them found, and 9 healthy people alarmed.
ILL = np.repeat([1, 1, 0, 0], [8, 2, 9, 81])
FOUND = np.repeat([0.9, 0.1, 0.9, 0.1], [8, 2, 9, 81])

# Three classes, 12 rows; rows true, columns predicted, worked out on paper.
THREE = np.array([[3, 1, 0], [2, 2, 1], [0, 0, 3]])


def rows_of(confusion):
    """Return true and predicted classes with this confusion matrix."""
    cells = [(t, p) for t, p in np.ndindex(confusion.shape) for _ in range(confusion[t, p])]
    return np.array(cells).T


def one_hot(classes, k):
    return np.eye(k)[classes]


def test_binary_table_by_hand():
    got = compute_metrics("binary", ILL, FOUND)
    assert got["accuracy"] == pytest.approx(89 / 100)
    assert got["precision"] == pytest.approx(8 / 17)
    assert got["recall"] == pytest.approx(8 / 10)
    assert got["f1"] == pytest.approx(16 / 27)
    assert got["confusion_matrix"] == [[81, 9], [2, 8]]
    # Of the 900 pairs, 8 * 81 are in order, 8 * 9 + 2 * 81 tied, 2 * 9 the wrong way round.
    assert got["roc_auc"] == pytest.approx((648 + 234 / 2) / 900)


def test_multiclass_table_by_hand():
    true, predicted = rows_of(THREE)
    got = compute_metrics("multiclass", true, one_hot(predicted, 3))
    assert got["confusions"] == [[t, p, n] for (t, p), n in np.ndenumerate(THREE) if n]
    assert metrics.dense_confusion(got["confusions"], 3) == THREE.tolist()
    assert got["accuracy"] == pytest.approx(8 / 12)
    assert got["precision_per_class"] == pytest.approx([3 / 5, 2 / 3, 3 / 4])
    assert got["recall_per_class"] == pytest.approx([3 / 4, 2 / 5, 1])
    assert got["f1_per_class"] == pytest.approx([6 / 9, 4 / 8, 6 / 7])
    # Of one-hot scores, the AUC of a class is the mean of its recall and its specificity.
    assert got["roc_auc_per_class"] == pytest.approx(
        [(3 / 4 + 6 / 8) / 2, (2 / 5 + 6 / 7) / 2, (1 + 8 / 9) / 2]
    )
    for name in ("precision", "recall", "f1", "roc_auc"):
        assert got[name] == pytest.approx(np.mean(got[f"{name}_per_class"]))


def test_multilabel_table_by_hand():
    y = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    A = np.array([[0.9, 0.2], [0.8, 0.3], [0.7, 0.9], [0.1, 0.4]])
    got = compute_metrics("multilabel", y, A)
    assert got["accuracy"] == pytest.approx(6 / 8)
    assert got["exact_match"] == pytest.approx(2 / 4)
    assert got["confusion_matrix"] == [[[1, 1], [0, 2]], [[2, 0], [1, 1]]]
    assert got["precision_per_label"] == pytest.approx([2 / 3, 1])
    assert got["recall_per_label"] == pytest.approx([1, 1 / 2])
    assert got["f1_per_label"] == pytest.approx([4 / 5, 2 / 3])
    assert got["roc_auc_per_label"] == pytest.approx([1, 3 / 4])
    assert got["precision"] == pytest.approx(5 / 6)
    assert got["roc_auc"] == pytest.approx(7 / 8)


def test_regression_table_by_hand():
    got = compute_metrics("regression", [2.0, 4.0, 6.0, 8.0], [[3.0], [4.0], [6.0], [5.0]])
    assert got == pytest.approx({"rmse": np.sqrt(10 / 4), "mae": 1.0, "r2": 1 - 10 / 20})


def test_multi_target_regression_averages_over_targets():
    y = np.array([[0.0, 10.0], [2.0, 30.0]])
    A = np.array([[1.0, 10.0], [3.0, 20.0]])
    got = compute_metrics("regression", y, A)
    assert got["rmse_per_target"] == pytest.approx([1, np.sqrt(50)])
    assert got["mae_per_target"] == pytest.approx([1, 5])
    assert got["r2_per_target"] == pytest.approx([0, 0.5])
    assert got["rmse"] == pytest.approx((1 + np.sqrt(50)) / 2)
    assert (got["mae"], got["r2"]) == pytest.approx((3, 0.25))


NAMES = {
    "binary": "accuracy precision recall f1 roc_auc confusion_matrix",
    "multiclass": "accuracy precision recall f1 roc_auc precision_per_class recall_per_class "
    "f1_per_class roc_auc_per_class confusions",
    "multilabel": "accuracy exact_match precision recall f1 roc_auc precision_per_label "
    "recall_per_label f1_per_label roc_auc_per_label confusion_matrix",
    "regression": "rmse mae r2",
}


@pytest.mark.parametrize("task", metrics.TASKS)
def test_metric_names_order_and_json(task):
    y = {"multiclass": [0, 1], "multilabel": [[0, 1], [1, 1]]}.get(task, [0, 1])
    A = np.array([[0.5, 0.5], [0.1, 0.9]], np.float32)
    got = compute_metrics(task, y, A if task.startswith("multi") else A[:, :1])
    assert list(got) == NAMES[task].split()
    assert json.loads(json.dumps(got, allow_nan=False)) == got


# --- definitions written out in full ------------------------------------------------------------


def auc_of_all_pairs(y, score):
    pairs = list(product(score[y == 1], score[y == 0]))
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


labeled_scores = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=40
).filter(lambda rows: len({y for y, _ in rows}) == 2)


@given(labeled_scores)
def test_auc_is_the_share_of_ordered_pairs(rows):
    y, score = np.array(rows).T
    assert metrics.roc_auc(y, score / 6) == pytest.approx(auc_of_all_pairs(y, score))


@given(labeled_scores)
def test_auc_is_rank_invariant_and_symmetric(rows):
    y, score = np.array(rows).T
    auc = metrics.roc_auc(y, score)
    assert metrics.roc_auc(y, np.exp(score) - 100) == auc
    assert metrics.roc_auc(1 - y, score) == pytest.approx(1 - auc)
    assert metrics.roc_auc(y, -score) == pytest.approx(1 - auc)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_class_counts_match_loops(rows):
    true, predicted = np.array(rows).T
    C = metrics.confusion_matrix(true, predicted, 4)
    scores = metrics.precision_recall_f1(C.sum(axis=1), C.sum(axis=0), C.diagonal())
    for t, p in np.ndindex(4, 4):
        assert C[t, p] == rows.count((t, p))
    for c in range(4):
        hits = rows.count((c, c))
        called, are = [p for _, p in rows].count(c), [t for t, _ in rows].count(c)
        assert scores["precision"][c] == (hits / called if called else None)
        assert scores["recall"][c] == (hits / are if are else None)
        if hits:
            harmonic = 2 / (called / hits + are / hits)
            assert scores["f1"][c] == pytest.approx(harmonic)
        else:
            assert scores["f1"][c] == (0 if called or are else None)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=30), st.integers(0, 10**6))
def test_two_class_metrics_agree_with_binary(labels, seed):
    y = np.array(labels)
    A = np.random.default_rng(seed).integers(0, 11, len(y)) / 10
    two = compute_metrics("multiclass", y, np.column_stack([1 - A, A]))
    one = compute_metrics("binary", y, A)
    for name in ("precision", "recall", "f1", "roc_auc"):
        assert two[f"{name}_per_class"][1] == pytest.approx(one[name])
    assert two["accuracy"] == one["accuracy"]
    assert metrics.dense_confusion(two["confusions"], 2) == one["confusion_matrix"]


# --- undefined metrics ------------------------------------------------------------------------


def test_no_predicted_positives():
    got = compute_metrics("binary", [0, 0, 1], [0.2, 0.2, 0.2])
    assert got["precision"] is None
    assert (got["recall"], got["f1"], got["roc_auc"]) == (0, 0, 0.5)


def test_no_actual_positives():
    got = compute_metrics("binary", [0, 0], [0.2, 0.4])
    assert (got["precision"], got["recall"], got["f1"], got["roc_auc"]) == (None,) * 4
    assert got["accuracy"] == 1


def test_probability_one_half_is_negative():
    assert compute_metrics("binary", [0, 1], [0.5, 0.5])["confusion_matrix"] == [[1, 0], [1, 0]]


def test_macro_means_over_occurring_classes():
    """Class 1 is never predicted, class 2 is absent, class 3 is predicted but absent."""
    got = compute_metrics("multiclass", [0, 0, 1, 1], one_hot([0, 0, 0, 3], 4))
    assert got["precision_per_class"] == [pytest.approx(2 / 3), None, None, 0]
    assert got["recall_per_class"] == [1, 0, None, None]
    assert got["precision"] == pytest.approx(2 / 3 / 3)
    assert got["recall"] == pytest.approx(1 / 3)
    assert got["f1"] == pytest.approx(4 / 5 / 3)
    assert got["roc_auc_per_class"][2:] == [None, None]


def test_multilabel_without_labels_has_no_scores():
    got = compute_metrics("multilabel", [[0, 0]], [[0.1, 0.1]])
    assert (got["accuracy"], got["exact_match"]) == (1, 1)
    assert (got["precision"], got["recall"], got["f1"], got["roc_auc"]) == (None,) * 4


def test_r2_of_a_constant_is_undefined():
    assert compute_metrics("regression", [0.1, 0.1, 0.1], [0.1, 0.1, 0.2])["r2"] is None
    assert compute_metrics("regression", [[0.1, 0.0], [0.1, 1.0]], np.zeros((2, 2)))["r2"] == -1


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_overflowing_squares_keep_metrics_correct(size):
    y, A = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])
    got, usual = (
        compute_metrics("regression", y * size, A * size),
        compute_metrics("regression", y, A),
    )
    assert got["rmse"] == pytest.approx(usual["rmse"] * size)
    assert got["mae"] == pytest.approx(usual["mae"] * size)
    assert got["r2"] == pytest.approx(usual["r2"])


def test_extreme_values_give_finite_json():
    got = compute_metrics("regression", [1.0, 2.0, 3.0], [1.0, 2.0, 1e200])
    assert got == {"rmse": pytest.approx(1e200 / np.sqrt(3)), "mae": 1e200 / 3, "r2": None}
    got = compute_metrics("regression", [1.0, 2.0, 1e200], [1.0, 2.0, 3.0])
    assert got["r2"] == pytest.approx(-0.5)
    json.dumps(got, allow_nan=False)


def test_rank_correlation_matches_spearman():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 50), rng.integers(0, 5, 50)
    expected = pd.Series(a).corr(pd.Series(b), method="spearman")
    assert metrics.rank_correlation(a, b) == pytest.approx(expected)
    assert metrics.rank_correlation(a, -a) == pytest.approx(-1)
    assert metrics.rank_correlation(a, np.ones(50)) == 0


# --- refused input ----------------------------------------------------------------------------

HALF = np.full((3, 1), 0.5)


@pytest.mark.parametrize(
    ("task", "y", "A", "message"),
    [
        (
            "ranking", [0], [0.5],
            "compute_metrics knows the tasks binary, multiclass, multilabel, regression, "
            "got 'ranking'",
        ),
        ("binary", [], np.zeros((0, 1)), "there are no rows to evaluate: give at least one"),
        (
            "binary", [0, 1], np.full((2, 2), 0.5),
            "a binary evaluation expects predictions (m, 1), got (2, 2)",
        ),
        (
            "multiclass", [0, 1], [0.5, 0.5],
            "a multiclass evaluation expects predictions (m, k), got (2,)",
        ),
        (
            "binary", [0, 1], HALF,
            "a binary evaluation of predictions (3, 1) expects true values (3,), got (2,)",
        ),
        (
            "multiclass", [[0], [1], [0]], np.full((3, 2), 0.5),
            "a multiclass evaluation of predictions (3, 2) expects true values (3,), got (3, 1)",
        ),
        (
            "multilabel", [0, 1, 1], np.full((3, 2), 0.5),
            "a multilabel evaluation of predictions (3, 2) expects true values (3, 2), got (3,)",
        ),
        (
            "binary", [0, 1, 0], [0.5, np.nan, 0.5],
            "the predictions to evaluate must be probabilities from 0 to 1, got nan in row 1",
        ),
        (
            "multilabel", [[0, 1]], [[0.5, 3.25]],
            "the predictions to evaluate must be probabilities from 0 to 1, got 3.25 in row 0",
        ),
        (
            "regression", [0.0, 1.0], [0.0, np.inf],
            "the predictions to evaluate must be numbers of at most 1e+300 in size, "
            "got inf in row 1",
        ),
        (
            "regression", [0.0, np.nan], [0.0, 1.0],
            "the true values must be numbers of at most 1e+300 in size, got nan in row 1",
        ),
        (
            "binary", [0, 1, 2], HALF,
            "the true values must be whole numbers from 0 to 1, got 2 in row 2",
        ),
        (
            "multiclass", [0, -1, 0], np.full((3, 2), 0.5),
            "the true values must be whole numbers from 0 to 1, got -1 in row 1",
        ),
        (
            "multilabel", [[0, 0.5]], [[0.5, 0.5]],
            "the true values must be whole numbers from 0 to 1, got 0.5 in row 0",
        ),
    ],
)  # fmt: skip
def test_invalid_input_raises_in_one_sentence(task, y, A, message):
    with pytest.raises(DataError) as caught:
        compute_metrics(task, y, A)
    assert str(caught.value) == message


@pytest.mark.parametrize("function", [metrics.accuracy, metrics.roc_auc, metrics.rmse, metrics.mae])
def test_column_and_row_raise_without_broadcasting(function):
    with pytest.raises(DataError) as caught:
        function(np.zeros((3, 1)), np.zeros(3))
    assert str(caught.value) == (
        "true and predicted values must have one shape, with at least one row, got (3, 1) and (3,)"
    )


@pytest.mark.parametrize(("task", "y"), [("binary", [0, 1, 1]), ("regression", [0.5, 3, 1])])
def test_single_output_may_be_flat_or_column(task, y):
    y, A = np.array(y), np.array([0.2, 0.7, 0.4])
    got = compute_metrics(task, y, A)
    assert got == compute_metrics(task, y[:, None], A) == compute_metrics(task, y, A[:, None])


def test_inputs_are_unchanged():
    y, A = np.array([0, 1, 1]), np.array([[0.2], [0.7], [0.4]], np.float32)
    compute_metrics("binary", y, A)
    assert y.tolist() == [0, 1, 1]
    assert A.dtype == np.float32
