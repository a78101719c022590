"""Long files, of which numbers are read as floats and recurring texts as codes."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from plainnet import limits
from plainnet.data import delimited
from plainnet.data.read_table import read_frame, read_table
from plainnet.data.table_schema import TableSchema
from plainnet.errors import DataError

M = 300


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file of a few kilobytes be a long one."""
    monkeypatch.setattr(delimited, "_BLOCK", 2048)
    monkeypatch.setattr(delimited, "_WIDE", 1)
    monkeypatch.setattr(delimited, "_SAMPLE", 2048)


def lines(last: str = "1.5", delimiter: str = ",") -> str:
    """Return a table of numbers, numbers with gaps, few numbers, text and a target."""
    rng = np.random.default_rng(0)
    out = io.StringIO()
    print("a", "b", "few", "city", "y", sep=delimiter, file=out)
    for i, z in enumerate(rng.standard_normal((M, 2)).round(4)):
        cells = last if i == M - 7 else z[0], "" if z[1] > 1 else 100 * z[1], i % 3, f"c{i % 4}"
        print(*cells, "yes" if z[0] > 0 else "no", sep=delimiter, file=out)
    return out.getvalue()


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def floats(path: Path, *text: str) -> list[str]:
    table = read_table(path, text=text)
    return [name for name in table.columns if isinstance(table[name].entries, np.ndarray)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_of_many_numbers_are_floats(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path, lines(delimiter=delimiter))
    assert floats(path) == ["a", "b"]
    assert floats(path, "a") == ["b"]
    assert floats(written(tmp_path, lines().replace("\n", "\r\n"))) == ["a", "b"]
    table = read_table(path)  # all columns stay text
    assert not any(isinstance(table[name].entries, np.ndarray) for name in table.columns)


def meaning(table: object) -> object:
    """Return what a table becomes, or why it is refused."""
    try:
        schema, notes = TableSchema.infer(table, exclude=["y"]), []
        return schema.to_json(), schema.transform(table, notes).tolist(), notes
    except DataError as error:
        return str(error)


NUMBERS = ["1.5", "-2e-3", " 7.25", "7.25\t", "0", "0.5", "-0", ".5", "5.", "1e5", "1e-400"]
NUMBERS += ['"2.5"']
MISSING = ["", " ", "NA", "NaN", " NA ", "-nan"]
OTHERS = ["007", "+007", " -01", "00", '"04"', "+5", "1E400", "inf", "-Infinity", "Nan", "naN", "x"]
OTHERS += ['" 2.5"', '"1,234"', '"1,5"', "5 %", "1_0", "0x1F", "٣", '"a\nb"']


@pytest.mark.parametrize("cell", [*NUMBERS, *MISSING, *OTHERS])
def test_floats_mean_the_same_as_text(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, lines(cell))
    assert meaning(read_table(path, text=())) == meaning(read_frame(path))


@pytest.mark.parametrize("cell", ["007", "+007", " -01", '"04"', "inf", "Nan", "x", " NA "])
def test_other_cells_leave_all_columns_text(tmp_path: Path, cell: str) -> None:
    assert floats(written(tmp_path, lines(cell))) == []


@pytest.mark.parametrize("cached", range(1, 8))
@pytest.mark.parametrize("cell", ["07", "-07", '"07"', "1.07", "1-07", "2024-01-07"])
def test_leading_zeros_are_found_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: int, cell: str
) -> None:
    monkeypatch.setattr(delimited, "_CACHED", cached)
    for start, end in ((f"{cell},x", "5"), ("5", f"x,{cell}")):
        text = f"{start}\n" + "0.05,30.0\n" * 9 + f"1,{end}\n"
        found = delimited.DelimitedText(text.encode(), 0, ",", "")._has_leading_zeros(0)
        assert found == cell.lstrip('-"').startswith("07")


CITIES = [
    "c1",
    " c1",
    "c1 ",
    '"c1"',
    '"c,1"',
    '"say ""c1"""',
    "c 1",
    "C1",
    "other",
    "",
    "NA",
    " NA ",
]
CITIES += ["", "NA", " NA ", "007", "1.5", "é", "c1\u00a0", '"c\n1"', "x" * 3000]


@pytest.mark.parametrize("cell", CITIES)
@pytest.mark.parametrize("row", [0, M - 3])
def test_codes_mean_the_same_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int, cell: str
) -> None:
    monkeypatch.setattr(delimited, "_OFTEN", 5)
    text = lines().splitlines()
    text[row + 1] = text[row + 1].replace(f",c{row % 4},", f",{cell},")
    path = written(tmp_path, "\n".join(text))
    table, frame = read_table(path, text=()), read_frame(path)
    assert meaning(table) == meaning(frame)
    texts = np.append(np.array(table["city"].texts(), object), None)
    assert texts[table["city"].codes].tolist() == frame["city"].tolist()
    assert len(set(texts)) == len(texts)
    if len(cell) < 3000:  # which does not fit into a block
        assert table["city"].index is not None


def test_a_recurring_text_has_the_limit_of_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_OFTEN", 5)
    monkeypatch.setattr(limits, "MAX_CELL", 20)
    usual = csv.field_size_limit(20)
    try:
        path = written(tmp_path, lines() + f"1,2,0,{'c' * 21},no")
        with pytest.raises(DataError, match=f"line {M + 2}, has a cell of more than 20 char"):
            read_table(path, text=())
    finally:
        csv.field_size_limit(usual)


def test_errors_of_long_files_name_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, lines("1.5,2"))
    with pytest.raises(DataError, match=rf"data row {M - 6} \(line {M - 5}\): 6 where the header"):
        read_table(path, text=())


def test_long_file_of_numbers_without_names_is_refused(tmp_path: Path) -> None:
    rows = "\n".join(lines().splitlines()[1:])
    with pytest.raises(DataError, match="has no line of column names"):
        read_table(written(tmp_path, rows), text=())
