"""Baselines: simple predictions, learned from the training rows and stored with the model.

From the simplest: always the same prediction, the best rule of one column, for pictures logistic
regression on color statistics, and logistic or linear regression.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.engine.blas_threads import blas_threads, limited_threads
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.evaluate.baselines.colors import COLOR_NAMES, color_statistics
from plainnet.evaluate.baselines.one_rule import Rule, fit_rules
from plainnet.evaluate.baselines.regression import fit_regression
from plainnet.evaluate.duplicates import MOST_ROWS
from plainnet.evaluate.feature_spans import FeatureSpan, feature_spans
from plainnet.model import Model
from plainnet.nn.losses import is_positive, losses_for
from plainnet.nn.network import Sequential, Transform, mlp
from plainnet.nn.parameters import Array
from plainnet.storage.json_reader import JsonReader, damaged

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples
    from plainnet.data.images import ImageSchema
    from plainnet.data.targets import Target
    from plainnet.evaluate.feature_spans import Schema

_PREFIX = "baseline."  # of their arrays in a model file


class Baseline(ABC):
    """A fitted baseline."""

    name: str  # constant, column, colors, regression or boosting

    @abstractmethod
    def predict(self, X: Array) -> Array:
        """Return (m, n_out) probabilities or standardized numbers, as a network does."""

    @abstractmethod
    def describe(self, target: "Target") -> tuple[str, str]:
        """Return a short name, and a phrase for use within a sentence."""


class StoredBaseline(Baseline):
    """A baseline that a model file holds."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return all but the weights of a regression as JSON values."""


@final
class ConstantBaseline(StoredBaseline):
    """Always the same prediction: the mean of the training targets."""

    name = "constant"

    def __init__(self, mean: Array) -> None:
        self.mean = np.asarray(mean, np.float64)

    def predict(self, X: Array) -> Array:
        """Return the mean for each row."""
        return np.tile(self.mean, (len(X), 1))

    def describe(self, target: "Target") -> tuple[str, str]:
        """Name the prediction."""
        name = "always the mean" if target.task == "regression" else "always the same"
        if target.task == "binary":
            name = f"always {target.classes[int(is_positive(self.mean[0]))]}"
        elif target.task == "multiclass":
            name = f"always {target.classes[int(self.mean.argmax())]}"
        return name, name

    def to_json(self) -> dict[str, Any]:
        """Return the mean."""
        return {"kind": self.name, "mean": self.mean.tolist()}


@final
class OneRuleBaseline(StoredBaseline):
    """The rule of the best column or color statistic; for several labels, one for each."""

    name = "column"

    def __init__(self, rules: Sequence[Rule], task: str, images: bool) -> None:
        self.rules, self.task, self.images = tuple(rules), task, images

    def predict(self, X: Array) -> Array:
        """Return the probabilities of the rules."""
        F = color_statistics(X) if self.images else X
        if self.task == "multiclass":
            return self.rules[0].predict(F)
        return np.column_stack([rule.predict(F)[:, 1] for rule in self.rules])

    def describe(self, target: "Target") -> tuple[str, str]:
        """Name the column and its kind."""
        if len(self.rules) > 1:
            return "one column for each label", "the best column for each label"
        span = self.rules[0].span
        kinds = {"yesno": "Yes/No column", "category": "column", "number": "column of numbers"}
        kind = "one number" if self.images else f"a single {kinds.get(span.kind, 'column')}"
        if span.kind == "indicator":
            kind = "a single column of missing cells"
        return f"{span.name} alone", f"{kind}, {span.name!r}"

    def to_json(self) -> dict[str, Any]:
        """Return the rules."""
        return {"kind": self.name, "rules": [rule.to_json() for rule in self.rules]}


@final
class RegressionBaseline(StoredBaseline):
    """Logistic or linear regression, of the features of a network or of color statistics."""

    def __init__(self, net: Sequential, task: str, transform: Transform | None) -> None:
        self.net, self.task, self._transform = net, task, transform
        self.name = "colors" if transform is color_statistics else "regression"

    def predict(self, X: Array) -> Array:
        """Return the predictions of the network without hidden layers."""
        with limited_threads(blas_threads(self.net, 256, train=False)):
            Z = self.net.predict_logits(X, transform=self._transform)
        return losses_for(self.task)[0]().predictions(Z)

    def describe(self, target: "Target") -> tuple[str, str]:
        """Name the regression and its inputs."""
        if self.name == "colors":
            n = self.net.in_shape[0]
            of, word = ("color", "seven") if n > 2 else ("brightness", "two")
            return f"{n} numbers of {of}", f"{word} numbers of {of} with logistic regression"
        name = "linear regression" if self.task == "regression" else "logistic regression"
        return name, name

    def to_json(self) -> dict[str, Any]:
        """Return the kind of regression."""
        return {"kind": self.name}


