"""Gallery: the pictures with the most confident mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from plainnet.explain.images import png_uri

if TYPE_CHECKING:
    from plainnet.data.targets import Target


@final
@dataclass(frozen=True)
class GalleryItem:
    """A picture with its true and predicted class."""

    uri: str  # the pixels as a data: address
    number: int  # among all pictures, from 1, as `explain --row` counts
    true: str
    predicted: str
    probability: float  # of the predicted class

    @property
    def correct(self) -> bool:
        """Whether the prediction is right."""
        return self.true == self.predicted


def gallery(
    target: "Target",
    X: NDArray[np.uint8],
    y: NDArray[Any],
    A: NDArray[Any],
    numbers: Sequence[int] = (),
    most: int = 12,
) -> list[GalleryItem]:
    """Choose the most confident mistakes, then the least confident correct predictions."""
    P = np.column_stack([1 - A[:, 0], A[:, 0]]) if target.task == "binary" else A
    true = np.asarray(y, np.int64).reshape(-1)
    predicted, probability = P.argmax(axis=1), P.max(axis=1)
    correct = predicted == true
    # row numbers break ties, so that every machine chooses the same pictures
    order = np.lexsort((np.arange(len(P)), np.where(correct, 1, -1) * probability, correct))
    classes = target.classes
    return [
        GalleryItem(
            png_uri(X[i]),
            numbers[i] if numbers else int(i) + 1,
            classes[true[i]],
            classes[predicted[i]],
            float(probability[i]),
        )
        for i in order[:most]
    ]
