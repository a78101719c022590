"""Training: from data and options to an evaluated model, once or from several seeds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from plainnet.build import check, least_weights, make_loss, make_network, make_optimizer
from plainnet.config import Config, TrainConfig, rng
from plainnet.errors import ModelFileError, PlainnetError
from plainnet.evaluate.evaluation import stored_evaluation
from plainnet.evaluate.training_record import finite, versions
from plainnet.loading import Data, load
from plainnet.model import Model
from plainnet.nn.ensemble import mean_of_groups
from plainnet.nn.network import Sequential, Transform
from plainnet.nn.parameters import Array
from plainnet.nn.ranks import ALONE, Ranks
from plainnet.storage.checkpoints import Checkpoints
from plainnet.storage.json_reader import shortened
from plainnet.tabular import averaged, for_validation_data, members_of, settled
from plainnet.train.augment import augmentation
from plainnet.train.early_stopping import EarlyStopping
from plainnet.train.fit import Callback, Watch, fit
from plainnet.train.history import History
from plainnet.train.state import digest

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Examples
    from plainnet.data.images import Progress

    Ready = Callable[[Dataset, Sequential], None]


class Run(NamedTuple):
    """The result of a training."""

    model: Model
    history: History
    data: "Dataset"  # the rows, as they were split


@final
class EvaluationInterrupted(KeyboardInterrupt):
    """Ctrl-C during the evaluation of a trained network; holds the result of the training."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


def train(
    data: "Data",
    config: Config = TrainConfig(),  # noqa: B008 - immutable
    *,
    validation_data: "Data | None" = None,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    progress: "Progress | None" = None,
    ready: "Ready | None" = None,
    checkpoints: Checkpoints | None = None,
    epochs: int | None = None,
    evaluate: bool = True,
    ranks: Ranks = ALONE,
) -> Run:
    """Train a network and evaluate it on held-out rows.

    Parameters
    ----------
    data : path, DataFrame, (X, y), (X, y, classes) or Dataset
        A table (CSV, TSV, Parquet), a folder of tables, or a folder with a folder of pictures for
        each class; a table in memory; rows of numbers with their targets; pictures (uint8 of shape
        (m, size, size, 3)) with their classes, or with class numbers and the names of the classes;
        or data that is already split.
    config : TrainConfig, optional
        The options of the training.
    validation_data : path, DataFrame, (X, y) or (X, y, classes), optional
        Rows to validate with after each epoch, instead of a share of ``data``.
    callbacks, watch
        See `plainnet.fit`.
    progress : callable, optional
        Called with the number of pictures read so far, and the total.
    ready : callable, optional
        Called with the data and the network before the training.
    checkpoints : Checkpoints, optional
        The store of the training's state, for `resume`.
    epochs : int, optional
        Stop after so many of the epochs of ``config``, whose schedule spans them all.
    evaluate : bool, default True
        Whether to evaluate the network and to record results in the model.
    ranks : Ranks, default this process alone
        The processes that train together, as `fit` takes them; all read the data, and rank 0
        evaluates.

    Returns
    -------
    Run
        The model, the history and the data.

    Raises
    ------
    PlainnetError
        If data or options cannot be used, or the loss is not finite.
    EvaluationInterrupted
        If Ctrl-C comes after the training, during the evaluation.

    Examples
    --------
    >>> X, y = np.arange(40.0).reshape(20, 2), ["low"] * 10 + ["high"] * 10
    >>> run = train((X, y), TrainConfig(epochs=200, lr=0.01))
    >>> run.model.predict(X[[0, 19]])
    array(['low', 'high'], dtype=object)
    """
    from plainnet.evaluate.per_example import drop_extreme_rows

    path = Path(data) if isinstance(data, str | Path) else None
    ranks.require_same({"options": config})
    config = config if validation_data is None else for_validation_data(config)
    # With validation data, patience needs no share of the rows.
    shares = config if validation_data is None else replace(config, patience=0)
    data = load(data, shares, progress=progress, ranks=ranks)
    config = settled(config, data.train.X, data.target.task, data.notes, data.m)
    if checkpoints is not None:
        if path is not None:
            checkpoints.attach("path", partial(checkpoints.files.relative, path))
        if checkpoints.checkpoint is not None:
            with checkpoints.validated():
                _require_weights(checkpoints, config, data.schema.n_features, data.target.n_out)
    net, members = members_of(config, data)
    model = untrained(data, config, net)
    if validation_data is not None:
        data = replace(data, validation=_validation_rows(model, validation_data))
    data = drop_extreme_rows(model, data, "validation")
    if checkpoints is not None:
        checkpoints.require_same("config", partial(asdict, config))
        checkpoints.require_same("data", partial(_fingerprint, data))
        if checkpoints.attached("notes") is not None:  # the file names of then
            with checkpoints.validated() as about:
                data.notes[:] = about.texts("notes", distinct=False)
        checkpoints.attach("notes", lambda: data.notes)
    if ready is not None:
        ready(data, model.net)
    history = fit(
        model.net if net is None else net,
        *(data.train if data.stream is None else (data.stream, None)),
        loss=model.loss,
        optimizer=make_optimizer(config, data.m),
        epochs=config.epochs if epochs is None else epochs,
        batch_size=config.rows_in_batch,
        validation_data=data.train if members and data.stream else data.validation,
        logits_metric=model.loss.metric,
        class_weight=config.class_weight,
        l2=config.l2,
        clip_norm=config.clip_norm,
        early_stopping=EarlyStopping(config.patience) if config.patience else None,
        callbacks=callbacks,
        watch=watch,
        transform=_transform(model, data),
        members=members,
        augment=augmentation(config.augment),
        engine=config.engine,
        checkpoints=checkpoints,
        ranks=ranks,
        seed=rng(config, 2),
    )
    if net is not None and members is not None:
        mean = averaged(net, members, *data.train, model.loss, None, config.class_weight)
        model.net.params.theta[...] = mean.params.theta
    if not evaluate or ranks.rank:
        return Run(model, history, data)
    name = None if path is None else path.resolve().name  # without its folder: it may be private
    return _evaluated(Run(model, history, data), config, name)


