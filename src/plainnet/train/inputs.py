"""The data of `fit`: checks, the validation split, sample weights and class weights."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from plainnet.errors import PlainnetError, TrainingError
from plainnet.nn.losses import Loss, is_positive
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.nn.validation import as_array, check_range
from plainnet.train.augment import Augmentation
from plainnet.train.members import Members
from plainnet.train.row_file import RowStream, StreamedBatches

ClassWeight = Literal["balanced"] | Mapping[int, float]


class FitInputs(NamedTuple):
    """Checks the rows of a training against its network and loss, and gives them weights."""

    net: Sequential
    loss: Loss
    transform: Transform | None = None
    class_weight: ClassWeight | None = None
    members: Members | None = None

    @property
    def k(self) -> int:
        """The number of members."""
        return 1 if self.members is None else self.members.k

    @property
    def n_out(self) -> int:
        """The number of outputs of each member."""
        return self.net.n_out // self.k

    def in_memory(
        self,
        X: ArrayLike,
        y: Any,
        sample_weight: ArrayLike | None,
        validation_data: Sequence[ArrayLike] | None,
        validation_fraction: float,
        rng: np.random.Generator,
    ) -> tuple[Array, Array, Array | None, tuple[Array, Array] | None]:
        """Check arrays; return X, y, weights and (X, y) of the validation rows."""
        rows, targets = self._checked(X, y, "X")
        weight = sample_weights(sample_weight, len(rows))
        weight = None if weight is None else np.asarray(weight, like=targets)
        if self.members is not None and (validation_data is not None or validation_fraction):
            raise PlainnetError("members validate with the rows of their own fold: give no others")
        if validation_data is not None and validation_fraction:
            raise PlainnetError("fit takes validation_fraction or validation_data, not both")
        held_out = self._validation(validation_data)
        if validation_fraction:
            parts = _split(len(rows), validation_fraction, rng)
            kept, out = (np.asarray(i, like=rows) for i in parts)
            held_out, weight = (rows[out], targets[out]), None if weight is None else weight[kept]
            rows, targets = rows[kept], targets[kept]
        weight = self._with_class_weights(weight, targets)
        if self.members is not None:
            weight, held_out = self.members.weights(weight), (rows, targets)
        return rows, targets, weight, held_out

    def streamed(
        self,
        stream: RowStream,
        batch_size: int | None,
        validation_data: Sequence[ArrayLike] | None,
        augment: Augmentation | None = None,
        ranks: Ranks = ALONE,
    ) -> tuple[StreamedBatches, tuple[Array, Array] | None]:
        """Return the batches of rows that stay in a file, and (X, y) of the validation rows."""
        members = self.members
        if batch_size is None:
            raise PlainnetError(
                f"the {stream.rows.m:,} training rows do not fit in memory together: give a "
                "batch size, or more memory"
            )
        if members is not None and (members.cycle is None or validation_data is None):
            raise PlainnetError(
                "members of rows that stay in a file need the folds of all rows as cycle, and some "
                "of the rows, whose folds are fold, as validation_data"
            )
        inputs = self
        if isinstance(self.class_weight, str):
            counts = np.array(stream.class_counts)
            weights = _class_weights(np.arange(len(counts)), counts, len(counts), self.class_weight)
            inputs = self._replace(class_weight=dict(enumerate(weights.tolist())))

        def targets(y: Array, numbers: Callable[[], Array]) -> tuple[Array, Array | None]:
            flat = y[:, 0].astype(np.int64) if "multiclass" in self.loss.tasks else y
            encoded = np.asarray(self.loss.encode(flat, self.n_out, self.net.dtype))
            weight = inputs._with_class_weights(None, encoded)
            if members is not None:
                weight = members.of_rows(numbers()).weights(weight)
            return encoded, weight

        held_out = self._validation(validation_data)
        more = self.transform, self.net.dtype, augment, ranks
        return StreamedBatches(stream, batch_size, targets, *more), held_out

    def _validation(self, pair: Sequence[ArrayLike] | None) -> tuple[Array, Array] | None:
        if pair is None:
            return None
        if len(pair) != 2:
            raise PlainnetError(f"validation_data must be a pair (X, y), got {len(pair)} parts")
        X, y = pair
        return self._checked(X, y, "X of validation_data")

    def _with_class_weights(self, weight: Array | None, y: Array) -> Array | None:
        return with_class_weights(weight, self.loss, y, self.n_out, self.class_weight)

    def _checked(self, X: ArrayLike, y: ArrayLike, name: str) -> tuple[Array, Array]:
        """Check rows against targets and network."""
        net = self.net
        rows = np.asarray(X, like=net.params.theta)
        if rows.dtype.kind not in "biuf" or rows.ndim < 2:
            raise PlainnetError(
                f"fit expects {name} as numbers, one row per sample, "
                f"got {rows.dtype} of shape {rows.shape}"
            )
        targets = np.asarray(self.loss.encode(y, self.n_out, net.dtype), like=rows)
        if len(rows) != len(targets):
            raise PlainnetError(f"{name} has {len(rows)} rows but y has {len(targets)}")
        if not len(rows):
            raise PlainnetError(f"there are no rows to train on or validate with: {name} is empty")
        if self.transform is None:
            _refuse_non_finite(rows, net.dtype, name)
            with np.errstate(all="ignore"):
                net.predict_logits(rows[:1])  # refuses rows of another shape before any step
        return rows, targets


def _refuse_non_finite(X: Array, dtype: Any, name: str) -> None:
    """Refuse numbers that are not finite in the network's dtype; check some rows at a time."""
    for start in range(0, len(X), 1024):
        with np.errstate(over="ignore"):
            finite = np.isfinite(X[start : start + 1024].astype(dtype, copy=False))
        if not finite.all():
            row, *index = (int(i) for i in np.argwhere(~finite)[0])
            position = f"column {index[0]}" if len(index) == 1 else f"index {tuple(index)}"
            raise TrainingError(
                f"{name} holds {X[start + row, *index]} in row {start + row}, {position}: "
                f"a network needs finite {dtype} numbers"
            )


