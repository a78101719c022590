"""Build the network, loss, optimizer and schedule that a `TrainConfig` describes."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import DTypeLike

from plainnet.config import OPTIONS, Config, TrainConfig, rng
from plainnet.errors import PlainnetError
from plainnet.nn.convolutional_network import convnet
from plainnet.nn.losses import Loss, losses_for
from plainnet.nn.network import Sequential, mlp
from plainnet.optim.optimizers import OPTIMIZERS, Optimizer
from plainnet.optim.schedules import SCHEDULES, Schedule, WarmUp
from plainnet.train.augment import augmentation

if TYPE_CHECKING:
    from plainnet.data.targets import Task


def check(config: Config) -> None:
    """Refuse options that contradict each other, before time is spent on reading data."""
    if config.network == "tabular":
        check_members(config)
    elif config.patience and not config.validation_fraction:
        raise PlainnetError(
            "patience needs validation rows: set for example validation_fraction=0.2"
        )
    if config.hidden == () and config.activation != TrainConfig.activation:
        raise PlainnetError(
            "activation belongs to hidden layers, and there is none: leave it out or set hidden"
        )
    if config.task and losses_for(config.task):  # other tasks are refused with the target
        make_loss(cast("Task", config.task), config)
    images = _for_pictures(config)
    if config.hidden is None and not images:
        config = replace(config, hidden=(1,) * len(config.activation))
    config = config.resolved(images=images)
    make_network(config, (1, 1, 1) if config.network == "convnet" else 1, 1)
    make_optimizer(config, 1)
    augmentation(config.augment)


def check_members(config: Config) -> None:
    """Refuse options that members have no use for."""
    if config.validation_fraction or config.batch_norm or config.layer_norm:
        raise PlainnetError(
            "the members of a tabular network validate with folds of their own and normalize "
            "nothing: leave out validation_fraction, batch_norm and layer_norm, or take network mlp"
        )
    if config.hidden == ():
        raise PlainnetError("a tabular network needs hidden layers: set hidden, or leave it out")


def _sets_kernels(config: Config) -> bool:
    return (config.channels, config.kernel) != (TrainConfig.channels, TrainConfig.kernel)


def _for_pictures(config: Config) -> bool:
    return config.network == "convnet" or bool(config.augment) or _sets_kernels(config)


def make_network(
    config: Config,
    n_in: int | tuple[int, ...],
    n_out: int,
    seed: np.random.Generator | None = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Make the untrained network."""
    config = config.resolved(images=_for_pictures(config))
    seed = rng(config, 1) if seed is None else seed
    single = len(config.activation) == 1
    if config.network == "convnet":
        if config.hidden is not None or config.layer_norm or not single:
            raise PlainnetError(
                "hidden, layer_norm and several activations belong to an mlp, not to a convnet: "
                "leave them out or set network to mlp"
            )
        return convnet(
            cast("tuple[int, int, int]", n_in),
            config.channels,
            config.kernel,
            n_out,
            activation=config.activation[0],
            init=config.init,
            dropout=config.dropout,
            seed=seed,
            dtype=dtype,
        )
    if _sets_kernels(config):
        raise PlainnetError(
            "channels and kernel belong to a convnet, not to an mlp: leave them out or set network "
            "to convnet"
        )
    if config.hidden == () and (config.dropout or config.batch_norm or config.layer_norm):
        raise PlainnetError(
            "dropout, batch_norm and layer_norm belong to hidden layers, and there is none: "
            "leave them out or set hidden"
        )
    return mlp(
        math.prod(n_in) if isinstance(n_in, tuple) else n_in,
        config.hidden or (),
        n_out,
        activation=config.activation[0] if single else config.activation,
        init=config.init,
        dropout=config.dropout,
        batch_norm=config.batch_norm,
        layer_norm=config.layer_norm,
        seed=seed,
        dtype=dtype,
    )


def least_weights(config: Config, n_in: int, n_out: int) -> int:
    """Return a number of weights that the network and its state in the row space surely have."""
    if config.network == "convnet":
        flat = config.channels[-1] * max(math.isqrt(n_in // 3) >> len(config.channels), 1) ** 2
        return flat * n_out + sum(a * b for a, b in pairwise((config.kernel**2, *config.channels)))
    widths = (*(config.hidden or ()), n_out)
    if config.network == "tabular":
        return config.members * sum((a + 1) * b for a, b in pairwise((n_in, *widths)))
    # in the row space, there are at least as many inputs as units
    return sum((a + 1) * b for a, b in pairwise((min(n_in, widths[0]), *widths)))


def make_loss(task: "Task", config: Config) -> Loss:
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
        return kinds[name](label_smoothing=config.label_smoothing or 0.0)  # type: ignore[call-arg]
    if config.label_smoothing:
        raise PlainnetError(f"label smoothing makes no sense for {name}, which has no labels")
    return kinds[name]()


def make_optimizer(config: Config, m: int) -> Optimizer:
    """Make the optimizer with its schedule for a training on m rows."""
    kind, given = OPTIMIZERS[config.optimizer], {}
    for name in ("momentum", "nesterov", "weight_decay"):
        value = getattr(config, name)
        if value == OPTIONS[name].default:
            continue
        if name not in kind.options:
            known = [other for other, one in OPTIMIZERS.items() if name in one.options]
            hint = "take l2" if name == "weight_decay" else "leave it out"
            raise PlainnetError(
                f"{name} is an option of {' and '.join(known)}, not of {config.optimizer}: {hint}"
            )
        given[name] = value
    return kind(make_schedule(config, m), **given)


def make_schedule(config: Config, m: int) -> Schedule:
    """Make the learning-rate schedule of a training on m rows."""
    config = config.resolved(images=_for_pictures(config))
    size = config.rows_in_batch
    per_epoch = 1 if size is None else math.ceil(m / size)
    if config.warmup >= config.epochs:
        raise PlainnetError(
            f"warmup must be shorter than the {config.epochs} epochs, got {config.warmup}"
        )
    steps = (config.epochs - config.warmup) * per_epoch
    schedule = SCHEDULES[config.schedule](config.learning_rate, steps)
    return WarmUp(schedule, config.warmup * per_epoch) if config.warmup else schedule
