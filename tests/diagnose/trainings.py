"""Good and faulty trainings, for the tests of the doctor and for benchmarks/doctor.py."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache

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
    fit,
    mlp,
)
from plainnet.build import make_loss, make_optimizer
from plainnet.config import TrainConfig
from plainnet.data import ImageSource, TableSource, split
from plainnet.data.synthetic import circles, flower, introverts, moons, pandas_and_bears, spiral
from plainnet.diagnose.advice import config_of
from plainnet.diagnose.doctor import examine
from plainnet.diagnose.recorder import Recorder
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.errors import TrainingError
from plainnet.train.history import History


def trained(
    net,
    X,
    y,
    *,
    loss=None,
    rule,
    epochs,
    batch_size=None,
    held_out=None,
    seed=0,
    classes=(),
    feature_names=(),
    transform=None,
    l2=0.0,
    watch=True,
    **options,
):
    """Train with a recorder and return the snapshot."""
    loss = BinaryCrossEntropy() if loss is None else loss
    recorder = Recorder(net)
    history, failure = History(), None

    def record(epoch):
        history.add(epoch)
        recorder.watch(epoch)

    try:
        history = fit(
            net,
            X,
            y,
            loss=loss,
            optimizer=rule,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=held_out if watch else None,
            logits_metric=recorder.metric(loss.metric),
            watch=record,
            transform=transform,
            l2=l2,
            seed=seed,
            **options,
        )
    except TrainingError as error:
        failure = str(error)
    return TrainingSnapshot(
        net,
        loss,
        X,
        y,
        transform=transform,
        config=dataclasses.replace(
            config_of(net, rule), l2=l2, class_weight=options.get("class_weight"), epochs=epochs
        ),
        held_out=held_out,
        history=history,
        optimizer=rule,
        recorder=recorder,
        feature_names=feature_names,
        classes=classes,
        failure=failure,
    )


# --- good ----------------------------------------------------------------------------------------

POINTS = {
    "moons": (moons, 300, 80),
    "moons, many": (moons, 1000, 40),
    "circles": (circles, 300, 200),
    "flower": (flower, 400, 150),
    "spiral": (spiral, 300, 150),
}
RULES = {
    "Adam": (lambda: Adam(0.01), 32),
    "AdamW": (lambda: AdamW(0.01), 32),
    "RMSprop": (lambda: RMSprop(0.002), 32),
    "momentum": (lambda: SGD(0.02, momentum=0.9), 32),
}
CURVES = {
    "Adam": lambda: Adam(0.01),
    "RMSprop": lambda: RMSprop(0.001),
    "momentum": lambda: SGD(0.02, momentum=0.9),
}


def points(kind, rule, seed, *, held_out=True, **options):
    """Points of the plane, mini-batches."""
    draw, n, epochs = POINTS[kind]
    X, y = draw(n=n, seed=seed)
    make, batch = RULES[rule]
    n_out = 3 if kind == "spiral" else 1
    loss = SoftmaxCrossEntropy() if kind == "spiral" else BinaryCrossEntropy()
    order = np.random.default_rng(seed).permutation(n)
    train, test = order[n // 4 :], order[: n // 4]
    if rule == "momentum":  # with ReLU it often kills units
        options.setdefault("net", {"activation": "tanh"})
    net = mlp(
        2,
        options.pop("hidden", (32, 32) if kind == "circles" else (16, 16)),
        n_out,
        seed=seed,
        **options.pop("net", {}),
    )
    return trained(
        net,
        X[train],
        y[train],
        loss=loss,
        rule=make(),
        epochs=options.pop("epochs", epochs),
        batch_size=batch,
        held_out=(X[test], y[test]) if held_out else None,
        seed=seed,
        **options,
    )


def dataset_snapshot(data, config, watch=True):
    """Train on a dataset as `plainnet doctor` does."""
    from plainnet.model import Model

    config = config.resolved(images=False)
    loss = make_loss(data.target.task, config)
    net = mlp(
        data.schema.n_features,
        config.hidden,
        data.target.n_out,
        activation=config.activation[0],
        init=config.init,
        dropout=config.dropout,
        batch_norm=config.batch_norm,
        seed=config.seed,
    )
    model = Model(data.schema, data.target, net, loss)
    return trained(
        net,
        *data.train,
        loss=loss,
        rule=make_optimizer(config, len(data.train.X)),
        epochs=config.epochs,
        batch_size=config.rows_in_batch,
        held_out=(data.test.X, data.test.y),
        classes=data.target.classes,
        feature_names=() if model.transform else data.schema.feature_names,
        transform=model.transform,
        l2=config.l2,
        class_weight=config.class_weight,
        seed=config.seed,
        watch=watch,
    )


@cache
def survey(n, seed):
    return introverts(n, seed)


def surveyed(n, seed, config):
    data = split(TableSource(survey(n, seed)), np.random.default_rng(seed))
    return dataset_snapshot(data, dataclasses.replace(config, seed=seed))


@cache
def pictures(n, size, seed):
    """Draw pictures that a flat network can tell apart: those of pandas are darker."""
    X, y, classes = pandas_and_bears(n, size, seed)
    return (X // np.where(y, 2, 1)[:, None, None, None]).astype(np.uint8), y, classes


def pictured(n, size, seed, config):
    data = split(ImageSource(*pictures(n, size, seed)), np.random.default_rng(seed))
    return dataset_snapshot(data, dataclasses.replace(config, seed=seed))


def curve(n, seed, rule, hidden=(32, 32)):
    """A regression: a sine with noise."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (n, 1))
    y = np.sin(2 * X) + 0.1 * rng.standard_normal((n, 1))
    y = (y - y.mean()) / y.std()
    cut = n // 4
    return trained(
        mlp(1, hidden, activation="gelu", seed=seed),
        X[cut:],
        y[cut:],
        loss=MeanSquaredError(),
        rule=rule,
        epochs=150,
        batch_size=32,
        held_out=(X[:cut], y[:cut]),
        seed=seed,
    )


