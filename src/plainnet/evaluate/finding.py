"""Findings: what is to be said about data, a training or a result, in words and numbers."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, final, get_args

from plainnet.storage.json_reader import JsonReader

Level = Literal["problem", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)


@final
@dataclass(frozen=True)
class Finding:
    """One thing that a person should know.

    Attributes
    ----------
    name : str
        A short fixed name, such as ``dead relu``, for programs and tests.
    level : {"problem", "warning", "note"}
        Whether the result cannot be trusted, may be better, or is only to be known.
    says : str
        What was found, a sentence.
    number : str
        The figures behind it, with units.
    cause : str
        The likely cause, a sentence.
    advice : str
        One command or line of code to try.

    Examples
    --------
    >>> finding = Finding("slow", "warning", "The cost hardly falls.", "0.1 % an epoch",
    ...                   "The learning rate is too low.", "--lr 0.1")
    >>> finding.to_json()["advice"]
    '--lr 0.1'
    """

    name: str
    level: Level
    says: str
    number: str
    cause: str
    advice: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> "Finding":
        """Read a finding from a model file, trusting nothing in it.

        Parameters
        ----------
        value : object
            What `to_json` gave, after a trip through a file.

        Returns
        -------
        Finding

        Raises
        ------
        ModelFileError
            If anything is absent, unknown, or of the wrong type.
        """
        fields = JsonReader(value, "a finding")
        names = ("name", "says", "number", "cause", "advice")
        fields.only("level", *names)
        level = next(one for one in LEVELS if one == fields.text("level", LEVELS))
        return cls(level=level, **{name: fields.text(name) for name in names})
