"""Explanation pages in a browser: no console message, no request, no overflow."""

import numpy as np

import chromium
from plainnet.config import TrainConfig
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.evaluate.per_example import NamedExamples, read_rows
from plainnet.explain.example import explain
from plainnet.explain.global_explanation import explain_model
from plainnet.explain.neighbors import nearest
from plainnet.report.explanation_page import explanation_page, global_explanation_page
from plainnet.training import train

pytestmark = chromium.needs_chromium


HEADINGS = "[...document.querySelectorAll('h1,h2,h3')].map((heading) => heading.tagName)"


def pages():
    table = introverts(60).rename(columns={"Stage_fear": "<b onclick=alert(1)>" + "long" * 30})
    model = train(table, TrainConfig(epochs=2)).model
    rows = read_rows(model, table)
    yield explanation_page(explain(model, table, 2), "a & b", nearest(model, rows.X[1], rows))
    yield global_explanation_page(explain_model(model, rows, repeats=1), "<i>model</i>")
    X, y, classes = pandas_and_bears(20, size=8)
    model = train((X, y, classes), TrainConfig(hidden=(3,), epochs=1)).model
    wrong = (model.predictions(X)[:, 0] < 0.5).astype(np.float32)
    rows = NamedExamples(tuple(f"{i}.png" for i in range(20)), X, wrong)
    found = nearest(model, X[1], rows)
    explanation = explain(model, X, 2, label=classes[0])
    yield explanation_page(explanation, "", found, X[[one.row for one in found]])
    yield global_explanation_page(explain_model(model, rows, repeats=1), "model")


def test_pages_open_without_message_or_request_and_fit(tmp_path):
    file = tmp_path / "page.html"
    for text in pages():
        file.write_text(text, encoding="utf-8")
        with chromium.opened(file, width=360) as tab:
            assert [one for one in tab.requests if not one.startswith(("data:", "file:"))] == []
            assert tab.messages == []
            assert tab.evaluate("document.documentElement.scrollWidth") <= 360
            assert tab.evaluate(
                "[...document.images].every(one => one.complete && one.naturalWidth)"
            )
            levels = tab.evaluate(
                "[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])"
            )
        assert levels[0] == 1
        assert max(np.diff(levels)) <= 1
