"""The command line: thin, one file a group of commands; this one runs it and words its errors.

It imports little, so that it handles Ctrl-C from the first hundredths of a second on.
"""

import io
import os
import signal
import sys
from contextlib import contextmanager, suppress

from plainnet.errors import PlainnetError

TYPE_CHECKING = False  # as `typing` has it, whose import takes time in which Ctrl-C is not seen
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

FAILED = 2  # the exit code of every error
BROKEN_PIPE = 1  # the reader of our output went away, as `| head` does: not worth a word
LONGEST = 1_900  # characters of a sentence
INTERRUPTED = 130  # what shells expect after Ctrl-C
_INTERRUPTED = "interrupted: what was not finished is not saved"


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command line.

    Every error becomes one sentence on stderr; ``--debug``, anywhere, adds the traceback.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    pressed: list[int] = []

    def interrupt(*_: object) -> "NoReturn":
        pressed.append(1)
        raise KeyboardInterrupt

    with _at_ctrl_c(_leave if arguments is None else interrupt) as then:
        try:
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):  # what it cannot spell is shown
                    stream.reconfigure(errors="backslashreplace")
            import numpy as np

            from plainnet.cli.app import run

            then(interrupt)
            with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is checked
                code = run([token for token in tokens if token != "--debug"])
            if sys.stdout is not None:  # as it is where the shell has closed it
                sys.stdout.flush()  # where a broken pipe shows at the latest
            return code
        except KeyboardInterrupt:
            return _failed(_INTERRUPTED, INTERRUPTED, debug)
        except BrokenPipeError:
            _discard_output()
            return BROKEN_PIPE
        except Exception as error:
            if pressed:  # some imports make an error of their own of it
                return _failed(_INTERRUPTED, INTERRUPTED, debug)
            return _failed(_sentence(error), FAILED, debug)


@contextmanager
def _at_ctrl_c(
    handler: "Callable[..., object]",
) -> "Iterator[Callable[[Callable[..., object]], None]]":
    """Replace the default SIGINT handler; yield a function that sets another one."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def then(handler: "Callable[..., object]") -> None:
        if usual:
            with suppress(ValueError):  # in a thread that is not the main one
                signal.signal(signal.SIGINT, handler)

    then(handler)
    try:
        yield then
    finally:
        then(signal.default_int_handler)


def _leave(*_: object) -> "NoReturn":
    """End at once during imports: NumPy cannot be imported again after an interruption."""
    os.write(2, f"Error: {_INTERRUPTED}\n".encode())
    os._exit(INTERRUPTED)


def _sentence(error: Exception) -> str:
    """Say in one sentence, on one line, what went wrong."""
    if isinstance(error, PlainnetError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        # whoever writes a file names it: what has no name is the output of the command
        where = "the output: " if error.filename is None else f"{str(error.filename)!r}: "
        text = where + error.strerror
    elif isinstance(error, ModuleNotFoundError):
        text = f"{error.name} is not installed, which the command line needs: "
        text += "pip install 'plainnet[app]'"
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory: {error}"
    else:
        kind = type(error).__name__
        text = f"unexpected {kind}: {error}; run it again with --debug to see where"
    words = " ".join(text.split())
    return _printable(words if len(words) <= LONGEST else words[: LONGEST - 1] + "…")


def _printable(line: str) -> str:
    """Escape control characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _failed(sentence: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        for line in traceback.format_exc().splitlines():
            print(_printable(line), file=sys.stderr)
    print(f"Error: {sentence}", file=sys.stderr)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # which has been told
        _discard_output()
    return code


def _discard_output() -> None:
    """Redirect stdout to the null device so that the flush at exit succeeds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
