"""Bad input: one line on stderr, exit code 2, and no file is written."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from plainnet.data import table_file
from plainnet.model import Model

Cli = Callable[..., Any]

BAD_TABLES = {
    "an empty file": (b"", "is empty"),
    "a header alone": (b"x,y\n", "no rows"),
    "one class": (b"x,y\n1,a\n2,a\n3,a\n4,a\n", "'y' has 1 ('a')"),
    "no UTF-8": (b"x,y\n1,\xff\n", "not UTF-8: byte 0xff at offset 6 (line 2)"),
    "duplicate names": (b"x,x,y\n1,2,a\n", "column name more than once: 'x'"),
    "infinity": (b"x,y\n1,a\ninf,b\n3,a\n4,b\n", "Data row 2, column 'x': 'inf' is infinite"),
    "a row too long": (b"x,y\n1,a\n2,b\n3,a,c\n", "data row 3 (line 4)"),
    "all NaN": (b"x,y\nNaN,a\nNaN,b\nNaN,a\nNaN,b\n", "as constant (always missing)"),
    "no labels": (b"x,y\n1,\n2,\n", "All 2 rows miss the target 'y'"),
    "a NaN target": (b"x,y\n1,NaN\n2,NaN\n", "All 2 rows miss the target 'y'"),
    "an infinite target": (b"x,y\n1,.5\n2,inf\n3,2.5\n4,1.5\n", "'inf'"),
    "one row of a class": (b"x,y\n1,a\n2,a\n3,b\n4,a\n", "has 1 row"),
}


def one_line(outcome: Any, expected: str) -> None:
    assert outcome.code == 2
    assert re.fullmatch(r"Error: [^\n]+\n", outcome.err)
    assert expected in outcome.err
    assert "Traceback" not in outcome.err + outcome.out


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An existing file at the path of the model."""
    path = tmp_path / "old.safetensors"
    path.write_bytes(b"as it was")
    return path


@pytest.mark.parametrize("what", BAD_TABLES)
def test_bad_tables(cli: Cli, tmp_path: Path, old: Path, what: str) -> None:
    content, expected = BAD_TABLES[what]
    (tmp_path / "bad.csv").write_bytes(content)
    one_line(cli("train", "bad.csv", "--epochs 1", "--out", old), expected)
    assert old.read_bytes() == b"as it was"
    assert {path.name for path in tmp_path.iterdir()} == {"bad.csv", "old.safetensors"}


def test_nan_cells_are_missing_cells(cli: Cli, tmp_path: Path) -> None:
    rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(10))
    (tmp_path / "some.csv").write_text(f"x,y\n{rows}NaN,a\nnan,b\n")
    outcome = cli("train", "some.csv", "--epochs 1")
    assert outcome.code == 0
    assert "missing = " in outcome.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--target nope", "no column 'nope' (the target)"),
        ("--task guess", "There is no task 'guess'"),
        ("--task regression", "is not a number"),
        ("--kind Post_frequency=magic", "cannot be of kind 'magic'"),
        ("--kind nope=number", "no column 'nope'"),
        ("--kind Stage_fear=number", "Stage_fear"),
        ("--kind number", "--kind takes COLUMN=KIND"),
        ("--hidden 0", "n_out must be a whole number of at least 1, got 0"),
        ("--hidden x", 'unable to convert "x" into int'),
        ("--hidden 99999999999", "take fewer inputs or units"),
        ("--hidden 4 4 --activation relu tanh elu", "2 hidden layers but 3 activations"),
        ("--activation magic", "unknown activation 'magic'"),
        ("--init magic", "unknown initializer 'magic'"),
        ("--dropout 1", "dropout must be a number in [0, 1), got 1.0"),
        ("--hidden --dropout 0.5", "belong to hidden layers"),
        ("--loss Huber", "loss 'Huber' does not fit a binary target"),
        ("--label-smoothing 1", "label_smoothing must be a number in [0, 1)"),
        ("--optimizer magic", 'Invalid value "magic" for --optimizer'),
        ("--lr 0", "lr must be a number in (0, inf), got 0.0"),
        ("--lr nan", "got nan"),
        ("--momentum 0.9", "momentum is an option of sgd, not of adam"),
        ("--optimizer sgd --nesterov", "nesterov needs a momentum"),
        ("--weight-decay 0.1", "an option of adamw, not of adam"),
        ("--schedule magic", 'Invalid value "magic" for --schedule'),
        ("--warmup 100", "shorter than the 100 epochs"),
        ("--epochs 0", "epochs must be a whole number of at least 1, got 0"),
        ("--batch-size -1", "batch_size must be a whole number of at least 1, got -1"),
        ("--l2 -1", "l2 must be a number in [0, inf)"),
        ("--clip-norm 0", "clip_norm must be a number in (0, inf)"),
        ("--patience 3", "patience needs validation rows"),
        ("--test-fraction 1", "test_fraction must be a number in"),
        ("--epochs 2.9", 'unable to convert "2.9" into int'),
        ("--hidden 4.7", 'unable to convert "4.7" into int'),
        ("--validation-fraction -0.5", "validation_fraction must be a number in"),
        ("--seed -1", "seed must be a whole number of at least 0, got -1"),
        ("--size 32", "apply to pictures"),
        ("--size 64", "apply to pictures"),  # as by default, but no picture has it
        (
            "--class-weight balanced --task regression",
            "class_weight is about classes, of which a regression target",
        ),
        ("--strict", "apply to pictures"),
        ("--config nope.toml", "'nope.toml': No such file or directory"),
        ("--epocs 3", "Unknown option: --epocs. Did you mean --epochs?"),
        ("--lr", "--lr requires an argument"),
        ("--lr 1 --lr 2", "--lr specified multiple times"),
        ("--target a b", "unexpected argument 'b': see plainnet train --help"),
    ],
)
def test_bad_options(cli: Cli, survey: Path, old: Path, arguments: str, expected: str) -> None:
    one_line(cli("train", survey, "--out", old, arguments), expected)
    assert old.read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("nowhere/m", "there is no folder 'nowhere'"),
        (".", "'.' is a folder"),
        ("survey.csv", "would overwrite an input"),
    ],
)
def test_bad_output_paths(cli: Cli, survey: Path, out: str, expected: str) -> None:
    before = survey.read_bytes()
    one_line(cli("train", survey, "--out", out), expected)
    assert survey.read_bytes() == before


