"""Arrow arrays from and to NumPy by their buffers: Arrow's own conversions import pandas."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def text_array(texts: Collection[str]) -> Any:
    """Return texts as an Arrow array of large strings; what is no Unicode is escaped."""
    cells = [text.encode(errors="backslashreplace") for text in texts]
    ends = np.cumsum([0, *map(len, cells)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(cells))]
    return pa.Array.from_buffers(pa.large_string(), len(cells), buffers)


def from_numpy(values: NDArray[Any], absent: NDArray[np.bool_] | None = None) -> Any:
    """Return numbers or truth values as an Arrow array, null where they are absent."""
    validity = None if absent is None else pa.py_buffer(_packed(~absent))
    data = _packed(values) if values.dtype == np.bool_ else np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(data)])


def to_numpy(array: Any, absent: float) -> NDArray[Any]:
    """Return an Arrow array of numbers or truth values, in chunks or not; `absent` where null."""
    if isinstance(array, pa.ChunkedArray):
        parts = [to_numpy(chunk, absent) for chunk in array.chunks]
        return np.concatenate(parts or [np.zeros(0, array.type.to_pandas_dtype())])
    kind, data = array.type.to_pandas_dtype(), array.buffers()[1]
    if kind is np.bool_:
        values = _bits(data, array)
    else:
        values = np.frombuffer(data or b"", kind)[array.offset : array.offset + len(array)]
    if array.null_count:
        values = values.copy()
        values[nulls(array)] = absent
    return values


def null(kind: Any) -> Any:
    """Return a null of an Arrow type."""
    return pa.nulls(1, kind)[0]


def nulls(array: Any) -> NDArray[np.bool_]:
    """Return where an Arrow array of one chunk is null."""
    if not array.null_count:
        return np.zeros(len(array), np.bool_)
    return ~_bits(array.buffers()[0], array)


def _packed(values: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.packbits(values, bitorder="little")


def _bits(buffer: Any, array: Any) -> NDArray[np.bool_]:
    """Return the bit of each entry of an array."""
    start, end = array.offset, array.offset + len(array)
    whole = np.frombuffer(buffer or b"", np.uint8)[start // 8 : -(-end // 8)]
    bits = np.unpackbits(whole, bitorder="little").view(np.bool_)
    return bits[start % 8 : start % 8 + len(array)]
