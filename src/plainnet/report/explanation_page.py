"""Explanations as pages: one HTML file that needs nothing else and runs nothing."""

from collections.abc import Sequence

from plainnet.explain.example import Explanation
from plainnet.explain.images import Pixels, png_uri
from plainnet.explain.neighbors import Neighbor
from plainnet.explain.overview import Overview
from plainnet.explain.trace import shape_text
from plainnet.report import text as telling
from plainnet.report.html import Table, page


def explanation_page(
    seen: Explanation,
    subtitle: str = "",
    neighbors: Sequence[Neighbor] = (),
    gallery: Pixels | None = None,
) -> str:
    """Write the explanation of one row or picture as a page."""
    contents = [("answer", "The answer"), ("input", "Input"), ("forward", "Forward")]
    if seen.trace.gradients:
        contents += [("loss", "Loss"), ("backward", "Backward")]
    if neighbors:
        contents.append(("nearest", "Nearest samples"))
    return page(
        "explain.html",
        title=f"How {seen.name} is predicted",
        subtitle=subtitle,
        contents=contents,
        seen=seen,
        telling=telling,
        Table=Table,
        shape_text=shape_text,
        picture=None if seen.picture is None else png_uri(seen.picture.pixels),
        neighbors=neighbors,
        gallery=_uris(gallery),
    )


def overview_page(seen: Overview, title: str, subtitle: str = "") -> str:
    """Write what was found of a whole model as a page."""
    contents = [("importance", "What the model relies on"), ("mistakes", "Surely wrong")]
    if seen.weights is not None:
        contents.append(("weights", "First-layer weights"))
    return page(
        "overview.html",
        title=title,
        subtitle=subtitle,
        contents=contents,
        seen=seen,
        telling=telling,
        Table=Table,
        weights=_uris(seen.weights),
        gallery=_uris(seen.gallery),
    )


def _uris(pictures: Pixels | None) -> list[str]:
    return [] if pictures is None else [png_uri(one) for one in pictures]
