"""Metrics for TensorBoard and MLflow, read back with their own libraries."""

import struct
import sys

import numpy as np
import pytest

from plainnet import Model
from plainnet.cli import main
from plainnet.data.synthetic import introverts
from plainnet.errors import PlainnetError
from plainnet.estimators import NetClassifier
from plainnet.tracking import MLflowLog, TensorBoardLog

pytestmark = pytest.mark.filterwarnings("ignore")  # of the imported libraries
OPTIONS = ["--target=Personality", "--network=mlp", "--epochs=3", "--validation-fraction=0.2"]
OPTIONS += ["--out=model.safetensors"]


@pytest.fixture
def survey(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    introverts(60).to_csv("survey.csv", index=False)


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """MLflow with a store of files, which asks nothing of the network."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    library = pytest.importorskip("mlflow", reason="tracking needs the extra track")
    library.set_tracking_uri((tmp_path / "runs").as_uri())
    return library


def scalars(folder):
    """Return the values of each metric, by step, in the event files of a folder."""
    events = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs the extra track")
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:  # records: length, its checksum, an event, its checksum
            (length,) = struct.unpack("<Q", content[:8])
            event = events.Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            content = content[16 + length :]
    return found


def history(path="model.safetensors"):
    return Model.load(path).record["history"]


def test_log_dir_writes_events_of_every_epoch(survey, tmp_path):
    assert main(["train", "survey.csv", *OPTIONS, "--log-dir=logs"]) == 0
    found, recorded = scalars(tmp_path / "logs"), history()
    assert {"loss", "val_loss", "metric", "val_metric", "lr"} <= found.keys()
    for name in ("loss", "val_loss", "lr"):
        assert list(found[name]) == [1, 2, 3]
        assert list(found[name].values()) == np.float32(recorded[name]).tolist()


def test_mlflow_holds_options_metrics_and_the_model(survey, tmp_path, mlflow):
    assert main(["train", "survey.csv", *OPTIONS, "--mlflow"]) == 0
    [run] = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert (run.data.params["epochs"], run.data.params["optimizer"]) == ("3", "adam")
    losses = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [each.value for each in losses] == history()["loss"]
    model = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="model.safetensors", dst_path=str(tmp_path / "got")
    )
    assert history(model) == history()


def test_estimators_take_both_as_callbacks(tmp_path, mlflow):
    X = np.random.default_rng(0).normal(size=(40, 2))
    with TensorBoardLog(tmp_path / "logs") as log, mlflow.start_run() as run:
        net = NetClassifier(hidden=(4,), epochs=4, callbacks=[log, MLflowLog()])
        net.fit(X, X[:, 0] > 0)
        from sklearn.base import clone

        clone(net)  # while the event file is open
    last = mlflow.MlflowClient().get_run(run.info.run_id).data.metrics["loss"]
    assert np.float32(last) == np.float32(scalars(tmp_path / "logs")["loss"][4])
    assert last == net.history_.loss[-1]


@pytest.mark.parametrize(("name", "log"), [("tensorboardX", "TensorBoard"), ("mlflow", "MLflow")])
def test_missing_library_gets_one_sentence(monkeypatch, name, log):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        PlainnetError, match=rf"{name} is not installed, .*{log}.*plainnet\[track\]"
    ):
        TensorBoardLog("x") if log == "TensorBoard" else MLflowLog()


def test_a_file_is_no_folder_of_events(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(PlainnetError, match="is a file: name a folder for TensorBoard events"):
        TensorBoardLog(tmp_path / "file")
