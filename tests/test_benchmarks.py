"""The benchmarks run: workloads, plainnet's side and the floor, without any peer installed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def workloads(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import workloads

    return workloads


@pytest.fixture
def session(workloads: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from benchmarks import session

    monkeypatch.setattr(session, "BRIEF", 1e-9)  # a turn is one training
    return session


def test_workloads_have_names_of_their_own(workloads):
    names = [w.name for w in workloads.WORKLOADS]
    names += [w.name for sweep in workloads.SWEEPS for _, w in sweep.workloads]
    assert len(set(names)) == len(names)
    assert set(workloads.QUICK) < set(names)


def test_a_workload_counts_its_steps_and_survives_json(workloads):
    w = workloads.Workload("w", (7, 16, 1), 2320, 64, "adam", 0.01, 20)
    assert w.steps == 37 * 20  # 36 batches of 64 and one of 16
    assert workloads.Workload.from_json(json.loads(json.dumps(w.to_json()))) == w


@pytest.mark.parametrize("n_out", [1, 10])
def test_data_is_the_same_each_time_and_balanced(workloads, n_out):
    w = workloads.Workload("w", (5, 4, n_out), 2000, None, "sgd", 0.1, 1)
    X, y = workloads.learnable(w)
    again = workloads.learnable(w)
    assert X.shape == (2000, 5)
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(y, again[1])
    counts = np.bincount(y.ravel().astype(int), minlength=max(2, n_out))
    assert counts.min() > 0
    assert y.shape == ((2000, 1) if n_out == 1 else (2000,))


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize(("sizes", "batch"), [((6, 4, 1), None), ((6, 5, 4, 3), 16)])
def test_plainnet_learns_the_workload_the_same_way_twice(
    workloads, session, tmp_path, rule, sizes, batch
):
    lr = {"sgd": 0.3, "momentum": 0.05, "adam": 0.02}[rule]
    w = workloads.Workload("w", sizes, 60, batch, rule, lr, 30)
    bench = session.Session(tmp_path, 2)
    try:
        timing = bench.train(w, ("plainnet",))["plainnet"]
    finally:
        bench.close()
    assert len(timing.seconds) == 2
    assert len(timing.losses) == 30
    assert timing.losses[-1] < timing.losses[0]


def test_a_job_survives_its_folder(workloads, tmp_path):
    w = workloads.Workload("w", (3, 4, 2), 20, None, "sgd", 0.1, 1)
    drawn = workloads.Job.draw(w)
    drawn.save(tmp_path / "w")
    read = workloads.Job.load(w, tmp_path / "w")
    np.testing.assert_array_equal(read.X, drawn.X)
    np.testing.assert_array_equal(read.y, drawn.y)
    assert [W.shape for W, _ in read.weights] == [(4, 3), (2, 4)]
    for (W, b), (W_drawn, b_drawn) in zip(read.weights, drawn.weights, strict=True):
        np.testing.assert_array_equal(W, W_drawn)
        np.testing.assert_array_equal(b, b_drawn)


def test_the_floor_takes_every_product_of_a_step(workloads):
    from benchmarks.sides.floor import Floor

    w = workloads.Workload("w", (5, 4, 3, 2), 10, 4, "sgd", 0.1, 1)
    floor = Floor(1)
    floor.load(workloads.Job.draw(w))
    # 3 batches of 4, 4 and 2 rows; 3 products forward, 3 for the weights, 2 for the inputs
    assert len(floor.products) == 3 * 8
    multiplied = sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in floor.products)
    assert multiplied == 10 * (3 * (5 * 4 + 4 * 3 + 3 * 2) - 5 * 4)
    assert floor.train(2) == []


def test_a_peer_that_fails_is_left_out_and_plainnet_is_not(workloads, session, tmp_path, capsys):
    w = workloads.Workload("w", (3, 4, 1), 20, None, "sgd", 0.1, 4, timed=2)
    bench = session.Session(tmp_path, 1)
    try:
        timings = bench.train(replace(w, rule="unknown"), ("floor", "nobody"))
        assert set(timings) == {"floor"}
        assert timings["floor"].scale == 2
        with pytest.raises(session.SideError, match="unknown"):
            bench.train(replace(w, name="v", rule="unknown"), ("plainnet",))
    finally:
        bench.close()
    assert "nobody is left out of w" in capsys.readouterr().err


def test_predictions_are_probabilities(workloads, session, tmp_path):
    w = workloads.Workload("p", (3, 4, 1), 50, 10, "sgd", 0.1, 1)
    bench = session.Session(tmp_path, 1)
    try:
        timings = bench.predict(w, ("plainnet", "floor"), 20, (None, 8))
    finally:
        bench.close()
    job = workloads.Job.draw(w)
    (W1, b1), (W2, b2) = job.weights
    Z = np.maximum(job.X[:8] @ W1.T + b1, 0) @ W2.T + b2
    answers = timings["plainnet"].answers
    np.testing.assert_allclose(answers, 1 / (1 + np.exp(-Z.ravel())), rtol=1e-5)
    assert timings["plainnet"].chunk is None  # its own default


def test_the_report_compares_with_the_fastest_peer(workloads, session):
    from benchmarks import report

    def timing(*seconds, scale=1.0):
        return session.Timing(1, 1, scale=scale, seconds=list(seconds), losses=[0.5])

    timings = {
        "plainnet": timing(1.0, 2.0, 3.0),
        "floor": timing(1.0, 1.0, 1.0),
        "PyTorch": timing(8.0, 8.0, 8.0),
        "JAX": timing(2.0, 3.0, 4.0, scale=2.0),
        "JAX, whole epochs compiled": timing(0.1, 0.1, 0.1),
    }
    peer, ratio, each = report.advantage(timings)
    assert (peer, ratio) == ("JAX", 3.0)
    assert each == pytest.approx([4.0, 3.0, 8 / 3])
    w = workloads.Workload("w", (3, 4, 1), 20, None, "sgd", 0.1, 1, goal=4)
    row = report.ratio_row(w.title, w.goal, timings)
    assert row[1:] == ["JAX", "**3**", "2.67 to 4", "4 ✗", "2", "6"]
    found = report.Found(3, trainings=[(w, timings)])
    assert "ahead of the fastest peer in 1 of 1 workloads" in report.summary(found)
    text = report.page(found)
    assert "~6" in text  # JAX's scaled seconds
    assert "{" not in text


@pytest.mark.parametrize("module", ["run", "threads", "rowspace", "parts", "pictures", "measures"])
def test_each_file_imports_without_the_peers(module):
    code = (
        f"import benchmarks.{module}, sys; print([m for m in ('torch', 'jax') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_every_way_to_train_wide_data_comes_to_the_same_step(workloads):
    from benchmarks import rowspace

    X = rowspace.data(12, 60)["independent rows"]
    found = [rowspace.outcome("independent rows", X, way) for way in rowspace.WAYS]
    assert all(outcome.error < 1e-5 for outcome in found)
    assert [outcome.columns for outcome in found] == [60, 12, 12, 12, 12, 20]
    assert "plainnet" in rowspace.table(found)


def test_the_parts_of_a_step_are_at_most_the_step_and_leave_out_none(workloads):
    from benchmarks import parts

    tiny = workloads.Workload("w", (30, 4, 3, 1), 20, None, "sgd", 0.1, 300)
    adam = workloads.Workload("w", (3, 4, 3), 20, 8, "adam", 0.1, 30)
    for workload in (tiny, adam):
        split = parts.split(workload)
        assert len(split.parts) == len(parts.PARTS)
        assert all(part > 0 for part in split.parts[:-1])
    assert "| 12.5 |" in parts.table([split], {"w": 12.5})


def test_the_rule_of_threads_is_shown_beside_what_was_measured(workloads):
    from benchmarks import threads

    outcome = threads.outcome(8, 4)
    assert outcome.chosen == 1
    assert outcome.cost >= 1
    assert "8-8-8-10" in threads.table([outcome])
