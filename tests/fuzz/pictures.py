"""Damaged pictures: every format and mode, bytes changed, and headers that claim the impossible."""

import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageCms

from fuzz import forge
from fuzz.using import Outcome, where
from plainnet.data.images import read_files
from plainnet.errors import DataError

FLOOR = 2**25  # of Python's memory: pixels lie in Pillow's own


def encoded(kind, image, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width, height, depth=8, color=2, data=b"", more=()):
    """A PNG that claims what it likes, with checksums that are right."""
    chunks = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    for kind, content in ((b"IHDR", head), *more, (b"IDAT", zlib.compress(data)), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + content))
        chunks += struct.pack(">I", len(content)) + kind + content + check
    return chunks


def good():
    """Small pictures of every format that is read, in many modes."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 255, (24, 31, 3), np.uint8))
    gray, palette, deep = (
        rgb.convert("L"),
        rgb.convert("P"),
        Image.fromarray(rng.integers(0, 65535, (20, 20), np.uint16)),
    )
    frames = [rgb.rotate(angle) for angle in (90, 180)]
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    jpeg = {"exif": exif, "icc_profile": profile, "quality": 60}
    return {
        "a.jpg": encoded("JPEG", rgb, **jpeg),
        "b.jpg": encoded("JPEG", rgb.convert("CMYK"), progressive=True),
        "c.png": encoded("PNG", rgb.convert("RGBA"), icc_profile=profile, exif=exif),
        "d.png": encoded("PNG", palette, transparency=3),
        "e.png": encoded("PNG", deep),
        "f.png": encoded("PNG", rgb, save_all=True, append_images=frames),
        "g.gif": encoded("GIF", palette, save_all=True, append_images=frames),
        "h.bmp": encoded("BMP", rgb),
        "i.webp": encoded("WEBP", rgb.convert("RGBA"), exif=exif),
        "j.tif": encoded("TIFF", rgb, compression="tiff_lzw", exif=exif),
        "k.tif": encoded("TIFF", deep, compression="tiff_deflate"),
        "l.ppm": encoded("PPM", rgb),
        "m.png": encoded("PNG", gray.convert("1")),
        "n.tif": encoded("TIFF", rgb.convert("F") if rgb.mode == "L" else gray.convert("F")),
        "o.jp2": encoded("JPEG2000", rgb),
        "p.avif": encoded("AVIF", rgb, exif=exif),
    }


CLAIMS = (
    png(60_000, 60_000),
    png(20_000, 20_000),
    png(2**31 - 1, 2**31 - 1),
    png(0, 0),
    png(8, 8, depth=16, color=6),
    png(8, 8, depth=1, color=3),
    png(8, 8, depth=7),
    png(5000, 5000, data=b"\0" * 10),
    png(8, 8, data=b"\0" * 2**20),
    png(8, 8, data=b"\0" * 200, more=[(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 2**22))]),
    png(8, 8, data=b"\0" * 200, more=[(b"zTXt", b"x\0\0" + zlib.compress(b"a" * 2**23))]),
    png(8, 8, data=b"\0" * 200, more=[(b"eXIf", b"MM\0*" + b"\xff" * 60)]),
    png(8, 8, data=b"\0" * 200, more=[(b"acTL", b"\xff" * 8)]),
    b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + b"\0" * 6 + b",",
    b"BM" + struct.pack("<IIIIIiHHIIIIII", 70, 0, 54, 40, 30000, -30000, 1, 24, 0, 0, 0, 0, 0, 0),
    b"P6 60000 60000 255\n",
    b"P6 8 8 65535\n" + b"\0" * 30,
    b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40,
    b"\xff\xd8\xff\xe0" + b"\xff" * 50,
    b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xff" * 6,
)


@st.composite
def files(draw, good):
    """Draw the name of a file and its bytes."""
    kind = draw(st.sampled_from(("bytes", "bytes", "bytes", "claims", "wrong", "both")))
    name = draw(st.sampled_from(sorted(good)))
    if kind == "bytes":
        return name, draw(forge.spoiled(good[name]))
    if kind == "wrong":
        return name, good[draw(st.sampled_from(sorted(good)))]
    if kind == "claims":
        return "a.png", draw(st.sampled_from(CLAIMS))
    return "a.png", draw(forge.spoiled(draw(st.sampled_from(CLAIMS))))


def use(folder, drawn):
    """Read a picture: a square of pixels comes of it, or a reason."""
    name, content = drawn
    path = folder / name
    path.write_bytes(content)
    findings, loaded, output, peak = [], False, "", 0
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            X = read_files([path], 16, strict=True)[0][0]
        loaded = True
        if X.shape != (16, 16, 3) or X.dtype != np.uint8:
            findings.append(f"picture {name}: {X.shape} {X.dtype}")
    except DataError as error:
        output = str(error)
        if len(output) > 1000:
            findings.append(f"picture: a long sentence {output[:200]!r}")
    except Exception as error:
        findings.append(
            f"picture {name}: {type(error).__name__}: {str(error)[:200]} {where(error)}"
        )
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        path.unlink()
    if peak > FLOOR:
        findings.append(f"picture {name}: {peak:,} bytes for a file of {len(content):,}")
    return Outcome(findings, loaded, len(content), peak, output)
