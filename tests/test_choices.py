"""Training without standardization and without fingerprints."""

import numpy as np
import pandas as pd
import pytest

from plainnet import Model, TrainConfig
from plainnet.data.synthetic import pandas_and_bears
from plainnet.evaluate.evaluate import evaluate
from plainnet.training import train


def numbers(m=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"income": rng.normal(40_000, 9_000, m), "age": rng.integers(18, 90, m)})
    return frame.assign(y=np.where(frame["age"] > 50, "old", "young"))


def test_numbers_are_unchanged_without_standardize(tmp_path):
    frame = numbers()
    model = train(frame, TrainConfig(epochs=2, standardize=False)).model
    given = frame[["income", "age"]].to_numpy(np.float32)
    assert (model.preprocess(frame) == given).all()
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    assert (again.preprocess(frame) == given).all()
    assert (again.predict_proba(frame) == model.predict_proba(frame)).all()
    assert [row.encoding for row in again.schema.describe()] == ["unscaled", "unscaled"]
    scaled = train(frame, TrainConfig(epochs=2)).model
    assert abs(scaled.preprocess(frame)).max() < 6
    assert scaled.schema.to_json().keys() == model.schema.to_json().keys()


def test_pixels_are_unchanged_without_standardize(tmp_path):
    X, y, classes = pandas_and_bears(30, size=8)
    model = train((X, y, classes), TrainConfig(epochs=2, standardize=False)).model
    assert (model.transform(X) == X).all()
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    assert (again.transform(X) == X).all()
    assert again.schema.unscaled
    assert not train((X, y, classes), TrainConfig(epochs=1)).model.schema.unscaled


@pytest.mark.parametrize("pictures", [False, True])
def test_baselines_are_standardized_in_any_case(pictures):
    """Baselines do not depend on the options of the network."""
    found = {}
    for standardize in (True, False):
        config = TrainConfig(epochs=1, standardize=standardize, test_fraction=0.4)
        if pictures:
            run = train(pandas_and_bears(60, size=8), config)
        else:
            run = train(numbers(200), config)
        every = run.model.record["evaluation"]["baselines"]
        found[standardize] = {one["name"]: (one["accuracy"], one["loss"]) for one in every}
    for name, (accuracy, loss) in found[True].items():
        assert found[False][name] == (accuracy, pytest.approx(loss, rel=1e-3))


def test_model_without_fingerprints(tmp_path):
    frame = numbers(400)
    again = frame.assign(income=frame["income"] + 0.5)  # near duplicates, but no equal rows
    twice = pd.concat([frame, again], ignore_index=True)
    found = {}
    for keep in (True, False):
        run = train(twice, TrainConfig(epochs=1, fingerprints=keep))
        run.model.save(tmp_path / "m.safetensors")
        again = Model.load(tmp_path / "m.safetensors")
        assert any(name.startswith("rows.") for name in again.extras) == keep
        # the training itself could still look for its rows
        judged = run.model.record["evaluation"]["findings"]
        assert "duplicates across the split" in {one["name"] for one in judged}
        found[keep] = {one.name: one for one in evaluate(again, run.data.train).findings}
        assert (again.predict(frame) == run.model.predict(frame)).all()
    assert "rows trained on" in found[True]
    assert "rows trained on" not in found[False]
    assert "training rows unknown" not in found[True]
    assert found[False]["training rows unknown"].level == "note"
