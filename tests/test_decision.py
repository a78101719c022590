"""A probability of exactly one half means no in every prediction."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chromium
from export.runtimes import feeds, session
from plainnet import Model, NetClassifier, TrainConfig, textbook
from plainnet.data.dataset import Examples
from plainnet.evaluate.evaluate import evaluate
from plainnet.evaluate.per_example import read_rows, row_scores
from plainnet.explain.example import explain
from plainnet.explain.mistakes import confident_mistakes
from plainnet.export.html import to_html
from plainnet.export.onnx import to_onnx
from plainnet.export.python import to_python
from plainnet.training import train

ROWS = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": ["no", "yes", "no", "yes"]})
LABELS = pd.DataFrame({"x": [1.0, 2, 3, 4], "a": [0, 1, 0, 1], "b": [1, 1, 0, 0]})
TINY = np.float32(1e-9)  # a logit above zero whose probability is one half in float32


def undecided(frame: pd.DataFrame, logit: float = 0.0) -> Model:
    """Create a model with probability one half for every row and label."""
    targets = tuple(name for name in frame if name != "x")
    model = train(frame, TrainConfig(target=targets, hidden=(), epochs=1, test_fraction=0)).model
    model.net.params.theta[:] = 0
    model.net.layers[0].b[:] = logit
    assert (model.predict_proba(frame) == 0.5).all()
    return model


@pytest.mark.parametrize("logit", [0.0, TINY, -TINY])
def test_row_predictions_are_no(logit: float) -> None:
    model = undecided(ROWS, logit)
    rows = read_rows(model, ROWS)
    assert model.predict(ROWS).tolist() == ["no"] * 4
    found = evaluate(model, Examples(rows.X, rows.y)).to_json()
    assert found["confusion_matrix"] == [[2, 0], [2, 0]]
    assert model.loss.metric(model.forward(rows.X), rows.y[:, np.newaxis]) == 0.5
    assert row_scores(model, model.forward(rows.X), rows.y[:, np.newaxis]).tolist() == [1, 0, 1, 0]
    assert [(one.predicted, one.true) for one in confident_mistakes(model, rows)] == [
        ("no", "yes")
    ] * 2
    assert explain(model, ROWS, 2).answer == "no"


def test_label_predictions_are_no() -> None:
    model = undecided(LABELS)
    rows = read_rows(model, LABELS)
    assert not model.predict(LABELS).any()
    assert evaluate(model, Examples(rows.X, rows.y)).to_json()["accuracy"] == 0.5
    assert model.loss.metric(model.forward(rows.X), rows.y) == 0.5
    assert row_scores(model, model.forward(rows.X), rows.y).tolist() == [0.5, 0, 1, 0.5]
    assert explain(model, LABELS, 2).answer == "none"


@pytest.mark.parametrize("frame", [ROWS, LABELS], ids=["binary", "multilabel"])
def test_exported_models_predict_no(frame: pd.DataFrame) -> None:
    model = undecided(frame)
    program: dict[str, Any] = {"__name__": "program"}
    exec(to_python(model), program)
    expected = model.predict(frame).tolist()
    assert program["predict"](frame.to_dict("records")).tolist() == expected
    running = session(to_onnx(model))
    assert running.run(["label"], feeds(running, frame))[0].tolist() == expected


@chromium.needs_chromium
@pytest.mark.parametrize("logit", [0.0, TINY])
@pytest.mark.parametrize(("frame", "output"), [(ROWS, "no"), (LABELS, "none of the labels")])
def test_exported_page_predicts_no(
    frame: pd.DataFrame, output: str, logit: float, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(to_html(undecided(frame, logit)), encoding="utf-8")
    with chromium.opened(page) as tab:
        assert tab.evaluate("document.getElementById('prediction').textContent") == output


@pytest.mark.parametrize("y", [["no", "yes", "no", "yes"], [[0, 1], [1, 0], [0, 1], [1, 0]]])
def test_estimators_predict_no(y: Any) -> None:
    net = NetClassifier((), epochs=1).fit([[1], [2], [3], [4]], y)
    net.net_.params.theta[:] = 0
    assert (net.predict_proba([[7]]) == 0.5).all()
    assert net.predict([[7]]).tolist() == ([[0, 0]] if isinstance(y[0], list) else ["no"])


def test_textbook_predicts_no() -> None:
    parameters = {"W1": np.zeros((1, 1)), "b1": np.zeros(1)}
    assert textbook.predict(np.array([[7.0]]), parameters).tolist() == [0]
