"""TrainConfig: every option of a training, checked, and the objects it describes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import TYPE_CHECKING, Any, Literal, Self, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.losses import Loss, losses_for
from plainnet.nn.network import Sequential, mlp
from plainnet.nn.validation import check_range, positive_int
from plainnet.optim.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from plainnet.optim.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)
from plainnet.storage.json_reader import JsonReader, shortened

if TYPE_CHECKING:
    from plainnet.data.columns import Kind
    from plainnet.data.privacy import Privacy
    from plainnet.data.targets import Task

OptimizerName = Literal["sgd", "rmsprop", "adam", "adamw"]
ScheduleName = Literal["constant", "step", "exponential", "cosine", "onecycle"]
PRIVATE_LEVEL_COUNT = 10  # of min_level_count, where nothing else is said
_TEXTS = ("init", "optimizer", "schedule")
_NUMBERS = ("dropout", "label_smoothing", "momentum", "l2", "test_fraction", "validation_fraction")
_FLAGS = (
    *("batch_norm", "layer_norm", "nesterov", "standardize"),
    *("group_duplicates", "strict", "fingerprints", "private"),
)
_COUNTS = ("warmup", "epochs", "batch_size", "patience", "size")
_TEXTS_OR_NONE = ("loss", "task", "class_weight")
_NUMBERS_OR_NONE = ("lr", "weight_decay", "clip_norm")
LR: dict[OptimizerName, float] = {"sgd": 0.1, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3}


@final
@dataclass(frozen=True)
class TrainConfig:
    """Every choice of a training; the same settings, data and machine give the same model file.

    Attributes
    ----------
    hidden : tuple of int, default (16,)
        Units of each hidden layer; () gives linear or logistic regression.
    activation : tuple of str, default ("relu",)
        One name for all hidden layers, or one for each.
    init : str, default "he_normal"
        How the weights begin.
    dropout : float, default 0.0
        The rate after each hidden layer.
    batch_norm, layer_norm : bool, default False
        Whether to normalize in each hidden layer.
    loss : str, optional
        The name of a loss class, where the task leaves a choice (``Huber``).
    label_smoothing : float, default 0.0
        For classes and labels.
    optimizer : {"sgd", "rmsprop", "adam", "adamw"}, default "adam"
        The update rule.
    lr : float, optional
        The learning rate; by default 0.1 for sgd and 0.001 for the others.
    momentum : float, default 0.0
        Of sgd.
    nesterov : bool, default False
        Of sgd with momentum.
    weight_decay : float, optional
        Of adamw; by default 0.01.
    schedule : {"constant", "step", "exponential", "cosine", "onecycle"}, default "constant"
        How the learning rate goes: "step" and "exponential" halve it every tenth of the training.
    warmup : int, default 0
        Epochs in which the learning rate rises to its first value.
    epochs : int, default 100
        How often every training row is seen.
    batch_size : int, default 32
        Rows in a mini-batch; 0 takes all rows at once.
    l2 : float, default 0.0
        The weight of the L2 penalty.
    clip_norm : float, optional
        The largest norm of the gradient.
    class_weight : "balanced", optional
        Weight classes inversely to their frequency.
    patience : int, default 0
        Epochs to wait for a lower validation loss before stopping; 0 never stops early.
    test_fraction, validation_fraction : float, default 0.2 and 0.0
        Shares of the rows that are held out; patience needs validation rows.
    group_duplicates : bool, default False
        Whether rows that are equal or nearly so, and pictures that look alike, stay on one side of
        the split.
    target : tuple of str, default ()
        The columns to predict; by default the last one.
    task : str, optional
        Inferred from the target if not given.
    kinds : mapping of str to str
        Kinds of columns, where the inferred one is wrong.
    size : int, default 64
        The side of pictures in pixels.
    strict : bool, default False
        Stop at a picture that cannot be used.
    standardize : bool, default True
        Whether numbers and pixels are standardized, or enter the network as they are.
    fingerprints : bool, default True
        Whether the model keeps a filter to estimate which share of a set of rows it was trained on.
    min_level_count : int, optional
        Levels of a category in fewer training rows count as unknown; by default 1, or 10 if
        ``private``.
    private : bool, default False
        Whether the model file leaves out what would reveal single rows: rare levels, the ends
        of ranges, fingerprints, and notes, which name rows and files; see docs/security.md.
    seed : int, default 0
        Where all chance comes from.

    Raises
    ------
    PlainnetError
        If a value is of another type. Scalars and arrays of NumPy become Python's own numbers and
        tuples; one name stands for a tuple of one. `check` looks at the sense of the values.

    Examples
    --------
    >>> TrainConfig(optimizer="sgd").learning_rate
    0.1
    >>> TrainConfig(epochs=np.int64(20), hidden=np.array([8, 4]), target="price").hidden
    (8, 4)
    """

    hidden: tuple[int, ...] = (16,)
    activation: tuple[str, ...] = ("relu",)
    init: str = "he_normal"
    dropout: float = 0.0
    batch_norm: bool = False
    layer_norm: bool = False
    loss: str | None = None
    label_smoothing: float = 0.0
    optimizer: OptimizerName = "adam"
    lr: float | None = None
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float | None = None
    schedule: ScheduleName = "constant"
    warmup: int = 0
    epochs: int = 100
    batch_size: int = 32
    l2: float = 0.0
    clip_norm: float | None = None
    class_weight: Literal["balanced"] | None = None
    patience: int = 0
    test_fraction: float = 0.2
    validation_fraction: float = 0.0
    group_duplicates: bool = False
    target: tuple[str, ...] = ()
    task: "Task | None" = None
    kinds: "Mapping[str, Kind]" = field(default_factory=dict)
    size: int = 64
    strict: bool = False
    standardize: bool = True
    fingerprints: bool = True
    min_level_count: int | None = None
    private: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for one in dataclass_fields(self):
            value = _plain(getattr(self, one.name))
            if one.name in ("activation", "target") and isinstance(value, str):
                value = (value,)
            object.__setattr__(self, one.name, value)
        _check_types(self)

    @classmethod
    def from_json(cls, fields: JsonReader) -> Self:
        """Read settings that `dataclasses.asdict` has made JSON of; `check` looks at their sense.

        Parameters
        ----------
        fields : JsonReader
            Of the object.

        Returns
        -------
        TrainConfig

        Raises
        ------
        ModelFileError
            If a field is absent, unknown or of another type.

        Examples
        --------
        >>> from dataclasses import asdict
        >>> import json
        >>> there = json.loads(json.dumps(asdict(TrainConfig(hidden=(4, 2)))))
        >>> TrainConfig.from_json(JsonReader(there, "the config")) == TrainConfig(hidden=(4, 2))
        True
        """
        fields.only(*(field.name for field in dataclass_fields(cls)))
        fields.wholes("hidden", 1)
        fields.texts("activation", distinct=False)
        fields.texts("target")
        for name in _TEXTS:
            fields.text(name)
        for name in _NUMBERS:
            fields.number(name)
        for name in _FLAGS:
            fields.flag(name)
        for name in _COUNTS:
            fields.whole(name)
        fields.whole("seed", 0, 2**1024)
        kinds = fields.part("kinds")
        for name in kinds:
            kinds.text(name)
        for name in _TEXTS_OR_NONE:
            if not fields.null(name):
                fields.text(name)
        for name in _NUMBERS_OR_NONE:
            if not fields.null(name):
                fields.number(name)
        if not fields.null("min_level_count"):
            fields.whole("min_level_count")
        values: dict[str, Any] = dict(fields.values)
        return cls(**values)

    @property
    def learning_rate(self) -> float:
        """The learning rate, the optimizer's own default if none was given.

        Examples
        --------
        >>> TrainConfig().learning_rate, TrainConfig(lr=0.5).learning_rate
        (0.001, 0.5)
        """
        return LR[self.optimizer] if self.lr is None else self.lr


def _plain(value: Any) -> Any:
    """Convert NumPy values to plain Python values, and sequences to tuples."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(_plain(one) for one in value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return value


