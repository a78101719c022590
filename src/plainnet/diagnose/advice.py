"""Advice: which options to change, as far as the training permits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from plainnet.build import check
from plainnet.config import Config, TrainConfig
from plainnet.errors import PlainnetError
from plainnet.evaluate.finding import Finding, advise
from plainnet.nn.activations import ACTIVATIONS, Identity
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense, DropoutLayer
from plainnet.nn.network import Sequential
from plainnet.nn.normalization import BatchNorm
from plainnet.optim.optimizers import OPTIMIZERS, SGD, Optimizer

_LRS = {"sgd": (1e-4, 1.0)}  # learning rates that may be advised
_ADAPTIVE_LRS = (1e-4, 0.03)


def remedy(config: Config, *remedies: Mapping[str, Any], otherwise: str = "") -> dict[str, Any]:
    """Return the first remedy that changes an option and that the other options permit."""
    for options in remedies:
        changed = {name: value for name, value in options.items() if getattr(config, name) != value}
        if changed and _permitted({**non_defaults(config), **changed}):
            return advise(changed, otherwise)
    return advise({}, otherwise)


def non_defaults(config: Config) -> dict[str, Any]:
    """Return the network, and the options that differ from its defaults."""
    images = config.network == "convnet"
    defaults = vars(TrainConfig(network=config.network).resolved(images=images))
    given = {name: value for name, value in vars(config).items() if value != defaults[name]}
    return {"network": config.network, **given}


def _permitted(options: Mapping[str, Any]) -> bool:
    try:
        check(TrainConfig(**options))
    except PlainnetError:
        return False
    return True


def sane_lr(config: Config, lr: float) -> float:
    """Return a learning rate of one digit, in the range that suits the optimizer."""
    low, high = _LRS.get(config.optimizer, _ADAPTIVE_LRS)
    return float(f"{min(max(lr, low), high * (1 - config.momentum)):.1g}")


def unusual_lr(config: Config, lr: float) -> bool:
    """Return whether a learning rate is above those that may be advised."""
    return sane_lr(config, lr) < lr / 2  # and not only rounded


def consistent(findings: Sequence[Finding]) -> list[Finding]:
    """Withdraw options to which an earlier, more serious finding gives another value."""
    advised: dict[str, tuple[Any, str]] = {}
    result = []
    for finding in findings:
        rivals = [
            advised[name][1]
            for name, value in finding.options.items()
            if name in advised and advised[name][0] != value
        ]
        if rivals:
            first = f"first the advice on {rivals[0]!r}"
            finding = replace(finding, **advise({}, first))
        for name, value in finding.options.items():
            advised.setdefault(name, (value, finding.name))
        result.append(finding)
    return result


def config_of(net: Sequential, optimizer: Optimizer | None) -> TrainConfig:
    """Return the options that a network and an optimizer made in Python show."""
    names: dict[type, str] = {kind: name for name, kind in ACTIVATIONS.items()}
    hidden = [one for one in net.layers if type(one) in names and not isinstance(one, Identity)]
    activations = tuple(dict.fromkeys(names[type(layer)] for layer in hidden))
    rates = [layer.rate for layer in net.layers if isinstance(layer, DropoutLayer)]
    options: dict[str, Any] = {"network": "mlp", "dropout": max(rates, default=0.0)}
    if any(isinstance(layer, Conv2D) for layer in net.layers):
        options = {"network": "convnet"}
    else:
        dense = [layer for layer in net.layers if isinstance(layer, Dense)]
        options["hidden"] = tuple(len(layer.W) for layer in dense[:-1])
    if len(activations) == 1:
        options["activation"] = activations
    options["batch_norm"] = any(isinstance(layer, BatchNorm) for layer in net.layers)
    if optimizer is not None:
        kinds = {kind: name for name, kind in OPTIMIZERS.items()}
        options["optimizer"] = kinds.get(type(optimizer), TrainConfig.optimizer)
        options["momentum"] = optimizer.momentum if isinstance(optimizer, SGD) else 0.0
    return TrainConfig(**options)
