"""The mathematics: layers, losses and the chain of them; imports NumPy only."""

from plainnet.nn.activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    Activation,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    activation,
)
from plainnet.nn.convolution import (
    AveragePool2D,
    Conv2D,
    GlobalAveragePool2D,
    MaxPool2D,
    SpatialDropout,
)
from plainnet.nn.convolutional_network import convnet
from plainnet.nn.embeddings import PiecewiseLinear
from plainnet.nn.ensemble import GroupedDense
from plainnet.nn.initializers import initializer
from plainnet.nn.layers import LAYERS, Dense, Dropout, Flatten, Layer
from plainnet.nn.losses import (
    LOSSES,
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from plainnet.nn.network import Sequential, mlp
from plainnet.nn.normalization import BatchNorm, LayerNorm
from plainnet.nn.parameters import Parameters, ParameterSpec
from plainnet.nn.registry import register

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "LAYERS",
    "LOSSES",
    "Activation",
    "AveragePool2D",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePool2D",
    "GroupedDense",
    "Huber",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Loss",
    "MaxPool2D",
    "MeanSquaredError",
    "ParameterSpec",
    "Parameters",
    "PiecewiseLinear",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Softplus",
    "SpatialDropout",
    "Tanh",
    "activation",
    "convnet",
    "initializer",
    "mlp",
    "register",
]
