"""Evaluations: verdicts, leaked columns, baselines and stored evaluations."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from plainnet import Model, ModelFileError, TrainConfig
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.data.targets import Target
from plainnet.evaluate.baselines.baseline import fit_baselines, store_baselines, stored_baselines
from plainnet.evaluate.evaluate import evaluate
from plainnet.evaluate.evaluation import BaselineResult, Evaluation, Scores, stored_evaluation
from plainnet.evaluate.membership import Share
from plainnet.evaluate.verdict import Comparison, verdict
from plainnet.metrics.intervals import Difference
from plainnet.training import train

QUICK = TrainConfig(epochs=40, lr=0.02)


def table(m=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, 3))
    return pd.DataFrame(X, columns=list("abc")), rng


def judged(frame, config=QUICK):
    result = train(frame, config)
    return result, evaluate(result.model, result.data.test, train=result.data.train.X)


def test_better_network_gets_a_better_verdict():
    frame, _ = table()
    frame["y"] = np.where(frame.a * frame.b > 0, "in", "out")  # no single column helps
    _, found = judged(frame)
    assert found.scores.main > 0.85
    assert found.verdict.startswith("Better than the best baseline, ")
    assert "Without a network" not in found.verdict
    assert not found.findings


def test_worse_network_gets_a_worse_verdict():
    frame, _ = table()
    frame["y"] = np.where(frame.a > 0, "in", "out")
    _, found = judged(frame, TrainConfig(epochs=1, lr=1e-6, seed=3))
    assert found.verdict.startswith("Worse than the best baseline, ")
    low, high = found.scores.interval
    right = f"{100 * found.scores.main:.1f} % of 80 held-out rows right"
    assert right in found.verdict
    assert low < found.scores.main < high


def test_noise_is_not_learned():
    frame, rng = table()
    frame["y"] = rng.choice(["in", "out"], len(frame))
    _, found = judged(frame)
    assert not found.verdict.startswith("Better")
    assert "Without a network, " in found.verdict


@pytest.mark.parametrize("leak", ["code", "word", "many"])
def test_leaked_column_is_named(leak):
    frame, _ = table()
    frame["y"] = np.where(frame.a * frame.b > 0, "in", "out")
    frame.insert(1, "the leak", np.where(frame.y == "in", 7, 3))
    if leak == "word":
        frame["the leak"] = np.where(frame.y == "in", "Yes", "No")
    if leak == "many":
        frame["y"] = np.array(["low", "mid", "high"])[np.arange(len(frame)) % 3]
        frame["the leak"] = frame.y.map({"low": 2, "mid": 1, "high": 3}) * 10
    result, found = judged(frame)
    (finding,) = [one for one in found.findings if one.name == "leaked column"]
    assert finding.level == "problem"
    assert finding.message == "The column 'the leak' alone gives the target away."
    assert finding.advice == "--kind 'the leak=identifier'"
    _, clean = judged(frame, TrainConfig(epochs=40, lr=0.02, kind={"the leak": "identifier"}))
    assert not clean.findings
    assert result.model.record["evaluation"]["findings"][0] == finding.to_json()


def test_informative_column_is_no_leak():
    frame, rng = table()
    frame["y"] = np.where(frame.a > 0, "in", "out")
    frame["told"] = np.where(rng.random(400) < 0.96, frame.a > 0, frame.a <= 0).astype(int)
    frame = frame[["told", "b", "y"]]
    _, found = judged(frame)
    assert found.baselines[1].scores.main > 0.9
    assert "leaked column" not in [one.name for one in found.findings]


def test_regression_and_multilabel_leaks_are_named():
    frame, rng = table()
    frame["y"] = np.exp(frame.a) + rng.standard_normal(400)
    frame.insert(0, "leak", frame.y**3)
    assert [one.name for one in judged(frame)[1].findings] == ["leaked column"]
    frame = frame.drop(columns="leak")
    assert not judged(frame)[1].findings
    frame["y"] = np.array(["p;q", "q", "p", ""])[rng.integers(0, 4, 400)]
    frame.insert(0, "has p", frame.y.str.contains("p").map({True: "Yes", False: "No"}))
    (finding,) = judged(frame)[1].findings
    assert finding.message == "The column 'has p' alone gives the label 'p' away."


def test_extreme_errors_are_formatted_briefly():
    frame, rng = table()
    frame["y"] = 1e9 * frame.a + rng.standard_normal(400)
    verdict = judged(frame)[1].verdict
    change = re.search(r"squared error \+(\S+) %, 95 % interval \+(\S+) to \+(\S+) %", verdict)
    assert all(re.fullmatch(r"[0-9.]+e\+[0-9]+", text) for text in change.groups()), verdict


def test_regressions_are_compared_by_squared_errors():
    frame, rng = table()
    frame["y"] = 50 + 10 * np.abs(frame.a) + rng.standard_normal(400)
    _, found = judged(frame)
    assert found.verdict.startswith("Better than the best baseline, ")
    best = min(found.baselines, key=lambda one: one.scores.main)
    assert f"RMSE {best.scores.main:.4f}" in found.verdict
    assert "squared error -" in found.verdict
    frame["y"] = 50 + 10 * frame.a + rng.standard_normal(400)
    _, found = judged(frame)
    assert found.best_baseline.name == "regression"
    assert "Without a network, as good or better: linear regression" in found.verdict


def test_metrics_match_the_rows():
    result, found = judged(introverts(400), TrainConfig(epochs=15, lr=0.01))
    test = result.data.test
    p = result.model.predictions(test.X)[:, 0]
    assert found.scores.main == np.mean((p > 0.5) == test.y)
    assert found.probabilities.brier == pytest.approx(np.mean((p - test.y) ** 2), rel=1e-5)
    constant, column, _ = found.baselines
    rule = stored_baselines(result.model)[1].rules[0]
    rows = rule.predict(test.X).argmax(axis=1) == test.y
    assert column.scores.main == rows.mean()
    assert constant.difference.value == pytest.approx(found.scores.main - constant.scores.main)
    assert found.probabilities.roc[0][0] == 0
    assert found.probabilities.cheapest is None
    threshold, cost = evaluate(result.model, test, costs=(1, 9)).probabilities.cheapest
    positive = p >= threshold
    spent = np.sum(positive & (test.y == 0)) + 9 * np.sum(~positive & (test.y == 1))
    assert cost == pytest.approx(spent / len(p))
    assert threshold < 0.5


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression", "pictures"])
def test_saved_model_gives_the_same_evaluation(task, tmp_path):
    if task == "pictures":
        result = train(pandas_and_bears(30, size=12), TrainConfig(epochs=3))
    else:
        frame, rng = table(90)
        many = np.arange(90)
        frame["y"] = {
            "binary": np.array(["p", "q"])[many % 2],
            "multiclass": np.array(["p", "q", "r"])[many % 3],
            "multilabel": np.array(["p;q", "q", "p"])[many % 3],
            "regression": rng.standard_normal(90),
        }[task]
        result = train(frame, TrainConfig(epochs=3))
    theta = result.model.net.params.theta.copy()
    result.model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    evaluation = evaluate(again, result.data.test, train=result.data.train.X)
    found = evaluation.to_json()
    text = json.dumps(found, allow_nan=False)
    assert Evaluation.from_json(json.loads(text), again.target).to_json() == json.loads(text)
    assert json.loads(text) == again.record["evaluation"]
    np.testing.assert_array_equal(theta, again.net.params.theta)
    names = [one["name"] for one in found["baselines"]]
    assert names == {
        "regression": ["constant", "regression"],
        "pictures": ["constant", "column", "colors", "regression"],
    }.get(task, ["constant", "column", "regression"])


@pytest.mark.parametrize(
    "change",
    [
        [{"kind": "constant", "mean": [0.5, 0.5]}],
        [{"kind": "magic"}],
        [{"kind": "column", "rules": []}],
        [{"kind": "colors"}],
        "all of them",
    ],
)
def test_edited_baselines_raise(change):
    model = train(introverts(100), TrainConfig(epochs=1)).model
    model.record["baselines"] = change
    with pytest.raises(ModelFileError):
        stored_baselines(model)
    model.record["baselines"] = [{"kind": "regression"}]
    model.extras = {}
    with pytest.raises(ModelFileError, match=r"the model's baseline 'baseline\.regression\.'"):
        stored_baselines(model)


def test_no_verdict_without_baselines():
    result = train(introverts(100), TrainConfig(epochs=1))
    bare = Model(result.model.schema, result.model.target, result.model.net, result.model.loss)
    found = evaluate(bare, result.data.test)
    assert (found.best_baseline, found.baselines) == (None, ())
    assert found.verdict.startswith("Nothing to compare with")
    store_baselines(fit_baselines(bare.schema, bare.target, result.data.train), bare)
    assert len(stored_baselines(bare)) == 3
    assert evaluate(bare, result.data.test).best_baseline is not None


def test_duplicates_across_the_split_are_counted_and_grouped():
    frame, rng = table(200)
    frame["y"] = rng.choice(["in", "out"], 200)
    twice = pd.concat([frame, frame], ignore_index=True)
    # the network learns the rows by heart
    config = TrainConfig(epochs=300, lr=0.03, hidden=(64,))
    _, found = judged(twice, config)
    (finding,) = [one for one in found.findings if one.name == "duplicates across the split"]
    assert finding.level == "warning"
    _, found = judged(twice, TrainConfig(epochs=1, group_duplicates=True))
    assert [one.name for one in found.findings] == ["repeated rows"]


def test_one_column_predicts_introverts(shared_data):
    for seed in range(2):
        result = train(shared_data / "introverts.csv", TrainConfig(seed=seed, epochs=60))
        found = result.model.record["evaluation"]
        assert not found["verdict"].startswith("Better")
        one = next(b for b in found["baselines"] if b["name"] == "column")
        name = one["description"].split()[0]
        phrase = f"a single Yes/No column, {name!r} ({100 * one['accuracy']:.1f} %)"
        assert phrase in found["verdict"]
        assert f"{100 * found['accuracy']:.1f} % of 464 held-out rows right" in found["verdict"]


def test_color_predicts_pandas_and_bears(shared_data):
    config = TrainConfig(hidden=(8, 8, 8), optimizer="sgd", lr=0.03, batch_size="full", epochs=300)
    found = train(shared_data / "pandas-bears", config).model.record["evaluation"]
    assert not found["verdict"].startswith("Better")
    colors = next(b for b in found["baselines"] if b["name"] == "colors")
    assert colors["accuracy"] >= found["accuracy"]
    phrase = "seven numbers of color with logistic regression "
    assert f"as good or better: {phrase}({100 * colors['accuracy']:.1f} %)" in found["verdict"]


def scores(accuracy):
    return Scores("binary", 1234, 0.1, {"accuracy": accuracy})


@pytest.mark.parametrize(
    ("difference", "seen", "held_out", "opening"),
    [
        ((0.05, 0.01, 0.09), 0.0, True, "Better than the best"),
        ((0.05, -0.01, 0.11), 0.0, True, "Not shown to be better than the best"),
        ((0.0, -0.05, 0.05), 0.0, True, "No better than the best"),
        ((-0.01, -0.05, 0.03), 0.0, True, "No better than the best"),
        ((-0.05, -0.09, -0.01), 0.0, True, "Worse than the best"),
        ((0.05, 0.01, 0.09), 0.4, False, "Better than the best"),
        (
            (0.05, 0.01, 0.09),
            0.9,
            False,
            "No verdict, for at least 90.0 % was trained on. Compared to",
        ),
    ],
)
def test_interval_determines_the_verdict(difference, seen, held_out, opening):
    target = Target("binary", ("y",), ("no", "yes"))
    rival = BaselineResult("column", "x alone", "x", scores(0.85), Difference(*difference, 0.5))
    far = BaselineResult("constant", "always no", "always no", scores(0.5), Difference(1, 1, 1, 0))
    share = Share(0.95, seen, 1.0) if seen else None
    case = Comparison(target, scores(0.9), (far, rival), held_out, False, share)
    held = "held-out " if held_out else ""
    sentence = verdict(case)
    assert sentence.startswith(opening)
    assert f"x alone: 90.0 % of 1,234 {held}rows right, against 85.0 %" in sentence
    assert "always no" not in sentence


def several(task, m=400):
    frame, rng = table(m)
    noise = rng.standard_normal((m, 3))
    score = frame[["a", "b", "c"]].to_numpy() + noise
    if task == "multiclass":
        return frame.assign(y=np.array(["p", "q", "r"])[score.argmax(axis=1)])
    labels = np.where(score > [0, 1, 2], ["p", "q", "r"], "")
    return frame.assign(y=[";".join(label for label in row if label) for row in labels])


def mean_precision(came, p):
    """At each positive, the share of positives among rows with at least its probability."""
    return np.mean([came[p >= p[i]].mean() for i in np.flatnonzero(came)])


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_every_label_and_class_has_its_curves(task):
    result = train(several(task), TrainConfig(epochs=20, task=task, test_fraction=0.4))
    test, target = result.data.test, result.model.target
    found = evaluate(result.model, test).to_json()
    json.dumps(found, allow_nan=False)
    every = found["probabilities"]
    assert [one["name"] for one in every] == list(target.classes) == ["p", "q", "r"]
    A = result.model.predictions(test.X).astype(np.float64)
    for k, one in enumerate(every):
        p = A[:, k]
        came = test.y == k if task == "multiclass" else test.y[:, k] == 1
        assert one["brier"] == pytest.approx(np.mean((p - came) ** 2))
        pairs = p[came][:, None] - p[~came]  # the area is the share of pairs in order
        area = np.trapezoid(*np.transpose(one["roc"])[::-1])
        assert area == pytest.approx(np.mean(pairs > 0) + np.mean(pairs == 0) / 2, abs=2e-3)
        assert one["average_precision"] == pytest.approx(mean_precision(came, p))
        threshold, f1 = one["best_f1"]
        positive = p >= threshold
        assert f1 == pytest.approx(2 * (positive & came).sum() / (positive.sum() + came.sum()))
        assert sum(line[2] for line in one["reliability"]) == len(came)
        tenths = np.minimum((p * 10).astype(int), 9)
        gaps = [abs(p[tenths == i].sum() - came[tenths == i].sum()) for i in range(10)]
        assert one["calibration_error"] == pytest.approx(sum(gaps) / len(p))


def test_absent_label_has_no_curve():
    frame, _ = table(100)
    frame["y"], frame["z"] = (
        np.where(frame.a > 0, "Yes", "No"),
        np.where(frame.b > 2.2, "Yes", "No"),
    )
    config = TrainConfig(epochs=1, target=("y", "z"), task="multilabel")
    result = train(frame, config)
    rows = result.data.test
    never = type(rows)(rows.X, np.column_stack([rows.y[:, 0], np.zeros(len(rows.y))]))
    first, second = evaluate(result.model, never).per_class
    assert first.roc is not None
    assert set(second.to_json()) == {"name", "brier", "calibration_error", "reliability"}


def test_contradictory_labels_are_reported():
    frame = pd.DataFrame({"x": [0, 1] * 40, "y": ["p;q", "q", "p", "q"] * 20})
    result = train(frame, TrainConfig(epochs=1, task="multilabel", test_fraction=0))
    found = evaluate(result.model, result.data.train).findings
    (finding,) = [one for one in found if one.name == "contradictory labels"]
    # of the 40 rows with x = 0 twenty are p;q and twenty p
    assert finding.message.endswith(
        "no model can get more than 75.0 % of these rows entirely right."
    )
    assert finding.evidence == "40 rows in 1 group of equal rows"


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_evaluation_reveals_no_single_row(task):
    """With 12 rows in 10 bins, most bins of a reliability table contain one row."""
    frame = several(task) if task != "binary" else several("multiclass").assign(
        y=lambda f: np.where(f.y == "p", "p", "q")
    )  # fmt: skip
    result = train(frame, TrainConfig(epochs=20, task=task, test_fraction=0.03))
    A = result.model.predictions(result.data.test.X).astype(np.float64).ravel()
    found = evaluate(result.model, result.data.test)
    parts = [one for one in (found.probabilities, *found.per_class) if one is not None]
    text = json.dumps([one.to_json() for one in parts])
    written = [float(number) for number in re.findall(r"[0-9]\.[0-9]+(?:e-[0-9]+)?", text)]
    assert len(written) > 30
    assert not np.isin(A, written).any()


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("multiclass", {"accuracy": "high"}),
        ("multiclass", {"rows": 0}),
        ("multiclass", {"interval": [0.5]}),
        ("multiclass", {"f1_per_class": [0.5, 0.5]}),
        ("multiclass", {"confusions": [[0, 3, 1]]}),
        ("multiclass", {"confusions": [[0, 1]]}),
        ("multiclass", {"confusions": [[0, 1, 1], [0]]}),
        ("multiclass", {"probabilities": []}),
        ("multilabel", {"confusion_matrix": [[1, 2], [3, 4]]}),
        ("multilabel", {"confusion_matrix": "none"}),
        ("multilabel", {"best_baseline": "magic"}),
        ("multilabel", {"baselines": [{"name": "constant"}]}),
        ("multilabel", {"findings": [{"name": "leaked column"}]}),
        ("multilabel", {"trained_on": {"value": "all"}}),
        ("multilabel", {"verdict": None}),
    ],
)
def test_edited_evaluation_is_refused(task, change):
    result = train(several(task, 60), TrainConfig(epochs=1, task=task))
    stored_json = json.loads(json.dumps(result.model.record["evaluation"]))
    target = result.model.target
    assert Evaluation.from_json(stored_json, target).to_json() == stored_json
    with pytest.raises(ModelFileError, match="damaged or was edited"):
        Evaluation.from_json({**stored_json, **change}, target)
    result.model.record["evaluation"] |= change
    with pytest.raises(ModelFileError):
        stored_evaluation(result.model)


def test_the_loss_leaves_out_label_smoothing():
    """It is the mean of minus log p of the true class, for the network as for baselines."""
    run = train(introverts(300), TrainConfig(label_smoothing=0.2, epochs=20))
    result, rows = stored_evaluation(run.model), run.data.test
    p = 1 / (1 + np.exp(-run.model.forward(rows.X)[:, 0].astype(float)))
    expected = -np.log(np.where(rows.y.ravel() == 1, p, 1 - p)).mean()
    assert result.scores.loss == pytest.approx(expected, rel=1e-5)
    always = next(one for one in result.baselines if one.name == "constant")
    share = run.data.train.y.mean()
    assert always.scores.loss == pytest.approx(
        -np.log(np.where(rows.y.ravel() == 1, share, 1 - share)).mean(), rel=0.02
    )
