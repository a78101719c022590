"""Exported pages in a browser compute the model's predictions."""

import base64
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chromium
from export.models import (
    EVIL,
    activations,
    convolutional_models,
    frame,
    picture_model,
    table_model,
    table_models,
)
from export.runtimes import untrained
from export.test_python import picture
from plainnet.cli.commands.predict import Predictions
from plainnet.data.columns import number_from_text, text_from_number
from plainnet.data.images import read_files
from plainnet.export.html import to_html
from plainnet.export.python import to_python
from plainnet.model import Model
from plainnet.nn.network import mlp

pytestmark = chromium.needs_chromium

# Types into the form what a person would: cells[i] is text, or null where it is missing.
FILL = """
(cells) => {
  FIELDS.forEach((field, i) => {
    const { kind, levels } = MODEL.columns[i], cell = cells[i];
    const choose = (words) => [...field.options].find((option) => option.text === words).value;
    if (cell === null) field.value = "";
    else if (kind === "number") field.value = cell;
    else if (kind === "indicator") field.value = choose("a value");
    else if (kind === "yesno") field.value = choose("yt".includes(cell[0].toLowerCase()) ? "Yes" : "No");
    else field.value = levels.includes(cell) ? levels.indexOf(cell) : choose("another value");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return answer();
}
"""  # noqa: E501
ANSWER = """
void (window.answer = () => [...document.querySelectorAll("#lines li")].map((item) => (
  [item.querySelector("bdi").textContent, Number(item.querySelector("data").value)])));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return a function that opens a model's page in a shared browser."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text("<!DOCTYPE html><title>nothing yet</title>")
    with chromium.opened(file) as tab:

        def visit(model):
            file.write_text(to_html(model), encoding="utf-8")
            tab.load(file)
            tab.evaluate(ANSWER)
            return tab

        yield visit
        assert tab.messages == []


def answers(model, A):
    """Return the expected values of the page, by name."""
    if model.target.task == "regression":
        return dict(zip(model.target.columns, model.target.decode(A)[0], strict=True))
    shares = [1 - A[0, 0], A[0, 0]] if model.target.task == "binary" else A[0]
    return dict(zip(model.target.classes, shares, strict=True))


def rows():
    """Rows of the table, an empty one, and one with unknown values."""
    table = frame().head(4).reset_index(drop=True)
    table.loc[4] = None
    table.loc[5] = ["1,234", "-3.5e4", "1.234,5", "+1e-7", "yes", "F", "?!", "Rome", *[None] * 3]
    table.loc[5, "note"] = "another"
    return table.fillna("NA")


def agree(seen, model, raw):
    """Compare with the model to 1e-5, and nearly exactly with the model in double precision."""
    double = Model(model.schema, model.target, model.net.astype(np.float64), model.loss)
    unit = dict(zip(model.target.columns, model.target.scale or [1], strict=False))
    for judge, tolerance in ((model, 1e-5), (double, 1e-9)):
        expected = answers(model, activations(judge, raw))
        assert set(seen) == set(expected)
        for name, value in expected.items():
            scale = max(unit.get(name, 1), abs(value))  # far from all training: relative
            assert abs(seen[name] - value) <= tolerance * scale, (name, judge)


@pytest.mark.parametrize("name", table_models())
def test_row_prediction_matches_the_model(name, browser):
    model = table_models()[name]
    tab = browser(model)
    assert [one for one in tab.requests if not one.startswith("file:")] == []
    kept = [column.name for column in model.schema.columns if column.features]
    for i, row in rows().iterrows():
        cells = [None if row[column] == "NA" else row[column] for column in kept]
        seen = dict(tab.evaluate(FILL, cells))
        agree(seen, model, pd.DataFrame([row]))
        output = model.predict(pd.DataFrame([row]))
        if model.target.task in ("binary", "multiclass"):
            assert tab.evaluate("document.getElementById('prediction').textContent") == output[0], i


def test_page_starts_with_a_prediction_and_can_be_cleared(browser):
    model = table_models()["multiclass"]
    tab = browser(model)
    first = tab.evaluate("answer()")
    assert len(first) == 4
    tab.evaluate("document.getElementById('empty').click()")
    agree(dict(tab.evaluate("answer()")), model, rows().iloc[[4]])
    remarks = tab.evaluate("document.getElementById('remarks').innerText")
    assert "age\u2069 is missing, as in no training row: 45.5 takes its place." in remarks
    assert "income" not in remarks  # training knows what it means if that is missing
    tab.evaluate("document.querySelector('[type=reset]').click()")
    tab.evaluate("new Promise(setTimeout)")
    assert tab.evaluate("answer()") == first


WRONG = {
    "twelve": "not a number",
    "1_000": "not a number",
    "inf": "too large",
    "1e999": "too large",
}
WRONG |= {
    "Nan": "not a number",
    "0x10": "not a number",
    "12,5": "not a number",
    "-": "not a number",
}


def test_invalid_number_is_marked_without_prediction(browser):
    tab = browser(table_models()["binary"])
    for text, says in WRONG.items():
        tab.evaluate(f"FIELDS[0].value = {json.dumps(text)}; predict()")
        assert says in tab.evaluate("document.getElementById('complaint-0').textContent"), text
        assert tab.evaluate("FIELDS[0].getAttribute('aria-invalid')") == "true"
        assert tab.evaluate("answer()") == []
    tab.evaluate("FIELDS[0].value = '99'; predict()")
    assert len(tab.evaluate("answer()")) == 2
    assert "outside the training range, 18 to 79" in tab.evaluate("document.body.innerText")


def test_numbers_are_parsed_as_in_the_model(browser):
    tab = browser(table_models()["binary"])
    rng = np.random.default_rng(3)
    letters = [*"0123456789" * 3, *"..,,,+-eE_ ", "inf", "nan", "000", *"٣५７𝟗𞥕−"]
    texts = ["".join(rng.choice(letters, rng.integers(1, 8))).strip() for _ in range(5000)]
    texts += ["1,234", "1,234.5", "1.234,5", "1e3", "1E-3", "１２", "١٢٫٥", "𝟙𝟚.𝟝", "Infinity"]
    for decimal in (".", ","):
        script = f"{json.dumps(texts)}.map((text) => String(numberFrom(text, '{decimal}')))"
        expected = [number_from_text(text, decimal) for text in texts]
        assert sum(np.isfinite(expected)) > 500
        np.testing.assert_array_equal(np.array(tab.evaluate(script), float), expected)


def test_prediction_text_matches_the_other_exports(browser, tmp_path, capsys):
    """The same text on the page, from the Python file and from `plainnet predict`."""
    table = pd.DataFrame({"x": [0, 1], "y": [1.6e9, 1_600_000_257]})
    model = untrained(table, ["y"], task="regression", dtype=np.float64)
    model.net.params.theta[:] = [1, 0]  # the standardized x is the standardized y
    table.to_csv(tmp_path / "rows.csv", index=False)
    program = {"__name__": "program"}
    exec(to_python(model), program)
    program["main"]([str(tmp_path / "rows.csv")])
    expected = "row,prediction\n1,1600000000\n2,1600000257\n"
    assert capsys.readouterr().out == expected
    A = activations(model, table)
    assert Predictions(model.target, "row", ["1", "2"], A).csv() == expected
    tab = browser(model)
    for x, text in (("0", "1600000000"), ("1", "1600000257")):
        tab.evaluate(f"FIELDS[0].value = '{x}'; predict()")
        assert tab.evaluate("document.getElementById('prediction').textContent") == text


def test_number_formatting_matches_python(browser):
    tab = browser(table_models()["regression"])
    rng = np.random.default_rng(4)
    values = (rng.normal(size=2000) * 10.0 ** rng.integers(-12, 25, 2000)).tolist()
    values += [0.0, -0.0, 1e-6, 1e-7, 1e21, 1e20, 1e15, 2.0**53, 0.1]
    output = tab.evaluate(f"{json.dumps(values)}.map(String)")
    assert output == [text_from_number(value) for value in values]


def test_many_levels_and_hostile_names(browser):
    """Table text is neither code nor markup, and each level sets its own feature."""
    tab = browser(table_models()["binary"])
    assert tab.evaluate("document.querySelectorAll('script').length") == 2
    place = tab.evaluate("MODEL.columns.findIndex((column) => column.name.includes('alert'))")
    assert tab.evaluate(f"MODEL.columns[{place}].name") == EVIL
    assert tab.evaluate(f"document.querySelector('label[for=column-{place}]').textContent") == EVIL


# --- pictures ----------------------------------------------------------------------------------


def look(tab, file):
    """Choose a file as a user does; return the page's pixels and prediction."""
    tab.page.set_input_files("#file", file)
    found = tab.evaluate("squareOf(CHOICE.files[0], MODEL.picture.size).then((s) => [...s.data])")
    size = tab.evaluate("MODEL.picture.size")
    return np.array(found, np.uint8).reshape(size, size, 3), dict(tab.evaluate("answer()"))


