"""Limits of pictures: oversized files are refused before decoding; large valid ones are read."""

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plainnet import limits
from plainnet.data.image_limits import Memory
from plainnet.data.images import read_files
from plainnet.errors import DataError


def read_image(path: Path, size: int) -> np.ndarray:
    return read_files([path], size, strict=True)[0][0]


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height)).convert(mode)


def encoded(kind: str, image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def refusal(folder: Path, content: bytes, name: str = "a.picture") -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_image(folder / name, 8)
    return str(caught.value).split(" cannot be used: ")[1]


def with_scans(content: bytes, n: int) -> bytes:
    """Repeat the last scan of a JPEG until it has n scans."""
    last = content.rindex(b"\xff\xda")
    return content[:-2] + (n - content.count(b"\xff\xda")) * content[last:-2] + content[-2:]


@pytest.mark.parametrize("kind", sorted(limits.MAX_PIXELS))
def test_pixel_limit_per_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    options = {"progressive": True} if kind == "progressive JPEG" else {}
    content = encoded(kind.split()[-1], noise(60, 50), **options)
    monkeypatch.setitem(limits.MAX_PIXELS, kind, 3_000)
    (tmp_path / "a.picture").write_bytes(content)
    assert read_image(tmp_path / "a.picture", 8).shape == (8, 8, 3)
    monkeypatch.setitem(limits.MAX_PIXELS, kind, 2_999)
    assert refusal(tmp_path, content) == (
        f"60 x 50 pixels is too large: at most 20,000 a side and 2,999 in all are read of a {kind},"
        " so make it smaller"
    )


def test_tiny_file_of_a_large_picture_raises(tmp_path: Path) -> None:
    options = {"lossless": True, "method": 0, "quality": 0}
    content = encoded("WEBP", Image.new("RGB", (3_000, 3_000)), **options)
    assert len(content) < 100
    assert refusal(tmp_path, content) == (
        f"3,000 x 3,000 pixels in {len(content)} bytes is too much for a real picture:"
        " make it smaller"
    )
    (tmp_path / "a.webp").write_bytes(encoded("WEBP", Image.new("RGB", (2_000, 2_000))))
    assert read_image(tmp_path / "a.webp", 8).max() == 0


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {"method": 0})]
)
def test_24_megapixels_are_read(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    (tmp_path / "a.picture").write_bytes(encoded(kind, noise(6_000, 4_000), **options))
    assert read_image(tmp_path / "a.picture", 8).shape == (8, 8, 3)


def test_jpeg_scan_limit(tmp_path: Path) -> None:
    content = encoded("JPEG", noise(64, 64), progressive=True)
    (tmp_path / "a.jpg").write_bytes(with_scans(content, 100))
    assert read_image(tmp_path / "a.jpg", 8).shape == (8, 8, 3)
    too_many = "it has more than 100 scans, which make it slow: save it again"
    assert refusal(tmp_path, with_scans(content, 101)) == too_many
    # hidden behind bytes that a decoder passes over
    filled = with_scans(content, 101).replace(b"\xff\xda", b"\x00\xff\xff\xff\xda")
    assert refusal(tmp_path, filled) == too_many


def test_scan_markers_in_other_segments_are_ignored(tmp_path: Path) -> None:
    """A comment with such bytes, and a video after the picture, as phones write it."""
    for options in ({}, {"progressive": True}):
        content = encoded("JPEG", noise(64, 64), **options)
        note = b"\xff\xfe" + struct.pack(">H", 2 + 600) + b"\xff\xda" * 300
        content = content[:2] + note + content[2:] + b"\xff\xda\x00\x02" * 300
        (tmp_path / "a.jpg").write_bytes(content)
        assert read_image(tmp_path / "a.jpg", 8).shape == (8, 8, 3)


def test_scan_counting_takes_linear_time(tmp_path: Path) -> None:
    content = encoded("JPEG", noise(64, 64))
    (tmp_path / "a.jpg").write_bytes(content[:2] + b"\xff" * 3_000_000 + content[2:])
    assert read_image(tmp_path / "a.jpg", 8).shape == (8, 8, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_truncated_jpeg_raises(tmp_path: Path, options: dict[str, object]) -> None:
    content = encoded("JPEG", noise(640, 640), **options)
    assert refusal(tmp_path, content[: len(content) // 2]).startswith("damaged or cut short")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.png")
    for path in (tmp_path / "fifo.png", Path("/dev/zero")):
        with pytest.raises(DataError, match="cannot be used: not a regular file"):
            read_image(path, 8)


def test_file_size_limit(tmp_path: Path) -> None:
    with open(tmp_path / "a.png", "wb") as file:
        file.truncate(250_000_001)
    with pytest.raises(DataError, match=r"the file has 250,000,001 bytes: at most 250,000,000 are"):
        read_image(tmp_path / "a.png", 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pictures_are_resized_without_copies(tmp_path: Path, mode: str) -> None:
    image = noise(40, 30).convert("RGBA")
    image.putalpha(Image.fromarray(np.arange(1_200, dtype=np.uint8).reshape(30, 40)))
    (tmp_path / "a.png").write_bytes(encoded("PNG", image.convert(mode)))
    small = image.convert(mode).convert("RGBA").resize((8, 8), Image.Resampling.BICUBIC,
                                                       reducing_gap=3.0)  # fmt: skip
    on_white = Image.alpha_composite(Image.new("RGBA", (8, 8), "white"), small).convert("RGB")
    assert np.array_equal(read_image(tmp_path / "a.png", 8), np.asarray(on_white))


def test_memory_is_shared_by_threads() -> None:
    memory, inside, most = Memory(), [], []

    def work(share: float) -> None:
        with memory.taken(share):
            inside.append(share)
            most.append(sum(inside))
            inside.remove(share)

    threads = [threading.Thread(target=work, args=(i % 9 / 8,)) for i in range(180)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 180
    assert max(most) <= 1.0


def test_request_beyond_the_memory_limit_runs_alone() -> None:
    memory = Memory()
    with memory.taken(1.5):
        waiting = threading.Thread(target=lambda: memory.taken(0.1).__enter__())
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join()


def test_png_with_a_forged_size_raises(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 6_000, 6_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + check
    assert "bytes is too much for a real picture" in refusal(tmp_path, content)
