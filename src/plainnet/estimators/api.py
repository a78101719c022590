"""The protocol of scikit-learn: parameters, metadata requests, errors, warnings, interruption.

scikit-learn is imported only in methods that it calls. Its errors and warnings are used if it is
loaded already: a program that has not imported it cannot catch them.
"""

from __future__ import annotations  # the names of types are not needed at run time

import copy
import math
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from functools import cache
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, cast, final

from plainnet.errors import PlainnetError
from plainnet.nn.network import Sequential
from plainnet.train.history import History

if TYPE_CHECKING:
    from plainnet.data.targets import Task

Requests = Mapping[str, dict[str, bool | str | None]]  # by method and argument
# Private learned attributes, whose names do not end in an underscore.
PRIVATE = {"_train_step", "_order", "_seed", "_parameter_texts", "_standardized", "_flat", "_task"}
PRIVATE |= {"_ends", "_m"}


class Estimator(ABC):
    """Parameters that can be read, set and shown; a subclass is a dataclass of its parameters."""

    net_: Sequential  # set by fit and partial_fit
    _task: Task
    _metadata_requests: Requests = MappingProxyType({})  # replaced, never changed

    @abstractmethod
    def __sklearn_tags__(self) -> Any:
        """Return the kind of estimator; see `tags_of`."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default True
            Required by the protocol and without effect.

        Returns
        -------
        dict

        Examples
        --------
        >>> from plainnet import NetClassifier
        >>> NetClassifier(hidden=(8,)).get_params()["hidden"]
        (8,)
        """
        return {field.name: getattr(self, field.name) for field in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; `fit` checks them.

        Parameters
        ----------
        **params : dict
            New values.

        Returns
        -------
        self

        Raises
        ------
        PlainnetError
            If there is no such parameter; then none is set.

        Examples
        --------
        >>> from plainnet import NetClassifier
        >>> NetClassifier().set_params(lr=0.01)
        NetClassifier(lr=0.01)
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise PlainnetError(
                    f"{type(self).__name__} has no parameter {name!r}: "
                    f"Valid parameters are: {', '.join(known)}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        """Return an untrained estimator with the same parameters and metadata requests."""
        clone = type(self)(**copy.deepcopy(self.get_params()))
        if self._metadata_requests:
            clone._metadata_requests = self._metadata_requests
        return clone

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in self._parameters()
            if repr(getattr(self, field.name)) != repr(field.default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def set_fit_request(self, **requests: bool | str | None) -> Self:
        """Request that scikit-learn passes metadata to `fit`.

        Parameters
        ----------
        **requests : bool, str or None
            For ``sample_weight``, ``X_val`` and ``y_val``: True requests it, False ignores it, a
            string is another name for it, None makes scikit-learn raise an error.

        Returns
        -------
        self

        Raises
        ------
        PlainnetError
            If the method has no such argument.

        Examples
        --------
        >>> from plainnet import NetClassifier
        >>> net = NetClassifier().set_fit_request(sample_weight=True)
        >>> net.get_metadata_routing().fit.requests["sample_weight"]
        True
        """
        return self._request("fit", requests)

    def set_partial_fit_request(self, **requests: bool | str | None) -> Self:
        """Request that scikit-learn passes metadata to ``partial_fit``.

        Parameters
        ----------
        **requests : bool, str or None
            See `set_fit_request`; for ``sample_weight`` and, of a classifier, ``classes``.

        Returns
        -------
        self

        Raises
        ------
        PlainnetError
            If the method has no such argument.
        """
        return self._request("partial_fit", requests)

    def set_score_request(self, **requests: bool | str | None) -> Self:
        """Request that scikit-learn passes metadata to ``score``.

        Parameters
        ----------
        **requests : bool, str or None
            See `set_fit_request`; for ``sample_weight``.

        Returns
        -------
        self

        Raises
        ------
        PlainnetError
            If the method has no such argument.
        """
        return self._request("score", requests)

    def get_metadata_routing(self) -> Any:
        """Return the metadata requests of all methods; called by scikit-learn.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest

        Examples
        --------
        >>> from plainnet import NetRegressor
        >>> NetRegressor().get_metadata_routing().score.requests
        {'sample_weight': None}
        """
        from sklearn.utils.metadata_routing import MetadataRequest

        routing = MetadataRequest(owner=type(self).__name__)
        for method in ("fit", "partial_fit", "score"):
            requests = self._metadata_requests.get(method, {})
            for name in self._metadata_names(method):
                getattr(routing, method).add_request(param=name, alias=requests.get(name))
        return routing

    def _request(self, method: str, requests: dict[str, bool | str | None]) -> Self:
        known = self._metadata_names(method)
        for name in requests:
            if name not in known:
                raise PlainnetError(
                    f"{type(self).__name__}.{method} takes {', '.join(known)} besides X and y, "
                    f"not {name}"
                )
        before = self._metadata_requests
        self._metadata_requests = {**before, method: {**before.get(method, {}), **requests}}
        return self

    def _metadata_names(self, method: str) -> list[str]:
        return [name for name in signature(getattr(self, method)).parameters if name not in "Xy"]

    def _parameters(self) -> tuple[Field[Any], ...]:
        return fields(cast(Any, self))

    @property
    def _fitted(self) -> bool:
        return "net_" in vars(self)

    def _require_fitted(self, method: str) -> None:
        if not self._fitted:
            raise not_fitted_error()(
                f"this {type(self).__name__} is not fitted yet: call fit before {method}"
            )

    def _reset(self) -> None:
        """Remove all learned attributes."""
        for name in [n for n in vars(self) if n.endswith("_") or n in PRIVATE]:
            delattr(self, name)


def tags_of(kind: Literal["classifier", "regressor"]) -> Any:
    """Return scikit-learn's tags of an estimator; called by scikit-learn."""
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    classifies = kind == "classifier"
    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True, multi_output=not classifies),
        classifier_tags=ClassifierTags(multi_label=True) if classifies else None,
        regressor_tags=None if classifies else RegressorTags(),
        input_tags=InputTags(sparse=True),
    )


