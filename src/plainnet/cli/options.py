"""The options of a training on the command line, made from the fields of `TrainConfig`."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, final

from cyclopts import CoercionError, Group, Parameter, Token
from cyclopts.validators import Number

from plainnet.config import FULL, OPTIONS, Config, TrainConfig
from plainnet.errors import PlainnetError
from plainnet.loading import are_pictures
from plainnet.option import default_text, flags, type_parts
from plainnet.search.space import SEARCHED

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Seed = Annotated[int, Parameter(validator=Number(gte=0))]
ConfigFile = Annotated[Path | None, Parameter(name="--config")]
_GROUPS = {
    name: Group(name, sort_key=i) for i, name in enumerate(("Data", "Network", "Training"), 1)
}


def _integers(kind: Any, tokens: Sequence[Token]) -> Any:
    """Read integers; cyclopts would round 2.9 epochs."""
    try:
        numbers = tuple(int(token.value) for token in tokens)
    except ValueError:
        wrong = next(token for token in tokens if not token.value.lstrip("+-").isdecimal())
        raise CoercionError(token=wrong, target_type=int) from None
    return numbers if tuple[int, ...] in (kind, *getattr(kind, "__args__", ())) else numbers[0]


def _batch_size(kind: Any, tokens: Sequence[Token]) -> int | str:
    """Read the number of rows in a mini-batch, or ``full``."""
    return FULL if tokens[0].value == FULL else int(_integers(int, tokens))


def _parameter(name: str) -> tuple[str, Any, None]:
    """Return the name, type and default of an option; the default is None: not given."""
    option = OPTIONS[name]
    base, _, choices = type_parts(option)
    default = default_text(option)
    kind: Any = Literal[choices] if choices else option.type
    converter: Any = None
    if name == "kind":
        kind = tuple[str, ...]
    elif name == "batch_size":
        converter = _batch_size
    elif base in (int, tuple[int, ...]):
        converter = _integers
    parameter = Parameter(
        group=_GROUPS[option.metadata["group"]],
        help=option.metadata["help"] + (f" [default: {default}]" if default else ""),
        negative=f"--no-{name}" if option.default is True else "",
        converter=converter,
        consume_multiple=name in ("hidden", "channels", "activation", "augment"),
    )
    return name, Annotated[kind | None, parameter], None


_Options: Any = make_dataclass("_Options", map(_parameter, OPTIONS), frozen=True, kw_only=True)


@final
@Parameter(name="*")
class Options(_Options):  # type: ignore[misc]
    """The options of ``plainnet train``; an option that is not given is None."""

    def config(self, path: Path) -> TrainConfig:
        """Return the options of a training on the data at a path."""
        chosen = {name: value for name, value in asdict(self).items() if value is not None}
        pictures = are_pictures(path)
        if not pictures and chosen.keys() & {"size", "strict"}:
            raise PlainnetError(
                f"--size and --strict apply to pictures, and {str(path)!r} is not a folder of "
                "pictures: leave them out"
            )
        if pictures and chosen.keys() & {"min_level_count", "header"}:
            raise PlainnetError(
                f"--min-level-count and --no-header apply to tables, and {str(path)!r} is a folder "
                "of pictures: leave them out"
            )
        if "kind" in chosen:
            chosen["kind"] = _kinds(chosen["kind"])
        return TrainConfig(**chosen)

    def given(self) -> frozenset[str]:
        """Return the given options among those that a search may choose."""
        return frozenset(name for name in SEARCHED if getattr(self, name) is not None)


def _kinds(texts: tuple[str, ...]) -> dict[str, str]:
    kinds = {}
    for text in texts:
        column, equals, kind = text.rpartition("=")
        if not equals:
            raise PlainnetError(f"--kind takes COLUMN=KIND, such as age=number, got {text!r}")
        kinds[column] = kind
    return kinds


def command_arguments(
    config: Config, data: str, *, command: str = "train", always: Collection[str] = ()
) -> list[str]:
    """Return a command with the options that differ from their default, or are in `always`."""
    arguments = ["plainnet", command, f"./{data}" if data.startswith("-") else data]
    images = are_pictures(data)
    defaults: list[Config] = [TrainConfig()]
    if config.network != "auto":
        own = replace(TrainConfig(), network=config.network)
        defaults.append(own.resolved(images=images or config.network == "convnet"))
    for name in OPTIONS:
        value = getattr(config, name)
        usual = value in [getattr(default, name) for default in defaults]
        if name == "network":
            usual = value == "auto" or (images and value == "convnet")
        if usual and (value is None or name not in always):
            continue
        if name == "target":
            arguments += [f"--target={column}" for column in value]
        else:
            several = isinstance(value, tuple)
            for given in flags(name, value):
                arguments += given if several else ["=".join(given)]
    return arguments
