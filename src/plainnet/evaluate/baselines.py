"""What one gets without a network: the simple answers that a network has to beat.

They are learned from the training rows alone, at training time, and stored with the model, so that
they can be asked about any rows later on. From the simplest: always the same answer, the best rule
of one column, for pictures seven numbers of color, and logistic or linear regression.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.engine.blas_threads import blas_threads, limited_threads
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.evaluate.image_hash import color_summary
from plainnet.evaluate.linear_baseline import fit_regression
from plainnet.evaluate.one_rule import Rule, feature_spans, fit_rules
from plainnet.metrics.scores import evaluate
from plainnet.model import Model
from plainnet.nn.losses import is_positive, losses_for
from plainnet.nn.network import Sequential, mlp
from plainnet.storage.json_reader import JsonReader

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target

Array = NDArray[Any]
PREFIX = "baseline."  # of their arrays in a model file


def majority(y_train: ArrayLike, n_classes: int) -> int:
    """Return the most frequent class; the first of them when several are."""
    return int(np.bincount(np.asarray(y_train, np.int64), minlength=n_classes).argmax())


def constant_prediction(task: str, y_train: ArrayLike, n_out: int) -> NDArray[np.float64]:
    """Return the best answer that is the same for every row: the mean of the training targets.

    For classes the mean is their share of the training rows, so that the most frequent one is
    predicted; no other constant has a lower cross-entropy on those rows, and for numbers none has
    a lower squared error.
    """
    y = np.asarray(y_train)
    if task == "multiclass":
        return np.bincount(y.astype(np.int64), minlength=n_out) / len(y)
    mean: NDArray[np.float64] = y.reshape(len(y), n_out).mean(axis=0, dtype=np.float64)
    return mean


def baseline(task: str, y_train: ArrayLike, y_true: ArrayLike, n_out: int) -> dict[str, Any]:
    """Evaluate the constant prediction, learned from training rows, on other rows."""
    y = np.asarray(y_true)
    A = np.tile(constant_prediction(task, y_train, n_out), (len(y), 1))
    return evaluate(task, y, A)


class Baseline(ABC):
    """A fitted simple answer."""

    name: str  # A short fixed name, for programs and tests: constant, column, colors, regression

    @abstractmethod
    def outputs(self, X: Array) -> Array:
        """Return what a network would: (m, n_out) probabilities, or standardized numbers."""

    @abstractmethod
    def describe(self, target: "Target") -> str:
        """Name the baseline in a few words."""

    @abstractmethod
    def phrase(self, target: "Target") -> str:
        """Name the baseline within a sentence."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what is not arrays as JSON can hold it."""

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Return its arrays by name."""


@final
class Constant(Baseline):
    """Always the same answer: the mean of the training targets."""

    name = "constant"

    def __init__(self, mean: Array) -> None:
        self.mean = np.asarray(mean, np.float64)

    def outputs(self, X: Array) -> Array:
        """Return the mean, a row a row of X."""
        return np.tile(self.mean, (len(X), 1))

    def describe(self, target: "Target") -> str:
        """Say which answer."""
        if target.task == "binary":
            return f"always {target.classes[int(is_positive(self.mean[0]))]}"
        if target.task == "multiclass":
            return f"always {target.classes[int(self.mean.argmax())]}"
        return "always the mean" if target.task == "regression" else "always the same"

    def phrase(self, target: "Target") -> str:
        """Name the answer."""
        return self.describe(target)

    def to_json(self) -> dict[str, Any]:
        """Return the mean."""
        return {"kind": self.name, "mean": self.mean.tolist()}

    def arrays(self) -> dict[str, Array]:
        """Return nothing: the mean is in the JSON."""
        return {}


@final
class Column(Baseline):
    """The rule of the one column that tells most; for several labels, one for each."""

    name = "column"

    def __init__(self, rules: Sequence[Rule], task: str, pictures: bool) -> None:
        self.rules, self.task, self.pictures = tuple(rules), task, pictures

    def outputs(self, X: Array) -> Array:
        """Return what the rules say."""
        F = color_summary(X) if self.pictures else X
        if self.task == "multiclass":
            return self.rules[0].predict(F)
        return np.column_stack([rule.predict(F)[:, 1] for rule in self.rules])

    def describe(self, target: "Target") -> str:
        """Say which column, in short."""
        if len(self.rules) > 1:
            return "one column a label"
        place = self.rules[0].place
        return f"{place.name} alone"

    def phrase(self, target: "Target") -> str:
        """Name the column and its kind."""
        place = self.rules[0].place
        noun = {"yesno": "Yes/No column", "category": "column", "number": "column of numbers"}
        noun["indicator"] = "column of missing cells"
        if len(self.rules) > 1:
            return "the best column for each label"
        named = repr(place.name)
        return f"one number, {named}" if self.pictures else f"a single {noun[place.kind]}, {named}"

    def to_json(self) -> dict[str, Any]:
        """Return the rules."""
        return {"kind": self.name, "rules": [rule.to_json() for rule in self.rules]}

    def arrays(self) -> dict[str, Array]:
        """Return nothing: the rules are in the JSON."""
        return {}


@final
class Regression(Baseline):
    """Logistic or linear regression: a network without hidden layers."""

    def __init__(self, net: Sequential, task: str, schema: Any, colors: bool) -> None:
        self.net, self.task, self.colors = net, task, colors
        self.name = "colors" if colors else "regression"
        self._transform = transform_of(schema, colors)

    def outputs(self, X: Array) -> Array:
        """Return what the network without hidden layers says."""
        with limited_threads(blas_threads(self.net, 256, train=False)):
            return losses_for(self.task)[0]().predictions(
                self.net.predict_logits(X, transform=self._transform)
            )

    def describe(self, target: "Target") -> str:
        """Say what it is."""
        if self.colors:
            return "7 numbers of color"
        return "linear regression" if self.task == "regression" else "logistic regression"

    def phrase(self, target: "Target") -> str:
        """Name the regression and its inputs."""
        if self.colors:
            return "seven numbers of color with logistic regression"
        return self.describe(target)

    def to_json(self) -> dict[str, Any]:
        """Return what it is."""
        return {"kind": self.name}

    def arrays(self) -> dict[str, Array]:
        """Return the weights."""
        return {f"{self.name}.{name}": view for name, view in self.net.params.views.items()}


def transform_of(schema: Any, colors: bool) -> Any:
    """Return what turns rows into the features of a regression; None where they are features."""
    from plainnet.data.images import ImageSchema

    if colors:
        return color_summary
    return schema.transform if isinstance(schema, ImageSchema) else None


def fit_baselines(
    schema: "TableSchema | ImageSchema", target: "Target", train: "Examples"
) -> list[Baseline]:
    """Learn all simple answers that fit the task from the training rows.

    Nothing is drawn at random: the same rows give the same answers.
    """
    from plainnet.data.images import ImageSchema

    X, y = train
    pictures = isinstance(schema, ImageSchema)
    found: list[Baseline] = [Constant(constant_prediction(target.task, y, target.n_out))]
    with limited_threads(1):
        F = color_summary(X) if pictures else X
        if target.task != "regression":
            found.append(Column(_best_rules(schema, target, F, y), target.task, pictures))
        for colors in (True, False) if pictures else (False,):
            inputs, transform = (F, None) if colors else (X, transform_of(schema, colors))
            if pictures and not colors and cast("ImageSchema", schema).unscaled:
                net = _on_scaled(target, X, y)
            else:
                net = fit_regression(target.task, inputs, y, target.n_out, transform)
            found.append(Regression(net, target.task, schema, colors))
    return found


def _on_scaled(target: "Target", X: Array, y: Array) -> Sequential:
    """Fit to standardized pixels and let the weights read bytes: no handicap for the rival."""
    from plainnet.data.images import ImageSchema

    scaled = ImageSchema.fit(X)
    net = fit_regression(target.task, X, y, target.n_out, scaled.transform)
    W, b = net.params.views["dense1.W"], net.params.views["dense1.b"]
    mean, std = (np.tile(some, W.shape[1] // 3) for some in (scaled.mean, scaled.std))
    W /= std
    b -= W @ mean
    return net


def _best_rules(
    schema: "TableSchema | ImageSchema", target: "Target", F: Array, y: Array
) -> list[Rule]:
    """The best column's rule, or one for each label."""
    columns = [y] if target.task != "multilabel" else list(y.T)
    n_classes = target.n_out if target.task == "multiclass" else 2
    where = feature_spans(schema)
    every = [fit_rules(where, F, labels.astype(np.int64), n_classes) for labels in columns]
    return [max(rules, key=lambda one: one[0])[1] for rules in every]


