"""Pictures: seconds a step against width, depth, batch and rows; log-log, peers beside."""

from pathlib import Path

from benchmarks.session import Session, Timings
from benchmarks.workloads import SWEEPS, Sweep, Workload

# torch.compile is left out: it would compile for most of the time, and runs close to PyTorch.
SIDES = ("plainnet", "floor", "PyTorch", "JAX", "scikit-learn")
# Okabe and Ito's colors, told apart by the color-blind too; a marker each besides.
STYLES = {
    "plainnet": ("#D55E00", "o", "-", 2.4),
    "floor": ("#555555", "", ":", 1.6),
    "PyTorch": ("#0072B2", "s", "-", 1.3),
    "JAX": ("#009E73", "^", "-", 1.3),
    "scikit-learn": ("#CC79A7", "D", "-", 1.3),
}
LABELS = {"floor": "matrix products alone"}
WORK = 2e9  # multiplications in a timed training, so that each point takes about as long
STEPS = (30, 200)  # but not fewer or more steps than these

Point = tuple[int, Workload, Timings]


def epochs_for(workload: Workload) -> int:
    """Train long enough to be timed, not longer."""
    weights = sum(a * b for a, b in zip(workload.sizes, workload.sizes[1:], strict=False))
    steps = min(max(WORK / (3 * weights * workload.batch_rows), STEPS[0]), STEPS[1])
    return max(1, round(steps * workload.batch_rows / workload.rows))


def measure(session: Session, sweep: Sweep) -> list[Point]:
    points = []
    for value, workload in sweep.workloads:
        epochs = epochs_for(workload)
        timings = session.train(workload, SIDES, epochs=epochs)
        steps = epochs * workload.steps
        cells = [f"{s} {1e6 * t.median / steps:,.0f}" for s, t in timings.items()]
        print(f"  {sweep.name} {value}: us a step: {', '.join(cells)}", flush=True)
        for timing in timings.values():
            timing.seconds = [s / steps for s in timing.seconds]
        points.append((value, workload, timings))
    return points


def draw(sweep: Sweep, points: list[Point], folder: Path) -> str:
    """Draw one picture and return its file's name."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "plainnet"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for side in SIDES:
        color, marker, line, width = STYLES[side]
        found = [(value, t[side].median) for value, _, t in points if side in t]
        axes.loglog(
            [value for value, _ in found],
            [seconds for _, seconds in found],
            color=color,
            marker=marker or None,
            linestyle=line,
            linewidth=width,
            label=LABELS.get(side, side),
            zorder=3 if side == "plainnet" else 2,
        )
    values = [value for value, _, _ in points]
    axes.set_xticks(values, [f"{value:,}" for value in values])
    axes.minorticks_off()
    axes.set_xlabel(sweep.label)
    axes.set_ylabel("seconds a step")
    axes.set_title(sweep.note, fontsize=10)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{sweep.name}.svg"
    figure.savefig(folder / name, metadata={"Date": None}, facecolor="white")
    plt.close(figure)
    return name


def measure_all(session: Session) -> list[tuple[Sweep, list[Point]]]:
    return [(sweep, measure(session, sweep)) for sweep in SWEEPS]
