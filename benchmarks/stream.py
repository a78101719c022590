"""stream: `plainnet train` on a table larger than memory, beside one that fits.

python -m benchmarks.stream FOLDER --gb 2       write the table unless it is there, train, print
python -m benchmarks.stream FOLDER --gb 20      the same with 20 GB; the cache needs as much space
python -m benchmarks.stream FOLDER --ranks 2 --options="--hidden 128 128 --batch-size 2048"
                                                also on two ranks of mpiexec

The table is removed with --remove, the cache always. Each training runs in a process of its own.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.growth import ROOT

GROUP = 2**18  # rows that are written at a time, a row group
COLUMNS = 20
MEMORY = "300MB"
IN_MEMORY = 1_000_000  # rows of the table that fits
ALWAYS, DEFAULT = "--target y --network mlp --epochs 1", "--hidden 16 --batch-size 256"


def write_table(path: Path, size: float) -> int:
    """Write a Parquet file of about so many bytes, sorted by its class; return its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer, rows = np.random.default_rng(0), None, 0
    levels = np.array([f"level {k}" for k in range(30)])
    while writer is None or path.stat().st_size < size:
        Z = rng.standard_normal((COLUMNS, GROUP)).astype(np.float32)
        score = Z[0] + Z[2] * Z[3] + rng.standard_normal(GROUP)
        columns = {f"x{i}": pa.array(z, mask=(i == 4) & (z > 1.5)) for i, z in enumerate(Z)}
        columns["group"] = pa.array(levels[rng.integers(len(levels), size=GROUP)])
        columns["y"] = pa.array(np.where(score > 0, "yes", "no"))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        rows += GROUP
    writer.close()
    return rows


def first_rows(path: Path, out: Path, rows: int) -> None:
    """Copy the first rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    batches = file.iter_batches(batch_size=GROUP)
    parts = [next(batches) for _ in range(-(-rows // GROUP))]
    pq.write_table(pa.Table.from_batches(parts).slice(0, rows), out)


def measure(path: Path, *more: str, ranks: int = 1) -> tuple[float, float, float]:
    """Train for an epoch; return seconds in all, those of the epoch, and a process's peak in MB."""
    import os

    mpi = ["mpiexec", "-n", str(ranks)] if ranks > 1 else []
    command = [*mpi, sys.executable, "-m", "plainnet", "train", path.name, *ALWAYS.split(), *more]
    command += ["--out", "model.safetensors"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=path.parent, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    trained = re.search(r"Trained 1 epoch in ([0-9.:]*[0-9])", output)
    assert trained is not None
    parts = [float(part) for part in trained[1].split(":")]
    epoch = sum(part * 60**i for i, part in enumerate(reversed(parts)))
    return seconds, epoch, usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gb", type=float, default=2.0)
    parser.add_argument("--memory", default=MEMORY)
    parser.add_argument("--options", default=DEFAULT)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--remove", action="store_true")
    arguments = parser.parse_args()
    import pyarrow.parquet as pq

    path = arguments.folder / f"rows-{arguments.gb:g}.parquet"
    if not path.exists():
        write_table(path, arguments.gb * 1e9)
    rows = pq.read_metadata(path).num_rows
    small = arguments.folder / "rows-in-memory.parquet"
    first_rows(path, small, min(rows, IN_MEMORY))
    try:
        bound = ("--memory", arguments.memory)
        trainings: list[tuple[str, Path, int, tuple[str, ...], int]] = [
            ("in memory", small, min(rows, IN_MEMORY), (), 1),
            ("streamed", path, rows, bound, 1),
            ("streamed again", path, rows, bound, 1),
        ]
        if arguments.ranks > 1:
            name = f"streamed on {arguments.ranks} ranks"
            trainings.append((name, path, rows, bound, arguments.ranks))
        for name, file, m, more, ranks in trainings:
            options = arguments.options.split()
            seconds, epoch, peak = measure(file, *options, *more, ranks=ranks)
            print(
                f"{name}: {m:,} rows in {seconds:.1f} s, {m / seconds:,.0f} rows/s; the epoch "
                f"{epoch:.1f} s, {0.8 * m / epoch:,.0f} rows/s; peak {peak:,.0f} MB",
                flush=True,
            )
    finally:
        small.unlink()
        (arguments.folder / "model.safetensors").unlink(missing_ok=True)
        shutil.rmtree(path.with_name(f"{path.name}.rows"), ignore_errors=True)
        if arguments.remove:
            path.unlink()


if __name__ == "__main__":
    main()
