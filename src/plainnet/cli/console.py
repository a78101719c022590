"""What a person reads: consoles, and numbers, words and tables on them."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from plainnet.formatting import NAMES
from plainnet.formatting import number as number
from plainnet.formatting import percent as percent
from plainnet.formatting import score as score

_LISTED = 20  # notes, columns or classes that are shown before the rest is only counted


def output() -> Console:
    """Return the console of results, on stdout."""
    return Console(highlight=False)


def errors() -> Console:
    """Return the console of remarks, on stderr."""
    return Console(stderr=True, highlight=False)


def clean(text: object) -> str:
    r"""Make text from a file harmless on a terminal: what cannot be printed is spelt out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def table(
    title: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    right: Sequence[int] = (),
) -> Table:
    """Make a table of plain text: nothing in a cell is taken for markup."""
    shown = Table(
        title=Text(clean(title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for i, name in enumerate(head):
        justify = "right" if i in right else "left"
        shown.add_column(Text(clean(name)), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        shown.add_row(*(Text(clean(cell)) for cell in row))
    return shown


def section(console: Console, shown: Table) -> None:
    """Print a table with room above it."""
    console.print()
    console.print(shown)


def line(console: Console, text: str, style: str = "", *, whole: bool = False) -> None:
    """Print text on lines of its own: wrapped between words, on a terminal alone."""
    console.print(Text(clean(text), style=style), soft_wrap=whole or not console.is_terminal)


def notes(sentences: Sequence[str], console: Console | None = None) -> None:
    """Print what a person should know: the first of many, and how many more there are."""
    console = errors() if console is None else console
    for sentence in sentences[:_LISTED]:
        line(console, f"Note: {clean(sentence)}", "yellow")
    if len(sentences) > _LISTED:
        line(console, f"Note: and {len(sentences) - _LISTED:,} more like these.", "yellow")


def scores(
    results: Sequence[tuple[str, dict[str, Any]]], title: str, positive: str | None = None
) -> Table:
    """Put the figures of one or more predictors side by side."""
    of = "" if positive is None else f" of {positive}"
    whose = dict.fromkeys(("precision", "recall", "f1"), of)
    rows = [
        [shown + whose.get(name, ""), *(score(name, figures[name]) for _, figures in results)]
        for name, shown in NAMES.items()
        if name in results[0][1]
    ]
    head = ["", *(heading for heading, _ in results)]
    return table(title, head, rows, right=range(1, len(head)))
