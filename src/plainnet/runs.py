"""Runs: from data and settings to a trained model; what the command line and examples call."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.model import LOSSES, Model
from plainnet.nn.layers import positive_int
from plainnet.nn.losses import Loss
from plainnet.nn.params import Array
from plainnet.nn.sequential import Sequential, mlp
from plainnet.train.history import History
from plainnet.train.loop import Callback, EarlyStopping, Watch, fit
from plainnet.train.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from plainnet.train.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)

if TYPE_CHECKING:
    import pandas as pd

    from plainnet.data.columns import Kind
    from plainnet.data.datasets import Dataset, Rows
    from plainnet.data.images import Progress
    from plainnet.data.targets import Task

    Ready = Callable[[Dataset, Sequential], None]

OptimizerName = Literal["sgd", "rmsprop", "adam", "adamw"]
ScheduleName = Literal["constant", "step", "exponential", "cosine", "onecycle"]
LR: dict[OptimizerName, float] = {"sgd": 0.1, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3}


@final
@dataclass(frozen=True)
class Settings:
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
        Whether to normalise in each hidden layer.
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
    balanced : bool, default False
        Whether all classes count alike, however many rows each has.
    patience : int, default 0
        Epochs to wait for a lower validation loss before stopping; 0 never stops early.
    test, validation : float, default 0.2 and 0.0
        Shares of the rows that are held out; patience needs validation rows.
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
    seed : int, default 0
        Where all chance comes from.

    Examples
    --------
    >>> Settings(optimizer="sgd").learning_rate
    0.1
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
    balanced: bool = False
    patience: int = 0
    test: float = 0.2
    validation: float = 0.0
    target: tuple[str, ...] = ()
    task: "Task | None" = None
    kinds: "Mapping[str, Kind]" = field(default_factory=dict)
    size: int = 64
    strict: bool = False
    seed: int = 0

    @property
    def learning_rate(self) -> float:
        """The learning rate, the optimizer's own default if none was given."""
        return LR[self.optimizer] if self.lr is None else self.lr


@final
class Run(NamedTuple):
    """What came of a training."""

    model: Model
    history: History
    data: "Dataset"


def run(
    path: str | Path,
    settings: Settings,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    progress: "Progress | None" = None,
    ready: "Ready | None" = None,
) -> Run:
    """Train on a table or a folder of class folders.

    Parameters
    ----------
    path : path
        The file or folder.
    settings : Settings
        All choices.
    callbacks : sequence of callable
        See `plainnet.train.fit`.
    watch : callable, optional
        Is shown each epoch's figures; see `plainnet.train.fit`.
    progress : callable, optional
        Called as progress(done, total) while pictures are read.
    ready : callable, optional
        Called with the data and the network before training begins.

    Returns
    -------
    Run

    Raises
    ------
    PlainnetError
        If data or settings cannot be used, or the cost is not finite.
    """
    from plainnet.data.datasets import read_dataset

    check(settings)
    data = read_dataset(
        path,
        _rng(settings, 0),
        target=settings.target,
        task=settings.task,
        kinds=settings.kinds,
        size=settings.size,
        strict=settings.strict,
        test=settings.test,
        validation=settings.validation,
        progress=progress,
    )
    return train(data, settings, callbacks, watch, ready=ready)


def table_run(
    frame: "pd.DataFrame",
    settings: Settings,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    ready: "Ready | None" = None,
) -> Run:
    """Train on a DataFrame.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row a sample.
    settings, callbacks, watch, ready
        See `run`.

    Examples
    --------
    >>> from plainnet.data.samples import introverts
    >>> result = table_run(introverts(300), Settings(optimizer="sgd", lr=0.5, epochs=200))
    >>> result.history.loss[-1] < 0.2 < result.history.loss[0]
    True
    """
    from plainnet.data.datasets import table_dataset

    data = table_dataset(
        frame,
        _rng(settings, 0),
        target=settings.target,
        task=settings.task,
        kinds=settings.kinds,
        test=settings.test,
        validation=settings.validation,
    )
    return train(data, settings, callbacks, watch, ready=ready)


def image_run(
    X: Array,
    y: Array,
    classes: Sequence[str],
    settings: Settings,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    ready: "Ready | None" = None,
) -> Run:
    """Train on pictures in memory.

    Parameters
    ----------
    X : array of uint8, shape (m, size, size, 3)
        The pictures.
    y : array of int, shape (m,)
        Class numbers.
    classes : sequence of str
        Their names.
    settings, callbacks, watch, ready
        See `run`.

    Examples
    --------
    >>> from plainnet.data.samples import pandas_and_bears
    >>> result = image_run(*pandas_and_bears(20, size=16), Settings(epochs=1))
    >>> result.model.net.in_shape
    (768,)
    """
    from plainnet.data.datasets import image_dataset

    data = image_dataset(
        X, y, classes, _rng(settings, 0), test=settings.test, validation=settings.validation
    )
    return train(data, settings, callbacks, watch, ready=ready)


