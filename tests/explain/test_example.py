"""Explanations of one row or picture: every task, and agreement with the model."""

import html
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
from plainnet.errors import DataError
from plainnet.evaluate.per_example import read_rows
from plainnet.explain.example import explain, input_names
from plainnet.explain.neighbors import nearest
from plainnet.model import Model
from plainnet.nn import BinaryCrossEntropy, mlp
from plainnet.report.explanation_page import explanation_page
from plainnet.report.text import cells_table, headline
from plainnet.training import train


def frame(m=60, seed=0):
    rng = np.random.default_rng(seed)
    number = rng.normal(5, 2, m).round(2)
    color = rng.choice(["red", "green", "blue"], m)
    return pd.DataFrame(
        {
            "number": np.where(rng.random(m) < 0.2, "", number.astype(str)),
            "color": color,
            "yes": rng.choice(["Yes", "No"], m),
            "binary": np.where(number > 5, "big", "small"),
            "class": color,
            "tags": [
                f"{c};{'big' if n > 5 else 'small'}" for c, n in zip(color, number, strict=True)
            ],
            "a": np.where(number > 5, "1", "0"),
            "b": np.where(color == "red", "1", "0"),
            "price": (10 * number + 3).round(3).astype(str),
            "weight": (number - 1).round(3).astype(str),
        }
    )


TARGETS = {
    "binary": ("binary",),
    "multiclass": ("class",),
    "multilabel of one column": ("tags",),
    "multilabel of two columns": ("a", "b"),
    "regression": ("price",),
    "regression of two": ("price", "weight"),
}
INPUTS = ["number", "color", "yes"]


def trained(target, **options):
    config = TrainConfig(target=target, hidden=(5,), epochs=15, lr=0.02, **options)
    return train(frame()[[*INPUTS, *target]], config).model


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_explanations_agree_with_predictions_for_every_task(target):
    model, table = trained(target), frame()
    before = model.net.params.theta.copy()
    for row in (1, 17, 60):
        explanation = explain(model, table, row)
        np.testing.assert_allclose(
            explanation.trace.a,
            model.predictions(model.preprocess(table))[row - 1],
            rtol=1e-5,
            atol=1e-6,
        )
        assert explanation.difference < 1e-5
        assert explanation.trace.ok
        y = model.target.encode(table)
        rows = model.preprocess(table)[row - 1 : row]
        Z = model.net.predict_logits(rows)
        one = model.loss.encode(y[row - 1 : row], model.net.n_out)
        assert explanation.trace.value == pytest.approx(model.loss(Z, one)[0], rel=1e-4, abs=1e-6)
        predicted = model.predict(table)[row - 1]
        if model.target.task == "regression":
            given = [float(table[name][row - 1]) for name in target]
            assert [float(t) for t in explanation.truth.split(";")] == pytest.approx(
                given, rel=1e-5
            )
            assert [value for _, value in explanation.outputs] == pytest.approx(predicted, rel=1e-4)
        elif model.target.task == "multilabel":
            assert (explanation.answer == "none") == (not predicted.any())
            assert [p >= 0.5 for _, p in explanation.outputs] == predicted.tolist()
        else:
            assert explanation.answer == predicted
            assert explanation.truth == table[target[0]][row - 1]
            assert sum(p for _, p in explanation.outputs) == pytest.approx(1)
        json.dumps(explanation.to_json(), allow_nan=False)
        assert headline(explanation).startswith(f"The model predicts {explanation.answer}")
    np.testing.assert_array_equal(model.net.params.theta, before)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_norm": True},
        {"layer_norm": True, "activation": ("gelu",)},
        {"dropout": 0.5, "activation": ("elu",)},
        {"label_smoothing": 0.1, "activation": ("tanh",)},
    ],
    ids=["batch norm", "layer norm", "dropout", "smoothing"],
)
def test_explanations_agree_with_predictions_for_every_option(options):
    model, table = trained(("binary",), **options), frame()
    explanation = explain(model, table, 5)
    assert explanation.trace.ok
    assert float(explanation.trace.a[0]) == pytest.approx(
        float(model.predict_proba(table)[4, 1]), abs=1e-6
    )


