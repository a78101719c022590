"""fit: the one training loop, with early stopping."""

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.errors import PlainnetError, TrainingError
from plainnet.nn.layers import between, positive_int
from plainnet.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from plainnet.nn.params import Array
from plainnet.nn.sequential import Sequential, Transform
from plainnet.train.batches import Batches
from plainnet.train.history import Epoch, History
from plainnet.train.optimizers import SGD, Optimizer, clip_by_norm

Metric = Callable[[Array, Array], float]
Callback = Callable[[Epoch], bool | None]
ClassWeight = Literal["balanced"] | Mapping[int, float]


@final
@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss no longer falls, and go back to its best weights.

    Parameters
    ----------
    patience : int, default 10
        Epochs without an improvement to wait for.
    min_delta : float, default 0.0
        How much lower the loss must be to count as improved.

    Examples
    --------
    >>> EarlyStopping(patience=3)
    EarlyStopping(patience=3, min_delta=0.0)
    """

    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        positive_int("EarlyStopping", "patience", self.patience)
        between("EarlyStopping", "min_delta", self.min_delta, 0, math.inf, ends=False, low_end=True)


def fit(
    net: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    validation: float | tuple[ArrayLike, ArrayLike] | None = None,
    metric: Metric | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    l2: float = 0.0,
    clip_norm: float | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    transform: Transform | None = None,
    seed: int | np.random.Generator = 0,
) -> History:
    """Train a network in place.

    Ctrl-C ends the training after the running batch and keeps the network as it then is; a
    second Ctrl-C interrupts at once.

    Parameters
    ----------
    net : Sequential
        Its parameters are moved; training goes on from where they are.
    X : array of shape (m, *in_shape)
        The rows. With ``transform``, whatever that takes (uint8 pictures).
    y : array
        Targets in a form that the loss takes.
    loss : Loss
        What to minimise.
    optimizer : Optimizer, default SGD(lr=0.01)
        A copy of it is started afresh.
    epochs : int, default 100
        How often every row is seen.
    batch_size : int, optional
        Rows in a mini-batch; by default all rows at once (batch gradient descent).
    validation : float or (X, y), optional
        A share of the rows, drawn at random and not trained on, or rows of their own.
    metric : callable, optional
        ``metric(Z, y)`` gives a mean over rows, such as the ``score`` of a loss; recorded in the
        history beside the loss.
    sample_weight : array of shape (m,), optional
        A row of weight 2 counts as two rows. Validation rows all count alike.
    class_weight : "balanced" or mapping of class number to weight, optional
        Multiplies the weight of every row of a class; "balanced" makes all classes count alike.
        For one-of-several targets and for yes/no targets.
    l2 : float, default 0.0
        Adds l2/2 times the sum of all squared weights (not biases) to what is minimised; the
        loss in the history is without it.
    clip_norm : float, optional
        The largest norm of the gradient.
    early_stopping : EarlyStopping, optional
        Needs ``validation``.
    callbacks : sequence of callable
        Each is called with the `Epoch` that ended; one that returns True ends the training.
    transform : callable, optional
        Turns a batch of rows of X into numbers, so that pictures may stay uint8 in memory.
    seed : int or numpy.random.Generator, default 0
        Draws the validation rows and the order of the batches.

    Returns
    -------
    History

    Raises
    ------
    PlainnetError
        If an argument does not fit the others.
    TrainingError
        If the cost is not finite: the message says in which epoch and batch, at which learning
        rate, which layer came first and the largest finite ``|z|``.

    Examples
    --------
    >>> from plainnet.nn import BinaryCrossEntropy, mlp
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> y = [0, 1, 1, 0]
    >>> net, loss = mlp(2, hidden=(8,), activation="tanh", seed=1), BinaryCrossEntropy()
    >>> history = fit(net, X, y, loss=loss, optimizer=SGD(lr=1.0), epochs=500)
    >>> history.loss[-1] < 0.05
    True
    >>> loss.link(net.predict(X)).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """
    positive_int("fit", "epochs", epochs)
    if batch_size is not None:
        positive_int("fit", "batch_size", batch_size)
    between("fit", "l2", l2, 0, math.inf, ends=False, low_end=True)
    if clip_norm is not None:
        between("fit", "clip_norm", clip_norm, 0, math.inf, ends=False)
    if early_stopping is not None and validation is None:
        raise PlainnetError("early stopping needs validation rows: pass validation=0.2, say")

    rng = np.random.default_rng(seed)
    rows, targets = _rows(net, loss, X, y)
    weight = _row_weights(loss, targets, sample_weight, class_weight)
    held_out: tuple[Array, Array] | None = None
    if isinstance(validation, tuple):
        held_out = _rows(net, loss, *validation)
    elif validation is not None:
        kept, out = _hold_out(len(rows), validation, rng)
        held_out = rows[out], targets[out]
        rows, targets = rows[kept], targets[kept]
        weight = None if weight is None else weight[kept]
    batches = Batches(rows, targets, weight, batch_size, transform, net.dtype)
    del rows, targets  # the batches may hold a converted copy: keep the data once

    stepper = _Stepper(net, loss, optimizer or SGD(), l2, clip_norm)
    best = _Best(net, early_stopping)
    history = History()
    with np.errstate(all="ignore"), _Interrupt() as interrupt:
        for number in range(1, epochs + 1):
            start = time.perf_counter()
            figures = _train_epoch(stepper, batches, metric, rng, number, interrupt)
            if figures is None:
                history.stopped = "interrupted"
                break
            val_loss, val_metric = _evaluate(net, loss, held_out, metric, transform)
            epoch = Epoch(
                number,
                epochs,
                figures[0],
                val_loss,
                figures[1],
                val_metric,
                stepper.optimizer.rate,
                time.perf_counter() - start,
            )
            history.add(epoch)
            answers = [callback(epoch) for callback in callbacks]  # each is called
            if any(answers):
                history.stopped = "callback"
                break
            if val_loss is not None and best.enough(number, val_loss):
                history.stopped = "early stopping"
                break
    history.best_epoch = best.restore()
    return history


def _rows(net: Sequential, loss: Loss, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Check rows against targets; targets come back in the loss's own form."""
    rows = np.asarray(X)
    if rows.dtype.kind not in "biuf" or rows.ndim < 2:
        raise PlainnetError(
            f"fit expects X as numbers with a row a sample, got {rows.dtype} of shape {rows.shape}"
        )
    targets = loss.encode(y, net.n_out, net.dtype)
    if len(rows) != len(targets):
        raise PlainnetError(f"X has {len(rows)} rows but y has {len(targets)}")
    if not len(rows):
        raise PlainnetError("there are no rows to train on or validate with: X is empty")
    return rows, targets


