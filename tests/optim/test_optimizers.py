"""Optimizers against the formulas of their papers, computed with Python floats."""

import copy
import inspect
import math
from collections.abc import Callable

import numpy as np
import pytest

import plainnet.optim
from plainnet.errors import PlainnetError
from plainnet.nn import BinaryCrossEntropy, mlp
from plainnet.optim import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    OneCycle,
    Optimizer,
    RMSprop,
    Schedule,
    StepDecay,
    WarmUp,
)
from plainnet.optim.optimizers import OPTIMIZERS, clip_by_norm
from plainnet.train.fit import fit

N, N_DECAY, STEPS = 7, 4, 50


def sgd(theta: list[float], grads: list[list[float]], lr, momentum=0.0, nesterov=False):
    """Polyak's heavy ball; Nesterov as Sutskever et al. (2013), equation 3 and 4.

    Theirs: v' = mu v - lr grad(theta + mu v); theta' = theta + v'. With phi = theta + mu v as the
    stored parameters, phi' = phi - mu v + (1 + mu) v'.
    """
    phi, v = list(theta), [0.0] * len(theta)
    for grad in grads:
        for i, g in enumerate(grad):
            new = momentum * v[i] - lr * g
            phi[i] += (1 + momentum) * new - momentum * v[i] if nesterov else new
            v[i] = new
    return phi


def rmsprop(theta, grads, lr, rho=0.9, eps=1e-8):
    theta, s = list(theta), [0.0] * len(theta)
    for grad in grads:
        for i, g in enumerate(grad):
            s[i] = rho * s[i] + (1 - rho) * g**2
            theta[i] = theta[i] - lr * g / (math.sqrt(s[i]) + eps)
    return theta