def _check_types(config: TrainConfig) -> None:
    """Refuse values whose type does not match their field."""
    for names, kind, what in (
        (_TEXTS, str, "text"),
        (_TEXTS_OR_NONE, str | None, "text or None"),
        (_FLAGS, bool, "True or False"),
        ((*_COUNTS, "seed"), int, "a whole number"),
        (_NUMBERS, int | float, "a number"),
        (_NUMBERS_OR_NONE, int | float | None, "a number or None"),
        (("min_level_count",), int | None, "a whole number or None"),
    ):
        for name in names:
            _require(name, _is(getattr(config, name), kind), what, config)
    for name, kind, what in (
        ("hidden", int, "a sequence of whole numbers such as (8, 8)"),
        ("activation", str, "a sequence of names"),
        ("target", str, "a sequence of names"),
    ):
        some = getattr(config, name)
        _require(name, _is(some, tuple) and all(_is(one, kind) for one in some), what, config)
    pairs = config.kinds.items() if isinstance(config.kinds, Mapping) else [(None, None)]
    named = all(_is(one, str) for pair in pairs for one in pair)
    _require("kinds", named, "a mapping of column to kind", config)


def _is(value: object, kind: Any) -> bool:
    """Whether a value is of a type; True and False are no numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _require(name: str, right: bool, what: str, config: TrainConfig) -> None:
    if not right:
        value = shortened(getattr(config, name))
        raise PlainnetError(f"TrainConfig: {name} must be {what}, got {value}")


def check(config: TrainConfig) -> None:
    """Refuse settings that no data could make good, before time is spent on reading any."""
    positive_int("TrainConfig", "epochs", config.epochs)
    if config.min_level_count is not None:
        positive_int("TrainConfig", "min_level_count", config.min_level_count)
    for name in ("test_fraction", "validation_fraction", "label_smoothing"):
        check_range("TrainConfig", name, getattr(config, name), 0, 1, ends=False, low_end=True)
    check_range("TrainConfig", "l2", config.l2, 0, math.inf, ends=False, low_end=True)
    if config.clip_norm is not None:
        check_range("TrainConfig", "clip_norm", config.clip_norm, 0, math.inf, ends=False)
    if config.class_weight not in ("balanced", None):
        raise PlainnetError(f"class_weight must be 'balanced' or None, got {config.class_weight!r}")
    for name in ("seed", "batch_size", "patience"):
        if getattr(config, name) < 0:
            raise PlainnetError(f"{name} must be at least 0, got {getattr(config, name)}")
    if config.patience and not config.validation_fraction:
        raise PlainnetError("patience needs validation rows: set validation_fraction to 0.2, say")
    of_hidden = (config.dropout, config.batch_norm, config.layer_norm)
    if not config.hidden and (any(of_hidden) or config.activation != TrainConfig.activation):
        raise PlainnetError(
            "activation, dropout, batch norm and layer norm belong to hidden layers, and there is "
            "none: leave them out or set hidden"
        )
    if config.task and losses_for(config.task):  # others are named by the target, with those that there are
        make_loss(config.task, config)
    make_network(config, 1, 1)
    make_optimizer(config, 1)


def make_network(config: TrainConfig, n_in: int, n_out: int) -> Sequential:
    """Make the untrained network."""
    one = len(config.activation) == 1
    return mlp(
        n_in,
        config.hidden,
        n_out,
        activation=config.activation[0] if one else config.activation,
        init=config.init,
        dropout=config.dropout,
        batch_norm=config.batch_norm,
        layer_norm=config.layer_norm,
        seed=rng(config, 1),
    )


def make_loss(task: "Task", config: TrainConfig) -> Loss:
    """Make the loss of a task."""
    if config.class_weight and task not in ("binary", "multiclass"):
        raise PlainnetError(
            f"class_weight is about classes, of which a {task} target has none: leave it out"
        )
    kinds = {kind.__name__: kind for kind in losses_for(task)}
    name = config.loss or next(iter(kinds))
    if name not in kinds:
        raise PlainnetError(
            f"loss {name!r} does not fit a {task} target: take {' or '.join(kinds)}"
        )
    if "label_smoothing" in kinds[name].options:
        return kinds[name](label_smoothing=config.label_smoothing)  # type: ignore[call-arg]
    if config.label_smoothing:
        raise PlainnetError(f"label smoothing makes no sense for {name}, which has no labels")
    return kinds[name]()


def make_optimizer(config: TrainConfig, m: int) -> Optimizer:
    """Make the optimizer with its schedule."""
    name = config.optimizer
    if name not in LR:
        raise PlainnetError(f"unknown optimizer {name!r}: expected one of {', '.join(LR)}")
    lr = make_schedule(config, m)
    if name != "sgd" and (config.momentum or config.nesterov):
        raise PlainnetError(f"momentum and nesterov are options of sgd, not of {name}")
    if name != "adamw" and config.weight_decay is not None:
        raise PlainnetError(f"weight decay is an option of adamw, not of {name}: take l2")
    if name == "sgd":
        return SGD(lr, config.momentum, config.nesterov)
    if name == "adamw" and config.weight_decay is not None:
        return AdamW(lr, weight_decay=config.weight_decay)
    if name == "rmsprop":
        return RMSprop(lr)
    return Adam(lr) if name == "adam" else AdamW(lr)


def make_schedule(config: TrainConfig, m: int) -> Schedule:
    """Make the learning rate's schedule over the whole training."""
    per_epoch = math.ceil(m / config.batch_size) if config.batch_size else 1
    if not 0 <= config.warmup < config.epochs:
        raise PlainnetError(
            f"warmup must be at least 0 and shorter than the {config.epochs} epochs, "
            f"got {config.warmup}"
        )
    lr, steps = config.learning_rate, (config.epochs - config.warmup) * per_epoch
    tenth = max(steps // 10, 1)
    kinds: dict[str, Callable[[], Schedule]] = {
        "constant": lambda: Constant(lr),
        "step": lambda: StepDecay(lr, tenth),
        "exponential": lambda: Exponential(lr, tenth),
        "cosine": lambda: Cosine(lr, steps),
        "onecycle": lambda: OneCycle(lr, steps),
    }
    if config.schedule not in kinds:
        raise PlainnetError(
            f"unknown schedule {config.schedule!r}: expected one of {', '.join(kinds)}"
        )
    schedule = kinds[config.schedule]()
    return WarmUp(schedule, config.warmup * per_epoch) if config.warmup else schedule


def privacy_of(config: TrainConfig) -> "Privacy":
    """Return which levels and values of single rows a schema leaves out."""
    from plainnet.data.privacy import Privacy

    usual = PRIVATE_LEVEL_COUNT if config.private else 1
    given = config.min_level_count
    return Privacy(usual if given is None else given, config.private)


def rng(config: TrainConfig, use: int) -> np.random.Generator:
    """Return the generator of one use, which does not depend on the others."""
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(use,)))
