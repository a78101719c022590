"""Report: render benchmark results as docs/performance.md."""

import datetime
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.implementations import IMPLEMENTATIONS, LIBRARIES, PREDICTING
from benchmarks.session import MIN_SECONDS, Timing, Timings, round_ratios
from benchmarks.system import machine, versions
from benchmarks.workloads import Workload

BULK_ROWS = 1_000_000
PREDICT_GOALS = (2.5, 1.0)  # fastest library / plainnet, for one row and for BULK_ROWS
# Relative tolerances of the final losses: training amplifies differences in rounding, and
# scikit-learn shuffles its mini-batches in its own order.
SAME_ORDER, OTHER_ORDER = 0.01, 0.1


@dataclass
class Results:
    """The results of a benchmark run. Parts that were not measured stay empty."""

    rounds: int
    trainings: list[tuple[Workload, Timings]] = field(default_factory=list)
    whole_runs: list[tuple[Workload, str, float, float]] = field(default_factory=list)
    predict_one: Timings = field(default_factory=dict)
    predict_bulk: Timings = field(default_factory=dict)
    imports: dict[str, tuple[float, int]] = field(default_factory=dict)
    compiling: tuple[float, float] | None = None
    peaks: dict[str, dict[str, int]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    plots: list[tuple[str, str]] = field(default_factory=list)
    pictures: str = ""
    threads: str = ""
    row_space: str = ""
    breakdown: str = ""
    prediction_breakdown: str = ""
    failures: list[str] = field(default_factory=list)
    minutes: float = 0.0
    load: float = 0.0


def fastest(timings: Timings) -> str | None:
    libraries = [library for library in LIBRARIES if library in timings]
    return min(libraries, key=lambda library: timings[library].median) if libraries else None


def speedup(timings: Timings) -> tuple[str, float, list[float]] | None:
    """Return the fastest library and its time / plainnet's: of the medians, and of each round."""
    library = fastest(timings)
    if library is None:
        return None
    ours = timings["plainnet"]
    return library, timings[library].median / ours.median, round_ratios(timings[library], ours)


def goal_steps(results: Results) -> dict[str, float]:
    """Return the microseconds per step that would meet the goal, for each workload."""
    steps = {}
    for workload, timings in results.trainings:
        library = fastest(timings)
        if library is not None and workload.goal is not None:
            steps[workload.name] = 1e6 * timings[library].median / workload.goal / workload.steps
    return steps


def goal_predictions(results: Results) -> list[float | None]:
    """Return the seconds that would meet the goals for predicting one row and many rows."""
    pairs = zip(PREDICT_GOALS, (results.predict_one, results.predict_bulk), strict=True)
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
    """Format with three significant digits: 0.0123, 1.23, 123."""
    digits = f"{number:.3g}"
    return f"{number:.0f}" if "e" in digits and number > 1 else digits


def markdown(header: Sequence[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def split_page(page: str, name: str) -> tuple[str, str, str]:
    """Return what stands before, between and after the marks of a name in a page."""
    marks = rf"(.*<!-- {name}: [^\n]*-->\n)(.*)(\n<!-- end of {name} -->.*)"
    parts = re.fullmatch(marks, page, re.DOTALL)
    if parts is None:
        raise SystemExit(
            f"the page lacks the marks <!-- {name}: ... --> and <!-- end of {name} -->"
        )
    return parts[1], parts[2], parts[3]


def replace_table(page: str, name: str, table: str) -> str:
    """Replace what stands between the marks of a name in a page."""
    before, _, after = split_page(page, name)
    return before + table + after


def seconds_table(results: Results) -> str:
    rows = [
        [workload.title, *(seconds(timings.get(name)) for name in IMPLEMENTATIONS)]
        for workload, timings in results.trainings
    ]
    return markdown(["training", *IMPLEMENTATIONS], rows)


def meets(timings: Timings, goal: float | None, products_goal: float | None = None) -> bool:
    """Return whether a workload is as fast as its goals ask for, beside what was measured."""
    best, products = speedup(timings), timings.get("matrix products")
    fast = goal is None or (best is not None and best[1] >= goal)
    return fast and (
        products_goal is None
        or (products is not None and timings["plainnet"].median <= products_goal * products.median)
    )


def ratio_row(
    title: str, timings: Timings, goal: float | None, products_goal: float | None = None
) -> list[str]:
    best = speedup(timings)
    if best is None:
        return [title, *["-"] * 6]
    library, ratio, each = best
    met = f"{goal:g}" if goal else f"{products_goal:g} of the products" if products_goal else ""
    if met:
        met += " ✓" if meets(timings, goal, products_goal) else " ✗"
    products = timings.get("matrix products")
    ours_ratio = library_ratio = "-"
    if products is not None:
        ours_ratio = significant(timings["plainnet"].median / products.median)
        library_ratio = significant(timings[library].median / products.median)
    spread = f"{significant(min(each))} to {significant(max(each))}"
    return [title, library, f"**{significant(ratio)}**", spread, met, ours_ratio, library_ratio]


def ratio_table(results: Results) -> str:
    rows = [ratio_row(w.title, t, w.goal, w.products_goal) for w, t in results.trainings]
    titles = (f"predict {number}, 30-64-64-1" for number in ("one row", "a million rows"))
    predicted = results.predict_one, results.predict_bulk
    predictions = zip(titles, predicted, PREDICT_GOALS, strict=True)
    rows += [ratio_row(title, timings, goal) for title, timings, goal in predictions if timings]
    header = [
        "workload",
        "fastest library",
        "library / plainnet",
        "range over rounds",
        "goal",
        "plainnet / matrix products",
        "library / matrix products",
    ]
    return markdown(header, rows)


def loss_cell(name: str, timing: Timing | None, ours: Timing, workload: Workload) -> str:
    if timing is None or not timing.losses:
        return "-"
    value, expected = (each.losses[workload.timed_epochs - 1] for each in (timing, ours))
    shuffles = name == "scikit-learn" and workload.batch is not None
    tolerance = OTHER_ORDER if shuffles else SAME_ORDER
    flag = " (!)" if abs(value - expected) > tolerance * abs(expected) else ""
    return f"{value:.5f}{flag}"


def loss_table(results: Results) -> str:
    names = [name for name in IMPLEMENTATIONS if name != "matrix products"]
    rows = []
    for workload, timings in results.trainings:
        ours = timings["plainnet"]
        at = workload.timed_epochs
        cells = [loss_cell(name, timings.get(name), ours, workload) for name in names[1:]]
        rows.append([workload.title, f"{at:,}", f"{ours.losses[at - 1]:.5f}", *cells])
    return markdown(["training", "after epoch", *names], rows)


def threads_table(results: Results) -> str:
    rows = [
        [w.title, *(str(timings[s].threads) if s in timings else "-" for s in IMPLEMENTATIONS)]
        for w, timings in results.trainings
    ]
    return markdown(["training", *IMPLEMENTATIONS], rows)


def predict_table(results: Results) -> str:
    rows = []
    for name in PREDICTING:
        one, bulk = results.predict_one.get(name), results.predict_bulk.get(name)
        if one is None or bulk is None:
            continue
        ours = results.predict_one["plainnet"].outputs
        same = all(
            abs(a - b) < 1e-4 for t in (one, bulk) for a, b in zip(t.outputs, ours, strict=False)
        )
        batch_size = "all" if bulk.chunk is None else f"{bulk.chunk:,}"
        if name == "plainnet":
            batch_size = "default"
        rows.append(
            [
                name if same else f"{name} (outputs differ!)",
                f"{1e6 * one.median:.1f}",
                significant(bulk.median),
                f"{BULK_ROWS / bulk.median / 1e6:.2f}",
                str(bulk.threads),
                batch_size,
            ]
        )
    header = ["", "one row, µs", "a million rows, s", "million rows/s", "threads", "batch size"]
    return markdown(header, rows)


def import_table(results: Results) -> str:
    rows = [
        [f"`import {name}`", significant(s), f"{peak / 2**20:.0f}"]
        for name, (s, peak) in results.imports.items()
    ]
    table = markdown(["", "seconds", "process memory, MiB"], rows)
    if results.compiling is None:
        return table
    first, stored = map(significant, results.compiling)
    return (
        f"{table}\n\nA process gets its compiled steps, for both dtypes, in {first} s the first "
        f"time on a machine, and in {stored} s when they are stored."
    )


def peak_table(results: Results) -> str:
    names = ["plainnet", *LIBRARIES]
    rows = [
        [title, *(f"{peaks[s] / 2**20:.0f}" if s in peaks else "-" for s in names)]
        for title, peaks in results.peaks.items()
    ]
    return markdown(["training", *names], rows)


def size_table(results: Results) -> str:
    rows = [
        [f"`pip install {name}`", f"{total / 2**20:.0f}", str(count)]
        for name, (total, count) in results.sizes.items()
    ]
    return markdown(["", "MiB", "distributions"], rows)


def whole_run_lines(results: Results) -> str:
    timings = {workload.title: timings for workload, timings in results.trainings}
    return "\n".join(
        f"- {workload.title}: {library} took {significant(s)} s for all {workload.epochs:,} steps "
        f"and reached a loss of {loss:.5f}, plainnet one of "
        f"{timings[workload.title]['plainnet'].losses[-1]:.5f}."
        for workload, library, s, loss in results.whole_runs
    )


def summary(results: Results) -> str:
    """Summarize the ratios and the goals in two sentences."""
    cases = [(t, w.goal, w.products_goal) for w, t in results.trainings]
    predictions = results.predict_one, results.predict_bulk
    cases += [(t, g, None) for t, g in zip(predictions, PREDICT_GOALS, strict=True) if t]
    ratios = [best[1] for timings, *_ in cases if (best := speedup(timings)) is not None]
    met = sum(meets(*case) for case in cases)
    mean = statistics.geometric_mean(ratios) if ratios else 0.0
    return (
        f"plainnet is faster than the fastest library in {sum(r > 1 for r in ratios)} of "
        f"{len(ratios)} workloads and meets its goal in {met}. "
        f"The geometric mean of the ratios is {mean:.1f}."
    )


def other_processor(before: str) -> str:
    """Return the ratios of a page if another processor measured them, or those that it kept."""
    lines = [line for line in before.splitlines() if line.startswith(("- Machine: ", "- Date: "))]
    if machine().split(",")[0] in lines[0]:
        return split_page(before, "other processor")[1]
    return "\n".join([*lines, "", split_page(before, "ratios")[1]])


def page(results: Results, growth: str = "", other: str = "") -> str:
    today = datetime.datetime.now(datetime.UTC).date()
    plots = "\n\n".join(f"![Seconds per step: {alt}](performance/{n})" for n, alt in results.plots)
    scaled = [w for w, t in results.trainings if w.timed is not None]
    steps = scaled[0].timed if scaled else 0
    failures = "".join(f"\n- Not measured: {f.splitlines()[0]}" for f in results.failures)
    return PAGE.format(
        today=today,
        machine=machine(),
        versions=versions(),
        rounds=results.rounds,
        brief=MIN_SECONDS,
        load=results.load,
        minutes=results.minutes,
        summary=summary(results),
        seconds=seconds_table(results),
        ratios=ratio_table(results),
        steps=steps,
        whole=whole_run_lines(results),
        losses=loss_table(results),
        threads_used=threads_table(results),
        predict=predict_table(results),
        imports=import_table(results),
        peaks=peak_table(results),
        sizes=size_table(results),
        plots=plots,
        pictures=results.pictures,
        threads=results.threads,
        row_space=results.row_space,
        breakdown=results.breakdown,
        prediction_breakdown=results.prediction_breakdown,
        failures=failures,
        growth=growth,
        other_processor=other,
        same=100 * SAME_ORDER,
        other=100 * OTHER_ORDER,
    )


PAGE = """\
# Performance

This page compares plainnet with PyTorch, JAX and scikit-learn on small networks on a CPU, and with
the matrix products alone, computed by NumPy. `make bench` measures everything and writes this page.
To change the text, edit `benchmarks/report.py`.

{summary}

- Machine: {machine}.
- Versions: {versions}.
- Date: {today}; {rounds} rounds, {minutes:.0f} minutes, load {load:.2f} at the start.{failures}

## Method

All implementations do the same work in float32: the same rows, initial weights, batches in the same
order, update rule and number of steps. All record the mean loss of every epoch; the final losses
are compared below. scikit-learn is the exception in one point: it shuffles its mini-batches itself.

Each implementation runs in its own process, which is suspended while another one runs. A warm-up
with one thread and with all threads selects the faster setting; plainnet gets all threads and
chooses their number itself. Then the implementations run in turn for {rounds} rounds, and each
round starts with a different one. The tables show medians. A run shorter than {brief:g} s is
repeated within its turn until {brief:g} s have passed, and the median of the turn counts, because a
resumed process runs slowly at first.

*plainnet* runs compiled steps (the extra `fast`), *plainnet, NumPy alone* the same training without
Numba. For both, the time of the whole `fit` call counts: input checks, the choice of threads, the
dot products of wide rows. For the other libraries, only the training loop counts: compilation
happens in the warm-up, and tensors are created before. PyTorch runs `nn.Sequential` with fused
optimizers. torch.compile compiles the forward pass, the loss and the backward pass. JAX runs one
jitted step per batch with donated buffers. *Matrix products* computes only the matrix products of
the same steps with NumPy, in row-major order and into preallocated buffers. *JAX, whole epochs
compiled* runs the whole training in one call, so that no epoch can be inspected before the last one
ends. It is shown because it is fast. It is not ranked with the libraries, because their users watch
the training.

## Training: seconds

{seconds}

`~`: timed over {steps} steps and scaled up. As a check of the scaling, the fastest library also ran
all steps once:

{whole}

## Training and prediction: ratios

Above 1, plainnet is faster than the fastest of the four libraries. *Matrix products* are those of
plain training. plainnet can be faster than them where it trains in the row space, which needs fewer
multiplications.

<!-- ratios: written by make bench -->
{ratios}
<!-- end of ratios -->

### On another processor

Results differ between processors, above all because their matrix products do. These are the ratios
of the last `make bench` on another kind of processor, of code that may be older:

<!-- other processor: kept by make bench -->
{other_processor}
<!-- end of other processor -->

## Final losses

The mean training loss of an epoch. (!) marks a difference from plainnet of more than {same:.0f} %
({other:.0f} % where the batches have another order).

{losses}

## Threads

The number of threads used in the timed rounds.

{threads_used}

## Prediction

30-64-64-1, float32. scikit-learn validates its input and returns probabilities.

{predict}

## Pictures

A step of Adam on 32 pictures of 64 x 64 x 3 through three convolutions of 16, 32 and 64 channels,
each with max pooling, batch norm and ReLU, and a dense layer; then predictions. PyTorch computes
channels last. These are medians of 11 rounds. The peak memory is that of a fresh process that loads
512 pictures and trains. Of a
compiled step, nine tenths are convolutions with their pooling; of a step with NumPy alone, two
thirds are convolutions.

{pictures}

## Import time, memory and installation size

The median import time in a fresh interpreter with cached bytecode:

{imports}

The peak memory, in MiB, of a fresh process that imports the library, loads the rows and trains:

{peaks}

The size of the installed files, dependencies included:

{sizes}

## Growth with rows and columns

The time and the peak memory of a whole `plainnet train`, from the file to the evaluated and saved
model, and of the same job with pandas and scikit-learn: one epoch of a network of 16 hidden units
in batches of 256, a fifth of the rows held out. A tenth of the columns are text, and a tenth miss
some cells. plainnet also fits baselines, looks for copies and tests its difference from the best
baseline. It runs as after `pip install 'plainnet[app]'`: where scikit-learn is installed, plainnet
also fits gradient boosting as a baseline, to at most 20,000 rows. This takes some 2 s more at a
million rows, although another process imports scikit-learn while the table is read: the fit and the
predictions of the 200,000 held-out rows take one each.
`make growth` measures this table: the fastest of three runs.

<!-- growth: written by make growth -->
{growth}
<!-- end of growth -->

On two processors of an AMD EPYC, the last line of older code was 6.4 s and 626 MiB beside 13.5 s:
2.11 times. At a million rows, the processor time of plainnet goes into reading the file (36 %;
Arrow's parser alone 23 %), evaluation with baselines and copies (19 %), columns and their encoding
(15 %), the checks of the doctor (11 %), imports (10 %) and training (8 %). Evaluation and doctor
together take three fifths of the time of reading and encoding, and three quarters to nine tenths of
it with gradient boosting. A text file is read without pandas, whose import would take a quarter of
a second. What remains is about one pass each over text or features: 18 million numbers to parse, 55
million features to write, 3,125 steps of NumPy, and sorts of 100,000 hashes. Numbers become floats
while they are read only where no cell of the file has leading zeros, and each cell of the column is
a finite number or missing; a column of recurring texts becomes codes. Otherwise all columns are
read as text first. With 10,000 columns, each takes some 0.6 ms, in NumPy calls on its 1,000 cells:
to infer its kind, fit, encode, cut and describe it.

## Seconds per step

{plots}

## Explanation

- **Small networks** are limited by the number of calls, not by arithmetic. One step of 7-16-1 with
  Adam makes some 40 NumPy calls of 0.3 to 3 µs, whatever the size of the arrays. Parameters form
  one vector, so that an optimizer updates the whole network in a few calls. Compiled steps run many
  batches in one call, so that only the loops themselves take time.
- **Wide data** (more features than rows) is trained on the dot products of its rows. Gradient
  descent takes the same steps there, with 408 columns (rows and units) instead of 12,288 and no
  matrix product in the backward pass.
- **Large networks** spend their time in matrix products. No library can be much faster there than
  another, and plainnet adds little to the products.
- **Threads** slow small products down and speed large ones up. plainnet chooses for each network.
  While OpenBLAS's threads wait for the next product, they share the optimizer's pass.
- **A compiled step** helps where it fuses many small operations. JAX needs only one Python call per
  batch, and it has its own matrix products.
- **Many rows** are predicted by one thread per processor. Each thread takes its share of the rows
  in batches that stay in the processor's cache, and computes products and activations alone: BLAS
  is set to one thread before the threads start, because setting it while another thread multiplies
  slows that product down up to ten times.
- **One row** needs eight NumPy calls in a network of three layers: products, sums and activations.
  The calls take most of the time, as the last table of the next section shows, so that only
  compiled code could be clearly faster.
- **Goals.** The column *library / matrix products* shows how far ahead of that library the bare
  NumPy products would be if nothing else were computed. No code on top of NumPy can be further
  ahead in plain training. Compiled steps can where products are small: a call from Python then
  takes longer than the product itself. Where this ratio is below the goal, the goal needs other
  products. The goal *of the products* is an upper limit for the time of plainnet / that of the
  products.

## Time of one training step

Microseconds of NumPy alone, without compiled steps. Each part is timed separately on one batch;
*sum* is the sum of the parts. *remainder* is Python, arrays that the processor's cache loses
between two parts and, in the row space, the preparation before the steps. *goal* is the time of a
step that would meet the goal above. Where *sum* is larger, NumPy's calls cannot meet it, and only
compiled steps can:

- matrix products use NumPy's BLAS;
- an activation is one pass in the forward pass; in the backward pass it is a comparison, a
  conversion of its result to numbers, and a product;
- the loss takes 14 calls; exp, log1p and a second exp are needed for a value and a derivative that
  are accurate to the last digit for logits of any size;
- Adam makes ten passes over all parameters; a third of its time is the square root;
- NumPy needs at least 0.3 µs to start a call, whatever the size of the array; a compiled step
  starts once.

{breakdown}

The next table shows the same for prediction. All processors share many rows. The parts are timed
without the bias and, for many rows, on a batch that stays in the cache:

{prediction_breakdown}

## Choice of threads

The rule in `plainnet/engine/blas_threads.py` compared with measurements, in milliseconds per step.
BLAS threads wait for each other, so if another program keeps one processor busy, a step on all
threads can take many times as long: a step of 64-64-64-10 with 2,048 rows took 2 ms on an idle
machine, with one thread as with two, and on a busy one 10 ms with one thread and 556 ms with two.
So the rule shares only products that gain clearly; `OPENBLAS_NUM_THREADS=1` shares none.

{threads}

## Methods for wide data

400 rows with 12,288 features and 8 units, float32. An orthonormal basis of the row space needs two
matrix products per step. The dot products need one, take less preparation, and allow dependent
rows.

{row_space}

## Reproduce these results

```sh
make bench                                   # measures everything and writes this page
make bench BENCH="--quick"
make bench BENCH="--only tiny"
make growth                                  # measures the growth with rows and columns alone
```
"""
