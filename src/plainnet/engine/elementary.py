"""exp, log and tanh as polynomials, which vectorize in compiled loops."""

from functools import partial
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numba.np import arrayobj


@intrinsic
def like(typingctx: Any, x: Any, c: Any) -> Any:
    """Return the number c in the type of x: NumPy's rules would widen float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.cast(builder, args[1], signature.args[1], signature.return_type)

    return x(x, c), codegen


@intrinsic
def power_of_two(typingctx: Any, k: Any) -> Any:
    """Return 2^n, where k = n + 1.5 * 2^23 (float32) or n + 1.5 * 2^52 (float64)."""
    from llvmlite import ir

    single = k == types.float32
    width, mantissa, bias = (32, 23, 127) if single else (64, 52, 1023)
    magic = int(np.array(1.5 * 2.0**mantissa, k.name).view(f"i{width // 8}"))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(width)
        bits = builder.bitcast(args[0], integer)
        exponent = builder.sub(bits, ir.Constant(integer, magic - bias))
        shifted = builder.shl(exponent, ir.Constant(integer, mantissa))
        return builder.bitcast(shifted, args[0].type)

    return k(k), codegen


@intrinsic
def block(typingctx: Any, memory: Any, start: Any, n: Any, m: Any) -> Any:
    """Return the (n, m) numbers from a start; unchecked, it compiles faster than slices do."""
    kind = types.Array(memory.dtype, 2, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = arrayobj.make_array(memory)(context, builder, args[0])
        view = arrayobj.make_array(kind)(context, builder)
        size = context.get_constant(types.intp, memory.dtype.bitwidth // 8)
        arrayobj.populate_array(
            view,
            data=builder.gep(source.data, [args[1]]),
            shape=(args[2], args[3]),
            strides=(builder.mul(args[3], size), size),
            itemsize=size,
            meminfo=None,
        )
        return view._getvalue()

    return kind(memory, types.intp, types.intp, types.intp), codegen


# only other compiled functions call these: no wrappers for Python halve the time to compile them
internal = partial(njit, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
exact = internal(fastmath={"contract"})
# sums in any order, so that they vectorize; NaN and infinity keep their meaning
fast = internal(fastmath={"reassoc", "contract", "nsz", "arcp"})
inline = internal(fastmath={"contract"}, forceinline=True)


@inline
def exp_parts(x):
    """Return s = 2^n and p = e^r - 1 with e^x = s (1 + p), for x <= 0."""
    single = like(x, 1) + like(x, 1e-12) == like(x, 1)
    lowest = like(x, -87.0 if single else -708.0)
    magic = like(x, 12582912.0 if single else 6755399441055744.0)
    x = lowest if x < lowest else x
    k = x * like(x, 1.4426950408889634) + magic
    n = k - magic
    if single:
        r = (x - n * like(x, 0.693359375)) - n * like(x, -2.12194440e-4)
        p = like(x, 1 / 5040)
    else:
        r = (x - n * like(x, 0.6931471803691238)) - n * like(x, 1.9082149292705877e-10)
        p = like(x, 1 / 6227020800)
        p = (p * r + like(x, 1 / 479001600)) * r + like(x, 1 / 39916800)
        p = (p * r + like(x, 1 / 3628800)) * r + like(x, 1 / 362880)
        p = (p * r + like(x, 1 / 40320)) * r + like(x, 1 / 5040)
    p = (p * r + like(x, 1 / 720)) * r + like(x, 1 / 120)
    p = (p * r + like(x, 1 / 24)) * r + like(x, 1 / 6)
    p = p * r + like(x, 1 / 2)
    return power_of_two(k), (p * r + like(x, 1)) * r


@inline
def exp(x):
    """e^x for x <= 0."""
    s, p = exp_parts(x)
    return s * p + s


@inline
def expm1(x):
    """e^x - 1 for x <= 0, accurate near zero too."""
    s, p = exp_parts(x)
    return s * p + (s - like(x, 1))


@inline
def tanh(x):
    """tanh x = -q / (2 + q) with q = e^(-2|x|) - 1, and the sign of x."""
    q = expm1(like(x, -2) * abs(x))
    t = -q / (like(x, 2) + q)
    return -t if x < like(x, 0) else t


@inline
def sigmoid(x):
    """1 / (1 + e^-x) = e^min(x, 0) / (1 + e^-|x|)."""
    e = exp(-abs(x))
    return (e if x < like(x, 0) else like(x, 1)) / (like(x, 1) + e)


@inline
def log1p(e):
    """log(1 + e) for 0 <= e <= 1: 2 (s + s^3/3 + s^5/5 + ...), s = e / (2 + e)."""
    s = e / (like(e, 2) + e)
    t = s * s
    if like(e, 1) + like(e, 1e-12) == like(e, 1):
        p = like(e, 1 / 15)
    else:
        p = like(e, 1 / 33)
        p = (p * t + like(e, 1 / 31)) * t + like(e, 1 / 29)
        p = (p * t + like(e, 1 / 27)) * t + like(e, 1 / 25)
        p = (p * t + like(e, 1 / 23)) * t + like(e, 1 / 21)
        p = (p * t + like(e, 1 / 19)) * t + like(e, 1 / 17)
        p = p * t + like(e, 1 / 15)
    p = (p * t + like(e, 1 / 13)) * t + like(e, 1 / 11)
    p = (p * t + like(e, 1 / 9)) * t + like(e, 1 / 7)
    p = (p * t + like(e, 1 / 5)) * t + like(e, 1 / 3)
    return like(e, 2) * (p * t * s + s)
