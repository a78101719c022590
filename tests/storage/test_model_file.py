"""Model files: deterministic bytes, atomic writes, and rejection of changed files."""

import errno
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from plainnet._version import __version__
from plainnet.errors import ModelFileError
from plainnet.storage import atomic, model_file
from plainnet.storage.atomic import write_bytes
from plainnet.storage.model_file import read_model, write_model

TENSORS = {
    "dense1.W": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "dense1.b": np.array([1e-30, -3.5]),
}
HEADER = {"task": "binary", "classes": ["No", "Yes"], "record": {"loss": [0.7, 1 / 3]}, "n": 3}
DIGEST = "has been changed since plainnet wrote it (the digest differs): save or download it again"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.plainnet"
    write_model(path, TENSORS, HEADER)
    return path


def message(path: Path) -> str:
    """Return the reason why a file is refused; any other exception fails the test."""
    with pytest.raises(ModelFileError) as error:
        read_model(path)
    text = str(error.value)
    assert repr(str(path)) in text
    return text.replace(repr(str(path)), "FILE")


def test_round_trip_gives_equal_bytes(path):
    tensors, header = read_model(path)
    assert header == {**HEADER, "format": 1, "version": __version__}
    assert set(tensors) == set(TENSORS)
    for name, array in TENSORS.items():
        assert tensors[name].dtype == array.dtype
        assert tensors[name].shape == array.shape
        assert tensors[name].tobytes() == array.tobytes()
    again = path.with_name("again")
    write_model(again, tensors, header)
    assert again.read_bytes() == path.read_bytes()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
names = st.from_regex(r"[a-z0-9 .é\"\\]{1,8}", fullmatch=True)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(names, arrays, max_size=3),
    st.dictionaries(st.text().filter(lambda key: key not in "format version digest"), json_values),
)
def test_write_read_round_trip(tmp_path_factory, tensors, header):
    path = tmp_path_factory.mktemp("round") / "m"
    write_model(path, tensors, header)
    back, described = read_model(path)
    assert described == {**header, "format": 1, "version": __version__}
    assert {n: (a.dtype, a.shape, a.tobytes()) for n, a in back.items()} == {
        n: (a.dtype, a.shape, a.tobytes()) for n, a in tensors.items()
    }


@pytest.mark.parametrize(
    "header",
    [
        {"x": {2: "b", 10: "a"}},  # JSON has text as keys, and sorts it as text
        {"x": (1, (2, 3))},
        {"x": float(np.float64(0.1))},
        {"digest": "of an older file", "format": 7, "version": "0"},
    ],
    ids=["numbers as keys", "tuples", "float", "names of its own"],
)
def test_headers_changed_by_json_can_be_read(path, header):
    write_model(path, TENSORS, header)
    _, described = read_model(path)
    expected = json.loads(json.dumps({**header, "format": 1, "version": __version__}))
    expected.pop("digest", None)
    assert described == expected


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(TENSORS["dense1.W"]),
        TENSORS["dense1.W"].T,
        TENSORS["dense1.W"][:, ::2],
        np.array(2.5),
        np.empty((0, 3)),
    ],
    ids=["fortran", "transposed", "strided", "0-d", "empty"],
)
def test_any_array_layout(path, array):
    write_model(path, {"a": array}, {})
    [back] = read_model(path)[0].values()
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)


def test_order_of_names_and_keys_has_no_effect(path, tmp_path):
    other = tmp_path / "other"
    write_model(other, dict(reversed(TENSORS.items())), dict(reversed(HEADER.items())))
    assert other.read_bytes() == path.read_bytes()


