"""The kinds of instructions; a layer's backward pass is the negative number."""

GATHER, GATHER_ROWS, COPY, DENSE, DENSE_INPUT, BIAS = range(1, 7)
RELU, LEAKY_RELU, ELU, TANH, SIGMOID = range(7, 12)  # in place
GELU, SILU, SOFTPLUS = range(12, 15)
DROPOUT, BATCH_NORM, LAYER_NORM, PIECEWISE_LINEAR = range(15, 19)
BINARY, SOFTMAX, REGRESSION = range(19, 22)
PENALTY, CLIP, DECAY, SGD, NESTEROV, RMSPROP, ADAM = range(22, 29)
PICTURE = 29  # not run by the interpreter
