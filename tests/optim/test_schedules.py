"""Schedules against closed forms, limits and monotone parts."""

import copy
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainnet.optim
from plainnet.errors import PlainnetError
from plainnet.nn import BinaryCrossEntropy, mlp
from plainnet.optim import (
    SCHEDULES,
    SGD,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)
from plainnet.train.fit import fit

rates = st.floats(1e-6, 10)
lengths = st.integers(1, 500)
shares = st.floats(0.05, 1)


@settings(deadline=None)
@given(rates, st.integers(0, 10**9))
def test_constant(lr, step):
    assert Constant(lr)(step) == lr


@settings(deadline=None)
@given(rates, lengths, shares, st.integers(0, 2000))
def test_step_decay(lr, every, factor, step):
    expected = lr
    for _ in range(step // every):
        expected *= factor
    assert StepDecay(lr, every, factor)(step) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@settings(deadline=None)
@given(rates, lengths, shares, st.integers(0, 20))
def test_exponential_equals_step_decay_at_every_change(lr, every, factor, k):
    smooth, stairs = Exponential(lr, every, factor), StepDecay(lr, every, factor)
    assert smooth(k * every) == pytest.approx(stairs(k * every), rel=1e-9)
    assert smooth(k * every + 1) == pytest.approx(
        smooth(k * every) * math.exp(math.log(factor) / every), rel=1e-9
    )


@settings(deadline=None)
@given(rates, lengths, st.floats(0, 1))
def test_cosine(lr, steps, share):
    schedule = Cosine(lr, steps, final=share * lr)
    values = [schedule(step) for step in range(steps + 3)]
    assert values[0] == pytest.approx(lr)
    assert values[steps:] == pytest.approx([share * lr] * 3, abs=1e-12)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(values))
    for step in range(steps + 1):  # cos(x) + cos(pi - x) = 0
        assert values[step] + values[steps - step] == pytest.approx(lr * (1 + share))
    if steps % 3 == 0:
        assert values[steps // 3] == pytest.approx(share * lr + 0.75 * lr * (1 - share))


@settings(deadline=None)
@given(rates, lengths, lengths)
def test_warmup_is_linear_then_follows_the_schedule(lr, steps, rest):
    then = Cosine(lr, rest)
    schedule = WarmUp(then, steps)
    rise = [schedule(step) for step in range(steps)]
    assert rise == pytest.approx([lr * k / steps for k in range(1, steps + 1)])
    for step in (0, 1, rest, rest + 1):
        assert schedule(steps + step) == then(step)


@settings(deadline=None)
@given(rates, st.integers(2, 400), st.floats(0.05, 0.95), st.floats(0, 0.04))
def test_one_cycle(lr, steps, rise, final):
    schedule = OneCycle(lr, steps, rise, final)
    values = [schedule(step) for step in range(steps + 3)]
    top = rise * steps
    assert values[0] == pytest.approx(lr / 25)
    assert values[steps:] == pytest.approx([lr * final] * 3, abs=1e-12)
    assert max(values) <= lr * (1 + 1e-12)
    up, down = values[: math.ceil(top)], values[math.ceil(top) :]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(up))
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(down))
    for step, value in enumerate(values):
        low, done = (
            (lr / 25, step / top)
            if step < top
            else (lr * final, 1 - min((step - top) / (steps - top), 1))
        )
        # sin^2(x / 2) = (1 - cos x) / 2
        expected = low + (lr - low) * math.sin(math.pi * done / 2) ** 2
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_one_cycle_peak_position():
    schedule = OneCycle(2.0, 100, rise=0.25)
    assert schedule(25) == 2.0
    assert max(range(101), key=schedule) == 25


def test_schedules_compare_by_value():
    for schedule in EXAMPLES:
        assert schedule == copy.deepcopy(schedule)
        with pytest.raises(AttributeError):
            schedule.lr = 1.0


