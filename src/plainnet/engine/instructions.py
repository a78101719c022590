"""The kinds of instructions; a layer's backward pass is the negative number."""

from typing import NamedTuple

GATHER, GATHER_ROWS, COPY, DENSE, DENSE_INPUT, ROW_DENSE = range(1, 7)
LOOPS, BLAS, BLAS_ROWS = range(3)  # who multiplies in a dense layer; whether X has a row for each
RELU, LEAKY_RELU, ELU, TANH, SIGMOID = range(7, 12)  # in place
GELU, SILU, SOFTPLUS = range(12, 15)
DROPOUT, BATCH_NORM, LAYER_NORM, NORMALIZE, PIECEWISE_LINEAR, OUTPUT = range(15, 21)
BINARY, SOFTMAX, REGRESSION = range(21, 24)
CONVOLVE, CONVOLVE_BACK, MAX_POOL, AVERAGE_POOL = range(24, 28)
PENALTY, CLIP, DECAY, SGD, NESTEROV, RMSPROP, ADAM = range(28, 35)

# Threads meet before these, which read all channels or write what others may still read.
MEETING = {CONVOLVE, CONVOLVE_BACK, MAX_POOL, -MAX_POOL, AVERAGE_POOL, -AVERAGE_POOL}
MEETING |= {GELU, SILU, SOFTPLUS}
OUTPUTS = 4  # channels that are computed together, so threads share multiples


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
    split: int = 0  # the channels that threads share; 0: one thread does all
    meets: bool = True  # whether threads wait for each other before
    c: tuple[float, ...] = ()
    shape: tuple[int, ...] = ()  # of layers for pictures, see convolution_kernels