def _validation_rows(model: Model, data: "Data") -> "Examples":
    """Read validation rows in the encoding of a model."""
    from plainnet.data.arrays import array_frame, labeled_images
    from plainnet.evaluate.per_example import read_rows

    if isinstance(data, tuple) and model.transform is not None:
        return labeled_images(model.target, *data)
    return read_rows(model, array_frame(*data)[1] if isinstance(data, tuple) else data).rows


def _evaluated(run: Run, config: Config, name: str | None) -> Run:
    """Evaluate a trained model, and record how it was trained on which data."""
    from plainnet.evaluate.evaluate import evaluate_held_out

    model, history, data = run
    model.record |= {
        "config": asdict(config) | {"cache_dir": None},  # a folder that may be private
        "history": finite(history.record()),
        "versions": versions(),
    }
    # Of rows that are not in memory, only those of a sample could be recognized.
    fingerprints = config.fingerprints and not config.private and data.stream is None
    data, interrupted = evaluate_held_out(model, data, fingerprints)
    parts = {"validation": data.validation, "test": data.test}
    sizes = {part: 0 if rows is None else len(rows.X) for part, rows in parts.items()}
    model.record |= {
        "rows": {"train": data.m} | sizes,
        "notes": [] if config.private else list(data.notes),  # which name rows and files
    }
    if name is not None:
        model.record["data"] = name
    if interrupted:
        raise EvaluationInterrupted(Run(model, history, data))
    return Run(model, history, data)


def untrained(data: "Dataset", config: Config, members: Sequential | None = None) -> Model:
    """Make the untrained model for a data set, or the mean of members side by side."""
    loss = make_loss(data.target.task, config)
    if members is None:
        net = make_network(config, data.train.X.shape[1:], data.target.n_out)
    else:
        net = mean_of_groups(members)
    model = Model(data.schema, data.target, net, loss)
    if _flattens_pictures(model):
        net.params.views["dense1.W"][:, data.constant] = 0
    return model


def _flattens_pictures(model: Model) -> bool:
    """Whether each number of a picture has weights of its own, as in no convolution."""
    return model.transform is not None and len(model.net.in_shape) == 1


def _transform(model: Model, data: "Dataset") -> Transform | None:
    """Return a transform that sets features that never vary to 0, so that their weights stay 0."""
    plain, constant = model.transform, data.constant
    if not _flattens_pictures(model) or constant is None or not constant.any():
        return plain

    def transform(X: Array) -> Array:
        assert plain is not None  # for the type checker
        rows = plain(X)
        rows[:, constant] = 0
        return rows

    return transform


