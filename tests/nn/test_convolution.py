"""Convolution and pooling beside PyTorch, and their messages."""

import numpy as np
import pytest

from nn.cases import draw_biases, keras_padding
from plainnet.errors import PlainnetError
from plainnet.nn import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    ReLU,
    Sequential,
    SpatialDropout,
)

torch = pytest.importorskip("torch")


def channels_first(a):
    """Return NHWC pictures, or a kernel, in the order of PyTorch."""
    return torch.tensor(np.moveaxis(a, -1, 1).copy(), requires_grad=True)


def channels_last(tensor):
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-10)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "m"),
    [
        ((7, 9, 3), 3, 1, 4),
        ((7, 9, 2), 3, 2, 3),
        ((8, 6, 2), 3, 2, 1),
        ((6, 6, 1), 5, 3, 2),
        ((4, 5, 3), 2, 1, 2),
        ((9, 4, 2), 4, 3, 2),
        ((3, 3, 4), 1, 2, 2),
        ((40, 40, 8), 5, 1, 9),  # in several blocks
    ],
)
def test_convolution_equals_pytorch(shape, kernel, stride, m, padding, dtype, tolerance):
    net = Sequential([Conv2D(5, kernel, stride, padding)], n_in=shape, seed=1, dtype=dtype)
    draw_biases(net, np.random.default_rng(2))
    layer, rng = net.layers[0], np.random.default_rng(3)
    X = rng.standard_normal((m, *shape)).astype(dtype)
    Y = net.forward(X)
    x, w, b = channels_first(X), channels_first(layer.W), torch.tensor(layer.b, requires_grad=True)
    pads = keras_padding(shape, kernel, stride) if padding == "same" else [0] * 4
    padded = torch.nn.functional.pad(x, pads)
    y = torch.nn.functional.conv2d(padded, w, b, stride)
    assert Y.shape[1:] == net.out_shape == channels_last(y).shape[1:]
    dY = rng.standard_normal(Y.shape).astype(dtype)
    y.backward(channels_first(dY))
    dX = net.backward(dY, need_dX=True)
    for own, other in (
        (Y, channels_last(y)),
        (dX, channels_last(x.grad)),
        (layer.dW, channels_last(w.grad)),
        (layer.db, b.grad.numpy()),
    ):
        np.testing.assert_allclose(own, other, rtol=tolerance, atol=tolerance * abs(other).max())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (2, 3), (3, 1), (1, 1), (4, 4)])
@pytest.mark.parametrize(
    ("kind", "function"),
    [
        (MaxPool2D, torch.nn.functional.max_pool2d),
        (AveragePool2D, torch.nn.functional.avg_pool2d),
    ],
)
def test_pooling_equals_pytorch(kind, function, size, stride, ties):
    """With ties, PyTorch gives the gradient to the first maximum."""
    net = Sequential([kind(size, stride)], n_in=(7, 6, 3), dtype=np.float64)
    rng = np.random.default_rng(4)
    X = rng.integers(0, 3, (2, 7, 6, 3)) * 1.0 if ties else rng.standard_normal((2, 7, 6, 3))
    x = channels_first(X)
    y = function(x, size, stride)
    Y = net.forward(X)
    np.testing.assert_allclose(Y, channels_last(y), rtol=1e-12)
    dY = rng.standard_normal(Y.shape)
    y.backward(channels_first(dY))
    np.testing.assert_allclose(net.backward(dY, need_dX=True), channels_last(x.grad), atol=1e-12)


