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
    """A table of a page."""

    caption: str  # what it is
    head: Sequence[str]  # the columns
    rows: Sequence[Sequence[str]]  # A cell a column, the first of which names the row
    right: Sequence[int] = ()  # the columns of numbers, which stand to the right
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
    """Return the content security policy of a page with one style sheet and one script, or none."""
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
