"""Exported page: content security policy, escaping and accessibility."""

import base64
import hashlib
import json
import re
from importlib.resources import files

import pytest

from export.models import EVIL, picture_model, table_models
from plainnet.export.html import to_html
from plainnet.nn.activations import Activation
from report.reports import Page

TEMPLATES = files("plainnet.export") / "templates"
MODELS = {**table_models(), "picture": picture_model(8)}


def digest(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("name", ["multiclass", "picture"])
def test_policy_allows_only_its_own_style_and_script(name):
    text = to_html(MODELS[name])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    script = re.search(r"<script>(.*?)</script>", text, re.S).group(1)
    assert policy.replace("&#39;", "'").split("; ") == [
        "default-src 'none'",
        f"style-src {digest(style)}",
        f"script-src {digest(script)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_style_and_scripts_make_no_requests():
    for name in ("predict.css", "network.js", "table.js", "picture.js"):
        text = (TEMPLATES / name).read_text(encoding="utf-8")
        assert not re.search(r"url\(|@import|https?:|fetch|XMLHttp|</|<!--|innerHTML|eval", text)
        assert "Function(" not in text


@pytest.mark.parametrize("name", ["binary", "multiclass", "multilabel", "regression"])
def test_names_are_escaped(name):
    text = to_html(MODELS[name])
    page = Page(text)  # fails on tags that do not match
    assert text.count("<script") == 2
    assert "alert(1)</script>" not in text
    stored = json.loads(page.all("script")[0]["text"])
    assert EVIL in [column["name"] for column in stored["columns"]]
    labels = [label["text"] for label in page.all("label")]
    assert EVIL in labels


@pytest.mark.parametrize("name", MODELS)
def test_labels_and_heading_order(name):
    page = Page(to_html(MODELS[name]))
    fields = [field["of"] for field in page.all("input", "select")]
    labels = [label["of"]["for"] for label in page.all("label")]
    assert [field["id"] for field in fields] == labels
    ids = [element["of"]["id"] for element in page.elements if "id" in element["of"]]
    assert len(set(ids)) == len(ids)
    for field in fields:
        assert set(field.get("aria-describedby", "").split()) <= set(ids)
    levels = [int(element["tag"][1]) for element in page.all("h1", "h2", "h3", "h4")]
    assert levels == [1, 2, 2, 2]


def test_form_starts_with_typical_values():
    page = Page(to_html(MODELS["binary"]))
    values = {f["of"]["id"]: f["of"]["value"] for f in page.all("input")}
    assert values["column-0"] == "45.5"  # the median age
    assert values["column-2"] == "70,45"  # which the table writes with a comma
    chosen = [option["text"] for option in page.all("option") if "selected" in option["of"]]
    assert chosen == ["Yes", "Yes", "don't know", "São Paulo", "a value"]


def test_page_is_deterministic():
    assert to_html(MODELS["everything"]) == to_html(MODELS["everything"])


class Cube(Activation):
    def forward(self, X, train):
        return X**3

    def backward(self, dY, need_dX):
        return dY
