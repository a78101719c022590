"""PyTorch state dicts: equal outputs, gradients and running statistics in PyTorch."""

import math

import numpy as np
import pytest
import torch

from nn.cases import LAYERS, LOSSES, draw_biases, keras_padding
from plainnet.errors import PlainnetError
from plainnet.nn import (
    GELU,
    BatchNorm,
    Dense,
    Flatten,
    Layer,
    LayerNorm,
    ParameterSpec,
    ReLU,
    Sequential,
    Tanh,
    mlp,
)


class PixelNorm(torch.nn.LayerNorm):
    """PyTorch's layer norm of each pixel."""

    def forward(self, X):
        return super().forward(X.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Convolution(torch.nn.Conv2d):
    """PyTorch's convolution with the padding of Keras."""

    def __init__(self, *args, same=True, **options):
        super().__init__(*args, **options)
        self.same = same

    def forward(self, X):
        k, s = self.kernel_size[0], self.stride[0]
        pads = keras_padding(X.shape[2:], k, s) if self.same else [0] * 4
        return super().forward(torch.nn.functional.pad(X, pads))


class GlobalAverage(torch.nn.Module):
    """PyTorch's mean of each channel."""

    def forward(self, X):
        return X.mean(dim=(2, 3))


# PyTorch equivalents of the layers.
TORCH = {
    "Dense": lambda: torch.nn.Linear(3, 4),
    "Dense orthogonal": lambda: torch.nn.Linear(5, 2),
    "Dropout": lambda: torch.nn.Dropout(0.4),
    "Dropout rate 0": lambda: torch.nn.Dropout(0.0),
    "Dropout of pictures": lambda: torch.nn.Dropout(0.3),
    "SpatialDropout": lambda: torch.nn.Dropout2d(0.4),
    "SpatialDropout rate 0": lambda: torch.nn.Dropout2d(0.0),
    "BatchNorm": lambda: torch.nn.BatchNorm1d(3),
    "BatchNorm options": lambda: torch.nn.BatchNorm1d(3, momentum=0.5, eps=0.1),
    "BatchNorm of pictures": lambda: torch.nn.BatchNorm2d(2),
    "LayerNorm": lambda: torch.nn.LayerNorm(4),
    "LayerNorm options": lambda: torch.nn.LayerNorm(4, eps=0.1),
    "LayerNorm of pictures": lambda: PixelNorm(3),
    "Conv2D": lambda: Convolution(2, 2, 3),
    "Conv2D valid, stride": lambda: Convolution(1, 3, 2, stride=2, same=False),
    "Conv2D same, stride": lambda: Convolution(2, 1, 3, stride=2, bias=False),
    "Conv2D even kernel": lambda: Convolution(1, 2, 4),
    "Conv2D one pixel": lambda: Convolution(2, 2, 3),
    "MaxPool2D": lambda: torch.nn.MaxPool2d(2),
    "MaxPool2D overlapping": lambda: torch.nn.MaxPool2d(3, 2),
    "AveragePool2D": lambda: torch.nn.AvgPool2d(2),
    "AveragePool2D overlapping": lambda: torch.nn.AvgPool2d(3, 1),
    "GlobalAveragePool2D": GlobalAverage,
    "Flatten": torch.nn.Flatten,
    "Flatten of vectors": torch.nn.Flatten,
    "ReLU": torch.nn.ReLU,
    "LeakyReLU": torch.nn.LeakyReLU,
    "LeakyReLU alpha 0.7": lambda: torch.nn.LeakyReLU(0.7),
    "ELU": torch.nn.ELU,
    "ELU alpha 2.5": lambda: torch.nn.ELU(2.5),
    "GELU": lambda: torch.nn.GELU("tanh"),
    "SiLU": torch.nn.SiLU,
    "Tanh": torch.nn.Tanh,
    "Tanh of pictures": torch.nn.Tanh,
    "Sigmoid": torch.nn.Sigmoid,
    "Softplus": torch.nn.Softplus,
    "Identity": torch.nn.Identity,
}
dtypes = pytest.mark.parametrize(("dtype", "within"), [(np.float32, 1e-6), (np.float64, 1e-12)])


def close(got, expected, within):
    np.testing.assert_allclose(got, expected, rtol=within, atol=within)


def pair(ours, theirs, n_in, dtype=np.float64):
    """Return a network with random parameters and its PyTorch equivalent."""
    net = Sequential(ours, n_in, seed=1, dtype=dtype)
    draw_biases(net, np.random.default_rng(2))
    twin = torch.nn.Sequential(*theirs).to(torch.from_numpy(np.zeros(0, dtype)).dtype)
    twin.load_state_dict({k: torch.from_numpy(v) for k, v in net.to_torch_state().items()})
    return net, twin


def rows(shape, dtype, m=7):
    return np.random.default_rng(3).standard_normal((m, *shape)).astype(dtype)


def gradients(net, twin, X, dZ, train):
    """Return both outputs and gradients of sum(Z dZ) by PyTorch name, with X last."""
    last = X.ndim - 1  # the axis of channels, the second in PyTorch
    X_there = torch.from_numpy(np.moveaxis(X, last, 1).copy()).requires_grad_()
    there = twin.train(train)(X_there)
    there.backward(torch.from_numpy(dZ))
    by_name = {name: p.grad.numpy() for name, p in twin.named_parameters()}
    Z = net.forward(X, train=train).copy()
    dX = net.backward(dZ, need_dX=True)
    slopes = net.astype(net.dtype)  # a network whose parameters are the gradients
    slopes.params.trained[...] = net.params.grad
    ours = slopes.to_torch_state()
    pairs = [(ours[name], gradient) for name, gradient in by_name.items()]
    pairs.append((np.moveaxis(dX, last, 1), X_there.grad.numpy()))
    return (Z, there.detach().numpy()), pairs


@dtypes
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", TORCH)
def test_outputs_and_gradients_of_every_layer(name, train, dtype, within):
    """Between two layers. Dropout is only tested in prediction, because its masks differ."""
    make, in_shape = LAYERS[name]
    train = train and not ("Dropout" in name and make().rate)
    width = math.prod(Sequential([make()], in_shape).out_shape)
    n, pictures = in_shape[-1], len(in_shape) > 1
    net, twin = pair(
        [BatchNorm() if pictures else Dense(n), make(), Flatten(), Dense(2)],
        [
            torch.nn.BatchNorm2d(n) if pictures else torch.nn.Linear(n, n),
            TORCH[name](),
            torch.nn.Flatten(),
            torch.nn.Linear(width, 2),
        ],
        in_shape,
        dtype,
    )
    X, dZ = rows(in_shape, dtype), rows((2,), dtype)
    outputs, slopes = gradients(net, twin, X, dZ, train)
    close(*outputs, within)
    for ours, theirs in slopes:  # sums over the rows, so that float32 rounds more often
        close(ours, theirs, 10 * within if dtype == np.float32 else within)
    for key, value in twin.state_dict().items():  # the running figures have moved alike
        if not key.endswith("num_batches_tracked"):
            close(net.to_torch_state()[key], value.numpy(), within)


def test_cases_cover_all_layers_that_torch_has():
    without = {type(make()).__name__ for name, (make, _) in LAYERS.items() if name not in TORCH}
    assert without == {"GroupedDense", "PiecewiseLinear"}
    assert set(TORCH) <= set(LAYERS)


# PyTorch equivalents of the losses, as functions of Z and encoded targets.
TORCH_LOSSES = {
    "BinaryCrossEntropy": torch.nn.functional.binary_cross_entropy_with_logits,
    "BinaryCrossEntropy multilabel": torch.nn.functional.binary_cross_entropy_with_logits,
    "SoftmaxCrossEntropy": torch.nn.functional.cross_entropy,
    "MeanSquaredError": torch.nn.functional.mse_loss,
    "Huber": torch.nn.functional.huber_loss,
}


@pytest.mark.parametrize("name", TORCH_LOSSES)
def test_gradients_of_every_loss_in_a_deep_network(name):
    make, n_out, draw = LOSSES[name]
    loss, nn = make(), torch.nn
    net, twin = pair(
        [Dense(6), BatchNorm(), GELU(), Dense(5), LayerNorm(), Tanh(), Dense(n_out)],
        [
            nn.Linear(4, 6),
            nn.BatchNorm1d(6),
            nn.GELU("tanh"),
            nn.Linear(6, 5),
            nn.LayerNorm(5),
            nn.Tanh(),
            nn.Linear(5, n_out),
        ],
        4,
    )
    X, y = rows((4,), np.float64, 9), loss.encode(draw(np.random.default_rng(5), 9), n_out, float)
    value, dZ = loss(net.forward(X, train=True), y)
    net.backward(dZ)
    there = TORCH_LOSSES[name](twin.train()(torch.from_numpy(X)), torch.from_numpy(y))
    there.backward()
    close(value, there.item(), 1e-12)
    for key, parameter in twin.named_parameters():
        place, _, kind = key.partition(".")
        layer = net.layers[int(place)]
        ours = layer.specs[("weight", "bias").index(kind)].name
        close(net.params.grads[f"{layer.name}.{ours}"], parameter.grad.numpy(), 1e-12)


def test_load_state_of_a_network_trained_in_pytorch():
    torch.manual_seed(0)
    nn = torch.nn
    twin = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 1)
    )
    for _ in range(3):
        twin(5 + torch.randn(8, 3))
    net = Sequential([Dense(4), BatchNorm(), ReLU(), LayerNorm(), Dense(1)], n_in=3)
    net.load_torch_state(twin.state_dict())
    X = rows((3,), np.float32)
    close(net.predict_logits(X), twin.eval()(torch.from_numpy(X)).detach().numpy(), 1e-6)
    assert list(net.to_torch_state()) == list(twin.state_dict())
    for key, value in twin.state_dict().items():
        array = net.to_torch_state()[key]
        assert (array.shape, str(array.dtype)) == (
            tuple(value.shape),
            str(value.dtype).removeprefix("torch."),
        )