def _row_weights(
    loss: Loss,
    y: Array,
    sample_weight: ArrayLike | None,
    class_weight: ClassWeight | None,
) -> Array | None:
    """One weight a row, or None where all rows count alike."""
    weight = None
    if sample_weight is not None:
        weight = np.asarray(sample_weight, np.float64)
        if weight.shape != (len(y),):
            raise PlainnetError(
                f"sample_weight needs one weight for each of {len(y)} rows, "
                f"got shape {weight.shape}"
            )
        if not np.isfinite(weight).all() or weight.min() < 0 or weight.sum() == 0:
            raise PlainnetError("sample_weight must be finite, at least 0, and not 0 everywhere")
    if class_weight is None:
        return weight
    if isinstance(loss, BinaryCrossEntropy):
        classes, n_classes = (y[:, 0] > 0.5).astype(np.intp), 2
    elif isinstance(loss, SoftmaxCrossEntropy):
        classes = y if y.ndim == 1 else y.argmax(axis=1)
        n_classes = int(classes.max()) + 1 if y.ndim == 1 else y.shape[1]
    else:
        raise PlainnetError(f"class_weight needs classes, and {type(loss).__name__} has none")
    per_class = _class_weights(classes, n_classes, class_weight)[classes]
    return per_class if weight is None else weight * per_class


def _class_weights(classes: Array, n_classes: int, class_weight: ClassWeight) -> Array:
    counts = np.bincount(classes, minlength=n_classes)
    if class_weight == "balanced":
        present = counts > 0
        return np.where(present, len(classes) / (present.sum() * np.maximum(counts, 1)), 0.0)
    if not isinstance(class_weight, Mapping):
        raise PlainnetError(
            f"class_weight must be 'balanced' or map class numbers to weights, got {class_weight!r}"
        )
    weights = np.ones(n_classes)
    for number, weight in class_weight.items():
        if number not in range(n_classes):
            raise PlainnetError(
                f"class_weight names class {number!r}, but the classes are 0 to {n_classes - 1}"
            )
        weights[number] = between(
            "class_weight", f"class {number}", weight, 0, math.inf, ends=False, low_end=True
        )
    return weights


