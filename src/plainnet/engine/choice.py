"""Choose the engine of a training: NumPy, or compiled steps where they save time."""

import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from plainnet.engine.blas_threads import product_sizes
from plainnet.engine.compiled import CompiledStep, Data
from plainnet.engine.program import Program, StepParts, UnknownPartError
from plainnet.errors import PlainnetError
from plainnet.nn.parameters import Array

ENGINES = ("auto", "numpy", "compiled")
# Seconds that NumPy must need before compiling pays, which takes half a minute once per machine.
WORTH_COMPILING = 60.0
SECONDS_PER_LAYER, SECONDS_PER_PRODUCT = 20e-6, 6e-11  # of a step of NumPy, roughly


def compiled_step(
    engine: str, parts: StepParts, y: Array, weighted: bool, m: int, steps: int
) -> CompiledStep | None:
    """Return the compiled step for batches of at most m rows, or None where NumPy computes.

    "auto" chooses compiled steps if Numba is installed, every part of the training is known to
    them, and they are compiled already or NumPy would need clearly longer than compiling takes.
    """
    if engine not in ENGINES:
        raise PlainnetError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "numpy":
        return None
    must = engine == "compiled"
    if find_spec("numba") is None:
        if must:
            raise PlainnetError(
                "engine='compiled' needs Numba, which is not installed: "
                "pip install 'plainnet[fast]', or take engine='auto'"
            )
        return None
    try:
        program = Program(parts, y, weighted, m)
    except UnknownPartError as error:
        if must:
            raise PlainnetError(
                f"engine='compiled' does not know {error}: take engine='auto'"
            ) from None
        return None
    short = steps * _numpy_seconds(parts, m) < WORTH_COMPILING
    if not must and short and not is_compiled(parts.net.dtype):
        return None
    interpret = load_interpreter()
    return None if interpret is None else CompiledStep(interpret, program)


def _numpy_seconds(parts: StepParts, m: int) -> float:
    """Estimate the time of a step with NumPy."""
    products = sum(product_sizes(parts.net, m))
    return len(parts.net.layers) * SECONDS_PER_LAYER + products * SECONDS_PER_PRODUCT


def load_interpreter() -> Any:
    """Import the interpreter and with it Numba; None and a note if its code cannot be stored."""
    try:
        from plainnet.engine.interpreter import interpret
    except RuntimeError as error:  # no folder can be written
        warnings.warn(
            f"plainnet computes with NumPy, as Numba cannot store compiled code ({error}): "
            "set NUMBA_CACHE_DIR to a folder that can be written",
            stacklevel=2,
        )
        return None
    return interpret


def is_compiled(dtype: Any) -> bool:
    """Return whether compiled steps for a dtype are stored on this machine."""
    if not any(any(folder.glob("interpreter.*.nbi")) for folder in _cache_folders()):
        return False  # without importing Numba, which takes half a second
    interpret = load_interpreter()
    if interpret is None:
        return False
    import numba

    typeof: Any = numba.typeof
    signature = tuple(typeof(argument) for argument in _arguments(dtype))
    return interpret._cache.load_overload(signature, interpret.targetctx) is not None


def compile_steps(dtype: Any) -> None:
    """Compile the interpreter for a dtype and store it, unless it is stored."""
    interpret = load_interpreter()
    if interpret is not None:
        interpret(*_arguments(dtype))


def _cache_folders() -> list[Path]:
    """Return the folders in which Numba would store compiled steps."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return list(Path(chosen).glob("engine_*"))
    user = [Path.home() / folder / "numba" for folder in (".cache", "Library/Caches")]
    return [Path(__file__).parent / "__pycache__", *(f for u in user for f in u.glob("engine_*"))]


def _arguments(dtype: Any) -> tuple[Any, ...]:
    """Return arguments of the interpreter with nothing to do."""
    one, two, order = np.zeros(1, dtype), np.zeros((1, 1), dtype), np.zeros(1, np.int64)
    code, constants, rates = np.zeros((1, 8), np.int64), np.zeros((1, 3)), np.zeros(1)
    data, vectors = tuple(Data(two, two, two)), (one,) * 5
    return code, constants, 0, 0, data, order, order, one, rates, 0, vectors, one, rates
