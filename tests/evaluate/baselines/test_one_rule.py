"""One-rule baseline: as good as brute force, and described in the user's terms."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainnet import ModelFileError
from plainnet.data.table_schema import TableSchema
from plainnet.evaluate.baselines.one_rule import Rule, fit_rules
from plainnet.evaluate.feature_spans import FeatureSpan, feature_spans
from plainnet.storage.json_reader import JsonReader

NUMBER = FeatureSpan("x", "number", 0, 1)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=20),
    st.integers(2, 3),
)
def test_cuts_are_optimal(rows, n_classes):
    x = np.array([[float(a)] for a, _ in rows])
    y = np.array([b % n_classes for _, b in rows])
    rule = fit_rules([NUMBER], x, y, n_classes)[0][1]
    own = (rule.predict(x).argmax(axis=1) == y).sum()
    best = 0
    for n_cuts in range(n_classes):
        for cuts in itertools.combinations(np.arange(0.5, 6), n_cuts):
            groups = np.searchsorted(cuts, x[:, 0])
            best = max(
                best, sum(np.bincount(y[groups == g]).max(initial=0) for g in range(n_cuts + 1))
            )
    assert own == best


def frame(m=60):
    i = np.arange(m)
    return pd.DataFrame(
        {
            "noise": [str(v) for v in (i * 37) % 60 + 0.5],
            "city": np.array(["Oslo", "Bo", "Rome"])[i % 3],
            "fear": np.where(i % 2, "Yes", "No"),
            "age": [None if k % 10 == 0 else str(20 + k % 3) for k in i],
        }
    )


def test_rule_text_of_every_column_kind():
    table = frame()
    schema = TableSchema.infer(table)
    X, where = schema.transform(table), feature_spans(schema)
    assert [p.name for p in where] == ["noise", "city", "fear", "age"]
    i = np.arange(60)
    for column, y, description in (
        (1, i % 3 == 1, "city: Bo = shy, Oslo = calm, Rome = calm, unknown = calm"),
        (2, i % 2 == 1, "fear: No = calm, Yes = shy"),
        (
            3,
            (i % 3 == 2) | (i % 10 == 0),
            "age: up to 21.5 = calm, above 21.5 = shy, missing = shy",
        ),
    ):
        rules = fit_rules(where, X, y.astype(np.int64), 2)
        best = max(range(4), key=lambda k: rules[k][0])
        share, rule = rules[best]
        assert (best, share) == (column, 1.0)
        assert rule.describe(["calm", "shy"]) == description
        assert (rule.predict(X).argmax(axis=1) == y).all()
        np.testing.assert_allclose(rule.predict(X).sum(axis=1), 1)


def test_unique_values_do_not_win():
    """One level per row memorizes the training rows and knows nothing about a left-out row."""
    span = FeatureSpan("name", "category", 0, 21, levels=tuple(map(str, range(20))))
    F = np.eye(20, 21)
    assert fit_rules([span], F, np.arange(20) % 2, 2)[0][0] == 0


def test_code_of_many_classes_is_found():
    y = np.arange(200) % 20
    share, rule = fit_rules([NUMBER], y[:, None].astype(np.float32), y, 20)[0]
    assert share == 1
    assert len(rule.cuts) == 19


def test_rule_json_round_trip():
    table = frame()
    schema = TableSchema.infer(table)
    X, where = schema.transform(table), feature_spans(schema)
    for _, rule in fit_rules(where, X, np.arange(60) % 2, 2):
        stored = json.loads(json.dumps(rule.to_json()))
        again = Rule.from_json(JsonReader(stored, "rule"), schema.n_features, 2)
        np.testing.assert_array_equal(again.predict(X), rule.predict(X))


@pytest.mark.parametrize(
    "change",
    [
        {"cuts": [2.0, 1.0]},
        {"cuts": []},
        {"counts": [[0, 0]]},
        {"counts": [[3, 0, 1]]},
        {"counts": [[0, 2, 1]]},
        {"counts": [[0, -1, 1]]},
        {"counts": [[0, 0, 0]]},
        {"counts": [[0, 0, 0.5]]},
        {"counts": [[0, 0, 1e300]]},
        {"shares": [[0.5, 0.5]]},
        {"column": {**NUMBER.to_json(), "start": 5, "stop": 6}},
        {"column": {**NUMBER.to_json(), "missing": "no"}},
        {"more": 1},
    ],
)
def test_edited_rule_raises(change):
    good = Rule(NUMBER, (0.0, 1.0), np.ones((3, 2), np.int64)).to_json()
    Rule.from_json(JsonReader(good, "rule"), 1, 2)
    with pytest.raises(ModelFileError, match="damaged or was edited"):
        Rule.from_json(JsonReader({**good, **change}, "rule"), 1, 2)
