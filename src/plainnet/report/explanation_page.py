"""Explanations as pages: one HTML file each, without scripts or other files."""

from collections.abc import Sequence

from plainnet.explain.example import Explanation
from plainnet.explain.excerpt import shape_text
from plainnet.explain.global_explanation import GlobalExplanation
from plainnet.explain.images import Pixels, png_uri
from plainnet.explain.neighbors import Neighbor
from plainnet.report import text
from plainnet.report.html import page


def explanation_page(
    explanation: Explanation,
    subtitle: str = "",
    neighbors: Sequence[Neighbor] = (),
    gallery: Pixels | None = None,
) -> str:
    """Write the explanation of one example as a page."""
    contents = [("answer", "Prediction"), ("input", "Input"), ("forward", "Forward")]
    if explanation.trace.gradients:
        contents += [("loss", "Loss"), ("backward", "Backward")]
    if neighbors:
        contents.append(("nearest", "Nearest samples"))
    return page(
        "explain.html",
        title=f"How {explanation.name} is predicted",
        subtitle=subtitle,
        contents=contents,
        explanation=explanation,
        text=text,
        shape_text=shape_text,
        picture=None if explanation.image is None else png_uri(explanation.image.pixels),
        neighbors=neighbors,
        gallery=_uris(gallery),
    )


def global_explanation_page(explanation: GlobalExplanation, title: str, subtitle: str = "") -> str:
    """Write the global explanation of a model as a page."""
    contents = [("importance", "Importance"), ("mistakes", "Mistakes")]
    if explanation.weights is not None:
        contents.append(("weights", "First-layer weights"))
    return page(
        "global_explanation.html",
        title=title,
        subtitle=subtitle,
        contents=contents,
        explanation=explanation,
        text=text,
        weights=_uris(explanation.weights),
        gallery=_uris(explanation.gallery),
    )


def _uris(images: Pixels | None) -> list[str]:
    return [] if images is None else [png_uri(image) for image in images]
