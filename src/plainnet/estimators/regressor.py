"""NetRegressor: one number per row, or several, in the scikit-learn protocol."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.config import ResolvedConfig
from plainnet.errors import PlainnetError
from plainnet.estimators.api import tags_of
from plainnet.estimators.incremental import IncrementalEstimator
from plainnet.estimators.params import loss_of
from plainnet.estimators.saving import number_target
from plainnet.estimators.validation import floats, require_targets, score_weights
from plainnet.nn.losses import Loss
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.targets import Target


@final
@dataclass(repr=False, eq=False, kw_only=True)
class NetRegressor(IncrementalEstimator):
    """A network that predicts numbers, in the scikit-learn protocol.

    y may hold a number for each row, or several. It needs no scikit-learn, and works in all of its
    tools.

    Parameters
    ----------
    hidden : sequence of int, optional
        Units of each hidden layer; () gives linear regression. By default (100,), and (128, 128)
        of a tabular network.
    network : {"mlp", "tabular", "convnet", "auto"}, default "mlp"
        A multi-layer perceptron; the mean of several, each trained without one fold of the rows
        (see docs/tables.md); or a convolutional network for X of shape (m, height, width,
        channels), uint8 or float. "auto" chooses as ``plainnet train`` does: a convnet for such X,
        tabular unless an option of the network or of its training is given, such as ``epochs``.
        Only an mlp has ``partial_fit``.
    members : int, default 8
        The number of networks of a tabular one.
    channels : sequence of int, default (16, 32, 64)
        Output channels of each convolution of a convnet.
    kernel : int, default 3
        The side of its kernels.
    activation : str or sequence of str, default "relu"
        One name for all hidden layers, or one for each; "identity" is none.
    dropout : float, optional
        The rate after each hidden layer, or before the last layer of a convnet. By default 0,
        0.3 of a convnet.
    batch_norm, layer_norm : bool, default False
        Whether to normalize in each hidden layer. The means and variances of batch norm count
        rows, whatever their weights.
    init : str, optional
        Initial weights; see `plainnet.nn.initializers`. By default "xavier_uniform" as in
        scikit-learn's MLP, "he_normal" of other networks.
    loss : str or Loss, optional
        "MeanSquaredError" (the default), "Huber", or an object such as ``Huber(delta=0.5)``;
        computed on standardized targets.
    optimizer : {"sgd", "rmsprop", "adam", "adamw"} or Optimizer, default "adam"
        The update rule.
    lr : float or Schedule, optional
        The learning rate; by default 0.1 for sgd and 0.001 for the others, which of a tabular
        network is 0.002, of a convnet 0.003.
    augment : sequence of str, optional
        Random changes of the training pictures, such as ("shift", "flip"); by default shift.
    schedule : {"constant", "step", "exponential", "cosine", "onecycle"}, optional
        How the learning rate changes over ``epochs``; "step" and "exponential" halve it each tenth.
        By default constant, of a convnet onecycle.
    epochs : int, optional
        Number of passes over the rows; by default 100, 20 of a convnet, 128 at most of a tabular
        network.
    batch_size : int or "full", optional
        Rows in a mini-batch; "full" takes all rows at once. By default 32, 256 of a tabular
        network.
    l2 : float, default 0.0
        The weight of the L2 penalty: l2/2 times the sum of all squared weights.
    clip_norm : float, optional
        The largest norm of the gradient.
    validation_fraction : float, default 0.0
        The share of the rows to validate with after each epoch instead of training on
        them.
    patience : int, optional
        Epochs to wait for a lower validation loss before the training stops and restores the best
        weights; 0, the default, never stops early. 32 for a tabular network, which needs no
        ``validation_fraction``.
    standardize : bool, default True
        Whether to scale columns and targets to mean 0 and standard deviation 1 of the training
        rows. Either way, a column that never varies in training has no effect.
    engine : {"auto", "numpy", "compiled"}, default "auto"
        What computes the steps; ``compiled`` needs Numba (the extra ``fast``), ``auto`` takes it
        where it saves time.
    callbacks : sequence of callable, default ()
        Each is called with the `Epoch` that ended; one that returns True ends the training.
    verbose : bool or int, default False
        True prints each epoch, a number every so many epochs.
    warm_start : bool, default False
        Whether `fit` continues with the existing network.
    dtype : "float32" or "float64", optional
        Type of the numbers; by default float32 if X is float32 or the network is no mlp, else
        float64.
    random_state : int, numpy.random.Generator or None, default 0
        Seed of all randomness; None gives another result each time.

    Attributes
    ----------
    n_outputs_ : int
        How many numbers each row has.
    net_ : Sequential
        The network.
    loss_ : Loss
        The loss that was minimized.
    history_ : History
        Loss and metrics of each epoch, over all trainings.
    loss_curve_, validation_loss_curve_ : list of float
        The mean loss of each epoch, without the penalty, of standardized
        targets.
    n_iter_ : int
        Number of epochs, over all trainings.
    n_features_in_ : int
        The number of columns.
    feature_names_in_ : array of str
        Their names, if X was a DataFrame.
    input_scaling_, target_scaling_ : Scaling or None
        Mean and deviation of each column of X and of y.

    Examples
    --------
    >>> X = np.linspace(-3, 3, 60).reshape(-1, 1)
    >>> net = NetRegressor(hidden=(30, 30), lr=0.01)
    >>> net.fit(X, np.sin(X[:, 0])).predict([[1.0], [2.0]]).round(1)
    array([0.8, 0.9])
    """

    _numeric_targets: ClassVar[bool] = True

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train one epoch on these rows, continuing from the current weights.

        Parameters changed since the last call take effect, and a schedule continues from the
        current step. Parameters that shape the network must not change.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Some rows. Those of the first call decide the scales of ``standardize``.
        y : array_like of shape (m,) or (m, k)
            Their targets.
        sample_weight : array_like of shape (m,), optional
            A row of weight 2 counts as two rows, a row of weight 0 as none; the mean and variance
            of batch norm count each row once.

        Returns
        -------
        self

        Raises
        ------
        PlainnetError
            If a parameter or the data cannot be used; then nothing has changed.
        TrainingError
            If the cost or a weight is not finite; then nothing has changed either.

        Examples
        --------
        >>> net = NetRegressor(hidden=(4,))
        >>> for _ in range(3):
        ...     net = net.partial_fit([[0.0], [1.0]], [1.0, 3.0])
        >>> net.n_iter_
        3
        """
        return self._partial_fit(X, y, sample_weight, None)

    def predict(self, X: Any) -> Array:
        """Predict one number or several for each row.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Rows with the columns of the training.

        Returns
        -------
        array of shape (m,) or (m, k)
            With as many axes as y had in training, in the dtype of the network.

        Raises
        ------
        PlainnetError
            If it is not fitted, or the rows cannot be used.

        Examples
        --------
        >>> net = NetRegressor(hidden=(), lr=0.1).fit([[0], [1], [2]], [1, 3, 5])
        >>> net.predict([[10]]).round(2)
        array([21.])
        """
        Z = self._logits(X, "predict")
        A = self.loss_.predictions(Z)
        if self.target_scaling_ is not None:
            with np.errstate(over="ignore"):
                A = self.target_scaling_.undo(A).astype(Z.dtype)
        if not np.isfinite(A).all():
            raise PlainnetError(
                f"NetRegressor: a prediction is too large for {Z.dtype}: "
                "set dtype='float64', or divide the targets by a constant"
            )
        return A.ravel() if self._flat else A

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return R^2, the share of the variance that is explained, averaged over the outputs.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Rows with the columns of the training.
        y : array_like of shape (m,) or (m, k)
            The true targets.
        sample_weight : array_like of shape (m,), optional
            Weights of the rows.

        Returns
        -------
        float
            1 for perfect predictions; 0 for an output that does not vary and is not predicted.

        Raises
        ------
        PlainnetError
            If it is not fitted, or the rows cannot be used.

        Examples
        --------
        >>> X, y = [[0], [1], [2]], [1, 3, 5]
        >>> round(NetRegressor(hidden=(), lr=0.1).fit(X, y).score(X, y), 3)
        1.0
        """
        predicted, true = self.predict(X), self._encode(self._table(y))
        if len(predicted) != len(true):
            raise PlainnetError(f"NetRegressor: X has {len(predicted)} rows but y has {len(true)}")
        weights = score_weights(sample_weight, len(true))
        mean = np.average(true, axis=0, weights=weights)
        missed, spread = (
            np.average((true - other) ** 2, axis=0, weights=weights)
            for other in (predicted.reshape(len(predicted), -1), mean)
        )
        varies = spread > 0
        explained = np.where(varies, 1 - missed / np.where(varies, spread, 1), missed == 0)
        return float(explained.mean())

    def __sklearn_tags__(self) -> Any:
        return tags_of("regressor")

    def _table(self, y: Any) -> Array:
        return floats(y, "NetRegressor", "y")

    def _learn_targets(self, table: Array, classes: Any) -> None:
        if table.ndim not in (1, 2) or not table.size:
            raise PlainnetError(
                f"y should be a 1d array, or a table with a column for each output, got an array "
                f"of shape {table.shape}"
            )
        self._flat, self._task = table.ndim == 1, "regression"
        self.n_outputs_ = 1 if self._flat else table.shape[1]

    def _require_same(self, table: Array, classes: Any) -> None:
        """Numbers have no classes."""

    def _encode(self, table: Array) -> Array:
        if table.ndim == 1:
            table = table[:, None]
        if table.ndim != 2 or table.shape[1] != self.n_outputs_:
            raise PlainnetError(
                f"NetRegressor was fitted with {self.n_outputs_} outputs, "
                f"got y of shape {table.shape}"
            )
        require_targets(table, "NetRegressor", "target")
        return table

    def _make_loss(self, config: ResolvedConfig) -> tuple[Loss, int]:
        return loss_of(self.loss, "regression", config), self.n_outputs_

    def _class_weights(self) -> None:
        return None

    def _target(self) -> "Target":
        return number_target(self.n_outputs_, self.target_scaling_)

    def _strata(self, targets: Array) -> None:
        return None
