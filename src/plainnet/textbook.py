"""The L-layer network in plain functions: each is a formula and the lines that do it.

Read it from top to bottom. A network with layers 1 ... L maps m samples, the rows of `X`, to m
probabilities::

    A[0] = X                                      (m, n_0)
    Z[l] = A[l-1] @ W[l].T + b[l]                 (m, n_l)     linear forward
    A[l] = relu(Z[l]) below L, sigmoid(Z[L])      (m, n_l)     activation forward
    J    = -mean(y log A[L] + (1 - y) log(1 - A[L]))           cross-entropy

    dZ[L] = (A[L] - y) / m                        (m, 1)       output backward
    dZ[l] = dA[l] where A[l] > 0, else 0          (m, n_l)     activation backward
    dW[l] = dZ[l].T @ A[l-1]                      (n_l, n_{l-1})
    db[l] = column sums of dZ[l]                  (n_l,)       linear backward
    dA[l-1] = dZ[l] @ W[l]                        (m, n_{l-1})

    W[l] = W[l] - lr dW[l],  b[l] = b[l] - lr db[l]            gradient descent

`dQ` is always the derivative of the cost J by Q and has the shape of Q. Those who come from a
course where samples are columns read every product transposed: `Z = W @ A + b` there is
`Z = A @ W.T + b` here, and `W` has the same shape (n_out, n_in) in both.

The 1/m of the mean enters once, in `output_backward`; everything below it only carries it on.
NumPy and nothing else; `plainnet.nn` computes the same, faster, and is tested against this file.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
Parameters = dict[str, Array]  # "W1", "b1", ..., "WL", "bL"
Gradients = dict[str, Array]  # "dW1", "db1", ..., "dWL", "dbL"


def he_initialization(layer_sizes: list[int], rng: np.random.Generator) -> Parameters:
    """W = normal(0, 1) * sqrt(2 / n_in), b = 0.

    A ReLU passes on half of what it gets; the 2 makes up for it, so that the values keep their
    size from layer to layer. Zeros would make all units of a layer the same for ever.

    Parameters
    ----------
    layer_sizes : list of int
        Units of every layer, the inputs first: `[2, 10, 5, 1]` has L = 3 layers of weights.
    rng : numpy.random.Generator
        Where the random numbers come from.

    Returns
    -------
    dict of str to float64 array
        `W1` (n_1, n_0), `b1` (n_1,), `W2` ... `bL`.

    Examples
    --------
    >>> parameters = he_initialization([2, 4, 1], np.random.default_rng(0))
    >>> {name: p.shape for name, p in parameters.items()}
    {'W1': (4, 2), 'b1': (4,), 'W2': (1, 4), 'b2': (1,)}
    """
    parameters = {}
    for layer in range(1, len(layer_sizes)):
        n_in, n_out = layer_sizes[layer - 1], layer_sizes[layer]
        parameters[f"W{layer}"] = rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
        parameters[f"b{layer}"] = np.zeros(n_out)
    return parameters


def linear_forward(A_prev: Array, W: Array, b: Array) -> Array:
    """Z = A_prev @ W.T + b: every unit weighs all inputs and adds its bias.

    Parameters
    ----------
    A_prev : float array (m, n_in)
        What the layer below puts out; samples are rows.
    W : float array (n_out, n_in)
        Weights, one row a unit.
    b : float array (n_out,)
        Biases, one a unit.

    Returns
    -------
    float array (m, n_out)
        Z, the weighted sums.

    Examples
    --------
    >>> linear_forward(np.array([[1.0, 2.0]]), W=np.array([[3.0, 4.0]]), b=np.array([5.0]))
    array([[16.]])
    """
    return A_prev @ W.T + b


def relu(Z: Array) -> Array:
    """Keep what is positive: A = max(Z, 0).

    Parameters
    ----------
    Z : float array, any shape
        Weighted sums.

    Returns
    -------
    float array, shape and dtype of Z
        A.

    Examples
    --------
    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return np.maximum(Z, 0)


