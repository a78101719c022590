"""Figures: matplotlib's drawings as SVG that stands in a page and takes on its colors.

No text of a user is drawn: names stand in the page's own legend, where they are escaped, wrapped
and spelt in any script.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Draw = Callable[[Axes], None]

SERIES = 6  # lines that can be told apart in one drawing
_POINTS = 500  # of a line or a cloud, beyond which nobody sees a difference
_SIZE = (4.0, 3.0)  # inches: small, so that the words stay readable on a phone
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
# Colors that no drawing would choose stand for names, which the page's style gives a color.
_NAMES = ("ink", "soft", "rule", "paper", *(f"series{i}" for i in range(1, SERIES + 1)))
_COLORS = {name: f"#0000{i:02x}" for i, name in enumerate(_NAMES, 1)}
_CLASSES = {color: name for name, color in _COLORS.items()}
_DASHES = ("", "6 3", "2 2", "8 2 2 2", "4 1", "1 2")  # color is never the only difference
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "plainnet",
    "font.size": 11,
    "text.color": _COLORS["ink"],
    "axes.edgecolor": _COLORS["soft"],
    "axes.labelcolor": _COLORS["ink"],
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _COLORS["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": _COLORS["soft"],
    "ytick.color": _COLORS["soft"],
    "xtick.labelcolor": _COLORS["ink"],
    "ytick.labelcolor": _COLORS["ink"],
    "lines.linewidth": 1.8,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
}


@final
@dataclass(frozen=True)
class Drawing:
    """One drawing with its words."""

    name: str  # its identifier in the page
    title: str  # what it is, and what it shows, in words that serve those who do not see it
    says: str  # what it is, and what it shows, in words that serve those who do not see it
    svg: str  # the drawing; safe to stand in a page as it is
    legend: tuple[str, ...] = ()  # what each line is, in the order of the series' colors
    dashes: tuple[str, ...] = ()  # the dash pattern of each line, as stroke-dasharray takes it


@final
@dataclass(frozen=True)
class Line:
    """One line of a drawing: its name in the legend and its points."""

    label: str
    x: ArrayLike
    y: ArrayLike


def lines(
    name: str,
    title: str,
    says: str,
    series: Sequence[Line],
    axes: tuple[str, str],
    *,
    log: bool = False,
    mark: float | None = None,
    square: bool = False,
    diagonal: bool = False,
    dots: bool = False,
    from_zero: bool = False,
) -> Drawing:
    """Draw lines over a common axis."""
    if not 1 <= len(series) <= SERIES:
        raise ValueError(f"a drawing holds 1 to {SERIES} lines, got {len(series)}")

    def draw(ax: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        if diagonal:
            ax.plot([0, 1], [0, 1], color=_COLORS["soft"], linewidth=1, linestyle=(0, (1, 2)))
        for i, one in enumerate(series):
            x, y = _thinned(one.x, one.y)
            alone = dots or len(x) == 1  # a single point is no line
            ax.plot(
                x,
                y,
                color=_COLORS[f"series{i + 1}"],
                linestyle=_matplotlib_dashes(_DASHES[i]),
                marker="o" if alone else "",
                markersize=4,
            )
        if mark is not None:
            ax.axvline(mark, color=_COLORS["soft"], linewidth=1, linestyle=(0, (3, 3)))
        if log:
            _log(ax)
        if from_zero:
            ax.set_ylim(0, 1.15 * max(np.max(np.asarray(one.y, np.float64)) for one in series))
        if square:
            ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if axes[0] == "epoch":
            ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        ax.set(xlabel=axes[0], ylabel=axes[1])

    labels = tuple(one.label for one in series)
    return Drawing(name, title, says, _svg(name, title, says, draw), labels, _DASHES[: len(labels)])


def cloud(
    name: str, title: str, says: str, x: ArrayLike, y: ArrayLike, axes: tuple[str, str]
) -> Drawing:
    """Draw points, and the line on which both coordinates are equal."""

    def draw(ax: "Axes") -> None:
        some_x, some_y = _thinned(x, y)
        both = [min(some_x.min(), some_y.min()), max(some_x.max(), some_y.max())]
        ax.plot(both, both, color=_COLORS["soft"], linewidth=1, linestyle=(0, (3, 3)))
        ax.plot(some_x, some_y, "o", color=_COLORS["series1"], markersize=3, alpha=0.6)
        ax.set(xlabel=axes[0], ylabel=axes[1])

    return Drawing(name, title, says, _svg(name, title, says, draw))


def bars(
    name: str, title: str, says: str, edges: ArrayLike, counts: ArrayLike, axes: tuple[str, str]
) -> Drawing:
    """Draw a histogram."""
    at, heights = np.asarray(edges, np.float64), np.asarray(counts, np.float64)

    def draw(ax: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        ax.bar(
            at[:-1],
            heights,
            np.diff(at),
            align="edge",
            color=_COLORS["series1"],
            edgecolor=_COLORS["paper"],
            linewidth=0.6,
        )
        ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
        ax.set(xlabel=axes[0], ylabel=axes[1])

    return Drawing(name, title, says, _svg(name, title, says, draw))


def _thinned(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `_POINTS` points, evenly chosen, the first and the last among them."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    some = np.unique(np.linspace(0, len(a) - 1, min(len(a), _POINTS)).round().astype(int))
    return a[some], b[some]


def _log(ax: "Axes") -> None:
    """A logarithmic axis whose numbers are written out: powers would be set as formulas."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _matplotlib_dashes(dash: str) -> Any:
    return "solid" if not dash else (0, tuple(float(part) / 1.8 for part in dash.split()))


