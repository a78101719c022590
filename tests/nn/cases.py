"""Layers and losses for the property tests, and finite differences independent of gradcheck."""

import numpy as np

from plainnet.nn import (
    ELU,
    GELU,
    AveragePool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    GroupedDense,
    Huber,
    Identity,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    MeanSquaredError,
    PiecewiseLinear,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    SoftmaxCrossEntropy,
    Softplus,
    SpatialDropout,
    Tanh,
)

# name: (function that creates the layer, shape of one sample)
LAYERS = {
    "Dense": (lambda: Dense(4), (3,)),
    "Dense orthogonal": (lambda: Dense(2, "orthogonal"), (5,)),
    "GroupedDense": (lambda: GroupedDense(6, groups=2), (4,)),
    "GroupedDense of one unit each": (lambda: GroupedDense(3, groups=3), (3,)),
    "PiecewiseLinear": (lambda: PiecewiseLinear((1, 3, 2)), (3,)),
    "Dropout": (lambda: Dropout(0.4), (6,)),
    "Dropout rate 0": (lambda: Dropout(0.0), (3,)),
    "Dropout of pictures": (lambda: Dropout(0.3), (2, 2, 3)),
    "SpatialDropout": (lambda: SpatialDropout(0.4), (3, 2, 4)),
    "SpatialDropout rate 0": (lambda: SpatialDropout(0.0), (2, 2, 1)),
    "BatchNorm": (BatchNorm, (3,)),
    "BatchNorm options": (lambda: BatchNorm(momentum=0.5, eps=0.1), (3,)),
    "BatchNorm of pictures": (BatchNorm, (2, 3, 2)),
    "LayerNorm": (LayerNorm, (4,)),
    "LayerNorm options": (lambda: LayerNorm(eps=0.1), (4,)),
    "LayerNorm of pictures": (LayerNorm, (2, 2, 3)),
    "Flatten": (Flatten, (2, 3, 2)),
    "Flatten of vectors": (Flatten, (3,)),
    "Conv2D": (lambda: Conv2D(2), (3, 4, 2)),
    "Conv2D valid, stride": (lambda: Conv2D(3, 2, stride=2, padding="valid"), (5, 4, 1)),
    "Conv2D same, stride": (lambda: Conv2D(1, 3, stride=2, bias=False), (4, 5, 2)),
    "Conv2D even kernel": (lambda: Conv2D(2, 4, init="orthogonal"), (3, 3, 1)),
    "Conv2D one pixel": (lambda: Conv2D(2, 3), (1, 1, 2)),
    "MaxPool2D": (MaxPool2D, (4, 5, 2)),
    "MaxPool2D overlapping": (lambda: MaxPool2D(3, stride=2), (5, 5, 1)),
    "AveragePool2D": (AveragePool2D, (5, 4, 2)),
    "AveragePool2D overlapping": (lambda: AveragePool2D(3, stride=1), (4, 4, 1)),
    "GlobalAveragePool2D": (GlobalAveragePool2D, (3, 2, 2)),
    "ReLU": (ReLU, (3,)),
    "LeakyReLU": (LeakyReLU, (3,)),
    "LeakyReLU alpha 0.7": (lambda: LeakyReLU(0.7), (3,)),
    "ELU": (ELU, (3,)),
    "ELU alpha 2.5": (lambda: ELU(2.5), (3,)),
    "GELU": (GELU, (3,)),
    "SiLU": (SiLU, (3,)),
    "Tanh": (Tanh, (3,)),
    "Tanh of pictures": (Tanh, (2, 2, 2)),
    "Sigmoid": (Sigmoid, (3,)),
    "Softplus": (Softplus, (3,)),
    "Identity": (Identity, (3,)),
}
ACTIVATIONS = (
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "softplus",
    "identity",
)
INITS = (
    "he_normal",
    "he_uniform",
    "xavier_normal",
    "xavier_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "zeros",
    "ones",
    "constant:-0.3",
    "normal:0.5",
)
# name: (function that creates the loss, number of outputs, function that draws targets)
LOSSES = {
    "BinaryCrossEntropy": (BinaryCrossEntropy, 1, lambda rng, m: rng.integers(0, 2, m)),
    "BinaryCrossEntropy smoothing": (
        lambda: BinaryCrossEntropy(0.1),
        1,
        lambda rng, m: rng.integers(0, 2, m),
    ),
    "BinaryCrossEntropy multilabel": (
        BinaryCrossEntropy,
        3,
        lambda rng, m: rng.integers(0, 2, (m, 3)),
    ),
    "BinaryCrossEntropy multilabel smoothing, soft targets": (
        lambda: BinaryCrossEntropy(0.2),
        2,
        lambda rng, m: rng.random((m, 2)),
    ),
    "SoftmaxCrossEntropy": (SoftmaxCrossEntropy, 3, lambda rng, m: rng.integers(0, 3, m)),
    "SoftmaxCrossEntropy smoothing": (
        lambda: SoftmaxCrossEntropy(0.1),
        4,
        lambda rng, m: rng.integers(0, 4, m),
    ),
    "SoftmaxCrossEntropy one-hot": (
        SoftmaxCrossEntropy,
        3,
        lambda rng, m: np.eye(3)[rng.integers(0, 3, m)],
    ),
    "SoftmaxCrossEntropy smoothing, soft targets": (
        lambda: SoftmaxCrossEntropy(0.3),
        3,
        lambda rng, m: rng.dirichlet(np.ones(3), m),
    ),
    "MeanSquaredError": (MeanSquaredError, 2, lambda rng, m: rng.standard_normal((m, 2))),
    "MeanSquaredError one output": (MeanSquaredError, 1, lambda rng, m: rng.standard_normal(m)),
    "Huber": (Huber, 2, lambda rng, m: 3 * rng.standard_normal((m, 2))),
    "Huber delta": (lambda: Huber(0.3), 1, lambda rng, m: rng.standard_normal((m, 1))),
}


