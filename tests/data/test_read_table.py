"""Table files are read as written, or refused in one clear sentence."""

import base64
import bz2
import csv
import gzip
import io
import lzma
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.data import delimited
from plainnet.data.read_table import read_frame
from plainnet.data.table import absent_column, named
from plainnet.errors import DataError

PLAIN = "code,age,city\n00042,31,Oslo\n00043,,Bergen\n"
CELLS = {"code": ["00042", "00043"], "age": ["31", None], "city": ["Oslo", "Bergen"]}


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def cells(frame: pd.DataFrame) -> dict[str, list[object]]:
    return {name: frame[name].tolist() for name in frame.columns}


def refusal(source: object, delimiter: str | None = None) -> str:
    """Return the message without the temporary folder."""
    with pytest.raises(DataError) as caught:
        read_frame(source, delimiter)
    folder = f"{source.parent}/" if isinstance(source, Path) else "\0"
    message = str(caught.value).replace(folder, "")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.psv", "t.txt", "t.data", "T.CSV"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiter_detection(tmp_path: Path, name: str, delimiter: str) -> None:
    path = written(tmp_path, PLAIN.replace(",", delimiter), name)
    assert cells(read_frame(path)) == CELLS
    assert cells(read_frame(str(path), delimiter)) == CELLS


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
        ("t.gz", gzip.compress(PLAIN.encode(), mtime=0)),
        ("t.csv.bz2", bz2.compress(PLAIN.encode())),
        ("t.csv.xz", lzma.compress(PLAIN.encode())),
        ("t.zip", zipped(**{"inside.csv": PLAIN.encode()})),
        ("t.zip", zipped(**{"a/": b"", "a/t.csv": PLAIN.encode(), "__MACOSX/._t.csv": b"x"})),
    ],
)
def test_compressed_files(tmp_path: Path, name: str, data: bytes) -> None:
    assert cells(read_frame(written(tmp_path, data, name))) == CELLS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("﻿a,b\n1,2\n", {"a": ["1"], "b": ["2"]}),
        ("a,b\r\n1,2\r\n", {"a": ["1"], "b": ["2"]}),
        ("a,b\r1,2\r", {"a": ["1"], "b": ["2"]}),
        ("a,b\n1,2", {"a": ["1"], "b": ["2"]}),
        ("\n  \na,b\n\n1,2\n   \n\n\n", {"a": ["1"], "b": ["2"]}),
        (" a , b \n 1 ,\t2 \n", {"a": ["1"], "b": ["2"]}),
        ('a,b\n"one\ntwo","say ""no"""\n', {"a": ["one\ntwo"], "b": ['say "no"']}),
        ('a,b\n1, "x, y"\n', {"a": ["1"], "b": ["x, y"]}),
        ('a,b\n1, "x"\n', {"a": ["1"], "b": ["x"]}),
        ("a,b\n1,\t2\n", {"a": ["1"], "b": ["2"]}),
        ("a,b\n1,\u00a02\n", {"a": ["1"], "b": ["2"]}),
        ("a,b\nNA,?\n1,2\n", {"a": [None, "1"], "b": [None, "2"]}),
        ("a,b\n5\" pipe,it's\n", {"a": ['5" pipe'], "b": ["it's"]}),
        ("a;b\n1,5;2,5\n3,5;4,5\n", {"a": ["1,5", "3,5"], "b": ["2,5", "4,5"]}),
        ("a, b;c\n1,5;2\n3,5;4\n", {"a, b": ["1,5", "3,5"], "c": ["2", "4"]}),
        ("city, state;n\nOslo, NO;5\n", {"city, state": ["Oslo, NO"], "n": ["5"]}),
        ("one\n1,5\n2,5\n", {"one": ["1,5", "2,5"]}),
        ("sep=;\na;b\n1,5;2\n", {"a": ["1,5"], "b": ["2"]}),
        (",x\n0,7\n1,8\n", {"Unnamed: 0": ["0", "1"], "x": ["7", "8"]}),
        ("a,b,\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        ("a,b\n1,2,\n3,4, ,\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        ('one\n5\n""\n6\n', {"one": ["5", None, "6"]}),
        ("a,b\n,\n1,2\n", {"a": [None, "1"], "b": [None, "2"]}),
        ("größe,名\n1,ä\n", {"größe": ["1"], "名": ["ä"]}),
    ],
    ids=[
        "byte-order-mark",
        "crlf",
        "cr",
        "no-last-newline",
        "blank-lines",
        "spaces",
        "quoted",
        "quote-after-space",
        "needless-quote-after-space",
        "tab-around",
        "wide-space",
        "missing",
        "quote-inside",
        "decimal-comma",
        "comma-in-the-header",
        "comma-in-text",
        "decimal-comma-in-one-column",
        "sep-line",
        "unnamed-index",
        "trailing-delimiter",
        "trailing-in-rows",
        "one-column",
        "row-of-nothing",
        "unicode",
    ],
)
def test_real_file_contents(
    tmp_path: Path, text: str, expected: dict[str, list[str | None]]
) -> None:
    assert cells(read_frame(written(tmp_path, text))) == expected


