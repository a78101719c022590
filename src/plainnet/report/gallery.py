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
    """A picture with its words."""

    source: str  # the pixels, as a data: address that needs no request
    row: int  # which of all pictures it is, counted from 1
    true: str  # its class, and the class it was taken for
    said: str  # its class, and the class it was taken for
    sure: float  # the probability of the class it was taken for
    right: bool  # whether both are one


def gallery(
    target: "Target", X: NDArray[np.uint8], y: NDArray[Any], A: NDArray[Any], most: int = 12
) -> list[Picture]:
    """Choose the pictures that tell most: the most confidently wrong, then the least sure."""
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