def train(
    data: "Dataset",
    settings: Settings,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    ready: "Ready | None" = None,
) -> Run:
    """Train on data that is already split.

    Parameters
    ----------
    data : Dataset
        From `plainnet.data.datasets`.
    settings, callbacks, watch, ready
        See `run`.

    Returns
    -------
    Run
    """
    check(settings)
    loss = make_loss(data.target.task, settings)
    net = _network(settings, data.schema.n_features, data.target.n_out)
    model = Model(data.schema, data.target, net, loss)
    rule = make_optimizer(settings, len(data.train.X))
    if ready is not None:
        ready(data, net)
    history = fit(
        net,
        *data.train,
        loss=loss,
        optimizer=rule,
        epochs=settings.epochs,
        batch_size=settings.batch_size or None,
        validation=None if data.validation is None else (data.validation.X, data.validation.y),
        metric=loss.score,
        class_weight="balanced" if settings.balanced else None,
        l2=settings.l2,
        clip_norm=settings.clip_norm,
        early_stopping=EarlyStopping(settings.patience) if settings.patience else None,
        callbacks=callbacks,
        watch=watch,
        transform=model.transform,
        seed=_rng(settings, 2),
    )
    model.record = {
        "settings": asdict(settings),
        "history": history.record(),
        "rows": {
            name: 0 if rows is None else len(rows.X)
            for name, rows in (
                ("train", data.train),
                ("validation", data.validation),
                ("test", data.test),
            )
        },
        "results": results(model, data),
    }
    return Run(model, history, data)


def results(model: Model, data: "Dataset") -> dict[str, Any]:
    """Judge a model by rows that it has not seen, beside what one gets without a network.

    Parameters
    ----------
    model : Model
        Trained on ``data.train``.
    data : Dataset
        What it was trained on.

    Returns
    -------
    dict
        ``network`` and ``baseline``, each as `score` gives it for the test rows: the baseline
        always answers the most frequent class, or the mean, of the training rows. Empty without
        test rows.

    Examples
    --------
    >>> from plainnet.data.samples import introverts
    >>> outcome = table_run(introverts(500), Settings(epochs=20))
    >>> found = results(outcome.model, outcome.data)
    >>> found["baseline"]["accuracy"] < 0.6 < 0.8 < found["network"]["accuracy"]
    True
    """
    from plainnet.insight.baselines import constant_prediction

    if data.test is None:
        return {}
    best = constant_prediction(data.target.task, data.train.y, data.target.n_out)
    Z = np.tile(_logits(data.target.task, best), (len(data.test.y), 1)).astype(model.net.dtype)
    return {
        "network": score(model, data.test),
        "baseline": _score(model, Z, data.test.y),
    }


def score(model: Model, rows: "Rows") -> dict[str, Any]:
    """Evaluate a model on rows whose targets are known.

    Parameters
    ----------
    model : Model
        A trained model.
    rows : Rows
        Inputs as `Model.inputs` makes them, and targets as `Target.encode` does.

    Returns
    -------
    dict
        ``rows``, ``loss`` and all that `plainnet.insight.metrics.evaluate` gives for the task;
        what concerns numbers is in their own unit, but the loss, which is of standardised ones.

    Raises
    ------
    PlainnetError
        If there are no rows, or they do not fit the model.
    """
    return _score(model, model.net.predict(rows.X, transform=model.transform), rows.y)


def _score(model: Model, Z: Array, y: Array) -> dict[str, Any]:
    from plainnet.insight.metrics import evaluate

    loss = model.loss(Z, model.loss.encode(y, model.net.n_out, model.net.dtype))[0]
    A = model.loss.link(Z)
    if model.target.task == "regression":
        y, A = model.target.decode(y), model.target.decode(A)
    return {"rows": len(y), "loss": loss, **evaluate(model.target.task, y, A)}


def _logits(task: "Task", best: Array) -> Array:
    """What a network would have to say for the constant prediction; of 0 and 1, nearly so."""
    if task == "regression":
        return best
    p = np.clip(best, 1e-7, 1 - 1e-7)
    return np.asarray(np.log(p) if task == "multiclass" else np.log(p / (1 - p)))


def check(settings: Settings) -> None:
    """Refuse settings that no data could make good, before time is spent on reading any.

    Parameters
    ----------
    settings : Settings
        The choices.

    Raises
    ------
    PlainnetError
        For the first choice that is out of range or does not go with the others.

    Examples
    --------
    >>> check(Settings(patience=5))
    Traceback (most recent call last):
    plainnet.errors.PlainnetError: patience needs validation rows: set validation to 0.2, say
    """
    positive_int("Settings", "epochs", settings.epochs)
    for name in ("seed", "batch_size", "patience"):
        if getattr(settings, name) < 0:
            raise PlainnetError(f"{name} must be at least 0, got {getattr(settings, name)}")
    if settings.patience and not settings.validation:
        raise PlainnetError("patience needs validation rows: set validation to 0.2, say")
    if not settings.hidden and (settings.dropout or settings.batch_norm or settings.layer_norm):
        raise PlainnetError(
            "dropout, batch norm and layer norm belong to hidden layers, and there is none: "
            "leave them out or set hidden"
        )
    _network(settings, 1, 1)
    make_optimizer(settings, 1)


