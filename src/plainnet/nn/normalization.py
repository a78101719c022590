"""Normalization layers: BatchNorm, LayerNorm."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.layers import LAYERS, Layer, Shape
from plainnet.nn.parameters import Array, ParameterSpec
from plainnet.nn.ranks import feature_sums
from plainnet.nn.registry import register
from plainnet.nn.validation import check_range

_GRADIENTS = ("dgamma = column sums of dY Xhat", "dbeta = column sums of dY")


class _Normalization(Layer):
    """Normalize to mean 0 and variance 1, then scale and shift each feature."""

    gamma: Array
    beta: Array
    dgamma: Array
    dbeta: Array
    Xhat: Array

    running: ClassVar[tuple[tuple[str, str], ...]] = ()  # statistics and their initializers

    @final
    def build(self, in_shape: Shape) -> Shape:
        """Return the shape unchanged."""
        n = (in_shape[-1],)
        self.specs = [
            ParameterSpec("gamma", n, "bias", "ones"),
            ParameterSpec("beta", n, "bias", "zeros"),
            *(ParameterSpec(name, n, "state", init) for name, init in self.running),
        ]
        return in_shape

    @final
    def _scaled(self, Xhat: Array) -> Array:
        """Y = gamma Xhat + beta."""
        self.Xhat = Xhat
        Y = repeated(self.gamma, Xhat) * Xhat
        Y += repeated(self.beta, Xhat)
        return Y

    @final
    def _write_gradients(self, dY: Array) -> None:
        """dgamma = column sums of dY Xhat, dbeta = column sums of dY."""
        self.dgamma[...], self.dbeta[...] = feature_sums(dY * self.Xhat), feature_sums(dY)


def repeated(features: Array, X: Array) -> Array:
    """Repeat a number for each feature along a row of pixels: NumPy is faster on long rows."""
    return features if X.ndim == 2 else np.tile(features, (X.shape[-2], 1))


@register(LAYERS)
@final
class BatchNorm(_Normalization):
    """Normalize each feature to mean 0 and variance 1 over the batch, then scale and shift it.

    Ioffe and Szegedy (2015). Pictures (NHWC) are normalized per channel. Predicting uses running
    means and variances of the training batches. The statistics ignore sample weights.

    Parameters
    ----------
    momentum : float, default 0.1
        The weight of the newest batch in the running mean and variance, in (0, 1].
    eps : float, default 1e-5
        Added to the variance.

    Raises
    ------
    PlainnetError
        If an option is out of range, or a training batch has a single row, which has no variance.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([BatchNorm(momentum=0.5)], n_in=2)
    >>> net.forward([[1.0, 10.0], [3.0, 50.0]], train=True).round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> net.layers[0].running_mean  # half way from 0 to the means 2 and 30
    array([ 1., 15.], dtype=float32)
    """

    options = ("momentum", "eps")
    formula = "Y = gamma Xhat + beta, Xhat = (X - mean) / sqrt(var + eps)"
    gradient_formulas = (*_GRADIENTS, "dX = gamma / std dY")
    torch_names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    running = (("running_mean", "zeros"), ("running_var", "ones"))
    running_mean: Array
    running_var: Array

    def __init__(self, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.momentum = check_range("BatchNorm", "momentum", momentum, "(0, 1]")
        self.eps = check_range("BatchNorm", "eps", eps, "(0, 1)")

    def forward(self, X: Array, train: bool) -> Array:
        """Y = gamma Xhat + beta, Xhat = (X - mean) / sqrt(var + eps)."""
        m = self.ranks.count(X)
        if train and m == 1:
            raise PlainnetError(
                f"BatchNorm {self.name!r} has no variance to train with in a batch of one row: "
                "take a larger batch_size, or give more rows"
            )
        mean = self.ranks.mean(X) if train else self.running_mean
        Xhat = X - repeated(mean, X)
        var = self.ranks.mean(np.square(Xhat)) if train else self.running_var
        std = np.sqrt(var + self.eps)
        Xhat /= repeated(std, X)
        self.std, self.train = std, train
        if train:
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (var * (m / (m - 1)) - self.running_var)
        return self._scaled(Xhat)

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = gamma / std (dY - dbeta / m - Xhat dgamma / m)."""
        self._write_gradients(dY)
        if not need_dX:
            return None
        if self.train:  # else mean and variance do not depend on X
            sums = np.stack([self.dbeta, self.dgamma]) / self.ranks.count(dY)
            self.ranks.all_reduce(sums)
            dY = dY - repeated(sums[0], dY) - self.Xhat * repeated(sums[1], dY)
        return dY * repeated(self.gamma / self.std, dY)


@register(LAYERS)
@final
class LayerNorm(_Normalization):
    """Normalize each sample to mean 0 and variance 1 over its last axis, then scale and shift.

    Ba, Kiros and Hinton (2016). Training and predicting are the same.

    Parameters
    ----------
    eps : float, default 1e-5
        Added to the variance.

    Raises
    ------
    PlainnetError
        If eps is out of range.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([LayerNorm()], n_in=2)
    >>> net.forward([[1.0, 3.0], [50.0, 10.0]]).round(3)
    array([[-1.,  1.],
           [ 1., -1.]], dtype=float32)
    """

    options = ("eps",)
    formula = "Y = gamma Xhat + beta, Xhat = (X - mean) / sqrt(var + eps), per sample"
    gradient_formulas = (
        *_GRADIENTS,
        "dX = (dXhat - mean(dXhat) - Xhat mean(dXhat Xhat)) / std, dXhat = gamma dY",
    )
    torch_names = ("weight", "bias")

    def __init__(self, eps: float = 1e-5) -> None:
        self.eps = check_range("LayerNorm", "eps", eps, "(0, 1)")

    def forward(self, X: Array, train: bool) -> Array:
        """Y = gamma Xhat + beta, Xhat = (X - mean) / sqrt(var + eps), per sample."""
        Xhat = X - X.mean(axis=-1, keepdims=True)
        std = np.sqrt(np.square(Xhat).mean(axis=-1, keepdims=True) + self.eps)
        Xhat /= std
        self.std = std
        return self._scaled(Xhat)

    def backward(self, dY: Array, need_dX: bool) -> Array | None:
        """dX = (dXhat - mean(dXhat) - Xhat mean(dXhat Xhat)) / std, dXhat = gamma dY."""
        self._write_gradients(dY)
        if not need_dX:
            return None
        dXhat = self.gamma * dY
        along = (dXhat * self.Xhat).mean(axis=-1, keepdims=True)
        return (dXhat - dXhat.mean(axis=-1, keepdims=True) - self.Xhat * along) / self.std