SURVEYS = {
    "sgd, full batch": TrainConfig(
        hidden=(16,), optimizer="sgd", lr=0.5, batch_size="full", epochs=300
    ),
    "Adam, as by default": TrainConfig(epochs=40),
    "two layers, dropout": TrainConfig(hidden=(16, 8), dropout=0.2, epochs=30, lr=0.003),
    "tanh, momentum": TrainConfig(
        optimizer="sgd", lr=0.02, momentum=0.9, activation=("tanh",), epochs=30
    ),
    "batch norm, AdamW": TrainConfig(optimizer="adamw", batch_norm=True, epochs=20, lr=0.003),
    "cosine, warm-up": TrainConfig(schedule="cosine", warmup=3, lr=0.01, epochs=30),
    "balanced classes": TrainConfig(class_weight="balanced", epochs=30, lr=0.003),
    "logistic regression": TrainConfig(hidden=(), optimizer="sgd", lr=0.1, epochs=30),
}
PICTURES = {
    "sgd, full batch": TrainConfig(
        hidden=(8, 8, 8), optimizer="sgd", lr=0.03, batch_size="full", epochs=200
    ),
    "Adam": TrainConfig(hidden=(8, 8, 8), epochs=30),
}


def good_trainings(seeds=range(2)) -> Iterator[tuple[str, Callable[[], TrainingSnapshot]]]:
    """Yield the name of every good training and the function that runs it."""
    for seed in seeds:
        for kind in POINTS:
            for rule in RULES:
                yield (
                    f"{kind}, {rule}, seed {seed}",
                    lambda k=kind, r=rule, s=seed: points(k, r, s),
                )
        yield (
            f"moons without held-out rows, seed {seed}",
            lambda s=seed: points("moons", "Adam", s, held_out=False),
        )
        yield (
            f"moons, one layer of 16, seed {seed}",
            lambda s=seed: points("moons", "Adam", s, hidden=(16,), epochs=150),
        )
        yield (
            f"moons, early stopping, seed {seed}",
            lambda s=seed: points("moons", "Adam", s, early_stopping=EarlyStopping(20), epochs=120),
        )
        yield (
            f"moons, gelu, seed {seed}",
            lambda s=seed: points("moons", "Adam", s, net={"activation": "gelu"}),
        )
        yield (
            f"flower, 4 tanh units, full batch, seed {seed}",
            lambda s=seed: whole_flower(s),
        )
        for name, config in SURVEYS.items():
            for n in (300, 1000):
                yield (
                    f"survey of {n}, {name}, seed {seed}",
                    lambda n=n, t=config, s=seed: surveyed(n, s, t),
                )
        for name, config in PICTURES.items():
            yield (
                f"pictures, {name}, seed {seed}",
                lambda t=config, s=seed: pictured(120, 32, s, t),
            )
        for rule in CURVES:
            yield f"curve, {rule}, seed {seed}", lambda r=rule, s=seed: curve(300, s, CURVES[r]())


