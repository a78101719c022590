"""Remedies: the options to change for each kind of fault, from the first that applies."""

from typing import Any

import numpy as np

from plainnet.config import OPTIONS, Config, TrainConfig
from plainnet.diagnose.advice import non_defaults, remedy, sane_lr, unusual_lr
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import advise
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense
from plainnet.nn.network import Sequential
from plainnet.optim.optimizers import SGD
from plainnet.tabular import ANY_NETWORK, FEWEST_ROWS

_SCALED = "columns that are scaled to mean 0 and variance 1"
_LONGER, _FEWEST_EPOCHS, _MOST_EPOCHS = 3, 30, 1000
_ADAM = {"optimizer": "adam", "lr": None, "momentum": 0.0, "nesterov": False}
_LARGE_GAIN = 5.0  # by which a layer multiplies its inputs; he_normal has 1.4
_MUCH_FASTER = 5  # times the learning rate, before a larger network is tried
_STRONG_L2, _USUAL_DROPOUT = 0.001, 0.3  # convolutional networks have 0.3 by default


def balance(snapshot: TrainingSnapshot, name: str) -> dict[str, Any]:
    """Give classes equal weight."""
    more = f"more rows of class {name}"
    return remedy(snapshot.options, {"class_weight": "balanced"}, otherwise=more)


