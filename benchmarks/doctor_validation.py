"""Healthy and ill trainings on data that set no threshold of the doctor, for its error rates.

The tables are those that scikit-learn holds and families that it generates; the digits are
pictures too. Run it with: python -m benchmarks.doctor validation
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from plainnet.config import TrainConfig
from plainnet.evaluate.finding import Finding
from plainnet.metrics.intervals import wilson

Data = pd.DataFrame | tuple[Any, ...]
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
SEEDS = range(4, 6)  # of the rows held out and the initial weights; lower ones led to changes
ORDERS = range(5)  # seeds of the orders of the rows in which the advice is tried

BUNDLED = ("breast_cancer", "wine", "iris", "diabetes", "digits")
MADE = {"random_state": SEEDS.start}
GENERATED: dict[str, Callable[[], Any]] = {
    "3 classes": lambda: datasets.make_classification(
        900, 24, n_informative=6, n_classes=3, n_clusters_per_class=1, **MADE
    ),
    "quantiles": lambda: datasets.make_gaussian_quantiles(n_samples=700, **MADE),
    "friedman1": lambda: datasets.make_friedman1(600, noise=1.0, **MADE),
    "friedman2": lambda: datasets.make_friedman2(500, noise=50.0, **MADE),
    "15 % positive": lambda: datasets.make_classification(
        1200, 12, n_informative=5, weights=[0.85], class_sep=1.2, **MADE
    ),
    "linear": lambda: datasets.make_regression(400, 15, noise=40.0, **MADE),
}


@cache
def table(name: str) -> pd.DataFrame:
    """Return a table with the target in its last column."""
    if name in BUNDLED:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    else:
        X, y = GENERATED[name]()
    return pd.DataFrame(X).add_prefix("x").assign(target=y)


def digit_pictures(first: int, second: int, side: int = 16) -> Data:
    """Return the pictures of two digits, in gray."""
    images, y = datasets.load_digits(return_X_y=True)
    kept = np.isin(y, [first, second])
    pixels = images[kept].reshape(-1, 8, 8, 1) * 15
    if side < 8:
        pixels = pixels.reshape(-1, side, 8 // side, side, 8 // side, 1).mean(axis=(2, 4))
    larger = max(1, side // 8)
    large = pixels.astype(np.uint8).repeat(larger, axis=1).repeat(larger, axis=2).repeat(3, axis=3)
    return large, (y[kept] == second).astype(int), (str(first), str(second))


EARLY = TrainConfig(network="mlp", validation_fraction=0.2, patience=10)
HEALTHY = {
    "default": TrainConfig(network="tabular"),
    "early stopping": EARLY,
    "early stopping, momentum": replace(EARLY, optimizer="sgd", lr=0.01, momentum=0.9),
    "early stopping, 2 layers, dropout": replace(EARLY, hidden=(64, 32), dropout=0.2),
    "early stopping, balanced": replace(EARLY, class_weight="balanced"),
}
PAIRS = [(a, b) for a in range(0, 10, 2) for b in (a + 1, (a + 5) % 10)]


def healthy() -> Iterator[tuple[str, Data, TrainConfig]]:
    """Yield the name, data and options of each healthy training."""
    for name in (*BUNDLED, *GENERATED):
        numbers = table(name)["target"].nunique() > 10
        for kind, config in HEALTHY.items():
            if not (numbers and config.class_weight):
                for seed in SEEDS:
                    yield f"{name}, {kind}, seed {seed}", table(name), replace(config, seed=seed)
    for pair in PAIRS:
        config = TrainConfig(network="convnet", seed=SEEDS.start)
        yield f"digits {pair}", digit_pictures(*pair), config


def with_code(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Put -999 into a third of a column."""
    return frame.assign(x1=frame.x1.where(rng.random(len(frame)) > 0.33, -999))


