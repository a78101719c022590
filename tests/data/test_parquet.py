"""Parquet files: text is read once, and files that expand too much are refused."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plainnet import limits
from plainnet.data.read_table import read_frame
from plainnet.data.series import read_series
from plainnet.errors import DataError

MEMORY = "takes more than 100 times its size in memory; write it as CSV instead."


def encoded(table: pa.Table, **options: object) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **{"compression": "zstd", "write_statistics": False, **options})
    return stream.getvalue()


def read(folder: Path, content: bytes) -> pd.DataFrame:
    (folder / "t.parquet").write_bytes(content)
    return read_frame(folder / "t.parquet")


def refusal(folder: Path, content: bytes) -> str:
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError) as caught:
        read(folder, content)
    assert pa.total_allocated_bytes() - before < 100_000_000
    return str(caught.value).split("t.parquet'")[1].lstrip(" ,")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_every_parquet_option_is_read(
    tmp_path: Path, version: str, codec: str, dictionary: bool
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.standard_normal(3_000),
            "n": rng.integers(-5, 5, 3_000),
            "s": rng.choice(["red", "green", "blue", None], 3_000),
            "t": pd.date_range("2020-01-01", periods=3_000),
            "y": rng.choice([True, False], 3_000),
        }
    )
    content = encoded(
        pa.table(frame),
        compression=codec,
        use_dictionary=dictionary,
        data_page_version=version,
        data_page_size=500,
        row_group_size=700,
        write_statistics=True,
    )
    back = read(tmp_path, content)
    for name in frame:
        one, other = read_series(frame[name]), read_series(back[name])
        assert one.texts() == other.texts()
        assert np.array_equal(one.codes, other.codes)


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
def test_every_text_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    texts = [f"name {i}" for i in range(1_000)]
    content = encoded(pa.table({"a": texts}), use_dictionary=False, column_encoding=encoding)
    assert read(tmp_path, content)["a"].tolist() == texts


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([[1], [2, 3], None]),
        pa.array([{"a": 1}, None, {"a": 2}]),
        pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
    ],
    ids=lambda cells: str(cells.type)[:6],
)
def test_nested_columns_raise(tmp_path: Path, cells: pa.Array) -> None:
    message = refusal(tmp_path, encoded(pa.table({"b": [1, 2, 3], "a": cells})))
    assert message.startswith("column 'a': each cell holds a ")
    assert message.endswith("; write a column for each of its values, or leave it out.")


def test_repeated_text_is_stored_once(tmp_path: Path) -> None:
    """A million rows of 1,000 characters take no gigabyte, and are read where they are honest."""
    m = 500_000
    codes = np.random.default_rng(0).integers(0, 3, m).astype("int32")
    texts = [letter * 1_000 for letter in "abc"]
    before = pa.total_allocated_bytes()
    frame = read(tmp_path, encoded(pa.table({"a": pa.DictionaryArray.from_arrays(codes, texts)})))
    assert pa.total_allocated_bytes() - before < 20_000_000
    assert frame["a"].iloc[:5].tolist() == [texts[code] for code in codes[:5]]


def repeated() -> pa.Table:
    return pa.table({"a": pa.DictionaryArray.from_arrays(np.zeros(9_000_000, "int32"), ["x"])})


BOMBS = {
    "a text of many rows": (repeated, {}),
    "zeros": (lambda: pa.table({"a": np.zeros(9_000_000)}), {}),
    "a long cell": (lambda: pa.table({"a": ["x" * 60_000_000]}), {"use_dictionary": False}),
    "a long entry of a dictionary": (lambda: pa.table({"a": ["x" * 60_000_000]}), {}),
    "cells stored as differences": (
        lambda: pa.table({"a": ["x" * 1_000_000 + str(i) for i in range(90)]}),
        {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    ),
    "wide bytes": (
        lambda: pa.table({"a": pa.array([b"x" * 1_000_000] * 90, pa.binary(1_000_000))}),
        {},
    ),
    "gzip": (
        lambda: pa.table({"a": ["x" * 60_000_000]}),
        {"use_dictionary": False, "compression": "gzip"},
    ),
    "pages of version 2": (
        lambda: pa.table({"a": ["x" * 60_000_000]}),
        {"use_dictionary": False, "data_page_version": "2.0"},
    ),
    "dates, which become objects": (
        lambda: pa.table({"a": pa.array(np.zeros(900_000, "int32"), pa.date32())}),
        {},
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_small_file_needs_bounded_memory(tmp_path: Path, what: str) -> None:
    make, options = BOMBS[what]
    content = encoded(make(), **options)
    assert len(content) < 100_000
    assert refusal(tmp_path, content) == MEMORY


def test_forged_footer_sizes_are_ignored(tmp_path: Path) -> None:
    content = encoded(pa.table({"a": ["x" * 60_000_000]}), use_dictionary=False)
    size = pq.read_metadata(io.BytesIO(content)).row_group(0).column(0).total_uncompressed_size
    honest = varint(2 * size)
    assert content.count(honest) >= 1
    smaller = varint(2 * 40_000_000)  # as many bytes
    assert len(smaller) == len(honest)
    assert refusal(tmp_path, content.replace(honest, smaller)) == MEMORY


def varint(n: int) -> bytes:
    digits = []
    while n >= 128:
        digits.append(n & 127 | 128)
        n >>= 7
    return bytes([*digits, n])


def test_cell_length_limit_matches_text(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(97, 122, 131_073).astype("u1").tobytes().decode()
    assert read(tmp_path, encoded(pa.table({"a": [noise[1:]]})))["a"][0] == noise[1:]
    for options in (
        {},
        {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    ):
        message = refusal(tmp_path, encoded(pa.table({"a": [noise]}), **options))
        assert message == "column 'a', has a cell of 131,073 bytes; at most 131,072 are read."


@pytest.mark.parametrize("damage", [0x00, 0x19, 0x3C, 0xFF])
def test_damaged_page_header_raises(tmp_path: Path, damage: int) -> None:
    content = bytearray(encoded(pa.table({"a": np.arange(99.0)}), use_dictionary=False))
    content[4:12] = bytes([damage]) * 8
    assert "is not a readable Parquet file: " in refusal(tmp_path, bytes(content))


def test_too_many_columns_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_COLUMNS", 2)
    assert read(tmp_path, encoded(pa.table({"a": [1], "b": [2]}))).shape == (1, 2)
    message = refusal(tmp_path, encoded(pa.table({"a": [1], "b": [2], "c": [3]})))
    assert message == "has 3 columns; at most 2 are read."