@pytest.mark.parametrize("spelling", ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"])
def test_spellings_of_a_missing_cell(tmp_path: Path, spelling: str) -> None:
    frame = read_frame(written(tmp_path, f"a,b\n {spelling} ,x\n"))
    assert cells(frame) == {"a": [None], "b": ["x"]}


def test_words_that_are_not_missing(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, "a\nnone\n-\nNo\n0\nNAN1\n"))
    assert cells(frame) == {"a": ["none", "-", "No", "0", "NAN1"]}


@given(
    rows=st.integers(1, 4).flatmap(
        lambda n: st.lists(
            st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=n,
                     max_size=n),
            min_size=1, max_size=5,
        )
    ),
    delimiter=st.sampled_from(",;\t|"),
)  # fmt: skip
def test_csv_round_trip(rows: list[list[str]], delimiter: str) -> None:
    # Marks around each cell, as spaces at its ends and spellings of nothing are dropped.
    rows = [[f"<{cell}>" for cell in row] for row in rows]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([[f"c{i}" for i in range(len(rows[0]))], *rows])
    with tempfile.TemporaryDirectory() as folder:
        frame = read_frame(written(Path(folder), buffer.getvalue()), delimiter)
    assert frame.to_numpy().tolist() == rows


def test_long_quoted_file_is_read_as_written(tmp_path: Path) -> None:
    """Longer than the blocks that are parsed, with line breaks in quotes anywhere."""
    rows = [[f"{i}", f'say "{i}",\n{"x" * (1 + i % 120)}', " z "] for i in range(60_000)]
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    for text in (buffer.getvalue(), buffer.getvalue().replace('","', '",  "')):
        frame = read_frame(written(tmp_path, text))
        assert frame.to_numpy().tolist() == [[a, b, c.strip()] for a, b, c in rows]
    late = buffer.getvalue() + '"1","2"\n'
    assert "data row 60001 (line 120002): 2 where the header has 3" in refusal(
        written(tmp_path, late)
    )


