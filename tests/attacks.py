"""Attack the command line with hostile files, and measure time and peak memory.

    python tests/attacks.py    run all, and print the table of docs/security.md

Each attack builds its file and runs one command in a process whose address space is bounded. It
fails if the command ends in one sentence. Large honest files, on the other hand, must be read.
"""

import argparse
import gzip
import io
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PEAK = 500_000_000  # bytes of memory that an attack may take
SECONDS = 60  # a hang on any machine; what it takes is in the table

Build = Callable[[Path], Path]
GRAY = (200, 10, 10)


@dataclass(frozen=True)
class Attack:
    """A hostile file, the command that reads it, and part of the sentence that refuses it."""

    name: str
    command: str  # F is the file, T and P models of a table and of pictures, D the table
    build: Build
    says: str  # nothing where the file must be read
    quick: bool = False  # run by the tests; the others every night
    space: int = 2_000_000_000  # bytes of address space


@dataclass(frozen=True)
class Result:
    """What a command did: its exit code (-9: killed), output, seconds, and bytes at the peak."""

    code: int
    err: str
    seconds: float
    peak: int


def measure(program: list[str], folder: Path, space: int) -> Result:
    """Run a Python program in a process of bounded memory."""
    # A small process in between: memory of the one that forks counts as its child's.
    launcher = [sys.executable, "-S", __file__, "--launch", str(space), *program]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        launcher, capture_output=True, text=True, cwd=folder, env=os.environ | threads, check=True
    )
    return Result(**json.loads(done.stdout), err=done.stderr)


