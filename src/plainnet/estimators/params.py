"""Parameters of the estimators; loss, optimizer and early stopping made from them."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import DTypeLike

from plainnet.build import check_members, make_loss, make_optimizer
from plainnet.config import OPTIONS, ResolvedConfig, TrainConfig
from plainnet.data.splits import stratified_split
from plainnet.errors import PlainnetError
from plainnet.estimators.api import Estimator
from plainnet.nn.losses import LOSSES, Loss, SoftmaxCrossEntropy, losses_for
from plainnet.nn.parameters import Array
from plainnet.optim.optimizers import OPTIMIZERS, Optimizer
from plainnet.optim.schedules import Schedule
from plainnet.tabular import settled
from plainnet.train.early_stopping import EarlyStopping
from plainnet.train.fit import Callback
from plainnet.train.history import Epoch

if TYPE_CHECKING:
    from plainnet.data.targets import Task


@dataclass(repr=False, eq=False)
class NetParams(Estimator):
    """The parameters of a network and its training; see `NetClassifier`.

    Defaults are those of `TrainConfig`, except for ``network``, which trains further only if it is
    one network, and of an mlp for ``hidden`` and ``init``, which are those of scikit-learn's: a
    comparison with it compares the same network.
    """

    hidden: Sequence[int] | None = TrainConfig.hidden
    _: KW_ONLY
    network: Literal["auto", "mlp", "convnet", "tabular"] = "mlp"
    members: int = TrainConfig.members
    channels: Sequence[int] = TrainConfig.channels
    kernel: int = TrainConfig.kernel
    activation: str | Sequence[str] = "relu"
    dropout: float | None = TrainConfig.dropout
    batch_norm: bool = TrainConfig.batch_norm
    layer_norm: bool = TrainConfig.layer_norm
    init: str | None = None
    loss: str | Loss | None = TrainConfig.loss
    optimizer: str | Optimizer = TrainConfig.optimizer
    lr: float | Schedule | None = TrainConfig.lr
    augment: Sequence[str] | None = TrainConfig.augment
    schedule: str | None = TrainConfig.schedule
    epochs: int | None = TrainConfig.epochs
    batch_size: int | Literal["full"] | None = TrainConfig.batch_size
    l2: float = TrainConfig.l2
    clip_norm: float | None = TrainConfig.clip_norm
    validation_fraction: float = TrainConfig.validation_fraction
    patience: int | None = TrainConfig.patience
    standardize: bool = TrainConfig.standardize
    engine: str = TrainConfig.engine
    callbacks: Sequence[Callback] = ()
    verbose: bool | int = False
    warm_start: bool = False
    dtype: DTypeLike | None = None
    random_state: int | np.random.Generator | None = TrainConfig.seed


def config_of(params: NetParams) -> TrainConfig:
    """Return the options that the parameters share with `TrainConfig`, checked.

    A loss, optimizer or schedule given as an object and class weights are left out.
    """
    owner, given = type(params).__name__, params.get_params()
    for name, kind in (("loss", Loss), ("optimizer", Optimizer), ("lr", Schedule)):
        if isinstance(given[name], kind):
            del given[name]
    if given["init"] is None:
        del given["init"]
    given.pop("class_weight", None)
    if isinstance(given["validation_fraction"], list | tuple):
        raise PlainnetError(
            f"{owner}: validation_fraction must be a share of the rows in [0, 1), got "
            f"{type(given['validation_fraction']).__name__}: give fit validation rows as X_val "
            "and y_val"
        )
    if not isinstance(params.warm_start, bool | np.bool_):
        raise PlainnetError(f"{owner}: warm_start must be True or False, got {params.warm_start!r}")
    if not isinstance(params.callbacks, list | tuple) or not all(map(callable, params.callbacks)):
        raise PlainnetError(
            f"{owner}: callbacks must be a list of functions, got {params.callbacks!r}"
        )
    try:
        return TrainConfig(**{name: value for name, value in given.items() if name in OPTIONS})
    except PlainnetError as error:
        raise PlainnetError(str(error).replace("TrainConfig", owner, 1)) from None


def config_for(params: NetParams, X: Array, task: Task) -> ResolvedConfig:
    """Return the options of a training on some rows: the network, and what its default options are.

    An mlp has those of scikit-learn's.
    """
    config = settled(config_of(params), X, task)
    if X.ndim == 4 and config.network != "convnet":
        raise PlainnetError(
            f"{type(params).__name__}: pictures need network='convnet', which has no hidden: leave "
            "hidden out, or reshape X to rows"
        )
    if config.network == "tabular":
        check_members(config)
        if params.warm_start:
            raise PlainnetError(
                f"{type(params).__name__}: warm_start continues with one network, and a tabular "
                "one is the mean of several: set warm_start=False or network='mlp'"
            )
    if config.network == "mlp":
        hidden = (100,) if params.hidden is None else config.hidden
        init = "xavier_uniform" if params.init is None else config.init
        config = replace(config, hidden=hidden, init=init)
    return config


def dtype_of(params: NetParams, default: DTypeLike) -> np.dtype[Any]:
    """Return the type of number that the network computes with."""
    try:
        return np.dtype(default if params.dtype is None else params.dtype)
    except TypeError:
        raise PlainnetError(
            f"dtype must be 'float32', 'float64' or None, got {params.dtype!r}"
        ) from None


def loss_of(choice: str | Loss | None, task: Task, config: ResolvedConfig) -> Loss:
    """Make the loss that fits the targets."""
    if choice is None:
        return make_loss(task, config)
    losses: dict[str, type[Loss]] = {kind.__name__: kind for kind in losses_for(task)}
    if task == "binary":
        losses["SoftmaxCrossEntropy"] = SoftmaxCrossEntropy
    if isinstance(choice, str) and choice in losses:
        return losses[choice]()
    for_another_task = {*LOSSES.values()} - {*losses.values()}
    if isinstance(choice, Loss) and type(choice) not in for_another_task:
        return choice
    name = type(choice).__name__ if isinstance(choice, Loss) else repr(choice)
    raise PlainnetError(f"loss {name} does not fit a {task} target: take {' or '.join(losses)}")


def optimizer_of(params: NetParams, config: ResolvedConfig, m: int) -> Optimizer:
    """Make the optimizer with its learning rate."""
    optimizer, lr = params.optimizer, params.lr
    scheduled = params.schedule not in (None, "constant")
    if isinstance(optimizer, Optimizer):
        if lr is not None or scheduled:
            raise PlainnetError(
                f"{type(optimizer).__name__} already has a learning rate: give it lr and "
                "schedule, or name the optimizer by a string"
            )
        return optimizer
    if isinstance(lr, Schedule):
        if scheduled:
            raise PlainnetError(
                f"lr={lr!r} is a schedule already: leave schedule={params.schedule!r} out"
            )
        return cast(Any, OPTIMIZERS[optimizer])(lr)  # type: ignore[no-any-return]
    return make_optimizer(config, m)


def held_out_rows(
    params: NetParams, strata: Array | None, m: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw the rows to train on and to validate with, at least two of each."""
    share = float(params.validation_fraction)
    kept, out = stratified_split(np.zeros(m) if strata is None else strata, share, rng)
    if min(len(kept), len(out)) < 2:
        raise PlainnetError(
            f"validation_fraction={share:g} of {m} rows leaves {len(kept)} to train on and "
            f"{len(out)} to validate with, and each needs 2: give more rows or another share"
        )
    return kept, out


