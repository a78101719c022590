"""Read the JSON of a model file, which may have been edited, field by field."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, final, get_args, get_origin, get_type_hints

from plainnet.errors import ModelFileError

_T = TypeVar("_T")
_TYPES = {str: "text", bool: "true or false", int: f"a whole number from 0 to {2**53}"}
_LONGEST_PATH, _LONGEST_NAME = 4096, 255  # characters and bytes, as on most systems
_SHORT_REPR = Repr()  # ends after six levels of nesting


def shortened(value: object, width: int = 60) -> str:
    """Return a short text of any value for one line of a message."""
    if isinstance(value, str):
        # Cut before quoting, so that a text of a gigabyte costs nothing.
        text = repr(value[:width])
        return text if len(text) <= width and len(value) <= width else text[: width - 1] + "…"
    text = _SHORT_REPR.repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def listed(names: Sequence[object], most: int = 5, width: int = 60) -> str:
    """Return a short text of the first names and the number of the others."""
    first = ", ".join(shortened(name, width) for name in names[:most])
    return first + (f" and {len(names) - most:,} more" if len(names) > most else "")


def damaged(problem: str) -> ModelFileError:
    """Return the error for a part of a model file that cannot be as plainnet wrote it."""
    return ModelFileError(f"The model file is damaged or was edited: {problem}.")


@final
class JsonReader:
    """Reads the fields of one JSON object, and checks the type and value of each."""

    def __init__(self, value: object, where: str) -> None:
        self.where = where
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise damaged(f"{where} should be an object, but is {shortened(value)}")
        self.values: Mapping[str, object] = value

    def __iter__(self) -> Iterator[str]:
        """Return the names of the fields."""
        return iter(self.values)

    def only(self, *keys: str) -> None:
        """Refuse fields other than `keys`."""
        unknown = sorted(set(self.values) - set(keys))
        if unknown:
            raise damaged(f"{self.where} has the unknown field {shortened(unknown[0])}")

    def exactly(self, *keys: str) -> Mapping[str, Any]:
        """Return the fields; refuse others than `keys`, and the absence of one."""
        self.only(*keys)
        return {key: self._get(key) for key in keys}

    def text(self, key: str, options: Collection[str] | None = None) -> str:
        """Return the text of field `key`, one of `options` where they are given."""
        value: str = self.typed(key, str)
        if options is not None and value not in options:
            raise self.wrong(key, "one of " + ", ".join(map(repr, options)), value)
        return value

    def whole(self, key: str, low: int = 0, high: int = 2**53) -> int:
        """Return the whole number of field `key`, from `low` to `high`."""
        value = self._get(key)
        if type(value) is not int or not low <= value <= high:  # true is no number
            raise self.wrong(key, f"a whole number from {low} to {high}", value)
        return value

    def wholes(
        self, key: str, low: int = 0, high: int = 2**53, n: int | None = None
    ) -> tuple[int, ...]:
        """Return the list of whole numbers of field `key`, each from `low` to `high`, n in all."""
        values = self._list(key)
        right_length = n is None or n == len(values)
        if not right_length or not all(type(v) is int and low <= v <= high for v in values):
            count = "" if n is None else f"{n} "
            raise self.wrong(key, f"a list of {count}whole numbers from {low} to {high}", values)
        return tuple(values)

    def path(self, key: str) -> Path:
        """Return the path of field `key`, which need not exist."""
        text = self.text(key)
        path = Path(text)
        longest = max((len(part.encode(errors="replace")) for part in path.parts), default=0)
        if not text or "\0" in text or len(text) > _LONGEST_PATH or longest > _LONGEST_NAME:
            raise self.wrong(key, "a path", text)
        return path

    def number(self, key: str, positive: bool = False) -> float:
        """Return the finite number of field `key`, above zero where `positive`."""
        return self._number(key, self._get(key), positive)

    def texts(self, key: str, distinct: bool = True) -> tuple[str, ...]:
        """Return the list of texts of field `key`, all different where `distinct`."""
        values = self._list(key)
        texts = tuple(v for v in values if isinstance(v, str) and _is_unicode(v))
        if len(texts) != len(values) or (distinct and len(set(texts)) != len(texts)):
            raise self.wrong(key, "a list of different texts", values)
        return texts

    def numbers(self, key: str, positive: bool = False) -> tuple[float, ...]:
        """Return the list of finite numbers of field `key`, above zero where `positive`."""
        return tuple(self._number(key, value, positive) for value in self._list(key))

    def objects(self, key: str, noun: str) -> list["JsonReader"]:
        """Return the list of objects of field `key`; messages name them `noun` 1, 2, ..."""
        return [JsonReader(v, f"{noun} {i}") for i, v in enumerate(self._list(key), start=1)]

    def part(self, key: str) -> "JsonReader":
        """Return the object of field `key`."""
        return JsonReader(self._get(key), f"{key!r} of {self.where}")

    def rows(self, key: str, width: int) -> list[tuple[float, ...]]:
        """Return the list of rows of field `key`, each of `width` finite numbers."""
        rows: list[tuple[float, ...]] = self.typed(key, list[tuple[float, ...]])
        if any(len(row) != width for row in rows):
            raise self.wrong(key, f"a list of rows of {width} numbers", rows)
        return rows

    def typed(self, key: str, kind: Any) -> Any:
        """Return field `key`, checked against a type hint such as ``list[float | None]``."""
        return self._convert(key, self._get(key), kind)

    def record(self, kind: type[_T]) -> _T:
        """Return a dataclass or named tuple of the fields, each checked against its type hint.

        Fields that may be None may be absent.
        """
        hints = get_type_hints(kind).items()
        absent = {n for n, hint in hints if n not in self.values and NoneType in get_args(hint)}
        return kind(**{name: self.typed(name, hint) for name, hint in hints if name not in absent})

    def _get(self, key: str) -> object:
        if key not in self.values:
            raise damaged(f"field {key!r} of {self.where} is absent")
        return self.values[key]

    def _list(self, key: str) -> list[Any]:
        return self._as_list(key, self._get(key))

    def _as_list(self, key: str, value: object) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong(key, "a list", value)
        return value

    def _convert(self, key: str, value: Any, kind: Any) -> Any:
        """Return a value as the type of a hint; refuse values of other types."""
        origin, kinds = get_origin(kind), get_args(kind)
        if origin is UnionType:  # X | None
            return None if value is None else self._convert(key, value, kinds[0])
        if origin is Literal:
            if value not in kinds:
                raise self.wrong(key, "one of " + ", ".join(map(repr, kinds)), value)
            return value
        if kind is float:
            return self._number(key, value, positive=False)
        if kind in _TYPES:
            valid = type(value) is kind and (kind is not int or 0 <= value <= 2**53)
            if not valid or (kind is str and not _is_unicode(value)):
                raise self.wrong(key, _TYPES[kind], value)
            return value
        if origin is None and isinstance(value, dict):  # a dataclass or a named tuple
            part = JsonReader(value, f"{key!r} of {self.where}")
            part.only(*get_type_hints(kind))
            return part.record(kind)
        if origin is None:  # a named tuple as a list
            kinds = tuple(get_type_hints(kind).values())
        values = self._as_list(key, value)
        if origin is list or kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(values)
        if len(values) != len(kinds):
            raise self.wrong(key, f"a list of {len(kinds)} values", value)
        values = [self._convert(key, v, k) for v, k in zip(values, kinds, strict=True)]
        return kind(*values) if origin is None else origin(values)

    def _number(self, key: str, value: object, positive: bool) -> float:
        expected = "a finite number above zero" if positive else "a finite number"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, expected, value)
        try:
            number = float(value)
        except OverflowError:
            raise self.wrong(key, expected, "a number too large") from None
        if not isfinite(number) or (positive and number <= 0):
            raise self.wrong(key, expected, value)
        return number

    def wrong(self, key: str, expected: str, value: object) -> ModelFileError:
        """Return the error for a field that holds another value than expected."""
        return damaged(
            f"field {key!r} of {self.where} should be {expected}, but is {shortened(value)}"
        )


def _is_unicode(text: str) -> bool:
    """Return whether text has no half of a surrogate pair, which JSON allows."""
    return not any("\ud800" <= c <= "\udfff" for c in text)
