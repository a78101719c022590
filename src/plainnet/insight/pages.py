"""Pages: templates and style made into one HTML file that needs nothing else and runs nothing."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, final

from plainnet._version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

LISTED = 40  # rows of a table before the rest is only counted
_PHONE = 40  # characters of a line


@final
@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes
    ----------
    caption : str
        What it is.
    head : sequence of str
        The columns.
    rows : sequence of sequence of str
        A cell a column, the first of which names the row.
    right : sequence of int, default ()
        The columns of numbers, which stand to the right.
    colours : sequence of sequence of str, default ()
        For a table that is read like a picture, the style's class of each cell but the first.

    Examples
    --------
    >>> table = Table("Squares", ("n", "n²"), [(str(n), str(n * n)) for n in range(50)], (1,))
    >>> len(table.listed), table.more, table.wide
    (40, 10, False)
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()
    colours: Sequence[Sequence[str]] = ()

    @property
    def listed(self) -> Sequence[Sequence[str]]:
        """The rows that are shown."""
        return self.rows[:LISTED]

    @property
    def wide(self) -> bool:
        """Whether a line of it is too long for a phone, so that each row becomes a card there."""
        columns = zip(*(row for row in self.listed), strict=True)
        cells = sum(max(map(len, column)) for column in columns)
        return not self.colours and cells + len(self.head) > _PHONE

    @property
    def more(self) -> int:
        """How many are not."""
        return len(self.rows) - len(self.listed)


def page(template: str, **context: Any) -> str:
    """Render a page that extends ``base.html``.

    Everything in the context is escaped. The page's content security policy allows its own one
    style sheet, by digest, and pictures that stand in the page itself: no script, no inline style
    and no request to anywhere.

    Parameters
    ----------
    template : str
        A file of ``plainnet/insight/templates``.
    **context
        What it shows: ``title``; optionally ``subtitle`` and ``contents``, pairs of (anchor,
        heading); and what its own block ``content`` asks for.

    Returns
    -------
    str
        The whole file; the same context gives the same text.

    Raises
    ------
    jinja2.UndefinedError
        If the template asks for what the context does not have.

    Examples
    --------
    >>> text = page("base.html", title="<b>5 & 6</b>")
    >>> "<title>&lt;b&gt;5 &amp; 6&lt;/b&gt;</title>" in text
    True
    """
    from markupsafe import Markup

    style = (files("plainnet.insight") / "templates" / "style.css").read_text(encoding="utf-8")
    whole = {
        "version": __version__,
        "policy": policy(style),
        "style": Markup(style),
        "subtitle": "",
        "contents": (),
        **context,
    }
    return _environment().get_template(template).render(whole)


def policy(style: str) -> str:
    """Return the content security policy of a page with one style sheet and no script.

    Parameters
    ----------
    style : str
        The text between ``<style>`` and ``</style>``.

    Examples
    --------
    >>> policy("")[:60]
    "default-src 'none'; style-src 'sha256-47DEQpj8HBSa+/TImW+5JC"
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("plainnet.insight", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