def test_state_is_a_copy():
    net = mlp(2)
    state = net.to_torch_state()
    assert not any(np.shares_memory(array, net.params.theta) for array in state.values())
    net.load_torch_state(state)
    assert not any(np.shares_memory(array, net.params.theta) for array in state.values())


class Scale(Layer):
    def build(self, in_shape):
        self.specs = [ParameterSpec("g", in_shape, "bias", "ones")]
        return in_shape

    def forward(self, X, train):
        return X * self.g

    def backward(self, dY, need_dX):
        return dY


def test_custom_layer_raises():
    net = Sequential([Dense(2), Scale()], n_in=2)
    wanted = (
        "PyTorch has no names for the parameters of Scale 'scale1', only for those of Dense, "
        "Conv2D, BatchNorm, LayerNorm"
    )
    for call in (net.to_torch_state, lambda: net.load_torch_state({})):
        with pytest.raises(PlainnetError) as caught:
            call()
        assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("1.running_var"),
            "the parameters do not fit the network: expected ['0.bias', '0.weight', '1.bias', "
            "'1.num_batches_tracked', '1.running_mean', '1.running_var', '1.weight'], "
            "and ['1.running_var'] are missing or too many",
        ),
        (
            lambda s: s.update({"2.weight": np.ones(3)}),
            "the parameters do not fit the network: expected ['0.bias', '0.weight', '1.bias', "
            "'1.num_batches_tracked', '1.running_mean', '1.running_var', '1.weight'], "
            "and ['2.weight'] are missing or too many",
        ),
        (
            lambda s: s.update({"0.weight": s["0.weight"].T}),
            "parameter '0.weight' has shape (3, 2), got an array of shape (2, 3)",
        ),
        (
            lambda s: s.update({"1.running_mean": s["1.running_mean"].astype(np.float64)}),
            "parameter '1.running_mean' is of type float32, got float64: convert the network or "
            "the state",
        ),
    ],
)
def test_invalid_state_raises_and_changes_nothing(change, message):
    net = Sequential([Dense(3), BatchNorm()], n_in=2)
    before = net.params.theta.copy()
    state = {name: array + array.dtype.type(1) for name, array in net.to_torch_state().items()}
    change(state)
    with pytest.raises(PlainnetError) as caught:
        net.load_torch_state(state)
    assert str(caught.value) == message
    np.testing.assert_array_equal(net.params.theta, before)
