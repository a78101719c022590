"""Model files that are well formed and lie: each finding of the fuzzer, kept from coming back.

The digest of all of them is right, for whoever changes a file can make it anew.
"""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest

import format_one
from fuzz.forge import Raw, signed, taken_apart
from plainnet import DataError, Model, ModelFileError, PlainnetError
from plainnet.cli import main
from plainnet.data.targets import Target
from plainnet.evaluate.training_record import recorded_history
from plainnet.nn import Dense, Flatten, ReLU, Sequential
from plainnet.storage import model_file
from plainnet.storage.model_file import read_model, write_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "format-1" / "table.safetensors"
ROWS = [
    "id,age,city,member,till,gift,b",
    *(f"{i},{20 + 5 * i},Oslo,{'yes' if i % 2 else 'no'},west,card,tea" for i in range(4)),
    *(f"{i},{20 + 5 * i},Bø,{'yes' if i % 2 else 'no'},west,,coffee" for i in range(4)),
]


@pytest.fixture
def forged(tmp_path):
    """Write a file whose header and arrays were changed, with the digest that belongs to them."""
    (tmp_path / "d.csv").write_text("\n".join(ROWS) + "\n")
    good = taken_apart(GOLDEN.read_bytes())

    def write(change):
        arrays = {name: array.copy() for name, array in good.arrays.items()}
        header = read_model(GOLDEN)[1]
        change(header, arrays)
        order = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
        path = tmp_path / "m.safetensors"
        path.write_bytes(format_one.pack(order, signed(order, header)))
        return path

    return write


def put(*keys):
    """Change the value at a place of the header: put("record", "rows", "train", "x")."""
    *path, last, value = keys

    def change(header, arrays):
        for key in path:
            header = header[key]
        header[last] = value

    return change


def fill(name, value):
    def change(header, arrays):
        arrays[name][...] = value

    return change


# --- files that are no model ----------------------------------------------------------------------

DEEP = Raw("[" * 70 + "]" * 70)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("more", 1), "its header has the unknown field 'more'"),
        (put("format", True), "has format True"),
        (put("format", 1.0), "has format 1.0"),
        (put("format", 2), "has format 2"),
        (put("format", Raw("[" + "1," * 9999 + "1]")), "has format [1, 1, 1, 1, 1, 1, ...]"),
        (put("record", "x", Raw('{"a":1,"a":1}')), "the header is not a JSON object"),
        (put("record", "x", Raw("1" * 400)), "the header is not a JSON object"),
        (put("record", "x", Raw("-1e999")), "the header is not a JSON object"),
        (put("record", "x", DEEP), "the header is not a JSON object"),
        (put("network", "in_shape", [10**300] * 9), "'dense1' has a shape of over 1,073,741,824"),
        (
            put("network", Raw("[" + "9," * 99_999 + "9]")),
            "'network' of its header should be an object",
        ),
        (put("network", "dtype", "x" * 9999), "…"),
        (put("network", "layers", [{"kind": "ReLU"}] * 10_001), "at most 10,000 layers"),
        (put("target", "scale", [1e308]), "do not fit its task"),
        (put("schema", "columns", 1, "low", -1e308), "do not fit each other"),
    ],
)
def test_forged_header_raises_in_one_line(forged, change, says):
    path = forged(change)
    with pytest.raises(ModelFileError) as error:
        Model.load(path)
    text = str(error.value)
    assert says in text
    assert len(text) < 700
    assert "\n" not in text


