"""Estimators: networks that speak the scikit-learn protocol, and need no scikit-learn to train."""

from plainnet.estimators.classifier import NetClassifier
from plainnet.estimators.regressor import NetRegressor

__all__ = ["NetClassifier", "NetRegressor"]
