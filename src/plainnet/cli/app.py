"""The commands and their help; what a command needs is imported only when it runs."""

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

_GREEDY = ("--hidden", "--activation")  # options of as many words as follow

_COMMANDS = {
    "demo": (
        "plainnet.cli.commands.demo:demo",
        """Train on built-in data: a survey of introverts, and drawn pandas and bears.

        plainnet demo
        plainnet demo introverts --out-dir models
        """,
    ),
    "train": (
        "plainnet.cli.commands.train:train",
        """Train on a table, or on a folder that holds a folder of pictures for each class.

        plainnet train survey.csv --target Personality
        plainnet train houses.parquet --target price --hidden 32 16 --epochs 200
        plainnet train pictures/ --size 64 --optimizer sgd --lr 0.02 --batch-size full
        plainnet train survey.csv --checkpoint-every 5
        plainnet train --resume survey.run

        Ctrl-C ends the training early, keeps the model, and says how to go on.
        """,
    ),
    "search": (
        "plainnet.cli.commands.search:search",
        """Search for settings by cross-validation, and train with the best.

        plainnet search survey.csv --target Personality --trials 30
        plainnet search survey.csv --method halving --out survey.safetensors
        plainnet search pictures/ --optimizer sgd --hidden 8 8 8 --trials 10

        Searched are the hidden layers, learning rate, L2 penalty (for adamw weight
        decay), dropout and batch size, but for those that are given. The command that
        trains with the best is shown. Ctrl-C ends the search and shows the table so far.
        """,
    ),
    "predict": (
        "plainnet.cli.commands.predict:predict",
        """Predict with a model: the rows of a table, a picture, or the pictures of a folder.

        plainnet predict survey.safetensors new.csv --out predictions.csv

        Without --out the predictions are shown, or written as CSV where the output is piped.
        """,
    ),
    "evaluate": (
        "plainnet.cli.commands.evaluate:evaluate",
        """Judge a model by data whose answers are known.

        plainnet evaluate survey.safetensors held-out.csv
        plainnet evaluate pictures.safetensors folder/ --json
        """,
    ),
    "explain": (
        "plainnet.cli.commands.explain:explain",
        """Show how one prediction comes about, or what a whole model relies on.

        plainnet explain survey.safetensors survey.csv --row 3
        plainnet explain survey.safetensors survey.csv --row 3 --html row-3.html
        plainnet explain pictures.safetensors panda.jpg --label pandas
        plainnet explain survey.safetensors held-out.csv

        Without --row: permutation importance, and the most confident mistakes.
        """,
    ),
    "doctor": (
        "plainnet.cli.commands.doctor:doctor",
        """Find what ails the data, the network or its training, and what to try.

        plainnet doctor survey.csv --target Personality --lr 0.1
        plainnet doctor survey.safetensors held-out.csv

        It trains as plainnet train would and keeps nothing. The exit code is 1 if there is a
        problem.
        """,
    ),
    "summary": (
        "plainnet.cli.commands.summary:summary",
        """Show what a model file holds: network, inputs, target, training and results.

        plainnet summary survey.safetensors
        """,
    ),
    "report": (
        "plainnet.cli.commands.report:report",
        """Write all that is known of a model as one HTML file, which any browser shows offline.

        plainnet report survey.safetensors
        plainnet report survey.safetensors held-out.csv --out survey.html
        """,
    ),
    "export": (
        "plainnet.cli.commands.export:export",
        """Write a model for those who do not have plainnet.

        plainnet export survey.safetensors --onnx survey.onnx
        plainnet export survey.safetensors --python survey.py --html survey.html
        """,
    ),
    "gradcheck": (
        "plainnet.cli.commands.summary:gradcheck",
        """Check the gradients of a model against finite differences on a few rows of data.

        plainnet gradcheck survey.safetensors survey.csv

        The exit code is 1 if a gradient is wrong.
        """,
    ),
}


def make_app() -> App:
    """Make the application; its commands are imported when they are asked for."""
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
    for order, (name, (path, text)) in enumerate(_COMMANDS.items()):
        app.command(path, name=name, help=cleandoc(text), sort_key=order, config=_from_toml)
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
        raise PlainnetError(_worded(error, tokens)) from error
    return result if isinstance(result, int) else 0


def _worded(error: CycloptsError, tokens: Sequence[str]) -> str:
    error.verbose = False
    command = " ".join(["plainnet", *(error.command_chain or ())])
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"unexpected argument {error.unused_tokens[0]!r}: see {command} --help"
    greedy = next((name for name in _GREEDY if name in tokens), None)
    if isinstance(error, CoercionError) and error.token and error.token.keyword == greedy:
        return f"{str(error).rstrip('.')}; a path goes before {greedy}, which takes all that comes"
    if isinstance(error, MissingArgumentError):
        if greedy is not None and str(error).count("PATH"):
            return (
                f"there is no path, or it follows {greedy}, which takes all that comes: put the "
                f"path first, as in {command} PATH {greedy} ..."
            )
        return f"{str(error).rstrip('.')}: see {command} --help"
    return str(error)


def _from_toml(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take what the command line leaves open from the file that --config names."""
    names = [argument.tokens for argument in arguments if argument.name == "--config"]
    if not names or not names[0]:
        return
    file = names[0][-1].value
    values = _toml(file)
    for name, value in values.items():
        # which cyclopts would pass over
        odd = isinstance(value, dict) or len(name) > MAX_SUGGESTED
        if odd or name in (*_COMMANDS, "config"):
            raise PlainnetError(
                f"the config file {file!r} holds {shortened(name)}, which is no option: "
                "write lines such as epochs = 50"
            )
    Dict(values, source=file, use_commands_as_keys=False)(app, commands, arguments)


def _toml(file: str) -> dict[str, Any]:
    """Read a TOML file, within limits that keep the parser quick."""
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