def draw_biases(net, rng):
    """Randomize biases and scales, so that gradients that ignore them are wrong."""
    for spec in net.params.specs:
        if spec.kind == "bias":
            draws = rng.standard_normal(spec.shape).astype(net.dtype)
            net.params.views[spec.name] += 0.4 * draws


def keras_padding(shape, kernel, stride):
    """Return the zeros (left, right, top, bottom) of Keras's "same"."""
    pads = []
    for n in (shape[1], shape[0]):
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return pads


def surrounded(make, in_shape, n_out=2, seed=0, dtype=np.float64):
    """Create a network with the layer between two layers with parameters."""
    before = [BatchNorm()] if len(in_shape) > 1 else [Dense(in_shape[0])]
    net = Sequential(
        [*before, make(), Flatten(), Dense(n_out)], n_in=in_shape, seed=seed, dtype=dtype
    )
    draw_biases(net, np.random.default_rng(seed + 1))
    return net


def numeric_gradients(net, loss, X, y, weight=None, train=True, h=1e-4):
    """Return fourth-order finite differences of the loss by theta and by X, both flat.

    The network must be float64.
    """
    rng_state = net.rng.bit_generator.state
    before = net.params.theta.copy()
    y = loss.encode(y, net.n_out, np.float64)
    X = np.array(X, np.float64)

    def value():
        net.params.theta[len(net.params.trained) :] = before[len(net.params.trained) :]
        net.rng.bit_generator.state = rng_state
        return loss(net.forward(X, train=train), y, weight)[0]

    def differences(flat):
        result = np.zeros(flat.size)
        for i in range(flat.size):
            old = flat[i]
            f = {}
            for k in (-2, -1, 1, 2):
                flat[i] = old + k * h
                f[k] = value()
            flat[i] = old
            result[i] = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
        return result

    gradients = differences(net.params.trained), differences(X.reshape(-1))
    net.params.theta[...] = before
    net.rng.bit_generator.state = rng_state
    return gradients


def analytic_gradients(net, loss, X, y, weight=None, train=True):
    """Return gradients by theta and X from one forward and backward pass; restore the state."""
    rng_state = net.rng.bit_generator.state
    state = net.params.theta.copy()
    Z = net.forward(X, train=train)
    _, dZ = loss(Z, loss.encode(y, net.n_out, net.dtype), weight)
    dX = net.backward(dZ, need_dX=True)
    net.rng.bit_generator.state = rng_state
    net.params.theta[...] = state
    return net.params.grad.copy(), dX.ravel().copy()


def relative_distance(a, b):
    """Return |a - b| / (|a| + |b|)."""
    size = np.linalg.norm(a) + np.linalg.norm(b)
    return np.linalg.norm(a - b) / size if size else 0.0


def read_only(array):
    """Return a read-only copy."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy
