"""TrainingSnapshot: a network, its rows and its training, with measurements made on demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.config import Config
from plainnet.diagnose.activations import Statistics, evenly_spaced, measure
from plainnet.diagnose.advice import config_of
from plainnet.diagnose.comparisons import (
    Comparison,
    Neighbors,
    Trained,
    best_constant,
    compare,
    compare_neighbors,
    fit_rivals,
    margin,
)
from plainnet.diagnose.curvature import largest_curvature
from plainnet.diagnose.recorder import Recorder
from plainnet.engine.blas_threads import limited_threads
from plainnet.evaluate.baselines.baseline import Baseline
from plainnet.evaluate.baselines.one_rule import fit_rules
from plainnet.evaluate.checks import LEAK, LEAK_LEFT, LEAK_RANK
from plainnet.evaluate.duplicates import sample_rows
from plainnet.evaluate.evaluate import true_classes
from plainnet.evaluate.feature_spans import FeatureSpan
from plainnet.formatting import percent
from plainnet.metrics.scores import rank_correlation
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense
from plainnet.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import SGD, Optimizer
from plainnet.train.history import History
from plainnet.train.inputs import with_class_weights

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema

AT_BASE = 0.98  # share of the base cost from which nothing was learned
_MORE_RIGHT = 0.05  # accuracy above that of a constant: something was learned
_COMPARED = 5000  # training rows on which baselines are compared
_MEMORIZED = 0.5  # held-out cost above the training cost, in shares of the base cost
_SIGNAL = 0.05  # accuracy of the nearest rows above a constant
_CHANCE = 0.01  # p of a baseline that predicts no better than a constant
_PREDICTED = 0.95  # cost of a baseline that predicts, relative to a constant
EXTREME = 0.005  # share of the rows with the most extreme targets
_RUINED = 0.03  # stable learning rate at the end, relative to the start
_SAMPLE = 20_000  # rows that are measured
_LEAK_ROWS = 30  # fewer rows show no leak
MOST_COLUMNS = 2000  # more columns are pixels, which mean nothing alone


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
    config: Config | None = None  # None: what net and optimizer show
    held_out: tuple[Array, ArrayLike] | None = None
    m: int | None = None  # rows to learn from, where X is a sample
    history: History | None = None
    optimizer: Optimizer | None = None
    recorder: Recorder | None = None
    baselines: Mapping[str, Baseline] | None = None  # by a phrase; None: a regression is fitted
    feature_names: Sequence[str] = ()
    classes: Sequence[str] = ()
    columns: Sequence[FeatureSpan] = ()
    failure: str | None = None
    schema: "TableSchema | ImageSchema | None" = None

    @cached_property
    def options(self) -> Config:
        """The options of the training."""
        return config_of(self.net, self.optimizer) if self.config is None else self.config

    @property
    def task(self) -> str:
        """The task as a target names it."""
        if isinstance(self.loss, BinaryCrossEntropy):
            return "binary" if self.net.n_out == 1 else "multilabel"
        return "multiclass" if isinstance(self.loss, SoftmaxCrossEntropy) else "regression"

    @property
    def images(self) -> bool:
        """Whether the rows are pictures."""
        return self.X.ndim == 4

    @cached_property
    def channels(self) -> list[int]:
        """The output channels of each convolution; none of a flat network."""
        return [layer.n_out for layer in self.net.layers if isinstance(layer, Conv2D)]

    @cached_property
    def targets(self) -> Array:
        """All training targets as the loss computes with them."""
        return self.loss.encode(self.y, self.net.n_out, self.net.dtype)

    @cached_property
    def labels(self) -> Array | None:
        """The class number of each training row, for a classification."""
        return true_classes(self.targets) if self.task in ("binary", "multiclass") else None

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
        weight = with_class_weights(None, self.loss, y, self.net.n_out, self.options.class_weight)
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

    @property
    def has_learned(self) -> bool:
        """Whether the cost or the accuracy is better than that of a constant prediction."""
        if self.base_cost <= 0 or self.cost < AT_BASE * self.base_cost:
            return True
        if self.task == "regression" or self.options.class_weight is not None:
            return False
        _, y, _ = self.sample
        metric = self.loss.metric  # few mistakes, of high confidence, may cost more
        return metric(self.statistics.Z, y) > metric(self.constant, y) + _MORE_RIGHT

    @cached_property
    def rivals(self) -> Mapping[str, Baseline]:
        """The baselines without the constant, by a phrase for each."""
        return fit_rivals(self._trained) if self.baselines is None else self.baselines

    @property
    def _trained(self) -> Trained:
        weight, sample = self.options.class_weight, self.sample
        return Trained(self.net, self.loss, self.task, self.transform, weight, *sample)

    @cached_property
    def on_held_out(self) -> Comparison | None:
        """The network, the best constant and the baselines on the held-out rows."""
        return self.held_out and compare(self._trained, self.rivals, *self.held_out)

    @cached_property
    def on_training(self) -> Comparison:
        """The same on at most 5,000 training rows."""
        few = evenly_spaced(len(self.X), _COMPARED)
        X, y = np.asarray(self.X)[few], np.asarray(self.y)[few]
        return compare(self._trained, self.rivals, X, y)

    @property
    def memorized(self) -> bool:
        """Whether held-out rows cost much more than training rows."""
        held_out = self.on_held_out
        return held_out is not None and held_out.cost > self.cost + _MEMORIZED * self.base_cost

    @property
    def has_signal(self) -> bool:
        """Whether a column, a baseline or the nearest other rows predict the target."""
        near, held_out = self.neighbors, self.on_held_out
        if near.score > near.constant + max(margin(near.rows), _SIGNAL) or self.leaked_column:
            return True
        return held_out is not None and any(
            (rival.over_constant.value > 0 and rival.over_constant.p < _CHANCE)
            or rival.cost < _PREDICTED * held_out.constant_cost
            for rival in held_out.rivals
        )

    @cached_property
    def target_outliers(self) -> float:
        """The share of the most extreme rows in the variance of the target of a regression."""
        if self.task != "regression":
            return 0.0
        squares = np.sort(np.square(self.targets - self.targets.mean(axis=0)).sum(axis=1))
        few = max(1, round(EXTREME * len(squares)))
        return float(squares[-few:].sum() / max(squares.sum(), 1e-30))

    @cached_property
    def neighbors(self) -> Neighbors:
        """The nearest other rows, the network and the best constant as predictors."""
        return compare_neighbors(self._trained, self.statistics.Z)

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
    def largest_stable_lr(self) -> float:
        """The largest stable learning rate; unstable steps lead to an end of other curvature."""
        start, end = self.initial_stable_lr or np.inf, self.stable_lr or np.inf
        unstable = (self.lr or 0) > start or not self.cost < self.base_cost
        return start if unstable or end < _RUINED * start else min(start, end)

    @property
    def lr_too_high(self) -> bool:
        """Whether gradient descent is unstable, or adaptive updates are half of the weights."""
        if self.lr is None or self.optimizer is None:
            return False
        if isinstance(self.optimizer, SGD):
            return self.lr > self.largest_stable_lr
        return self.lr > 0.5 * self.weight_size

    @property
    def spans(self) -> Sequence[FeatureSpan]:
        """The columns; of rows without a schema, one for each feature."""
        names = [name_of(self.feature_names, i) for i in range(self.X[0].size)]
        every = (FeatureSpan(name, "number", i, i + 1) for i, name in enumerate(names))
        return self.columns or list(every)

    @cached_property
    def leaked_column(self) -> tuple[str, str] | None:
        """The column that alone predicts the target, and the evidence."""
        X, y = self.compared
        X, n = X.reshape(len(X), -1), X[0].size
        if len(X) < _LEAK_ROWS or n > MOST_COLUMNS or self.images:
            return None
        if self.labels is None:
            if y.shape[1] > 1:
                return None
            numbers = [column for column in self.spans if column.kind == "number"]
            ranks = [(rank_correlation(X[:, c.start], y[:, 0]), c.name) for c in numbers]
            r, name = max(ranks, default=(0.0, ""), key=lambda pair: abs(pair[0]))
            return (name, f"their rank correlation is {r:.5f}") if abs(r) >= LEAK_RANK else None
        wrong = LEAK_LEFT * (1 - float(self.class_shares.max()))
        rules = fit_rules(self.spans, X, y.astype(np.int64), len(self.class_shares))
        leaks = [(r, rule.span.name) for r, rule in rules if r >= LEAK and 1 - r <= wrong]
        if not leaks:
            return None
        right, name = max(leaks)
        return name, f"alone it predicts {percent(right)} of the training rows correctly"


def name_of(names: Sequence[str], i: int) -> str:
    """Return the name of a column, or its number."""
    return str(names[i]) if i < len(names) else f"column {i}"
