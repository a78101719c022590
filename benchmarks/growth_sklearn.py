"""growth_sklearn: the job of `plainnet train` with pandas and scikit-learn, for benchmarks.growth.

python -m benchmarks.growth_sklearn FILE    read, split, impute, scale, encode, train, score, save
"""

import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import pandas as pd
from sklearn.compose import make_column_selector as columns_of
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def encoded(model: Any) -> Callable[[], Any]:
    """Return a pipeline that imputes, scales and encodes before a model."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore")
    prepared = make_column_transformer(
        (numbers, columns_of(dtype_include="number")),
        (texts, columns_of(dtype_exclude="number")),
        sparse_threshold=0,
    )
    return lambda: make_pipeline(prepared, model(random_state=0))


def main(path: str) -> None:
    warnings.filterwarnings("ignore")
    frame = pd.read_csv(path)
    y = frame.pop("y") == "yes"
    X, X_test, y, y_test = train_test_split(frame, y, test_size=0.2, stratify=y, random_state=0)
    network = partial(MLPClassifier, hidden_layer_sizes=(16,), batch_size=256, max_iter=1)
    pipeline = encoded(network)().fit(X, y)
    p = pipeline.predict_proba(X_test)[:, 1]
    print(
        *(accuracy_score(y_test, p > 0.5), f1_score(y_test, p > 0.5)),
        *(log_loss(y_test, p), roc_auc_score(y_test, p)),
    )
    joblib.dump(pipeline, "model.joblib")


if __name__ == "__main__":
    main(sys.argv[1])
