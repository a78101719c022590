"""Losses against closed forms and sixty-digit arithmetic."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plainnet.errors import PlainnetError
from plainnet.nn import (
    BinaryCrossEntropy,
    Huber,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)

EXTREMES = [-1e4, -800.0, -88.8, -30.0, -1.0, -1e-8, 0.0, 1e-8, 1.0, 30.0, 88.8, 800.0, 1e4]
logits = st.floats(-1e4, 1e4, width=32)


def exact_logistic(z, y):
    """-y log p - (1 - y) log(1 - p) and p - y, p = 1 / (1 + e^-z), in sixty digits."""
    with localcontext() as context:
        context.prec = 60
        z, y = Decimal(float(z)), Decimal(float(y))
        small = (-abs(z)).exp()
        log_small = (1 + small).ln() if small > Decimal("1e-50") else small
        log_p, log_q = (-log_small, -z - log_small) if z > 0 else (z - log_small, -log_small)
        p = 1 / (1 + small) if z > 0 else small / (1 + small)
        return float(-(y * log_p + (1 - y) * log_q)), float(p - y)


def exact_softmax(z, target):
    """-sum t log p and p sum(t) - t of one row."""
    with localcontext() as context:
        context.prec = 60
        z, t = [Decimal(float(v)) for v in z], [Decimal(float(v)) for v in target]
        top = max(z)
        e = [(v - top).exp() for v in z]
        log_p = [v - top - sum(e).ln() for v in z]
        value = -sum(a * b for a, b in zip(t, log_p, strict=True))
        return float(value), [float(a / sum(e) - b) for a, b in zip(e, t, strict=True)]


# --- binary cross-entropy ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [0, 1, 0.25])
def test_binary_cross_entropy_is_accurate_for_any_logit(dtype, y):
    loss = BinaryCrossEntropy()
    for z in EXTREMES:
        Z = np.array([[z]], dtype)
        value, dZ = loss(Z, loss.encode([y], 1, dtype))
        exact, slope = exact_logistic(Z[0, 0], y)
        tolerance = 4 * float(np.finfo(dtype).eps)
        assert value == pytest.approx(exact, rel=tolerance, abs=tolerance * abs(z) * (0 < y < 1))
        assert dZ[0, 0] == pytest.approx(slope, rel=tolerance, abs=tolerance)
        assert np.isfinite([value, dZ[0, 0]]).all()


def test_confident_logits_keep_loss_and_gradient():
    loss = BinaryCrossEntropy()
    right, _ = loss(np.array([[50.0]]), np.array([[1.0]]))
    assert right == pytest.approx(math.exp(-50), rel=1e-12)
    wrong, dZ = loss(np.array([[1e4]], np.float32), np.array([[0]], np.float32))
    assert wrong == 1e4
    assert dZ.tolist() == [[1]]


def test_clipped_formula_is_wrong_for_large_logits():
    loss = BinaryCrossEntropy()

    def clipped(z):
        a = np.clip(1 / (1 + np.exp(-np.float64(z))), 1e-8, 1 - 1e-8)
        return -math.log(1 - a)

    for z in (-10.0, -1.0, 0.0, 1.0, 10.0):
        assert loss(np.array([[z]]), np.array([[0.0]]))[0] == pytest.approx(clipped(z), rel=1e-9)
    for z in (30.0, 100.0, 1e4):
        assert loss(np.array([[z]]), np.array([[0.0]]))[0] == pytest.approx(z)  # linear in z
        assert clipped(z) == pytest.approx(-math.log(1e-8))  # constant


@given(Z=arrays(np.float64, (4, 3), elements=st.floats(-50, 50)), seed=st.integers(0, 9))
def test_multilabel_loss_is_the_mean_over_labels(Z, seed):
    loss, y = BinaryCrossEntropy(), np.random.default_rng(seed).integers(0, 2, (4, 3))
    value, dZ = loss(Z, loss.encode(y, 3, np.float64))
    exact = [[exact_logistic(Z[i, j], y[i, j]) for j in range(3)] for i in range(4)]
    assert value == pytest.approx(math.fsum(v for r in exact for v, _ in r) / 12, rel=1e-13)
    np.testing.assert_allclose(12 * dZ, [[d for _, d in r] for r in exact], rtol=1e-12, atol=1e-15)


def test_multilabel_weights_apply_to_rows():
    loss = BinaryCrossEntropy()
    Z, y = np.array([[1.0, -2.0], [3.0, 0.5]]), np.array([[1.0, 0], [0, 1]])
    per_row = [sum(exact_logistic(Z[i, j], y[i, j])[0] for j in range(2)) / 2 for i in range(2)]
    value, _ = loss(Z, y, np.array([1.0, 3.0]))
    assert value == pytest.approx((per_row[0] + 3 * per_row[1]) / 4, rel=1e-14)


@pytest.mark.parametrize("smooth", [0.1, 0.5, 0.99])
def test_binary_smoothing_mixes_in_one_half(smooth):
    """The loss is linear in y: loss_s(y) = (1 - s) loss(y) + s loss(1/2)."""
    Z, y = np.array([[2.0], [-1.0], [0.3]]), np.array([[1.0], [1.0], [0.0]])
    plain, dZ_plain = BinaryCrossEntropy()(Z, y)
    half, dZ_half = BinaryCrossEntropy()(Z, np.full_like(y, 0.5))
    value, dZ = BinaryCrossEntropy(smooth)(Z, y)
    assert value == pytest.approx((1 - smooth) * plain + smooth * half, rel=1e-14)
    np.testing.assert_allclose(dZ, (1 - smooth) * dZ_plain + smooth * dZ_half, rtol=1e-13)
    assert value != plain


# --- softmax cross-entropy -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "z",
    [
        [0, 0, 0],
        [1, 2, 3],
        [1e4, -1e4, 0],
        [-1e4, -1e4, -1e4],
        [1e4, 1e4, 1e4 - 1],
        [88.8, -103, 5],
        [800, 801, -800],
    ],
)
def test_softmax_cross_entropy_is_accurate_for_any_logits(dtype, z):
    loss, tolerance = SoftmaxCrossEntropy(), 4 * float(np.finfo(dtype).eps)
    Z = np.array([z], dtype)
    for true in range(3):
        value, dZ = loss(Z, loss.encode([true], 3))
        exact, slope = exact_softmax(Z[0], np.eye(3)[true])
        assert value == pytest.approx(exact, rel=tolerance, abs=tolerance)
        np.testing.assert_allclose(dZ[0], slope, rtol=tolerance, atol=tolerance)


@given(Z=arrays(np.float64, (5, 4), elements=st.floats(-30, 30)), seed=st.integers(0, 9))
def test_softmax_of_soft_targets_matches_sixty_digit_arithmetic(Z, seed):
    loss, target = SoftmaxCrossEntropy(), np.random.default_rng(seed).dirichlet(np.ones(4), 5)
    value, dZ = loss(Z, loss.encode(target, 4, np.float64))
    exact = [exact_softmax(z, t) for z, t in zip(Z, target, strict=True)]
    assert value == pytest.approx(math.fsum(v for v, _ in exact) / 5, rel=1e-13)
    np.testing.assert_allclose(5 * dZ, [d for _, d in exact], rtol=1e-11, atol=1e-14)


@given(Z=arrays(np.float64, (6, 3), elements=st.floats(-100, 100)), smooth=st.floats(0, 0.9))
def test_class_indices_equal_one_hot_targets(Z, smooth):
    loss = SoftmaxCrossEntropy(smooth)
    y = np.array([0, 1, 2, 2, 1, 0])
    for weight in (None, np.array([1.0, 2, 0, 3, 0.5, 1])):
        value, dZ = loss(Z, loss.encode(y, 3, np.float64), weight)
        hot, dZ_hot = loss(Z, loss.encode(np.eye(3)[y], 3, np.float64), weight)
        assert value == pytest.approx(hot, rel=1e-12, abs=1e-14)
        np.testing.assert_allclose(dZ, dZ_hot, rtol=1e-12, atol=1e-15)
    assert loss.metric(Z, y) == loss.metric(Z, np.eye(3)[y])


@pytest.mark.parametrize("smooth", [0.1, 0.5, 0.99])
def test_softmax_smoothing_mixes_in_the_uniform_distribution(smooth):
    Z, y = np.array([[2.0, -1, 0.5, 0], [0, 3, 1, -2]]), np.array([0, 2])
    plain, dZ_plain = SoftmaxCrossEntropy()(Z, y)
    uniform, dZ_uniform = SoftmaxCrossEntropy()(Z, np.full((2, 4), 0.25))
    for target in (y, np.eye(4)[y]):
        value, dZ = SoftmaxCrossEntropy(smooth)(Z, target)
        assert value == pytest.approx((1 - smooth) * plain + smooth * uniform, rel=1e-14)
        np.testing.assert_allclose(
            dZ, (1 - smooth) * dZ_plain + smooth * dZ_uniform, rtol=1e-13, atol=1e-16
        )


def test_two_class_softmax_equals_binary_cross_entropy():
    Z = np.random.default_rng(0).standard_normal((7, 2)) * 5
    y = np.array([0, 1, 1, 0, 1, 0, 0])
    value, dZ = SoftmaxCrossEntropy()(Z, y)
    single, dZ_single = BinaryCrossEntropy()(Z[:, 1:] - Z[:, :1], y[:, None].astype(float))
    assert value == pytest.approx(single, rel=1e-13)
    np.testing.assert_allclose(dZ, np.hstack([-dZ_single, dZ_single]), rtol=1e-12, atol=1e-16)


def test_loss_of_uniform_predictions_is_log_n_classes():
    for k in (2, 3, 10, 1000):
        value, _ = SoftmaxCrossEntropy()(np.zeros((1, k)), np.array([k - 1]))
        assert value == pytest.approx(math.log(k), rel=1e-14)
    assert BinaryCrossEntropy()(np.zeros((1, 1)), np.ones((1, 1)))[0] == pytest.approx(math.log(2))


# --- predictions ---------------------------------------------------------------------------------


@given(Z=arrays(np.float32, (3, 2), elements=logits))
def test_probabilities_are_in_the_unit_interval(Z):
    for loss in (BinaryCrossEntropy(), SoftmaxCrossEntropy()):
        for dtype in (np.float32, np.float64):
            A = loss.predictions(Z.astype(dtype))
            assert ((A >= 0) & (A <= 1)).all()
            assert A.dtype == dtype
    np.testing.assert_allclose(SoftmaxCrossEntropy().predictions(Z).sum(axis=1), 1, rtol=3e-7)


@pytest.mark.parametrize("z", EXTREMES)
def test_predictions_match_sixty_digit_arithmetic(z):
    p = exact_logistic(z, 0)[1]
    for Z in (np.array([[z]]), np.array([[z, 1.0]])):
        assert BinaryCrossEntropy().predictions(Z)[0, 0] == pytest.approx(p, rel=4e-16, abs=0)
    row = [z, 0.5, -z / 2]
    np.testing.assert_allclose(
        SoftmaxCrossEntropy().predictions(np.array([row]))[0],
        exact_softmax(row, [0, 0, 0])[1],
        rtol=1e-14,
        atol=1e-300,
    )


def test_regression_predictions_equal_outputs():
    Z = np.array([[-1e30, 0.0, 7.5]])
    assert (
        MeanSquaredError().predictions(Z).tolist() == Huber().predictions(Z).tolist() == Z.tolist()
    )


# --- regression ----------------------------------------------------------------------------------


def test_mean_squared_error_is_the_mean_over_rows_and_outputs():
    Z, y = np.array([[1.0, 2.0], [3.0, -4.0]]), np.array([[0.0, 2.0], [1.0, 0.0]])
    value, dZ = MeanSquaredError()(Z, y)
    assert value == (1 + 0 + 4 + 16) / 4
    assert dZ.tolist() == [[0.5, 0], [1, -2]]
    value, dZ = MeanSquaredError()(Z, y, np.array([3.0, 1.0]))
    assert value == (3 * 1 + 1 * 20) / 8
    assert dZ.tolist() == [[0.75, 0], [0.5, -1]]


@given(D=arrays(np.float64, (3, 2), elements=st.floats(-0.99, 0.99)), delta=st.floats(1, 50))
def test_huber_is_quadratic_for_small_errors(D, delta):
    y = np.array([[1.0, 2], [3, 4], [5, 6]])
    value, dZ = Huber(delta)(y + delta * D, y)
    square, dZ_square = MeanSquaredError()(y + delta * D, y)
    assert value == pytest.approx(square / 2, rel=1e-12, abs=1e-300)
    np.testing.assert_allclose(dZ, dZ_square / 2, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("delta", [0.1, 1.0, 7.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_huber_is_linear_for_large_errors_and_smooth(delta, sign):
    loss, y = Huber(delta), np.zeros((1, 1))
    for factor in (1, 1.5, 10, 1e6):
        d = factor * delta
        value, dZ = loss(np.array([[sign * d]]), y)
        assert value == pytest.approx(delta * (d - delta / 2), rel=1e-14)
        assert dZ[0, 0] == pytest.approx(sign * delta, rel=1e-15)
    below, above = (loss(np.array([[sign * delta * f]]), y)[0] for f in (1 - 1e-9, 1 + 1e-9))
    assert above - below == pytest.approx(2e-9 * delta**2, rel=1e-5)


def test_every_option_changes_value_and_gradient():
    Z, y = np.array([[2.0, -1.0]]), np.array([[0.0, 1.0]])
    for make, options in ((BinaryCrossEntropy, (0, 0.1, 0.2)), (Huber, (0.5, 1, 1.5))):
        results = [make(option)(Z, y) for option in options]
        assert len({value for value, _ in results}) == 3
        assert len({dZ.tobytes() for _, dZ in results}) == 3


# --- metrics -------------------------------------------------------------------------------------


def test_metrics_by_hand():
    Z = np.array([[2.0], [-1.0], [0.5], [-3.0]])
    assert BinaryCrossEntropy().metric(Z, np.array([[1.0], [1], [0], [0]])) == 0.5
    assert BinaryCrossEntropy().metric(
        np.array([[1.0, -1, 2]]), np.array([[1.0, 0, 0]])
    ) == pytest.approx(2 / 3)
    Z = np.array([[0.1, 0.9, 0], [5, 1, 2], [0, 1, 3]])
    assert SoftmaxCrossEntropy().metric(Z, np.array([1, 0, 1])) == pytest.approx(2 / 3)
    Z, y = np.array([[1.0], [-3.0]]), np.array([[2.0], [0.0]])
    assert MeanSquaredError().metric(Z, y) == Huber().metric(Z, y) == 2
    for kind in (BinaryCrossEntropy, SoftmaxCrossEntropy):
        assert kind.metric_name == "accuracy"
    assert MeanSquaredError.metric_name == Huber.metric_name == "MAE"


# --- targets -------------------------------------------------------------------------------------


@given(m=st.integers(1, 6), k=st.integers(1, 4), dtype=st.sampled_from([np.float32, np.float64]))
def test_encoded_targets_have_output_shape_and_dtype(m, k, dtype):
    rng = np.random.default_rng(m * 10 + k)
    y = rng.random((m, k))
    for loss in (BinaryCrossEntropy(), MeanSquaredError(), Huber()):
        encoded = loss.encode(y, k, dtype)
        assert encoded.shape == (m, k)
        assert encoded.dtype == dtype
        np.testing.assert_allclose(encoded, y, rtol=1e-7)
        np.testing.assert_array_equal(loss.encode(y.tolist(), k, dtype), encoded)
        np.testing.assert_array_equal(loss.encode(np.asfortranarray(y), k, dtype), encoded)
    for flat in (y[:, 0], y[:, :1]):
        for loss in (BinaryCrossEntropy(), MeanSquaredError(), Huber()):
            assert loss.encode(flat, 1, dtype).shape == (m, 1)
    classes = SoftmaxCrossEntropy().encode(rng.integers(0, k + 1, m), k + 1, dtype)
    assert classes.shape == (m,)
    assert classes.dtype == np.intp
    hot = SoftmaxCrossEntropy().encode(np.eye(k + 1)[classes], k + 1, dtype)
    assert hot.shape == (m, k + 1)
    assert hot.dtype == dtype


@pytest.mark.parametrize("y", [[True, False], [1.0, 0.0], np.array([1, 0], np.uint8), (1, 0)])
def test_class_indices_of_any_dtype(y):
    encoded = SoftmaxCrossEntropy().encode(y, 2)
    assert encoded.tolist() == [1, 0]
    assert encoded.dtype == np.intp
    assert BinaryCrossEntropy().encode(y, 1).tolist() == [[1], [0]]


REFUSED = [
    (
        BinaryCrossEntropy(),
        [0, 1],
        3,
        "BinaryCrossEntropy expects targets of shape (m, 3), got (2,); "
        "for class numbers take SoftmaxCrossEntropy",
    ),
    (
        SoftmaxCrossEntropy(),
        [0, 1],
        1,
        "SoftmaxCrossEntropy needs a network with 2 or more outputs, this one has 1: "
        "take BinaryCrossEntropy",
    ),
    (
        BinaryCrossEntropy(),
        [-1, 1],
        1,
        "BinaryCrossEntropy expects targets between 0 and 1, got -1 to 1",
    ),
    (
        BinaryCrossEntropy(),
        [[0, 2]],
        2,
        "BinaryCrossEntropy expects targets between 0 and 1, got 0 to 2",
    ),
    (
        BinaryCrossEntropy(),
        [[0, 1]],
        1,
        "BinaryCrossEntropy expects targets of shape (m,) or (m, 1), got (1, 2)",
    ),
    (
        MeanSquaredError(),
        5.0,
        1,
        "MeanSquaredError expects targets of shape (m,) or (m, 1), got ()",
    ),
    (Huber(), [[[1.0]]], 1, "Huber expects targets of shape (m,) or (m, 1), got (1, 1, 1)"),
    (
        BinaryCrossEntropy(),
        ["yes", "no"],
        1,
        "BinaryCrossEntropy expects numbers as targets, got <U3",
    ),
    (
        MeanSquaredError(),
        [1.0, None],
        1,
        "MeanSquaredError expects numbers as targets, got object",
    ),
    (MeanSquaredError(), [1j], 1, "MeanSquaredError expects numbers as targets, got complex128"),
    (
        MeanSquaredError(),
        [1.0, 2.0, math.nan],
        1,
        "MeanSquaredError expects finite targets, got [nan] in row 2",
    ),
    (
        Huber(),
        [[1.0, math.inf], [0, 0]],
        2,
        "Huber expects finite targets, got [ 1. inf] in row 0",
    ),
    (
        MeanSquaredError(),
        [0.0, 1e300],
        1,
        "MeanSquaredError expects finite targets, got [1.e+300] in row 1",
    ),
    (
        SoftmaxCrossEntropy(),
        [0, 1, 3],
        3,
        "SoftmaxCrossEntropy expects class numbers from 0 to 2, got 3 in row 2",
    ),
    (
        SoftmaxCrossEntropy(),
        [-1, 0],
        3,
        "SoftmaxCrossEntropy expects class numbers from 0 to 2, got -1 in row 0",
    ),
    (
        SoftmaxCrossEntropy(),
        [0, 1.5],
        3,
        "SoftmaxCrossEntropy expects class numbers from 0 to 2, got 1.5 in row 1",
    ),
    (
        SoftmaxCrossEntropy(),
        [0, 1, math.nan],
        3,
        "SoftmaxCrossEntropy expects class numbers from 0 to 2, got nan in row 2",
    ),
    (
        SoftmaxCrossEntropy(),
        [0, math.inf],
        3,
        "SoftmaxCrossEntropy expects class numbers from 0 to 2, got inf in row 1",
    ),
    (
        SoftmaxCrossEntropy(),
        ["a", "b"],
        2,
        "SoftmaxCrossEntropy expects class numbers of shape (m,) or one-hot rows of shape (m, 2), "
        "got <U1 of shape (2,)",
    ),
    (
        SoftmaxCrossEntropy(),
        [[0], [1]],
        3,
        "SoftmaxCrossEntropy expects class numbers of shape (m,) or one-hot rows of shape (m, 3), "
        "got int64 of shape (2, 1)",
    ),
    (
        SoftmaxCrossEntropy(),
        [[0.5, 0.6]],
        2,
        "SoftmaxCrossEntropy: each row of one-hot targets must sum to 1",
    ),
    (
        SoftmaxCrossEntropy(),
        [[1.5, -0.5]],
        2,
        "SoftmaxCrossEntropy expects targets between 0 and 1, got -0.5 to 1.5",
    ),
]


@pytest.mark.parametrize(("loss", "y", "n_out", "message"), REFUSED)
def test_invalid_targets_raise(loss, y, n_out, message):
    with pytest.raises(PlainnetError) as error:
        loss.encode(y, n_out)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: BinaryCrossEntropy(1.0),
            "BinaryCrossEntropy: label_smoothing must be a number in [0, 1), got 1.0",
        ),
        (
            lambda: BinaryCrossEntropy(-0.1),
            "BinaryCrossEntropy: label_smoothing must be a number in [0, 1), got -0.1",
        ),
        (
            lambda: SoftmaxCrossEntropy("0.1"),
            "SoftmaxCrossEntropy: label_smoothing must be a number in [0, 1), got '0.1'",
        ),
        (lambda: Huber(0), "Huber: delta must be a number in (0, inf), got 0"),
        (lambda: Huber(math.inf), "Huber: delta must be a number in (0, inf), got inf"),
        (lambda: Huber(math.nan), "Huber: delta must be a number in (0, inf), got nan"),
    ],
)
def test_options_out_of_range_raise(make, message):
    with pytest.raises(PlainnetError) as error:
        make()
    assert str(error.value) == message


def test_float_class_indices_raise():
    with pytest.raises(PlainnetError) as error:
        SoftmaxCrossEntropy()(np.zeros((3, 2)), np.zeros(3))
    assert str(error.value) == (
        "SoftmaxCrossEntropy: outputs of shape (3, 2) do not fit targets of shape (3,) "
        "and type float64: encode the targets first"
    )


def test_flat_targets_are_accepted_without_broadcasting():
    Z, flat = np.array([[2.0], [-1.0], [0.5]]), np.array([1.0, 0.0, 1.0])
    for loss in (BinaryCrossEntropy(), MeanSquaredError(), Huber()):
        value, dZ = loss(Z, flat)
        assert value == loss(Z, flat[:, None])[0]
        assert dZ.shape == (3, 1)
        assert loss.metric(Z, flat) == loss.metric(Z, flat[:, None])
        np.testing.assert_array_equal(loss.per_example(Z, flat), loss.per_example(Z, flat[:, None]))
    assert BinaryCrossEntropy().metric(Z, flat) == 1  # not 0.556, the mean of a (3, 3) table
    name, wrong = "BinaryCrossEntropy", np.ones((3, 2))
    for y in (wrong, flat[:2], flat[None], np.array(1.0)):
        for use in (BinaryCrossEntropy(), BinaryCrossEntropy().metric):
            with pytest.raises(
                PlainnetError, match=rf"^{name}: outputs of shape \(3, 1\) do not fit"
            ):
                use(Z, y)
        with pytest.raises(PlainnetError, match=rf"^{name}: outputs of shape \(3, 1\) do not fit"):
            BinaryCrossEntropy().per_example(Z, y)
    for loss in (BinaryCrossEntropy(), SoftmaxCrossEntropy(), MeanSquaredError()):
        for use in (
            loss.predictions,
            lambda Z, loss=loss: loss(Z, Z),
            lambda Z, loss=loss: loss.metric(Z, Z),
        ):
            with pytest.raises(
                PlainnetError, match=r"expects outputs of shape \(m, n_out\), got \(3,\)"
            ):
                use(flat)


@pytest.mark.parametrize(
    ("loss", "Z", "y"),
    [
        (BinaryCrossEntropy(), [[2], [-1]], [1, 0]),
        (BinaryCrossEntropy(), [[2.0, 1.0], [-1.0, 3.0]], [[1, 0], [True, False]]),
        (SoftmaxCrossEntropy(), [[2.0, 1.0], [-1.0, 3.0]], [1, 0]),
        (SoftmaxCrossEntropy(), [[2, 1], [-1, 3]], [[0.5, 0.5], [0, 1]]),
        (MeanSquaredError(), [[2], [-1]], [1, 0]),
        (Huber(), [[2.0], [-1.0]], [[1], [0]]),
    ],
)
def test_lists_equal_arrays(loss, Z, y):
    A = np.array(Z, float)
    b = loss.encode(np.array(y), A.shape[1], float)
    value, dZ = loss(A, b, np.array([1.0, 3.0]))
    of_lists = loss(Z, y, [1, 3])
    assert of_lists[0] == value
    np.testing.assert_array_equal(of_lists[1], dZ)
    np.testing.assert_array_equal(loss.predictions(Z), loss.predictions(A))
    assert loss.metric(Z, y) == loss.metric(A, b)
    each = loss.per_example(Z, y)
    np.testing.assert_array_equal(each, loss.per_example(A, b))
    assert each.shape == (2,)
    assert (each * [1, 3]).sum() / 4 == pytest.approx(value)


def test_list_targets_are_validated():
    with pytest.raises(PlainnetError, match="expects class numbers from 0 to 1, got -1 in row 0"):
        SoftmaxCrossEntropy()([[0.0, 1.0], [1.0, 0.0]], [-1, 1])