def test_bytes_are_equal_in_every_process(path, tmp_path):
    code = (
        "import numpy as np, sys; from plainnet.storage.model_file import write_model\n"
        "W = np.arange(6, dtype=np.float32).reshape(2, 3) / 7\n"
        "header = {'task': 'binary', 'classes': ['No', 'Yes'],"
        " 'record': {'loss': [0.7, 1 / 3]}, 'n': 3}\n"
        "write_model(sys.argv[1], {'dense1.W': W, 'dense1.b': np.array([1e-30, -3.5])}, header)"
    )
    for seed in ("0", "1", "4242"):
        other = tmp_path / f"other{seed}"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(other)], env=environment, check=True)
        assert other.read_bytes() == path.read_bytes()


def test_file_is_valid_safetensors(path):
    from safetensors.numpy import load_file

    for name, array in load_file(path).items():
        np.testing.assert_array_equal(array, TENSORS[name])


# --- whole or not at all


def fails(code: int) -> Callable[..., None]:
    def fail(*args: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


class FullDisk(io.FileIO):
    """A file that accepts only ten bytes."""

    def write(self, content: bytes) -> int:  # type: ignore[override]
        super().write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("failing", ["replace", "fsync", "write"])
@pytest.mark.parametrize("exists", [True, False])
def test_failed_write_changes_nothing(path, monkeypatch, failing, exists):
    before = path.read_bytes()
    if not exists:
        path.unlink()
    if failing == "write":
        monkeypatch.setattr(
            atomic, "open", lambda name, mode, **_: FullDisk(name, "x"), raising=False
        )
    else:
        monkeypatch.setattr(model_file.os, failing, fails(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        write_model(path, TENSORS, {"another": 1})
    monkeypatch.undo()
    assert os.listdir(path.parent) == ([path.name] if exists else [])
    assert not exists or path.read_bytes() == before


def test_ctrl_c_in_a_write_changes_nothing(path, monkeypatch):
    before = path.read_bytes()

    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model_file.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_model(path, TENSORS, {})
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == before


def test_unsavable_content_replaces_nothing(path):
    before = path.read_bytes()
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ModelFileError) as error:
            write_model(path, {"good": np.ones(2), "dense2.b": np.array([0, bad])}, {})
        assert str(error.value) == "parameter 'dense2.b' holds NaN or infinity: it is not saved"
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("dtype", ["int64", "float16", ">f4", "bool", "object", "complex64"])
def test_unsupported_dtype_raises(path, dtype):
    before = path.read_bytes()
    with pytest.raises(ModelFileError) as error:
        write_model(path, {"W": np.ones(2).astype(dtype)}, {})
    assert str(error.value) == f"parameter 'W' must hold float32 or float64 numbers, got {dtype}"
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32(1), {1, 2}, b"x"])
def test_header_without_json_representation_raises(path, value):
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match="the header of a model file must be JSON: "):
        write_model(path, TENSORS, {"record": {"x": value}})
    assert path.read_bytes() == before


def test_concurrent_writers(tmp_path):
    path, errors = tmp_path / "m", []

    def write(k: int) -> None:
        try:
            for _ in range(10):
                write_bytes(path, bytes([k]) * 1000)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["m"]
    assert path.read_bytes() in {bytes([k]) * 1000 for k in range(4)}


def test_long_file_name(tmp_path):
    path = tmp_path / ("m" * 255)
    write_model(path, TENSORS, HEADER)
    assert set(read_model(path)[0]) == set(TENSORS)


@pytest.fixture
def locked(path: Path) -> Iterator[Path]:
    """An unreadable model file in a folder without write permission."""
    path.chmod(0)
    path.parent.chmod(0o555)
    root = os.geteuid() == 0
    if root:  # for whom nothing is locked: ask as somebody else
        os.seteuid(65534)
    yield path
    if root:
        os.seteuid(0)
    path.parent.chmod(0o755)
    path.chmod(0o644)


def test_folder_without_write_permission_raises(locked):
    with pytest.raises(PermissionError):
        write_model(locked, TENSORS, {})


def test_unreadable_file_raises(locked):
    assert "Permission denied" in message(locked)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("no/such/folder/m", FileNotFoundError),
        ("file/m", NotADirectoryError),
        ("folder", IsADirectoryError),
        (".", OSError),
    ],
)
def test_unwritable_path_raises(tmp_path, name, kind):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(kind):
        write_model(tmp_path / name, TENSORS, {})
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


