"""Findings: what is to be said about data, a training or a result, in words and numbers."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, final, get_args

from plainnet.storage.json_reader import JsonReader

Level = Literal["problem", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)


@final
@dataclass(frozen=True)
class Finding:
    """One thing that a person should know."""

    name: str  # A short fixed name, such as dead relu, for programs and tests
    level: Level  # whether the result cannot be trusted, may be better, or is only to be known
    says: str  # what was found, a sentence
    number: str  # the figures behind it, with units
    cause: str  # the likely cause, a sentence
    advice: str  # one command or line of code to try

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> "Finding":
        """Read a finding from a model file, trusting nothing in it."""
        fields = JsonReader(value, "a finding")
        names = ("name", "says", "number", "cause", "advice")
        fields.only("level", *names)
        level = next(one for one in LEVELS if one == fields.text("level", LEVELS))
        return cls(level=level, **{name: fields.text(name) for name in names})
