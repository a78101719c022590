"""Pictures: reading, refusals with reasons, and network inputs."""

import io
import json
import os
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from plainnet import limits
from plainnet.data import decode, images
from plainnet.data.image_folder import ImageFolder, image_files
from plainnet.data.images import ImageSchema, read_files, read_images
from plainnet.errors import DataError, ModelFileError


def read_image(path: Path, size: int) -> np.ndarray:
    return read_files([path], size, strict=True)[0][0]


def corners(height: int = 60, width: int = 90) -> np.ndarray:
    """A picture whose eight orientations differ."""
    X = np.zeros((height, width, 3), np.uint8)
    X[: height // 2, : width // 2] = (250, 10, 10)
    X[: height // 2, width // 2 :] = (10, 250, 10)
    X[height // 2 :, : width // 2] = (10, 10, 250)
    return X


def png_header(width: int, height: int) -> bytes:
    """Forge a PNG header with a size and no pixel data."""
    chunks = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(data)) + kind + data
        chunks += struct.pack(">I", zlib.crc32(kind + data))
    return chunks


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(corners())).save(stream, kind, **options)
    return stream.getvalue()


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def plain(color: object, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (8, 6), color)


def palette(index: int, **info: object) -> Image.Image:
    image = Image.new("P", (8, 6), index)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.info.update(info)
    return image


def sixteen(level: int, byte_order: str = "<") -> Image.Image:
    return Image.fromarray(np.full((6, 8), level, byte_order + "u2"))


SOLID = [
    ("rgb.png", plain((12, 34, 56)), (12, 34, 56)),
    ("rgb.bmp", plain((12, 34, 56)), (12, 34, 56)),
    ("rgb.ppm", plain((12, 34, 56)), (12, 34, 56)),
    ("rgb.webp", plain((0, 0, 0)), (0, 0, 0)),
    ("gray.png", plain(100, "L"), (100, 100, 100)),
    ("gray.jpg", plain(100, "L"), (100, 100, 100)),
    ("gray-half.png", plain((0, 51), "LA"), (204, 204, 204)),
    ("clear.png", plain((9, 9, 9, 0), "RGBA"), (255, 255, 255)),
    ("half.png", plain((255, 0, 0, 51), "RGBA"), (255, 204, 204)),
    ("solid.png", plain((1, 2, 3, 255), "RGBA"), (1, 2, 3)),
    ("palette.png", palette(1), (200, 100, 50)),
    ("palette.gif", palette(1), (200, 100, 50)),
    ("palette-clear.png", palette(1, transparency=1), (255, 255, 255)),
    ("palette-half.png", palette(1, transparency=b"\xff\x33"), (244, 224, 214)),
    ("palette-clear.gif", palette(1, transparency=1), (255, 255, 255)),
    ("bit.png", plain(1, "1"), (255, 255, 255)),
    ("no-bit.tif", plain(0, "1"), (0, 0, 0)),
    ("cmyk.tif", plain((0, 255, 255, 0), "CMYK"), (255, 0, 0)),
    ("cmyk.jpg", plain((0, 0, 0, 255), "CMYK"), (0, 0, 0)),
    ("16-white.png", sixteen(65_535), (255, 255, 255)),
    ("16-middle.png", sixteen(0x8080), (128, 128, 128)),
    ("16-dark.tif", sixteen(514), (2, 2, 2)),
    ("16-big-endian.tif", sixteen(0x4040, ">"), (64, 64, 64)),
    ("16.pgm", sixteen(0x4040), (64, 64, 64)),
]


@pytest.mark.parametrize(("name", "image", "expected"), SOLID, ids=[name for name, *_ in SOLID])
def test_every_color_mode_becomes_rgb(
    tmp_path: Path, name: str, image: Image.Image, expected: tuple[int, int, int]
) -> None:
    image.save(tmp_path / name, **image.info)
    X = read_image(tmp_path / name, 4)
    assert X.dtype == np.uint8
    assert X.shape == (4, 4, 3)
    assert np.abs(X.astype(int) - expected).max() <= 1


def test_transparent_edges_do_not_darken(tmp_path: Path) -> None:
    """The color of transparent pixels must not affect their neighbors in resizing."""
    X = np.zeros((64, 64, 4), np.uint8)
    X[:, ::2] = 255  # white stripes between clear ones whose hidden color is black
    Image.fromarray(X).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 8).min() >= 254