# --- damage


def test_truncated_file_raises(path):
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        assert re.fullmatch(
            r"FILE is not a complete model file \(.*\): save or download it again", message(path)
        )
    path.write_bytes(whole + b"\0")
    assert message(path).startswith("FILE is not a complete model file (")


@pytest.mark.parametrize("change", [0x01, 0x20, 0x80, 0xFF])
def test_changed_byte_raises(tmp_path, change):
    path = tmp_path / "m"
    write_model(path, {"a.W": np.array([[0.5, -2.0]], np.float32)}, {"task": "binary"})
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= change
        path.write_bytes(damaged)
        assert message(path)


def test_two_changed_bytes_raise(path):
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    tensors, header = read_model(path)
    for _ in range(1500):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 2):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            back, described = read_model(path)
        except ModelFileError:
            continue
        assert described == header  # such as one blank for another
        assert all(np.array_equal(back[name], tensors[name]) for name in tensors)


def edited(path: Path, edit: Callable[[dict[str, object]], object]) -> None:
    """Edit the JSON header."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + size])
    header = json.loads(outer["__metadata__"]["plainnet"])
    changed = edit(header)
    outer["__metadata__"]["plainnet"] = changed if isinstance(changed, str) else json.dumps(header)
    head = json.dumps(outer).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + content[8 + size :])


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda h: h.update(task="regression"), f"FILE {DIGEST}"),
        (lambda h: h.update(extra=1), f"FILE {DIGEST}"),
        (lambda h: h.__delitem__("n"), f"FILE {DIGEST}"),
        (lambda h: h.__delitem__("digest"), f"FILE {DIGEST}"),
        (lambda h: h.update(digest=None), f"FILE {DIGEST}"),
        (lambda h: h.update(digest=["x"]), f"FILE {DIGEST}"),
        (lambda h: h["classes"].reverse(), f"FILE {DIGEST}"),
        (lambda h: h.update(version="9.9"), f"FILE {DIGEST}"),
        (
            lambda h: h.update(format=2, version="9.9"),
            f"FILE has format 2, and plainnet {__version__} reads format 1: "
            "use the version that wrote it ('9.9')",
        ),
        (
            lambda h: h.pop("format"),
            f"FILE has format None, and plainnet {__version__} reads format 1: "
            f"use the version that wrote it ({__version__!r})",
        ),
        (lambda h: "[1, 2]", "FILE: the header is not a JSON object"),
        (lambda h: "", "FILE: the header is not a JSON object"),
        (lambda h: "{'task': 1}", "FILE: the header is not a JSON object"),
        (lambda h: '{"format": 1, "x": NaN}', "FILE: the header is not a JSON object"),
        (lambda h: '{"format": 1, "x": 1e999}', "FILE: the header is not a JSON object"),
        (lambda h: '{"format": ' + "1" * 9999 + "}", "FILE: the header is not a JSON object"),
        (lambda h: "[" * 100_000, "FILE: the header is not a JSON object"),
        (
            lambda h: '{"format": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
            "FILE: the header is not a JSON object",
        ),
    ],
)
def test_edited_header_raises(path, edit, expected):
    edited(path, edit)
    assert message(path) == expected


def test_edit_without_change_is_accepted(path):
    edited(path, lambda header: None)  # other blanks and another order of keys
    assert read_model(path)[1]["task"] == "binary"


@pytest.mark.parametrize("depth", range(940, 1001, 4))
def test_deeply_nested_header(path, depth):
    edited(path, lambda h: '{"format": 1, "x": ' + "[" * depth + "]" * depth + "}")
    assert message(path) in (f"FILE {DIGEST}", "FILE: the header is not a JSON object")


def test_swapped_renamed_or_reshaped_arrays_raise(path):
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + size])

    def rewritten(change: Callable[[dict[str, dict[str, object]]], object]) -> str:
        other = json.loads(json.dumps(outer))
        change(other)
        head = json.dumps(other).encode()
        path.write_bytes(struct.pack("<Q", len(head)) + head + content[8 + size :])
        return message(path)

    assert rewritten(lambda o: o.update({"dense2.W": o.pop("dense1.W")})) == f"FILE {DIGEST}"
    assert rewritten(lambda o: o["dense1.W"].update(shape=[3, 2])) == f"FILE {DIGEST}"
    assert (
        rewritten(lambda o: o["dense1.W"].update(dtype="I32"))
        == "FILE: array 'dense1.W' must hold finite float32 or float64 numbers"
    )
    for dtype, shape in (("BF16", [4, 3]), ("F8_E4M3", [24]), ("F16", [12]), ("C64", [3])):
        assert rewritten(lambda o, d=dtype, s=shape: o["dense1.W"].update(dtype=d, shape=s))


def test_nonfinite_parameters_in_a_file_raise(path, monkeypatch):
    monkeypatch.setattr(model_file.np, "isfinite", lambda array: np.ones(array.shape, bool))
    write_model(path, {"a": np.array([1, np.nan])}, {})  # with a digest that is right
    monkeypatch.undo()
    assert message(path) == "FILE: array 'a' must hold finite float32 or float64 numbers"


# --- files of other kinds


def test_files_that_are_no_models_raise(tmp_path):
    path = tmp_path / "m"
    assert message(path) == "there is no model file FILE"
    path.mkdir()
    assert message(path) == "FILE is a folder, not a model file"
    path.rmdir()
    assert message(path / "m") == "there is no model file FILE"
    path.write_bytes(save({"a": np.ones(3)}))
    assert message(path) == "FILE is a safetensors file, but not a model that plainnet saved"
    path.write_bytes(save({"a": np.ones(3)}, metadata={"format": "pt"}))
    assert message(path) == "FILE is a safetensors file, but not a model that plainnet saved"
    with_null = b'{"__metadata__":null}'.ljust(24)
    for content in (
        b"",
        b"\0" * 8,
        b"\x80\x04",
        b"name,age\nA,1\n",
        bytes(range(256)) * 20,
        pickle.dumps({"a": np.ones(3)}),
        struct.pack("<Q", len(with_null)) + with_null,
    ):
        path.write_bytes(content)
        assert message(path).startswith("FILE is ")


def test_pickle_is_not_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    (tmp_path / "m").write_bytes(pickle.dumps(Bomb()))
    assert message(tmp_path / "m").startswith("FILE is not a complete model file")
    assert os.listdir(tmp_path) == ["m"]


def test_invalid_file_names_raise(tmp_path):
    assert message(tmp_path / ("a" * 300))
    with pytest.raises(ModelFileError, match="there is no model file"):
        read_model("a\0b")


@pytest.mark.parametrize("size", [2**20, 2**27, 2**40, 2**63 - 1, 2**64 - 1])
def test_declared_sizes_are_not_allocated(path, size):
    content = path.read_bytes()
    (n,) = struct.unpack("<Q", content[:8])
    metadata = json.dumps(json.loads(content[8 : 8 + n])["__metadata__"])
    claimed = f'{{"dtype":"F64","shape":[{size}],"data_offsets":[0,{size * 8}]}}'
    array = f'{{"__metadata__":{metadata},"a":{claimed}}}'.encode()
    tracemalloc.start()
    try:
        for damaged in (
            struct.pack("<Q", size) + content[8:],
            struct.pack("<Q", len(array)) + array + b"\0" * 64,
        ):
            path.write_bytes(damaged)
            assert message(path).startswith("FILE is not a complete model file (")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_write_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_special_files_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not an ordinary file"):
        write_bytes(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()


def test_full_disk_error_names_the_target_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_bytes(tmp_path / "model", b"new")
    assert error.value.filename == str(tmp_path / "model")
    assert not list(tmp_path.iterdir())