EIGHT = np.array([1.5]).tobytes()
ONE = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}
TWO = {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}
LAYOUTS = {
    "a gap": ({"a": ONE, "b": {**TWO, "data_offsets": [16, 24]}}, 24, "array 'b' does not begin"),
    "a gap at the beginning": ({"a": TWO}, 16, "array 'a' does not begin where another ends"),
    "an overlap": ({"a": ONE, "b": {**ONE}}, 8, "array 'b' does not begin where another ends"),
    "bytes left over": ({"a": ONE}, 16, "its arrays take 8 bytes, and 16 follow the header"),
    "bytes missing": ({"a": ONE, "b": TWO}, 8, "its arrays take 16 bytes, and 8 follow the header"),
    "too long a place": (
        {"a": {**ONE, "data_offsets": [0, 16]}},
        16,
        "array 'a' of F64 [1] does not take 16 bytes",
    ),
    "too large a shape": ({"a": {**ONE, "shape": [2]}}, 8, "of F64 [2] does not take 8 bytes"),
    "a place that runs back": ({"a": {**ONE, "data_offsets": [8, 0]}}, 8, "does not take -8 bytes"),
    "a shape of 9 axes": ({"a": {**ONE, "shape": [1] * 9}}, 8, "an impossible name, shape or"),
    "an immense shape": ({"a": {**ONE, "shape": [2**53, 2]}}, 8, "an impossible name, shape or"),
    "an immense empty one": (
        {"a": {**ONE, "shape": [0, 2**53, 2], "data_offsets": [0, 0]}},
        0,
        "an impossible name, shape or offset",
    ),
    "a length below 0": ({"a": {**ONE, "shape": [-1, -1]}}, 8, "an impossible name, shape or"),
    "a length with a point": ({"a": {**ONE, "shape": [1.0]}}, 8, "an impossible name, shape or"),
    "a length of true": ({"a": {**ONE, "shape": [True]}}, 8, "an impossible name, shape or"),
    "three offsets": ({"a": {**ONE, "data_offsets": [0, 4, 8]}}, 8, "an impossible name, shape"),
    "a long name": ({"a" * 257: ONE}, 8, "an impossible name, shape or offset"),
    "half a surrogate pair": ({"\ud800": ONE}, 8, "an impossible name, shape or offset"),
    "another key": ({"a": {**ONE, "more": 1}}, 8, "needs a dtype, a shape and data_offsets"),
    "no shape": ({"a": {"dtype": "F64", "data_offsets": [0, 8]}}, 8, "needs a dtype, a shape"),
    "a list": ({"a": [1]}, 8, "array 'a' needs a dtype, a shape and data_offsets"),
    "halves": ({"a": {**ONE, "dtype": "F16"}}, 8, "array 'a' must hold finite float32 or float64"),
    "a type that is none": ({"a": {**ONE, "dtype": [1]}}, 8, "must hold finite float32 or float64"),
}


def laid(described, n, header=None):
    """A file whose digest is that of arrays of one number, 1.5, wherever they are put."""
    arrays = {name: np.array([1.5]) for name in described}
    try:
        text = signed(arrays.items(), {"format": 1} if header is None else header)
    except UnicodeEncodeError:
        text = '{"format":1}'
    outer = {"__metadata__": {"plainnet": text}, **described}
    return format_one.framed(json.dumps(outer).encode(), (EIGHT * (n // 8 + 1))[:n])


def test_valid_layout_is_read(tmp_path):
    (tmp_path / "m").write_bytes(laid({"b": TWO, "a": ONE}, 16))
    assert {n: a.tolist() for n, a in read_model(tmp_path / "m")[0].items()} == {
        "a": [1.5],
        "b": [1.5],
    }


@pytest.mark.parametrize("what", LAYOUTS)
def test_invalid_layout_is_refused(tmp_path, what):
    described, n, says = LAYOUTS[what]
    (tmp_path / "m").write_bytes(laid(described, n))
    with pytest.raises(ModelFileError) as error:
        read_model(tmp_path / "m")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"1234567", "it ends before its header does"),
        ((2**40).to_bytes(8, "little") + b"{}", "it ends before its header does"),
        (format_one.framed(b"{", b""), "its header is not a JSON object"),
        (format_one.framed(b"[1]", b""), "its header is not a JSON object"),
        (
            format_one.framed('{"a":"\xe9"}'.encode("latin-1"), b""),
            "its header is not a JSON object",
        ),
        (format_one.framed('{"a":1}'.encode("utf-16"), b""), "its header is not a JSON object"),
        (format_one.framed(b'{"a":1,"a":1}', b""), "its header is not a JSON object"),
        (format_one.framed(b'{"__metadata__":[]}', b""), "not a model that plainnet saved"),
        (format_one.framed(b'{"__metadata__":{"plainnet":1}}', b""), "not a model that plainnet"),
    ],
)
def test_invalid_container_is_refused(tmp_path, content, says):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError) as error:
        read_model(tmp_path / "m")
    assert says in str(error.value)


def test_too_long_header_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(laid({"a": ONE}, 8))
    monkeypatch.setattr(model_file, "MAX_HEADER", 50)
    with pytest.raises(ModelFileError, match="its header is longer than 50 bytes"):
        read_model(tmp_path / "m")
    with pytest.raises(ModelFileError, match="at most 50 bytes"):
        write_model(tmp_path / "new", {"a": np.ones(1)}, {})


