"""Record a training and diagnose it at its end; diagnose a trained model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, final

import numpy as np

from plainnet.build import make_loss, make_optimizer
from plainnet.config import Config, ResolvedConfig
from plainnet.diagnose.doctor import examine
from plainnet.diagnose.recorder import Recorder
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.errors import PlainnetError
from plainnet.evaluate.baselines.baseline import Baseline, stored_baselines
from plainnet.evaluate.feature_spans import feature_spans
from plainnet.evaluate.finding import Finding
from plainnet.evaluate.per_example import NamedExamples, drop_extremes
from plainnet.evaluate.training_record import recorded_config, recorded_history
from plainnet.model import Model
from plainnet.nn.network import Sequential
from plainnet.storage.json_reader import JsonReader
from plainnet.tabular import settled
from plainnet.train.history import Epoch, History
from plainnet.training import Run

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Examples


@final
class DoctorWatch:
    """Records one training: pass ``ready`` and ``watch`` to `plainnet.training.train`."""

    _config: ResolvedConfig
    _data: "Dataset"
    _recorder: Recorder

    def __init__(self, config: Config) -> None:
        self.given = config
        self.history = History()

    def ready(self, data: "Dataset", net: Sequential) -> None:
        """Record the initial network."""
        self._config = settled(self.given, data.train.X, data.target.task, m=data.m)
        self._data, self._recorder = data, Recorder(net)

    @property
    def tabular(self) -> bool:
        """Whether the network is the default for tables."""
        return self._config.network == "tabular"

    def state(self) -> list[list[float]]:
        """Return the gradient norms so far, for a checkpoint."""
        return [list(norms) for norms in self._recorder.gradients]

    def restore(self, fields: JsonReader) -> None:
        """Restore the state of a checkpoint from its field ``doctor_watch``."""
        layers = len(self._recorder.layers)
        self._recorder.gradients[:] = fields.rows("doctor_watch", layers)

    def watch(self, epoch: Epoch) -> None:
        """Record an epoch."""
        self.history.add(epoch)
        self._recorder.watch(epoch)

    def findings(self, run: Run | None = None, failure: str | None = None) -> list[Finding]:
        """Diagnose the training, with the baselines of its evaluation."""
        config, data = self._config, self._data
        loss = make_loss(data.target.task, config)
        model = Model(data.schema, data.target, self._recorder.net, loss)
        held_out = data.test
        if held_out is not None:  # a row with a fill value must not decide a finding
            named = NamedExamples(np.arange(len(held_out.X)), *held_out)
            kept = drop_extremes(model, named, [])
            held_out = kept.rows if len(kept.X) else None
        snapshot = replace(
            _snapshot(model, data.train, held_out),
            m=data.m,
            config=config,
            history=self.history if run is None else run.history,
            optimizer=make_optimizer(config, data.m),
            recorder=self._recorder,
            failure=failure,
            baselines=_baselines(model if run is None else run.model),
        )
        return examine(snapshot)


def _baselines(model: Model) -> Mapping[str, Baseline] | None:
    """Return the stored baselines without the constant, by a phrase for each."""
    stored = stored_baselines(model)
    phrases = {one.describe(model.target)[1]: one for one in stored if one.name != "constant"}
    return phrases or None


def _snapshot(model: Model, rows: "Examples", held_out: "Examples | None") -> TrainingSnapshot:
    from plainnet.data.table_schema import TableSchema

    table = model.schema if isinstance(model.schema, TableSchema) else None
    return TrainingSnapshot(
        model.net,
        model.loss,
        rows.X,
        rows.y,
        transform=model.transform,
        held_out=None if held_out is None else (held_out.X, held_out.y),
        feature_names=() if table is None else table.feature_names,
        classes=model.target.classes,
        columns=() if table is None else feature_spans(table),
        schema=model.schema,
    )


def examine_model(model: Model, rows: "Examples") -> list[Finding]:
    """Diagnose a trained model on rows, and its training if its record holds the history."""
    model.forward(rows.X)  # refuses a network that is out of proportion
    history, config = recorded_history(model.record), trained_config(model, rows)
    return examine(replace(_snapshot(model, rows, None), history=history, config=config))


def trained_config(model: Model, rows: "Examples") -> ResolvedConfig | None:
    """Return the options that a model was trained with, if its record holds them."""
    config = recorded_config(model.record)
    try:
        return config and settled(config, rows.X, model.target.task)
    except PlainnetError:  # the record was edited
        return None
