"""The estimators inside scikit-learn's tools."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plainnet import NetClassifier, NetRegressor, PlainnetError

X, y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[y]


def small(**options):
    return NetClassifier(hidden=(8,), epochs=30, lr=0.01, **options)


def test_pipeline_with_dataframe_and_weights():
    frame = load_iris(as_frame=True).data
    pipe = make_pipeline(StandardScaler(), small()).set_output(transform="pandas")
    pipe.fit(frame, NAMES, netclassifier__sample_weight=np.ones(150))
    assert pipe[-1].feature_names_in_.tolist() == frame.columns.tolist()
    assert pipe.score(frame, NAMES) > 0.9
    assert "NetClassifier(epochs=30" in repr(pipe) or "NetClassifier(hidden=(8,)" in repr(pipe)
    assert "NetClassifier" in pipe._repr_html_()


@pytest.mark.parametrize("threshold", [0.0, 1.0])  # dense and sparse
def test_column_transformer_with_sparse_output(threshold):
    frame = pd.DataFrame({"petal": X[:, 2], "color": np.where(X[:, 3] > 1, "red", "blue")})
    encode = ColumnTransformer(
        [("number", StandardScaler(), ["petal"]), ("text", OneHotEncoder(), ["color"])],
        sparse_threshold=threshold,
    )
    pipe = make_pipeline(encode, small()).fit(frame, NAMES)
    assert pipe.score(frame, NAMES) > 0.9


def test_parallel_grid_search():
    grid = {"netclassifier__hidden": [(8,), (8, 4)], "netclassifier__lr": [1e-5, 0.01]}
    search = GridSearchCV(make_pipeline(StandardScaler(), small()), grid, cv=3, n_jobs=2)
    search.fit(X, NAMES)
    assert search.best_params_["netclassifier__lr"] == 0.01
    assert search.best_score_ > 0.9
    scores = search.cv_results_["mean_test_score"]
    alone = cross_val_score(make_pipeline(StandardScaler(), small()), X, NAMES, cv=3)
    np.testing.assert_allclose(scores[1], alone.mean())  # the same in another process


def test_cross_validation():
    assert cross_val_score(small(), X, NAMES, cv=3).mean() > 0.9
    diabetes = load_diabetes(return_X_y=True)
    assert cross_val_score(NetRegressor((8,), epochs=40), *diabetes, cv=3).mean() > 0.4


def test_calibration_improves_an_overconfident_classifier():
    rng = np.random.default_rng(0)
    rows, noisy = rng.normal(size=(300, 5)), rng.integers(0, 2, 300)  # nothing to be learned
    net = NetClassifier(hidden=(30,), epochs=40, lr=0.02)
    calibrated = CalibratedClassifierCV(net, cv=3).fit(rows[:150], noisy[:150])
    bare = net.fit(rows[:150], noisy[:150]).predict_proba(rows[150:])[:, 1]
    better = calibrated.predict_proba(rows[150:])[:, 1]
    brier = [np.mean((p - noisy[150:]) ** 2) for p in (bare, better)]
    assert brier[1] < 0.27 < brier[0]  # saying 1/2 always would give 0.25


def test_permutation_importance_finds_the_informative_column():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 3))
    net = NetRegressor((8,), epochs=60, lr=0.02).fit(rows, np.sin(rows[:, 1]))
    result = permutation_importance(net, rows, np.sin(rows[:, 1]), n_repeats=3, random_state=0)
    assert result.importances_mean.argmax() == 1
    assert result.importances_mean[1] > 5 * result.importances_mean[[0, 2]].max()


def test_metadata_routing():
    weight = np.where(y == 2, 0.0, 1.0)  # a class that never counts is never predicted
    with config_context(enable_metadata_routing=True):
        net = clone(
            small().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        )
        result = cross_validate(net, X, NAMES, cv=3, params={"sample_weight": weight})
        pipe = Pipeline(
            [("scale", StandardScaler()), ("net", small().set_fit_request(X_val=True, y_val=True))],
            transform_input=["X_val"],
        )
        pipe.fit(X[::2], NAMES[::2], X_val=X[1::2], y_val=NAMES[1::2])
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            cross_validate(small(), X, NAMES, params={"sample_weight": weight})
    assert result["test_score"].max() < 0.7
    assert result["test_score"].min() > 0.55
    assert len(pipe[-1].validation_loss_curve_) == 30
    assert pipe[-1].validation_loss_curve_[-1] < 0.5  # the rows were scaled like the others
    with pytest.raises(PlainnetError) as caught:
        small().set_score_request(weights=True)
    assert (
        str(caught.value) == "NetClassifier.score takes sample_weight besides X and y, not weights"
    )


def test_ensembles():
    parts = [("net", small()), ("line", LogisticRegression(max_iter=1000))]
    stack = StackingClassifier(parts, LogisticRegression(max_iter=1000), cv=3).fit(X, NAMES)
    assert stack.score(X, NAMES) > 0.9
    bags = BaggingClassifier(small(), n_estimators=3, random_state=0).fit(X, NAMES)
    assert bags.score(X, NAMES) > 0.9
    thetas = [net.net_.params.theta for net in bags.estimators_]
    assert not np.allclose(thetas[0], thetas[1])


def test_multi_output_and_transformed_target_regressors():
    rows = np.random.default_rng(0).normal(size=(80, 2))
    growth = np.exp(rows[:, 0])
    net = NetRegressor((8,), epochs=60, lr=0.02)
    vote = VotingRegressor([("net", net), ("line", LinearRegression())]).fit(rows, growth)
    assert vote.score(rows, growth) > 0.6
    logs = TransformedTargetRegressor(net, func=np.log, inverse_func=np.exp).fit(rows, growth)
    assert logs.score(rows, growth) > 0.95
