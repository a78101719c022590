"""The cells of a column, as Arrow text or as numbers."""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Self, TypeVar, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from plainnet.data.arrow import from_numpy, null, nulls, text_array, to_numpy
from plainnet.errors import DataError
from plainnet.storage.json_reader import shortened

MISSING = frozenset(  # spellings of a missing cell, without spaces around it
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN"}
    | {"NULL", "null", "None", "?"}
)
YES_NO_PAIRS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"))
MANY = 20  # distinct values; more are many, in every rule that infers a kind or a task

ANSWERS = {text: float(i) for pair in (*YES_NO_PAIRS, ("0", "1")) for i, text in enumerate(pair)}
_PLAIN = r"^-?([0-9]+{0}?[0-9]*|{0}[0-9]+)([eE][+-]?[0-9]+)?$"  # a number as Arrow reads it
_MOSTLY = 0.9  # share of numbers from which the other values of a column count as mistakes
_SAMPLE = 1000  # rows that are looked at first
_LONG = 50_000  # rows from which threads share the columns
_THREADS = 4  # at most; each needs memory of its own
_LARGEST = float(np.finfo(np.float32).max)
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_SWAP_POINT = str.maketrans(".,", ",.")


T = TypeVar("T")
R = TypeVar("R")


def number_from_text(text: str, decimal: str = ".") -> float:
    """Read ``5``, ``-1.5``, ``1e3`` or ``1,234``, with a decimal comma ``1.234,5``; else NaN."""
    if decimal == ",":
        text = text.translate(_SWAP_POINT)
    try:
        return np.nan if "_" in text else float(text)
    except ValueError:
        return float(text.replace(",", "")) if _GROUPED.fullmatch(text) else np.nan


def text_from_number(value: float) -> str:
    """Write a number with the fewest digits that read back as the same float, as JavaScript does.

    Whole numbers have no fraction, and numbers from 1e-6 to 1e21 no exponent.
    """
    value = float(value) + 0.0  # -0 becomes 0
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return np.format_float_positional(value, trim="-")
    return np.format_float_scientific(value, trim="-", exp_digits=1)


