"""Gradient boosting as a baseline where scikit-learn is installed: trees compete with the network.

This is the one place in which a machine-learning library computes. Nothing else depends on it.
"""

from typing import TYPE_CHECKING, Any, final

import numpy as np
from threadpoolctl import threadpool_limits

from plainnet.evaluate.baselines.baseline import Baseline
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples
    from plainnet.data.targets import Target

FEWEST_ROWS = 100  # each leaf has 20
MOST_ROWS, MOST_CELLS = 20_000, 10**7  # of a sample to learn from; cells count for each class
MOST_CLASSES = 20  # each takes a hundred trees


def _one_thread() -> threadpool_limits:
    """Keep OpenMP to one thread: several wait for each other, for seconds on a busy machine."""
    return threadpool_limits(1, user_api="openmp")


@final
class BoostingBaseline(Baseline):
    """HistGradientBoosting of scikit-learn with its defaults; it is not stored in a model file."""

    name = "boosting"

    def __init__(self, model: Any, target: "Target") -> None:
        self.model, self.target = model, target

    def predict(self, X: Array) -> Array:
        """Return probabilities or standardized numbers."""
        from plainnet.data.columns import in_threads

        parts = (X[start : start + MOST_ROWS] for start in range(0, len(X), MOST_ROWS))
        return np.concatenate(in_threads(self._predict, parts, len(X)))

    def _predict(self, X: Array) -> Array:
        with _one_thread():
            if self.target.task == "regression":
                return np.asarray(self.model.predict(X)[:, None])
            P = np.zeros((len(X), len(self.target.classes)))
            P[:, self.model.classes_.astype(int)] = self.model.predict_proba(X)
        return P[:, 1:] if self.target.task == "binary" else P

    def describe(self, target: "Target") -> tuple[str, str]:
        """Name the method."""
        return "HistGradientBoosting", "HistGradientBoosting"


def fit_boosting(target: "Target", train: "Examples") -> BoostingBaseline | None:
    """Fit to the rows of a table, or to a sample; None without scikit-learn, or for few rows."""
    (X, y), outputs = train, target.n_out if target.task == "multiclass" else 1
    m = min(len(X), MOST_ROWS, MOST_CELLS // (outputs * X[0].size))
    if X.ndim > 2 or target.task == "multilabel" or len(target.columns) > 1:
        return None
    if m < FEWEST_ROWS or outputs > MOST_CLASSES:
        return None
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    except ImportError:
        return None
    if m < len(X):
        some = np.sort(np.random.default_rng(0).choice(len(X), m, replace=False, shuffle=False))
        X, y = X[some], y[some]
    regression = target.task == "regression"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    with _one_thread():
        return BoostingBaseline(kind(random_state=0).fit(X, y.ravel()), target)
