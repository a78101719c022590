"""Render templates and style to one self-contained HTML file."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from plainnet._version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

LISTED = 40  # rows of a table that are shown; further rows are only counted
_PHONE = 40  # characters per line of a phone


class Table(NamedTuple):
    """A table of a page."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]  # the first cell names the row
    right: Sequence[int] = ()  # columns that are aligned to the right
    colors: Sequence[Sequence[str]] = ()  # CSS classes of the cells after the first

    @property
    def listed(self) -> Sequence[Sequence[str]]:
        """The rows that are shown."""
        return self.rows[:LISTED]

    @property
    def wide(self) -> bool:
        """Whether its rows are too long for a phone, where they become cards."""
        columns = zip(*(row for row in self.listed), strict=True)
        cells = sum(max(map(len, column)) for column in columns)
        return not self.colors and cells + len(self.head) > _PHONE

    @property
    def more(self) -> int:
        """How many rows are not shown."""
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

    Everything in the context is escaped. The page's content security policy allows one style sheet
    and one script, by digest, and embedded pictures: no other script, no inline style, no request.
    """
    from markupsafe import Markup

    shared = (files("plainnet.report") / "templates" / "style.css").read_text(encoding="utf-8")
    variables = {
        "version": __version__,
        "policy": policy(shared + style, script),
        "style": Markup(shared + style),
        "script": Markup(script),
        "subtitle": "",
        "contents": (),
        **context,
    }
    return render(template, package, **variables)


def render(template: str, package: str = "plainnet.report", **variables: Any) -> str:
    """Render a template of a package, or of this one; text is escaped."""
    return _environment(package).get_template(template).render(variables)


def policy(style: str, script: str = "") -> str:
    """Return the content security policy of a page with a style sheet and perhaps a script."""
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
