"""Pictures of what a network saw and of what it looks for, as PNG."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainnet.errors import PlainnetError
from plainnet.model import Model
from plainnet.nn.layers import Dense
from plainnet.nn.parameters import Array

Pixels = NDArray[np.uint8]


def first_weights(model: Model) -> Pixels:
    """Paint the weights of each unit of the first layer as a picture.

    A unit's weights are one for each byte of a picture, so they have its shape. Gray is zero;
    where a channel is brighter, more of that color there raises the unit's z, where it is darker,
    less does. Each unit is scaled by its own largest weight.
    """
    from plainnet.data.images import ImageSchema

    schema, first = model.schema, model.net.layers[0]
    if not isinstance(schema, ImageSchema):
        raise PlainnetError(
            "the weights of a model of tables are no pictures: explain a row to see them"
        )
    if not isinstance(first, Dense):
        raise PlainnetError(
            f"the first layer is {type(first).__name__}, whose weights are no pictures: "
            "it must be Dense"
        )
    W = first.W.astype(np.float64)
    largest = np.abs(W).max(axis=1, keepdims=True)
    painted = 127.5 + 127.5 * W / np.where(largest > 0, largest, 1.0)
    pixels: Pixels = np.rint(painted).astype(np.uint8)
    return pixels.reshape(-1, schema.size, schema.size, 3)


def png(pixels: Array) -> bytes:
    r"""Write a picture as PNG."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return content.getvalue()


def png_uri(pixels: Array) -> str:
    """Write a picture as text that stands in a page instead of an address."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def sheet(pictures: Array, columns: int = 8, gap: int = 2) -> Any:
    """Lay pictures out side by side, white between them."""
    n, height, width, _ = pictures.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole
