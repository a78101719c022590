"""Small files that unfold: compressed text, Parquet, and pictures of many pixels or scans."""

import bz2
import contextlib
import functools
import gzip
import io
import lzma
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from PIL import Image

from fuzz import forge
from fuzz import pictures as damaged_pictures
from fuzz import tables as damaged_tables

MEMORY = 500_000_000  # bytes that become resident
SECONDS = 120  # while memory is traced, which takes most of it
TIMES = (1, 100, 10_000, 1_000_000, 3_000_000)
UNITS = (b"\n", b",", b"1,2\n", b" \n", b"\r", b'"', b"a,", b"x", b",\n", b"\0", b"\t", b'""\n')
SIDES = (30, 1_000, 2_500, 6_000)


@contextlib.contextmanager
def watched(findings, name):
    """Find out whether much memory becomes resident, native code's too, or much time passes."""
    began, start = time.monotonic(), _status("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    yield
    more, seconds = _status("VmHWM") - start, time.monotonic() - began
    if more > MEMORY:
        findings.append(f"{name}: {more:,} bytes became resident")
    if seconds > SECONDS:
        findings.append(f"{name}: it took {seconds:.0f} s")


def _status(key):
    """Read bytes from what Linux says of this process; zero elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return 1024 * int(status.read_text().split(f"{key}:")[1].split()[0])


def files():
    """Draw the name of a file and its bytes."""
    return st.one_of(tables(), pictures())


def use(folder, drawn):
    """Read a table or a picture, and watch the memory of the process and the time."""
    use = (damaged_pictures if drawn[0] in PICTURES else damaged_tables).use
    found = []
    with watched(found, drawn[0]):
        outcome = use(folder, drawn)
    return outcome._replace(findings=outcome.findings + found)


@st.composite
def tables(draw):
    """Draw the name of a file and its bytes: text that is packed, or Parquet."""
    if draw(st.booleans()):
        options = {
            "compression": draw(st.sampled_from(("snappy", "gzip", "zstd", "brotli"))),
            "use_dictionary": draw(st.booleans()),
            "data_page_version": draw(st.sampled_from(("1.0", "2.0"))),
            "write_statistics": False,
        }
        kind = draw(st.sampled_from(sorted(COLUMNS)))
        if kind == "same beginnings" and not options["use_dictionary"]:
            options["column_encoding"] = "DELTA_BYTE_ARRAY"
        content = _parquet(kind, draw(st.sampled_from(TIMES)), tuple(options.items()))
        name = "a.parquet"
    else:
        name = draw(st.sampled_from(sorted(PACK)))
        bits = st.tuples(st.sampled_from(UNITS), st.sampled_from(TIMES))
        content = _packed(name, tuple(draw(st.lists(bits, min_size=1, max_size=3))))
    return name, draw(forge.spoiled(content)) if draw(st.integers(0, 3)) == 0 else content


def _zip(text):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", text)
    return stream.getvalue()


PACK = {
    "a.csv.gz": functools.partial(gzip.compress, compresslevel=1),
    "a.csv.bz2": functools.partial(bz2.compress, compresslevel=1),
    "a.csv.xz": functools.partial(lzma.compress, preset=0),
    "a.zip": _zip,
}
COLUMNS = {
    "zeros": lambda n: np.zeros(n),
    "one text": lambda n: pa.DictionaryArray.from_arrays(np.zeros(n, "int32"), ["x" * 100]),
    "a long text": lambda n: pa.array(["x" * n]),
    "a long list": lambda n: pa.ListArray.from_arrays(pa.array([0, n], "int32"), np.zeros(n)),
    "wide bytes": lambda n: pa.array([bytes(max(1, n // 100))] * 99, pa.binary(max(1, n // 100))),
    "same beginnings": lambda n: pa.array(["x" * (n // 100) + str(i) for i in range(99)]),
    "missing": lambda n: pa.nulls(n, pa.int64()),
    "dates": lambda n: pa.array(np.zeros(n, "int32"), pa.date32()),
}


@functools.lru_cache(16)
def _packed(name, bits):
    return PACK[name](b"a,b\n" + b"".join(unit * times for unit, times in bits))


@functools.lru_cache(16)
def _parquet(kind, n, options):
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": COLUMNS[kind](n)}), stream, **dict(options))
    return stream.getvalue()


@st.composite
def pictures(draw):
    """Draw the name of a file and its bytes: many pixels, many scans, or a false size."""
    name = draw(st.sampled_from(sorted(PICTURES)))
    content = _picture(name, draw(st.sampled_from(SIDES)))
    if name == "scans.jpg":
        last = content.rindex(b"\xff\xda")
        times = draw(st.sampled_from((1, 80, 200, 3_000)))
        content = content[:-2] + content[last:-2] * times + content[-2:]
    if name == "lies.avif":
        at = content.index(b"ispe") + 8
        content = content[:at] + struct.pack(">II", 100, 100) + content[at + 8 :]
    return name, draw(forge.spoiled(content)) if draw(st.integers(0, 3)) == 0 else content


PICTURES = {
    "a.webp": ("WEBP", {"lossless": True, "method": 0, "quality": 0}),
    "b.webp": ("WEBP", {"method": 0}),
    "a.tif": ("TIFF", {"compression": "tiff_deflate"}),
    "b.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "a.avif": ("AVIF", {"speed": 10}),
    "lies.avif": ("AVIF", {"speed": 10}),
    "a.jpg": ("JPEG", {}),
    "scans.jpg": ("JPEG", {"progressive": True}),
    "a.png": ("PNG", {"compress_level": 1}),
    "a.gif": ("GIF", {}),
    "a.jp2": ("JPEG2000", {"tile_size": (1_024, 1_024)}),
}


@functools.lru_cache(16)
def _picture(name, side):
    kind, options = PICTURES[name]
    stream = io.BytesIO()
    # These take long to write, and much memory.
    side = min(side, 5_000) if kind in ("AVIF", "JPEG2000") or name == "b.webp" else side
    mode, color = ("P", 7) if kind == "GIF" else ("RGB", (200, 10, 10))
    Image.new(mode, (side, side), color).save(stream, kind, **options)
    return stream.getvalue()
