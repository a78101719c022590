"""Options: fields of a dataclass with help, group and range; and the check of their values."""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, Field
from textwrap import wrap
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import numpy as np

from plainnet.errors import PlainnetError
from plainnet.nn.validation import check_range
from plainnet.storage.json_reader import shortened

_MAX_INT = 2**53  # smaller integers are exact in JSON and in float64


def option(
    group: str,
    default: Any,
    text: str,
    *,
    low: float = 0,
    high: float | None = None,
    above_low: bool = False,
    default_text: str | None = None,
    choices: Collection[str] = (),
    word: str | None = None,
) -> Any:
    """Declare an option: its group and text in the help, its default, and the range of numbers.

    Numbers lie from `low` up to, but not including, `high`; if `above_low`, not `low` itself. A
    `word` may stand for a number.
    """
    metadata: dict[str, Any] = {"group": group, "help": text, "default_text": default_text}
    metadata |= {"low": low, "high": high, "above_low": above_low, "choices": choices}
    metadata |= {"word": word}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _is(kind: Any) -> Callable[[object], bool]:
    """Make a test for a type; True and False do not count as numbers."""
    return lambda value: isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _are(kind: type) -> Callable[[object], bool]:
    return lambda values: isinstance(values, tuple) and all(map(_is(kind), values))


def _are_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is(str), [*value, *value.values()]))


_TYPES: dict[Any, tuple[str, Callable[[Any], bool]]] = {  # description, and a test of values
    str: ("text", _is(str)),
    bool: ("True or False", _is(bool)),
    int: ("a whole number", _is(int)),
    float: ("a number", _is(int | float)),
    tuple[int, ...]: ("a sequence of whole numbers such as (8, 8)", _are(int)),
    tuple[str, ...]: ("a sequence of names", _are(str)),
    Mapping[str, str]: ("a mapping of column to kind", _are_texts),
}


def type_parts(field: Field[Any]) -> tuple[Any, bool, tuple[str, ...]]:
    """Return an option's type without None, whether None is allowed, and the choices if any."""
    args = get_args(field.type)
    optional = NoneType in args
    base = args[0] if optional or field.metadata["word"] else field.type
    if get_origin(base) is Literal:
        return str, optional, get_args(base)
    return base, optional, tuple(field.metadata["choices"])


def checked(owner: str, field: Field[Any], value: Any) -> Any:
    """Return an option's value as a plain Python value; refuse other types and ranges."""
    if value is field.default:
        return value
    base, optional, choices = type_parts(field)
    value = _plain(value)
    if base == tuple[str, ...] and isinstance(value, str):
        value = (value,)
    word = field.metadata["word"]
    if (value is None and optional) or (word is not None and value == word):
        return value
    low, high = field.metadata["low"], field.metadata["high"]
    description, matches = _TYPES[base]
    if not matches(value):
        more = [f" or {word!r}"] * (word is not None) + [" or None"] * optional
        expected = description + "".join(more)
    elif choices and value not in choices:
        expected = " or ".join([*choices, *(["None"] if optional else [])])
    elif base is int and value < low:
        expected = f"a whole number of at least {low}"
    elif base is int and value >= (high or _MAX_INT):
        expected = f"a whole number less than {high or _MAX_INT}"
    else:
        if base is float:
            closed = not field.metadata["above_low"]
            check_range(
                owner, field.name, value, f"{'[' if closed else '('}{low}, {high or math.inf})"
            )
        return value
    raise PlainnetError(f"{owner}: {field.name} must be {expected}, got {shortened(value)}")


def default_text(field: Field[Any]) -> str:
    """Return an option's default for the help; empty for flags and options that are off."""
    text, default = field.metadata["default_text"], field.default
    if text is not None:
        return str(text)
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return "" if default in (None, MISSING) or isinstance(default, bool) else str(default)


def flags(name: str, value: Any) -> list[list[str]]:
    """Return an option as words of the command line, a list for each time that it is given."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, Mapping):
        return [[flag, f"{key}={item}"] for key, item in value.items()]
    if isinstance(value, tuple):
        return [[flag, *map(str, value)]]
    if isinstance(value, bool):
        return [[flag if value else f"--no-{flag[2:]}"]]
    return [[flag, str(value)]]


def described(options: Iterable[Field[Any]]) -> str:
    """Describe options as the Attributes section of a docstring does."""
    lines = []
    for field in options:
        base, optional, choices = type_parts(field)
        kind = f"{{{', '.join(choices)}}}" if choices else _TYPES[base][0]
        kind += f" or {field.metadata['word']!r}" if field.metadata["word"] else ""
        text = default_text(field) or ("" if optional else str(field.default))
        kind += f", default {text}" if text and field.default is not MISSING else ", optional"
        lines += [
            f"{field.name} : {kind}",
            *wrap(field.metadata["help"], 92, initial_indent="    ", subsequent_indent="    "),
        ]
    return "\n    ".join(lines)


def _plain(value: Any) -> Any:
    """Convert NumPy values to plain Python values, and sequences to tuples."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value