def fit_baselines(schema: "Schema", target: "Target", train: "Examples") -> list[StoredBaseline]:
    """Fit all baselines of a task to the training rows, or to a sample drawn with a fixed seed."""
    (X, y), task, n_out = train, target.task, target.n_out
    images = _image_schema(schema)
    baselines: list[StoredBaseline] = [ConstantBaseline(mean_target(task, y, n_out))]
    if len(X) > MOST_ROWS:
        some = np.random.default_rng(0).choice(len(X), MOST_ROWS, replace=False, shuffle=False)
        X, y = X[np.sort(some)], y[np.sort(some)]
    with limited_threads(1):
        F = X if images is None else color_statistics(X)
        if task != "regression":
            spans = feature_spans(schema)
            if images is not None:
                names = enumerate(COLOR_NAMES[images.channels])
                spans = tuple(FeatureSpan(name, "number", i, i + 1) for i, name in names)
            n_classes = n_out if task == "multiclass" else 2
            labels = y.T if task == "multilabel" else [y]
            rules = [fit_rules(spans, F, one.astype(np.int64), n_classes) for one in labels]
            best = [max(some, key=lambda rule: rule[0])[1] for some in rules]
            baselines.append(OneRuleBaseline(best, task, images is not None))
        if images is None:
            return [*baselines, RegressionBaseline(fit_regression(task, X, y, n_out), task, None)]
        colors = RegressionBaseline(fit_regression(task, F, y, n_out), task, color_statistics)
        if images.unscaled:
            net = _fit_unscaled(task, X, y, n_out)
        else:
            net = fit_regression(task, X, y, n_out, images.transform)
        return [*baselines, colors, RegressionBaseline(net, task, images.transform)]


def mean_target(task: str, y: ArrayLike, n_out: int) -> NDArray[np.float64]:
    """Return the mean of the targets, or the shares of classes: the best constant."""
    y = np.asarray(y)
    if task == "multiclass":
        return np.bincount(y.astype(np.int64), minlength=n_out) / len(y)
    return np.asarray(y.reshape(len(y), n_out).mean(axis=0, dtype=np.float64))


def _fit_unscaled(task: str, X: Array, y: Array, n_out: int) -> Sequential:
    """Fit to standardized pixels, which is easier, and convert the weights to raw bytes."""
    from plainnet.data.images import ImageSchema

    scaled = ImageSchema.fit(X)
    net = fit_regression(task, X, y, n_out, scaled.transform)
    W, b = net.params.views["dense1.W"], net.params.views["dense1.b"]
    mean, std = (np.tile(some, W.shape[1] // len(some)) for some in (scaled.mean, scaled.std))
    W /= std
    b -= W @ mean
    return net


def store_baselines(baselines: Sequence[StoredBaseline], model: Model) -> None:
    """Store fitted baselines in the record and the extra arrays of a model."""
    model.record["baselines"] = [one.to_json() for one in baselines]
    extras = {name: a for name, a in model.extras.items() if not name.startswith(_PREFIX)}
    for one in baselines:
        if isinstance(one, RegressionBaseline):
            views = one.net.params.views
            extras |= {f"{_PREFIX}{one.name}.{name}": a for name, a in views.items()}
    model.extras = extras


def stored_baselines(model: Model) -> list[StoredBaseline]:
    """Return the baselines that a model was stored with."""
    if "baselines" not in model.record:
        return []
    fields = JsonReader(model.record, "the training record")
    baselines = [_read(one, model) for one in fields.objects("baselines", "baseline")]
    if len({one.name for one in baselines}) < len(baselines):
        raise damaged("a baseline occurs twice")
    return baselines


def _read(fields: JsonReader, model: Model) -> StoredBaseline:
    """Read a baseline and check that it fits the model."""
    task, n_out, images = model.target.task, model.target.n_out, _image_schema(model.schema)
    kind = fields.text("kind", ("constant", "column", "colors", "regression"))
    n_colors = len(COLOR_NAMES[images.channels]) if images else 0
    if kind == "constant":
        mean = fields.numbers("mean")
        if len(mean) == n_out:
            return ConstantBaseline(np.array(mean))
    elif kind == "column" and task != "regression":
        n_classes = n_out if task == "multiclass" else 2
        width = n_colors or model.schema.n_features
        rules = [Rule.from_json(one, width, n_classes) for one in fields.objects("rules", "rule")]
        if len(rules) == (n_out if task == "multilabel" else 1):
            return OneRuleBaseline(rules, task, images is not None)
    elif kind == "regression":
        net = _read_net(model, kind, model.schema.n_features)
        return RegressionBaseline(net, task, None if images is None else images.transform)
    elif kind == "colors" and images is not None:
        return RegressionBaseline(_read_net(model, kind, n_colors), task, color_statistics)
    raise damaged(f"{fields.where} does not fit the model")


def _read_net(model: Model, kind: str, n_in: int) -> Sequential:
    prefix = f"{_PREFIX}{kind}."
    arrays = {n.removeprefix(prefix): a for n, a in model.extras.items() if n.startswith(prefix)}
    config = mlp(1, (), model.target.n_out).config() | {"in_shape": [n_in]}
    try:
        return Sequential.from_config(config, arrays)
    except PlainnetError as error:
        raise ModelFileError(f"the model's baseline {prefix!r} cannot be used: {error}") from None


def _image_schema(schema: "Schema") -> "ImageSchema | None":
    from plainnet.data.images import ImageSchema

    return schema if isinstance(schema, ImageSchema) else None
