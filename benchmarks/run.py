"""run: measure plainnet beside its peers, and write docs/performance.md.

python -m benchmarks.run               everything, and the page
python -m benchmarks.run --quick       a few workloads, three rounds, no page
python -m benchmarks.run --only tiny   one workload (may be given more than once), no page
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import measures, parts, pictures, report, rowspace, threads
from benchmarks.report import BULK_ROWS, Found, advantage, fastest, seconds, significant
from benchmarks.session import ROOT, Session, SideError, Timings, session
from benchmarks.sides import PEERS, PREDICTS, SIDES
from benchmarks.workloads import PREDICT, QUICK, WORKLOADS, Workload

CHUNKS = (None, 8192)
PARTS = ("predict", "start-up", "size", "memory", "pictures", "threads", "rowspace", "parts")


def main(arguments: Sequence[str] | None = None) -> None:
    names = [w.name for w in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}, 3 rounds")
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=[*names, *PARTS],
        help=f"one of {', '.join([*names, *PARTS])}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, help="rounds of each workload (default 5)")
    parser.add_argument(
        "--out", type=Path, help="folder of performance.md (default docs; none with a subset)"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the workers on the way out
    chosen = options.only or ([*QUICK, "predict", "start-up"] if options.quick else None)
    out = options.out or (ROOT / "docs" if chosen is None else None)
    found = measure(
        [w for w in WORKLOADS if chosen is None or w.name in chosen],
        [part for part in PARTS if chosen is None or part in chosen],
        options.rounds or (3 if options.quick else 5),
        out or ROOT / "docs",
    )
    if found.trainings:
        print("\n" + report.ratio_table(found))
        print(f"\n{report.summary(found)}")
    print(f"\n{found.minutes:.1f} minutes")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "performance.md").write_text(report.page(found), encoding="utf-8")
        print(f"wrote {out / 'performance.md'}")


def measure(workloads: list[Workload], chosen: list[str], rounds: int, out: Path) -> Found:
    found, start = Found(rounds), time.perf_counter()
    found.load = os.getloadavg()[0]
    if found.load > 0.5:
        print(f"note: the machine is busy (load {found.load:.2f}); times will scatter")
    with session(rounds) as bench:
        print(live(["minutes", "training", *SIDES, "peer / plainnet"]), flush=True)
        for workload in workloads:
            timings = bench.train(workload)
            found.trainings.append((workload, timings))
            minutes = (time.perf_counter() - start) / 60
            print(live([f"{minutes:.1f}", *cells(workload, timings)]), flush=True)
            if workload.timed is not None:
                whole_run(bench, workload, timings, found)
        if "predict" in chosen:
            found.one = bench.predict(PREDICT, PREDICTS, 1, [None])
            found.bulk = bench.predict(PREDICT, PREDICTS, BULK_ROWS, CHUNKS)
            print("\n" + report.predict_table(found), flush=True)
        if "pictures" in chosen:
            bench.rounds = 3
            for sweep, points in pictures.measure_all(bench):
                name = pictures.draw(sweep, points, out / "performance")
                found.pictures.append((name, f"{sweep.note}, against {sweep.label}"))
        if "memory" in chosen:
            found.peaks = peaks(bench, found)
            print("\n" + report.peak_table(found), flush=True)
        found.failures = bench.failures
    without_peers(chosen, found)
    found.minutes = (time.perf_counter() - start) / 60
    return found


def without_peers(chosen: list[str], found: Found) -> None:
    """Measure what needs no session with the peers."""
    if "start-up" in chosen:
        found.imports = measures.start_up(7)
        print("\n" + report.import_table(found), flush=True)
    if "size" in chosen:
        found.sizes = {name: measures.installed_bytes(name) for name in measures.DISTRIBUTIONS}
        print("\n" + report.size_table(found), flush=True)
    if "threads" in chosen:
        found.threads = threads.table(threads.outcomes())
        print("\n" + found.threads, flush=True)
    if "rowspace" in chosen:
        found.rowspace = rowspace.table(rowspace.outcomes())
        print("\n" + found.rowspace, flush=True)
    if "parts" in chosen:
        found.parts = parts.table(parts.splits(), report.goal_steps(found))
        found.prediction_parts = parts.predictions(report.goal_predictions(found))
        print(f"\n{found.parts}\n\n{found.prediction_parts}", flush=True)


def cells(workload: Workload, timings: Timings) -> list[str]:
    best = advantage(timings)
    ratio = "-" if best is None else f"{significant(best[1])} ({best[0]})"
    return [workload.name, *(seconds(timings.get(side)) for side in SIDES), ratio]


def live(row: list[str]) -> str:
    return "  ".join(f"{text.replace('whole epochs compiled', 'whole'):>13}" for text in row)


def whole_run(bench: Session, workload: Workload, timings: Timings, found: Found) -> None:
    """Let the fastest peer run every step once, to show that scaling its time up is fair."""
    peer = fastest(timings)
    if peer is None:
        return
    worker = bench.worker(peer, timings[peer].setting)
    answer = worker.ask("train", epochs=workload.epochs)
    found.whole_runs.append((workload, peer, answer["seconds"], answer["losses"][-1]))


def peaks(bench: Session, found: Found) -> dict[str, dict[str, int]]:
    """Peak memory of each training on each side, two processes at a time: nothing is timed."""
    jobs = [
        (workload, side)
        for workload, timings in found.trainings
        if workload.timed is None  # the others take the same memory as wide-200
        for side in ("plainnet", *PEERS)
        if side in timings
    ]
    result: dict[str, dict[str, int]] = {}

    def peak(job: tuple[Workload, str]) -> int | None:
        try:
            return bench.peak(job[1], bench.all_threads, job[0])
        except SideError:
            return None

    with ThreadPoolExecutor(2) as pool:
        for (workload, side), peaked in zip(jobs, pool.map(peak, jobs), strict=True):
            if peaked is not None:
                result.setdefault(workload.title, {})[side] = peaked
    return result


if __name__ == "__main__":
    main()
