"""gradcheck finds deliberate bugs, reports kinks, and agrees with independent differences."""

import numpy as np
import pytest

from nn.cases import analytic_gradients, draw_biases, numeric_gradients, relative_distance
from plainnet.errors import PlainnetError
from plainnet.nn import (
    GELU,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    Huber,
    LayerNorm,
    MeanSquaredError,
    ReLU,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
    mlp,
)
from plainnet.nn.gradcheck import gradcheck


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# --- deliberate bugs -----------------------------------------------------------------------------
# Subclasses of final classes, each with one deliberate bug.


class DoubledWeightGradient(Dense):
    def backward(self, dZ, need_dX):
        dX = super().backward(dZ, need_dX)
        self.dW *= 2
        return dX


class BiasTimesFour(Dense):
    def backward(self, dZ, need_dX):
        dX = super().backward(dZ, need_dX)
        self.db *= 4
        return dX


class BiasGradientMean(Dense):
    def backward(self, dZ, need_dX):
        dX = super().backward(dZ, need_dX)
        self.db /= len(dZ)
        return dX


class MissingBiasGradient(Dense):
    def backward(self, dZ, need_dX):
        dX = super().backward(dZ, need_dX)
        self.db[...] = 0
        return dX


class WrongSign(Dense):
    def backward(self, dZ, need_dX):
        dX = super().backward(dZ, need_dX)
        return None if dX is None else -dX


class AccumulatedGradient(Dense):
    def backward(self, dZ, need_dX):
        old = self.dW.copy()
        dX = super().backward(dZ, need_dX)
        self.dW += old + 1
        return dX


class ReLUWithoutMask(ReLU):
    def backward(self, dY, need_dX):
        return dY


class TanhWithoutDerivative(Tanh):
    def backward(self, dY, need_dX):
        return dY


class SigmoidWithHalfDerivative(Sigmoid):
    def backward(self, dY, need_dX):
        return dY * self.Y


class GELUWithoutInnerDerivative(GELU):
    def backward(self, dY, need_dX):
        return dY * 0.5 * (1 + self.T)


class DropoutWithoutBackwardMask(Dropout):
    def backward(self, dY, need_dX):
        return dY


class BatchNormWithConstantStatistics(BatchNorm):
    """The most frequent bug: mean and variance treated as constants."""

    def backward(self, dY, need_dX):
        super().backward(dY, need_dX)
        return dY * self.gamma / self.std


class LayerNormWithoutVarianceGradient(LayerNorm):
    def backward(self, dY, need_dX):
        super().backward(dY, need_dX)
        dX = dY * self.gamma
        return (dX - dX.mean(axis=-1, keepdims=True)) / self.std


class LayerNormWithoutGamma(LayerNorm):
    def backward(self, dY, need_dX):
        super().backward(dY, need_dX)
        along = (dY * self.Xhat).mean(axis=-1, keepdims=True)
        return (dY - dY.mean(axis=-1, keepdims=True) - self.Xhat * along) / self.std


BUGS = {
    DoubledWeightGradient: (lambda: DoubledWeightGradient(3), ["doubledweightgradient1.W"]),
    BiasTimesFour: (lambda: BiasTimesFour(3), ["biastimesfour1.b"]),
    BiasGradientMean: (
        lambda: BiasGradientMean(3),
        ["biasgradientmean1.b"],
    ),
    MissingBiasGradient: (lambda: MissingBiasGradient(3), ["missingbiasgradient1.b"]),
    WrongSign: (lambda: WrongSign(3), ["dense1.W", "dense1.b", "X"]),
    AccumulatedGradient: (lambda: AccumulatedGradient(3), ["accumulatedgradient1.W"]),
    ReLUWithoutMask: (ReLUWithoutMask, ["dense1.W", "dense1.b", "X"]),
    TanhWithoutDerivative: (TanhWithoutDerivative, ["dense1.W", "dense1.b", "X"]),
    SigmoidWithHalfDerivative: (SigmoidWithHalfDerivative, ["dense1.W", "dense1.b", "X"]),
    GELUWithoutInnerDerivative: (GELUWithoutInnerDerivative, ["dense1.W", "dense1.b", "X"]),
    DropoutWithoutBackwardMask: (
        lambda: DropoutWithoutBackwardMask(0.4),
        ["dense1.W", "dense1.b", "X"],
    ),
    BatchNormWithConstantStatistics: (
        BatchNormWithConstantStatistics,
        ["dense1.W", "dense1.b", "X"],
    ),
    LayerNormWithoutVarianceGradient: (
        LayerNormWithoutVarianceGradient,
        ["dense1.W", "dense1.b", "X"],
    ),
    LayerNormWithoutGamma: (LayerNormWithoutGamma, ["dense1.W", "dense1.b", "X"]),
}