def resume(checkpoints: Checkpoints, **options: Any) -> Run:
    """Continue an interrupted training: it ends as if it had never been interrupted.

    The options are those of `train` except data, config and checkpoints.
    """
    return train(*begun(checkpoints), checkpoints=checkpoints, **options)


def begun(checkpoints: Checkpoints) -> tuple[Path, TrainConfig]:
    """Return data and options of a training from its checkpoints."""
    if checkpoints.attached("path") is None or checkpoints.attached("config") is None:
        raise ModelFileError(
            f"the training in {str(checkpoints.folder)!r} was not begun on a file or folder, so "
            "its checkpoints do not name the data: train again as it began"
        )
    with checkpoints.validated() as about:
        path = checkpoints.files.absolute(about.path("path"))
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
    checkpoints: Checkpoints, config: Config, n_in: int = 1, n_out: int = 1
) -> None:
    """Refuse layers that need more weights than the file holds, before memory is taken."""
    assert checkpoints.checkpoint is not None
    stored = checkpoints.checkpoint.arrays["theta"].size
    needed = least_weights(config, n_in, n_out)
    if needed > stored:
        raise ModelFileError(
            f"its options describe a network of at least {needed:,} weights, and it holds "
            f"{stored:,}"
        )


def _fingerprint(data: "Dataset") -> str:
    """Return a fingerprint of all the data that the model file depends on."""
    parts = [a for rows in (data.train, data.validation, data.test) for a in rows or (None,)]
    parts += [] if data.stream is None else [data.stream.rows.checksums]
    meaning = repr((data.schema.to_json(), data.target.to_json()))
    return digest(*parts, np.frombuffer(meaning.encode(), np.uint8))


@final
@dataclass(frozen=True)
class Repeats:
    """The scores of trainings that differ only in their seed, and those of the baselines."""

    seeds: tuple[int, ...]
    metric: str  # accuracy, or rmse for numbers
    network: tuple[float, ...]
    baseline: tuple[float, ...]  # the best one for each seed

    @property
    def mean(self) -> float:
        """The mean over the networks."""
        return round(mean(self.network), 12)

    @property
    def deviation(self) -> float:
        """Their standard deviation, of a sample (n - 1)."""
        return round(stdev(self.network), 12)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest."""
        return min(self.network), max(self.network)

    @property
    def better(self) -> int:
        """The number of seeds for which the network was better than the best baseline."""
        sign = -1 if self.metric == "rmse" else 1
        pairs = zip(self.network, self.baseline, strict=True)
        return sum(sign * own > sign * other for own, other in pairs)

    def to_json(self) -> dict[str, Any]:
        """Return fields and properties as JSON."""
        names = ("seeds", "metric", "network", "baseline", "mean", "deviation", "spread", "better")
        values = {name: getattr(self, name) for name in names}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def repeat(first: Run, data: "Data", config: Config, k: int) -> Repeats:
    """Train with the seeds that follow and compare; the first run's model records the result.

    Ctrl-C ends the repeats; the completed runs are compared.
    """
    check_repeat(config, k)
    metric = "rmse" if first.model.target.task == "regression" else "accuracy"
    seeds = range(config.seed, config.seed + k)
    scores, baselines = [], []
    for seed in seeds:
        run = first if seed == config.seed else train(data, replace(config, seed=seed))
        if run.history.stopped == "interrupted":
            break
        evaluation = stored_evaluation(run.model)
        if evaluation is None or evaluation.best_baseline is None:
            why = run.data.notes[-1] if run.data.notes else "no rows were held out"
            raise PlainnetError(f"the network of seed {seed} has no evaluation: {why}")
        scores.append(evaluation.scores.main)
        baselines.append(evaluation.best_baseline.scores.main)
    if len(scores) < 2:
        raise KeyboardInterrupt
    repeats = Repeats(tuple(seeds[: len(scores)]), metric, tuple(scores), tuple(baselines))
    first.model.record["repeats"] = repeats.to_json()
    return repeats


def check_repeat(config: Config, k: int) -> None:
    """Refuse arguments of `repeat` that are out of range."""
    if k < 2:
        raise PlainnetError(f"to repeat a training takes at least 2 in all, got {k}")
    if not config.test_fraction:
        raise PlainnetError(
            "repeats are compared on held-out rows: set for example test_fraction=0.2"
        )
