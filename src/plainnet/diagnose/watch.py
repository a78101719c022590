"""Wards: a training is watched here, for the doctor to look at it when it ends."""

from dataclasses import replace
from typing import TYPE_CHECKING, final

from plainnet.config import TrainConfig, make_loss, make_optimizer
from plainnet.diagnose.doctor import examine
from plainnet.diagnose.recorder import Recorder
from plainnet.diagnose.snapshot import TrainingSnapshot
from plainnet.evaluate.finding import Finding
from plainnet.evaluate.one_rule import feature_spans
from plainnet.evaluate.per_example import NamedExamples, usable
from plainnet.evaluate.training_record import recorded_history
from plainnet.model import Model
from plainnet.nn.layers import Dropout
from plainnet.nn.network import Sequential
from plainnet.storage.json_reader import JsonReader
from plainnet.train.history import Epoch, History

if TYPE_CHECKING:
    from plainnet.data.dataset import Dataset, Examples


@final
class DoctorWatch:
    """Watches one training: give ``ready`` and ``watch`` to `plainnet.training.train`."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.history = History()
        self._probe: Recorder | None = None
        self._data: Dataset | None = None
        self._net: Sequential | None = None

    def ready(self, data: "Dataset", net: Sequential) -> None:
        """Note the network before the training begins."""
        self._data, self._net, self._probe = data, net, Recorder(net)

    def state(self) -> list[list[float]]:
        """Return what the epochs so far have left, for `go_on` to take it up again."""
        return [] if self._probe is None else [list(norms) for norms in self._probe.gradients]

    def go_on(self, about: JsonReader) -> None:
        """Take up what the epochs before an interruption have left, their field ``doctor_watch``."""
        assert self._probe is not None
        self._probe.gradients[:] = about.rows("doctor_watch", len(self._probe.layers))

    def watch(self, epoch: Epoch) -> None:
        """Note an epoch."""
        assert self._probe is not None
        self.history.add(epoch)
        self._probe.watch(epoch)

    def findings(self, history: History | None = None, failure: str | None = None) -> list[Finding]:
        """Examine what was watched."""
        assert self._data is not None
        assert self._net is not None
        config, data = self.config, self._data
        loss = make_loss(data.target.task, config)
        model = Model(data.schema, data.target, self._net, loss)
        held_out = data.test
        if held_out is not None:  # not one row with a fill value decides what the doctor says
            names = tuple(map(str, range(len(held_out.X))))
            kept = usable(model, NamedExamples(names, *held_out), [])
            held_out = kept.rows if kept.names else None
        snapshot = replace(
            snapshot_of(model, data.train, held_out),
            class_weight=config.class_weight,
            history=self.history if history is None else history,
            optimizer=make_optimizer(config, len(data.train.X)),
            probe=self._probe,
            l2=config.l2,
            failure=failure,
        )
        return examine(snapshot)


def snapshot_of(model: Model, rows: "Examples", held_out: "Examples | None") -> TrainingSnapshot:
    """Return a model with its rows as the doctor looks at them."""
    from plainnet.data.table_schema import TableSchema

    table = model.schema if isinstance(model.schema, TableSchema) else None
    drops = [layer.rate for layer in model.net.layers if isinstance(layer, Dropout)]
    return TrainingSnapshot(
        model.net,
        model.loss,
        rows.X,
        rows.y,
        transform=model.transform,
        held_out=None if held_out is None else (held_out.X, held_out.y),
        dropout=max(drops, default=0.0),
        names=() if table is None else table.feature_names,
        classes=model.target.classes,
        columns=() if table is None else feature_spans(table),
        schema=model.schema,
    )


def examine_model(model: Model, rows: "Examples") -> list[Finding]:
    """Examine a trained model by rows, and by the course of its training if its record has it."""
    model.forward(rows.X)  # refuses a network that is out of proportion
    history = recorded_history(model.record)
    return examine(replace(snapshot_of(model, rows, None), history=history))