def test_sixteen_bit_pictures_are_scaled(tmp_path: Path) -> None:
    levels = np.linspace(0, 65_535, 64).astype(np.uint16)
    Image.fromarray(np.tile(levels, (64, 1))).save(tmp_path / "ramp.png")
    X = read_image(tmp_path / "ramp.png", 64)
    np.testing.assert_array_equal(X[0, :, 0], np.rint(levels / 257))


# What the EXIF standard says that row 0 and column 0 of the file are in the upright picture.
ORIENTATIONS = [
    (1, "top", "left"),
    (2, "top", "right"),
    (3, "bottom", "right"),
    (4, "bottom", "left"),
    (5, "left", "top"),
    (6, "right", "top"),
    (7, "right", "bottom"),
    (8, "left", "bottom"),
]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("factor", [1, 20])  # 20: large enough for a draft, and to be reduced
@pytest.mark.parametrize(("orientation", "row", "column"), ORIENTATIONS)
def test_exif_orientations_are_applied(
    tmp_path: Path, kind: str, factor: int, orientation: int, row: str, column: str
) -> None:
    upright = corners(60 * factor, 90 * factor)
    stored = upright if row in ("top", "bottom") else upright.swapaxes(0, 1)
    stored = stored[::-1] if row in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column in ("bottom", "right") else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a.{kind.lower()}"
    Image.fromarray(np.ascontiguousarray(stored)).save(file, exif=exif)
    X = read_image(file, 12).astype(int)
    expected = corners(12, 12)
    away = np.ones((12, 12), bool)  # from the seams, where filters blend
    away[4:8], away[:, 4:8] = False, False
    assert np.abs(X - expected)[away].max() <= 12


