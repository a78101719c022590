"""Train the cases below on the ranks of mpiexec and alone; print the differences as JSON."""

import itertools
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from plainnet import (
    SGD,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    EarlyStopping,
    MeanSquaredError,
    RMSprop,
    SoftmaxCrossEntropy,
    TrainConfig,
    fit,
    mlp,
)
from plainnet.distributed.mpi import MPIRanks
from plainnet.errors import PlainnetError
from plainnet.nn import Dense, Dropout, ReLU, Sequential, Tanh
from plainnet.nn.convolution import Conv2D, GlobalAveragePool2D, MaxPool2D
from plainnet.nn.ensemble import GroupedDense
from plainnet.nn.normalization import BatchNorm
from plainnet.nn.ranks import ALONE
from plainnet.train.augment import augmentation
from plainnet.train.members import Members
from plainnet.train.row_file import StreamedBatches
from plainnet.training import train

M = 23  # rows: no batch divides them
_rng = np.random.default_rng(0)
X = _rng.standard_normal((M, 4))
LABELS = (X[:, 0] * X[:, 1] + 0.3 > 0).astype(int)
CLASSES = np.digitize(X[:, 0], [-0.5, 0.5])
WEIGHT = np.where(np.arange(M) % 5, _rng.random(M), 0.0)  # a fifth of the rows counts nothing
PICTURES = _rng.integers(0, 256, (M, 8, 8, 3), dtype=np.uint8)

BINARY, SOFTMAX, SQUARED = BinaryCrossEntropy(), SoftmaxCrossEntropy(), MeanSquaredError()
OPTIMIZERS = {
    "sgd": SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(0.01),
    "adam": Adam(0.01),
    "adamw": AdamW(0.01),
}
WEIGHTS = {"equal": {}, "class": {"class_weight": "balanced"}, "sample": {"sample_weight": WEIGHT}}
VALIDATED = {"validation_fraction": 0.3, "early_stopping": EarlyStopping(2), "epochs": 9}


STREAM = TrainConfig(hidden=(6,), epochs=3, batch_size=50, memory="10KB", l2=1e-3)
STREAMS = {
    "mlp": {"network": "mlp", "dropout": 0.2, "class_weight": "balanced"},
    "validated": {"network": "mlp", "validation_fraction": 0.2, "patience": 2, "clip_norm": 0.5},
    "tabular": {"network": "tabular", "members": 3, "patience": 2},
    "regression": {"network": "mlp", "target": ("Friends_circle_size",)},
}


def plain(**options):
    return mlp(4, (5, 3), **{"activation": "tanh", "seed": 1, "dtype": "f8", **options})


def convolutional():
    layers = [Conv2D(4, 3), BatchNorm(), ReLU(), MaxPool2D(2), Dropout(0.3)]
    layers += [Conv2D(3, 3), BatchNorm(), GlobalAveragePool2D(), Dense(1)]
    return Sequential(layers, (8, 8, 3), seed=1, dtype=np.float64)


def grouped():
    layers = [Dense(6), Tanh(), Dropout(0.2), GroupedDense(3, groups=3)]
    return Sequential(layers, 4, seed=1, dtype=np.float64)


def scaled(rows):
    return rows / 255.0 - 0.5


def cases(ranks):
    """Yield the name, network, rows, targets and options of each training.

    Three ranks train fewer of them: on two processors they wait for each other.
    """
    sizes, clipped = (None, 7, 8, 2), (None, 0.05)
    combinations = itertools.product(OPTIMIZERS.items(), sizes, clipped, WEIGHTS.items())
    for (name, optimizer), size, norm, (weighted, weight) in itertools.islice(
        combinations, 0, None, 11 if ranks.size > 2 else 2
    ):
        options = {"optimizer": optimizer, "batch_size": size, "clip_norm": norm, "l2": 0.01}
        yield f"{name} {size} {norm} {weighted}", plain, X, LABELS, {**options, **weight}
    sgd = {"optimizer": OPTIMIZERS["sgd"]}
    for size in (2,) if ranks.size > 2 else (None, 8):
        each = {**sgd, "batch_size": size}
        dropped = partial(plain, dropout=0.4)
        normalized = partial(plain, batch_norm=True, dropout=0.2)
        yield f"dropout {size}", dropped, X, LABELS, each
        yield f"dropout float32 {size}", partial(dropped, dtype="f4"), X, LABELS, each
        yield f"batch norm {size}", normalized, X, LABELS, each | WEIGHTS["sample"]
        yield f"batch norm float32 {size}", partial(normalized, dtype="f4"), X, LABELS, each
        yield f"layer norm {size}", partial(plain, layer_norm=True), X, LABELS, each
        yield f"multiclass {size}", partial(plain, n_out=3), X, CLASSES, {**each, "loss": SOFTMAX}
        yield f"regression {size}", partial(plain, n_out=2), X, X[:, :2], {**each, "loss": SQUARED}
        yield f"early stopping {size}", dropped, X, LABELS, each | VALIDATED
        pictures = {**each, "transform": scaled, "augment": augmentation(["shift", "flip"])}
        yield f"pictures {size}", convolutional, PICTURES, LABELS, pictures
        members = {**each, "members": Members(3, np.arange(M) % 3), **VALIDATED}
        yield f"members {size}", grouped, X, LABELS, {**members, "validation_fraction": 0.0}


def trained(make, X, y, options, ranks):
    net, options = make(), {"loss": BINARY, "epochs": 2, "engine": "numpy"} | options
    history = fit(net, X, y, logits_metric=options["loss"].metric, ranks=ranks, **options)
    return net.params.theta.astype(float), history


