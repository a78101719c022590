"""History: one entry per epoch in the applicable columns."""

import json

import numpy as np
import pytest

from plainnet.nn import BinaryCrossEntropy, mlp
from plainnet.train import EarlyStopping, Epoch, History
from plainnet.train.fit import fit

COLUMNS = {"loss", "val_loss", "metric", "val_metric", "lr", "seconds"}


def test_add_skips_missing_values():
    history = History()
    history.add(Epoch(1, 3, 0.7, None, 0.5, None, 0.1, 0.01))
    history.add(Epoch(2, 3, 0.6, None, 0.75, None, 0.05, 0.02))
    assert history == History(
        loss=[0.7, 0.6], metric=[0.5, 0.75], lr=[0.1, 0.05], seconds=[0.01, 0.02]
    )
    assert len(history) == 2


def test_zero_is_recorded():
    history = History()
    history.add(Epoch(1, 1, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0))
    assert all(getattr(history, column) for column in COLUMNS)


def test_histories_are_independent():
    one, other = History(), History()
    one.loss.append(1.0)
    assert other.loss == []


def test_epoch_is_immutable():
    with pytest.raises(AttributeError):
        Epoch(1, 1, 0.0, None, None, None, 0.1, 0.0).loss = 1.0


@pytest.mark.parametrize("validation", [None, 0.25])
@pytest.mark.parametrize("metric", [None, BinaryCrossEntropy().metric])
def test_columns_of_a_training(validation, metric):
    X = np.random.default_rng(0).normal(size=(40, 2))
    options = {
        "validation_fraction": validation or 0.0,
        "logits_metric": metric,
        "epochs": 5,
        "batch_size": 8,
    }
    received: list[Epoch] = []
    history = fit(
        mlp(2),
        X,
        X[:, 0] > 0,
        loss=BinaryCrossEntropy(),
        callbacks=[lambda epoch: received.append(epoch)],
        **options,
    )
    empty = set()
    if validation is None:
        empty |= {"val_loss", "val_metric"}
    if metric is None:
        empty |= {"metric", "val_metric"}
    for column in COLUMNS:
        values = getattr(history, column)
        assert len(values) == (0 if column in empty else 5)
        assert all(type(value) is float and np.isfinite(value) for value in values)
        assert [getattr(e, column) for e in received] == (values or [None] * 5)
    assert [(e.number, e.of) for e in received] == [(n, 5) for n in range(1, 6)]
    assert min(history.seconds) > 0
    assert history.stopped == "epochs"
    assert history.best_epoch is None


def test_record_json_round_trip():
    X = np.random.default_rng(0).normal(size=(40, 2))

    def record():
        return fit(
            mlp(2),
            X,
            X[:, 0] > 0,
            loss=BinaryCrossEntropy(),
            logits_metric=lambda Z, y: np.float32(0.1),  # type: ignore[arg-type,return-value]
            validation_fraction=0.25,
            early_stopping=EarlyStopping(),
            epochs=3,
        ).record()

    first = record()
    assert set(first) == COLUMNS - {"seconds"} | {
        "stopped",
        "best_epoch",
        "threads",
        "row_space",
        "engine",
    }
    assert json.loads(json.dumps(first)) == first == record()
    assert first["best_epoch"] == 3
