"""fit: the one training loop, with early stopping."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.engine.blas_threads import blas_threads, limited_threads
from plainnet.engine.row_space import RowSpace, rowspace_pays
from plainnet.errors import PlainnetError
from plainnet.nn.initializers import generator
from plainnet.nn.layers import NARROW, Dense
from plainnet.nn.losses import Loss
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.nn.validation import check_range, positive_int
from plainnet.optim.optimizers import SGD, Optimizer
from plainnet.train.batches import Batches, ready
from plainnet.train.early_stopping import BestWeights
from plainnet.train.early_stopping import EarlyStopping as EarlyStopping
from plainnet.train.epoch import Metric, metric_of_logits, train_epoch
from plainnet.train.history import Epoch, History
from plainnet.train.inputs import (
    ClassWeight,
    checked_pair,
    checked_rows,
    hold_out,
    sample_weights,
    with_class_weights,
)
from plainnet.train.state import CheckpointStore, Options, Rows, TrainingState
from plainnet.train.step import TrainStep, stay_finite

Callback = Callable[[Epoch], bool | None]
Watch = Callable[[Epoch], object]


def fit(
    net: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    validation_fraction: float = 0.0,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    metric: Metric | None = None,
    logits_metric: Metric | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    l2: float = 0.0,
    clip_norm: float | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    transform: Transform | None = None,
    rowspace: bool = True,
    checkpoints: CheckpointStore | None = None,
    seed: int | np.random.Generator = 0,
) -> History:
    """Train a network in place.

    Ctrl-C ends the training after the running batch and keeps the network as it then is, or as it
    was best with early stopping, and a checkpoint if there is a place for it; a second Ctrl-C
    interrupts at once. In the last batch it comes too late to change anything.

    Parameters
    ----------
    net : Sequential
        Its parameters are moved; training goes on from where they are.
    X : array of shape (m, *in_shape)
        The rows. With ``transform``, whatever that takes (uint8 pictures).
    y : array
        Targets in a form that the loss takes.
    loss : Loss
        What to minimize.
    optimizer : Optimizer, default SGD(lr=0.01)
        A copy of it is started afresh.
    epochs : int, default 100
        How often every row is seen.
    batch_size : int, optional
        Rows in a mini-batch; by default all rows at once (batch gradient descent). A single row
        that is left over at the end of an epoch joins the batch before it.
    validation_fraction : float, default 0.0
        Share of the rows that is drawn at random, not trained on, and evaluated each epoch.
    validation_data : (X, y), optional
        Validation rows of their own, instead of a share of ``X``.
    metric : callable, optional
        ``metric(y_true, y_pred)``, such as ``sklearn.metrics.accuracy_score``; recorded in the
        history. It gets class numbers, 0 and 1 for each label, or numbers; with one output, arrays
        of shape (m,). For the training rows, the history holds the mean over the batches.
    logits_metric : callable, optional
        ``logits_metric(Z, y)``, such as the ``metric`` of a loss, instead of ``metric``: it gets
        logits and encoded targets, which costs less.
    sample_weight : array of shape (m,), optional
        A row of weight 2 counts as two rows, but not for batch norm, whose mean and variance are
        those of the rows, nor for ``metric``. Validation rows all count alike.
    class_weight : "balanced" or mapping of class number to weight, optional
        Multiplies the weight of every row of a class; "balanced" makes all classes count alike,
        given the weights of their rows.
        For one-of-several targets and for yes/no targets.
    l2 : float, default 0.0
        Adds l2/2 times the sum of all squared weights (not biases) to what is minimized; the
        loss in the history is without it.
    clip_norm : float, optional
        The largest norm of the gradient.
    early_stopping : EarlyStopping, optional
        Needs validation rows.
    callbacks : sequence of callable
        Each is called with the `Epoch` that ended; one that returns True ends the training. One
        that changes the network, rather than to look at it, needs ``rowspace=False``.
    watch : callable, optional
        Is called with each `Epoch` before the callbacks, to show its figures. Unlike a callback it
        cannot stop the training and must not look at the network, whose weights may be behind:
        training in the row space brings them up to date for callbacks and at the end.
    transform : callable, optional
        Turns a batch of rows of X into numbers, so that pictures may stay uint8 in memory.
    rowspace : bool, default True
        Whether wide data (more features than rows) may be trained on in the space of its rows,
        where gradient descent takes the same steps with fewer numbers; done when it is exact and
        saves time. See `plainnet.engine.row_space.RowSpace`.
    checkpoints : CheckpointStore, optional
        Keeps the state of the training, and finds it again: then the training goes on as if it had
        never been interrupted. See `plainnet.storage.checkpoints.Checkpoints`.
    seed : int or numpy.random.Generator, default 0
        Draws the validation rows and the order of the batches.

    Returns
    -------
    History

    Raises
    ------
    PlainnetError
        If an argument does not fit the others, or the checkpoint to go on from.
    TrainingError
        If the cost is not finite: the message says in which epoch and batch, at which learning
        rate, which layer came first and the largest finite ``|z|``. Also if an input, the
        validation loss or a parameter is not finite.

    Examples
    --------
    >>> from plainnet.nn import BinaryCrossEntropy, mlp
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> y = [0, 1, 1, 0]
    >>> net, loss = mlp(2, hidden=(8,), activation="tanh", seed=1), BinaryCrossEntropy()
    >>> history = fit(net, X, y, loss=loss, optimizer=SGD(lr=1.0), epochs=500)
    >>> history.loss[-1] < 0.05
    True
    >>> loss.predictions(net.predict_logits(X)).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """
    optimizer = SGD() if optimizer is None else optimizer
    _check_options(loss, optimizer, epochs, batch_size, l2, clip_norm)
    metric = metric_of_logits(metric, logits_metric, loss)
    if validation_data is not None and validation_fraction:
        raise PlainnetError("fit takes validation_fraction or validation_data, not both")
    if early_stopping is not None and validation_data is None and not validation_fraction:
        raise PlainnetError(
            "early stopping needs validation rows: pass validation_fraction=0.2, say"
        )

    rng = generator(seed)
    rows, targets = checked_rows(net, loss, X, y, transform, "X")
    weight = sample_weights(sample_weight, len(rows))
    held_out: tuple[Array, Array] | None = None
    if validation_data is not None:
        held_out = checked_pair(net, loss, validation_data, transform)
    elif validation_fraction:
        kept, out = hold_out(len(rows), validation_fraction, rng)
        held_out = rows[out], targets[out]
        rows, targets = rows[kept], targets[kept]
        weight = None if weight is None else weight[kept]
    weight = with_class_weights(weight, loss, targets, net.n_out, class_weight)
    given: Rows = (  # again, for a training to go on
        (rows, targets, weight, *(held_out or ()), ready(rows[:1], transform, net.dtype))
        if checkpoints is not None
        else ()
    )
    space = None
    lifts, clips = bool(callbacks), clip_norm is not None
    if rowspace and rowspace_pays(net, len(rows), optimizer, epochs, clips=clips, lifts=lifts):
        space = RowSpace(net, ready(rows, transform, net.dtype))
        numbers = held_out and (
            space.coordinates(ready(held_out[0], transform, net.dtype)),
            held_out[1],
        )
        if space.finite:
            rows, held_out, transform = space.X, numbers, None
        # else the plain way does without the products, or says what is wrong with the rows
        space = space if space.finite else None
    trained = net if space is None else space.net
    batches = Batches(rows, targets, weight, batch_size, transform, net.dtype)
    del rows, targets  # the batches may hold a converted copy: keep the data once

    train_step = TrainStep(trained, loss, optimizer, l2, clip_norm)
    best = BestWeights(trained, early_stopping)
    history = History(
        threads=blas_threads(trained, batches.batch_size),
        rowspace=None if space is None else space.m,
    )
    options: Options = {"epochs": epochs, "batch size": batch_size, "row space": history.rowspace}
    options |= {"early stopping": early_stopping, "metric": metric is not None}
    course = TrainingState(train_step, best, history, rng, batches)
    course.begin(checkpoints, net, given, options)
    with (
        np.errstate(all="ignore"),
        _Interrupt() as interrupt,
        limited_threads(history.threads),
        held(trained, batches),
        _lifted(space),
    ):
        for number in range(course.progress.number, epochs + 1):
            start = time.perf_counter()
            if not train_epoch(
                train_step,
                batches,
                rng,
                course.progress,
                metric,
                lambda: course.pause(interrupt.seen),
            ):
                history.stopped = "interrupted"
                break
            val_loss, val_metric = _evaluate(trained, loss, held_out, metric, transform)
            if val_loss is not None:
                stay_finite(val_loss, "the validation loss", train_step, number)
            train_loss = course.progress.mean_loss
            train_metric = None if metric is None else course.progress.mean_metric
            rate, seconds = train_step.optimizer.current_lr, time.perf_counter() - start
            epoch = Epoch(
                number, epochs, train_loss, val_loss, train_metric, val_metric, rate, seconds
            )
            history.add(epoch)
            enough = val_loss is not None and best.enough(number, val_loss)
            if watch is not None:
                watch(epoch)
            if space is not None and lifts:
                space.write_back()
            answers = [callback(epoch) for callback in callbacks]  # each is called
            if enough or any(answers):
                history.stopped = "callback" if any(answers) else "early stopping"
                break
            course.next_epoch()
        history.best_epoch = best.restore()
        largest = float(np.abs(trained.params.theta).max(initial=0))
        stay_finite(largest, "a parameter", train_step, min(course.progress.number, epochs))
    net.release()
    return history


@contextmanager
def held(net: Sequential, batches: Batches) -> Iterator[None]:
    """Let a dense first layer hold the full batch, which is the same at every step."""
    first = net.layers[0]
    if not isinstance(first, Dense) or not batches.full or batches.X.shape[1] > NARROW:
        yield
        return
    first.fix_input(batches.X)
    try:
        yield
    finally:
        first.fix_input(None)


@contextmanager
def _lifted(space: RowSpace | None) -> Iterator[None]:
    """Leave the full network with the true weights, however the training ends."""
    try:
        yield
    finally:
        if space is not None:
            space.write_back()


def _check_options(
    loss: Loss,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int | None,
    l2: float,
    clip_norm: float | None,
) -> None:
    if not isinstance(loss, Loss):
        raise PlainnetError(f"fit: loss must be a loss such as MeanSquaredError(), got {loss!r}")
    if not isinstance(optimizer, Optimizer):
        raise PlainnetError(
            f"fit: optimizer must be an optimizer such as SGD(lr=0.1), got {optimizer!r}"
        )
    positive_int("fit", "epochs", epochs)
    if batch_size is not None:
        positive_int("fit", "batch_size", batch_size)
    check_range("fit", "l2", l2, 0, math.inf, ends=False, low_end=True)
    if clip_norm is not None:
        check_range("fit", "clip_norm", clip_norm, 0, math.inf, ends=False)


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
    Z = net.predict_logits(X, transform=transform)
    return loss(Z, y)[0], None if metric is None else float(metric(Z, y))


@final
class _Interrupt:
    """Turn the first Ctrl-C into a note, so that no step is left half done."""

    seen = False

    def __enter__(self) -> Self:
        # only the main thread may; and a process that ignores Ctrl-C goes on ignoring it
        self._active = threading.current_thread() is threading.main_thread() and (
            signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None)
        )
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, signum: int, frame: Any) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *error: object) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)
