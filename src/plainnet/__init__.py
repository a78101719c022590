"""Deep neural networks from scratch in NumPy: readable, checked down to every gradient, and quick.

Everything in `plainnet.nn` and `plainnet.train` is a name of `plainnet` itself, and so are `Model`,
`Settings`, `run`, `NetClassifier` and `NetRegressor`, which are imported when they are first used.
"""

from typing import TYPE_CHECKING, Any

from plainnet._version import __version__
from plainnet.errors import DataError, ModelFileError, PlainnetError, TrainingError
from plainnet.nn import *  # noqa: F403
from plainnet.nn import __all__ as _nn_names
from plainnet.train import *  # noqa: F403
from plainnet.train import __all__ as _train_names

if TYPE_CHECKING:
    from plainnet.estimators import NetClassifier as NetClassifier
    from plainnet.estimators import NetRegressor as NetRegressor
    from plainnet.model import Model as Model
    from plainnet.runs import run as run
    from plainnet.settings import Settings as Settings

_LAZY = {
    "Model": "plainnet.model",
    "NetClassifier": "plainnet.estimators",
    "NetRegressor": "plainnet.estimators",
    "Settings": "plainnet.settings",
    "run": "plainnet.runs",
}

__all__ = [
    "DataError",
    "ModelFileError",
    "PlainnetError",
    "TrainingError",
    "__version__",
    *_nn_names,
    *_train_names,
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    """Import what needs more than NumPy when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'plainnet' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
