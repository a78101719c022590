"""The classes of examples, for splits that keep their shares."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassLabels(NamedTuple):
    """The class of each example: its number, and the names of the classes for messages."""

    numbers: NDArray[np.integer[Any]]
    names: tuple[str, ...]

    def take(self, rows: NDArray[np.int64]) -> "ClassLabels":
        """Return the classes of some examples."""
        return ClassLabels(self.numbers[rows], self.names)
