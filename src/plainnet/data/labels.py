"""Class labels that are numbers: kept as written, compared as numbers."""

import re
from collections.abc import Iterable

import numpy as np

from plainnet.data.columns import Cells, number_from_text

_WHOLE = re.compile(r"([+-]?[0-9]{1,400})(\.0*)?")
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
_EXACT = 2.0**53  # above, a float cannot represent every whole number


def refuse_rounded(cells: Cells) -> None:
    """Refuse floats that may be long whole numbers without their last digits."""
    numbers = cells.finite(".")
    if isinstance(cells.entries, np.ndarray) and cells.entries.dtype.kind == "f":
        cells.refuse(
            np.abs(numbers) >= _EXACT,
            "is a class in a column of floats, which may have lost its last digits; give the "
            "column as text or as integers (in pandas, as Int64 where cells are missing)",
        )


def written_label(text: str) -> str:
    """Return a label as written, but 3.0 (an integer column with gaps) as 3."""
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def label_number(text: str) -> float:
    """Read a label as a number, a whole one exactly; NaN if it is not a number."""
    whole = _WHOLE.fullmatch(text)
    return int(whole[1]) if whole else number_from_text(text)


def are_numbers(classes: Iterable[str]) -> bool:
    """Return whether classes are numbers, so that class 1 also matches 1.0; 007 is a name."""
    return not any(
        np.isnan(number_from_text(name)) or _LEADING_ZERO.match(name) for name in classes
    )
