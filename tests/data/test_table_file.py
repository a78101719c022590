"""Limits of table files: oversized files are refused early, and large valid files are read."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from plainnet import limits
from plainnet.data import table_file
from plainnet.data.read_table import read_frame
from plainnet.data.table import absent_column
from plainnet.errors import DataError


def refusal(path: Path, content: bytes = b"") -> str:
    if content:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_frame(path)
    return str(caught.value).removeprefix(f"File {str(path)!r} ")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "b.csv").symlink_to("/dev/zero")
    for name in ("a.csv", "b.csv"):
        message = refusal(tmp_path / name)
        assert message == "is not a regular file; save the table as a file."


def test_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").symlink_to("a.csv")
    assert read_frame(tmp_path / "b.csv").shape == (1, 2)


def test_binary_files_are_not_read_completely(tmp_path: Path) -> None:
    with open(tmp_path / "a.csv", "wb") as file:
        file.write(b"a,b\n1,")
        file.truncate(50_000_000_000)
    assert refusal(tmp_path / "a.csv") == ("is no text: line 2 holds a zero byte; give a CSV file.")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_line_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(limits, "MAX_LINES", 10)
    path = tmp_path / "a.csv"
    path.write_bytes(b"a" + end + (b"1" + end) * 9)
    assert len(read_frame(path)) == 9
    assert refusal(path, b"a" + end + (b"1" + end) * 10) == (
        "holds more than 10 lines, the limit; split it."
    )


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("before", [0, 1, 2**20 - 12, 2**20 - 11, 2**20 - 10, 2**21])
def test_line_length_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, before: int
) -> None:
    """At any position within the blocks that are read."""
    monkeypatch.setattr(limits, "MAX_LINE", 2_500_000)
    filler = b"a,b" + end + b"1," + b" " * before + b"2" + end
    path = tmp_path / "a.csv"
    path.write_bytes(filler + b"1," + b" " * 2_499_997 + b"2" + end)
    assert read_frame(path)["b"].tolist() == ["2", "2"]
    message = refusal(path, filler + b"1," + b" " * 2_499_999 + end)
    assert message == "holds more than 2,500,000 bytes in one line, the limit; split it."


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_cell_limit_is_checked_before_allocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    monkeypatch.setattr(limits, "MAX_CELLS", 20)
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b" + end + (b"1,2" + end) * 9)
    assert read_frame(path).shape == (9, 2)
    assert refusal(path, b"a,b" + end + (b"1,2" + end) * 10) == (
        "holds 22 cells; at most 20 are read, so split it."
    )


def test_text_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TABLE_BYTES", 100)
    message = refusal(tmp_path / "a.csv", b"a,b\n" + b"1,2\n" * 99)
    assert message == "holds more than 100 bytes, the limit; split it."


def test_expansion_ratio_counts_only_read_bytes(tmp_path: Path) -> None:
    """Trailing bytes and other archive members do not hide a decompression bomb."""
    bomb = b"a,b\n" + b"1,2\n" * 4_000_000
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("__MACOSX/a.csv", os.urandom(1_000_000))
        archive.writestr("a.csv", bomb, zipfile.ZIP_DEFLATED)
    for name, content in (
        ("a.zip", stream.getvalue()),
        ("a.csv.gz", gzip.compress(bomb) + os.urandom(1_000_000)),
    ):
        assert refusal(tmp_path / name, content).startswith("decompresses to more than 40 times")


def test_valid_files_have_lower_ratios(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bits = (rng.random((20_000, 50)) < 0.1).astype(int)
    for cells in (bits, np.zeros((9_000, 50), int)):  # 17 times, and a small file of one value
        text = ",".join(f"c{i}" for i in range(50)) + "\n"
        text += "\n".join(",".join(map(str, row)) for row in cells.tolist()) + "\n"
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
        assert read_frame(tmp_path / "a.csv.gz").shape == cells.shape


def test_many_columns_are_read(tmp_path: Path) -> None:
    names = ",".join(f"gene{i}" for i in range(40_000))
    row = ",".join(str(i % 7) for i in range(40_000))
    (tmp_path / "a.csv").write_text(names + "\n" + f"{row}\n" * 20)
    assert read_frame(tmp_path / "a.csv").shape == (20, 40_000)


def test_compressed_parquet_is_refused(tmp_path: Path) -> None:
    for name in ("a.parquet.gz", "a.PQ.xz"):
        message = refusal(tmp_path / name, b"x")
        assert message == "is a compressed Parquet file; decompress it first."


def test_long_name_gets_no_suggestion() -> None:
    name = "a" * 90_000
    message = str(absent_column(name, [name[1:], "b"], "the target"))
    assert "did you mean" not in message
    assert len(message) < 300
    near = str(absent_column("agee", [*("x" * 99 for _ in range(3)), "age"], "the target"))
    assert near.endswith("did you mean 'age'?")


@pytest.mark.parametrize(
    "content", [b"a,b\n1,x\n", b"a,b\n1,\0\n", b"a,b\n\xff,1\n", b"a,b\n1\n", b" "]
)
def test_long_files_are_read_as_short_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """A long file is read into memory of another kind."""
    path, read = tmp_path / "a.csv", []
    path.write_bytes(content)
    for large in (2**20, 1):
        monkeypatch.setattr(table_file, "_LARGE", large)
        try:
            read.append(read_frame(path).to_numpy().tolist())
        except DataError as error:
            read.append(str(error))
    assert read[0] == read[1]
