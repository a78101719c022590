"""Choose the engine: NumPy, or compiled code where it saves time."""

import hashlib
import os
import sys
import warnings
from contextlib import suppress
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from plainnet.engine.blas_threads import product_sizes
from plainnet.engine.compiled import Data, Runner
from plainnet.engine.instructions import CONSTANTS, sources
from plainnet.engine.program import Program, Training, UnknownPartError
from plainnet.errors import PlainnetError
from plainnet.nn.network import Sequential

ENGINES = ("auto", "numpy", "compiled")
# Seconds that NumPy must need before it pays to compile, once per machine, and to load Numba and
# what is compiled, once per process.
COMPILING, LOADING = 60.0, 2.0
SECONDS_PER_LAYER, SECONDS_PER_PRODUCT = 20e-6, 6e-11  # of a step of NumPy, roughly


def compiled(
    engine: str, net: Sequential, m: int, batches: int, training: Training | None = None
) -> Runner | None:
    """Return what trains or predicts in batches of at most m rows, or None where NumPy computes.

    "auto" chooses compiled code if Numba is installed, every part is known to it, and NumPy would
    need clearly longer than loading it takes, or compiling if none is stored. So a script gets the
    same engine whatever the process did before.
    """
    if engine not in ENGINES:
        raise PlainnetError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "numpy":
        return None
    must = engine == "compiled"
    products = sum(product_sizes(net, m, training is not None)) * SECONDS_PER_PRODUCT
    seconds = batches * (len(net.layers) * SECONDS_PER_LAYER + products)
    if not must and seconds < LOADING:
        return None
    if find_spec("numba") is None:
        if must:
            raise PlainnetError(
                "engine='compiled' needs Numba, which is not installed: "
                "pip install 'plainnet[fast]', or take engine='auto'"
            )
        return None
    if not must and seconds < COMPILING and not is_compiled(net.dtype):
        return None
    try:
        program = Program(net, m, training)
    except UnknownPartError as error:
        if must:
            raise PlainnetError(
                f"engine='compiled' does not know {error}: take engine='auto'"
            ) from None
        return None
    interpret = load_interpreter(net.dtype)
    return None if interpret is None else Runner(interpret, program)


def load_interpreter(dtype: Any) -> Any:
    """Load the interpreter for a dtype, and Numba; compile and store it unless it is stored.

    Return None with a note if compiled code cannot be stored, or NumPy's products not be called.
    """
    try:
        from plainnet.engine.blas import gemm_address
        from plainnet.engine.interpreter import interpret
        from plainnet.engine.shared_update import exec_address, job_address
    except RuntimeError as error:  # no folder can be written
        return _note(
            f"Numba cannot store compiled code ({error}): "
            "set NUMBA_CACHE_DIR to a folder that can be written"
        )
    gemm = gemm_address(np.dtype(dtype))
    if not gemm:
        return _note("its matrix products cannot be called: install NumPy from PyPI")
    execute = exec_address()
    job = job_address(np.dtype(dtype)) if execute else 0
    _load(interpret, gemm, np.dtype(dtype))
    return partial(interpret, gemm, execute, job)


def _note(reason: str) -> None:
    warnings.warn(f"plainnet computes with NumPy, as {reason}", stacklevel=4)


@cache
def _load(interpret: Any, gemm: int, dtype: Any) -> None:
    interpret(gemm, 0, 0, *_arguments(dtype))
    with suppress(OSError):  # read-only, but compiled before
        (Path(interpret.stats.cache_path) / _marker(dtype)).touch()


def is_compiled(dtype: Any) -> bool:
    """Return whether the interpreter for a dtype is stored on this machine."""
    folders = list(_cache_folders())
    if not any(any(folder.glob("plainnet-*")) for folder in folders):
        return False
    name = _marker(dtype)
    return any((folder / name).exists() for folder in folders)


def _marker(dtype: Any) -> str:
    """Return the name of an empty file beside the stored code, for all that the code depends on."""
    from importlib.metadata import version

    from llvmlite import binding  # without Numba, which takes half a second

    parts = [binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten(), sys.version]
    parts += [version("numba"), str(np.dtype(dtype))]
    key = hashlib.sha256("\n".join(parts).encode() + sources())
    return f"plainnet-{key.hexdigest()[:16]}"


def _cache_folders() -> list[Path]:
    """Return the folders in which Numba would store compiled code."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return list(Path(chosen).glob("engine_*"))
    user = [Path.home() / ".cache", Path.home() / "Library/Caches"]
    user.append(Path(os.environ.get("XDG_CACHE_HOME", user[0])))
    folders = (f for u in user for f in (u / "numba").glob("engine_*"))
    return [Path(__file__).parent / "__pycache__", *folders]


def _arguments(dtype: Any) -> tuple[Any, ...]:
    """Return arguments of the interpreter with nothing to do."""
    one, two, order = np.zeros(1, dtype), np.zeros((1, 1), dtype), np.zeros(1, np.int64)
    code, shapes = np.zeros((1, 10), np.int64), np.zeros((1, 13), np.int64)
    constants, rates, jobs = np.zeros((1, CONSTANTS)), np.zeros(1), np.zeros((1, 1), np.int64)
    program = code, constants, shapes, 1, 0, 1, np.zeros(2, np.int64), 1, tuple(Data(two, two, two))
    return jobs, *program, order, order, one, rates, 0, (one,) * 5, one, two.astype(float)
