"""Runs: from data and settings to a trained model; what the command line and examples call."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final

import numpy as np

from plainnet._version import __version__
from plainnet.config import (
    TrainConfig,
    check,
    make_loss,
    make_network,
    make_optimizer,
    privacy_of,
    rng,
    with_hidden,
)
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.evaluate.training_record import finite
from plainnet.model import Model
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.storage.checkpoint_state import path_to_store, stored_path
from plainnet.storage.checkpoints import Checkpoints, digest
from plainnet.storage.json_reader import shortened
from plainnet.train.fit import Callback, EarlyStopping, Watch, fit
from plainnet.train.history import History

if TYPE_CHECKING:
    import pandas as pd

    from plainnet.data.column_kinds import ColumnKind
    from plainnet.data.dataset import Dataset, Grouping, Source
    from plainnet.data.images import Progress
    from plainnet.data.splits import Folds
    from plainnet.data.targets import Task

    Ready = Callable[[Dataset, Sequential], None]


@final
class Run(NamedTuple):
    """What came of a training."""

    model: Model  # the trained model
    history: History  # what each epoch came to
    data: "Dataset"  # the rows, as they were split


@final
class EvaluationInterrupted(KeyboardInterrupt):
    """Ctrl-C during the evaluation of a trained network; holds the result of the training."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


def load(path: str | Path, config: TrainConfig, *, progress: "Progress | None" = None) -> "Dataset":
    """Read and split a table or a folder of class folders, as `run` does."""
    from plainnet.data.splits import split

    check(config)
    source = _read(path, config, progress)
    return split(
        source,
        rng(config, 0),
        test_fraction=config.test_fraction,
        validation_fraction=config.validation_fraction,
    )


def load_folds(
    path: str | Path, config: TrainConfig, k: int, *, progress: "Progress | None" = None
) -> "Folds":
    """Read a table or a folder of class folders, hold out what `run` would, and fold the rest."""
    from plainnet.data.splits import fold

    check(config)
    source = _read(path, config, progress)
    return fold(source, k, rng(config, 0), rng(config, 3), test_fraction=config.test_fraction)


def _read(path: str | Path, config: TrainConfig, progress: "Progress | None") -> "Source":
    from plainnet.data.dataset import read_source

    return read_source(
        path,
        target=config.target,
        task=cast("Task | None", config.task),
        kinds=cast("Mapping[str, ColumnKind]", config.kind),
        size=config.size,
        strict=config.strict,
        group=_group(config),
        standardize=config.standardize,
        privacy=privacy_of(config),
        progress=progress,
    )


