"""RowSpace: exact gradient descent in the row space of wide data."""

from typing import final

import numpy as np

from plainnet.nn.activations import Identity
from plainnet.nn.layers import Dense, Flatten
from plainnet.nn.params import Array
from plainnet.nn.sequential import Sequential
from plainnet.train.optimizers import SGD, Optimizer
from plainnet.train.threads import limited_threads

# Directions in which the rows vary less than this share of the strongest (squared) are rounding.
RANK_TOLERANCE = 1e-11
# A basis of so many multiplications takes less than half a second on one thread. More threads
# would halve that on an idle machine, and multiply it on a busy one.
SMALL_BASIS = 10**10
COLUMNS = 4096  # how many features at a time are summed up in float64, to save memory


@final
class RowSpace:
    """Training rows in coordinates of the space they span, and the network that lives there.

    With more features than rows, gradient descent moves the first weights within the row space:

    1. dW = dZ^T X, so every row of dW is a combination of the rows of X.
    2. Let Q (n, r) be an orthonormal basis of the row space, so that X Q Q^T = X, and P one of
       what W(0) has outside of it: W(0) = W(0) B B^T with B = [Q P] and X P = 0.
    3. Then W = V B^T at every step, with V(0) = W(0) B: it holds at the start, and each step
       subtracts from W a multiple of dW = (dZ^T X B) B^T = dV B^T, or of W itself (L2).
    4. The layer sees only X W^T = (X B) V^T: training V on X B, r + n_out columns, is the same.
    5. |dW| = |dV|, so clipping by norm is the same too; momentum is a sum of such steps.
    6. W is lifted back when somebody looks: W = W(0) + (V - V(0)) B^T.

    It is not the same for rules that treat each number by itself (Adam, RMSprop), nor where the
    input changes from step to step (dropout or augmentation before the first layer).

    Q is never formed: with the eigenvectors of X X^T = U L U^T it is X^T U L^(-1/2), so that
    X Q = U L^(1/2).

    Parameters
    ----------
    net : Sequential
        The network to train; `lift` writes into it.
    X : array of shape (m, n)
        All training rows, kept until the last `lift`.

    Attributes
    ----------
    X : array of shape (m, r + n_out)
        The rows to train on.
    net : Sequential
        The small network to train; it draws dropout's masks from the generator of the full one.
    rank : int
        r.

    Examples
    --------
    >>> from plainnet.nn import mlp
    >>> net = mlp(500, (4,), seed=1)
    >>> space = RowSpace(net, np.random.default_rng(0).standard_normal((10, 500), np.float32))
    >>> space.X.shape, space.net.in_shape
    ((10, 14), (14,))
    """

    def __init__(self, net: Sequential, X: Array) -> None:
        self._full, self._rows = net, X.reshape(len(X), -1)
        with limited_threads(1 if X.size * len(X) < SMALL_BASIS else 10**6):
            L, U = np.linalg.eigh(_gram(self._rows))
        kept = (RANK_TOLERANCE * L[-1]) < L
        L, U = L[kept], U[:, kept]
        self.rank = len(L)
        self._from_rows = (U / np.sqrt(L)).astype(net.dtype)  # Q = X^T times this

        self._W = next(v.name for v in net.params.variables if v.name.endswith(".W"))
        W = net.params.views[self._W]
        inside = self._project(W)
        outside = W - self._unproject(inside)
        outside -= self._unproject(self._project(outside))  # once more, against rounding
        P, R = np.linalg.qr(outside.T)
        self._P = P
        self._W_start, self._V_start = W.copy(), np.hstack([inside, R.T])

        self.X = np.zeros((len(X), self.rank + len(W)), net.dtype)
        self.X[:, : self.rank] = U * np.sqrt(L)
        self.net = Sequential(net.layers, self.X.shape[1], dtype=net.dtype)
        self.net.params.load({**net.params.views, self._W: self._V_start})
        self.net.draw_from(net.rng)

    def coordinates(self, X: Array) -> Array:
        """Turn other rows, such as validation rows, into the coordinates of the small network.

        Parameters
        ----------
        X : array of shape (m, n)
            What lies outside of the space cannot be seen by the first layer and is left out.

        Returns
        -------
        array of shape (m, r + n_out)

        Examples
        --------
        >>> from plainnet.nn import mlp
        >>> X = np.random.default_rng(0).standard_normal((5, 50), np.float32)
        >>> net = mlp(50, (2,), seed=1)
        >>> space = RowSpace(net, X)
        >>> small = space.net.predict(space.coordinates(X))
        >>> np.allclose(small, net.predict(X), atol=1e-5)
        True
        """
        rows = X.reshape(len(X), -1)
        return np.hstack([self._project(rows), rows @ self._P])

    def lift(self) -> None:
        """Write the small network's parameters into the full network.

        Examples
        --------
        >>> from plainnet.nn import mlp
        >>> X = np.random.default_rng(0).standard_normal((5, 50), np.float32)
        >>> net = mlp(50, (2,), seed=1)
        >>> space = RowSpace(net, X)
        >>> space.net.params.views["dense1.b"][...] = 7  # as a training would move it
        >>> space.lift()
        >>> net.params.views["dense1.b"]
        array([7., 7.], dtype=float32)
        """
        small, full = self.net.params.views, self._full.params.views
        moved = small[self._W] - self._V_start
        W = self._unproject(moved[:, : self.rank])
        W += moved[:, self.rank :] @ self._P.T
        np.add(self._W_start, W, out=full[self._W])
        for name, view in small.items():
            if name != self._W:
                full[name][...] = view

    def _project(self, A: Array) -> Array:
        """A Q, for A of shape (k, n)."""
        coordinates: Array = (A @ self._rows.T) @ self._from_rows
        return coordinates

    def _unproject(self, A: Array) -> Array:
        """A Q^T, for A of shape (k, r)."""
        rows: Array = (A @ self._from_rows.T) @ self._rows
        return rows


def rowspace_pays(net: Sequential, m: int, optimizer: Optimizer, epochs: int, lifts: bool) -> bool:
    """Decide whether training in the row space is exact and saves time.

    Parameters
    ----------
    net : Sequential
        The network.
    m : int
        Training rows.
    optimizer : Optimizer
        Only gradient descent commutes with rotations.
    epochs : int
        How often the basis is used.
    lifts : bool
        Whether the true weights are wanted after every epoch.

    Returns
    -------
    bool

    Examples
    --------
    >>> from plainnet.nn import mlp
    >>> net = mlp(12288, (8, 8, 8))
    >>> rowspace_pays(net, 400, SGD(0.01), epochs=200, lifts=False)
    True
    >>> rowspace_pays(net, 400, SGD(0.01), epochs=2, lifts=False)
    False
    """
    if not isinstance(optimizer, SGD):
        return False
    first = next((x for x in net.layers if not isinstance(x, Flatten | Identity)), None)
    if not isinstance(first, Dense):
        return False
    units, n = first.W.shape
    # Multiplications: the basis in float64 counts double, eigh about ten times m^3.
    basis = 2 * m * m * n + 10 * m**3
    saved = 2 * m * units * (n - m - units) - (m * n * units if lifts else 0)
    return bool(epochs * saved > basis)


def _gram(X: Array) -> Array:
    """X X^T in float64: squaring would cost half the digits of float32."""
    G = np.zeros((len(X), len(X)))
    for start in range(0, X.shape[1], COLUMNS):
        block = X[:, start : start + COLUMNS].astype(np.float64)
        G += block @ block.T
    return G