def _network(settings: Settings, n_in: int, n_out: int) -> Sequential:
    one = len(settings.activation) == 1
    return mlp(
        n_in,
        settings.hidden,
        n_out,
        activation=settings.activation[0] if one else settings.activation,
        init=settings.init,
        dropout=settings.dropout,
        batch_norm=settings.batch_norm,
        layer_norm=settings.layer_norm,
        seed=_rng(settings, 1),
    )


def make_loss(task: "Task", settings: Settings) -> Loss:
    """Make the loss of a task.

    Parameters
    ----------
    task : {"binary", "multiclass", "multilabel", "regression"}
        What kind of target it is.
    settings : Settings
        Its ``loss`` and ``label_smoothing``.

    Raises
    ------
    PlainnetError
        If the loss does not fit the task.

    Examples
    --------
    >>> type(make_loss("regression", Settings(loss="Huber"))).__name__
    'Huber'
    """
    kinds = {kind.__name__: kind for kind in LOSSES[task]}
    name = settings.loss or next(iter(kinds))
    if name not in kinds:
        raise PlainnetError(
            f"loss {name!r} does not fit a {task} target: take {' or '.join(kinds)}"
        )
    if "label_smoothing" in kinds[name].options:
        return kinds[name](label_smoothing=settings.label_smoothing)  # type: ignore[call-arg]
    if settings.label_smoothing:
        raise PlainnetError(f"label smoothing makes no sense for {name}, which has no labels")
    return kinds[name]()


def make_optimizer(settings: Settings, m: int) -> Optimizer:
    """Make the optimizer with its schedule.

    Parameters
    ----------
    settings : Settings
        The choices.
    m : int
        The number of training rows, from which the length of the schedule follows.

    Raises
    ------
    PlainnetError
        If an option was given that the optimizer does not have.

    Examples
    --------
    >>> make_optimizer(Settings(optimizer="sgd", lr=0.5), m=100).rate
    0.5
    """
    name = settings.optimizer
    if name not in LR:
        raise PlainnetError(f"unknown optimizer {name!r}: expected one of {', '.join(LR)}")
    lr = make_schedule(settings, m)
    if name != "sgd" and (settings.momentum or settings.nesterov):
        raise PlainnetError(f"momentum and nesterov are options of sgd, not of {name}")
    if name != "adamw" and settings.weight_decay is not None:
        raise PlainnetError(f"weight decay is an option of adamw, not of {name}: take l2")
    if name == "sgd":
        return SGD(lr, settings.momentum, settings.nesterov)
    if name == "adamw" and settings.weight_decay is not None:
        return AdamW(lr, weight_decay=settings.weight_decay)
    if name == "rmsprop":
        return RMSprop(lr)
    return Adam(lr) if name == "adam" else AdamW(lr)


def make_schedule(settings: Settings, m: int) -> Schedule:
    """Make the learning rate's schedule over the whole training.

    Parameters
    ----------
    settings : Settings
        The choices.
    m : int
        The number of training rows.

    Raises
    ------
    PlainnetError
        If the schedule is unknown, or its warm-up is as long as the training.

    Examples
    --------
    >>> settings = Settings(schedule="cosine", lr=1.0, epochs=10, batch_size=0)
    >>> round(make_schedule(settings, m=100)(5), 6)
    0.5
    """
    per_epoch = math.ceil(m / settings.batch_size) if settings.batch_size else 1
    if not 0 <= settings.warmup < settings.epochs:
        raise PlainnetError(
            f"warmup must be at least 0 and shorter than the {settings.epochs} epochs, "
            f"got {settings.warmup}"
        )
    lr, steps = settings.learning_rate, (settings.epochs - settings.warmup) * per_epoch
    tenth = max(steps // 10, 1)
    kinds: dict[str, Callable[[], Schedule]] = {
        "constant": lambda: Constant(lr),
        "step": lambda: StepDecay(lr, tenth),
        "exponential": lambda: Exponential(lr, tenth),
        "cosine": lambda: Cosine(lr, steps),
        "onecycle": lambda: OneCycle(lr, steps),
    }
    if settings.schedule not in kinds:
        raise PlainnetError(
            f"unknown schedule {settings.schedule!r}: expected one of {', '.join(kinds)}"
        )
    schedule = kinds[settings.schedule]()
    return WarmUp(schedule, settings.warmup * per_epoch) if settings.warmup else schedule


def _rng(settings: Settings, use: int) -> np.random.Generator:
    """Return the generator of one use: 0 the split, 1 the weights, 2 the order of the rows."""
    return np.random.default_rng(np.random.SeedSequence(settings.seed).spawn(3)[use])
