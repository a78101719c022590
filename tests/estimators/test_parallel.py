"""The estimators under joblib, whose backends are other processes."""

from contextlib import contextmanager

import joblib
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plainnet import NetClassifier

X, y = load_iris(return_X_y=True)


@contextmanager
def dask():
    distributed = pytest.importorskip("dask.distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        yield


@contextmanager
def loky():
    get_reusable_executor().shutdown()  # of another test, whose processes know no compiled code
    with joblib.parallel_config("loky", n_jobs=2):
        yield


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("backend", [loky, dask])
def test_other_processes_give_the_same_scores(backend):
    net = NetClassifier(hidden=(8,), epochs=20, dropout=0.1)
    pipe = make_pipeline(StandardScaler(), net)
    grid = {"netclassifier__lr": [1e-3, 0.01], "netclassifier__engine": ["numpy", "compiled"]}
    alone = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    with backend():
        found = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    assert found.best_params_ == alone.best_params_
    np.testing.assert_array_equal(found.predict_proba(X), alone.predict_proba(X))
    for i in range(3):
        name = f"split{i}_test_score"
        np.testing.assert_array_equal(found.cv_results_[name], alone.cv_results_[name])
