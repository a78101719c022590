"""Random small tables, tasks and settings, each used from the file to the exports.

A case is drawn from its number: ``python -m fuzz.trainings --first 17 --cases 1`` repeats case
17, and ``--show`` prints it. A case is refused in one sentence, or it trains, saves, loads,
evaluates, explains and exports; what goes wrong on the way is a finding.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import chromium
from export.models import EVIL, activations
from export.runtimes import session
from export.test_html_in_browser import ANSWER, FILL, agree
from export.test_python import loaded
from fuzz.using import SENTENCE, where
from nn.cases import ACTIVATIONS, INITS
from plainnet import Model, PlainnetError, TrainConfig
from plainnet.data.read_table import read_frame
from plainnet.data.series import read_series
from plainnet.engine.blas_threads import limited_threads
from plainnet.evaluate.evaluate import evaluate
from plainnet.evaluate.per_example import read_rows
from plainnet.explain.example import explain
from plainnet.explain.global_explanation import explain_model
from plainnet.explain.neighbors import nearest
from plainnet.export.html import to_html
from plainnet.export.onnx import to_onnx
from plainnet.export.python import to_python
from plainnet.report.report import report
from plainnet.training import train

REPORTED = 20  # one case in so many writes a report, whose charts take seconds
UNLIKE = tuple(init for init in INITS if not init.startswith(("zeros", "ones", "constant")))
FEW = 5  # rows that are looked at one by one
ODD = ("?", "n/a", " 7 ", "1e20", "-9999", "1e400", "1,5", "inf", "x", EVIL, "0001", "½", "")
NAMES = ("a", "b c", "ä", "id", "x0", "1", "class", "x,y", "target", EVIL)


class Case(NamedTuple):
    """A table, how it reaches the training, and the choices of that."""

    frame: pd.DataFrame
    as_file: bool
    config: TrainConfig


class Outcome(NamedTuple):
    """What is wrong, and the sentence with which the case was refused, if it was."""

    findings: list
    refused: str


# --- drawing -------------------------------------------------------------------------------------


def case(number):
    """Draw a case from its number."""
    rng = np.random.default_rng(number)
    m = int(rng.choice([12, 25, 40, 90]))
    names = list(rng.permutation(NAMES)[: rng.integers(1, 6)])
    frame = pd.DataFrame({name: column(rng, m) for name in names})
    as_file = bool(rng.random() < 0.6)
    if rng.random() < 0.5:
        spoil(rng, frame)
    task, y = target(rng, m)
    for i, cells in enumerate(y):
        frame[f"y{i}"] = cells
    aims = tuple(f"y{i}" for i in range(len(y)))
    return Case(frame, as_file, config(rng, task, aims))


def column(rng, m):
    """Draw the cells of one column, of any kind."""
    x = rng.standard_normal(m)
    colors = np.array(["red", "green", "blue", "a b", EVIL, "Ä", "0"], object)
    kinds = (
        lambda: x.round(int(rng.integers(0, 6))),
        lambda: x * 10.0 ** rng.integers(-12, 13),
        lambda: x.astype(np.float32),
        lambda: rng.integers(-5, 100, m),
        lambda: rng.integers(0, 2, m),
        lambda: x > 0,
        lambda: np.full(m, 3.5),
        lambda: np.full(m, "same", object),
        lambda: np.full(m, None, object),
        lambda: np.where(np.arange(m) < 2, x, np.nan),
        lambda: np.where(x > 0, "yes", "no").astype(object),
        lambda: colors[rng.integers(0, rng.integers(2, 8), m)],
        lambda: np.array([f"n{i}" for i in rng.integers(0, 3 * m, m)], object),
        lambda: np.array([f"{v:,.2f}" for v in 1e4 * x], object),
        lambda: np.array([f"{v:.1f}".replace(".", ",") for v in 50 * x], object),
        lambda: np.arange(m),
        lambda: pd.date_range("2020-02-27", periods=m, freq="13h"),
        lambda: pd.to_timedelta(rng.integers(0, 9, m), unit="D"),
        lambda: pd.Categorical(rng.choice(["lo", "hi", "mid"], m), ordered=True),
        lambda: pd.array(rng.integers(0, 9, m), "Int64"),
    )
    return kinds[rng.integers(len(kinds))]()


def spoil(rng, frame):
    """Empty some cells, and write odd ones into others."""
    for name in frame.columns:
        if rng.random() < 0.5:
            gone = rng.random(len(frame)) < rng.choice([0.05, 0.3, 0.9])
            frame[name] = frame[name].astype(object).mask(gone, None)
        if rng.random() < 0.15:
            frame[name] = frame[name].astype(object)
            frame.loc[int(rng.integers(len(frame))), name] = str(rng.choice(ODD))


def target(rng, m):
    """Draw a task (None where it is inferred) and the columns of its target."""
    x, k = rng.standard_normal(m), int(rng.integers(2, 6))
    among = rng.integers(0, k, m)
    kinds = {
        "binary": (
            [np.where(x > 0, "yes", "no").astype(object)],
            [x > 0],
            [np.where(x > 0.5, EVIL, "plain").astype(object)],
            [(x > 0).astype(int)],
        ),
        "multiclass": (
            [np.array(list("abcdef"), object)[among]],
            [among],
            [among + 10**15],
            [np.array(["1", "01", "1.0", " x", "x", EVIL], object)[among]],
        ),
        "multilabel": ([np.array([";".join("pqr"[: 1 + a % 3]) for a in among], object)],),
        "regression": (
            [x.round(2)],
            [1e9 + 1e6 * x],
            [1e-9 * x],
            [x, 100 * x + among],
            [np.array([f"{v:.2f}".replace(".", ",") for v in 50 * x], object)],
        ),
    }
    task = str(rng.choice(list(kinds)))
    y = kinds[task][rng.integers(len(kinds[task]))]
    if rng.random() < 0.1:
        y[0] = pd.Series(y[0]).astype(object).mask(rng.random(m) < 0.1, None)
    return task if rng.random() < 0.7 else None, y


def config(rng, task, aims):
    """Draw the choices of a training."""

    def sometimes(value, usual, chance=0.25):
        return value if rng.random() < chance else usual

    hidden = ((), (3,), (8, 4), (1,), (40,))[rng.integers(5)]
    validation, epochs = float(sometimes(0.3, 0.0)), int(rng.integers(1, 6))
    of_hidden = {
        "activation": (str(rng.choice(ACTIVATIONS)),),
        "dropout": float(sometimes(0.3, 0.0)),
        "batch_norm": bool(sometimes(True, False)),
        "layer_norm": bool(sometimes(True, False)),
    }
    optimizer = str(rng.choice(["sgd", "rmsprop", "adam", "adamw"]))
    of_sgd = {"momentum": 0.9, "nesterov": bool(rng.random() < 0.5)}
    return TrainConfig(
        hidden=hidden,
        # layer norm of units that are all alike makes numbers of what rounding left
        init=str(rng.choice(INITS if not of_hidden["layer_norm"] else UNLIKE)),
        label_smoothing=float(sometimes(0.1, 0.0)) if task not in (None, "regression") else 0.0,
        loss=sometimes("Huber", None) if task == "regression" else None,
        optimizer=optimizer,
        lr=float(10 ** rng.uniform(-4, -0.5)),
        weight_decay=sometimes(0.01, None) if optimizer == "adamw" else None,
        schedule=str(rng.choice(["constant", "cosine"])),
        warmup=int(sometimes(epochs // 2, 0)),
        epochs=epochs,
        batch_size=("full", 2, 7, 8, 32)[int(rng.integers(5))],
        l2=float(sometimes(0.01, 0.0)),
        clip_norm=sometimes(1.0, None),
        class_weight="balanced"
        if sometimes(True, False) and task in ("binary", "multiclass")
        else None,
        patience=int(sometimes(2, 0)) if validation else 0,
        test_fraction=float(rng.choice([0.0, 0.2, 0.5])),
        validation_fraction=validation,
        group_duplicates=bool(sometimes(True, False)),
        target=aims,
        task=task,
        standardize=bool(sometimes(False, True, 0.1)),
        fingerprints=bool(sometimes(False, True)),
        seed=int(rng.integers(1000)),
        **(of_hidden if hidden else {}),
        **(of_sgd if optimizer == "sgd" and rng.random() < 0.5 else {}),
    )


# --- using ---------------------------------------------------------------------------------------


def use(number, folder, browser=None):
    """Take a case all the way; what is wrong with it."""
    drawn, findings = case(number), []
    folder = Path(folder)
    source = drawn.frame
    if drawn.as_file:
        source = folder / "table.csv"
        drawn.frame.to_csv(source, index=False)

    @contextlib.contextmanager
    def step(name, may_refuse=False):
        try:
            yield
        except PlainnetError as error:
            output = str(error)
            if not may_refuse or len(output) > SENTENCE or "\n" in output:
                findings.append(f"{name}: {type(error).__name__}: {output[:300]!r} {where(error)}")
        except AssertionError as error:
            findings.append(f"{name}: {str(error).strip()[:300]!r}")
        except Exception as error:
            findings.append(f"{name}: {type(error).__name__}: {str(error)[:300]} {where(error)}")

    with warnings.catch_warnings(), limited_threads(1):
        warnings.simplefilter("error")
        refused = ""
        with step("train", may_refuse=True):
            try:
                result = train(source, drawn.config)
            except PlainnetError as error:
                refused = str(error)
                raise
            all_the_way(number, source, folder, result, step, browser)
            with step("train again"):
                again, twice = train(source, drawn.config).model, folder / "again.safetensors"
                again.save(twice)
                first = (folder / "model.safetensors").read_bytes()
                assert twice.read_bytes() == first, "another training wrote other bytes"
    return Outcome([f"{number}: {one}" for one in findings], refused)


def all_the_way(number, source, folder, result, step, browser):
    """Save, load, evaluate, explain and export what was trained; each step is judged by itself."""
    model, place, table = result.model, folder / "model.safetensors", read_frame(source)
    with step("save and load"):
        model.save(place)
        model = Model.load(place)
        model.save(folder / "copy.safetensors")
        assert (folder / "copy.safetensors").read_bytes() == place.read_bytes(), "not as it was"
        same(activations(model, source), activations(result.model, source), "loaded")
    with step("predict"):
        assert len(model.predict(source)) == len(table)
    with step("evaluate"):
        judged = result.data.test or result.data.train
        found = evaluate(model, judged, train=result.data.train.X)
        json.dumps(found.to_json(), allow_nan=False)
        if number % REPORTED == 0:
            assert report(model, name="model", rows=judged)
    with step("explain"):
        rows = read_rows(model, source)
        seen = explain(model, source, row=int(rows.names[0]))
        json.dumps(seen.to_json(), allow_nan=False)
        assert seen.trace.ok, "a gradient and its finite difference are apart"
        if len(rows.X) > 1:
            json.dumps(explain_model(model, rows, repeats=2).to_json(), allow_nan=False)
            alike = nearest(model, rows.X[0], rows, n=len(rows.X))
            assert min(one.input_distance for one in alike) == 0, "a row is not like itself"
    with step("export to Python"):
        program = loaded(to_python(model))
        records = table.to_dict(orient="records")
        same(program["outputs"](records), activations(model, table), "the Python file's")
        output = program["predict"](records).astype(str)
        np.testing.assert_array_equal(output, model.predict(table).astype(str))
    with step("odd rows in Python"):
        for row in strange(table).to_dict(orient="records"):
            same_or_refused(model, program, row)
    with step("export to ONNX", may_refuse=True):
        onnx(model, table)
    with step("export to a page", may_refuse=True):
        page = to_html(model)
        if browser is not None:
            browse(browser, page, model, table)


def same(A, B, whose):
    """Compare to the last bit."""
    assert A.dtype == B.dtype, f"{whose} outputs are {A.dtype}, not {B.dtype}"
    apart = np.abs(A.astype(np.float64) - B).max()
    assert A.tobytes() == B.tobytes(), f"{whose} outputs differ by {apart:.3g}"


def same_or_refused(model, program, row):
    """Let the Python file refuse what the model refuses, and answer the rest to the last bit."""
    try:
        A = activations(model, pd.DataFrame([row], dtype=object))
    except PlainnetError:
        A = None
    try:
        got = program["outputs"]([row])
    except ValueError:
        got = None
    assert (A is None) == (got is None), f"refused by one alone: {row}"
    if A is not None:
        same(got, A, "the Python file's")


def strange(table):
    """Some rows of a table with odd cells."""
    rng = np.random.default_rng(0)
    frame = table.head(8).astype(object)
    for name in frame.columns:
        frame.loc[int(rng.integers(len(frame))), name] = str(rng.choice(ODD))
    return frame


def onnx(model, table):
    """Compare with ONNX Runtime."""
    running = session(to_onnx(model))
    columns = {column.name: column for column in model.schema.columns}
    inputs = {}
    for port in running.get_inputs():
        inputs[port.name] = texts(table[port.name], "")[:, None]
        if port.type == "tensor(double)":
            numbers = read_series(table[port.name]).numbers(columns[port.name].decimal)
            inputs[port.name] = numbers[:, None]
    names = [port.name for port in running.get_outputs()]
    found = dict(zip(names, running.run(names, inputs), strict=True))
    A, task = activations(model, table), model.target.task
    if task == "regression":
        found["probabilities"] = (found["prediction"] - model.target.mean) / model.target.scale
    got = found["probabilities"][:, 1:] if task == "binary" else found["probabilities"]
    np.testing.assert_allclose(got, A, rtol=1e-4, atol=1e-4)


def browse(browser, page, model, table):
    """Compare a page's answers for some rows."""
    tab = browser(page)
    kept = [texts(table[one.name], None) for one in model.schema.columns if one.features]
    for i in range(min(FEW, len(table))):
        cells = [column[i] for column in kept]
        seen = dict(tab.evaluate(f"({FILL})({json.dumps(cells)})"))
        agree(seen, model, table.iloc[[i]])


