"""Overview of a model: mistakes, neighbors and weight images."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from plainnet.config import TrainConfig
from plainnet.data.images import ImageSchema
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.evaluate.per_example import NamedExamples, read_rows
from plainnet.explain.global_explanation import explain_model
from plainnet.explain.images import contact_sheet, first_weights, png, png_uri
from plainnet.explain.mistakes import confident_mistakes
from plainnet.explain.neighbors import nearest
from plainnet.model import Model
from plainnet.nn import (
    BinaryCrossEntropy,
    Dense,
    LayerNorm,
    MeanSquaredError,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    mlp,
)
from plainnet.report import text as sentences
from plainnet.report.explanation_page import global_explanation_page
from plainnet.training import train


def line_model(task, classes=(), columns=("y",), loss=None, n_out=1):
    """Create a model of one feature x whose outputs are the first weights times x."""
    table = pd.DataFrame({"x": [-1.0, 1.0]})  # mean 0, deviation 1
    statistics = ((0.0,) * n_out, (10.0,) * n_out) if task == "regression" else ((), ())
    net = mlp(1, hidden=(), n_out=n_out)
    W = np.arange(1, n_out + 1, dtype="f")[:, None]
    net.params.load({"dense1.W": W, "dense1.b": np.zeros(n_out, "f")})
    target = Target(task, columns, classes, *statistics)
    return Model(TableSchema.infer(table), target, net, loss)


def rows(x, y, dtype=np.float32):
    X = np.array(x, np.float32)[:, None]
    return NamedExamples(tuple(f"r{i}" for i in range(len(x))), X, np.array(y, dtype))


def test_most_confident_mistakes_by_hand():
    """p = sigmoid(x): 0.9526 predicts yes, 0.2689 no, 0.8808 yes; the last row is right."""
    model = line_model("binary", ("no", "yes"), loss=BinaryCrossEntropy())
    found = confident_mistakes(model, rows([3, -1, 2, 5], [0, 1, 0, 1]))
    assert [(one.row, one.name, one.predicted, one.true) for one in found] == [
        (0, "r0", "yes", "no"),
        (2, "r2", "yes", "no"),
        (1, "r1", "no", "yes"),
    ]
    assert [one.confidence for one in found] == pytest.approx(
        [0.952574, 0.880797, 0.731059], abs=1e-6
    )
    assert found[0].loss == pytest.approx(np.log1p(np.exp(3)))
    assert [
        one.name for one in confident_mistakes(model, rows([3, -1, 2, 5], [0, 1, 0, 1]), n=1)
    ] == ["r0"]
    assert confident_mistakes(model, rows([1, 2], [1, 1])) == []


def test_mistakes_of_classes_labels_and_numbers():
    classes = line_model(
        "multiclass", ("a", "b", "c"), loss=SoftmaxCrossEntropy(), n_out=3
    )  # the larger x, the more c; below 0, a
    found = confident_mistakes(classes, rows([1, 4, -2, 2], [0, 0, 0, 2], np.int64))
    assert [(one.name, one.predicted, one.true) for one in found] == [
        ("r1", "c", "a"),
        ("r0", "c", "a"),
    ]
    labels = line_model("multilabel", ("a", "b"), loss=BinaryCrossEntropy(), n_out=2)
    found = confident_mistakes(labels, rows([1, -1, 2], [[1, 1], [0, 1], [0, 0]]))
    assert [(one.name, one.predicted, one.true, one.error) for one in found] == [
        ("r2", "a;b", "none", 1.0),
        ("r1", "none", "b", 0.5),
    ]
    assert found[1].confidence == pytest.approx(1 / (1 + np.exp(-2)))
    numbers = line_model("regression", loss=MeanSquaredError())
    found = confident_mistakes(numbers, rows([1, 2], [[1.5], [0.0]]))
    assert [(one.name, one.predicted, one.true) for one in found] == [
        ("r1", "20", "0"),
        ("r0", "10", "15"),
    ]
    assert [one.error for one in found] == pytest.approx([20, 5])
    assert found[0].confidence is None


def test_neighbors_are_nearest_in_the_last_layer():
    """relu(x) is 0 for all x below 0, so the network cannot distinguish them."""
    net = Sequential([Dense(1, init="ones"), ReLU(), Dense(1)], n_in=1)
    table = pd.DataFrame({"x": [-1.0, 1.0]})
    target = Target("binary", ("y",), ("no", "yes"))
    model = Model(TableSchema.infer(table), target, net, BinaryCrossEntropy())
    data = rows([0.5, -9, -3.5, 3], [1, 0, 0, 1])
    found = nearest(model, np.array([-3.0], np.float32), data, n=3)
    assert [(one.name, one.distance, one.input_distance, one.true) for one in found] == [
        ("r2", 0.0, 0.5, "no"),
        ("r1", 0.0, 6.0, "no"),
        ("r0", 0.5, 3.5, "yes"),
    ]
    assert len(nearest(model, np.array([0.0], np.float32), data, n=99)) == 4


def test_training_sample_is_its_own_neighbor():
    model = train(introverts(300), TrainConfig(epochs=3, batch_norm=True)).model
    data = read_rows(model, introverts(300))
    before = model.net.params.theta.copy(), data.X.copy()
    found = nearest(model, data.X[270], data, n=3)
    assert 0.0 in [one.input_distance for one in found]
    assert found[0].distance <= 1e-5
    np.testing.assert_array_equal(model.net.params.theta, before[0])
    np.testing.assert_array_equal(data.X, before[1])


# --- pictures ------------------------------------------------------------------------------------


def picture_model(W, size=2):
    """Create a picture model with the given first weights."""
    W = np.array(W, "f").reshape(len(W), -1)
    net = mlp(size * size * 3, hidden=(len(W),))
    net.params.views["dense1.W"][...] = W
    schema = ImageSchema(size, (0.0,) * 3, (1.0,) * 3)
    return Model(schema, Target("binary", ("c",), ("a", "b")), net, BinaryCrossEntropy())


def test_weight_images_show_weights_at_their_pixels():
    W = np.zeros((3, 2, 2, 3))
    W[0, 0, 1, 2] = 4.0  # blue of the upper right
    W[1, 1, 0] = (-0.5, 0.25, 0)
    pixels = first_weights(picture_model(W))
    assert pixels.dtype == np.uint8
    assert pixels[0, 0, 1].tolist() == [128, 128, 255]
    assert pixels[1, 1, 0].tolist() == [0, 191, 128]
    assert (pixels[2] == 128).all()


def test_other_models_have_no_weight_images():
    table = train(introverts(50), TrainConfig(epochs=1)).model
    assert first_weights(table) is None
    net = Sequential([LayerNorm(), Dense(1)], n_in=12)
    schema = ImageSchema(2, (0.0,) * 3, (1.0,) * 3)
    model = Model(schema, Target("binary", ("c",), ("a", "b")), net, BinaryCrossEntropy())
    assert first_weights(model) is None


def test_png_preserves_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(np.array(Image.open(io.BytesIO(png(pixels)))), pixels)
    assert png_uri(pixels).startswith("data:image/png;base64,iVBOR")


def test_sheet_contains_every_picture():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 3), np.uint8)
    sheet = contact_sheet(pictures, columns=2, gap=1)
    assert sheet.shape == (3 * 5 - 1, 2 * 4 - 1, 3)
    assert np.array_equal(sheet[:4, :3], pictures[0])
    assert np.array_equal(sheet[5:9, 4:], pictures[3])
    assert (sheet[10:, 4:] == 255).all()


# --- the global explanation -----------------------------------------------------------------------


def test_table_overview_and_page():
    hostile = "<img src=x onerror=alert(1)>"
    frame = introverts(200).rename(columns={"Stage_fear": hostile})
    model = train(frame, TrainConfig(epochs=10)).model
    result = explain_model(model, read_rows(model, frame), repeats=2, n=4)
    assert (result.rows, len(result.mistakes), result.weights, result.gallery) == (
        200,
        4,
        None,
        None,
    )
    predicted = model.predict(frame)
    assert result.wrong == int((predicted != frame["Personality"]).sum())
    json.dumps(result.to_json(), allow_nan=False)
    text = global_explanation_page(result, hostile, hostile)
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "Permutation importance" in text


def test_picture_overview_and_page():
    X, y, classes = pandas_and_bears(20, size=8)
    model = train((X, y, classes), TrainConfig(hidden=(3,), epochs=1)).model
    names = tuple(f"{i}.png" for i in range(20))
    wrong = (model.predictions(X)[:, 0] < 0.5).astype(np.float32)  # the opposite of its predictions
    result = explain_model(model, NamedExamples(names, X, wrong), repeats=1, n=3)
    assert result.wrong == 20
    assert result.weights.shape == (3, 8, 8, 3)
    assert np.array_equal(result.gallery, X[[one.row for one in result.mistakes]])
    text = global_explanation_page(result, "model")
    of_classes = np.minimum(4, np.bincount(wrong.astype(int))).sum()
    assert text.count('src="data:image/png;base64,') == 3 + 3 + of_classes
    assert 'alt="weights of unit 3"' in text
    right = explain_model(model, NamedExamples(names, X, 1 - wrong), repeats=1)
    assert (right.wrong, right.gallery) == (0, None)
    assert "0 of 20 samples are misclassified." in global_explanation_page(right, "model")


def test_regression_overview():
    frame = introverts(80).assign(price=lambda f: 2.5 * f["Friends_circle_size"].astype(float))
    frame = frame.dropna(subset=["price"])
    model = train(frame, TrainConfig(epochs=3, target=("price",))).model
    result = explain_model(model, read_rows(model, frame), repeats=2, n=2)
    assert result.wrong is None
    assert "MAE rises by" in global_explanation_page(result, "m")
    assert len(result.mistakes) == 2


@pytest.mark.parametrize(("known", "reported"), [(0, False), (4, False), (60, True), (100, True)])
def test_training_samples_are_reported(known, reported):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((400, 3)), columns=["a", "b", "c"])
    frame["y"] = rng.choice(["no", "yes"], 400)
    model = train(frame.iloc[:200], TrainConfig(epochs=1, test_fraction=0)).model
    given = frame.iloc[[*range(known), *range(200, 300 - known)]]
    result = explain_model(model, read_rows(model, given), repeats=1)
    assert result.trained_on.low <= known / 100 <= result.trained_on.high
    assert result.to_json()["trained_on"] == result.trained_on._asdict()
    text = sentences.caution(result)
    caution_text = (
        f"The model was trained on at least {100 * result.trained_on.low:.1f} % of these samples: "
        "expect more errors on others."
    )
    assert text == (caution_text if reported else "")
    assert (text in global_explanation_page(result, "m")) or not text


def test_training_samples_are_unknown_without_fingerprints():
    frame = introverts(60)
    model = train(frame, TrainConfig(epochs=1, fingerprints=False)).model
    result = explain_model(model, read_rows(model, frame), repeats=1)
    assert result.trained_on is result.to_json()["trained_on"] is None
    assert sentences.caution(result) == ""
