"""fit: the training loop."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from plainnet.engine.blas_threads import blas_threads, engine_threads
from plainnet.engine.row_space import RowSpace, row_space_pays
from plainnet.errors import PlainnetError
from plainnet.nn.initializers import generator
from plainnet.nn.losses import Loss, with_smoothing
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.nn.validation import check_range, positive_int
from plainnet.optim.optimizers import SGD, Optimizer
from plainnet.train.augment import Augmentation
from plainnet.train.batches import Batches, BatchSource, prepare
from plainnet.train.compiled_epoch import epoch_trainer
from plainnet.train.early_stopping import BestWeights, EarlyStopping
from plainnet.train.epoch import metric_of_logits
from plainnet.train.history import Epoch, History
from plainnet.train.inputs import ClassWeight, FitInputs
from plainnet.train.members import Members, Metric
from plainnet.train.row_file import RowStream
from plainnet.train.shared_training import shared_training
from plainnet.train.state import CheckpointStore, FitOptions, FitRows, TrainingState
from plainnet.train.step import TrainStep, stay_finite

Callback = Callable[[Epoch], bool | None]
Watch = Callable[[Epoch], object]


def fit(
    net: Sequential,
    X: ArrayLike | RowStream,
    y: ArrayLike | None,
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
    members: Members | None = None,
    augment: Augmentation | None = None,
    row_space: bool = True,
    engine: str = "auto",
    checkpoints: CheckpointStore | None = None,
    ranks: Ranks = ALONE,
    seed: int | np.random.Generator = 0,
) -> History:
    """Train a network in place.

    Ctrl-C ends the training after the current batch and saves a checkpoint if ``checkpoints`` is
    given. The network keeps its current weights, or with early stopping the best. A second Ctrl-C
    interrupts at once.

    Parameters
    ----------
    net : Sequential
        Training starts from its current parameters.
    X : array of shape (m, *in_shape), or RowStream
        The rows; with ``transform``, its input (such as uint8 pictures). Or rows with their targets
        that stay in a file: ``y`` is None, and weights of rows are impossible.
    y : array
        Targets in a form that the loss takes.
    loss : Loss
        What to minimize.
    optimizer : Optimizer, default SGD(lr=0.01)
        A copy is used, from its start.
    epochs : int, default 100
        Number of passes over the rows.
    batch_size : int, optional
        Rows in a mini-batch; by default all rows at once (batch gradient descent). If a single row
        is left at the end of an epoch, it joins the batch before it.
    validation_fraction : float, default 0.0
        The share of rows, drawn at random, to evaluate each epoch instead of training on them.
    validation_data : (X, y), optional
        Validation rows, instead of a share of ``X``.
    metric : callable, optional
        ``metric(y_true, y_pred)``, such as ``sklearn.metrics.accuracy_score``; recorded in the
        history. It gets class numbers, 0 and 1 for each label, or numbers; with one output, arrays
        of shape (m,). For the training rows, the history holds the mean over the batches.
    logits_metric : callable, optional
        ``logits_metric(Z, y)``, such as the ``metric`` of a loss, instead of ``metric``: it gets
        logits and encoded targets, which costs less.
    sample_weight : array of shape (m,), optional
        A row of weight 2 counts as two rows in the loss, but not in batch norm's statistics, in
        ``metric`` or in validation.
    class_weight : "balanced" or mapping of class number to weight, optional
        Multiplies the weight of every row of a class; "balanced" weights classes inversely to
        their total weight. For binary and multiclass targets.
    l2 : float, default 0.0
        The penalty l2/2 times the sum of all squared weights (not biases); the history's loss
        does not include it.
    clip_norm : float, optional
        The largest norm of the gradient.
    early_stopping : EarlyStopping, optional
        Needs validation rows.
    callbacks : sequence of callable
        Each is called with the `Epoch` that ended; one that returns True ends the training. A
        callback that changes the network needs ``row_space=False``.
    watch : callable, optional
        Called with each `Epoch` before the callbacks, to show its metrics. Unlike a callback it
        cannot stop the training and must not use the network: training in the row space
        updates its weights only for callbacks and at the end.
    transform : callable, optional
        Turns a batch of rows of X into numbers, so that pictures may stay uint8 in memory.
    members : Members, optional
        For a network whose last layer is a `GroupedDense`: trains its members each on all rows but
        those of one fold, with which it validates; with early stopping each keeps its own best
        weights. See `plainnet.train.members.Members`.
    augment : callable, optional
        ``augment(X, rng)`` changes a batch of rows of X at random before ``transform``, while
        training only; see `plainnet.train.augment.augmentation`.
    row_space : bool, default True
        Whether wide data (more features than rows) may be trained on in the space of its rows,
        which is done when it is exact and saves time. See `plainnet.engine.row_space.RowSpace`.
    engine : str, default "auto"
        ``numpy``; ``compiled``, which needs Numba (the extra ``fast``); or ``auto``: compiled steps
        where they are known to every part of the training and save time. The numbers agree to
        rounding errors.
    checkpoints : CheckpointStore, optional
        Stores the state of the training, and resumes it exactly. See
        `plainnet.storage.checkpoints.Checkpoints`.
    ranks : Ranks, default this process alone
        The processes that train together, each on its share of every batch, all with the same
        arguments; only rank 0 needs ``checkpoints``. A training ``metric`` other than the loss's
        own is the mean over their shares, and the optimizer must move each number by itself. See
        `plainnet.distributed.mpi.MPIRanks`.
    seed : int or numpy.random.Generator, default 0
        Draws the validation rows and the order of the batches.

    Returns
    -------
    History

    Raises
    ------
    PlainnetError
        If the arguments do not fit each other, or the checkpoint to resume from.
    TrainingError
        If the loss is not finite: the message names the epoch, the batch, the learning rate, the
        first layer with such an output and the largest finite ``|z|``. Also if an input, the
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

    rng = generator(seed)
    inputs = FitInputs(net, loss, transform, class_weight, members)
    rows: FitRows = ()  # which must be those of the checkpoint, and of the other ranks
    space: RowSpace | None = None
    batches: BatchSource
    if isinstance(X, RowStream):
        batches, held_out = inputs.streamed(X, batch_size, validation_data, augment, ranks)
        cycle = X.rows.selected if members is None else members.cycle
        first = prepare(batches.X, transform, net.dtype)
        rows = X.rows.checksums, None, cycle, *(held_out or ()), first
    else:
        X, y, weight, held_out = inputs.in_memory(
            X, y, sample_weight, validation_data, validation_fraction, rng
        )
        if checkpoints is not None or ranks.size > 1:
            rows = X, y, weight, *(held_out or ()), prepare(X[:1], transform, net.dtype)
        exact = row_space and not clip_norm and augment is None and ranks.size == 1
        exact = exact and not _began_on_ranks(checkpoints, net)
        pays = exact and row_space_pays(net, len(X), optimizer, epochs, bool(callbacks))
        space = _row_space(net, X, transform, held_out) if pays else None
        if space is not None:
            X, held_out, inputs = space.X, space.held_out, inputs._replace(transform=None)
        batches = Batches(X, y, weight, batch_size, inputs.transform, net.dtype, augment, ranks)
    if early_stopping is not None and held_out is None:
        raise PlainnetError("early stopping needs validation rows: pass validation_fraction=0.2")
    inputs = inputs._replace(loss=with_smoothing(loss, 0.0))  # to validate
    trained = net if space is None else space.net
    del X, y  # the batches may hold a converted copy: keep the data once

    train_step = TrainStep(trained, loss, optimizer, l2, clip_norm, ranks)
    best = BestWeights(trained, early_stopping, inputs.k)
    history = History(
        threads=blas_threads(trained, batches.batch_size),
        row_space=None if space is None else space.m,
    )
    ahead = not callbacks and held_out is None and rng is not net.rng
    trainer = epoch_trainer(engine, train_step, batches, epochs, checkpoints, metric, ahead)
    history.engine = trainer.engine
    predict = trainer.predict if members is None else members.predictor(trained, ranks)
    options: FitOptions = {"epochs": epochs, "batch size": batch_size, "metric": metric is not None}
    options |= {"row space": history.row_space, "early stopping": early_stopping}
    options["members"] = len(best.losses)
    options["engine"] = history.engine
    state = TrainingState(train_step, best, history, rng, batches)
    state.begin(checkpoints, net, rows, options)
    with (
        np.errstate(all="ignore"),
        _recorded_interrupt(train_step),
        ExitStack() as at_end,
        engine_threads(trained, history.threads, history.engine),
        shared_training(net, ranks),
    ):
        if space is not None:  # however the training ends, the network gets its weights
            at_end.callback(space.write_back)
        for number in range(state.progress.number, epochs + 1):
            start = time.perf_counter()
            if not trainer.epoch(rng, state.progress, metric, state.pause, state.until_pause):
                history.stopped = "interrupted"
                break
            val_loss, val_metric, losses = _evaluate(predict, inputs, held_out, metric, ranks)
            if val_loss is not None:
                stay_finite(val_loss, "the validation loss", train_step, number)
            train_loss = state.progress.mean_loss
            train_metric = None if metric is None else state.progress.mean_metric
            lr, seconds = train_step.optimizer.current_lr, time.perf_counter() - start
            enough = losses is not None and best.update(number, losses)
            improved = None if members is None else (best.improved, members.k)
            figures = train_loss, val_loss, train_metric, val_metric, lr, seconds
            epoch = Epoch(number, epochs, *figures, improved)
            history.add(epoch)
            if watch is not None:
                watch(epoch)
            train_step.collect_gradient()
            state.require_same_parameters()
            if space is not None and callbacks:
                space.write_back()
            answers = [callback(epoch) for callback in callbacks]  # each is called
            stopped = ranks.gather(any(answers))
            if enough or any(stopped):
                history.stopped = "callback" if any(stopped) else "early stopping"
                break
            state.next_epoch()
        history.best_epoch = best.restore()
        theta = trained.params.theta
        largest = max(abs(float(f())) for f in (theta.min, theta.max)) if theta.size else 0.0
        stay_finite(largest, "a parameter", train_step, min(state.progress.number, epochs))
    net.release()
    return history


