"""Data sets of the playground: a table, its split, and the plane on which it is drawn."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from plainnet.config import rng
from plainnet.data import synthetic
from plainnet.data.dataset import Dataset, TableSource
from plainnet.data.splits import split
from plainnet.data.targets import Task
from plainnet.errors import DataError
from plainnet.nn.parameters import Array
from plainnet.play.settings import NOISY, SEVERAL, SPIRAL_TURN, SURFACES, Settings

if TYPE_CHECKING:
    import pandas as pd

    from plainnet.data.table import Table

MOST_ROWS, MOST_FEATURES, MOST_TABLE_CLASSES = 20_000, 200, 50  # of an own table
_MARGIN = 0.15  # around the points, as a share of their range


class Plane(NamedTuple):
    """The two features that a map draws, its range, and the values of the other features."""

    axes: tuple[int, int]
    center: tuple[float, float]
    half: float  # half the side of the square
    fixed: Array  # a value for each feature

    def grid(self, n: int) -> Array:
        """Return n x n rows of features, the upper left corner first."""
        x1 = self.center[0] + self.half * (2 * (np.arange(n) + 0.5) / n - 1)
        x2 = self.center[1] - self.half * (2 * (np.arange(n) + 0.5) / n - 1)
        X = np.tile(self.fixed.astype(np.float32), (n * n, 1))
        X[:, self.axes[0]], X[:, self.axes[1]] = np.tile(x1, n), np.repeat(x2, n)
        return X


def read_upload(data: bytes, name: str) -> tuple[str, Table]:
    """Read a table from the bytes of a file; return its fingerprint too."""
    from plainnet.data.read_table import read_table

    suffix = "".join(Path(name).suffixes[-2:]).lower()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table{suffix}")
        path.write_bytes(data)
        try:
            table = read_table(path)
        except DataError as error:  # the path is none that a person gave
            raise DataError(str(error).replace(repr(str(path)), repr(name))) from None
    if len(table) > MOST_ROWS:
        raise DataError(
            f"The table {name!r} has {len(table):,} rows; this page takes at most {MOST_ROWS:,}: "
            "use plainnet train for more."
        )
    return hashlib.sha256(data).hexdigest()[:16], table


def load(settings: Settings, tables: dict[str, Table]) -> Dataset:
    """Make the data set that settings describe, split into training and validation rows."""
    config, task = settings.config, None
    target: list[str] = []
    if settings.data == "table":
        if settings.table not in tables:
            raise DataError("These settings are of an own table: drop its file on the page first.")
        frame: Any = tables[settings.table]
        target = [settings.target] if settings.target else []
    else:
        frame = built_in(settings)
        if settings.data != "introverts":
            task = cast("Task", _task(settings, frame))
    source = TableSource(frame, target=target, task=task)
    fraction = config.validation_fraction
    data = split(source, rng(config, 0), test_fraction=0, validation_fraction=fraction)
    if data.target.task == "multilabel":
        raise DataError("This page shows one target, and that column holds lists of labels.")
    for noun, n, most in (
        ("features", data.train.X.shape[1], MOST_FEATURES),
        ("classes", len(data.target.classes), MOST_TABLE_CLASSES),
    ):
        if n > most:
            raise DataError(f"This page shows at most {most} {noun}, the table gives {n}.")
    return data


def built_in(settings: Settings) -> pd.DataFrame:
    """Draw the points of a built-in data set."""
    import pandas as pd

    name = settings.data
    if name == "drawn":
        if len({label for *_, label in settings.drawn}) < 2:
            raise DataError("Draw at least 4 points of two classes, 2 of each.")
        x1, x2, y = np.array(settings.drawn).T
        return pd.DataFrame({"x1": x1, "x2": x2, "class": y.astype(int)})
    drawn = getattr(synthetic, generator(name))(settings.points, **arguments(settings))
    if name == "introverts":
        return cast("pd.DataFrame", drawn)
    X, y = drawn
    return pd.DataFrame({"x1": X[:, 0], "x2": X[:, 1], "y" if name in SURFACES else "class": y})


def generator(name: str) -> str:
    """Return the name of the function that draws a built-in data set."""
    return "surface" if name in SURFACES else name


def arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments of that function, after the number of points."""
    name = settings.data
    options: dict[str, Any] = {"kind": name} if name in SURFACES else {}
    options |= {"classes": settings.classes} if name in SEVERAL else {}
    options |= {"noise": settings.noise} if name in NOISY else {}
    options |= {"turn": SPIRAL_TURN} if name == "spiral" else {}
    return options | {"seed": settings.data_seed}


def _task(settings: Settings, frame: pd.DataFrame) -> str:
    if settings.data in SURFACES:
        return "regression"
    return "binary" if frame["class"].nunique() == 2 else "multiclass"


def plane(X: Array, axes: tuple[int, int], fixed: Array | None) -> Plane:
    """Make the plane of a map through the medians of the features, or given values."""
    values = np.median(X, axis=0).astype(np.float64) if fixed is None else fixed
    a, b = axes[0], min(axes[1], X.shape[1] - 1)
    low, high = X[:, [a, b]].min(axis=0).astype(float), X[:, [a, b]].max(axis=0).astype(float)
    half = float((high - low).max()) / 2 * (1 + 2 * _MARGIN) or 1.0
    center = (low + high) / 2
    return Plane((a, b), (float(center[0]), float(center[1])), half, values)
