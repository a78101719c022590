"""The evaluation of a model on some rows: one structure for terminal, page, JSON and model file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, final

from plainnet.evaluate.finding import Finding
from plainnet.evaluate.membership import Share
from plainnet.evaluate.training_record import finite
from plainnet.metrics.curves import Bin
from plainnet.metrics.intervals import Difference
from plainnet.storage.json_reader import JsonReader, damaged

if TYPE_CHECKING:
    from plainnet.data.targets import Target
    from plainnet.model import Model

Curve = list[tuple[float, float]]  # points
UNITS = {"multiclass": "class", "multilabel": "label", "regression": "target"}
_METRICS = {
    "binary": ("accuracy", "precision", "recall", "f1", "roc_auc"),
    "multiclass": ("accuracy", "precision", "recall", "f1", "roc_auc"),
    "multilabel": ("accuracy", "exact_match", "precision", "recall", "f1", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}
_Matrix = tuple[tuple[int, int], tuple[int, int]]
_CONFUSION = {  # its name and type in JSON
    "binary": ("confusion_matrix", _Matrix),
    "multiclass": ("confusions", list[tuple[int, int, int]]),
    "multilabel": ("confusion_matrix", list[_Matrix]),
}


@final
@dataclass(frozen=True, eq=False)
class Scores:
    """The loss and the metrics of predictions on some rows."""

    task: str
    rows: int
    loss: float
    metrics: Mapping[str, float | None]  # by name; None where one is undefined
    interval: tuple[float, float] | None = None  # 95 % interval of the accuracy
    per_unit: Mapping[str, list[float | None]] = field(default_factory=dict)  # for each of UNITS
    confusion: Any = None  # 2 x 2 counts; one of these for each label; (true, predicted, rows)

    @property
    def main(self) -> float:
        """The accuracy, or the RMSE of a regression."""
        value = self.metrics["rmse" if self.task == "regression" else "accuracy"]
        return math.nan if value is None else value

    def to_json(self, *, summary: bool = False) -> dict[str, Any]:
        """Return the scores as JSON values; a summary has none per class, label or target."""
        values: dict[str, Any] = {"rows": self.rows, "loss": self.loss, **self.metrics}
        if not summary:
            unit = UNITS.get(self.task)
            values |= {f"{name}_per_{unit}": each for name, each in self.per_unit.items()}
            if self.confusion is not None:
                values[_CONFUSION[self.task][0]] = self.confusion
        if self.interval is not None:
            values["interval"] = list(self.interval)
        return values

    @classmethod
    def from_json(cls, json: JsonReader, target: "Target", *, summary: bool = False) -> "Scores":
        """Read scores from a model file and check them."""
        task, names = target.task, _METRICS[target.task]
        metrics = {name: json.typed(name, float | None) for name in names}
        loss, interval = json.typed("loss", float | None), None
        if "accuracy" in names:
            interval = json.typed("interval", tuple[float, float])
        per_unit, confusion = {}, None
        if not summary:
            n = len(target.columns if task == "regression" else target.classes)
            unit = UNITS.get(task)
            for name in names:
                key = f"{name}_per_{unit}"
                if key in json:
                    per_unit[name] = json.typed(key, list[float | None])
                    _require(len(per_unit[name]) == n, json, key)
            if task in _CONFUSION:
                key, kind = _CONFUSION[task]
                confusion = json.typed(key, kind)
                _require(task != "multilabel" or len(confusion) == n, json, key)
                _require(task != "multiclass" or all(max(c[:2]) < n for c in confusion), json, key)
        return cls(
            task,
            json.whole("rows", 1),
            math.nan if loss is None else loss,
            metrics,
            interval,
            per_unit,
            confusion,
        )


class ProbabilityScores(NamedTuple):
    """Calibration and curves of the probabilities of one yes/no question."""

    brier: float
    calibration_error: float
    reliability: tuple[Bin, ...]
    name: str | None = None  # the class or label; None for the positive or the predicted class
    roc: Curve | None = None  # false and true positive rate
    pr: Curve | None = None  # recall and precision
    average_precision: float | None = None
    best_f1: tuple[float, float] | None = None  # threshold and F1
    cheapest: tuple[float | None, float] | None = None  # threshold (None: above all) and cost

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON values, without those that are undefined."""
        return {key: value for key, value in self._asdict().items() if value is not None}


