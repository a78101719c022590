"""Workloads: networks, data and training lengths, equal for all implementations."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from plainnet import Sequential

Array = NDArray[Any]
SEED = 20  # of the data, the initial weights and the order of the batches


@dataclass(frozen=True)
class Workload:
    """One training: float32, ReLU, cross-entropy on logits, He initialization, constant lr.

    With a side, the rows are square pictures, and the sizes between the first and the last are the
    channels of convolutions, each with pooling and batch norm.
    """

    name: str
    sizes: tuple[int, ...]
    rows: int
    batch: int | None  # None: all rows at once
    optimizer: str  # "sgd", "momentum" (0.9) or "adam"
    lr: float
    epochs: int
    goal: float | None = None  # fastest library / plainnet, at least
    products_goal: float | None = None  # plainnet / matrix products, at most
    timed: int | None = None  # epochs that other libraries run where a training is long; scaled up
    side: int | None = None  # of pictures

    @property
    def batch_rows(self) -> int:
        return self.rows if self.batch is None else self.batch

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.rows // self.batch_rows)

    @property
    def timed_epochs(self) -> int:
        return self.epochs if self.timed is None else self.timed

    @property
    def title(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        if len(self.sizes) > 6:
            sizes = f"{len(self.sizes) - 2} layers of {self.sizes[1]}, {self.sizes[-1]} outputs"
        batch = "full batch" if self.batch is None else f"batch {self.batch}"
        optimizer = {"sgd": "gradient descent", "momentum": "momentum 0.9", "adam": "Adam"}[
            self.optimizer
        ]
        epochs = f"{self.epochs:,} epoch{'s' if self.epochs > 1 else ''}"
        return f"{sizes}, {self.rows:,} rows, {batch}, {optimizer}, {epochs}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Workload":
        return cls(**{**fields, "sizes": tuple(fields["sizes"])})


IMAGE = (12288, 8, 8, 8, 1)
WORKLOADS = (
    Workload("small-full", (7, 16, 1), 2320, None, "sgd", 0.3, 1000, goal=2.2),
    Workload("small-adam", (7, 16, 1), 2320, 64, "adam", 0.003, 20, goal=6),
    Workload("wide-200", IMAGE, 400, None, "sgd", 0.003, 200, goal=14),
    Workload("wide-2500", IMAGE, 400, None, "sgd", 0.003, 2500, goal=30, timed=100),
    Workload("wide-momentum", IMAGE, 400, None, "momentum", 0.0003, 2500, goal=25, timed=100),
    Workload("digits", (784, 256, 128, 10), 10_000, 128, "adam", 0.001, 3, goal=1.2),
    Workload("large", (1024, 1024, 1024, 10), 8192, 512, "sgd", 0.05, 1, products_goal=1.07),
    Workload("deep", (64,) * 21 + (10,), 2560, 128, "adam", 0.001, 3, goal=1.2),
    Workload("tiny", (2, 16, 16, 1), 100, None, "sgd", 0.1, 2000, goal=2.5),
)
QUICK = ("small-adam", "wide-200", "deep", "tiny")
PICTURES = Workload("pictures", (3, 16, 32, 64, 10), 512, 32, "adam", 0.001, 1, side=64)
PREDICT = Workload("predict", (30, 64, 64, 1), 1_000_000, 1000, "sgd", 0.1, 1)


@dataclass(frozen=True)
class Sweep:
    """A family of workloads that differ in one parameter."""

    name: str
    label: str
    note: str
    workloads: tuple[tuple[int, Workload], ...]


def _sweep(name: str, label: str, note: str, base: Workload, **varied: Any) -> Sweep:
    ((field, values),) = varied.items()
    points = []
    for value, change in values:
        points.append((value, replace(base, name=f"{name}-{value}", **{field: change})))
    return Sweep(name, label, note, tuple(points))


_BASE = Workload("base", (64, 64, 64, 10), 1024, 128, "adam", 0.001, 1)
_SMALL = Workload("base", (30, 64, 1), 1000, None, "sgd", 0.1, 1)
SWEEPS = (
    _sweep(
        "width",
        "units in each of two hidden layers",
        "64-w-w-10, batch 128, Adam",
        _BASE,
        sizes=[(w, (64, w, w, 10)) for w in (8, 32, 128, 512, 1024)],
    ),
    _sweep(
        "depth",
        "hidden layers of 64 units",
        "64 inputs, 10 outputs, batch 128, Adam",
        _BASE,
        sizes=[(d, (64,) * (d + 1) + (10,)) for d in (1, 3, 10, 30)],
    ),
    _sweep(
        "batch",
        "rows in a batch",
        "64-64-64-10, 4,096 rows, Adam",
        replace(_BASE, rows=4096),
        batch=[(b, b) for b in (8, 32, 128, 512, 2048)],
    ),
    _sweep(
        "rows",
        "rows, all in one batch",
        "30-64-1, gradient descent",
        _SMALL,
        rows=[(m, m) for m in (100, 1000, 10_000, 100_000)],
    ),
)


def make_data(workload: Workload) -> tuple[Array, Array]:
    """Generate rows and noisy targets that a network can learn.

    Rows are normally distributed. The class is the argmax of random linear functions plus noise.
    Targets are 0 or 1 as (m, 1) float32, or class indices as (m,) int64.
    """
    rng = np.random.default_rng(SEED)
    shape = (workload.side or 1,) * 2 + workload.sizes[:1]
    X = rng.standard_normal((workload.rows, math.prod(shape)), np.float32)
    classes = max(2, workload.sizes[-1])
    teacher = rng.standard_normal((X.shape[1], classes), np.float32)
    scores = X @ (teacher / np.sqrt(X.shape[1], dtype=np.float32))
    scores += 0.5 * rng.standard_normal(scores.shape, np.float32)
    labels = scores.argmax(axis=1).astype(np.int64)
    X = X.reshape(-1, *shape) if workload.side else X
    if workload.sizes[-1] > 1:
        return X, labels
    return X, labels.astype(np.float32)[:, None]


def network(workload: Workload) -> "Sequential":
    """Return plainnet's network with its initial weights."""
    from plainnet.nn import convnet, mlp

    n_in, *hidden, n_out = workload.sizes
    if workload.side is None:
        return mlp(n_in, tuple(hidden), n_out, seed=SEED)
    shape = (workload.side, workload.side, n_in)
    return convnet(shape, tuple(hidden), n_out=n_out, dropout=0.0, seed=SEED)


