"""Deep neural networks from scratch in NumPy: readable, checked down to every gradient, and quick.

Everything in `plainnet.nn` and `plainnet.train` is a name of `plainnet` itself, and so are `Model`,
`TrainConfig`, `run`, `NetClassifier` and `NetRegressor`. Each is imported when it is first used: the
command line can then say that it was interrupted even while NumPy is imported.
"""

from plainnet._version import __version__
from plainnet.errors import DataError, ModelFileError, PlainnetError, TrainingError

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than all of this
_LAZY = {
    "Model": "plainnet.model",
    "NetClassifier": "plainnet.estimators",
    "NetRegressor": "plainnet.estimators",
    "TrainConfig": "plainnet.config",
    "run": "plainnet.training",
}

if TYPE_CHECKING:
    from typing import Any

    from plainnet.config import TrainConfig as TrainConfig
    from plainnet.estimators import NetClassifier as NetClassifier
    from plainnet.estimators import NetRegressor as NetRegressor
    from plainnet.model import Model as Model
    from plainnet.nn import *  # noqa: F403
    from plainnet.nn import __all__ as _nn_names
    from plainnet.train import *  # noqa: F403
    from plainnet.train import __all__ as _train_names
    from plainnet.training import run as run

    __all__ = [*_nn_names, *_train_names, *_LAZY]
    __all__ += ["DataError", "ModelFileError", "PlainnetError", "TrainingError", "__version__"]


def __getattr__(name: str) -> "Any":
    """Import a name when it is first asked for; those of `nn` and `train` all at once."""
    from importlib import import_module

    if name in _LAZY:
        globals()[name] = getattr(import_module(_LAZY[name]), name)
    elif name == "__all__" or not name.startswith("_"):
        every = [*_LAZY, "DataError", "ModelFileError", "PlainnetError", "TrainingError"]
        every += ["__version__"]
        for part in (import_module("plainnet.nn"), import_module("plainnet.train")):
            globals().update({one: getattr(part, one) for one in part.__all__})
            every += part.__all__
        globals()["__all__"] = every
    if name not in globals():
        raise AttributeError(f"module 'plainnet' has no attribute {name!r}")
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
