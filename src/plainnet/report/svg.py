"""Line charts, scatter plots and histograms as SVG whose colors come from the page's style.

No text from users is drawn: names of lines are in the legend of the page, where they wrap.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plainnet.report.html import render

Floats = NDArray[np.float64]
_Points = list[tuple[float, float]]
SERIES = 6  # lines that can be distinguished in one chart
_POINTS = 500  # points of a line or a scatter plot; more make no visible difference
_WIDTH, _HEIGHT = 288, 216  # small, so that the text stays readable on a phone
_TOP, _RIGHT, _BOTTOM = 8, _WIDTH - 8, _HEIGHT - 36
_DASHES = ("", "6 3", "2 2", "8 2 2 2", "4 1", "1 2")  # color is never the only difference


class Caption(NamedTuple):
    """The text of a chart."""

    name: str  # its identifier in the page
    title: str
    description: str  # describes the content, also for screen readers
    x_label: str
    y_label: str


class Chart(NamedTuple):
    """One chart with the text around it."""

    caption: Caption
    svg: str  # escaped
    legend: tuple[str, ...] = ()  # one name per line of the chart
    dashes: tuple[str, ...] = ()  # the stroke-dasharray of each line


class Line(NamedTuple):
    """One line of a chart: its name in the legend and its points."""

    label: str
    x: ArrayLike
    y: ArrayLike


def line_chart(
    caption: Caption,
    series: Sequence[Line],
    *,
    log: bool = False,
    mark: float | None = None,
    unit_square: bool = False,
    diagonal: bool = False,
    dots: bool = False,
    from_zero: bool = False,
) -> Chart:
    """Draw lines over a common x axis."""
    if not 1 <= len(series) <= SERIES:
        raise ValueError(f"a chart holds 1 to {SERIES} lines, got {len(series)}")
    points = [_thin_out(line.x, line.y) for line in series]
    all_x, all_y = (np.concatenate(values) for values in zip(*points, strict=True))
    if unit_square:
        x_axis = y_axis = _linear_axis(-0.02, 1.02)
    else:
        x_axis = _linear_axis(*_padded(all_x), integers=caption.x_label == "epoch")
        low, high = (0.0, 1.15 * all_y.max()) if from_zero else _padded(all_y)
        y_axis = _log_axis(all_y) if log else _linear_axis(low, high)
    plot = _Plot(x_axis, y_axis)
    if diagonal:
        plot.line([0, 1], [0, 1], "soft", width=1, dash="1 2")
    for i, (x, y) in enumerate(points):
        plot.line(x, y, f"series{i + 1}", dash=_DASHES[i])
        if dots or len(x) == 1:  # a single point makes no line
            plot.dots.append((f"series{i + 1}", plot.points(x, y), 2.2, 1))
    if mark is not None:
        plot.line([mark, mark], [y_axis.low, y_axis.high], "soft", width=1, dash="3 3")
    return plot.chart(caption, tuple(line.label for line in series))


def scatter_plot(caption: Caption, x: ArrayLike, y: ArrayLike) -> Chart:
    """Draw points, and the line on which both coordinates are equal."""
    chosen_x, chosen_y = _thin_out(x, y)
    axis = _linear_axis(*_padded(np.concatenate([chosen_x, chosen_y])))
    plot = _Plot(axis, axis)
    plot.line([axis.low, axis.high], [axis.low, axis.high], "soft", width=1, dash="3 3")
    plot.dots.append(("series1", plot.points(chosen_x, chosen_y), 2, 0.6))
    return plot.chart(caption)


def histogram(caption: Caption, edges: ArrayLike, counts: ArrayLike) -> Chart:
    """Draw a bar for each bin."""
    heights = np.asarray(counts, np.float64)
    at = np.asarray(edges, np.float64)
    plot = _Plot(_linear_axis(*_padded(at)), _linear_axis(0, 1.05 * heights.max(), integers=True))
    x, y = plot.x(at), plot.y(heights)
    for left, right, top in zip(x, x[1:], y, strict=False):
        plot.bars.append((left, top, round(right - left, 1), round(_BOTTOM - top, 1)))
    return plot.chart(caption)


def _thin_out(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Choose at most `_POINTS` points evenly, the first and the last among them."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    chosen = np.unique(np.linspace(0, len(a) - 1, min(len(a), _POINTS)).round().astype(int))
    return a[chosen], b[chosen]


class _Axis(NamedTuple):
    """The values at both ends of an axis and its ticks with their labels."""

    low: float
    high: float
    ticks: Floats
    labels: list[str]
    log: bool = False

    def scaled(self, values: ArrayLike, start: float, end: float) -> list[float]:
        """Return the positions of values between the positions of both ends, to a tenth."""
        low, high, at = self.low, self.high, np.asarray(values, np.float64)
        if self.log:
            low, high, at = math.log(low), math.log(high), np.log(at)
        positions = start + (end - start) * (at - low) / (high - low)
        return [float(position) for position in positions.round(1)]


def _padded(values: Floats) -> tuple[float, float]:
    """Return the range of the values and a twentieth of it at both ends."""
    low, high = float(values.min()), float(values.max())
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return low - pad, high + pad


def _linear_axis(low: float, high: float, *, integers: bool = False) -> _Axis:
    """Place at most eight ticks on multiples of 1, 2 or 5 times a power of ten."""
    high = high if high > low else low + 1
    least = max((high - low) / 7, 1e-300)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= least)
    step = max(step, 1) if integers else step
    first, last = math.ceil(low / step), math.floor(high / step)
    ticks = step * np.arange(first, last + 1, dtype=np.float64)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    largest = np.abs(ticks).max(initial=step)
    digits = math.ceil(math.log10(largest / step) + 1e-9) + 1
    short = decimals <= 6 and largest < 1e7
    labels = [f"{tick + 0:.{decimals}f}" if short else f"{tick:.{digits}g}" for tick in ticks]
    return _Axis(low, high, ticks, [label.replace("-", "−") for label in labels])


def _log_axis(values: Floats) -> _Axis:
    """Place ticks on powers of ten, and if these are few also on 2 and 5 times them."""
    first, last = (math.floor(math.log10(end)) for end in (values.min(), values.max()))
    factors = (1, 2, 5) if last - first < 4 else (1,)
    powers = range(first, last + 2, 1 + (last - first) // 8)
    ticks = np.array([k * 10.0**power for power in powers for k in factors])
    low, high = values.min() / 1.1, values.max() * 1.1
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    return _Axis(low, high, ticks, [f"{tick:g}" for tick in ticks], log=True)


@final
class _Plot:
    """The marks of one chart in pixels, which the template chart.svg draws."""

    width, height, top, right, bottom = _WIDTH, _HEIGHT, _TOP, _RIGHT, _BOTTOM

    def __init__(self, x_axis: _Axis, y_axis: _Axis) -> None:
        self.x_axis, self.y_axis = x_axis, y_axis
        self.lines: list[tuple[str, _Points, float, str]] = []  # color, points, width, dashes
        self.dots: list[tuple[str, _Points, float, float]] = []  # color, points, radius, opacity
        self.bars: list[tuple[float, ...]] = []  # left, top, width, height
        self.left = 26 + 6.5 * max(map(len, y_axis.labels), default=0)

    def x(self, values: ArrayLike) -> list[float]:
        return self.x_axis.scaled(values, self.left, _RIGHT)

    def y(self, values: ArrayLike) -> list[float]:
        return self.y_axis.scaled(values, _BOTTOM, _TOP)

    def points(self, x: ArrayLike, y: ArrayLike) -> _Points:
        return list(zip(self.x(x), self.y(y), strict=True))

    def line(
        self, x: ArrayLike, y: ArrayLike, color: str, width: float = 1.8, dash: str = ""
    ) -> None:
        """Connect points."""
        self.lines.append((color, self.points(x, y), width, dash))

    def chart(self, caption: Caption, legend: tuple[str, ...] = ()) -> Chart:
        """Return the marks with axes, grid and description."""
        across = list(zip(self.x(self.x_axis.ticks), self.x_axis.labels, strict=True))
        up = list(zip(self.y(self.y_axis.ticks), self.y_axis.labels, strict=True))
        svg = render("chart.svg", caption=caption, plot=self, across=across, up=up)
        return Chart(caption, svg, legend, _DASHES[: len(legend)])
