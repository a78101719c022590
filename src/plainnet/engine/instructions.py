"""The kinds of instructions; a layer's backward pass is the negative number."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from numpy._core._multiarray_umath import __cpu_features__

GATHER, GATHER_ROWS, COPY, DENSE, DENSE_INPUT, ROW_DENSE = range(1, 7)
LOOPS, BLAS, BLAS_ROWS = range(3)  # who multiplies in a dense layer; whether X has a row for each
RELU, LEAKY_RELU, ELU, TANH, SIGMOID = range(7, 12)  # in place
GELU, SILU, SOFTPLUS = range(12, 15)
DROPOUT, BATCH_NORM, LAYER_NORM, NORMALIZE, PIECEWISE_LINEAR, OUTPUT = range(15, 21)
BINARY, SOFTMAX, REGRESSION = range(21, 24)
CONVOLVE, CONVOLVE_BACK, PAD, UNPOOL, MAX_POOL, AVERAGE_POOL, BATCH_SUMS = range(24, 31)
GATHER_PANELS = 31
PENALTY, CLIP, DECAY, SGD, NESTEROV, RMSPROP, ADAM = range(32, 39)

# Threads meet before these, which read what others compute or write what they may still read.
MEETING = {CONVOLVE, -CONVOLVE, CONVOLVE_BACK, MAX_POOL, -MAX_POOL, AVERAGE_POOL, -AVERAGE_POOL}
MEETING |= {BATCH_NORM, -BATCH_NORM, GELU, SILU, SOFTPLUS}
OUTPUTS, INPUTS = 4, 3  # channels in a tile of a gradient: twelve sums fill the registers
SMALL = 32  # bytes of a small vector
VECTOR = 64 if __cpu_features__.get("AVX512F") else SMALL  # bytes that a processor adds up at once
TILE = 8  # vectors of sums, which keep two units busy that take four cycles each
ROWS = VECTOR // 4  # at whose multiples rows of padded pictures end
CONSTANTS = 5  # of an instruction
JOB_SIZE = 36  # numbers of a job of `shared_update`


class Instruction(NamedTuple):
    """What the interpreter does: a kind, sizes, offsets in the memory and in theta, constants."""

    kind: int
    n: int = 0
    k: int = 0
    x: int = 0
    y: int = 0
    p: int = 0
    q: int = 0
    s: int = 0
    split: int = 0  # equal parts that threads share, mostly rows of pixels; 0: one thread does all
    meets: bool = True  # whether threads wait for each other before
    c: tuple[float, ...] = ()
    shape: tuple[int, ...] = (0,) * 13  # of layers for pictures, see convolution_kernels


def padded_shape(shape: tuple[int, ...], m: int) -> tuple[int, int, int, int]:
    """Return groups of channels, height, width and rows of the padded input of a convolution."""
    n_in, height, width, side, stride = shape[2], shape[3], shape[4], shape[6], shape[8]
    height, width = (height - 1) * stride + side, (width - 1) * stride + side
    return -(-n_in // INPUTS), height, width, -(-m // ROWS) * ROWS


@cache
def sources() -> bytes:
    """Return the sources of the engine, on which stored compiled code depends."""
    return b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