def _row_space(
    net: Sequential, X: Array, transform: Transform | None, held_out: tuple[Array, Array] | None
) -> RowSpace | None:
    """Return a `RowSpace` if its numbers are finite; without it, the products may be."""
    space = RowSpace(net, prepare(X, transform, net.dtype))
    if held_out is not None:
        X_val = space.coordinates(prepare(held_out[0], transform, net.dtype))
        space.held_out = X_val, held_out[1]
    return space if space.finite else None


def _began_on_ranks(checkpoints: CheckpointStore | None, net: Sequential) -> bool:
    """Return whether a training to resume began on ranks, which have no row space."""
    if checkpoints is None or checkpoints.checkpoint is None:
        return False
    return len(checkpoints.checkpoint.arrays.get("theta", ())) == net.params.theta.size


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
    check_range("fit", "l2", l2, "[0, inf)")
    if clip_norm is not None:
        check_range("fit", "clip_norm", clip_norm, "(0, inf)")


def _evaluate(
    predict: Callable[..., Array],
    inputs: FitInputs,
    held_out: tuple[Array, Array] | None,
    metric: Metric | None,
    ranks: Ranks,
) -> tuple[float | None, float | None, Array | None]:
    """Return the validation loss, metric and loss of each member, None if not computed."""
    if held_out is None:
        return None, None, None
    (X, y), members = held_out, inputs.members
    Z = ranks.collect(predict(X[ranks.share(len(X))], transform=inputs.transform), len(X))
    value = inputs.loss(Z, y)[0]
    losses = np.array([value]) if members is None else members.losses(inputs.loss, Z, y)
    return value, None if metric is None else float(metric(Z, y)), losses


@contextmanager
def _recorded_interrupt(train_step: TrainStep) -> Iterator[None]:
    """Only record the first Ctrl-C, so that each step is completed."""
    before = signal.getsignal(signal.SIGINT)

    def record(signum: int, frame: Any) -> None:
        train_step.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    # only the main thread may set a handler; a process that ignores Ctrl-C still ignores it
    active = threading.current_thread() is threading.main_thread()
    active &= before not in (signal.SIG_IGN, None)
    if active:
        signal.signal(signal.SIGINT, record)
    try:
        yield
    finally:
        if active:
            signal.signal(signal.SIGINT, before)