EXACT = {
    "photo.png": ("RGB", (640, 480), {}),
    "wide.png": ("RGB", (301, 20), {}),
    "tall.png": ("RGB", (47, 90), {}),
    "same.png": ("RGB", (8, 8), {}),
    "tiny.png": ("RGB", (2, 5), {}),
    "gray.png": ("L", (40, 30), {}),
    "clear.png": ("RGBA", (200, 150), {}),
    "clear gray.png": ("LA", (31, 17), {}),
    "palette.gif": ("P", (33, 21), {}),
    "bits.png": ("1", (33, 21), {}),
    "photo.webp": ("RGB", (120, 90), {"lossless": True}),
    "small.jpg": ("RGB", (47, 60), {"quality": 90}),
    "print.jpg": ("CMYK", (50, 20), {}),
}


def test_picture_prediction_matches_the_model(browser, tmp_path):
    model = picture_model(8)
    tab = browser(model)
    files = []
    for name, (mode, size, options) in EXACT.items():
        files.append(tmp_path / name)
        picture(files[-1], mode, size, **options)
    for orientation in range(1, 9):
        for form in ("jpg", "png", "webp"):
            files.append(tmp_path / f"{orientation}.{form}")
            options = {"lossless": True} if form == "webp" else {}
            picture(files[-1], "RGB", (45, 41), orientation, **options)
    for file in files:
        square, seen = look(tab, file)
        X = read_files([file], 8)[0][0]
        np.testing.assert_array_equal(square, X, file.name)
        agree(seen, model, X[np.newaxis])
    assert [one for one in tab.requests if not one.startswith("file:")] == []


