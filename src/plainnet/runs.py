"""Runs: from data and settings to a trained model; what the command line and examples call."""

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

import numpy as np

from plainnet._version import __version__
from plainnet.errors import PlainnetError
from plainnet.model import LOSSES, Model
from plainnet.nn.layers import between, positive_int
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
    from plainnet.data.datasets import Dataset, Grouping, Rows
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
    together : bool, default False
        Whether equal rows, and pictures that look alike, stay on one side of the split.
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
    together: bool = False
    target: tuple[str, ...] = ()
    task: "Task | None" = None
    kinds: "Mapping[str, Kind]" = field(default_factory=dict)
    size: int = 64
    strict: bool = False
    seed: int = 0

    @property
    def learning_rate(self) -> float:
        """The learning rate, the optimizer's own default if none was given.

        Examples
        --------
        >>> Settings().learning_rate, Settings(lr=0.5).learning_rate
        (0.001, 0.5)
        """
        return LR[self.optimizer] if self.lr is None else self.lr


@final
class Run(NamedTuple):
    """What came of a training.

    Attributes
    ----------
    model : Model
        The trained model.
    history : History
        What each epoch came to.
    data : Dataset
        The rows, as they were split.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    >>> model, history, data = table_run(frame, Settings(epochs=3, test=0))
    >>> len(history), len(data.train.X), model.target.classes
    (3, 4, ('no', 'yes'))
    """

    model: Model
    history: History
    data: "Dataset"