@pytest.mark.parametrize("block", range(1, 12))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quotes_at_the_edge_of_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: str
) -> None:
    """Text with regular quotes is read by Arrow; all else is rewritten."""
    monkeypatch.setattr(delimited, "_BLOCK", block)
    monkeypatch.setattr(delimited, "_WIDE", 16)  # so that Arrow reads several blocks too
    rewritten, rewrite = [], delimited.DelimitedText._rewritten
    monkeypatch.setattr(
        delimited.DelimitedText,
        "_rewritten",
        lambda *arguments: rewritten.append(1) or rewrite(*arguments),
    )
    regular = [["1", "x"], ["2, 3", "y"], ['"', '"q"'], ["", f"{end}z{end}{end}"], ["5", '""']]
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator=end)
    writer.writerows([["a", "b"], *regular])
    frame = read_frame(written(tmp_path, buffer.getvalue()))
    assert frame.to_numpy().tolist() == [[a or None, b.strip()] for a, b in regular]
    read_frame(written(tmp_path, f"{buffer.getvalue()}6,z"))
    assert not rewritten
    for cell, value in ((' "x, y"', "x, y"), ('x"y', 'x"y'), ('x"y"', 'x"y"'), ('x""y', 'x""y')):
        frame = read_frame(written(tmp_path, f"{buffer.getvalue()}6,{cell}{end}"))
        assert frame["b"].tolist()[-1] == value
        assert rewritten.pop()
    for last in ("", end):
        text = f'{buffer.getvalue()}6,"x"y{last}'
        assert "has quotes that do not match" in refusal(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "delimiter", "rows"),
    [
        ("a§b\n1§x\n2§y\n", "§", [["1", "x"], ["2", "y"]]),  # no delimiter of Arrow's
        ('a\nx"y\n \nz\n', ",", [['x"y'], [None], ["z"]]),  # in one column, a line of spaces
        (f'a,b\nx"y,{"z" * 60}\n', ",", [['x"y', "z" * 60]]),  # longer than a block
    ],
)
def test_other_text_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, delimiter: str, rows: list[object]
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", 16)
    assert read_frame(written(tmp_path, text), delimiter).to_numpy().tolist() == rows


def breaks_in_quotes(text: str, delimiter: str) -> bool | None:
    """Return whether lines break in quotes, character by character; None for irregular quotes."""
    inside = breaks = False
    for before, character, after in zip("," + text, text, text[1:] + ",", strict=False):
        if character == '"':
            beside = after if inside else before
            if beside not in f'"\r\n{delimiter}':
                return None
            inside = not inside
        breaks |= inside and character in "\r\n"
    return None if inside else breaks


