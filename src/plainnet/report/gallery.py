"""Galleries: the pictures that a network got most wrong, as it saw them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from plainnet.explain.images import png_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plainnet.data.targets import Target


@final
@dataclass(frozen=True)
class Picture:
    """A picture with its words.

    Attributes
    ----------
    source : str
        The pixels, as a ``data:`` address that needs no request.
    row : int
        Which of all pictures it is, counted from 1.
    true, said : str
        Its class, and the class it was taken for.
    sure : float
        The probability of the class it was taken for.
    right : bool
        Whether both are one.
    """

    source: str
    row: int
    true: str
    said: str
    sure: float
    right: bool


def gallery(
    target: "Target", X: NDArray[np.uint8], y: NDArray[Any], A: NDArray[Any], most: int = 12
) -> list[Picture]:
    """Choose the pictures that tell most: the most confidently wrong, then the least sure.

    Parameters
    ----------
    target : Target
        Binary or multi-class.
    X : uint8 array (m, size, size, 3)
        The pictures as the network saw them, but for the scaling.
    y : array (m,)
        Class numbers.
    A : float array (m, 1) or (m, k)
        Probabilities, as `Model.outputs` gives them.
    most : int, default 12
        How many pictures at most.

    Returns
    -------
    list of Picture
        Wrong ones with the most probable first, then right ones with the least probable first.

    Examples
    --------
    >>> from plainnet.data.targets import Target
    >>> target = Target("binary", ("class",), ("bear", "panda"))
    >>> X, y = np.zeros((3, 2, 2, 3), np.uint8), np.array([0, 1, 1])
    >>> shown = gallery(target, X, y, np.array([[0.6], [0.1], [0.7]]), most=2)
    >>> [(one.row, one.true, one.said, one.sure) for one in shown]
    [(2, 'panda', 'bear', 0.9), (1, 'bear', 'panda', 0.6)]
    """
    P = np.column_stack([1 - A[:, 0], A[:, 0]]) if target.task == "binary" else A
    true = np.asarray(y, np.int64).reshape(-1)
    said = P.argmax(axis=1)
    sure = P[np.arange(len(P)), said]
    right = said == true
    # rows break ties, so that the same pictures come out on every machine
    order = np.lexsort((np.arange(len(P)), np.where(right, sure, -sure), right))[:most]
    names: Sequence[str] = target.classes
    return [
        Picture(
            png_uri(X[i]),
            int(i) + 1,
            names[true[i]],
            names[said[i]],
            float(sure[i]),
            bool(right[i]),
        )
        for i in order
    ]
