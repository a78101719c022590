"""Estimators that follow the scikit-learn protocol and work without scikit-learn."""

from plainnet.estimators.classifier import NetClassifier
from plainnet.estimators.regressor import NetRegressor

__all__ = ["NetClassifier", "NetRegressor"]