@pytest.mark.parametrize("unit", ["[],", "0,", '{"a":0},', "0\\u002c"])
def test_header_of_many_values_is_not_parsed(tmp_path, unit):
    """Commas that are escaped in the outer header are seen in the inner one."""
    many = unit.replace('"', '\\"') * (2_000_001 // sum(map(unit.count, ",:[{\\")))
    outer = '{"__metadata__":{"plainnet":"{\\"format\\":1,\\"x\\":[' + many + '0]}"}}'
    (tmp_path / "m").write_bytes(format_one.framed(outer.encode(), b""))
    with pytest.raises(ModelFileError) as error:
        read_model(tmp_path / "m")
    assert "(its header holds more than 2,000,000 values)" in str(error.value)


def test_header_of_many_values_is_not_written(tmp_path):
    with pytest.raises(ModelFileError, match="2,000,000 values"):
        write_model(tmp_path / "m", {"a": np.ones(1)}, {"x": [0] * 2_000_001})


def test_file_that_becomes_shorter_while_it_is_read(tmp_path, monkeypatch):
    many = {"dtype": "F64", "shape": [4000], "data_offsets": [0, 32_000]}  # more than is buffered
    (tmp_path / "m").write_bytes(laid({"a": many}, 32_000))
    entries = model_file._entries

    def cut(path, described, size):
        found = entries(path, described, size)
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - 4)
        return found

    monkeypatch.setattr(model_file, "_entries", cut)
    with pytest.raises(ModelFileError, match="it became shorter while it was read"):
        read_model(tmp_path / "m")


def test_record_may_be_nested_to_the_documented_depth(forged):
    inner = Raw("[" * 62 + "]" * 62)  # within the header and the record
    assert "x" in Model.load(forged(put("record", "x", inner))).record
    with pytest.raises(ModelFileError):
        Model.load(forged(put("record", "x", Raw("[" * 63 + "]" * 63))))


def test_network_that_could_not_be_read_again_is_refused():
    model = Model.load(GOLDEN)
    long = Sequential([Dense(1), *(ReLU() for _ in range(10_001))], model.net.in_shape)
    with pytest.raises(PlainnetError, match=r"at most 10,000 layers, this network has 10,\d{3}"):
        Model(model.schema, model.target, long, model.loss)


def test_unreadable_file_is_not_written(tmp_path):
    deep = []
    for _ in range(70):
        deep = [deep]
    one = {"a": np.ones(1)}
    for tensors, header in (
        (one, {"x": deep}),
        (one, {"x": 2**1024}),
        ({"a" * 300: np.ones(1)}, {}),
        ({"\ud800": np.ones(1)}, {}),
        ({"a": np.ones((1,) * 9)}, {}),
    ):
        with pytest.raises(ModelFileError, match="it is not saved"):
            write_model(tmp_path / "m", tensors, header)
    assert not list(tmp_path.iterdir())


def test_huge_shape_is_refused_with_a_short_message():
    wide = {"in_shape": [10**300] * 20, "dtype": "float32"}
    layers = [{"kind": "Flatten"}, {"kind": "Dense", "n_out": 1, "init": "zeros"}]
    with pytest.raises(PlainnetError) as error:
        Sequential.from_config({**wide, "layers": layers}, {})
    assert str(error.value) == (
        "'flatten1' has a shape of over 1,073,741,824: take fewer inputs or units"
    )
    assert Sequential([Flatten(), Dense(1)], (2, 3)).n_out == 1


# --- models that are out of proportion ------------------------------------------------------------

DATA_COMMANDS = (
    *("predict M D", "evaluate M D", "explain M D --row 1", "explain M D", "gradcheck M D"),
    *("doctor M D", "report M D --out r.html"),
)


@pytest.mark.parametrize("command", DATA_COMMANDS)
@pytest.mark.parametrize(
    "change",
    [fill("batchnorm1.running_var", -9.0), fill("dense3.W", 1e30)],
    ids=["a negative variance", "outputs beyond all bounds"],
)
def test_network_with_extreme_weights_is_refused(forged, command, change, cli, tmp_path):
    model = forged(change)
    arguments = [str({"M": model, "D": tmp_path / "d.csv"}.get(w, w)) for w in command.split()]
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert re.fullmatch(
        r"Error: the network's output for row 1 is \[.*\], which is too large to be a "
        r"prediction: check the weights, and the numbers of that row\n",
        outcome.err,
    )
    assert not (tmp_path / "r.html").exists()


def test_targets_whose_square_overflows_are_refused():
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2, 3], "y": [1e110, 2e110, 3.5e110]})
    with pytest.raises(DataError) as error:
        Target.infer(frame, ["y"], "regression")
    assert str(error.value) == (
        "The target 'y' holds numbers beyond 1e+100; give them in another unit."
    )


# --- records that somebody else wrote -------------------------------------------------------------

