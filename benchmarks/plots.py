"""Plots: seconds per step against width, depth, batch and rows, on log-log axes."""

from pathlib import Path

from benchmarks.session import Session, Timings
from benchmarks.workloads import SWEEPS, Sweep, Workload

# torch.compile is omitted: compiling would take most of the time, and it runs close to PyTorch.
SHOWN = ("plainnet", "matrix products", "PyTorch", "JAX", "scikit-learn")
# Color-blind-safe colors of Okabe and Ito, and a marker for each line.
STYLES = {
    "plainnet": ("#D55E00", "o", "-", 2.4),
    "matrix products": ("#555555", "", ":", 1.6),
    "PyTorch": ("#0072B2", "s", "-", 1.3),
    "JAX": ("#009E73", "^", "-", 1.3),
    "scikit-learn": ("#CC79A7", "D", "-", 1.3),
}
LABELS = {"matrix products": "matrix products alone"}
WORK = 2e9  # multiplications per timed training, so that all points take about equally long
STEPS = (30, 200)  # minimum and maximum number of steps

Point = tuple[int, Workload, Timings]


def epochs_for(workload: Workload) -> int:
    """Choose the epochs for about WORK multiplications, within STEPS."""
    weights = sum(a * b for a, b in zip(workload.sizes, workload.sizes[1:], strict=False))
    steps = min(max(WORK / (3 * weights * workload.batch_rows), STEPS[0]), STEPS[1])
    return max(1, round(steps * workload.batch_rows / workload.rows))


def measure(session: Session, sweep: Sweep) -> list[Point]:
    points = []
    for value, workload in sweep.workloads:
        epochs = epochs_for(workload)
        timings = session.train(workload, SHOWN, epochs=epochs)
        steps = epochs * workload.steps
        cells = [f"{s} {1e6 * t.median / steps:,.0f}" for s, t in timings.items()]
        print(f"  {sweep.name} {value}: us per step: {', '.join(cells)}", flush=True)
        for timing in timings.values():
            timing.seconds = [s / steps for s in timing.seconds]
        points.append((value, workload, timings))
    return points


def draw(sweep: Sweep, points: list[Point], folder: Path) -> str:
    """Draw one plot and return the name of its file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "plainnet"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for name in SHOWN:
        color, marker, line, width = STYLES[name]
        curve = [(value, t[name].median) for value, _, t in points if name in t]
        axes.loglog(
            [value for value, _ in curve],
            [seconds for _, seconds in curve],
            color=color,
            marker=marker or None,
            linestyle=line,
            linewidth=width,
            label=LABELS.get(name, name),
            zorder=3 if name == "plainnet" else 2,
        )
    values = [value for value, _, _ in points]
    axes.set_xticks(values, [f"{value:,}" for value in values])
    axes.minorticks_off()
    axes.set_xlabel(sweep.label)
    axes.set_ylabel("seconds per step")
    axes.set_title(sweep.note, fontsize=10)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    folder.mkdir(parents=True, exist_ok=True)
    file_name = f"{sweep.name}.svg"
    figure.savefig(folder / file_name, metadata={"Date": None}, facecolor="white")
    plt.close(figure)
    return file_name


def measure_all(session: Session) -> list[tuple[Sweep, list[Point]]]:
    return [(sweep, measure(session, sweep)) for sweep in SWEEPS]
