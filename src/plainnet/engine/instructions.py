"""The kinds of instructions; a layer's backward pass is the negative number."""

GATHER, GATHER_ROWS, COPY, DENSE, DENSE_INPUT, BIAS = range(1, 7)
RELU, LEAKY_RELU, ELU, TANH, SIGMOID = range(7, 12)  # in place
GELU, SILU, SOFTPLUS = range(12, 15)
DROPOUT, BATCH_NORM, LAYER_NORM = range(15, 18)
BINARY, SOFTMAX, REGRESSION = range(18, 21)
PENALTY, CLIP, DECAY, SGD, NESTEROV, RMSPROP, ADAM = range(21, 28)
PICTURE = 28  # not run by the interpreter