def whole_flower(seed):
    """The planar assignment: 4 tanh units, full batch, learning rate 1.2."""
    X, y = flower(seed=seed)
    return trained(
        mlp(2, (4,), activation="tanh", init="normal:0.01", seed=seed),
        X,
        y,
        rule=SGD(1.2),
        epochs=2000,
    )


# --- faulty --------------------------------------------------------------------------------------


def trap(seed, **net):
    """209 rows, 72 of them positive: a cost stuck at 0.6440."""
    rng = np.random.default_rng(seed)
    y = np.zeros(209, int)
    y[:72] = 1
    X = rng.standard_normal((209, 30)) + y[:, None] * rng.standard_normal(30)
    net = mlp(30, (20, 7, 5), seed=seed, **net)
    return X, y, net


def trapped_dead(seed):
    X, y, net = trap(seed)
    net.params.views["dense2.b"][...] = -1000
    return trained(net, X, y, rule=SGD(0.075), epochs=300)


def trapped_zero(seed):
    X, y, net = trap(seed, init="zeros")
    return trained(net, X, y, rule=SGD(0.075), epochs=300)


def trapped_tiny(seed):
    X, y, net = trap(seed, init="normal:0.01")
    return trained(net, X, y, rule=SGD(0.075), epochs=300)


def moon_net(seed, rule, *, n=300, epochs=60, batch=32, hidden=(16, 16), change=None, **net):
    """Moons, changed, and a network for them."""
    X, y = moons(n=n, seed=seed)
    options = {}
    if change is not None:
        X, y = change(np.random.default_rng(seed), X, y)
    for name in ("l2",):
        if name in net:
            options[name] = net.pop(name)
    cut = n // 4
    return trained(
        mlp(X.shape[1], hidden, seed=seed, **net),
        X[cut:],
        y[cut:],
        rule=rule,
        epochs=epochs,
        batch_size=batch,
        held_out=(X[:cut], y[:cut]),
        seed=seed,
        **options,
    )


def dead_units(seed):
    """One too large update, then normal ones."""
    snapshot = moon_net(seed, SGD(0.05), epochs=5)
    snapshot.net.params.views["dense2.b"][:13] = -1e4
    net, y = snapshot.net, snapshot.y
    return trained(net, snapshot.X, y, rule=SGD(0.05), epochs=20, held_out=snapshot.held_out)


def saturated(seed):
    return moon_net(seed, SGD(0.001), activation="tanh", init="normal:50", epochs=20)


def vanishing(seed):
    return moon_net(seed, SGD(0.05), activation="sigmoid", hidden=(16,) * 10, epochs=20)


def exploding(seed):
    return untrained(mlp(2, (64,) * 8, init="normal:1", seed=seed), seed)


def untrained(net, seed, rule=None):
    X, y = moons(seed=seed)
    return TrainingSnapshot(net, BinaryCrossEntropy(), X, y, optimizer=rule)


