"""product: matrix products in compiled code, computed by the BLAS that NumPy uses."""

import ctypes
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from numba.extending import intrinsic
from numpy._core import _multiarray_umath

from plainnet.engine.blas_threads import blas_libraries
from plainnet.engine.elementary import exact, like

# A function with integers of 32 bits reads the lower half of those of 64 bits.
NAMES = (
    *("scipy_cblas_{}gemm64_", "cblas_{}gemm64_", "cblas_{}gemm$NEWLAPACK$ILP64"),
    *("scipy_cblas_{}gemm", "cblas_{}gemm"),
)
ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112  # constants of CBLAS


@cache
def gemm_address(dtype: Any) -> int:
    """Return the address of BLAS's product for a dtype, or 0 if NumPy has no BLAS."""
    letter = "s" if dtype == np.float32 else "d"
    own = ctypes.CDLL(_multiarray_umath.__file__)  # on Windows, this library does not find others
    for library in (own, *(library.dynlib for library in blas_libraries())):
        for name in NAMES:
            with suppress(AttributeError):
                function = getattr(library, name.format(letter))
                return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


@intrinsic
def call(typingctx: Any, address: Any, numbers: Any, one: Any, arrays: Any) -> Any:
    """Call cblas_?gemm: six integers, alpha, A, lda, B, ldb, beta = 0, C, ldc."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = [builder.extract_value(args[1], i) for i in range(6)]
        A, lda, B, ldb, C, ldc = (builder.extract_value(args[3], i) for i in range(6))
        alpha, beta = args[2], ir.Constant(args[2].type, 0)
        values = [*integers, alpha, A, lda, B, ldb, beta, C, ldc]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(address, numbers, one, arrays), codegen


@exact
def product(gemm, A, turn_A, B, turn_B, C):
    """C = A B, where A and B may be transposed."""
    m, n = C.shape
    k = A.shape[0] if turn_A else A.shape[1]
    kinds = ROW_MAJOR, TRANSPOSED if turn_A else PLAIN, TRANSPOSED if turn_B else PLAIN
    arrays = A.ctypes.data, A.shape[1], B.ctypes.data, B.shape[1], C.ctypes.data, n
    call(gemm, (*kinds, m, n, k), like(C[0, 0], 1), arrays)
