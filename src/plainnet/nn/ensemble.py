"""GroupedDense: dense layers side by side; and the mean of networks side by side as one network."""

from __future__ import annotations

from typing import final

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.initializers import initializer
from plainnet.nn.layers import LAYERS, Dense, Dropout, Layer, Shape
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array, ParameterSpec
from plainnet.nn.registry import register
from plainnet.nn.validation import positive_int


@register(LAYERS)
@final
class GroupedDense(Layer):
    """Dense layers side by side: each sees its own part of the inputs, Z_g = X_g W_g^T + b_g.

    Networks that stand side by side in one network need it after their first layer.

    Parameters
    ----------
    n_out : int
        The number of units of all groups.
    groups : int
        The number of groups, which divides inputs and units into equal parts.
    init : str, default "he_normal"
        The initializer of ``W``, shape (n_out, n_in / groups), which holds the W_g one below the
        other; ``b``, shape (n_out,), starts at zero.

    Raises
    ------
    PlainnetError
        If the groups do not divide the inputs or the units, or an option is out of range.

    Examples
    --------
    >>> from plainnet.nn import Sequential
    >>> net = Sequential([GroupedDense(2, groups=2, init="ones")], n_in=4)
    >>> net.forward([[1.0, 2.0, 30.0, 40.0]])
    array([[ 3., 70.]], dtype=float32)
    >>> net.backward([[1.0, 10.0]], need_dX=True)
    array([[ 1.,  1., 10., 10.]], dtype=float32)
    """

    options = ("n_out", "groups", "init")
    formula = "Z_g = X_g W_g^T + b_g for each group g of units"
    gradient_formulas = (
        "dW_g = dZ_g^T X_g",
        "db = column sums of dZ",
        "dX = all dZ_g W_g side by side",
    )
    W: Array
    b: Array
    dW: Array
    db: Array

    def __init__(self, n_out: int, groups: int, init: str = "he_normal") -> None:
        self.n_out = positive_int("GroupedDense", "n_out", n_out)
        self.groups = positive_int("GroupedDense", "groups", groups)
        initializer(init)
        self.init = init

    def build(self, in_shape: Shape) -> Shape:
        """Return (n_out,); the input must be flat, and the groups must divide it."""
        k = self.groups
        if len(in_shape) != 1 or in_shape[0] % k or self.n_out % k:
            raise PlainnetError(
                f"GroupedDense {self.name!r} divides flat inputs and units into {k} equal groups, "
                f"got inputs of shape {in_shape} and {self.n_out} units"
            )
        self.specs = [
            ParameterSpec("W", (self.n_out, in_shape[0] // k), "weight", self.init),
            ParameterSpec("b", (self.n_out,), "bias", "zeros"),
        ]
        return (self.n_out,)

    def forward(self, X: Array, train: bool) -> Array:
        """Z_g = X_g W_g^T + b_g for each group g of units."""
        self.X = X
        Z = np.empty_like(X, shape=(len(X), self.n_out))
        np.matmul(self._parts(X), self._stack(self.W).transpose(0, 2, 1), out=self._parts(Z))
        Z += self.b
        return Z

    def backward(self, dZ: Array, need_dX: bool) -> Array | None:
        """dW_g = dZ_g^T X_g, db = column sums of dZ, dX = all dZ_g W_g side by side."""
        dZ_g = self._parts(dZ)
        np.matmul(dZ_g.transpose(0, 2, 1), self._parts(self.X), out=self._stack(self.dW))
        self.db[...] = np.einsum("ij->j", dZ)
        if not need_dX:
            return None
        dX = np.empty_like(self.X)
        np.matmul(dZ_g, self._stack(self.W), out=self._parts(dX))
        return dX

    def _parts(self, rows: Array) -> Array:
        """Return a view (groups, m, columns of a group) of rows."""
        k = self.groups
        return rows.reshape(len(rows), k, rows.shape[1] // k).transpose(1, 0, 2)

    def _stack(self, W: Array) -> Array:
        """Return a view (groups, units of a group, inputs of a group) of weights."""
        return W.reshape(self.groups, -1, W.shape[1])


def group(net: Sequential, number: int) -> Sequential:
    """Return one of the networks that stand side by side, as a network of its own.

    Parameters
    ----------
    net : Sequential
        Whose last layer is a `GroupedDense`. Dropout is left out.
    number : int
        The number of the group, from 0.

    Returns
    -------
    Sequential
        With a copy of the group's parameters.

    Examples
    --------
    >>> from plainnet.nn import ReLU
    >>> net = Sequential([Dense(4), ReLU(), GroupedDense(2, groups=2)], n_in=3)
    >>> X = np.array([[1.0, 2.0, 3.0]])
    >>> np.allclose(group(net, 1).forward(X), net.forward(X)[:, 1])
    True
    """
    *_, last = net.layers
    assert isinstance(last, GroupedDense)  # for the type checker
    k = last.groups
    kept = [layer for layer in net.layers if not isinstance(layer, Dropout)]
    dense = (Dense, GroupedDense)
    layers = [Dense(x.n_out // k, "zeros") if isinstance(x, dense) else x.copy() for x in kept]
    one = Sequential(layers, net.in_shape, dtype=net.dtype)
    for layer, copy in zip(kept, one.layers, strict=True):
        for spec in layer.specs:
            theirs, ours = getattr(layer, spec.name), getattr(copy, spec.name)
            shared = theirs.shape == ours.shape
            ours[...] = theirs if shared else theirs.reshape(k, *ours.shape)[number]
    return one


def mean_of_groups(net: Sequential) -> Sequential:
    """Return the mean of networks that stand side by side as one network.

    Parameters
    ----------
    net : Sequential
        Whose last layer is a `GroupedDense`. The mean of its groups' outputs is one dense layer,
        whose weights are theirs divided by their number. Dropout is left out.

    Returns
    -------
    Sequential
        With the outputs of one group.

    Examples
    --------
    >>> from plainnet.nn import ReLU
    >>> net = Sequential([Dense(4), ReLU(), GroupedDense(2, groups=2)], n_in=3)
    >>> X = np.array([[1.0, 2.0, 3.0]])
    >>> np.allclose(mean_of_groups(net).forward(X), net.forward(X).mean())
    True
    """
    *others, last = net.layers
    assert isinstance(last, GroupedDense)  # for the type checker
    kept = [layer for layer in others if not isinstance(layer, Dropout)]
    k = last.groups
    layers = [*(layer.copy() for layer in kept), Dense(last.n_out // k, last.init)]
    mean = Sequential(layers, net.in_shape, dtype=net.dtype)
    for layer, copy in zip(kept, mean.layers, strict=False):
        for spec in layer.specs:
            getattr(copy, spec.name)[...] = getattr(layer, spec.name)
    *_, dense = mean.layers
    assert isinstance(dense, Dense)  # for the type checker
    dense.W[...] = np.concatenate(list(last.W.reshape(k, last.n_out // k, -1)), axis=1) / k
    dense.b[...] = last.b.reshape(k, -1).mean(axis=0)
    return mean
