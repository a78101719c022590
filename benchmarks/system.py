"""System: import time and memory, size of installations, and a description of the machine."""

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

IMPORTS = ("numpy", "plainnet", "jax", "sklearn.neural_network", "torch")
DISTRIBUTIONS = ("plainnet", "scikit-learn", "jax", "torch")
SHOWN_VERSIONS = ("plainnet", "numpy", "numba", "torch", "jax", "jaxlib", "scikit-learn")

# Timed inside a fresh interpreter: the start of Python is the same for all.
_IMPORT = """
import time
start = time.perf_counter()
import {}
seconds = time.perf_counter() - start
from benchmarks.worker import peak_bytes
print(seconds, peak_bytes())
"""


def start_up(runs: int) -> dict[str, tuple[float, int]]:
    """Return the median seconds of an import with cached bytecode, and the peak memory."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in IMPORTS}
    for number in range(runs + 1):
        for name in IMPORTS:
            process = subprocess.run(
                [sys.executable, "-c", _IMPORT.format(name)],
                capture_output=True,
                text=True,
                env=environment,
                cwd=Path(__file__).resolve().parents[1],
            )
            if process.returncode == 0 and number:  # the first run writes the bytecode
                seconds, peak = process.stdout.split()
                found[name].append((float(seconds), int(peak)))
    return {
        name: (statistics.median(s for s, _ in runs), max(p for _, p in runs))
        for name, runs in found.items()
        if runs
    }


def compiling() -> tuple[float, float]:
    """Return the seconds in which a process gets its compiled steps: first, and once stored."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        found = []
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "plainnet.engine"], env=environment, check=True)
            found.append(time.perf_counter() - start)
    return found[0], found[1]


def installed_bytes(name: str) -> tuple[int, int]:
    """Return the size of a distribution with its dependencies, and their number."""
    from packaging.requirements import Requirement

    seen: set[str] = set()
    pending, total = [name], 0
    while pending:
        key = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if key in seen:
            continue
        try:
            dist = distribution(key)
        except PackageNotFoundError:
            continue
        seen.add(key)
        total += _own_bytes(key)
        for line in dist.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return total, len(seen)


def _own_bytes(name: str) -> int:
    files = [Path(str(file.locate())) for file in distribution(name).files or ()]
    if name == "plainnet":  # an editable installation: its files are in the checkout
        spec = find_spec("plainnet")
        assert spec is not None
        assert spec.origin is not None
        files = list(Path(spec.origin).parent.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


def machine() -> str:
    """Describe the processor, memory, operating system and BLAS."""
    model = platform.processor() or platform.machine()
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.M)
        model = names[0] if names else model
    memory = ""
    if meminfo.exists():
        kib = int(re.findall(r"^MemTotal:\s*(\d+)", meminfo.read_text(), re.M)[0])
        memory = f", {kib / 2**20:.0f} GiB of memory"
    from benchmarks.session import processors

    return (
        f"{model}, {processors()} processors{memory}, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, {blas()}"
    )


def blas() -> str:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    names = {
        f"{lib['internal_api']} {lib['version']} ({lib.get('architecture', 'unknown')})"
        for lib in threadpool_info()
        if lib["user_api"] == "blas"
    }
    return f"NumPy with {' and '.join(sorted(names)) or 'an unknown BLAS'}"


def versions() -> str:
    found = []
    for name in SHOWN_VERSIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)