def _hold_out(m: int, share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw which rows to train on and which to hold out, each in their old order."""
    between("fit", "validation", share, 0, 1, ends=False)
    n_out = round(m * share)
    if not 0 < n_out < m:
        raise PlainnetError(
            f"validation={share} of {m} rows leaves {m - n_out} to train on and {n_out} to "
            "validate with: give more rows or another share"
        )
    order = rng.permutation(m)
    return np.sort(order[n_out:]), np.sort(order[:n_out])


@final
class _Stepper:
    """One step: forward, loss, backward, penalty, clipping, optimizer."""

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        l2: float,
        clip_norm: float | None,
    ) -> None:
        self.net, self.loss, self.l2, self.clip_norm = net, loss, l2, clip_norm
        self.optimizer = copy.deepcopy(optimizer)
        self.optimizer.start(net.params.trained, net.params.n_decay)

    def step(self, X: Array, y: Array, weight: Array | None) -> tuple[float, Array]:
        """Move the parameters and return the loss and logits from before; NaN moves nothing."""
        params = self.net.params
        Z = self.net.forward(X, train=True)
        value, dZ = self.loss(Z, y, weight)
        if not math.isfinite(value):
            return value, Z
        self.net.backward(dZ)
        if self.l2:
            decaying = slice(params.n_decay)
            params.grad[decaying] += self.l2 * params.trained[decaying]
        if self.clip_norm is not None:
            clip_by_norm(params.grad, self.clip_norm)
        self.optimizer.step(params.trained, params.grad)
        return value, Z


def _train_epoch(
    stepper: _Stepper,
    batches: Batches,
    metric: Metric | None,
    rng: np.random.Generator,
    number: int,
    interrupt: "_Interrupt",
) -> tuple[float, float | None] | None:
    """Take every batch once; return mean loss and metric, or None if interrupted."""
    loss_sum = metric_sum = total = 0.0
    for i, (X, y, weight) in enumerate(batches.epoch(rng), start=1):
        value, Z = stepper.step(X, y, weight)
        if not math.isfinite(value):
            rate = stepper.optimizer.lr(stepper.optimizer.t)
            raise TrainingError(_what_failed(stepper.net, X, value, number, i, rate))
        count = len(y) if weight is None else float(weight.sum())
        loss_sum += value * count
        total += count
        if metric is not None:
            metric_sum += metric(Z, y) * len(y)
        if interrupt.seen:
            return None
    return loss_sum / total, None if metric is None else metric_sum / batches.m


def _evaluate(
    net: Sequential,
    loss: Loss,
    held_out: tuple[Array, Array] | None,
    metric: Metric | None,
    transform: Transform | None,
) -> tuple[float | None, float | None]:
    """Return validation loss and metric, or None where there is none."""
    if held_out is None:
        return None, None
    X, y = held_out
    Z = net.predict(X, transform=transform)
    return loss(Z, y)[0], None if metric is None else metric(Z, y)


def _what_failed(
    net: Sequential, X: Array, value: float, epoch: int, batch: int, rate: float
) -> str:
    """Say where a cost that is not finite came from."""
    where = f"the cost became {value} in epoch {epoch}, batch {batch} (learning rate {rate:g})"
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0][[0, -1]]
        return f"{where}: the inputs hold {X[row, column]} in row {row}, column {column}"
    largest, first = 0.0, "the loss"
    Z = X
    for layer in net.layers:
        Z = layer.forward(Z, True)
        finite = np.isfinite(Z)
        if finite.any():
            largest = max(largest, float(np.abs(Z[finite]).max()))
        if not finite.all():
            first = f"layer {layer.name!r}"
            break
    return (
        f"{where}: {first} is the first that is not finite, the largest finite |z| is "
        f"{largest:.3g}; lower the learning rate, scale the inputs or set clip_norm"
    )


@final
class _Best:
    """The best weights so far by validation loss, kept by value."""

    def __init__(self, net: Sequential, rule: EarlyStopping | None) -> None:
        self.net, self.rule = net, rule
        self.loss = math.inf
        self.epoch: int | None = None
        self.theta: Array | None = None

    def enough(self, epoch: int, val_loss: float) -> bool:
        """Note an epoch's validation loss; return whether patience has run out."""
        if self.rule is None:
            return False
        if self.epoch is None or val_loss < self.loss - self.rule.min_delta:
            self.loss, self.epoch = val_loss, epoch
            self.theta = self.net.params.theta.copy()
        return epoch - self.epoch >= self.rule.patience

    def restore(self) -> int | None:
        """Put the best weights back and return their epoch, if there are any."""
        if self.theta is not None:
            self.net.params.theta[...] = self.theta
        return self.epoch


@final
class _Interrupt:
    """Turn the first Ctrl-C into a note, so that no step is left half done."""

    seen = False

    def __enter__(self) -> Self:
        self._active = threading.current_thread() is threading.main_thread()
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, signum: int, frame: Any) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *error: object) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)
