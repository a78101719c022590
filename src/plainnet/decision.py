"""Decisions: which probabilities mean yes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_positive(A: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which probabilities mean yes: those above one half; at one half argmax says no too."""
    return np.asarray(A > 0.5)