def _svg(name: str, title: str, says: str, draw: "Draw") -> str:
    """Let matplotlib draw, whatever its user's own settings are."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        parameters: Any = matplotlib.rcParams
        parameters.update(_STYLE)
        figure = Figure(figsize=_SIZE, layout="constrained")
        draw(figure.add_subplot())
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return _plain(ElementTree.fromstring(out.getvalue()), name, title, says)


def _plain(root: ElementTree.Element, name: str, title: str, says: str) -> str:
    """Leave shapes and words alone: classes instead of colors, no style, no foreign names."""
    _without(root, ("metadata", "style"))
    used = {
        reference
        for element in root.iter()
        for value in element.attrib.values()
        if (reference := _reference(value))
    }
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if element.tag != "text":
            element.text = None
        element.tail = None
        _restyle(element)
        _rename(element, name, used)
    box = " ".join(f"{72 * side:g}" for side in _SIZE)
    root.attrib = {
        "viewBox": f"0 0 {box}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-says",
    }
    for tag, text in (("desc", says), ("title", title)):
        element = ElementTree.Element(tag, id=f"{name}-{'title' if tag == 'title' else 'says'}")
        element.text = text
        root.insert(0, element)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _without(parent: ElementTree.Element, tags: tuple[str, ...]) -> None:
    for child in list(parent):
        if child.tag.removeprefix(_SVG) in tags:
            parent.remove(child)
        else:
            _without(child, tags)


def _reference(value: str) -> str:
    """The identifier that an attribute points to, or nothing."""
    if value.startswith("url(#"):
        return value[5:-1]
    return value[1:] if value.startswith("#") else ""


def _restyle(element: ElementTree.Element) -> None:
    """Turn ``style`` into attributes, and our colors into classes: a policy forbids styles."""
    classes = []
    for part in element.attrib.pop("style", "").split(";"):
        key, _, value = (word.strip() for word in part.partition(":"))
        if value in _CLASSES:
            classes.append(f"{key[0]}-{_CLASSES[value]}")  # f for fill, s for stroke
        elif key == "font":
            element.set("font-size", value.split("px")[0].split()[-1])
        elif key and key != "font-family":  # which the page chooses
            element.set(key, value)
    if classes:
        element.set("class", " ".join(classes))


def _rename(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Keep the identifiers that are pointed to, apart from those of a page's other drawings."""
    identifier = element.attrib.pop("id", "")
    if identifier in used:
        element.set("id", f"{name}-{identifier}")
    for key, value in list(element.attrib.items()):
        if reference := _reference(value):
            element.set(key, value.replace(f"#{reference}", f"#{name}-{reference}"))
        if key.startswith(_XLINK):
            element.set("href", element.attrib.pop(key))
