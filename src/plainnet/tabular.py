"""The default for tables: the mean of several networks, each trained without one fold of rows."""

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from plainnet.config import OPTIONS, TrainConfig, rng, with_hidden
from plainnet.errors import PlainnetError
from plainnet.nn.activations import activation
from plainnet.nn.embeddings import PiecewiseLinear, quantile_edges
from plainnet.nn.ensemble import GroupedDense
from plainnet.nn.layers import Dense, Dropout, Layer
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.train.members import Members

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset

# docs/tables.md tells what each of these is worth.
RECIPE: dict[str, Any] = {"hidden": (128, 128), "dropout": 0.15, "label_smoothing": 0.05}
RECIPE |= {"lr": 0.002, "batch_size": 256, "epochs": 128, "patience": 32}
BINS, MOST_INPUTS = 16, 4096  # bins of a number; fewer where the features are many
FEWEST_ROWS = 20  # of the training, for the members to differ by more than chance
MOST_VISITS = 2**19  # of rows in a training: tables that are longer take fewer epochs
_ANY_NETWORK = {"network", "members", "loss", "label_smoothing", "class_weight", "engine", "seed"}


def resolved(config: TrainConfig, data: "Dataset") -> TrainConfig:
    """Fill in the network, and the options whose default depends on it or on the data."""
    X, images = data.train.X, data.train.X.ndim == 4
    network = config.network
    if network == "auto":
        plain = images or len(X) < FEWEST_ROWS or given_options(config)
        network = "mlp" if plain else "tabular"
    config = replace(config, network=network)
    if network == "mlp":
        return with_hidden(config, images=images)
    if images:
        raise PlainnetError("a tabular network is for tables, and these are pictures: take mlp")
    epochs = min(RECIPE["epochs"], max(8, MOST_VISITS // len(X)))
    recipe = RECIPE | {"epochs": epochs}
    if data.target.task == "regression":
        del recipe["label_smoothing"]
    unset = {n: v for n, v in recipe.items() if getattr(config, n) == OPTIONS[n].default}
    return replace(config, **unset, members=min(config.members, len(X)))


def given_options(config: TrainConfig) -> list[str]:
    """Return the names of the options that only a single network has."""
    names = [n for n, o in OPTIONS.items() if o.metadata["group"] != "Data"]
    names += ["validation_fraction"]
    return [n for n in names if n not in _ANY_NETWORK and getattr(config, n) != OPTIONS[n].default]


def side_by_side(config: TrainConfig, data: "Dataset") -> tuple[Sequential, Members]:
    """Return untrained members side by side in one network, and the fold of each row."""
    X, y = data.train
    k, n_out = config.members, data.target.n_out
    edges = quantile_edges(X, min(BINS, max(1, MOST_INPUTS // X.shape[1])))
    bins = [len(e) - 1 for e in edges]
    layers: list[Layer] = [PiecewiseLinear(bins)]
    for i, units in enumerate(config.hidden or ()):
        name = config.activation[i % len(config.activation)]
        dense = GroupedDense(k * units, k, config.init) if i else Dense(k * units, config.init)
        layers += [dense, activation(name), Dropout(config.dropout)]
    net = Sequential([*layers, GroupedDense(k * n_out, k)], X.shape[1], seed=rng(config, 1))
    embedding, first = net.layers[:2]
    assert isinstance(embedding, PiecewiseLinear)  # for the type checker
    assert isinstance(first, Dense)
    embedding.set_edges(edges)
    first.W[:, np.repeat(X.min(axis=0) == X.max(axis=0), bins)] = 0  # constant: no effect
    return net, Members(k, folds(y, k, rng(config, 4)))


def folds(y: Array, k: int, rng: np.random.Generator) -> Array:
    """Deal rows into k folds of equal size, with about the same targets in each."""
    order = np.lexsort((rng.random(len(y)), y if y.ndim == 1 else y[:, 0]))
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % k
    return fold


def for_validation_data(config: TrainConfig) -> TrainConfig:
    """Return the options with validation rows apart, which only one network takes."""
    if config.validation_fraction:
        raise PlainnetError("train takes validation_fraction or validation_data, not both")
    if config.network == "tabular":
        raise PlainnetError(
            "the members of a tabular network validate with folds of their own: leave out "
            "validation_data, or take network mlp"
        )
    return replace(config, network="mlp")


def least_weights(config: TrainConfig, n_in: int, n_out: int) -> int:
    """Return how many weights the network of a training has at least."""
    widths = (*(config.hidden or ()), n_out)
    if config.network == "tabular":
        return config.members * sum((a + 1) * b for a, b in pairwise((n_in, *widths)))
    # in the row space, there are at least as many inputs as units
    return sum((a + 1) * b for a, b in pairwise((min(n_in, widths[0]), *widths)))
