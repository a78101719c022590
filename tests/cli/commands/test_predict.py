"""predict, evaluate, summary and gradcheck, on tables and pictures."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plainnet.cli.commands.predict import Predictions
from plainnet.data.synthetic import introverts
from plainnet.data.targets import Target
from plainnet.export.csv_cell import csv_cell
from plainnet.model import Model
from plainnet.nn import Sequential

Cli = Callable[..., Any]


def test_piped_predictions_are_csv(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("predict", trained, survey)
    assert (outcome.code, outcome.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert list(rows[0]) == ["row", "prediction", "probability of Introvert"]
    assert [row["row"] for row in rows] == [str(i) for i in range(1, 151)]
    model = Model.load(trained)
    assert [row["prediction"] for row in rows] == model.predict(survey).tolist()
    predicted = [float(row["probability of Introvert"]) for row in rows]
    np.testing.assert_allclose(predicted, model.predict_proba(survey)[:, 1], rtol=1e-5)


def test_predictions_to_a_file(cli: Cli, trained: Path, survey: Path, tmp_path: Path) -> None:
    piped = cli("predict", trained, survey).out
    outcome = cli("predict", trained, survey, "--out", "predictions.csv")
    assert outcome.out == "Saved: 150 predictions in predictions.csv\n"
    assert (tmp_path / "predictions.csv").read_text() == piped


def test_file_without_column_names(cli: Cli, tmp_path: Path) -> None:
    frame = introverts(150)
    frame.to_csv("named.csv", index=False)
    frame.to_csv("bare.csv", index=False, header=False)
    (tmp_path / "numbers.csv").write_text("1,5,a\n2,3,b\n3,9,a\n1,8,b\n" * 9)
    assert "give --no-header" in cli("train", "numbers.csv").err
    train = ("--epochs 5 --no-fingerprints --out",)
    assert cli("train", "named.csv", *train, "named.safetensors").code == 0
    assert cli("train", "bare.csv", "--no-header", *train, "bare.safetensors").code == 0
    assert "x7" in cli("summary", "bare.safetensors").out
    cli("export", "bare.safetensors", "--python", "bare.py")
    named, bare, script = (
        cli("predict", "named.safetensors", "named.csv").out,
        cli("predict", "bare.safetensors", "bare.csv").out,
        subprocess.run([sys.executable, "bare.py", "bare.csv"], capture_output=True, text=True),
    )
    assert bare == named
    assert len(bare.splitlines()) == 151
    labels = [row["prediction"] for row in csv.DictReader(io.StringIO(bare))]
    assert [row["prediction"] for row in csv.DictReader(io.StringIO(script.stdout))] == labels
    for command in ("evaluate", "explain"):
        assert cli(command, "bare.safetensors", "bare.csv").code == 0
        assert cli(command, "bare.safetensors", "named.csv").code == 2


def test_file_without_column_names_may_lack_the_target(cli: Cli) -> None:
    frame = introverts(60)
    frame.insert(2, "target", frame.pop("Personality"))
    frame.to_csv("bare.csv", index=False, header=False)
    frame.drop(columns="target").to_csv("inputs.csv", index=False, header=False)
    train = "--no-header --target x2 --epochs 5 --out m.safetensors"
    assert cli("train", "bare.csv", train).code == 0
    cli("export", "m.safetensors", "--python", "m.py")
    expected = cli("predict", "m.safetensors", "bare.csv").out
    assert cli("predict", "m.safetensors", "inputs.csv").out == expected
    script = [
        subprocess.run([sys.executable, "m.py", f"{name}.csv"], capture_output=True).stdout
        for name in ("bare", "inputs")
    ]
    assert script[0] == script[1] != b""


FORMULA, ESCAPE = '=HYPERLINK("http://x")', "\x1b[31mred\x1b[0m"


def test_formulas_are_escaped_unless_raw(cli: Cli, tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.arange(60) % 2 * 10.0, "y": [FORMULA, ESCAPE] * 30})
    table.to_csv("t.csv", index=False)
    assert cli("train", "t.csv", "--epochs 30 --lr 0.1 --out m.safetensors").code == 0
    for arguments, predicted in (
        ((), {"'" + FORMULA, r"\x1b[31mred\x1b[0m"}),
        (("--raw",), {FORMULA, ESCAPE}),
    ):
        piped = cli("predict", "m.safetensors", "t.csv", *arguments)
        assert (piped.code, piped.err) == (0, "")
        assert {row["prediction"] for row in csv.DictReader(io.StringIO(piped.out))} == predicted
        assert cli("predict", "m.safetensors", "t.csv", "--out p.csv", *arguments).code == 0
        assert (tmp_path / "p.csv").read_text() == piped.out
    for command in (
        *("summary m.safetensors", "evaluate m.safetensors t.csv --detail"),
        *("explain m.safetensors t.csv", "explain m.safetensors t.csv --row 1"),
        *("doctor m.safetensors t.csv", "train t.csv --epochs 1", "doctor t.csv --epochs 1"),
        *("evaluate m.safetensors t.csv --json", "explain m.safetensors t.csv --label \x1b"),
    ):
        shown = cli(*command.split())
        assert "\x1b" not in shown.out + shown.err, command


def test_numbers_are_not_escaped(cli: Cli) -> None:
    table = pd.DataFrame({"x": np.arange(60) % 3, "y": np.arange(60) % 3 * 2.5 - 3.5})
    table.to_csv("t.csv", index=False)
    assert cli("train", "t.csv", "--epochs 1 --task regression --out r.safetensors").code == 0
    table.assign(y=[-1, 1, -1] * 20).to_csv("t.csv", index=False)
    assert cli("train", "t.csv", "--epochs 1 --task binary --out b.safetensors").code == 0
    for model in ("r.safetensors", "b.safetensors"):
        out = cli("predict", model, "t.csv").out
        assert "'" not in out
        assert out == cli("predict", model, "t.csv", "--raw").out


@pytest.mark.parametrize("name", ["=1+1.png", "\x1b[31m.png"])
def test_file_names_are_escaped(cli: Cli, painter: Path, colors: Path, name: str) -> None:
    (colors / "red" / "0.png").rename(colors / name)
    out = cli("predict", painter, colors).out
    assert f"\n{csv_cell(name)}," in out
    assert f"\n{name}," in cli("predict", painter, colors, "--raw").out


def test_tracebacks_are_escaped(cli: Cli) -> None:
    outcome = cli("predict", "\x1b[31m.safetensors", "t.csv", "--debug")
    assert "Traceback" in outcome.err
    assert "\x1b" not in outcome.err


def test_predictions_on_a_terminal_are_a_short_table(
    cli: Cli, trained: Path, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = cli("predict", trained, survey).out
    assert "150 predictions" in out
    assert "and 130 more: --out FILE writes all" in out
    assert len(out.splitlines()) == 24  # title, head, rule, 20 rows, and how many more


def test_predictions_never_overwrite_inputs(
    cli: Cli, trained: Path, survey: Path, tmp_path: Path
) -> None:
    before = trained.read_bytes(), survey.read_bytes()
    (tmp_path / "link.csv").symlink_to(survey)
    for out in (trained, survey, "link.csv"):
        outcome = cli("predict", trained, survey, "--out", out)
        assert outcome.code == 2
        assert "would overwrite an input: give --out another name" in outcome.err
    assert (trained.read_bytes(), survey.read_bytes()) == before


def test_assumptions_are_noted_on_stderr(cli: Cli, trained: Path, tmp_path: Path) -> None:
    frame = introverts(30).assign(extra=1)
    frame.loc[4, "Stage_fear"] = "perhaps"
    frame.to_csv("new.csv", index=False)
    outcome = cli("predict", trained, "new.csv")
    assert outcome.code == 0
    assert "Note: Column 'extra' is unknown to the model and ignored.\n" in outcome.err
    assert "Note: Data row 5, column 'Stage_fear': 'perhaps' is neither Yes nor No" in outcome.err
    assert "Personality" not in outcome.err  # the target is no column too many
    assert outcome.out.startswith("row,prediction")


def test_pictures_are_predicted_by_name(cli: Cli, painter: Path, colors: Path) -> None:
    (colors / "red" / "x.png").write_text("no picture")
    outcome = cli("predict", painter, colors)
    assert outcome.code == 0
    assert outcome.err.startswith("Note: left out red/x.png: not a picture")
    rows = list(csv.reader(io.StringIO(outcome.out)))
    assert rows[0] == ["file", "prediction", "probability of red"]
    assert [row[:2] for row in rows[1:]] == [
        [f"{name}/{i}.png", name] for name in ("blue", "red") for i in range(6)
    ]
    single = cli("predict", painter, colors / "red" / "0.png")
    assert single.out.splitlines()[1].startswith(f"{colors}/red/0.png,red,")
    assert cli("predict", painter, colors, "--strict").code == 2
    inside = cli("predict", painter, colors, "--out", colors / "predictions.csv")
    assert "would be written into the data folder" in inside.err


def test_evaluation_json_is_one_object(cli: Cli, trained: Path, survey: Path) -> None:
    outcome = cli("evaluate", trained, survey, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    figures = json.loads(outcome.out)
    assert list(figures)[:8] == [
        *("rows", "loss", "accuracy", "precision", "recall", "f1", "roc_auc", "confusion_matrix")
    ]
    assert {"interval", "verdict", "best_baseline", "baselines", "findings"} <= set(figures)
    predicted = Model.load(trained).predict(survey)
    true = pd.read_csv(survey)["Personality"].to_numpy()
    assert figures["rows"] == 150
    assert figures["accuracy"] == np.mean(predicted == true)
    found = np.sum((predicted == "Introvert") & (true == "Introvert"))
    assert figures["recall"] == found / np.sum(true == "Introvert")
    assert figures["confusion_matrix"][1][1] == found


def test_evaluation_text(cli: Cli, trained: Path, survey: Path) -> None:
    out = cli("evaluate", trained, survey).out
    for expected in ("On 150 rows", "95 % interval", "ROC AUC", "Confusion matrix", "always Ex"):
        assert expected in out
    assert "precision of Introvert" not in out
    assert all(len(line) <= 80 for line in out.splitlines() if line[:2] not in ("No", "Wa", "  "))
    detailed = cli("evaluate", trained, survey, "--detail --costs", 1, 5).out
    for expected in ("precision of Introvert", "Calibration", "Brier", "Cheapest threshold"):
        assert expected in detailed


def test_evaluation_warns_of_training_rows(cli: Cli, trained: Path, survey: Path) -> None:
    out = cli("evaluate", trained, survey).out
    assert "No verdict, for " in out
    assert "Most of these rows were trained on" in out
    introverts(100, seed=9).to_csv("new.csv", index=False)
    found = json.loads(cli("evaluate", trained, "new.csv", "--json").out)
    assert "No verdict" not in found["verdict"]
    assert not [f for f in found["findings"] if f["name"] == "rows trained on"]


def test_costs_require_two_classes(cli: Cli, tmp_path: Path) -> None:
    make({"y": ["a", "b", "c"] * 20}, "--target y", cli)
    outcome = cli("evaluate", "any.safetensors", "any.csv", "--costs", 1, 2)
    assert (
        outcome.err
        == "Error: --costs needs a model of two classes, and this is a multiclass task\n"
    )


def test_pictures_are_evaluated_by_their_folders(cli: Cli, painter: Path, colors: Path) -> None:
    figures = json.loads(cli("evaluate", painter, colors, "--json").out)
    assert figures["confusion_matrix"] == [[6, 0], [0, 6]]
    (colors / "green").mkdir()
    (colors / "green" / "a.png").write_bytes((colors / "red" / "0.png").read_bytes())
    outcome = cli("evaluate", painter, colors)
    assert outcome.code == 2
    assert "holds the class 'green', which is not one of blue, red" in outcome.err


def test_evaluation_requires_the_target(cli: Cli, trained: Path, tmp_path: Path) -> None:
    introverts(20).drop(columns="Personality").to_csv("blind.csv", index=False)
    outcome = cli("evaluate", trained, "blind.csv")
    assert outcome.code == 2
    assert "The table has no column 'Personality' (the target)" in outcome.err


def test_rows_without_a_target_are_dropped_with_a_note(
    cli: Cli, trained: Path, tmp_path: Path
) -> None:
    frame = introverts(20)
    frame.loc[3, "Personality"] = None
    frame.to_csv("some.csv", index=False)
    outcome = cli("evaluate", trained, "some.csv", "--json")
    assert json.loads(outcome.out)["rows"] == 19
    assert "Left out without the target 'Personality': data row 4." in outcome.err


def make(columns: dict[str, Any], arguments: str, cli: Cli) -> dict[str, Any]:
    """Train on a table and evaluate the model on it."""
    pd.DataFrame({"x": [i % 13 for i in range(60)], **columns}).to_csv("any.csv", index=False)
    assert cli("train", "any.csv", "--epochs 3", arguments).code == 0
    out = cli("evaluate", "any.safetensors", "any.csv").out
    assert "On 60 rows" in out
    figures: dict[str, Any] = json.loads(
        cli("evaluate", "any.safetensors", "any.csv", "--json").out
    )
    return figures


def test_every_task_has_its_metrics(cli: Cli, tmp_path: Path) -> None:
    many = make({"y": ["a", "b", "c"] * 20}, "--target y", cli)
    assert sum(rows for _, _, rows in many["confusions"]) == 60
    assert len(many["recall_per_class"]) == 3
    head = cli("predict", "any.safetensors", "any.csv").out.splitlines()[0]
    assert head == "row,prediction,probability of a,probability of b,probability of c"

    labels = make({"y": ["p;q", "q", "r", "p"] * 15}, "--target y", cli)
    assert len(labels["f1_per_label"]) == 3
    rows = list(csv.DictReader(io.StringIO(cli("predict", "any.safetensors", "any.csv").out)))
    for row in rows:
        predicted = [label for label in "pqr" if float(row[f"probability of {label}"]) >= 0.5]
        assert row["prediction"] == ";".join(predicted)

    numbers = make({"y": [2.5 * (i % 13) for i in range(60)]}, "--target y --lr 0.1", cli)
    assert list(numbers)[:5] == ["rows", "loss", "rmse", "mae", "r2"]
    assert [one["name"] for one in numbers["baselines"]] == ["constant", "regression"]
    rows = list(csv.DictReader(io.StringIO(cli("predict", "any.safetensors", "any.csv").out)))
    errors = [abs(float(row["prediction"]) - 2.5 * (i % 13)) for i, row in enumerate(rows)]
    assert numbers["mae"] == pytest.approx(np.mean(errors), rel=1e-4)

    two = {"y": [2.5 * (i % 13) for i in range(60)], "z": [i % 7 + 0.5 for i in range(60)]}
    figures = make(two, "--target y --target z", cli)
    assert len(figures["rmse_per_target"]) == 2
    head = cli("predict", "any.safetensors", "any.csv").out.splitlines()[0]
    assert head == "row,prediction of y,prediction of z"


def test_many_classes_show_most_frequent_confusions(cli: Cli, tmp_path: Path) -> None:
    make({"y": [f"class {i % 12}" for i in range(60)]}, "--target y", cli)
    out = cli("evaluate", "any.safetensors", "any.csv").out
    assert "Most frequent confusions" in out


@pytest.mark.parametrize(
    ("target", "A", "expected"),
    [
        (Target("binary", ("y",), ("n", "p")), [[0.25]], ["1", "n", "75.0 %"]),
        (Target("multiclass", ("y",), ("a", "b", "c")), [[0.1, 0.7, 0.2]], ["1", "b", "70.0 %"]),
        (
            Target("multilabel", ("y",), ("a", "b")),
            [[0.9, 0.6]],
            ["1", "a;b", "a 90.0 %, b 60.0 %"],
        ),
        (Target("regression", ("y",), (), (10.0,), (2.0,)), [[0.5]], ["1", "11"]),
    ],
)
def test_prediction_text(target: Target, A: list[list[float]], expected: list[str]) -> None:
    table = Predictions(target, "row", ["1"], np.array(A)).table(20)
    assert table.rows == [expected]


def test_summary_of_a_table_model(cli: Cli, trained: Path) -> None:
    outcome = cli("summary", trained)
    assert (outcome.code, outcome.err) == (0, "")
    for expected in (
        "trained.safetensors",
        "binary: 'Personality' is 'Extrovert' (0) or 'Introvert' (1)",
        "Friends_circle_size",
        "dense1   Dense",
        "Loss: BinaryCrossEntropy",
        "Training: 15 epochs of 120 rows in batches of 32, adam, learning rate 0.01, seed 0",
        "in 15 epochs  █",
        "On 30 held-out rows",
        "always Extrovert",
    ):
        assert expected in outcome.out


def test_summary_of_a_picture_model(cli: Cli, painter: Path) -> None:
    out = cli("summary", painter).out
    assert "Input: 8 x 8 pixels, 192 numbers in all" in out
    assert "'blue' (0) or 'red' (1)" in out


@pytest.mark.parametrize("record", [{}, {"config": {"magic": 1}}, {"history": 5}])
def test_summary_of_a_handmade_model(cli: Cli, trained: Path, record: dict[str, Any]) -> None:
    model = Model.load(trained)
    Model(model.schema, model.target, model.net, model.loss, record).save("own.safetensors")
    outcome = cli("summary", "own.safetensors")
    assert outcome.code == 0
    assert "was not written by plainnet train" in outcome.out


def test_gradcheck_passes(
    cli: Cli, trained: Path, painter: Path, survey: Path, colors: Path
) -> None:
    for model, data in ((trained, survey), (painter, colors)):
        outcome = cli("gradcheck", model, data)
        assert (outcome.code, outcome.err) == (0, "")
        assert "dense1.W" in outcome.out
        assert "Gradients on 5 rows" in outcome.out
        assert "The gradients are right" in outcome.out


def test_gradcheck_options(cli: Cli, trained: Path, survey: Path) -> None:
    out = cli("gradcheck", trained, survey, "--rows 3 --sample 7").out
    assert "Gradients on 3 rows" in out
    line = next(line for line in out.splitlines() if line.startswith("dense1.W"))
    assert line.split()[4] == "7"
    other = cli("gradcheck", trained, survey, "--rows 3 --sample 7 --seed 1").out
    assert out != other
    for arguments in ("--rows 0", "--seed -1", "--sample 0"):
        assert cli("gradcheck", trained, survey, arguments).code == 2


def test_wrong_gradient_sets_the_exit_code(
    cli: Cli, trained: Path, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Sequential.backward

    def doubled(net: Sequential, dZ: Any, need_dX: bool = False) -> Any:
        dX = backward(net, dZ, need_dX)
        net.params.grads["dense1.W"][...] *= 2
        return dX

    monkeypatch.setattr(Sequential, "backward", doubled)
    outcome = cli("gradcheck", trained, survey)
    assert outcome.code == 1
    assert "WRONG, most at (" in outcome.out
    assert "The gradients are WRONG" in outcome.out


def test_strict_for_tables_raises(cli: Cli, trained: Path, survey: Path) -> None:
    for command in ("predict", "evaluate"):
        outcome = cli(command, trained, survey, "--strict")
        assert outcome.code == 2
        assert "--strict applies only to models of pictures" in outcome.err