def sample_weights(sample_weight: ArrayLike | None, m: int) -> Array | None:
    """Check one weight per row; None stays None."""
    if sample_weight is None:
        return None
    given = as_array(sample_weight)
    if given.shape != (m,) or given.dtype.kind not in "biuf":
        raise PlainnetError(
            f"sample_weight needs one weight for each of {m} rows, "
            f"got {given.dtype} of shape {given.shape}"
        )
    weight = given.astype(np.float64)
    if not np.isfinite(weight).all() or weight.min() < 0:
        raise PlainnetError("sample_weight must be finite and at least 0")
    return weight


def with_class_weights(
    weight: Array | None, loss: Loss, y: Array, n_out: int, class_weight: ClassWeight | None
) -> Array | None:
    """Multiply the weight of every training row by the weight of its class."""
    if class_weight is not None:
        if "binary" in loss.tasks and n_out == 1:
            classes, n_classes = is_positive(y[:, 0]).astype(np.intp), 2
        elif "multiclass" in loss.tasks:
            classes, n_classes = y if y.ndim == 1 else y.argmax(axis=1), n_out
        else:
            raise PlainnetError(
                f"class_weight needs one class per row, which {type(loss).__name__} with "
                f"{n_out} {'output' if n_out == 1 else 'outputs'} does not have"
            )
        per_row = _class_weights(classes, weight, n_classes, class_weight)[classes]
        weight = per_row if weight is None else weight * per_row
    if weight is not None and not 0 < weight.sum() < math.inf:
        raise PlainnetError(
            f"the weights of the {len(y)} training rows must have a finite sum above 0, "
            f"got {weight.sum()}"
        )
    return weight


def _class_weights(
    classes: Array, of_rows: Array | None, n_classes: int, class_weight: ClassWeight
) -> Array:
    if isinstance(class_weight, str) and class_weight == "balanced":
        sums = np.bincount(classes, of_rows, n_classes)
        present = sums > 0
        return np.where(
            present, sums.sum() / (max(present.sum(), 1) * np.where(present, sums, 1)), 0.0
        )
    if not isinstance(class_weight, Mapping):
        raise PlainnetError(
            f"class_weight must be 'balanced' or map class numbers to weights, got {class_weight!r}"
        )
    weights = np.ones(n_classes, like=classes)
    for number, weight in class_weight.items():
        if not isinstance(number, int | np.integer) or number not in range(n_classes):
            raise PlainnetError(
                f"class_weight names class {number!r}, but the classes are 0 to {n_classes - 1}"
            )
        weights[int(number)] = check_range("class_weight", f"class {number}", weight, "[0, inf)")
    return weights


def _split(m: int, share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the rows to train on and the rows to validate with."""
    check_range("fit", "validation_fraction", share, "(0, 1)")
    n_out = round(m * share)
    if not 0 < n_out < m:
        raise PlainnetError(
            f"validation_fraction={share} of {m} rows leaves {m - n_out} to train on and {n_out} "
            "to validate with: give more rows or another share"
        )
    order = rng.permutation(m)
    return np.sort(order[n_out:]), np.sort(order[:n_out])