def difference(one, other):
    one, other = np.asarray(one, float), np.asarray(other, float)
    return float(np.abs(one - other).max(initial=0) / max(1.0, np.abs(other).max(initial=0)))


def results(ranks):
    for name, *case in cases(ranks):
        theta, history = trained(*case, ranks)
        again = trained(*case, ranks)[0] if name.endswith((" 8", " 2")) else theta
        if not ranks.rank:
            yield compared(name, theta, history, again, *trained(*case, ALONE))


def compared(name, theta, history, again, expected, other):
    columns = [
        difference(getattr(history, column), getattr(other, column))
        for column in ("loss", "metric", "val_loss", "val_metric")
    ]
    return {
        "name": name,
        "theta": difference(theta, expected),
        "history": max(columns),
        "epochs": [len(history), len(other), history.best_epoch, other.best_epoch],
        "same again": np.array_equal(theta, again),
    }


def streamed(path, ranks):
    """Compare trainings on a table that stays on disk, for whose rows no rank has memory."""
    for name, options in STREAMS.items():
        config = replace(STREAM, **options)
        ours, again = (train(path, config, ranks=ranks, evaluate=False) for _ in range(2))
        if not ranks.rank:
            alone = train(path, replace(config, engine="numpy"), evaluate=False)
            assert alone.data.stream.reused
            theta, same, expected = (run.model.net.params.theta for run in (ours, again, alone))
            case = theta, ours.history, same, expected, alone.history
            yield compared(f"streamed float32 {name}", *case)


def windows(path, ranks):
    """Return the rows that each rank read of each window of one epoch, and wrong batches."""
    stream = train(path, replace(STREAM, network="mlp"), ranks=ranks, evaluate=False).data.stream

    def numbered(y, numbers):
        return numbers()[:, None].astype(float), None

    options = stream, STREAM.batch_size, numbered, None, np.float32, None
    ours, alone = StreamedBatches(*options, ranks), StreamedBatches(*options, ALONE)
    counts, wrong = [], 0
    pairs = zip(*(b.windows(np.random.default_rng(1)) for b in (ours, alone)), strict=True)
    for window, _ in pairs:
        counts.append([*ranks.gather(len(ours.X)), len(alone.X)])
        for start, stop in itertools.pairwise(window.bounds):
            batch, expected = (b.batch(window.order[start:stop]) for b in (ours, alone))
            whole = np.zeros_like(expected.y)
            whole[batch.own] = batch.y  # the numbers of the rows
            ranks.all_reduce(whole)
            wrong += not np.array_equal(whole, expected.y)
    return {"rows": counts, "wrong batches": wrong}


def refusal(make, X, y, options, ranks):
    """Return the message of an error that all ranks raise."""
    try:
        trained(make, X, y, options, ranks)
    except PlainnetError as error:
        return str(error)
    return "none"


def refusals(ranks):
    """Return the messages of trainings that do not work, on all ranks and alone."""
    first = ranks.rank == 0
    sgd = {"optimizer": SGD(1e200), "batch_size": 8, "loss": SQUARED}
    failing = partial(plain, n_out=2, dropout=0.4, batch_norm=True), X, X[:, :2], sgd
    return {
        "nan": refusal(*failing, ranks),
        "nan alone": refusal(*failing, ALONE),
        "compiled": refusal(plain, X, LABELS, {"engine": "compiled"}, ranks),
        "rows": refusal(plain, X if first else X + 1, LABELS, {}, ranks),
        "options": refusal(plain, X, LABELS, {"batch_size": 8 if first else 7}, ranks),
        "initial parameters": refusal(partial(plain, seed=ranks.rank), X, LABELS, {}, ranks),
        "epochs after the callback of rank 1": len(
            trained(plain, X, LABELS, {"callbacks": [lambda epoch: not first]}, ranks)[1]
        ),
    }


def exchanged(ranks):
    """Return what is wrong with sums and copies of arrays, also of those in shared memory."""
    wrong, rng = [], np.random.default_rng(0)
    shapes = (0,), (1,), (2,), (7, 3), (1000,), (1_000_003,)
    for shape, dtype, again in itertools.product(shapes, (np.float64, np.float32), range(3)):
        everything = rng.integers(-99, 99, (ranks.size, *shape)).astype(dtype)
        share, flat = ranks.share(shape[0]), len(shape) == 1
        array, copied = everything[ranks.rank].copy(), np.zeros_like(everything[0])
        if flat and again:
            array, copied = ranks.share_memory(array), ranks.share_memory(copied)
        out = np.empty_like(array[share])
        ranks.reduce_scatter(array, out)
        copied[share] = out
        ranks.all_gather(copied)
        if not np.array_equal(copied, everything.sum(axis=0)):
            wrong.append(f"{shape} {dtype.__name__}")
        if again == 2:
            ranks.release_memory()
    too_large = np.broadcast_to(np.float32(0), 2**42)
    if ranks.share_memory(too_large) is not too_large:
        wrong.append("shared without room")
    return list(itertools.chain(*ranks.gather(wrong)))


if __name__ == "__main__":
    with MPIRanks() as ranks:
        wrong = exchanged(ranks)
        every = [*results(ranks), *streamed(Path(sys.argv[1]), ranks)]
        answer = {"cases": every, "refusals": refusals(ranks), "exchanges": wrong}
        answer["windows"] = windows(Path(sys.argv[1]), ranks)
        if ranks.rank == 0:
            print(json.dumps(answer))
