"""Damaged tables: text that is hardly one, compressed and Parquet files with bytes changed."""

import bz2
import gzip
import io
import lzma
import tracemalloc
import warnings
import zipfile

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fuzz import forge
from fuzz.using import Outcome, where
from plainnet.data.read_table import read_frame
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.errors import DataError

TIMES, FLOOR = 50, 2**25  # memory for a text that is not packed, as docs/file-format.md says
BITS = (
    *("\0", '"', '""', ",", ";", "\t", "|", "\n", "\r", "\r\n", "\ufeff", "sep=;\n", "sep=,", " "),
    *(
        "1",
        "-1",
        "1e400",
        "nan",
        "inf",
        "0001",
        "1,5",
        "1.234,5",
        "1_0",
        "٣",
        "½",
        "x",
        "yes",
        "no",
    ),
    *(
        "é",
        "\U0001f600",
        "\u2028",
        "\x85",
        "\x1c",
        "\x0b",
        "a,b\n",
        "1,2\n",
        ",,,,",
        '"a',
        "\\",
        "'",
    ),
)
CHOSEN = (
    b"a,b\n" + b"1," + b"," * 5000 + b"\n",
    b"," * 5000 + b"a\n" + b"," * 5000 + b"1\n",
    b'a,b\n"' + b"x" * 200_000 + b"\n1,2\n",
    b"a,b\n" + b"x" * 200_000 + b",1\n",
    b"a\n" + b"1\n" * 3000,
    b"a,b\n1,\x002\n",
    "a,b\n1,2\n".encode("utf-16"),
    "a,b\nå,2\n".encode("latin-1"),
    b"\xef\xbb\xbf\xef\xbb\xbfa,b\n1,2\n",
    b'"a\nb",c\n1,2\n',
    b"a,a\n1,2\n",
    b"\n\n\n",
    b" \n \n",
    b"a\n" + b'"' * 9999,
    b"a,b\n" + b"9" * 5000 + b",1\n" * 3,
)


def parquet(frame, **options):
    stream = io.BytesIO()
    frame.to_parquet(stream, **options)
    return stream.getvalue()


def good():
    """Files of every kind by the ending of their names."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.standard_normal(30),
            "n": rng.integers(0, 9, 30),
            "c": rng.choice(["red", "green"], 30),
            "t": pd.date_range("2020-01-01", periods=30),
            "y": rng.choice([True, False], 30),
        }
    )
    odd = pd.DataFrame(
        {"l": [[1], [2, 3]] * 9, "d": [{"a": 1}, None] * 9, "b": [b"a", b"\xff"] * 9}
    )
    text = frame.to_csv(index=False).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", text)
    return {
        "a.csv": text,
        "b.tsv": frame.to_csv(index=False, sep="\t").encode(),
        "c.csv.gz": gzip.compress(text),
        "d.csv.bz2": bz2.compress(text),
        "e.csv.xz": lzma.compress(text),
        "f.zip": stream.getvalue(),
        "g.parquet": parquet(frame.set_index("n")),
        "h.parquet": parquet(frame.astype({"c": "category"}), compression="gzip"),
        "i.parquet": parquet(odd, compression=None),
    }


@st.composite
def files(draw, good):
    """Draw the name of a file and its bytes."""
    kind = draw(st.sampled_from(("bytes", "bytes", "text", "chosen", "wrong")))
    name = draw(st.sampled_from(sorted(good)))
    if kind == "bytes":
        return name, draw(forge.spoiled(good[name]))
    if kind == "wrong":  # the one under the name of another
        return name, good[draw(st.sampled_from(sorted(good)))]
    if kind == "chosen":
        return "a.csv", draw(st.sampled_from(CHOSEN))
    bits = draw(st.lists(st.sampled_from(BITS), max_size=40))
    return "a.csv", ("a,b\n" * draw(st.integers(0, 1)) + "".join(bits)).encode()


def use(folder, drawn):
    """Read a table, and find out what its columns hold."""
    name, content = drawn
    place = folder / name
    place.write_bytes(content)
    findings, loaded, output, peak = [], False, "", 0
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = read_frame(place)
            loaded = True
            schema = TableSchema.infer(frame)
            schema.transform(frame, [])
            Target.infer(frame.dropna(subset=frame.columns[-1:]), [frame.columns[-1]])
    except DataError as error:
        output = str(error)
        if len(output) > 1000:
            findings.append(f"table: a long sentence {output[:200]!r}")
    except Exception as error:
        findings.append(f"table {name}: {type(error).__name__}: {str(error)[:200]} {where(error)}")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        place.unlink()
    text = len(content) if name.endswith("sv") else 40 * len(content) + 4 * 10**6
    if peak > 2 * TIMES * text + FLOOR:  # to find out what columns hold takes as much again
        findings.append(f"table {name}: {peak:,} bytes for a file of {len(content):,}")
    return Outcome(findings, loaded, len(content), peak, output)
