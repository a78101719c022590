"""Maps of a picture point to the pixels that a prediction depends on."""

import numpy as np
import pytest

from plainnet.data.images import ImageSchema
from plainnet.data.targets import Target
from plainnet.explain.example import explain
from plainnet.explain.maps import activation_sheet, image_maps, overlays
from plainnet.model import Model
from plainnet.nn import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential
from plainnet.nn.losses import losses_for
from plainnet.report.explanation_page import explanation_page

SIZE = 24


def made(layers, task="multiclass", seed=3):
    classes = ("a", "b") if task == "binary" else ("a", "b", "c")
    target = Target(task, ("class",), classes)
    schema = ImageSchema(SIZE, (100.0,) * 3, (50.0,) * 3)
    net = Sequential([*layers, Dense(target.n_out)], schema.shape, seed=seed)
    return Model(schema, target, net, losses_for(task)[0]())


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_maps_of_a_model_that_sees_one_corner(task):
    model = made([Flatten()], task)
    W = model.net.params.views["dense1.W"].reshape(-1, SIZE, SIZE, 3)
    W[:, 8:] = W[:, :, 8:] = 0
    W *= 0.1
    pixels = picture()
    maps = image_maps(model, pixels)
    assert np.abs(maps.occlusion[:8, :8]).max() > 1e-3
    away = np.ones((SIZE, SIZE), bool)
    away[: 8 + maps.square, : 8 + maps.square] = False
    np.testing.assert_allclose(maps.occlusion[away], 0, atol=1e-6)
    a = model.predictions(pixels[np.newaxis])[0]
    unit = int(a.argmax()) if task == "multiclass" else 0
    np.testing.assert_allclose(maps.gradient, np.linalg.norm(W[unit], axis=-1), rtol=1e-5)
    assert maps.output == f"probability of {model.predict(pixels[np.newaxis])[0]}"


def test_covering_what_speaks_for_a_class_lowers_it():
    """One bright square makes the class, so that covering it takes the probability away."""
    model = made([Flatten()], "binary")
    W = model.net.params.views["dense1.W"].reshape(1, SIZE, SIZE, 3)
    W[...] = 0
    W[:, 10:14, 10:14] = 0.1
    pixels = np.full((SIZE, SIZE, 3), 90, np.uint8)
    pixels[10:14, 10:14] = 250
    maps = image_maps(model, pixels)
    assert maps.output == "probability of b"
    assert maps.occlusion.max() > 0.1
    i, j = np.unravel_index(maps.occlusion.argmax(), maps.occlusion.shape)
    assert 10 <= i < 14
    assert 10 <= j < 14
    heat, _ = overlays(pixels, maps)
    red, _, blue = heat[i, j].astype(int)
    assert red > blue + 100


def test_page_shows_the_activations_of_each_filter():
    model = made([Conv2D(5), ReLU(), MaxPool2D(), Flatten()])
    explanation = explain(model, picture()[np.newaxis], label="b")
    assert explanation.trace.ok  # also of kernels and of the maxima
    text = explanation_page(explanation)
    for layer in ("conv2d1", "relu1", "maxpool2d1"):
        assert f'alt="The output of each filter of {layer}"' in text
    assert "The output of each filter of flatten1" not in text
    assert explanation.to_json()["maps"]["occlusion"]["shape"] == [SIZE, SIZE]


def test_sheet_of_activations():
    output = np.zeros((4, 6, 10))
    output[0, 0, 9], output[1, 1, 9] = 2.0, -2.0
    sheet = activation_sheet(output)
    assert sheet.shape[2] == 3
    tile = sheet[-4:, 7:13]  # the second of the second line
    assert tile[..., 0].tolist()[:2] == [[255, *[128] * 5], [128, 0, *[128] * 4]]