def with_large_cell(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Multiply one cell by 500."""
    rows = np.arange(len(frame)) == rng.integers(len(frame))
    return frame.assign(x1=frame.x1.where(~rows, 500 * frame.x1.abs().max()))


def with_spellings(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add a column that writes each of two levels in three ways."""
    levels = ["North", "NORTH", "north", "South", "SOUTH", "south"]
    return pd.DataFrame({"region": rng.choice(levels, len(frame))}).join(frame)


def with_leak(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add a column that is the target with little noise."""
    noisy = frame.target + rng.normal(0, 1e-3 * frame.target.std(), len(frame))
    return pd.DataFrame({"known later": noisy}).join(frame)


def with_contradictions(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Repeat the rows with other targets."""
    other = frame.assign(target=rng.permutation(frame.target))
    return pd.concat([frame, other], ignore_index=True)


def with_flipped_labels(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Replace a quarter of the labels by others."""
    other = rng.permutation(frame.target)
    return frame.assign(target=np.where(rng.random(len(frame)) < 0.25, other, frame.target))


def with_extreme_targets(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Multiply three targets by 3000."""
    rows = np.isin(np.arange(len(frame)), rng.choice(len(frame), 3, replace=False))
    return frame.assign(target=frame.target.where(~rows, 3000 * frame.target))


def shuffled(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Shuffle the target."""
    return frame.assign(target=rng.permutation(frame.target))


def tripled(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Repeat each row three times."""
    return pd.concat([frame] * 3, ignore_index=True)


def constant_column(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add a column of ones."""
    return pd.DataFrame({"one": np.ones(len(frame))}).join(frame)


def column_twice(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add a copy of a column."""
    return pd.DataFrame({"again": frame.x0}).join(frame)


LARGE: dict[str, Any] = {"hidden": (128, 128), "epochs": 200, "lr": 0.003}
SIGMOIDS: dict[str, Any] = {"activation": ("sigmoid",), "hidden": (16,) * 8, "optimizer": "sgd"}
SLOW_SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 1e-5}
# names of findings that name it, the tables that have it, the options, the change of the rows
ILL: dict[str, tuple[str, tuple[str, ...], dict[str, Any], Change | None]] = {
    "Adam, learning rate 2": (
        "learning rate too high|base rate",
        ("digits", "friedman2"),
        {"lr": 2.0},
        None,
    ),
    "gradient descent, 50": (
        "learning rate too high|base rate",
        ("wine", "linear"),
        {"optimizer": "sgd", "lr": 50.0},
        None,
    ),
    "Adam, 1e-6": (
        "learning rate too low|base rate",
        ("breast_cancer", "friedman1"),
        {"lr": 1e-6},
        None,
    ),
    "gradient descent, 1e-5": (
        "learning rate too low|base rate",
        ("iris", "15 % positive"),
        SLOW_SGD,
        None,
    ),
    "weights all zero": (
        "symmetric weights|base rate",
        ("wine", "friedman1"),
        {"init": "zeros"},
        None,
    ),
    "L2 of 0.5": ("base rate|underfitting", ("diabetes", "quantiles"), {"l2": 0.5}, None),
    "dropout of 0.9": (
        "strong dropout",
        ("breast_cancer", "3 classes"),
        {"dropout": 0.9, "hidden": (4,)},
        None,
    ),
    "eight layers of sigmoids": ("vanishing gradients", ("digits", "iris"), SIGMOIDS, None),
    "saturated": (
        "saturated|base rate",
        ("3 classes", "friedman2"),
        {"activation": ("tanh",), "init": "normal:50", "lr": 1e-4, "epochs": 20},
        None,
    ),
    "large weights": (
        "exploding gradients|base rate|learning rate too high",
        ("wine", "linear"),
        {"init": "normal:3", "hidden": (64,) * 5, "epochs": 10},
        None,
    ),
    "not scaled": (
        "unscaled inputs",
        ("breast_cancer", "friedman2"),
        {"standardize": False},
        None,
    ),
    "flipped labels memorized": (
        "overfitting",
        ("15 % positive", "3 classes"),
        LARGE,
        with_flipped_labels,
    ),
    "numbers memorized": ("overfitting|worse than a baseline", ("diabetes", "linear"), LARGE, None),
    "too small": (
        "underfitting|worse than a baseline|base rate",
        ("quantiles", "digits"),
        {"hidden": (1,)},
        None,
    ),
    "shuffled": ("no signal|base rate", ("breast_cancer", "friedman1"), LARGE, shuffled),
    "-999": ("code among numbers", ("iris", "diabetes"), {}, with_code),
    "one large cell": ("extreme value", ("wine", "quantiles"), {}, with_large_cell),
    "spellings": ("several spellings", ("breast_cancer", "linear"), {}, with_spellings),
    "leak": ("leaked column", ("15 % positive", "friedman1"), {}, with_leak),
    "contradictions": (
        "contradictory labels",
        ("iris", "quantiles"),
        {},
        with_contradictions,
    ),
    "rows tripled": ("repeated training rows", ("diabetes", "3 classes"), {}, tripled),
    "extreme targets": (
        "outliers in the target",
        ("diabetes", "linear"),
        {"lr": 0.003},
        with_extreme_targets,
    ),
    "constant column": ("columns left out", ("iris", "linear"), {}, constant_column),
    "column twice": ("duplicate columns", ("wine", "friedman2"), {}, column_twice),
}
ILL_PICTURES: dict[str, tuple[str, dict[str, Any], int]] = {
    "kernels of one pixel": ("kernels of one pixel", {"kernel": 1}, 16),
    "pictures of 4 pixels": ("small pictures", {}, 4),
    "convnet, learning rate 3": ("learning rate too high|base rate", {"lr": 3.0}, 16),
    "convnet, learning rate 1e-7": ("learning rate too low|base rate", {"lr": 1e-7}, 16),
}


def ill() -> Iterator[tuple[str, str, Data, TrainConfig]]:
    """Yield the name, the required finding, data and options of each ill training."""
    for name, (required, chosen, options, change) in ILL.items():
        for one in chosen:
            frame = table(one)
            if change is not None:
                frame = change(frame, np.random.default_rng(SEEDS.start))
            config = {"network": "mlp", "epochs": 30, "seed": SEEDS.start} | options
            yield f"{name}, {one}", required, frame, TrainConfig(**config)
    for name, (required, options, side) in ILL_PICTURES.items():
        config = {"network": "convnet", "epochs": 10, "seed": SEEDS.start} | options
        yield name, required, digit_pictures(3, 8, side), TrainConfig(**config)


def validation() -> Iterator[str]:
    """Yield the alarms and the misses, each as a line, and their rates."""
    from diagnose.following import diagnosed

    false = total = 0
    for name, data, config in healthy():
        found = [one for one in diagnosed(data, config)[0] if one.level != "note"]
        right = bool(found) and _confirmed(data, config, found[0])
        total, false = total + 1, false + (bool(found) and not right)
        if found:
            yield f"  {name}: {'confirmed' if right else 'false'}; {_listed(found)}"
    yield f"False alarms: {false} of {total} healthy trainings ({_interval(false, total)})"
    missed = total = 0
    for name, required, data, config in ill():
        every = diagnosed(data, config)[0]
        miss = not {one.name for one in every} & set(required.split("|"))
        total, missed = total + 1, missed + miss
        if miss:
            yield f"  {name}: {required} not among {_listed(every)}"
    yield f"Misses: {missed} of {total} illnesses ({_interval(missed, total)})"


def _confirmed(data: Data, config: TrainConfig, finding: Finding) -> bool:
    """Return whether a regression or the advice costs less with the rows in each of five orders."""
    from diagnose.following import diagnosed

    if not finding.options or not isinstance(data, pd.DataFrame):
        return False
    other = replace(config, **finding.options)
    if finding.name == "worse than a baseline":
        other = TrainConfig(network="mlp", hidden=(), lr=0.01, seed=config.seed)
    orders = (data.sample(frac=1, random_state=seed) for seed in ORDERS)
    pairs = ([diagnosed(rows, one)[1].mean() for one in (other, config)] for rows in orders)
    return all(after < before for after, before in pairs)


def _listed(findings: list[Finding]) -> str:
    return "; ".join(f"{one.name} ({one.evidence})" for one in findings) or "no finding"


def _interval(n: int, of: int) -> str:
    low, high = (100 * share for share in wilson(n, of))
    return f"95 % interval {low:.1f} to {high:.1f} %"