def run(
    path: str | Path,
    config: TrainConfig,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    progress: "Progress | None" = None,
    ready: "Ready | None" = None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """Train on a table or a folder of class folders."""
    data = load(path, config, progress=progress)
    if checkpoints is not None:
        checkpoints.also("path", partial(path_to_store, Path(path), checkpoints.folder))
    name = Path(path).resolve().name  # without the place: it may be private
    try:
        result = train(data, config, callbacks, watch, ready=ready, checkpoints=checkpoints)
    except EvaluationInterrupted as interrupted:
        interrupted.run.model.record["data"] = name
        raise
    result.model.record["data"] = name
    return result


def resume(
    checkpoints: Checkpoints,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    progress: "Progress | None" = None,
    ready: "Ready | None" = None,
) -> Run:
    """Go on with a training that `run` began: it ends as if it had never been interrupted."""
    path, config = begun(checkpoints)
    more: dict[str, Any] = {"progress": progress, "ready": ready, "checkpoints": checkpoints}
    return run(path, config, callbacks, watch, **more)


def begun(checkpoints: Checkpoints) -> tuple[Path, TrainConfig]:
    """Return the data and the settings that a training was begun with, by its checkpoints."""
    if checkpoints.stored("path") is None or checkpoints.stored("config") is None:
        raise ModelFileError(
            f"the training in {str(checkpoints.folder)!r} was not begun by plainnet train or run, "
            "so it does not say on what: go on as it began"
        )
    with checkpoints.validated() as about:
        path = (checkpoints.folder.resolve().parent / stored_path(about, "path")).resolve()
        config = TrainConfig.from_json(about.part("config"))
        _require_weights(checkpoints, config)
        check(config)
        about.texts("notes", distinct=False)
    if not path.exists():
        raise PlainnetError(
            f"the data of this training, {shortened(str(path), 1000)}, is not there any more: "
            "put it back"
        )
    return path, config


def _require_weights(
    checkpoints: Checkpoints, config: TrainConfig, n_in: int = 1, n_out: int = 1
) -> None:
    """Refuse layers that the weights in the file are not enough for, before room is made."""
    assert checkpoints.found is not None
    stored = checkpoints.found.arrays["theta"].size
    widths = (*(config.hidden or ()), n_out)
    sizes = (
        min(n_in, widths[0]),
        *widths,
    )  # in the row space, inputs are at least as many as units
    needed = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    if needed > stored:
        raise ModelFileError(
            f"its settings are of a network of at least {needed:,} weights, and it holds {stored:,}"
        )


def table_run(
    frame: "pd.DataFrame",
    config: TrainConfig,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    ready: "Ready | None" = None,
) -> Run:
    """Train on a DataFrame."""
    from plainnet.data.dataset import TableSource
    from plainnet.data.splits import split

    source = TableSource(
        frame,
        target=config.target,
        task=cast("Task | None", config.task),
        kinds=cast("Mapping[str, ColumnKind]", config.kind),
        group=_group(config),
        standardize=config.standardize,
        privacy=privacy_of(config),
    )
    data = split(
        source,
        rng(config, 0),
        test_fraction=config.test_fraction,
        validation_fraction=config.validation_fraction,
    )
    return train(data, config, callbacks, watch, ready=ready)


def image_run(
    X: Array,
    y: Array,
    classes: Sequence[str],
    config: TrainConfig,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    ready: "Ready | None" = None,
) -> Run:
    """Train on pictures in memory."""
    from plainnet.data.dataset import ImageSource
    from plainnet.data.splits import split

    source = ImageSource(X, y, classes, group=_group(config), standardize=config.standardize)
    data = split(
        source,
        rng(config, 0),
        test_fraction=config.test_fraction,
        validation_fraction=config.validation_fraction,
    )
    return train(data, config, callbacks, watch, ready=ready)


def train(
    data: "Dataset",
    config: TrainConfig,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    ready: "Ready | None" = None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """Train on data that is already split.

    Parameters
    ----------
    data : Dataset
        From `plainnet.data.dataset`.
    config, callbacks, watch, ready, checkpoints
        See `run`.

    Returns
    -------
    Run

    Raises
    ------
    PlainnetError
        If data or settings cannot be used, or the cost is not finite.
    EvaluationInterrupted
        If Ctrl-C comes after the training, while the network is judged.

    Examples
    --------
    >>> from plainnet.data import TableSource, introverts, split
    >>> data = split(TableSource(introverts(100)), np.random.default_rng(0))
    >>> train(data, TrainConfig(epochs=2)).history.stopped
    'epochs'
    """
    from plainnet.evaluate.evaluate import evaluate_held_out
    from plainnet.evaluate.per_example import without_far

    check(config)
    config = with_hidden(config, images=data.train.X.ndim == 4)
    if checkpoints is not None and checkpoints.found is not None:
        with checkpoints.validated():
            _require_weights(checkpoints, config, data.schema.n_features, data.target.n_out)
    model = untrained(data, config)
    data = without_far(model, data, "validation")
    if checkpoints is not None:
        checkpoints.same("config", partial(asdict, config))
        checkpoints.same("data", partial(_fingerprint, data))
        if checkpoints.stored("notes") is not None:  # which name files as they were called then
            with checkpoints.validated() as about:
                data.notes[:] = about.texts("notes", distinct=False)
        checkpoints.also("notes", lambda: data.notes)
    if ready is not None:
        ready(data, model.net)
    history = fit_model(model, data, config, callbacks, watch, checkpoints=checkpoints)
    model.record |= {
        "config": asdict(config),
        "history": finite(history.record()),
        "versions": _versions(),
    }
    fingerprints = config.fingerprints and not config.private
    data, interrupted = evaluate_held_out(model, data, fingerprints)
    model.record |= {
        "rows": {
            name: 0 if rows is None else len(rows.X)
            for name, rows in (
                ("train", data.train),
                ("validation", data.validation),
                ("test", data.test),
            )
        },
        "notes": [] if config.private else list(data.notes),  # which name rows and files
    }
    if interrupted:
        raise EvaluationInterrupted(Run(model, history, data))
    return Run(model, history, data)


def untrained(data: "Dataset", config: TrainConfig) -> Model:
    """Make the model that a training on these rows begins with."""
    loss = make_loss(data.target.task, config)
    net = make_network(config, data.schema.n_features, data.target.n_out)
    model = Model(data.schema, data.target, net, loss)
    if model.transform is not None:
        net.params.views["dense1.W"][:, _constant(data)] = 0
    return model


def _constant(data: "Dataset") -> Array:
    from plainnet.data.images import constant_numbers

    return constant_numbers(data.train.X)


def _transform(model: Model, data: "Dataset") -> Transform | None:
    """Return a transform that sets features that never vary to 0, so that their weights stay 0."""
    plain = model.transform
    if plain is None or not (constant := _constant(data)).any():
        return plain

    def transform(X: Array) -> Array:
        rows = plain(X)
        rows[:, constant] = 0
        return rows

    return transform


def fit_model(
    model: Model,
    data: "Dataset",
    config: TrainConfig,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    *,
    epochs: int | None = None,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Move the weights of a model and nothing else: its record stays as it is."""
    return fit(
        model.net,
        *data.train,
        loss=model.loss,
        optimizer=make_optimizer(config, len(data.train.X)),
        epochs=config.epochs if epochs is None else epochs,
        batch_size=config.batch_size,
        validation_data=None if data.validation is None else (data.validation.X, data.validation.y),
        metric=model.loss.metric,
        class_weight=config.class_weight,
        l2=config.l2,
        clip_norm=config.clip_norm,
        early_stopping=EarlyStopping(config.patience) if config.patience else None,
        callbacks=callbacks,
        watch=watch,
        transform=_transform(model, data),
        checkpoints=checkpoints,
        seed=rng(config, 2),
    )


def _fingerprint(data: "Dataset") -> str:
    """Return a fingerprint of all the data that the model file depends on."""
    parts = [a for rows in (data.train, data.validation, data.test) for a in rows or (None,)]
    meaning = repr((data.schema.to_json(), data.target.to_json()))
    return digest(*parts, np.frombuffer(meaning.encode(), np.uint8))


def _versions() -> dict[str, str]:
    """What a training depends on besides settings and data."""
    python = platform.python_version()
    return {"plainnet": __version__, "numpy": np.__version__, "python": python}


def _group(config: TrainConfig) -> "Grouping | None":
    from plainnet.evaluate.duplicates import groups_of

    return groups_of if config.group_duplicates else None
