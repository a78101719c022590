"""Decode one picture file of nearly any kind to a square of red, green and blue."""

import os
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plainnet import limits
from plainnet.data.image_limits import MEMORY, check_extent, check_file, kind_of
from plainnet.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.Image import Transpose

MAX_SIZE = 1_024  # pixels of a side of the result
# Without formats that Pillow passes to another program, such as EPS.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")

_GAP = 3.0  # shrink crudely to three times the target, then filter: as good as filtering all
_READABLE_MODES = frozenset({"1", "P", "RGBX", "CMYK", "YCbCr", "HSV"})


def decode(path: Path, size: int) -> NDArray[np.uint8]:
    """Read the first frame of a picture as uint8 (size, size, 3), turned by its EXIF orientation.

    A picture that is not square is squeezed. Transparent pictures are laid over white, and 16 bits
    per channel are scaled to 8. A DataError is the reason alone, without the name of the file.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        n_bytes = check_file(path)
        with Image.open(path, formats=_formats()) as image:
            full_size, kind = image.size, kind_of(image, path)
            check_extent(*full_size, kind, n_bytes)
            # A JPEG can be decoded straight to an eighth, a quarter or a half of its size.
            draft = image.draft(None, (round(size * _GAP), round(size * _GAP)))
            pixels = prod(full_size if kind == "progressive JPEG" else image.size)
            # The header of an AVIF may give another size than what is encoded.
            share = 1.0 if kind == "AVIF" else pixels / limits.MAX_PIXELS[kind]
            with MEMORY.taken(share):
                return _square(image, size, draft[1] if draft else None)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"not a picture in a known format ({', '.join(FORMATS)})") from None
    except MemoryError:
        raise DataError("it does not fit into memory: make it smaller") from None
    except Image.DecompressionBombError:
        most = max(limits.MAX_PIXELS.values())
        raise DataError(f"more than {most:,} pixels: make it smaller") from None
    except Exception as error:  # decoders raise almost anything on damaged bytes
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"cannot be opened: {error.strerror}") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"damaged or cut short: {reason}") from None


def require_size(size: int) -> None:
    """Refuse a side of the result that is not a whole number in range."""
    if type(size) is not int or not 1 <= size <= MAX_SIZE:
        raise DataError(
            f"size must be a whole number of pixels from 1 to {MAX_SIZE:,}, got {size!r}"
        )


def unusable(path: Path, reason: str) -> DataError:
    """Return the error that names a picture and the reason why it cannot be used."""
    return DataError(f"the picture {printable(path)} cannot be used: {reason}")


def printable(path: str | os.PathLike[str]) -> str:
    """Return a path as printable text, even where its bytes are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@cache
def _formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this build of Pillow reads."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _square(
    image: "PillowImage", size: int, box: tuple[float, float, float, float] | None
) -> NDArray[np.uint8]:
    """Resize an open picture to RGB of size x size, turned by its EXIF orientation."""
    from PIL import Image

    image.load()
    small = _resizable(image).resize(
        (size, size),
        Image.Resampling.BICUBIC,
        box=box,
        reducing_gap=_GAP,
    )
    if small.has_transparency_data:
        small = small.convert("RGBA")
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    # Turning the small square gives the same picture at less cost.
    turn = _turn(image)
    return np.asarray((small if turn is None else small.transpose(turn)).convert("RGB"))


def _resizable(image: "PillowImage") -> "PillowImage":
    """Convert any mode to one that resizes smoothly: gray, RGB or RGBA of 8 bits each."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65_535:
            raise DataError("its pixels have 32 bits: save it with 8 or 16 bits a channel")
        return Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA"):
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        return image
    if image.mode not in _READABLE_MODES:
        raise DataError(f"its color mode is {image.mode}: save it as RGB")
    return image.convert("RGB")


def _turn(image: "PillowImage") -> "Transpose | None":
    """Return the operation that undoes the EXIF orientation, or None if it is upright."""
    from PIL import ExifTags, Image

    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data, in any of many ways, beside a good picture
        return None
    return {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
