"""The commands and their help; a command is imported when it runs."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from cyclopts import (
    App,
    ArgumentCollection,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
)
from cyclopts.config import Dict
from cyclopts.exceptions import UnusedCliTokensError

from plainnet._version import __version__
from plainnet.errors import PlainnetError
from plainnet.limits import MAX_SUGGESTED, MAX_TOML, MAX_TOML_LINE
from plainnet.storage.json_reader import shortened

_HELP = """Deep neural networks from scratch in NumPy: from a table or a folder of pictures to a \
model file."""

_EPILOGUE = "Every command takes --help, and --debug to see where an error comes from."

# options that take all values after them
_GREEDY = ("--hidden", "--channels", "--activation", "--augment")

# The module of each command holds its function, and its help as docstring.
_COMMANDS = (
    "demo",
    "train",
    "search",
    "predict",
    "evaluate",
    "explain",
    "doctor",
    "summary",
    "report",
    "export",
    "gradcheck",
    "play",
)


def make_app() -> App:
    """Make the application."""
    app = App(
        name="plainnet",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        version=__version__,
        version_flags=["--version"],
        verbose=False,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(negative=""),
    )
    for order, name in enumerate(_COMMANDS):
        function = f"plainnet.cli.commands.{name}:{name}"
        app.command(function, name=name, help=_help(name), sort_key=order, config=_from_toml)
    return app


def _help(name: str) -> str:
    """Return the docstring of a command's module, without importing it."""
    source = (files("plainnet.cli.commands") / f"{name}.py").read_text(encoding="utf-8")
    return source.split('"""', 2)[1]


def run(tokens: Sequence[str]) -> int:
    """Run one command."""
    try:
        result = make_app()(
            list(tokens),
            print_error=False,
            exit_on_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        raise PlainnetError(_message(error, tokens)) from error
    return result if isinstance(result, int) else 0


def _message(error: CycloptsError, tokens: Sequence[str]) -> str:
    error.verbose = False
    command = " ".join(["plainnet", *(error.command_chain or ())])
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"unexpected argument {error.unused_tokens[0]!r}: see {command} --help"
    greedy = next((name for name in _GREEDY if name in tokens), None)
    if isinstance(error, CoercionError) and error.token and error.token.keyword == greedy:
        return f"{str(error).rstrip('.')}; a path goes before {greedy}, which takes all that follow"
    if isinstance(error, MissingArgumentError):
        if greedy is not None and str(error).count("PATH"):
            return (
                f"there is no path, or it follows {greedy}, which takes all that follow: put the "
                f"path first, as in {command} PATH {greedy} ..."
            )
        return f"{str(error).rstrip('.')}: see {command} --help"
    return str(error)


def _from_toml(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Read options that the command line does not give from the file of --config."""
    names = [argument.tokens for argument in arguments if argument.name == "--config"]
    if not names or not names[0]:
        return
    file = names[0][-1].value
    values = _toml(file)
    for name, value in values.items():
        # cyclopts would ignore tables, commands and "config", and be slow for long names
        no_option = isinstance(value, dict) or name in (*_COMMANDS, "config")
        if no_option or len(name) > MAX_SUGGESTED:
            raise PlainnetError(
                f"the config file {file!r} holds {shortened(name)}, which is not an option: "
                "write lines such as epochs = 50"
            )
    Dict(values, source=file, use_commands_as_keys=False)(app, commands, arguments)


def _toml(file: str) -> dict[str, Any]:
    """Read a TOML file within limits that keep the parser fast."""
    if Path(file).exists() and not Path(file).is_file():
        raise PlainnetError(f"the config file {file!r} is not a regular file")
    with open(file, "rb") as content:
        data = content.read(MAX_TOML + 1)
    if len(data) > MAX_TOML or max(map(len, data.split(b"\n"))) > MAX_TOML_LINE:
        raise PlainnetError(
            f"the config file {file!r} holds more than {MAX_TOML:,} bytes, or {MAX_TOML_LINE:,} "
            "in one line: give a file with a line for each option"
        )
    try:
        return tomllib.loads(data.decode())
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, a number of 5,000 digits
        raise PlainnetError(f"the config file {file!r} is not TOML: {error}") from error
    except RecursionError:
        raise PlainnetError(
            f"the config file {file!r} has too many lists or tables within each other"
        ) from None