def initialize(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Draw other initial weights."""
    return remedy(snapshot.options, {"init": "he_normal"}, otherwise="other initial weights")


def slow_down(snapshot: TrainingSnapshot, *others: dict[str, Any]) -> dict[str, Any]:
    """Lower the learning rate."""
    remedies = smaller_weights(snapshot), lower(snapshot), *others
    return remedy(snapshot.options, *remedies, otherwise=_SCALED)


def lower(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Return a lower learning rate as an option, if there is one in the usual range."""
    options, lr = snapshot.options, snapshot.lr or snapshot.options.learning_rate
    usual = _usual_lr(options)
    if isinstance(snapshot.optimizer, SGD):  # the curvature of the start often falls soon
        least = min(lr, usual * (1 - options.momentum)) / 10
        lower = sane_lr(options, min(lr / 3, max(least, snapshot.largest_stable_lr / 2)))
    else:
        lower = sane_lr(options, min(lr / 10, snapshot.weight_size / 50, 3 * usual))
    return {"lr": lower} if lower < lr else {}


def clip(snapshot: TrainingSnapshot, *before: dict[str, Any]) -> dict[str, Any]:
    """Bound the gradient."""
    others = ({"clip_norm": 1.0}, lower(snapshot))
    return remedy(snapshot.options, *before, *others, otherwise="fewer layers")


def speed_up(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Raise a learning rate that is below the usual, else train for longer."""
    remedies = smaller_weights(snapshot), higher(snapshot), longer(snapshot)
    return remedy(snapshot.options, *remedies, otherwise="other columns")


def higher(snapshot: TrainingSnapshot, times: float = 2) -> dict[str, Any]:
    """Return the usual learning rate as an option, if it is so many times the present one."""
    options, lr = snapshot.options, snapshot.lr or snapshot.options.learning_rate
    usual = _usual_lr(options)
    if isinstance(snapshot.optimizer, SGD):
        usual = snapshot.largest_stable_lr / 4
    return {"lr": sane_lr(options, usual)} if usual >= times * lr else {}


def smaller_weights(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Return smaller initial weights as an option if a layer multiplies its inputs."""
    largest = max(gains(snapshot.initial_net), default=0)
    return {"init": "he_normal"} if largest > _LARGE_GAIN else {}


def gains(net: Sequential) -> list[float]:
    """Return by how much each layer multiplies its inputs."""
    layers = [layer for layer in net.layers if isinstance(layer, Dense | Conv2D)]
    return [float(np.square(layer.W).mean() * layer.W[0].size) ** 0.5 for layer in layers]


def longer(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Return more epochs as an option."""
    epochs = snapshot.options.epochs or len(snapshot.history or ()) or 1
    return {"epochs": max(epochs, _FEWEST_EPOCHS, min(_LONGER * epochs, _MOST_EPOCHS))}


def better_lr(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Return the usual learning rate as an option if it is far below, a lower one if too high.

    Gradient descent often works at its usual rate though the curvature forbids that.
    """
    lr, options = snapshot.lr or snapshot.options.learning_rate, snapshot.options
    high = snapshot.lr_too_high and lr > _usual_lr(options)
    if high or unusual_lr(options, lr):
        return lower(snapshot)
    return higher(snapshot, times=_MUCH_FASTER)


def enlarge(snapshot: TrainingSnapshot) -> tuple[str, dict[str, Any]]:
    """Say why the network does not fit its rows, and let it fit more.

    It stops early, since a network that fits more also memorizes more.
    """
    options, lr = snapshot.options, snapshot.lr or snapshot.options.learning_rate
    if smaller_weights(snapshot):
        gain = max(gains(snapshot.initial_net))
        cause = f"The initial weights are too large: a layer multiplies its inputs by {gain:.3g}."
        return cause, initialize(snapshot)
    if penalties := strong_penalties(options):
        cause = f"It is regularized too much: L2 {options.l2:g}, dropout {options.dropout or 0:g}."
        return cause, remedy(options, penalties)
    if better := better_lr(snapshot):
        cause = f"The learning rate of {lr:g} is too {'high' if better['lr'] < lr else 'low'}."
        return cause, remedy(options, better)
    if options.optimizer == "sgd" and options.network != "mlp":
        return "Gradient descent is slow for this network.", remedy(
            options, _ADAM, longer(snapshot)
        )
    hidden = tuple(max(32, units) for units in options.hidden or ())
    wider = {"hidden": hidden if len(hidden) > 1 else (32, 32)}
    if hidden == options.hidden or options.network != "mlp":
        wider = {}
    if snapshot.channels and max(snapshot.channels) < max(TrainConfig.channels):
        wider = {"channels": TrainConfig.channels}
    stopped = snapshot.history is not None and snapshot.history.stopped == "early stopping"
    more = {**wider, **({} if stopped else longer(snapshot))}
    if more and options.network == "mlp":
        more |= _early(options)
    cause = "It is too small for the data, or was trained too short."
    return cause, remedy(options, more, otherwise="other columns")


def strong_penalties(options: Config) -> dict[str, Any]:
    """Return the options that remove penalties which keep a network from fitting its rows."""
    l2 = {"l2": 0.0} if options.l2 >= _STRONG_L2 else {}
    return l2 | ({"dropout": 0.0} if (options.dropout or 0) > _USUAL_DROPOUT else {})


def regularize(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Keep the network from memorizing its rows: early stopping, then the usual penalties."""
    options = snapshot.options
    early = _early(options)
    if snapshot.channels:  # whose schedule lowers the learning rate only at the end
        early = {"augment": ("shift", "turn")}
    dropout = {"dropout": 0.5} if (options.dropout or 0) < 0.5 else {}
    penalty = {"l2": 0.001} if not options.l2 else {}
    more = f"more {'pictures' if snapshot.images else 'rows'}"
    remedies = smaller_weights(snapshot), early, default_network(snapshot), dropout, penalty
    return remedy(options, *remedies, otherwise=more)


def _early(options: Config) -> dict[str, Any]:
    """Return early stopping as options, unless the training has it."""
    if options.patience:
        return {}
    return {"validation_fraction": options.validation_fraction or 0.2, "patience": 10}


def simplify(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Keep a network with many parameters from memorizing few rows."""
    more = f"more {'pictures' if snapshot.images else 'rows'}"
    fewer = {"channels": tuple(max(1, n // 2) for n in snapshot.channels)}
    remedies: list[dict[str, Any]] = [{"dropout": 0.2}]
    if snapshot.channels:
        remedies = [{"augment": ("shift", "turn")}, fewer]
    return remedy(snapshot.options, *remedies, otherwise=more)


def replace_by_baseline(snapshot: TrainingSnapshot, regression: bool) -> dict[str, Any]:
    """Take the default network, train that well, then take the baseline if it is a regression."""
    options, more = snapshot.options, longer(snapshot)
    short = more if (options.epochs or 0) < _FEWEST_EPOCHS else {}
    trained = smaller_weights(snapshot), strong_penalties(options), better_lr(snapshot), short
    remedies = default_network(snapshot), *trained
    linear = {"network": "mlp", "hidden": (), "lr": 0.01}
    if regression and not snapshot.images:
        advice = remedy(options, *remedies, otherwise=f"a regression: {advise(linear)['advice']}")
        if advice["options"]:
            return advice
        more = _instead(options, **linear)
    return remedy(options, *remedies, more, otherwise="the baseline")


def default_network(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Return the default network for tables or pictures, if the training may take it."""
    name = "convnet" if snapshot.images else "tabular"
    few = not snapshot.images and len(snapshot.X) < FEWEST_ROWS
    if snapshot.schema is None or few or snapshot.options.network == name:
        return {}
    return _instead(snapshot.options, network=name)


def _instead(options: Config, **network: Any) -> dict[str, Any]:
    """Return the options of another network, with the defaults of those that were given."""
    own = [n for n, option in OPTIONS.items() if option.metadata["group"] != "Data"]
    kept = ANY_NETWORK | ({"epochs"} if options.network == "tabular" else set())  # fewer by default
    own = [n for n in [*own, "validation_fraction"] if n not in kept]
    return {n: OPTIONS[n].default for n in non_defaults(options) if n in own} | network


def revive(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Keep the units of a ReLU alive."""
    unusual = unusual_lr(snapshot.options, snapshot.lr or 0)
    high = snapshot.lr_too_high or (unusual and not snapshot.has_learned)
    slower = lower(snapshot) if high else {}
    leaky = {"activation": ("leaky_relu",)}
    init = {"init": "he_normal"}
    return remedy(snapshot.options, slower, init, leaky, otherwise=_SCALED)


def desaturate(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Keep the outputs of a sigmoid or tanh away from the ends of their range."""
    slower = lower(snapshot) if snapshot.lr_too_high else {}
    init, relu = {"init": "xavier_normal"}, {"activation": ("relu",), "init": "he_normal"}
    if snapshot.options.init != init["init"]:  # a low rate was for the large weights
        init |= higher(snapshot, times=_MUCH_FASTER)
    return remedy(snapshot.options, slower, init, relu, otherwise=_SCALED)


def open_path(snapshot: TrainingSnapshot) -> dict[str, Any]:
    """Let the gradient reach the first layer."""
    relu, norm = {"activation": ("relu",), "init": "he_normal"}, {"batch_norm": True}
    return remedy(snapshot.options, relu, norm, otherwise="fewer layers")


def _usual_lr(options: Config) -> float:
    return TrainConfig(optimizer=options.optimizer, network=options.network).learning_rate
