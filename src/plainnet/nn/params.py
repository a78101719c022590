"""Params: one flat vector theta and its gradient, with named views."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plainnet.errors import PlainnetError

Array = NDArray[Any]
Kind = Literal["weight", "bias", "state"]
# Arrays without axes: converting a Python number takes NumPy as long as work on a small array.
ZERO, ONE = np.zeros((), np.float32), np.ones((), np.float32)
LIMIT = 2**30  # numbers in a network, 4 GB in float32: more is a slip or a hostile file


class Variable(NamedTuple):
    """What a layer asks for: a named array and how it begins.

    ``kind`` says what may happen to it: a ``weight`` is trained and may decay, a ``bias`` (or
    scale) is trained and does not decay, a ``state`` (a running mean) is not trained.

    Examples
    --------
    >>> Variable("W", (8, 3), kind="weight", init="he_normal").shape
    (8, 3)
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind
    init: str


@final
class Params:
    """All parameters of a network in one contiguous vector.

    The order is weights, then biases and scales, then state. An optimizer step, weight decay,
    clipping, a snapshot and a gradient check are therefore one array operation or one loop each.

    Parameters
    ----------
    variables : sequence of Variable
        Their names must differ.
    dtype : dtype, default float32
        The type of every number.

    Attributes
    ----------
    theta : array of shape (n,)
        Every number, the state included.
    trained : array of shape (n_trained,)
        A view of the front part of ``theta`` that an optimizer may move.
    grad : array of shape (n_trained,)
        The derivative of the mean loss by ``trained``.
    n_decay : int
        How many numbers at the front are weights, which may decay.
    views, grads : dict of str to array
        Each variable by name, and its gradient (state has none).

    Raises
    ------
    PlainnetError
        If two variables share a name, or there are more than 2**30 numbers.

    Examples
    --------
    >>> W, b = Variable("W", (2, 3), "weight", "zeros"), Variable("b", (2,), "bias", "zeros")
    >>> params = Params([W, b])
    >>> params.views["b"][...] = 7
    >>> params.theta
    array([0., 0., 0., 0., 0., 0., 7., 7.], dtype=float32)
    """

    variables: tuple[Variable, ...]
    theta: Array
    trained: Array
    grad: Array
    n_decay: int
    views: dict[str, Array]
    grads: dict[str, Array]

    def __init__(self, variables: Sequence[Variable], dtype: DTypeLike = np.float32) -> None:
        names = [v.name for v in variables]
        if len(set(names)) < len(names):
            raise PlainnetError(f"the names of the variables must differ, got {names}")
        total = sum(_size(v) for v in variables)
        if total > LIMIT:
            raise PlainnetError(
                f"the network would have {total} parameters, more than the {LIMIT} allowed: "
                "take fewer inputs or units"
            )
        kinds: tuple[Kind, ...] = ("weight", "bias", "state")
        self.variables = tuple(variables)
        ordered = [v for kind in kinds for v in variables if v.kind == kind]
        sizes = {kind: sum(_size(v) for v in ordered if v.kind == kind) for kind in kinds}
        self.n_decay = sizes["weight"]
        n_trained = sizes["weight"] + sizes["bias"]
        self.theta = np.zeros(n_trained + sizes["state"], dtype)
        self.grad = np.zeros(n_trained, dtype)
        self.trained = self.theta[:n_trained]
        self.views, self.grads = {}, {}
        start = 0
        for v in ordered:
            stop = start + _size(v)
            self.views[v.name] = self.theta[start:stop].reshape(v.shape)
            if v.kind != "state":
                self.grads[v.name] = self.grad[start:stop].reshape(v.shape)
            start = stop

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy named arrays into the views.

        Parameters
        ----------
        arrays : mapping of str to array
            Exactly the names of ``views``, with their shapes.

        Raises
        ------
        PlainnetError
            If a name is missing or not known, or a shape differs.

        Examples
        --------
        >>> params = Params([Variable("b", (2,), "bias", "zeros")])
        >>> params.load({"b": np.array([1.0, 2.0])})
        >>> params.theta
        array([1., 2.], dtype=float32)
        """
        check_arrays(self.variables, arrays)
        for name, view in self.views.items():
            view[...] = arrays[name]


def check_arrays(variables: Sequence[Variable], arrays: Mapping[str, Array]) -> None:
    """Check that arrays have exactly the names and shapes of the variables.

    Parameters
    ----------
    variables : sequence of Variable
        What is expected.
    arrays : mapping of str to array
        What came.

    Raises
    ------
    PlainnetError
        If a name is missing or not known, or a shape differs.

    Examples
    --------
    >>> b = Variable("b", (2,), "bias", "zeros")
    >>> check_arrays([b], {"b": np.zeros(3)})
    Traceback (most recent call last):
    plainnet.errors.PlainnetError: parameter 'b' has shape (2,), got an array of shape (3,)
    """
    expected = {v.name: v.shape for v in variables}
    if set(arrays) != set(expected):
        wrong = sorted(set(arrays) ^ set(expected))
        raise PlainnetError(
            f"the parameters do not fit the network: expected {sorted(expected)}, "
            f"and {wrong} are missing or too many"
        )
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise PlainnetError(
                f"parameter {name!r} has shape {shape}, got an array of shape {arrays[name].shape}"
            )


def check_size(name: str, size: int) -> None:
    """Check that a layer takes no more numbers than a network may have.

    Parameters
    ----------
    name : str
        Of the layer.
    size : int
        Numbers of one sample.

    Raises
    ------
    PlainnetError
        If they are more than 2**30.

    Examples
    --------
    >>> check_size("dense2", 2**40)
    Traceback (most recent call last):
    plainnet.errors.PlainnetError: 'dense2' has a shape of over 1,073,741,824: take fewer inputs
    or units
    """
    if size > LIMIT:
        raise PlainnetError(f"{name!r} has a shape of over {LIMIT:,}: take fewer inputs or units")


def _size(variable: Variable) -> int:
    return math.prod(variable.shape)
