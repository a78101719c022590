"""The commands and their help; a command is imported when it runs."""

import tomllib
from collections.abc import Sequence
from inspect import cleandoc
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

_GREEDY = ("--hidden", "--activation")  # options that take all values after them

# The help of each command, whose function is plainnet.cli.commands.NAME:NAME.
_COMMANDS = {
    "demo": """Train on built-in data: a survey of introverts, and drawings of pandas and bears.

    plainnet demo
    plainnet demo introverts --out-dir models
    """,
    "train": """Train on a table, or on a folder that holds a folder of pictures for each class.

    plainnet train survey.csv --target Personality
    plainnet train houses.parquet --target price --hidden 32 16 --epochs 200
    plainnet train pictures/ --size 64 --optimizer sgd --lr 0.02 --batch-size full
    plainnet train survey.csv --checkpoint-every 5
    plainnet train --resume survey.run

    Ctrl-C ends the training early, keeps the model, and shows how to resume.
    """,
    "search": """Search for options by cross-validation, and train with the best.

    plainnet search survey.csv --target Personality --trials 30
    plainnet search survey.csv --method halving --out survey.safetensors
    plainnet search pictures/ --optimizer sgd --hidden 8 8 8 --trials 10

    It searches hidden layers, learning rate, L2 penalty (for adamw weight decay),
    dropout and batch size, except for options that are given, and shows the command
    that trains with the best. Ctrl-C ends the search and shows the table so far.
    """,
    "predict": """Predict with a model: the rows of a table, a picture, or the pictures of a folder.

    plainnet predict survey.safetensors new.csv --out predictions.csv

    Without --out the predictions are shown, or written as CSV if the output is piped.
    """,
    "evaluate": """Evaluate a model on data with known answers.

    plainnet evaluate survey.safetensors held-out.csv
    plainnet evaluate pictures.safetensors folder/ --json
    """,
    "explain": """Explain one prediction, or show the importance of each column.

    plainnet explain survey.safetensors survey.csv --row 3
    plainnet explain survey.safetensors survey.csv --row 3 --html row-3.html
    plainnet explain pictures.safetensors panda.jpg --label pandas
    plainnet explain survey.safetensors held-out.csv

    Without --row: permutation importance, and the most confident mistakes.
    """,
    "doctor": """Diagnose data, a network and its training, and suggest fixes.

    plainnet doctor survey.csv --target Personality --lr 0.1
    plainnet doctor survey.safetensors held-out.csv

    It trains as plainnet train does and keeps nothing. The exit code is 1 if there is a
    problem.
    """,
    "summary": """Show the content of a model file: network, inputs, target, training and results.

    plainnet summary survey.safetensors
    """,
    "report": """Write a report on a model as one HTML file, which any browser shows offline.

    plainnet report survey.safetensors
    plainnet report survey.safetensors held-out.csv --out survey.html
    """,
    "export": """Export a model to ONNX, Python or a web page.

    plainnet export survey.safetensors --onnx survey.onnx
    plainnet export survey.safetensors --python survey.py --html survey.html
    """,
    "gradcheck": """Check the gradients of a model against finite differences on a few rows of data.

    plainnet gradcheck survey.safetensors survey.csv

    The exit code is 1 if a gradient is wrong.
    """,
}


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
    for order, (name, text) in enumerate(_COMMANDS.items()):
        function = f"plainnet.cli.commands.{name}:{name}"
        app.command(function, name=name, help=cleandoc(text), sort_key=order, config=_from_toml)
    return app


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