def test_a_stack_equals_pytorch():
    """Batch norm works per channel; the last layer takes the mean of each channel."""
    layers = [Conv2D(4), BatchNorm(), ReLU(), MaxPool2D(), Conv2D(6, 3, 2), GlobalAveragePool2D()]
    net = Sequential([*layers, Dense(3)], n_in=(9, 7, 2), seed=5, dtype=np.float64)
    other = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.ZeroPad2d(keras_padding((4, 3), 3, 2)),
        torch.nn.Conv2d(4, 6, 3, 2),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 3),
    ).double()
    own = [net.layers[0], net.layers[1], net.layers[4], net.layers[6]]
    others = [other[0], other[1], other[5], other[8]]
    names = [("W", "b"), ("gamma", "beta"), ("W", "b"), ("W", "b")]
    with torch.no_grad():
        for layer, module, pair in zip(own, others, names, strict=True):
            for name, target in zip(pair, (module.weight, module.bias), strict=True):
                value = getattr(layer, name)
                target.copy_(channels_first(value) if value.ndim == 4 else torch.tensor(value))
    X = np.random.default_rng(6).standard_normal((5, 9, 7, 2))
    Z, z = net.forward(X, train=True), other(channels_first(X))
    np.testing.assert_allclose(Z, z.detach().numpy(), rtol=1e-10)
    net.backward(Z)
    z.backward(z.detach())
    for layer, module, (weight, bias) in zip(own, others, names, strict=True):
        grad = module.weight.grad
        expected = channels_last(grad) if grad.ndim == 4 else grad.numpy()
        np.testing.assert_allclose(getattr(layer, "d" + weight), expected, rtol=1e-8, atol=1e-12)
        expected = module.bias.grad.numpy()
        np.testing.assert_allclose(getattr(layer, "d" + bias), expected, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(net.layers[1].running_var, other[1].running_var, rtol=1e-12)


@pytest.mark.parametrize("shift", [1, 2])
def test_a_shifted_picture_gives_a_shifted_output(shift):
    net = Sequential([Conv2D(3), ReLU()], n_in=(8, 8, 1), seed=2)
    X = np.zeros((1, 8, 8, 1), np.float32)
    X[:, 2:5, 2:5] = np.random.default_rng(1).standard_normal((1, 3, 3, 1))
    moved = np.roll(X, shift, axis=2)
    np.testing.assert_allclose(
        net.predict_logits(moved), np.roll(net.predict_logits(X), shift, axis=2), atol=1e-6
    )


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_spatial_dropout_drops_whole_channels_of_each_picture(rate):
    net = Sequential([SpatialDropout(rate)], n_in=(4, 5, 50), dtype=np.float64, seed=3)
    X = np.random.default_rng(0).uniform(1, 2, (200, 4, 5, 50))
    scale = net.forward(X, train=True) / X
    np.testing.assert_allclose(scale, np.broadcast_to(scale[:, :1, :1], scale.shape), rtol=1e-12)
    dropped = scale[:, 0, 0] == 0
    np.testing.assert_allclose(scale[:, 0, 0][~dropped], 1 / (1 - rate), rtol=1e-12)
    assert dropped.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / dropped.size))
    assert dropped.mean(axis=0).std() > 0  # a mask for each picture, not for the batch
    assert not (dropped == dropped[0]).all(axis=1)[1:].any()
    dY = np.ones_like(X)
    np.testing.assert_allclose(net.backward(dY, need_dX=True), scale, rtol=1e-12)
    np.testing.assert_array_equal(net.forward(X), X)


def test_spatial_dropout_is_seeded():
    X, nets = (
        np.ones((9, 2, 2, 8)),
        [Sequential([SpatialDropout()], (2, 2, 8), seed=s) for s in (1, 1, 2)],
    )
    one, same, other = (net.forward(X, train=True) for net in nets)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0), "Conv2D: n_out must be a whole number of at least 1, got 0"),
        (lambda: Conv2D(2, 2.5), "Conv2D: kernel must be a whole number of at least 1, got 2.5"),
        (lambda: Conv2D(2, stride=0), "Conv2D: stride must be a whole number of at least 1, got 0"),
        (lambda: Conv2D(2, padding=1), "Conv2D: padding must be 'same' or 'valid', got 1"),
        (lambda: Conv2D(2, bias=1), "Conv2D: bias must be True or False, got 1"),
        (lambda: MaxPool2D(0), "MaxPool2D: size must be a whole number of at least 1, got 0"),
        (
            lambda: AveragePool2D(2, True),
            "AveragePool2D: stride must be a whole number of at least 1, got True",
        ),
        (
            lambda: Sequential([Conv2D(2, 5, padding="valid")], n_in=(6, 4, 3)),
            "Conv2D 'conv2d1' takes squares of 5 x 5 pixels, larger than its input of 6 x 4: "
            "take a smaller one, or larger pictures",
        ),
        (
            lambda: Sequential([Conv2D(2), MaxPool2D(3)], n_in=(2, 4, 3)),
            "MaxPool2D 'maxpool2d1' takes squares of 3 x 3 pixels, larger than its input of 2 x 4: "
            "take a smaller one, or larger pictures",
        ),
        (lambda: SpatialDropout(1), "SpatialDropout: rate must be a number in [0, 1), got 1"),
        (
            lambda: Sequential([Flatten(), SpatialDropout()], n_in=(6, 4, 3)),
            "SpatialDropout 'spatialdropout1' expects pictures (height, width, channels), got "
            "shape (72,): put it before Flatten and Dense",
        ),
        (
            lambda: Sequential([Flatten(), Conv2D(2)], n_in=(6, 4, 3)),
            "Conv2D 'conv2d1' expects pictures (height, width, channels), got shape (72,): "
            "put it before Flatten and Dense",
        ),
    ],
)
def test_wrong_options_and_shapes_are_refused(make, message):
    with pytest.raises(PlainnetError) as error:
        make()
    assert str(error.value) == message
