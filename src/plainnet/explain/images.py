"""Images of the first layer's weights, and images as PNG."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainnet.data.images import ImageSchema
from plainnet.model import Model
from plainnet.nn.layers import Dense
from plainnet.nn.parameters import Array

Pixels = NDArray[np.uint8]


def first_weights(model: Model) -> Pixels | None:
    """Draw the weights of each unit of the first layer as an image, scaled by the largest weight.

    Gray is zero. Where a channel is brighter, its weight is positive; where it is darker, negative.
    None if the input is no image or the first layer is not Dense.
    """
    schema, first = model.schema, model.net.layers[0]
    if not isinstance(schema, ImageSchema) or not isinstance(first, Dense):
        return None
    W = first.W.astype(np.float64)
    largest = np.abs(W).max(axis=1, keepdims=True)
    colors = 127.5 + 127.5 * W / np.where(largest > 0, largest, 1.0)
    pixels: Pixels = np.rint(colors).astype(np.uint8)
    return pixels.reshape(-1, schema.size, schema.size, 3)


def png(pixels: Array) -> bytes:
    """Encode an image as PNG."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return content.getvalue()


def png_uri(pixels: Array) -> str:
    """Encode an image as a data URI of a page."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def contact_sheet(images: Array, columns: int = 8, gap: int = 2) -> Any:
    """Lay images out in a grid, with white gaps."""
    n, height, width, _ = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet
