"""Reports: their content, safety and accessibility."""

import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from plainnet import TrainConfig
from plainnet.data.synthetic import introverts
from plainnet.model import Model
from plainnet.report.report import report
from plainnet.training import repeat, train
from report.reports import EVIL, FINDINGS, TASKS, Page, result, text_of

tasks = pytest.mark.parametrize("task", TASKS)


@cache
def page(task, rows=True):
    return Page(text_of(task, rows))


# --- safety --------------------------------------------------------------------------------------


@tasks
def test_report_runs_nothing_and_requests_nothing(task):
    for element in page(task).elements:
        assert element["tag"] not in {"script", "iframe", "object", "embed", "link", "form", "base"}
        for name, value in element["of"].items():
            assert not name.startswith("on"), element
            assert name != "style", element
            if name in {"src", "href"}:
                assert value.startswith(("#", "data:image/png;base64,")), element
    assert "http://" not in text_of(task)
    assert "https://" not in text_of(task)


@tasks
def test_text_of_the_user_is_escaped(task):
    assert "<script" not in text_of(task)
    assert "onerror=alert(1)&gt;" in text_of(task)
    assert page(task).all("title")[0]["text"] == EVIL
    assert page(task).all("h1")[0]["text"] == EVIL


@tasks
@pytest.mark.parametrize("rows", [True, False])
def test_same_input_gives_the_same_text(task, rows):
    done = result(task)
    again = report(
        done.model,
        name=EVIL,
        rows=done.data.test if rows else None,
        source="held out",
        findings=FINDINGS,
        notes=[f"left out {EVIL}"],
        command=f"plainnet train {EVIL}",
    )
    assert again == text_of(task, rows)
    assert not re.search(r"20\d\d-\d\d-\d\d", again)  # no date


@tasks
def test_model_that_was_saved_has_the_same_report(task, tmp_path):
    done = result(task)
    done.model.save(tmp_path / "m.safetensors")
    loaded = Model.load(tmp_path / "m.safetensors")
    rows = done.data.test
    assert report(loaded, name="m", rows=rows) == report(done.model, name="m", rows=rows)
    assert report(loaded, name="m") == report(done.model, name="m")


@tasks
def test_report_changes_nothing(task, tmp_path):
    done = result(task)
    before, theta = repr(done.model.record), done.model.net.params.theta.tobytes()
    report(done.model, name="m", rows=done.data.test)
    assert repr(done.model.record) == before
    assert done.model.net.params.theta.tobytes() == theta


# --- accessibility -------------------------------------------------------------------------------


@tasks
@pytest.mark.parametrize("rows", [True, False])
def test_headings_are_in_order(task, rows):
    levels = [int(one["tag"][1]) for one in page(task, rows).all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@tasks
def test_page_has_a_language_and_landmarks(task):
    assert page(task).all("html")[0]["of"]["lang"] == "en"
    assert len(page(task).all("main")) == 1
    assert page(task).all("nav")[0]["of"]["aria-label"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        one["of"] for one in page(task).all("meta")
    ]


@tasks
def test_pictures_and_charts_have_text_alternatives(task):
    document = page(task)
    texts = {one["of"]["id"]: one["text"] for one in document.elements if "id" in one["of"]}
    for picture in document.all("img"):
        assert len(picture["of"]["alt"]) > 10
    drawings = [one for one in document.all("svg") if "aria-hidden" not in one["of"]]
    assert len(drawings) >= 3
    for drawing in drawings:
        assert drawing["of"]["role"] == "img"
        assert all(texts[one] for one in drawing["of"]["aria-labelledby"].split())


@tasks
def test_tables_have_captions_and_heads_with_scope(task):
    document = page(task)
    assert len(document.all("table")) == len(document.all("caption")) >= 4
    assert all(one["text"] for one in document.all("caption"))
    for head in document.all("th"):
        inside = {one["tag"] for one in head["in"]}
        assert head["of"]["scope"] == ("col" if "thead" in inside else "row")


@tasks
@pytest.mark.parametrize("rows", [True, False])
def test_identifiers_are_unique_and_links_lead_somewhere(task, rows):
    document = page(task, rows)
    identifiers = [one["of"]["id"] for one in document.elements if "id" in one["of"]]
    assert len(identifiers) == len(set(identifiers))
    links = [one["of"]["href"][1:] for one in document.all("a", "use")]
    assert set(links) <= set(identifiers)


@tasks
def test_scrolling_regions_are_named_and_reachable_by_keyboard(task):
    regions = [one for one in page(task).elements if one["of"].get("role") == "region"]
    assert regions
    assert all(one["of"]["tabindex"] == "0" and one["of"]["aria-label"] for one in regions)


# --- content -------------------------------------------------------------------------------------


def headings(document):
    return [one["text"] for one in document.all("h2")]


@tasks
def test_sections(task):
    expected = ["Summary", "Findings", "Evaluation", "Training", "Data", "Reproduce"]
    if task == "pictures":
        expected.insert(3, "Pictures")
    assert headings(page(task)) == expected


@tasks
def test_scores_are_those_of_the_evaluation(task):
    found = result(task).model.record["evaluation"]
    tables = {one["text"].split("\n")[1]: one for one in page(task, False).all("table")}
    texts = next(
        one["text"] for caption, one in tables.items() if "held out in training" in caption
    )
    key = "rmse" if task == "regression" else "accuracy"
    shown = f"{100 * found[key]:.1f} %" if key == "accuracy" else f"{found[key]:.4f}"
    assert shown in texts
    for baseline in found["baselines"]:
        assert baseline["description"] in texts
    assert found["verdict"] in page(task, False).all("main")[0]["text"]
    assert f"{result(task).model.record['rows']['test']:,} " in texts


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("binary", ["roc", "precision", "calibration", "cost", "metric", "rate"]),
        ("multiclass", ["roc", "precision", "calibration", "cost", "metric", "rate"]),
        ("multilabel", ["roc", "precision", "calibration", "cost", "metric", "rate"]),
        ("regression", ["fit-1", "errors-1", "cost", "metric", "rate"]),
        ("pictures", ["roc", "precision", "calibration", "cost", "metric", "rate"]),
    ],
)
def test_charts(task, names):
    titles = [one["of"]["id"] for one in page(task).all("title")[1:]]
    assert titles == [f"{name}-title" for name in names]


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "pictures"])
def test_curves_are_drawn_from_the_record_too(task):
    titles = [one["of"]["id"] for one in page(task, False).all("title")[1:]]
    assert titles[:3] == ["roc-title", "precision-title", "calibration-title"]
    for document in (page(task), page(task, False)):
        captions = [one["text"] for one in document.all("caption")]
        unit = {"multiclass": "class", "multilabel": "label"}.get(task, "")
        assert (f"The probability of each {unit}" in captions) == (unit != "")


def test_repeated_trainings_are_in_the_report():
    frame, config = introverts(200), TrainConfig(epochs=2)
    first = train(frame, config)
    assert "with different seeds" not in report(first.model, name="m")
    found = repeat(first, frame, config, 3)
    document = Page(report(first.model, name="m"))
    facts = dict(
        zip(*([one["text"] for one in document.all(tag)] for tag in ("dt", "dd")), strict=True)
    )
    own = np.array(found.network)
    assert facts["Mean accuracy of 3 seeds"] == f"{100 * own.mean():.1f} %"
    assert facts["Standard deviation"] == f"{100 * own.std(ddof=1):.1f} %"
    assert facts["Lowest and highest"] == f"{100 * own.min():.1f} % and {100 * own.max():.1f} %"
    assert facts["Better than the best baseline"] == f"{found.better} of 3"
    assert "3 trainings with different seeds" in [one["text"] for one in document.all("caption")]


def test_report_without_data_explains_the_missing_pictures():
    alts = [one["of"]["alt"] for one in page("pictures", False).all("img")]
    assert not [alt for alt in alts if alt.startswith("Picture ")]
    texts = page("pictures", False).all("main")[0]["text"]
    assert "No pictures are shown, because a model file holds none" in texts
    for document in (page("pictures"), page("binary", False)):
        assert "No pictures are shown" not in document.all("main")[0]["text"]


def test_every_class_has_its_line_and_its_name_in_the_legend():
    legends = [one["text"].strip() for one in page("multiclass").all("span")
               if one["of"].get("class") == "key"]  # fmt: skip
    assert legends[:4] == [name.strip() for name in result("multiclass").model.target.classes]


def test_confusion_matrix_counts_every_row():
    document = page("multiclass")
    [matrix] = [one for one in document.all("table") if one["of"].get("class") == "matrix"]
    cells = [
        one for one in document.all("td") if matrix in one["in"] and "number" in one["of"]["class"]
    ]
    assert sum(int(one["text"]) for one in cells) == len(result("multiclass").data.test.y)
    assert len(cells) == 16


def test_most_serious_findings_come_first():
    levels = [
        one["text"] for one in page("binary").all("span") if one["of"].get("class") == "level"
    ]
    assert levels[0] == "problem"
    assert levels == sorted(levels, key=("problem", "warning", "note").index)


def test_examples_of_each_class():
    document = page("pictures")
    alts = [one["of"]["alt"] for one in document.all("img")]
    found = [re.fullmatch(r"Picture \d+: (\w+), predicted (\w+)", alt) for alt in alts]
    pairs = [one.groups() for one in found if one]
    for name in result("pictures").model.target.classes:
        right = [true == predicted for true, predicted in pairs if true == name]
        assert 1 <= len(right) <= 8
        assert right == sorted(right)  # mistakes come first
    weights = [alt for alt in alts if alt.startswith("weights of unit")]
    assert weights == [f"weights of unit {i + 1}" for i in range(len(weights))]


def test_rows_that_were_left_out_are_named():
    assert f"left out {EVIL}" in [one["text"] for one in page("binary").all("li")]


def test_report_without_rows_and_record_shows_the_rest():
    done = result("binary").model
    bare = Model(done.schema, done.target, done.net, done.loss)
    assert headings(Page(report(bare, name="m"))) == ["Data", "Reproduce"]


@pytest.mark.parametrize("value", [None, 3, [1], {"loss": ["x"]}])
@pytest.mark.parametrize("part", ["history", "evaluation", "rows", "config", "notes", "findings"])
def test_foreign_record_is_ignored(part, value):
    done = result("binary").model
    record = {**done.record, part: value}
    text = report(Model(done.schema, done.target, done.net, done.loss, record), name="m")
    assert "Reproduce" in text


def test_command_and_the_options_are_shown():
    texts = page("regression").all("pre")[0]["text"]
    assert texts == f"plainnet train {EVIL}"
    pairs = page("regression")
    facts = dict(zip([one["text"] for one in pairs.all("dt")],
                     [one["text"] for one in pairs.all("dd")], strict=True))  # fmt: skip
    assert facts["seed"] == "1"
    assert facts["patience"] == "5"
    assert facts["loss"] == "MeanSquaredError"