@pytest.mark.parametrize("block", [1, 2, 3, 5, 100])
def test_line_breaks_in_quotes_are_found_in_blocks(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", block)
    rng, found = np.random.default_rng(0), []
    for _ in range(1000):
        text = "".join(rng.choice(list('""""\n\r,,ab'), rng.integers(1, 14)).tolist())
        data = delimited.DelimitedText(text.encode(), 0, ",", "")
        found.append(data._breaks_in_quotes(0))
        assert found[-1] == breaks_in_quotes(text, ","), text
    assert {found.count(each) > 30 for each in (None, False, True)} == {True}


REFUSED = {
    "": "File 'table.csv' is empty; a table needs a line of column names and rows below.",
    " \n\n": "File 'table.csv' is empty; a table needs a line of column names and rows below.",
    "a,b\n": "File 'table.csv' has column names but no rows below them.",
    "a,b, a ,b\n1,2,3,4\n": (
        "File 'table.csv' uses a column name more than once: 'a', 'b'; "
        "give each column its own name."
    ),
    "a,b\n1,2\n\n3,4,5\n": (
        "File 'table.csv', data row 2 (line 4): 3 where the header has 2 cells; "
        "put quotes around a cell that holds the delimiter, or correct the row."
    ),
    "a,b\n1,2\n3\n": (
        "File 'table.csv', data row 2 (line 3): 1 where the header has 2 cells; "
        "put quotes around a cell that holds the delimiter, or correct the row."
    ),
    'a,b\n"1,2\n3,4\n': (
        "File 'table.csv', line 3, has quotes that do not match (unexpected end of data); "
        "close each quote and double those inside a cell."
    ),
    "a,b\n1,\0\n": "File 'table.csv' is no text: line 2 holds a zero byte; give a CSV file.",
    ",\n,\n": "File 'table.csv' is empty; a table needs a line of column names and rows below.",
}


@pytest.mark.parametrize("text", REFUSED)
def test_invalid_text_raises(tmp_path: Path, text: str) -> None:
    assert refusal(written(tmp_path, text)) == REFUSED[text]


IRIS = "5.1,3.5,setosa\n4.9,3.0,setosa\n7.0,3.2,virginica\n6.3,3.8,virginica\n"


@pytest.mark.parametrize("text", [IRIS, IRIS.replace(",", ";").replace(".", ",")])
def test_missing_header_row_raises(tmp_path: Path, text: str) -> None:
    first = text.split("\n")[0]
    cells = ", ".join(map(repr, first.split(";" if ";" in first else ",")))
    assert refusal(written(tmp_path, text)) == (
        f"File 'table.csv' has no line of column names: its first row ({cells}) resembles the "
        "rows below; put a line of names above it, give --no-header, or put letters into these if "
        "they are names."
    )
    assert len(read_frame(written(tmp_path, text.replace("5", "x5", 1)))) == 3


@pytest.mark.parametrize(
    "text",
    [
        "0,1,2\n0.5,1.5,0.3\n2.5,0.1,1.2\n0.0,1.0,2.0\n",  # how pandas writes an array
        ",0,1\n0,0.5,1.5\n1,2.5,0.1\n",
        "2000,2005,2010\n1990,2300,2400\n2100,1900,1800\n",
        "400.5,410,417\n0.1,0.2,0.3\n0.3,0.2,0.2\n",  # wavelengths
        "country,2010,2015,2019\nOslo,1990,2300,2400\nBo,2100,1900,2020\n",
        "5.1,3.5,kind\n4.9,3.0,setosa\n7.0,3.2,virginica\n6.3,3.8,virginica\n",
        "x,y\nx,y\nx,z\n",
    ],
)
def test_numeric_column_names(tmp_path: Path, text: str) -> None:
    header = text.split("\n")[0].split(",")
    frame = read_frame(written(tmp_path, text))
    assert [name for name in frame if "Unnamed" not in name] == [name for name in header if name]


def test_real_tables_without_header_raise(tmp_path: Path, shared_data: Path) -> None:
    for path in sorted((shared_data / "tables").glob("*.csv")):
        assert len(read_frame(path)) > 100
        names, _, rows = path.read_text(encoding="utf-8").partition("\n")
        assert "has no line of column names" in refusal(written(tmp_path, rows)), names


def test_empty_table_is_allowed_on_request(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).iloc[:0].to_parquet(tmp_path / "t.parquet")
    for source in (written(tmp_path, "a\n"), tmp_path / "t.parquet", pd.DataFrame({"a": []})):
        frame = read_frame(source, empty=True)
        assert (len(frame), frame.columns.tolist()) == (0, ["a"])
        with pytest.raises(DataError):
            read_frame(source)


def test_parquet_integers_with_missing_cells_are_exact(tmp_path: Path) -> None:
    cards = [1234567890123456789, None, 1234567890123456801]
    columns = {"a": pa.array(cards), "b": pa.array(cards, pa.uint64())}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    frame = read_frame(tmp_path / "t.parquet")
    for name in "ab":
        assert frame[name].dropna().tolist() == [cards[0], cards[2]]
        assert frame[name].isna().tolist() == [False, True, False]


def test_invalid_utf8_is_located(tmp_path: Path) -> None:
    path = written(tmp_path, "name,x\nJosé,1\n".encode("latin-1"))
    assert refusal(path) == (
        "File 'table.csv' is not UTF-8: byte 0xe9 at offset 10 (line 2); save it again as UTF-8."
    )
    assert "is not UTF-8 but UTF-16: byte 0xff at offset 0 (line 1)" in refusal(
        written(tmp_path, PLAIN.encode("utf-16"))
    )


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.xlsx", b"PK", "File 't.xlsx' ends in '.xlsx', which is not a table format"),
        ("table", b"a\n1\n", "File 'table' has no ending, which is not a table format"),
        ("t.json.gz", b"", "File 't.json.gz' ends in '.json', which is not a table"),
        ("t.csv.gz", b"not gzip", "File 't.csv.gz' cannot be read: Not a gzipped file"),
        (
            "t.csv.gz",
            gzip.compress(b"a\n1\n" * 99, mtime=0)[:-12],
            "File 't.csv.gz' cannot be read: ",
        ),
        ("t.csv.bz2", b"not bzip2", "File 't.csv.bz2' cannot be read: Invalid data stream."),
        ("t.csv.xz", b"not xz", "File 't.csv.xz' cannot be read: Input format not supported"),
        ("t.zip", b"not zip", "File 't.zip' cannot be read: File is not a zip file."),
        ("t.zip", zipped(), "File 't.zip' holds 0 files; give an archive of one table."),
        ("t.zip", zipped(**{"a.csv": b"", "b.csv": b""}), "File 't.zip' holds 2 files;"),
        ("t.zip", zipped(**{"a.png": b""}), "File 't.zip' ends in '.png', which is not a table"),
        ("t.parquet", b"not parquet", "File 't.parquet' is not a readable Parquet file: "),
        (
            "t.parquet",
            b"",
            "File 't.parquet' is not a readable Parquet file: Parquet",
        ),
    ],
)
def test_invalid_files_raise(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    assert refusal(written(tmp_path, data, name)).startswith(message)


def test_forged_archive_name_is_shortened_in_the_error(tmp_path: Path) -> None:
    data = bytearray(zipped(**{"a.csv": bytes(5000)}))
    data[26:28] = (4000).to_bytes(2, "little")  # the length of the name, where the file begins
    message = refusal(written(tmp_path, bytes(data), "t.zip"))
    assert message.startswith("File 't.zip' cannot be read: File name in directory 'a.csv' and ")
    assert len(message) < 250


def test_missing_file_and_folder_raise(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.csv") == "File 'no.csv' does not exist; check the path."
    (tmp_path / "f.csv").mkdir()
    assert refusal(tmp_path / "f.csv") == "File 'f.csv' is a folder; give the file of a table."


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_invalid_delimiter_raises(tmp_path: Path, delimiter: str) -> None:
    assert refusal(written(tmp_path, PLAIN), delimiter) == (
        f"The delimiter {delimiter!r} is not one character that can separate cells; "
        "give one such as ',' ';' '|' or 'tab'."
    )


@pytest.mark.parametrize("spelling", ["tab", "\\t", "\t"])
def test_tab_spellings(tmp_path: Path, spelling: str) -> None:
    path = written(tmp_path, "a,b\tc\n1,2\t3\n")
    assert cells(read_frame(path, spelling)) == {"a,b": ["1,2"], "c": ["3"]}


def test_given_delimiter_overrides_detection(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b:c\n1,2:3\n")
    assert cells(read_frame(path, ":")) == {"a,b": ["1,2"], "c": ["3"]}
    assert cells(read_frame(written(tmp_path, "a b\n1 2\n"), " ")) == {"a": ["1"], "b": ["2"]}


def test_parquet_keeps_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"n": [1, 2], "x": [0.5, None], "ok": [True, False], "s": ["00042", None]},
        index=pd.Index([7, 9], name="row"),
    )
    frame.to_parquet(tmp_path / "t.parquet")
    back = read_frame(tmp_path / "t.parquet")
    assert back.index.tolist() == [0, 1]
    assert [dtype.kind for dtype in back.dtypes[:3]] == ["i", "f", "b"]
    assert back["s"].isna().tolist() == [False, True]
    assert back["s"][0] == "00042"


def test_parquet_with_duplicate_or_no_columns_raises(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "t.parquet")
    assert refusal(tmp_path / "t.parquet") == (
        "File 't.parquet' uses a column name more than once: 'a'; give each column its own name."
    )
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "e.parquet")
    assert refusal(tmp_path / "e.parquet") == (
        "File 'e.parquet' is a table of 0 x 1 cells; at least one row and one column are needed."
    )


