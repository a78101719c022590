"""Models with every layer, task and kind of column, and random parameters."""

import math
from functools import cache

import numpy as np
import pandas as pd

from plainnet.data.images import ImageSchema
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.model import Model
from plainnet.nn.activations import ACTIVATIONS
from plainnet.nn.convolution import (
    AveragePool2D,
    Conv2D,
    GlobalAveragePool2D,
    MaxPool2D,
    SpatialDropout,
)
from plainnet.nn.embeddings import PiecewiseLinear
from plainnet.nn.ensemble import GroupedDense
from plainnet.nn.layers import LAYERS, Dense, Dropout, Flatten
from plainnet.nn.losses import losses_for
from plainnet.nn.network import Sequential, mlp
from plainnet.nn.normalization import BatchNorm, LayerNorm

EVIL = "</script><script>alert(1)</script><!--\"'\\&amp;{{ 7*7 }}\u202e\u2028\n😀"
M = 60


@cache
def frame():
    """Columns of every kind, some with missing cells, and hostile names."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 80, M).astype(str),
            "income €": [f"{n:,.2f}" for n in rng.normal(20_000, 5_000, M)],
            "weight": [f"{n:.1f}".replace(".", ",") for n in rng.normal(70, 9, M)],
            "rate": [f"{n:.3e}" for n in rng.normal(0, 1e-6, M)],
            "fun": rng.choice(["yes", "no"], M),
            "smokes": rng.choice(["T", "F"], M),
            EVIL: rng.choice(["a", EVIL, "猫", "don't know"], M),
            "city": rng.choice(["Oslo", "Bergen", "São Paulo", '"quoted"'], M),
            "passenger_id": [f"X{i}" for i in range(M)],
            "planet": "Earth",
            "note": [None if i % 3 else "seen" for i in range(M)],
        },
        dtype=object,
    )
    for name in ("income €", "fun", EVIL):
        table.loc[rng.choice(M, 7, replace=False), name] = None
    return table


TARGETS = {
    "binary": {"y": ["no", EVIL]},
    "multiclass": {"y": ["a", EVIL, "c", "long " * 9]},
    "multilabel": {"y": ["red;" + EVIL, "red", "blue;green", ";"]},
    "regression": {"y 1": ["1.5", "22.25", "-3"], EVIL + " 2": ["100", "2000", "3"]},
}


@cache
def target(task):
    """Return the target of a task."""
    columns = {name: [cells[i % len(cells)] for i in range(M)] for name, cells in
               TARGETS[task].items()}  # fmt: skip
    return Target.infer(pd.DataFrame(columns), list(columns), task)


def drawn(net, seed=1):
    """Randomize all parameters, because trained networks have no zeros and ones."""
    rng = np.random.default_rng(seed)
    for name, view in net.params.views.items():
        view += rng.normal(0, 0.3, view.shape)
        if name.endswith("running_var"):
            np.abs(view, out=view)
            view += 0.1
    return net


def table_model(net, task="binary", loss=0):
    """A model of `frame`; `net` is called with the numbers of inputs and outputs."""
    schema = TableSchema.infer(frame())
    aim = target(task)
    return Model(schema, aim, drawn(net(schema.n_features, aim.n_out)), losses_for(task)[loss]())


def picture_model(size=8, task="multiclass", hidden=(5,)):
    """Create a picture model."""
    schema = ImageSchema(size, (120.5, 99.25, 70.1), (60.2, 55.5, 44.4))
    net = drawn(mlp(schema.n_features, hidden, target(task).n_out, init="he_normal"))
    net.params.theta *= 0.4  # so that probabilities stay away from 0 and 1
    return Model(schema, target(task), net, losses_for(task)[0]())


# layers for pictures, before a flat rest
PICTURES = {
    "Conv2D": lambda: Conv2D(4),
    "Conv2D stride": lambda: Conv2D(4, kernel=2, stride=3, bias=False),
    "Conv2D valid": lambda: Conv2D(20, kernel=4, stride=2, padding="valid"),
    "MaxPool2D": MaxPool2D,
    "MaxPool2D overlapping": lambda: MaxPool2D(3, stride=2),
    "AveragePool2D": lambda: AveragePool2D(3),
    "BatchNorm of pictures": BatchNorm,
    "LayerNorm of pictures": LayerNorm,
    "Dropout of pictures": Dropout,
    "SpatialDropout": SpatialDropout,
}


def convolutional(*layers, size=8, task="multiclass", dtype=np.float32):
    """Create a model of pictures with given layers before the last."""
    schema = ImageSchema(size, (120.5, 99.25, 70.1), (60.2, 55.5, 44.4))
    net = Sequential([*layers, Dense(target(task).n_out)], (size, size, 3), dtype=dtype)
    net = drawn(net)
    W = net.params.views["dense1.W"]
    W *= 2 / math.sqrt(W.shape[1])  # so that probabilities stay away from 0 and 1
    return Model(schema, target(task), net, losses_for(task)[0]())


@cache
def convolutional_models():
    """Return models of every layer for pictures, alone and together, by name."""
    models = {name: convolutional(make(), Flatten()) for name, make in PICTURES.items()}
    models["GlobalAveragePool2D"] = convolutional(GlobalAveragePool2D())
    for dtype in (np.float32, np.float64):
        layers = [Conv2D(6), BatchNorm(), ACTIVATIONS["relu"](), MaxPool2D(), Dropout()]
        layers += [Conv2D(20, 2, padding="valid"), AveragePool2D(2), ACTIVATIONS["gelu"]()]
        model = convolutional(*layers, Flatten(), size=17, task="binary", dtype=dtype)
        models[f"all of {np.dtype(dtype)}"] = model
    return models


def _with(*kinds, dtype=np.float32):
    return lambda n_in, n_out: Sequential(
        [Dense(6), *(kind() for kind in kinds), Dense(n_out)], n_in, dtype=dtype
    )


def _tabular(dtype):
    """Return a function that makes a network as tables have it, with edges drawn at random."""

    def make(n_in, n_out):
        bins = [1 + i % 4 for i in range(n_in)]
        layers = [PiecewiseLinear(bins), Dense(12), ACTIVATIONS["relu"](), GroupedDense(9, 3)]
        net = Sequential([*layers, ACTIVATIONS["relu"](), Dense(n_out)], n_in, dtype=dtype)
        rng = np.random.default_rng(0)
        net.layers[0].set_edges([np.sort(rng.standard_normal(n + 1)) for n in bins])
        return net

    return make


KINDS = {
    "GroupedDense",
    "PiecewiseLinear",
    "Dense",
    "Conv2D",
    "MaxPool2D",
    "AveragePool2D",
    "GlobalAveragePool2D",
    "SpatialDropout",
}


@cache
def table_models():
    """Return all models by name: every layer, task and relevant size."""
    layers = {name: kind for name, kind in LAYERS.items() if name not in KINDS}
    models = {name: table_model(_with(kind)) for name, kind in layers.items()}
    for task in TARGETS:
        models[task] = table_model(_with(ACTIVATIONS["relu"]), task)
    for task, dtype in (("binary", np.float32), ("multiclass", np.float64)):
        models[f"tabular of {np.dtype(dtype)}"] = table_model(_tabular(dtype), task)
    models["huber"] = table_model(_with(), "regression", loss=1)
    every = (BatchNorm, *ACTIVATIONS.values(), LayerNorm, Dropout, Flatten)
    models["everything"] = table_model(_with(*every), "multiclass")
    models["float64"] = table_model(_with(*every, dtype=np.float64), "multiclass")
    models["no hidden layer"] = table_model(lambda n, k: mlp(n, (), k), "multiclass")
    models["wide"] = table_model(lambda n, k: mlp(n, (600, 40), k, activation="tanh"), "multilabel")
    return models


def activations(model, raw):
    """Probabilities, of two classes in one column, or standardized numbers."""
    return model.loss.predictions(model.predict_logits(raw))
