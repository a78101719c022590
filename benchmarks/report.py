"""Report: docs/performance.md from what was measured."""

import datetime
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.measures import machine, versions
from benchmarks.session import BRIEF, Timing, Timings, ratios
from benchmarks.sides import PEERS, PREDICTS, SIDES
from benchmarks.workloads import Workload

BULK_ROWS = 1_000_000
# How far the last losses may lie apart, relatively. The steps are the same, but rounding is not,
# and training amplifies it; scikit-learn draws its mini-batches in another order.
SAME_ORDER, OTHER_ORDER = 0.01, 0.1


@dataclass
class Found:
    """All that a run measured; what it did not measure stays empty."""

    rounds: int
    trainings: list[tuple[Workload, Timings]] = field(default_factory=list)
    whole_runs: list[tuple[Workload, str, float, float]] = field(default_factory=list)
    one: Timings = field(default_factory=dict)
    bulk: Timings = field(default_factory=dict)
    imports: dict[str, tuple[float, int]] = field(default_factory=dict)
    peaks: dict[str, dict[str, int]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    threads: str = ""
    rowspace: str = ""
    parts: str = ""
    prediction_parts: str = ""
    failures: list[str] = field(default_factory=list)
    minutes: float = 0.0
    load: float = 0.0


PREDICT_GOALS = (2.0, 1.3)  # for one row and for many, fastest peer / plainnet


def fastest(timings: Timings) -> str | None:
    peers = [peer for peer in PEERS if peer in timings]
    return min(peers, key=lambda peer: timings[peer].median) if peers else None


def advantage(timings: Timings) -> tuple[str, float, list[float]] | None:
    """The fastest peer, its median time over plainnet's, and the same in each round."""
    peer = fastest(timings)
    if peer is None:
        return None
    ours = timings["plainnet"]
    return peer, timings[peer].median / ours.median, ratios(timings[peer], ours)


def goal_steps(found: Found) -> dict[str, float]:
    """For each workload the microseconds that a step may take where the goal is met."""
    steps = {}
    for workload, timings in found.trainings:
        peer = fastest(timings)
        if peer is not None and workload.goal is not None:
            steps[workload.name] = 1e6 * timings[peer].median / workload.goal / workload.steps
    return steps


def goal_predictions(found: Found) -> list[float | None]:
    """The seconds that predicting one row, and many, may take where the goals are met."""
    pairs = zip(PREDICT_GOALS, (found.one, found.bulk), strict=True)
    return [
        timings[fastest(timings) or "plainnet"].median / g if timings else None
        for g, timings in pairs
    ]


def seconds(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    mark = "~" if timing.scale != 1 else ""
    return f"{mark}{significant(timing.median)}"


def significant(number: float) -> str:
    """Three digits: 0.0123, 1.23, 123."""
    digits = f"{number:.3g}"
    return f"{number:.0f}" if "e" in digits and number > 1 else digits


def markdown(header: Sequence[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def seconds_table(found: Found) -> str:
    rows = [
        [workload.title, *(seconds(timings.get(side)) for side in SIDES)]
        for workload, timings in found.trainings
    ]
    return markdown(["training", *SIDES], rows)


def ratio_row(title: str, goal: float | None, timings: Timings) -> list[str]:
    best = advantage(timings)
    if best is None:
        return [title, *["-"] * 6]
    peer, ratio, each = best
    met = "" if goal is None else f"{goal:g} {'✓' if ratio >= goal else '✗'}"
    floor = timings.get("floor")
    over = room = "-"
    if floor is not None:
        over = significant(timings["plainnet"].median / floor.median)
        room = significant(timings[peer].median / floor.median)
    spread = f"{significant(min(each))} to {significant(max(each))}"
    return [title, peer, f"**{significant(ratio)}**", spread, met, over, room]


def ratio_table(found: Found) -> str:
    rows = [ratio_row(w.title, w.goal, timings) for w, timings in found.trainings]
    if found.one:
        rows.append(ratio_row("predict one row, 30-64-64-1", PREDICT_GOALS[0], found.one))
    if found.bulk:
        rows.append(ratio_row("predict a million rows, 30-64-64-1", PREDICT_GOALS[1], found.bulk))
    header = [
        "workload",
        "fastest peer",
        "peer / plainnet",
        "in single rounds",
        "goal",
        "plainnet / floor",
        "peer / floor",
    ]
    return markdown(header, rows)


def loss_cell(side: str, timing: Timing | None, ours: Timing, workload: Workload) -> str:
    if timing is None or not timing.losses:
        return "-"
    value, expected = timing.losses[-1], ours.losses[len(timing.losses) - 1]
    shuffles = side == "scikit-learn" and workload.batch is not None
    tolerance = OTHER_ORDER if shuffles else SAME_ORDER
    flag = " (!)" if abs(value - expected) > tolerance * abs(expected) else ""
    return f"{value:.5f}{flag}"


def loss_table(found: Found) -> str:
    sides = [side for side in SIDES if side != "floor"]
    rows = []
    for workload, timings in found.trainings:
        ours = timings["plainnet"]
        at = workload.timed_epochs
        cells = [loss_cell(side, timings.get(side), ours, workload) for side in sides[1:]]
        rows.append([workload.title, f"{at:,}", f"{ours.losses[at - 1]:.5f}", *cells])
    return markdown(["training", "after epoch", *sides], rows)


def setting_table(found: Found) -> str:
    rows = [
        [w.title, *(str(timings[s].threads) if s in timings else "-" for s in SIDES)]
        for w, timings in found.trainings
    ]
    return markdown(["training", *SIDES], rows)


def predict_table(found: Found) -> str:
    rows = []
    for side in PREDICTS:
        one, bulk = found.one.get(side), found.bulk.get(side)
        if one is None or bulk is None:
            continue
        ours = found.one["plainnet"].answers
        same = all(
            abs(a - b) < 1e-4 for t in (one, bulk) for a, b in zip(t.answers, ours, strict=False)
        )
        at_once = "all" if bulk.chunk is None else f"{bulk.chunk:,}"
        if side == "plainnet":
            at_once = "its own default"
        rows.append(
            [
                side if same else f"{side} (answers differ!)",
                f"{1e6 * one.median:.1f}",
                significant(bulk.median),
                f"{BULK_ROWS / bulk.median / 1e6:.2f}",
                str(bulk.threads),
                at_once,
            ]
        )
    header = ["", "one row, µs", "a million rows, s", "million rows/s", "threads", "rows at a time"]
    return markdown(header, rows)


def import_table(found: Found) -> str:
    rows = [
        [f"`import {name}`", significant(s), f"{peak / 2**20:.0f}"]
        for name, (s, peak) in found.imports.items()
    ]
    return markdown(["", "seconds", "memory of the process, MiB"], rows)


def peak_table(found: Found) -> str:
    sides = ["plainnet", *PEERS]
    rows = [
        [title, *(f"{peaks[s] / 2**20:.0f}" if s in peaks else "-" for s in sides)]
        for title, peaks in found.peaks.items()
    ]
    return markdown(["training", *sides], rows)


def size_table(found: Found) -> str:
    rows = [
        [f"`pip install {name}`", f"{total / 2**20:.0f}", str(count)]
        for name, (total, count) in found.sizes.items()
    ]
    return markdown(["", "MiB", "distributions"], rows)


def whole_run_lines(found: Found) -> str:
    return "\n".join(
        f"- {workload.title}: {peer} took {significant(s)} s over all {workload.epochs:,} steps "
        f"and ended at loss {loss:.5f}."
        for workload, peer, s, loss in found.whole_runs
    )


def summary(found: Found) -> str:
    """One line: how many goals were met."""
    goals = [(w.goal, timings) for w, timings in found.trainings if w.goal is not None]
    goals += [(g, t) for g, t in zip(PREDICT_GOALS, (found.one, found.bulk), strict=True) if t]
    pairs = [(goal, advantage(timings)) for goal, timings in goals]
    ahead = [best[1] for _, best in pairs if best is not None]
    met = sum(best is not None and best[1] >= goal for goal, best in pairs)
    mean = statistics.geometric_mean(ahead) if ahead else 0.0
    return (
        f"plainnet is ahead of the fastest peer in {sum(r > 1 for r in ahead)} of {len(ahead)} "
        f"workloads, by {mean:.1f} times in the geometric mean, and meets its goal in {met}."
    )


def page(found: Found) -> str:
    today = datetime.datetime.now(datetime.UTC).date()
    pictures = "\n\n".join(
        f"![Seconds a step: {alt}](performance/{n})" for n, alt in found.pictures
    )
    scaled = [w for w, t in found.trainings if w.timed is not None]
    steps = scaled[0].timed if scaled else 0
    failures = "".join(f"\n- Left out: {f.splitlines()[0]}" for f in found.failures)
    return PAGE.format(
        today=today,
        machine=machine(),
        versions=versions(),
        rounds=found.rounds,
        brief=BRIEF,
        load=found.load,
        minutes=found.minutes,
        summary=summary(found),
        seconds=seconds_table(found),
        ratios=ratio_table(found),
        steps=steps,
        whole=whole_run_lines(found),
        losses=loss_table(found),
        config=setting_table(found),
        predict=predict_table(found),
        imports=import_table(found),
        peaks=peak_table(found),
        sizes=size_table(found),
        pictures=pictures,
        threads=found.threads,
        rowspace=found.rowspace,
        parts=found.parts,
        prediction_parts=found.prediction_parts,
        failures=failures,
        same=100 * SAME_ORDER,
        other=100 * OTHER_ORDER,
    )


PAGE = """\
# Performance

How long plainnet takes for small networks on a CPU, beside PyTorch, JAX and scikit-learn, and
beside the least that any program in NumPy could take. `make bench` writes this page; edit the
program instead.

{summary}

- Machine: {machine}.
- Versions: {versions}.
- Date: {today}; {rounds} rounds, {minutes:.0f} minutes, load {load:.2f} when it began.{failures}

## Method

Every side does the same work in float32: the same rows, the same first weights, the same batches in
the same order, the same update rule, the same number of steps, and the mean loss of every epoch
recorded; the last losses are compared below. (scikit-learn draws the order of its mini-batches
itself.) Each side runs in processes of its own, stopped while another side runs; it is warmed up
with one thread and with all, and keeps the faster setting; plainnet chooses by itself and is given
all. Then all sides run in turn, {rounds} rounds, another one first in each; the tables show
medians. A training of less than {brief:g} s is repeated in its turn for that long, on every side,
and the turn's median counts: a process that has just been woken runs slowly at first.
For plainnet all of `fit` counts: checks, the choice of threads, the dot products of wide rows. For
the peers only the training loop counts: what is compiled is compiled in the warm-up, and tensors
are made before. PyTorch runs `nn.Sequential` with fused optimizers, torch.compile compiles forward,
loss and backward, JAX one jitted step a batch with donated buffers. The *floor* is the matrix
products of the same steps alone, row after row, into buffers. *JAX, whole epochs compiled* runs the
whole training in one call, so that nothing can look at an epoch before the last has ended; it is
shown because it is fast, but not counted among the peers, whose users watch their training.

## Training: seconds

{seconds}

`~`: timed over {steps} steps and scaled up. To see that this is fair, the fastest peer also ran
all steps once:

{whole}

## Training and prediction: ratios

Above 1, plainnet is faster than the fastest of the four peers. The floor is that of the plain
steps: where plainnet trains in the row space it needs fewer multiplications and falls below it.
So it may where its way to lay out or divide a product is faster than the plain one.

{ratios}

## Last losses

The mean training loss of an epoch; (!) marks what differs from plainnet by more than {same:.0f} %
({other:.0f} % where the batches come in another order).

{losses}

## Threads

At work in the timed rounds.

{config}

## Prediction

30-64-64-1, float32; scikit-learn checks its input and returns probabilities.

{predict}

## Start-up, memory and size

The median time of an import in a fresh interpreter with its bytecode cached:

{imports}

The most memory, in MiB, of a fresh process that imports the library, reads rows and trains:

{peaks}

Files of the installation with all it requires:

{sizes}

## Seconds a step

{pictures}

## What is behind the numbers

- **Small networks** cost calls, not arithmetic: a step of 7-16-1 with Adam is 38 NumPy calls of 0.3
  to 1.4 µs, however small the array. plainnet saves calls: all parameters are one vector, so an
  optimizer's step is a handful of calls for the whole network; a bias lies beside its weights and a
  one beside every row, so that it is part of the product on the way there and back; a layer writes
  its output where the next one reads it; gradients are written in place, buffers are used again.
- **Feature by feature** is how activations lie in memory: (m, n) arrays in Fortran order. Loops
  over a feature of all rows are long, and BLAS multiplies in this order what it would have to turn
  over in the other.
- **Wide data** (more features than rows) is trained on the dot products of its rows, where gradient
  descent takes the same steps: 408 columns (rows and units) in place of 12,288, and no product at
  all on the way back. OpenBLAS copies both factors before it multiplies, except where there are at
  most a million multiplications; the one product that is left is done in two blocks of rows, each
  below that, which takes half of the time on one processor.
- **Large networks** spend their time in the matrix products; there no library can be much faster
  than another, and plainnet adds little to the floor.
- **Threads** slow small products and speed up large ones; plainnet decides for each network.
- **A compiled step** pays when it fuses many small operations: JAX's has no more than one call from
  Python a batch, and its products are its own.
- **Many rows** are predicted by a thread a processor, each with a share of the rows, so that the
  activations run in parallel too; the products are done in blocks without copies, as above.
- **Goals that are missed.** They were set against a JAX loop that gathered its batches outside of
  the compiled step, and was many times slower than the one here. The column *peer / floor* says
  how far ahead of that peer NumPy's bare products would be, with nothing else done: no code on
  top of NumPy can be further ahead in a plain training. Where it is below the goal, the goal is
  out of reach without other products; where it is above, what lies between is in the next table.

## Where the time of a step goes

Microseconds; each part timed by itself on one batch, and *together* their sum. *the rest* is
Python, arrays that the processor's cache has lost between two parts, and in the row space what
precedes the steps. *goal* is what a step may take for the ratio above to be met. Where *together*
is more, the goal cannot be met even if nothing happened between the parts; and these have no slack:

- products are NumPy's BLAS, in the fastest of the orders and divisions that were tried;
- an activation is one pass there, and back a comparison, its result as numbers, and a product;
- the loss is 14 calls, of which exp, log1p and exp again are needed for a value and a slope that
  are right to the last digit however large the logit;
- Adam is ten passes over all parameters, a third of the time in the square root;
- NumPy takes 0.3 µs and more to begin a call, however small the array; a compiled step begins once.

{parts}

And of a prediction, where all processors share many rows, which are turned over so that a feature
lies after the other. The rest of many rows is Python's lock, for which the threads wait:

{prediction_parts}

## The choice of threads

The rule of `plainnet/engine/blas_threads.py` beside what was measured, milliseconds a step. It supposes
that the processors are free: BLAS's threads wait for each other, so where other programs keep one
busy, a step on all threads can take many times as long. `OPENBLAS_NUM_THREADS=1` rules that out.

{threads}

## Ways to train wide data

400 rows of 12,288 numbers and 8 units, float32. An orthonormal basis of the space of the rows needs
two products a step; the dot products need one, are ready sooner, and do not mind dependent rows.

{rowspace}

## Run it again

```sh
make bench                                   # all of it, and writes this page
make bench BENCH="--quick"
make bench BENCH="--only tiny"
```
"""
