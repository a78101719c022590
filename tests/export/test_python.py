"""Exported Python files give bit-identical predictions without plainnet."""

import ast
import csv
import json
import os
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from export.models import (
    EVIL,
    M,
    activations,
    convolutional_models,
    frame,
    picture_model,
    table_model,
    table_models,
)
from export.runtimes import untrained
from plainnet.data.images import read_files
from plainnet.data.read_table import read_frame
from plainnet.engine.blas_threads import limited_threads
from plainnet.errors import DataError, PlainnetError
from plainnet.export.formats import FORMATS
from plainnet.export.python import to_python
from plainnet.nn.activations import Activation
from plainnet.nn.layers import LAYERS, Dense
from plainnet.nn.network import Sequential, mlp

# Imports each file by its path, predicts, and says what else was loaded.
DRIVER = """
import importlib.util, json, sys
import numpy as np

def load(path):
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

folder, names = sys.argv[1], sys.argv[2:]
with open(f"{folder}/rows") as file:
    rows = json.load(file)
for name in names:
    module = load(f"{folder}/{name}.py")
    raw = np.load(f"{folder}/{name}.npy") if "picture" in name else rows
    A, labels = module.outputs(raw), module.predict(raw)
    labels = labels.astype("U") if labels.dtype == object else labels
    np.savez(f"{folder}/{name}.npz", A=A, labels=labels)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def loaded(text):
    """Import the file as a module."""
    program = {"__name__": "program"}
    exec(compile(text, "exported.py", "exec"), program)
    return program


def alone(folder, *names):
    """Run the driver; return the loaded modules."""
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", DRIVER, str(folder), *names],
        check=True,
        capture_output=True,
        text=True,
        env={"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def rows_of(table):
    return json.loads(table.to_json(orient="records", force_ascii=False))


ROW = rows_of(frame())[0]
SCHEMA = table_models()["binary"].schema
WEIGHT = SCHEMA.feature_names.index("weight")
COLUMN = next(column for column in SCHEMA.columns if column.name == "weight")


def odd_rows():
    """Rows with missing cells, unknown levels, unusual texts and all number spellings."""
    table = pd.concat([frame()] * 5, ignore_index=True)  # more than a batch of the wide network
    table.loc[0, ["fun", EVIL, "city", "age"]] = ["perhaps", "never seen", None, " 41 "]
    table.loc[1, ["age", "income €", "weight", "rate"]] = ["?", "1,234,567.5", "1.234,5", "-inf"]
    table.loc[1, "rate"] = "NaN"
    table.loc[2, ["fun", "smokes", "rate", "weight"]] = ["ON", "true", "1e-40", "+5"]
    table.loc[3, ["age", "smokes", "city"]] = [" n/a", "?", "NULL"]
    return table


def test_every_model_is_bit_identical_without_plainnet(tmp_path):
    models = dict(table_models())
    table = odd_rows()
    (tmp_path / "rows").write_text(json.dumps(rows_of(table)))
    rng = np.random.default_rng(2)
    for task in ("binary", "multiclass", "regression"):
        models[f"picture {task}"] = picture_model(8, task)
    models["picture large"] = picture_model(64, "binary", (8, 8))
    models |= {f"picture {name}": model for name, model in convolutional_models().items()}
    for name, model in models.items():
        (tmp_path / f"{name}.py").write_text(to_python(model), encoding="utf-8")
        if "picture" in name:
            size = model.schema.size
            pictures = rng.integers(0, 256, (9 if size == 64 else 300, size, size, 3), np.uint8)
            np.save(tmp_path / f"{name}.npy", pictures)
    modules = alone(tmp_path, *models)
    assert modules & {"numpy", "plainnet", "pandas", "PIL", "safetensors", "jinja2"} == {"numpy"}
    for name, model in models.items():
        raw = np.load(tmp_path / f"{name}.npy") if "picture" in name else table
        with limited_threads(1):
            A, labels = activations(model, raw), model.predict(raw)
        with np.load(tmp_path / f"{name}.npz") as found:
            assert found["A"].dtype == A.dtype, name
            np.testing.assert_array_equal(found["A"].view(np.uint8), A.view(np.uint8), name)
            np.testing.assert_array_equal(
                found["labels"], labels.astype(found["labels"].dtype), name
            )


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_probabilities_have_one_column_per_class(task):
    model, rows = table_models()[task], rows_of(frame().head(3))
    program = loaded(to_python(model))
    if task == "regression":
        assert "predict_proba" not in program
        return
    found = program["predict_proba"](rows)
    assert found.shape == (3, len(model.target.classes))
    np.testing.assert_array_equal(found, model.predict_proba(frame().head(3)))


def test_few_rows_use_the_same_blas_routines():
    """BLAS uses other routines for products of one row or one output."""
    for model in table_models().values():
        program = loaded(to_python(model))
        for m in (1, 2, 3, 17):
            table = frame().head(m)
            np.testing.assert_array_equal(
                program["outputs"](rows_of(table)), activations(model, table)
            )


CELLS = ["41", "-1.5e3", "1,234", "1.234,5", ",5", "5,", "1_000", " 7 ", "+3", "0x10", "١٢", "5 %"]
CELLS += ["", "NA", "nan", "NAN", "Nan", "?", "-", "yes", "Y", "0", "1", "1.0", "True", "off"]
CELLS += ["Oslo", "oslo", "inf", "1e999", "1e300", EVIL, "don't know"]
TYPED = [5, 5.0, 0.1, 1.234, 1e20, True, False, None, float("nan"), np.float32(0.1), np.int64(3)]
TYPED += [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-02 10:30", tz="Europe/Oslo"), pd.NA]
TYPED += [pd.NaT, date(2020, 1, 2), datetime(2020, 1, 2), time(9), Decimal("NaN"), Decimal("sNaN")]
TYPED += [pd.Timedelta(days=2), pd.Timedelta(seconds=1.5), pd.Timedelta(-3, "h"), timedelta(days=1)]
TYPED += [
    pd.Timedelta(1, "ns"),
    timedelta(hours=5),
    Decimal("2.50"),
    Decimal(10**30),
    Decimal("3.0"),
]
TYPED += [
    np.bool_(True),
    np.uint8(1),
    4012888888881881.0,
    1e-7,
    -0.0,
    Decimal("1e999"),
    Fraction(1, 3),
]
TYPED += [b"Oslo", 1j, [1], {}, pd.Period("2020"), np.datetime64("NaT"), np.timedelta64(1, "D")]


@pytest.mark.parametrize("cell", [*CELLS, *TYPED], ids=repr)
@pytest.mark.parametrize("name", ["age", "weight", "fun", "smokes", EVIL, "city", "note"])
def test_cells_are_parsed_as_in_the_schema(name, cell):
    model, program = table_models()["binary"], PROGRAM
    row = ROW | {name: cell}
    table, notes, remarks = pd.DataFrame([row]), [], []
    try:
        expected = model.schema.transform(table, notes)
    except DataError:
        with pytest.raises(ValueError, match=r"^data row 1, column"):
            program["features"]([row])
    else:
        np.testing.assert_array_equal(program["features"]([row], remarks), expected)
        unknown = [note for note in notes if "unknown to the model" in note]  # of columns left out
        assert len(remarks) == len(notes) - len(unknown)


PROGRAM = loaded(to_python(table_models()["binary"]))

COLUMNS = {
    "zone": pd.Series([pd.Timestamp("2020-01-02", tz="Europe/Oslo"), None,
                       pd.Timestamp("2020-07-02 05:06:07.5", tz="Europe/Oslo"), pd.NaT]),
    "timestamp": pd.Series(pd.to_datetime(["2020-01-02", None, "2020-01-03", "2020-01-02"])),
    "date": pd.Series([date(2020, 1, 2), None, date(2020, 1, 3), date(2020, 1, 2)]),
    "time": pd.Series([time(9), None, time(9, 30), time(9)]),
    "days": pd.Series(pd.to_timedelta(["1 days", None, "2 days", "1 days"])),
    "span": pd.Series(pd.to_timedelta(["1 days", None, "-5:00:00", "1 days 00:00:00.25"])),
    "decimal": pd.Series([Decimal("1.50"), None, Decimal("2.00"), Decimal("1.25")]),
    "bool": pd.Series([True, None, False, True], dtype="boolean"),
    "truth": pd.Series([True, False, False, True]),
    "Int64": pd.Series([10**18 + 1, None, 10**18 + 3, 5], dtype="Int64"),
    "uint8": pd.Series([1, 2, 3, 3], dtype="uint8"),
    "Float32": pd.Series([0.1, None, 2, 0.1], dtype="Float32"),
    "levels": pd.Series([3, None, 7, 3], dtype="category"),
    "text": pd.Series(["a", None, "NaT", "b"], dtype="string"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["category", None])
@pytest.mark.parametrize("source", ["frame", "parquet"])
@pytest.mark.parametrize("name", COLUMNS)
def test_typed_cells_are_parsed_as_in_the_model(name, source, kind, tmp_path):
    # Repeated, so that a column is no identifier; y is all that training needs besides.
    table = pd.DataFrame({"x": COLUMNS[name], "y": list("abab")})
    table = pd.concat([table] * 6, ignore_index=True)
    if source == "parquet":
        table.to_parquet(tmp_path / "rows.parquet")
        table = read_frame(tmp_path / "rows.parquet")
    model = untrained(table, ["y"], kinds={"x": kind} if kind else None)
    rows = table.to_dict("records")
    expected = activations(model, table)
    np.testing.assert_array_equal(loaded(to_python(model))["outputs"](rows), expected)
    assert len(np.unique(expected)) >= 2


def test_bytes_raise_in_model_and_export(tmp_path):
    pd.DataFrame({"city": [b"Oslo"]}).to_parquet(tmp_path / "rows.parquet")
    table = read_frame(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="the cell holds a bytes instead of text"):
        table_models()["binary"].schema.transform(frame().head(1).assign(city=table["city"]))
    with pytest.raises(ValueError, match=r"b'Oslo' is neither text, a number, true or false, nor"):
        PROGRAM["features"]([ROW | {"city": b"Oslo"}])


def test_no_rows_give_no_predictions(tmp_path, capsys):
    for name, model in table_models().items():
        program = loaded(to_python(model))
        assert program["outputs"]([]).shape == (0, model.target.n_out), name
        assert len(program["predict"]([])) == 0
    program = loaded(to_python(picture_model(8)))
    assert program["predict"](np.zeros((0, 8, 8, 3), np.uint8)).shape == (0,)


def test_typed_number_is_independent_of_the_decimal_sign():
    """A typed number is not text, even if the text of the column has decimal commas."""
    for cell in (2.5, Decimal("2.5"), "2,5"):
        assert PROGRAM["features"]([ROW | {"weight": cell}])[0, WEIGHT] == (
            np.float32((2.5 - COLUMN.mean) / COLUMN.scale)
        )


def test_missing_column_is_named():
    with pytest.raises(ValueError, match=r"column 'age', which the model needs, is absent"):
        PROGRAM["predict"]([{"weight": 3}])


def write(path, table, delimiter=",", first=""):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(first)
        csv.writer(file, delimiter=delimiter).writerows([list(table), *table.fillna("").values])


@pytest.mark.parametrize("raw", [False, True])
def test_formulas_are_escaped_unless_raw(raw, tmp_path, capsys):
    from plainnet.cli.commands.predict import Predictions
    from plainnet.config import TrainConfig
    from plainnet.training import train

    table = pd.DataFrame({"x": np.arange(20.0), "y": ["=1+1", "\x1b[31mred"] * 10})
    model = train(table, TrainConfig(epochs=1, test_fraction=0)).model
    table.to_csv(tmp_path / "rows.csv", index=False)
    loaded(to_python(model))["main"](["--raw"] * raw + [str(tmp_path / "rows.csv")])
    output = capsys.readouterr().out
    A, rows = activations(model, table), [str(i + 1) for i in range(20)]
    assert output == Predictions(model.target, "row", rows, A).csv(raw)
    assert output.startswith("row,prediction,probability of =1+1\n")  # which begins with no sign
    assert {line.split(",")[1] for line in output.splitlines()[1:]} <= (
        {"=1+1", "\x1b[31mred"} if raw else {"'=1+1", r"\x1b[31mred"}
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize(("delimiter", "first"), [(",", ""), (";", "\ufeff"), ("\t", "sep=\t\r\n")])
def test_program_output_matches_predict(task, delimiter, first, tmp_path, capsys):
    from plainnet.cli.commands.predict import Predictions

    model, file = table_models()[task], tmp_path / "rows.csv"
    table = frame().assign(y="of no account")
    write(file, table, delimiter, first)
    program = loaded(to_python(model))
    capsys.readouterr()
    program["main"]([str(file)])
    A = activations(model, file)
    expected = Predictions(model.target, "row", [str(i + 1) for i in range(M)], A).csv()
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    "text",
    ["a, b;c\n1,5;2\n3,5;4\n", "one\n1,5\n2,5\n", "city, state;n\nOslo, NO;5\n", "a,b\n1;2,x\n"],
)
def test_delimiter_detection_matches_plainnet(text, tmp_path):
    (tmp_path / "rows.csv").write_text(text)
    rows = PROGRAM["read_rows"](tmp_path / "rows.csv")
    assert rows == read_frame(tmp_path / "rows.csv").to_dict("records")


def test_script_output_and_errors(tmp_path):
    model, file, script = table_models()["binary"], tmp_path / "rows.csv", tmp_path / "m.py"
    write(file, frame().assign(city="Atlantis").head(1))
    script.write_text(to_python(model), encoding="utf-8")

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-I", str(script), *map(str, arguments)],
            capture_output=True,
            text=True,
        )

    done = run(file)
    assert done.returncode == 0
    assert "Note: data row 1, column 'city': 'Atlantis' is not among" in done.stderr
    assert len(done.stdout.splitlines()) >= 2
    file.write_text("age\nold\n")
    assert run(file).stderr.count("\n") == 1
    assert "column 'income €', which the model needs, is absent" in run(file).stderr
    assert run(tmp_path / "nowhere.csv").returncode == 1
    assert "nowhere.csv" in run(tmp_path / "nowhere.csv").stderr
    assert "Usage:" in run().stderr


MODES = {
    "photo.jpg": ("RGB", (90, 70), {"quality": 90}),
    "big.jpg": ("RGB", (333, 250), {}),
    "gray.png": ("L", (40, 30), {}),
    "clear.png": ("RGBA", (31, 17), {}),
    "clear gray.png": ("LA", (31, 17), {}),
    "deep.png": ("I;16", (20, 20), {}),
    "palette.gif": ("P", (33, 21), {}),
    "bits.png": ("1", (33, 21), {}),
    "print.jpg": ("CMYK", (50, 20), {}),
    "square.png": ("RGB", (8, 8), {}),
}


def test_closed_pipe_is_no_error(tmp_path):
    model = table_models()["binary"]
    script, file = tmp_path / "model.py", tmp_path / "rows.csv"
    script.write_text(to_python(model), encoding="utf-8")
    write(file, frame())
    command = [sys.executable, "-I", str(script), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert b"Error" not in process.stderr.read()
    assert process.returncode == 0


def picture(path, mode, size, orientation=1, **options):
    """Write a picture of noise on a gradient."""
    rng = np.random.default_rng(len(path.name))
    w, h = size
    X = np.add.outer(np.linspace(0, 120, h), np.linspace(0, 90, w))[..., None]
    X = (X + rng.integers(0, 45, (h, w, 4))).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(X[..., 0].astype(np.uint16) * 251)
    else:
        image = Image.fromarray(X, "RGBA") if mode == "RGBA" else Image.fromarray(X[..., :3])
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **options)


def test_pictures_are_read_as_in_plainnet(tmp_path):
    program = loaded(to_python(picture_model(8)))
    for name, (mode, size, options) in MODES.items():
        path = tmp_path / name
        picture(path, mode, size, **options)
        np.testing.assert_array_equal(
            program["read_picture"](path), read_files([path], 8)[0][0], name
        )
    for orientation in range(1, 9):
        path = tmp_path / f"{orientation}.jpg"
        picture(path, "RGB", (60, 41), orientation)
        np.testing.assert_array_equal(program["read_picture"](path), read_files([path], 8)[0][0])


def test_pictures_as_a_program(tmp_path, capsys):
    from plainnet.cli.commands.predict import Predictions

    model, path = picture_model(8), tmp_path / "a.jpg"
    picture(path, "RGB", (60, 41))
    program = loaded(to_python(model))
    program["main"]([str(path), str(path)])
    A = activations(model, np.stack([read_files([path], 8)[0][0]] * 2))
    assert capsys.readouterr().out == Predictions(model.target, "file", [str(path)] * 2, A).csv()
    with pytest.raises(SystemExit, match=r"nowhere\.png"):
        program["main"]([str(tmp_path / "nowhere.png")])
    with pytest.raises(SystemExit, match="Usage"):
        program["main"]([])
    with pytest.raises(ValueError, match=r"pictures must be uint8 \(m, 8, 8, 3\), got float64"):
        program["predict"](np.zeros((1, 8, 8, 3)))


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    models = {"read_picture": picture_model(), "read_rows": table_models()["binary"]}
    for reader, model in models.items():
        read = loaded(to_python(model))[reader]
        for path in (str(tmp_path / "fifo"), "/dev/zero"):
            with pytest.raises(ValueError, match="not a regular file"):
                read(path)
        with pytest.raises(FileNotFoundError):
            read("nowhere")


def test_invalid_or_oversized_pictures_raise(tmp_path):
    read = loaded(to_python(picture_model()))["read_picture"]
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(OSError, match="cannot identify image file"):  # Ghostscript is not started
        read(tmp_path / "a.eps")
    Image.new("1", (20_000, 2_001)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="more than 40,000,000 pixels"):
        read(tmp_path / "a.png")


def test_exported_code_is_readable():
    """Lines are short, and the code contains only what the model needs."""
    for name, model in {**table_models(), "picture": picture_model(8)}.items():
        text = to_python(model)
        tree = ast.parse(text)
        long = [line for line in text.split("\n") if len(line) > 100 and EVIL[:9] not in line]
        assert long == [], name
        assert "\u202e" not in text
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert defined - used <= {"predict", "predict_proba"}, name
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        imported = {alias.asname or alias.name for node in imports for alias in node.names}
        assert imported - used == set(), name


def test_small_arrays_are_literals_and_large_ones_encoded():
    text = to_python(table_model(lambda n, k: mlp(n, (20,), k)))
    packed = [
        line for line in text.split("\n") if line.startswith("WEIGHTS") and "unpacked" in line
    ]
    assert [line.split('"')[1] for line in packed] == ["dense1.W"]
    assert 'WEIGHTS["dense1.b"] = np.array([' in text


def test_same_model_gives_the_same_text():
    assert to_python(table_models()["everything"]) == to_python(table_models()["everything"])


class Square(Activation):
    def forward(self, X, train):
        return X * X

    def backward(self, dY, need_dX):
        return dY


def test_every_export_supports_every_layer():
    from plainnet.export import html, model_spec, onnx, python

    every = set(LAYERS) - set(model_spec._NO_EFFECT)
    assert set(onnx._LAYERS) == set(python._layer_functions()) == set(html._layer_kinds()) == every


@pytest.mark.parametrize("name", [one.name for one in FORMATS])
def test_unknown_layer_raises(name):
    model = table_model(lambda n, k: Sequential([Dense(3), Square(), Dense(k)], n))
    message = r"^layer 'square1' is of the kind 'Square', which this export does not support: it "
    export = next(one for one in FORMATS if one.name == name).export
    with pytest.raises(PlainnetError, match=message):
        export(model)
