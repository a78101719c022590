"""Damaged model files: hypothesis draws what is changed, from single bits to well-formed lies.

The lies matter most: a header that was edited and an array that was exchanged, with the digest made
anew, as anybody can who has read docs/file-format.md.
"""

import copy
import json
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import format_one

DEEP = "[" * 5000 + "]" * 5000
# JSON text that takes the place of a value; most of it is JSON.
HOSTILE = (
    *("null", "true", "false", "0", "1", "-1", "2", "0.5", "-0", "-0.0", "1e308", "-1e308", "1e39"),
    *("5e-324", "1e-40", "1e999", "-1e999", "NaN", "Infinity", "01", "1e", "9007199254740993"),
    *("255", "256", "1024", "1025", "65536", "2147483648", "4294967296", "9223372036854775808"),
    *("18446744073709551616", "1" * 300, "1" * 400, "1" * 4500, "-" + "9" * 300),
    *('""', '"a"', '"no"', '"table"', '"image"', '"Dense"', '"ReLU"', '"Flatten"', '"Huber"'),
    *('"regression"', '"multilabel"', '"float64"', '"[bold]x[/bold]"', '"<script>x</script>"'),
    *('"\\u0000"', '"\\ud800"', '"\\u001b[31m"', '"a\\nb"', '"\\u202e"', '"={1+1}"', '"%s %n"'),
    *('"../../x"', '"' + "x" * 3000 + '"', '"' + "é" * 500 + '"', '"$\\\\frac{$"', '"$x"'),
    *("[]", "{}", "[[]]", "[null]", "[0]", "[1,2]", "[true]", '["a"]', '["a","a"]', '{"a":1}'),
    *("[" + "0," * 999 + "0]", "[" + '"a",' * 50 + '"a"]', "[" * 60 + "]" * 60, DEEP, '{"":{}}'),
    *("[1e308,1e308]", "[0.1,0.2,0.3]", "[[0,1],[1,0]]", "[[1],[2,3]]", "[-1,1e39]", "'a'", ""),
)
NAMES = (
    *(
        "",
        "a",
        "dense1.W",
        "dense9.W",
        "rows.bits",
        "rows.part",
        "rows.",
        "rows.more",
        "baseline.",
    ),
    *(
        "baseline.regression.dense1.W",
        "baseline.colors.dense1.b",
        "__metadata__",
        "../x",
        "x" * 300,
    ),
    *("\0", "é", "\ud800", "dense1", ".", "[red]"),
)
VALUES = (0.0, -0.0, 1.0, -1.0, 1e38, -1e38, 3.4e38, 1e-40, 1e300, 2.0**52, 2.0**33, 0.5, 1e20)
BAD_VALUES = (np.nan, np.inf, -np.inf)


PARTS = {
    "record": ("record",),
    "meaning": ("schema", "target", "network", "loss"),
    "anything": None,
}


class Raw(str):
    """JSON text that stands in a tree in the place of a value."""


class Model(NamedTuple):
    """A good file, taken apart."""

    content: bytes
    arrays: dict
    header: dict
    key: str

    def __repr__(self):  # or a failing test would print them all
        return f"Model({len(self.content)} bytes)"


def taken_apart(content, key="plainnet"):
    return Model(content, *format_one.read(content, key), key)


# --- JSON -----------------------------------------------------------------------------------------


def dumps(value):
    """Write a tree: `Raw` text as it is, and tuples of pairs as objects whose keys may repeat."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):  # pairs
        return "{" + ",".join(f"{json.dumps(k)}:{dumps(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value)


def paths(value, path=()):
    """Every place of a tree: the keys that lead there."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(one, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