EXAMPLES: list[Schedule] = [
    Constant(0.3),
    StepDecay(0.3, every=4),
    Exponential(0.3, every=4),
    Cosine(0.3, steps=12),
    WarmUp(Cosine(0.3, steps=6), steps=6),
    OneCycle(0.3, steps=12),
]


@pytest.mark.parametrize("schedule", EXAMPLES, ids=lambda s: type(s).__name__)
def test_history_records_the_last_learning_rate_of_each_epoch(schedule):
    X = np.random.default_rng(0).normal(size=(10, 2))
    net = mlp(2)
    history = fit(
        net,
        X,
        [0, 1] * 5,
        loss=BinaryCrossEntropy(),
        optimizer=SGD(schedule),
        epochs=4,
        batch_size=4,  # three batches an epoch
    )
    assert history.lr == [schedule(step) for step in (2, 5, 8, 11)]
    assert all(type(lr) is float for lr in history.lr)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(0), "Constant: lr must be a number in (0, inf), got 0"),
        (lambda: Constant("0.1"), "Constant: lr must be a number in (0, inf), got '0.1'"),
        (lambda: Cosine(-1, 5), "Cosine: lr must be a number in (0, inf), got -1"),
        (lambda: Cosine(1, 0), "Cosine: steps must be a whole number of at least 1, got 0"),
        (lambda: Cosine(1, 2.5), "Cosine: steps must be a whole number of at least 1, got 2.5"),
        (lambda: Cosine(1, 5, -0.1), "Cosine: final must be a number in [0, inf), got -0.1"),
        (lambda: StepDecay(1, 0), "StepDecay: every must be a whole number of at least 1, got 0"),
        (lambda: StepDecay(1, 5, 0), "StepDecay: factor must be a number in (0, inf), got 0"),
        (
            lambda: Exponential(1, 0.5),
            "Exponential: every must be a whole number of at least 1, got 0.5",
        ),
        (
            lambda: Exponential(1, 5, math.nan),
            "Exponential: factor must be a number in (0, inf), got nan",
        ),
        (
            lambda: WarmUp(0.1, 5),
            "WarmUp: then must be a schedule such as Constant(0.1), got 0.1",
        ),
        (
            lambda: WarmUp(Constant(1), 0),
            "WarmUp: steps must be a whole number of at least 1, got 0",
        ),
        (lambda: OneCycle(1, 0), "OneCycle: steps must be a whole number of at least 1, got 0"),
        (lambda: OneCycle(1, 5, 1.0), "OneCycle: rise must be a number in (0, 1), got 1.0"),
        (
            lambda: OneCycle(1, 5, 0.5, -1),
            "OneCycle: final must be a number in [0, inf), got -1",
        ),
    ],
)
def test_invalid_options_raise(make, message):
    with pytest.raises(PlainnetError) as error:
        make()
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (StepDecay(1, 5), StepDecay(1, 4)),
        (StepDecay(1, 5), StepDecay(1, 5, 0.4)),
        (Exponential(1, 5), Exponential(1, 4)),
        (Exponential(1, 5), Exponential(1, 5, 0.4)),
        (Cosine(1, 20), Cosine(1, 21)),
        (Cosine(1, 20), Cosine(1, 20, 0.1)),
        (WarmUp(Constant(1), 10), WarmUp(Constant(1), 9)),
        (WarmUp(Constant(1), 10), WarmUp(Constant(2), 10)),
        (OneCycle(1, 20), OneCycle(1, 21)),
        (OneCycle(1, 20), OneCycle(1, 20, 0.6)),
        (OneCycle(1, 20), OneCycle(1, 20, final=0.1)),
    ],
)
def test_every_option_has_an_effect(one, other):
    assert any(abs(one(step) - other(step)) > 1e-3 for step in range(22))


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_schedule_repr_evaluates_to_the_schedule(make):
    schedule = WarmUp(make(0.1, 50), steps=3)
    assert eval(repr(schedule), vars(plainnet.optim)) == schedule
