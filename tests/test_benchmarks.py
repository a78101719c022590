"""The benchmarks run without other libraries: workloads, plainnet, and matrix products."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

OURS = "plainnet, NumPy alone"  # the other engine would first be compiled
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def workloads(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import workloads

    return workloads


@pytest.fixture
def session(workloads: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from benchmarks import session

    monkeypatch.setattr(session, "MIN_SECONDS", 1e-9)  # one training per turn
    return session


def test_workload_names_are_unique(workloads):
    names = [w.name for w in workloads.WORKLOADS]
    names += [w.name for sweep in workloads.SWEEPS for _, w in sweep.workloads]
    assert len(set(names)) == len(names)
    assert set(workloads.QUICK) < set(names)


def test_workload_steps_and_json_round_trip(workloads):
    w = workloads.Workload("w", (7, 16, 1), 2320, 64, "adam", 0.01, 20)
    assert w.steps == 37 * 20  # 36 batches of 64 and one of 16
    assert workloads.Workload.from_json(json.loads(json.dumps(w.to_json()))) == w


@pytest.mark.parametrize("n_out", [1, 10])
def test_data_is_deterministic_and_has_every_class(workloads, n_out):
    w = workloads.Workload("w", (5, 4, n_out), 2000, None, "sgd", 0.1, 1)
    X, y = workloads.make_data(w)
    again = workloads.make_data(w)
    assert X.shape == (2000, 5)
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(y, again[1])
    counts = np.bincount(y.ravel().astype(int), minlength=max(2, n_out))
    assert counts.min() > 0
    assert y.shape == ((2000, 1) if n_out == 1 else (2000,))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize(("sizes", "batch"), [((6, 4, 1), None), ((6, 5, 4, 3), 16)])
def test_plainnet_trains_a_workload(workloads, session, tmp_path, optimizer, sizes, batch):
    lr = {"sgd": 0.3, "momentum": 0.05, "adam": 0.02}[optimizer]
    w = workloads.Workload("w", sizes, 60, batch, optimizer, lr, 30)
    bench = session.Session(tmp_path, 2)
    try:
        timing = bench.train(w, (OURS,))[OURS]
    finally:
        bench.close()
    assert len(timing.seconds) == 2
    assert len(timing.losses) == 30
    assert timing.losses[-1] < timing.losses[0]


def test_job_save_load_round_trip(workloads, tmp_path):
    w = workloads.Workload("w", (3, 4, 2), 20, None, "sgd", 0.1, 1)
    drawn = workloads.Job.generate(w)
    drawn.save(tmp_path / "w")
    read = workloads.Job.load(w, tmp_path / "w")
    np.testing.assert_array_equal(read.X, drawn.X)
    np.testing.assert_array_equal(read.y, drawn.y)
    assert [W.shape for W, _ in read.weights] == [(4, 3), (2, 4)]
    for (W, b), (W_drawn, b_drawn) in zip(read.weights, drawn.weights, strict=True):
        np.testing.assert_array_equal(W, W_drawn)
        np.testing.assert_array_equal(b, b_drawn)


def test_matrix_products_include_every_product_of_a_step(workloads):
    from benchmarks.implementations.matrix_products import MatrixProducts

    w = workloads.Workload("w", (5, 4, 3, 2), 10, 4, "sgd", 0.1, 1)
    implementation = MatrixProducts(1)
    implementation.load(workloads.Job.generate(w))
    # 3 batches of 4, 4 and 2 rows; 3 products forward, 3 for the weights, 2 for the inputs
    assert len(implementation.products) == 3 * 8
    multiplied = sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in implementation.products)
    assert multiplied == 10 * (3 * (5 * 4 + 4 * 3 + 3 * 2) - 5 * 4)
    assert implementation.train(2) == []


def test_only_failing_libraries_are_skipped(workloads, session, tmp_path, capsys):
    w = workloads.Workload("w", (3, 4, 1), 20, None, "sgd", 0.1, 4, timed=2)
    bench = session.Session(tmp_path, 1)
    try:
        timings = bench.train(replace(w, optimizer="unknown"), ("matrix products", "unavailable"))
        assert set(timings) == {"matrix products"}
        assert timings["matrix products"].scale == 2
        with pytest.raises(session.WorkerError, match="unknown"):
            bench.train(replace(w, name="v", optimizer="unknown"), (OURS,))
    finally:
        bench.close()
    assert "unavailable is skipped in w" in capsys.readouterr().err


@pytest.mark.usefixtures("compiled")
def test_predictions_are_probabilities(workloads, session, tmp_path):
    w = workloads.Workload("p", (3, 4, 1), 50, 10, "sgd", 0.1, 1)
    bench = session.Session(tmp_path, 1)
    try:
        timings = bench.predict(w, ("plainnet", "matrix products"), 20, (None, 8))
    finally:
        bench.close()
    job = workloads.Job.generate(w)
    (W1, b1), (W2, b2) = job.weights
    Z = np.maximum(job.X[:8] @ W1.T + b1, 0) @ W2.T + b2
    outputs = timings["plainnet"].outputs
    np.testing.assert_allclose(outputs, 1 / (1 + np.exp(-Z.ravel())), rtol=1e-5)
    assert timings["plainnet"].chunk is None  # the default


def test_report_compares_with_the_fastest_library(workloads, session):
    from benchmarks import report

    def timing(*seconds, scale=1.0):
        return session.Timing(1, 1, scale=scale, seconds=list(seconds), losses=[0.5])

    timings = {
        "plainnet": timing(1.0, 2.0, 3.0),
        "matrix products": timing(1.0, 1.0, 1.0),
        "PyTorch": timing(8.0, 8.0, 8.0),
        "JAX": timing(2.0, 3.0, 4.0, scale=2.0),
        "JAX, whole epochs compiled": timing(0.1, 0.1, 0.1),
    }
    library, ratio, each = report.speedup(timings)
    assert (library, ratio) == ("JAX", 3.0)
    assert each == pytest.approx([4.0, 3.0, 8 / 3])
    w = workloads.Workload("w", (3, 4, 1), 20, None, "sgd", 0.1, 1, goal=4)
    row = report.ratio_row(w.title, timings, w.goal)
    assert row[1:] == ["JAX", "**3**", "2.67 to 4", "4 ✗", "2", "6"]
    results = report.Results(3, trainings=[(w, timings)])
    assert "faster than the fastest library in 1 of 1 workloads" in report.summary(results)
    text = report.page(results)
    assert "~6" in text  # JAX's scaled seconds
    assert "{" not in text


@pytest.mark.parametrize("module", ["run", "threads", "row_space", "breakdown", "plots", "system"])
def test_modules_import_without_other_libraries(module):
    code = (
        f"import benchmarks.{module}, sys; print([m for m in ('torch', 'jax') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_methods_for_wide_data_agree(workloads):
    from benchmarks import row_space

    X = row_space.data(12, 60)["independent rows"]
    results = [row_space.measurement("independent rows", X, method) for method in row_space.METHODS]
    assert all(measurement.error < 1e-5 for measurement in results)
    assert [measurement.columns for measurement in results] == [60, 12, 12, 12, 12, 20]
    assert "plainnet" in row_space.table(results)


def test_breakdown_times_every_part(workloads):
    from benchmarks import breakdown

    tiny = workloads.Workload("w", (30, 4, 3, 1), 20, None, "sgd", 0.1, 300)
    adam = workloads.Workload("w", (3, 4, 3), 20, 8, "adam", 0.1, 30)
    for workload in (tiny, adam):
        split = breakdown.breakdown_of(workload)
        assert len(split.parts) == len(breakdown.PARTS)
        assert all(part > 0 for part in split.parts[:-1])
    assert "| 12.5 |" in breakdown.table([split], {"w": 12.5})


def test_threads_table_compares_the_rule_with_measurements(workloads):
    from benchmarks import threads

    measurement = threads.measurement(8, 4)
    assert measurement.chosen == 1
    assert measurement.slowdown >= 1
    assert "8-8-8-10" in threads.table([measurement])


def test_performance_page_matches_the_template(workloads):
    from benchmarks import report

    texts = re.split(r"\{\w+(?::[^}]*)?\}", report.PAGE)
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert re.fullmatch(".*?".join(map(re.escape, texts)), page, re.DOTALL)
