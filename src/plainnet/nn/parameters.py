"""Parameters: one flat vector theta and its gradient, with named views."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plainnet.errors import PlainnetError

Array = NDArray[Any]
ParameterKind = Literal["weight", "bias", "state"]
LIMIT = 2**30  # numbers in a network, 4 GB in float32: more is a mistake or a hostile file


class ParameterSpec(NamedTuple):
    """The description of one parameter array of a layer: name, shape, kind, initializer.

    A ``weight`` is trained and may decay, a ``bias`` (or scale) is trained and does not decay, a
    ``state`` (a running mean) is not trained.

    Examples
    --------
    >>> ParameterSpec("W", (8, 3), kind="weight", init="he_normal").shape
    (8, 3)
    """

    name: str
    shape: tuple[int, ...]
    kind: ParameterKind
    init: str


@final
class Parameters:
    """All parameters of a network in one contiguous vector.

    The arrays that are trained come first, in the order of ``specs``, then the state. An optimizer
    step, weight decay, clipping, a snapshot and a gradient check are therefore one array operation
    or one loop each.

    Parameters
    ----------
    specs : sequence of ParameterSpec
        With different names.
    dtype : dtype, default float32
        The dtype of all parameters.

    Attributes
    ----------
    theta : array of shape (n,)
        All parameters, the state included.
    trained : array of shape (n_trained,)
        A view of the first part of ``theta``, which an optimizer moves.
    state : array of shape (n - n_trained,)
        A view of the rest, which only ``forward`` changes.
    grad : array of shape (n_trained,)
        The derivative of the mean loss by ``trained``.
    views, grads : dict of str to array
        Each array by name, and its gradient (state has none).

    Raises
    ------
    PlainnetError
        If two names are the same, or there are more than 2**30 numbers.

    Examples
    --------
    >>> W = ParameterSpec("W", (2, 3), "weight", "zeros")
    >>> b = ParameterSpec("b", (2,), "bias", "zeros")
    >>> params = Parameters([W, b])
    >>> params.views["b"][...] = 7
    >>> params.theta
    array([0., 0., 0., 0., 0., 0., 7., 7.], dtype=float32)
    """

    specs: tuple[ParameterSpec, ...]
    theta: Array
    trained: Array
    state: Array
    grad: Array
    views: dict[str, Array]
    grads: dict[str, Array]

    def __init__(self, specs: Sequence[ParameterSpec], dtype: DTypeLike = np.float32) -> None:
        names = [v.name for v in specs]
        if len(set(names)) < len(names):
            raise PlainnetError(f"the names of the parameters must differ, got {names}")
        total = sum(_size(v) for v in specs)
        if total > LIMIT:
            raise PlainnetError(
                f"the network would have {total} parameters, more than the {LIMIT} allowed: "
                "take fewer inputs or units"
            )
        self.specs = tuple(specs)
        self._hold(np.zeros(total, dtype))

    def _hold(self, theta: Array, grad: Array | None = None) -> None:
        """Keep a vector of all parameters, a gradient, which is zero at first, and their views."""
        n_trained = sum(_size(v) for v in self.specs if v.kind != "state")
        self.trained, self.state = theta[:n_trained], theta[n_trained:]
        self.theta, self.grad = theta, np.zeros_like(self.trained) if grad is None else grad
        self.views, self.grads = self.views_of(theta), self.views_of(self.grad)

    def converted(self, convert: Callable[[Array], Array]) -> "Parameters":
        """Return a copy whose vector is ``convert(theta)``; its gradient is zero."""
        copy = Parameters.__new__(Parameters)
        copy.specs = self.specs
        copy._hold(convert(self.theta.copy()), convert(np.zeros_like(self.grad)))
        return copy

    def __getstate__(self) -> tuple[tuple[ParameterSpec, ...], Array]:
        """Return the vector; a copy makes new views and a gradient of zeros."""
        return self.specs, self.theta

    def __setstate__(self, state: tuple[tuple[ParameterSpec, ...], Array]) -> None:
        self.specs, theta = state
        self._hold(theta.copy())

    def views_of(self, flat: Array) -> dict[str, Array]:
        """Return a view of each array in a flat vector; a gradient has none of the state."""
        views, start = {}, 0
        for v in sorted(self.specs, key=lambda v: v.kind == "state"):
            stop = start + _size(v)
            if stop <= flat.size:
                views[v.name] = flat[start:stop].reshape(v.shape)
            start = stop
        return views

    def decaying(self) -> Array:
        """Return which of the trained numbers are weights, which may decay.

        Returns
        -------
        bool array of shape (n_trained,)

        Examples
        --------
        >>> W = ParameterSpec("W", (2, 1), "weight", "zeros")
        >>> Parameters([W, ParameterSpec("b", (2,), "bias", "zeros")]).decaying()
        array([ True,  True, False, False])
        """
        mask = np.zeros_like(self.trained, bool)
        views = self.views_of(mask)
        for v in self.specs:
            if v.kind == "weight":
                views[v.name][...] = True
        return mask

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy named arrays into the views.

        Parameters
        ----------
        arrays : mapping of str to array
            Exactly the names of ``views``, with their shapes.

        Raises
        ------
        PlainnetError
            If a name is missing or unknown, or a shape differs.

        Examples
        --------
        >>> params = Parameters([ParameterSpec("b", (2,), "bias", "zeros")])
        >>> params.load({"b": np.array([1.0, 2.0])})
        >>> params.theta
        array([1., 2.], dtype=float32)
        """
        check_arrays({name: view.shape for name, view in self.views.items()}, arrays)
        for name, view in self.views.items():
            view[...] = arrays[name]


def check_arrays(expected: Mapping[str, tuple[int, ...]], arrays: Mapping[str, Array]) -> None:
    """Check names and shapes of arrays."""
    if wrong := sorted(arrays.keys() ^ expected.keys()):
        raise PlainnetError(
            f"the parameters do not fit the network: expected {sorted(expected)}, "
            f"and {wrong} are missing or too many"
        )
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise PlainnetError(
                f"parameter {name!r} has shape {shape}, got an array of shape {arrays[name].shape}"
            )


def _size(spec: ParameterSpec) -> int:
    return math.prod(spec.shape)