def test_dataframe_is_unchanged() -> None:
    frame = pd.DataFrame({0: [1.5, 2.5], " b": ["x", None]}, index=["p", "q"])
    before = frame.copy()
    back = read_frame(frame)
    assert back.columns.tolist() == ["0", "b"]
    assert back.index.tolist() == [0, 1]
    pd.testing.assert_frame_equal(frame, before)


def test_invalid_dataframes_raise(tmp_path: Path) -> None:
    assert refusal(pd.DataFrame()) == (
        "The DataFrame is a table of 0 x 0 cells; at least one row and one column are needed."
    )
    assert refusal(pd.DataFrame([[1, 2]], columns=[1, "1"])) == (
        "The DataFrame uses a column name more than once: '1'; give each column its own name."
    )
    levels = pd.MultiIndex.from_tuples([("a", "b")])
    assert refusal(pd.DataFrame([[1]], columns=levels)) == (
        "The DataFrame has column names of 2 levels; give each column one name."
    )
    assert refusal(pd.DataFrame({"a": [1]}), ",") == (
        "A delimiter (',') was given for a DataFrame, which has none; leave it out."
    )
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    assert "was given for a Parquet file" in refusal(tmp_path / "t.parquet", ",")


def test_named_keeps_the_index() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]}).iloc[[2, 0]]
    assert named(frame).index.tolist() == [2, 0]


