"""Reports of every task, with names that would break a page, to be read by tests."""

from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from plainnet.config import TrainConfig
from plainnet.data.synthetic import pandas_and_bears
from plainnet.evaluate.finding import Finding
from plainnet.report.report import report
from plainnet.training import train

EVIL = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;$x^2$"
TASKS = ("binary", "multiclass", "multilabel", "regression", "pictures")
FINDINGS = (
    Finding("n", "note", "Two columns are equal.", "'a', 'b'", "A copy.", "--kind b=identifier"),
    Finding("p", "problem", f"Too high for {EVIL}.", EVIL, EVIL, EVIL),
)
VOID = {"meta", "img", "br", "link", "input", "hr"}


@cache
def result(task):
    """A short training of the task on few rows."""
    config = TrainConfig(epochs=6, validation_fraction=0.2, patience=5, seed=1)
    if task == "pictures":
        return train(pandas_and_bears(40, size=8), replace(config, network="mlp"))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)).round(3)
    frame, score = pd.DataFrame(X, columns=["a", "b", EVIL]), X @ [1.0, -1.0, 0.5]
    names = np.array([EVIL, "猫", "$dog$", "a long name " * 5])
    if task == "binary":
        frame["y"] = np.where(score > 0, EVIL, "no")
    elif task == "multiclass":
        frame["y"] = names[np.digitize(score, [-1, 0, 1])]
    elif task == "multilabel":
        frame["y"], frame["<b>"] = np.where(score > 0, "Yes", "No"), np.where(X[:, 0] > 0, 1, 0)
    else:
        frame["y"] = (100 * score).round(2)
    target = ("y", "<b>") if task == "multilabel" else ("y",)
    return train(frame, TrainConfig(**{**vars(config), "target": target, "task": task}))


@cache
def text_of(task, rows=True):
    """Its report."""
    done = result(task)
    return report(
        done.model,
        name=EVIL,
        rows=done.data.test if rows else None,
        source="held out",
        findings=FINDINGS,
        notes=[f"left out {EVIL}"],
        command=f"plainnet train {EVIL}",
    )


class Page(HTMLParser):
    """The elements of a page in their order: tag, attributes, its text, its ancestors."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "of": dict(attributes), "text": "", "in": [*self.open]}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open[-1]["tag"] == tag, (tag, self.open[-1])
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]