def _one_class(folder: Path) -> None:
    for picture in (folder / "red").iterdir():
        picture.unlink()
    (folder / "red").rmdir()


def _dot(folder: Path) -> None:
    Image.new("RGB", (1, 1)).save(folder / "red" / "bad.png")


def _wide(folder: Path) -> None:
    Image.new("1", (30_000, 2)).save(folder / "red" / "bad.png")


def _cut(folder: Path) -> None:
    content = (folder / "red" / "0.png").read_bytes()
    (folder / "red" / "bad.png").write_bytes(content[:100])


def _text(folder: Path) -> None:
    (folder / "red" / "bad.png").write_text("hello")


BAD_PICTURES = {
    "1x1": (_dot, "1 x 1 pixels is too small"),
    "wide": (_wide, "30,000 x 2 pixels is too large"),
    "cut short": (_cut, "damaged or cut short"),
    "text": (_text, "not a picture"),
}


@pytest.mark.parametrize("what", BAD_PICTURES)
def test_unusable_pictures_raise_if_strict_and_are_skipped_otherwise(
    cli: Cli, colors: Path, old: Path, what: str
) -> None:
    spoil, expected = BAD_PICTURES[what]
    spoil(colors)
    one_line(cli("train", colors, "--strict --out", old), expected)
    assert old.read_bytes() == b"as it was"
    outcome = cli("train", colors, "--epochs 1 --size 8 --out", old)
    assert outcome.code == 0
    assert f"bad.png: {expected}" in outcome.out
    assert Model.load(old).target.classes == ("blue", "red")


