"""Models: prediction from raw input, file round trips, and validation."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import plainnet.data.table_schema as tables
from export.models import frame, picture_model, table_models
from plainnet import (
    BinaryCrossEntropy,
    DataError,
    MeanSquaredError,
    Model,
    ModelFileError,
    PlainnetError,
    SoftmaxCrossEntropy,
    TrainConfig,
    mlp,
)
from plainnet.data.column_kinds import CategoryColumn
from plainnet.data.synthetic import introverts, pandas_and_bears
from plainnet.data.table_schema import TableSchema
from plainnet.data.targets import Target
from plainnet.storage.model_file import read_model, write_model
from plainnet.training import train

QUICK = TrainConfig(epochs=3, hidden=(4,))


def frame_for(task, m=60):
    rng = np.random.default_rng(0)
    x, color = rng.standard_normal(m), rng.choice(["red", "green"], m)
    target = {
        "binary": np.where(x > 0, "yes", "no"),
        "multiclass": np.array(["a", "b", "c"])[np.arange(m) % 3],
        "multilabel": np.array(["p;q", "q", "p"])[np.arange(m) % 3],
        "regression": 100 + 10 * x,
    }[task]
    return pd.DataFrame({"x": x, "color": color, "y": target})


@pytest.fixture(scope="module")
def models():
    return {
        task: train(frame_for(task), QUICK).model
        for task in ("binary", "multiclass", "multilabel", "regression")
    } | {"pictures": train(pandas_and_bears(20, size=8), QUICK).model}


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression", "pictures"])
def test_saved_model_predicts_the_same(models, task, tmp_path):
    model = models[task]
    raw = pandas_and_bears(6, size=8, seed=4)[0] if task == "pictures" else frame_for(task)
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict_logits(raw), model.predict_logits(raw))
    np.testing.assert_array_equal(again.predict(raw), model.predict(raw))
    assert again.record == json.loads(json.dumps(model.record))
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "m.safetensors"
    ).read_bytes()


def test_predicted_labels_are_those_of_the_table(models):
    assert set(models["binary"].predict(frame_for("binary"))) <= {"yes", "no"}
    assert set(models["multiclass"].predict(frame_for("multiclass"))) <= {"a", "b", "c"}
    assert models["multilabel"].predict(frame_for("multilabel")).shape == (60, 2)
    assert 60 < models["regression"].predict(frame_for("regression")).mean() < 140


def test_predict_and_predict_proba(models):
    for task in ("binary", "multiclass", "multilabel"):
        model, raw = models[task], frame_for(task)
        A, Z = model.predict_proba(raw), model.predict_logits(raw)
        assert A.shape == (60, len(model.target.classes))
        assert Z.shape == (60, model.target.n_out)
        if task == "binary":
            np.testing.assert_array_equal(A[:, 1:], model.predictions(model.preprocess(raw)))
        if task != "multilabel":
            np.testing.assert_allclose(A.sum(axis=1), 1, rtol=1e-6)
            names = np.array(model.target.classes, object)
            np.testing.assert_array_equal(model.predict(raw), names[A.argmax(axis=1)])
        else:
            np.testing.assert_array_equal(model.predict(raw), A > 0.5)


def test_regression_has_no_predict_proba(models):
    model, raw = models["regression"], frame_for("regression")
    standardized = model.predict_logits(raw)
    expected = standardized.astype(float) * model.target.scale + model.target.mean
    np.testing.assert_array_equal(model.predict(raw), expected)
    with pytest.raises(PlainnetError) as error:
        model.predict_proba(raw)
    assert str(error.value) == (
        "a regression model predicts numbers and has no probabilities: call predict"
    )


def test_raw_input_may_be_a_path(models, tmp_path):
    frame_for("binary").to_csv(tmp_path / "rows.csv", index=False)
    from_file = models["binary"].predict_proba(tmp_path / "rows.csv")
    np.testing.assert_array_equal(from_file, models["binary"].predict_proba(frame_for("binary")))

    X = pandas_and_bears(3, size=8)[0]
    for i, picture in enumerate(X):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    (tmp_path / "rows.csv").unlink()
    np.testing.assert_array_equal(
        models["pictures"].predict_proba(tmp_path), models["pictures"].predict_proba(X)
    )


def test_unknown_category_is_predicted_with_a_note(models):
    notes = []
    new = frame_for("binary").head(2).assign(color=["red", "violet"])
    assert len(models["binary"].predict(new, notes)) == 2
    assert any("violet" in note for note in notes)


def test_missing_column_raises(models):
    with pytest.raises(DataError, match="'x'"):
        models["binary"].predict(frame_for("binary").drop(columns="x"))


def test_inconsistent_parts_raise(models):
    model = models["binary"]
    with pytest.raises(PlainnetError) as error:
        Model(model.schema, model.target, model.net, MeanSquaredError())
    assert str(error.value) == (
        "a binary target is learned with BinaryCrossEntropy, not MeanSquaredError"
    )
    with pytest.raises(PlainnetError) as error:
        Model(model.schema, model.target, mlp(model.schema.n_features, n_out=2), model.loss)
    assert str(error.value) == "the target needs 1 outputs, the network has 2"
    with pytest.raises(PlainnetError, match="the network expects shape"):
        Model(model.schema, model.target, mlp(99), BinaryCrossEntropy())


def test_oversized_record_is_truncated_with_a_note(models, tmp_path, monkeypatch):
    whole = models["multiclass"]
    record = {**whole.record, "notes": ["short"]}
    model = Model(whole.schema, whole.target, whole.net, whole.loss, record, whole.extras)
    monkeypatch.setattr("plainnet.model.MAX_RECORD", 2000)
    model.save(tmp_path / "m")
    assert model.record == record
    again = Model.load(tmp_path / "m")
    np.testing.assert_array_equal(again.net.params.theta, model.net.params.theta)
    first, message = again.record["notes"]
    assert first == "short"
    assert message.startswith("left out of the record, which would be too long: ")
    assert "evaluation.probabilities (" in message
    assert "probabilities" not in again.record["evaluation"]
    assert again.record["evaluation"]["accuracy"] > 0
    assert again.record["config"] == json.loads(json.dumps(record["config"]))


def test_many_classes_give_a_small_file(tmp_path):
    """Nothing grows with the square of the number of classes."""
    rng, sizes = np.random.default_rng(0), []
    for k in (50, 200):
        frame = pd.DataFrame(rng.normal(size=(3 * k, 2)), columns=["a", "b"])
        frame["y"] = [f"class {i % k}" for i in range(3 * k)]
        result = train(frame, TrainConfig(epochs=1, task="multiclass", batch_size="full"))
        result.model.save(tmp_path / "m")
        sizes.append((tmp_path / "m").stat().st_size)
        found = Model.load(tmp_path / "m").record["evaluation"]
        assert sum(rows for _, _, rows in found["confusions"]) == found["rows"]
        assert all("confusions" not in one for one in found["baselines"])
    assert sizes[1] < 4.5 * sizes[0]
    assert sizes[1] < 200_000


def edited(model, tmp_path, change):
    """Write a model with a changed header and a valid digest."""
    path = tmp_path / "m.safetensors"
    model.save(path)
    tensors, header = read_model(path)
    change(tensors, header)
    write_model(path, tensors, header)
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t, h: h.pop("schema"), "field 'schema' of its header is absent"),
        (lambda t, h: h.update(target=[]), "'target' of its header should be an object"),
        (lambda t, h: h["schema"].update(kind="audio"), "kind"),
        (lambda t, h: h["loss"].update(kind="Evil"), "no loss for a binary target"),
        (lambda t, h: h["loss"].update(label_smoothing="a"), "label_smoothing"),
        (lambda t, h: h["network"].update(layers=[]), "at least one layer"),
        (lambda t, h: h["network"]["layers"][0].update(n_out=10**12), "shape"),
        (lambda t, h: h["network"]["layers"][0].update(kind="os.system"), "unknown layer"),
        (lambda t, h: h["network"].update(in_shape=[10**9]), "shape"),
        (lambda t, h: h["target"].update(classes=["one"]), "target"),
        (lambda t, h: t.pop("dense1.W"), "dense1.W"),
        (lambda t, h: t.update(extra=np.ones(1, np.float32)), "extra"),
    ],
)
def test_edited_file_raises_in_one_sentence(models, tmp_path, change, says):
    path = edited(models["binary"], tmp_path, change)
    with pytest.raises(ModelFileError) as error:
        Model.load(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_same_seed_gives_the_same_bytes(tmp_path):
    files = []
    for name in ("a", "b"):
        result = train(introverts(100), TrainConfig(epochs=2, dropout=0.2, validation_fraction=0.2))
        result.model.save(tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    train(introverts(100), TrainConfig(epochs=2, dropout=0.2, seed=1)).model.save(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() != files[0]


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_no_rows_give_no_predictions(task, tmp_path):
    model = table_models()[task]
    nothing = frame().iloc[:0]
    nothing.to_csv(tmp_path / "rows.csv", index=False)
    for raw in (nothing, tmp_path / "rows.csv"):
        assert model.predict_logits(raw).shape == (0, model.target.n_out)
        assert len(model.predict(raw)) == 0
    pictures = picture_model(8, task)
    assert pictures.predict_logits(np.zeros((0, 8, 8, 3), np.uint8)).shape == (
        0,
        model.target.n_out,
    )
    assert len(pictures.predict(np.zeros((0, 8, 8, 3), np.uint8))) == 0


def test_real_survey_reaches_its_cost(shared_data):
    config = TrainConfig(optimizer="sgd", lr=0.5, batch_size="full", epochs=1000)
    result = train(shared_data / "introverts.csv", config)
    assert result.history.loss[-1] <= 0.30


def test_real_pictures_reach_their_cost(shared_data):
    config = TrainConfig(hidden=(8, 8, 8), optimizer="sgd", lr=0.01, batch_size="full", epochs=300)
    result = train(shared_data / "pandas-bears", config)
    assert result.history.loss[-1] < 0.005
    assert result.history.row_space is not None


def test_dropped_column_round_trip(tmp_path):
    frame = frame_for("binary").assign(cabin=[f"c{i}" if i % 4 == 0 else None for i in range(60)])
    model = train(frame, TrainConfig(epochs=1, test_fraction=0.6, target=("y",))).model
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_wide_features_are_encoded_in_blocks():
    levels = tuple(sorted(f"level {i}" for i in range(20_000)))
    schema = TableSchema((CategoryColumn("c", 0, levels, levels[0]),), 1)
    target = Target("binary", ("y",), ("no", "yes"))
    model = Model(schema, target, mlp(20_000, (), 1, seed=0), BinaryCrossEntropy())
    frame = pd.DataFrame({"c": [levels[i * 7 % 20_000] for i in range(5000)]})
    tracemalloc.start()
    message = model.predict_proba(frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # and not 4 * 5000 * 20,000 bytes
    weights = model.net.params.views["dense1.W"][0, np.arange(5000) * 7 % 20_000]
    np.testing.assert_allclose(message[:, 1], 1 / (1 + np.exp(-weights)), rtol=1e-5)


def test_extreme_row_is_named_in_any_block(monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 4)
    frame = pd.DataFrame({"hours": [1.0, 2, 3, 4], "passed": ["no", "no", "yes", "yes"]})
    model = train(frame, TrainConfig(hidden=(), epochs=1, test_fraction=0)).model
    new = pd.DataFrame({"hours": [*range(20), 1e38]})
    assert len(model.predict(new[:20])) == 20
    with pytest.raises(PlainnetError, match="the network's output for row 21 is "):
        model.predict(new)


def test_predictions_beyond_memory_raise():
    classes = tuple(str(i) for i in range(20_000))
    schema = TableSchema.infer(pd.DataFrame({"x": [1, 2]}))
    target = Target("multiclass", ("y",), classes)
    model = Model(schema, target, mlp(1, (), 20_000), SoftmaxCrossEntropy())
    for call in (model.predict, lambda frame: model.forward(model.preprocess(frame))):
        with pytest.raises(PlainnetError) as error:
            call(pd.DataFrame({"x": np.arange(10_000)}))
        assert str(error.value) == (
            "10,000 rows have 20,000 predictions each, more than 134,217,728 in all: "
            "give fewer rows at a time"
        )
    assert model.predict(pd.DataFrame({"x": [1]})).shape == (1,)
