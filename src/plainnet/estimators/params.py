"""Choices: parameters, by name or as objects, made into network, optimizer and stopping rule."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import DTypeLike

from plainnet.config import OptimizerName, ScheduleName, TrainConfig, make_optimizer
from plainnet.data.splits import stratified_split
from plainnet.errors import PlainnetError
from plainnet.estimators.api import Estimator
from plainnet.nn.losses import LOSSES, Loss, SoftmaxCrossEntropy, losses_for
from plainnet.nn.network import Sequential, mlp
from plainnet.nn.parameters import Array
from plainnet.nn.validation import check_range, positive_int
from plainnet.optim.optimizers import OPTIMIZERS, Optimizer
from plainnet.optim.schedules import Schedule
from plainnet.train.fit import Callback, EarlyStopping

if TYPE_CHECKING:
    from plainnet.data.targets import Task


@dataclass(repr=False, eq=False)
class NetParams(Estimator):
    """Every parameter of a network and its training; `NetClassifier` says what they mean."""

    hidden: Sequence[int] = (100,)
    _: KW_ONLY
    activation: str | Sequence[str] = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    layer_norm: bool = False
    init: str = "xavier_uniform"
    loss: str | Loss | None = None
    optimizer: str | Optimizer = "adam"
    lr: float | Schedule | None = None
    schedule: str = "constant"
    epochs: int = 100
    batch_size: int | None = 32
    l2: float = 0.0
    clip_norm: float | None = None
    validation_fraction: float = 0.0
    patience: int = 0
    standardize: bool = True
    callbacks: Sequence[Callback] = ()
    verbose: bool | int = False
    warm_start: bool = False
    dtype: DTypeLike | None = None
    random_state: int | np.random.Generator | None = 0


def check(params: NetParams) -> None:
    """Refuse what no data could make good, before any work is done."""
    name = type(params).__name__
    positive_int(name, "epochs", params.epochs)
    if params.batch_size is not None:
        positive_int(name, "batch_size", params.batch_size)
    if params.lr is not None and not isinstance(params.lr, Schedule):
        check_range(name, "lr", params.lr, "(0, inf)")
    check_range(name, "l2", params.l2, "[0, inf)")
    if params.clip_norm is not None:
        check_range(name, "clip_norm", params.clip_norm, "(0, inf)")
    if not isinstance(params.validation_fraction, int | float | np.integer | np.floating):
        raise PlainnetError(
            f"{name}: validation_fraction must be a share of the rows in [0, 1), got "
            f"{type(params.validation_fraction).__name__}: fit takes rows of their own as X_val and "
            "y_val"
        )
    check_range(name, "validation_fraction", params.validation_fraction, "[0, 1)")
    for flag in ("batch_norm", "layer_norm", "standardize", "warm_start"):
        if not isinstance(getattr(params, flag), bool | np.bool_):
            raise PlainnetError(
                f"{name}: {flag} must be True or False, got {getattr(params, flag)!r}"
            )
    if not isinstance(params.callbacks, list | tuple) or not all(map(callable, params.callbacks)):
        raise PlainnetError(
            f"{name}: callbacks must be a list of functions, got {params.callbacks!r}"
        )


def network(
    params: NetParams, n_in: int, n_out: int, dtype: Any, rng: np.random.Generator
) -> Sequential:
    """Make the untrained network."""
    net = mlp(
        n_in,
        params.hidden,
        n_out,
        activation=params.activation,
        init=params.init,
        dropout=params.dropout,
        batch_norm=bool(params.batch_norm),
        layer_norm=bool(params.layer_norm),
        seed=rng,
        dtype=dtype_of(params, dtype),
    )
    if not len(params.hidden) and (params.dropout or params.batch_norm or params.layer_norm):
        raise PlainnetError(
            "dropout, batch_norm and layer_norm belong to hidden layers, and there is none: "
            "leave them out or set hidden"
        )
    return net


def dtype_of(params: NetParams, otherwise: DTypeLike) -> np.dtype[Any]:
    """Return what the network computes in, where ``params.dtype`` is None as told."""
    try:
        return np.dtype(otherwise if params.dtype is None else params.dtype)
    except TypeError:
        raise PlainnetError(
            f"dtype must be 'float32', 'float64' or None, got {params.dtype!r}"
        ) from None


def loss_of(choice: str | Loss | None, task: Task) -> Loss:
    """Make the loss that fits what y holds."""
    kinds: dict[str, type[Loss]] = {kind.__name__: kind for kind in losses_for(task)}
    if task == "binary":
        kinds["SoftmaxCrossEntropy"] = SoftmaxCrossEntropy
    if choice is None:
        return next(iter(kinds.values()))()
    if isinstance(choice, str) and choice in kinds:
        return kinds[choice]()
    for_another_task = {*LOSSES.values()} - {*kinds.values()}
    if isinstance(choice, Loss) and type(choice) not in for_another_task:
        return choice
    name = type(choice).__name__ if isinstance(choice, Loss) else repr(choice)
    raise PlainnetError(f"loss {name} does not fit a {task} target: take {' or '.join(kinds)}")


def optimizer_of(params: NetParams, m: int) -> Optimizer:
    """Make the optimizer with its learning rate."""
    named = params.schedule != "constant"
    if isinstance(params.optimizer, Optimizer):
        if params.lr is not None or named:
            raise PlainnetError(
                f"{type(params.optimizer).__name__} has a learning rate of its own: give lr and "
                "schedule to it, or name the optimizer by a string"
            )
        return params.optimizer
    if not isinstance(params.optimizer, str) or params.optimizer not in OPTIMIZERS:
        raise PlainnetError(
            f"unknown optimizer {params.optimizer!r}: "
            f"expected one of {', '.join(OPTIMIZERS)}, or an optimizer such as SGD(lr=0.1)"
        )
    lr = params.lr
    if isinstance(lr, Schedule):
        if named:
            raise PlainnetError(
                f"lr={lr!r} is a schedule already: leave schedule={params.schedule!r} out"
            )
        kind = cast(Any, OPTIMIZERS[params.optimizer])  # its lr comes first
        return cast(Optimizer, kind(lr))
    return make_optimizer(
        TrainConfig(
            optimizer=cast(OptimizerName, params.optimizer),
            lr=None if lr is None else float(lr),
            schedule=cast(ScheduleName, params.schedule),
            epochs=params.epochs,
            batch_size=params.batch_size,
        ),
        m,
    )


def held_out_rows(
    params: NetParams, strata: Array | None, m: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw the rows to train on and those to validate with, two of each at least."""
    share = float(params.validation_fraction)
    kept, out = stratified_split(strata, share, rng, n_rows=m)
    if min(len(kept), len(out)) < 2:
        raise PlainnetError(
            f"validation_fraction={share:g} of {m} rows leaves {len(kept)} to train on and {len(out)} to "
            "validate with, and each needs 2: give more rows or another share"
        )
    return kept, out


def early_stopping(params: NetParams, held_out: bool) -> EarlyStopping | None:
    """Make the rule by which the training stops early, if it may."""
    if params.patience == 0:
        return None
    if not held_out:
        raise PlainnetError(
            "patience needs validation rows: set validation_fraction=0.1, say, "
            "or give fit X_val and y_val"
        )
    return EarlyStopping(params.patience)
