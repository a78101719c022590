"""Deep neural networks from scratch in NumPy: readable, checked down to every gradient, and quick.

Each name is imported when it is first used, so that the command line can report an interruption
even while NumPy is imported.
"""

from plainnet._version import __version__

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than all of this
_NAMES = {
    "plainnet.config": ("TrainConfig",),
    "plainnet.engine.prediction": ("predict_logits",),
    "plainnet.errors": (
        "DataError",
        "ModelFileError",
        "PlainnetError",
        "TrainingError",
    ),
    "plainnet.estimators": (
        "NetClassifier",
        "NetRegressor",
    ),
    "plainnet.model": ("Model",),
    "plainnet.nn": (
        "ELU",
        "GELU",
        "BatchNorm",
        "BinaryCrossEntropy",
        "Dense",
        "Dropout",
        "Flatten",
        "Huber",
        "Identity",
        "Layer",
        "LayerNorm",
        "LeakyReLU",
        "Loss",
        "MeanSquaredError",
        "ReLU",
        "Sequential",
        "SiLU",
        "Sigmoid",
        "SoftmaxCrossEntropy",
        "Softplus",
        "Tanh",
        "mlp",
    ),
    "plainnet.nn.gradcheck": ("gradcheck",),
    "plainnet.optim": (
        "SGD",
        "Adam",
        "AdamW",
        "Cosine",
        "OneCycle",
        "Optimizer",
        "RMSprop",
        "StepDecay",
        "WarmUp",
    ),
    "plainnet.train": (
        "EarlyStopping",
        "Epoch",
        "History",
    ),
    "plainnet.train.fit": ("fit",),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
__all__ = [*_MODULE_OF, "__version__"]

if TYPE_CHECKING:
    from typing import Any

    from plainnet.config import TrainConfig as TrainConfig
    from plainnet.engine.prediction import predict_logits as predict_logits
    from plainnet.errors import *  # noqa: F403
    from plainnet.estimators import *  # noqa: F403
    from plainnet.model import Model as Model
    from plainnet.nn import *  # noqa: F403
    from plainnet.nn.gradcheck import gradcheck as gradcheck
    from plainnet.optim import *  # noqa: F403
    from plainnet.train import *  # noqa: F403
    from plainnet.train.fit import fit as fit


def __getattr__(name: str) -> "Any":
    """Import a public name from its module."""
    from importlib import import_module

    if name not in _MODULE_OF:
        raise AttributeError(f"module 'plainnet' has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_MODULE_OF[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
