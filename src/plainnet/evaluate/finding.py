"""Findings about data, a training run or a result."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final, get_args, get_type_hints

from plainnet.config import OPTIONS
from plainnet.option import flags
from plainnet.storage.json_reader import JsonReader

Level = Literal["problem", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)


@final
@dataclass(frozen=True)
class Finding:
    """A problem, warning or note, with its evidence, cause and advice."""

    name: str  # short and fixed, for programs: dead relu
    level: Level  # the result is wrong, could be better, or has a peculiarity
    message: str  # a sentence
    evidence: str  # the evidence, with units
    cause: str  # the likely cause, a sentence
    advice: str  # what to try, the options first
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)  # to change, by name

    def to_json(self) -> dict[str, Any]:
        """Return the texts of the finding as JSON values."""
        return {name: getattr(self, name) for name in _TEXTS}

    @classmethod
    def from_json(cls, value: object) -> "Finding":
        """Read a finding from a model file and check it."""
        reader = JsonReader(value, "a finding")
        reader.only(*_TEXTS)
        return cls(**{name: reader.typed(name, kind) for name, kind in _TEXTS.items()})


_TEXTS = {n: kind for n, kind in get_type_hints(Finding).items() if n != "options"}


def advise(options: Mapping[str, Any], otherwise: str = "") -> dict[str, Any]:
    """Return advice and options of a `Finding`; otherwise is what else may be done."""
    off = [
        n for n, value in options.items() if value == OPTIONS[n].default and value in (None, False)
    ]
    kept = [shlex.join(one) for n in options if n not in off for one in flags(n, options[n])]
    without = ["without", *(f"--{name.replace('_', '-')}" for name in off)] if off else []
    text = " ".join([*kept, *without])
    return {"advice": ", or ".join(part for part in (text, otherwise) if part), "options": options}
