"""Explanations as pages: one HTML file each, without scripts or other files."""

from collections.abc import Sequence

from plainnet.explain.example import Explanation
from plainnet.explain.excerpt import shape_text
from plainnet.explain.global_explanation import GlobalExplanation
from plainnet.explain.images import Pixels, png_uri, png_uris
from plainnet.explain.maps import activation_sheet, overlays
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
        pictures=_pictures(explanation),
        activations=_activations(explanation),
        neighbors=neighbors,
        gallery=png_uris(gallery),
    )


def global_explanation_page(explanation: GlobalExplanation, title: str, subtitle: str = "") -> str:
    """Write the global explanation of a model as a page."""
    contents = [("importance", "Importance"), ("mistakes", "Mistakes")]
    if explanation.classes:
        contents.append(("classes", "Classes"))
    if explanation.weights is not None:
        contents.append(("weights", "Weights"))
    return page(
        "global_explanation.html",
        title=title,
        subtitle=subtitle,
        contents=contents,
        explanation=explanation,
        text=text,
        classes=explanation.classes,
        weights=png_uris(explanation.weights),
        gallery=png_uris(explanation.gallery),
    )


def _pictures(explanation: Explanation) -> list[tuple[str, str]]:
    """Return the picture of an example and its maps, each with a caption."""
    image, maps = explanation.image, explanation.maps
    if image is None or maps is None:
        return []
    size = shape_text(image.pixels.shape[:2])
    captions = (f"Resized for the network: {size} pixels", "Occlusion", "Gradient")
    drawn = (image.pixels, *overlays(image.pixels, maps))
    return [(png_uri(each), text) for each, text in zip(drawn, captions, strict=True)]


def _activations(explanation: Explanation) -> dict[str, str]:
    """Draw the outputs of layers that give pictures, by the layer's name."""
    steps = explanation.trace.steps
    return {s.layer: png_uri(activation_sheet(s.output)) for s in steps if s.output.ndim == 3}
