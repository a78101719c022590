"""run: compare plainnet with other libraries and write docs/performance.md.

python -m benchmarks.run               measure everything and write the page
python -m benchmarks.run --quick       measure a few workloads in three rounds, write no page
python -m benchmarks.run --only tiny   measure one workload (repeatable), write no page
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import breakdown, pictures, plots, report, row_space, system, threads
from benchmarks.implementations import IMPLEMENTATIONS, LIBRARIES, PREDICTING
from benchmarks.report import BULK_ROWS, Results, fastest, seconds, significant, speedup
from benchmarks.session import ROOT, Session, Timings, WorkerError, open_session
from benchmarks.workloads import PREDICT, QUICK, WORKLOADS, Workload

CHUNKS = (None, 8192)
PARTS = ("predict", "pictures", "start-up", "size", "memory", "plots", "threads", "row-space")
PARTS += ("breakdown",)


def main(arguments: Sequence[str] | None = None) -> None:
    names = [w.name for w in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"measure only {', '.join(QUICK)}, in 3 rounds"
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=[*names, *PARTS],
        help=f"one of {', '.join([*names, *PARTS])}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, help="rounds per workload (default 5)")
    parser.add_argument(
        "--out", type=Path, help="folder for performance.md (default docs, or none with a subset)"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # also ends the workers
    chosen = options.only or ([*QUICK, "predict", "start-up"] if options.quick else None)
    out = options.out or (ROOT / "docs" if chosen is None else None)
    results = measure(
        [w for w in WORKLOADS if chosen is None or w.name in chosen],
        [part for part in PARTS if chosen is None or part in chosen],
        options.rounds or (3 if options.quick else 5),
        out or ROOT / "docs",
    )
    if results.trainings:
        print("\n" + report.ratio_table(results))
        print(f"\n{report.summary(results)}")
    print(f"\n{results.minutes:.1f} minutes")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        page = out / "performance.md"
        before = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
        growth = report.split_page(before, "growth")[1]
        other = report.other_processor(before)
        page.write_text(report.page(results, growth, other), encoding="utf-8")
        print(f"wrote {page}")


def measure(workloads: list[Workload], chosen: list[str], rounds: int, out: Path) -> Results:
    results, start = Results(rounds), time.perf_counter()
    results.load = os.getloadavg()[0]
    if results.load > 0.5:
        print(f"note: the machine is busy (load {results.load:.2f}), so times will vary")
    with open_session(rounds) as bench:
        print(
            progress_row(["minutes", "training", *IMPLEMENTATIONS, "library / plainnet"]),
            flush=True,
        )
        for workload in workloads:
            timings = bench.train(workload)
            results.trainings.append((workload, timings))
            minutes = (time.perf_counter() - start) / 60
            print(progress_row([f"{minutes:.1f}", *cells(workload, timings)]), flush=True)
            if workload.timed is not None:
                run_all_steps(bench, workload, timings, results)
        if "predict" in chosen:
            results.predict_one = bench.predict(PREDICT, PREDICTING, 1, [None])
            results.predict_bulk = bench.predict(PREDICT, PREDICTING, BULK_ROWS, CHUNKS)
            print("\n" + report.predict_table(results), flush=True)
        if "pictures" in chosen:
            results.pictures = pictures.table(pictures.measurements(bench))
            print("\n" + results.pictures, flush=True)
        if "plots" in chosen:
            bench.rounds = 3
            for sweep, points in plots.measure_all(bench):
                name = plots.draw(sweep, points, out / "performance")
                results.plots.append((name, f"{sweep.note}, against {sweep.label}"))
        if "memory" in chosen:
            results.peaks = peaks(bench, results)
            print("\n" + report.peak_table(results), flush=True)
        results.failures = bench.failures
    measure_plainnet(chosen, results)
    results.minutes = (time.perf_counter() - start) / 60
    return results


def measure_plainnet(chosen: list[str], results: Results) -> None:
    """Measure the parts that need no session with other libraries."""
    if "start-up" in chosen:
        results.imports, results.compiling = system.start_up(7), system.compiling()
        print("\n" + report.import_table(results), flush=True)
    if "size" in chosen:
        results.sizes = {name: system.installed_bytes(name) for name in system.DISTRIBUTIONS}
        print("\n" + report.size_table(results), flush=True)
    if "threads" in chosen:
        results.threads = threads.table(threads.measurements())
        print("\n" + results.threads, flush=True)
    if "row-space" in chosen:
        results.row_space = row_space.table(row_space.measurements())
        print("\n" + results.row_space, flush=True)
    if "breakdown" in chosen:
        results.breakdown = breakdown.table(breakdown.breakdowns(), report.goal_steps(results))
        results.prediction_breakdown = breakdown.prediction_table(report.goal_predictions(results))
        print(f"\n{results.breakdown}\n\n{results.prediction_breakdown}", flush=True)


def cells(workload: Workload, timings: Timings) -> list[str]:
    best = speedup(timings)
    ratio = "-" if best is None else f"{significant(best[1])} ({best[0]})"
    return [workload.name, *(seconds(timings.get(name)) for name in IMPLEMENTATIONS), ratio]


def progress_row(row: list[str]) -> str:
    return "  ".join(f"{text.replace('whole epochs compiled', 'whole'):>15}" for text in row)


def run_all_steps(bench: Session, workload: Workload, timings: Timings, results: Results) -> None:
    """Run all steps with the fastest library once, as a check of the scaled times."""
    library = fastest(timings)
    if library is None:
        return
    worker = bench.worker(library, timings[library].setting)
    reply = worker.ask("train", epochs=workload.epochs)
    results.whole_runs.append((workload, library, reply["seconds"], reply["losses"][-1]))


def peaks(bench: Session, results: Results) -> dict[str, dict[str, int]]:
    """Return the peak memory of each training and implementation, two processes at a time."""
    jobs = [
        (workload, name)
        for workload, timings in results.trainings
        if workload.timed is None  # the others use the same memory as wide-200
        for name in ("plainnet", *LIBRARIES)
        if name in timings
    ]
    bytes_of: dict[str, dict[str, int]] = {}

    def peak(job: tuple[Workload, str]) -> int | None:
        try:
            return bench.peak(job[1], bench.all_threads, job[0])
        except WorkerError:
            return None

    with ThreadPoolExecutor(2) as pool:
        for (workload, name), peaked in zip(jobs, pool.map(peak, jobs), strict=True):
            if peaked is not None:
                bytes_of.setdefault(workload.title, {})[name] = peaked
    return bytes_of


if __name__ == "__main__":
    main()
