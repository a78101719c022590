"""Class labels stay as written, whatever their size."""

import numpy as np
import pandas as pd
import pytest

from plainnet import NetClassifier, PlainnetError

ONE, OTHER = 1234567890123456789, 1234567890123456801  # one number in float64
X = np.random.default_rng(0).normal(size=(12, 2))


def fitted(labels):
    return NetClassifier((2,), epochs=1).fit(X, labels)


@pytest.mark.parametrize(
    "labels",
    [
        [4012888888881881, 4012888888881882] * 6,
        [ONE, OTHER] * 6,
        np.array([ONE, OTHER] * 6),
        np.array([ONE, OTHER] * 6, dtype=object),
        np.array([2**63 + 1, 2**63 + 2] * 6, dtype=np.uint64),
        np.array([np.int64(ONE), np.uint64(OTHER), np.float64(3)] * 4, dtype=object),
        [ONE, OTHER, 1.0] * 4,
        np.array([ONE, OTHER, 1.0] * 4, dtype=object),
        [-1, 2**63, 2**63 + 1] * 4,
        [2**70, 2**70 + 1] * 6,
        [2**2000, 1.0] * 6,
        pd.Series([ONE, OTHER] * 6, dtype="Int64"),
        pd.Series([ONE, OTHER] * 6, dtype="category"),
    ],
    ids=lambda labels: f"{type(labels).__name__}-{labels[0]!r}"[:40],
)
def test_large_integer_labels_are_exact(labels):
    written = np.asarray(labels, dtype=object).tolist()
    net = fitted(labels)
    assert net.classes_.tolist() == sorted({*written})
    assert all(isinstance(label, int) for label in net.classes_.tolist())
    assert {*net.predict(X).tolist()} <= {*written}
    right = [a == b for a, b in zip(net.predict(X).tolist(), written, strict=True)]
    assert net.score(X, labels) == np.mean(right)


def test_labels_keep_their_numpy_dtype():
    for labels, dtype in (
        ([1, 2] * 6, np.int64),
        ([1.0, 2.0] * 6, np.float64),
        ([1, 2.0] * 6, np.float64),
        (np.array([1, 2] * 6, dtype=np.int8), np.int8),
        (np.array([1, 2] * 6, dtype=object), np.int64),
        ([2**63, 1] * 6, object),
        ([True, False] * 6, np.bool_),
    ):
        assert fitted(labels).classes_.dtype == dtype


def test_large_labels_in_partial_fit_and_class_weight():
    weights = {ONE: 3.0, OTHER: 1.0}
    net = NetClassifier((2,), class_weight=weights).partial_fit(X, [ONE] * 12, [ONE, OTHER])
    assert net.classes_.tolist() == [ONE, OTHER]
    with pytest.raises(PlainnetError) as caught:
        net.partial_fit(X, [ONE + 1] * 12)
    assert str(caught.value) == (
        f"NetClassifier: y holds the class {ONE + 1}, but the classes of the training are "
        f"{ONE}, {OTHER}"
    )


def test_score_distinguishes_large_labels():
    net = fitted([ONE, OTHER] * 6)
    right = net.predict(X)
    assert net.score(X, right) == 1
    assert net.score(X, right.astype(object) + 1) == 0
    assert net.score(X, (right + 1).astype(np.float64)) < 1  # which is rounded itself


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [ONE, OTHER, 1.5] * 4,
            "Unknown label type: y is continuous (1.5 in row 2), and NetClassifier takes classes: "
            "use NetRegressor, or round y",
        ),
        (
            [2**70 + 1, float("inf")] * 6,
            "NetClassifier: y holds infinity in row 1: leave rows without a label out",
        ),
        (
            [ONE, float("nan")] * 6,
            "NetClassifier: y holds no label in row 1 (nan): leave rows without a label out",
        ),
    ],
)
def test_invalid_labels_among_large_integers_raise(labels, message):
    with pytest.raises(PlainnetError) as caught:
        fitted(labels)
    assert str(caught.value) == message