def diverging(seed):
    """A training whose cost becomes NaN."""
    X, y = curve_data(seed)
    return trained(
        mlp(1, (16, 16), seed=seed), X, y, loss=MeanSquaredError(), rule=SGD(50.0), epochs=50
    )


def curve_data(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (200, 1))
    return X, np.sin(2 * X)


def oscillating(seed):
    """Single rows and a large learning rate."""
    return moon_net(seed, SGD(1.0), n=160, batch=1, epochs=40, hidden=(8,), activation="tanh")


def too_fast(seed):
    """Gradient descent well above the largest stable learning rate."""
    return surveyed(
        500,
        seed,
        TrainConfig(hidden=(16,), optimizer="sgd", lr=15.0, batch_size="full", epochs=100),
    )


def lr_of_one(seed):
    return surveyed(500, seed, TrainConfig(lr=1.0, epochs=30))


def overfitted(seed):
    def noisy(rng, X, y):
        return X, np.where(rng.random(len(y)) < 0.25, 1 - y, y)

    return moon_net(seed, Adam(0.01), n=240, epochs=300, hidden=(128, 128), change=noisy)


def underfitted(seed):
    X, y = flower(seed=seed)
    return trained(mlp(2, (), seed=seed), X, y, rule=Adam(0.01), epochs=100, batch_size=32)


def regularized_too_much(seed):
    return moon_net(seed, Adam(0.01), l2=0.3)


def shuffled(seed):
    return moon_net(seed, Adam(0.01), change=lambda rng, X, y: (X, rng.permutation(y)))


def pixels(seed):
    """Unscaled pixels from 0 to 255."""
    X, y, _ = pictures(120, 16, seed)
    net = mlp(768, (8, 8), seed=seed)
    return trained(net, X.reshape(len(X), -1).astype(np.float32), y, rule=SGD(0.01), epochs=30)


def uneven(seed):
    return moon_net(
        seed,
        SGD(0.0001),
        epochs=5,
        change=lambda rng, X, y: (np.column_stack([X, 1e5 * rng.standard_normal(len(X))]), y),
    )


def rare(seed):
    """One row in twenty has a class that overlaps the others."""
    rng = np.random.default_rng(seed)
    y = (np.arange(1000) % 20 == 0).astype(int)
    X = rng.standard_normal((1000, 2)) + 0.8 * y[:, None]
    return trained(mlp(2, (8,), seed=seed), X, y, rule=Adam(0.001), epochs=30, batch_size=32)


def added(column):
    def change(rng, X, y):
        return np.column_stack([X, column(rng, X, y)]), y

    return lambda seed: moon_net(seed, Adam(0.01), epochs=20, change=change)


def contradicted(seed):
    def change(rng, X, y):
        X, y = np.vstack([X, X]), np.concatenate([y, np.where(rng.random(len(y)) < 0.3, 1 - y, y)])
        order = rng.permutation(len(y))
        return X[order], y[order]

    return moon_net(seed, Adam(0.01), epochs=20, change=change)


def repeated_rows(seed):
    """Repeat every fifth row with fewer digits."""
    return moon_net(
        seed,
        Adam(0.01),
        epochs=20,
        change=lambda rng, X, y: (np.vstack([X, X[::5].round(5)]), np.concatenate([y, y[::5]])),
    )


def small(seed):
    return untrained(mlp(2, (100, 100), seed=seed), seed)


def with_hole(value):
    def make(seed):
        snapshot = untrained(mlp(2, seed=seed), seed)
        snapshot.X[17, 1] = value
        return snapshot

    return make


def in_parts(seed):
    """Fit sorted rows in parts."""
    X, y = moons(seed=seed)
    X, y = X[np.argsort(y, kind="stable")], np.sort(y)
    net, loss, rule = mlp(2, (16,), seed=seed), BinaryCrossEntropy(), SGD(0.1)
    recorder = Recorder(net)
    for _ in range(10):
        for part in np.array_split(np.arange(len(y)), 6):
            fit(
                net,
                X[part],
                y[part],
                loss=loss,
                optimizer=rule,
                epochs=1,
                logits_metric=recorder.metric(loss.metric),
                watch=recorder.watch,
            )
    return TrainingSnapshot(net, loss, X, y, optimizer=rule, recorder=recorder, history=History())


