"""doctor: the overhead of recording, and the error rates of `plainnet doctor`.

python -m benchmarks.doctor              both, as in docs/doctor.md
python -m benchmarks.doctor overhead     processor time with and without the recorder
python -m benchmarks.doctor rates        false alarms and misses over many seeds
python -m benchmarks.doctor validation   the same on data that set no threshold
python -m benchmarks.doctor advice RESULTS NETWORK PATH...  follow the advice from 20 bad starts
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.doctor_advice import study
from benchmarks.doctor_validation import validation
from benchmarks.workloads import WORKLOADS, Job, Workload
from plainnet import Adam, SoftmaxCrossEntropy, fit, mlp
from plainnet.diagnose.doctor import examine
from plainnet.diagnose.recorder import Recorder
from plainnet.evaluate.finding import Finding
from plainnet.train.history import Epoch

ROUNDS = 25
GOOD_SEEDS = range(402, 404)  # lower seeds were used to choose thresholds and options
FAULTY_SEEDS = range(402, 404)
TESTS = Path(__file__).resolve().parents[1] / "tests"


def main(arguments: Sequence[str]) -> None:
    sys.path.insert(0, str(TESTS))
    if arguments[:1] == ["advice"]:
        results, network, *paths = arguments[1:]
        for line in study(Path(results), network, [Path(path) for path in paths]):
            print(line, flush=True)
        return
    if arguments == ["validation"]:
        for line in validation():
            print(line, flush=True)
        return
    if not arguments or "overhead" in arguments:
        print(overhead())
    if not arguments or "rates" in arguments:
        print(rates())


def overhead() -> str:
    """Compare processor time with and without the recorder, in pairs of alternating order."""
    workload = next(w for w in WORKLOADS if w.name == "digits")
    job = Job.generate(workload)
    seconds(job, recorded=True)
    pairs = []
    for i in range(ROUNDS):
        first, second = (seconds(job, recorded=bool((i + k) % 2)) for k in (0, 1))
        with_first = i % 2 == 1
        pairs.append((first, second) if with_first else (second, first))
    ratios = sorted(recorded / bare for recorded, bare in pairs)
    quarter = len(ratios) // 4
    base = statistics.median(pair[1] for pair in pairs) / workload.steps * 1000
    own = statistics.median(recorder_seconds(job) for _ in range(5)) / workload.steps * 1000
    return (
        f"{workload.title}: {base:.2f} ms of processor time per step; with / without the "
        f"recorder {statistics.median(ratios):.3f} (middle half {ratios[quarter]:.3f} to "
        f"{ratios[-1 - quarter]:.3f}, {ROUNDS} pairs); the recorder's own calls take "
        f"{own:.4f} ms per step, {own / base:.2%}"
    )


def recorder_seconds(job: Job) -> float:
    """Return the processor time of the recorder's own calls at each batch and epoch."""
    workload = job.workload
    *hidden, n_out = workload.sizes[1:]
    net, loss = mlp(workload.sizes[0], tuple(hidden), n_out, seed=0), SoftmaxCrossEntropy()
    Z, y = net.predict_logits(job.X[: workload.batch_rows]), job.y[: workload.batch_rows]
    epoch = Epoch(1, 1, 1.0, None, 1.0, None, 0.1, 0.1)
    net.backward(loss(net.forward(job.X[: workload.batch_rows]), y)[1])
    batches = workload.steps // workload.epochs
    start = time.process_time()
    recorder = Recorder(net)
    metric = recorder.metric(lambda Z, y: 0.0)
    for _ in range(workload.epochs):
        for _ in range(batches):
            metric(Z, y)
        recorder.watch(epoch)
    return time.process_time() - start


def seconds(job: Job, recorded: bool) -> float:
    """Return the processor time of a training with a metric, recorded or not."""
    workload: Workload = job.workload
    *hidden, n_out = workload.sizes[1:]
    net, loss = mlp(workload.sizes[0], tuple(hidden), n_out, seed=0), SoftmaxCrossEntropy()
    start = time.process_time()
    recorder = Recorder(net) if recorded else None
    fit(
        net,
        job.X,
        job.y,
        loss=loss,
        optimizer=Adam(workload.lr),
        epochs=workload.epochs,
        batch_size=workload.batch,
        logits_metric=loss.metric if recorder is None else recorder.metric(loss.metric),
        watch=None if recorder is None else recorder.watch,
    )
    return time.process_time() - start


def rates() -> str:
    """Train the cases of tests/diagnose/trainings.py with other seeds and count the errors."""
    from diagnose.trainings import FAULTY, good_trainings

    alarms: list[str] = []
    total = 0
    for name, make in good_trainings(GOOD_SEEDS):
        total += 1
        findings = [finding for finding in examine(make()) if finding.level != "note"]
        if findings:
            alarms.append(f"  {name}: " + "; ".join(f"{f.name} ({f.evidence})" for f in findings))
    lines = [
        f"False alarms: {len(alarms)} of {total} good trainings ({len(alarms) / total:.1%})",
        *alarms,
        "",
        "| fault | required finding | found |",
        "|---|---|--:|",
    ]
    missed = 0
    for name, (make, finding, words) in FAULTY.items():
        hits = sum(found_in(examine(make(seed)), finding, words) for seed in FAULTY_SEEDS)
        missed += len(FAULTY_SEEDS) - hits
        lines.append(f"| {name} | {finding.replace('|', ' or ')} | {hits} of {len(FAULTY_SEEDS)} |")
    every = len(FAULTY) * len(FAULTY_SEEDS)
    lines += ["", f"Misses: {missed} of {every} faulty trainings ({missed / every:.1%})"]
    return "\n".join(lines)


def found_in(findings: Sequence[Finding], name: str, words: str) -> bool:
    """Return whether a finding with one of the names contains one of the words."""
    return any(
        one.name in name.split("|")
        and any(w in json.dumps(one.to_json()) for w in words.split("|"))
        for one in findings
    )


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main(sys.argv[1:])