def sigmoid(Z: Array) -> Array:
    """Turn any number into a probability: A = 1 / (1 + exp(-Z)).

    For Z < 0 that is exp(Z) / (1 + exp(Z)). The line below is the first form where Z >= 0 and the
    second where Z < 0: exp never sees a positive number, so it cannot overflow.

    Parameters
    ----------
    Z : float array, any shape
        Logits.

    Returns
    -------
    float array, shape and dtype of Z
        A, probabilities from 0 to 1.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    A: Array = np.exp(np.minimum(Z, 0)) / (1 + np.exp(-np.abs(Z)))
    return A


def forward(X: Array, parameters: Parameters) -> list[Array]:
    """A[0] = X; A[l] = relu(A[l-1] @ W[l].T + b[l]); the last layer has sigmoid for relu.

    Parameters
    ----------
    X : float array (m, n_0)
        Samples are rows.
    parameters : dict of str to float array
        `W1`, `b1`, ..., `WL`, `bL`.

    Returns
    -------
    list of L + 1 float arrays
        A[0] (m, n_0) to A[L] (m, 1). All of them, because `backward` needs them.

    Examples
    --------
    >>> parameters = {"W1": np.array([[1.0], [-1.0]]), "b1": np.zeros(2),
    ...               "W2": np.array([[2.0, 2.0]]), "b2": np.array([-6.0])}
    >>> X, A1, A2 = forward(np.array([[3.0], [-3.0]]), parameters)
    >>> A1
    array([[3., 0.],
           [0., 3.]])
    >>> A2
    array([[0.5],
           [0.5]])
    """
    L = len(parameters) // 2
    A = [X]
    for layer in range(1, L + 1):
        Z = linear_forward(A[layer - 1], parameters[f"W{layer}"], parameters[f"b{layer}"])
        A.append(sigmoid(Z) if layer == L else relu(Z))
    return A


def labels_like(A: Array, y: ArrayLike) -> Array:
    """Return y as a column beside A, in the dtype of A.

    Without it, `A - y` of shapes (m, 1) and (m,) is an (m, m) table, and nobody says so.

    Parameters
    ----------
    A : float array (m, 1)
        Probabilities.
    y : array (m,) or (m, 1)
        Labels, 0 or 1, of any dtype.

    Returns
    -------
    float array (m, 1)
        The labels.

    Raises
    ------
    ValueError
        Where y has not as many entries as A.

    Examples
    --------
    >>> labels_like(np.array([[0.2], [0.9]]), [0, 1])
    array([[0.],
           [1.]])
    """
    return np.asarray(y, dtype=A.dtype).reshape(A.shape)


def cross_entropy(A: Array, y: ArrayLike) -> float:
    """J = -mean(y log A + (1 - y) log(1 - A)), with A kept eps away from 0 and 1.

    Where A has been rounded to 0 or 1, log(0) is -inf and 0 * inf is NaN. So A is clipped for the
    logarithms, by the eps of its dtype, the step from 1 to the next number: 1 - 1e-8 would still
    be 1 in float32. The price: no sample counts more than log(1 / eps), 36.04 in float64 and 15.94
    in float32, however wrong it is. `output_backward` says what that means for the gradient.

    Parameters
    ----------
    A : float array (m, 1)
        Probabilities of label 1.
    y : array (m,) or (m, 1)
        Labels, 0 or 1.

    Returns
    -------
    float
        The mean cost in nats; 0.693147 = log 2 is that of answering 0.5 to everything.

    Examples
    --------
    >>> round(cross_entropy(np.array([[0.5], [0.5]]), [0, 1]), 6)
    0.693147
    >>> round(cross_entropy(np.array([[1.0]]), [0]), 2)  # wrong and certain: 36.04, not inf
    36.04
    """
    y = labels_like(A, y)
    eps = np.finfo(A.dtype).eps
    A = np.clip(A, eps, 1 - eps)
    return float(-np.mean(y * np.log(A) + (1 - y) * np.log(1 - A)))


def output_backward(A: Array, y: ArrayLike) -> Array:
    """Go back through cross-entropy and sigmoid in one step: dZ = (A - y) / m.

    For one sample, dJ/dA = (A - y) / (A (1 - A)) and dA/dZ = A (1 - A); the product is A - y, with
    nothing left to divide by zero.

    This is the derivative of the cost without its clip, on purpose. Where the clip bites, the
    clipped cost is flat and its own derivative is 0, so the samples that are most wrong would
    teach nothing. Here they pull with |A - y| = 1, as the exact cost does. The clip guards
    only the number that is printed; a gradient check of such a sample finds the two apart.

    Parameters
    ----------
    A : float array (m, 1)
        Probabilities of label 1.
    y : array (m,) or (m, 1)
        Labels, 0 or 1.

    Returns
    -------
    float array (m, 1)
        dZ of the output layer.

    Examples
    --------
    >>> output_backward(np.array([[0.75], [0.75]]), [1, 0])
    array([[-0.125],
           [ 0.375]])
    """
    return (A - labels_like(A, y)) / len(A)


def relu_backward(dA: Array, A: Array) -> Array:
    """Go back through the ReLU: dZ = dA where the unit was on (A > 0), 0 where it was off.

    At Z = 0 exactly the ReLU has a kink and no derivative; 0 is the usual choice.

    Parameters
    ----------
    dA : float array (m, n_out)
        Derivative of the cost by A.
    A : float array (m, n_out)
        What `relu` put out.

    Returns
    -------
    float array (m, n_out)
        dZ.

    Examples
    --------
    >>> relu_backward(dA=np.array([[5.0, 7.0]]), A=np.array([[0.0, 2.0]]))
    array([[0., 7.]])
    """
    return dA * (A > 0)


def linear_backward(dZ: Array, A_prev: Array, W: Array) -> tuple[Array, Array, Array]:
    """dA_prev = dZ @ W, dW = dZ.T @ A_prev, db = column sums of dZ.

    Parameters
    ----------
    dZ : float array (m, n_out)
        Derivative of the cost by Z.
    A_prev, W : float arrays (m, n_in), (n_out, n_in)
        What `linear_forward` was given.

    Returns
    -------
    dA_prev, dW, db : float arrays (m, n_in), (n_out, n_in), (n_out,)
        Derivatives of the cost by A_prev, W and b.

    Examples
    --------
    >>> dA_prev, dW, db = linear_backward(
    ...     dZ=np.array([[1.0], [2.0]]), A_prev=np.array([[3.0], [4.0]]), W=np.array([[5.0]])
    ... )
    >>> dA_prev.tolist(), dW.tolist(), db.tolist()
    ([[5.0], [10.0]], [[11.0]], [3.0])
    """
    dA_prev = dZ @ W
    dW = dZ.T @ A_prev
    db = dZ.sum(axis=0)
    return dA_prev, dW, db


def backward(A: list[Array], y: ArrayLike, parameters: Parameters) -> Gradients:
    """From the output down: dZ[L], dW[L], db[L], dA[L-1], dZ[L-1], ..., dW[1], db[1].

    Parameters
    ----------
    A : list of L + 1 float arrays
        What `forward` returned.
    y : array (m,) or (m, 1)
        Labels, 0 or 1.
    parameters : dict of str to float array
        The parameters that `forward` was given.

    Returns
    -------
    dict of str to float array
        `dW1`, `db1`, ..., each of the shape of its parameter.

    Examples
    --------
    >>> parameters = {"W1": np.array([[0.0]]), "b1": np.array([0.0])}  # A = 0.5 whatever X is
    >>> A = forward(np.array([[4.0], [8.0]]), parameters)
    >>> backward(A, [0, 1], parameters)
    {'dW1': array([[-1.]]), 'db1': array([0.])}
    """
    L = len(parameters) // 2
    gradients = {}
    dZ = output_backward(A[L], y)
    for layer in range(L, 0, -1):
        dA, dW, db = linear_backward(dZ, A[layer - 1], parameters[f"W{layer}"])
        gradients[f"dW{layer}"], gradients[f"db{layer}"] = dW, db
        if layer > 1:
            dZ = relu_backward(dA, A[layer - 1])
    return gradients


def gradient_descent(parameters: Parameters, gradients: Gradients, lr: float) -> Parameters:
    """W = W - lr dW, b = b - lr db, in every layer.

    Parameters
    ----------
    parameters, gradients : dict of str to float array
        `W1`, ... and `dW1`, ...
    lr : float
        Learning rate.

    Returns
    -------
    dict of str to float array
        New parameters; the old ones are left as they were.

    Examples
    --------
    >>> gradient_descent({"b1": np.array([1.0])}, {"db1": np.array([4.0])}, lr=0.25)
    {'b1': array([0.])}
    """
    return {name: p - lr * gradients[f"d{name}"] for name, p in parameters.items()}


def gradient_check(
    parameters: Parameters, gradients: Gradients, X: Array, y: ArrayLike, eps: float = 1e-5
) -> float:
    """|g - n| / (|g| + |n|), g from backward, n = (J(p + eps) - J(p - eps)) / (2 eps).

    Every single parameter is moved up and down by eps while the others stay. Below 1e-7 all is
    well, above 1e-3 there is a bug; between them suspect a ReLU whose Z changed sign within eps.
    A smaller eps is no better: below 1e-5 the rounding of J, divided by eps, takes over.

    Parameters
    ----------
    parameters, gradients : dict of str to float64 array
        `W1`, ..., and `dW1`, ... from `backward`. float32 has too few digits for this.
    X : float array (m, n_0)
        A few samples: the work is two forward passes a parameter.
    y : array (m,) or (m, 1)
        Labels, 0 or 1.
    eps : float, default 1e-5
        How far each parameter is moved.

    Returns
    -------
    float
        From 0 (the same) to 1 (nothing in common).

    Examples
    --------
    >>> parameters = he_initialization([3, 4, 1], np.random.default_rng(1))
    >>> X, y = np.eye(3), [0, 1, 1]
    >>> gradients = backward(forward(X, parameters), y, parameters)
    >>> gradient_check(parameters, gradients, X, y) < 1e-9
    True
    >>> gradients["dW1"] *= 2  # a bug
    >>> gradient_check(parameters, gradients, X, y) > 1e-2
    True
    """
    moved: Parameters = {name: p.astype(np.float64) for name, p in parameters.items()}  # copies
    numerical = {name: np.zeros_like(p) for name, p in moved.items()}
    for name, p in moved.items():
        for i in np.ndindex(p.shape):
            p[i] = parameters[name][i] + eps
            J_plus = cross_entropy(forward(X, moved)[-1], y)
            p[i] = parameters[name][i] - eps
            J_minus = cross_entropy(forward(X, moved)[-1], y)
            p[i] = parameters[name][i]
            numerical[name][i] = (J_plus - J_minus) / (2 * eps)
    g = np.concatenate([gradients[f"d{name}"].ravel() for name in moved])
    n = np.concatenate([numerical[name].ravel() for name in moved])
    size = np.linalg.norm(g) + np.linalg.norm(n)
    return float(np.linalg.norm(g - n) / size) if size > 0 else 0.0


def train(
    X: Array,
    y: ArrayLike,
    layer_sizes: list[int],
    lr: float = 0.1,
    epochs: int = 1000,
    seed: int = 0,
) -> tuple[Parameters, list[float]]:
    """Forward, cost, backward, gradient descent, and again, with all samples every time.

    Parameters
    ----------
    X : float array (m, n_0)
        Samples are rows.
    y : array (m,) or (m, 1)
        Labels, 0 or 1.
    layer_sizes : list of int
        Units of every layer, from n_0 inputs to 1 output; `[n_0, 1]` is logistic regression.
    lr : float, default 0.1
        Learning rate.
    epochs : int, default 1000
        Steps of gradient descent.
    seed : int, default 0
        Of the random first weights: the same seed, the same result.

    Returns
    -------
    parameters : dict of str to float64 array
        After the last step.
    costs : list of float
        The cost before each step.

    Examples
    --------
    Exclusive or, which no single layer can learn:

    >>> X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    >>> parameters, costs = train(X, y, [2, 8, 1])
    >>> predict(X, parameters)
    array([0, 1, 1, 0])
    >>> costs[-1] < 0.05 < costs[0]
    True
    """
    parameters = he_initialization(layer_sizes, np.random.default_rng(seed))
    costs = []
    for _ in range(epochs):
        A = forward(X, parameters)
        costs.append(cross_entropy(A[-1], y))
        gradients = backward(A, y, parameters)
        parameters = gradient_descent(parameters, gradients, lr)
    return parameters, costs


def predict(X: Array, parameters: Parameters) -> NDArray[np.int64]:
    """1 where A[L] > 0.5, else 0.

    Parameters
    ----------
    X : float array (m, n_0)
        Samples are rows.
    parameters : dict of str to float array
        From `train`.

    Returns
    -------
    int64 array (m,)
        Labels, 0 or 1.

    Examples
    --------
    >>> predict(np.array([[-2.0], [2.0]]), {"W1": np.array([[1.0]]), "b1": np.array([0.0])})
    array([0, 1])
    """
    return (forward(X, parameters)[-1].ravel() > 0.5).astype(np.int64)