def network_with_bug(make):
    net = Sequential([Dense(3), make(), Dense(2)], n_in=4, seed=3, dtype=np.float64)
    draw_biases(net, np.random.default_rng(2))
    return net


@pytest.mark.parametrize(("make", "wrong"), BUGS.values(), ids=[p.__name__ for p in BUGS])
@pytest.mark.parametrize("mode", [{}, {"directions": 3}, {"sample": 2}], ids=str)
def test_deliberate_bug_is_located(make, wrong, mode):
    net, X, y = network_with_bug(make), normals(6, 4), normals(6, 2, seed=1)
    check = gradcheck(net, MeanSquaredError(), X, y, **mode)
    assert not check.ok
    assert check.difference > 1e-2
    assert [row.name for row in check.rows if row.difference >= 1e-7] == wrong
    lines = str(check).splitlines()
    assert len(lines) == 1 + len(check.rows)
    for row, line in zip(check.rows, lines[1:], strict=True):
        assert line.startswith(row.name)
        assert ("WRONG, most at" in line) == (row.name in wrong)
        if row.name in wrong:
            assert row.difference > 1e-2
            assert str(row.worst) in line


class TwiceDividedError(MeanSquaredError):
    def unreduced(self, Z, y):
        losses, dZ = super().unreduced(Z, y)
        return losses, dZ / len(Z)


class SoftmaxWithoutItsTarget(SoftmaxCrossEntropy):
    def unreduced(self, Z, y):
        return super().unreduced(Z, y)[0], self.predictions(Z)


def test_deliberate_bug_in_a_loss_is_found():
    X = normals(5, 3)
    check = gradcheck(mlp(3, n_out=2), TwiceDividedError(), X, normals(5, 2))
    assert not check.ok
    assert check.difference == pytest.approx((1 - 1 / 5) / (1 + 1 / 5), rel=1e-6)
    check = gradcheck(mlp(3, n_out=2), SoftmaxWithoutItsTarget(), X, [0, 1, 1, 0, 1])
    assert not check.ok
    assert check.difference > 1e-2


def test_bugs_of_the_assignment_are_found():
    """dW2 times 2 and db1 times 4 fail; the correct gradients pass."""

    class First(Dense):
        def backward(self, dZ, need_dX):
            dX = super().backward(dZ, need_dX)
            self.db *= 4
            return dX

    class Second(Dense):
        def backward(self, dZ, need_dX):
            dX = super().backward(dZ, need_dX)
            self.dW *= 2
            return dX

    def net(first, second):
        return Sequential([first(5), ReLU(), second(3), ReLU(), Dense(1)], n_in=4, seed=1)

    X, y = normals(3, 4, seed=1), [1, 1, 0]
    check = gradcheck(net(First, Second), BinaryCrossEntropy(), X, y)
    wrong = [row.name for row in check.rows if row.difference > 1e-2]
    assert wrong == ["first1.b", "second1.W"]
    assert check.difference > 1e-2
    assert gradcheck(net(Dense, Dense), BinaryCrossEntropy(), X, y).difference < 1e-9


def test_bug_in_a_small_gradient_is_found():
    """The first layer's gradient is wrong and 10,000 times smaller than the last layer's."""
    net = Sequential(
        [DoubledWeightGradient(2), Tanh(), Dense(1, "constant:1e-4")], n_in=2, dtype=np.float64
    )
    check = gradcheck(net, MeanSquaredError(), normals(4, 2), 100 * normals(4))
    row = next(row for row in check.rows if row.name == "doubledweightgradient1.W")
    assert row.difference > 1e-4
    assert not check.ok


# --- independent finite differences --------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "n_out", "y"),
    [
        (BinaryCrossEntropy(), 1, [0, 1, 1, 0, 1]),
        (SoftmaxCrossEntropy(0.1), 3, [0, 1, 2, 0, 1]),
        (BinaryCrossEntropy(), 2, np.eye(5)[:, :2]),
        (Huber(), 2, 2 * normals(5, 2)),
    ],
)
def test_gradcheck_agrees_with_independent_differences(loss, n_out, y):
    net = mlp(3, (4, 3), n_out, activation="gelu", batch_norm=True, dropout=0.3, dtype=np.float64)
    draw_biases(net, np.random.default_rng(0))
    X, weight = normals(5, 3), np.array([1.0, 2, 0, 1, 0.5])
    assert gradcheck(net, loss, X, y, weight=weight).difference < 1e-8
    for a, n in zip(
        analytic_gradients(net, loss, X, y, weight),
        numeric_gradients(net, loss, X, y, weight),
        strict=True,
    ):
        assert relative_distance(a, n) < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_error_of_a_course_network_is_rounding(seed):
    """10-8-8-8-1 with He and the logit loss: about 5.6e-11 at eps 1e-5 (median of ten seeds)."""
    net = mlp(10, (8, 8, 8), 1, seed=seed)
    X = normals(5, 10, seed=seed)
    check = gradcheck(net, BinaryCrossEntropy(), X, [0, 1, 1, 0, 1])
    assert check.difference < 1e-9
    assert all(row.checked + len(row.kinks) == np.prod(row.shape) for row in check.rows)