def test_fast_jpeg_reduction_matches_full_resizing(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    blobs = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    photo = blobs.resize((1203, 901), Image.Resampling.BICUBIC)
    for name in ("photo.jpg", "photo.png"):
        photo.save(tmp_path / name)
        slow = np.asarray(photo.resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(read_image(tmp_path / name, 32) - slow).mean() < 1.5


@pytest.mark.parametrize(
    "block",
    [
        b"XX*\x00rubbish",
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02\x00\x00\x00\x04abc\x00",  # in words
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x09\x00\x00",  # 9
    ],
)
def test_damaged_exif_block_is_ignored(tmp_path: Path, block: bytes) -> None:
    folder_of(tmp_path, {"a.jpg": encoded("JPEG", exif=b"Exif\x00\x00" + block + bytes(4))})
    assert read_image(tmp_path / "a.jpg", 12)[1, 1, 0] > 200


def test_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [plain("red"), plain("lime"), plain("blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif", 2)[0, 0].tolist() == [255, 0, 0]


WIDE = encoded("PNG", Image.new("L", (30_000, 3)))
UNUSABLE = [
    ("empty.jpg", b"", "the file is empty (0 bytes)"),
    ("notes.txt", b"these are notes, not a picture", "not a picture in a known format"),
    ("page.jpg", b"<html>404</html>" * 40, "not a picture in a known format"),
    ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ("cut.jpg", encoded("JPEG")[:-200], "damaged or cut short: image file is truncated"),
    ("cut.png", encoded("PNG")[:-60], "damaged or cut short"),
    ("cut.gif", encoded("GIF")[:-30], "damaged or cut short"),
    ("head.jpg", encoded("JPEG")[:40], "damaged or cut short: Truncated File Read"),
    ("bits.png", encoded("PNG").replace(b"IDAT", b"IDAT\xff\xff", 1), "damaged or cut short"),
    ("dot.png", encoded("PNG", Image.new("RGB", (1, 1))), "1 x 1 pixels is too small: at least 2"),
    ("line.png", encoded("PNG", Image.new("RGB", (9, 1))), "9 x 1 pixels is too small: at least 2"),
    ("wide.png", WIDE, "30,000 x 3 pixels is too large: at most 20,000 a side and 40,000,000 in"),
    ("warned.png", png_header(9_500, 9_500), "9,500 x 9,500 pixels is too large"),
    ("bomb.png", png_header(60_000, 60_000), "more than 89,478,485 pixels"),
    ("float.tif", encoded("TIFF", Image.new("F", (4, 4))), "its color mode is F"),
    ("deep.tif", encoded("TIFF", Image.new("I", (4, 4), 70_000)), "its pixels have 32 bits"),
    ("lab.tif", encoded("TIFF", Image.new("LAB", (4, 4))), "its color mode is LAB"),
]


@pytest.mark.parametrize(("name", "content", "reason"), UNUSABLE, ids=[u[0] for u in UNUSABLE])
def test_unusable_files_raise_with_the_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    folder_of(tmp_path, {name: content})
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / name, 8)
    message = str(caught.value)
    assert message.startswith(f"the picture {tmp_path / name} cannot be used: {reason}")
    assert "\n" not in message


def test_missing_files_raise(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    for name, reason in (("none.jpg", "there is no such file"), ("broken.jpg", "there is no such")):
        with pytest.raises(DataError, match=reason):
            read_image(tmp_path / name, 8)
    with pytest.raises(DataError, match="not a regular file"):
        read_image(tmp_path, 8)


def test_unreadable_file_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    folder_of(tmp_path, {"a.png": encoded("PNG")})
    monkeypatch.setattr(Image, "open", deny)
    with pytest.raises(DataError, match=r"cannot be used: cannot be opened: Permission denied$"):
        read_image(tmp_path / "a.png", 8)


@pytest.mark.parametrize("size", [0, -1, 1025, 8.0, "64", True])
def test_size_out_of_range_raises(tmp_path: Path, size: object) -> None:
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "a.png", size)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"size must be a whole number of pixels from 1 to 1,024, got {size!r}"
    )


def find_images(folder: Path) -> tuple[tuple[str, ...], list[Path]]:
    images = ImageFolder.of(folder)
    return images.classes, images.files


def test_files_are_sorted_and_hidden_ones_ignored(tmp_path: Path) -> None:
    names = ["b/2.png", "b/10.png", "b/deep/er/1.png", "a/x.PNG", "a/ä.png", "Z/1.png"]
    hidden = ["b/.DS_Store", "b/._2.png", ".git/x/1.png", "a/.thumbs/1.png", "__MACOSX/a/1.png"]
    hidden += ["a/Thumbs.db", "a/desktop.ini", ".DS_Store", "a/__MACOSX/1.png"]
    folder_of(tmp_path, dict.fromkeys(names + hidden, b""))
    classes, files = find_images(tmp_path)
    assert classes == ("Z", "a", "b")
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "Z/1.png", "a/x.PNG", "a/ä.png", "b/10.png", "b/2.png", "b/deep/er/1.png",
    ]  # fmt: skip
    assert image_files(tmp_path) == files
    assert image_files(files[0]) == files[:1]


def test_linked_folders_are_classes_without_cycles(tmp_path: Path) -> None:
    folder_of(tmp_path, {"store/cats/1.png": b"", "set/dogs/1.png": b""})
    (tmp_path / "set/cats").symlink_to(tmp_path / "store/cats")
    (tmp_path / "set/dogs/round").symlink_to(tmp_path / "set")
    classes, files = find_images(tmp_path / "set")
    assert classes == ("cats", "dogs")
    assert [file.name for file in files] == ["1.png", "1.png"]


FOLDERS = [
    (["a/1.png"], "holds one class folder, 'a': at least 2 are needed, one for each class"),
    (["1.png", "2.png"], "holds no class folder (and 2 files): put the pictures of each class"),
    ([".hidden/1.png"], "holds no class folder (and 0 files)"),
    (["a/1.png", "b/.DS_Store"], "b is empty: put pictures into it or remove it"),
    (["train/a/1.png", "test/a/1.png"], "holds 'test', a part of a dataset rather than a class"),
]


