"""Gradient boosting among the baselines: only where scikit-learn is installed, and on few rows."""

import builtins
import multiprocessing
import signal
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from plainnet import Model, TrainConfig
from plainnet.data.dataset import Examples
from plainnet.data.targets import Target
from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines import boosting
from plainnet.evaluate.baselines.boosting import boosting_ahead, fit_boosting
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
    seen, fit = [], HistGradientBoostingClassifier.fit
    monkeypatch.setattr(
        HistGradientBoostingClassifier, "fit", lambda self, X, y: seen.append(X) or fit(self, X, y)
    )
    fit_boosting(Target("binary", ("y",), ("a", "b")), Examples(X, CHECKER * 1.0))
    assert seen[0].shape == (120, 3)
    assert len(np.unique(seen[0], axis=0)) == 120


@pytest.fixture
def ahead(monkeypatch):
    """Begin a process for the trees, as where scikit-learn is not imported yet."""
    monkeypatch.delitem(sys.modules, "sklearn.ensemble")
    monkeypatch.setattr(boosting, "_is_main_module_known", lambda: True)
    with boosting_ahead(True) as begin:
        yield begin


TARGETS = {
    "binary": (Target("binary", ("y",), ("a", "b")), CHECKER * 1.0),
    "multiclass": (Target("multiclass", ("y",), ("a", "b", "c")), CHECKER + (X[:, 2] > 0)),
    "regression": (Target("regression", ("y",)), X[:, 0] + X[:, 1] * X[:, 2]),
}


@pytest.mark.parametrize("task", TARGETS)
@pytest.mark.parametrize("begun", [False, True])
def test_another_process_computes_the_same(task, begun, ahead, monkeypatch):
    target, y = TARGETS[task]
    rows, other = Examples(X, y), Examples(X[:200], y[:200])
    if begun:
        ahead(target, rows)
    trees = [fit_boosting(target, some) for some in (rows, other)]
    assert "sklearn.ensemble" not in sys.modules
    monkeypatch.setattr(boosting, "_MOST_SENT", 150)
    there = [some.predict(X) for some in trees]
    with boosting_ahead(False):
        here = [fit_boosting(target, some).predict(X) for some in (rows, other)]
    np.testing.assert_array_equal(there, here)


def helper():
    """Return the process for the trees."""
    [process] = [child for child in multiprocessing.active_children() if child.daemon]
    return process


def test_the_other_process_may_be_killed(ahead):
    target, y = TARGETS["binary"]
    trees = fit_boosting(target, Examples(X, y))
    helper().kill()
    with pytest.raises(PlainnetError, match="the process of HistGradientBoosting has ended"):
        trees.predict(X)
    here = fit_boosting(target, Examples(X, y))
    assert "sklearn.ensemble" in sys.modules
    assert here.predict(X).shape == (400, 1)


def test_errors_of_the_other_process_are_raised_here(ahead):
    target, y = TARGETS["regression"]
    with pytest.raises(ValueError, match="NaN"):
        fit_boosting(target, Examples(X, np.where(CHECKER, np.nan, y)))


def test_the_other_process_ends_at_once(monkeypatch):
    monkeypatch.delitem(sys.modules, "sklearn.ensemble")
    monkeypatch.setattr(boosting, "_is_main_module_known", lambda: True)
    target, y = TARGETS["binary"]
    rows = Examples(X, y)
    with boosting_ahead(True) as begin:
        process = helper()
        begin(target, rows)
        _, future = boosting._process.get().begun
    assert process.exitcode == -signal.SIGTERM
    assert future.result() is None
    assert "sklearn.ensemble" not in sys.modules


REASONS = ["not wanted", "not installed", "imported", "a script runs"]


@pytest.mark.parametrize("reason", REASONS)
def test_no_process_is_begun(reason, monkeypatch, tmp_path):
    name = "a.py" if reason == "a script runs" else "plainnet"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / name), raising=False)
    if reason == "not installed":
        monkeypatch.setattr(boosting, "find_spec", lambda name: None)
    if reason != "imported":
        monkeypatch.delitem(sys.modules, "sklearn.ensemble")
    before = multiprocessing.active_children()
    with boosting_ahead(reason != "not wanted"):
        assert multiprocessing.active_children() == before
