"""Maps of a picture: where the prediction comes from, and the activations of each filter."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from plainnet.explain.images import Pixels, contact_sheet, diverging
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.model import Model

_STEPS = 12  # positions of the covering square along a side, about
_CHANNELS = 64  # activations that are drawn of a layer
_LEAST = 0.01  # change of a probability that is drawn in full color, at least
_COLORS = np.array([(33, 102, 172), (178, 24, 43)], np.float64)  # lowers the output, raises it


@final
@dataclass(frozen=True, eq=False)
class ImageMaps:
    """How much one output of a network depends on each pixel of a picture."""

    output: str  # its name, such as "probability of pandas"
    square: int  # the side of the square that covers pixels
    occlusion: Array  # how much the output falls where a pixel is covered: the mean of the squares
    gradient: Array  # the length of the derivative of its logit by each pixel


def image_maps(model: "Model", pixels: Pixels) -> ImageMaps:
    """Explain the predicted class of a picture, or the first number, by occlusion and gradient."""
    transform, target = model.transform, model.target
    assert transform is not None  # for the type checker: a model of pictures
    a = model.predictions(pixels[np.newaxis])[0]
    unit, sign = (int(a.argmax()), 1.0) if target.task in ("multiclass", "multilabel") else (0, 1.0)
    if target.task == "binary" and a[0] <= 0.5:
        sign = -1.0  # the probability of the first class
    names = target.columns if target.task == "regression" else target.classes
    name = names[int(sign > 0)] if target.task == "binary" else names[unit]
    step = -(-len(pixels) // _STEPS)
    occlusion = sign * (a[unit] - _covered(model, pixels, unit, step))
    net = model.net.astype(model.net.dtype)  # whose layers no other thread uses
    Z = net.forward(transform(pixels[np.newaxis]))
    dZ = np.zeros_like(Z)
    dZ[0, unit] = sign
    dX = net.backward(dZ, need_dX=True)
    assert dX is not None  # for the type checker: need_dX is True
    gradient = np.linalg.norm(dX.reshape(pixels.shape), axis=-1)
    kind = "number" if target.task == "regression" else "probability"
    return ImageMaps(f"{kind} of {name}", 2 * step, occlusion, gradient)


def _covered(model: "Model", pixels: Pixels, unit: int, step: int) -> Array:
    """Return for each pixel the mean output of all squares over it, of the picture's mean color."""
    size = len(pixels)
    color = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    total, counts = np.zeros((size, size)), np.zeros((size, size))
    starts = range(-step, size, step)
    for i in starts:  # one row of squares at a time, which bounds the memory
        X = np.repeat(pixels[np.newaxis], len(starts), axis=0)
        squares = [(slice(max(i, 0), i + 2 * step), slice(max(j, 0), j + 2 * step)) for j in starts]
        for picture, square in zip(X, squares, strict=True):
            picture[square] = color
        for a, square in zip(model.predictions(X), squares, strict=True):
            total[square] += a[unit]
            counts[square] += 1
    return total / counts


def overlays(pixels: Pixels, maps: ImageMaps) -> tuple[Pixels, Pixels]:
    """Lay the occlusion map and the gradient over the picture in gray."""
    largest = float(maps.gradient.max())
    return (
        _overlay(pixels, maps.occlusion / max(_LEAST, float(np.abs(maps.occlusion).max()))),
        _overlay(pixels, maps.gradient / (largest or 1.0)),
    )


def _overlay(pixels: Pixels, values: Array) -> Pixels:
    """Color a picture by values from -1 to 1."""
    gray = 64 + 0.75 * pixels.mean(axis=-1, keepdims=True)
    share = np.abs(values)[..., np.newaxis]
    color = _COLORS[(values > 0).astype(int)]
    result: Pixels = np.rint(gray * (1 - share) + color * share).astype(np.uint8)
    return result


def activation_sheet(output: Array) -> Pixels:
    """Draw the outputs of the filters of a layer side by side: gray is zero, white the largest."""
    channels = np.moveaxis(output[..., :_CHANNELS], -1, 0)
    sheet: Pixels = contact_sheet(diverging(channels, np.abs(channels).max()), gap=1)
    return sheet