@final
class cached(Generic[T, R]):  # noqa: N801 - a decorator, as `property`
    """A property that each object computes once.

    In Python 3.11, `functools.cached_property` holds a lock, which would hang a child process that
    is forked meanwhile.
    """

    def __init__(self, compute: Callable[[T], R]) -> None:
        self.compute = compute

    def __get__(self, owner: T, kind: type[T]) -> R:
        value = vars(owner)[self.compute.__name__] = self.compute(owner)
        return value


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a column: its entries, and which of them each row holds."""

    name: str
    rows: NDArray[np.int64]  # the number of each row in messages
    entries: Any  # an Arrow array of text, or an array of floats or integers
    # The entry of each row, -1 for a missing cell. Without it row i holds entry i, and a missing
    # cell is null or NaN.
    index: NDArray[np.int64] | None = None

    @classmethod
    def of_array(cls, name: str, rows: NDArray[np.int64], entries: Any) -> Self:
        """Return the cells of floats, or of Arrow text with or without a dictionary."""
        if isinstance(entries, pa.DictionaryArray):
            return cls(name, rows, entries.dictionary, _codes(entries.indices))
        return cls(name, rows, entries)

    def take(self, rows: NDArray[np.int64], numbers: NDArray[np.int64] | None = None) -> "Cells":
        """Return the cells of some rows, with their numbers in messages if these are known."""
        numbers = self.rows[rows] if numbers is None else numbers
        if self.index is not None:
            return Cells(self.name, numbers, self.entries, self.index[rows])
        return Cells(self.name, numbers, _taken(self.entries, rows))

    def as_numbers(self, decimal: str) -> "Cells":
        """Return the cells as floats, which need less memory than their text."""
        return Cells(self.name, self.rows, self.numbers(decimal))

    def as_codes(self) -> "Cells":
        """Return the cells as distinct values and codes."""
        return Cells(self.name, self.rows, self.distinct, self.codes)

    @cached
    def absent(self) -> NDArray[np.bool_]:
        """Whether the cell of each row is missing, shape (m,)."""
        if self.index is not None:
            return self.index < 0
        if isinstance(self.entries, np.ndarray):
            return np.isnan(self.entries)
        return nulls(self.entries)

    @cached
    def missing(self) -> int:
        """How many cells are missing."""
        return int(np.count_nonzero(self.absent))

    @cached
    def _factorized(self) -> tuple[Any, Any]:
        """The code of each row, -1 for a missing cell, and the distinct values."""
        if self.index is not None:
            used = np.bincount(self.index + 1, minlength=len(self.entries) + 1)[1:] > 0
            if used.all():
                return self.index, self.entries
            codes = np.append(np.cumsum(used) - 1, -1)  # the last one for -1
            return codes[self.index], _taken(self.entries, np.flatnonzero(used))
        entries = self.entries
        if isinstance(entries, np.ndarray):
            coded = from_numpy(entries + 0.0, self.absent).dictionary_encode()  # 0 for -0
            return _codes(coded.indices), to_numpy(coded.dictionary, np.nan)
        coded = entries.dictionary_encode()
        return _codes(coded.indices), coded.dictionary

    @cached
    def codes(self) -> NDArray[np.int64]:
        """For each row its index in `distinct`; -1 for a missing cell."""
        codes: NDArray[np.int64] = self._factorized[0]
        return codes

    @property
    def distinct(self) -> Any:
        """The distinct values: text in Arrow, or numbers."""
        return self._factorized[1]

    @cached
    def many(self) -> bool:
        """Whether there are more than `MANY` distinct values."""
        m = len(self.rows)
        if isinstance(self.entries, np.ndarray) and self.index is None and m <= 2 * _SAMPLE:
            ascending = np.sort(self.entries)  # NaN last, each unlike any other
            return int((ascending[1:] > ascending[:-1]).sum()) >= MANY
        if m > 2 * _SAMPLE and self.take(np.arange(0, m, m // _SAMPLE)).many:
            return True
        return len(self.distinct) > MANY

    def contain(self, mark: str) -> bool:
        """Return whether some cell is text that contains `mark`."""
        values = self.entries if self.index is None else self.distinct
        if isinstance(values, np.ndarray):
            return False
        return bool(compute.any(compute.match_substring(values, mark)).as_py())

    def counts(self) -> NDArray[np.int64]:
        """Count the rows that hold each distinct value, shape (k,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.distinct))

    def texts(self) -> list[str]:
        """Return the distinct values as text."""
        return _texts(self.distinct)

    def numbers(self, decimal: str = ".") -> NDArray[np.float64]:
        """Return the cells as numbers, shape (m,); NaN for a missing cell, or one of other text."""
        return self._with_comma if decimal == "," else self._with_point

    @cached
    def _with_point(self) -> NDArray[np.float64]:
        return self._parsed(".")

    @cached
    def _with_comma(self) -> NDArray[np.float64]:
        return self._parsed(",")

    def _parsed(self, decimal: str) -> NDArray[np.float64]:
        entries, index = self.entries, self.index
        if index is None and not isinstance(entries, np.ndarray):
            if decimal == "." and self.many:
                with suppress(pa.ArrowInvalid):
                    if len(entries) > _SAMPLE:  # all at once fail slowly
                        compute.cast(entries[:_SAMPLE], pa.float64())
                    return to_numpy(compute.cast(entries, pa.float64()), np.nan)
            entries, index = self.distinct, self.codes
        numbers = _parsed(entries, decimal)
        return numbers if index is None else np.append(numbers, np.nan)[index]

    @cached
    def decimal(self) -> str:
        """The comma if every value is a number with it and not with the point."""
        if not self._other(self.numbers()).any():
            return "."
        return "," if self.contain(",") and not self._other(self.numbers(",")).any() else "."

    def _other(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which rows hold something else than a number."""
        if self.index is None and isinstance(self.entries, np.ndarray):  # floats
            return np.zeros(len(numbers), np.bool_)
        return np.isnan(numbers) & ~self.absent

    def standardized(self, decimal: str, mean: float, scale: float) -> NDArray[np.float64]:
        """Return (number - mean) / scale of each row, within float32; NaN for a missing cell."""
        Z = (self.numbers(decimal) - mean) / scale
        near = np.abs(Z) <= _LARGEST
        if np.count_nonzero(near) + self.missing < len(Z):
            self.finite(decimal)
            self.refuse(~near & ~self.absent, f"is too far from the training rows' mean {mean:g}")
        return Z

    def finite(self, decimal: str) -> NDArray[np.float64]:
        """Return finite numbers, NaN for a missing cell, shape (m,); `DataError` for any other."""
        numbers = self.numbers(decimal)
        self.refuse(
            self._other(numbers),
            "is not a number, as this column needs; correct the cell, or leave it empty",
        )
        self.refuse(np.isinf(numbers), "is infinite; give a finite number, or leave the cell empty")
        return numbers

    def answers(self) -> NDArray[np.float64]:
        """Return 1 for Yes, 0 for No (`YES_NO_PAIRS` and 0/1), NaN otherwise, of the k values."""
        return np.array([ANSWERS.get(t.casefold(), np.nan) for t in self.texts()], np.float64)

    def only_answers(self) -> NDArray[np.float64]:
        """Return 1 for Yes and 0 for No, shape (k,); `DataError` for any other value."""
        answers = self.answers()
        self.refuse_values(
            np.isnan(answers), "is neither Yes nor No, 1 nor 0, as this column needs"
        )
        return answers

    def are_yes_no(self) -> bool:
        """Return whether all values are in one of `YES_NO_PAIRS`."""
        if self.many or not len(self.distinct):
            return False
        answers = {text.casefold() for text in self.texts()}
        return any(answers <= set(pair) for pair in YES_NO_PAIRS)

    def are_numbers(self) -> bool:
        """Return whether all values are numbers without leading zeros; refuse a few mistakes."""
        if not isinstance(self.entries, np.ndarray) and _has_leading_zeros(self.entries):
            return False
        invalid = self._other(self.numbers(self.decimal))
        if not invalid.any():
            return True
        n = len(self.distinct)
        share = 1.0 - len(np.unique(self.codes[invalid])) / n
        if n > MANY and share >= _MOSTLY:
            self.refuse(
                invalid,
                f"is not a number, but {100 * share:.3g} % of the column's values are; correct the "
                "cell, leave it empty, or set the column's kind",
            )
        return False

    def are_integers(self) -> bool:
        """Return whether all values, which are numbers, have no fraction."""
        numbers = self.numbers(self.decimal)[~self.absent]
        return bool(np.all(numbers == np.round(numbers)))

    def location(self, rows: NDArray[np.bool_]) -> str:
        """Name the cell of the first of some rows, shape (m,)."""
        return f"Data row {self.rows[int(rows.argmax())]}, column {shortened(self.name)}"

    def refuse(self, invalid: NDArray[np.bool_], problem: str) -> None:
        """Raise a `DataError` for the first invalid row, if there is one; shape (m,)."""
        if invalid.any():
            entry = np.array([invalid.argmax()])
            text = _texts(_taken(self.entries, entry if self.index is None else self.index[entry]))
            raise DataError(f"{self.location(invalid)}: {shortened(text[0])} {problem}.")

    def refuse_values(self, invalid: NDArray[np.bool_], problem: str) -> None:
        """Raise a `DataError` for the first invalid value, if there is one; shape (k,)."""
        self.refuse(np.append(invalid, False)[self.codes], problem)


def in_threads(function: Callable[[T], R], parts: Iterable[T], m: int) -> list[R]:
    """Apply a function to columns or blocks of a table, in threads if it has many rows."""
    if m < _LONG:
        return list(map(function, parts))
    with ThreadPoolExecutor(min(_THREADS, pa.cpu_count())) as pool:
        return list(pool.map(function, parts))


def clean_text(text: Any) -> Any:
    """Drop spaces around the cells of an Arrow array of text, and make missing cells null."""
    trimmed = compute.utf8_trim_whitespace(text) if may_hold_spaces(text) else text
    absent = compute.is_in(trimmed, _missing(trimmed.type))
    return compute.if_else(absent, null(text.type), trimmed) if absent.true_count else trimmed


@cache
def _missing(kind: Any) -> Any:
    return text_array(sorted(MISSING)).cast(kind)


def may_hold_spaces(text: Any) -> bool:
    """Return whether an Arrow array of text holds spaces, or characters beyond ASCII."""
    characters = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    return len(characters) > 0 and (characters.min() <= ord(" ") or characters.max() > 127)


def _codes(indices: Any) -> NDArray[np.int64]:
    """Return Arrow's indices, -1 instead of null."""
    return to_numpy(indices, -1).astype(np.int64, copy=False)


def _taken(entries: Any, rows: NDArray[np.int64]) -> Any:
    return entries[rows] if isinstance(entries, np.ndarray) else entries.take(from_numpy(rows))


def _texts(entries: Any) -> list[str]:
    """Return text or numbers, none missing, as text."""
    if not isinstance(entries, np.ndarray):
        return list(entries.to_pylist())
    write = text_from_number if entries.dtype.kind == "f" else str
    return [write(value) for value in entries.tolist()]


def _parsed(entries: Any, decimal: str) -> NDArray[np.float64]:
    """Return numbers, or distinct texts as numbers; NaN where one is missing or no number."""
    if isinstance(entries, np.ndarray):
        return entries.astype(np.float64, copy=False)
    plain = compute.match_substring_regex(entries, _PLAIN.format(re.escape(decimal)))
    known = compute.if_else(plain, entries, null(entries.type))
    simple = compute.replace_substring(known, decimal, ".")
    numbers = to_numpy(compute.cast(simple, pa.float64()), np.nan).copy()
    other = np.flatnonzero(~to_numpy(plain, False))
    numbers[other] = [number_from_text(t, decimal) for t in _taken(entries, other).to_pylist()]
    return numbers


def _has_leading_zeros(text: Any) -> bool:
    """Return whether some cell begins as 007, +007 or -007 do."""
    kind: Any = np.int64 if pa.types.is_large_string(text.type) else np.int32
    offsets = np.frombuffer(text.buffers()[1], kind)[text.offset :][: len(text) + 1]
    characters = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    start, end = offsets[:-1], offsets[1:]  # of each cell
    two = start + 1 < end
    start, end = start[two], end[two]
    first = characters[start]
    start = start + ((first == ord("+")) | (first == ord("-")))
    second = characters[start[(characters[start] == ord("0")) & (start + 1 < end)] + 1]
    return bool(((second >= ord("0")) & (second <= ord("9"))).any())