def launch(space: int, program: list[str]) -> None:
    """Run a Python program, and print what it used; its own output is dropped, its errors pass."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *program],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (space, space)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        if time.monotonic() - began > SECONDS * max(1, space // 10**9 - 1):
            process.kill()
        time.sleep(0.01)
    code, seconds = os.waitstatus_to_exitcode(ended[1]), time.monotonic() - began
    print(json.dumps({"code": code, "seconds": seconds, "peak": ended[2].ru_maxrss * 1024}))


def attack(one: Attack, folder: Path, models: dict[str, Path]) -> tuple[int, Result]:
    """Build the file of an attack, and run it; return the size of the file, and the result."""
    (folder / "file").mkdir()
    file = one.build(folder / "file")
    files = [each for each in file.rglob("*") if each.is_file()] if file.is_dir() else [file]
    words = [str({"F": file, **models}.get(word, word)) for word in one.command.split()]
    program = words[1:] if words[0] == "script" else ["-m", "plainnet", *words]
    return sum(each.stat().st_size for each in files), measure(program, folder, one.space)


def refused(one: Attack, result: Result) -> bool:
    """Say whether an attack ended in the one sentence that was expected."""
    sentence = result.err.startswith("Error: ") and result.err.count("\n") == 1
    code = 1 if one.command.startswith("script") else 2
    return result.code == code and sentence and one.says in result.err and result.peak < PEAK


def make_models(folder: Path) -> dict[str, Path]:
    """Train small models for the attacks, in this process."""
    import numpy as np
    import pandas as pd
    from PIL import Image

    from plainnet.config import TrainConfig
    from plainnet.export.python import to_python
    from plainnet.training import train

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.integers(0, 9, 40), "b": rng.integers(0, 9, 40)})
    table["y"] = np.where(table["a"] > 4, "more", "less")
    table.to_csv(folder / "d.csv", index=False)
    few = {"hidden": (2,), "epochs": 1}
    tables = train(folder / "d.csv", TrainConfig(target=("y",), **few)).model
    for i in range(8):
        place = folder / "pictures" / ("dark", "light")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * i).save(place / f"{i}.png")
    pictures = train(folder / "pictures", TrainConfig(size=64, **few)).model
    made = {"T": folder / "t.safetensors", "P": folder / "p.safetensors", "D": folder / "d.csv"}
    for model, letter in ((tables, "T"), (pictures, "P")):
        model.save(made[letter])
        made[f"{letter}.py"] = folder / f"{letter}.py"
        made[f"{letter}.py"].write_text(to_python(model), encoding="utf-8")
    return made


# --- builders -------------------------------------------------------------------------------------


def content(name: str, *parts: bytes | tuple[bytes, int]) -> Build:
    """Write bytes, some of them many times."""

    def build(folder: Path) -> Path:
        with open(folder / name, "wb") as file:
            for part in parts:
                file.write(part if isinstance(part, bytes) else part[0] * part[1])
        return folder / name

    return build


def gzipped(part: bytes, times: int) -> Build:
    """Compress a line of names, a row, and a part many times."""

    def build(folder: Path) -> Path:
        with gzip.open(folder / "f.csv.gz", "wb") as file:
            file.write(b"a,b\n1,2\n")
            for _ in range(times):
                file.write(part)
        return folder / "f.csv.gz"

    return build


def fifo(name: str) -> Build:
    def build(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return build


def holes(name: str, size: int, start: bytes = b"") -> Build:
    """Make a file of zeros that takes no room on the disk."""

    def build(folder: Path) -> Path:
        with open(folder / name, "wb") as file:
            file.write(start)
            file.truncate(size)
        return folder / name

    return build


def wide(columns: int, rows: int) -> Build:
    names = "a,b," + ",".join(f"c{i}" for i in range(2, columns))
    cells = ",".join(str(i % 10) for i in range(columns))
    return content("f.csv", f"{names}\n".encode(), (f"{cells}\n".encode(), rows))


def million(folder: Path) -> Path:
    """Write a million rows of 21 columns, 143 MB."""
    import numpy as np

    rng = np.random.default_rng(0)
    names = "a,b," + ",".join(f"c{i}" for i in range(19)) + "\n"
    with open(folder / "f.csv", "w", encoding="ascii") as file:
        file.write(names)
        for _ in range(100):
            numbers = rng.standard_normal((10_000, 21)).round(4).tolist()
            file.writelines(",".join(map(str, row)) + "\n" for row in numbers)
    return folder / "f.csv"


def million_packed(folder: Path) -> Path:
    """Compress the same."""
    with open(million(folder), "rb") as file, gzip.open(folder / "f.csv.gz", "wb", 1) as packed:
        shutil.copyfileobj(file, packed)
    return folder / "f.csv.gz"


def padded_zip(folder: Path) -> Path:
    """Hide the ratio of one member behind another, which is ignored."""
    with zipfile.ZipFile(folder / "f.zip", "w") as archive:
        archive.writestr("__MACOSX/f.csv", os.urandom(1_000_000))
        archive.writestr("f.csv", b"a,b\n" + b"1,2\n" * 10_000_000, zipfile.ZIP_DEFLATED)
    return folder / "f.zip"


def xz_of_a_large_dictionary(folder: Path) -> Path:
    """Ask for a dictionary of 4 GB in the header of a small file."""
    import lzma

    packed = bytearray(lzma.compress(b"a,b\n1,2\n", check=lzma.CHECK_CRC32))
    size = (packed[12] + 1) * 4  # of the header of the first block, without its checksum of 4
    at = packed.index(b"\x21\x01", 12) + 2  # LZMA2, with one byte of properties
    packed[at] = 40
    packed[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(packed[12 : 12 + size - 4]))
    return content("f.csv.xz", bytes(packed))(folder)


def parquet(make: Callable, groups: int = 1, **options) -> Build:
    """Write a table several times, each a row group."""

    def build(folder: Path) -> Path:
        import pyarrow.parquet as pq

        table, path = make(), folder / "f.parquet"
        options.setdefault("compression", "zstd")
        with pq.ParquetWriter(path, table.schema, write_statistics=False, **options) as writer:
            for _ in range(groups):
                writer.write_table(table, row_group_size=len(table))
        return path

    return build


def repeated_text():
    import numpy as np
    import pyarrow as pa

    indices = pa.array(np.zeros(3_300_000, "int32"))
    return pa.table({"a": pa.DictionaryArray.from_arrays(indices, ["x" * 100])})


def huge_cell():
    import pyarrow as pa

    return pa.table({"a": ["x" * 60_000_000]})


def long_list():
    import numpy as np
    import pyarrow as pa

    items = pa.array(np.zeros(10_000_000))
    return pa.table({"a": pa.ListArray.from_arrays(pa.array([0, len(items)], "int32"), items)})


def same_beginnings():
    """Make cells of a megabyte that differ in their ends: each is stored as the difference."""
    import pyarrow as pa

    return pa.table({"a": ["x" * 1_000_000 + str(i) for i in range(40)]})


def wide_bytes():
    import pyarrow as pa

    cells = pa.array([b"x" * 1_000_000] * 40, pa.binary(1_000_000))
    return pa.table({"a": cells})


def encoded(kind: str, side: int, **options) -> bytes:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    stream = io.BytesIO()
    Image.new("RGB", (side, side), GRAY).save(stream, kind, **options)
    return stream.getvalue()


def picture(name: str, side: int, kind: str, **options) -> Build:
    return lambda folder: content(name, encoded(kind, side, **options))(folder)


def noise(name: str, kind: str, **options) -> Build:
    """Make a picture of 6,000 x 4,000 pixels that shows something."""

    def build(folder: Path) -> Path:
        import numpy as np
        from PIL import Image

        pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).resize((6_000, 4_000)).save(folder / name, kind, **options)
        return folder / name

    return build


WEBP = {"lossless": True, "method": 0, "quality": 0}


def twenty_webps(folder: Path) -> Path:
    same = encoded("WEBP", 9_400, **WEBP)
    for i in range(20):
        content(f"{i}.webp", same)(folder)
    return folder


def scans(folder: Path) -> Path:
    """Repeat the last scan of a progressive JPEG."""
    jpeg = encoded("JPEG", 3_000, progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return content("f.jpg", jpeg[:-2], (jpeg[last:-2], 2_500), jpeg[-2:])(folder)


def lying_avif(folder: Path) -> Path:
    """Say 100 x 100 in the container of a larger picture."""
    avif = encoded("AVIF", 6_000, speed=10)
    at = avif.index(b"ispe") + 8
    return content("f.avif", avif[:at], struct.pack(">II", 100, 100), avif[at + 8 :])(folder)


def model_of(value: bytes, times: int) -> Build:
    """Put values into the header of a model file."""
    start, end = b'{"__metadata__":{"plainnet":"{\\"format\\":1,\\"x\\":[', b'0]}"}}'
    size = len(start) + len(value) * times + len(end)
    return content("f.safetensors", struct.pack("<Q", size), start, (value, times), end)


def toml(text: str) -> Build:
    return content("f.toml", text.encode())


# --- attacks --------------------------------------------------------------------------------------

READ = "predict T F --out o.csv"
SEE = "predict P F --out o.csv"
TRAIN = "train D --epochs 1 --config F"
RATIO = "decompresses to more than 40 times its size"
LINES = "more than 10,000,000 lines"
MEMORY = "takes more than 100 times its size in memory"
NO_FILE = "not a regular file"

ATTACKS = [
    Attack(
        "Parquet: one text, 33 million times", READ, parquet(repeated_text, 10), MEMORY, quick=True
    ),
    Attack(
        "Parquet: 20 cells of 60 MB", READ, parquet(huge_cell, 20, use_dictionary=False), MEMORY
    ),
    Attack(
        "Parquet: lists of 150 million numbers",
        READ,
        parquet(long_list, 15),
        "cell holds a",
        quick=True,
    ),
    Attack(
        "Parquet: 800 cells of 1 MB, stored as differences",
        READ,
        parquet(
            same_beginnings, 20, use_dictionary=False, column_encoding={"a": "DELTA_BYTE_ARRAY"}
        ),
        MEMORY,
    ),
    Attack("Parquet: 400 cells of 1 MB of bytes", READ, parquet(wide_bytes, 10), MEMORY),
    Attack("gzip: 33 million blank lines", READ, gzipped(b"\n" * 1_000_000, 33), RATIO, quick=True),
    Attack("gzip: 1 billion rows of two cells", READ, gzipped(b"1,2\n" * 1_000_000, 1_000), RATIO),
    Attack(
        "gzip: 40 million blank lines, and noise",
        READ,
        gzipped(os.urandom(10_000).hex().encode() + b"\n" * 500_000, 80),
        LINES,
    ),
    Attack("zip: a bomb beside a file of noise", READ, padded_zip, RATIO),
    Attack("xz: a dictionary of 4 GB", READ, xz_of_a_large_dictionary, "not fit into memory"),
    Attack(
        "a line of 40 million commas",
        READ,
        content("f.csv", b"a,b\n", (b",", 40_000_000)),
        "bytes in one line",
        quick=True,
    ),
    Attack("100,000 columns, 6 rows", "train F --epochs 1", wide(100_000, 6), "100,000 columns"),
    Attack(
        "50 GB of zeros that take no room", READ, holes("f.csv", 5 * 10**10, b"a,b\n1,"), "zero"
    ),
    Attack("a pipe as a table", READ, fifo("f.csv"), NO_FILE),
    Attack("a pipe as a table, exported file", "script T.py F", fifo("f.csv"), NO_FILE, quick=True),
    Attack("a pipe as a picture, exported file", "script P.py F", fifo("f.png"), NO_FILE),
    Attack("a pipe as a picture", SEE, fifo("f.png"), "no file or folder"),
    Attack("a pipe as TOML", TRAIN, fifo("f.toml"), NO_FILE),
    Attack("WebP of 88 megapixels", SEE, picture("f.webp", 9_400, "WEBP", **WEBP), "too large"),
    Attack("20 such files", SEE, twenty_webps, "too large", quick=True),
    Attack("PNG of 80 megapixels", SEE, picture("f.png", 8_900, "PNG"), "too large"),
    Attack(
        "JPEG2000 of 80 megapixels",
        SEE,
        picture("f.jp2", 8_900, "JPEG2000", tile_size=(1_024, 1_024)),
        "too large",
        True,
    ),
    Attack("AVIF of 36 megapixels", SEE, picture("f.avif", 6_000, "AVIF", speed=10), "too large"),
    Attack("JPEG with 2,500 scans", SEE, scans, "more than 100 scans", quick=True),
    Attack("a picture of 50 GB that take no room", SEE, holes("f.webp", 5 * 10**10), "bytes: at"),
    Attack(
        "a name of 90,000 characters",
        f"train F --target {'a' * 90_000}",
        content("f.csv", b"a" * 89_999 + b",b\n1,2\n3,4\n"),
        "has no column",
        quick=True,
    ),
    Attack("header of 60 MB of lists", "summary F", model_of(b"[],", 20_000_000), "is longer than"),
    Attack(
        "header of 15 MB of lists", "summary F", model_of(b"[],", 5_000_000), "values", quick=True
    ),
    Attack(
        "TOML: 100,000 brackets",
        TRAIN,
        toml("hidden = " + "[\n" * 100_000),
        "within each",
        quick=True,
    ),
    Attack("TOML: a number of 100,000 digits", TRAIN, toml("lr = " + "9" * 100_000), "holds more"),
    Attack("TOML: a key of 400,000 parts", TRAIN, toml("a." * 400_000 + "a = 1"), "holds more"),
    Attack("TOML: 50 GB that take no room", TRAIN, holes("f.toml", 5 * 10**10), "holds more"),
]
"""Each was answered by a hang or by gigabytes once, or might have been."""

HONEST = [
    Attack("honest: a million rows of 21 columns", READ, million, "", space=8_000_000_000),
    Attack("honest: the same, gzip", READ, million_packed, "", space=8_000_000_000),
    Attack("honest: 40,000 columns, 200 rows", READ, wide(40_000, 200), ""),
    Attack("honest: JPEG of 24 megapixels", SEE, noise("f.jpg", "JPEG"), ""),
    Attack(
        "honest: progressive JPEG of 24 megapixels",
        SEE,
        noise("f.jpg", "JPEG", progressive=True),
        "",
    ),
    Attack("honest: PNG of 24 megapixels", SEE, noise("f.png", "PNG"), ""),
    Attack("honest: WebP of 24 megapixels", SEE, noise("f.webp", "WEBP", method=0), ""),
    # What its container says is believed; what is in it takes 1.5 bytes a pixel, one at a time.
    Attack("AVIF of 36 megapixels that says 100 x 100", SEE, lying_avif, ""),
]


def size_of(n: int) -> str:
    return (
        f"{n:,} B" if n < 10_000 else f"{n / 1_000:,.0f} kB" if n < 10**7 else f"{n / 1e6:,.0f} MB"
    )


def main() -> int:
    if sys.argv[1:2] == ["--launch"]:
        launch(int(sys.argv[2]), sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of the names of attacks")
    chosen, failed = parser.parse_args(), 0
    print("| attack | file | result | seconds | peak memory |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as root:
        models = make_models(Path(root))
        for i, one in enumerate(each for each in ATTACKS + HONEST if chosen.only in each.name):
            folder = Path(root, str(i))
            folder.mkdir()
            size, result = attack(one, folder, models)
            good = refused(one, result) if one.says else result.code == 0
            failed += not good
            message = ("refused" if one.says else "read") if good else f"**{result}**"
            print(
                f"| {one.name} | {size_of(size)} | {message} | {result.seconds:.1f} | "
                f"{result.peak / 1e6:,.0f} MB |",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
