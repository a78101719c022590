"""Model file format: golden files, and an independent reader written from the specification."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import format_one
from golden.make import ROWS
from plainnet import Model
from plainnet.config import TrainConfig
from plainnet.data.synthetic import introverts
from plainnet.evaluate.baselines.baseline import stored_baselines
from plainnet.model import PARTS
from plainnet.nn.layers import LAYERS
from plainnet.nn.losses import LOSSES
from plainnet.storage.model_file import FORMAT, read_model
from plainnet.training import train

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).resolve().parent / "golden"
FILES = sorted(GOLDEN.glob("format-*/*.safetensors"))
files = pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")


def expected_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def raw_of(path, tmp_path):
    """Return the raw input from which the expected values of a golden file were computed."""
    raw = expected_of(path)["raw"]
    if isinstance(raw[0], list):
        return np.array(raw, np.uint8)
    head = list(raw[0])
    lines = [",".join(f'"{row[name] or ""}"' for name in head) for row in raw]
    (tmp_path / "rows.csv").write_text("\n".join([",".join(head), *lines]), encoding="utf-8")
    return tmp_path / "rows.csv"


def test_every_format_has_golden_files():
    for number in range(1, FORMAT + 1):
        names = {path.stem for path in FILES if path.parent.name == f"format-{number}"}
        assert names == {"table", "picture"}
    assert all(path.stat().st_size < 2**14 for path in FILES)


@files
def test_golden_file_predictions(path, tmp_path):
    model, expected = Model.load(path), expected_of(path)
    raw, notes = raw_of(path, tmp_path), []
    X = model.preprocess(raw, notes)
    numbers = X if model.transform is None else model.transform(X)[:, :6]
    np.testing.assert_allclose(numbers, expected["inputs"], atol=1e-5)
    np.testing.assert_allclose(model.predictions(X), expected["outputs"], atol=1e-5)
    assert model.predict(raw).tolist() == expected["predictions"]


@files
def test_golden_file_training_record(path):
    model = Model.load(path)
    names = [one.name for one in stored_baselines(model)]
    assert names[:2] == ["constant", "column"]
    found = model.record["evaluation"]
    assert [one["name"] for one in found["baselines"]] == names


@files
def test_golden_file_is_unchanged(path):
    """The stored digest prevents regeneration when a value changes."""
    arrays, header = format_one.read(path.read_bytes())
    assert format_one.digest(arrays, header) == expected_of(path)["digest"]
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    done = subprocess.run([git, "check-ignore", "-q", str(path)], cwd=ROOT)
    assert done.returncode == 1, "git ignores it"


@files
def test_golden_file_rewrites_to_the_same_bytes(path, tmp_path):
    Model.load(path).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@files
def test_independent_reader_reads_golden_files(path):
    arrays, header = format_one.read(path.read_bytes())
    tensors, described = read_model(path)
    assert header == described
    assert set(header) == set(PARTS)
    assert {n: (a.dtype.str, a.tolist()) for n, a in arrays.items()} == {
        n: (a.dtype.str, a.tolist()) for n, a in tensors.items()
    }


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(hidden=(4, 3), activation=("tanh",), dropout=0.2, epochs=5),
        TrainConfig(
            hidden=(4,), activation=("sigmoid",), batch_norm=True, epochs=5, task="multiclass"
        ),
        TrainConfig(hidden=(), epochs=5, target=("Time_spent_Alone",), task="regression"),
        TrainConfig(network="tabular", members=3, hidden=(4, 4), epochs=5),
    ],
    ids=["binary", "multiclass", "regression", "tabular"],
)
def test_independent_reader_predicts_the_same(config, tmp_path):
    frame = introverts(80, seed=3)
    model = train(frame, config).model
    model.save(tmp_path / "m")
    arrays, header = format_one.read((tmp_path / "m").read_bytes())
    rows = csv.DictReader(io.StringIO(frame.to_csv(index=False)))
    X = format_one.table_inputs(header["schema"], list(rows))
    np.testing.assert_allclose(model.preprocess(frame), X, atol=1e-5)
    A = format_one.outputs(arrays, header, X)
    np.testing.assert_allclose(model.predictions(model.preprocess(frame)), A, atol=1e-4)
    output = format_one.predictions(header, A)
    if config.task == "regression":
        np.testing.assert_allclose(model.predict(frame), output, rtol=1e-3)
    else:
        assert model.predict(frame).tolist() == output


def test_specification_covers_layers_losses_and_columns():
    page = (ROOT / "docs" / "file-format.md").read_text()
    for name, layer in LAYERS.items():
        assert f"`{name}`" in page
        assert all(f"`{option}`" in page for option in layer.options), name
    assert all(f"`{name}`" in page for name in LOSSES)
    assert re.search(rf"^# The model file, format {FORMAT}$", page, re.MULTILINE)


def test_golden_rows_match_the_generator():
    assert expected_of(GOLDEN / "format-1" / "table.safetensors")["raw"] == ROWS