@pytest.mark.parametrize(("eps", "lowest", "highest"), [(1e-2, 1e-7, 1e-3), (1e-5, 0, 1e-8)])
def test_eps_is_the_difference_step(eps, lowest, highest):
    """The error of a central difference grows with the square of the step."""
    net = mlp(3, (4,), 1, activation="tanh")
    check = gradcheck(net, BinaryCrossEntropy(), np.eye(3), [0, 1, 1], eps=eps, threshold=1)
    assert lowest <= check.difference < highest


def nearly_a_sign(seed, units):
    """Layer norm of a few nearly equal numbers, which jumps from -1 to 1."""
    net = Sequential([Dense(units), LayerNorm(), Tanh(), Dense(1)], n_in=4, seed=seed)
    return gradcheck(net, BinaryCrossEntropy(), normals(5, 4, seed=seed), [0, 1, 1, 0, 1])


@pytest.mark.parametrize("units", [2, 3])
def test_strong_curvature_is_no_bug(units):
    checks = [nearly_a_sign(seed, units) for seed in range(100)]
    assert [seed for seed, check in enumerate(checks) if not check.ok] == []


@pytest.mark.parametrize("kind", [LayerNormWithoutVarianceGradient, LayerNormWithoutGamma])
@pytest.mark.parametrize("units", [2, 3])
def test_deliberate_bug_is_found_despite_strong_curvature(units, kind):
    def beside(seed):
        net = Sequential([Dense(units), kind(), Tanh(), Dense(1)], n_in=4, seed=seed)
        draw_biases(net, np.random.default_rng(seed))
        return gradcheck(net, BinaryCrossEntropy(), normals(5, 4, seed=seed), [0, 1, 1, 0, 1])

    for seed in range(30):
        check = beside(seed)
        wrong = {row.name for row in check.rows if row.difference >= 1e-7}
        assert wrong == {"dense1.W", "dense1.b", "X"}, f"{seed}\n{check}"


# --- kinks ---------------------------------------------------------------------------------------


def test_unit_at_its_kink_is_reported_and_skipped():
    net = Sequential([Dense(1, "ones"), ReLU(), Dense(1, "ones")], n_in=1)
    X, y = np.array([[0.0], [1.0]]), np.array([5.0, 5.0])
    check = gradcheck(net, MeanSquaredError(), X, y)
    rows = {row.name: row for row in check.rows}
    assert rows["dense1.b"].kinks == ((0,),)  # moving the bias moves the unit of row 0 across
    assert rows["dense1.b"].checked == 0
    assert rows["X"].kinks == ((0, 0),)
    assert rows["X"].checked == 1
    assert rows["dense1.W"].kinks == ()  # row 0 is zero: W does not move its unit
    assert rows["dense1.W"].checked == 1
    assert check.ok, str(check)
    text = str(check)
    assert "1 on a kink, left out: (0, 0)" in text
    assert text.count("on a kink") == 2


def test_unreported_kink_would_fail_the_check():
    net = Sequential([Dense(1, "ones"), ReLU(), Dense(1, "ones")], n_in=1, dtype=np.float64)
    X, y = np.array([[0.0], [1.0]]), np.array([5.0, 5.0])
    numeric, _ = numeric_gradients(net, MeanSquaredError(), X, y)
    analytic, _ = analytic_gradients(net, MeanSquaredError(), X, y)
    assert relative_distance(analytic, numeric) > 1e-2


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu"])
def test_kinks_of_every_activation_are_detected(activation):
    net = mlp(2, (3,), 1, activation=activation)
    check = gradcheck(net, BinaryCrossEntropy(), np.zeros((2, 2)), [0, 1])  # all units at zero
    rows = {row.name: row for row in check.rows}
    assert rows["dense1.b"].kinks == ((0,), (1,), (2,))
    assert rows["dense2.W"].kinks == ()


@pytest.mark.parametrize("activation", ["gelu", "silu", "tanh", "sigmoid", "softplus", "identity"])
def test_smooth_activation_has_no_kink(activation):
    net = mlp(2, (3,), 1, activation=activation)
    check = gradcheck(net, BinaryCrossEntropy(), np.zeros((2, 2)), [0, 1])
    assert not any(row.kinks for row in check.rows)
    assert check.ok


def test_larger_step_crosses_more_kinks():
    net, X, y = mlp(5, (20,), 1), normals(10, 5), [0, 1] * 5
    few, many = (
        sum(len(row.kinks) for row in gradcheck(net, BinaryCrossEntropy(), X, y, eps=eps).rows)
        for eps in (1e-7, 1e-2)
    )
    assert few == 0
    assert many > 5