def texts(column, missing):
    """The cells of a column as they are written."""
    cells = read_series(column)
    return np.array([*cells.texts(), missing], object)[cells.codes]


@contextlib.contextmanager
def browsing(folder):
    """One browser for all pages, if there is one: a function that opens a page's text."""
    if chromium.PATH is None:
        yield None
        return
    file = Path(folder) / "page.html"
    file.write_text("<!DOCTYPE html><title>nothing yet</title>")
    with chromium.opened(file) as tab:

        def visit(page):
            file.write_text(page, encoding="utf-8")
            tab.load(file)
            tab.evaluate(ANSWER)
            assert not tab.messages, tab.messages
            return tab

        yield visit


def main():
    parser = argparse.ArgumentParser(prog="fuzz.trainings")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=int(time.time()))
    parser.add_argument("--show", action="store_true")
    chosen = parser.parse_args()
    began, findings, refused = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder, browsing(folder) as browser:
        for number in range(chosen.first, chosen.first + chosen.cases):
            if chosen.show:
                print(case(number))
            outcome = use(number, folder, browser)
            findings += len(outcome.findings)
            refused += bool(outcome.refused)
            for text in [*outcome.findings, *([outcome.refused] if chosen.show else [])]:
                print(text, flush=True)
    print(
        f"cases {chosen.first} to {number}: {findings} findings, {refused} refused, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