def hand_made():
    """age (mean 40, standard deviation 10, median 35) and city; z = 2 age - city=Bo + 0.5."""
    table = pd.DataFrame(
        {"age": ["30", "50", "30", "50"], "city": ["Bo", "Ål", "Bo", "Ål"], "y": ["n", "y"] * 2}
    )
    schema = TableSchema.infer(table, exclude=["y"])
    target = Target.infer(table, ["y"])
    net = mlp(schema.n_features, hidden=())
    W = np.array([[2.0, -1.0, 0.0]], "f")
    assert schema.feature_names == ("age", "city=Bo", "city=Ål")
    net.params.load({"dense1.W": W, "dense1.b": np.array([0.5], "f")})
    return Model(schema, target, net, BinaryCrossEntropy())


def test_cells_by_hand():
    """(45 - 40) / 10 = 0.5; z = 2 * 0.5 - 1 + 0.5 = 0.5; a = 1 / (1 + e^-0.5) = 0.6224593."""
    new = pd.DataFrame({"age": ["45"], "city": ["Bo"]})
    explanation = explain(hand_made(), new)
    age, city = explanation.cells
    assert (age.column, age.raw, age.how) == ("age", "45", "(45 - 40) / 10")
    assert age.features == {"age": 0.5}
    assert city.features == {"city=Bo": 1.0, "city=Ål": 0.0}
    assert cells_table(explanation).rows[1][-1] == "Bo = 1, Ål = 0"
    short = explain(hand_made(), new, entries=1)
    assert cells_table(short).rows[1][-1] == "Bo = 1, 1 others = 0"
    assert explanation.trace.steps[0].output.tolist() == [0.5]
    assert explanation.trace.a[0] == pytest.approx(0.6224593312018546, rel=1e-12)
    assert (explanation.answer, explanation.truth) == ("y", None)
    assert headline(explanation) == (
        "The model predicts y, with a probability of 62.2 %; the right answer is unknown."
    )
    assert age.code is not None
    assert age.code.file == "plainnet/data/column_kinds.py"


def test_missing_cell_and_unknown_level():
    new = pd.DataFrame({"age": [None], "city": ["Rom"]})
    explanation = explain(hand_made(), new, label="n")
    assert explanation.cells[0].raw is None
    assert explanation.cells[0].how == "missing = the median: (40 - 40) / 10"
    assert dict(explanation.cells[1].features) == {"city=Bo": 0, "city=Ål": 0}
    assert len(explanation.notes) == 2
    assert "Data row 1, column 'city': 'Rom'" in explanation.notes[1]
    assert explanation.truth == "n"
    # z = 0.5 and y = 0: log(1 + e^0.5)
    assert explanation.trace.value == pytest.approx(0.9740769841801067, rel=1e-12)


def test_row_numbers_are_preserved():
    table = introverts(40)
    model = train(table, TrainConfig(epochs=1)).model
    table.loc[3, "Personality"] = None
    explanation = explain(model, table, 4)
    assert explanation.truth is None
    assert explanation.notes == ("The row has no target, so there is no loss: give a label.",)
    assert explain(model, table, 4, label="Introvert").trace.y.tolist() == [1.0]
    np.testing.assert_allclose(
        explain(model, table, 5).trace.x, model.preprocess(table)[4], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("target", "label", "y"),
    [
        (("class",), "green", 1),
        (("tags",), "blue;big", [1, 1, 0, 0, 0]),
        (("a", "b"), "b", [0, 1]),
        (("a", "b"), "a; b", [1, 1]),
        (("a", "b"), "", [0, 0]),
    ],
)
def test_given_label(target, label, y):
    model = trained(target)
    if target == ("tags",):
        assert model.target.classes == ("big", "blue", "green", "red", "small")
    explanation = explain(model, frame()[INPUTS], label=label)
    assert np.array_equal(explanation.trace.y, y)


def test_numeric_label():
    explanation = explain(trained(("price", "weight")), frame()[INPUTS], label="53; 4")
    assert explanation.truth == "53;4"


@pytest.mark.parametrize(
    ("target", "row", "label", "message"),
    [
        (("binary",), 61, None, "there is no row 61: they are counted from 1 to 60"),
        (("binary",), 0, None, "there is no row 0: they are counted from 1 to 60"),
        (
            ("a", "b"),
            1,
            "c",
            "there is no label 'c': name some of a, b, separated by semicolons",
        ),
        (
            ("price", "weight"),
            1,
            "5",
            "the label '5' has 1 numbers where the target has 2: separate them by semicolons",
        ),
    ],
)
def test_missing_row_or_label_raises(target, row, label, message):
    with pytest.raises(DataError) as error:
        explain(trained(target), frame(), row, label=label)
    assert str(error.value) == message


