"""The first layer's weights as pictures, and pictures as PNG."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainnet.data.images import ImageSchema
from plainnet.model import Model
from plainnet.nn.convolution import Conv2D
from plainnet.nn.layers import Dense
from plainnet.nn.parameters import Array

Pixels = NDArray[np.uint8]


def first_weights(model: Model) -> Pixels | None:
    """Draw the weights of each unit or filter of the first layer, scaled by the largest weight.

    Gray is zero. Where a channel is brighter, its weight is positive; where it is darker, negative.
    None for tables, and for a first layer of another kind.
    """
    schema, first = model.schema, model.net.layers[0]
    if not isinstance(schema, ImageSchema) or not isinstance(first, Dense | Conv2D):
        return None
    W = first.W if isinstance(first, Conv2D) else first.W.reshape(-1, *schema.shape)
    return diverging(W, np.abs(W).max(axis=(1, 2, 3), keepdims=True))


def diverging(values: Array, largest: Array) -> Pixels:
    """Draw numbers as colors, or as gray without a last axis of colors: the middle is zero."""
    shades = 127.5 + 127.5 * values / np.where(largest > 0, largest, 1.0)
    pixels: Pixels = np.rint(shades).astype(np.uint8)
    return pixels if values.ndim == 4 else np.repeat(pixels[..., np.newaxis], 3, axis=-1)


def png(pixels: Array) -> bytes:
    """Encode a picture as PNG."""
    from PIL import Image

    content = io.BytesIO()
    gray = pixels.ndim == 3 and pixels.shape[-1] == 1
    Image.fromarray(pixels[..., 0] if gray else pixels).save(content, "PNG", optimize=True)
    return content.getvalue()


def png_uri(pixels: Array) -> str:
    """Encode a picture as a data URI of a page."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def png_uris(images: Pixels | None) -> list[str]:
    """Encode pictures as data URIs; none gives no URI."""
    return [] if images is None else [png_uri(image) for image in images]


def contact_sheet(images: Array, columns: int = 8, gap: int = 2) -> Any:
    """Lay pictures out in a grid, with white gaps."""
    n, height, width, _ = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet
