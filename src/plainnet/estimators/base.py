"""NetEstimator: the base class of classifier and regressor, with fit."""

from __future__ import annotations  # else np.random.Generator costs an import of 13 ms

import copy
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from plainnet.build import make_network
from plainnet.config import ResolvedConfig
from plainnet.errors import PlainnetError
from plainnet.estimators.api import INTERRUPTION
from plainnet.estimators.params import (
    NetParams,
    config_for,
    config_of,
    dtype_of,
    early_stopping,
    epoch_printer,
    held_out_rows,
    optimizer_of,
)
from plainnet.estimators.saving import picture_schema, table_schema
from plainnet.estimators.scaling import Scaling
from plainnet.estimators.validation import (
    check_names,
    feature_names,
    numbers,
    pictures,
    require_finite,
    require_finite_outputs,
)
from plainnet.model import Model
from plainnet.nn.initializers import generator
from plainnet.nn.losses import Loss
from plainnet.nn.parameters import Array
from plainnet.tabular import averaged, side_by_side
from plainnet.train.augment import augmentation
from plainnet.train.fit import fit
from plainnet.train.history import COLUMNS, History
from plainnet.train.inputs import sample_weights
from plainnet.train.step import TrainStep

if TYPE_CHECKING:
    from plainnet.data.images import ImageSchema
    from plainnet.data.table_schema import TableSchema
    from plainnet.data.targets import Target


class NetEstimator(NetParams):
    """The base class of the estimators: parameters, training and learned attributes."""

    _numeric_targets: ClassVar[bool]  # whether targets are standardized too
    input_scaling_: Scaling | None
    target_scaling_: Scaling | None
    _train_step: TrainStep | None  # like the following, only for partial_fit
    _standardized: bool
    _parameter_texts: tuple[list[str], list[str]]
    _order: np.random.Generator
    _seed: int | np.random.Generator | None
    _ends: Array  # lowest, median and highest of each column, for a model file
    _m: int

    # --- differences between classifier and regressor ------------------------------------------

    @abstractmethod
    def _table(self, y: Any) -> Array:
        """Return targets as an array."""

    @abstractmethod
    def _learn_targets(self, table: Array, classes: Any) -> None:
        """Set the attributes that follow from the first targets, such as the classes."""

    @abstractmethod
    def _require_same(self, table: Array, classes: Any) -> None:
        """Refuse classes that differ from those of the training."""

    @abstractmethod
    def _encode(self, table: Array) -> Array:
        """Return targets as numbers for the loss."""

    @abstractmethod
    def _make_loss(self, config: ResolvedConfig) -> tuple[Loss, int]:
        """Return the loss and the number of outputs."""

    @abstractmethod
    def _class_weights(self) -> Mapping[int, float] | Literal["balanced"] | None:
        """Return the weights of class numbers, or None."""

    @abstractmethod
    def _strata(self, targets: Array) -> Array | None:
        """Return the strata of a stratified split, or None."""

    @abstractmethod
    def _target(self) -> Target:
        """Return the target of a model file."""

    # --- training ------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Train a network; with ``warm_start``, continue with the existing one.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            The rows.
        y : array_like of shape (m,) or (m, k)
            Their targets.
        sample_weight : array_like of shape (m,), optional
            A row of weight 2 counts as two rows, a row of weight 0 as none; the mean and variance
            of batch norm count each row once.
        X_val, y_val : optional
            Rows to validate with after each epoch, instead of a share of X.

        Returns
        -------
        self

        Raises
        ------
        PlainnetError
            If a parameter or the data cannot be used; then nothing has changed.
        TrainingError
            If the cost or a weight is not finite; then nothing has changed either.
        KeyboardInterrupt
            At a second Ctrl-C, in the same training or in one that follows it at once, as in
            cross-validation.

        Warns
        -----
        UserWarning
            If Ctrl-C ended the training early.

        Examples
        --------
        >>> from plainnet import NetRegressor
        >>> X = np.linspace(0, 1, 50).reshape(-1, 1)
        >>> net = NetRegressor(hidden=(), lr=0.1).fit(X, 3 * X[:, 0] + 1)
        >>> net.predict([[2.0]]).round(2)
        array([7.])
        """
        work = copy.copy(self)
        if self.warm_start and self._fitted:
            work.net_ = copy.deepcopy(self.net_)
        else:
            work._reset()
        work._train_step = None
        work._fit(X, y, sample_weight, X_val, y_val)
        self._advance_generator()
        self.__dict__ = work.__dict__
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any) -> None:
        config_of(self)
        began = time.monotonic()
        split, start, order = self._generators()
        rows, targets, weight = self._read(X, y, sample_weight, None)
        config = config_for(self, rows, self._task)
        held_out = None
        if X_val is None and y_val is None and self.validation_fraction:
            kept, out = held_out_rows(self, self._strata(targets), len(rows), split)
            held_out = rows[out], targets[out]
            rows, targets = rows[kept], targets[kept]
            weight = None if weight is None else weight[kept]
        self._prepare(config, rows, targets, weight, start)
        if held_out is None:
            held_out = self._validation_rows(X_val, y_val)
        net, members, pair = self.net_, None, self._scaled_pair(rows, targets)
        if config.network == "tabular":
            n_out, dtype = self.net_.n_out, self.net_.dtype
            net, members = side_by_side(config, *pair, n_out, start, split, dtype)
        history = fit(
            net,
            *pair,
            loss=self.loss_,
            optimizer=optimizer_of(self, config, len(rows)),
            epochs=config.epochs,
            batch_size=config.rows_in_batch,
            validation_data=None if held_out is None else self._scaled_pair(*held_out),
            logits_metric=self.loss_.metric,
            sample_weight=weight,
            class_weight=self._class_weights(),
            l2=self.l2,
            clip_norm=self.clip_norm,
            early_stopping=early_stopping(config, bool(held_out or members)),
            callbacks=self.callbacks,
            watch=epoch_printer(self.verbose, self.loss_.metric_name),
            transform=self._scaled if rows.ndim == 4 else None,
            members=members,
            augment=augmentation(config.augment),
            engine=self.engine,
            seed=order,
        )
        if members is None:
            self.net_ = net
        else:
            self.net_ = averaged(net, members, *pair, self.loss_, weight, self._class_weights())
        INTERRUPTION.record(history, began, type(self).__name__)
        self._append_history(history)

    def to_model(self) -> Model:
        """Return the fitted network as a model, which predicts from raw input.

        Returns
        -------
        Model
            Columns have the names of the training's DataFrame, or x0, x1, ...; classes become text.
            Its ``save`` writes one file, which the command line reads too.

        Raises
        ------
        PlainnetError
            If it is not fitted, or no file can hold it: a custom loss, or pictures that are not
            square uint8.

        Examples
        --------
        >>> import pandas as pd
        >>> from plainnet import NetRegressor
        >>> net = NetRegressor(hidden=(), lr=0.1).fit([[0], [1], [2]], [1, 3, 5])
        >>> net.to_model().predict(pd.DataFrame({"x0": [10]})).round(2)
        array([[21.]])
        """
        self._require_fitted("to_model")
        shape, scaling = self.net_.in_shape, self.input_scaling_
        schema: TableSchema | ImageSchema
        if len(shape) == 3:
            schema = picture_schema(shape, self._ends.dtype, scaling)
        else:
            names = vars(self).get("feature_names_in_")
            schema = table_schema(names, self._ends, self._m, scaling)
        return Model(schema, self._target(), copy.deepcopy(self.net_), self.loss_)

    def save(self, path: str | Path) -> None:
        """Write the fitted network to a model file; see `to_model`.

        Parameters
        ----------
        path : path
            Such as ``"net.safetensors"``.

        Raises
        ------
        PlainnetError
            If it is not fitted, or no file can hold it.

        Examples
        --------
        >>> import tempfile
        >>> import pandas as pd
        >>> from plainnet import Model, NetClassifier
        >>> net = NetClassifier((4,), lr=0.1).fit([[0], [1], [2], [3]], ["a", "a", "b", "b"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(f"{folder}/net.safetensors")
        ...     Model.load(f"{folder}/net.safetensors").predict(pd.DataFrame({"x0": [9]}))
        array(['b'], dtype=object)
        """
        self.to_model().save(path)

    def _generators(self) -> list[np.random.Generator]:
        """Return generators of the split, the initial weights and the order of rows."""
        seed = self.random_state
        rng = np.random.default_rng() if seed is None else generator(seed)
        return copy.deepcopy(rng).spawn(3)

    def _advance_generator(self) -> None:
        """Advance the caller's generator after a successful training."""
        if isinstance(self.random_state, np.random.Generator):
            self.random_state.spawn(3)

    def _read(
        self, X: Any, y: Any, sample_weight: Any, classes: Any
    ) -> tuple[Array, Array, Array | None]:
        """Return rows of positive weight, targets and weights; the first call sets attributes."""
        owner = type(self).__name__
        if y is None:
            raise PlainnetError(f"{owner} requires y to be passed, but the target y is None")
        if self._fitted:
            rows, table = self._known_rows(X), self._table(y)
            self._require_same(table, classes)
        else:
            rows, table = self._rows(X), self._table(y)
            if not self.standardize and rows.ndim == 2:
                require_finite(rows, lambda X: X, dtype_of(self, rows.dtype), owner, "X")
            self.n_features_in_ = rows[0].size
            if (names := feature_names(X)) is not None:
                self.feature_names_in_ = names
            self._learn_targets(table, classes)
        targets = self._encode(table)
        if len(rows) != len(targets):
            raise PlainnetError(f"{owner}: X has {len(rows)} rows but y has {len(targets)}")
        weight = sample_weights(sample_weight, len(rows))
        if weight is None:
            return rows, targets, None
        counts = weight > 0
        if not counts.any():
            raise PlainnetError(f"{owner}: the sample weights are all zero: some rows must count")
        return rows[counts], targets[counts], weight[counts]

    def _validation_rows(self, X: Any, y: Any) -> tuple[Array, Array] | None:
        if X is None and y is None:
            return None
        if X is None or y is None:
            raise PlainnetError("validation rows need both X_val and y_val")
        rows, targets = self._known_rows(X, "X_val"), self._encode(self._table(y))
        if len(rows) != len(targets):
            raise PlainnetError(f"X_val has {len(rows)} rows but y_val has {len(targets)}")
        return rows, targets

    def _known_rows(self, X: Any, name: str = "X") -> Array:
        """Validate rows against the columns of the training."""
        owner = type(self).__name__
        check_names(vars(self).get("feature_names_in_"), feature_names(X), owner)
        rows = self._rows(X, name)
        if rows.ndim == 4 and rows.shape[1:] != self.net_.in_shape:
            raise PlainnetError(
                f"{owner}: {name} holds pictures of shape {rows.shape[1:]}, and those of the "
                f"training have {self.net_.in_shape}"
            )
        if rows[0].size != self.n_features_in_:
            raise PlainnetError(
                f"{name} has {rows.shape[1]} features, but {owner} is expecting "
                f"{self.n_features_in_} features as input"
            )
        if rows.ndim == 2:
            require_finite(rows, self._scaled, self.net_.dtype, owner, name)
        return rows

    def _rows(self, X: Any, name: str = "X") -> Array:
        """Return rows of a table, or pictures where a convnet takes them."""
        if self.network == "convnet" or (self.network == "auto" and np.ndim(X) == 4):
            return pictures(X, type(self).__name__, name)
        return numbers(X, type(self).__name__, name)

    def _prepare(
        self,
        config: ResolvedConfig,
        rows: Array,
        targets: Array,
        weight: Array | None,
        rng: np.random.Generator,
        *,
        more: bool = False,
    ) -> None:
        """Create scaling and network, or check that the existing network can be trained further.

        With `more`, further rows follow. Then a first batch of equal rows does not mark all columns
        as constant, because a network without weights could never learn.
        """
        self.loss_, n_out = self._make_loss(config)
        usual = rows.dtype if config.network == "mlp" else np.dtype(np.float32)
        dtype = dtype_of(self, self.net_.dtype if self._fitted else usual)
        net = make_network(config, rows.shape[1:], n_out, rng, dtype)
        if self._fitted:
            if net.config() != self.net_.config() or self.standardize != self._standardized:
                cause, remedy = "warm_start", "set warm_start=False"
                if more:
                    cause, remedy = "partial_fit", "call fit"
                raise PlainnetError(
                    f"{cause} continues with the existing network, but parameters that shape it "
                    f"have changed: reset them, or {remedy} to start again"
                )
        else:
            self.net_, self._m = net, len(rows)
            self._ends = rows[:0] if rows.ndim == 4 else np.quantile(rows, (0, 0.5, 1), axis=0)
            self.target_scaling_ = None
            if self.standardize and self._numeric_targets:
                self.target_scaling_ = Scaling.of(targets, weight, "y")
            standard = self._standardized = self.standardize
            if rows.ndim == 4:
                self.input_scaling_ = Scaling.of_channels(rows) if standard else None
                return
            scaling = Scaling.of(rows, weight, "X") if standard else Scaling.of_constants(rows)
            final = scaling.varies.any() or not more
            self.input_scaling_ = scaling if standard or (final and scaling.mean.any()) else None
            if final:
                # A column that is always 0 has gradient 0, so its weights stay 0: it has no effect.
                self.net_.params.views["dense1.W"][:, ~scaling.varies] = 0

    def _scaled_pair(self, rows: Array, targets: Array) -> tuple[Array, Array]:
        """Return rows and targets for `fit`; pictures are scaled batch by batch."""
        scaling, rows = self.target_scaling_, self._scaled(rows) if rows.ndim == 2 else rows
        return rows, targets if scaling is None else scaling.apply(targets)

    def _scaled(self, rows: Array) -> Array:
        return rows if self.input_scaling_ is None else self.input_scaling_.apply(rows)

    def _append_history(self, now: History) -> None:
        """Append a history to that of earlier trainings."""
        if (before := vars(self).get("history_")) is not None:
            for column in COLUMNS:
                setattr(now, column, [*getattr(before, column), *getattr(now, column)])
            if now.best_epoch is not None:
                now.best_epoch += len(before)
        self.history_, self.n_iter_ = now, len(now)
        self.loss_curve_, self.validation_loss_curve_ = now.loss, now.val_loss

    def _logits(self, X: Any, method: str) -> Array:
        self._require_fitted(method)
        rows, net = self._known_rows(X), self.net_
        with np.errstate(over="ignore", invalid="ignore"):
            Z = net.predict_logits(rows, transform=self._scaled)
        return require_finite_outputs(Z, type(self).__name__)
