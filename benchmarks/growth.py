"""growth: seconds and memory of `plainnet train` by rows and columns, for docs/performance.md.

python -m benchmarks.growth            measure and write the table
python -m benchmarks.growth --quick    measure the smallest table once, write nothing

Each command runs in a process of its own, three times in turn with scikit-learn's pipeline
(`benchmarks/growth_sklearn.py`); the fastest run counts.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.report import markdown, replace_table, significant

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
SIZES = [(1000, 10), (1000, 20), (1000, 100), (1000, 1000), (1000, 10_000)]  # rows, columns
SIZES += [(10_000, 20), (100_000, 20), (1_000_000, 20)]
ROUNDS = 3
OPTIONS = "--target y --network mlp --hidden 16 --epochs 1 --batch-size 256"
# As after pip install 'plainnet[app]': with scikit-learn, plainnet fits its boosted trees too.
ALONE = "import sys; sys.modules['sklearn'] = None; from plainnet.cli import main; sys.exit(main())"
COMMANDS = (
    ["-c", ALONE, *f"train table.csv {OPTIONS} --out model.safetensors".split()],
    ["-m", "benchmarks.growth_sklearn", "table.csv"],
)
BLOCK = 2**21  # cells that are written at a time


class Cost(NamedTuple):
    """What a command takes."""

    seconds: float
    peak: int  # MiB


def write_table(path: Path, m: int, n: int) -> None:
    """Write m rows of n columns and a class: a tenth are text, and a tenth miss some cells."""
    import pyarrow as pa
    from pyarrow import csv

    rng, step = np.random.default_rng(0), max(1, BLOCK // n)
    with open(path, "wb") as file:
        for start in range(0, m, step):
            rows = min(step, m - start)
            Z = rng.standard_normal((n, rows)).round(5)
            score = Z[0] + Z[2] * Z[3] + rng.standard_normal(rows)
            columns = {}
            for i, z in enumerate(Z):
                levels = np.array([f"level {k}" for k in range(5 + 25 * (i % 20 == 9))])
                text = levels[rng.integers(len(levels), size=rows)]
                columns[f"x{i}"] = pa.array(
                    text if i % 10 == 9 else z * 10 ** (i % 3), mask=(i % 10 == 4) & (z > 1.5)
                )
            columns["y"] = pa.array(np.where(score > 0, "yes", "no"))
            options = csv.WriteOptions(include_header=start == 0, quoting_style="none")
            csv.write_csv(pa.table(columns), file, options)


def measure(command: Sequence[str], folder: Path) -> Cost:
    """Run a command in a folder; return its seconds and the peak of its memory."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return Cost(seconds, usage.ru_maxrss // 2**10)


def compare(m: int, n: int, rounds: int = ROUNDS) -> list[Cost]:
    """Return the costs of plainnet and of scikit-learn for a table of m rows and n columns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a child counts the memory of its parent at the start as its own.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(write_table, folder / "table.csv", m, n).result()
        runs = [[measure(command, folder) for command in COMMANDS] for _ in range(rounds)]
    return [min(costs) for costs in zip(*runs, strict=True)]


def row(m: int, n: int, ours: Cost, others: Cost) -> list[str]:
    """Return the cells of a line of the table."""
    cells = [
        text for cost in (ours, others) for text in (significant(cost.seconds), f"{cost.peak:,}")
    ]
    return [f"{m:,}", f"{n:,}", *cells, f"**{significant(others.seconds / ours.seconds)}**"]


def main(arguments: Sequence[str]) -> None:
    quick = "--quick" in arguments
    head = ["rows", "columns", "plainnet, s", "MiB", "scikit-learn, s", "MiB"]
    head += ["scikit-learn / plainnet"]
    rows = []
    for m, n in SIZES[:1] if quick else SIZES:
        rows.append(row(m, n, *compare(m, n, 1 if quick else ROUNDS)))
        print("  ".join(rows[-1]), flush=True)
    if not quick:
        page = replace_table(PAGE.read_text(encoding="utf-8"), "growth", markdown(head, rows))
        PAGE.write_text(page, encoding="utf-8")
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
