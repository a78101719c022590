"""TrainingSnapshot: a network, its rows and its training, with measurements made on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.config import TrainConfig
from plainnet.diagnose.activations import Statistics, evenly_spaced, measure
from plainnet.diagnose.curvature import largest_curvature
from plainnet.diagnose.recorder import Recorder
from plainnet.engine.blas_threads import limited_threads
from plainnet.evaluate.baselines.one_rule import fit_rules
from plainnet.evaluate.checks import LEAK, LEAK_LEFT, LEAK_RANK
from plainnet.evaluate.duplicates import sample_rows
from plainnet.evaluate.feature_spans import FeatureSpan
from plainnet.formatting import percent
from plainnet.metrics.intervals import Difference, paired_means, paired_shares
from plainnet.metrics.scores import rank_correlation
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense
from plainnet.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, is_positive
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import SGD, Optimizer
from plainnet.train.batches import prepare
from plainnet.train.history import History
from plainnet.train.inputs import ClassWeight, with_class_weights

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

_NEIGHBORS = 5
_MOST_COMPARED = 1000  # rows that are compared with each other, and
_MOST_COMPARED_CELLS = 10**7  # their cells, which limits memory and time
_SAMPLE = 20_000  # rows that are measured
_LEAK_ROWS = 30  # fewer rows show no leak
MOST_COLUMNS = 2000  # more columns are pixels, which mean nothing alone


@final
class Neighbors(NamedTuple):
    """Accuracy, or R2 of a regression, on the training rows."""

    score: float  # of the mean target of the nearest other rows
    network: float
    constant: float  # of the best constant
    rows: int


@final
class HeldOut(NamedTuple):
    """Cost and score of the network and of the best constant on the held-out rows."""

    cost: float
    score: float
    constant_cost: float
    constant_score: float
    rows: int
    better: Difference  # in shares of rows or labels, or of the constant's squared error


@final
@dataclass(frozen=True, eq=False)
class TrainingSnapshot:
    """A network with its training rows and the record of its training.

    Measurements change nothing. Each is made once, on at most 20,000 evenly spaced rows.
    """

    net: Sequential
    loss: Loss
    X: Array
    y: ArrayLike
    transform: Transform | None = None
    class_weight: ClassWeight | None = None
    held_out: tuple[Array, ArrayLike] | None = None
    history: History | None = None
    optimizer: Optimizer | None = None
    l2: float = 0.0
    dropout: float = 0.0
    augment: Sequence[str] = ()
    recorder: Recorder | None = None
    feature_names: Sequence[str] = ()
    classes: Sequence[str] = ()
    columns: Sequence[FeatureSpan] = ()
    failure: str | None = None
    schema: "TableSchema | ImageSchema | None" = None

    @property
    def task(self) -> Literal["classes", "labels", "numbers"]:
        """Whether one class, several labels or numbers are predicted."""
        if isinstance(self.loss, BinaryCrossEntropy):
            return "classes" if self.net.n_out == 1 else "labels"
        return "classes" if isinstance(self.loss, SoftmaxCrossEntropy) else "numbers"

    @property
    def images(self) -> bool:
        """Whether the rows are pictures."""
        return self.X.ndim == 4

    @cached_property
    def channels(self) -> list[int]:
        """The output channels of each convolution; none of a flat network."""
        return [layer.n_out for layer in self.net.layers if isinstance(layer, Conv2D)]

    @property
    def smaller(self) -> str:
        """The option for a smaller network."""
        halves = (str(max(1, n // 2)) for n in self.channels)
        return f"--channels {' '.join(halves)}" if self.channels else "--hidden 4"

    @property
    def larger(self) -> str:
        """The option for a larger network: at least the default."""
        if not self.channels:
            return "--hidden 32 32"
        usual = TrainConfig.channels
        small = max(self.channels) < max(usual)
        return (
            f"--channels {' '.join(map(str, usual if small else [2 * n for n in self.channels]))}"
        )

    @property
    def more_variety(self) -> str:
        """The option for more random changes of the pictures of a convolutional network."""
        used = {"shift", "turn"} <= set(self.augment)
        return "" if used or not self.channels else "--augment shift turn, "

    @cached_property
    def targets(self) -> Array:
        """All training targets as the loss computes with them."""
        return self.loss.encode(self.y, self.net.n_out, self.net.dtype)

    @cached_property
    def labels(self) -> Array | None:
        """The class number of each training row, for a classification."""
        return _class_numbers(self.targets) if self.task == "classes" else None

    @cached_property
    def compared(self) -> tuple[Array, Array]:
        """The rows that are compared with each other, and their class numbers or targets."""
        X, y = np.asarray(self.X), self.targets if self.labels is None else self.labels
        [some] = sample_rows(X)
        return X[some], y[some]

    @cached_property
    def class_shares(self) -> Array:
        """The share of each class among the training rows."""
        assert self.labels is not None
        return np.bincount(self.labels, minlength=max(2, self.net.n_out)) / len(self.labels)

    def class_name(self, number: int) -> str:
        """Return the name of a class."""
        return str(self.classes[number]) if number < len(self.classes) else str(number)

    @cached_property
    def sample(self) -> tuple[Array, Array, Array | None]:
        """The rows that are measured: X, encoded y and weights."""
        X, y = np.asarray(self.X), self.targets
        weight = with_class_weights(None, self.loss, y, self.net.n_out, self.class_weight)
        few = evenly_spaced(len(y), _SAMPLE)
        return X[few], y[few], None if weight is None else weight[few]

    @cached_property
    def statistics(self) -> Statistics:
        """Activations and gradients of the network."""
        return self._measure(self.net, train=False)

    @cached_property
    def initial_statistics(self) -> Statistics:
        """Activations and gradients before the training; without a recorder, the present ones."""
        return self._measure(self.initial_net, train=True)

    def _measure(self, net: Sequential, train: bool) -> Statistics:
        with np.errstate(all="ignore"), limited_threads(1):
            return measure(net, self.loss, *self.sample, transform=self.transform, train=train)

    @cached_property
    def initial_net(self) -> Sequential:
        """A copy of the network with its initial weights, if they were recorded."""
        net = self.net.astype(self.net.dtype)
        if self.recorder is not None:
            net.params.theta[...] = self.recorder.initial_theta
        return net

    @cached_property
    def relative_change(self) -> float | None:
        """The distance of the trained parameters from the initial ones, relative to their norm."""
        if self.recorder is None:
            return None
        trained = self.net.params.trained
        initial = self.recorder.initial_theta[: trained.size]
        distance = float(np.linalg.norm(trained - initial))
        return distance / max(float(np.linalg.norm(initial)), 1e-12)

    @cached_property
    def cost(self) -> float:
        """The cost of the network."""
        _, y, weight = self.sample
        with np.errstate(all="ignore"):
            return self.loss(self.statistics.Z, y, weight)[0]

    @cached_property
    def constant(self) -> Array:
        """The best constant logits, for every row of the sample."""
        _, y, weight = self.sample
        return np.tile(best_constant(self.loss, y, weight, self.net.n_out), (len(y), 1))

    @cached_property
    def base_cost(self) -> float:
        """The cost of the best constant: for classes the entropy of their shares."""
        _, y, weight = self.sample
        return self.loss(self.constant, y, weight)[0]

    @cached_property
    def held_out_result(self) -> HeldOut | None:
        """Compare the network with the best constant on the held-out rows."""
        if self.held_out is None:
            return None
        X, given = self.held_out
        loss, y = self.loss, self.loss.encode(given, self.net.n_out, self.net.dtype)
        base = np.tile(best_constant(loss, self.sample[1], None, self.net.n_out), (len(y), 1))
        with np.errstate(all="ignore"):
            Z = self.net.astype(self.net.dtype).predict_logits(X, transform=self.transform)
            cost = loss(Z, y)[0]
            network, constant = (self._row_scores(loss.predictions(z), y) for z in (Z, base))
        if self.task == "classes":
            better = paired_shares(network, constant)
        else:
            unit = max(-float(constant.mean()), 1e-12) if self.task == "numbers" else 1.0
            better = paired_means(network / unit, constant / unit)
        return HeldOut(
            cost, loss.metric(Z, y), loss(base, y)[0], loss.metric(base, y), len(y), better
        )

    def _row_scores(self, A: Array, y: Array) -> Array:
        """Return per row whether it is right, its share of right labels, or minus its error."""
        if self.task == "numbers":
            return np.asarray(-np.square(np.subtract(A, y, dtype=np.float64)).mean(axis=1))
        if self.task == "labels":
            return np.asarray((is_positive(A) == (y > 0.5)).mean(axis=1))
        return np.asarray(predicted_classes(A) == _class_numbers(y))

    @cached_property
    def stable_lr(self) -> float | None:
        """The largest learning rate at which gradient descent is stable at the end."""
        return self._stable_lr(self.net)

    @cached_property
    def initial_stable_lr(self) -> float | None:
        """The largest learning rate at which gradient descent is stable at the start."""
        return self._stable_lr(self.initial_net)

    def _stable_lr(self, net: Sequential) -> float | None:
        rows = min(256, max(32, 3 * 10**7 // net.params.grad.size), net.batch_rows)
        with limited_threads(1):
            h = largest_curvature(net, self.loss, *self.sample, transform=self.transform, rows=rows)
        momentum = self.optimizer.momentum if isinstance(self.optimizer, SGD) else 0.0
        return 2 * (1 + momentum) / h if h > 0 else None

    @property
    def lr(self) -> float | None:
        """The highest learning rate of the training."""
        if self.history is not None and self.history.lr:
            return max(self.history.lr)
        return None if self.optimizer is None else self.optimizer.current_lr

    @cached_property
    def weight_size(self) -> float:
        """The largest root mean square of a layer's initial weights, at least that of LeCun's."""
        layers = self.initial_net.layers
        weights = [layer.W for layer in layers if isinstance(layer, Dense | Conv2D)]
        sizes = (max(float(np.square(W).mean()), 1 / W[0].size) ** 0.5 for W in weights)
        return max(sizes, default=1.0)

    @property
    def _lowest_stable_lr(self) -> float:
        return min(self.initial_stable_lr or np.inf, self.stable_lr or np.inf)

    @property
    def lr_too_high(self) -> bool:
        """Whether gradient descent is unstable, or adaptive updates are half of the weights."""
        if self.lr is None or self.optimizer is None:
            return False
        if isinstance(self.optimizer, SGD):
            return self.lr > self._lowest_stable_lr
        return self.lr > 0.5 * self.weight_size

    @property
    def lower_lr(self) -> float:
        """A learning rate to try where the present one is too high."""
        lr = self.lr or 0.1
        if isinstance(self.optimizer, SGD):
            return min(lr, self._lowest_stable_lr) / 2
        return min(lr / 10, self.weight_size / 50)

    @cached_property
    def leaked_column(self) -> tuple[str, str] | None:
        """The column that alone predicts the target, and the evidence."""
        X, y = self.compared
        X, n = X.reshape(len(X), -1), X[0].size
        if len(X) < _LEAK_ROWS or n > MOST_COLUMNS or self.images:
            return None
        columns = self.columns or [
            FeatureSpan(name_of(self.feature_names, i), "number", i, i + 1) for i in range(n)
        ]
        if self.labels is None:
            if y.shape[1] > 1:
                return None
            numbers = [column for column in columns if column.kind == "number"]
            ranks = [(rank_correlation(X[:, c.start], y[:, 0]), c.name) for c in numbers]
            r, name = max(ranks, default=(0.0, ""), key=lambda pair: abs(pair[0]))
            return (name, f"their rank correlation is {r:.5f}") if abs(r) >= LEAK_RANK else None
        wrong = LEAK_LEFT * (1 - float(self.class_shares.max()))
        rules = fit_rules(columns, X, y.astype(np.int64), len(self.class_shares))
        leaks = [(r, rule.span.name) for r, rule in rules if r >= LEAK and 1 - r <= wrong]
        if not leaks:
            return None
        right, name = max(leaks)
        return name, f"alone it predicts {percent(right)} of the training rows correctly"

    @cached_property
    def neighbors(self) -> Neighbors:
        """Compare the nearest other rows, the network and the best constant as predictors."""
        X, y, _ = self.sample
        most = max(100, min(_MOST_COMPARED, _MOST_COMPARED_CELLS // X[0].size))
        few = evenly_spaced(len(X), most)
        F = prepare(X[few], self.transform, np.float64).reshape(len(few), -1)
        Y = y[few] if y.ndim == 2 else np.eye(self.net.n_out)[y[few]]
        squares = np.square(F).sum(1)
        D = squares[:, None] + squares - 2 * F @ F.T
        np.fill_diagonal(D, np.inf)
        k = min(_NEIGHBORS, len(few) - 1)
        near = np.argpartition(D, k - 1, axis=1)[:, :k]
        network = self.loss.predictions(self.statistics.Z[few])
        constant = np.tile(Y.mean(axis=0), (len(few), 1))
        variance = max(float(np.square(Y - Y.mean(0)).mean()), 1e-12)

        def score(A: Array) -> float:
            mean = float(self._row_scores(A, Y).mean())
            return 1 + mean / variance if self.task == "numbers" else mean

        return Neighbors(score(Y[near].mean(axis=1)), score(network), score(constant), len(few))


def predicted_classes(A: Array) -> Array:
    """Return the class number that each row of probabilities predicts."""
    return A.argmax(axis=1) if A.shape[1] > 1 else is_positive(A[:, 0]).astype(np.int64)


def _class_numbers(y: Array) -> Array:
    """Return the class number of each encoded target of a classification."""
    if y.ndim == 1:
        return y
    return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.int64)


def name_of(names: Sequence[str], i: int) -> str:
    """Return the name of a column, or its number."""
    return str(names[i]) if i < len(names) else f"column {i}"


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
