"""Arrow arrays from and to NumPy: the same values as by Arrow's own conversions, without pandas."""

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainnet.data.arrow import from_numpy, null, nulls, text_array, to_numpy

KINDS = st.sampled_from([pa.float64(), pa.int64(), pa.int32(), pa.bool_()])
BITS = st.lists(st.sampled_from([None, 0, 1]), max_size=40)


def sliced(cells: list[Any], kind: Any, start: int) -> Any:
    return pa.array(cells, kind).slice(start)


@given(BITS, KINDS, st.integers(0, 12))
def test_to_numpy(cells: list[Any], kind: Any, start: int) -> None:
    array = sliced([None if c is None else kind.to_pandas_dtype()(c) for c in cells], kind, start)
    expected = array.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy(False)
    for given_array in (array, pa.chunked_array([array[:3], array[3:]]), pa.chunked_array([array])):
        got = to_numpy(given_array, 0)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert to_numpy(pa.chunked_array([], kind), 0).shape == (0,)
    np.testing.assert_array_equal(nulls(array), np.asarray(array.is_null()))


def test_to_numpy_without_nulls_copies_nothing() -> None:
    values = np.arange(5.0)
    assert np.shares_memory(to_numpy(from_numpy(values), np.nan), values)


@given(BITS, KINDS, st.booleans())
def test_from_numpy(cells: list[Any], kind: Any, reverse: bool) -> None:
    values = np.array([cell or 0 for cell in cells], kind.to_pandas_dtype())
    absent = np.array([cell is None for cell in cells], np.bool_)
    if reverse:  # not contiguous
        values, absent = values[::-1], absent[::-1]
    array = from_numpy(values, absent)
    array.validate(full=True)
    assert array.equals(pa.array(values, kind, mask=absent))
    assert from_numpy(values).equals(pa.array(values, kind))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_text_array(texts: list[str]) -> None:
    array = text_array(texts)
    array.validate(full=True)
    assert array.equals(pa.array(texts, pa.large_string()))


def test_text_that_a_shell_did_not_decode() -> None:
    assert text_array(["a", "\udcff"]).to_pylist() == ["a", "\\udcff"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.float64()])
def test_null(kind: Any) -> None:
    assert null(kind).equals(pa.scalar(None, kind))


def test_commands_on_a_csv_do_without_pandas(tmp_path: Any) -> None:
    colors = ["red", " blue", ""]
    rows = [f"{i % 7}.5,{colors[i % 3]},{i},{'ny'[i % 2]}\n" for i in range(60)]
    (tmp_path / "a.csv").write_text("x,color,n,answer\n" + "".join(rows))
    program = """if True:
        import sys
        sys.modules["sklearn"] = None
        from plainnet.cli import main
        assert main(sys.argv[1:]) == 0
        assert "pandas" not in sys.modules
    """
    for command in (
        "train a.csv --target answer --network mlp --epochs 2 --out a.safetensors",
        "predict a.safetensors a.csv --out p.csv",
        "evaluate a.safetensors a.csv",
        "explain a.safetensors a.csv --row 2 --label n",
    ):
        arguments = [sys.executable, "-c", program, *command.split()]
        subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True, timeout=120)