def test_missing_column_without_suggestion() -> None:
    message = str(absent_column("zzz", [f"col{i}" for i in range(9)], "the target"))
    assert message == (
        "The table has no column 'zzz' (the target); it has 'col0', 'col1', 'col2', 'col3', "
        "'col4', 'col5', 'col6', 'col7' and 1 more."
    )


def test_real_survey(shared_data: Path) -> None:
    frame = read_frame(shared_data / "introverts.csv")
    assert frame.shape == (2320, 8)
    assert int(frame.isna().sum().sum()) == 48 + 56 + 51 + 57 + 44 + 65 + 52


# --- files that were made to fill the memory ------------------------------------------------------


def bombs() -> dict[str, bytes]:
    """Small files that decompress to 45 MB of text."""
    zeros, times = b"0,0\n" * 250_000, 45
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", zeros * times)
    return {  # compressed parts may follow each other
        "a.csv.gz": gzip.compress(zeros, mtime=0) * times,
        "a.csv.bz2": bz2.compress(zeros) * times,
        "a.csv.xz": lzma.compress(zeros, preset=0) * times,
        "a.zip": stream.getvalue(),
    }


def test_compressed_file_needs_bounded_memory(tmp_path: Path) -> None:
    for name, content in bombs().items():
        assert len(content) < 60_000
        (tmp_path / name).write_bytes(content)
        tracemalloc.start()
        with pytest.raises(DataError) as error:
            read_frame(tmp_path / name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert str(error.value) == (
            f"File {str(tmp_path / name)!r} decompresses to more than 40 times its size; "
            "decompress it and give the resulting file."
        )
        assert peak < 40_000_000


def test_damaged_parquet_metadata_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": [1.5, 2.5]}).to_parquet(path)
    schema = pq.read_metadata(path).metadata[b"ARROW:schema"]
    damaged = base64.b64encode(base64.b64decode(schema).replace(b"numpy_type", b"nunpy_type"))
    assert damaged != schema
    path.write_bytes(path.read_bytes().replace(schema, damaged))
    with pytest.raises(DataError) as error:
        read_frame(path)
    assert str(error.value).endswith(
        "is not a readable Parquet file: its description lacks 'numpy_type'."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" + "," * 100_000 + "\n1\n", "has 100,001 columns; at most 50,000 are read."),
        (
            "a,b\n1," + "x" * 140_000 + "\n",
            "line 2, has a cell of more than 131,072 characters; close each quote, "
            "or shorten the cell.",
        ),
        ('a,b\n1,"x\n' + "1,2\n" * 40_000, "more than 131,072 characters; close each quote"),
    ],
    ids=["a million commas", "a cell of pages", "a quote that is never closed"],
)
def test_text_beyond_limits_raises(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError) as error:
        read_frame(tmp_path / "a.csv")
    assert message in str(error.value)


@pytest.mark.parametrize("text", ['a,b\n1,"x\n1,2\n', 'a,b\n1,2\n1,"x"y\n'])
def test_quotes_that_do_not_match_raise(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match="line 3, has quotes that do not match"):
        read_frame(tmp_path / "a.csv")


def test_maximum_number_of_columns(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(3000)]
    text = ",".join(names) + "\n" + ",".join("1" * 3000) + "\n"
    (tmp_path / "a.csv").write_text(text)
    assert read_frame(tmp_path / "a.csv").columns.tolist() == names
