"""Class examples: the pictures of each class that are predicted best and worst."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainnet.explain.images import png_uri

if TYPE_CHECKING:
    from plainnet.data.targets import Target

_MOST = 4  # pictures of each kind in a class
_ALL = 120  # pictures of all classes, of which each shows at least one of each kind


class GalleryItem(NamedTuple):
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


class ClassExamples(NamedTuple):
    """Pictures of one class."""

    name: str
    rows: int  # pictures of the class
    wrong: int  # with another prediction
    confident: list[GalleryItem]  # correct, the most confident first
    mistaken: list[GalleryItem]  # wrong, the most confident first


def class_examples(
    target: "Target",
    X: NDArray[np.uint8],
    y: NDArray[Any],
    A: NDArray[Any],
    numbers: NDArray[Any] | None = None,
) -> list[ClassExamples]:
    """Choose for each class the most confident correct predictions and mistakes."""
    P = np.column_stack([1 - A[:, 0], A[:, 0]]) if target.task == "binary" else A
    true = np.asarray(y, np.int64).reshape(-1)
    predicted, probability = P.argmax(axis=1), P.max(axis=1)
    # row numbers break ties, so that every machine chooses the same pictures
    order = np.lexsort((np.arange(len(P)), -probability))
    classes, most = target.classes, max(1, min(_MOST, _ALL // (2 * len(target.classes))))

    def items(rows: NDArray[np.intp]) -> list[GalleryItem]:
        return [
            GalleryItem(
                png_uri(X[i]),
                int(i) + 1 if numbers is None else int(numbers[i]),
                classes[true[i]],
                classes[predicted[i]],
                float(probability[i]),
            )
            for i in rows[:most]
        ]

    found = []
    for k, name in enumerate(classes):
        own = order[true[order] == k]
        right = predicted[own] == k
        wrong = int(np.count_nonzero(~right))
        found.append(ClassExamples(name, len(own), wrong, items(own[right]), items(own[~right])))
    return found
