"""CSV cells contain no spreadsheet formulas and no terminal control sequences."""

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainnet.export.csv_cell import csv_cell

# A number, and what follows it where a program takes another delimiter.
NUMBER = re.compile(r"""[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?(\Z|[\n,"])""")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+49 170", "'+49 170"),
        ("-a", "'-a"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", r"\r=1"),
        ("\n=1", "'\n'=1"),
        ("＝1+1", "'＝1+1"),
        ("-1+1", "'-1+1"),
        ("-inf", "'-inf"),
        ("a;=1", "a;'=1"),
        ("a;-2;@b", "a;'-2;'@b"),
        ("-1;a", "'-1;a"),
        ('a;"=1', "a;\"'=1"),
        ("a\n=1", "a\n'=1"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\0b\x7f\x85", r"a\x00b\x7f\x85"),
    ],
)
def test_escaped_text(text: str, expected: str) -> None:
    assert csv_cell(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "Yes", "a=b", "1-2", "a@b.c", "it's", "two\nlines", "a,b", "Ωμέγα", "\u2028"),
        *("-3.5", "+5", "-1", "0", "-1e-05", "+.5", "-5.", "1e+21"),
    ],
)
def test_unchanged_text(text: str) -> None:
    assert csv_cell(text) == text


@settings(deadline=None, max_examples=1000)
@given(st.lists(st.text(st.sampled_from("=+-@\t\r\n\x1b;,\"' a1.e＝")), min_size=1, max_size=4))
def test_no_spreadsheet_finds_a_formula(texts: list[str]) -> None:
    """A spreadsheet may use another delimiter than the file, as the German Excel does."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(["1", *map(csv_cell, texts)])
    content = file.getvalue()
    assert all(c in "\t\n" or c.isprintable() for c in content)
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(content), delimiter=delimiter):
            for cell in row:
                start = cell.lstrip("\t\n")
                assert NUMBER.match(start) or not start.startswith(tuple("=+-@＝")), cell
