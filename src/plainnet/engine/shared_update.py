"""update_shared: OpenBLAS's threads, which wait for the next product, share the optimizer's pass.

`exec_blas`, which OpenBLAS exports, runs jobs on its threads, the first on the caller's. On Linux
and x86-64, a job has 21 numbers of 8 bytes: the address of a function and, at ARGUMENTS and NEXT,
those of its arguments and of the next job; eleven for a mutex and a condition; and a mode.
"""

import ctypes
import hashlib
import platform
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, cfunc, types
from numba.extending import intrinsic

from plainnet.engine import instructions as op
from plainnet.engine.blas_threads import blas_libraries
from plainnet.engine.elementary import exact
from plainnet.engine.update_kernels import update

ARGUMENTS, NEXT, MODE, JOB = 3, 8, 20, 21
PLAIN = 0x4000  # the mode of a function that takes its arguments alone
KIND, STEP, SIZE, THETA, GRAD, DECAYING, V, S, V_SIZE, S_SIZE, RATE, C = range(JOB, JOB + 12)
FEWEST = 2**15  # parameters, below which one thread is as fast
TOGETHER = 64  # parameters that stay in one part, so that the parts change no byte


@cache
def exec_address() -> int:
    """Return the address of `exec_blas` in the OpenBLAS of NumPy's wheels, 0 elsewhere."""
    known = sys.platform == "linux" and platform.machine() == "x86_64"
    for library in blas_libraries() if known else ():
        wheel = "libscipy_openblas64_" in Path(library.filepath).name
        if (
            wheel
            and library.threading_layer == "pthreads"
            and str(library.version).startswith("0.3.")
        ):
            with suppress(AttributeError):
                return ctypes.cast(library.dynlib.exec_blas, ctypes.c_void_p).value or 0
    return 0


@intrinsic
def pointer(typingctx: Any, address: Any, one: Any) -> Any:
    """Return an address as a pointer to numbers of the type of `one`."""
    kind = types.CPointer(one)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(types.intp, one), codegen


@intrinsic
def call(typingctx: Any, address: Any, parts: Any, jobs: Any) -> Any:
    """Call exec_blas with the number of jobs and the address of the first one."""
    from llvmlite import ir

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = args[1].type
        kind = ir.FunctionType(ir.IntType(32), [number, number])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1], args[2]])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@exact
def update_shared(crew, kind, c, t, rate, theta, grad, decaying, v, s):
    """Run a part of an optimizer's step on as many threads as there are jobs."""
    execute, job, jobs = crew
    n, parts = len(grad), len(jobs)
    if not execute or parts < 2 or n < FEWEST or kind == op.CLIP:
        update(kind, c, t, rate, theta, grad, decaying, v, s)
        return
    numbers = jobs.view(np.float64)
    for i in range(parts):
        a, b = n * i // parts // TOGETHER * TOGETHER, n * (i + 1) // parts // TOGETHER * TOGETHER
        b = n if i + 1 == parts else b
        own = jobs[i]
        own[:] = 0
        own[0], own[ARGUMENTS], own[MODE] = job, own.ctypes.data, PLAIN
        own[NEXT] = jobs[i + 1].ctypes.data if i + 1 < parts else 0
        own[KIND], own[STEP], own[SIZE] = kind, t, b - a
        own[THETA], own[GRAD] = theta[a:b].ctypes.data, grad[a:b].ctypes.data
        own[DECAYING] = decaying[a:b].ctypes.data
        own[V], own[V_SIZE] = v[a:b].ctypes.data, len(v[a:b])
        own[S], own[S_SIZE] = s[a:b].ctypes.data, len(s[a:b])
        numbers[i, RATE] = rate
        for k in range(3):
            numbers[i, C + k] = c[k]
    call(execute, parts, jobs.ctypes.data)


def _make(one, version):
    """Return the function of a job; the version of the kernels is a part of Numba's cache key."""

    def run(address):
        own = carray(pointer(address, 0), (op.JOB_SIZE,))
        numbers = carray(pointer(address, 0.0), (op.JOB_SIZE,))
        n = own[SIZE]
        theta, grad = carray(pointer(own[THETA], one), (n,)), carray(pointer(own[GRAD], one), (n,))
        decaying = carray(pointer(own[DECAYING], one), (n,))
        v = carray(pointer(own[V], one), (own[V_SIZE],))
        s = carray(pointer(own[S], one), (own[S_SIZE],))
        c, rate = numbers[C : C + 3], numbers[RATE]
        if version:
            update(own[KIND], c, own[STEP], rate, theta, grad, decaying, v, s)

    return cfunc(types.void(types.intp), cache=True)(run)


@cache
def job_address(dtype: Any) -> int:
    """Compile or load the function of a job; return its address."""
    return int(_make(dtype.type(1), hashlib.sha256(op.sources()).hexdigest()).address)