@pytest.mark.parametrize("task", ["binary", "regression", "multilabel"])
def test_every_picture_task(task, browser, tmp_path):
    model = picture_model(8, task)
    picture(tmp_path / "a.png", "RGB", (60, 50))
    square, seen = look(browser(model), tmp_path / "a.png")
    agree(seen, model, square[np.newaxis])


@pytest.mark.parametrize("name", convolutional_models())
def test_convolutional_networks(name, browser, tmp_path):
    model = convolutional_models()[name]
    picture(tmp_path / "a.png", "RGB", (60, 50))
    square, seen = look(browser(model), tmp_path / "a.png")
    agree(seen, model, square[np.newaxis])


@pytest.mark.parametrize(("side", "share"), [(64, 0.35), (100, 0.35), (250, 0.1)])
def test_large_jpeg_agrees_within_one_level(side, share, browser, tmp_path):
    """Pillow reduces JPEGs while decoding, which a page cannot do."""
    for quality in (75, 95):
        file = tmp_path / f"{quality}.jpg"
        picture(file, "RGB", (side + side // 3, side), quality=quality, subsampling=0)
        square, _ = look(browser(picture_model(8)), file)
        off = np.abs(square.astype(int) - read_files([file], 8)[0][0])
        assert off.max() <= 1
        assert np.mean(off > 0) <= share


def test_resizing_matches_pillow(browser):
    tab = browser(picture_model(8))
    rng = np.random.default_rng(4)
    for _ in range(40):
        width, height, size = (int(n) for n in rng.integers(2, 70, 3))
        if rng.random() < 0.3:
            width, height = 9 * width, 5 * height
        X = rng.integers(0, 256, (height, width, 3), np.uint8)
        expected = Image.fromarray(X).resize(
            (size, size), Image.Resampling.BICUBIC, reducing_gap=3.0
        )
        text = base64.b64encode(X.tobytes()).decode()
        image = f"{{ width: {width}, height: {height}, depth: 3, data: Uint8Array.from(atob('{text}'), (c) => c.charCodeAt(0)) }}"  # noqa: E501
        found = tab.evaluate(f"[...resized({image}, {size}).data]")
        np.testing.assert_array_equal(
            np.reshape(found, (size, size, 3)), np.asarray(expected), f"{width} {height} {size}"
        )


def test_dropped_files(browser, tmp_path):
    model = picture_model(8)
    tab = browser(model)
    drop = """
      async ([bytes, name]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], name));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
        await new Promise((done) => setTimeout(done, 300));
        return document.getElementById("prediction").textContent;
      }
    """

    def dropped(content, name):
        return tab.evaluate(drop, [[*content], name])

    picture(tmp_path / "a.png", "RGB", (20, 20))
    output = dropped((tmp_path / "a.png").read_bytes(), "a.png")
    X = read_files([tmp_path / "a.png"], 8)[0]
    assert output == model.predict(X)[0]
    assert tab.evaluate("document.getElementById('square').getAttribute('aria-label')") == (
        "a.png in 8 by 8 pixels"
    )
    Image.new("RGB", (1, 5)).save(tmp_path / "line.png")
    assert dropped((tmp_path / "line.png").read_bytes(), "line.png") == (
        "line.png is too small: each side needs at least 2 pixels."
    )
    refused = dropped(b"no picture", "<b>.txt")
    assert refused == "<b>.txt is not a picture that this browser can open."
    assert tab.evaluate("answer()") == []
    assert tab.evaluate("document.getElementById('seen').hidden") is True


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1200, False)])
@pytest.mark.parametrize("name", ["multiclass", "picture"])
def test_page_fits_and_is_accessible(name, width, dark, tmp_path):
    file = tmp_path / "page.html"
    many = table_model(lambda n, k: mlp(n, (4,), k), "multiclass")
    file.write_text(to_html(picture_model(8) if name == "picture" else many), encoding="utf-8")
    with chromium.opened(file, width=width, dark=dark) as tab:
        assert tab.messages == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        nodes = tab.accessibility_tree()
        if name == "multiclass":  # a person without a mouse
            tab.evaluate("FIELDS[0].focus()")
            tab.page.keyboard.insert_text("1")
            for _ in range(9):  # past the other fields
                tab.page.keyboard.press("Tab")
            assert tab.evaluate("document.activeElement.type") == "reset"
            assert tab.evaluate("FIELDS[0].value") in ("145.5", "45.51", "1")
    assert {"main", "heading", "status"} <= {role for role, _ in nodes}
    controls = [name for role, name in nodes if role in ("textbox", "combobox", "button")]
    assert controls
    assert all(controls)
