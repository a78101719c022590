"""Properties that every layer and every loss must have."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest

from nn.cases import (
    ACTIVATIONS,
    INITS,
    LAYERS,
    LOSSES,
    analytic_gradients,
    draw_biases,
    numeric_gradients,
    read_only,
    relative_distance,
    surrounded,
)
from plainnet import nn
from plainnet.errors import PlainnetError
from plainnet.nn import MeanSquaredError, Sequential, mlp
from plainnet.nn.gradcheck import gradcheck
from plainnet.nn.layers import LAYERS as KNOWN_LAYERS

KNOWN_LOSSES = set(nn.LOSSES.values())
DTYPES = (np.float32, np.float64)
layers = pytest.mark.parametrize(("make", "in_shape"), LAYERS.values(), ids=LAYERS)
losses = pytest.mark.parametrize(("make", "n_out", "draw"), LOSSES.values(), ids=LOSSES)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def alone(make, in_shape, dtype=np.float64, seed=0):
    net = Sequential([make()], n_in=in_shape, seed=seed, dtype=dtype)
    draw_biases(net, np.random.default_rng(seed + 1))
    return net


def rows(in_shape, m=5, seed=3, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((m, *in_shape)).astype(dtype)


def test_cases_cover_all_layers_losses_and_activations():
    assert {type(make()) for make, _ in LAYERS.values()} == set(KNOWN_LAYERS.values())
    assert {type(make()) for make, _, _ in LOSSES.values()} == KNOWN_LOSSES
    assert set(ACTIVATIONS) == set(nn.activations.ACTIVATIONS)
    assert {i.partition(":")[0] for i in INITS} == {
        *nn.initializers.INITIALIZERS,
        *nn.initializers.INITIALIZERS_WITH_NUMBER,
    }


@pytest.mark.parametrize("make", [make for make, *_ in [*LAYERS.values(), *LOSSES.values()]])
def test_layer_and_loss_repr_round_trip(make):
    one = make()
    again = eval(repr(one), vars(nn))
    assert type(again) is type(one)
    assert again.config() == one.config()
    assert set(one.options) == set(inspect.signature(type(one)).parameters)


@pytest.mark.parametrize("kind", nn.LAYERS.values())
def test_each_layer_states_its_formulas(kind):
    assert "=" in kind.formula
    assert inspect.getdoc(kind.forward).startswith(kind.formula.split(",")[0])
    assert [f.split(" = ")[0] for f in kind.gradient_formulas][-1] == "dX"


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("layer_name", LAYERS)
def test_gradcheck_of_every_layer_with_every_loss(layer_name, loss_name):
    make_layer, in_shape = LAYERS[layer_name]
    make_loss, n_out, draw = LOSSES[loss_name]
    net = surrounded(make_layer, in_shape, n_out)
    y = draw(np.random.default_rng(5), 4)
    check = gradcheck(net, make_loss(), rows(in_shape, 4), y)
    assert check.ok, str(check)
    assert check.difference < 1e-7
    assert [row.name for row in check.rows] == [*net.params.grads, "X"]
    assert not any(row.kinks for row in check.rows)


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradcheck_of_every_activation_loss_and_initializer(activation, loss_name):
    make_loss, n_out, draw = LOSSES[loss_name]
    for init in INITS:
        rng = np.random.default_rng(7)
        net = mlp(2, (3,), n_out, activation=activation, init=init, dtype=np.float64, seed=2)
        draw_biases(net, rng)  # at zero weights and biases every ReLU would sit on its kink
        check = gradcheck(net, make_loss(), rng.standard_normal((3, 2)), draw(rng, 3))
        assert check.ok, f"{init}\n{check}"
        assert check.difference < 1e-7, init


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layer_name", LAYERS)
def test_gradients_match_finite_differences(layer_name, activation):
    make, in_shape = LAYERS[layer_name]
    net = Sequential(
        [make(), nn.activation(activation), nn.Flatten(), nn.Dense(2)],
        n_in=in_shape,
        seed=4,
        dtype=np.float64,
    )
    draw_biases(net, np.random.default_rng(0))
    X, y = rows(in_shape, 3, seed=11), rows((2,), 3, seed=1)
    numeric = numeric_gradients(net, MeanSquaredError(), X, y)
    analytic = analytic_gradients(net, MeanSquaredError(), X, y)
    assert relative_distance(analytic[0], numeric[0]) < 1e-7
    assert relative_distance(analytic[1], numeric[1]) < 1e-7


@layers
def test_gradients_in_prediction_mode(make, in_shape):
    """Dropout and batch norm compute other outputs and gradients in prediction."""
    net = surrounded(make, in_shape)
    net.forward(5 + 2 * rows(in_shape), train=True)  # running figures that are not the start
    X, y = rows(in_shape, 3), rows((2,), 3, seed=1)
    numeric = numeric_gradients(net, MeanSquaredError(), X, y, train=False)
    analytic = analytic_gradients(net, MeanSquaredError(), X, y, train=False)
    assert relative_distance(analytic[0], numeric[0]) < 1e-7
    assert relative_distance(analytic[1], numeric[1]) < 1e-7


@losses
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_gradients_match_finite_differences(make, n_out, draw, weighted):
    loss, rng = make(), np.random.default_rng(8)
    net = mlp(3, (4,), n_out, activation="tanh", dtype=np.float64)
    X, y = rng.standard_normal((5, 3)), draw(rng, 5)
    weight = np.array([0.5, 2, 0, 1, 3]) if weighted else None
    numeric = numeric_gradients(net, loss, X, y, weight)
    analytic = analytic_gradients(net, loss, X, y, weight)
    assert relative_distance(analytic[0], numeric[0]) < 1e-9
    assert relative_distance(analytic[1], numeric[1]) < 1e-9


@layers
def test_backward_overwrites_gradients(make, in_shape):
    net = surrounded(make, in_shape)
    X, y = rows(in_shape), rows((2,), seed=1)
    first = analytic_gradients(net, MeanSquaredError(), X, y)
    net.params.grad[...] = 1e6
    second = analytic_gradients(net, MeanSquaredError(), X, y)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@layers
def test_backward_is_linear_in_dZ(make, in_shape):
    net = surrounded(make, in_shape)
    X = rows(in_shape)
    net.forward(X, train=True)
    dZ = rows((2,), seed=9)
    one = net.backward(dZ, need_dX=True).copy(), net.params.grad.copy()
    three = net.backward(3 * dZ, need_dX=True).copy(), net.params.grad.copy()
    for a, b in zip(one, three, strict=True):
        np.testing.assert_allclose(3 * a, b, rtol=1e-12, atol=1e-12)


# --- forward -------------------------------------------------------------------------------------


@layers
@dtypes
def test_batch_equals_single_rows(make, in_shape, dtype):
    net = surrounded(make, in_shape, dtype=dtype)
    X = rows(in_shape, 7, dtype=dtype)
    net.forward(3 * X + 1, train=True)
    together = net.predict_logits(X)
    singly = np.concatenate([net.predict_logits(X[i : i + 1]) for i in range(7)])
    by_three = net.predict_logits(X, batch_size=3)
    tolerance = 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(singly, together, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(by_three, together, rtol=tolerance, atol=tolerance)


@layers
def test_batch_sizes_may_shrink_and_grow(make, in_shape):
    """Reused buffers must contain nothing of an earlier batch."""
    X, y = rows(in_shape, 9), rows((2,), 9, seed=1)
    used, sizes = surrounded(make, in_shape), (9, 2, 5, 3, 9)
    state = used.params.theta.copy()
    for m in sizes:
        fresh = surrounded(make, in_shape)
        used.params.theta[...] = state
        used.rng.bit_generator.state = fresh.rng.bit_generator.state
        for a, b in zip(
            analytic_gradients(used, MeanSquaredError(), X[:m], y[:m]),
            analytic_gradients(fresh, MeanSquaredError(), X[:m], y[:m]),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


@layers
@dtypes
@pytest.mark.parametrize("train", [False, True])
def test_dtype_is_preserved(make, in_shape, dtype, train):
    net = alone(make, in_shape, dtype)
    Z = net.forward(rows(in_shape), train=train)  # float64 rows
    assert Z.dtype == dtype
    dX = net.backward(np.ones(Z.shape), need_dX=True)  # float64 dZ
    assert dX.dtype == dtype
    assert net.params.theta.dtype == net.params.grad.dtype == dtype
    assert all(view.dtype == dtype for view in net.params.views.values())
    assert net.predict_logits(rows(in_shape).astype(np.int8)).dtype == dtype


@layers
@dtypes
@pytest.mark.parametrize("train", [False, True])
def test_inputs_are_never_written(make, in_shape, dtype, train):
    """Writing to a read-only array raises."""
    net = alone(make, in_shape, dtype)
    X = read_only(rows(in_shape, dtype=dtype))
    before = X.copy()
    Z = net.forward(X, train=train)
    dZ = read_only(rows(net.out_shape, dtype=dtype))
    net.backward(dZ, need_dX=True)
    net.predict_logits(X)
    np.testing.assert_array_equal(X, before)
    assert Z.shape == (5, *net.out_shape)


@layers
def test_predictions_are_new_arrays(make, in_shape):
    net = alone(make, in_shape)
    X = rows(in_shape)
    first = net.predict_logits(X)
    kept = first.copy()
    second = net.predict_logits(2 * X)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, X)


@layers
@pytest.mark.parametrize("train", [False, True])
def test_memory_layout_does_not_change_results(make, in_shape, train):
    X = rows(in_shape, 6)
    spread = np.zeros((12, *in_shape))[::2]
    spread[...] = X
    expected = alone(make, in_shape).forward(X, train=train).copy()
    for same in (np.asfortranarray(X), spread, X[::-1].copy()[::-1]):
        got = alone(make, in_shape).forward(same, train=train)
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-14)


@layers
def test_same_seed_gives_identical_results(make, in_shape):
    X = rows(in_shape)
    a, b = (surrounded(make, in_shape, seed=6) for _ in range(2))
    assert a.params.theta.tobytes() == b.params.theta.tobytes()
    for _ in range(2):
        assert a.forward(X, train=True).tobytes() == b.forward(X, train=True).tobytes()


@layers
def test_empty_batch(make, in_shape):
    net = alone(make, in_shape)
    empty = np.zeros((0, *in_shape))
    assert net.predict_logits(empty).shape == (0, *net.out_shape)
    assert net.forward(empty).shape == (0, *net.out_shape)


# --- invalid input -------------------------------------------------------------------------------


@layers
def test_wrong_shapes_raise(make, in_shape):
    net = alone(make, in_shape)
    kind = type(make()).__name__
    name = f"{kind} {kind.lower() + '1'!r}"
    wrong = (*in_shape[:-1], in_shape[-1] + 1)
    if len(in_shape) == 1:
        message = f"{name} expects {in_shape[0]} inputs, got {wrong[0]}"
    else:
        wanted = ", ".join(["m", *map(str, in_shape)])
        message = f"{name} expects rows of shape ({wanted}), got {(2, *wrong)}"
    flat = ", ".join(["m", *map(str, in_shape)])
    for call in (net.forward, net.predict_logits):
        with pytest.raises(PlainnetError) as error:
            call(np.zeros((2, *wrong)))
        assert str(error.value) == message
        with pytest.raises(PlainnetError) as error:
            call(np.zeros(in_shape)[..., 0])
        assert f"{name} expects" in str(error.value)
        with pytest.raises(PlainnetError) as error:
            call(1.0)
        assert str(error.value) == f"{name} expects rows of shape ({flat}), got ()"


@layers
def test_wrong_dZ_raises(make, in_shape):
    net = alone(make, in_shape)
    net.forward(rows(in_shape))
    wanted = ", ".join(["m", *map(str, net.out_shape)])
    wrong = (5, *net.out_shape[:-1], net.out_shape[-1] + 1)
    with pytest.raises(PlainnetError) as error:
        net.backward(np.ones(wrong))
    assert str(error.value) == f"backward expects dZ of shape ({wanted}), got {wrong}"


@pytest.mark.parametrize("X", [[["a", "b"]], [[1j, 2]], [[None, 1]], np.array([[b"x", b"y"]])])
def test_non_numeric_input_raises(X):
    net = mlp(2)
    for call in (net.forward, net.predict_logits):
        with pytest.raises(PlainnetError, match=r"^the network expects numbers, got an array of "):
            call(X)


# --- round trips ---------------------------------------------------------------------------------


@layers
def test_configuration_json_round_trip(make, in_shape):
    net = surrounded(make, in_shape)
    text = json.dumps(net.config(), allow_nan=False)
    again = Sequential.from_config(json.loads(text))
    assert json.dumps(again.config()) == text
    assert str(again) == str(net)
    assert [type(x) for x in again.layers] == [type(x) for x in net.layers]
    assert [x.config() for x in again.layers] == [x.config() for x in net.layers]
    assert again.params.views.keys() == net.params.views.keys()
    again.params.load(net.params.views)
    X = rows(in_shape)
    np.testing.assert_array_equal(again.predict_logits(X), net.predict_logits(X))


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "astype": lambda net: net.astype(net.dtype),
    "other dtype": lambda net: net.astype(np.float32),
}


@layers
@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
def test_copy_is_independent_with_bound_views(make, in_shape, again):
    net = surrounded(make, in_shape)
    X, dZ = rows(in_shape), rows((2,), seed=1)
    net.forward(X, train=True)
    other = again(net)
    for a, b in zip(net.layers, other.layers, strict=True):
        assert a is not b
        assert b.rng is other.rng
        for v in b.specs:
            full = f"{b.name}.{v.name}"
            assert getattr(b, v.name).base is not None
            assert np.shares_memory(getattr(b, v.name), other.params.theta)
            assert np.shares_memory(other.params.views[full], getattr(b, v.name))
            assert getattr(b, v.name).shape == v.shape
            if v.kind != "state":
                assert np.shares_memory(getattr(b, "d" + v.name), other.params.grad)
    assert not np.shares_memory(net.params.theta, other.params.theta)
    assert not np.shares_memory(net.params.grad, other.params.grad)
    np.testing.assert_array_equal(other.params.theta, net.params.theta.astype(other.dtype))

    before, prediction = net.params.theta.copy(), net.predict_logits(X)
    other.forward(X, train=True)
    other.backward(dZ)
    other.params.theta[...] += 1
    np.testing.assert_array_equal(net.params.theta, before)
    np.testing.assert_array_equal(net.predict_logits(X), prediction)


@layers
@pytest.mark.parametrize("again", list(COPIES.values())[:4], ids=list(COPIES)[:4])
def test_copy_continues_the_random_stream(make, in_shape, again):
    net = surrounded(make, in_shape)
    X = rows(in_shape)
    net.forward(X, train=True)
    other = again(net)
    for _ in range(3):
        assert net.forward(X, train=True).tobytes() == other.forward(X, train=True).tobytes()
    assert net.params.theta.tobytes() == other.params.theta.tobytes()


# --- losses --------------------------------------------------------------------------------------


def case(make, n_out, draw, m=6, seed=2, dtype=np.float64):
    loss, rng = make(), np.random.default_rng(seed)
    Z = (3 * rng.standard_normal((m, n_out))).astype(dtype)
    return loss, Z, loss.encode(draw(rng, m), n_out, dtype), rng


@losses
@dtypes
def test_loss_preserves_dtype_and_inputs(make, n_out, draw, dtype):
    loss, Z, y, rng = case(make, n_out, draw, dtype=dtype)
    for weight in (None, read_only(rng.random(6)), read_only(rng.integers(1, 4, 6))):
        value, dZ = loss(read_only(Z), read_only(y), weight)
        assert type(value) is float
        assert dZ.dtype == dtype
        assert dZ.shape == Z.shape
        assert not np.shares_memory(dZ, Z)
    assert loss.predictions(read_only(Z)).dtype == dtype
    assert type(loss.metric(read_only(Z), read_only(y))) is float
    raw = read_only(draw(rng, 6))
    assert len(loss.encode(raw, n_out, dtype)) == 6


@losses
def test_integer_weights_equal_repeated_rows(make, n_out, draw):
    loss, Z, y, _ = case(make, n_out, draw)
    counts = np.array([1, 3, 0, 2, 1, 5])
    value, dZ = loss(Z, y, counts)
    repeated, dZ_repeated = loss(np.repeat(Z, counts, axis=0), np.repeat(y, counts, axis=0))
    assert value == pytest.approx(repeated, rel=1e-14)
    ends = np.cumsum(counts)
    summed = [dZ_repeated[e - c : e].sum(axis=0) for c, e in zip(counts, ends, strict=True)]
    np.testing.assert_allclose(dZ, summed, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize(
    "layer_name",
    sorted(set(LAYERS) - {"Dropout", "Dropout of pictures", "SpatialDropout"}),
)
def test_weighted_rows_equal_repeated_rows_except_in_batch_norm(layer_name, loss_name):
    """Dropout draws a mask per row, and batch norm counts rows, as documented."""
    make_layer, in_shape = LAYERS[layer_name]
    make_loss, n_out, draw = LOSSES[loss_name]
    net = Sequential(
        [make_layer(), nn.Flatten(), nn.Dense(n_out)], n_in=in_shape, seed=1, dtype=np.float64
    )
    draw_biases(net, np.random.default_rng(0))
    loss, counts, X = make_loss(), np.array([1, 3, 0, 2]), rows(in_shape, 4)
    y = np.asarray(draw(np.random.default_rng(5), 4))
    weighted, _ = analytic_gradients(net, loss, X, y, counts)
    repeated, _ = analytic_gradients(net, loss, X.repeat(counts, 0), y.repeat(counts, 0))
    assert (relative_distance(weighted, repeated) < 1e-12) != layer_name.startswith("BatchNorm")


@losses
@pytest.mark.parametrize("size", [1e-6, 1.0, 7.5, 1e6])
def test_equal_weights_have_no_effect(make, n_out, draw, size):
    loss, Z, y, _ = case(make, n_out, draw)
    value, dZ = loss(Z, y)
    weighted, dZ_weighted = loss(Z, y, np.full(6, size))
    assert weighted == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(dZ_weighted, dZ, rtol=1e-13, atol=1e-17)


@losses
def test_batch_with_zero_weights(make, n_out, draw):
    loss, Z, y, _ = case(make, n_out, draw)
    value, dZ = loss(Z, y, np.zeros(6))
    assert value == 0.0
    np.testing.assert_array_equal(dZ, np.zeros_like(Z))


@losses
def test_loss_is_the_mean_over_rows(make, n_out, draw):
    loss, Z, y, _ = case(make, n_out, draw)
    value, dZ = loss(Z, y)
    singly = [loss(Z[i : i + 1], y[i : i + 1]) for i in range(6)]
    assert value == pytest.approx(np.mean([v for v, _ in singly]), rel=1e-14)
    np.testing.assert_allclose(6 * dZ, np.concatenate([d for _, d in singly]), rtol=1e-13)


@losses
def test_mismatched_outputs_and_targets_raise(make, n_out, draw):
    loss, Z, y, _ = case(make, n_out, draw)
    name = type(loss).__name__
    wrong = [y[:-1], y[:, None] if y.ndim == 1 else y[:, 0].copy(), y[None]]
    if Z.shape[1] == 1:
        del wrong[1]  # a column may be given flat
    for bad in wrong:
        with pytest.raises(PlainnetError) as error:
            loss(Z, bad)
        assert str(error.value).startswith(
            f"{name}: outputs of shape {Z.shape} do not fit targets of shape {bad.shape}"
        )
        assert str(error.value).endswith(": encode the targets first")
    for weight in (np.ones(5), np.ones((6, 1)), np.ones(())):
        with pytest.raises(PlainnetError) as error:
            loss(Z, y, weight)
        assert str(error.value) == (
            f"expected weights of shape (6,), one for each row, got {weight.shape}"
        )
    with pytest.raises(PlainnetError) as error:
        loss(Z[:0], y[:0])
    assert str(error.value) == "a loss needs at least one row, got none"


@losses
def test_loss_is_convex_and_above_its_tangent(make, n_out, draw):
    """Only the exact gradient satisfies loss(B) >= loss(A) + dZ(A) (B - A)."""
    loss, A, y, rng = case(make, n_out, draw)
    value, dZ = loss(A, y)
    for scale in (1e-3, 0.1, 1, 10, 100):
        B = A + scale * rng.standard_normal(A.shape)
        assert loss(B, y)[0] >= value + np.sum(dZ * (B - A)) - 1e-12 * max(scale, 1)


@losses
def test_loss_configuration_contains_its_options(make, n_out, draw):
    loss, Z, y, _ = case(make, n_out, draw)
    again = type(loss)(**json.loads(json.dumps(loss.config())))
    assert again.config() == loss.config()
    assert again(Z, y)[0] == loss(Z, y)[0]


@losses
def test_encode_is_idempotent(make, n_out, draw):
    loss, _, y, _ = case(make, n_out, draw)
    np.testing.assert_array_equal(loss.encode(y, n_out, np.float64), y)
