"""Tracking: the metrics of each epoch for TensorBoard and MLflow, with the extra track."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Self, final

from plainnet.errors import PlainnetError
from plainnet.train.history import COLUMNS, Epoch


def _library(name: str, use: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise PlainnetError(
            f"{name} is not installed, which {use} needs: pip install 'plainnet[track]'"
        ) from None


def _metrics(epoch: Epoch) -> dict[str, float]:
    """Return the metrics that an epoch has, by their names in `History`."""
    values = {name: getattr(epoch, name) for name in COLUMNS}
    return {name: value for name, value in values.items() if value is not None}


@final
class TensorBoardLog:
    """Callback that writes the metrics of each epoch as TensorBoard events.

    Parameters
    ----------
    folder : path
        Where the event file is written; `tensorboard --logdir FOLDER` shows it.

    Raises
    ------
    PlainnetError
        If the folder is a file, or tensorboardX, of the extra track, is not installed.

    Examples
    --------
    >>> from plainnet.estimators import NetClassifier
    >>> with TensorBoardLog("runs/xor") as log:  # doctest: +SKIP
    ...     NetClassifier(callbacks=[log]).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise PlainnetError(f"{str(folder)!r} is a file: name a folder for TensorBoard events")
        self._library = _library("tensorboardX", "a TensorBoard log")
        self._writer: Any = None

    def __call__(self, epoch: Epoch) -> None:
        """Write the metrics of an epoch."""
        if self._writer is None:
            self._writer = self._library.SummaryWriter(str(self.folder))
        for name, value in _metrics(epoch).items():
            self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy without the open file, as scikit-learn copies estimators with their callbacks."""
        return type(self), (self.folder,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


@final
class MLflowLog:
    """Callback that logs the metrics of each epoch to the active run of MLflow, or to a new one.

    Raises
    ------
    PlainnetError
        If mlflow, of the extra track, is not installed.

    Examples
    --------
    >>> from plainnet.estimators import NetClassifier
    >>> net = NetClassifier(callbacks=[MLflowLog()])  # doctest: +SKIP
    """

    def __init__(self) -> None:
        _library("mlflow", "a log to MLflow")

    def __call__(self, epoch: Epoch) -> None:
        """Log the metrics of an epoch."""
        import_module("mlflow").log_metrics(_metrics(epoch), step=epoch.number)


@contextmanager
def mlflow_run(options: Mapping[str, object], model: Path) -> Iterator[MLflowLog]:
    """Log options, metrics and, at the end, a model file to a new run."""
    log, mlflow = MLflowLog(), import_module("mlflow")
    with mlflow.start_run():
        mlflow.log_params({name: value for name, value in options.items() if value is not None})
        yield log
        mlflow.log_artifact(str(model))