def adam(theta, grads, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    """Kingma and Ba (2015), algorithm 1; Loshchilov and Hutter (2019), algorithm 2, line 12."""
    theta = list(theta)
    m, v = [0.0] * len(theta), [0.0] * len(theta)
    for t, grad in enumerate(grads, start=1):
        for i, g in enumerate(grad):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
            decay = weight_decay * theta[i] if i < N_DECAY else 0.0
            theta[i] = theta[i] - lr * (m_hat / (math.sqrt(v_hat) + eps) + decay)
    return theta


CASES: list[tuple[str, Optimizer, Callable[..., list[float]], dict[str, float]]] = [
    ("plain", SGD(0.3), sgd, {"lr": 0.3}),
    ("momentum", SGD(0.05, momentum=0.9), sgd, {"lr": 0.05, "momentum": 0.9}),
    (
        "nesterov",
        SGD(0.05, momentum=0.8, nesterov=True),
        sgd,
        {"lr": 0.05, "momentum": 0.8, "nesterov": True},
    ),
    ("rmsprop", RMSprop(0.02), rmsprop, {"lr": 0.02}),
    ("rmsprop set", RMSprop(0.1, 0.5, 0.3), rmsprop, {"lr": 0.1, "rho": 0.5, "eps": 0.3}),
    ("rmsprop rho 0", RMSprop(0.1, rho=0), rmsprop, {"lr": 0.1, "rho": 0.0}),
    ("adam", Adam(0.03), adam, {"lr": 0.03}),
    (
        "adam set",
        Adam(0.1, 0.5, 0.8, 0.2),
        adam,
        {"lr": 0.1, "beta1": 0.5, "beta2": 0.8, "eps": 0.2},
    ),
    ("adam betas 0", Adam(0.1, 0, 0), adam, {"lr": 0.1, "beta1": 0.0, "beta2": 0.0}),
    ("adamw", AdamW(0.03), adam, {"lr": 0.03, "weight_decay": 0.01}),
    ("adamw set", AdamW(0.1, weight_decay=0.7), adam, {"lr": 0.1, "weight_decay": 0.7}),
    ("adamw no decay", AdamW(0.1, weight_decay=0), adam, {"lr": 0.1}),
]


@pytest.fixture
def path() -> tuple[np.ndarray, np.ndarray]:
    """Return initial parameters and 50 gradients over six orders of magnitude, some zero."""
    rng = np.random.default_rng(5)
    grads = rng.normal(size=(STEPS, N)) * 10.0 ** rng.uniform(-4, 2, size=(STEPS, N))
    grads[rng.random(grads.shape) < 0.1] = 0
    return rng.normal(size=N), grads


@pytest.mark.parametrize(
    ("rule", "oracle", "options"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_fifty_steps_match_the_paper(rule, oracle, options, path):
    start, grads = path
    theta, rule = start.copy(), copy.deepcopy(rule)
    rule.start(theta, np.arange(theta.size) < N_DECAY)
    for grad in grads:
        rule.step(theta, grad)
    expected = oracle(start.tolist(), grads.tolist(), **options)
    np.testing.assert_allclose(theta, expected, rtol=1e-12, atol=1e-12)
    assert rule.t == STEPS


def test_momentum_with_constant_gradient_is_a_geometric_series(path):
    # v_t = g (1 - mu^t) / (1 - mu), so theta = -lr g sum v_t
    theta, mu = np.zeros(1), 0.9
    rule = SGD(0.1, momentum=mu)
    for _ in range(20):
        rule.step(theta, np.ones(1))
    expected = -0.1 * sum((1 - mu**t) / (1 - mu) for t in range(1, 21))
    assert theta[0] == pytest.approx(expected, rel=1e-13)


def test_gradient_descent_on_a_parabola_is_geometric():
    theta = np.array([3.0])
    rule = SGD(0.1)
    for _ in range(30):
        rule.step(theta, theta.copy())  # f = theta^2 / 2
    assert theta[0] == pytest.approx(3 * 0.9**30, rel=1e-13)


def test_nesterov_on_a_parabola_converges_at_the_theoretical_rate():
    # f = h theta^2 / 2: phi' = (1 + mu) (1 - lr h) phi - mu (1 - lr h) phi_before
    h, lr, mu, theta = 2.0, 0.05, 0.5, np.array([1.0])
    rule, expected_path = SGD(lr, momentum=mu, nesterov=True), [1.0, 1.0 - lr * h * (1 + mu)]
    for _ in range(2, 12):
        expected_path.append((1 - lr * h) * ((1 + mu) * expected_path[-1] - mu * expected_path[-2]))
    for expected in expected_path[1:]:
        rule.step(theta, h * theta)
        # the recursion is in the points where the gradient is taken, which is what theta holds
        assert theta[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_adam_step_is_invariant_to_gradient_scale(scale):
    theta = np.zeros(3)
    Adam(0.25, eps=1e-30).step(theta, scale * np.array([1.0, -2.0, 3.0]))
    np.testing.assert_allclose(theta, [-0.25, 0.25, -0.25], rtol=1e-12)


def test_adamw_decays_only_weights():
    theta = np.full(5, 2.0)
    rule = AdamW(0.5, weight_decay=0.1)
    rule.start(theta, np.array([True, True, True, False, False]))
    for _ in range(4):
        rule.step(theta, np.zeros(5))
    np.testing.assert_allclose(theta, [2 * 0.95**4] * 3 + [2.0] * 2, rtol=1e-14)


@pytest.mark.parametrize("rule", [c[1] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_are_in_place_and_preserve_the_gradient(rule, dtype):
    rule = copy.deepcopy(rule)
    memory = np.linspace(1, 2, N).astype(dtype)
    theta, view = memory[:], memory[2:4].reshape(1, 2)
    grad = np.linspace(-1, 1, N).astype(dtype)
    grad.flags.writeable = False
    rule.start(theta, np.arange(theta.size) < N_DECAY)
    for _ in range(3):
        rule.step(theta, grad)
    assert np.shares_memory(theta, memory)
    np.testing.assert_array_equal(view.ravel(), theta[2:4])
    assert not np.array_equal(theta, np.linspace(1, 2, N).astype(dtype))
    assert theta.dtype == dtype
    for slot in rule.state.values():
        assert slot.shape == theta.shape
        assert slot.dtype == dtype
        assert not np.shares_memory(slot, theta)


def test_network_views_stay_bound():
    net = mlp(3)
    Adam(0.1).step(net.params.trained, np.ones_like(net.params.grad))
    for view in net.params.views.values():
        assert np.shares_memory(view, net.params.theta)
    np.testing.assert_array_equal(net.params.views["dense1.W"].ravel(), net.params.theta[:24])


def test_state_slots():
    wanted = {SGD: set(), RMSprop: {"s"}, Adam: {"m", "v"}, AdamW: {"m", "v"}}
    for kind, slots in wanted.items():
        rule = kind()
        rule.step(np.ones(2), np.ones(2))
        assert set(rule.state) == slots
    moving = SGD(momentum=0.5)
    moving.step(np.ones(2), np.array([2.0, 4.0]))
    np.testing.assert_array_equal(moving.state["v"], [2.0, 4.0])


def test_start_resets_the_state():
    theta, rule = np.ones(2), Adam(0.1)
    for _ in range(3):
        rule.step(theta, np.array([1.0, 5.0]))
    fresh, again = np.ones(2), np.ones(2)
    rule.start(again)
    assert rule.t == 0
    rule.step(again, np.array([-1.0, 3.0]))
    Adam(0.1).step(fresh, np.array([-1.0, 3.0]))
    np.testing.assert_array_equal(fresh, again)


OPTIONS: list[tuple[type[Optimizer], dict[str, object], dict[str, object]]] = [
    (SGD, {}, {"lr": 0.5}),
    (SGD, {}, {"momentum": 0.5}),
    (SGD, {"momentum": 0.5}, {"nesterov": True}),
    (RMSprop, {}, {"lr": 0.5}),
    (RMSprop, {}, {"rho": 0.5}),
    (RMSprop, {}, {"eps": 0.5}),
    *[
        (kind, {}, {name: 0.5})
        for kind in (Adam, AdamW)
        for name in ("lr", "beta1", "beta2", "eps")
    ],
    (AdamW, {}, {"weight_decay": 0.5}),
]


@pytest.mark.parametrize(("kind", "base", "change"), OPTIONS)
def test_every_option_has_an_effect(kind, base, change, path):
    start, grads = path
    ends = []
    for options in (base, {**base, **change}):
        theta, rule = start.copy(), kind(**options)
        rule.start(theta, np.arange(theta.size) < N_DECAY)
        for grad in grads[:5]:
            rule.step(theta, grad)
        ends.append(theta)
    assert not np.allclose(ends[0], ends[1], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(lr=0), "SGD: lr must be a number in (0, inf), got 0"),
        (lambda: SGD(lr=-1.0), "SGD: lr must be a number in (0, inf), got -1.0"),
        (lambda: Adam(lr=math.nan), "Adam: lr must be a number in (0, inf), got nan"),
        (lambda: Adam(lr=math.inf), "Adam: lr must be a number in (0, inf), got inf"),
        (lambda: AdamW(lr="fast"), "AdamW: lr must be a number in (0, inf), got 'fast'"),
        (lambda: RMSprop(lr=None), "RMSprop: lr must be a number in (0, inf), got None"),
        (lambda: SGD(lr=True), "SGD: lr must be a number in (0, inf), got True"),
        (lambda: SGD(momentum=1), "SGD: momentum must be a number in [0, 1), got 1"),
        (lambda: SGD(momentum=-0.1), "SGD: momentum must be a number in [0, 1), got -0.1"),
        (lambda: SGD(nesterov=True), "SGD: nesterov needs a momentum above 0"),
        (lambda: RMSprop(rho=1.0), "RMSprop: rho must be a number in [0, 1), got 1.0"),
        (lambda: RMSprop(eps=0), "RMSprop: eps must be a number in (0, inf), got 0"),
        (lambda: Adam(beta1=1), "Adam: beta1 must be a number in [0, 1), got 1"),
        (lambda: AdamW(beta2=-1), "AdamW: beta2 must be a number in [0, 1), got -1"),
        (lambda: Adam(eps=-1e-8), "Adam: eps must be a number in (0, inf), got -1e-08"),
        (
            lambda: AdamW(weight_decay=-0.1),
            "AdamW: weight_decay must be a number in [0, inf), got -0.1",
        ),
    ],
)
def test_invalid_options_raise(make, message):
    with pytest.raises(PlainnetError) as error:
        make()
    assert str(error.value) == message


def test_different_theta_raises():
    rule = Adam()
    rule.step(np.ones(3), np.ones(3))
    with pytest.raises(PlainnetError) as error:
        rule.step(np.ones(4), np.ones(4))
    assert str(error.value) == (
        "this optimizer moves 3 parameters, got 4: use a new one, or call start()"
    )


def test_gradient_of_wrong_shape_raises():
    theta = np.ones(3)
    with pytest.raises(PlainnetError) as error:
        SGD(0.1).step(theta, np.ones(1))
    assert str(error.value) == "theta has shape (3,) and its gradient (1,): they must be equal"
    np.testing.assert_array_equal(theta, 1)


def test_optimizer_can_be_reused():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), rng.integers(0, 2, 30)
    for kind in OPTIMIZERS.values():
        shared, ends = kind(), []
        for rule in (shared, shared, kind()):
            net = mlp(3, seed=1)
            fit(net, X, y, loss=BinaryCrossEntropy(), optimizer=rule, epochs=3, batch_size=7)
            ends.append(net.params.theta.tobytes())
        assert ends[0] == ends[1] == ends[2]
        assert shared.t == 0
        assert shared.state == {}


def test_schedule_sets_the_learning_rate_of_each_step():
    theta, rule = np.zeros(1), SGD(StepDecay(1.0, every=2, factor=0.1))
    expected_path = []
    for _ in range(5):
        rule.step(theta, np.ones(1))
        expected_path.append(rule.current_lr)
    assert expected_path == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert theta[0] == pytest.approx(-2.21)


def test_lr_attribute_is_the_given_value():
    assert SGD(0.1).lr == 0.1
    assert SGD(Constant(0.1)).lr == Constant(0.1)
    assert SGD(0.1).lr_at(9) == SGD(Constant(0.1)).lr_at(9) == 0.1


@pytest.mark.parametrize(
    "rule",
    [
        *(kind() for kind in OPTIMIZERS.values()),
        SGD(0.5, momentum=0.9, nesterov=True),
        AdamW(WarmUp(Cosine(0.1, steps=9), steps=2), weight_decay=0.5),
        RMSprop(OneCycle(1.0, 7), rho=0.5),
    ],
)
def test_optimizer_repr_evaluates_to_the_optimizer(rule):
    again = eval(repr(rule), vars(plainnet.optim))
    assert repr(again) == repr(rule)
    assert {k: getattr(again, k) for k in rule.options} == {
        k: getattr(rule, k) for k in rule.options
    }
    assert set(rule.options) == set(inspect.signature(type(rule)).parameters)


def test_numpy_scalars_of_a_schedule_become_python_floats():
    class Halving(Schedule):
        def __call__(self, step: int) -> float:
            return np.float32(0.5) ** step  # type: ignore[return-value]

    rule, theta = SGD(Halving()), np.ones(1, np.float32)
    rule.step(theta, theta.copy())
    assert type(rule.current_lr) is float


@pytest.mark.parametrize(("limit", "factor"), [(1.0, 0.2), (4.9, 0.98), (5.0, 1.0), (9.0, 1.0)])
def test_clip_by_norm(limit, factor):
    grad = np.array([3.0, 0.0, -4.0])
    assert clip_by_norm(grad, limit) == 5.0
    np.testing.assert_allclose(grad, factor * np.array([3.0, 0.0, -4.0]), rtol=1e-15)


def test_clip_by_norm_without_overflow():
    grad = np.array([3e25, -4e25], np.float32)
    with np.errstate(over="ignore"):
        norm = clip_by_norm(grad, 1.0)
    assert norm == pytest.approx(5e25, rel=1e-6)
    np.testing.assert_allclose(grad, [0.6, -0.8], rtol=1e-6)
