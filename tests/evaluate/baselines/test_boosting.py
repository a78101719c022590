"""Gradient boosting among the baselines: only where scikit-learn is installed, and on few rows."""

import builtins

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from plainnet import Model, TrainConfig
from plainnet.data.dataset import Examples
from plainnet.data.targets import Target
from plainnet.evaluate.baselines import boosting
from plainnet.evaluate.baselines.boosting import fit_boosting
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.training import train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 3)).astype(np.float32)
CHECKER = (X[:, 0] > 0) ^ (X[:, 1] > 0)  # which no line separates
FAST = TrainConfig(hidden=(2,), epochs=1, network="mlp")


def frame(y):
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y)


@pytest.mark.parametrize(
    "y",
    [np.where(CHECKER, "x", "o"), np.where(CHECKER, "x", np.where(X[:, 2] > 0, "o", "z")),
     10.0 * CHECKER + 0.1 * X[:, 2]],
    ids=["binary", "multiclass", "regression"],
)  # fmt: skip
def test_verdict_names_it_where_it_is_best(y, tmp_path):
    run = train(frame(y), FAST)
    run.model.save(tmp_path / "a.safetensors")
    evaluation = stored_evaluation(Model.load(tmp_path / "a.safetensors"))
    assert evaluation.best_baseline.name == "boosting"
    assert "the best baseline, HistGradientBoosting" in evaluation.verdict


def test_it_predicts_as_scikit_learn_does():
    y = np.array([4, 0, 2])[RNG.integers(0, 3, 400)]  # classes 1 and 3 are in no training row
    target = Target("multiclass", ("y",), ("a", "b", "c", "d", "e"))
    P = fit_boosting(target, Examples(X, y)).predict(X[:9])
    expected = HistGradientBoostingClassifier(random_state=0).fit(X, y).predict_proba(X[:9])
    np.testing.assert_array_equal(P[:, [0, 2, 4]], expected)
    assert not P[:, [1, 3]].any()


@pytest.mark.parametrize(
    "reason", ["not installed", "few rows", "many classes", "several labels", "pictures"]
)
def test_it_is_left_out(reason, monkeypatch):
    target, rows = Target("binary", ("y",), ("a", "b")), Examples(X, CHECKER.astype(np.float32))
    assert fit_boosting(target, rows) is not None
    if reason == "not installed":
        load = builtins.__import__

        def refuse(name, *args):
            if name.startswith("sklearn"):
                raise ImportError
            return load(name, *args)

        monkeypatch.setattr(builtins, "__import__", refuse)
    elif reason == "few rows":
        rows = Examples(X[:99], rows.y[:99])
    elif reason == "many classes":
        target = Target("multiclass", ("y",), tuple(map(str, range(21))))
    elif reason == "several labels":
        target = Target("multilabel", ("y",), ("a", "b"))
    else:
        rows = Examples(X.reshape(400, 3, 1, 1), rows.y)
    assert fit_boosting(target, rows) is None


def test_many_rows_are_sampled(monkeypatch):
    monkeypatch.setattr(boosting, "MOST_CELLS", 3 * 120)
    seen = []
    monkeypatch.setattr(
        HistGradientBoostingClassifier, "fit", lambda self, X, y: seen.append(X) or self
    )
    fit_boosting(Target("binary", ("y",), ("a", "b")), Examples(X, CHECKER * 1.0))
    assert seen[0].shape == (120, 3)
    assert len(np.unique(seen[0], axis=0)) == 120
