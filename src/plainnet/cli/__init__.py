"""The command line: run it and report its errors.

This file imports little, so that Ctrl-C is handled from the start.
"""

import atexit
import gc
import io
import os
import signal
import sys
from contextlib import contextmanager, suppress

from plainnet.errors import PlainnetError

TYPE_CHECKING = False  # importing `typing` takes time in which Ctrl-C is not handled
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

FAILED = 2  # the exit code of every error
BROKEN_PIPE = 1  # the reader of the output has ended, as `| head` does
LONGEST = 1_900  # characters of an error message
INTERRUPTED = 130  # what shells expect after Ctrl-C
_NEW_OBJECTS = 50_000  # after which Python looks for garbage; imports alone make as many
_INTERRUPTED = "interrupted: unfinished work is not saved"


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command line.

    Every error becomes one sentence on stderr; ``--debug``, anywhere, adds the traceback.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    pressed: list[int] = []
    if arguments is None:  # this process ends with the command
        gc.set_threshold(_NEW_OBJECTS)
        atexit.register(gc.freeze)  # instead of looking through all objects once more
    if sys.platform == "linux":
        # Arrow's other pools keep memory for a second, or reserve a gigabyte of addresses, which a
        # limit on memory may not leave.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

    def interrupt(*_: object) -> "NoReturn":
        pressed.append(1)
        raise KeyboardInterrupt

    with _at_ctrl_c(_leave if arguments is None else interrupt) as set_handler:
        try:
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):  # instead of failing
                    stream.reconfigure(errors="backslashreplace")
            import numpy as np

            from plainnet.cli.app import run

            set_handler(interrupt)
            with np.errstate(over="ignore", invalid="ignore"):  # results are checked
                code = run([token for token in tokens if token != "--debug"])
            if sys.stdout is not None:  # the shell may have closed it
                sys.stdout.flush()  # a broken pipe shows here at the latest
            return code
        except KeyboardInterrupt:
            return _failed(_INTERRUPTED, INTERRUPTED, debug)
        except BrokenPipeError:
            _discard_output()
            return BROKEN_PIPE
        except Exception as error:
            if pressed:  # some imports turn it into another error
                return _failed(_INTERRUPTED, INTERRUPTED, debug)
            return _failed(_message(error), FAILED, debug)


@contextmanager
def _at_ctrl_c(
    handler: "Callable[..., object]",
) -> "Iterator[Callable[[Callable[..., object]], None]]":
    """Replace the default SIGINT handler, and yield a function that sets another one."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def set_handler(handler: "Callable[..., object]") -> None:
        if usual:
            with suppress(ValueError):  # outside the main thread
                signal.signal(signal.SIGINT, handler)

    set_handler(handler)
    try:
        yield set_handler
    finally:
        set_handler(signal.default_int_handler)


def _leave(*_: object) -> "NoReturn":
    """End at once during imports: NumPy cannot be imported again after an interruption."""
    os.write(2, f"Error: {_INTERRUPTED}\n".encode())
    os._exit(INTERRUPTED)


def _message(error: Exception) -> str:
    """Return the error message, on one line."""
    if isinstance(error, PlainnetError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        # an error without a file name concerns the output of the command
        where = "the output: " if error.filename is None else f"{str(error.filename)!r}: "
        text = where + error.strerror
    elif isinstance(error, ModuleNotFoundError):
        text = f"{error.name} is not installed, which the command line needs: "
        text += "pip install 'plainnet[app]'"
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory: {error}"
    else:
        kind = type(error).__name__
        text = f"unexpected {kind}: {error}; run again with --debug to see where"
    line = " ".join(text.split())
    return _printable(line if len(line) <= LONGEST else line[: LONGEST - 1] + "…")


def _printable(line: str) -> str:
    """Escape control characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _failed(message: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        for line in traceback.format_exc().splitlines():
            print(_printable(line), file=sys.stderr)
    print(f"Error: {message}", file=sys.stderr)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # reported above
        _discard_output()
    return code


def _discard_output() -> None:
    """Redirect stdout to the null device so that the flush at exit succeeds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
