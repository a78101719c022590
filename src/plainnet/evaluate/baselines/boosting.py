"""Gradient boosting as a baseline where scikit-learn is installed: trees compete with the network.

This is the one place in which a machine-learning library computes. Nothing else depends on it.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, final

import numpy as np
from threadpoolctl import threadpool_limits

from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines.baseline import Baseline
from plainnet.evaluate.processes import without_ctrl_c
from plainnet.nn.parameters import Array

if TYPE_CHECKING:
    from plainnet.data.dataset import Examples
    from plainnet.data.targets import Target

FEWEST_ROWS = 100  # each leaf has 20
MOST_ROWS, MOST_CELLS = 20_000, 10**7  # of a sample to learn from; cells count for each class
MOST_CLASSES = 20  # each takes a hundred trees
_CACHED = 5000  # rows predicted at a time: more leave the processor's cache
_MOST_SENT = 100_000  # rows that are sent to another process at a time


class Trees(NamedTuple):
    """Fitted trees."""

    classes: Array  # the number of each class that was seen; none for numbers
    predict: Callable[[Array], Array]  # numbers (m,), or probabilities (m, classes)


_Grow: TypeAlias = Callable[[bool, Array, Array], Trees | None]


@final
class BoostingBaseline(Baseline):
    """HistGradientBoosting of scikit-learn with its defaults; it is not stored in a model file."""

    name = "boosting"

    def __init__(self, trees: Trees, target: "Target") -> None:
        self.trees, self.target = trees, target

    def predict(self, X: Array) -> Array:
        """Return probabilities or standardized numbers."""
        classes, predict = self.trees
        if self.target.task == "regression":
            return predict(X)[:, None]
        P = np.zeros((len(X), len(self.target.classes)))
        P[:, classes.astype(int)] = predict(X)
        return P[:, 1:] if self.target.task == "binary" else P

    def describe(self, target: "Target") -> tuple[str, str]:
        """Name the method."""
        return "HistGradientBoosting", "HistGradientBoosting"


def fit_boosting(target: "Target", train: "Examples") -> BoostingBaseline | None:
    """Fit to the rows of a table, or to a sample; None without scikit-learn, or for few rows."""
    other = _process.get()
    if other is not None and other.begun is not None and other.begun[0] is train.X:
        return other.begun[1].result()
    return _fitted(target, train, grow if other is None else other.grow)


def _fitted(target: "Target", train: "Examples", grow: _Grow) -> BoostingBaseline | None:
    (X, y), outputs = train, target.n_out if target.task == "multiclass" else 1
    m = min(len(X), MOST_ROWS, MOST_CELLS // (outputs * X[0].size))
    if X.ndim > 2 or target.task == "multilabel" or len(target.columns) > 1:
        return None
    if m < FEWEST_ROWS or outputs > MOST_CLASSES:
        return None
    if m < len(X):
        some = np.sort(np.random.default_rng(0).choice(len(X), m, replace=False, shuffle=False))
        X, y = X[some], y[some]
    trees = grow(target.task == "regression", X, y.ravel())
    return trees and BoostingBaseline(trees, target)


def grow(regression: bool, X: Array, y: Array) -> Trees | None:
    """Fit trees to numbers or class numbers; None without scikit-learn."""
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    except ImportError:
        return None
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    with _one_thread():
        model = kind(random_state=0).fit(X, y)
    rule = model.predict if regression else model.predict_proba

    def predict(X: Array) -> Array:
        from plainnet.data.columns import in_threads

        return np.concatenate(in_threads(predict_part, _parts(X, _CACHED), len(X)))

    def predict_part(X: Array) -> Array:
        with _one_thread():
            return np.asarray(rule(X))

    return Trees(np.empty(0) if regression else model.classes_, predict)


def _parts(X: Array, m: int) -> Iterator[Array]:
    return (X[start : start + m] for start in range(0, len(X), m))


def _one_thread() -> threadpool_limits:
    """Keep OpenMP to one thread: several wait for each other, for seconds on a busy machine."""
    return threadpool_limits(1, user_api="openmp")


# --- in a process of its own ---------------------------------------------------------------------


@final
class _Process:
    """A process that imports scikit-learn, and then grows trees as `grow` does."""

    def __init__(self) -> None:
        context = get_context("spawn")  # a fork would copy locks that threads hold
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with without_ctrl_c():
            self._process.start()
        theirs.close()
        self._is_closed = False
        self.begun: tuple[Array, Future[BoostingBaseline | None]] | None = None  # and its rows

    def begin(self, target: "Target", train: "Examples") -> None:
        """Fit in a thread."""
        pool = ThreadPoolExecutor(1)
        self.begun = train.X, pool.submit(_fitted, target, train, self.grow)
        pool.shutdown(wait=False)

    def grow(self, regression: bool, X: Array, y: Array) -> Trees | None:
        """Fit trees there, or here if that process could not start; None after `close`."""
        try:
            number, classes = self._answer(regression, X, y)
        except (EOFError, OSError):
            return None if self._is_closed else grow(regression, X, y)
        return Trees(classes, partial(self._predict, number))

    def _predict(self, number: int, X: Array) -> Array:
        try:
            return np.concatenate([self._answer(number, part) for part in _parts(X, _MOST_SENT)])
        except (EOFError, OSError):
            raise PlainnetError(
                "the process of HistGradientBoosting has ended: there may be too little memory"
            ) from None

    def _answer(self, *question: Any) -> Any:
        self._connection.send(question)
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process."""
        self._is_closed = True
        self._process.terminate()
        self._process.join()
        self._connection.close()


_process: ContextVar[_Process | None] = ContextVar("_process", default=None)


@contextmanager
def boosting_ahead(wanted: bool) -> Iterator[Callable[["Target", "Examples"], None]]:
    """Import scikit-learn in a process of its own meanwhile, where `fit_boosting` will compute.

    It yields a function that begins to fit, before `fit_boosting` asks for it. The import takes
    longer than many trainings, and in a thread it would hold up the others.
    """
    process = None
    absent = "sklearn.ensemble" not in sys.modules and find_spec("sklearn") is not None
    if wanted and absent and _is_main_module_known():
        with suppress(OSError):  # no process can start
            process = _Process()
    token = _process.set(process)
    try:
        yield (lambda *_: None) if process is None else process.begin
    finally:
        _process.reset(token)
        if process is not None:
            process.close()


def _is_main_module_known() -> bool:
    """Return whether there is none to import again in a new process, or it is plainnet's own."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        return True
    path = Path(file)
    return (path.parent if path.name == "__main__.py" else path).stem == "plainnet"


def _serve(connection: Connection) -> None:
    """Answer until the other end of the pipe is closed."""
    grown: list[Trees] = []
    with suppress(ImportError, EOFError, OSError):
        for name in ("sklearn.ensemble", "plainnet.data.columns"):  # ahead of the first question
            import_module(name)
        while True:
            question = connection.recv()
            try:
                connection.send(_reply(grown, *question))
            except Exception as error:
                connection.send(error)


def _reply(grown: list[Trees], *question: Any) -> Any:
    """Fit trees, and return their number and classes; or return predictions of trees."""
    if len(question) == 2:
        number, X = question
        return grown[number].predict(X)
    trees = grow(*question)
    assert trees is not None  # for the type checker
    grown.append(trees)
    return len(grown) - 1, trees.classes
