"""Open a page on which a network trains live: see, change and rewind every number.

plainnet play
plainnet play survey.csv
plainnet play --link LINK

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
from plainnet.play.history import read_link
from plainnet.play.server import Playground, listening, serve


def play(
    path: Path | None = None,
    /,
    *,
    port: Seed = 0,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
    link: str | None = None,
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
    link
        A link that a page has copied, to begin at its step.
    """
    tables = {} if path is None else dict([read_upload(path.read_bytes(), path.name)])
    state = None if link is None else link.rpartition("state=")[2]
    if state is None:
        open_session(b"", tables)  # refuses a table that cannot be used
    else:
        read_link(state)
    with listening(port) as server:
        playground = Playground(server.getsockname()[1], tables)
        address = playground.address + ("" if state is None else f"&state={state}")

        def ready() -> None:
            print_line(output(), f"Open {address}", wrap=False)
            print_line(output(), "Ctrl-C ends it.")
            if browser:
                webbrowser.open(address)

        try:
            serve(playground, server, ready)
        except KeyboardInterrupt:
            print_line(output(), "Ended.")