# --- modes ---------------------------------------------------------------------------------------


def test_sample_limits_the_checked_entries():
    net, X, y = mlp(3, (4,), 1), normals(5, 3), [0, 1, 1, 0, 1]
    check = gradcheck(net, BinaryCrossEntropy(), X, y, sample=5)
    assert {row.name: row.checked for row in check.rows} == {
        "dense1.W": 5,
        "dense2.W": 4,
        "dense1.b": 4,
        "dense2.b": 1,
        "X": 5,
    }
    assert check.ok
    worst = {
        gradcheck(net, BinaryCrossEntropy(), X, y, sample=1, seed=s).rows[0].worst
        for s in range(20)
    }
    assert len(worst) > 5  # the seed decides which


def test_cost_of_directions_is_independent_of_network_size():
    net, X, y = mlp(40, (30, 30), 1, activation="tanh"), normals(5, 40), [0, 1, 1, 0, 1]
    check = gradcheck(net, BinaryCrossEntropy(), X, y, directions=4)
    assert {row.checked for row in check.rows} == {4}
    assert check.ok
    assert check.difference < 1e-8
    a, b = (
        gradcheck(net, BinaryCrossEntropy(), X, y, directions=1, seed=s).difference for s in (1, 2)
    )
    assert a != b


def test_threshold_decides_the_result():
    net = mlp(3, (4,), 1, activation="tanh")
    check = gradcheck(net, BinaryCrossEntropy(), np.eye(3), [0, 1, 1], threshold=1e-20)
    assert not check.ok
    assert check.threshold == 1e-20


def test_network_and_data_are_unchanged():
    net = mlp(3, (4,), 1, batch_norm=True, dropout=0.5)
    net.forward(normals(6, 3), train=True)
    net.backward(np.ones((6, 1)))
    theta, grad = net.params.theta.tobytes(), net.params.grad.tobytes()
    stream = net.rng.bit_generator.state
    X, y = normals(6, 3), np.array([0.0, 1, 1, 0, 1, 0])
    X.flags.writeable = y.flags.writeable = False
    assert gradcheck(net, BinaryCrossEntropy(), X, y).ok
    assert net.params.theta.tobytes() == theta
    assert net.params.grad.tobytes() == grad
    assert net.rng.bit_generator.state == stream
    assert net.dtype == np.float32


def test_float32_network_is_checked_in_float64():
    net = mlp(4, (6,), 3, activation="silu", dtype=np.float32)
    assert gradcheck(net, SoftmaxCrossEntropy(), normals(5, 4), [0, 1, 2, 0, 1]).difference < 1e-9


def test_network_without_parameters_checks_its_input():
    check = gradcheck(Sequential([Tanh()], n_in=2), MeanSquaredError(), normals(3, 2), np.eye(3, 2))
    assert [row.name for row in check.rows] == ["X"]
    assert check.ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sample": 2, "directions": 2},
            "gradcheck takes a sample of entries or directions, not both",
        ),
        ({"sample": 0}, "gradcheck: sample must be a whole number of at least 1, got 0"),
        ({"sample": -1}, "gradcheck: sample must be a whole number of at least 1, got -1"),
        ({"directions": 0}, "gradcheck: directions must be a whole number of at least 1, got 0"),
        ({"eps": 0}, "gradcheck: eps must be a number in (0, 1), got 0"),
        ({"eps": -1e-5}, "gradcheck: eps must be a number in (0, 1), got -1e-05"),
        ({"eps": float("nan")}, "gradcheck: eps must be a number in (0, 1), got nan"),
        ({"weight": [1, 2]}, "expected weights of shape (3,), one for each row, got (2,)"),
    ],
)
def test_empty_check_raises(options, message):
    with pytest.raises(PlainnetError) as error:
        gradcheck(mlp(3), BinaryCrossEntropy(), np.eye(3), [0, 1, 1], **options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((3, 5)), [0, 1, 1], "Dense 'dense1' expects 3 inputs, got 5"),
        (
            np.eye(3),
            [0, 1],
            "BinaryCrossEntropy: outputs of shape (3, 1) do not fit targets of shape (2, 1) "
            "and type float64: encode the targets first",
        ),
        (np.zeros((0, 3)), [], "a loss needs at least one row, got none"),
        (
            np.full((3, 3), np.nan),
            [0, 1, 1],
            "the loss on these rows is nan: there is no gradient to check",
        ),
    ],
)
def test_invalid_rows_raise(X, y, message):
    with pytest.raises(PlainnetError) as error:
        gradcheck(mlp(3), BinaryCrossEntropy(), X, y)
    assert str(error.value) == message
