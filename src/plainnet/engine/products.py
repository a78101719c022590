"""multiplier: who computes the products of a dense layer, BLAS or loops, as measured."""

from functools import cache

from plainnet.engine import instructions as op
from plainnet.engine.blas_threads import blas_libraries
from plainnet.engine.instructions import Instruction

# BLAS multiplies where a product is large: it is up to three times as fast as loops.
LARGE, NARROW = 2**17, 20
# With AVX-512, OpenBLAS multiplies small arrays where they lie: up to so many multiplications, and
# for A B^T up to so many results. It is up to ten times as fast as loops, and A B up to twice as
# fast as A B^T. For more, A^T B is faster than loops from so many rows of A.
IN_PLACE, FEW_RESULTS, FEW = 10**6, 1_100, 10


@cache
def multiplies_in_place() -> bool:
    """Return whether a BLAS library is OpenBLAS for AVX-512, which copies no small arrays."""
    wide = {"SkylakeX", "Cooperlake", "SapphireRapids"}
    return any(getattr(library, "architecture", "") in wide for library in blas_libraries())


def multiplier(kind: int, m: int, n: int, k: int) -> int:
    """Choose who computes the forward or backward pass of m rows, n inputs and k outputs."""
    if is_large(m, n, k):
        return op.BLAS
    pays = in_place = m * n * k <= IN_PLACE
    if kind == -op.DENSE:
        pays = in_place and n * k <= FEW_RESULTS
    elif kind == op.DENSE_INPUT:
        pays = k > 1 if in_place else k >= FEW
    return op.BLAS if pays and multiplies_in_place() else op.LOOPS


def is_large(m: int, n: int, k: int) -> bool:
    """Return whether a product pays on any BLAS."""
    return m * n * k >= LARGE and min(n, k) >= NARROW


def backward(f: Instruction, kind: int, m: int, scratch: int = 0) -> Instruction:
    """Return a part of the backward pass of a layer; one with large products may copy X^T."""
    if f.kind == op.DENSE and f.s != op.BLAS_ROWS:
        copies = scratch and kind == -op.DENSE and multiplies_in_place()
        if copies and is_large(m, f.n, f.k) and m * f.n * f.k <= IN_PLACE:
            f = f._replace(c=(f.c[0], float(scratch), *f.c[2:]))
        f = f._replace(s=multiplier(kind, m, f.n, f.k))
    return f._replace(kind=kind)