class BaselineResult(NamedTuple):
    """A baseline on the same rows as the network."""

    name: str  # constant, column, colors or regression
    description: str  # such as: always Extrovert
    phrase: str  # for use within a sentence: a single Yes/No column, 'Stage_fear'
    scores: Scores
    difference: Difference  # how much better the network is

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values, without scores per class or label."""
        return {
            "name": self.name,
            "description": self.description,
            "phrase": self.phrase,
            "difference": self.difference._asdict(),
            **self.scores.to_json(summary=True),
        }

    @classmethod
    def from_json(cls, json: JsonReader, target: "Target") -> "BaselineResult":
        """Read a result from a model file and check it."""
        ends = json.part("difference")
        low, high = (ends.typed(key, float | None) for key in ("low", "high"))
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        difference = Difference(ends.number("value"), low, high, ends.number("p"))
        scores = Scores.from_json(json, target, summary=True)
        name, description, phrase = map(json.text, ("name", "description", "phrase"))
        return cls(name, description, phrase, scores, difference)


def best_of(baselines: Sequence[BaselineResult]) -> BaselineResult | None:
    """Return the best baseline; of equal baselines the simplest."""
    return min(baselines, key=lambda one: one.difference.value, default=None)


class Evaluation(NamedTuple):
    """Scores, baselines, verdict and findings of a model on some rows."""

    scores: Scores
    baselines: tuple[BaselineResult, ...]  # from the simplest
    verdict: str
    findings: tuple[Finding, ...]
    trained_on: Share | None  # the share of the rows that the model was trained on, where known
    probabilities: ProbabilityScores | None  # of the positive class, or of the predicted class
    per_class: tuple[ProbabilityScores, ...]  # of each class or label, where there are several

    @property
    def best_baseline(self) -> BaselineResult | None:
        """The best baseline."""
        return best_of(self.baselines)

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values: the scores first, under their own names."""
        best, share, probabilities = self.best_baseline, self.trained_on, self.probabilities
        values = {
            **self.scores.to_json(),
            "verdict": self.verdict,
            "best_baseline": None if best is None else best.name,
            "baselines": [one.to_json() for one in self.baselines],
            "findings": [one.to_json() for one in self.findings],
            "trained_on": None if share is None else share._asdict(),
            **({} if probabilities is None else probabilities.to_json()),
        }
        if self.per_class:
            values["probabilities"] = [one.to_json() for one in self.per_class]
        return dict(finite(values))

    @classmethod
    def from_json(cls, value: object, target: "Target") -> "Evaluation":
        """Read an evaluation from a model file and check it."""
        json = JsonReader(value, "the evaluation")
        baselines = tuple(
            BaselineResult.from_json(one, target) for one in json.objects("baselines", "baseline")
        )
        per_class: tuple[ProbabilityScores, ...] = ()
        if "probabilities" in json:
            per_class = json.typed("probabilities", tuple[ProbabilityScores, ...])
            _require(len(per_class) == len(target.classes), json, "probabilities")
        evaluation = cls(
            Scores.from_json(json, target),
            baselines,
            json.text("verdict"),
            tuple(Finding.from_json(one.values) for one in json.objects("findings", "finding")),
            json.typed("trained_on", Share | None),
            json.record(ProbabilityScores) if "brier" in json else None,
            per_class,
        )
        best = evaluation.best_baseline
        _require(json.values.get("best_baseline") == (best and best.name), json, "best_baseline")
        return evaluation


def stored_evaluation(model: "Model") -> Evaluation | None:
    """Return the evaluation on held-out rows that a model was stored with, if it has one."""
    value = model.record.get("evaluation")
    return None if value is None else Evaluation.from_json(value, model.target)


def _require(fits: bool, json: JsonReader, key: str) -> None:
    if not fits:
        raise damaged(f"field {key!r} of {json.where} does not fit the model")