def store(baselines: Sequence[Baseline], model: Model) -> None:
    """Keep fitted baselines with a model, in its record and its further arrays."""
    model.record["baselines"] = [one.to_json() for one in baselines]
    kept = {name: a for name, a in model.extras.items() if not name.startswith(PREFIX)}
    new = {PREFIX + name: a for one in baselines for name, a in one.arrays().items()}
    model.extras = kept | new


def stored(model: Model) -> list[Baseline]:
    """Return the baselines that a model was stored with."""
    if "baselines" not in model.record:
        return []
    fields = JsonReader(model.record, "the training record")
    baselines = [_read(one, model) for one in fields.objects("baselines", "baseline")]
    if len({one.name for one in baselines}) < len(baselines):
        raise ModelFileError("the model file is damaged or was edited: a baseline is in it twice")
    return baselines


def _read(fields: JsonReader, model: Model) -> Baseline:
    target, schema = model.target, model.schema
    kind = fields.text("kind", ("constant", "column", "colors", "regression"))
    pictures = model.transform is not None
    if kind == "constant":
        mean = fields.numbers("mean")
        if len(mean) == target.n_out:
            return Constant(np.array(mean))
    elif kind == "column" and target.task != "regression":
        n_classes = target.n_out if target.task == "multiclass" else 2
        width = 7 if pictures else schema.n_features
        rules = [Rule.from_json(one, width, n_classes) for one in fields.objects("rules", "rule")]
        if len(rules) == (target.n_out if target.task == "multilabel" else 1):
            return Column(rules, target.task, pictures)
    elif kind == "regression" or (kind == "colors" and pictures):
        n_in = 7 if kind == "colors" else schema.n_features
        net = _read_net(model.extras, f"{PREFIX}{kind}.", n_in, target.n_out)
        return Regression(net, target.task, schema, kind == "colors")
    raise ModelFileError(f"the model file is damaged or was edited: {fields.where} does not fit it")


def _read_net(extras: Mapping[str, Array], prefix: str, n_in: int, n_out: int) -> Sequential:
    arrays = {n.removeprefix(prefix): a for n, a in extras.items() if n.startswith(prefix)}
    try:
        return Sequential.from_config(mlp(1, (), n_out).config() | {"in_shape": [n_in]}, arrays)
    except PlainnetError as error:
        raise ModelFileError(f"the model's baseline {prefix!r} cannot be used: {error}") from None