def early_stopping(config: ResolvedConfig, held_out: bool) -> EarlyStopping | None:
    """Make the early-stopping rule, if there is any."""
    if config.patience == 0:
        return None
    if not held_out:
        raise PlainnetError(
            "patience needs validation rows: set validation_fraction=0.1 or so, "
            "or give fit X_val and y_val"
        )
    return EarlyStopping(config.patience)


def epoch_printer(verbose: bool | int, metric_name: str) -> Callable[[Epoch], None] | None:
    """Make a function that prints a line per epoch, or per ``verbose`` epochs."""
    if not isinstance(verbose, int | np.integer | np.bool_) or verbose < 0:
        raise PlainnetError(
            f"verbose must be True, False or how many epochs lie between two lines, got {verbose!r}"
        )
    every = int(verbose)
    if not every:
        return None

    def show(epoch: Epoch) -> None:
        if epoch.number % every and epoch.number != epoch.of:
            return
        values = {
            "loss": epoch.loss,
            metric_name: epoch.metric,
            "validation loss": epoch.val_loss,
            f"validation {metric_name}": epoch.val_metric,
        }
        shown = [f"{name} {value:.4f}" for name, value in values.items() if value is not None]
        number = f"{epoch.number:{len(str(epoch.of))}}"
        print("  ".join([f"epoch {number} of {epoch.of}", *shown]), flush=True)

    return show
