"""The default for tables: the mean of several networks, each trained without one fold of rows."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from plainnet.config import OPTIONS, TABULAR, Config, ResolvedConfig, rng
from plainnet.errors import PlainnetError
from plainnet.nn.activations import activation
from plainnet.nn.embeddings import PiecewiseLinear, quantile_edges
from plainnet.nn.ensemble import GroupedDense, mean_of_groups
from plainnet.nn.layers import Dense, Dropout, Layer
from plainnet.nn.losses import Loss, with_smoothing
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array
from plainnet.train.inputs import ClassWeight, with_class_weights
from plainnet.train.members import Members

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset
    from plainnet.data.targets import Task

BINS, MOST_INPUTS = 16, 4096  # bins of a number; fewer where the features are many
FEWEST_ROWS = 20  # of the training, for the members to differ by more than chance
MAX_LOG_SCALE = math.log(8.0)  # of the factor of calibrated logits
MOST_VISITS = 2**19  # of rows in a training: tables that are longer take fewer epochs
CYCLE = 2**13  # times that the members take turns at rows in a file, before they do so again
ANY_NETWORK = {"network", "members", "loss", "label_smoothing", "class_weight", "engine", "seed"}


def settled(
    config: Config,
    X: Array,
    task: "Task",
    notes: list[str] | None = None,
    m: int | None = None,
) -> ResolvedConfig:
    """Choose the network, and fill in the options whose default depends on it or on the rows.

    X may be a sample of m rows.
    """
    images = X.ndim == 4
    given, few = given_options(config), images or len(X) < FEWEST_ROWS
    m = len(X) if m is None else m
    note = None
    if config.network == "auto" and not few:
        if not given:
            config = replace(config, network="tabular")
            note = (
                "no option of a single network was given: taking network tabular, the mean of "
                f"{config.members} networks; --network mlp takes one"
            )
        elif config.hidden is None:
            note = (
                f"{', '.join(given)} given, as for one network: taking network mlp; --network "
                f"tabular takes the mean of {config.members} networks with the same options"
            )
    if note and notes is not None:
        notes.append(note)
    if config.network == "tabular":
        epochs = config.epochs or min(TABULAR["epochs"], max(8, MOST_VISITS // m))
        config = replace(config, epochs=epochs, members=min(config.members, len(X)))
        if notes is not None and len(X) < m:
            notes.append(
                f"the bins of the numbers, and the rows that the {config.members} networks "
                f"validate with, are those of a sample of {len(X):,} of the {m:,} training rows"
            )
    if task == "regression":  # which has no labels
        config = replace(config, label_smoothing=config.label_smoothing or 0.0)
    return config.resolved(images=images)


def given_options(config: Config) -> list[str]:
    """Return the names of the options that only a single network has."""
    names = [n for n, o in OPTIONS.items() if o.metadata["group"] != "Data"]
    names += ["validation_fraction"]
    return [n for n in names if n not in ANY_NETWORK and getattr(config, n) != OPTIONS[n].default]


def members_of(
    config: ResolvedConfig, data: "Dataset"
) -> tuple[Sequential, Members] | tuple[None, None]:
    """Return untrained members and their folds if the network is a tabular one."""
    if config.network != "tabular":
        return None, None
    deal = rng(config, 4)
    net, members = side_by_side(config, *data.train, data.target.n_out, rng(config, 1), deal)
    if data.stream is not None:
        each = np.tile(np.arange(members.k), (CYCLE, 1))
        members = Members(members.k, members.fold, deal.permuted(each, axis=1).ravel())
        members = members.of_rows(data.stream.sample)
    return net, members


def side_by_side(
    config: ResolvedConfig,
    X: Array,
    y: Array,
    n_out: int,
    start: np.random.Generator,
    deal: np.random.Generator,
    dtype: DTypeLike = np.float32,
) -> tuple[Sequential, Members]:
    """Return untrained members side by side in one network, and the fold of each row.

    One generator draws the initial weights, another deals the folds.
    """
    k = config.members
    edges = quantile_edges(X, min(BINS, max(1, MOST_INPUTS // X.shape[1])))
    bins = [len(e) - 1 for e in edges]
    layers: list[Layer] = [PiecewiseLinear(bins)]
    for i, units in enumerate(config.hidden or ()):
        name = config.activation[i % len(config.activation)]
        dense = GroupedDense(k * units, k, config.init) if i else Dense(k * units, config.init)
        layers += [dense, activation(name), Dropout(config.dropout)]
    net = Sequential([*layers, GroupedDense(k * n_out, k)], X.shape[1], dtype=dtype, seed=start)
    embedding, first = net.layers[:2]
    assert isinstance(embedding, PiecewiseLinear)  # for the type checker
    assert isinstance(first, Dense)
    embedding.set_edges(edges)
    first.W[:, np.repeat(X.min(axis=0) == X.max(axis=0), bins)] = 0  # constant: no effect
    return net, Members(k, folds(y, k, deal))


def averaged(
    net: Sequential,
    members: Members,
    X: Array,
    y: Array,
    loss: Loss,
    weight: Array | None = None,
    class_weight: ClassWeight | None = None,
) -> Sequential:
    """Return the mean of trained members as one network, its probabilities calibrated."""
    mean = mean_of_groups(net)
    if "regression" not in loss.tasks:
        y = loss.encode(y, mean.n_out, mean.dtype)
        weight = with_class_weights(weight, loss, y, mean.n_out, class_weight)
        scale = logit_scale(members.validating(net, X), y, loss, weight)
        *_, last = mean.layers
        assert isinstance(last, Dense)  # for the type checker
        last.W *= scale
        last.b *= scale
    return mean


def logit_scale(Z: Array, y: Array, loss: Loss, weight: Array | None = None) -> float:
    """Return the factor of logits of rows that were not trained on with which their loss is least.

    It is one divided by the temperature of Guo et al. (2017). One row in all counts as of unknown
    class (Platt, 1999): no finite factor is best for logits that are right in every row.
    """
    loss = with_smoothing(loss, 1 / len(Z))
    Z = Z.astype(np.float64)
    low, high = -MAX_LOG_SCALE, MAX_LOG_SCALE  # bounds of the factor's logarithm
    while high - low > 1e-3:
        middle = (low + high) / 2
        slope = float((loss(math.exp(middle) * Z, y, weight)[1] * Z).sum())
        low, high = (low, middle) if slope > 0 else (middle, high)
    return math.exp((low + high) / 2)


def folds(y: Array, k: int, rng: np.random.Generator) -> Array:
    """Deal rows into k folds of equal size, with about the same targets in each."""
    order = np.lexsort((rng.random(len(y)), y if y.ndim == 1 else y[:, 0]))
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % k
    return fold


def for_validation_data(config: Config) -> Config:
    """Return the options with validation rows apart, which only one network takes."""
    if config.validation_fraction:
        raise PlainnetError("train takes validation_fraction or validation_data, not both")
    if config.network == "tabular":
        raise PlainnetError(
            "the members of a tabular network validate with folds of their own: leave out "
            "validation_data, or take network mlp"
        )
    return replace(config, network="mlp")