class Sorted(np.random.Generator):
    """A generator that does not shuffle."""

    def permutation(self, x, axis=0):
        return np.arange(x)


def unshuffled(seed):
    X, y = moons(seed=seed)
    X, y = X[np.argsort(y, kind="stable")], np.sort(y)
    return trained(
        mlp(2, (16,), seed=seed),
        X,
        y,
        rule=SGD(0.1),
        epochs=10,
        batch_size=32,
        seed=Sorted(np.random.PCG64(seed)),
    )


def by_init(init):
    return lambda seed: moon_net(seed, SGD(0.1), init=init, epochs=20)


# name: (the function that runs it, the required finding, text that the finding must contain)
FAULTY = {
    "0.6440, all units dead": (trapped_dead, "base rate", "dead"),
    "0.6440, weights zero": (trapped_zero, "base rate", "zero or equal weights"),
    "0.6440, weights tiny": (trapped_tiny, "base rate", "initial weights are too small"),
    "weights all zero": (by_init("zeros"), "symmetric weights", "all zero"),
    "weights all alike": (by_init("constant:0.5"), "symmetric weights", "the same for every unit"),
    "dead units": (dead_units, "dead relu", "relu2"),
    "learning rate 1.0 with Adam": (lr_of_one, "learning rate too high", "learning rate of 1"),
    "gradient descent too fast": (
        too_fast,
        "learning rate too high",
        "largest stable learning rate",
    ),
    "a cost of NaN": (diverging, "learning rate too high", "50"),
    "learning rate 1e-6": (
        lambda s: moon_net(s, SGD(1e-6)),
        "learning rate too low",
        "1e-06",
    ),
    "learning rate too low for the epochs": (
        lambda s: moon_net(s, SGD(0.0005)),
        "learning rate too low|underfitting",
        "is too low",
    ),
    "saturated tanh": (saturated, "saturated", "tanh1"),
    "ten layers of sigmoids": (vanishing, "vanishing gradients", "dense1"),
    "large weights in eight layers": (exploding, "exploding gradients", "dense1"),
    "oscillation": (oscillating, "oscillation|learning rate too high", "oscillates|too high"),
    "noisy labels memorized": (overfitted, "overfitting", "memorized"),
    "a linear model of a flower": (underfitted, "underfitting", "nearest"),
    "an L2 penalty of 0.3": (regularized_too_much, "base rate", "L2"),
    "labels shuffled": (shuffled, "no signal|base rate", "shuffled"),
    "pixels not scaled": (pixels, "unscaled inputs", "255"),
    "one column a hundred thousand times": (uneven, "unscaled inputs", "column 2"),
    "a rare class": (rare, "class imbalance", "'1'|1 is rare"),
    "a class never predicted": (rare, "class never predicted", "1"),
    "a constant column": (added(lambda rng, X, y: np.ones(len(X))), "constant columns", "column 2"),
    "a column twice": (added(lambda rng, X, y: X[:, 0]), "duplicate columns", "column 2"),
    "a leaked column": (
        added(lambda rng, X, y: 3.0 * y + rng.normal(0, 0.1, len(y))),
        "leaked column",
        "column 2",
    ),
    "equal rows, different labels": (contradicted, "contradictory labels", "can be right"),
    "repeated rows": (repeated_rows, "repeated training rows", "nearly"),
    "few rows": (small, "few rows", "parameters"),
    "a NaN": (with_hole(np.nan), "non-finite values", "first 17"),
    "an infinity": (with_hole(np.inf), "non-finite values", "column 1"),
    "sorted rows in parts": (in_parts, "batch order", "shuffled"),
    "no shuffling": (unshuffled, "batch order", "sorted"),
}


def alarms(snapshot: TrainingSnapshot):
    """Return its findings without notes."""
    return [finding for finding in examine(snapshot) if finding.level != "note"]
