"""Open a page on which a network trains live: see, change and rewind every number.

plainnet play
plainnet play survey.csv

The page is served to this machine alone, until Ctrl-C.
"""

import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from plainnet.cli.console import output, print_line
from plainnet.cli.options import Seed
from plainnet.play.actions import open_session
from plainnet.play.datasets import read_upload
from plainnet.play.server import Playground, listening, serve


def play(
    path: Path | None = None,
    /,
    *,
    port: Seed = 0,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
) -> None:
    """Serve the page.

    Parameters
    ----------
    path
        A table to begin with, whose last column is predicted. [default: a spiral]
    port
        The port to listen on; 0 takes a free one.
    browser
        Open the page in a browser.
    """
    tables = {} if path is None else dict([read_upload(path.read_bytes(), path.name)])
    open_session(b"", tables)  # refuses a table that cannot be used
    server = listening(port)
    playground = Playground(server.getsockname()[1], tables)

    def ready() -> None:
        print_line(output(), f"Open {playground.address}", wrap=False)
        print_line(output(), "Ctrl-C ends it.")
        if browser:
            webbrowser.open(playground.address)

    try:
        serve(playground, server, ready)
    except KeyboardInterrupt:
        print_line(output(), "Ended.")
