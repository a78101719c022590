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
        "MultiLabel",
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
    from plainnet.errors import DataError as DataError
    from plainnet.errors import ModelFileError as ModelFileError
    from plainnet.errors import PlainnetError as PlainnetError
    from plainnet.errors import TrainingError as TrainingError
    from plainnet.estimators import NetClassifier as NetClassifier
    from plainnet.estimators import NetRegressor as NetRegressor
    from plainnet.model import Model as Model
    from plainnet.nn import ELU as ELU
    from plainnet.nn import GELU as GELU
    from plainnet.nn import BatchNorm as BatchNorm
    from plainnet.nn import BinaryCrossEntropy as BinaryCrossEntropy
    from plainnet.nn import Dense as Dense
    from plainnet.nn import Dropout as Dropout
    from plainnet.nn import Flatten as Flatten
    from plainnet.nn import Huber as Huber
    from plainnet.nn import Identity as Identity
    from plainnet.nn import Layer as Layer
    from plainnet.nn import LayerNorm as LayerNorm
    from plainnet.nn import LeakyReLU as LeakyReLU
    from plainnet.nn import Loss as Loss
    from plainnet.nn import MeanSquaredError as MeanSquaredError
    from plainnet.nn import MultiLabel as MultiLabel
    from plainnet.nn import ReLU as ReLU
    from plainnet.nn import Sequential as Sequential
    from plainnet.nn import Sigmoid as Sigmoid
    from plainnet.nn import SiLU as SiLU
    from plainnet.nn import SoftmaxCrossEntropy as SoftmaxCrossEntropy
    from plainnet.nn import Softplus as Softplus
    from plainnet.nn import Tanh as Tanh
    from plainnet.nn import mlp as mlp
    from plainnet.nn.gradcheck import gradcheck as gradcheck
    from plainnet.optim import SGD as SGD
    from plainnet.optim import Adam as Adam
    from plainnet.optim import AdamW as AdamW
    from plainnet.optim import Cosine as Cosine
    from plainnet.optim import OneCycle as OneCycle
    from plainnet.optim import Optimizer as Optimizer
    from plainnet.optim import RMSprop as RMSprop
    from plainnet.optim import StepDecay as StepDecay
    from plainnet.optim import WarmUp as WarmUp
    from plainnet.train import EarlyStopping as EarlyStopping
    from plainnet.train import Epoch as Epoch
    from plainnet.train import History as History
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