@st.composite
def edited(draw, tree, parts=None):
    """A tree with one to four changes; `parts` are the keys of the first level to choose from."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 4)))):
        first = draw(st.sampled_from(sorted(parts or tree)))
        if first not in tree:
            continue
        path = _descend(draw, tree, first)
        parent, key = at(tree, path[:-1]), path[-1]
        if not isinstance(parent, dict | list):
            continue
        _edit(draw, tree, parent, key)
    return tree


def _descend(draw, tree, first):
    """A place below `first`, each branch as likely as the next, however many leaves it has."""
    path = (first,)
    while isinstance(at(tree, path), dict | list) and at(tree, path):
        if len(path) > 1 and draw(st.integers(0, 5)) == 0:
            break
        inner = at(tree, path)
        keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        path = (*path, draw(st.sampled_from(keys)))
    return path


def _edit(draw, tree, parent, key):
    how = draw(
        st.sampled_from(("value", "value", "value", "drop", "number", "other", "more", "key"))
    )
    old = parent[key]
    if how == "drop":
        del parent[key]
    elif how == "number" and isinstance(old, int | float):
        change = draw(st.sampled_from((-1, 1, -old, old, 10**6, 1e-9, -2 * old, 0.5)))
        parent[key] = old + change
    elif how == "other":  # what stands elsewhere in the tree
        parent[key] = copy.deepcopy(at(tree, draw(st.sampled_from(list(paths(tree))))))
    elif how == "more" and isinstance(old, list) and old:
        parent[key] = old * draw(st.sampled_from((2, 3, 300)))
    elif how == "more" and isinstance(old, dict):
        parent[key] = (*old.items(), *list(old.items())[:1])  # a key twice
    elif how == "key" and isinstance(parent, dict):
        parent[draw(st.sampled_from(("", "kind", "x", "\0", "é", "mean", "loss", "format")))] = old
    elif how == "number" and isinstance(old, str):
        parent[key] = old[: len(old) // 2] + draw(st.text(max_size=5))
    else:
        parent[key] = Raw(draw(st.sampled_from(HOSTILE)))


def signed(arrays, tree):
    """The header as text, with the digest that belongs to it and the arrays, if it can have one."""
    text = dumps(tree)
    try:
        digest = format_one.digest(dict(arrays), json.loads(text))
    except (ValueError, RecursionError, TypeError, OverflowError, KeyError):
        digest = "0" * 64
    if not text.startswith("{") or len(text) < 3:
        return text
    return text[:-1] + f',"digest":"{digest}"}}'


# --- arrays ---------------------------------------------------------------------------------------


@st.composite
def exchanged(draw, arrays):
    """Named arrays with one to three changes."""
    arrays = dict(arrays)
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        if not arrays:
            break
        name = draw(st.sampled_from(sorted(arrays)))
        array = arrays.pop(name)
        how = draw(
            st.sampled_from(("fill", "some", "type", "shape", "name", "drop", "copy", "bad"))
        )
        if how in ("fill", "some", "bad"):
            values = BAD_VALUES if how == "bad" else VALUES
            array = array.copy()
            value = _cast(np.float64(draw(st.sampled_from(values))), array.dtype)
            if how == "fill":
                array[...] = value
            elif array.size:
                array.reshape(-1)[draw(st.integers(0, array.size - 1))] = value
        elif how == "type":
            array = _cast(array, draw(st.sampled_from(("<f4", "<f8", "<f2", "<i4"))))
        elif how == "shape":
            shapes = (
                array.T,
                array.reshape(-1),
                array[None],
                array[:0],
                array[:-1],
                array[:, None],
            )
            array = np.ascontiguousarray(draw(st.sampled_from(shapes)))
        elif how == "copy":
            arrays[draw(st.sampled_from(NAMES))] = array
        if how == "name":
            name = draw(st.sampled_from(NAMES))
        if how != "drop":
            arrays[name] = array
    return arrays


def _cast(array, dtype):
    with np.errstate(all="ignore"):
        return array.astype(dtype)


# --- files ----------------------------------------------------------------------------------------

LAYOUT = (
    *("null", "0", "-1", "1", "8", "1e3", "1.0", "true", "[]", "{}", "[0,8]", "[8,0]", "[0,0]"),
    *("[-8,0]", "[0]", "[0,8,16]", '"F32"', '"F64"', '"F16"', '"BF16"', '"I64"', '"BOOL"', '"C64"'),
    *('"F8_E4M3"', '"f32"', "[1e3]", "[true]", "[0,0,0]", "[1073741824]", "[4611686018427387904]"),
    *("[18446744073709551616,0]", "[4294967296,4294967296]", "[" + "1," * 70 + "1]", "1" * 5000),
    *("[9223372036854775807,9223372036854775807]", "[0,18446744073709551616]", DEEP, '["a"]', '"'),
)


@st.composite
def relaid(draw, content):
    """A file whose first part says something else of the rest."""
    n = int.from_bytes(content[:8], "little")
    outer, data = json.loads(content[8 : 8 + n]), content[8 + n :]
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(outer)))
        how = draw(st.sampled_from(("field", "field", "field", "entry", "name", "drop", "twice")))
        if how == "field" and isinstance(outer[name], dict):
            key = draw(st.sampled_from(("dtype", "shape", "data_offsets", "plainnet", "more")))
            outer[name] = {**outer[name], key: Raw(draw(st.sampled_from(LAYOUT)))}
        elif how == "entry":
            outer[name] = Raw(draw(st.sampled_from((*LAYOUT, '{"plainnet":"{}"}'))))
        elif how == "name":
            outer[draw(st.sampled_from(NAMES))] = outer.pop(name)
        elif how == "drop" and len(outer) > 1:
            del outer[name]
        elif how == "twice":
            pairs = (*outer.items(), (name, outer[name]))
            return format_one.framed(dumps(pairs).encode(), data)
    text = dumps(outer).encode("utf-8", "surrogatepass")
    n = draw(
        st.sampled_from((len(text), len(text), len(text), len(text) - 1, len(text) + 8, 2**63))
    )
    return n.to_bytes(8, "little") + text + data


@st.composite
def spoiled(draw, content):
    """A file with flipped bits, cut off, with bytes put in, left out, doubled or exchanged."""
    content = bytearray(content)
    for _ in range(draw(st.sampled_from((1, 1, 2, 5)))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.sampled_from((1, 1, 2, 8, 64, 1000)))
        how = draw(st.sampled_from(("flip", "flip", "cut", "put", "out", "double", "set")))
        if not content:
            break
        if how == "flip":
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del content[place:]
        elif how == "put":
            content[place:place] = draw(st.binary(min_size=1, max_size=16)) * length
        elif how == "out":
            del content[place : place + length]
        elif how == "double":
            content[place:place] = content[place : place + length]
        else:
            value = draw(st.sampled_from(b'\0\xff\x80\x7f{}[]",:-e\\ '))
            content[place : place + length] = bytes([value]) * len(content[place : place + length])
    return bytes(content)


@st.composite
def damaged(draw, models, parts=PARTS):
    """A file made of one of the good ones; what kind of damage it has, and its bytes."""
    name = draw(st.sampled_from(sorted(models)))
    model = models[name]
    kind = draw(
        st.sampled_from(("header", "header", "header", "arrays", "both", "layout", "bytes"))
    )
    if kind == "layout":
        return name, kind, draw(relaid(model.content))
    if kind == "bytes":
        return name, kind, draw(spoiled(model.content))
    arrays = model.arrays if kind == "header" else draw(exchanged(model.arrays))
    tree = model.header
    if kind != "arrays":
        part = draw(st.sampled_from(sorted(parts)))
        kind = part if kind == "header" else kind
        tree = draw(edited(model.header, parts[part]))
    order = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    try:
        text = signed(order, tree)
    except KeyError:
        text = dumps(tree)
    try:
        return name, kind, format_one.pack(order, text, model.key)
    except (KeyError, UnicodeEncodeError):
        return name, kind, model.content[:-1]
