"""Drawn pictures of pandas and bears from a seed: ellipses in a pose, a coat, a scene and light."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plainnet.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageDraw import ImageDraw as PillowDraw

Color = tuple[int, int, int]
Coat = dict[str, Color]  # the color of each part of an animal
# A part of an animal and its ellipse: x, y (right and down), two radii, turn in radians.
Shape = tuple[str, float, float, float, float, float]

_OVERSAMPLING = 4  # pixels of the canvas for one of the picture, per side
_ROUND = np.linspace(0, 2 * np.pi, 28, endpoint=False)

# A dark and a light color of fur, of either kind: black, brown, red, gray, ocher or olive.
_FURS: tuple[tuple[Color, Color], ...] = (
    ((34, 32, 36), (240, 238, 228)),
    ((84, 52, 34), (226, 200, 160)),
    ((120, 46, 32), (244, 208, 190)),
    ((62, 70, 88), (186, 204, 220)),
    ((112, 78, 24), (240, 216, 132)),
    ((58, 66, 40), (206, 216, 172)),
)

# Colors above and below the horizon, and the kind of objects.
_SCENES: tuple[tuple[Color, Color, str], ...] = (
    ((150, 190, 220), (96, 140, 62), "grass"),
    ((186, 202, 216), (226, 232, 238), "snow"),
    ((52, 80, 50), (84, 92, 54), "trees"),
    ((120, 128, 120), (134, 130, 122), "rocks"),
    ((70, 112, 62), (110, 126, 70), "bamboo"),
    ((196, 172, 136), (170, 142, 104), "rocks"),
    ((92, 98, 118), (66, 64, 60), "trees"),
)


def pandas_and_bears(
    n: int = 400, size: int = 64, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, str]]:
    """Draw pandas and bears.

    Both sit, walk or face the viewer, anywhere in the picture, near or far, upright or leaning, in
    the same scenes, the same kinds of light and the same colors. A panda is light with dark ears,
    eye patches, arms and legs; a bear is light or dark, with a muzzle of the other color.

    Parameters
    ----------
    n : int, default 400
        The number of pictures, at least 2; every second one is a panda.
    size : int, default 64
        The side of a picture in pixels, 8 to 512.
    seed : int, default 0
        The same seed gives the same pictures, and a larger `n` adds to them.

    Returns
    -------
    X : ndarray of uint8, shape (n, size, size, 3)
        Red, green and blue from 0 to 255.
    y : ndarray of int64, shape (n,)
        0 for a bear, 1 for a panda.
    classes : tuple of str
        ("bears", "pandas")

    Raises
    ------
    DataError
        Where `n` or `size` is out of range.

    Examples
    --------
    >>> X, y, classes = pandas_and_bears(n=4, size=32)
    >>> X.shape, X.dtype, [classes[i] for i in y]
    ((4, 32, 32, 3), dtype('uint8'), ['bears', 'pandas', 'bears', 'pandas'])
    """
    if n < 2:
        raise DataError(f"this sample needs n of at least 2, got {n}")
    if not 8 <= size <= 512:
        raise DataError(f"drawn pictures have a size of 8 to 512 pixels, got {size}")
    y = np.arange(n) % 2
    X = np.empty((n, size, size, 3), dtype=np.uint8)
    for i, rng in enumerate(np.random.default_rng(seed).spawn(n)):
        X[i] = _picture(rng, size, panda=bool(y[i]))
    return X, y, ("bears", "pandas")


def _picture(rng: np.random.Generator, size: int, panda: bool) -> NDArray[np.uint8]:
    from PIL import ImageDraw, ImageFilter

    above, below, kind = _SCENES[rng.integers(len(_SCENES))]
    canvas = _background(rng, size, _tinted(rng, above, 18), _tinted(rng, below, 18))
    draw = ImageDraw.Draw(canvas)
    coat = _coat(rng, panda)
    _draw_objects(rng, draw, canvas.width, kind)
    _draw_stones(rng, draw, canvas.width, (coat["body"], coat["other"]))
    _draw_animal(rng, draw, canvas.width, coat, panda)
    if kind in ("grass", "bamboo") and rng.random() < 0.6:
        _blades(rng, draw, canvas.width)
    small = canvas.reduce(_OVERSAMPLING)
    small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.012) * size))
    return _lit(rng, np.asarray(small, dtype=np.float32))


def _draw_animal(
    rng: np.random.Generator, draw: "PillowDraw", side: int, coat: Coat, panda: bool
) -> None:
    """Draw an animal in a random pose, position, turn, size and mirroring."""
    pose = (_sitting, _walking, _facing)[rng.choice(3, p=(0.4, 0.3, 0.3))]
    turn, scale = rng.normal(0, 0.25), side * rng.uniform(0.6, 0.95)
    mirror = rng.choice((-1, 1))
    matrix = scale * _rotation(turn) * (mirror, 1)
    shift = side * 0.5 + (side - 0.7 * scale) * rng.uniform(-0.5, 0.5, 2)
    light = scale * np.array([rng.choice((-0.5, 0.5)), -0.8])
    shapes = pose(rng, panda)
    for part, x, y, rx, ry, shape_turn in shapes:
        r, g, b = coat[part]
        shade = (int(r * 0.8), int(g * 0.8), int(b * 0.82))
        edge = np.column_stack([rx * np.cos(_ROUND), ry * np.sin(_ROUND)])
        outline = edge @ _rotation(shape_turn).T @ matrix.T
        center = shift + matrix @ (x, y)
        draw.polygon([*map(tuple, (center + outline).tolist())], fill=shade)
        # The lit side, a little smaller and towards the light.
        lit = center + 0.86 * outline + 0.12 * min(rx, ry) * light
        draw.polygon([*map(tuple, lit.tolist())], fill=(r, g, b))


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _head(x: float, y: float, r: float, panda: bool) -> list[Shape]:
    """Draw a head from the front."""
    ear, wide, snout = (0.36, 1.12, 0.3) if panda else (0.31, 0.98, 0.4)
    shapes: list[Shape] = []
    for side in (-1, 1):
        shapes.append(("ear", x + side * 0.76 * r, y - 0.72 * r, ear * r, ear * r, 0))
        if not panda:
            shapes.append(("muzzle", x + side * 0.76 * r, y - 0.68 * r, 0.15 * r, 0.15 * r, 0))
    shapes.append(("body", x, y, wide * r, 0.95 * r, 0))
    shapes.append(("muzzle", x, y + 0.42 * r, (snout + 0.1) * r, snout * r, 0))
    for side in (-1, 1):
        at = (x + side * 0.42 * r, y - 0.08 * r)
        if panda:
            shapes.append(("patch", at[0], at[1] + 0.05 * r, 0.21 * r, 0.32 * r, side * -0.6))
        shapes.append(("eye", at[0] - side * 0.04 * r, at[1], 0.09 * r, 0.1 * r, 0))
        shapes.append(("glint", at[0] - side * 0.01 * r, at[1] - 0.04 * r, 0.035 * r, 0.035 * r, 0))
    shapes.append(("nose", x, y + 0.27 * r, 0.19 * r, 0.13 * r, 0))
    shapes.append(("nose", x, y + 0.57 * r, 0.16 * r, 0.035 * r, 0))
    return shapes


def _facing(rng: np.random.Generator, panda: bool) -> list[Shape]:
    """Draw the face above the shoulders, from the front."""
    r = rng.uniform(0.27, 0.33)
    return [
        ("limb", 0, 0.44, 0.44, 0.24, 0),
        ("chest", 0, 0.52, 0.2, 0.14, 0),
        *_head(rng.normal(0, 0.02), -0.04, r, panda),
    ]


def _sitting(rng: np.random.Generator, panda: bool) -> list[Shape]:
    """Draw a sitting animal from the front, with the legs spread and one arm raised or not."""
    spread, bend = rng.uniform(0.2, 0.27), rng.uniform(0.1, 0.6)
    r = rng.uniform(0.17, 0.2)
    shapes: list[Shape] = [
        ("body", 0, 0.13, 0.25, 0.28, 0),
        ("limb", 0, -0.06, 0.22, 0.1, 0),
    ]
    if not panda:
        shapes.append(("chest", 0, 0.1, 0.12, 0.09, 0))
    for side in (-1, 1):
        shapes.append(("limb", side * spread, 0.34, 0.13, 0.09, side * 0.5))
        shapes.append(("sole", side * (spread + 0.07), 0.37, 0.055, 0.065, 0))
        raised = bend if side == 1 else 0.25
        shapes.append(("limb", side * 0.22, 0.1, 0.075, 0.19, side * (raised - 0.1)))
    return shapes + _head(rng.normal(0, 0.02), -0.24, r, panda)


def _walking(rng: np.random.Generator, panda: bool) -> list[Shape]:
    """Draw a walking animal from the side."""
    stride, low = rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.08)
    r, x, y = 0.14, 0.31, -0.1 + low
    shapes: list[Shape] = [
        ("limb", -0.2 + stride, 0.2, 0.06, 0.16, 0.15),
        ("limb", 0.2 - stride, 0.2, 0.055, 0.16, -0.15),
        ("body", -0.32, -0.02, 0.04, 0.04, 0),
        ("body", -0.02, 0.02, 0.33, 0.19, 0.04),
        ("limb", 0.17, 0.04, 0.09, 0.18, 0.1),
        ("limb", -0.24 - stride, 0.18, 0.07, 0.17, -0.1),
        ("limb", 0.16 + stride, 0.2, 0.065, 0.17, 0.1),
        ("ear", x - 0.1, y - 0.12, 0.05, 0.05, 0),
        ("ear", x + 0.03, y - 0.14, 0.05, 0.05, 0),
        ("body", x, y, r, r * 0.92, 0),
        ("muzzle", x + 0.11, y + 0.05, 0.085 if panda else 0.1, 0.065, 0.1),
        ("nose", x + 0.18, y + 0.03, 0.03, 0.026, 0),
    ]
    if panda:
        shapes.append(("patch", x + 0.04, y - 0.02, 0.035, 0.05, -0.4))
    return [*shapes, ("eye", x + 0.05, y - 0.02, 0.014, 0.016, 0)]


def _coat(rng: np.random.Generator, panda: bool) -> Coat:
    """Choose the colors of an animal."""
    dark, light = (_tinted(rng, color, 14) for color in _FURS[rng.integers(len(_FURS))])
    body, other = (light, dark) if panda or rng.random() < 0.5 else (dark, light)
    limb, muzzle = (dark, light) if panda else (body, other)
    return {
        "body": body, "limb": limb, "ear": limb, "patch": dark, "muzzle": muzzle, "chest": muzzle,
        "sole": _tinted(rng, (96, 84, 80), 14), "nose": (26, 24, 26), "eye": (18, 14, 12),
        "glint": (220, 220, 220), "other": other,
    }  # fmt: skip


def _background(rng: np.random.Generator, size: int, above: Color, below: Color) -> "PillowImage":
    """Draw an uneven sky or forest above uneven ground."""
    from PIL import Image

    down = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    horizon = rng.uniform(0.3, 0.65)
    share = 1 / (1 + np.exp((horizon - down) * rng.uniform(12, 60)))
    ground = np.array(above) * (1 - share) + np.array(below) * share
    ground = ground + _noise(rng, size, 5, 14) + _noise(rng, size, 24, 12)
    smooth = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    return smooth.resize((size * _OVERSAMPLING, size * _OVERSAMPLING), Image.Resampling.BILINEAR)


def _noise(rng: np.random.Generator, size: int, cells: int, strength: float) -> NDArray[np.float32]:
    """Return smooth noise of shape (size, size, 1) with `cells` bumps across."""
    from PIL import Image

    bumps = rng.normal(0, strength, (cells, cells)).astype(np.float32)
    smooth = Image.fromarray(bumps).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(smooth)[..., None]


def _draw_objects(rng: np.random.Generator, draw: "PillowDraw", side: int, kind: str) -> None:
    """Draw trees, bamboo, rocks or bushes behind the animal."""
    for _ in range(rng.integers(2, 7)):
        x, y, w = side * rng.uniform((0, 0.45, 0.03), (1, 0.95, 0.1))
        if kind == "trees":
            draw.rectangle((x - w / 2, -1, x + w / 2, y), fill=_tinted(rng, (72, 56, 44), 16))
        elif kind == "bamboo":
            lean = rng.normal(0, 0.08) * side
            green = _tinted(rng, (126, 160, 78), 24)
            draw.line((x, -1, x + lean, side), fill=green, width=int(w * 0.4) + 1)
        elif kind == "rocks":
            gray = _tinted(rng, (118, 114, 108), 30)
            draw.ellipse((x - 2 * w, y - w, x + 2 * w, y + 1.4 * w), fill=gray)
        else:
            bush = _tinted(rng, (92, 116, 76) if kind == "grass" else (206, 214, 224), 16)
            draw.ellipse((x - 2 * w, y - w, x + 2 * w, y + w), fill=bush)


def _draw_stones(
    rng: np.random.Generator, draw: "PillowDraw", side: int, colors: tuple[Color, Color]
) -> None:
    """Draw stones in the colors of the fur, so that colors alone say little."""
    for _ in range(rng.integers(2, 9)):
        x, y, w, h = side * rng.uniform((0, 0, 0.03, 0.03), (1, 1, 0.14, 0.1))
        color = _tinted(rng, colors[rng.integers(2)], 10)
        draw.ellipse((x - w, y - h, x + w, y + h), fill=color)


def _blades(rng: np.random.Generator, draw: "PillowDraw", side: int) -> None:
    """Draw grass in front of the animal."""
    for x in rng.uniform(0, side, 26):
        tip = (x + rng.normal(0, 0.03) * side, rng.uniform(0.8, 0.95) * side)
        draw.line((x, side, *tip), fill=_tinted(rng, (98, 142, 62), 26), width=side // 80 + 1)


def _lit(rng: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Light a picture: bright or dim, warm or cold, from one side; add grain."""
    size = len(pixels)
    across, down = np.meshgrid(*[np.linspace(-0.5, 0.5, size, dtype=np.float32)] * 2)
    angle = rng.uniform(0, 2 * np.pi)
    slope = 1 + rng.uniform(0, 0.45) * (across * np.cos(angle) + down * np.sin(angle))
    gray = pixels.mean(axis=2, keepdims=True)
    pixels = gray + rng.uniform(0.45, 1.1) * (pixels - gray)
    warmth = rng.normal(0, 0.06)
    gain = rng.uniform(0.62, 1.15) * np.array([1 + warmth, 1, 1 - warmth], dtype=np.float32)
    grain = rng.normal(0, rng.uniform(1, 9), pixels.shape)
    lit: NDArray[np.float64] = pixels * gain * slope[..., None] + grain
    return lit.clip(0, 255).astype(np.uint8)


def _tinted(rng: np.random.Generator, color: Color, by: float) -> Color:
    """Vary a color: mostly its lightness, a little its hue."""
    r, g, b = np.clip(np.array(color) + rng.normal(0, by) + rng.normal(0, by / 4, 3), 0, 255)
    return int(r), int(g), int(b)