RECORDS = {
    "sizes as text": put("record", "rows", "train", "many"),
    "sizes as lists": put("record", "rows", "test", [1]),
    "no rows": put("record", "rows", 3),
    "rates as text": put("record", "history", "lr", ["a", "b"]),
    "rates as objects": put("record", "history", "lr", [{}]),
    "costs as text": put("record", "history", "loss", ["low"]),
    "a history as a number": put("record", "history", "val_loss", 0.5),
    "a history too short": put("record", "history", "metric", [0.5]),
    "an epoch that was not": put("record", "history", "best_epoch", 10**6),
    "no history": put("record", "history", None),
    "huge whole numbers": put("record", "history", "loss", [10**300] * 60),
    "a finding of another level": put(
        *("record", "findings"),
        [{"name": "a", "level": "x", "message": "", "evidence": "", "cause": "", "advice": ""}],
    ),
    "settings as a list": put("record", "config", [1]),
    "no record at all": put("record", {}),
    "evaluation as text": put("record", "evaluation", "good"),
    "half a surrogate pair": put("record", "data", Raw('"\\ud800"')),
}


@pytest.mark.parametrize("what", RECORDS)
def test_foreign_record_is_ignored(forged, what, cli, tmp_path):
    model = forged(RECORDS[what])
    commands = [("summary", model), ("report", model, "--out", "r.html")]
    if any(word in what for word in ("rates", "costs", "history", "epoch", "huge")):
        commands.append(("doctor", model, "d.csv"))  # which reads the history
    for arguments in commands:
        outcome = cli(*arguments)
        assert outcome.code in (0, 1), outcome.err
    assert "</html>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def twice(header, arrays):
    header["record"]["baselines"] *= 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (twice, "a baseline occurs twice"),
        (put("record", "baselines", 0, "kind", "colors"), "baseline 1 does not fit the model"),
        (put("record", "baselines", 1, "rules", []), "baseline 2 does not fit the model"),
        (put("record", "baselines", 0, "mean", [1, 2]), "baseline 1 does not fit the model"),
        (put("record", "baselines", "x"), "should be a list"),
    ],
)
def test_baselines_that_do_not_fit_are_refused_when_used(forged, change, says, cli):
    model = forged(change)
    outcome = cli("evaluate", model, "d.csv")
    assert outcome.code == 2
    assert says in outcome.err
    assert cli("predict", model, "d.csv").code == 0


def test_history_written_by_plainnet_is_read():
    record = read_model(GOLDEN)[1]["record"]
    assert recorded_history(record).record() == record["history"]


@pytest.mark.parametrize(
    "change",
    [
        {"lr": ["a"]},
        {"lr": [0.1, True]},
        {"loss": [1, "x"]},
        {"val_loss": 0.5},
        {"val_loss": [0.5]},
        {"metric": [0.5] * 61},
        {"best_epoch": 61},
        {"best_epoch": -1},
        {"best_epoch": 2.5},
        {"row_space": "all"},
        {"threads": None},
        {"stopped": 1},
    ],
)
def test_invalid_history_is_ignored(change):
    record = read_model(GOLDEN)[1]["record"]
    assert len(record["history"]["loss"]) == 60
    record["history"].update(change)
    assert recorded_history(record) is None


@pytest.mark.parametrize("record", [{}, {"history": 1}, {"history": {}}, {"history": []}])
def test_no_history(record):
    assert recorded_history(record) is None


def test_text_of_a_file_is_never_markup_or_a_terminal_command(forged, cli):
    def change(header, arrays):
        header["target"]["classes"] = ["[bold]no[/bold]", "\x1b[31mred"]
        header["record"]["notes"] = ["<script>alert(1)</script>"]

    model = forged(change)
    for arguments in (("summary", model), ("report", model, "--out", "r.html")):
        outcome = cli(*arguments)
        assert outcome.code == 0
        assert "\x1b" not in outcome.out
    assert "<script" not in Path("r.html").read_text(encoding="utf-8")
    assert main(["predict", str(model), "d.csv", "--out", "p.csv"]) == 0


def test_exports_run_no_code_of_the_file(forged, cli):
    evil = (
        "'''\"\"\"\\\n{0} %s `${1}` </script><script>alert(1)</script>\u2028"
        '\n__import__("os").system("false")#'
    )

    def change(header, arrays):
        header["target"].update(classes=[evil, "b"], columns=[evil + "3"])
        header["schema"]["columns"][1]["name"] = evil + "2"
        header["schema"]["columns"][2]["levels"][0] = evil
        header["schema"]["columns"][2]["fill"] = evil
        header["record"].update(data=evil, notes=[evil])
        header["version"] = evil

    model = forged(change)
    for option, name in (("--python", "o.py"), ("--html", "o.html"), ("--onnx", "o.onnx")):
        assert cli("export", model, option, name).code == 0
    tree = ast.parse(Path("o.py").read_text(encoding="utf-8"))
    called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not called & {"__import__", "eval", "exec"}
    page = Path("o.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script") == 2
    assert "<script>alert" not in page
