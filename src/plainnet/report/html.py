"""Pages: templates and style made into one HTML file that needs nothing else."""

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
    colors : sequence of sequence of str, default ()
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
    colors: Sequence[Sequence[str]] = ()

    @property
    def listed(self) -> Sequence[Sequence[str]]:
        """The rows that are shown."""
        return self.rows[:LISTED]

    @property
    def wide(self) -> bool:
        """Whether a line of it is too long for a phone, so that each row becomes a card there."""
        columns = zip(*(row for row in self.listed), strict=True)
        cells = sum(max(map(len, column)) for column in columns)
        return not self.colors and cells + len(self.head) > _PHONE

    @property
    def more(self) -> int:
        """How many are not."""
        return len(self.rows) - len(self.listed)


def page(
    template: str,
    *,
    package: str = "plainnet.report",
    style: str = "",
    script: str = "",
    **context: Any,
) -> str:
    """Render a page that extends ``base.html``.

    Everything in the context is escaped. The page's content security policy allows its own one
    style sheet and script, by digest, and pictures that stand in the page itself: no other script,
    no inline style and no request to anywhere.

    Parameters
    ----------
    template : str
        A file of the package's folder ``templates``.
    package : str, default "plainnet.report"
        Where that is.
    style : str, default ""
        Follows the style that all pages have.
    script : str, default ""
        What the page runs, which the template places: none, unless the page is to compute.
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

    shared = (files("plainnet.report") / "templates" / "style.css").read_text(encoding="utf-8")
    whole = {
        "version": __version__,
        "policy": policy(shared + style, script),
        "style": Markup(shared + style),
        "script": Markup(script),
        "subtitle": "",
        "contents": (),
        **context,
    }
    return _environment(package).get_template(template).render(whole)


def policy(style: str, script: str = "") -> str:
    """Return the content security policy of a page with one style sheet and one script, or none.

    Parameters
    ----------
    style : str
        The text between ``<style>`` and ``</style>``.
    script : str, default ""
        The text between ``<script>`` and ``</script>``.

    Examples
    --------
    >>> policy("")[:60]
    "default-src 'none'; style-src 'sha256-47DEQpj8HBSa+/TImW+5JC"
    """
    runs = f"script-src '{_digest(script)}'; " if script else ""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; {runs}img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _environment(package: str) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loaders = [PackageLoader(each, "templates") for each in (package, "plainnet.report")]
    return Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
