"""TrainingSnapshot: a network, its rows and its training, with measurements of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.diagnose.activations import Activity, measure, spaced
from plainnet.diagnose.curvature import largest_curvature
from plainnet.diagnose.recorder import Recorder
from plainnet.engine.blas_threads import limited_threads
from plainnet.evaluate.one_rule import FeatureSpan
from plainnet.metrics.intervals import Difference, paired_means, paired_shares
from plainnet.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, is_positive
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import SGD, Optimizer
from plainnet.train.batches import ready
from plainnet.train.history import History
from plainnet.train.inputs import ClassWeight, with_class_weights

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

_NEIGHBOURS = 5
_COMPARED = 10**7  # numbers of the rows that are compared with each other, and
_MOST = 1000  # rows at most
_LOOKED_AT = 20_000  # rows that are measured


@final
class Neighbors(NamedTuple):
    """What the nearest other rows know of a row's target, and what the network does."""

    score: float
    network: float  # the same of the network on the same rows
    constant: float  # the same of the best constant answer
    rows: int  # how many rows were compared


@final
@dataclass(frozen=True, eq=False)
class TrainingSnapshot:
    """A network with the rows that it learns from, and what is known of its training.

    Nothing of it is changed. What the checks ask for is measured once, when it is first asked for;
    of more than 20,000 rows so many, evenly spread.
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
    probe: Recorder | None = None
    names: Sequence[str] = ()
    classes: Sequence[str] = ()
    columns: Sequence[FeatureSpan] = ()
    failure: str | None = None
    schema: "TableSchema | ImageSchema | None" = None

    @cached_property
    def targets(self) -> Array:
        """All training targets as the loss computes with them."""
        return self.loss.encode(self.y, self.net.n_out, self.net.dtype)

    @cached_property
    def _looked_at(self) -> Array:
        return spaced(len(self.X), _LOOKED_AT)

    @cached_property
    def rows(self) -> tuple[Array, Array, Array | None]:
        """The rows that are measured: X, encoded y and weights."""
        few, y = self._looked_at, self.targets
        w = with_class_weights(None, self.loss, y, self.net.n_out, self.class_weight)
        if len(few) == len(y):
            return np.asarray(self.X), y, w
        return np.asarray(self.X)[few], y[few], None if w is None else w[few]

    @cached_property
    def activity(self) -> Activity:
        """What the network does with the rows as it is now."""
        return self._measured(self.net, train=False)

    @cached_property
    def first_activity(self) -> Activity:
        """What it did before the training; as it is now, where nothing was noted then."""
        return self._measured(self.first_net, train=True)

    def _measured(self, net: Sequential, train: bool) -> Activity:
        X, y, weight = self.rows
        with np.errstate(all="ignore"), limited_threads(1):
            return measure(
                net, self.loss, X, y, weight=weight, transform=self.transform, train=train
            )

    @cached_property
    def first_net(self) -> Sequential:
        """A copy of the network with its first weights, if they were noted."""
        net = self.net.astype(self.net.dtype)
        if self.probe is not None:
            net.params.theta[...] = self.probe.start
        return net

    @cached_property
    def moved(self) -> float | None:
        """How far the parameters went, as a share of their first norm."""
        if self.probe is None:
            return None
        way = float(np.linalg.norm(self.net.params.theta - self.probe.start))
        return way / max(float(np.linalg.norm(self.probe.start)), 1e-12)

    @cached_property
    def cost(self) -> float:
        """The cost of the network on the rows."""
        _, y, weight = self.rows
        with np.errstate(all="ignore"):
            return self.loss(self.activity.Z, y, weight)[0]

    @cached_property
    def constant(self) -> Array:
        """The logits of the best answer that is the same for every row."""
        _, y, weight = self.rows
        return best_constant(self.loss, y, weight, self.net.n_out)

    @cached_property
    def base(self) -> float:
        """The cost of that answer: for classes the entropy of their shares."""
        _, y, weight = self.rows
        return self._constant_cost(y, weight)

    def _constant_cost(self, y: Array, weight: Array | None) -> float:
        return self.loss(np.tile(self.constant, (len(y), 1)), y, weight)[0]

    @cached_property
    def _held_out(self) -> tuple[Array, Array, Array] | None:
        """Logits of the network and of the constant for held-out rows, and encoded targets."""
        if self.held_out is None:
            return None
        X, given = self.held_out
        y = self.loss.encode(given, self.net.n_out, self.net.dtype)
        constant = best_constant(self.loss, self.rows[1], None, self.net.n_out)
        with np.errstate(all="ignore"):
            Z = self.net.astype(self.net.dtype).predict_logits(X, transform=self.transform)
        return Z, np.tile(constant, (len(y), 1)), y

    @cached_property
    def held_out_figures(self) -> tuple[float, float, float, float, int] | None:
        """Cost and score of the network, then of the constant, on held-out rows; and how many."""
        if self._held_out is None:
            return None
        Z, constant, y = self._held_out
        score = self.loss.metric
        with np.errstate(all="ignore"):
            cost = self.loss(Z, y)[0]
        return cost, score(Z, y), self.loss(constant, y)[0], score(constant, y), len(y)

    @cached_property
    def held_out_difference(self) -> Difference | None:
        """How much better the network is than the constant on held-out rows, with its interval.

        In shares of the rows, of the labels, or of the constant's squared error.
        """
        if self._held_out is None:
            return None
        Z, constant, y = self._held_out
        with np.errstate(all="ignore"):
            own, same = (self._points(self.loss.predictions(some), y) for some in (Z, constant))
        if self.task == "classes":
            return paired_shares(own, same)
        unit = max(-float(same.mean()), 1e-12) if self.task == "numbers" else 1.0
        return paired_means(own / unit, same / unit)

    def _points(self, A: Array, y: Array) -> Array:
        """What each row counts, the more the better."""
        if self.task == "numbers":
            error = np.asarray(A - y.reshape(A.shape), np.float64)
            return np.asarray(-np.square(error).mean(axis=1))
        if A.shape[1] == 1 or self.task == "labels":
            return np.asarray((is_positive(A) == (y.reshape(A.shape) > 0.5)).mean(axis=1))
        return np.asarray(A.argmax(axis=1) == (y if y.ndim == 1 else y.argmax(axis=1)))

    @cached_property
    def stable_step(self) -> float | None:
        """The largest learning rate at which gradient descent does not diverge, where it is now."""
        return self._stable(self.net)

    @cached_property
    def first_stable_step(self) -> float | None:
        """The same where the training began."""
        return self._stable(self.first_net)

    def _stable(self, net: Sequential) -> float | None:
        X, y, weight = self.rows
        rows = min(256, max(32, 3 * 10**7 // net.params.grad.size))
        with limited_threads(1):
            h = largest_curvature(
                net, self.loss, X, y, weight=weight, transform=self.transform, rows=rows
            )
        momentum = self.optimizer.momentum if isinstance(self.optimizer, SGD) else 0.0
        return 2 * (1 + momentum) / h if h > 0 else None

    @property
    def rate(self) -> float | None:
        """The highest learning rate of the training."""
        if self.history is not None and self.history.lr:
            return max(self.history.lr)
        return None if self.optimizer is None else self.optimizer.rate

    @property
    def task(self) -> Literal["classes", "labels", "numbers"]:
        """What is predicted: one class, several labels, or numbers."""
        if isinstance(self.loss, BinaryCrossEntropy):
            return "classes" if self.net.n_out == 1 else "labels"
        return "classes" if isinstance(self.loss, SoftmaxCrossEntropy) else "numbers"

    @cached_property
    def labels(self) -> Array | None:
        """The class number of each training row, where each has one."""
        y = self.targets
        if self.task != "classes":
            return None
        if y.ndim == 1:
            return y
        return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.int64)

    @cached_property
    def shares(self) -> Array:
        """The share of each class among the training rows."""
        assert self.labels is not None
        return np.bincount(self.labels, minlength=max(2, self.net.n_out)) / len(self.labels)

    def class_name(self, number: int) -> str:
        """Return what a class is called."""
        return str(self.classes[number]) if number < len(self.classes) else str(number)

    @cached_property
    def neighbors(self) -> Neighbors:
        """What the nearest other rows would answer, and what the network answers."""
        X, y, _ = self.rows
        wide = int(np.prod(X.shape[1:]))
        few = spaced(len(X), max(100, min(_MOST, _COMPARED // wide)))
        F = ready(X[few], self.transform, np.float64).reshape(len(few), -1)
        Y = y[few] if y.ndim == 2 else np.eye(self.net.n_out)[y[few]]
        squares = np.square(F).sum(1)
        D = squares[:, None] + squares - 2 * F @ F.T
        np.fill_diagonal(D, np.inf)
        k = min(_NEIGHBOURS, len(few) - 1)
        near = np.argpartition(D, k - 1, axis=1)[:, :k]
        said, own = Y[near].mean(axis=1), self.loss.predictions(self.activity.Z[few])
        constant = np.tile(Y.mean(axis=0), (len(few), 1))
        a, b, c = (self._right(A, Y) for A in (said, own, constant))
        return Neighbors(a, b, c, len(few))

    def _right(self, A: Array, Y: Array) -> float:
        """Accuracy, or of numbers the share of the variance explained."""
        if self.task == "numbers":
            return 1 - float(np.square(A - Y).sum() / max(np.square(Y - Y.mean(0)).sum(), 1e-12))
        if Y.shape[1] == 1 or self.task == "labels":
            return float(np.mean(is_positive(A) == (Y > 0.5)))
        return float(np.mean(A.argmax(1) == Y.argmax(1)))


def best_constant(loss: Loss, y: Array, weight: Array | None, n_out: int) -> Array:
    """Return the logits of the answer of lowest cost that is the same for every row."""
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