def sklearn_class(name: str, otherwise: type) -> Any:
    """Return a class of sklearn.exceptions, or `otherwise` if scikit-learn is not loaded."""
    exceptions = sys.modules.get("sklearn.exceptions")
    return otherwise if exceptions is None else getattr(exceptions, name)


def not_fitted_error() -> type[PlainnetError]:
    """Return the error of an estimator that has not been fitted."""
    return _not_fitted_error(sklearn_class("NotFittedError", AttributeError))


@cache
def _not_fitted_error(base: type) -> type[PlainnetError]:
    return type("NotFittedError", (PlainnetError, base), {"__module__": __name__})


def __getattr__(name: str) -> Any:
    """Return the error class by name, which unpickling needs."""
    if name == "NotFittedError":
        return not_fitted_error()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def warn(text: str, kind: type[Warning]) -> None:
    """Warn at the line that called the estimator."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(__package__):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level)


PAUSE = 10.0  # seconds: the longest pause between two trainings of one cross-validation


@final
@dataclass
class Interruption:
    """Whether Ctrl-C ended a training, and when the last training ended."""

    interrupted: bool = False
    ended: float = -math.inf  # by time.monotonic

    def record(self, history: History, began: float, name: str) -> None:
        """Warn at the first interrupted training of a loop, raise KeyboardInterrupt at the second.

        Trainings within `PAUSE` of each other belong to one loop.
        """
        again = self.interrupted and began - self.ended < PAUSE
        now = history.stopped == "interrupted"
        self.interrupted, self.ended = now is not again, time.monotonic()
        if now and again:
            raise KeyboardInterrupt
        if now:
            warn(
                f"Training interrupted by user. {name} after {len(history)} epochs is kept; "
                "a second Ctrl-C, also in a training that follows at once, raises "
                "KeyboardInterrupt",
                UserWarning,
            )


INTERRUPTION = Interruption()  # one for the process: only its main thread receives Ctrl-C
