"""Search space: bounds, distributions and valid combinations."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from plainnet import TrainConfig
from plainnet.build import check
from plainnet.search.space import SEARCHED, Categorical, LogUniform, apply, draw, searched, space_of

OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw")


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.floats(1e-9, 1e3), st.floats(1.0, 1e6), st.integers(0, 2**32 - 1))
def test_range_respects_its_bounds(low, times, seed):
    assert low <= LogUniform(low, low * times).draw(rng(seed)) <= low * times


def test_log_uniform_distribution():
    generator = rng()
    drawn = np.log([LogUniform(1e-4, 10.0).draw(generator) for _ in range(2000)])
    width = math.log(10.0) - math.log(1e-4)
    # Kolmogorov-Smirnov: numbers drawn evenly themselves would give a p of about 0
    assert stats.kstest(drawn, stats.uniform(math.log(1e-4), width).cdf).pvalue > 0.01
    assert drawn.min() < math.log(1e-4) + 0.01 * width
    assert drawn.max() > math.log(10.0) - 0.01 * width


def test_categorical_distribution():
    generator = rng()
    drawn = [Categorical((1, 2, 5)).draw(generator) for _ in range(3000)]
    assert stats.chisquare([drawn.count(value) for value in (1, 2, 5)]).pvalue > 0.01


@given(st.integers(0, 2**32 - 1), st.sampled_from(OPTIMIZERS), st.integers(2, 5000))
def test_drawn_values_are_valid(seed, optimizer, m):
    config = TrainConfig(optimizer=optimizer)
    space = space_of(config, m)
    drawn = apply(config, draw(space, rng(seed)))
    check(drawn)
    assert len(set(drawn.hidden)) == 1  # one width for all layers
    assert drawn.batch_size <= max(m / 2, 16)
    for name, one in space.items():
        if isinstance(one, LogUniform):
            value = getattr(drawn, name)
            assert one.low <= value <= one.high
            assert value == float(f"{value:.1e}")  # two digits


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_adamw_has_weight_decay_and_the_others_have_l2(optimizer):
    names = set(space_of(TrainConfig(optimizer=optimizer), 100))
    assert names & {"l2", "weight_decay"} == {"weight_decay" if optimizer == "adamw" else "l2"}


@pytest.mark.parametrize("name", SEARCHED)
def test_given_options_are_not_drawn(name):
    config = TrainConfig(
        optimizer="adamw" if name == "weight_decay" else "adam",
        network="convnet" if name in ("channels", "kernel", "augment") else "mlp",
    )
    all_names, rest = set(space_of(config, 100)), set(space_of(config, 100, [name]))
    together = {"hidden": {"layers", "units"}, "channels": {"blocks", "filters"}}
    together["augment"] = {"shift"}
    assert all_names - rest == together.get(name, {name})


def test_dropout_needs_hidden_layers():
    assert "dropout" not in space_of(TrainConfig(hidden=()), 100, ["hidden"])


def test_apply_changes_only_the_drawn_options():
    values = {"layers": 3, "units": 8, "lr": 0.00123456, "dropout": 0.25, "batch_size": 64}
    assert apply(TrainConfig(epochs=7), values) == TrainConfig(
        epochs=7, hidden=(8, 8, 8), lr=0.0012, dropout=0.25, batch_size=64
    )


@given(st.integers(0, 2**32 - 1))
def test_drawn_convolutional_networks_are_valid(seed):
    config = TrainConfig().resolved(images=True)
    space = space_of(config, 500)
    drawn = apply(config, draw(space, rng(seed)))
    check(drawn)
    assert "layers" not in space
    assert len(drawn.channels) in (2, 3, 4)
    assert all(b == 2 * a for a, b in pairwise(drawn.channels))
    assert drawn.kernel in (3, 5)
    assert drawn.augment in ((), ("shift",))


def test_given_options_of_convolutional_networks_are_not_searched():
    config = TrainConfig().resolved(images=True)
    names = set(space_of(config, 500, ("channels", "kernel", "augment")))
    assert names == {"lr", "l2", "dropout", "batch_size"}
    assert {"channels", "kernel", "augment"} <= set(searched(config))
    assert not {"channels", "kernel", "augment"} & set(searched(TrainConfig(network="mlp")))