def test_unknown_label_error_lists_the_classes():
    with pytest.raises(DataError, match="'huge' is not among the binary classes 'big', 'small'"):
        explain(trained(("binary",)), frame(), label="huge")


# --- pictures ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture_model():
    X, y, classes = pandas_and_bears(24, size=8)
    return train((X, y, classes), TrainConfig(hidden=(4, 3), epochs=5)).model


@pytest.fixture
def folder(tmp_path, picture_model):
    X, y, classes = pandas_and_bears(6, size=8)
    for i, one in enumerate(X):
        class_folder = tmp_path / "data" / classes[y[i]]
        class_folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(class_folder / f"{i}.png")
    return tmp_path / "data"


def test_picture_of_a_folder(picture_model, folder):
    files = sorted(folder.rglob("*.png"))
    for row, file in enumerate(files, 1):
        explanation = explain(picture_model, folder, row)
        assert explanation.name == str(file.relative_to(folder))
        assert explanation.truth == file.parent.name
        assert explanation.trace.ok
        np.testing.assert_allclose(
            explanation.trace.a,
            picture_model.predictions(picture_model.preprocess(folder))[row - 1],
            rtol=1e-4,
            atol=1e-6,
        )
        alone = explain(picture_model, file)
        assert alone.truth == file.parent.name
        assert alone.trace.value == explanation.trace.value
        assert explain(picture_model, file.parent, 1).truth == file.parent.name


def test_pictures_in_memory_have_no_label(picture_model):
    X, y, classes = pandas_and_bears(3, size=8)
    assert explain(picture_model, X, 2).truth is None
    explanation = explain(picture_model, X, 2, label=classes[y[1]])
    assert explanation.truth == classes[y[1]]
    assert np.array_equal(explanation.image.pixels, X[1])
    with pytest.raises(DataError, match="there is no picture 4: they are counted from 1 to 3"):
        explain(picture_model, X, 4)


def test_pixel_feature_names(picture_model):
    names = input_names(picture_model)
    assert len(names) == picture_model.schema.n_features
    X = np.zeros((1, 8, 8, 3), np.uint8)
    X[0, 2, 5, 1] = 255
    brightest = int(picture_model.schema.transform(X)[0].argmax())
    assert names[brightest] == "green of pixel 2, 5"


def test_pixel_conversion():
    schema = ImageSchema(1, (100.0, 50.0, 0.0), (10.0, 5.0, 1.0))
    net = mlp(3, hidden=(), init="ones")
    model = Model(schema, Target("binary", ("class",), ("a", "b")), net, BinaryCrossEntropy())
    explanation = explain(model, np.array([[[[110, 45, 2]]]], np.uint8))
    assert explanation.image.how[1] == "green: (byte - 50) / 5"
    np.testing.assert_allclose(explanation.trace.x, [1, -1, 2])
    np.testing.assert_allclose(explanation.trace.steps[0].output, [2])


# --- the page ------------------------------------------------------------------------------------

HOSTILE = '<script>alert("1")</script>'


def test_page_escapes_table_text():
    m = 30
    table = pd.DataFrame(
        {
            HOSTILE: np.arange(m).astype(str),
            "kind": [f"{HOSTILE}{i % 3}" for i in range(m)],
            "y": [f"{HOSTILE}{i % 2}" for i in range(m)],
        }
    )
    model = train(table, TrainConfig(epochs=1)).model
    explanation = explain(model, table, 2)
    rows = read_rows(model, table)
    text = explanation_page(explanation, HOSTILE, nearest(model, rows.X[1], rows, 2))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in html.unescape(text)
    for unsafe in (" style=", " onload", "http://", "https://"):
        assert unsafe not in text


def test_page_has_every_section(picture_model, folder):
    explanation = explain(picture_model, folder, 2)
    rows = read_rows(picture_model, folder)
    found = nearest(picture_model, rows.X[1], rows, 3)
    text = explanation_page(explanation, "", found, rows.X[[one.row for one in found]])
    assert text.count('src="data:image/png;base64,') == 1 + 2 + 3  # itself, maps and neighbors
    for part in ("z1", "a2", "dL/ddense1.W", "finite difference", "plainnet/nn/layers.py:"):
        assert part in text
    assert found[0].name == explanation.name
    assert "<h2" in text
    assert text.count("<h1") == 1