@pytest.mark.parametrize(("names", "message"), FOLDERS)
def test_folder_without_classes_raises(tmp_path: Path, names: list[str], message: str) -> None:
    folder_of(tmp_path, dict.fromkeys(names, b""))
    with pytest.raises(DataError) as caught:
        read_images(tmp_path, 8)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_path_that_is_no_folder_raises(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a.png": b"", "hollow/.x": b""})
    for name, message in (("none", "does not exist"), ("a.png", "is a file")):
        with pytest.raises(DataError) as caught:
            read_images(tmp_path / name, 8)
        expected = f"the picture folder {tmp_path / name} {message}: name a folder"
        assert str(caught.value) == expected
    with pytest.raises(DataError, match="there is no file or folder"):
        image_files(tmp_path / "none")
    with pytest.raises(DataError, match="holds no visible file"):
        image_files(tmp_path / "hollow")


def test_unreadable_folder_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(DataError, match=r"cannot be read: Permission denied$"):
        find_images(tmp_path)


def test_non_utf8_names_are_shown(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    folder_of(tmp_path, {"a/1.png": b""})
    with pytest.raises(DataError, match=r"caf\\xe9 is not UTF-8$"):
        find_images(tmp_path)


def test_unusable_files_are_listed_and_order_is_kept(tmp_path: Path) -> None:
    """More files than one block of the queue, so that gaps close across blocks."""
    bad = {7, 8, 255, 256, 299}
    content = {}
    for i in range(300):
        solid = encoded("BMP", Image.new("RGB", (2, 2), (i % 256, i // 256, 0)))
        content[f"{'ab'[i % 2]}/{i:03}.bmp"] = b"" if i in bad else solid
    folder_of(tmp_path, {**content, "readme.md": b"about"})
    done: list[tuple[int, int]] = []
    pictures = read_images(tmp_path, 2, progress=lambda *at: done.append(at))
    numbers = [int(file.stem) for file in pictures.files]
    assert numbers == [i for half in (0, 1) for i in range(half, 300, 2) if i not in bad]
    assert (pictures.X[:, 1, 1] == [(i % 256, i // 256, 0) for i in numbers]).all()
    assert pictures.y.tolist() == [i % 2 for i in numbers]
    assert pictures.y.dtype == np.int64
    assert pictures.classes == ("a", "b")
    assert [file.name for file, _ in pictures.skipped] == [
        "readme.md", "008.bmp", "256.bmp", "007.bmp", "255.bmp", "299.bmp",
    ]  # fmt: skip
    reasons = ["lies beside the class folders, so has no class", "the file is empty (0 bytes)"]
    assert [reason for _, reason in pictures.skipped] == [reasons[0]] + [reasons[1]] * 5
    assert done == [(i, 300) for i in range(1, 301)]


def test_strict_raises_at_the_first_unusable_file(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a/1.png": encoded("PNG"), "a/2.png": b"", "b/1.png": b"?" * 99})
    with pytest.raises(DataError) as caught:
        read_images(tmp_path, 8, strict=True)
    expected = f"the picture {tmp_path / 'a/2.png'} cannot be used: the file is empty (0 bytes)"
    assert str(caught.value) == expected
    folder_of(tmp_path, {"stray.png": encoded("PNG")})
    with pytest.raises(DataError, match=r"stray\.png cannot be used: lies beside the class"):
        read_images(tmp_path, 8, strict=True)


def test_class_without_usable_pictures_raises(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a/1.png": encoded("PNG"), "b/1.png": b"", "b/2.png": b"no"})
    with pytest.raises(DataError) as caught:
        read_images(tmp_path, 8)
    assert str(caught.value) == (
        f"no picture of the class 'b' can be used; the first, {tmp_path / 'b/1.png'}: "
        "the file is empty (0 bytes)"
    )
    with pytest.raises(DataError, match="none of 2 files is a picture that can be used; the first"):
        read_files([tmp_path / "b/1.png", tmp_path / "b/2.png"], 8)
    with pytest.raises(DataError, match=r"^none of 0 files is a picture that can be used$"):
        read_files([], 8)


def test_model_classes_determine_labels(tmp_path: Path) -> None:
    folder_of(tmp_path, {"b/1.png": encoded("PNG")})
    pictures = read_images(tmp_path, 8, classes=("a", "b", "c"))
    assert pictures.classes == ("a", "b", "c")
    assert pictures.y.tolist() == [1]
    with pytest.raises(DataError) as caught:
        read_images(tmp_path, 8, classes=("a", "c"))
    assert str(caught.value) == (
        f"the folder {tmp_path} holds the class 'b', which is not one of a, c: rename or remove it"
    )


def test_pillow_warnings_are_contained(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a/1.png": png_header(9_500, 9_500), "a/2.png": encoded("PNG")})
    folder_of(tmp_path, {"b/1.png": encoded("PNG", palette(1), transparency=b"\xff\x33")})
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_images(tmp_path, 8)
    assert caught == []
    assert warnings.filters == before


def test_interrupted_read_drops_queued_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, {f"{c}/{i}.png": encoded("PNG") for c in "ab" for i in range(60)})
    decoded: list[Path] = []

    def slowly(path: Path, size: int) -> np.ndarray:
        decoded.append(path)
        time.sleep(0.01)
        return decode.decode(path, size)

    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(images, "decode", slowly)
    with pytest.raises(KeyboardInterrupt):
        read_images(tmp_path, 8, progress=interrupt)
    assert len(decoded) < 60


def test_pictures_beyond_memory_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images.np, "empty", refuse)
    with pytest.raises(DataError) as caught:
        read_files([tmp_path / "a.png"] * 2000, 224)
    assert str(caught.value) == (
        "2,000 pictures of 224 x 224 pixels do not fit into memory: ask for a smaller size"
    )


def test_real_pictures_match_pillow(shared_data: Path) -> None:
    pictures = read_images(shared_data / "pandas-bears", 64)
    assert pictures.X.shape == (400, 64, 64, 3)
    assert pictures.classes == ("bears", "pandas")
    assert pictures.skipped == []
    assert [file.parent.name == "pandas" for file in pictures.files] == pictures.y.tolist()
    for i in (0, 123, 399):
        with Image.open(pictures.files[i]) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            expected = np.asarray(upright.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(pictures.X[i] - expected).mean() < 1.0


PICTURES = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 6), st.integers(1, 5)).map(lambda s: (s[0], s[1], s[1], 3)),
)


@given(PICTURES)
def test_standardization_uses_all_pixels(X: np.ndarray) -> None:
    schema = ImageSchema.fit(X)
    pixels = X.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(schema.mean, pixels.mean(axis=0), rtol=1e-13)
    std = pixels.std(axis=0)
    np.testing.assert_allclose(schema.std, np.where(std > 1e-9, std, 1), rtol=1e-12)
    rows = schema.transform(X)
    assert rows.dtype == np.float32
    assert rows.shape == (len(X), schema.n_features)
    expected = ((X - np.array(schema.mean)) / schema.std).reshape(len(X), -1)
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-5)
    assert ImageSchema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_rows_are_independent_of_blocks() -> None:
    X = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    before = X.copy()
    schema = ImageSchema.fit(X)
    out = schema.transform(X[:15])
    np.testing.assert_array_equal(out, schema.transform(X)[:15])
    np.testing.assert_array_equal(schema.transform(X[14::-1]), out[::-1])
    np.testing.assert_array_equal(X, before)
    assert schema.transform(X[:0]).shape == (0, 12288)


def test_arrays_of_wrong_shape_raise() -> None:
    X = np.zeros((2, 4, 4, 3), np.uint8)
    schema = ImageSchema.fit(X)
    for wrong in (X.astype(float), X[:, :3], X[..., 0], X[0], np.zeros((2, 5, 5, 3), np.uint8)):
        with pytest.raises(DataError) as caught:
            schema.transform(wrong)
        assert str(caught.value) == (
            f"pictures must be uint8 (m, 4, 4, 3), got {wrong.dtype} {wrong.shape}: read them with"
            " read_images"
        )
    with pytest.raises(DataError, match=r"pictures must be uint8 \(m, size, size, 3\), got"):
        ImageSchema.fit(X[0])
    with pytest.raises(DataError, match=r"^an image schema needs at least one training picture"):
        ImageSchema.fit(X[:0])


GOOD = {"kind": "image", "size": 8, "mean": [1.0, 2.0, 3.0], "std": [1.0, 2.0, 3.0]}
MEAN = "field 'mean' of the image schema should be"
STD = "field 'std' of the image schema should be"
SIZE = "field 'size' of the image schema should be a whole number from 1 to 1024, but is"
HOSTILE = [
    (None, "the image schema should be an object, but is None"),
    ([1], "the image schema should be an object, but is [1]"),
    ({"kind": "image"}, "field 'size' of the image schema is absent"),
    ({**GOOD, "more": 1}, "the image schema has the unknown field 'more'"),
    ({**GOOD, "kind": "table"}, "should be one of 'image', but is 'table'"),
    ({**GOOD, "size": 0}, f"{SIZE} 0"),
    ({**GOOD, "size": True}, f"{SIZE} True"),
    ({**GOOD, "size": 8.0}, f"{SIZE} 8.0"),
    ({**GOOD, "size": 10**9}, f"{SIZE} 1000000000"),
    ({**GOOD, "mean": [1, 2]}, f"{MEAN} 1 or 3 numbers from 0 to 255, but is [1"),
    ({**GOOD, "mean": "abc"}, f"{MEAN} a list, but is 'abc'"),
    ({**GOOD, "mean": [1, 2, "3"]}, f"{MEAN} a finite number, but is '3'"),
    ({**GOOD, "mean": [1, 2, True]}, f"{MEAN} a finite number, but is True"),
    ({**GOOD, "mean": [1, 2, -1]}, f"{MEAN} 1 or 3 numbers from 0 to 255, but is [1"),
    ({**GOOD, "mean": [1, 2, 10**999]}, f"{MEAN} a finite number, but is"),
    ({**GOOD, "mean": [1, 2, float("nan")]}, f"{MEAN} a finite number, but is nan"),
    ({**GOOD, "std": [1, 2, float("inf")]}, f"{STD} a finite number, but is inf"),
    ({**GOOD, "std": [1, 2, 0]}, f"{STD} 3 numbers from 1e-06 to 128, but is [1"),
    ({**GOOD, "std": [1, 2, 1e-300]}, f"{STD} 3 numbers from 1e-06 to 128, but is [1"),
    ({**GOOD, "std": [1, 2, 129]}, f"{STD} 3 numbers from 1e-06 to 128, but is [1"),
    ({**GOOD, "std": ["x" * 9999] * 3}, f"{STD} a finite number, but is 'xxx"),
]


@pytest.mark.parametrize(("stored", "message"), HOSTILE)
def test_stored_schema_is_validated(stored: object, message: str) -> None:
    assert ImageSchema.from_json(GOOD).mean == (1.0, 2.0, 3.0)
    with pytest.raises(ModelFileError) as caught:
        ImageSchema.from_json(stored)
    text = str(caught.value)
    assert text.startswith("The model file is damaged or was edited: ")
    assert message in text
    assert len(text) < 300


def test_large_pictures_are_read_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each thread would use hundreds of megabytes."""
    now, most, squared = [], [], decode._square

    def slow(image: Image.Image, *rest: object) -> np.ndarray:
        now.append(1)
        most.append(len(now))
        time.sleep(0.01)
        now.pop()
        return squared(image, *rest)

    for i in range(8):
        (tmp_path / f"{i}.png").write_bytes(encoded("PNG"))
    monkeypatch.setattr(decode, "_square", slow)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    read_files(image_files(tmp_path), 8)
    assert max(most) > 1
    most.clear()
    monkeypatch.setitem(limits.MAX_PIXELS, "PNG", 60 * 90)
    assert len(read_files(image_files(tmp_path), 8)[0]) == 8
    assert max(most) == 1


def test_picture_beyond_memory_is_unusable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    monkeypatch.setattr(decode, "_square", full)
    with pytest.raises(DataError, match="does not fit into memory: make it smaller"):
        read_image(tmp_path / "a.png", 8)
