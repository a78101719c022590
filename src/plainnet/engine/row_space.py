"""RowSpace: exact gradient descent in the row space of wide data."""

from typing import final

import numpy as np

from plainnet.nn.activations import Identity
from plainnet.nn.layers import Dense, Flatten, Layer, Shape
from plainnet.nn.network import Sequential
from plainnet.nn.parameters import Array, ParameterSpec
from plainnet.optim.optimizers import SGD, Optimizer


@final
class RowSpace:
    """A network that trains on the dot products of the rows instead of the rows.

    With more features than rows, gradient descent moves the first weights within the space that
    the rows X (m, n) span, so it is enough to know how much of each row is in them:

    1. dW = dZ^T X, so every step adds multiples of the rows of X to W. With weight decay it also
       scales W. Hence W^T = X^T A + W(0)^T C at every step, with A (m, n_out) and C (n_out, n_out)
       starting at 0 and the identity.
    2. The layer sees W only through X W^T = K A + Z(0) C, with the dot products of all pairs of
       rows K = X X^T and the initial outputs Z(0) = X W(0)^T: both are computed once.
    3. A step W -= lr dW is A -= lr dZ in the rows of the batch. So backward needs no product at
       all, and forward one of m + n_out columns instead of n.
    4. Decay multiplies A and C, and momentum sums up such steps, as they do with W.
    5. Validation rows X' need products too: X' W^T = (X' X^T) A + X' W(0)^T C.
    6. W is computed from A and C when it is needed.

    It does not work for elementwise rules (Adam, RMSprop), for clipping, which needs the norm of
    dW, or where the input changes from step to step (dropout or augmentation before the layer).

    This applies the representer theorem (Kimeldorf and Wahba, 1971) in every step.
    """

    def __init__(self, net: Sequential, X: Array) -> None:
        self._rows, self.m, self.finite = X.reshape(len(X), -1), len(X), True
        self.held_out: tuple[Array, Array] | None = None
        first = next(layer for layer in net.layers if isinstance(layer, Dense))
        self._W, self._W_start = first.W, first.W.copy()
        rest = net.layers[net.layers.index(first) + 1 :]
        units = len(self._W)
        layers = [RowDense(units, self.m), *(layer.copy() for layer in rest)]
        small = Sequential(layers, 1, dtype=net.dtype)
        self.net = small.to(lambda theta: np.asarray(theta, like=X))
        self.net.set_rng(net.rng)
        dense = self.net.layers[0]
        assert isinstance(dense, RowDense)  # for the type checker
        self._dense = dense
        dense.features = np.empty((0, self.m + units), net.dtype, like=X)
        self._same: list[tuple[Array, Array]] = []  # corresponding parameters of both networks
        for layer, other in zip(self.net.layers, (first, *rest), strict=True):
            layer.name = other.name  # for messages
            names = ["b"] if other is first else [v.name for v in other.specs]
            self._same += [(getattr(layer, name), getattr(other, name)) for name in names]
        for ours, theirs in self._same:
            ours[...] = theirs
        dense.A[self.m :] = np.eye(units, like=X)
        self.X = dense.full_batch = self.coordinates(X)

    def coordinates(self, X: Array) -> Array:
        """Add the products of other rows, such as validation rows; return their row numbers."""
        rows, known = X.reshape(len(X), -1), len(self._dense.features)
        with np.errstate(all="ignore"):
            products = np.concatenate([rows.dot(self._rows.T), rows.dot(self._W_start.T)], axis=1)
        self.finite &= bool(np.isfinite(products).all())
        self._dense.features = np.concatenate([self._dense.features, products])
        return np.arange(known, known + len(X), dtype=self.net.dtype, like=X)[:, None]

    def write_back(self) -> None:
        """Write the small network's parameters into the full network."""
        A, C = self._dense.A[: self.m], self._dense.A[self.m :]
        np.dot(A.T, self._rows, out=self._W)
        self._W += C.T.dot(self._W_start)
        for ours, theirs in self._same:
            theirs[...] = ours


@final
class RowDense(Layer):
    """A dense layer on the rows' dot products: Z = [K Z(0)] [A; C] + b; the input: row numbers."""

    A: Array
    b: Array
    dA: Array
    db: Array
    features: Array
    full_batch: Array

    options = ("n_out", "m")

    def __init__(self, n_out: int, m: int) -> None:
        self.n_out, self.m = n_out, m

    def build(self, in_shape: Shape) -> Shape:
        """Return (n_out,)."""
        self.specs = [
            ParameterSpec("A", (self.m + self.n_out, self.n_out), "weight", "zeros"),
            ParameterSpec("b", (self.n_out,), "bias", "zeros"),
        ]
        return (self.n_out,)

    def of(self, X: Array) -> Array:
        """Return the features of consecutive rows."""
        first = int(X[0, 0])
        return self.features[first : first + len(X)]

    def forward(self, X: Array, train: bool) -> Array:
        """Z = F A + b, F the features of the rows."""
        self.rows: Array | slice = slice(self.m)
        F = self.features[: self.m]
        if X is not self.full_batch:  # the full batch needs no gathering
            self.rows = X[:, 0].astype(np.intp)
            F = self.features.take(self.rows, axis=0)
        Z = F.dot(self.A)
        Z += self.b
        return Z

    def backward(self, dZ: Array, need_dX: bool) -> Array | None:
        """dA = dZ in the rows of the batch, 0 elsewhere; db = column sums of dZ."""
        self.dA[...] = 0
        self.dA[self.rows] = dZ
        np.dot(np.ones(len(dZ), dZ.dtype, like=dZ), dZ, out=self.db)
        return None


def row_space_pays(
    net: Sequential,
    m: int,
    optimizer: Optimizer,
    epochs: int,
    write_back: bool = False,
) -> bool:
    """Decide whether training in the row space is exact and saves time."""
    first = next((x for x in net.layers if not isinstance(x, Flatten | Identity)), None)
    if not isinstance(optimizer, SGD) or not isinstance(first, Dense):
        return False
    units, n = first.W.shape
    if n < m + units:  # it could still save time, but not memory
        return False
    once = m * m * n / 2 + 2 * m * units * n  # the products of all pairs, the first outputs, W
    saved = m * units * (2 * n - m - units) - (m * n * units if write_back else 0)
    return bool(epochs * saved > once)
