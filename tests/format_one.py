"""An independent reader of model files of format 1, written from docs/file-format.md alone.

It imports nothing of plainnet, like a reader in another language.
"""

import hashlib
import json
import struct

import numpy as np

DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
ACTIVATIONS = {
    "ReLU": lambda z: np.maximum(z, 0),
    "Tanh": np.tanh,
    "Sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "Identity": lambda z: z,
    "Dropout": lambda z: z,
}
MISSING = [
    *[
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "<NA>",
        "NaN",
        "nan",
        "NAN",
        "-nan",
        "-NaN",
        "NULL",
        "null",
        "None",
        "?",
    ],
    "",
    None,
]
YES = {"yes", "y", "true", "t", "on", "1"}
NO = {"no", "n", "false", "f", "off", "0"}


# --- the container --------------------------------------------------------------------------------


def read(content, key="plainnet"):
    """Return the arrays and the header of a valid file. An invalid file fails an assertion."""
    (n,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + n].decode("utf-8"))
    data = content[8 + n :]
    header = json.loads(outer.pop("__metadata__")[key])
    arrays, end = {}, 0
    for name, entry in sorted(outer.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = entry["data_offsets"]
        assert start == end
        arrays[name] = np.frombuffer(data[start:stop], DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        end = stop
    assert end == len(data)
    assert header["format"] == 1
    assert header.pop("digest") == digest(arrays, header)
    return arrays, header


def digest(arrays, header):
    """Return the SHA-256 of the header without its digest and of all arrays, sorted by name."""
    sha = hashlib.sha256(canonical(header).encode("ascii"))
    for name in sorted(arrays):
        array = arrays[name]
        kind = {4: "float32", 8: "float64"}[array.dtype.itemsize]
        axes = ", ".join(map(str, array.shape)) + ("," if array.ndim == 1 else "")
        sha.update(f"{name} {kind} ({axes})".encode())
        sha.update(array.astype(array.dtype.newbyteorder("<")).tobytes("C"))
    return sha.hexdigest()


def canonical(header):
    return json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def pack(arrays, header_text, key="plainnet"):
    """Return the bytes of a file with the given (name, array) pairs and header, valid or not."""
    entries, data = {"__metadata__": {key: header_text}}, b""
    for name, array in arrays:
        block = array.astype(array.dtype.newbyteorder("<")).tobytes("C")
        entries[name] = {
            "dtype": {"f4": "F32", "f8": "F64", "f2": "F16", "i4": "I32"}[array.dtype.str[1:]],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(block)],
        }
        data += block
    return framed(json.dumps(entries).encode(), data)


def framed(entries, data):
    return struct.pack("<Q", len(entries)) + entries + data


# --- from raw input to predictions ----------------------------------------------------------------


def table_inputs(schema, rows):
    """Convert rows of text cells to the inputs of the network."""
    return np.array([[x for c in schema["columns"] for x in _cell(c, row)] for row in rows])


def _cell(column, row):
    kind = column["kind"]
    if kind in ("identifier", "constant"):
        return []
    text = row.get(column["name"])
    missing = text is None or text.strip() in MISSING
    text = "" if missing else text.strip()
    if kind == "number":
        value = column["median"] if missing else float(text)
        features = [(value - column["mean"]) / column["scale"]]
    elif kind == "indicator":
        features = []
    elif kind == "yesno":
        missing = missing or text.casefold() not in YES | NO
        fill = column["yes"] > column["no"]
        features = [float(fill if missing else text.casefold() in YES)]
    else:
        text = column["fill"] if missing else text
        features = [float(text == level) for level in column["levels"]]
    return [*features, float(missing)] if column["missing"] else features


def picture_inputs(schema, pixels):
    """Convert pixels (m, size, size, 3) from 0 to 255 to rows."""
    X = (np.asarray(pixels, float) - schema["mean"]) / schema["std"]
    return X.reshape(len(X), -1)


def outputs(arrays, header, X):
    """Compute the network's output after the inverse link of its loss, in float64."""
    counts = {}
    for layer in header["network"]["layers"]:
        kind = layer["kind"]
        counts[kind] = counts.get(kind, 0) + 1
        values = {
            key.split(".", 1)[1]: array.astype(float)
            for key, array in arrays.items()
            if key.split(".", 1)[0] == f"{kind.lower()}{counts[kind]}"
        }
        if kind == "Dense":
            X = X @ values["W"].T + values["b"]
        elif kind == "GroupedDense":
            parts = np.split(X, layer["groups"], axis=1)
            units = np.split(values["W"], layer["groups"])
            X = np.hstack([X_g @ W_g.T for X_g, W_g in zip(parts, units, strict=True)])
            X = X + values["b"]
        elif kind == "PiecewiseLinear":
            X = np.repeat(X, layer["bins"], axis=1)
            X = np.clip((X - values["low"]) / (values["high"] - values["low"]), 0, 1) - 0.5
        elif kind == "BatchNorm":
            X = (X - values["running_mean"]) / np.sqrt(values["running_var"] + layer["eps"])
            X = values["gamma"] * X + values["beta"]
        else:
            X = ACTIVATIONS[kind](X)
    if header["target"]["task"] == "regression":
        return X
    if header["target"]["task"] == "multiclass":
        E = np.exp(X - X.max(axis=1, keepdims=True))
        return E / E.sum(axis=1, keepdims=True)
    return 1 / (1 + np.exp(-X))


def predictions(header, A):
    """Return the predicted classes, labels or numbers."""
    target = header["target"]
    if target["task"] == "regression":
        return (A * target["scale"] + target["mean"]).tolist()
    if target["task"] == "multilabel":
        return (A > 0.5).tolist()
    indices = A.argmax(axis=1) if target["task"] == "multiclass" else (A[:, 0] > 0.5).astype(int)
    return [target["classes"][index] for index in indices]