def load(path: str | Path, settings: Settings, *, progress: "Progress | None" = None) -> "Dataset":
    """Read and split a table or a folder of class folders, as `run` does.

    Parameters
    ----------
    path, settings, progress
        See `run`.

    Returns
    -------
    Dataset

    Raises
    ------
    PlainnetError
        If data or settings cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frame.to_csv(f"{folder}/exam.csv", index=False)
    ...     data = load(f"{folder}/exam.csv", Settings(test=0.5))
    >>> len(data.train.X), len(data.test.X)
    (2, 2)
    """
    from plainnet.data.datasets import read_dataset

    check(settings)
    return read_dataset(
        path,
        _rng(settings, 0),
        target=settings.target,
        task=settings.task,
        kinds=settings.kinds,
        size=settings.size,
        strict=settings.strict,
        test=settings.test,
        validation=settings.validation,
        group=_group(settings),
        progress=progress,
    )


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

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    >>> settings = Settings(hidden=(), optimizer="sgd", lr=1.0, test=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frame.to_csv(f"{folder}/exam.csv", index=False)
    ...     model, history, data = run(f"{folder}/exam.csv", settings)
    >>> history.loss[-1] < 0.1 < history.loss[0]
    True
    >>> model.record["data"], model.predict(pd.DataFrame({"hours": [1, 4]}))
    ('exam.csv', array(['no', 'yes'], dtype=object))
    """
    data = load(path, settings, progress=progress)
    result = train(data, settings, callbacks, watch, ready=ready)
    result.model.record["data"] = Path(path).resolve().name  # without the place: it may be private
    return result


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

    Returns
    -------
    Run

    Raises
    ------
    PlainnetError
        If data or settings cannot be used, or the cost is not finite.

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
        group=_group(settings),
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

    Returns
    -------
    Run

    Raises
    ------
    PlainnetError
        If data or settings cannot be used, or the cost is not finite.

    Examples
    --------
    >>> from plainnet.data.samples import pandas_and_bears
    >>> result = image_run(*pandas_and_bears(20, size=16), Settings(epochs=1))
    >>> result.model.net.in_shape
    (768,)
    """
    from plainnet.data.datasets import image_dataset

    shares: dict[str, Any] = {"test": settings.test, "validation": settings.validation}
    data = image_dataset(X, y, classes, _rng(settings, 0), **shares, group=_group(settings))
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

    Raises
    ------
    PlainnetError
        If data or settings cannot be used, or the cost is not finite.

    Examples
    --------
    >>> from plainnet.data.datasets import table_dataset
    >>> from plainnet.data.samples import introverts
    >>> data = table_dataset(introverts(100), np.random.default_rng(0))
    >>> train(data, Settings(epochs=2)).history.stopped
    'epochs'
    """
    from plainnet.insight.evaluation import learn_baselines

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
    learn_baselines(model, data.train)
    model.record |= {
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
        "notes": list(data.notes),
        "versions": _versions(),
    }
    return Run(model, history, data)


def _versions() -> dict[str, str]:
    """What a training depends on besides settings and data."""
    python = platform.python_version()
    return {"plainnet": __version__, "numpy": np.__version__, "python": python}


def results(model: Model, data: "Dataset") -> dict[str, Any]:
    """Judge a model by rows that it has not seen, beside what one gets without a network.

    Parameters
    ----------
    model : Model
        Trained on ``data.train``; the simple answers are learned from these rows if it has none.
    data : Dataset
        What it was trained on.

    Returns
    -------
    dict
        ``network`` and ``baseline``, each as `score` gives it for the test rows: the baseline
        always answers the most frequent class, or the mean, of the training rows. And
        ``evaluation``, all that `plainnet.insight.evaluation.Evaluation` holds. Empty without
        test rows.

    Examples
    --------
    >>> from plainnet.data.samples import introverts
    >>> outcome = table_run(introverts(500), Settings(epochs=20))
    >>> found = results(outcome.model, outcome.data)
    >>> found["baseline"]["accuracy"] < 0.6 < 0.8 < found["network"]["accuracy"]
    True
    """
    from plainnet.insight.evaluation import evaluation, learn_baselines

    if "baselines" not in model.record:
        learn_baselines(model, data.train)
    if data.test is None:
        return {}
    found = evaluation(model, data.test, held_out=True)
    return {
        "network": found.figures,
        "baseline": found.rivals[0].figures,
        "evaluation": found.to_json(),
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
        ``rows``, ``loss``, all that `plainnet.insight.metrics.evaluate` gives for the task, and
        ``interval``, the 95 % interval of the accuracy; what concerns numbers is in their own
        unit, but the loss, which is of standardised ones.

    Raises
    ------
    PlainnetError
        If there are no rows, or they do not fit the model.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"hours": [1, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    >>> outcome = table_run(frame, Settings(hidden=(), optimizer="sgd", lr=1.0, test=0))
    >>> figures = score(outcome.model, outcome.data.train)
    >>> figures["rows"], figures["accuracy"], figures["confusion_matrix"]
    (4, 1.0, [[2, 0], [0, 2]])
    """
    from plainnet.insight.evaluation import score_outputs

    Z = model.net.predict(rows.X, transform=model.transform)
    return score_outputs(model, Z, model.loss.link(Z), rows.y)


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
    for name in ("test", "validation", "label_smoothing"):
        between("Settings", name, getattr(settings, name), 0, 1, ends=False, low_end=True)
    between("Settings", "l2", settings.l2, 0, math.inf, ends=False, low_end=True)
    if settings.clip_norm is not None:
        between("Settings", "clip_norm", settings.clip_norm, 0, math.inf, ends=False)
    for name in ("seed", "batch_size", "patience"):
        if getattr(settings, name) < 0:
            raise PlainnetError(f"{name} must be at least 0, got {getattr(settings, name)}")
    if settings.patience and not settings.validation:
        raise PlainnetError("patience needs validation rows: set validation to 0.2, say")
    of_hidden = (settings.dropout, settings.batch_norm, settings.layer_norm)
    if not settings.hidden and (any(of_hidden) or settings.activation != Settings.activation):
        raise PlainnetError(
            "activation, dropout, batch norm and layer norm belong to hidden layers, and there is "
            "none: leave them out or set hidden"
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

    Returns
    -------
    Loss

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

    Returns
    -------
    Optimizer

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

    Returns
    -------
    Schedule

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


def _group(settings: Settings) -> "Grouping | None":
    from plainnet.insight.duplicates import groups_of

    return groups_of if settings.together else None


def _rng(settings: Settings, use: int) -> np.random.Generator:
    """Return the generator of one use: 0 the split, 1 the weights, 2 the order of the rows."""
    return np.random.default_rng(np.random.SeedSequence(settings.seed).spawn(3)[use])
