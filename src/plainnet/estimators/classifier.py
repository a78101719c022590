"""NetClassifier: one class per row, or several labels, in the scikit-learn protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
from numpy.typing import ArrayLike

from plainnet.config import ResolvedConfig
from plainnet.errors import PlainnetError
from plainnet.estimators.api import tags_of
from plainnet.estimators.incremental import IncrementalEstimator
from plainnet.estimators.params import loss_of
from plainnet.estimators.saving import class_target
from plainnet.estimators.validation import (
    class_numbers,
    class_weights,
    labels,
    listed,
    numbers_or_none,
    score_weights,
)
from plainnet.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, is_positive
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.targets import Target


@final
@dataclass(repr=False, eq=False, kw_only=True)
class NetClassifier(IncrementalEstimator):
    """A network that classifies, in the scikit-learn protocol.

    y may hold texts, whole numbers or booleans, of two classes or more; or a 0 or 1 for each of
    several labels. It needs no scikit-learn, and works in all of its tools.

    Parameters
    ----------
    hidden : sequence of int, optional
        Units of each hidden layer; () gives logistic regression. By default (100,), and (128, 128)
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
        A name such as "SoftmaxCrossEntropy" or an object such as
        ``SoftmaxCrossEntropy(label_smoothing=0.1)``; by default the loss of the task.
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
        them, drawn with the classes in proportion.
    patience : int, optional
        Epochs to wait for a lower validation loss before the training stops and restores the best
        weights; 0, the default, never stops early. 32 for a tabular network, which needs no
        ``validation_fraction``.
    standardize : bool, default True
        Whether to scale columns to mean 0 and standard deviation 1 of the training rows. Either
        way, a column that never varies in training has no effect.
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
    class_weight : "balanced" or mapping of class to weight, optional
        Multiplies the weight of every row of a class; "balanced" weights classes
        inversely to their total weight.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes, sorted; the numbers of the labels if there are several.
    net_ : Sequential
        The network.
    loss_ : Loss
        The loss that was minimized.
    history_ : History
        Loss and metrics of each epoch, over all trainings.
    loss_curve_, validation_loss_curve_ : list of float
        The mean loss of each epoch, without the penalty.
    n_iter_ : int
        Number of epochs, over all trainings.
    n_features_in_ : int
        The number of columns.
    feature_names_in_ : array of str
        Their names, if X was a DataFrame.
    input_scaling_ : Scaling or None
        Mean and deviation of each column, and whether it varies.

    Examples
    --------
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> net = NetClassifier(hidden=(8,), activation="tanh", lr=0.1)
    >>> net.fit(X, ["same", "other", "other", "same"]).predict(X)
    array(['same', 'other', 'other', 'same'], dtype='<U5')
    """

    _numeric_targets: ClassVar[bool] = False

    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train one epoch on these rows, continuing from the current weights.

        Parameters changed since the last call take effect, and a schedule continues from the
        current step. Parameters that shape the network must not change.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Some rows. Those of the first call decide the scales of ``standardize``.
        y : array_like of shape (m,) or (m, k)
            Their classes.
        classes : array_like, optional
            All classes of this and later calls; needed at the first call, unless y holds 0 and 1
            for several labels.
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
        >>> net = NetClassifier(hidden=(4,))
        >>> for _ in range(3):
        ...     net = net.partial_fit([[0.0], [1.0]], ["no", "yes"], classes=["no", "yes"])
        >>> net.n_iter_
        3
        """
        return self._partial_fit(X, y, sample_weight, () if classes is None else classes)

    def predict(self, X: Any) -> Array:
        """Predict the most probable class of each row, or 0 or 1 for each label.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Rows with the columns of the training.

        Returns
        -------
        array of shape (m,) or (m, k)

        Raises
        ------
        PlainnetError
            If it is not fitted, or the rows cannot be used.

        Examples
        --------
        >>> net = NetClassifier((4,), lr=0.1).fit([[0], [1], [2], [3]], ["a", "a", "b", "b"])
        >>> net.predict([[9]])
        array(['b'], dtype='<U1')
        """
        probabilities = self._probabilities(X, "predict")
        if self._multilabel:
            return is_positive(probabilities).astype(int)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, or of each label.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Rows with the columns of the training.

        Returns
        -------
        array of shape (m, n_classes) or (m, k)
            In the order of ``classes_``. Labels are independent of one another.

        Raises
        ------
        PlainnetError
            If it is not fitted, or the rows cannot be used.

        Examples
        --------
        >>> net = NetClassifier((4,), lr=0.1).fit([[0], [1], [2], [3]], ["a", "a", "b", "b"])
        >>> net.predict_proba([[9]]).round(1)
        array([[0., 1.]])
        """
        return self._probabilities(X, "predict_proba")

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of each probability, exact where the probability rounds to 0.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Rows with the columns of the training.

        Returns
        -------
        array of shape (m, n_classes) or (m, k)
            In the order of ``classes_``.

        Raises
        ------
        PlainnetError
            If it is not fitted, or the rows cannot be used.

        Examples
        --------
        >>> net = NetClassifier((4,), lr=0.1).fit([[0], [1], [2], [3]], ["a", "a", "b", "b"])
        >>> bool(net.predict_log_proba([[1e5]])[0, 0] < -1e4)  # e to that is 0 in float64
        True
        """
        Z = self._logits(X, "predict_log_proba")
        if isinstance(self.loss_, SoftmaxCrossEntropy):
            return np.asarray(Z - np.logaddexp.reduce(Z, axis=1, keepdims=True))
        if isinstance(self.loss_, BinaryCrossEntropy):
            logs = -np.logaddexp(0, -Z)
            return np.hstack([-np.logaddexp(0, Z), logs]) if self._task == "binary" else logs
        with np.errstate(divide="ignore"):  # a custom loss defines only probabilities
            return np.log(self._with_both_classes(Z))

    def decision_function(self, X: Any) -> Array:
        """Return the logits of each class or label.

        Parameters
        ----------
        X : array_like, DataFrame or sparse matrix of shape (m, n)
            Rows with the columns of the training.

        Returns
        -------
        array of shape (m,), (m, n_classes) or (m, k)
            For two classes, the logit of the second.

        Raises
        ------
        PlainnetError
            If it is not fitted, or the rows cannot be used.

        Examples
        --------
        >>> net = NetClassifier((4,), lr=0.1).fit([[0], [1], [2], [3]], ["a", "a", "b", "b"])
        >>> net.decision_function([[9], [-9]]) > 0
        array([ True, False])
        """
        Z = self._logits(X, "decision_function")
        if self._task != "binary":
            return Z
        return Z[:, 0] if Z.shape[1] == 1 else Z[:, 1] - Z[:, 0]

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy: the share of rows whose class, or all labels, are correct.

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

        Raises
        ------
        PlainnetError
            If it is not fitted, or the rows cannot be used.

        Examples
        --------
        >>> X, y = [[0], [1], [2], [3]], ["a", "a", "b", "b"]
        >>> NetClassifier((4,), lr=0.1).fit(X, y).score(X, y)
        1.0
        """
        predicted, true = self.predict(X), labels(y, "NetClassifier")
        if predicted.shape != true.shape:
            raise PlainnetError(
                f"the predictions have shape {predicted.shape}, but y has {true.shape}"
            )
        if self._multilabel:
            right = (predicted == true).all(axis=1)
        else:  # compared as class numbers: int64 and float64 would be rounded
            right = np.equal(*(numbers_or_none(y, self.classes_) for y in (predicted, true)))
        return float(np.average(right, weights=score_weights(sample_weight, len(right))))

    def __sklearn_tags__(self) -> Any:
        return tags_of("classifier")

    @property
    def _multilabel(self) -> bool:
        return self._task == "multilabel"

    def _probabilities(self, X: Any, method: str) -> Array:
        return self._with_both_classes(self._logits(X, method))

    def _with_both_classes(self, Z: Array) -> Array:
        A = self.loss_.predictions(Z)
        return np.hstack([1 - A, A]) if self._task == "binary" and A.shape[1] == 1 else A

    def _table(self, y: Any) -> Array:
        return labels(y, "NetClassifier")

    def _learn_targets(self, table: Array, classes: Any) -> None:
        if table.ndim == 2:
            self._task, self.classes_ = "multilabel", np.arange(table.shape[1])
            self._require_same(table, classes)
            return
        if classes is not None and not len(classes):
            raise PlainnetError(
                "classes must be passed on the first call to partial_fit: "
                "a first batch need not hold all of them"
            )
        self.classes_ = np.unique(table if classes is None else labels(classes, "NetClassifier"))
        if len(self.classes_) < 2:
            (only,) = self.classes_.tolist()
            raise PlainnetError(
                f"NetClassifier needs at least 2 classes in y, got 1 class: {only!r}"
            )
        self._task = "binary" if len(self.classes_) == 2 else "multiclass"

    def _require_same(self, table: Array, classes: Any) -> None:
        if classes is not None and not len(classes):
            return  # partial_fit need not name them again
        if classes is None and (self._multilabel or table.ndim == 2):
            return  # `_encode` compares the columns
        given = np.unique(labels(table if classes is None else classes, "NetClassifier"))
        if given.tolist() != self.classes_.tolist():
            rule = (
                "warm_start can only be used where y has the same classes as before"
                if classes is None
                else "the classes of several labels are the numbers of the columns of y"
                if self._multilabel
                else "partial_fit takes the same classes at every call"
            )
            raise PlainnetError(f"{rule}: expected {listed(self.classes_)}, got {listed(given)}")

    def _encode(self, table: Array) -> Array:
        if self._multilabel != (table.ndim == 2) or (
            table.ndim == 2 and table.shape[1] != len(self.classes_)
        ):
            wanted = f"(m, {len(self.classes_)})" if self._multilabel else "(m,)"
            raise PlainnetError(
                f"NetClassifier was fitted with y of shape {wanted}, got {table.shape}"
            )
        return table if table.ndim == 2 else class_numbers(table, self.classes_, "NetClassifier")

    def _make_loss(self, config: ResolvedConfig) -> tuple[Loss, int]:
        loss = loss_of(self.loss, self._task, config)
        one = self._task == "binary" and not isinstance(loss, SoftmaxCrossEntropy)
        return loss, 1 if one else len(self.classes_)

    def _class_weights(self) -> Any:
        return class_weights(self.class_weight, self.classes_, "NetClassifier")

    def _target(self) -> "Target":
        return class_target(self._task, self.classes_)

    def _strata(self, targets: Array) -> Array | None:
        return None if self._multilabel else self.classes_[targets].astype(str)