@dataclass(frozen=True)
class Job:
    """A workload with its rows, targets and initial weights; W has shape (n_out, n_in)."""

    workload: Workload
    X: Array
    y: Array
    weights: tuple[tuple[Array, Array], ...]

    @classmethod
    def generate(cls, workload: Workload) -> "Job":
        layers = (layer for layer in network(workload).layers if hasattr(layer, "W"))
        weights = [(x.W.copy(), getattr(x, "b", np.zeros(x.n_out)).copy()) for x in layers]
        return cls(workload, *make_data(workload), tuple(weights))

    def save(self, folder: Path) -> None:
        """Write NumPy files, which a worker reads without importing plainnet."""
        arrays = {"X": self.X, "y": self.y}
        for i, (W, b) in enumerate(self.weights):
            arrays |= {f"W{i}": W, f"b{i}": b}
        folder.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, workload: Workload, folder: Path) -> "Job":
        def read(name: str) -> Array:
            array: Array = np.load(folder / f"{name}.npy")
            return array

        layers = range(len(workload.sizes) - 1)
        weights = tuple((read(f"W{i}"), read(f"b{i}")) for i in layers)
        for array in (array for pair in weights for array in pair):
            array.flags.writeable = False  # every training starts from them
        return cls(workload, read("X"), read("y"), weights)
