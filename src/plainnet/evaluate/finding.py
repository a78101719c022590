"""Findings about data, a training run or a result."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, final, get_args

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
    advice: str  # one command or line of code to try

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> "Finding":
        """Read a finding from a model file and check it."""
        reader = JsonReader(value, "a finding")
        reader.only(*cls.__annotations__)
        return reader.record(cls)
