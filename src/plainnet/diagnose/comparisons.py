"""Compare a network with the best constant, with baselines and with the nearest other rows."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from plainnet.diagnose.activations import evenly_spaced
from plainnet.engine.prediction import predict_logits
from plainnet.evaluate.baselines.baseline import Baseline, RegressionBaseline
from plainnet.evaluate.baselines.regression import fit_regression
from plainnet.evaluate.evaluate import logits_of, score_rows
from plainnet.metrics.intervals import Difference, paired_means, paired_shares
from plainnet.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.train.batches import prepare
from plainnet.train.inputs import ClassWeight, with_class_weights

_NEIGHBORS = 5
_MOST_COMPARED = 1000  # rows that are compared with each other, and
_MOST_COMPARED_CELLS = 10**7  # their cells, which limits memory and time
_MOST_FITTED = 5000  # rows that a baseline is fitted to


class Trained(NamedTuple):
    """A trained network, and a sample of its training rows."""

    net: Sequential
    loss: Loss
    task: str  # as a target names it
    transform: Transform | None
    class_weight: ClassWeight | None
    X: Array
    y: Array  # encoded
    weight: Array | None


class Neighbors(NamedTuple):
    """Accuracy, or R2 of a regression, on the training rows."""

    score: float  # of the mean target of the nearest other rows
    network: float
    constant: float  # of the best constant
    rows: int


class Rival(NamedTuple):
    """A baseline on rows that it shares with the network and with the best constant."""

    phrase: str  # such as: logistic regression
    cost: float
    score: float
    over_network: Difference
    over_constant: Difference
    saving: Difference  # the network's cost minus its own, relative to the constant's cost


class Comparison(NamedTuple):
    """Cost and score of the network, of the best constant and of baselines on the same rows."""

    cost: float
    score: float  # share right, with class weights the balanced one; of numbers minus the error
    constant_cost: float
    constant_score: float
    rows: int
    over_constant: Difference  # in shares of rows or labels, or of the constant's squared error
    rivals: tuple[Rival, ...]

    @property
    def best(self) -> Rival | None:
        """The baseline that is furthest ahead of the network."""
        return max(self.rivals, key=lambda rival: rival.over_network.value, default=None)

    @property
    def cheapest(self) -> Rival | None:
        """The baseline of the lowest cost."""
        return min(self.rivals, key=lambda rival: rival.cost, default=None)


def compare(
    trained: Trained, baselines: Mapping[str, Baseline], X: Array, given: ArrayLike
) -> Comparison:
    """Compare on rows; with class weights, each class counts alike."""
    net, loss, task, n_out = trained.net, trained.loss, trained.task, trained.net.n_out
    y = loss.encode(given, n_out, net.dtype)
    weight = with_class_weights(None, loss, y, n_out, trained.class_weight)
    base = np.tile(best_constant(loss, trained.y, trained.weight, n_out), (len(y), 1))
    with np.errstate(all="ignore"):
        Z = predict_logits(net.astype(net.dtype), X, trained.transform)
        costs = loss(Z, y, weight)[0], loss(base, y, weight)[0]
        network, constant = (score_rows(task, loss.predictions(z), y) for z in (Z, base))
    counts = np.ones(len(y)) if weight is None else weight / weight.mean()
    unit = max(-float(constant.mean()), 1e-12) if task == "regression" else 1.0

    def difference(first: Array, second: Array) -> Difference:
        if task in ("binary", "multiclass") and weight is None:
            return paired_shares(first, second)
        return paired_means(counts * first / unit, counts * second / unit)

    rivals = []
    for phrase, baseline in baselines.items():
        A = baseline.predict(X)
        own, logits = score_rows(task, A, y), logits_of(task, A)
        both = difference(own, network), difference(own, constant)
        with np.errstate(all="ignore"):
            each = [counts * loss.per_example(z, y) / max(costs[1], 1e-12) for z in (Z, logits)]
            cost, saving = loss(logits, y, weight)[0], paired_means(*each)
        rivals.append(Rival(phrase, cost, float((counts * own).mean()), *both, saving))
    scores = (float((counts * some).mean()) for some in (network, constant))
    score, constant_score = scores
    over = difference(network, constant)
    return Comparison(costs[0], score, costs[1], constant_score, len(y), over, tuple(rivals))


def compare_neighbors(trained: Trained, Z: Array) -> Neighbors:
    """Compare the nearest other rows, the network with logits Z, and the best constant."""
    X, y, weight = trained[-3:]
    most = max(100, min(_MOST_COMPARED, _MOST_COMPARED_CELLS // X[0].size))
    few = evenly_spaced(len(X), most)
    F = prepare(X[few], trained.transform, np.float64).reshape(len(few), -1)
    Y = y[few] if y.ndim == 2 else np.eye(trained.net.n_out)[y[few]]
    weights = None if weight is None else weight[few]
    squares = np.square(F).sum(1)
    D = squares[:, None] + squares - 2 * F @ F.T
    np.fill_diagonal(D, np.inf)
    k = min(_NEIGHBORS, len(few) - 1)
    near = np.argpartition(D, k - 1, axis=1)[:, :k]
    network = trained.loss.predictions(Z[few])
    constant = np.tile(np.average(Y, axis=0, weights=weights), (len(few), 1))
    variance = max(float(np.square(Y - Y.mean(0)).mean()), 1e-12)

    def score(A: Array) -> float:
        mean = float(np.average(score_rows(trained.task, A, Y), weights=weights))
        return 1 + mean / variance if trained.task == "regression" else mean

    return Neighbors(score(Y[near].mean(axis=1)), score(network), score(constant), len(few))


def margin(rows: int) -> float:
    """Return three standard errors of an accuracy near one half."""
    return 3 * math.sqrt(0.25 / rows)


def fit_rivals(trained: Trained) -> Mapping[str, Baseline]:
    """Fit a regression to rows that have no baselines yet."""
    if trained.X.ndim != 2 or trained.X.shape[1] > _MOST_FITTED:
        return {}
    few = evenly_spaced(len(trained.X), _MOST_FITTED)
    task, X = trained.task, prepare(trained.X[few], trained.transform, np.float64)
    net = fit_regression(task, X, trained.y[few], trained.net.n_out)
    name = "linear regression" if task == "regression" else "logistic regression"
    return {name: RegressionBaseline(net, task, trained.transform)}


def best_constant(loss: Loss, y: Array, weight: Array | None, n_out: int) -> Array:
    """Return the constant logits of the lowest cost."""
    Y = y if y.ndim == 2 else np.eye(n_out)[y]
    mean = np.average(Y, axis=0, weights=weight)
    if isinstance(loss, BinaryCrossEntropy):
        s = loss.label_smoothing
        p = np.clip(mean * (1 - s) + s / 2, 1e-7, 1 - 1e-7)
        return np.asarray(np.log(p / (1 - p)))
    if isinstance(loss, SoftmaxCrossEntropy):
        s = loss.label_smoothing
        return np.asarray(np.log(np.clip(mean * (1 - s) + s / n_out, 1e-7, 1)))
    z = np.asarray(mean, np.float64)
    for _ in range(20):  # one step is exact for squares; Huber's cost bends at most half as much
        z = z - 0.5 * n_out * loss(np.tile(z, (len(y), 1)), y, weight)[1].sum(axis=0)
    return z
