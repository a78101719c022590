"""Gray pictures: one channel is kept, and color pictures become gray for such a model."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plainnet import Model, TrainConfig
from plainnet.data.images import read_images
from plainnet.data.synthetic import pandas_and_bears
from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines.baseline import stored_baselines
from plainnet.training import train


def write(folder: Path, X: np.ndarray, y: np.ndarray, mode: str) -> Path:
    for i, (pixels, k) in enumerate(zip(X, y, strict=True)):
        (folder / f"class{k:03}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(folder / f"class{k:03}" / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    X, y, _ = pandas_and_bears(20, size=12)
    folder = tmp_path_factory.mktemp("pictures")
    return write(folder / "gray", X, y, "L"), write(folder / "color", X, y, "RGB")


def test_gray_folder_keeps_one_channel(folders: tuple[Path, Path]) -> None:
    gray, color = (read_images(folder, 12).X for folder in folders)
    assert (gray.shape, color.shape) == ((20, 12, 12, 1), (20, 12, 12, 3))
    expected = [np.asarray(Image.fromarray(x).convert("L")) for x in color]
    np.testing.assert_array_equal(gray[..., 0], expected)
    np.testing.assert_array_equal(read_images(folders[1], 12, channels=1).X, gray)


@pytest.mark.parametrize("network", ["convnet", "mlp"])
def test_gray_model_predicts_color_pictures_as_gray(
    folders: tuple[Path, Path], network: str, tmp_path: Path
) -> None:
    model = train(folders[0], TrainConfig(network=network, size=12, epochs=2)).model
    model.save(tmp_path / "model.safetensors")
    model = Model.load(tmp_path / "model.safetensors")
    assert model.schema.shape == (12, 12, 1)
    assert model.net.layers[0].W.shape[-1] == (1 if network == "convnet" else 144)
    gray, color = (model.predict_proba(folder / "class001") for folder in folders)
    np.testing.assert_array_equal(gray, color)
    array = read_images(folders[1], 12).X[10:]
    np.testing.assert_array_equal(model.predict_proba(array), gray)


def test_color_model_takes_gray_files_but_no_gray_arrays(folders: tuple[Path, Path]) -> None:
    model = train(folders[1], TrainConfig(size=12, epochs=1)).model
    assert len(model.predict(folders[0] / "class000")) == 10
    with pytest.raises(PlainnetError, match=r"pictures must be uint8 \(m, 12, 12, 3\), got uint8"):
        model.predict(read_images(folders[0], 12).X)


@pytest.mark.parametrize(
    ("side", "size", "classes", "per_class"),
    [(2, 1, 2, 6), (2, 32, 2, 6), (5, 3, 2, 6), (300, 32, 2, 6), (9, 8, 100, 2)],
    ids=["to 1x1", "2x2 enlarged", "to 3x3", "300x300", "100 classes"],
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_odd_folders_train(
    side: int, size: int, classes: int, per_class: int, mode: str, tmp_path: Path
) -> None:
    X = np.random.default_rng(0).integers(0, 256, (classes * per_class, side, side, 3), np.uint8)
    folder = write(tmp_path / "pictures", X, np.arange(len(X)) % classes, mode)
    model = train(folder, TrainConfig(size=size, epochs=1)).model
    predictions = model.predict(folder / "class000")
    assert len(predictions) == per_class
    assert {str(name) for name in predictions} <= {f"class{k:03}" for k in range(classes)}


def test_pictures_of_one_pixel_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", np.zeros((4, 1, 1, 3), np.uint8), np.arange(4) % 2, "L")
    with pytest.raises(PlainnetError, match="1 x 1 pixels is too small: at least 2 a side"):
        train(folder, TrainConfig())


def test_one_picture_per_class_trains_without_held_out_ones(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", pandas_and_bears(4, size=12)[0], np.arange(4), "RGB")
    with pytest.raises(PlainnetError, match="the class 'class000' has 1 row, but a split needs"):
        train(folder, TrainConfig())
    model = train(folder, TrainConfig(size=12, test_fraction=0.0)).model
    assert model.predict(folder / "class002").tolist() == ["class002"]


def test_two_pictures_in_all_train_without_held_out_ones(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", pandas_and_bears(2, size=12)[0], np.arange(2), "RGB")
    config = TrainConfig(size=12, test_fraction=0.0, epochs=40)
    assert train(folder, config).model.predict(folder).tolist() == ["class000", "class001"]


def test_files_of_every_kind_train_together(tmp_path: Path) -> None:
    """Gray among color, an animation, 16 bits, transparency, CMYK, a palette, a turned photo."""
    (left, right), classes = pandas_and_bears(2, size=20)[0], ("a", "b")
    one, other = Image.fromarray(left), Image.fromarray(right)
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.asarray(one.convert("L")).astype(np.uint16) * 257)
    for name, image, options in (
        ("gray.png", one.convert("L"), {}),
        ("color.png", one, {}),
        ("deep.png", deep, {}),
        ("moving.gif", one, {"save_all": True, "append_images": [other]}),
        ("clear.png", one.convert("RGBA"), {}),
        ("gray-clear.png", one.convert("LA"), {}),
        ("print.jpg", one.convert("CMYK"), {}),
        ("palette.png", one.quantize(16), {}),
        ("turned.jpg", one.transpose(Image.Transpose.ROTATE_90), {"exif": turned}),
    ):
        for folder in classes:
            (tmp_path / folder).mkdir(exist_ok=True)
            image.save(tmp_path / folder / name, **options)
    images = read_images(tmp_path, 10)
    assert (images.X.shape, images.skipped) == ((18, 10, 10, 3), [])
    gray = [file.name in ("gray.png", "deep.png", "gray-clear.png") for file in images.files]
    np.testing.assert_array_equal(np.ptp(images.X, axis=3).max(axis=(1, 2)) == 0, gray)
    exact = images.X[[file.name == "color.png" for file in images.files]][0].astype(int)
    similar = images.X[[not g for g in gray]]
    assert np.abs(similar - exact).mean(axis=(1, 2, 3)).max() < 12  # JPEG and 16 colors lose a bit
    model = train(tmp_path, TrainConfig(size=10, epochs=1)).model
    assert len(model.predict(tmp_path / "a")) == 9


def test_gray_pictures_have_a_brightness_and_no_colors(folders: tuple[Path, Path]) -> None:
    texts = []
    for folder in folders:
        run = train(folder, TrainConfig(size=12, epochs=1, standardize=False))
        baselines = stored_baselines(run.model)
        texts.append("; ".join(one.describe(run.model.target)[1] for one in baselines))
    assert "two numbers of brightness" in texts[0]
    assert not re.search("color|red|saturation", texts[0])
    assert "seven numbers of color" in texts[1]


def test_full_size_of_a_large_picture(tmp_path: Path) -> None:
    X = np.random.default_rng(0).integers(0, 256, (4, 300, 300, 3), np.uint8)
    folder = write(tmp_path / "pictures", X, np.arange(4) % 2, "L")
    config = TrainConfig(size=300, epochs=1, channels=(4, 4), test_fraction=0.0)
    assert train(folder, config).model.net.in_shape == (300, 300, 1)