def test_only_unusable_pictures_raise(cli: Cli, tmp_path: Path, old: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        Image.new("1", (30_000, 2)).save(tmp_path / "bad" / name / "wide.png")
    one_line(cli("train", "bad", "--out", old), "30,000 x 2 pixels is too large")
    assert old.read_bytes() == b"as it was"


def test_bad_folders(cli: Cli, colors: Path, old: Path, tmp_path: Path) -> None:
    _one_class(colors)
    one_line(cli("train", colors, "--out", old), "holds one class folder")
    (tmp_path / "nothing").mkdir()
    one_line(cli("train", "nothing", "--out", old), "holds no class folder")
    one_line(cli("train", "nowhere", "--out", old), "does not exist")
    assert old.read_bytes() == b"as it was"


@pytest.mark.parametrize("arguments", ["--target x", "--task binary", "--kind a=number"])
def test_table_options_for_pictures_raise(cli: Cli, colors: Path, arguments: str) -> None:
    one_line(cli("train", colors, arguments), "are for tables only")


def damaged(model: Path, how: str) -> None:
    content = model.read_bytes()
    edits = {
        "truncated": content[: len(content) // 2],
        "cut in the header": content[:50],
        "empty": b"",
        "edited": content.replace(b"Introvert", b"Introverd"),
        "a flipped bit": content[:-1] + bytes([content[-1] ^ 1]),
        "not a model": b"x,y\n1,2\n",
    }
    model.write_bytes(edits[how])


@pytest.mark.parametrize(
    "how", ["truncated", "cut in the header", "empty", "edited", "a flipped bit", "not a model"]
)
@pytest.mark.parametrize("command", ["predict", "evaluate", "gradcheck", "summary"])
def test_bad_models(
    cli: Cli, trained: Path, survey: Path, old: Path, how: str, command: str
) -> None:
    damaged(trained, how)
    arguments: list[object] = [] if command == "summary" else [survey]
    arguments += ["--out", old] if command == "predict" else []
    one_line(cli(command, trained, *arguments), "save or download it again")
    assert old.read_bytes() == b"as it was"


def test_missing_model(cli: Cli, survey: Path) -> None:
    one_line(cli("predict", "nope", survey), "there is no model file 'nope'")
    one_line(cli("summary", survey.parent), "is a folder, not a model file")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "The table has no column"),
        (b"\xff\n", "not UTF-8"),
    ],
)
def test_bad_tables_to_predict(
    cli: Cli, trained: Path, tmp_path: Path, old: Path, content: bytes, expected: str
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    for command in (("predict", "--out", old), ("evaluate",), ("gradcheck",)):
        one_line(cli(command[0], trained, "bad.csv", *command[1:]), expected)
    assert old.read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("old_cell", "new_cell", "expected"),
    [
        ("Social_event_attendance", "oops", "Social_event_attendance"),
        ("Post_frequency", "inf", "'inf' is infinite"),
        ("Post_frequency", "many", "'many' is not a number"),
    ],
)
def test_bad_cells_in_prediction_are_named(
    cli: Cli, trained: Path, survey: Path, old_cell: str, new_cell: str, expected: str
) -> None:
    head, *rows = survey.read_text().splitlines()
    cells = rows[2].split(",")
    cells[head.split(",").index(old_cell)] = new_cell
    rows[2] = ",".join(cells)
    survey.write_text("\n".join([head, *rows]))
    one_line(cli("predict", trained, survey), expected)
    one_line(cli("predict", trained, survey), f"Data row 3, column '{old_cell}'")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nope",), 'Unknown command "nope"'),
        (("train",), "needs a table or a folder of pictures, or --resume and the folder"),
        (("predict", "a"), "PATH requires an argument: see plainnet predict --help"),
        (
            ("doctor", "--hidden", "8", "8", "a.csv"),
            "there is no path, or it follows --hidden, which takes all that follow: put the path "
            "first, as in plainnet doctor PATH --hidden ...",
        ),
        (
            ("train", "--hidden", "8", "8", "a.csv"),
            'unable to convert "a.csv" into int; a path goes before --hidden, which takes all',
        ),
        (("--nope",), "nope"),
        (("demo", "nope"), "introverts"),
        (("demo", "--out-dir", "nope"), "there is no folder 'nope'"),
    ],
)
def test_bad_commands(cli: Cli, arguments: tuple[str, ...], expected: str) -> None:
    one_line(cli(*arguments), expected)


@pytest.mark.parametrize("where", [0, 1, 2])
def test_debug_anywhere_adds_the_traceback(cli: Cli, where: int) -> None:
    arguments = ["summary", "nope"]
    arguments.insert(where, "--debug")
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith("Traceback")
    assert outcome.err.endswith("Error: there is no model file 'nope'\n")


def test_unexpected_error_is_one_line(
    cli: Cli, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> None:
        def load(path: Path) -> None:
            raise error

        monkeypatch.setattr(Model, "load", load)

    fail(TypeError("two\nlines"))
    one_line(cli("summary", trained), "unexpected TypeError: two lines; run again with")
    fail(MemoryError("of 8 TiB"))
    one_line(cli("summary", trained), "there is not enough memory: of 8 TiB")
    fail(PermissionError(13, "Permission denied", "m"))
    one_line(cli("summary", trained), "'m': Permission denied")
    fail(ModuleNotFoundError("No module named 'pandas'", name="pandas"))
    one_line(cli("summary", trained), "pandas is not installed")


def test_class_weight_of_a_regression_raises_before_training(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("x,y\n" + "".join(f"{i},{i / 7}\n" for i in range(60)))
    outcome = cli("train", "n.csv", "--class-weight balanced")
    one_line(outcome, "class_weight is about classes, of which a regression target has none")


def test_unreadable_file_is_named_once(
    cli: Cli, survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(table_file, "open", denied, raising=False)
    outcome = cli("train", survey)
    assert outcome.err == f"Error: File '{survey}' cannot be read: Permission denied.\n"
